// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/x86/boot_params.hpp>

#include <asm/bootparam.h> // linux-libc-dev: the same page in the kernel's own words

#include <tests/catch.hpp>
#include <tests/support/bzimage_builder.hpp>
#include <tests/support/scratch_page.hpp>

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
    STATIC_REQUIRE(h::root_flags == HEADER(root_flags));
    STATIC_REQUIRE(h::heap_end_ptr == HEADER(heap_end_ptr));
    STATIC_REQUIRE(h::xloadflags == HEADER(xloadflags));
#define EFI(field) (offsetof(::boot_params, efi_info) + offsetof(::efi_info, field))
    STATIC_REQUIRE(b::efi_info == 0x1c0);
    STATIC_REQUIRE(b::efi_loader_signature == EFI(efi_loader_signature));
    STATIC_REQUIRE(b::efi_systab == EFI(efi_systab));
    STATIC_REQUIRE(b::efi_memdesc_size == EFI(efi_memdesc_size));
    STATIC_REQUIRE(b::efi_memdesc_version == EFI(efi_memdesc_version));
    STATIC_REQUIRE(b::efi_memmap == EFI(efi_memmap));
    STATIC_REQUIRE(b::efi_memmap_size == EFI(efi_memmap_size));
    STATIC_REQUIRE(b::efi_systab_hi == EFI(efi_systab_hi));
    STATIC_REQUIRE(b::efi_memmap_hi == EFI(efi_memmap_hi));
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

TEST_CASE("a firmware is told in eight fields")
{
    const auto image = image_of(bzimage_builder{}.build());
    const memory_map none{};
    page out;
    const lobos::efi_firmware high{true, 0x12'3456'7890_pa, span_of(0x98'7654'3000, 0x98'7654'3000 + 0x1dff), 48, 1};
    REQUIRE(make_boot_params(image, none.map, {.command_line_at = 0_pa, .efi = high}, out.storage));
    CHECK(std::memcmp(out.storage + 0x1c0, "EL64", 4) == 0);
    const ::efi_info e = out.read().efi_info;
    CHECK(e.efi_systab == 0x3456'7890);
    CHECK(e.efi_systab_hi == 0x12);
    CHECK(e.efi_memmap == 0x7654'3000);
    CHECK(e.efi_memmap_hi == 0x98);
    CHECK(e.efi_memmap_size == 0x1e00);
    CHECK(e.efi_memdesc_size == 48);
    CHECK(e.efi_memdesc_version == 1);

    const lobos::efi_firmware low{false, 0xffff'ffff_pa, span_of(0, 0xffff'fffe), 40, 2};
    REQUIRE(make_boot_params(image, none.map, {.command_line_at = 0_pa, .efi = low}, out.storage));
    CHECK(std::memcmp(out.storage + 0x1c0, "EL32", 4) == 0);
    CHECK(out.read().efi_info.efi_systab == 0xffff'ffff);
    CHECK(out.read().efi_info.efi_systab_hi == 0);
    CHECK(out.read().efi_info.efi_memmap_size == 0xffff'ffff);

    const auto said = [&](const lobos::efi_firmware& efi) {
        return fault_of(make_boot_params(image, none.map, {.command_line_at = 0_pa, .efi = efi}, out.storage));
    };
    const auto bad = [](std::uint64_t at) { return fault{lobos::fault_code::bad_range, stage::staging, at}; };
    CHECK(said({false, 0x1'0000'0000_pa, span_of(0, 1), 40, 1}) == bad(0x1'0000'0000));
    CHECK(said({false, 0_pa, span_of(0xffff'f000, 0x1'0000'0000), 40, 1}) == bad(0xffff'f000));
    CHECK(said({true, 0_pa, span_of(0x1000, 0x1'0000'0fff), 40, 1}) == bad(0x1000)); // of 4 GiB
    CHECK(said({true, 0_pa, span_of(0, ~0ull), 40, 1}) == bad(0));
}

TEST_CASE("no firmware is zeros")
{
    const memory_map none{};
    page out;
    REQUIRE(make_boot_params(image_of(bzimage_builder{}.build()), none.map, {0_pa}, out.storage));
    for (std::size_t i = 0x1c0; i < 0x1e0; ++i)
        CHECK(out.storage[i] == std::byte{0});
}

TEST_CASE("addresses above 4 GiB have upper halves")
{
    auto image = image_of(bzimage_builder{}.build(), 5000);
    const memory_map none{};
    page out;
    image.above_4g = true;
    image.initrd = phys_range::of(0x12'3456'7000_pa, lobos::byte_count::of(0x5'6789'abcd));
    image.entry = 0x1'0000'0000_pa;
    REQUIRE(make_boot_params(image, none.map, {0x98'7654'3210_pa}, out.storage));
    const ::boot_params p = out.read();
    CHECK(p.hdr.cmd_line_ptr == 0x7654'3210);
    CHECK(p.ext_cmd_line_ptr == 0x98);
    CHECK(p.hdr.ramdisk_image == 0x3456'7000);
    CHECK(p.ext_ramdisk_image == 0x12);
    CHECK(p.hdr.ramdisk_size == 0x6789'abcd);
    CHECK(p.ext_ramdisk_size == 5);
    CHECK(p.hdr.code32_start == 0); // there is none

    image.above_4g = false;
    CHECK(fault_of(make_boot_params(image, none.map, {0_pa}, out.storage)) ==
        fault{lobos::fault_code::bad_range, stage::staging, 0x12'3456'7000});
    image.above_4g = true;
    CHECK(fault_of(make_boot_params(image, none.map, {phys_addr::at(~0ull - 4)}, out.storage)) ==
        fault{lobos::fault_code::bad_range, stage::staging, ~0ull - 4});
}

TEST_CASE("with setup data the page tells the first 128 regions")
{
    const auto image = image_of(bzimage_builder{}.build());
    memory_map memory{};
    for (std::size_t i = 0; i < 129; ++i)
        REQUIRE(memory.map.add(phys_range::of(phys_addr::at(i << 13), 4_KiB), region_kind::usable));
    page out;
    REQUIRE(make_boot_params(image, memory.map, {0_pa}, out.storage, 0x1'2345'6000_pa));
    CHECK(out.read().e820_entries == 128);
    CHECK(out.read().hdr.setup_data == 0x1'2345'6000);
    CHECK(peek(out.storage, 0xcd0, 8) == 0);
}

TEST_CASE("pages of parameters")
{
    const auto image = image_of(bzimage_builder{}.build()); // "quiet"
    std::vector<lobos::region> storage(600);
    const phys_addr pages[] = {0x3000_pa, 0x1000_pa, 0x5000_pa, 0x2000_pa};
    const bytes seed(32, std::byte{0x5e});
    struct outcome {
        ::boot_params params{};
        std::string line;
        fault said = no_fault;
    };
    const auto write = [&](std::size_t regions, std::span<const std::byte> random, std::span<const phys_addr> where) {
        lobos::region_map map{storage};
        for (std::size_t i = 0; i < regions; ++i)
            REQUIRE(map.add(phys_range::of(phys_addr::at(i << 13), 4_KiB), region_kind::usable));
        byte_memory ram{0x8000};
        ram.write(0_pa, bytes(0x8000, std::byte{0xa5}));
        outcome o;
        const lobos::linux_parameters told{.command_line_at = 0x7777_pa, .rng_seed = random};
        o.said = fault_of(write_boot_params(ram, image, map, told, where, scratch_page()));
        o.params = lobos::load<::boot_params>(ram, where[0]);
        std::byte line[8];
        ram.read(where[1], line);
        o.line.assign(reinterpret_cast<const char*>(line), 7);
        if (o.said != no_fault) {
            bytes all(0x8000);
            ram.read(0_pa, all);
            CHECK(all == bytes(0x8000, std::byte{0xa5}));
        }
        return o;
    };
    const std::span<const phys_addr> four = pages, two = four.first(2), three = four.first(3);
    const auto refused = [](lobos::fault_code code, std::uint64_t at) { return fault{code, stage::staging, at}; };
    using enum lobos::fault_code;

    const outcome plain = write(128, {}, two);
    CHECK(plain.said == no_fault);
    CHECK(plain.params.hdr.cmd_line_ptr == 0x1000);
    CHECK(plain.params.hdr.setup_data == 0);
    CHECK(plain.params.e820_entries == 128);
    CHECK(plain.line == std::string("quiet\0\xa5", 7));
    CHECK(write(128, {}, four).params.hdr.setup_data == 0); // pages that nobody needs stay out
    CHECK(write(1, seed, three).params.hdr.setup_data == 0x5000);
    CHECK(write(128 + 204, {}, three).params.hdr.setup_data == 0x5000);

    CHECK(write(129, {}, two).said == refused(too_many_regions, 129));
    CHECK(write(128 + 205, {}, three).said == refused(too_many_regions, 333));
    CHECK(write(128 + 201, seed, three).said == no_fault);
    CHECK(write(128 + 202, seed, three).said == refused(too_many_regions, 330));
    CHECK(write(128 + 202, seed, four).said == no_fault);
    CHECK(write(128 + 405, seed, four).said == no_fault);
    CHECK(write(128 + 406, seed, four).said == refused(too_many_regions, 534));
    CHECK(write(1, seed, two).said == refused(no_space, 32));
    CHECK(write(1, bytes(4080), three).said == no_fault);
    CHECK(write(1, bytes(4081), three).said == refused(no_space, 4081));
    const phys_addr zero[] = {0x3000_pa, 0x1000_pa, 0_pa};
    CHECK(write(1, seed, zero).said == refused(bad_range, 0));
    CHECK(write(1, {}, zero).said == no_fault);
}

TEST_CASE("the EFI memory map lies in a row of pages")
{
    const auto image = image_of(bzimage_builder{}.build());
    const memory_map map{{span_of(0, 0xf'ffff), region_kind::usable}};
    lobos::test::byte_memory ram{0x2'0000};
    constexpr std::uint64_t source = 0x1'8000;
    constexpr unsigned count = 100; // of 48 bytes: two pages
    for (unsigned i = 0; i < count; ++i)
        store(ram, phys_addr::at(source + 48 * i), lobos::efi::descriptor{0, 0, 0x10'0000 + 0x2000 * i, 0, 1, 0});
    const lobos::linux_parameters told{.command_line_at = {},
        .efi = lobos::efi_firmware{true, 0x1'7000_pa, span_of(source, source + 48 * count - 1), 48, 1}};
    const auto said = [&](std::vector<phys_addr> pages) {
        return fault_of(write_boot_params(ram, image, map.map, told, pages, scratch_page()));
    };
    const auto field = [&](std::uint64_t at) { return lobos::load<std::uint32_t>(ram, phys_addr::at(at)); };
    const fault no_room{lobos::fault_code::no_room, stage::staging, 48 * count};

    CHECK(said({0x1000_pa, 0x2000_pa, 0x3000_pa}) == no_room); // the command line has a page
    CHECK(said({0x1000_pa, 0x2000_pa, 0x4000_pa, 0x6000_pa, 0x5000_pa}) == no_room);
    REQUIRE(said({0x1000_pa, 0x3000_pa, 0x4000_pa, 0x2000_pa}) == no_fault);
    CHECK(field(0x11d0) == 0x3000);
    CHECK(field(0x11d4) == 48 * count);
    CHECK(field(0x1228) == 0x2000);
    REQUIRE(said({0x1000_pa, 0x2000_pa, 0x3000_pa, 0x4000_pa, 0x5000_pa, 0x7000_pa}) == no_fault);
    CHECK(field(0x11d0) == 0x4000); // the end of the row
    CHECK(field(0x1228) == 0x2000);
    for (unsigned i = 0; i < count; ++i)
        CHECK(field(0x4000 + 48 * i + 8) == 0x10'0000 + 0x2000 * i);
}
