// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Rule 11 for what is told by a multiboot 1 information structure: that it says the truth, read from memory by the
/// manual's offsets [multiboot/0.6.96 §3.3], as the image will.

#include <lobos/x86/told_file.hpp>
#include <lobos/x86/told_memory.hpp>

namespace lobos::x86 {

/// The manual's five types of memory, and lobos's own two, of safe regions, which mean reserved to everybody else.
constexpr bool is_memory_type(std::uint32_t type)
{
    return (type >= 1 && type <= 5) || type == 0x6c6f'6253 || type == 0x6c6f'6254;
}

/// `C` is a verifier_context; `Registers` are a port's.
template <class C> class multiboot_rules {
public:
    template <class Registers>
    multiboot_rules(const C& context, const Registers& found)
        : context_{context},
          told_{context},
          ax_{found.ax},
          at_{found.bx},
          base_{found.real_base}
    {
    }

    /// The file names the plan's entry in its multiboot header, or in that of ELF; `image` says where the file lies.
    /// Faults: entry_contract_broken (at: the entry).
    result<void> names_entry(std::span<const segment> image) const
    {
        const told_file file{context_.memory, image};
        if (!file.is_multiboot_entry(phys_addr::at(context_.plan.entry.raw())))
            return told_.broken(context_.plan.entry.raw());
        return {};
    }

    /// Registers, structure, memory map, modules and strings. Modules begin at multiples of `alignment`.
    /// Faults: entry_contract_broken (at: the field of the frame or of the structure that is wrong),
    /// outside_safe_region (at: what is announced and lies in no page of parameters).
    result<void> hold(byte_count alignment) const
    {
        if (ax_ != 0x2bad'b002)
            return told_.broken_register(offsetof(departure_frame, ax));
        if (base_ != 0)
            return told_.broken_register(offsetof(departure_frame, entry));
        if (at_ % 4 != 0)
            return told_.broken_register(offsetof(departure_frame, bx));
        result<void> held = told_.has(at_, 116);
        const auto then = [&](auto rule) {
            if (held)
                held = rule();
        };
        then([&] { return announces(); });
        then([&] { return tells_memory(); });
        then([&] { return tells_sizes(); });
        then([&] { return tells_modules(alignment); });
        then([&] { return told_.has_string(told_.word(at_ + 16)); });
        return held;
    }

private:
    static constexpr std::uint32_t memory = 1u << 0, command_line = 1u << 2, modules = 1u << 3, memory_map = 1u << 6,
                                   loader_name = 1u << 9;

    /// Exactly what the flags stand for is looked at here, so nothing else may be announced.
    result<void> announces() const
    {
        const std::uint32_t flags = told_.word(at_);
        constexpr std::uint32_t needed = memory | command_line | modules | memory_map;
        if ((flags & needed) != needed || (flags & ~(needed | loader_name)) != 0)
            return told_.broken(at_);
        return (flags & loader_name) != 0 ? told_.has_string(told_.word(at_ + 64)) : result<void>{};
    }

    result<void> tells_memory() const
    {
        rules::told_map<C> map{context_};
        const std::uint64_t length = told_.word(at_ + 44), first = told_.word(at_ + 48);
        for (std::uint64_t done = 0; done != length;) {
            const std::uint64_t at = first + done;
            if (length - done < 24)
                return told_.broken(at_ + 44);
            if (const auto there = told_.has(at, 24); !there)
                return there;
            const std::uint64_t step = std::uint64_t{told_.word(at)} + 4;
            const auto range =
                phys_range::checked(phys_addr::at(told_.long_word(at + 4)), byte_count::of(told_.long_word(at + 12)));
            const std::uint32_t type = told_.word(at + 20);
            if (step < 24 || step > length - done || !range || !is_memory_type(type))
                return told_.broken(at);
            if (const auto held = map.entry(*range, type == 1, phys_addr::at(at)); !held)
                return held;
            done += step;
        }
        return map.end(phys_addr::at(at_ + 44));
    }

    /// What older kernels go by: KiB from 0 and from 1 MiB, no more than is free.
    result<void> tells_sizes() const
    {
        const std::uint64_t lower = told_.word(at_ + 4), upper = told_.word(at_ + 8);
        if (lower > 640 || !told_.is_free(0, lower << 10))
            return told_.broken(at_ + 4);
        if (!told_.is_free(0x10'0000, upper << 10))
            return told_.broken(at_ + 8);
        return {};
    }

    result<void> tells_modules(byte_count alignment) const
    {
        told_modules<C> list{context_};
        const std::uint64_t count = told_.word(at_ + 20);
        for (std::uint64_t i = 0; i < count; ++i) {
            const std::uint64_t at = told_.word(at_ + 24) + i * 16;
            if (const auto there = told_.has(at, 16); !there)
                return there;
            const std::uint64_t first = told_.word(at), end = told_.word(at + 4);
            if (end <= first)
                return told_.broken(at);
            if (const auto held = list.entry(first, end - first, alignment, at); !held)
                return held;
            if (const std::uint64_t string = told_.word(at + 8); string != 0)
                if (const auto ends = told_.has_string(string); !ends)
                    return ends;
        }
        return list.end(at_ + 20);
    }

    const C& context_;
    told_memory<C> told_;
    std::uint64_t ax_, at_;
    std::uint32_t base_;
};

} // namespace lobos::x86
