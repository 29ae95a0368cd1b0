// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Linux/Alpha as an entry contract, and any kernel that is made to be loaded in its place: kernel mode, interrupts
/// off, in kseg, with a page of parameters below it, and the HWRPB where the console had it. That is a copy of the
/// console's in a safe page, with the memory map of the next kernel, in which all safe regions are the console's: its
/// tables and context have to last as long as that Linux does, which goes back to them in the end. What a copy costs,
/// arch/alpha/PORT.md says.

#include <lobos/alpha/hwrpb_copy.hpp>
#include <lobos/alpha/linux_image.hpp>
#include <lobos/alpha/linux_rules.hpp>

namespace lobos::alpha {

class linux_entry {
public:
    static constexpr entry_state state = entry_state::kernel;
    using paging = same_paging;

    /// `hwrpb` is the console's block, or the copy that this kernel was told of. Faults: those of hwrpb_reader and
    /// map_console, no_space (more pieces of the console than there is room for).
    template <physical_memory M> static result<linux_entry> make(M& memory, const linux_image& image, phys_addr hwrpb)
    {
        linux_entry made{image, hwrpb};
        const auto block = hwrpb_reader<M>::open(memory, hwrpb);
        if (!block)
            return std::unexpected{block.error()};
        bool is_block = true; // which comes first, and is the parameters' here
        const auto mapped = map_console(*block, [&](const mapping& m) -> result<void> {
            if (!std::exchange(is_block, false) && !made.image_.layout.push_back({m.virtual_range, m.physical, true}))
                return refuse(fault_code::no_space, stage::loading, max_segments + 1);
            return {};
        });
        if (!mapped)
            return std::unexpected{mapped.error()};
        if (!made.image_.segments.push_back({.destination = phys_range::of(image.parameters, paging_8k::granule),
                .what = content::parameters,
                .file_offset = paging_8k::granule}))
            return refuse(fault_code::no_space, stage::loading, max_segments + 1);
        return made;
    }

    std::span<const segment> segments() const { return image_.segments; }
    virt_addr entry() const { return image_.entry; }
    std::span<const virtual_segment> virtual_layout() const { return image_.layout; }
    entry_registers registers(std::span<const phys_addr>) const { return {}; }

    /// The HWRPB's page, and the one that is copied below the image.
    std::size_t parameter_pages() const { return 2; }
    parameter_row parameters_row() const { return {virt_addr::at(hwrpb::console_address), 1}; }
    phys_range parameter_reach() const { return kseg_memory; }

    /// Faults: those of copy_hwrpb, a copy of more than 8 KB being no_space; and of make_linux_page.
    template <physical_memory M>
    result<void> write_parameters(
        M& memory, const region_map& handed_over, std::span<const phys_addr> pages, std::span<std::byte> scratch) const
    {
        const auto block = hwrpb_reader<M>::open(memory, hwrpb_);
        if (!block)
            return std::unexpected{block.error()};
        const auto copy = copy_hwrpb(memory, *block, handed_over, pages[0], scratch);
        if (!copy)
            return std::unexpected{copy.error()};
        memory.write(pages[0], scratch.first(*copy));
        const auto page = scratch.first<linux_page::size>();
        std::ranges::fill(page, std::byte{0});
        const auto made = make_linux_page({.command_line = image_.command_line, .initrd = image_.initrd}, page);
        if (made)
            memory.write(pages[1], page);
        return made;
    }

    /// Rule 11. Faults: those of linux_rules.
    template <class Context> result<void> is_met(const Context& context, const entry_registers&) const
    {
        return linux_rules<Context>{context}.hold();
    }

private:
    linux_entry(const linux_image& image, phys_addr hwrpb) : image_{image}, hwrpb_{hwrpb} {}

    linux_image image_;
    phys_addr hwrpb_;
};

static_assert(entry_contract<linux_entry, port>);

} // namespace lobos::alpha
