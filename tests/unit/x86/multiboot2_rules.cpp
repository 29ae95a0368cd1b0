// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/x86/multiboot2_rules.hpp>

#include <lobos/x86/multiboot2_entry.hpp>

#include <tests/catch.hpp>
#include <tests/support/told.hpp>

using namespace lobos;
using namespace lobos::test;
using x86::multiboot2_entry;

namespace {

/// Header, addresses from 1 MiB on, entry 0x10'0100, modules aligned.
bytes file_with_addresses()
{
    bytes file(0x900, std::byte{0x90});
    const std::uint32_t words[] = {0xe852'50d6, 0, 72, 0u - 0xe852'50d6u - 72u, 2, 24, 0x10'0040, 0x10'0000, 0x10'0800,
        0x10'1000, 3, 12, 0x10'0100, 0, 6, 8, 0, 8};
    for (std::size_t i = 0; i < std::size(words); ++i)
        patch(file, 0x40 + 4 * i, 4, words[i]);
    return file;
}

bytes root_pointer()
{
    bytes root(36);
    const char name[] = "RSD PTR ";
    for (std::size_t i = 0; i < 8; ++i)
        root[i] = static_cast<std::byte>(name[i]);
    patch(root, 15, 1, 2);
    patch(root, 20, 4, 36);
    const auto close = [&](std::size_t at, std::size_t size) {
        unsigned sum = 0;
        for (std::size_t i = 0; i < size; ++i)
            sum += std::to_integer<unsigned>(root[i]);
        patch(root, at, 1, 256 - sum % 256);
    };
    close(8, 20);
    close(32, 36);
    return root;
}

struct told : told_exec {
    // Command line (16), loader (14), modules (16 + 10, 16 + 1), sizes (16), map (16 + 8 * 24), EFI's table (16) and
    // map (16 + 7 * 40), RSDPs (28, 44)
    static constexpr std::uint64_t line = page + 8, loader = line + 16, first = loader + 16, second = first + 32,
                                   sizes = second + 24, map = sizes + 16, efi = map + 208, efi_map = efi + 16,
                                   old_root = efi_map + 16 + 7 * 40, new_root = old_root + 32, end = new_root + 48;
    bytes root = root_pointer();
    efi_firmware firmware{true, 0xf'0000_pa, phys_range::of(0x7'0000_pa, byte_count::of(3 * 40)), 40, 1};
    multiboot2_entry contract =
        *multiboot2_entry::make(*load_multiboot2(file), modules, "quiet 1", {.rsdp = root, .efi = firmware});
    told() : told_exec{file_with_addresses()}
    {
        store(memory, 0x7'0000_pa, efi::descriptor{7, 0, 0, 0, 0xa0, 15});
        store(memory, 0x7'0028_pa, efi::descriptor{6, 0, 0xf'0000, 0, 0x10, 15 | efi::descriptor::at_run_time});
        store(memory, 0x7'0050_pa, efi::descriptor{4, 0, 0x10'0000, 0, 0xff00, 15});
        REQUIRE(write(contract) == no_fault);
    }
    fault with(std::uint64_t at, unsigned width, std::uint64_t value)
    {
        return told_exec::with(contract, at, width, value);
    }
    fault asked() { return told_exec::asked(contract); }
};

} // namespace

TEST_CASE("what a multiboot 2 image is told holds")
{
    told t;
    CHECK(t.at(told::page, 4) == told::end + 8 - told::page);
    CHECK(t.at(told::end, 8) == 0x8'0000'0000);
    CHECK(t.asked() == no_fault);
}

TEST_CASE("registers of a multiboot 2 image that are wrong")
{
    told t;
    t.found.ax ^= 1;
    CHECK(t.asked() == broken(told::frame + 240));
    t.found.ax = 0x1'36d7'6289;
    CHECK(t.asked() == broken(told::frame + 240));
    t.found.ax = 0x36d7'6289;
    t.found.bx += 4;
    CHECK(t.asked() == broken(told::frame + 248));
    t.found.bx = 0x1'2000;
    CHECK(t.asked() == outside(0x1'2000));
    t.found.bx = told::page;
    t.found.real_base = 0x10;
    CHECK(t.asked() == broken(told::frame + 216));
}

TEST_CASE("an entry of multiboot 2 that the file does not name")
{
    told t;
    CHECK(t.with(told::file_at + 0x70, 4, 0x10'0104) == broken(0x10'0100));
    t.plan.entry = 0x10'0101_va;
    CHECK(t.asked() == broken(0x10'0101));
    t.plan.entry = 0x10'0100_va;
    CHECK(t.with(told::file_at + 0x40, 4, 0) == broken(0x10'0100));
}

TEST_CASE("a block of multiboot 2 of another size than its tags")
{
    told t;
    const std::uint64_t size = told::end + 8 - told::page;
    CHECK(t.with(told::page, 4, size - 8) == broken(told::page)); // no end
    CHECK(t.with(told::page, 4, size + 8) == broken(told::end));
    CHECK(t.with(told::page, 4, size - 4) == broken(told::page));
    CHECK(t.with(told::page, 4, 8) == broken(told::page));
    CHECK(t.with(told::page, 4, 0) == broken(told::page));
    CHECK(t.with(told::page, 4, 0x8008) == outside(told::page));
    CHECK(t.with(told::page, 4, 0xffff'fff8) == outside(told::page));
}

TEST_CASE("every tag of multiboot 2 is known, whole, and there once")
{
    told t;
    for (const std::uint64_t tag : {told::line, told::loader, told::first, told::second, told::sizes, told::map,
             told::efi, told::efi_map, told::old_root, told::new_root, told::end}) {
        CAPTURE(tag - told::page);
        const std::uint64_t size = t.at(tag + 4, 4);
        for (const std::uint64_t type : {5u, 7u, 9u, 18u, 31u, 32u, 0xffff'ffffu})
            CHECK(t.with(tag, 4, type) == broken(tag));
        for (const std::uint64_t other :
            {std::uint64_t{0}, std::uint64_t{7}, size - 1, size + 1, std::uint64_t{0xffff'ffff}})
            CHECK(t.with(tag + 4, 4, other).code == fault_code::entry_contract_broken);
        CHECK(t.with(tag + 4, 4, told::end + 9 - tag) == broken(tag));
    }
    // Without the one or the other.
    CHECK(t.with(told::line, 4, 2) == broken(told::loader)); // two loaders
    CHECK(t.with(told::loader, 4, 1) == broken(told::loader));
    bytes efi(16), sizes(16);
    t.memory.read(phys_addr::at(told::efi), efi);
    t.memory.read(phys_addr::at(told::sizes), sizes);
    t.memory.write(phys_addr::at(told::sizes), efi);
    CHECK(t.asked() == broken(told::efi)); // told twice
    t.memory.write(phys_addr::at(told::efi), sizes);
    CHECK(t.asked() == no_fault); // in any order
    // One tag over the first two: a name is no duty, but the command line is.
    bytes both(32, std::byte{'x'});
    patch(both, 0, 4, 1);
    patch(both, 4, 4, 30);
    patch(both, 29, 3, 0);
    t.memory.write(phys_addr::at(told::line), both);
    CHECK(t.asked() == no_fault);
    CHECK(t.with(told::line, 4, 2) == broken(told::page));
}

TEST_CASE("EFI's tables of multiboot 2 are those that are known")
{
    told t;
    const auto asked = [&](const std::optional<efi_firmware>& known) {
        return t.told_exec::asked(
            *multiboot2_entry::make(*load_multiboot2(t.file), t.modules, "quiet 1", {.rsdp = t.root, .efi = known}));
    };
    CHECK(t.with(told::efi + 8, 8, 0xf'0008) == broken(told::efi));
    CHECK(t.with(told::efi, 4, 11) == broken(told::efi));
    CHECK(t.with(told::efi_map + 8, 4, 48) == broken(told::efi_map + 16));
    CHECK(t.with(told::efi_map + 12, 4, 2) == broken(told::efi_map));
    CHECK(t.with(told::efi_map + 16, 4, 6) == no_fault); // less is told as free
    CHECK(t.with(told::efi_map + 16 + 40, 4, 7) == broken(told::efi_map + 16 + 40));
    CHECK(t.with(told::efi_map + 16 + 3 * 40 + 32, 8, 15) == broken(told::efi_map + 16));
    CHECK(asked(t.firmware) == no_fault);
    CHECK(asked(std::nullopt) == broken(told::efi)); // nobody knows of one
    efi_firmware other = t.firmware;
    other.is_64_bit = false;
    CHECK(asked(other) == broken(told::efi));
    other = t.firmware;
    other.system_table = 0x2'0000_pa; // the image lies there now, and is not there for good
    CHECK(t.with(told::efi + 8, 8, 0x10'0000) == broken(told::efi));
    CHECK(asked(other) == broken(told::efi));
    // Nothing was told.
    told_exec without{file_with_addresses()};
    const auto make = [&](const std::optional<efi_firmware>& known) {
        return *multiboot2_entry::make(*load_multiboot2(without.file), without.modules, "quiet 1", {.efi = known});
    };
    REQUIRE(without.write(make(std::nullopt)) == no_fault);
    CHECK(without.asked(make(std::nullopt)) == no_fault);
    CHECK(without.asked(make(t.firmware)) == broken(told::page));
}

TEST_CASE("32-bit EFI firmware in the words of multiboot 2")
{
    told t;
    t.firmware.is_64_bit = false;
    const auto contract = *multiboot2_entry::make(*load_multiboot2(t.file), t.modules, "quiet 1", {.efi = t.firmware});
    REQUIRE(t.write(contract) == no_fault);
    CHECK(t.at(told::efi, 4) == 11);
    CHECK(t.told_exec::asked(contract) == no_fault);
    CHECK(t.told_exec::with(contract, told::efi + 8, 4, 0xf'0010) == broken(told::efi));
    CHECK(t.told_exec::with(contract, told::efi, 4, 12) == broken(told::efi));
}

TEST_CASE("a memory map of multiboot 2 that is not true")
{
    told t;
    CHECK(t.with(told::map + 8, 4, 32) == broken(told::map));
    CHECK(t.with(told::map + 12, 4, 1) == broken(told::map));
    for (std::uint64_t i = 0; i < 8; ++i) {
        CAPTURE(i);
        const std::uint64_t entry = told::map + 16 + i * 24, type = t.at(entry + 16, 4);
        if (type != 1)
            CHECK(t.with(entry + 16, 4, 1) == broken(entry));
        else
            CHECK(t.with(entry + 16, 4, 2) == broken(told::map));
        CHECK(t.with(entry + 8, 8, 0) == broken(entry));
        for (const std::uint32_t unknown : {0u, 6u, 0x6c6f'6255u})
            CHECK(t.with(entry + 16, 4, unknown) == broken(entry));
        if (i != 0)
            CHECK(t.with(entry, 8, 0) == broken(entry));
    }
    CHECK(t.with(told::map + 16 + 8, 8, ~0ull) == broken(told::map + 16));
}

TEST_CASE("sizes of multiboot 2 that are not free")
{
    told t;
    const std::uint64_t lower = told::sizes + 8, upper = told::sizes + 12;
    CHECK(t.with(lower, 4, 0) == no_fault);
    CHECK(t.with(lower, 4, (0x1'1000 >> 10) + 1) == broken(told::sizes));
    CHECK(t.with(lower, 4, 641) == broken(told::sizes));
    CHECK(t.with(upper, 4, ((0x600'0000 - 0x10'0000) >> 10) + 1) == broken(told::sizes));
}

TEST_CASE("modules of multiboot 2 that are not those of the image")
{
    told t;
    CHECK(t.with(told::first + 8, 4, told::module_at + 0x1000) == broken(told::first));
    CHECK(t.with(told::first + 12, 4, told::module_at + 0x1233) == broken(told::first));
    CHECK(t.with(told::first + 12, 4, told::module_at) == broken(told::first));
    CHECK(t.with(told::second + 8, 8, t.at(told::first + 8, 8)) == broken(told::second)); // the first one twice
    CHECK(t.with(told::second, 4, 2) == broken(told::second));                            // one left out: a second name
    t.image.back().destination = phys_range::of(0x40'0010_pa, 1_bytes);
    CHECK(t.with(told::second + 8, 8, 0x40'0011'0040'0010) == broken(told::second)); // not aligned
    t.image.push_back({.destination = phys_range::of(0x50'0000_pa, 1_bytes), .role = segment_role::module});
    t.plan.image = t.image;
    t.image[t.image.size() - 2].destination = phys_range::of(0x40'0000_pa, 1_bytes);
    CHECK(t.asked() == broken(told::end));
}

TEST_CASE("strings of multiboot 2 end with their tags")
{
    told t;
    CHECK(t.with(told::line + 15, 1, 'x') == broken(told::line));
    CHECK(t.with(told::line + 10, 1, 0) == broken(told::line));
    CHECK(t.with(told::loader + 13, 1, 'x') == broken(told::loader));
    CHECK(t.with(told::first + 25, 1, 'x') == broken(told::first));
    CHECK(t.with(told::second + 16, 1, 'x') == broken(told::second));
}

TEST_CASE("root pointers of multiboot 2 are whole")
{
    told t;
    CHECK(t.with(told::old_root + 8, 1, 'X') == broken(told::old_root));
    CHECK(t.with(told::old_root + 27, 1, 1) == broken(told::old_root));
    CHECK(t.with(told::new_root + 8, 1, 'X') == broken(told::new_root));
    CHECK(t.with(told::new_root + 28, 4, 40) == broken(told::new_root));
    CHECK(t.with(told::new_root + 43, 1, 1) == broken(told::new_root));
}
