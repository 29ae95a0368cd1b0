// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Rule 11 for the 16-bit entry of Linux: what lies in memory, and what will be copied below 1 MiB, is what the setup
/// code relies on [linux/boot.rst "The Real-Mode Kernel Header", "Memory Layout of The Real-Mode Code"], and there is a
/// BIOS for it to call, none of whose memory is touched. Of the real-mode segment nothing is known but what the
/// processor will find: base and registers; the rest is read out of where it will come from.

#include <lobos/plan/image_bytes.hpp>
#include <lobos/x86/frame_writer.hpp>
#include <lobos/x86/linux16_stub.hpp>

namespace lobos::x86 {

/// `C` is a verifier_context.
template <class C> class linux16_rules {
public:
    linux16_rules(const C& context, const entry_registers& found)
        : c_{context},
          found_{found},
          base_{phys_addr::at(found.real_base)}
    {
    }

    /// Fault: entry_contract_broken (at: the field, the vector, or the BIOS's word that does not agree; the segment's
    /// base where base, entry or registers are wrong).
    result<void> hold() const
    {
        result<void> held = segment_agrees();
        const auto then = [&](auto rule) {
            if (held)
                held = rule();
        };
        then([&] { return stub_is_there(); });
        then([&] { return header_agrees(); });
        then([&] { return command_line_ends(); });
        then([&] { return image_is_where_it_says(); });
        then([&] { return bios_is_there(); });
        then([&] { return bios_is_left_alone(); });
        return held;
    }

private:
    static constexpr std::uint64_t reach = 0x1'0000; // of a real-mode segment

    static result<void> agrees(bool holds, phys_addr at)
    {
        if (!holds)
            return refuse(fault_code::entry_contract_broken, stage::verifying, at);
        return {};
    }
    phys_addr in_segment(std::size_t offset) const { return base_ + byte_count::of(offset); }

    /// A field of the header, `missing` where the image has none.
    template <class T> T field(std::size_t offset, T missing = 0) const
    {
        return rules::image_field<T>(c_, in_segment(offset)).value_or(missing);
    }

    /// A whole segment below 640 KiB, which the registers and the entry mean.
    result<void> segment_agrees() const
    {
        const std::uint64_t base = base_.raw();
        const bool low = base % 16 == 0 && base + reach <= 0xa'0000;
        const bool meant = found_.ax == base >> 4 && found_.bx == 0 && found_.si == 0 &&
            c_.plan.entry.raw() == base + linux16::stub_offset && !c_.plan.entered_paged;
        return agrees(low && meant, base_);
    }

    result<void> stub_is_there() const
    {
        std::array<std::byte, linux16::stub.size()> bytes{};
        const bool read = rules::image_bytes(c_, in_segment(linux16::stub_offset), bytes);
        const bool alike = std::ranges::equal(bytes, std::as_bytes(std::span{linux16::stub}));
        return agrees(read && alike, in_segment(linux16::stub_offset));
    }

    /// What the setup code itself looks at before it does anything.
    result<void> header_agrees() const
    {
        constexpr std::uint8_t loaded_high = 0x01;
        const struct {
            std::size_t at;
            bool holds;
        } fields[] = {
            {setup_header::boot_flag, field<std::uint16_t>(setup_header::boot_flag) == 0xaa55},
            {linux16::entry_offset, field<std::uint8_t>(linux16::entry_offset) == 0xeb},       // a short jump
            {setup_header::header, field<std::uint32_t>(setup_header::header) == 0x5372'6448}, // "HdrS"
            {setup_header::version, field<std::uint16_t>(setup_header::version) >= 0x202},
            {setup_header::type_of_loader, field<std::uint8_t>(setup_header::type_of_loader) != 0},
            {setup_header::loadflags,
                (~field<std::uint8_t>(setup_header::loadflags) & (loaded_high | linux16::can_use_heap)) == 0},
            {setup_header::heap_end_ptr,
                field<std::uint16_t>(setup_header::heap_end_ptr) + 0x200u == linux16::heap_end},
            {setup_header::setup_data, field<std::uint64_t>(setup_header::setup_data, 1) == 0},
        };
        for (const auto& f : fields)
            if (const auto held = agrees(f.holds, in_segment(f.at)); !held)
                return held;
        return {};
    }

    /// The setup code reads it through a segment of its own, so it ends in this one; behind stack and heap.
    result<void> command_line_ends() const
    {
        const std::uint64_t line = field<std::uint32_t>(setup_header::cmd_line_ptr);
        const std::uint64_t longest = field<std::uint32_t>(setup_header::cmdline_size);
        const std::uint64_t first = base_.raw() + linux16::heap_end;
        bool ends = false;
        for (std::uint64_t i = 0; !ends && line >= first && i <= longest && line + i < base_.raw() + reach; ++i) {
            const auto letter = rules::image_field<char>(c_, phys_addr::at(line + i));
            if (!letter)
                break;
            ends = *letter == 0;
        }
        return agrees(ends, in_segment(setup_header::cmd_line_ptr));
    }

    /// Kernel and initrd are where the header sends for them.
    result<void> image_is_where_it_says() const
    {
        const phys_addr code = phys_addr::at(field<std::uint32_t>(setup_header::code32_start));
        const bool loaded = code >= phys_addr::at(0x10'0000) && rules::image_field<std::uint8_t>(c_, code).has_value();
        if (const auto held = agrees(loaded, in_segment(setup_header::code32_start)); !held)
            return held;
        const phys_addr disk = phys_addr::at(field<std::uint32_t>(setup_header::ramdisk_image));
        const byte_count size = byte_count::of(field<std::uint32_t>(setup_header::ramdisk_size));
        const auto& image = c_.plan.image;
        const auto initrd = std::ranges::find(image, segment_role::initrd, &segment::role);
        const bool told = initrd == image.end()
            ? disk == phys_addr{} && size.raw() == 0
            : disk == initrd->destination.first() && size == initrd->destination.size();
        return agrees(told, in_segment(setup_header::ramdisk_image));
    }

    /// Vectors of the BIOS's video and memory services, by whose absence a machine without one is told.
    result<void> bios_is_there() const
    {
        for (const std::uint64_t vector : {0x10u, 0x15u}) {
            const phys_addr at = phys_addr::at(vector * 4);
            if (const auto held = agrees(load<std::uint32_t>(c_.memory, at) != 0, at); !held)
                return held;
        }
        return {};
    }

    /// Nothing is written to, or taken as safe, in the BIOS's first page and from its extended data area on up to 1
    /// MiB.
    result<void> bios_is_left_alone() const
    {
        constexpr phys_addr word_of_extended_data = phys_addr::at(0x40e); // its segment
        const std::uint64_t extended = std::uint64_t{load<std::uint16_t>(c_.memory, word_of_extended_data)} << 4;
        const bool has_one = extended >= 0x8'0000 && extended < 0xa'0000; // else this word is something else
        const phys_range firmwares[] = {linux16::bios_data,
            phys_range::between(phys_addr::at(has_one ? extended : 0xa'0000), phys_addr::at(0xf'ffff))};
        for (const phys_range r : firmwares) {
            const bool written = std::ranges::any_of(c_.plan.image,
                [&](const segment& s) { return s.occupies() && s.what != content::kept && s.destination.overlaps(r); });
            const bool safe = std::ranges::any_of(
                c_.plan.safe, [&](const safe_region& s) { return s.role != safe_role::log && s.range.overlaps(r); });
            if (const auto held = agrees(!written && !safe, r.first()); !held)
                return held;
        }
        return {};
    }

    const C& c_;
    entry_registers found_;
    phys_addr base_;
};

} // namespace lobos::x86
