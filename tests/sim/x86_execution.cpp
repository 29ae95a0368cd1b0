// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// Instructions one by one, without and with long mode.

#include <lobos/sim/x86_execution.hpp>

#include <tests/catch.hpp>

using namespace lobos;
using namespace lobos::literals;
using enum sim::x86_segments::name;
using r = sim::x86_registers;

namespace {

/// A processor in flat 32-bit segments; descriptors at 0x1000: flat code, flat data, 64-bit code.
struct processor : sim::x86_execution {
    processor() : x86_execution{ram}
    {
        ram.add_ram(phys_range::of(0_pa, 2_MiB));
        const std::uint64_t table[] = {0, 0x00cf'9b00'0000'ffff, 0x00cf'9300'0000'ffff, 0x00af'9b00'0000'ffff};
        ram.write(0x1000_pa, std::as_bytes(std::span{table}));
        gdtr = {0x1000, sizeof table - 1};
        segments.load(cs, 0x08, gdtr);
        for (const auto name : {ds, es, fs, gs, ss})
            segments.load(name, 0x10, gdtr);
        general.wide.fill(0xeeee'eeee'eeee'eeee);
        general[r::sp] = 0x5000;
    }
    /// Into 64-bit code, with 2 MB at either end of the lower half and at the beginning.
    void go_long()
    {
        const auto put = [&](std::uint64_t at, std::uint64_t entry) { lobos::store(ram, phys_addr::at(at), entry); };
        for (std::uint64_t at = 0x8000; at < 0xd000; at += 8)
            put(at, 0);
        put(0x8000, 0x9003);
        put(0x8000 + 8 * 255, 0xb003); // up to 0x7fff'ffff'ffff
        put(0x9000, 0xa003);
        put(0xa000, 0x83);
        put(0xb000 + 8 * 511, 0xc003);
        put(0xc000 + 8 * 511, 0x83);
        mmu.load_cr4(0x20);
        mmu.load_cr3(0x8000);
        mmu.load_efer(0x100);
        mmu.load_cr0(0x8000'0001);
        segments.load(cs, 0x18, gdtr);
    }
    /// Puts a piece at an address.
    void put(sim::x86_pieces::code_piece c, phys_addr at)
    {
        for (std::size_t i = 0; i < sim::x86_pieces::size(c); ++i)
            lobos::store(ram, at + byte_count::of(i), sim::x86_pieces::byte_of(c, i));
    }
    template <class Act> static unsigned vector(Act act)
    {
        try {
            act();
        } catch (const sim::machine_error& e) {
            return e.code() ? e.code()->vector : 0;
        }
        return ~0u;
    }

    sim::memory ram;
};

constexpr unsigned nothing = ~0u;
constexpr unsigned gp = sim::x86_vector::general_protection;
constexpr auto hub = sim::x86_pieces::of(x86::piece::hub, false);
constexpr auto depart_64 = sim::x86_pieces::of(x86::piece::depart, true);

} // namespace

TEST_CASE("a piece is found by its beginning, and runs as long as its bytes are there")
{
    processor p;
    p.put(hub, 0x2ffd_pa); // an instruction lies across the end of a page
    CHECK(p.begin(0x2ffd) == x86::piece::hub);
    CHECK_THROWS_AS(p.begin(0x2fff), sim::machine_error); // in its midst
    p.begin(0x2ffd);
    p.next(3);
    CHECK(p.next_at() == 0x3003);
    p.skip(2);
    store(p.ram, 0x3008_pa, std::byte{0});
    CHECK_THROWS_AS(p.next(), sim::machine_error);
}

TEST_CASE("code runs in its own width")
{
    processor p;
    p.put(depart_64, 0x2000_pa);
    p.put(hub, 0x3000_pa);
    p.begin(0x2000);
    CHECK(processor::vector([&] { p.next(); }) == 0);
    p.begin(0x3000);
    CHECK(processor::vector([&] { p.next(); }) == nothing);
    p.go_long();
    p.begin(0x2000);
    CHECK(processor::vector([&] { p.next(); }) == nothing);
    p.begin(0x3000);
    CHECK(processor::vector([&] { p.next(); }) == 0);
    p.segments.load(cs, 0x08, p.gdtr); // compatibility mode
    p.begin(0x3000);
    CHECK(processor::vector([&] { p.next(); }) == nothing);
}

TEST_CASE("a half of a register leaves zeros in the other, and a stack grows by what is pushed")
{
    processor p;
    p.push(std::uint32_t{0x1122'3344});
    CHECK(p.general[r::sp] == 0x4ffc);
    CHECK(p.on_stack(std::uint32_t{0}) == 0x1122'3344);
    p.set(r::ax, p.pop<std::uint32_t>());
    CHECK(p.general[r::ax] == 0x1122'3344);
    CHECK(p.general[r::cx] == 0xeeee'eeee'eeee'eeee);
    p.go_long();
    p.push(std::uint64_t{0x1122'3344'5566'7788});
    CHECK(p.general[r::sp] == 0x4ff8);
    CHECK(p.pop<std::uint64_t>() == 0x1122'3344'5566'7788);
}

TEST_CASE("fields are found by what bx holds, all of it in 64-bit code, across pages and up to where addresses end")
{
    processor p;
    store(p.ram, 0x2ffc_pa, std::uint64_t{0x8877'6655'4433'2211});
    p.general[r::bx] = 0xffff'ffff'0000'3070; // the frame's middle
    CHECK(p.field<std::uint32_t>(12) == 0x4433'2211);
    p.load_table(p.idtr, 12);
    CHECK(p.idtr.limit == 0x2211);
    CHECK(p.idtr.base == 0x6655'4433); // 32 bits of it
    p.go_long();
    CHECK(processor::vector([&] { (void)p.field<std::uint32_t>(12); }) == sim::x86_vector::page_fault);
    p.general[r::bx] = 0x3070;
    CHECK(p.field<std::uint64_t>(12) == 0x8877'6655'4433'2211);
    p.load_table(p.idtr, 10);
    CHECK(p.idtr.base == 0x8877'6655'4433'2211);
    p.general[r::bx] = 0x7fff'ffff'fff0;
    CHECK(processor::vector([&] { (void)p.field<std::uint64_t>(128 + 8); }) == nothing);
    CHECK(processor::vector([&] { (void)p.field<std::uint64_t>(128 + 9); }) == gp);
}

TEST_CASE("a far return takes code of the width that the stack names")
{
    processor p;
    p.put(hub, 0x2000_pa);
    p.put(depart_64, 0x3000_pa);
    p.go_long();
    p.begin(0x3000);
    p.push(std::uint64_t{0x08});
    p.push(std::uint64_t{0x2000});
    CHECK(p.far_return<std::uint64_t>() == 0x2000);
    CHECK_FALSE(p.segments.code_64());
    CHECK(p.general[r::sp] == 0x5000);
    p.begin(0x2000);
    p.push(std::uint32_t{0x18});
    p.push(std::uint32_t{0x3000});
    CHECK(p.far_return<std::uint32_t>() == 0x3000);
    CHECK(p.segments.code_64());
}

TEST_CASE("from the load of its gates on an instruction wants the guard")
{
    processor p;
    p.put(hub, 0x2000_pa);
    p.begin(0x2000);
    p.next();
    p.guarding = true;
    CHECK_THROWS_AS(p.next(), sim::machine_error); // there is none here
}
