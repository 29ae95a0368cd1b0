// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/alpha/hwpcb.hpp>

#include <cstring>

#include <tests/catch.hpp>
#include <tests/support/byte_memory.hpp>

using namespace lobos;
using namespace lobos::alpha;
using namespace lobos::test;
using enum fault_code;

namespace {

fault staging(fault_code code, std::uint64_t at)
{
    return {code, stage::staging, at};
}

} // namespace

TEST_CASE("a context, byte for byte", "[alpha][hwpcb]")
{
    const auto made = make_hwpcb(virt_addr::at(0xffff'fc00'0123'4560), 0x0765'4000_pa, hwpcb_flag::floating_point);
    REQUIRE(made);
    bytes memory(128, std::byte{0xa5});
    std::memcpy(memory.data(), &*made, 128);
    for (std::size_t offset = 0; offset < 128; offset += 8) {
        CAPTURE(offset);
        const std::uint64_t wanted = offset == 0 ? 0xffff'fc00'0123'4560
            : offset == 16                       ? 0x3b2a // pages, not bytes
            : offset == 40                       ? 1
                                                 : 0;
        CHECK(peek(memory, offset, 8) == wanted);
    }
    CHECK(make_hwpcb(0_va, 0_pa, hwpcb_flag::no_alignment_traps)->flags == 1ull << 63);
    CHECK(make_hwpcb(0_va, 0_pa, hwpcb_flag::performance_monitor)->flags == 1ull << 62);
}

TEST_CASE("a stack or a table that the PALcode cannot use is refused", "[alpha][hwpcb]")
{
    for (const std::uint64_t stack : {1u, 8u, 0x7ff8u}) {
        CAPTURE(stack);
        CHECK(fault_of(make_hwpcb(virt_addr::at(stack), 0_pa, 0)) == staging(misaligned, stack));
    }
    for (const std::uint64_t root : {1u, 0x1000u, 0x7000u}) {
        CAPTURE(root);
        CHECK(fault_of(make_hwpcb(0_va, phys_addr::at(root), 0)) == staging(misaligned, root));
    }
    CHECK(make_hwpcb(0_va, phys_addr::at(0x1fff'ffff'e000), 0)->ptbr == 0xffff'ffff);
    CHECK(fault_of(make_hwpcb(0_va, phys_addr::at(0x2000'0000'0000), 0)) == staging(bad_range, 0x2000'0000'0000));
}
