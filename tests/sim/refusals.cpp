// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

#include <functional>

#include <tests/support/scenario.hpp>

using namespace lobos;
using namespace lobos::test;

namespace {

/// What can change in the machine between prepare and commit.
struct disturbance {
    const char* what;
    void (*apply)(linux_scenario&, const exec_plan&);
    fault_code expected;
};

void flip(sim::memory& memory, phys_addr at)
{
    store(memory, at, static_cast<std::uint8_t>(load<std::uint8_t>(memory, at) ^ 0x10));
}

phys_addr place_of(const exec_plan& plan, safe_role role)
{
    for (const safe_region& r : plan.safe)
        if (r.role == role)
            return r.range.first();
    FAIL("no such region");
    return {};
}

/// Where byte `offset` of a segment lies, once it is staged: in its destination already, or still in the file's pages.
phys_addr source_of(const segment& s, std::uint64_t offset)
{
    content_cursor c{s};
    for (extent piece = c.take(c.left()); piece.size.raw() != 0; piece = c.take(c.left())) {
        if (offset < piece.size.raw())
            return piece.at + byte_count::of(offset);
        offset -= piece.size.raw();
    }
    FAIL("the segment is shorter");
    return {};
}

} // namespace

TEST_CASE("whatever changes between prepare and commit is found, and named")
{
    const disturbance all[] = {
        {"memory map", [](linux_scenario& s, const exec_plan&) { ++s.machine.generation; },
            fault_code::memory_map_changed},
        {"table root",
            [](linux_scenario& s, const exec_plan&) {
                auto& mmu = s.machine.processor().mmu;
                mmu.load_cr3(mmu.cr3() + 0x1000);
            },
            fault_code::table_root_changed},
        {"write protection",
            [](linux_scenario& s, const exec_plan&) {
                auto& mmu = s.machine.processor().mmu;
                mmu.load_cr0(mmu.cr0() ^ x86::cr0::write_protect);
            },
            fault_code::table_root_changed},
        {"descriptor table", [](linux_scenario& s, const exec_plan&) { s.machine.processor().gdtr.base += 8; },
            fault_code::descriptor_table_changed},
        {"descriptor limit", [](linux_scenario& s, const exec_plan&) { s.machine.processor().gdtr.limit -= 8; },
            fault_code::descriptor_table_changed},
        {"staged kernel",
            [](linux_scenario& s, const exec_plan& p) { flip(s.machine.memory(), source_of(p.image.front(), 12'365)); },
            fault_code::staged_image_changed},
        {"staged initrd",
            [](linux_scenario& s, const exec_plan& p) {
                const segment& initrd = p.image.back();
                flip(s.machine.memory(), source_of(initrd, initrd.destination.size().raw() - 1));
            },
            fault_code::staged_image_changed},
        {"steps",
            [](linux_scenario& s, const exec_plan& p) {
                flip(s.machine.memory(), place_of(p, safe_role::plan) + byte_count::of(40));
            },
            fault_code::staged_image_changed},
        {"tables",
            [](linux_scenario& s, const exec_plan& p) {
                flip(s.machine.memory(), place_of(p, safe_role::page_table) + byte_count::of(4092));
            },
            fault_code::staged_image_changed},
        {"code", [](linux_scenario& s, const exec_plan& p) { flip(s.machine.memory(), place_of(p, safe_role::code)); },
            fault_code::staged_image_changed},
        {"frame",
            [](linux_scenario& s, const exec_plan& p) {
                flip(s.machine.memory(), place_of(p, safe_role::frame) + byte_count::of(3));
            },
            fault_code::staged_image_changed},
        {"descriptors of a mode",
            [](linux_scenario& s, const exec_plan& p) {
                flip(s.machine.memory(), place_of(p, safe_role::mode) + byte_count::of(3072 + 13 * 8));
            },
            fault_code::staged_image_changed},
        {"parameters",
            [](linux_scenario& s, const exec_plan& p) {
                flip(s.machine.memory(), place_of(p, safe_role::parameters) + byte_count::of(0x2d0));
            },
            fault_code::staged_image_changed},
    };
    const bool early = GENERATE(true, false); // what can be put into place at once, or nothing
    for (const disturbance& d : all) {
        CAPTURE(d.what, early);
        linux_scenario s{5};
        s.machine.injected.fail_every(sim::glue_call::allocate_page_at, !early);
        const auto image = s.load();
        REQUIRE(image);
        const x86::linux32_entry contract{*image};
        auto staged = prepare(s.machine, contract);
        REQUIRE(staged);
        d.apply(s, staged->plan());
        const auto outcome = run(*staged);
        REQUIRE(std::holds_alternative<fault>(outcome));
        CHECK(std::get<fault>(outcome).code == d.expected);
        CHECK(std::get<fault>(outcome).in == stage::committing);
        CHECK_FALSE(s.machine.gone);
        CHECK(s.machine.processor().state.interrupts);
        CHECK(s.machine.processor().record.count() == 0);
    }
}

namespace {

/// Something that happens while the staged bytes are looked at once more.
std::function<void()> meanwhile;

struct slow_checksum {
    crc32c sum;
    void update(std::span<const std::byte> bytes)
    {
        sum.update(bytes);
        if (auto happens = std::exchange(meanwhile, {}))
            happens();
    }
    auto value() const { return sum.value(); }
};

} // namespace

TEST_CASE("what changes while the checksums are compared is found, too")
{
    linux_scenario s{6};
    const auto image = s.load();
    REQUIRE(image);
    const x86::linux32_entry contract{*image};
    auto staged = prepare<slow_checksum>(s.machine, contract);
    REQUIRE(staged);
    SECTION("the memory map")
    {
        meanwhile = [&] { ++s.machine.generation; };
        CHECK(std::get<fault>(run(*staged)).code == fault_code::memory_map_changed);
    }
    SECTION("the machine")
    {
        auto& mmu = s.machine.processor().mmu;
        meanwhile = [&] { mmu.load_cr0(mmu.cr0() ^ x86::cr0::write_protect); };
        CHECK(std::get<fault>(run(*staged)).code == fault_code::table_root_changed);
    }
    CHECK_FALSE(meanwhile);
    CHECK_FALSE(s.machine.gone);
}

TEST_CASE("a changed segment is named by its destination")
{
    linux_scenario s{6};
    const auto image = s.load();
    REQUIRE(image);
    const x86::linux32_entry contract{*image};
    auto staged = prepare(s.machine, contract);
    REQUIRE(staged);
    REQUIRE(staged->plan().image.back().destination == *image->initrd);
    flip(s.machine.memory(), source_of(staged->plan().image.back(), 0x1000));
    CHECK(std::get<fault>(run(*staged)).at == image->initrd->first().raw());
}

TEST_CASE("a kernel that is not in the port's mode is refused")
{
    linux_scenario s{0};
    const auto image = s.load();
    REQUIRE(image);
    auto& mmu = s.machine.processor().mmu;
    for (unsigned i = 0; i < 4; ++i) // pointers to nothing, since others would not be loaded
        store(s.machine.memory(), phys_addr::at(mmu.cr3() + 8 * i), std::uint64_t{0});
    mmu.load_cr4(mmu.cr4() | x86::cr4::wide_pages);
    const x86::linux32_entry contract{*image};
    const auto staged = prepare(s.machine, contract);
    REQUIRE_FALSE(staged);
    CHECK(staged.error().code == fault_code::unsupported);
    CHECK(s.machine.pages_taken() == s.kernel_file.extents.size() + s.initrd_file.extents.size());
}

TEST_CASE("an image on a surviving region is refused unless it declares padding there")
{
    paged_scenario s{2};
    elf_builder without = paged_scenario::image();
    without.parts.pop_back();
    s.kernel_file = s.machine.stage(without.build());
    const auto contract = s.load();
    REQUIRE(contract);
    const std::size_t pages = s.machine.pages_taken();
    const auto staged = prepare(s.machine, *contract);
    REQUIRE_FALSE(staged);
    CHECK(staged.error() ==
        fault{fault_code::destination_not_usable, stage::planning, paged_scenario::log_region.first().raw()});
    CHECK(s.machine.pages_taken() == pages);
    CHECK(s.machine.workspaces_taken() == 0);
}

TEST_CASE("an image that says that it is larger than any memory is refused before a frame is looked at")
{
    paged_scenario s{2};
    elf_builder large = paged_scenario::image();
    const phys_addr end = s.machine.map().regions().back().range.last() + 1_bytes;
    for (const phys_addr beyond : {end + 4_KiB, phys_addr::at(0x3000'0000)}) {
        CAPTURE(beyond);
        large.parts[0].p_memsz = static_cast<std::uint32_t>(beyond.raw() - large.parts[0].p_paddr);
        s.kernel_file = s.machine.stage(large.build());
        const auto contract = s.load();
        REQUIRE(contract);
        const auto staged = prepare(s.machine, *contract);
        REQUIRE_FALSE(staged);
        REQUIRE(staged.error() == fault{fault_code::destination_not_usable, stage::planning, end.raw()});
    }
}

TEST_CASE("what is larger than memory is refused")
{
    SECTION("the kernel")
    {
        auto large = linux_scenario::small_linux();
        large.init_size = 16u << 20;
        linux_scenario s{0, large};
        const auto image = s.load();
        REQUIRE_FALSE(image);
        CHECK(image.error().code == fault_code::no_room);
    }
    SECTION("the initrd, once the kernel has its place")
    {
        linux_scenario s{0, linux_scenario::small_linux(), 3u << 20};
        REQUIRE(s.machine.map().add(phys_range::of(phys_addr::at(0x28'0000), 4_MiB), region_kind::reserved));
        const auto image = s.load();
        REQUIRE_FALSE(image);
        CHECK(image.error() == fault{fault_code::no_room, stage::loading, 3u << 20});
    }
}

TEST_CASE("a command line that is too long is refused, never cut")
{
    linux_scenario s{0};
    CHECK(s.load(std::string(2047, 'x')));
    const auto image = s.load(std::string(2048, 'x'));
    REQUIRE_FALSE(image);
    CHECK(image.error() == fault{fault_code::command_line_too_long, stage::loading, 2048});
}

TEST_CASE("a memory map of overlaps is one map, and one with too many regions for the boot parameters is refused")
{
    linux_scenario s{4};
    // Lies outside RAM: it is only told on. Every other page is reserved, in any order and twice.
    const auto add = [&](std::uint64_t i, region_kind kind, byte_count size) {
        return s.machine.map().add(phys_range::of(phys_addr::at((16u << 20) + i * 0x1000), size), kind).has_value();
    };
    const auto outcome = [&]() -> result<void> {
        const auto image = s.load();
        REQUIRE(image);
        const x86::linux32_entry contract{*image};
        const auto staged = prepare(s.machine, contract);
        if (!staged)
            return std::unexpected{staged.error()};
        return {};
    };
    REQUIRE(add(0, region_kind::acpi_nvs, byte_count::of(0x20'0000)));
    for (std::uint64_t i = 0; i < 100; i += 2)
        REQUIRE((add(98 - i, region_kind::reserved, 4_KiB) && add(98 - i, region_kind::acpi_reclaimable, 4_KiB)));
    CHECK(s.machine.memory_map().regions().size() == 1 + 100);
    CHECK(outcome());

    const std::size_t pages = s.machine.pages_taken();
    for (std::uint64_t i = 100; i < 200; i += 2)
        REQUIRE(add(i, region_kind::reserved, 4_KiB));
    REQUIRE(s.machine.memory_map().regions().size() == 201);
    const auto refused = outcome();
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == fault_code::too_many_regions);
    CHECK(refused.error().at > 200);
    CHECK(s.machine.pages_taken() == pages);
    CHECK(s.machine.workspaces_taken() == 0);
}
