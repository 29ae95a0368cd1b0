// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// A Linux that is to be entered in real mode, on a simulated machine with the memory of a BIOS: vectors, data, and the
/// extended data area, all with bytes that are recognised.

#include <lobos/x86/linux16_entry.hpp>

#include <tests/support/scenario.hpp>

namespace lobos::test {

struct real_mode_scenario : linux_scenario {
    static constexpr phys_range extended_data = phys_range::of(phys_addr::at(0x9'fc00), byte_count::of(0x400));
    static constexpr phys_range firmware = phys_range::of(phys_addr::at(0xf'0000), byte_count::of(0x1'0000));
    using source = staged_file<sim::memory>;
    using contract_type = x86::linux16_entry<source>;

    explicit real_mode_scenario(std::uint32_t seed, bool maps_first_page = true) : linux_scenario{seed}
    {
        for (const phys_range r : {linux16::bios_data, extended_data, firmware})
            for (std::uint64_t i = 0; i < r.size().raw(); ++i)
                store(machine.memory(), r.first() + byte_count::of(i),
                    pattern(static_cast<std::size_t>(r.first().raw() + 5 * i)));
        store(machine.memory(), phys_addr::at(0x40e), std::uint16_t{0x9fc0});
        const auto add = [&](phys_range r) {
            if (!machine.map().add(r, region_kind::reserved))
                throw sim::machine_error{"memory map", r.first().raw()};
        };
        add(phys_range::between(extended_data.first(), firmware.last()));
        if (!maps_first_page)
            add(linux16::bios_data);
    }

    result<linux16_image> load(std::string_view command_line = "console=ttyS0 x=\"a b\"")
    {
        return load_linux16(
            kernel, initrd_file.source(machine.memory()), {.command_line = command_line}, machine.memory_map());
    }

    source kernel = kernel_file.source(machine.memory());
};

} // namespace lobos::test
