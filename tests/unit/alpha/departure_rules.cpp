// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/alpha/departure_rules.hpp>

#include <tests/catch.hpp>
#include <tests/support/alpha_departing.hpp>

using namespace lobos;
using namespace lobos::alpha;
using namespace lobos::test;

namespace {

using world = alpha_departing;
constexpr std::uint64_t kseg_code = alpha_kseg + world::code, kseg_frame = alpha_kseg + world::frame;

// The frame's fields, by their offsets in the assembly.
constexpr std::uint64_t self = 0, context_physical = 8, guard = 16, copy = 24, leave = 32, program_physical = 40,
                        entry = 48, argument = 56, vptb = 64, trail = 72, halt_flags = 80, reset_at = 104,
                        reset_value = 112, ksp = 128, usp = 136, ptbr = 144, cycles = 152, asn = 156, unique = 160,
                        flags = 168, program_trail = 264;

fault broken_at(std::uint64_t at)
{
    return {fault_code::entry_contract_broken, stage::verifying, at};
}
const fault frame_broken = broken_at(world::frame);
const fault halt_broken = broken_at(world::frame + 80);
const fault reset_broken = broken_at(world::frame + 104);
const fault context_broken = broken_at(world::frame + 128);
const fault code_broken = broken_at(world::code);
const fault root_broken = broken_at(world::root);

/// A machinery that is sound.
world sound()
{
    world w;
    REQUIRE(fault_of(w.write()) == no_fault);
    REQUIRE(fault_of(w.sound()) == no_fault);
    return w;
}

/// What is said when one value in memory is another.
fault said(std::uint64_t address, std::uint64_t value, unsigned width = 8)
{
    world w = sound();
    w.poke(address, value, width);
    return fault_of(w.sound());
}
fault said_of_frame(std::uint64_t offset, std::uint64_t value, unsigned width = 8)
{
    return said(world::frame + offset, value, width);
}

/// And when the plan is another.
template <class Change> fault planned(Change change)
{
    world w = sound();
    change(w);
    return fault_of(w.sound());
}

/// A machinery for another plan, written as that says.
template <class Change> fault written(Change change)
{
    world w;
    change(w);
    REQUIRE(fault_of(w.write()) == no_fault);
    return fault_of(w.sound());
}

} // namespace

TEST_CASE("every bit of what the departure goes by counts", "[alpha][departure_rules]")
{
    world good = sound();
    const struct {
        std::uint64_t address;
        fault wanted;
    } fields[] = {
        {world::frame + self, frame_broken},
        {world::frame + context_physical, context_broken},
        {world::frame + program_physical, frame_broken},
        {world::frame + entry, frame_broken},
        {world::frame + trail, frame_broken},
        {world::frame + ksp, context_broken},
        {world::frame + ptbr, context_broken},
        {world::code, code_broken},
        {world::code + 8, code_broken},
    };
    for (const auto& f : fields)
        for (unsigned bit = 0; bit < 64; ++bit) {
            CAPTURE(f.address, bit);
            CHECK(said(f.address, good.at(f.address) ^ std::uint64_t{1} << bit) == f.wanted);
        }
}

TEST_CASE("what nothing relies on may be anything", "[alpha][departure_rules]")
{
    for (const std::uint64_t field : {argument, reset_value, usp, unique})
        CHECK(said_of_frame(field, ~0ull) == no_fault);
    CHECK(said_of_frame(cycles, ~0u, 4) == no_fault);
}

TEST_CASE("an Alpha's addresses of code are instructions behind the head of the code", "[alpha][departure_rules]")
{
    for (const std::uint64_t field : {copy, leave, guard}) {
        const std::uint64_t needed = field == guard ? 6 * 8 : 4;
        const std::uint64_t last = kseg_code + world::code_size - needed;
        CAPTURE(field);
        CHECK(said_of_frame(field, kseg_code + 16) == no_fault);
        CHECK(said_of_frame(field, last) == no_fault);
        for (const std::uint64_t wrong : {std::uint64_t{0}, world::code + 16, kseg_code, kseg_code + 12, kseg_code + 17,
                 kseg_code + 18, kseg_code + 20 - 1, last + 4, kseg_code + world::code_size, kseg_code + 0x2000,
                 kseg_frame, kseg_code - 4, ~std::uint64_t{3}}) {
            CAPTURE(wrong);
            CHECK(said_of_frame(field, wrong) == frame_broken);
        }
    }
}

TEST_CASE("the frame is the plan's, and leads to a paged image by a paged copy", "[alpha][departure_rules]")
{
    CHECK(planned([](auto& w) { w.plan.entered_paged = false; }) == frame_broken);
    CHECK(planned([](auto& w) { w.plan.regime = copy_regime::unpaged; }) == frame_broken);
    CHECK(planned([](auto& w) { w.plan.entry = w.plan.entry + 4_bytes; }) == frame_broken);
    CHECK(planned([](auto& w) {
        w.plan.program = w.plan.program + 8_bytes;
        w.poke(world::frame + program_physical, w.plan.program.raw());
    }) == frame_broken);
    CHECK(planned([](auto& w) { w.plan.code_size = 139_bytes; }) == no_fault);
    CHECK(planned([](auto& w) { w.plan.code_size = 127_bytes; }) == frame_broken); // the last of the guard's entries
}

TEST_CASE("an instruction is entered at a multiple of 4", "[alpha][departure_rules]")
{
    for (const std::uint64_t odd : {1u, 2u, 3u})
        CHECK(written([&](auto& w) { w.plan.entry = w.plan.entry + byte_count::of(odd); }) == frame_broken);
    CHECK(written([](auto& w) { w.plan.entry = w.plan.entry + 4_bytes; }) == no_fault);
}

TEST_CASE("the breadcrumb is the program's, where kseg has it", "[alpha][departure_rules]")
{
    const auto trails = [](std::uint64_t told, std::uint64_t seen) {
        world w = sound();
        w.poke(world::frame + program_trail, told);
        w.poke(world::frame + trail, seen);
        return fault_of(w.sound());
    };
    CHECK(trails(0x1'c000, alpha_kseg + 0x1'c000) == no_fault);
    CHECK(trails(0x1'c000, 0x1'c000) == frame_broken);
    CHECK(trails(0x1'c000, alpha_kseg + world::untold) == frame_broken);
    CHECK(trails(~0ull, alpha_kseg + world::untold) == no_fault); // none: the program's own
    CHECK(trails(~0ull, ~0ull) == frame_broken);
    CHECK(trails(0x100'0000'0000, alpha_kseg + 0x100'0000'0000) == frame_broken); // not memory
}

TEST_CASE("the word for a halt lies in nobody's safe page", "[alpha][departure_rules]")
{
    constexpr std::uint64_t elsewhere = alpha_kseg + 0x6'0000;
    CHECK(said_of_frame(halt_flags, 0) == no_fault);
    CHECK(said_of_frame(halt_flags, elsewhere) == no_fault);
    for (const std::uint64_t wrong : {elsewhere + 4, elsewhere + 1, std::uint64_t{0x6'0000}, ~std::uint64_t{7},
             std::uint64_t{0xffff'fd01'fc00'03f8}}) // no quadword, not in kseg, I/O
        CHECK(said_of_frame(halt_flags, wrong) == halt_broken);
    for (const std::uint64_t page : {world::code, world::stack, world::frame, world::root}) {
        CHECK(said_of_frame(halt_flags, alpha_kseg + page) == halt_broken);
        CHECK(said_of_frame(halt_flags, alpha_kseg + page + 0x1ff8) == halt_broken);
    }
    using enum safe_role;
    for (const safe_role role :
        {safe_role::code, safe_role::stack, safe_role::frame, mode, page_table, plan, bounce, parameters, log}) {
        world w = sound();
        w.safe.push_back({world::page_at(0x6'0000), role});
        w.poke(world::frame + halt_flags, elsewhere);
        CAPTURE(to_string(role));
        CHECK(fault_of(w.sound()) == (role == parameters || role == log ? no_fault : halt_broken));
    }
}

TEST_CASE(
    "what a halt is to lead to is a cold bootstrap, with the rest of its word as it is", "[alpha][departure_rules]")
{
    for (unsigned bit = 0; bit < 64; ++bit) {
        CAPTURE(bit);
        CHECK(said_of_frame(88, 0x2'0000 ^ std::uint64_t{1} << bit) == halt_broken);
        CHECK(said_of_frame(96, 0xffff'ffff'ff00'fffe ^ std::uint64_t{1} << bit) == halt_broken);
    }
}

TEST_CASE("what resets the machine is a device in kseg", "[alpha][departure_rules]")
{
    CHECK(said_of_frame(reset_at, 0) == no_fault); // nobody knows of one
    for (const std::uint64_t io : {0xffff'fd00'0000'0000ull, 0xffff'fd01'fc00'0064ull, 0xffff'fdff'ffff'ffffull})
        CHECK(said_of_frame(reset_at, io) == no_fault);
    // On a 21164A, where the map knows of no memory.
    for (const std::uint64_t io : {0xffff'fc89'0000'0064ull, 0xffff'fcff'ffff'ffffull})
        CHECK(said_of_frame(reset_at, io) == no_fault);
    for (const std::uint64_t wrong : {0xffff'fc00'0006'0000ull, 0xffff'fe00'0000'0000ull, 0x801'fc00'0064ull, 1ull,
             ~0ull}) // memory, no kseg, physical
        CHECK(said_of_frame(reset_at, wrong) == reset_broken);
}

TEST_CASE("the context has the copy's stack and tables, and floating point", "[alpha][departure_rules]")
{
    world good = sound();
    CHECK(good.at(world::frame + ksp) == alpha_kseg + world::stack + 0x2000);
    CHECK(good.at(world::frame + ptbr) == world::root / 0x2000);
    for (unsigned bit = 0; bit < 32; ++bit)
        CHECK(said_of_frame(asn, std::uint64_t{1} << bit, 4) == context_broken);
    for (unsigned bit = 0; bit < 64; ++bit) { // only whether the image is told of what is not aligned, is left to it
        CAPTURE(bit);
        CHECK(said_of_frame(flags, 1 ^ std::uint64_t{1} << bit) == (bit == 63 ? no_fault : context_broken));
    }
    CHECK(planned([](auto& w) { w.plan.new_root = w.plan.new_root + 8_bytes; }) == context_broken);
    CHECK(planned([](auto& w) { w.plan.stack = w.plan.stack + 8_bytes; }) == context_broken);
    CHECK(planned([](auto& w) { w.plan.new_root = 0x2000'0000'0000_pa; }) == context_broken);
}

TEST_CASE("the context lies as the PALcode wants it", "[alpha][departure_rules]")
{
    const auto moved = [](std::uint64_t by) {
        return written([&](auto& w) {
            w.plan.frame = w.plan.frame + byte_count::of(by);
            w.plan.program = w.plan.program + byte_count::of(by);
        });
    };
    CHECK(moved(128) == no_fault);
    for (const std::uint64_t by : {8u, 16u, 64u})
        CHECK(moved(by) == broken_at(world::frame + by + 128));
}

TEST_CASE("the root can be seen at VPTB", "[alpha][departure_rules]")
{
    CHECK(said(world::vptb_entry, alpha_entry(world::root, 0x101)) == no_fault);
    CHECK(said(world::vptb_entry, 0) == root_broken);
    CHECK(said(world::vptb_entry, alpha_entry(world::root, 0x1100)) == root_broken); // not valid
    CHECK(said(world::vptb_entry, alpha_entry(world::root, 0x1001)) == root_broken); // not the kernel's to read
    CHECK(said(world::vptb_entry, alpha_entry(world::root + 0x2000)) == root_broken);
    CHECK(said_of_frame(vptb, world::linux_vptb) == no_fault); // which is made as well
    CHECK(said_of_frame(vptb, 0x4'0000'0000) == root_broken);
    CHECK(said_of_frame(vptb, world::vptb + 0x2000) == root_broken);
    CHECK(said_of_frame(vptb, alpha_kseg) == root_broken);
}

TEST_CASE("the pages of the departure are memory that kseg reaches, to their last byte", "[alpha][departure_rules]")
{
    constexpr std::uint64_t end = 0x100'0000'0000;
    const auto at = [](phys_addr exec_plan::* page, std::uint64_t place) {
        return planned([&](auto& w) { w.plan.*page = phys_addr::at(place); });
    };
    for (const auto page : {&exec_plan::code, &exec_plan::stack, &exec_plan::frame}) {
        CHECK(at(page, end) == broken_at(end));
        CHECK(at(page, end - 0x1000) == broken_at(end - 0x1000));
    }
    CHECK(written([](auto& w) { w.plan.stack = phys_addr::at(end - 0x2000); }) == no_fault);
}

TEST_CASE("no safe region shares a quadword with what is copied", "[alpha][departure_rules]")
{
    const auto with = [](std::uint64_t first, std::uint64_t last) {
        return planned([&](auto& w) {
            w.safe.push_back({phys_range::between(phys_addr::at(first), phys_addr::at(last)), safe_role::log});
        });
    };
    CHECK(with(0x6'0008, 0x6'000f) == no_fault);
    for (std::uint64_t odd = 1; odd < 8; ++odd) {
        CHECK(with(0x6'0000 + odd, 0x6'1fff) == fault{fault_code::misaligned, stage::verifying, 0x6'0000 + odd});
        CHECK(with(0x6'0000, 0x6'1fff - odd) == fault{fault_code::misaligned, stage::verifying, 0x6'0000});
    }
}
