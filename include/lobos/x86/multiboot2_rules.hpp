// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Rule 11 for what is told by the boot information of multiboot 2: that it says the truth, read from memory tag by tag
/// by the manual's offsets [multiboot2/2.0 §3.6], as the image will.

#include <lobos/x86/efi_rules.hpp>
#include <lobos/x86/multiboot_rules.hpp>

namespace lobos::x86 {

/// `C` is a verifier_context; `Registers` are a port's.
template <class C> class multiboot2_rules {
public:
    /// `firmware` is what was asked for.
    template <class Registers>
    multiboot2_rules(const C& context, const Registers& found, const std::optional<efi_firmware>& firmware)
        : context_{context},
          told_{context},
          firmware_{firmware},
          ax_{found.ax},
          at_{found.bx},
          base_{found.real_base}
    {
    }

    /// The file names the plan's entry in its multiboot 2 header, or in that of ELF; `image` says where the file lies.
    /// Faults: entry_contract_broken (at: the entry).
    result<void> names_entry(std::span<const segment> image) const
    {
        const told_file file{context_.memory, image};
        if (!file.is_multiboot2_entry(phys_addr::at(context_.plan.entry.raw())))
            return told_.broken(context_.plan.entry.raw());
        return {};
    }

    /// Registers, tags, memory maps, modules, strings, EFI's and ACPI's tables. Modules begin at multiples of
    /// `alignment`. Faults: entry_contract_broken (at: the field of the frame, or the tag, that is wrong; at the block,
    /// if one is missing; the descriptor of an EFI memory map), outside_safe_region (at: the block, if it is not all
    /// parameters).
    result<void> hold(byte_count alignment) const
    {
        if (ax_ != 0x36d7'6289)
            return told_.broken_register(offsetof(departure_frame, ax));
        if (base_ != 0)
            return told_.broken_register(offsetof(departure_frame, entry));
        if (at_ % 8 != 0)
            return told_.broken_register(offsetof(departure_frame, bx));
        if (const auto there = told_.has(at_, 8); !there)
            return there;
        const std::uint64_t size = told_.word(at_);
        if (size < 16 || size % 8 != 0)
            return told_.broken(at_);
        if (const auto there = told_.has(at_, size); !there)
            return there;
        return tags(at_ + size, alignment);
    }

private:
    /// The types that are looked at here; nothing else may be told.
    enum known : std::uint32_t {
        end_tag = 0,
        command_line = 1,
        loader_name = 2,
        module = 3,
        memory_sizes = 4,
        memory_map = 6,
        efi_32 = 11,
        efi_64 = 12,
        rsdp_old = 14,
        rsdp_new = 15,
        efi_memory_map = 17
    };

    result<void> tags(std::uint64_t behind, byte_count alignment) const
    {
        told_modules<C> modules{context_};
        std::uint32_t seen = 0; // a bit for each type of which there may be only one
        for (std::uint64_t at = at_ + 8; behind - at >= 8;) {
            const std::uint32_t type = told_.word(at), size = told_.word(at + 4);
            if (size < 8 || size > behind - at || type >= 32 || (seen >> type & 1) != 0)
                return told_.broken(at);
            if (type != module)
                seen |= 1u << type;
            if (type == end_tag) {
                const std::uint32_t of_efi = !firmware_ ? 0
                    : firmware_->is_64_bit              ? 1u << efi_64 | 1u << efi_memory_map
                                                        : 1u << efi_32 | 1u << efi_memory_map;
                const std::uint32_t needed = 1u << command_line | 1u << memory_sizes | 1u << memory_map | of_efi;
                if (size != 8 || at + 8 != behind)
                    return told_.broken(at);
                return (seen & needed) == needed ? modules.end(at) : told_.broken(at_);
            }
            if (const auto held = tag(type, at, size, alignment, modules); !held)
                return held;
            at += (std::uint64_t{size} + 7) / 8 * 8;
        }
        return told_.broken(at_); // there is no end
    }

    result<void> tag(
        std::uint32_t type, std::uint64_t at, std::uint32_t size, byte_count alignment, told_modules<C>& modules) const
    {
        const auto check = [&](bool right) -> result<void> {
            if (!right)
                return told_.broken(at);
            return {};
        };
        switch (type) {
        case command_line:
        case loader_name: return check(is_string(at + 8, at + size));
        case module: {
            const bool sound = size >= 17 && is_string(at + 16, at + size) && told_.word(at + 12) > told_.word(at + 8);
            if (!sound)
                return told_.broken(at);
            return modules.entry(told_.word(at + 8), told_.word(at + 12) - told_.word(at + 8), alignment, at);
        }
        case memory_sizes: {
            const std::uint64_t lower = size == 16 ? told_.word(at + 8) : ~0u;
            return check(lower <= 640 && told_.is_free(0, lower << 10) &&
                told_.is_free(0x10'0000, std::uint64_t{told_.word(at + 12)} << 10));
        }
        case memory_map: return tells_memory(at, size);
        case efi_32: return check(size == 12 && is_system_table(told_.word(at + 8), false));
        case efi_64: return check(size == 16 && is_system_table(told_.long_word(at + 8), true));
        case efi_memory_map:
            if (!firmware_ || size <= 16 || told_.word(at + 12) != firmware_->descriptor_version)
                return told_.broken(at);
            return efi_rules{context_}.hold(*firmware_, at + 16, size - 16, told_.word(at + 8));
        case rsdp_old: return check(size == 28 && is_root_pointer(at + 8, 20));
        case rsdp_new:
            return check(
                size == 44 && is_root_pointer(at + 8, 20) && told_.word(at + 28) == 36 && is_root_pointer(at + 8, 36));
        default: return told_.broken(at);
        }
    }

    /// The string is the whole of [at, behind).
    bool is_string(std::uint64_t at, std::uint64_t behind) const
    {
        if (at >= behind)
            return false;
        while (told_.template number<char>(at) != '\0')
            if (++at == behind)
                return false;
        return at + 1 == behind;
    }

    /// The one of the firmware that is known.
    bool is_system_table(std::uint64_t at, bool is_64_bit) const
    {
        return firmware_ && firmware_->is_64_bit == is_64_bit && firmware_->system_table.raw() == at &&
            efi_rules{context_}.has_system_table(at, is_64_bit);
    }

    /// "RSD PTR ", and a sum of 0 [acpi/6.5 §5.2.5.3].
    bool is_root_pointer(std::uint64_t at, std::uint64_t size) const
    {
        std::uint32_t sum = 0;
        for (std::uint64_t i = 0; i < size; ++i)
            sum += told_.template number<std::uint8_t>(at + i);
        return told_.long_word(at) == 0x2052'5450'2044'5352 && sum % 256 == 0;
    }

    result<void> tells_memory(std::uint64_t tag, std::uint32_t size) const
    {
        if (size < 16 || told_.word(tag + 8) != 24 || told_.word(tag + 12) != 0 || (size - 16) % 24 != 0)
            return told_.broken(tag);
        rules::told_map<C> map{context_};
        for (std::uint64_t at = tag + 16; at != tag + size; at += 24) {
            const auto range =
                phys_range::checked(phys_addr::at(told_.long_word(at)), byte_count::of(told_.long_word(at + 8)));
            const std::uint32_t type = told_.word(at + 16);
            if (!range || !is_memory_type(type))
                return told_.broken(at);
            if (const auto held = map.entry(*range, type == 1, phys_addr::at(at)); !held)
                return held;
        }
        return map.end(phys_addr::at(tag));
    }

    const C& context_;
    told_memory<C> told_;
    const std::optional<efi_firmware>& firmware_;
    std::uint64_t ax_, at_;
    std::uint32_t base_;
};

} // namespace lobos::x86
