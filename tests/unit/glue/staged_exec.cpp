// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

#include <tests/support/scenario.hpp>

using namespace lobos;
using namespace lobos::test;
using namespace lobos::literals;

namespace {

std::uint32_t checksum_of(std::uint32_t seed, std::string_view command_line, std::size_t initrd = 0x1'2345)
{
    linux_scenario s{seed, linux_scenario::small_linux(), initrd};
    const auto image = s.load(command_line);
    REQUIRE(image);
    const x86::linux32_entry contract{*image};
    const auto staged = prepare(s.machine, contract);
    REQUIRE(staged);
    return staged->checksum();
}

/// Tells one word, in the image itself.
struct told_contract : raw_contract {
    std::uint64_t word = 0;
    template <physical_memory M>
    result<void> write_parameters(
        M& memory, const region_map&, std::span<const phys_addr> pages, std::span<std::byte>) const
    {
        store(memory, pages[0], word);
        return {};
    }
};

} // namespace

TEST_CASE("pages belong to one staged exec, whoever it is moved to")
{
    linux_scenario s{2};
    const auto image = s.load();
    REQUIRE(image);
    const x86::linux32_entry contract{*image};
    const std::size_t pages = s.machine.pages_taken();
    {
        auto first = prepare(s.machine, contract);
        REQUIRE(first);
        const std::size_t taken = s.machine.pages_taken();
        {
            auto second = std::move(*first);
            CHECK(s.machine.pages_taken() == taken);
            CHECK(second.plan().safe.size() > 5);
        }
        CHECK(s.machine.pages_taken() == pages);
    }
    CHECK(s.machine.pages_taken() == pages);
    CHECK(s.machine.workspaces_taken() == 0);
    CHECK(s.machine.wrong_frees == 0);
}

TEST_CASE("two execs are staged beside each other, and either one goes")
{
    linux_scenario s{2};
    const auto image = s.load();
    REQUIRE(image);
    const x86::linux32_entry contract{*image};
    auto first = prepare(s.machine, contract);
    auto second = prepare(s.machine, contract);
    REQUIRE(first);
    REQUIRE(second);
    for (const safe_region& a : first->plan().safe)
        for (const safe_region& b : second->plan().safe)
            CHECK_FALSE(a.range.overlaps(b.range));
    CHECK(std::holds_alternative<sim::entry_state>(run(*second)));
}

TEST_CASE("the checksum is of what the exec does, not of what the new kernel is told")
{
    CHECK(checksum_of(3, "quiet") == checksum_of(3, "quiet"));
    CHECK(checksum_of(3, "quiet") == checksum_of(3, "verbose"));
    CHECK(checksum_of(3, "quiet") != checksum_of(4, "quiet"));
    CHECK(checksum_of(3, "quiet") != checksum_of(3, "quiet", 0x1'2346));
}

TEST_CASE("nor is it of what is told in the image itself, though a change of that is seen")
{
    const auto checksum_with = [](std::uint64_t word) {
        sim::x86_kernel machine{8_MiB};
        const auto file = machine.stage(bytes(0x1000, std::byte{0x5a}));
        told_contract contract{{{{.destination = phys_range::of(0x40'0000_pa, 4_KiB), .file = file.extents},
                                   {.destination = phys_range::of(0x40'2000_pa, 4_KiB), .what = content::parameters}}},
            word};
        auto staged = prepare(machine, contract);
        REQUIRE(staged);
        const std::uint32_t sum = staged->checksum();
        for (const safe_region& r : staged->plan().safe)
            if (r.role == safe_role::parameters)
                store(machine.memory(), r.range.first(), word + 1);
        const auto refused = run(*staged);
        REQUIRE(std::holds_alternative<fault>(refused));
        CHECK(std::get<fault>(refused) == fault{fault_code::staged_image_changed, stage::committing, 0x40'2000});
        return sum;
    };
    CHECK(checksum_with(1) == checksum_with(2));
}

TEST_CASE("the checksum is of where the bytes go, too")
{
    // A page that lies in its destination needs no step, and a file that is kept none either: all that differs is where
    // that file is said to lie, among bytes that are all the same.
    const auto checksum_at = [](byte_count offset) {
        sim::x86_kernel machine{8_MiB};
        const auto file = machine.stage(bytes(0x2000, std::byte{0x5a}));
        const phys_addr at = file.extents.front().at;
        const raw_contract contract{{{.destination = phys_range::of(at, 4_KiB), .file = file.extents},
            {.destination = phys_range::of(at + 4_KiB + offset, 1_KiB), .what = content::kept}}};
        const auto staged = prepare(machine, contract);
        REQUIRE(staged);
        CHECK(staged->plan().cost.steps == 0);
        return staged->checksum();
    };
    CHECK(checksum_at(0_bytes) == checksum_at(0_bytes));
    CHECK(checksum_at(0_bytes) != checksum_at(1_KiB));
}

TEST_CASE("a file that the new kernel finds where it lies must not change either")
{
    sim::x86_kernel machine{8_MiB};
    const auto file = machine.stage(bytes(0x1800, std::byte{0x5a}));
    const phys_addr module = file.extents[1].at;
    raw_contract contract{{{.destination = phys_range::of(phys_addr::at(0x40'0000), 4_KiB), .file = file.extents},
        {.destination = phys_range::of(module, 2_KiB), .what = content::kept, .role = segment_role::module}}};
    auto staged = prepare(machine, contract);
    REQUIRE(staged);
    store(machine.memory(), module + 2_KiB, std::byte{1}); // behind it
    store(machine.memory(), module + 0x7ff_bytes, std::byte{0x5b});
    const auto refused = run(*staged);
    REQUIRE(std::holds_alternative<fault>(refused));
    CHECK(std::get<fault>(refused) == fault{fault_code::staged_image_changed, stage::committing, module.raw()});
    store(machine.memory(), module + 0x7ff_bytes, std::byte{0x5a});
    CHECK(std::holds_alternative<sim::entry_state>(run(*staged)));
}
