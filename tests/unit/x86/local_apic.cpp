// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/x86/local_apic.hpp>

#include <cstddef>
#include <vector>

#include <tests/catch.hpp>

using namespace lobos;
using namespace lobos::x86;

namespace {

/// Delivers each command after so many microseconds, or never. Times and commands are written down.
struct fake_apic {
    std::uint32_t takes = 0;
    std::uint32_t left = 0;
    std::uint64_t now = 0;
    bool disturbed = false; ///< a command was given while another was on its way
    struct sent {
        std::uint32_t command;
        std::uint64_t when;
    };
    std::vector<sent> commands = {};

    void send(std::uint32_t command) noexcept
    {
        disturbed = disturbed || left != 0;
        commands.push_back({command, now});
        left = takes;
    }
    bool pending() noexcept { return left != 0; }
    void wait_microseconds(std::uint32_t n) noexcept
    {
        now += n;
        if (left != never)
            left -= n < left ? n : left;
    }
    static constexpr std::uint32_t never = 0xffff'ffff;
};
static_assert(apic_sender<fake_apic>);

} // namespace

TEST_CASE("INIT goes to all others, and they have 10 ms to come to rest", "[x86][local_apic]")
{
    for (const std::uint32_t takes : {0u, 1u, 500u, apic_patience}) {
        fake_apic apic{.takes = takes};
        CHECK(stop_others(apic));
        REQUIRE(apic.commands.size() == 1);
        CHECK(apic.commands[0].command == 0x000c'4500);
        CHECK(apic.now >= takes + 10'000);
    }
}

TEST_CASE("what is never delivered ends the wait", "[x86][local_apic]")
{
    fake_apic apic{.takes = fake_apic::never};
    CHECK_FALSE(stop_others(apic));
    CHECK(apic.commands.size() == 1);
    CHECK(apic.now == apic_patience + 10'000);
    CHECK_FALSE(start_others(apic, phys_addr::at(0x9000))); // each step waits, none is given over another
    CHECK_FALSE(apic.disturbed);
    CHECK(apic.commands.size() == 1);
}

TEST_CASE("a command waits for the one before", "[x86][local_apic]")
{
    fake_apic apic{.takes = 3, .left = 40};
    CHECK(deliver(apic, 0x1234));
    REQUIRE(apic.commands.size() == 1);
    CHECK(apic.commands[0].when == 40);
    CHECK(apic.now == 43);
    CHECK_FALSE(apic.disturbed);
}

TEST_CASE("starting is INIT, 10 ms, start-up, 200 us, start-up", "[x86][local_apic]")
{
    fake_apic apic{.takes = 2};
    CHECK(start_others(apic, phys_addr::at(0x9f000)));
    REQUIRE(apic.commands.size() == 3);
    CHECK(apic.commands[0].command == apic_command::init_others);
    CHECK(apic.commands[1].command == 0x000c'469f);
    CHECK(apic.commands[2].command == 0x000c'469f);
    CHECK(apic.commands[1].when - apic.commands[0].when >= 10'000);
    CHECK(apic.commands[2].when - apic.commands[1].when >= 200);
    CHECK_FALSE(apic.disturbed);
}
