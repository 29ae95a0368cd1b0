// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/x86/linux16_image.hpp>

#include <asm/bootparam.h> // linux-libc-dev: the header in the kernel's own words

#include <tests/catch.hpp>
#include <tests/support/bzimage_builder.hpp>

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
    return memory_map{{span_of(0, 0x9'fbff), region_kind::usable}, {span_of(0x9'fc00, 0xf'ffff), region_kind::reserved},
        {span_of(0x10'0000, 0xfff'ffff), region_kind::usable}};
}

result<linux16_image> load(const bytes& file, const linux_request& request = {}, const memory_map& memory = pc())
{
    return load_linux16(scattered_file{file}, request, memory.map);
}

struct page {
    std::byte storage[4096];
    page() { std::fill(std::begin(storage), std::end(storage), std::byte{0xa5}); }
    ::setup_header header() const
    {
        ::setup_header h;
        std::memcpy(&h, storage + 0x1f1, sizeof h);
        return h;
    }
};

} // namespace

TEST_CASE("the real-mode part lies below the EBDA with its heap and its command line", "[x86][linux16_image]")
{
    const auto image = load(bzimage_builder{}.build());
    REQUIRE(fault_of(image) == no_fault);
    CHECK(image->real_mode == 0x8'f000_pa);
    CHECK(image->area() == span_of(0x8'f000, 0x9'efff));
    CHECK(image->setup_page() == span_of(0x8'f000, 0x8'ffff));
    CHECK(image->command_line_at() == 0x9'd000_pa);
    CHECK(image->command_line_page() == span_of(0x9'd000, 0x9'dfff));
    CHECK(image->data_segment() == 0x8f00);
    CHECK(image->entry_segment() == 0x8f20);
    CHECK(image->stack_pointer() == 0xe000);
    CHECK(image->setup_size == 2560_bytes);
    CHECK(image->base.entry == 0x100'0000_pa);
}

TEST_CASE("where 64 KiB are free", "[x86][linux16_image]")
{
    const phys_range high = span_of(0x10'0000, 0xfff'ffff);
    const struct {
        std::vector<phys_range> usable, taken;
        std::uint64_t at; // 0: no room
    } cases[] = {
        {{span_of(0, 0x9'ffff), high}, {}, 0x9'0000},
        {{span_of(0, 0xfff'ffff)}, {}, 0x9'0000}, // never in video memory
        {{span_of(0, 0x9'fffe), high}, {}, 0x8'f000},
        {{span_of(0, 0x9'ffff), high}, {span_of(0x9'8000, 0x9'8000)}, 0x8'8000},
        {{span_of(0, 0x9'ffff), high}, {span_of(0x9'8fff, 0x9'8fff)}, 0x8'8000},
        {{span_of(0, 0x9'ffff), high}, {span_of(0x2'0000, 0x9'ffff)}, 0x1'0000},
        {{span_of(0, 0x9'ffff), high}, {span_of(0x1'1000, 0x9'ffff)}, 0x1000},
        {{span_of(0, 0x9'ffff), high}, {span_of(0x1'0fff, 0x9'ffff)}, 0},
        {{span_of(0x1000, 0x1'0fff), high}, {}, 0x1000},
        {{span_of(0xfff, 0x1'0ffe), high}, {}, 0},
        {{span_of(0x4'0001, 0x5'0ffe), high}, {}, 0},
        {{span_of(0x4'0001, 0x5'0fff), high}, {}, 0x4'1000},
        {{span_of(0x4'0000, 0x4'7fff), span_of(0x4'8001, 0x4'ffff), high}, {}, 0},
        {{high}, {}, 0},
    };
    for (const auto& c : cases) {
        CAPTURE(&c - cases);
        memory_map memory{};
        for (const phys_range r : c.usable)
            REQUIRE(memory.map.add(r, region_kind::usable));
        const auto image = load(bzimage_builder{}.build(), {.taken = c.taken}, memory);
        if (c.at == 0) {
            CHECK(fault_of(image) == loading(no_room, 0x1'0000));
            continue;
        }
        REQUIRE(fault_of(image) == no_fault);
        CHECK(image->real_mode == phys_addr::at(c.at));
        CHECK(image->data_segment() == c.at >> 4);
    }
}

TEST_CASE("the segments are all of the real-mode segment but the two pages that are made", "[x86][linux16_image]")
{
    for (const std::size_t sectors : {1u, 4u, 7u, 8u, 27u, 63u}) {
        CAPTURE(sectors);
        const bytes file = bzimage_builder{.setup_sects = sectors}.build();
        const scattered_file staged{file};
        const memory_map memory = pc();
        const auto image = load_linux16(staged, hollow_file{5000}, {}, memory.map);
        REQUIRE(fault_of(image) == no_fault);
        const std::uint64_t setup = (sectors + 1) * 512;
        CHECK(image->setup_size.raw() == setup);
        REQUIRE(image->base.initrd);
        std::vector<int> covered(0x1'0000);
        std::size_t others = 0;
        for (const segment& s : image->base.segments) {
            if (!s.destination.overlaps(image->area())) {
                ++others;
                continue;
            }
            CHECK(s.what != content::kept);
            REQUIRE(image->area().contains(s.destination));
            const auto first = (s.destination.first() - image->real_mode).raw();
            for (std::uint64_t i = first; i < first + s.destination.size().raw(); ++i) {
                ++covered[static_cast<std::size_t>(i)];
                if ((s.what == content::copy) != (i < setup))
                    FAIL("byte " << i);
            }
            if (s.what == content::copy) {
                CHECK(s.file_offset.raw() == first);
                CHECK(s.file.data() == staged.extents().data());
            } else {
                CHECK(s.what == content::scratch);
            }
        }
        CHECK(others == 4); // kernel, its room, initrd, the BIOS's page
        for (std::size_t i = 0; i < 0x1'0000; ++i)
            if (covered[i] != (i >= 0x1000 && (i < 0xe000 || i >= 0xf000)))
                FAIL("byte " << i << " is in " << covered[i]);
    }
}

TEST_CASE("vectors and BIOS data are kept where something else could come to lie there", "[x86][linux16_image]")
{
    const auto kept = [](const memory_map& memory) {
        const auto image = load(bzimage_builder{}.build(), {}, memory);
        REQUIRE(fault_of(image) == no_fault);
        std::vector<phys_range> found;
        for (const segment& s : image->base.segments)
            if (s.what == content::kept)
                found.push_back(s.destination);
        return found;
    };
    const phys_range high = span_of(0x10'0000, 0xfff'ffff);
    CHECK(kept(pc()) == std::vector{span_of(0, 0xfff)});
    CHECK(kept(memory_map{{span_of(0x1000, 0x9'ffff), region_kind::usable}, {high, region_kind::usable}}).empty());
    CHECK(kept(memory_map{{span_of(1, 0x9'ffff), region_kind::usable}, {high, region_kind::usable}}).empty());
}

TEST_CASE("a real-mode part has at most 32 KiB", "[x86][linux16_image]")
{
    CHECK(load(bzimage_builder{.setup_sects = 63}.build()));
    CHECK(fault_of(load(bzimage_builder{.setup_sects = 64}.build())) == loading(unsupported, 0x1f1));
    CHECK(fault_of(load(bzimage_builder{.setup_sects = 255}.build())) == loading(unsupported, 0x1f1));
    bytes file = bzimage_builder{}.build();
    patch(file, 0x1f1, 1, 0);
    CHECK(load(file)->setup_size == 2560_bytes);
    CHECK(fault_of(load(bytes(5000))) == loading(unknown_format, 0x1fe)); // by load_bzimage
}

TEST_CASE("a kernel that could be entered in 64-bit mode is loaded for 32-bit mode", "[x86][linux16_image]")
{
    const auto image =
        load(bzimage_builder{.xloadflags = 3}.build(), {.within = span_of(0, ~0ull), .entry = linux_entry::long_64},
            memory_map{
                {span_of(0, 0x9'ffff), region_kind::usable}, {span_of(1ull << 32, 2ull << 32), region_kind::usable}});
    CHECK(fault_of(image) == loading(no_room, 0x10'0000));
}

TEST_CASE("the setup page is the file's with the loader's fields", "[x86][linux16_image]")
{
    const bytes file = bzimage_builder{.setup_sects = 10}.build();
    const scattered_file kernel{file};
    const memory_map memory = pc();
    const auto image = load_linux16(kernel, hollow_file{5000}, {.command_line = "quiet"}, memory.map);
    REQUIRE(fault_of(image) == no_fault);
    page out;
    REQUIRE(fault_of(make_setup_page(kernel, *image, out.storage)) == no_fault);
    const ::setup_header h = out.header();
    CHECK(+h.type_of_loader == 0xff);
    CHECK(+h.ext_loader_type == 0);
    CHECK(+h.ext_loader_ver == 0);
    CHECK(+h.loadflags == 0x81);
    CHECK(+h.heap_end_ptr == 0xde00);
    CHECK(+h.code32_start == 0x100'0000);
    CHECK(+h.cmd_line_ptr == 0x9'd000);
    CHECK(+h.ramdisk_image == 0xfff'e000);
    CHECK(+h.ramdisk_size == 5000);
    CHECK(std::uint64_t{h.setup_data} == 0);

    const struct {
        std::size_t at, size;
    } ours[] = {{0x210, 2}, {0x214, 12}, {0x224, 4}, {0x228, 4}, {0x250, 8}};
    for (std::size_t i = 0; i < 4096; ++i) {
        bool written = false;
        for (const auto& o : ours)
            written |= i >= o.at && i < o.at + o.size;
        CAPTURE(i);
        if (!written)
            REQUIRE(out.storage[i] == file[i]);
    }
}

TEST_CASE("loadflags keep what the file says and say that there is a heap", "[x86][linux16_image]")
{
    bytes file = bzimage_builder{}.build();
    patch(file, 0x211, 1, 0x21);
    patch(file, 0x218, 8, ~0ull);
    const scattered_file kernel{file};
    const memory_map memory = pc();
    page out;
    REQUIRE(make_setup_page(kernel, *load_linux16(kernel, {}, memory.map), out.storage));
    CHECK(+out.header().loadflags == 0xa1);
    CHECK(+out.header().ramdisk_image == 0);
    CHECK(+out.header().ramdisk_size == 0);
}

TEST_CASE("a kernel elsewhere is told where and by which alignment", "[x86][linux16_image]")
{
    const memory_map memory{
        {span_of(0, 0x9'ffff), region_kind::usable}, {span_of(0x200'2000, 0x210'1fff), region_kind::usable}};
    const scattered_file kernel{bzimage_builder{}.build()};
    const auto image = load_linux16(kernel, {}, memory.map);
    REQUIRE(image);
    page out;
    REQUIRE(make_setup_page(kernel, *image, out.storage));
    CHECK(+out.header().code32_start == 0x200'2000);
    CHECK(+out.header().kernel_alignment == 0x2000);
    CHECK(+out.header().cmd_line_ptr == 0x9'e000);
}

TEST_CASE("a setup part of less than a page is followed by zeros and not by the kernel", "[x86][linux16_image]")
{
    const bytes file = bzimage_builder{}.build(); // 2560 bytes
    const scattered_file kernel{file};
    const memory_map memory = pc();
    page out;
    REQUIRE(make_setup_page(kernel, *load_linux16(kernel, {}, memory.map), out.storage));
    CHECK(out.storage[2559] == file[2559]);
    for (std::size_t i = 2560; i < 4096; ++i)
        REQUIRE(out.storage[i] == std::byte{0});
    CHECK(fault_of(make_setup_page(hollow_file{77}, *load_linux16(kernel, {}, memory.map), out.storage)) ==
        loading(truncated_image, 77));
}
