// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// The simulated processor has to refuse what a real one would fault on: here each safeguard of a 32-bit departure is
// broken after verification, behind commit()'s back, and the machine must notice.

#include <lobos/sim/x86_code_32.hpp>

#include <tests/support/scenario.hpp>

using namespace lobos;
using namespace lobos::test;
using namespace lobos::literals;

namespace {

/// What came of it.
struct outcome {
    bool entered = false;
    unsigned vector = 0; ///< of the exception; 0 when it was none
    std::string what = {};
};

template <class Prepared, class Damage> outcome departs(sim::x86_kernel& machine, Prepared& staged, Damage damage)
{
    const exec_plan plan = staged.plan();
    damage(machine, plan);
    try {
        machine.processor().depart(plan.switch_page + byte_count::of(sizeof(x86::code_page_head)),
            *machine.virtual_address(plan.frame) + byte_count::of(x86::departure_frame::middle));
    } catch (const sim::machine_error& e) {
        return {.vector = e.code() ? e.code()->vector : 0, .what = e.what()};
    } catch (const sim::new_kernel_entered&) {
        return {.entered = true};
    }
    return {};
}

template <class Damage> outcome departs_after(Damage damage, copy_regime regime = copy_regime::paged)
{
    linux_scenario s{8};
    s.machine.injected.fail_every(sim::glue_call::allocate_page_at); // everything is left to the copy loop
    const auto image = s.load();
    REQUIRE(image);
    const x86::linux32_entry contract{*image};
    auto staged = prepare(s.machine, contract, {.copy = regime});
    REQUIRE(staged);
    return departs(s.machine, *staged, damage);
}

/// What the guard's check says.
bool unguarded(const outcome& o)
{
    return !o.entered && o.what.starts_with("an exception here would find no handler");
}

template <class T> void put(sim::x86_kernel& k, const exec_plan& p, std::size_t offset, T value)
{
    store(k.memory(), p.frame + byte_count::of(offset), value);
}

/// Gives the step at `at` another destination.
void goes_to(sim::x86_kernel& k, phys_addr at, std::uint64_t destination)
{
    overlay_step step = load<stored_step>(k.memory(), at).step();
    step.destination = destination;
    store(k.memory(), at, stored_step::of(step));
}

/// Changes the entry with which the new tables map `at` one to one.
template <class Change> void change_leaf(sim::x86_kernel& k, const exec_plan& p, phys_addr at, Change change)
{
    const phys_addr entry = p.new_root + byte_count::of(4 * (at.raw() >> 22));
    const auto old = load<std::uint32_t>(k.memory(), entry);
    REQUIRE((old & 0x81) == 0x81);
    store(k.memory(), entry, static_cast<std::uint32_t>(change(old)));
}

/// Selectors, as the frame has them.
std::uint32_t field(sim::x86_kernel& k, const exec_plan& p, std::size_t offset)
{
    return load<std::uint32_t>(k.memory(), p.frame + byte_count::of(offset));
}
constexpr std::size_t descriptors = x86::departure_frame::tables_offset;
constexpr std::size_t gates = 3072;

/// The descriptor that a field of the frame names.
template <class T> void put_named(sim::x86_kernel& k, const exec_plan& p, std::size_t selector_field, T value)
{
    put(k, p, descriptors + field(k, p, selector_field), value);
}

} // namespace

TEST_CASE("undamaged, the departure arrives, whether the copy is paged or not")
{
    for (const copy_regime regime : {copy_regime::paged, copy_regime::unpaged})
        CHECK(departs_after([](sim::x86_kernel& k, const exec_plan&) { k.processor().interrupts_off(); }, regime)
                .entered);
}

TEST_CASE("the simulated processor faults where a real one would")
{
    using frame = x86::departure_frame;
    constexpr unsigned any = ~0u; // what is read from elsewhere may be anything
    const struct {
        const char* what;
        unsigned vector;
        void (*damage)(sim::x86_kernel&, const exec_plan&);
    } cases[] = {
        {"interrupts on", 0, [](sim::x86_kernel& k, const exec_plan&) { k.processor().state.interrupts = true; }},
        {"no tables", 14,
            [](sim::x86_kernel& k, const exec_plan& p) {
                put(k, p, offsetof(frame, table_root), static_cast<std::uint32_t>(p.stack.raw()));
                for (std::uint32_t i = 0; i < 1024; ++i)
                    store(k.memory(), p.stack + byte_count::of(4 * i), std::uint32_t{0});
            }},
        {"switch page not in the new tables", 14,
            [](sim::x86_kernel& k, const exec_plan& p) {
                const auto entry = p.new_root + byte_count::of(4 * (p.switch_page.raw() >> 22));
                store(k.memory(), entry, std::uint32_t{0});
            }},
        {"null data selector", 13,
            [](sim::x86_kernel& k, const exec_plan& p) {
                put(k, p, offsetof(frame, data_selector), std::uint32_t{0});
            }},
        {"code selector names data", 13,
            [](sim::x86_kernel& k, const exec_plan& p) {
                put(k, p, offsetof(frame, code_selector), field(k, p, offsetof(frame, data_selector)));
            }},
        {"data selector names code that cannot be written", 13,
            [](sim::x86_kernel& k, const exec_plan& p) {
                put(k, p, offsetof(frame, data_selector), field(k, p, offsetof(frame, code_selector)));
            }},
        {"descriptor not present", 11,
            [](sim::x86_kernel& k, const exec_plan& p) {
                put_named(k, p, offsetof(frame, code_selector), std::uint64_t{0x00cf'1b00'0000'ffff});
            }},
        {"selector outside the table", 13,
            [](sim::x86_kernel& k, const exec_plan& p) {
                put(k, p, offsetof(frame, code_selector), std::uint32_t{0x7f8});
            }},
        {"copy loop elsewhere", 0,
            [](sim::x86_kernel& k, const exec_plan& p) {
                store(k.memory(), p.bounce, std::uint16_t{0x9090});
                put(k, p, offsetof(frame, after_arrive), static_cast<std::uint32_t>(p.bounce.raw()));
            }},
        {"way out overwritten", 0,
            [](sim::x86_kernel& k, const exec_plan& p) {
                const auto out = load<std::uint32_t>(k.memory(), p.frame + byte_count::of(offsetof(frame, after_hub)));
                store(k.memory(), phys_addr::at(out), std::byte{0xcc});
            }},
        {"the hub overwritten in its midst", 0,
            [](sim::x86_kernel& k, const exec_plan& p) {
                const auto hub = field(k, p, offsetof(frame, hub));
                store(k.memory(), phys_addr::at(hub + 4), std::byte{0xcc});
            }},
        {"step outside of memory", 14,
            [](sim::x86_kernel& k, const exec_plan& p) {
                const auto first =
                    load<std::uint64_t>(k.memory(), p.program + byte_count::of(offsetof(overlay_program, first_page)));
                goes_to(k, phys_addr::at(first) + byte_count::of(offsetof(plan_page, steps)), 0x4000'0000);
            }},
        {"read-only where the loop writes", 14,
            [](sim::x86_kernel& k, const exec_plan& p) {
                // Not in the stack's 4 MB, which would be missed before.
                const auto apart = std::ranges::find_if(p.image, [&](const segment& g) {
                    return g.occupies() && g.destination.first().raw() >> 22 != p.stack.raw() >> 22;
                });
                REQUIRE(apart != p.image.end());
                change_leaf(k, p, apart->destination.first(), [](std::uint32_t e) { return e & ~2u; });
            }},
        {"not mapped where the loop writes", 14,
            [](sim::x86_kernel& k, const exec_plan& p) {
                change_leaf(k, p, p.image.front().destination.first(), [](std::uint32_t) { return 0u; });
            }},
        {"reserved bit in the new tables", 14,
            [](sim::x86_kernel& k, const exec_plan& p) {
                change_leaf(k, p, p.image.front().destination.first(), [](std::uint32_t e) { return e | 1u << 21; });
            }},
        {"user pages, with SMEP", 14,
            [](sim::x86_kernel& k, const exec_plan& p) {
                change_leaf(k, p, p.code, [](std::uint32_t e) { return e | 4u; });
                put(k, p, offsetof(frame, cr4), std::uint32_t{1u << 20 | 1u << 4});
            }},
        {"data segment with a base", any,
            [](sim::x86_kernel& k, const exec_plan& p) {
                put_named(k, p, offsetof(frame, data_selector), std::uint64_t{0x00cf'9301'0000'ffff});
            }},
        {"code segment with a base", 0,
            [](sim::x86_kernel& k, const exec_plan& p) {
                put_named(k, p, offsetof(frame, code_selector), std::uint64_t{0x00cf'9b00'1000'ffff});
            }},
        {"user's code segment", 13,
            [](sim::x86_kernel& k, const exec_plan& p) {
                put_named(k, p, offsetof(frame, code_selector), std::uint64_t{0x00cf'fb00'0000'ffff});
            }},
    };
    for (const auto& c : cases) {
        CAPTURE(c.what);
        const auto came_of_it = departs_after([&](sim::x86_kernel& k, const exec_plan& p) {
            k.processor().interrupts_off();
            c.damage(k, p);
        });
        CAPTURE(came_of_it.what);
        CHECK_FALSE(came_of_it.entered);
        CHECK((c.vector == any || came_of_it.vector == c.vector));
        CHECK((c.vector == any || !unguarded(came_of_it)));
    }
}

TEST_CASE("an accessed bit that was not set beforehand is a write into safe memory, and shows")
{
    CHECK(departs_after([&](sim::x86_kernel& k, const exec_plan& p) {
        k.processor().interrupts_off();
        put_named(k, p, offsetof(x86::departure_frame, data_selector), std::uint64_t{0x00cf'9200'0000'ffff});
    }).entered);
    // In a page that is guarded it is found at once.
    CHECK_FALSE(departs_after([&](sim::x86_kernel& k, const exec_plan& p) {
        k.processor().interrupts_off();
        put_named(k, p, offsetof(x86::departure_frame, data_selector), std::uint64_t{0x00cf'9200'0000'ffff});
        k.memory().guard(phys_range::of(p.frame, x86::page_size));
    }).entered);
}

TEST_CASE(
    "from the load of the gates to the handoff an exception finds the guard, or the processor says that it would not")
{
    using frame = x86::departure_frame;
    const struct {
        const char* what;
        void (*damage)(sim::x86_kernel&, const exec_plan&);
    } cases[] = {
        {"a gate that is not present",
            [](sim::x86_kernel& k, const exec_plan& p) { put(k, p, gates + 14 * 8 + 5, std::uint8_t{0x0e}); }},
        {"a gate that lets interrupts in",
            [](sim::x86_kernel& k, const exec_plan& p) { put(k, p, gates + 14 * 8 + 5, std::uint8_t{0x8f}); }},
        {"a gate of a user's, the last one",
            [](sim::x86_kernel& k, const exec_plan& p) { put(k, p, gates + 31 * 8 + 5, std::uint8_t{0xee}); }},
        {"a gate to the byte behind a stub",
            [](sim::x86_kernel& k, const exec_plan& p) {
                const auto low = load<std::uint16_t>(k.memory(), p.frame + byte_count::of(gates + 13 * 8));
                put(k, p, gates + 13 * 8, static_cast<std::uint16_t>(low + 1));
            }},
        {"the gate of NMIs to the stub of its number",
            [](sim::x86_kernel& k, const exec_plan& p) {
                const auto first = load<std::uint16_t>(k.memory(), p.frame + byte_count::of(gates));
                put(k, p, gates + 2 * 8, static_cast<std::uint16_t>(first + 2 * 5));
            }},
        {"a gate with another's selector",
            [](sim::x86_kernel& k, const exec_plan& p) {
                put(k, p, gates + 8 * 8 + 2, std::uint16_t{sim::x86_kernel::data_selector});
            }},
        {"a gate with the null selector",
            [](sim::x86_kernel& k, const exec_plan& p) { put(k, p, gates + 8 * 8 + 2, std::uint16_t{0}); }},
        {"a code segment with a base",
            [](sim::x86_kernel& k, const exec_plan& p) {
                put(k, p, descriptors + sim::x86_kernel::code_selector, std::uint64_t{0x00cf'9b00'1000'ffff});
            }},
        {"16-bit code",
            [](sim::x86_kernel& k, const exec_plan& p) {
                put(k, p, descriptors + sim::x86_kernel::code_selector, std::uint64_t{0x008f'9b00'0000'ffff});
            }},
        {"a descriptor table that ends before the selector",
            [](sim::x86_kernel& k, const exec_plan& p) { put(k, p, offsetof(frame, gdt), std::uint16_t{0x0e}); }},
        {"a gate table that is a byte too short",
            [](sim::x86_kernel& k, const exec_plan& p) { put(k, p, offsetof(frame, idt), std::uint16_t{0xfe}); }},
        {"gates where nothing is mapped any more",
            [](sim::x86_kernel& k, const exec_plan& p) {
                put(k, p, offsetof(frame, idt) + 2, static_cast<std::uint32_t>(p.frame.raw()) + 3072);
            }},
        {"the guard overwritten",
            [](sim::x86_kernel& k, const exec_plan& p) {
                const auto handler = load<std::uint16_t>(k.memory(), p.frame + byte_count::of(gates + 6 * 8));
                store(k.memory(), p.code + byte_count::of(handler & 0xfffu), std::byte{0xcc});
            }},
        {"the stack's alias nowhere",
            [](sim::x86_kernel& k, const exec_plan& p) {
                put(k, p, offsetof(frame, stack_alias), std::uint32_t{0x3000'0000});
                store(k.memory(), p.new_root + byte_count::of(4 * (0x3000'0000u >> 22)), std::uint32_t{0});
            }},
        {"the stack nowhere",
            [](sim::x86_kernel& k, const exec_plan& p) {
                put(k, p, offsetof(frame, stack_top), std::uint32_t{0x2000'0000});
            }},
        {"the stack in a page that is read-only",
            [](sim::x86_kernel& k, const exec_plan& p) {
                change_leaf(k, p, p.stack, [](std::uint32_t e) { return e & ~2u; });
            }},
        {"a stack segment that ends at 1 MB",
            [](sim::x86_kernel& k, const exec_plan& p) {
                put_named(k, p, offsetof(frame, data_selector), std::uint64_t{0x0040'9300'0000'ffff});
            }},
        {"a gate of the hub's",
            [](sim::x86_kernel& k, const exec_plan& p) {
                store(k.memory(), p.mode_pages[0] + byte_count::of(gates + 13 * 8 + 5), std::uint8_t{0});
            }},
        {"the hub's descriptor table without the gates' selector",
            [](sim::x86_kernel& k, const exec_plan& p) {
                const auto selector = field(k, p, offsetof(frame, hub_code_selector));
                store(k.memory(), p.mode_pages[0] + byte_count::of(descriptors + selector), std::uint64_t{0});
            }},
    };
    for (const auto& c : cases)
        for (const copy_regime regime : {copy_regime::paged, copy_regime::unpaged}) {
            CAPTURE(c.what, regime == copy_regime::paged);
            const auto came_of_it = departs_after(
                [&](sim::x86_kernel& k, const exec_plan& p) {
                    k.processor().interrupts_off();
                    c.damage(k, p);
                },
                regime);
            CAPTURE(came_of_it.what);
            CHECK(unguarded(came_of_it));
        }
}

TEST_CASE("an alias of the safe pages that the new tables lack is missed after the switch, at the first instruction")
{
    for (const bool code : {true, false}) {
        const auto came_of_it = departs_after([&](sim::x86_kernel& k, const exec_plan& p) {
            k.processor().interrupts_off();
            // The linear map is of 4 MB pages: one of them becomes a table of small ones, and one of these goes.
            const phys_addr gone = code ? p.code : p.stack;
            const auto alias = static_cast<std::uint32_t>(k.virtual_address(gone)->raw());
            const phys_addr table = p.bounce;
            for (std::uint32_t i = 0; i < 1024; ++i)
                store(k.memory(), table + byte_count::of(4 * i),
                    static_cast<std::uint32_t>((gone.raw() & 0xffc0'0000) + i * 0x1000 + 0x63));
            store(k.memory(), p.new_root + byte_count::of(4 * (alias >> 22)),
                static_cast<std::uint32_t>(table.raw() + 0x23));
            store(k.memory(), table + byte_count::of(4 * (gone.raw() >> 12 & 0x3ff)), std::uint32_t{0});
        });
        CAPTURE(came_of_it.what);
        CHECK_FALSE(came_of_it.entered);
        // Without the code there is no instruction; without the stack there is one, but no exception can be taken.
        CHECK(came_of_it.vector == (code ? 14u : 0u));
        CHECK(unguarded(came_of_it) == !code);
    }
}

TEST_CASE("a copy that writes over the guard is found while it runs")
{
    for (const copy_regime regime : {copy_regime::paged, copy_regime::unpaged}) {
        const auto came_of_it = departs_after(
            [&](sim::x86_kernel& k, const exec_plan& p) {
                k.processor().interrupts_off();
                const auto first =
                    load<std::uint64_t>(k.memory(), p.program + byte_count::of(offsetof(overlay_program, first_page)));
                goes_to(k, phys_addr::at(first) + byte_count::of(offsetof(plan_page, steps)), p.code.raw());
            },
            regime);
        CAPTURE(came_of_it.what);
        CHECK(unguarded(came_of_it));
    }
}

TEST_CASE("what the guard's check looks at stays as it was, and is no access of the machine's")
{
    linux_scenario s{8};
    const auto image = s.load();
    REQUIRE(image);
    const x86::linux32_entry contract{*image};
    auto staged = prepare(s.machine, contract);
    REQUIRE(staged);
    const auto plan = staged->plan();
    const auto came_of_it =
        departs(s.machine, *staged, [](sim::x86_kernel& k, const exec_plan&) { k.processor().interrupts_off(); });
    CHECK(came_of_it.entered);
    const auto& record = s.machine.processor().record;
    const auto guard_gates = phys_range::of(plan.frame + byte_count::of(gates), 256_bytes);
    for (const auto kind : {sim::access_kind::read, sim::access_kind::walk, sim::access_kind::write})
        CHECK_FALSE(record.first(kind, guard_gates));
}

TEST_CASE("64-bit code is not run as 32-bit code")
{
    const auto came_of_it = departs_after([](sim::x86_kernel& k, const exec_plan& p) {
        k.processor().interrupts_off();
        // At the place of the way out lies another's first instruction.
        const auto out = field(k, p, offsetof(x86::departure_frame, after_hub));
        const auto other = sim::x86_pieces::of(x86::piece::leave_long, true);
        k.memory().write(phys_addr::at(out), sim::x86_pieces::instruction(other, 0));
    });
    CHECK(came_of_it.what.starts_with("executes code of another width"));
}
