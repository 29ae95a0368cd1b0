// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// A 64-bit kernel's departure faults where a real one would, and at every instruction boundary an exception finds the
// guard, or the processor says that it would not.

#include <lobos/sim/x86_code_64.hpp>

#include <tests/support/damaged_departure.hpp>

using namespace lobos;
using namespace lobos::test;
using namespace lobos::x86;
using frame = departure_frame;

namespace {

using to_hub = departure<paging_4level, image::flat_32>;
using over = departure<paging_4level, image::long_64<paging_4level>>;
using up = departure<paging_4level, image::long_64<paging_5level>>;
constexpr std::size_t gates = offsetof(table_page, gates);
constexpr unsigned gp = sim::x86_vector::general_protection;

/// Adds `by` to what the frame has at `offset`.
template <class World> void add(World& d, std::size_t offset, std::uint64_t by)
{
    d.put(offset, d.field(offset) + by);
}

} // namespace

TEST_CASE("a 64-bit kernel's departure faults where a real one would")
{
    const struct {
        const char* what;
        unsigned vector;
        void (*damage)(to_hub&);
    } cases[] = {
        {"interrupts on", 0, [](to_hub& d) { d.machine.processor().state.interrupts = true; }},
        {"the code selector names 32-bit code", 0,
            [](to_hub& d) { d.put(offsetof(frame, code_selector), d.field(offsetof(frame, hub_code_selector))); }},
        {"the code selector names data", gp,
            [](to_hub& d) { d.put(offsetof(frame, code_selector), d.field(offsetof(frame, data_selector))); }},
        {"code of 64 and of 32 bits", 0,
            [](to_hub& d) { // the gates name the kernel's selector, and so does nothing else
                d.put_named(d.plan.frame, offsetof(frame, code_selector), 0x00ef'9b00'0000'ffff);
            }},
        {"the hub's code selector names 64-bit code", 0,
            [](to_hub& d) { d.put_named(d.plan.frame, offsetof(frame, hub_code_selector), 0x00af'9b00'0000'ffff); }},
        {"an entry of a table that is not there", sim::x86_vector::page_fault,
            [](to_hub& d) { d.put(d.plan.new_root, 0, std::uint64_t{0}); }},
        {"a reserved bit in the root", sim::x86_vector::page_fault,
            [](to_hub& d) { d.put(d.plan.new_root, 0, load<std::uint64_t>(d.memory, d.plan.new_root) | 0x80); }},
        {"a root beyond the physical address", gp,
            [](to_hub& d) { add(d, offsetof(frame, table_root), std::uint64_t{1} << 52); }},
        {"PAE goes", gp, [](to_hub& d) { add(d, offsetof(frame, cr4), std::uint64_t{0} - cr4::wide_pages); }},
        {"the copy loop at an address that is not canonical", gp,
            [](to_hub& d) { add(d, offsetof(frame, after_arrive), std::uint64_t{1} << 47); }},
        {"a step at an address that is not canonical", gp,
            [](to_hub& d) {
                const auto page = load<std::uint64_t>(
                    d.memory, d.plan.program + byte_count::of(offsetof(overlay_program, first_page)));
                d.put(phys_addr::at(page), offsetof(plan_page, steps), std::uint64_t{1} << 47);
            }},
        {"the hub above 4 GiB", gp, [](to_hub& d) { add(d, offsetof(frame, hub), std::uint64_t{1} << 32); }},
    };
    CHECK(to_hub{}.after(copy_regime::paged, [](auto&) {}).entered);
    for (const auto& c : cases) {
        CAPTURE(c.what);
        const auto came_of_it = to_hub{}.after(copy_regime::paged, c.damage);
        CAPTURE(came_of_it.what);
        CHECK_FALSE(came_of_it.entered);
        if (c.vector != 0)
            CHECK(came_of_it.vector == c.vector);
        if (c.vector != 0)
            CHECK_FALSE(came_of_it.unguarded());
    }
}

TEST_CASE("an exception in a 64-bit kernel's departure finds the guard, or the processor says that it would not")
{
    const struct {
        const char* what;
        void (*damage)(to_hub&);
    } cases[] = {
        {"a gate that is not present", [](to_hub& d) { d.put(gates + 14 * 16 + 5, std::uint8_t{0x0e}); }},
        {"a gate with a stack of its own", [](to_hub& d) { d.put(gates + 8 * 16 + 4, std::uint8_t{1}); }},
        {"a gate without its upper half", [](to_hub& d) { d.put(gates + 31 * 16 + 8, std::uint32_t{0}); }},
        {"a gate with a selector of 32-bit code",
            [](to_hub& d) {
                d.put(gates + 3 * 16 + 2, static_cast<std::uint16_t>(d.field(offsetof(frame, hub_code_selector))));
            }},
        {"gates as long as those of 32-bit code", [](to_hub& d) { d.put(offsetof(frame, idt), std::uint16_t{255}); }},
        {"a descriptor table that ends before the selector",
            [](to_hub& d) { d.put(offsetof(frame, gdt), std::uint16_t{0x0e}); }},
        {"32-bit gates in long mode, on the way down",
            [](to_hub& d) { d.put(offsetof(frame, hub_idt) + 2, d.plan.frame.raw() + gates + 8); }},
        {"the guard overwritten",
            [](to_hub& d) {
                const auto handler = load<std::uint16_t>(d.memory, d.plan.frame + byte_count::of(gates + 6 * 16));
                d.put(d.plan.code, handler & 0xfffu, std::byte{0xcc});
            }},
        {"the stack's alias nowhere",
            [](to_hub& d) { d.put(offsetof(frame, stack_alias), std::uint64_t{0xffff'f000'0000'0000}); }},
        {"the stack's alias not canonical",
            [](to_hub& d) { d.put(offsetof(frame, stack_alias), std::uint64_t{0x0000'8000'0000'1000}); }},
        {"the stack nowhere", [](to_hub& d) { d.put(offsetof(frame, stack_top), std::uint64_t{0x4000'0000}); }},
        {"the hub's gates", [](to_hub& d) { d.put(d.plan.mode_pages[0], gates + 13 * 8 + 5, std::uint8_t{0}); }},
        {"the hub's descriptors",
            [](to_hub& d) { d.put_named(d.plan.mode_pages[0], offsetof(frame, hub_code_selector), 0); }},
        {"the hub's page instead of the copy's at its address",
            [](to_hub& d) { // what 64-bit gates are to be is 32-bit ones
                for (std::size_t i = 0; i < 512; i += 8)
                    d.put(gates + i, load<std::uint64_t>(d.memory, d.plan.mode_pages[0] + byte_count::of(gates + i)));
            }},
    };
    for (const auto& c : cases)
        for (const copy_regime regime : {copy_regime::paged, copy_regime::unpaged}) {
            CAPTURE(c.what, regime == copy_regime::paged);
            const auto came_of_it = to_hub{}.after(regime, c.damage);
            CAPTURE(came_of_it.what);
            CHECK(came_of_it.unguarded());
        }
}

TEST_CASE("over to a 64-bit image's descriptors, and up to it from the hub: its gates and its selectors count")
{
    CHECK(over{}.after(copy_regime::paged, [](auto&) {}).entered);
    CHECK(up{}.after(copy_regime::paged, [](auto&) {}).entered);
    const auto gate_gone = [](std::size_t page) {
        return [=](auto& d) { d.put(d.plan.mode_pages[page], gates + 13 * 16 + 5, std::uint8_t{0}); };
    };
    CHECK(over{}.after(copy_regime::paged, gate_gone(0)).unguarded());
    CHECK(up{}.after(copy_regime::paged, gate_gone(1)).unguarded());
    // Without 64-bit code at the image's selector it goes on as 32-bit code, or not at all.
    const auto code_32 = [](std::size_t page) {
        return [=](auto& d) {
            d.put_named(d.plan.mode_pages[page], offsetof(frame, entry_code_selector), 0x00cf'9b00'0000'ffff);
        };
    };
    CHECK(over{}.after(copy_regime::paged, code_32(0)).what.starts_with("executes code of another width"));
    CHECK(up{}.after(copy_regime::paged, code_32(1)).what.starts_with("executes code of another width"));
    // The hub's tables where the image's should be: its selector names 32-bit code, and its gates are short.
    const auto not_mapped_over = [](auto& d) {
        for (std::size_t i = 0; i < sizeof(table_page); i += 8)
            d.put(d.plan.mode_pages[1], i, load<std::uint64_t>(d.memory, d.plan.mode_pages[0] + byte_count::of(i)));
    };
    CHECK(up{}.after(copy_regime::paged, not_mapped_over).unguarded());
    // An entry that is not canonical in the image's mode.
    const auto beyond = [](auto& d) { d.put(offsetof(frame, entry), std::uint64_t{0x0080'0000'0000'0000}); };
    CHECK(over{}.after(copy_regime::paged, beyond).vector == gp);
    CHECK(up{}.after(copy_regime::paged, beyond).vector != 0);
    // A way up that leaves long mode out is PAE paging on tables of five levels.
    const auto no_long_mode = [](auto& d) { d.put(offsetof(frame, efer_set), std::uint64_t{0}); };
    CHECK_FALSE(up{}.after(copy_regime::paged, no_long_mode).entered);
    const auto no_pae = [](auto& d) { d.put(offsetof(frame, up_cr4), std::uint64_t{cr4::large_pages}); };
    CHECK(up{}.after(copy_regime::paged, no_pae).vector == gp);
}
