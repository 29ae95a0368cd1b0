// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/image/bzimage.hpp>

#include <string>

#include <tests/catch.hpp>
#include <tests/support/bzimage_builder.hpp>

using namespace lobos;
using namespace lobos::test;
using enum fault_code;

namespace {

constexpr std::uint64_t mib = 1 << 20;

fault loading(fault_code code, std::uint64_t at)
{
    return {code, stage::loading, at};
}

phys_range span_of(std::uint64_t first, std::uint64_t last)
{
    return phys_range::between(phys_addr::at(first), phys_addr::at(last));
}

// A PC with 256 MiB.
memory_map pc()
{
    return memory_map{{span_of(0, 0x9'fbff), region_kind::usable}, {span_of(0x9'fc00, 0xf'ffff), region_kind::reserved},
        {span_of(0x10'0000, 0xfff'ffff), region_kind::usable}};
}

result<linux_image> load(const bytes& file, const linux_request& request = {}, const memory_map& memory = pc())
{
    return load_bzimage(scattered_file{file}, request, memory.map);
}

fault outcome(std::size_t field, std::size_t width, std::uint64_t value)
{
    bytes file = bzimage_builder{}.build();
    patch(file, field, width, value);
    return fault_of(load(file));
}

} // namespace

TEST_CASE("a kernel goes to its preferred address with all the room it asks for")
{
    const bytes file = bzimage_builder{}.build();
    const scattered_file staged{file};
    const memory_map memory = pc();
    const auto image = load_bzimage(staged, {.command_line = "console=ttyS0"}, memory.map);
    REQUIRE(fault_of(image) == no_fault);
    CHECK(image->entry == 0x100'0000_pa);
    CHECK(image->kernel == span_of(0x100'0000, 0x10f'ffff));
    CHECK_FALSE(image->initrd);
    CHECK(image->command_line == "console=ttyS0");
    CHECK(image->version == 0x20f);
    CHECK(image->header_size == 0x26c - 0x1f1);
    for (std::size_t i = 0; i < image->header.size(); ++i)
        REQUIRE(image->header[i] == (i < image->header_size ? file[0x1f1 + i] : std::byte{0}));

    REQUIRE(image->segments.size() == 2);
    const segment& code = image->segments[0];
    CHECK(code.destination == phys_range::of(0x100'0000_pa, byte_count::of(file.size() - 2560)));
    CHECK(code.what == content::copy);
    CHECK(code.role == segment_role::kernel);
    CHECK(code.file_offset == 2560_bytes);
    CHECK(code.file.data() == staged.extents().data());
    CHECK(code.file.size() == staged.extents().size());
    CHECK(image->segments[1].what == content::scratch);
    CHECK(image->segments[1].destination.first() == *address_after(code.destination));
    CHECK(image->segments[1].destination.last() == image->kernel.last());
}

TEST_CASE("is_bzimage looks at the two magic numbers")
{
    bytes file = bzimage_builder{}.build();
    CHECK(is_bzimage(scattered_file{file}));
    for (const std::size_t i : {0x1feu, 0x1ffu, 0x202u, 0x203u, 0x204u, 0x205u}) {
        bytes bad = file;
        bad[i] ^= std::byte{0x80};
        CHECK_FALSE(is_bzimage(scattered_file{bad}));
        CHECK(fault_of(load(bad)) == loading(unknown_format, i < 0x200 ? 0x1fe : 0x202));
    }
    CHECK_FALSE(is_bzimage(hollow_file{1 << 20}));
}

TEST_CASE("a bzImage cut short anywhere is refused")
{
    const bytes whole = bzimage_builder{.trailer = 0}.build();
    for (std::size_t size = 0; size < whole.size(); ++size) {
        if (size > 0x300 && size < whole.size() - 20 && size % 256 > 1)
            continue;
        CAPTURE(size);
        const bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
        const fault wanted = size < 0x200 ? loading(unknown_format, 0x1fe)
            : size < 0x206                ? loading(unknown_format, 0x202)
                                          : loading(truncated_image, size);
        CHECK(fault_of(load(cut)) == wanted);
    }
    CHECK(load(whole));
}

TEST_CASE("the setup header is believed in nothing")
{
    const std::size_t size = bzimage_builder{}.build().size();
    const struct {
        std::size_t field, width;
        std::uint64_t value;
        fault wanted;
    } cases[] = {
        {0x1f1, 1, 0, no_fault}, // means 4
        {0x1f1, 1, 1, no_fault}, // the rest is code then
        {0x1f1, 1, 5, loading(truncated_image, size)},
        {0x1f1, 1, 255, loading(truncated_image, size)},
        {0x1f4, 4, 0, loading(empty_image, 0)},
        {0x1f4, 4, 1, no_fault},
        {0x1f4, 4, 0x234, no_fault},
        {0x1f4, 4, 0x238, no_fault}, // 64 of 72 bytes behind it
        {0x1f4, 4, 0x239, loading(truncated_image, size)},
        {0x1f4, 4, 0x1000'0000, loading(truncated_image, size)}, // times 16 is 2^32
        {0x1f4, 4, 0x1000'0001, loading(truncated_image, size)},
        {0x1f4, 4, 0xffff'ffff, loading(truncated_image, size)},
        {0x201, 1, 0, loading(bad_header, 0x201)},
        {0x201, 1, 0x61, loading(bad_header, 0x201)},
        {0x201, 1, 0x62, no_fault},
        {0x201, 1, 0x7f, no_fault},
        {0x201, 1, 0x80, loading(bad_header, 0x201)},
        {0x201, 1, 0xff, loading(bad_header, 0x201)},
        {0x206, 2, 0, loading(unsupported, 0x206)},
        {0x206, 2, 1, loading(unsupported, 0x206)},
        {0x206, 2, 0x209, loading(unsupported, 0x206)},
        {0x206, 2, 0x20a, no_fault},
        {0x206, 2, 0xffff, no_fault},
        {0x211, 1, 0, loading(unsupported, 0x211)},
        {0x211, 1, 0xfe, loading(unsupported, 0x211)},
        {0x211, 1, 0xff, no_fault},
        {0x230, 4, 0, loading(bad_header, 0x230)},
        {0x230, 4, 1, loading(bad_header, 0x230)},
        {0x230, 4, 0x800, loading(bad_header, 0x230)},
        {0x230, 4, 0xfff, loading(bad_header, 0x230)},
        {0x230, 4, 0x1000, loading(bad_header, 0x235)}, // below the minimum of 2^13
        {0x230, 4, 0x1001, loading(bad_header, 0x230)},
        {0x230, 4, 0x2000, no_fault},
        {0x230, 4, 0x8000'0000, no_fault}, // 16 MiB does for the minimum
        {0x230, 4, 0xffff'ffff, loading(bad_header, 0x230)},
        {0x234, 1, 0, no_fault},
        {0x234, 1, 1, no_fault},
        {0x234, 1, 255, no_fault},
        {0x235, 1, 0, no_fault},
        {0x235, 1, 1, no_fault},
        {0x235, 1, 21, no_fault},
        {0x235, 1, 22, loading(bad_header, 0x235)},
        {0x235, 1, 31, loading(bad_header, 0x235)},
        {0x235, 1, 32, loading(bad_header, 0x235)},
        {0x235, 1, 64, loading(bad_header, 0x235)},
        {0x235, 1, 85, loading(bad_header, 0x235)}, // 21, were it taken modulo 64
        {0x235, 1, 255, loading(bad_header, 0x235)},
        {0x258, 8, 0, no_fault},
        {0x258, 8, 0xfe0'0000, no_fault},
        {0x258, 8, 0xff0'0000, no_fault},              // with a lesser alignment
        {0x258, 8, 0xff0'0001, loading(no_room, mib)}, // aligned up it would end past the memory
        {0x258, 8, 0xffff'ffff, loading(no_room, mib)},
        {0x258, 8, 0x1'0000'0000, loading(no_room, mib)},
        {0x258, 8, ~0ull, loading(no_room, mib)},
        {0x260, 4, 0, loading(bad_header, 0x260)},
        {0x260, 4, 1, loading(bad_header, 0x260)},
        {0x260, 4, size - 2561, loading(bad_header, 0x260)},
        {0x260, 4, size - 2560, no_fault},
        {0x260, 4, size - 2559, no_fault},
        {0x260, 4, 0xf00'0000, no_fault},
        {0x260, 4, 0xf00'0001, loading(no_room, 0xf00'0001)},
        {0x260, 4, 0xffff'ffff, loading(no_room, 0xffff'ffff)},
    };
    for (const auto& c : cases) {
        CAPTURE(c.field, c.value);
        CHECK(outcome(c.field, c.width, c.value) == c.wanted);
    }
}

TEST_CASE("fields that mean nothing here may hold anything")
{
    for (std::size_t at = 0x1f1; at < 0x290; ++at) {
        const bool meant = at == 0x1f1 || (at >= 0x1f4 && at < 0x1f8) || (at >= 0x1fe && at < 0x200) ||
            (at >= 0x201 && at < 0x208) || at == 0x211 || (at >= 0x230 && at < 0x236) || (at >= 0x258 && at < 0x264);
        if (!meant)
            for (const unsigned value : {0u, 1u, 0x7fu, 0x80u, 0xffu}) {
                CAPTURE(at, value);
                CHECK(outcome(at, 1, value) == no_fault);
            }
    }
}

TEST_CASE("setup sectors 0 means 4, and the scratch goes when nothing is left of it")
{
    bytes file = bzimage_builder{}.build();
    const std::size_t code = file.size() - 2560;
    patch(file, 0x1f1, 1, 0);
    patch(file, 0x260, 4, code);
    auto image = load(file);
    REQUIRE(image);
    REQUIRE(image->segments.size() == 1);
    CHECK(image->segments[0].file_offset == 2560_bytes);
    CHECK(image->segments[0].destination == image->kernel);
    patch(file, 0x260, 4, code + 1);
    image = load(file);
    REQUIRE(image->segments.size() == 2);
    CHECK(image->segments[1].destination.size() == 1_bytes);

    file = bzimage_builder{.setup_sects = 1}.build();
    image = load(file);
    REQUIRE(image);
    CHECK(image->segments[0].file_offset == 1024_bytes);
}

TEST_CASE("where the kernel goes")
{
    const std::uint64_t size = mib, pref = 16 * mib;
    const region_kind usable = region_kind::usable, reserved = region_kind::reserved;
    struct expectation {
        const char* what;
        std::vector<region> memory;
        std::vector<phys_range> taken;
        phys_range within;
        bool relocatable;
        std::uint64_t at;                    // 0: no room
        std::uint32_t alignment = 0x20'0000; // as the header says afterwards
    };
    const region all{span_of(0, 0xfff'ffff), usable};
    const expectation cases[] = {
        {"exactly the footprint is usable", {{span_of(pref, pref + size - 1), usable}}, {}, below_4g, true, pref},
        {"the same, not relocatable", {{span_of(pref, pref + size - 1), usable}}, {}, below_4g, false, pref},
        {"one byte is missing at its end", {{span_of(pref, pref + size - 2), usable}}, {}, below_4g, true, 0},
        {"the same, not relocatable", {{span_of(pref, pref + size - 2), usable}}, {}, below_4g, false, 0},
        {"one byte is missing at its start", {{span_of(pref + 1, pref + size), usable}}, {}, below_4g, false, 0},
        {"last byte reserved", {all, {span_of(pref + size - 1, pref + size - 1), reserved}}, {}, below_4g, true,
            18 * mib},
        {"last byte reserved, fixed", {all, {span_of(pref + size - 1, pref + size - 1), reserved}}, {}, below_4g, false,
            0},
        {"the byte after it reserved", {all, {span_of(pref + size, pref + size), reserved}}, {}, below_4g, true, pref},
        {"last byte taken", {all}, {span_of(pref + size - 1, pref + size - 1)}, below_4g, true, 18 * mib},
        {"last byte taken, fixed", {all}, {span_of(pref + size - 1, pref + size - 1)}, below_4g, false, 0},
        {"first byte taken", {all}, {span_of(0, pref)}, below_4g, true, 18 * mib},
        {"neighbours taken", {all}, {span_of(pref + size, pref + size), span_of(pref - 1, pref - 1)}, below_4g, false,
            pref},
        {"two holes closed", {all}, {span_of(18 * mib, 18 * mib), span_of(pref, pref)}, below_4g, true, 20 * mib},
        {"safe and ACPI memory is not usable",
            {all, {span_of(pref, pref), region_kind::safe},
                {span_of(18 * mib, 18 * mib), region_kind::acpi_reclaimable}},
            {}, below_4g, true, 20 * mib},
        {"free memory lower down is never used", {{span_of(0, pref + size - 2), usable}}, {}, below_4g, true, 0},
        {"nor above 4 GiB", {{span_of(1ull << 32, 1ull << 33), usable}}, {}, below_4g, true, 0},
        {"nor across 4 GiB", {{span_of((1ull << 32) - size + 1, 1ull << 33), usable}}, {}, below_4g, true, 0},
        {"up to 4 GiB, of the least alignment", {{span_of((1ull << 32) - size, 1ull << 33), usable}}, {}, below_4g,
            true, (1ull << 32) - size, 0x10'0000},
        {"aligned less than preferred", {{span_of(40 * mib + 0x1fff, 41 * mib + 0x1fff), usable}}, {}, below_4g, true,
            40 * mib + 0x2000, 0x2000},
        {"but not less than it can be", {{span_of(40 * mib + 0x2001, 41 * mib + 0x3ffe), usable}}, {}, below_4g, true,
            0},
        {"the larger alignment wins over the lower place",
            {{span_of(40 * mib + 0x1'0000, 42 * mib - 1), usable}, {span_of(64 * mib, 65 * mib - 1), usable}}, {},
            below_4g, true, 64 * mib},
        {"within, to the byte", {all}, {}, span_of(pref, pref + size - 1), false, pref},
        {"within less", {all}, {}, span_of(pref, pref + size - 2), false, 0},
        {"within more above", {all}, {}, span_of(pref + 1, 0xfff'ffff), false, 0},
        {"within above", {all}, {}, span_of(pref + 1, 0xfff'ffff), true, 18 * mib},
        {"within below", {all}, {}, span_of(0, pref - 1), true, 0},
        {"within the last bytes of all", {all}, {}, span_of(~0ull, ~0ull), true, 0},
        {"no memory", {}, {}, below_4g, true, 0},
    };
    for (const auto& c : cases) {
        CAPTURE(c.what);
        memory_map memory{};
        for (const region& r : c.memory)
            REQUIRE(memory.map.add(r.range, r.kind));
        const auto image =
            load(bzimage_builder{.relocatable = c.relocatable}.build(), {.within = c.within, .taken = c.taken}, memory);
        if (c.at == 0) {
            CHECK(fault_of(image) == loading(no_room, size));
            continue;
        }
        REQUIRE(fault_of(image) == no_fault);
        CHECK(image->kernel == phys_range::of(phys_addr::at(c.at), byte_count::of(size)));
        CHECK(image->entry == image->kernel.first());
        CHECK(get_field<std::uint32_t>(image->header, setup_header::kernel_alignment) == c.alignment);
    }
}

TEST_CASE("a preferred address below 1 MiB")
{
    const memory_map memory{{span_of(0, 0xfff'ffff), region_kind::usable}};
    bzimage_builder b{.pref_address = 0xf'f000, .kernel_alignment = 0x1000, .min_alignment = 0};
    CHECK(load(b.build(), {}, memory)->entry == 0x10'0000_pa);
    b.relocatable = false;
    CHECK(fault_of(load(b.build(), {}, memory)) == loading(no_room, mib));
    b.pref_address = 0x10'0000;
    CHECK(load(b.build(), {}, memory)->entry == 0x10'0000_pa);
}

TEST_CASE("a kernel that is not relocatable needs no alignment")
{
    bytes file = bzimage_builder{.kernel_alignment = 0, .min_alignment = 99, .relocatable = false}.build();
    CHECK(load(file));
    for (const std::uint64_t pref : {0xffff'f000ull, 1ull << 32, ~0ull, ~0ull - mib + 1, ~0ull - mib + 2}) {
        patch(file, 0x258, 8, pref);
        CHECK(fault_of(load(file)) == loading(no_room, mib));
    }
}

TEST_CASE("the command line goes whole or not at all")
{
    const struct {
        std::uint32_t limit;
        std::size_t length;
        bool fits;
    } cases[] = {{0, 0, true}, {0, 1, false}, {1, 1, true}, {1, 2, false}, {2047, 2046, true}, {2047, 2047, true},
        {2047, 2048, false}, {4095, 4095, true}, {4095, 4096, false}, {4096, 4096, false}, {~0u, 4095, true},
        {~0u, 4096, false}, {~0u, 1 << 20, false}};
    for (const auto& c : cases) {
        CAPTURE(c.limit, c.length);
        const std::string line(c.length, 'x');
        const auto image = load(bzimage_builder{.cmdline_size = c.limit}.build(), {.command_line = line});
        CHECK(fault_of(image) == (c.fits ? no_fault : loading(command_line_too_long, c.length)));
        if (image)
            CHECK(image->command_line == line);
    }
    for (const std::size_t at : {0u, 3u, 6u}) {
        std::string line = "quiet 1";
        line[at] = '\0';
        CHECK(fault_of(load(bzimage_builder{}.build(), {.command_line = line})) == loading(command_line_too_long, 7));
    }
}

TEST_CASE("where the initrd goes")
{
    const std::uint64_t top = 0x1000'0000; // the end of pc()
    struct expectation {
        const char* what;
        std::uint64_t size;
        std::uint32_t addr_max;
        std::vector<phys_range> taken;
        phys_range within;
        std::uint64_t at; // 0: no room
    };
    const expectation cases[] = {
        {"one byte", 1, 0x7fff'ffff, {}, below_4g, top - 0x1000},
        {"a page less one", 0xfff, 0x7fff'ffff, {}, below_4g, top - 0x1000},
        {"a page", 0x1000, 0x7fff'ffff, {}, below_4g, top - 0x1000},
        {"a page and one", 0x1001, 0x7fff'ffff, {}, below_4g, top - 0x2000},
        {"the kernel reaches up to the byte", 0x1000, 0x7ff'ffff, {}, below_4g, 0x7ff'f000},
        {"one byte less costs a page", 0x1000, 0x7ff'fffe, {}, below_4g, 0x7ff'e000},
        {"one byte more gains nothing", 0x1000, 0x800'0000, {}, below_4g, 0x7ff'f000},
        {"all addresses", 0x1000, 0xffff'ffff, {}, below_4g, top - 0x1000},
        {"none", 1, 0, {}, below_4g, 0},
        {"none above 1 MiB", 1, 0xf'ffff, {}, below_4g, 0},
        {"the first page above 1 MiB", 0x1000, 0x10'0fff, {}, below_4g, 0x10'0000},
        {"and one byte less", 1, 0x10'0ffe, {}, below_4g, 0},
        {"within", 0x1000, 0x7fff'ffff, {}, span_of(0, 0x7ff'ffff), 0x7ff'f000},
        {"last byte of the highest place taken", 0x1000, 0x7fff'ffff, {span_of(top - 1, top - 1)}, below_4g,
            top - 0x2000},
        {"the rest of its last page taken", 1, 0x7fff'ffff, {span_of(top - 1, top - 1)}, below_4g, top - 0x2000},
        {"all above the kernel taken", 0x1000, 0x7fff'ffff, {span_of(0x110'0000, top)}, below_4g, 0xff'f000},
        {"all above the kernel, exactly", top - 0x110'0000, 0x7fff'ffff, {}, below_4g, 0x110'0000},
        {"one byte more, and below it is less", top - 0x110'0000 + 1, 0x7fff'ffff, {}, below_4g, 0},
        {"all below the kernel, exactly", 0xf0'0000, 0x1ff'ffff, {span_of(0x110'0000, top)}, below_4g, 0x10'0000},
        {"one byte more", 0xf0'0001, 0x1ff'ffff, {span_of(0x110'0000, top)}, below_4g, 0},
        {"4 GiB less one", 0xffff'ffff, 0xffff'ffff, {}, below_4g, 0},
        {"4 GiB", 1ull << 32, 0xffff'ffff, {}, below_4g, 0},
        {"4 GiB and one", (1ull << 32) + 1, 0xffff'ffff, {}, below_4g, 0},
        {"the most", ~0ull, 0xffff'ffff, {}, below_4g, 0},
    };
    for (const auto& c : cases) {
        CAPTURE(c.what);
        const memory_map memory = pc();
        const scattered_file kernel{bzimage_builder{.initrd_addr_max = c.addr_max}.build()};
        const auto image =
            load_bzimage(kernel, hollow_file{c.size}, {.within = c.within, .taken = c.taken}, memory.map);
        if (c.at == 0) {
            CHECK(fault_of(image) == loading(no_room, c.size));
            continue;
        }
        REQUIRE(fault_of(image) == no_fault);
        CHECK(image->entry == 0x100'0000_pa);
        CHECK(image->initrd == phys_range::of(phys_addr::at(c.at), byte_count::of(c.size)));
        REQUIRE(image->segments.size() == 3);
        CHECK(image->segments[2].destination == *image->initrd);
        CHECK(image->segments[2].role == segment_role::initrd);
        CHECK(image->segments[2].what == content::copy);
        CHECK(image->segments[2].file_offset == 0_bytes);
    }
    const memory_map memory = pc();
    const scattered_file kernel{bzimage_builder{}.build()};
    CHECK(fault_of(load_bzimage(kernel, hollow_file{0}, {}, memory.map)) == loading(empty_image, 0));
    const scattered_file initrd{bytes(5000)};
    const auto image = load_bzimage(kernel, initrd, {}, memory.map);
    CHECK(image->segments[2].file.data() == initrd.extents().data());
    CHECK(image->initrd->size() == 5000_bytes);
}

TEST_CASE("the initrd begins in no page of the kernel")
{
    const memory_map memory{{span_of(16 * mib, 17 * mib + 0x1fff), region_kind::usable}};
    const auto at = [&](std::uint32_t init_size) {
        const scattered_file kernel{bzimage_builder{.init_size = init_size}.build()};
        const auto image = load_bzimage(kernel, hollow_file{0x1001}, {}, memory.map);
        return image ? image->initrd->first().raw() : 0;
    };
    CHECK(at(mib - 1) == 17 * mib);
    CHECK(at(mib) == 17 * mib);
    CHECK(at(mib + 1) == 0);
}

TEST_CASE("kernel, initrd, safe regions and unusable memory never overlap")
{
    std::size_t placed = 0;
    for (unsigned world = 0; world < 256; ++world) {
        // From 16 MiB on eight pieces of 1 MiB, free or reserved; a taken page moves through them.
        memory_map memory{};
        for (unsigned i = 0; i < 8; ++i)
            REQUIRE(memory.map.add(span_of((16 + i) * mib, (17 + i) * mib - 1),
                (world >> i & 1) != 0 ? region_kind::usable : region_kind::reserved));
        for (unsigned t = 0; t < 8; ++t)
            for (const std::uint64_t size : {std::uint64_t{1}, mib - 1, mib, 2 * mib + 1}) {
                const phys_range taken[] = {phys_range::of(phys_addr::at((16 + t) * mib + 0x8'0000), 4_KiB)};
                const scattered_file kernel{bzimage_builder{.init_size = 0x18'0000}.build(), {4096}};
                const auto image = load_bzimage(kernel, hollow_file{size}, {.taken = taken}, memory.map);
                if (!image)
                    continue;
                ++placed;
                bool apart = !image->initrd->overlaps(image->kernel);
                for (const segment& s : image->segments)
                    apart &=
                        !s.destination.overlaps(taken[0]) && !memory.map.first_not(region_kind::usable, s.destination);
                REQUIRE(apart);
            }
    }
    CHECK(placed > 500);
}

namespace {

// A machine with 8 GiB, 3 of them below 4 GiB.
memory_map large_pc()
{
    return memory_map{{span_of(0, 0x9'fbff), region_kind::usable},
        {span_of(0x10'0000, 0xbfff'ffff), region_kind::usable},
        {span_of(0x1'0000'0000, 0x2'3fff'ffff), region_kind::usable}};
}

constexpr phys_range everywhere = phys_range::between(0_pa, phys_addr::at(~0ull));
constexpr phys_range above = phys_range::between(0x1'0000'0000_pa, phys_addr::at(~0ull));

} // namespace

TEST_CASE("the 64-bit entry lies 0x200 behind the 32-bit one")
{
    const auto image = load(bzimage_builder{.xloadflags = 1}.build());
    CHECK(image->entry == 0x100'0000_pa);
    CHECK(image->entry_64 == 0x100'0200_pa);
    CHECK_FALSE(image->above_4g);
    CHECK(load(bzimage_builder{.xloadflags = 3}.build())->above_4g);
    CHECK(load(bzimage_builder{.version = 0x20c, .xloadflags = 3}.build())->above_4g);

    for (const unsigned flags : {0x0000u, 0xfffcu, 0xfffeu, 0x0002u}) { // the second without the first says nothing
        const auto none = load(bzimage_builder{.xloadflags = static_cast<std::uint16_t>(flags)}.build());
        CHECK_FALSE(none->entry_64);
        CHECK_FALSE(none->above_4g);
    }
    const auto old = load(bzimage_builder{.version = 0x20b, .xloadflags = 3}.build());
    CHECK_FALSE(old->entry_64);
    CHECK_FALSE(old->above_4g);
    // A file that ends before it has none either.
    CHECK_FALSE(load(bzimage_builder{.code = 0x200, .trailer = 0, .xloadflags = 3}.build())->entry_64);
    CHECK(load(bzimage_builder{.code = 0x210, .trailer = 0, .xloadflags = 3}.build())->entry_64);
}

TEST_CASE("an image without a 64-bit entry cannot be entered there")
{
    for (const auto& b :
        {bzimage_builder{}, bzimage_builder{.xloadflags = 2}, bzimage_builder{.version = 0x20b, .xloadflags = 3}})
        CHECK(fault_of(load(b.build(), {.entry = linux_entry::long_64})) == loading(unsupported, 0x236));
    CHECK(load(bzimage_builder{.xloadflags = 1}.build(), {.entry = linux_entry::long_64}));
}

TEST_CASE("who goes above 4 GiB")
{
    const struct {
        std::uint16_t flags;
        linux_entry entry;
        phys_range within;
        std::uint64_t kernel; // 0: no room
        std::uint64_t initrd;
    } cases[] = {
        {3, linux_entry::long_64, above, 0x1'0000'0000, 0x2'3fff'e000},
        {3, linux_entry::long_64, everywhere, 0x100'0000, 0x2'3fff'e000}, // the lowest place, and the highest
        {3, linux_entry::long_64, below_4g, 0x100'0000, 0xbfff'e000},     // initrd_addr_max does not count here
        {3, linux_entry::long_64, span_of(0xffff'ffff, 0x1'0010'1fff), 0x1'0000'0000, 0x1'0010'0000},
        {3, linux_entry::protected_32, above, 0, 0},
        {3, linux_entry::protected_32, everywhere, 0x100'0000, 0x7fff'e000},
        {1, linux_entry::long_64, above, 0, 0},
        {1, linux_entry::long_64, everywhere, 0x100'0000, 0x7fff'e000},
        {1, linux_entry::protected_32, everywhere, 0x100'0000, 0x7fff'e000},
    };
    for (const auto& c : cases) {
        CAPTURE(c.flags, c.kernel, c.initrd);
        const scattered_file kernel{bzimage_builder{.xloadflags = c.flags}.build()};
        const memory_map memory = large_pc();
        const auto image =
            load_bzimage(kernel, hollow_file{0x1800}, {.within = c.within, .entry = c.entry}, memory.map);
        if (c.kernel == 0) {
            CHECK(fault_of(image) == loading(no_room, mib));
            continue;
        }
        REQUIRE(fault_of(image) == no_fault);
        CHECK(image->kernel == phys_range::of(phys_addr::at(c.kernel), byte_count::of(mib)));
        CHECK(image->entry_64 == phys_addr::at(c.kernel + 0x200));
        CHECK(image->initrd == phys_range::of(phys_addr::at(c.initrd), 0x1800_bytes));
    }
}

TEST_CASE("a kernel linked above 4 GiB")
{
    const memory_map memory = large_pc();
    const linux_request request{.within = everywhere, .entry = linux_entry::long_64};
    bzimage_builder b{.pref_address = 0x1'8000'0000, .relocatable = false, .xloadflags = 3};
    CHECK(load(b.build(), request, memory)->entry_64 == 0x1'8000'0200_pa);
    b.xloadflags = 1;
    CHECK(fault_of(load(b.build(), request, memory)) == loading(no_room, mib));
}

TEST_CASE("an initrd of 4 GiB and more needs memory above")
{
    const scattered_file kernel{bzimage_builder{.xloadflags = 3}.build()};
    const memory_map memory = large_pc();
    const auto load_with = [&](std::uint64_t size, linux_entry entry) {
        return load_bzimage(kernel, hollow_file{size}, {.within = everywhere, .entry = entry}, memory.map);
    };
    CHECK(load_with(0x1'4000'0000, linux_entry::long_64)->initrd == span_of(0x1'0000'0000, 0x2'3fff'ffff));
    CHECK(fault_of(load_with(0x1'4000'0001, linux_entry::long_64)) == loading(no_room, 0x1'4000'0001));
    CHECK(fault_of(load_with(0x1'0000'0000, linux_entry::protected_32)) == loading(no_room, 0x1'0000'0000));
    for (const std::uint64_t size : {~0ull, ~0ull - 0xffe, ~0ull - 0xfff, ~0ull - 0x1000})
        CHECK(fault_of(load_with(size, linux_entry::long_64)) == loading(no_room, size));
}

TEST_CASE("a kernel in the last bytes of the address space")
{
    const std::uint64_t at = ~0ull - mib + 1;
    const memory_map memory{
        {span_of(at, ~0ull), region_kind::usable}, {span_of(0x10'0000, 0x10'0fff), region_kind::usable}};
    const scattered_file kernel{bzimage_builder{.xloadflags = 3}.build()};
    const linux_request request{.within = everywhere, .entry = linux_entry::long_64};
    const auto image = load_bzimage(kernel, hollow_file{1}, request, memory.map);
    REQUIRE(fault_of(image) == no_fault);
    CHECK(image->kernel == span_of(at, ~0ull));
    CHECK(image->initrd == span_of(0x10'0000, 0x10'0000));
}
