// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/image/multiboot2.hpp>

#include <tests/catch.hpp>
#include <tests/support/elf_builder.hpp>

using namespace lobos;
using namespace lobos::test;
using enum fault_code;

namespace {

using words = std::vector<std::uint32_t>;

fault loading(fault_code code, std::uint64_t at)
{
    return {code, stage::loading, at};
}

phys_range span_of(std::uint64_t first, std::uint64_t last)
{
    return phys_range::between(phys_addr::at(first), phys_addr::at(last));
}

/// A header with these words behind its first four.
void put_header(bytes& file, std::size_t at, const words& tags, std::uint32_t architecture = 0, std::uint32_t more = 0)
{
    const auto length = static_cast<std::uint32_t>(16 + 4 * tags.size()) + more;
    patch(file, at, 4, 0xe852'50d6);
    patch(file, at + 4, 4, architecture);
    patch(file, at + 8, 4, length);
    patch(file, at + 12, 4, 0x2'0000'0000 - 0xe852'50d6ull - architecture - length);
    for (std::size_t i = 0; i < tags.size(); ++i)
        patch(file, at + 16 + 4 * i, 4, tags[i]);
}

constexpr std::size_t in_elf = 0x208; // the first 8-aligned place behind the text's first bytes

template <class Class = elf32> bytes elf_file(const words& tags, std::uint32_t architecture = 0, std::uint32_t more = 0)
{
    auto k = small_kernel<Class>();
    k.parts[0].p_paddr = 0x10'0000;
    k.parts[2].p_paddr = 0x10'1000;
    bytes file = k.build();
    put_header(file, in_elf, tags, architecture, more);
    return file;
}

result<flat_image> load(const bytes& file)
{
    return load_multiboot2(scattered_file{file});
}
fault fault_with(const words& tags)
{
    return fault_of(load(elf_file(tags)));
}

const words addresses = {2, 24, 0x10'0040, 0x10'0000, 0x10'0800, 0x10'1000, 3, 12, 0x10'0100, 0, 0, 8};

bytes kludge(const words& tags)
{
    bytes file(0x1000);
    put_header(file, 0x60, tags);
    return file;
}

} // namespace

TEMPLATE_TEST_CASE("a multiboot 2 ELF file of either class", "", elf32, elf64)
{
    const auto image = load(elf_file<TestType>({0, 8}));
    REQUIRE(image);
    CHECK(image->segments.size() == 3);
    CHECK(image->entry == 0x10'0010_pa);
    CHECK(image->module_alignment == 1_bytes);
    CHECK_FALSE(image->wants_memory_map);
    CHECK_FALSE(image->wants_video_mode);
    // An entry tag counts more than e_entry.
    CHECK(load(elf_file<TestType>({3, 12, 0x10'0020, 0, 0, 8}))->entry == 0x10'0020_pa);
    CHECK(fault_of(load(elf_file<TestType>({3, 12, 0x10'0123, 0, 0, 8}))) == loading(entry_not_in_image, 0x10'0123));
}

TEST_CASE("a multiboot 2 file with load addresses")
{
    const auto image = load(kludge(addresses));
    REQUIRE(image);
    REQUIRE(image->segments.size() == 2);
    CHECK(image->segments[0].destination == span_of(0x10'0000, 0x10'07ff));
    CHECK(image->segments[0].file_offset == 0x20_bytes);
    CHECK(image->segments[1].destination == span_of(0x10'0800, 0x10'0fff));
    CHECK(image->entry == 0x10'0100_pa);

    const auto with = [](std::size_t i, std::uint32_t value) {
        words changed = addresses;
        changed[i] = value;
        return fault_of(load(kludge(changed)));
    };
    CHECK(with(2, 0xf'ffff) == loading(bad_header, 0x60 + 24));
    CHECK(with(2, 0x10'0061) == loading(bad_header, 0x60 + 28));
    CHECK(with(4, 0xf'ffff) == loading(bad_header, 0x60 + 32));
    CHECK(with(4, 0x10'0fe1) == loading(truncated_image, 0x1000));
    CHECK(with(5, 0x10'07ff) == loading(bad_header, 0x60 + 36));
    CHECK(with(8, 0x10'0800) == loading(entry_not_in_image, 0x10'0800));
    words no_entry(addresses.begin(), addresses.begin() + 6);
    no_entry.insert(no_entry.end(), {0, 8});
    CHECK(fault_of(load(kludge(no_entry))) == loading(bad_header, 0x60 + 24));

    // From the beginning of the file: the header at 0x60 goes to 0x100040.
    words whole = addresses;
    whole[3] = 0xffff'ffff;
    const auto from_start = load(kludge(whole));
    REQUIRE(from_start);
    CHECK(from_start->segments[0].destination == span_of(0xf'ffe0, 0x10'07ff));
    CHECK(from_start->segments[0].file_offset == 0_bytes);
    whole[2] = 0x5f;
    CHECK(fault_of(load(kludge(whole))) == loading(bad_header, 0x60 + 24));
}

TEST_CASE("where a multiboot 2 header is looked for")
{
    const auto found = [](std::size_t at, std::size_t size) {
        bytes file(size);
        patch(file, at, 4, 0xe852'50d6);
        patch(file, at + 12, 4, 0x1'0000'0000 - 0xe852'50d6ull);
        return is_multiboot2(scattered_file{file});
    };
    CHECK(found(0, 16));
    CHECK(found(8, 24));
    CHECK(found(32752, 40000));
    CHECK_FALSE(found(32760, 40000));
    CHECK_FALSE(found(4, 100));
    CHECK_FALSE(is_multiboot2(hollow_file{0}));
    CHECK(fault_of(load_multiboot2(hollow_file{100})) == loading(unknown_format, 0));
    bytes broken = elf_file({0, 8});
    patch(broken, in_elf + 12, 1, peek(broken, in_elf + 12, 1) ^ 1);
    CHECK(fault_of(load(broken)) == loading(unknown_format, 0));

    bytes late(0x9000);
    put_header(late, 32744, {0, 8});
    CHECK(fault_of(load(late)) == loading(unknown_format, 0)); // it is no ELF file
    put_header(late, 32744, {0, 8}, 0, 1);
    CHECK(fault_of(load(late)) == loading(bad_header, 32744 + 8));
}

TEST_CASE("the header of multiboot 2 is believed in nothing")
{
    const std::uint64_t tags = in_elf + 16, length = in_elf + 8, file_size = 0x368;
    CHECK(fault_of(load(elf_file({0, 8}, 4))) == loading(unsupported, in_elf + 4)); // MIPS
    CHECK(fault_of(load(elf_file({}))) == loading(bad_header, length));
    CHECK(fault_of(load(elf_file({0}))) == loading(bad_header, length));
    CHECK(fault_of(load(elf_file({0, 8}, 0, 0x368 - in_elf - 24))) == no_fault);
    CHECK(fault_of(load(elf_file({0, 8}, 0, 0x368 - in_elf - 23))) == loading(truncated_image, file_size));
    CHECK(fault_with({6, 8}) == loading(bad_header, length)); // no end tag
    CHECK(fault_with({6, 8, 0}) == loading(bad_header, length));
    CHECK(fault_with({6, 7, 0, 8}) == loading(bad_header, tags + 4));
    CHECK(fault_with({6, 0, 0, 8}) == loading(bad_header, tags + 4));
    CHECK(fault_with({6, 17, 0, 8}) == loading(bad_header, tags + 4));
    CHECK(fault_with({6, 16, 0, 8}) == loading(bad_header, length)); // the end tag is the tag's own
    CHECK(fault_with({6, 0xffff'ffff, 0, 8}) == loading(bad_header, tags + 4));
    CHECK(fault_with({3, 8, 0, 8}) == loading(bad_header, tags + 4));
    CHECK(fault_with({2, 20, 0, 0, 0, 0, 0, 8}) == loading(bad_header, tags + 4));
    CHECK(fault_with({1, 10, 4, 0, 0, 8}) == loading(bad_header, tags + 4));
}

TEST_CASE("tags that are known and tags that are not")
{
    const std::uint64_t tag = in_elf + 16;
    for (const std::uint32_t type : {6u, 10u})
        CHECK(fault_with({type, 12, 0, 0, 0, 8}) == no_fault);
    for (const std::uint32_t type : {4u, 5u, 11u, 12u, 0xffffu}) {
        CHECK(fault_with({type, 12, 0, 0, 0, 8}) == loading(unsupported, tag));
        CHECK(fault_with({type | 0x1'0000, 12, 0, 0, 0, 8}) == no_fault);
    }
    CHECK(fault_with({6, 8, 11, 8, 0, 8}) == loading(unsupported, tag + 8));
    CHECK(load(elf_file({6, 8, 0, 8}))->module_alignment == 4_KiB);
    CHECK(load(elf_file({0x1'0005, 20, 0, 0, 0, 0, 0, 8}))->wants_video_mode);
}

TEST_CASE("boot services of EFI are over, and an image that needs them is refused")
{
    constexpr std::uint32_t boot_services = 7, entry_32 = 8, entry_64 = 9, optional = 0x1'0000;
    const std::uint64_t tag = in_elf + 16;
    CHECK(fault_with({boot_services, 8, 0, 8}) == loading(unsupported, tag));
    for (const std::uint32_t entry : {entry_32, entry_64}) {
        CHECK(fault_with({entry, 12, 0x10'0020, 0, 0, 8}) == loading(unsupported, tag));
        // Some hypervisors have them, and need none of them: the other entry counts.
        const auto image = load(elf_file({boot_services | optional, 8, entry | optional, 12, 0x10'0020, 0, 0, 8}));
        REQUIRE(image);
        CHECK(image->entry == 0x10'0010_pa);
    }
    CHECK(fault_with({boot_services | optional, 8, entry_64, 12, 0x10'0020, 0, 0, 8}) == loading(unsupported, tag + 8));
}

TEST_CASE("requests for information")
{
    const std::uint64_t tag = in_elf + 16;
    for (std::uint32_t type = 0; type < 24; ++type) {
        CAPTURE(type);
        const bool given = type <= 6 || type == 11 || type == 12 || type == 14 || type == 15 || type == 17;
        const auto image = load(elf_file({1, 16, 1, type, 0, 8}));
        CHECK(fault_of(image) == (given ? no_fault : loading(unsupported, tag + 12)));
        CHECK((image && image->wants_memory_map) == (type == 4 || type == 6));
        CHECK(fault_with({0x1'0001, 16, 1, type, 0, 8}) == no_fault);
    }
    CHECK(fault_with({1, 12, 99, 0, 0, 8}) == loading(unsupported, tag + 8));
    CHECK(fault_with({1, 12, 6, 99, 0, 8}) == no_fault); // what follows is padding
}
