// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/image/vmlinux.hpp>

#include <string>

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

memory_map pc()
{
    return memory_map{
        {span_of(0, 0x9'fbff), region_kind::usable}, {span_of(0x10'0000, 0xfff'ffff), region_kind::usable}};
}

/// The layout of a 64-bit Debian kernel in small: text, data, per-cpu data linked to 0, init with bss, a note.
basic_elf_builder<elf64> kernel_64()
{
    using part = elf_part<elf64>;
    const auto at = [](std::uint64_t offset, std::uint64_t virt, std::uint64_t phys, std::uint64_t filesz,
                        std::uint64_t memsz, std::uint32_t flags) {
        return part{.offset = offset,
            .vaddr = virt,
            .paddr = phys,
            .filesz = filesz,
            .memsz = memsz,
            .flags = flags,
            .align = 0x20'0000};
    };
    return {.parts = {at(0x1000, 0xffff'ffff'8100'0000, 0x100'0000, 0x9f0, 0x9f0, PF_R | PF_X),
                at(0x2000, 0xffff'ffff'8100'2000, 0x100'2000, 0x1000, 0x1000, PF_R | PF_W),
                at(0x3000, 0, 0x100'3000, 0x500, 0x500, PF_R | PF_W),
                at(0x4000, 0xffff'ffff'8100'4000, 0x100'4000, 0x800, 0x1'2345, PF_R | PF_W | PF_X),
                part{.type = PT_NOTE, .offset = 0x1100, .paddr = 0x100'0100}},
        .entry = 0x100'0000,
        .size = 0x5000};
}

/// And of a 32-bit one.
elf_builder kernel_32()
{
    using part = elf_part<elf32>;
    return {.parts = {part{.offset = 0x1000,
                          .vaddr = 0xc100'0000,
                          .paddr = 0x100'0000,
                          .filesz = 0xbcc,
                          .memsz = 0xbcc,
                          .flags = PF_R | PF_X},
                part{.offset = 0x2000,
                    .vaddr = 0xc100'1000,
                    .paddr = 0x100'1000,
                    .filesz = 0x1000,
                    .memsz = 0x3000,
                    .flags = PF_R | PF_W},
                part{.type = PT_NOTE, .offset = 0x1100, .paddr = 0x100'0100}},
        .entry = 0x100'0010,
        .size = 0x3000};
}

template <class Builder> auto load(const Builder& b, linux_request request = {}, const memory_map& memory = pc())
{
    constexpr bool is_64 = std::is_same_v<Builder, basic_elf_builder<elf64>>;
    if constexpr (is_64)
        request.entry = linux_entry::long_64;
    return load_vmlinux<std::conditional_t<is_64, elf64_class, elf32_class>>(
        scattered_file{b.build()}, request, memory.map);
}

} // namespace

TEST_CASE("a 32-bit vmlinux lies where it is linked and begins at a physical address", "[image][vmlinux]")
{
    const auto image = load(kernel_32(), {.command_line = "quiet"});
    REQUIRE(fault_of(image) == no_fault);
    CHECK(image->entry == 0x100'0010_pa);
    CHECK_FALSE(image->entry_64);
    CHECK_FALSE(image->above_4g);
    CHECK(image->kernel == span_of(0x100'0000, 0x100'3fff));
    CHECK_FALSE(image->initrd);
    CHECK(image->command_line == "quiet");

    const struct {
        std::uint64_t first, last;
        content what;
        std::uint64_t from;
    } wanted[] = {{0x100'0000, 0x100'0bcb, content::copy, 0x1000}, {0x100'1000, 0x100'1fff, content::copy, 0x2000},
        {0x100'2000, 0x100'3fff, content::zero, 0}, {0x100'0bcc, 0x100'0fff, content::scratch, 0}};
    REQUIRE(image->segments.size() == 4);
    for (std::size_t i = 0; i < 4; ++i) {
        CAPTURE(i);
        CHECK(image->segments[i].destination == span_of(wanted[i].first, wanted[i].last));
        CHECK(image->segments[i].what == wanted[i].what);
        CHECK(image->segments[i].file_offset.raw() == wanted[i].from);
        CHECK(image->segments[i].role == segment_role::kernel);
    }
}

TEST_CASE("a 64-bit vmlinux has a 64-bit entry only", "[image][vmlinux]")
{
    const auto image = load(kernel_64());
    REQUIRE(fault_of(image) == no_fault);
    CHECK(image->entry_64 == 0x100'0000_pa);
    CHECK(image->entry == phys_addr::at(~0ull));
    CHECK(image->kernel == span_of(0x100'0000, 0x101'6fff)); // 0x1004000 + 0x12345, in whole pages
}

TEST_CASE("every byte of the kernel's memory is in one segment", "[image][vmlinux]")
{
    const auto image = load(kernel_64());
    REQUIRE(image);
    byte_count sum;
    for (const segment& s : image->segments) {
        CHECK(image->kernel.contains(s.destination));
        sum += s.destination.size();
        for (const segment& other : image->segments)
            CHECK((&s == &other || !s.destination.overlaps(other.destination)));
    }
    CHECK(sum == image->kernel.size());
    // Behind the text, between it and the data, behind the per-cpu data, behind the bss.
    std::vector<phys_range> scratch;
    for (const segment& s : image->segments)
        if (s.what == content::scratch)
            scratch.push_back(s.destination);
    CHECK(scratch ==
        std::vector{span_of(0x100'09f0, 0x100'1fff), span_of(0x100'3500, 0x100'3fff), span_of(0x101'6345, 0x101'6fff)});
}

TEST_CASE("the header made for a vmlinux", "[image][vmlinux]")
{
    const auto get = [](const linux_image& image, std::size_t field, std::size_t width) {
        return peek(image.header, field - 0x1f1, width);
    };
    const auto i = load(kernel_32()), x = load(kernel_64());
    REQUIRE((i && x));
    for (const linux_image& image : {*i, *x}) {
        CHECK(image.version == 0x20f);
        CHECK(image.header_size == 0x26c - 0x1f1);
        CHECK(get(image, 0x1f2, 2) == 1);
        CHECK(get(image, 0x1fe, 2) == 0xaa55);
        CHECK(get(image, 0x201, 1) == 0x6a);
        CHECK(get(image, 0x202, 4) == 0x53726448);
        CHECK(get(image, 0x206, 2) == 0x20f);
        CHECK(get(image, 0x210, 1) == 0xff);
        CHECK(get(image, 0x211, 1) == 1);
        CHECK(get(image, 0x22c, 4) == 0x7fff'ffff);
        CHECK(get(image, 0x234, 1) == 0); // stays where it is
        CHECK(get(image, 0x238, 4) == 2047);
        CHECK(get(image, 0x250, 8) == 0);
        CHECK(get(image, 0x258, 8) == 0x100'0000);
        CHECK(get(image, 0x260, 4) == image.kernel.size().raw());
    }
    CHECK(get(*i, 0x236, 2) == 0);
    CHECK(get(*x, 0x236, 2) == 1);
}

TEST_CASE("the entry that the class has not is refused", "[image][vmlinux]")
{
    const memory_map memory = pc();
    const scattered_file i{kernel_32().build()}, x{kernel_64().build()};
    CHECK(
        fault_of(load_vmlinux<elf32_class>(i, {.entry = linux_entry::long_64}, memory.map)) == loading(unsupported, 4));
    CHECK(fault_of(load_vmlinux<elf64_class>(x, {}, memory.map)) == loading(unsupported, 4));
    CHECK(fault_of(load_vmlinux<elf64_class>(i, {.entry = linux_entry::long_64}, memory.map)) ==
        loading(unsupported, 4)); // by load_elf
    CHECK(fault_of(load_vmlinux<elf32_class>(hollow_file{100}, {}, memory.map)) == loading(unknown_format, 0));
}

TEST_CASE("the entry is a byte of the text at its physical address", "[image][vmlinux]")
{
    for (const std::uint32_t entry : {0x100'0000u, 0x100'0bcbu}) {
        auto b = kernel_32();
        b.entry = entry;
        CHECK(load(b)->entry == phys_addr::at(entry));
    }
    for (const std::uint32_t entry : {0u, 0xff'ffffu, 0x100'0bccu, 0x100'1000u, 0xc100'0000u, 0xc100'0010u}) {
        auto b = kernel_32();
        b.entry = entry;
        CHECK(fault_of(load(b)) == loading(entry_not_in_image, entry));
    }
}

TEST_CASE("all of the kernel's pages are free or it is not loaded", "[image][vmlinux]")
{
    const fault no_place = loading(no_room, 0x4000);
    const auto said = [](const linux_request& request, phys_range usable) {
        const memory_map memory{{usable, region_kind::usable}};
        return fault_of(load(kernel_32(), request, memory));
    };
    const phys_range exactly = span_of(0x100'0000, 0x100'3fff);
    CHECK(said({}, exactly) == no_fault);
    CHECK(said({}, span_of(0x100'0001, 0x100'3fff)) == no_place);
    CHECK(said({}, span_of(0x100'0000, 0x100'3ffe)) == no_place);
    CHECK(said({.within = exactly}, exactly) == no_fault);
    CHECK(said({.within = span_of(0x100'0001, 0x100'4fff)}, exactly) == no_place);
    CHECK(said({.within = span_of(0, 0x100'3ffe)}, exactly) == no_place);
    CHECK(said({.within = span_of(0, 0xf'ffff)}, exactly) == no_place);
    for (const std::uint64_t at : {0x100'0000u, 0x100'0bccu, 0x100'3fffu}) {
        const phys_range taken[] = {span_of(at, at)};
        CHECK(said({.taken = taken}, exactly) == no_place);
    }
    const phys_range around[] = {span_of(0, 0xff'ffff), span_of(0x100'4000, ~0ull)};
    CHECK(said({.taken = around}, exactly) == no_fault);
}

TEST_CASE("a kernel below 1 MiB or above 4 GiB is not loaded", "[image][vmlinux]")
{
    const memory_map all{{span_of(0, ~0ull), region_kind::usable}};
    const linux_request everywhere{.within = span_of(0, ~0ull)};
    auto low = kernel_32();
    low.parts[0].p_paddr = 0xf'f000;
    low.entry = 0xf'f000;
    CHECK(fault_of(load(low, everywhere, all)).code == no_room);
    auto high = kernel_64();
    for (auto& p : high.parts)
        p.p_paddr += 1ull << 32;
    high.entry += 1ull << 32;
    CHECK(fault_of(load(high, everywhere, all)) == loading(no_room, 0x1'7000));
    auto whole = kernel_64();
    whole.parts[0].p_paddr = whole.entry = 0;
    whole.parts[1].p_paddr = ~0ull - 0xfff;
    CHECK(fault_of(load(whole, everywhere, all)) == loading(no_room, 0));
}

TEST_CASE("the initrd of a vmlinux lies below 2 GiB and clear of it", "[image][vmlinux]")
{
    const memory_map memory{{span_of(0x10'0000, 0xbfff'ffff), region_kind::usable}};
    const scattered_file kernel{kernel_32().build()};
    const auto image = load_vmlinux<elf32_class>(kernel, hollow_file{0x1001}, {}, memory.map);
    REQUIRE(fault_of(image) == no_fault);
    CHECK(image->initrd == phys_range::of(0x7fff'e000_pa, 0x1001_bytes));
    const segment& last = image->segments[image->segments.size() - 1];
    CHECK(last.destination == *image->initrd);
    CHECK(last.role == segment_role::initrd);
    CHECK(last.what == content::copy);

    const memory_map tight{{span_of(0x100'0000, 0x100'4fff), region_kind::usable}};
    CHECK(load_vmlinux<elf32_class>(kernel, hollow_file{0x1000}, {}, tight.map)->initrd ==
        span_of(0x100'4000, 0x100'4fff));
    CHECK(fault_of(load_vmlinux<elf32_class>(kernel, hollow_file{0x1001}, {}, tight.map)) == loading(no_room, 0x1001));
    CHECK(fault_of(load_vmlinux<elf32_class>(kernel, hollow_file{0}, {}, tight.map)) == loading(empty_image, 0));
}

TEST_CASE("the command line of a vmlinux goes whole or not at all", "[image][vmlinux]")
{
    const std::string longest(2047, 'x'), longer(2048, 'x');
    CHECK(load(kernel_32(), {.command_line = longest})->command_line == longest);
    CHECK(fault_of(load(kernel_32(), {.command_line = longer})) == loading(command_line_too_long, 2048));
    CHECK(fault_of(load(kernel_32(), {.command_line = {"a\0b", 3}})) == loading(command_line_too_long, 3));
}

TEST_CASE("as many segments as an image may have", "[image][vmlinux]")
{
    // Text, and pieces of a byte each with a hole behind: two segments for every program header.
    const auto with = [](unsigned pieces) {
        auto b = kernel_32();
        b.parts.resize(1);
        b.parts[0].p_filesz = b.parts[0].p_memsz = 0x1000;
        for (unsigned i = 0; i < pieces; ++i)
            b.parts.push_back(elf_part<elf32>{
                .offset = 0x2000, .vaddr = 0xc200'0000 + i * 0x1000, .paddr = 0x100'1000 + i * 0x1000, .filesz = 1});
        return b;
    };
    CHECK(load(with(15))->segments.size() == 31);
    CHECK(fault_of(load(with(16))) == loading(no_space, 33));
    const memory_map memory = pc();
    const scattered_file kernel{with(15).build()};
    CHECK(load_vmlinux<elf32_class>(kernel, hollow_file{1}, {}, memory.map)->segments.size() == 32);
    auto full = with(15);
    full.parts.back().p_memsz = 2;
    CHECK(load(full)->segments.size() == 32);
    CHECK(fault_of(load_vmlinux<elf32_class>(scattered_file{full.build()}, hollow_file{1}, {}, memory.map)) ==
        loading(no_space, 33));
}
