// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// The simulated processor has to refuse what a real one would fault on: here each safeguard is broken after
// verification, behind commit()'s back, and the machine must notice.

#include <tests/support/scenario.hpp>

using namespace lobos;
using namespace lobos::test;

namespace {

/// What came of it: nothing when the new kernel was entered, else the vector of the exception, 0 when it was none.
template <class Damage> std::optional<unsigned> departs_after(Damage damage)
{
    linux_scenario s{8};
    s.machine.injected.fail_every(sim::glue_call::allocate_page_at); // everything is left to the copy loop
    const auto image = s.load();
    REQUIRE(image);
    const x86::linux32_entry contract{*image};
    auto staged = prepare(s.machine, contract);
    REQUIRE(staged);
    const exec_plan plan = staged->plan();
    damage(s.machine, plan);
    auto& cpu = s.machine.processor();
    try {
        cpu.depart(plan.switch_page, *s.machine.virtual_address(plan.frame));
    } catch (const sim::machine_error& e) {
        return e.code() ? e.code()->vector : 0;
    } catch (const sim::new_kernel_entered&) {
        return std::nullopt;
    }
    return 0;
}

template <class T> void put(sim::x86_kernel& k, const exec_plan& p, std::size_t offset, T value)
{
    store(k.memory(), p.frame + byte_count::of(offset), value);
}

/// Changes the entry with which the new tables map `at` one to one.
template <class Change> void change_leaf(sim::x86_kernel& k, const exec_plan& p, phys_addr at, Change change)
{
    const phys_addr entry = p.new_root + byte_count::of(4 * (at.raw() >> 22));
    const auto old = load<std::uint32_t>(k.memory(), entry);
    REQUIRE((old & 0x81) == 0x81);
    store(k.memory(), entry, static_cast<std::uint32_t>(change(old)));
}

} // namespace

TEST_CASE("undamaged, the departure arrives")
{
    CHECK_FALSE(departs_after([](sim::x86_kernel& k, const exec_plan&) { k.processor().interrupts_off(); }));
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
        {"descriptor limit too small", 13,
            [](sim::x86_kernel& k, const exec_plan& p) { put(k, p, offsetof(frame, gdt), std::uint16_t{0x17}); }},
        {"null data selector", 13,
            [](sim::x86_kernel& k, const exec_plan& p) {
                put(k, p, offsetof(frame, data_selector), std::uint32_t{0});
            }},
        {"code selector names data", 13,
            [](sim::x86_kernel& k, const exec_plan& p) {
                put(k, p, offsetof(frame, code_selector), std::uint32_t{0x18});
            }},
        {"data selector names code", 13,
            [](sim::x86_kernel& k, const exec_plan& p) {
                put(k, p, offsetof(frame, data_selector), std::uint32_t{0x10});
            }},
        {"descriptor not present", 11,
            [](sim::x86_kernel& k, const exec_plan& p) {
                put(k, p, offsetof(frame, descriptors) + 0x10, std::uint64_t{0x00cf'1b00'0000'ffff});
            }},
        {"stack nowhere", 14,
            [](sim::x86_kernel& k, const exec_plan& p) {
                put(k, p, offsetof(frame, stack_top), std::uint32_t{0x2000'0000});
            }},
        {"copy loop elsewhere", 0,
            [](sim::x86_kernel& k, const exec_plan& p) {
                put(k, p, offsetof(frame, copy), static_cast<std::uint32_t>(p.bounce.raw()));
            }},
        {"way out overwritten", 0,
            [](sim::x86_kernel& k, const exec_plan& p) {
                store(k.memory(), p.code + byte_count::of(96), std::byte{0xcc});
            }},
        {"step outside of memory", 14,
            [](sim::x86_kernel& k, const exec_plan& p) {
                const auto first =
                    load<std::uint64_t>(k.memory(), p.program + byte_count::of(offsetof(overlay_program, first_page)));
                store(k.memory(), phys_addr::at(first) + byte_count::of(offsetof(plan_page, steps)),
                    std::uint64_t{0x4000'0000}); // a destination
            }},
        {"read-only where the loop writes", 14,
            [](sim::x86_kernel& k, const exec_plan& p) {
                change_leaf(k, p, p.image.front().destination.first(), [](std::uint32_t e) { return e & ~2u; });
            }},
        {"not mapped where the loop writes", 14,
            [](sim::x86_kernel& k, const exec_plan& p) {
                change_leaf(k, p, p.image.front().destination.first(), [](std::uint32_t) { return 0u; });
            }},
        {"reserved bit in the new tables", 14,
            [](sim::x86_kernel& k, const exec_plan& p) {
                change_leaf(k, p, p.stack, [](std::uint32_t e) { return e | 1u << 21; });
            }},
        {"user pages, with SMEP", 14,
            [](sim::x86_kernel& k, const exec_plan& p) {
                change_leaf(k, p, p.code, [](std::uint32_t e) { return e | 4u; });
                k.processor().mmu.load_cr4(k.processor().mmu.cr4() | 1u << 20);
            }},
        {"data segment that ends at 1 MB", 13,
            [](sim::x86_kernel& k, const exec_plan& p) {
                put(k, p, offsetof(frame, descriptors) + 0x18, std::uint64_t{0x0040'9300'0000'ffff});
            }},
        {"data segment with a base", any,
            [](sim::x86_kernel& k, const exec_plan& p) {
                put(k, p, offsetof(frame, descriptors) + 0x18, std::uint64_t{0x00cf'9301'0000'ffff});
            }},
        {"code segment with a base", 0,
            [](sim::x86_kernel& k, const exec_plan& p) {
                put(k, p, offsetof(frame, descriptors) + 0x10, std::uint64_t{0x00cf'9b00'1000'ffff});
            }},
        {"user's code segment", 13,
            [](sim::x86_kernel& k, const exec_plan& p) {
                put(k, p, offsetof(frame, descriptors) + 0x10, std::uint64_t{0x00cf'fb00'0000'ffff});
            }},
    };
    for (const auto& c : cases) {
        CAPTURE(c.what);
        const auto came_of_it = departs_after([&](sim::x86_kernel& k, const exec_plan& p) {
            k.processor().interrupts_off();
            c.damage(k, p);
        });
        REQUIRE(came_of_it);
        CHECK((c.vector == any || *came_of_it == c.vector));
    }
}

TEST_CASE("an accessed bit that was not set beforehand is a write into safe memory, and shows")
{
    CHECK_FALSE(departs_after([&](sim::x86_kernel& k, const exec_plan& p) {
        k.processor().interrupts_off();
        put(k, p, offsetof(x86::departure_frame, descriptors) + 0x18, std::uint64_t{0x00cf'9200'0000'ffff});
    }));
    // In a page that is guarded it is found at once.
    CHECK(departs_after([&](sim::x86_kernel& k, const exec_plan& p) {
        k.processor().interrupts_off();
        put(k, p, offsetof(x86::departure_frame, descriptors) + 0x18, std::uint64_t{0x00cf'9200'0000'ffff});
        k.memory().guard(phys_range::of(p.frame, page_size));
    }) == 0u);
}
