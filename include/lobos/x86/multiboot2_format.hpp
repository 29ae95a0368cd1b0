// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// What the boot information of multiboot 2 is made of [multiboot2/2.0 §3.6]. It is one block, a list of tags each on a
/// multiple of 8 bytes; numbers are little-endian, addresses physical, `mod_end` is one past the last byte. Memory has
/// the types of multiboot 1.

#include <cstddef>
#include <cstdint>

namespace lobos {

/// What a boot loader leaves in %eax [multiboot2/2.0 §3.3].
inline constexpr std::uint32_t multiboot2_loader_magic = 0x36d7'6289;

/// The beginning of the block. `total_size` counts itself and the end tag.
struct multiboot2_info {
    std::uint32_t total_size, reserved;
};

/// The beginning of a tag. `size` counts itself, not the padding to the next tag.
struct multiboot2_tag {
    static constexpr std::uint32_t end = 0, command_line = 1, loader_name = 2, module = 3, memory_sizes = 4,
                                   memory_map = 6, efi_32 = 11, efi_64 = 12, rsdp_old = 14, rsdp_new = 15,
                                   efi_memory_map = 17, efi_not_terminated = 18;
    std::uint32_t type, size;
};

/// An entry of the memory map.
struct multiboot2_memory {
    std::uint64_t base, length;
    std::uint32_t type, reserved;
};

/// What follows the beginning of a tag that is an array: of the memory map, the first two numbers; of EFI's, the same
/// two, by the firmware.
struct multiboot2_array {
    std::uint32_t entry_size, entry_version;
};

/// The bytes that a tag of `size` takes with the padding to the next one.
constexpr std::uint64_t multiboot2_padded(std::uint64_t size)
{
    return (size + 7) & ~std::uint64_t{7};
}

// Sanity checks
static_assert(sizeof(multiboot2_info) == 8 && sizeof(multiboot2_tag) == 8 && sizeof(multiboot2_memory) == 24);
static_assert(offsetof(multiboot2_memory, type) == 16 && sizeof(multiboot2_array) == 8);
static_assert(multiboot2_padded(16) == 16 && multiboot2_padded(17) == 24 && multiboot2_padded(0xffff'ffff) >> 32 == 1);

} // namespace lobos
