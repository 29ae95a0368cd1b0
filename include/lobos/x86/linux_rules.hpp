// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Rule 11 for an x86 Linux: what lies in memory is what its 32-bit or its 64-bit entry relies on [linux/boot.rst
/// "32-bit Boot Protocol", "64-bit Boot Protocol"] [linux/zero-page.rst]. The page of boot parameters is read at the
/// manual's offsets, which are written down here a second time, and from there on as Linux itself goes: to the command
/// line, the initrd, the chain of setup data. No byte of the page is left unread: what is not known has to be 0.

#include <lobos/image/linux_image.hpp>
#include <lobos/paging/walk.hpp>
#include <lobos/plan/told_rules.hpp>

namespace lobos::x86 {

/// Where a kernel is entered.
enum class linux_start : std::uint8_t {
    first_byte, ///< startup_32 of a bzImage
    into_200,   ///< startup_64 of a bzImage
    anywhere,   ///< of an ELF file
};

/// `C` is a verifier_context. A kernel that is entered paged is entered in 64-bit mode.
template <class C> class linux_rules {
    struct field {
        unsigned offset, size;
    };

public:
    /// `image` is what was asked for, `page` what its first instruction will take for the boot parameters.
    linux_rules(const C& context, const linux_image& image, linux_start start, phys_addr page)
        : context_{context},
          plan_{context.plan},
          image_{image},
          start_{start},
          page_{page}
    {
    }

    /// Faults: entry_contract_broken (at: the field that is wrong, or the entry of a memory map), outside_safe_region
    /// (at: the page, the command line, or a node of setup data), bad_range (likewise: it lies where the kernel cannot
    /// reach it), misaligned (at: the page), not_mapped, not_writable (at: address).
    result<void> hold() const
    {
        result<void> held = page();
        const auto then = [&](result<void> (linux_rules::*rule)() const) {
            if (held)
                held = (this->*rule)();
        };
        then(&linux_rules::bytes);
        then(&linux_rules::kernel);
        then(&linux_rules::command_line);
        then(&linux_rules::initrd);
        then(&linux_rules::firmware);
        then(&linux_rules::memory_map);
        then(&linux_rules::mappings);
        return held;
    }

private:
    static constexpr std::uint64_t into_200 = 0x200;
    static constexpr std::size_t page_bytes = 4096, entry_bytes = 20, most_entries = 128, node_bytes = 16;
    static constexpr unsigned acpi_rsdp_addr = 0x070, ext_ramdisk_image = 0x0c0, ext_ramdisk_size = 0x0c4,
                              ext_cmd_line_ptr = 0x0c8, efi_info = 0x1c0, e820_entries = 0x1e8, header_begins = 0x1f1,
                              header = 0x202, version = 0x206, type_of_loader = 0x210, code32_start = 0x214,
                              ramdisk_image = 0x218, ramdisk_size = 0x21c, cmd_line_ptr = 0x228,
                              initrd_addr_max = 0x22c, kernel_alignment = 0x230, relocatable_kernel = 0x234,
                              xloadflags = 0x236, cmdline_size = 0x238, setup_data = 0x250, pref_address = 0x258,
                              init_size = 0x260, e820_table = 0x2d0;
    /// What is checked by itself and not against the file's header or 0: firmware and upper halves, and in the header
    /// what a boot loader fills in.
    static constexpr field fields[] = {{acpi_rsdp_addr, 8}, {ext_ramdisk_image, 12}, {efi_info, 32}, {e820_entries, 1},
        {type_of_loader, 1}, {code32_start, 4}, {ramdisk_image, 8}, {cmd_line_ptr, 4}, {setup_data, 8}};
    static constexpr std::size_t most_nodes = 256;

    template <class T> T get(unsigned offset) const { return load<T>(context_.memory, page_ + byte_count::of(offset)); }
    /// A field in two halves.
    std::uint64_t get(unsigned low, unsigned high) const
    {
        return std::uint64_t{get<std::uint32_t>(high)} << 32 | get<std::uint32_t>(low);
    }

    static std::unexpected<fault> broken(phys_addr at)
    {
        return refuse(fault_code::entry_contract_broken, stage::verifying, at);
    }
    std::unexpected<fault> broken(unsigned offset) const { return broken(page_ + byte_count::of(offset)); }

    /// Where the kernel can have what it is told of.
    bool in_reach(phys_range r) const
    {
        constexpr std::uint16_t can_be_loaded_above_4g = 2;
        const bool anywhere = plan_.entered_paged && get<std::uint16_t>(version) >= 0x20c &&
            (get<std::uint16_t>(xloadflags) & can_be_loaded_above_4g) != 0;
        return anywhere || below_4g.contains(r);
    }

    /// A part of the parameters, `size` bytes at `at`.
    result<phys_range> parameter(std::uint64_t at, std::uint64_t size) const
    {
        const auto r = phys_range::checked(phys_addr::at(at), byte_count::of(size));
        if (!r || !in_reach(*r))
            return refuse(fault_code::bad_range, stage::verifying, at);
        if (const auto inside = rules::lies_in(context_, safe_role::parameters, *r); !inside)
            return std::unexpected{inside.error()};
        return *r;
    }

    result<void> page() const
    {
        if (!is_aligned(page_, page_size))
            return refuse(fault_code::misaligned, stage::verifying, page_);
        const auto whole = phys_range::checked(page_, page_size);
        if (!whole || (!plan_.entered_paged && !below_4g.contains(*whole)))
            return refuse(fault_code::bad_range, stage::verifying, page_);
        if (const auto inside = rules::lies_in(context_, safe_role::parameters, *whole); !inside)
            return inside;
        if (!in_reach(*whole))
            return refuse(fault_code::bad_range, stage::verifying, page_);
        return {};
    }

    /// The header is the file's, a boot loader is named, and what nobody has filled in is 0.
    result<void> bytes() const
    {
        if (get<std::uint32_t>(header) != 0x5372'6448)
            return broken(header);
        if (get<std::uint16_t>(version) < 0x20a || get<std::uint16_t>(version) != image_.version)
            return broken(version);
        if (get<std::uint8_t>(type_of_loader) == 0)
            return broken(type_of_loader);
        const unsigned entries = get<std::uint8_t>(e820_entries);
        if (entries > most_entries)
            return broken(e820_entries);
        const auto known = [&](unsigned offset) {
            return (offset >= e820_table && offset < e820_table + entries * entry_bytes) ||
                std::ranges::any_of(fields, [&](field f) { return offset >= f.offset && offset - f.offset < f.size; });
        };
        constexpr unsigned loader_version = 0x226; // and type, of those loaders that have one
        for (unsigned offset = 0; offset < page_bytes; ++offset) {
            if (known(offset))
                continue;
            const bool of_file = offset >= header_begins && offset - header_begins < image_.header_size &&
                offset / 2 != loader_version / 2;
            if (get<std::byte>(offset) != (of_file ? image_.header[offset - header_begins] : std::byte{0}))
                return broken(offset);
        }
        return {};
    }

    /// The memory that the kernel takes before it reads its memory map.
    std::optional<phys_range> kernel_memory() const
    {
        const std::uint64_t entry = plan_.entry.raw();
        const std::uint64_t first = start_ == linux_start::anywhere ? get<std::uint64_t>(pref_address)
            : start_ == linux_start::into_200                       ? entry - into_200
                                                                    : entry;
        return phys_range::checked(phys_addr::at(first), byte_count::of(get<std::uint32_t>(init_size)));
    }

    /// It is all usable, and nobody's; the kernel is entered in it, and need not move.
    result<void> kernel() const
    {
        const auto memory = kernel_memory();
        if (!memory || !in_reach(*memory) || context_.map.first_not(region_kind::usable, *memory))
            return broken(init_size);
        const auto after = rules::safe_from(context_, memory->first());
        if (!after.empty() && after.front().range.overlaps(*memory))
            return broken(init_size);
        for (const segment& s : plan_.image) {
            const bool own = s.role == segment_role::kernel;
            if (own ? !memory->contains(s.destination) : s.occupies() && memory->overlaps(s.destination))
                return broken(init_size);
        }
        const phys_addr first = memory->first();
        const auto preferred = phys_addr::at(get<std::uint64_t>(pref_address));
        const auto alignment = byte_count::of(get<std::uint32_t>(kernel_alignment));
        const bool stays = get<std::uint8_t>(relocatable_kernel) == 0
            ? first == preferred
            : first >= preferred && is_power_of_two(alignment) && is_aligned(first, alignment);
        if (!stays || !memory->contains(phys_addr::at(plan_.entry.raw())))
            return broken(pref_address);
        // For a 64-bit entry nobody reads it; a loader says where the 32-bit one would be.
        const bool has_32 = start_ != linux_start::anywhere && below_4g.contains(first);
        const std::uint64_t start = !plan_.entered_paged ? plan_.entry.raw() : has_32 ? first.raw() : 0;
        if (get<std::uint32_t>(code32_start) != start)
            return broken(code32_start);
        return {};
    }

    /// What was asked for, to its end.
    result<void> command_line() const
    {
        const std::uint64_t at = get(cmd_line_ptr, ext_cmd_line_ptr);
        const std::string_view wanted = image_.command_line;
        const auto line = parameter(at, std::uint64_t{wanted.size()} + 1);
        if (!line)
            return std::unexpected{line.error()};
        if (wanted.size() > get<std::uint32_t>(cmdline_size) || line->overlaps(phys_range::of(page_, page_size)))
            return broken(cmd_line_ptr);
        for (std::size_t i = 0; i <= wanted.size(); ++i)
            if (load<char>(context_.memory, line->first() + byte_count::of(i)) !=
                (i < wanted.size() ? wanted[i] : '\0'))
                return broken(line->first() + byte_count::of(i));
        return {};
    }

    /// Where the plan puts one; nowhere if it does not.
    result<void> initrd() const
    {
        const std::uint64_t at = get(ramdisk_image, ext_ramdisk_image), size = get(ramdisk_size, ext_ramdisk_size);
        const auto found = std::ranges::find(plan_.image, segment_role::initrd, &segment::role);
        if (found == plan_.image.end())
            return at == 0 && size == 0 ? result<void>{} : broken(ramdisk_image);
        if (at != found->destination.first().raw())
            return broken(ramdisk_image);
        if (size != found->destination.size().raw())
            return broken(ramdisk_size);
        const bool low = found->destination.last().raw() <= get<std::uint32_t>(initrd_addr_max);
        return low || in_reach(above_4g) ? result<void>{} : broken(initrd_addr_max);
    }
    static constexpr phys_range above_4g = phys_range::of(phys_addr::at(0x1'0000'0000), byte_count::of(1));

    /// Whether `size` bytes at `at` are what they are now when the kernel looks.
    bool survives(std::uint64_t at, std::uint64_t size) const
    {
        const auto r = phys_range::checked(phys_addr::at(at), byte_count::of(size));
        return r &&
            std::ranges::none_of(plan_.image,
                [&](const segment& s) {
                    return s.what != content::kept && s.occupies() && s.destination.overlaps(*r);
                }) &&
            std::ranges::none_of(plan_.safe, [&](const safe_region& s) { return s.range.overlaps(*r); });
    }

    /// ACPI's root pointer and EFI's tables, where they are told.
    result<void> firmware() const
    {
        constexpr std::uint64_t root_pointer_size = 20, system_table_size = 72; // the smaller one of both kinds
        const auto rsdp = get<std::uint64_t>(acpi_rsdp_addr);
        if (rsdp != 0 && !survives(rsdp, root_pointer_size))
            return broken(acpi_rsdp_addr);
        constexpr unsigned systab = efi_info + 4, descriptor_size = efi_info + 8, memory_map = efi_info + 16,
                           map_size = efi_info + 20, systab_hi = efi_info + 24, memory_map_hi = efi_info + 28;
        const auto signature = get<std::uint32_t>(efi_info);
        if (signature == 0) {
            for (unsigned offset = efi_info; offset < efi_info + 32; ++offset)
                if (get<std::byte>(offset) != std::byte{0})
                    return broken(offset);
            return {};
        }
        const bool is_32 = signature == 0x3233'4c45;
        const bool high = get<std::uint32_t>(systab_hi) != 0 || get<std::uint32_t>(memory_map_hi) != 0;
        if (is_32 ? high : signature != 0x3436'4c45)
            return broken(efi_info);
        if (!survives(get(systab, systab_hi), system_table_size))
            return broken(systab);
        const auto one = get<std::uint32_t>(descriptor_size), all = get<std::uint32_t>(map_size);
        if (one == 0 || all == 0 || all % one != 0)
            return broken(map_size);
        return survives(get(memory_map, memory_map_hi), all) ? result<void>{} : broken(memory_map);
    }

    result<void> memory_map() const
    {
        rules::told_map<C> told{context_};
        const auto entries = [&](phys_addr at, std::uint64_t count) -> result<void> {
            for (; count != 0; --count, at += byte_count::of(entry_bytes))
                if (const auto true_one = entry(told, at); !true_one)
                    return true_one;
            return {};
        };
        const auto in_page = get<std::uint8_t>(e820_entries);
        if (const auto held = entries(page_ + byte_count::of(e820_table), in_page); !held)
            return held;
        auto next = get<std::uint64_t>(setup_data);
        for (std::size_t nodes = 0; next != 0; ++nodes) {
            const auto head = parameter(next, node_bytes);
            if (!head)
                return std::unexpected{head.error()};
            const phys_addr at = head->first();
            const auto size = load<std::uint32_t>(context_.memory, at + byte_count::of(12));
            const auto node = parameter(next, node_bytes + size);
            if (!node)
                return std::unexpected{node.error()};
            const phys_addr line = phys_addr::at(get(cmd_line_ptr, ext_cmd_line_ptr));
            if (nodes == most_nodes || node->overlaps(phys_range::of(page_, page_size)) || node->contains(line))
                return broken(at);
            constexpr std::uint32_t e820_ext = 1;
            if (load<std::uint32_t>(context_.memory, at + byte_count::of(8)) == e820_ext) {
                if (size == 0 || size % entry_bytes != 0)
                    return broken(at);
                if (const auto held = entries(at + byte_count::of(node_bytes), size / entry_bytes); !held)
                    return held;
            }
            next = load<std::uint64_t>(context_.memory, at);
        }
        return told.end(page_ + byte_count::of(e820_entries));
    }

    /// An entry of an e820 map. Memory that is told as something else than usable or reserved is what is told.
    result<void> entry(rules::told_map<C>& told, phys_addr at) const
    {
        const auto first = phys_addr::at(load<std::uint64_t>(context_.memory, at));
        const auto size = byte_count::of(load<std::uint64_t>(context_.memory, at + byte_count::of(8)));
        const auto type = load<std::uint32_t>(context_.memory, at + byte_count::of(16));
        const auto range = phys_range::checked(first, size);
        if (!range || type < 1 || type > 5)
            return broken(at);
        constexpr region_kind kinds[] = {region_kind::usable, region_kind::reserved, region_kind::acpi_reclaimable,
            region_kind::acpi_nvs, region_kind::defective};
        if (type > 2 && context_.map.first_not(kinds[type - 1], *range))
            return broken(at);
        return told.entry(*range, type == 1, at);
    }

    /// In 64-bit mode: what the protocol wants one to one, kernel, page and command line; and what kernels read as
    /// early, setup data and low memory.
    result<void> mappings() const
    {
        if (!plan_.entered_paged)
            return {};
        if (const auto mapped = one_to_one(*kernel_memory(), true); !mapped)
            return mapped;
        constexpr phys_range low_memory = phys_range::of(phys_addr{}, byte_count::of(640 * 1024));
        if (const auto mapped = one_to_one(low_memory, false); !mapped)
            return mapped;
        if (const auto mapped = one_to_one(phys_range::of(page_, page_size), false); !mapped)
            return mapped;
        const auto line = phys_addr::at(get(cmd_line_ptr, ext_cmd_line_ptr));
        const auto size = byte_count::of(std::uint64_t{image_.command_line.size()} + 1);
        if (const auto mapped = one_to_one(phys_range::of(line, size), false); !mapped)
            return mapped;
        for (auto next = get<std::uint64_t>(setup_data); next != 0;) {
            const phys_addr at = phys_addr::at(next);
            const auto data = load<std::uint32_t>(context_.memory, at + byte_count::of(12));
            if (const auto mapped = one_to_one(phys_range::of(at, byte_count::of(node_bytes + data)), false); !mapped)
                return mapped;
            next = load<std::uint64_t>(context_.memory, at);
        }
        return {};
    }

    result<void> one_to_one(phys_range r, bool executable) const
    {
        for (std::optional<phys_addr> at = r.first(); at && *at <= r.last();) {
            const virt_addr linear = virt_addr::at(at->raw());
            const auto found = walk<typename C::entry_paging>(context_.memory, plan_.entry_root, linear);
            if (!found || found->physical != *at || (executable && !found->executable))
                return refuse(fault_code::not_mapped, stage::verifying, *at);
            if (found->rights != access::read_write)
                return refuse(fault_code::not_writable, stage::verifying, *at);
            at = checked_add(phys_addr::at(found->page.last().raw()), byte_count::of(1));
        }
        return {};
    }

    const C& context_;
    const exec_plan& plan_;
    const linux_image& image_;
    linux_start start_;
    phys_addr page_;
};

} // namespace lobos::x86
