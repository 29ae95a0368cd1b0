// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/x86/boot_params.hpp>

#include <asm/bootparam.h> // linux-libc-dev: the same page in the kernel's own words

#include <tests/catch.hpp>
#include <tests/support/bzimage_builder.hpp>

using lobos::fault;
using lobos::phys_addr;
using lobos::phys_range;
using lobos::region_kind;
using lobos::stage;
using namespace lobos::literals;
using namespace lobos::test;

namespace {

#define HEADER(field) (0x1f1 + offsetof(::setup_header, field))

phys_range span_of(std::uint64_t first, std::uint64_t last)
{
    return phys_range::between(phys_addr::at(first), phys_addr::at(last));
}

lobos::linux_image image_of(const bytes& file, std::uint64_t initrd_size = 0)
{
    const memory_map memory{{span_of(0, 0xfff'ffff), region_kind::usable}};
    const scattered_file kernel{file};
    const auto image = initrd_size == 0
        ? lobos::load_bzimage(kernel, {.command_line = "quiet"}, memory.map)
        : lobos::load_bzimage(kernel, hollow_file{initrd_size}, {.command_line = "quiet"}, memory.map);
    REQUIRE(fault_of(image) == no_fault);
    return *image;
}

// A page in which every byte that is not written shows.
struct page {
    std::byte storage[4096];
    page() { std::fill(std::begin(storage), std::end(storage), std::byte{0xa5}); }
    ::boot_params read() const
    {
        ::boot_params p;
        std::memcpy(&p, storage, sizeof p);
        return p;
    }
};

} // namespace

TEST_CASE("the offsets are the kernel's")
{
    namespace h = lobos::setup_header;
    namespace b = lobos::boot_params;
    STATIC_REQUIRE(sizeof(::boot_params) == b::size);
    STATIC_REQUIRE(offsetof(::boot_params, hdr) == h::begin);
    STATIC_REQUIRE(h::setup_sects == HEADER(setup_sects));
    STATIC_REQUIRE(h::syssize == HEADER(syssize));
    STATIC_REQUIRE(h::boot_flag == HEADER(boot_flag));
    STATIC_REQUIRE(h::length == HEADER(jump) + 1);
    STATIC_REQUIRE(h::header == HEADER(header));
    STATIC_REQUIRE(h::version == HEADER(version));
    STATIC_REQUIRE(h::type_of_loader == HEADER(type_of_loader));
    STATIC_REQUIRE(h::loadflags == HEADER(loadflags));
    STATIC_REQUIRE(h::code32_start == HEADER(code32_start));
    STATIC_REQUIRE(h::ramdisk_image == HEADER(ramdisk_image));
    STATIC_REQUIRE(h::ramdisk_size == HEADER(ramdisk_size));
    STATIC_REQUIRE(h::ext_loader_ver == HEADER(ext_loader_ver));
    STATIC_REQUIRE(h::ext_loader_type == HEADER(ext_loader_type));
    STATIC_REQUIRE(h::cmd_line_ptr == HEADER(cmd_line_ptr));
    STATIC_REQUIRE(h::initrd_addr_max == HEADER(initrd_addr_max));
    STATIC_REQUIRE(h::kernel_alignment == HEADER(kernel_alignment));
    STATIC_REQUIRE(h::relocatable_kernel == HEADER(relocatable_kernel));
    STATIC_REQUIRE(h::min_alignment == HEADER(min_alignment));
    STATIC_REQUIRE(h::cmdline_size == HEADER(cmdline_size));
    STATIC_REQUIRE(h::setup_data == HEADER(setup_data));
    STATIC_REQUIRE(h::pref_address == HEADER(pref_address));
    STATIC_REQUIRE(h::init_size == HEADER(init_size));
    STATIC_REQUIRE(h::end_of_2_10 == HEADER(handover_offset));
    STATIC_REQUIRE(b::acpi_rsdp_addr == offsetof(::boot_params, acpi_rsdp_addr));
    STATIC_REQUIRE(b::ext_ramdisk_image == offsetof(::boot_params, ext_ramdisk_image));
    STATIC_REQUIRE(b::ext_ramdisk_size == offsetof(::boot_params, ext_ramdisk_size));
    STATIC_REQUIRE(b::ext_cmd_line_ptr == offsetof(::boot_params, ext_cmd_line_ptr));
    STATIC_REQUIRE(b::e820_entries == offsetof(::boot_params, e820_entries));
    STATIC_REQUIRE(b::sentinel == offsetof(::boot_params, sentinel));
    STATIC_REQUIRE(b::e820_table == offsetof(::boot_params, e820_table));
    STATIC_REQUIRE(b::e820_entry_size == sizeof(::boot_e820_entry));
    STATIC_REQUIRE(b::e820_max_entries == E820_MAX_ENTRIES_ZEROPAGE);
}

TEST_CASE("the page holds the file's header, the loader's fields, and zeros")
{
    const bytes file = bzimage_builder{}.build();
    const auto image = image_of(file, 5000);
    const memory_map none{};
    page out;
    REQUIRE(make_boot_params(image, none.map, {0x9'0000_pa, 0x1'000f'5a10_pa}, out.storage));
    const ::boot_params p = out.read();
    CHECK(p.hdr.type_of_loader == 0xff);
    CHECK(p.hdr.loadflags == 0x81);
    CHECK(p.hdr.code32_start == 0x100'0000);
    CHECK(p.hdr.ramdisk_image == 0xfff'e000);
    CHECK(p.hdr.ramdisk_size == 5000);
    CHECK(p.hdr.ext_loader_ver == 0);
    CHECK(p.hdr.ext_loader_type == 0);
    CHECK(p.hdr.cmd_line_ptr == 0x9'0000);
    CHECK(p.hdr.setup_data == 0);
    CHECK(p.acpi_rsdp_addr == 0x1'000f'5a10);
    CHECK(p.e820_entries == 0);
    CHECK(p.sentinel == 0);
    CHECK(p.ext_ramdisk_image == 0);
    CHECK(p.ext_ramdisk_size == 0);
    CHECK(p.ext_cmd_line_ptr == 0);

    // Every byte that is none of these is the file's within the header, and zero without.
    const struct {
        std::size_t at, size;
    } ours[] = {{0x70, 8}, {HEADER(type_of_loader), 1}, {HEADER(code32_start), 4}, {HEADER(ramdisk_image), 8},
        {HEADER(ext_loader_ver), 2}, {HEADER(cmd_line_ptr), 4}, {HEADER(setup_data), 8}};
    for (std::size_t i = 0; i < 4096; ++i) {
        bool written = false;
        for (const auto& o : ours)
            written |= i >= o.at && i < o.at + o.size;
        const std::byte wanted = i >= 0x1f1 && i < 0x26c ? file[i] : std::byte{0};
        CAPTURE(i);
        if (!written)
            REQUIRE(out.storage[i] == wanted);
    }
}

TEST_CASE("the header is copied to its own end")
{
    for (const std::size_t length : {0x62u, 0x6au, 0x7fu}) {
        bytes file = bzimage_builder{}.build();
        patch(file, 0x201, 1, length);
        const memory_map none{};
        page out;
        REQUIRE(make_boot_params(image_of(file), none.map, {0x9'0000_pa}, out.storage));
        for (std::size_t i = 0x264; i < 0x290; ++i)
            CHECK(out.storage[i] == (i < 0x202 + length ? file[i] : std::byte{0}));
    }
}

TEST_CASE("no initrd and no ACPI tables are zeros, whatever the file says")
{
    bytes file = bzimage_builder{}.build();
    patch(file, HEADER(ramdisk_image), 4, ~0u);
    patch(file, HEADER(ramdisk_size), 4, ~0u);
    const memory_map none{};
    page out;
    REQUIRE(make_boot_params(image_of(file), none.map, {0_pa}, out.storage));
    CHECK(out.read().hdr.ramdisk_image == 0);
    CHECK(out.read().hdr.ramdisk_size == 0);
    CHECK(out.read().hdr.cmd_line_ptr == 0);
    CHECK(out.read().acpi_rsdp_addr == 0);
}

TEST_CASE("an alignment that was lowered reaches the kernel")
{
    const memory_map memory{{span_of(0x200'2000, 0x210'1fff), region_kind::usable}};
    const auto image = lobos::load_bzimage(scattered_file{bzimage_builder{}.build()}, {}, memory.map);
    REQUIRE(image);
    page out;
    REQUIRE(make_boot_params(*image, memory.map, {0_pa}, out.storage));
    CHECK(out.read().hdr.kernel_alignment == 0x2000);
    CHECK(out.read().hdr.code32_start == 0x200'2000);
}

TEST_CASE("the command line lies below 4 GiB with its terminator")
{
    const auto image = image_of(bzimage_builder{}.build()); // "quiet": 6 bytes
    const memory_map none{};
    page out;
    for (const std::uint64_t at : {0ull, 0xffff'fff9ull, 0xffff'fffaull}) {
        REQUIRE(make_boot_params(image, none.map, {phys_addr::at(at)}, out.storage));
        CHECK(out.read().hdr.cmd_line_ptr == at);
    }
    for (const std::uint64_t at : {0xffff'fffbull, 0xffff'ffffull, 1ull << 32, ~0ull - 5, ~0ull - 4, ~0ull})
        CHECK(fault_of(make_boot_params(image, none.map, {phys_addr::at(at)}, out.storage)) ==
            fault{lobos::fault_code::bad_range, stage::staging, at});
}

TEST_CASE("every kind has its type, and every range its numbers")
{
    const auto image = image_of(bzimage_builder{}.build());
    const memory_map memory{{span_of(0, 0), region_kind::usable}, {span_of(0x1000, 0x1fff), region_kind::reserved},
        {span_of(0x2000, 0x2fff), region_kind::acpi_reclaimable}, {span_of(0x3000, 0x3fff), region_kind::acpi_nvs},
        {span_of(0x4000, 0x4fff), region_kind::defective}, {span_of(0x5000, 0x5fff), region_kind::safe},
        {span_of(0x6000, 0x6fff), region_kind::surviving}, {span_of(0x1'0000'0000, ~0ull - 1), region_kind::usable}};
    const std::uint32_t types[] = {1, 2, 3, 4, 5, 2, 2, 1};
    page out;
    REQUIRE(make_boot_params(image, memory.map, {0_pa}, out.storage));
    const ::boot_params p = out.read();
    REQUIRE(p.e820_entries == 8);
    for (std::size_t i = 0; i < 8; ++i) {
        const std::uint64_t addr = p.e820_table[i].addr, size = p.e820_table[i].size;
        CHECK(addr == memory.map.regions()[i].range.first().raw());
        CHECK(size == memory.map.regions()[i].range.size().raw());
        CHECK(std::uint32_t{p.e820_table[i].type} == types[i]);
    }
    CHECK(lobos::e820_type(static_cast<region_kind>(99)) == 2);

    const memory_map whole{{span_of(0, ~0ull), region_kind::reserved}};
    CHECK(fault_of(make_boot_params(image, whole.map, {0_pa}, out.storage)) ==
        fault{lobos::fault_code::bad_range, stage::staging, 0});
}

TEST_CASE("128 regions fit, 129 are refused")
{
    const auto image = image_of(bzimage_builder{}.build());
    for (const std::size_t n : {0u, 1u, 127u, 128u, 129u, 200u}) {
        CAPTURE(n);
        memory_map memory{};
        for (std::size_t i = 0; i < n; ++i)
            REQUIRE(memory.map.add(phys_range::of(phys_addr::at(i << 13), 4_KiB), region_kind::usable));
        page out;
        const auto made = make_boot_params(image, memory.map, {0_pa}, out.storage);
        if (n > 128) {
            CHECK(fault_of(made) == fault{lobos::fault_code::too_many_regions, stage::staging, n});
            continue;
        }
        REQUIRE(made);
        const ::boot_params p = out.read();
        CHECK(p.e820_entries == n);
        for (std::size_t i = 0; i < 128; ++i) {
            const std::uint64_t addr = p.e820_table[i].addr, size = p.e820_table[i].size;
            CHECK(addr == (i < n ? i << 13 : 0));
            CHECK(size == (i < n ? 0x1000u : 0u));
        }
        CHECK(peek(out.storage, 0xcd0, 8) == 0);
    }
}
