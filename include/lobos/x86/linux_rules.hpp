// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Rule 11 for an x86 Linux: what lies in memory is what its 32-bit or its 64-bit entry relies on [linux/boot.rst
/// "32-bit Boot Protocol", "64-bit Boot Protocol"] [linux/zero-page.rst]. From the page of boot parameters it goes on
/// as Linux itself does: to the command line, the initrd, the memory map, the chain of setup data, and in 64-bit mode
/// through the page tables.

#include <lobos/plan/told_rules.hpp>
#include <lobos/x86/linux_page.hpp>
#include <lobos/x86/page.hpp>

namespace lobos::x86 {

/// Where a kernel is entered.
enum class linux_start : std::uint8_t {
    first_byte, ///< startup_32 of a bzImage
    into_200,   ///< startup_64 of a bzImage
    anywhere,   ///< of an ELF file
};

/// `C` is a verifier_context.
template <class C> class linux_rules : linux_page_layout {
public:
    /// `image` and `firmware` are what was asked for, `page` what its first instruction will take for the boot
    /// parameters.
    linux_rules(const C& context, const linux_image& image, const std::optional<efi_firmware>& firmware,
        linux_start start, phys_addr page)
        : context_{context},
          plan_{context.plan},
          image_{image},
          start_{start},
          page_{context, image, firmware, page}
    {
    }

    /// Faults: entry_contract_broken (at: the field that is wrong, the entry or the descriptor of a memory map, or the
    /// whole of EFI's), outside_safe_region (at: the page, the command line, a node of setup data, or EFI's memory
    /// map), bad_range (likewise: it lies where the kernel cannot reach it), misaligned (at: the page).
    result<void> hold() const
    {
        result<void> held = page_.hold();
        const auto then = [&](result<void> (linux_rules::*rule)() const) {
            if (held)
                held = (this->*rule)();
        };
        then(&linux_rules::kernel);
        then(&linux_rules::command_line);
        then(&linux_rules::initrd);
        then(&linux_rules::memory_map);
        return held;
    }

    /// The same for one that is entered in 64-bit mode, in paging mode `T`. The protocol wants kernel, page and command
    /// line one to one; setup data and low memory are what kernels read as early.
    /// Faults: the same, and not_mapped, not_writable (at: address).
    template <paging_traits T> result<void> hold_mapped() const
    {
        if (const auto held = hold(); !held)
            return held;
        if (const auto mapped = rules::one_to_one<T>(context_, *kernel_memory(), true); !mapped)
            return mapped;
        const auto readable = [&](phys_range r) { return rules::one_to_one<T>(context_, r, false); };
        constexpr phys_range low_memory = phys_range::of(phys_addr{}, byte_count::of(0xa'0000));
        if (const auto mapped = readable(low_memory); !mapped)
            return mapped;
        if (const auto mapped = readable(phys_range::of(page_.at(), page_size)); !mapped)
            return mapped;
        const auto line = phys_addr::at(get(cmd_line_ptr, ext_cmd_line_ptr));
        const auto size = byte_count::of(std::uint64_t{image_.command_line.size()} + 1);
        if (const auto mapped = readable(phys_range::of(line, size)); !mapped)
            return mapped;
        for (auto next = get<std::uint64_t>(setup_data); next != 0;) {
            const phys_addr at = phys_addr::at(next);
            const auto data = load<std::uint32_t>(context_.memory, at + byte_count::of(12));
            if (const auto mapped = readable(phys_range::of(at, byte_count::of(std::uint64_t{node_bytes} + data)));
                !mapped)
                return mapped;
            next = load<std::uint64_t>(context_.memory, at);
        }
        return {};
    }

private:
    static constexpr std::size_t most_nodes = 256;

    template <class T> T get(unsigned offset) const { return page_.template get<T>(offset); }
    std::uint64_t get(unsigned low, unsigned high) const { return page_.get(low, high); }
    template <class At> std::unexpected<fault> broken(At at) const { return page_.broken(at); }

    /// The memory that the kernel takes before it reads its memory map.
    std::optional<phys_range> kernel_memory() const
    {
        const std::uint64_t entry = plan_.entry.raw();
        const std::uint64_t first = start_ == linux_start::anywhere ? get<std::uint64_t>(pref_address)
            : start_ == linux_start::into_200                       ? entry - 0x200
                                                                    : entry;
        return phys_range::checked(phys_addr::at(first), byte_count::of(get<std::uint32_t>(init_size)));
    }

    /// It is all usable, and nobody's; the kernel is entered in it, and need not move.
    result<void> kernel() const
    {
        const auto memory = kernel_memory();
        if (!memory || !page_.in_reach(*memory) || context_.map.first_not(region_kind::usable, *memory))
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
        const auto line = page_.parameter(at, std::uint64_t{wanted.size()} + 1);
        if (!line)
            return std::unexpected{line.error()};
        if (wanted.size() > get<std::uint32_t>(cmdline_size) || line->overlaps(phys_range::of(page_.at(), page_size)))
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
        return low || page_.in_reach(above_4g) ? result<void>{} : broken(initrd_addr_max);
    }
    static constexpr phys_range above_4g = phys_range::of(phys_addr::at(0x1'0000'0000), byte_count::of(1));

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
        if (const auto held = entries(page_.at() + byte_count::of(e820_table), in_page); !held)
            return held;
        // A kernel writes to what lies in a node: it wipes a seed.
        const auto line = phys_range::of(phys_addr::at(get(cmd_line_ptr, ext_cmd_line_ptr)),
            byte_count::of(std::uint64_t{image_.command_line.size()} + 1));
        const auto efi_map = page_.efi_map();
        auto next = get<std::uint64_t>(setup_data);
        for (std::size_t nodes = 0; next != 0; ++nodes) {
            const auto head = page_.parameter(next, node_bytes);
            if (!head)
                return std::unexpected{head.error()};
            const phys_addr at = head->first();
            const auto size = load<std::uint32_t>(context_.memory, at + byte_count::of(12));
            const auto node = page_.parameter(next, std::uint64_t{node_bytes} + size);
            if (!node)
                return std::unexpected{node.error()};
            const bool apart = !node->overlaps(phys_range::of(page_.at(), page_size)) && !node->overlaps(line) &&
                !(efi_map && node->overlaps(*efi_map));
            if (nodes == most_nodes || !apart)
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
        return told.end(page_.at() + byte_count::of(e820_entries));
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

    const C& context_;
    const exec_plan& plan_;
    const linux_image& image_;
    linux_start start_;
    linux_page<C> page_;
};

} // namespace lobos::x86
