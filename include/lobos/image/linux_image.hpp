// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// A Linux for x86 as its loaders leave it, and what they are asked for: the setup header, which every such kernel is
/// told its own of again [linux/boot.rst "The Real-Mode Kernel Header"], the entry points, the places of kernel and
/// initrd. Addresses and sizes are in bytes.

#include <array>
#include <optional>
#include <string_view>

#include <lobos/image/segment.hpp>

namespace lobos {

/// Where the fields of the setup header lie, in the file and in the boot parameters alike
/// [linux/boot.rst "The Real-Mode Kernel Header"], by the manual's names.
namespace setup_header {
inline constexpr std::size_t setup_sects = 0x1f1;        // 1 byte; the header begins here
inline constexpr std::size_t root_flags = 0x1f2;         // 2
inline constexpr std::size_t syssize = 0x1f4;            // 4, in units of 16 bytes
inline constexpr std::size_t boot_flag = 0x1fe;          // 2
inline constexpr std::size_t length = 0x201;             // 1, the jump over the header: it ends at 0x202 + this
inline constexpr std::size_t header = 0x202;             // 4, "HdrS"
inline constexpr std::size_t version = 0x206;            // 2
inline constexpr std::size_t type_of_loader = 0x210;     // 1
inline constexpr std::size_t loadflags = 0x211;          // 1
inline constexpr std::size_t code32_start = 0x214;       // 4
inline constexpr std::size_t ramdisk_image = 0x218;      // 4
inline constexpr std::size_t ramdisk_size = 0x21c;       // 4
inline constexpr std::size_t heap_end_ptr = 0x224;       // 2, of the real-mode part, less 0x200
inline constexpr std::size_t ext_loader_ver = 0x226;     // 1
inline constexpr std::size_t ext_loader_type = 0x227;    // 1
inline constexpr std::size_t cmd_line_ptr = 0x228;       // 4
inline constexpr std::size_t initrd_addr_max = 0x22c;    // 4, the last byte an initrd may have
inline constexpr std::size_t kernel_alignment = 0x230;   // 4
inline constexpr std::size_t relocatable_kernel = 0x234; // 1
inline constexpr std::size_t min_alignment = 0x235;      // 1, a power of two
inline constexpr std::size_t xloadflags = 0x236;         // 2, from protocol 2.12 on
inline constexpr std::size_t cmdline_size = 0x238;       // 4, without the terminator
inline constexpr std::size_t setup_data = 0x250;         // 8
inline constexpr std::size_t pref_address = 0x258;       // 8
inline constexpr std::size_t init_size = 0x260;          // 4

inline constexpr std::size_t begin = setup_sects;
inline constexpr std::size_t end_of_2_10 = 0x264;         // the last field of protocol 2.10 ends here
inline constexpr std::size_t largest_end = header + 0x7f; // as far as the 2-byte jump reaches: 144 bytes in all
} // namespace setup_header

/// The bytes of a setup header; those past its own end are 0.
using setup_header_bytes = std::array<std::byte, setup_header::largest_end - setup_header::begin>;

/// A field of the header. Precondition: `offset` is one of the offsets above, `T` as wide as the comment there.
template <class T> constexpr T get_field(const setup_header_bytes& header, std::size_t offset)
{
    T value = 0;
    for (std::size_t i = sizeof(T); i > 0; --i)
        value = static_cast<T>(
            (std::uint64_t{value} << 8) | std::to_integer<std::uint64_t>(header[offset - setup_header::begin + i - 1]));
    return value;
}

/// Sets a field of the header, likewise.
template <class T> constexpr void set_field(setup_header_bytes& header, std::size_t offset, T value)
{
    for (std::size_t i = 0; i < sizeof(T); ++i)
        header[offset - setup_header::begin + i] = static_cast<std::byte>(std::uint64_t{value} >> 8 * i & 0xff);
}

/// The entry point at which a kernel is to be entered.
enum class linux_entry : std::uint8_t {
    protected_32, ///< in 32-bit protected mode, paging off; the real-mode part of the file leads there too
    long_64,      ///< in 64-bit mode, on page tables that map the kernel and its parameters one to one
};

/// What to load beside the file itself, and where not to.
struct linux_request {
    std::string_view command_line = {};
    phys_range within = below_4g;           ///< kernel and initrd lie in here, as far as the kernel can
    std::span<const phys_range> taken = {}; ///< safe regions that exist already, and whatever else is to be avoided
    linux_entry entry = linux_entry::protected_32;
};

/// The 32-bit entry point of a kernel that has none, or that lies above 4 GiB: an address that no contract can use.
inline constexpr phys_addr no_entry = phys_addr::at(~std::uint64_t{0});

struct linux_image {
    segment_list segments = {};
    phys_addr entry;   ///< the 32-bit entry point, or `no_entry`
    phys_range kernel; ///< all memory the kernel uses before it reads its memory map
    std::optional<phys_range> initrd = {};
    std::string_view command_line = {};     ///< the caller's, checked; without a terminator
    std::uint16_t version = 0;              ///< of the boot protocol, 0x20a for 2.10
    std::uint8_t header_size = 0;           ///< of what is meaningful in `header`
    setup_header_bytes header = {};         ///< from offset 0x1f1 on; `kernel_alignment` as it was used
    std::optional<phys_addr> entry_64 = {}; ///< the 64-bit entry point, if there is one
    bool above_4g = false; ///< kernel, initrd, command line and parameters may lie above 4 GiB, for the 64-bit entry
};

// Sanity checks
static_assert(sizeof(setup_header_bytes) == 144);
static_assert([] {
    setup_header_bytes header{};
    set_field(header, 0x1f2, std::uint16_t{0x1234});
    return header[1] == std::byte{0x34} && header[2] == std::byte{0x12} && header[3] == std::byte{0} &&
        get_field<std::uint16_t>(header, 0x1f2) == 0x1234;
}());

} // namespace lobos
