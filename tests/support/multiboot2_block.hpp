// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// A small block of multiboot 2 information as the library writes it, for the tests of its writer and of its reader.

#include <lobos/x86/multiboot2_info.hpp>

#include <tests/catch.hpp>
#include <tests/support/byte_memory.hpp>

namespace lobos::test::multiboot2_block {

inline constexpr std::uint64_t at = 0x9'0000; ///< where it lies
inline constexpr std::size_t room = 4096;

constexpr phys_range from_to(std::uint64_t first, std::uint64_t last)
{
    return phys_range::between(phys_addr::at(first), phys_addr::at(last));
}

inline memory_map pc()
{
    return memory_map{{from_to(0, 0x9'fbff), region_kind::usable},
        {from_to(0x10'0000, 0x7ff'ffff), region_kind::usable},
        {from_to(0x1'0000'0000, 0x1'0000'0fff), region_kind::safe}};
}

inline constexpr multiboot_module modules[] = {
    {from_to(0x20'0000, 0x20'0fff), "initrd"}, {from_to(0x30'0000, 0x30'0000), ""}};

/// Tags at 0x08 command line (16), 0x18 loader (14), 0x28 module (23), 0x40 module (17), 0x58 sizes (16), 0x68 map
/// (16 + 3 * 24 = 88), 0xc0 RSDP (8 + 20), 0xe0 end. Behind it zeros, but for the last 8 bytes, which are nobody's.
inline bytes small()
{
    byte_memory memory{room, phys_addr::at(at)};
    bytes out(room, std::byte{0xa5}), rsdp(20, std::byte{0x11});
    memory.write(phys_addr::at(at), out);
    const auto used = write_multiboot2_info(memory, pc().map, modules, "quiet 1", {.rsdp = rsdp},
        phys_range::of(phys_addr::at(at), byte_count::of(room - 8)));
    REQUIRE(fault_of(used) == no_fault);
    CHECK(used->raw() == 0xe8);
    memory.read(phys_addr::at(at), out);
    for (std::size_t i = 0xe8; i < room; ++i)
        CHECK(out[i] == (i < room - 8 ? std::byte{0} : std::byte{0xa5}));
    return out;
}

} // namespace lobos::test::multiboot2_block
