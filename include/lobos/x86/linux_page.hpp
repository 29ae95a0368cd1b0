// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The first part of rule 11 for an x86 Linux: the page of boot parameters, as its first instruction will find it
/// [linux/boot.rst] [linux/zero-page.rst]. It is read at the manual's offsets, which are written down here a second
/// time: those that it was written by, in boot_params.hpp, are not asked. No byte of the page is left unread: what is
/// not known has to be 0.

#include <lobos/image/linux_image.hpp>
#include <lobos/plan/place_rules.hpp>
#include <lobos/x86/efi_rules.hpp>
#include <lobos/x86/page.hpp>

namespace lobos::x86 {

/// Offsets in the page, and sizes, in bytes.
struct linux_page_layout {
    static constexpr std::size_t page_bytes = 4096, entry_bytes = 20, most_entries = 128, node_bytes = 16;
    static constexpr unsigned acpi_rsdp_addr = 0x070, ext_ramdisk_image = 0x0c0, ext_ramdisk_size = 0x0c4,
                              ext_cmd_line_ptr = 0x0c8, efi_info = 0x1c0, efi_memmap = 0x1d0, efi_memmap_size = 0x1d4,
                              efi_memmap_hi = 0x1dc, e820_entries = 0x1e8, header_begins = 0x1f1, header = 0x202,
                              version = 0x206, type_of_loader = 0x210, code32_start = 0x214, ramdisk_image = 0x218,
                              ramdisk_size = 0x21c, cmd_line_ptr = 0x228, initrd_addr_max = 0x22c,
                              kernel_alignment = 0x230, relocatable_kernel = 0x234, xloadflags = 0x236,
                              cmdline_size = 0x238, setup_data = 0x250, pref_address = 0x258, init_size = 0x260,
                              e820_table = 0x2d0;
};

/// `C` is a verifier_context. A kernel that is entered paged is entered in 64-bit mode.
template <class C> class linux_page : linux_page_layout {
public:
    /// `image` and `firmware` are what was asked for, `page` what its first instruction will take for the boot
    /// parameters.
    linux_page(const C& context, const linux_image& image, const std::optional<efi_firmware>& firmware, phys_addr page)
        : context_{context},
          image_{image},
          firmware_{firmware},
          page_{page}
    {
    }

    phys_addr at() const { return page_; }
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
        const bool anywhere = context_.plan.entered_paged && get<std::uint16_t>(version) >= 0x20c &&
            (get<std::uint16_t>(xloadflags) & can_be_loaded_above_4g) != 0;
        return anywhere || below_4g.contains(r);
    }

    /// A part of the parameters, `size` bytes at `at`.
    /// Faults: bad_range (it wraps, or is out of reach), outside_safe_region (at: its first byte).
    result<phys_range> parameter(std::uint64_t at, std::uint64_t size) const
    {
        const auto r = phys_range::checked(phys_addr::at(at), byte_count::of(size));
        if (!r || !in_reach(*r))
            return refuse(fault_code::bad_range, stage::verifying, at);
        if (const auto inside = rules::lies_in(context_, safe_role::parameters, *r); !inside)
            return std::unexpected{inside.error()};
        return *r;
    }

    /// The EFI memory map that is told, if one is.
    std::optional<phys_range> efi_map() const
    {
        return phys_range::checked(
            phys_addr::at(get(efi_memmap, efi_memmap_hi)), byte_count::of(get<std::uint32_t>(efi_memmap_size)));
    }

    /// Faults: entry_contract_broken (at: the byte that is wrong, the EFI memory map, or its descriptor that is),
    /// outside_safe_region, bad_range (at: the page, or the EFI memory map), misaligned (at: the page).
    result<void> hold() const
    {
        if (const auto well = lies_well(); !well)
            return well;
        if (const auto known = bytes(); !known)
            return known;
        return firmware();
    }

private:
    struct field {
        unsigned offset, size;
    };
    /// What is checked by itself and not against the file's header or 0: firmware and upper halves, and in the header
    /// what a boot loader fills in.
    static constexpr field fields[] = {{acpi_rsdp_addr, 8}, {ext_ramdisk_image, 12}, {efi_info, 32}, {e820_entries, 1},
        {type_of_loader, 1}, {code32_start, 4}, {ramdisk_image, 8}, {cmd_line_ptr, 4}, {setup_data, 8}};

    /// It lies where a parameter may, and the kernel reaches it.
    result<void> lies_well() const
    {
        if (!is_aligned(page_, page_size))
            return refuse(fault_code::misaligned, stage::verifying, page_);
        const auto whole = phys_range::checked(page_, page_size);
        if (!whole || (!context_.plan.entered_paged && !below_4g.contains(*whole)))
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

    /// ACPI's root pointer and EFI's tables: those that are known, and where they are.
    result<void> firmware() const
    {
        const efi_rules efi{context_};
        const auto rsdp = get<std::uint64_t>(acpi_rsdp_addr);
        if (rsdp != 0 && !efi.has_root_pointer(rsdp))
            return broken(acpi_rsdp_addr);
        constexpr unsigned systab = efi_info + 4, descriptor_size = efi_info + 8, map_version = efi_info + 12,
                           systab_hi = efi_info + 24;
        if (!firmware_) {
            for (unsigned offset = efi_info; offset < efi_info + 32; ++offset)
                if (get<std::byte>(offset) != std::byte{0})
                    return broken(offset);
            return {};
        }
        if (get<std::uint32_t>(efi_info) != (firmware_->is_64_bit ? 0x3436'4c45 : 0x3233'4c45)) // "EL64", "EL32"
            return broken(efi_info);
        const std::uint64_t table = get(systab, systab_hi), at = get(efi_memmap, efi_memmap_hi);
        if (table != firmware_->system_table.raw() || !efi.has_system_table(table, firmware_->is_64_bit))
            return broken(systab);
        if (get<std::uint32_t>(map_version) != firmware_->descriptor_version)
            return broken(map_version);
        const auto one = get<std::uint32_t>(descriptor_size), all = get<std::uint32_t>(efi_memmap_size);
        if (one == 0 || all == 0 || all % one != 0)
            return broken(efi_memmap_size);
        const auto map = parameter(at, all);
        if (!map)
            return std::unexpected{map.error()};
        if (map->overlaps(phys_range::of(page_, page_size)))
            return broken(efi_memmap);
        return efi.hold(*firmware_, at, all, one);
    }

    const C& context_;
    const linux_image& image_;
    const std::optional<efi_firmware>& firmware_;
    phys_addr page_;
};

} // namespace lobos::x86
