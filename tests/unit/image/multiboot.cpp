// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/image/multiboot.hpp>

#include <tests/catch.hpp>
#include <tests/support/elf_builder.hpp>

using namespace lobos;
using namespace lobos::test;
using enum fault_code;

namespace {

fault loading(fault_code code, std::uint64_t at)
{
    return {code, stage::loading, at};
}

phys_range span_of(std::uint64_t first, std::uint64_t last)
{
    return phys_range::between(phys_addr::at(first), phys_addr::at(last));
}

void put_header(bytes& file, std::size_t at, std::uint32_t flags)
{
    patch(file, at, 4, 0x1bad'b002);
    patch(file, at + 4, 4, flags);
    patch(file, at + 8, 4, 0x1'0000'0000 - ((0x1bad'b002ull + flags) & 0xffff'ffff));
}

struct addresses {
    std::uint32_t header = 0x10'0040, load = 0x10'0000, load_end = 0x10'0800, bss_end = 0x10'1000, entry = 0x10'0100;
};

bytes kludge(const addresses& a = {}, std::size_t at = 0x60, std::size_t size = 0x1000)
{
    bytes file(size);
    put_header(file, at, 0x1'0003);
    const std::uint32_t words[] = {a.header, a.load, a.load_end, a.bss_end, a.entry};
    for (std::size_t i = 0; i < 5; ++i)
        patch(file, at + 12 + 4 * i, 4, words[i]);
    return file;
}

fault fault_with(const addresses& a, std::size_t at = 0x60, std::size_t size = 0x1000)
{
    return fault_of(load_multiboot(scattered_file{kludge(a, at, size)}));
}

template <class Class> bytes elf_file(std::uint32_t flags)
{
    auto k = small_kernel<Class>();
    k.parts[0].p_paddr = 0x10'0000;
    k.parts[2].p_paddr = 0x10'1000;
    bytes file = k.build();
    put_header(file, 0x200, flags);
    return file;
}

} // namespace

TEST_CASE("a multiboot file with load addresses")
{
    const scattered_file file{kludge()};
    const auto image = load_multiboot(file);
    REQUIRE(image);
    REQUIRE(image->segments.size() == 2);
    CHECK(image->segments[0].destination == span_of(0x10'0000, 0x10'07ff));
    CHECK(image->segments[0].file_offset == 0x20_bytes); // the header lies 0x40 bytes into the text
    CHECK(image->segments[1].destination == span_of(0x10'0800, 0x10'0fff));
    CHECK(image->segments[1].what == content::zero);
    CHECK(image->entry == 0x10'0100_pa);
    CHECK(image->module_alignment == 4_KiB);
    CHECK(image->wants_memory_map);
    CHECK_FALSE(image->wants_video_mode);
}

TEST_CASE("load addresses that stand for a default")
{
    const auto whole = load_multiboot(scattered_file{kludge({.load_end = 0, .bss_end = 0})});
    REQUIRE(whole);
    REQUIRE(whole->segments.size() == 1);
    CHECK(whole->segments[0].destination == span_of(0x10'0000, 0x10'0fdf)); // from 0x20 to the end
    const auto zeros = load_multiboot(scattered_file{kludge({.load_end = 0, .bss_end = 0x10'0fe1})});
    REQUIRE(zeros);
    CHECK(zeros->segments[1].destination == span_of(0x10'0fe0, 0x10'0fe0));
}

TEST_CASE("load addresses are believed in nothing")
{
    const std::uint64_t at = 0x60;
    CHECK(fault_with({.header = 0xf'ffff}) == loading(bad_header, at + 12));
    CHECK(fault_with({.header = 0x10'0060}) == no_fault);
    CHECK(fault_with({.header = 0x10'0061}) == loading(bad_header, at + 16)); // would begin before the file
    CHECK(fault_with({.load_end = 0xf'ffff}) == loading(bad_header, at + 20));
    CHECK(fault_with({.load_end = 0x10'0000}) == loading(empty_image, 0));
    CHECK(fault_with({.load_end = 0x10'0fe0}) == no_fault);
    CHECK(fault_with({.load_end = 0x10'0fe1}) == loading(truncated_image, 0x1000));
    CHECK(fault_with({.bss_end = 0x10'0800}) == no_fault);
    CHECK(fault_with({.bss_end = 0x10'07ff}) == loading(bad_header, at + 24));
    CHECK(fault_with({.bss_end = 0xffff'ffff}) == no_fault);
    CHECK(fault_with({.entry = 0x10'07ff}) == no_fault);
    CHECK(fault_with({.entry = 0x10'0800}) == loading(entry_not_in_image, 0x10'0800));
    CHECK(fault_with({.entry = 0xf'ffff}) == loading(entry_not_in_image, 0xf'ffff));
    const addresses high{.header = 0xffff'f040, .load = 0xffff'f000, .load_end = 0, .bss_end = 0, .entry = 0xffff'f000};
    CHECK(fault_with(high) == no_fault);
    CHECK(fault_with(high, 0x60, 0x1020) == no_fault);
    CHECK(fault_with(high, 0x60, 0x1021) == loading(bad_range, 0xffff'f000));
}

TEST_CASE("where a multiboot header is looked for")
{
    const auto found = [](std::size_t at, std::size_t size) {
        bytes file(size);
        put_header(file, at, 0);
        return is_multiboot(scattered_file{file});
    };
    CHECK(found(0, 12));
    CHECK(found(4, 16));
    CHECK(found(8180, 8192));
    CHECK(found(8180, 20000));
    CHECK_FALSE(found(8184, 20000));
    CHECK_FALSE(found(2, 100));
    CHECK_FALSE(is_multiboot(hollow_file{0}));
    CHECK_FALSE(is_multiboot(hollow_file{11}));

    bytes broken(64);
    put_header(broken, 8, 0);
    patch(broken, 16, 1, peek(broken, 16, 1) ^ 1);
    CHECK_FALSE(is_multiboot(scattered_file{broken}));
    put_header(broken, 20, 0); // the magic number alone is no header
    CHECK(is_multiboot(scattered_file{broken}));
    CHECK(fault_of(load_multiboot(hollow_file{100})) == loading(unknown_format, 0));

    // All eight words have to lie below 8192.
    const addresses a{.header = 0x10'2000, .bss_end = 0};
    CHECK(fault_with(a, 8160, 0x4000) == loading(bad_header, 8160 + 16)); // 8192 bytes in front of it: none there
    CHECK(fault_with({.bss_end = 0}, 8160, 0x4000) == no_fault);
    CHECK(fault_with({.bss_end = 0}, 8164, 0x4000) == loading(bad_header, 8168));
    bytes cut = kludge();
    cut.resize(0x60 + 31);
    CHECK(fault_of(load_multiboot(scattered_file{cut})) == loading(truncated_image, 0x60 + 31));
}

TEST_CASE("demands of a multiboot image")
{
    for (unsigned bit = 0; bit < 32; ++bit) {
        CAPTURE(bit);
        const auto image = load_multiboot(scattered_file{elf_file<elf32>(1u << bit & ~0x1'0000u)});
        if (bit >= 3 && bit < 16) {
            CHECK(fault_of(image) == loading(unsupported, 0x204));
            continue;
        }
        REQUIRE(image);
        CHECK(image->module_alignment == (bit == 0 ? 4_KiB : 1_bytes));
        CHECK(image->wants_memory_map == (bit == 1));
        CHECK(image->wants_video_mode == (bit == 2));
    }
}

TEMPLATE_TEST_CASE("a multiboot ELF file of either class", "", elf32, elf64)
{
    const auto image = load_multiboot(scattered_file{elf_file<TestType>(3)});
    REQUIRE(image);
    CHECK(image->segments.size() == 3);
    CHECK(image->segments[0].destination == span_of(0x10'0000, 0x10'0122));
    CHECK(image->entry == 0x10'0010_pa); // translated: it is linked high
    bytes none = elf_file<TestType>(3);
    patch(none, 0, 1, 0);
    CHECK(fault_of(load_multiboot(scattered_file{none})) == loading(unknown_format, 0));
}

TEST_CASE("load addresses count more than ELF")
{
    bytes file = elf_file<elf32>(0x1'0000);
    const std::uint32_t words[] = {0x20'0000, 0x20'0000, 0, 0, 0x20'0020};
    for (std::size_t i = 0; i < 5; ++i)
        patch(file, 0x20c + 4 * i, 4, words[i]);
    const auto image = load_multiboot(scattered_file{file});
    REQUIRE(image);
    CHECK(image->segments.size() == 1);
    CHECK(image->segments[0].file_offset == 0x200_bytes);
    CHECK(image->entry == 0x20'0020_pa);
}
