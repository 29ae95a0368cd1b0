// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The loader for Linux on x86: a bzImage of boot protocol 2.10 or later (Linux 2.6.31), to be entered at its 32-bit
/// entry point [linux/boot.rst "32-bit Boot Protocol"]. It reads the setup header, finds a place for the kernel with
/// all the memory that it needs to unpack itself (`init_size`, not the size of the file) and for the initrd, and checks
/// that the command line can be handed over whole. What the new kernel is then told is made from the answer by
/// x86/boot_params.hpp. Addresses and sizes are in bytes; everything lies below 4 GiB and from 1 MiB up.

#include <algorithm>
#include <array>
#include <bit>
#include <optional>
#include <string_view>

#include <lobos/core/region_map.hpp>
#include <lobos/core/text.hpp>
#include <lobos/image/segment.hpp>

namespace lobos {

/// Where the fields of the setup header lie, in the file and in the boot parameters alike
/// [linux/boot.rst "The Real-Mode Kernel Header"], by the manual's names.
namespace setup_header {
inline constexpr std::size_t setup_sects = 0x1f1;        // 1 byte; the header begins here
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
inline constexpr std::size_t ext_loader_ver = 0x226;     // 1
inline constexpr std::size_t ext_loader_type = 0x227;    // 1
inline constexpr std::size_t cmd_line_ptr = 0x228;       // 4
inline constexpr std::size_t initrd_addr_max = 0x22c;    // 4, the last byte an initrd may have
inline constexpr std::size_t kernel_alignment = 0x230;   // 4
inline constexpr std::size_t relocatable_kernel = 0x234; // 1
inline constexpr std::size_t min_alignment = 0x235;      // 1, a power of two
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

/// What to load beside the file itself, and where not to.
struct linux_request {
    std::string_view command_line = {};
    phys_range within = below_4g;           ///< kernel and initrd lie in here
    std::span<const phys_range> taken = {}; ///< safe regions that exist already, and whatever else is to be avoided
};

struct linux_image {
    segment_list segments = {};
    phys_addr entry;   ///< the 32-bit entry point: the first byte of `kernel`
    phys_range kernel; ///< all memory the kernel uses before it reads its memory map
    std::optional<phys_range> initrd = {};
    std::string_view command_line = {}; ///< the caller's, checked; without a terminator
    std::uint16_t version = 0;          ///< of the boot protocol, 0x20a for 2.10
    std::uint8_t header_size = 0;       ///< of what is meaningful in `header`
    setup_header_bytes header = {};     ///< from offset 0x1f1 on; `kernel_alignment` as it was used
};

/// True when the file has the boot flag and the magic number of a Linux kernel with a setup header.
template <image_source S> bool is_bzimage(const S& file)
{
    std::uint16_t flag = 0;
    std::uint32_t magic = 0;
    return read_value(file, setup_header::boot_flag, flag) && flag == 0xaa55 &&
        read_value(file, setup_header::header, magic) && magic == 0x53726448;
}

namespace bzimage {

inline constexpr byte_count page = byte_count::of(4096);
inline constexpr byte_count sector = byte_count::of(512);
inline constexpr std::uint8_t loaded_high = 0x01;
inline constexpr std::size_t longest_command_line = 4095;

/// The header of a kernel that can be loaded, and where its protected-mode part begins in the file.
struct parsed {
    setup_header_bytes header = {};
    std::uint8_t header_size = 0;
    byte_count setup_size;
    byte_count code_size; // the file from there on: the code, and the signature that a distribution may append

    template <class T> constexpr T get(std::size_t offset) const { return get_field<T>(header, offset); }
};

inline std::unexpected<fault> bad(std::size_t field, fault_code code = fault_code::bad_header)
{
    return refuse(code, stage::loading, field);
}

template <image_source K> result<parsed> parse(const K& file)
{
    using namespace setup_header;
    parsed p;
    const auto truncated = refuse(fault_code::truncated_image, stage::loading, file.size().raw());
    if (!is_bzimage(file)) {
        std::uint16_t flag = 0;
        const bool flagged = read_value(file, boot_flag, flag) && flag == 0xaa55;
        return bad(flagged ? setup_header::header : boot_flag, fault_code::unknown_format);
    }
    std::uint8_t reach = 0;
    if (!read_value(file, length, reach) || !file.read(begin, std::span{p.header}.first(version + 2 - begin)))
        return truncated;
    if (p.get<std::uint16_t>(version) < 0x20a)
        return bad(version, fault_code::unsupported);
    const std::size_t end = setup_header::header + reach;
    if (end < end_of_2_10 || end > largest_end)
        return bad(length);
    p.header_size = static_cast<std::uint8_t>(end - begin);
    if (!file.read(begin, std::span{p.header}.first(p.header_size)))
        return truncated;
    if ((p.get<std::uint8_t>(loadflags) & loaded_high) == 0)
        return bad(loadflags, fault_code::unsupported);

    const auto sectors = p.get<std::uint8_t>(setup_sects);
    p.setup_size = byte_count::of((sectors == 0 ? 5u : sectors + 1u) * sector.raw());
    if (p.get<std::uint32_t>(syssize) == 0)
        return refuse(fault_code::empty_image, stage::loading, 0);
    if (p.setup_size + byte_count::of(std::uint64_t{16} * p.get<std::uint32_t>(syssize)) > file.size())
        return truncated;
    p.code_size = file.size() - p.setup_size;
    if (byte_count::of(p.get<std::uint32_t>(init_size)) < p.code_size)
        return bad(init_size);

    if (p.get<std::uint8_t>(relocatable_kernel) != 0) {
        const auto alignment = byte_count::of(p.get<std::uint32_t>(kernel_alignment));
        const auto least = p.get<std::uint8_t>(min_alignment);
        if (!is_power_of_two(alignment) || alignment < page)
            return bad(kernel_alignment);
        if (least > 31 || (alignment.raw() >> least) == 0)
            return bad(min_alignment);
    }
    return p;
}

/// The part of `within` from `first` to `last`, and not below 1 MiB.
constexpr std::optional<phys_range> window(phys_range within, phys_addr first, phys_addr last)
{
    first = std::max({first, within.first(), phys_addr::at(0x10'0000)});
    last = std::min(last, within.last());
    if (first > last)
        return std::nullopt;
    return phys_range::between(first, last);
}

/// The place for the kernel, and `p`'s header made to say so.
constexpr result<phys_range> place_kernel(parsed& p, const linux_request& request, const region_map& map)
{
    const auto size = byte_count::of(p.get<std::uint32_t>(setup_header::init_size));
    const auto preferred = phys_addr::at(p.get<std::uint64_t>(setup_header::pref_address));
    const auto reach = window(request.within, preferred, below_4g.last());
    const auto no_room = refuse(fault_code::no_room, stage::loading, size.raw());
    if (!reach)
        return no_room;

    if (p.get<std::uint8_t>(setup_header::relocatable_kernel) == 0) {
        const auto place = phys_range::checked(preferred, size);
        if (!place || !reach->contains(*place) || map.first_not(region_kind::usable, *place))
            return no_room;
        for (const phys_range& t : request.taken)
            if (t.overlaps(*place))
                return no_room;
        return *place;
    }

    // One that is loaded lower moves itself up to the preferred address, free or not, and one that is not aligned moves
    // to where it is [linux/Kconfig PHYSICAL_START, PHYSICAL_ALIGN]; so the search begins there and heeds the
    // alignment.
    const auto alignment = p.get<std::uint32_t>(setup_header::kernel_alignment);
    const auto shift = p.get<std::uint8_t>(setup_header::min_alignment);
    const std::uint32_t least = shift == 0 ? alignment : std::max(std::uint32_t{1} << shift, std::uint32_t{4096});
    for (std::uint32_t a = alignment; a >= least; a >>= 1) {
        const auto place = map.lowest_hole(size, byte_count::of(a), *reach, request.taken);
        if (!place)
            continue;
        for (std::size_t i = 0; i < sizeof a; ++i)
            p.header[setup_header::kernel_alignment - setup_header::begin + i] = static_cast<std::byte>(a >> 8 * i);
        return *place;
    }
    return no_room;
}

/// The highest place for an initrd of `size` bytes. It gets whole pages: Linux frees the last one with it.
constexpr result<phys_range> place_initrd(
    byte_count size, phys_addr last, phys_range kernel, const linux_request& request, const region_map& map)
{
    const auto no_room = refuse(fault_code::no_room, stage::loading, size.raw());
    if (size.raw() > below_4g.last().raw())
        return no_room;
    const byte_count pages = widen(phys_range::of(phys_addr{}, size), page).size();
    std::optional<phys_range> place;
    if (const auto above = window(request.within, kernel.last() + byte_count::of(1), last))
        place = map.highest_hole(pages, page, *above, request.taken);
    if (const auto below = window(request.within, phys_addr{}, std::min(last, kernel.first() - byte_count::of(1)));
        !place && below)
        place = map.highest_hole(pages, page, *below, request.taken);
    if (!place)
        return no_room;
    return phys_range::of(place->first(), size);
}

/// Loads `kernel`, and `initrd` if it is not null.
template <image_source K, image_source I>
result<linux_image> load(const K& kernel, const I* initrd, const linux_request& request, const region_map& map)
{
    auto p = parse(kernel);
    if (!p)
        return std::unexpected{p.error()};
    const std::size_t length = request.command_line.size();
    if (length > longest_command_line || length > p->template get<std::uint32_t>(setup_header::cmdline_size) ||
        has_terminator(request.command_line))
        return refuse(fault_code::command_line_too_long, stage::loading, length);
    if (initrd && initrd->size().raw() == 0)
        return refuse(fault_code::empty_image, stage::loading, 0);

    const auto place = place_kernel(*p, request, map);
    if (!place)
        return std::unexpected{place.error()};
    result<linux_image> image{std::in_place, segment_list{}, place->first(), *place};
    image->command_line = request.command_line;
    image->version = p->template get<std::uint16_t>(setup_header::version);
    image->header_size = p->header_size;
    image->header = p->header;

    const auto code = phys_range::of(place->first(), p->code_size);
    bool fits =
        image->segments.push_back({.destination = code, .file = kernel.extents(), .file_offset = p->setup_size});
    if (code != *place)
        fits &= image->segments.push_back(
            {.destination = phys_range::between(code.last() + byte_count::of(1), place->last()),
                .what = content::scratch});
    if (initrd) {
        const auto last = phys_addr::at(p->template get<std::uint32_t>(setup_header::initrd_addr_max));
        const auto found = place_initrd(initrd->size(), last, *place, request, map);
        if (!found)
            return std::unexpected{found.error()};
        image->initrd = *found;
        fits &=
            image->segments.push_back({.destination = *found, .role = segment_role::initrd, .file = initrd->extents()});
    }
    expects(fits, "an image has room for three segments");
    return image;
}

} // namespace bzimage

/// Loads a kernel with an initrd. The kernel goes to its preferred address if all of `init_size` is usable there and
/// clear of `taken`; otherwise, if it is relocatable, to the lowest hole above (never below: it would move itself up)
/// of its preferred alignment, or failing that of the next smaller one that it allows, and then the header says so. The
/// initrd goes to the highest hole of whole pages that the kernel can reach, clear of the kernel and of `taken`.
/// Faults: unknown_format (no setup header), unsupported (protocol below 2.10, or a zImage), truncated_image (shorter
/// than its setup sectors and `syssize` say), bad_header (header length; `init_size` below the size of the code;
/// alignments), empty_image (`syssize` is 0, or an initrd of no bytes), command_line_too_long (longer than
/// `cmdline_size` or 4095 bytes, or with a NUL in it: the kernel would see less of it than was given), no_room (at:
/// `init_size`, or the size of the initrd).
template <image_source K, image_source I>
result<linux_image> load_bzimage(const K& kernel, const I& initrd, const linux_request& request, const region_map& map)
{
    return bzimage::load(kernel, &initrd, request, map);
}

/// Loads a kernel without an initrd. Faults: as above.
template <image_source K>
result<linux_image> load_bzimage(const K& kernel, const linux_request& request, const region_map& map)
{
    return bzimage::load<K, K>(kernel, nullptr, request, map);
}

// Sanity checks
static_assert(sizeof(setup_header_bytes) == 144);
static_assert(setup_header::largest_end <= 2 * bzimage::sector.raw(), "a header always fits its setup sectors");
static_assert(*bzimage::window(phys_range::between(0_pa, 0x1'0000'0000_pa), 0_pa, 0xffff'ffff_pa) ==
    phys_range::between(0x10'0000_pa, 0xffff'ffff_pa));
static_assert(!bzimage::window(below_4g, 0_pa, 0xf'ffff_pa));
static_assert([] {
    setup_header_bytes header{};
    header[1] = std::byte{0x34};
    header[2] = std::byte{0x12};
    return get_field<std::uint16_t>(header, 0x1f2) == 0x1234;
}());

} // namespace lobos
