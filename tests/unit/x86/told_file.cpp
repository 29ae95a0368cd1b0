// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/x86/told_file.hpp>

#include <lobos/image/multiboot.hpp>
#include <lobos/image/multiboot2.hpp>
#include <lobos/image/pvh.hpp>

#include <tests/catch.hpp>
#include <tests/support/note_builder.hpp>

using namespace lobos;
using namespace lobos::test;

namespace {

/// `content` in two pieces, the image loaded from it by `load`, and what rule 11 reads of it.
struct told {
    byte_memory memory{0x1'0000};
    extent pieces[2];
    std::vector<segment> image;

    told(const bytes& content, auto load)
        : pieces{{0x8000_pa, 0x30_bytes}, {0x1000_pa, byte_count::of(content.size() - 0x30)}}
    {
        memory.write(0x8000_pa, std::span{content}.first(0x30));
        memory.write(0x1000_pa, std::span{content}.subspan(0x30));
        const auto loaded = load(staged_file{memory, pieces});
        REQUIRE(fault_of(loaded) == no_fault);
        entry = loaded->entry.raw();
        image.push_back({.role = segment_role::module}); // not the kernel's
        image.push_back({.what = content::zero});
        image.insert(image.end(), loaded->segments.begin(), loaded->segments.end());
    }
    std::uint64_t entry = 0;
    x86::told_file<byte_memory> file() { return {memory, image}; }
};

template <class Class> bytes low_kernel(std::uint64_t entry)
{
    auto kernel = small_kernel<Class>();
    kernel.parts[0].p_paddr = 0x10'0000;
    kernel.parts[2].p_paddr = 0x10'1000;
    kernel.entry = static_cast<typename Class::address>(entry);
    return kernel.build();
}

template <class... Words> void put_words(bytes& file, std::size_t at, Words... words)
{
    for (const std::uint32_t w : {static_cast<std::uint32_t>(words)...}) {
        patch(file, at, 4, w);
        at += 4;
    }
}

} // namespace

TEMPLATE_TEST_CASE("the entry of an ELF file, as it stands and translated", "", elf32, elf64)
{
    const auto load = [](const auto& file) { return load_flat_elf(file); };
    told low{low_kernel<TestType>(0x10'0010), load};
    CHECK(low.entry == 0x10'0010);
    CHECK(low.file().is_elf_entry(0x10'0010_pa));
    CHECK_FALSE(low.file().is_elf_entry(0x10'0011_pa));
    told high{low_kernel<TestType>(TestType::virt + 0x122), load};
    CHECK(high.entry == 0x10'0122);
    CHECK(high.file().is_elf_entry(0x10'0122_pa));
    CHECK_FALSE(high.file().is_elf_entry(0x10'0121_pa));
    CHECK_FALSE(high.file().is_elf_entry(0x10'1122_pa));
    CHECK(high.file().is_linked_entry(virt_addr::at(TestType::virt + 0x122)));
    CHECK_FALSE(high.file().is_linked_entry(0x10'0122_va));
    CHECK_FALSE(low.file().is_multiboot_entry(0x10'0010_pa));
    CHECK_FALSE(low.file().is_pvh_entry(0x10'0010_pa));
}

TEMPLATE_TEST_CASE("the entry of a multiboot file", "", elf32, elf64)
{
    const auto load = [](const auto& file) { return load_multiboot(file); };
    bytes file = low_kernel<TestType>(TestType::virt + 0x20);
    put_words(file, 0x200, 0x1bad'b002, 0, 0u - 0x1bad'b002u);
    told elf{file, load};
    CHECK(elf.file().is_multiboot_entry(phys_addr::at(elf.entry)));
    CHECK_FALSE(elf.file().is_multiboot_entry(0x10'0000_pa));
    put_words(file, 0x200, 0x1bad'b002, 0x1'0000, 0u - 0x1bad'b002u - 0x1'0000u, 0x20'0000, 0x20'0000, 0, 0, 0x20'0040);
    told kludge{file, load};
    CHECK(kludge.entry == 0x20'0040);
    CHECK(kludge.file().is_multiboot_entry(0x20'0040_pa));
    CHECK_FALSE(kludge.file().is_multiboot_entry(0x10'0020_pa));
}

TEMPLATE_TEST_CASE("the entry of a multiboot 2 file", "", elf32, elf64)
{
    const auto load = [](const auto& file) { return load_multiboot2(file); };
    bytes file = low_kernel<TestType>(TestType::virt + 0x20);
    const auto header = [&](std::uint32_t size) {
        put_words(file, 0x200, 0xe852'50d6, 0, size, 0u - 0xe852'50d6u - size);
    };
    header(24);
    put_words(file, 0x210, 0, 8);
    told elf{file, load};
    CHECK(elf.file().is_multiboot2_entry(phys_addr::at(elf.entry)));
    CHECK_FALSE(elf.file().is_multiboot2_entry(0x10'0000_pa));
    header(56);
    put_words(file, 0x210, 1, 12, 4, 0, 3, 12, 0x10'0044, 0, 0, 8);
    told tagged{file, load};
    CHECK(tagged.entry == 0x10'0044);
    CHECK(tagged.file().is_multiboot2_entry(0x10'0044_pa));
    CHECK_FALSE(tagged.file().is_multiboot2_entry(0x10'0020_pa));
}

TEMPLATE_TEST_CASE("the entry that a note of Xen's names", "", elf32, elf64)
{
    for (const std::size_t width : {4u, 8u}) {
        told t{pvh_kernel<TestType>(0x10'0100, width), [](const auto& file) { return load_pvh(file); }};
        CHECK(t.entry == 0x10'0100);
        CHECK(t.file().is_pvh_entry(0x10'0100_pa));
        CHECK_FALSE(t.file().is_pvh_entry(0x10'0104_pa));
    }
}

TEMPLATE_TEST_CASE("notes end where the file does, whatever its header says", "", elf32, elf64)
{
    using address = typename TestType::address;
    const auto load = [](const auto& file) { return load_flat_elf(file); };
    for (const address size : {static_cast<address>(0x7fff'ffff'ffff'fff0), static_cast<address>(~address{0})}) {
        auto kernel = small_kernel<TestType>();
        kernel.parts[0].p_paddr = 0x10'0000;
        kernel.parts[2].p_paddr = 0x10'1000;
        kernel.parts[1] = note_part<TestType>(0x400, size, 4);
        told t{kernel.build(), load};
        CHECK_FALSE(t.file().is_pvh_entry(0x10'0100_pa));
    }
}

TEST_CASE("no file names no entry")
{
    byte_memory memory{0};
    const x86::told_file file{memory, std::span<const segment>{}};
    CHECK_FALSE(file.is_elf_entry(0_pa));
    CHECK_FALSE(file.is_linked_entry(0_va));
    CHECK_FALSE(file.is_multiboot_entry(0_pa));
    CHECK_FALSE(file.is_multiboot2_entry(0_pa));
    CHECK_FALSE(file.is_pvh_entry(0_pa));
}
