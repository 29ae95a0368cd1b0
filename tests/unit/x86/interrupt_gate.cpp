// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/x86/interrupt_gate.hpp>

#include <tests/catch.hpp>

using namespace lobos::x86;

namespace {

/// A gate taken apart byte by byte [intel/vol3 figures 6-2, 6-8].
struct taken_apart {
    explicit taken_apart(std::uint64_t low, std::uint64_t high = 0)
    {
        const auto byte = [low](unsigned i) { return low >> 8 * i & 0xff; };
        handler = byte(0) | byte(1) << 8 | byte(6) << 16 | byte(7) << 24 | (high & 0xffff'ffff) << 32;
        selector = byte(2) | byte(3) << 8;
        stack = byte(4);
        type = byte(5) & 0xf;
        system = byte(5) >> 4 & 1;
        dpl = byte(5) >> 5 & 3;
        present = byte(5) >> 7;
        rest = high >> 32;
    }
    std::uint64_t handler, selector, stack, type, system, dpl, present, rest;
};

void check_kind(const taken_apart& g)
{
    CHECK(g.stack == 0); // no IST
    CHECK(g.type == 14); // an interrupt gate of 32 or 64 bits, not a trap gate
    CHECK(g.system == 0);
    CHECK(g.dpl == 0);
    CHECK(g.present == 1);
    CHECK(g.rest == 0);
}

} // namespace

TEST_CASE("each field of a 32-bit gate is where the manual has it", "[x86][interrupt_gate]")
{
    for (const std::uint32_t handler : {0u, 1u, 0xffffu, 0x1'0000u, 0x1234'5678u, 0xffff'ffffu})
        for (const unsigned selector : {0u, 8u, 0x10u, 0x30u, 0xfff8u}) {
            const taken_apart g{gate_32(static_cast<std::uint16_t>(selector), handler)};
            CAPTURE(handler, selector);
            CHECK(g.handler == handler);
            CHECK(g.selector == selector);
            check_kind(g);
        }
    CHECK(gate_32(0x10, 0x1234'5678) == 0x1234'8e00'0010'5678);
}

TEST_CASE("each field of a 64-bit gate is where the manual has it", "[x86][interrupt_gate]")
{
    const std::uint64_t handlers[] = {0, 0xffff, 0x1'0000, 0xffff'ffff, 0x1'0000'0000, 0xffff'8000'1234'5678};
    for (const std::uint64_t handler : handlers)
        for (const unsigned selector : {8u, 0x40u, 0xfff8u}) {
            const auto words = gate_64(static_cast<std::uint16_t>(selector), handler);
            const taken_apart g{words[0], words[1]};
            CAPTURE(handler, selector);
            CHECK(g.handler == handler);
            CHECK(g.selector == selector);
            check_kind(g);
        }
    CHECK(gate_64(0x40, 0xffff'8000'1234'5678)[0] == 0x1234'8e00'0040'5678);
    CHECK(gate_64(0x40, 0xffff'8000'1234'5678)[1] == 0xffff'8000);
}

TEST_CASE("there is a gate for each exception and the NMI is the third", "[x86][interrupt_gate]")
{
    STATIC_REQUIRE(exception_vectors == 32);
    STATIC_REQUIRE(nmi_vector == 2);
}
