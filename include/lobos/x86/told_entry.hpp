// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// What the entries have in common whose image is told everything by way of one page, which EFI's memory map alone goes
/// beyond: a command line, modules, the memory map and where that page lies. Each of them adds the state, the registers
/// and the words of its protocol.

#include <algorithm>

#include <lobos/core/physical_memory.hpp>
#include <lobos/x86/kept_modules.hpp>
#include <lobos/x86/page.hpp>

namespace lobos::x86 {

/// `Image` is what the loaders give: a flat_image or a paged_image.
template <class Image> class told_entry {
public:
    std::span<const segment> segments() const { return image_.segments; }
    virt_addr entry() const { return virt_addr::at(image_.entry.raw()); }
    std::span<const virtual_segment> virtual_layout() const
    {
        if constexpr (requires { image_.mappings; })
            return image_.mappings;
        else
            return {};
    }

    std::size_t parameter_pages() const { return 1; }
    /// All addresses that are told have 32 bits, that of the page among them, whatever mode the image is entered in.
    static constexpr phys_range parameter_reach() { return below_4g; }

protected:
    told_entry(const Image& image, std::span<const multiboot_module> modules, std::string_view command_line)
        : image_{image},
          modules_{modules},
          command_line_{command_line}
    {
    }

    /// `contract`, with its modules among its segments. Faults: those of keep_modules.
    template <class Contract>
    static result<Contract> with_modules(Contract contract, byte_count alignment = byte_count::of(1))
    {
        if (const auto kept = keep_modules(contract.image_.segments, contract.modules_, alignment); !kept)
            return std::unexpected{kept.error()};
        return contract;
    }

    /// Writes the page at `at` once `make` has filled it, in `scratch`. Faults: those of `make`, with nothing written.
    template <physical_memory M, class Make>
    static result<void> write_page(M& memory, phys_addr at, std::span<std::byte> scratch, Make make)
    {
        const auto page = scratch.first(page_size.raw());
        std::ranges::fill(page, std::byte{0});
        const auto made = make(page);
        if (!made)
            return std::unexpected{made.error()};
        memory.write(at, page);
        return {};
    }

    /// That a flat image is entered where it wants to be, and that what it is told holds. Faults: those of `rules`.
    template <class Rules> result<void> hold(const Rules& rules) const
    {
        if (const auto held = rules.names_entry(image_.segments); !held)
            return held;
        return rules.hold(image_.module_alignment);
    }

    Image image_;
    std::span<const multiboot_module> modules_;
    std::string_view command_line_;
};

} // namespace lobos::x86
