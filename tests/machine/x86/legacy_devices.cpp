// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/machine/legacy_devices.hpp>

#include <array>
#include <vector>

#include <tests/catch.hpp>

using namespace lobos;

namespace {

/// An 8259A as its data sheet has it, as far as initialisation goes.
struct controller {
    unsigned expected = 0; ///< the next ICW; 0: none
    std::uint8_t vectors = 0, cascade = 0, mode = 0, mask = 0, edge_word = 0;
    bool in_service = true;

    void command(std::uint8_t value)
    {
        REQUIRE((value & 0x10) != 0); // nothing but ICW1 is wanted here
        edge_word = value;
        expected = 2;
        mask = 0; // "the Interrupt Mask Register is cleared"
        in_service = false;
    }
    void data(std::uint8_t value)
    {
        switch (expected) {
        case 0: mask = value; return;
        case 2: vectors = value, expected = 3; return;
        case 3: cascade = value, expected = 4; return;
        default: mode = value, expected = 0; return;
        }
    }
};

/// A PC's ports, and everything that was written to the timer.
struct pc {
    controller first, second;
    std::vector<std::array<unsigned, 2>> timer;

    void out(std::uint16_t port, std::uint8_t value)
    {
        switch (port) {
        case 0x20: first.command(value); break;
        case 0x21: first.data(value); break;
        case 0xa0: second.command(value); break;
        case 0xa1: second.data(value); break;
        case 0x80: return;
        default: timer.push_back({port, value}); return;
        }
    }
};

struct ports {
    pc* machine;
    void out(std::uint16_t port, std::uint8_t value) const { machine->out(port, value); }
    std::uint8_t in(std::uint16_t port) const
    {
        return port == 0x21 ? machine->first.mask : port == 0xa1 ? machine->second.mask : std::uint8_t{0xff};
    }
};

} // namespace

TEST_CASE("the interrupt controllers get the BIOS's vectors and masks back", "[machine][legacy_devices]")
{
    pc machine;
    machine.first = {.vectors = 0x20, .cascade = 4, .mode = 3, .mask = 0xfb};
    machine.second = {.vectors = 0x28, .cascade = 2, .mode = 3, .mask = 0xff};
    machine::restore_interrupt_controllers({0xb8, 0x8e}, ports{&machine});
    for (const controller& c : {machine.first, machine.second}) {
        CHECK(+c.edge_word == 0x11);
        CHECK(+c.mode == 0x01); // 8086, normal end of interrupt, not buffered
        CHECK(c.expected == 0);
        CHECK_FALSE(c.in_service);
    }
    CHECK(+machine.first.vectors == 0x08);
    CHECK(+machine.second.vectors == 0x70);
    CHECK(+machine.first.cascade == 0x04);
    CHECK(+machine.second.cascade == 0x02);
    CHECK(machine::read_interrupt_masks(ports{&machine}) == machine::interrupt_masks{0xb8, 0x8e});
    CHECK(machine.timer.empty());
}

TEST_CASE("the usual masks let through what a BIOS waits for", "[machine][legacy_devices]")
{
    pc machine;
    machine::restore_bios_devices({}, ports{&machine});
    for (const unsigned wanted : {0u, 1u, 2u, 6u})
        CHECK((machine.first.mask >> wanted & 1) == 0);
    for (const unsigned wanted : {12u, 13u, 14u})
        CHECK((machine.second.mask >> (wanted - 8) & 1) == 0);
}

TEST_CASE("the timer counts 65536 in a square wave", "[machine][legacy_devices]")
{
    pc machine;
    machine::restore_bios_devices({}, ports{&machine});
    CHECK(machine.timer == std::vector<std::array<unsigned, 2>>{{0x43, 0x36}, {0x40, 0}, {0x40, 0}});
}
