// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The 16-bit entry of a bzImage as an entry contract [linux/boot.rst "Running the Kernel"]: real mode, interrupts off,
/// ds = es = fs = gs = ss the real-mode segment, sp the end of the heap, cs:ip 0x20 paragraphs further, 0. The kernel's
/// setup code asks the BIOS for memory map, disks and video, so the BIOS must be as its own boot left it: memory below
/// 1 MiB is this contract's to see to, devices are the running kernel's (<lobos/machine/legacy_devices.hpp>).
///
/// That memory must be within the glue's reach, for the rules read it.
///
/// What the BIOS does not know the kernel is not told: no safe region, which nobody needs any more when it asks, and no
/// log that would survive. An RSDP it finds itself.
///
/// Two pages of the real-mode segment are made: the first, with the stub that goes to real mode and the header, and the
/// command line's. They are written as parameters, and copied like everything else.

#include <lobos/handoff/contract.hpp>
#include <lobos/x86/linux16_rules.hpp>
#include <lobos/x86/linux16_stub.hpp>
#include <lobos/x86/page.hpp>
#include <lobos/x86/port.hpp>

namespace lobos::x86 {

template <image_source K> class linux16_entry {
public:
    static constexpr entry_state state = entry_state::real_16;
    using paging = void;

    /// `image` was loaded from `kernel`, which outlives the exec.
    linux16_entry(const K& kernel, const linux16_image& image)
        : kernel_{&kernel},
          image_{image},
          segments_{image.base.segments}
    {
        const bool fits = segments_.push_back({.destination = image.setup_page(), .what = content::parameters}) &&
            segments_.push_back(
                {.destination = image.command_line_page(), .what = content::parameters, .file_offset = page_size});
        expects(fits, "a bzImage has few segments");
    }
    linux16_entry(const K&& kernel, const linux16_image& image) = delete;

    std::span<const segment> segments() const { return segments_; }
    virt_addr entry() const { return virt_addr::at(image_.real_mode.raw() + linux16::stub_offset); }
    std::span<const virtual_segment> virtual_layout() const { return {}; }
    std::size_t parameter_pages() const { return 2; }

    entry_registers registers(std::span<const phys_addr>) const
    {
        return {.ax = image_.data_segment(), .real_base = static_cast<std::uint32_t>(image_.real_mode.raw())};
    }

    /// Faults: those of make_setup_page.
    template <physical_memory M>
    result<void> write_parameters(
        M& memory, const region_map&, std::span<const phys_addr> pages, std::span<std::byte> scratch) const
    {
        const auto setup = scratch.first<page_size.raw()>();
        if (const auto made = make_setup_page(*kernel_, image_, setup); !made)
            return made;
        std::ranges::copy(std::as_bytes(std::span{linux16::stub}), setup.begin() + linux16::stub_offset);
        memory.write(pages[0], setup);
        memory.write(pages[1], std::as_bytes(std::span{image_.base.command_line}));
        store(memory, pages[1] + byte_count::of(image_.base.command_line.size()), char{0});
        return {};
    }

    /// Rule 11. Faults: those of linux16_rules.
    template <class Context> result<void> is_met(const Context& context, const entry_registers& found) const
    {
        return linux16_rules<Context>{context, found}.hold();
    }

private:
    const K* kernel_;
    linux16_image image_;
    segment_list segments_;
};

} // namespace lobos::x86
