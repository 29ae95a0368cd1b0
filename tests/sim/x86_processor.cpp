// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// The simulated processor has to refuse what a real one would fault on: here each safeguard is broken after
// verification, behind commit()'s back, and the machine must notice.

#include <tests/support/scenario.hpp>

using namespace lobos;
using namespace lobos::test;

namespace {

/// Departs from a prepared exec after `damage(memory, plan)`; true when the machine faulted.
template <class Damage> bool faults_after(Damage damage)
{
    linux_scenario s{8};
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
    } catch (const sim::machine_error&) {
        return true;
    } catch (const sim::new_kernel_entered&) {
        return false;
    }
    return false;
}

template <class T> void put(sim::x86_kernel& k, const exec_plan& p, std::size_t offset, T value)
{
    store(k.memory(), p.frame + byte_count::of(offset), value);
}

} // namespace

TEST_CASE("undamaged, the departure arrives")
{
    CHECK_FALSE(faults_after([](sim::x86_kernel& k, const exec_plan&) { k.processor().interrupts_off(); }));
}

TEST_CASE("the simulated processor faults where a real one would")
{
    using frame = x86::departure_frame;
    const struct {
        const char* what;
        void (*damage)(sim::x86_kernel&, const exec_plan&);
    } cases[] = {
        {"interrupts on", [](sim::x86_kernel& k, const exec_plan&) { k.processor().state.interrupts = true; }},
        {"no tables",
            [](sim::x86_kernel& k, const exec_plan& p) {
                put(k, p, offsetof(frame, table_root), static_cast<std::uint32_t>(p.stack.raw()));
                for (std::uint32_t i = 0; i < 1024; ++i)
                    store(k.memory(), p.stack + byte_count::of(4 * i), std::uint32_t{0});
            }},
        {"switch page not in the new tables",
            [](sim::x86_kernel& k, const exec_plan& p) {
                const auto entry = p.new_root + byte_count::of(4 * (p.switch_page.raw() >> 22));
                store(k.memory(), entry, std::uint32_t{0});
            }},
        {"descriptor limit too small",
            [](sim::x86_kernel& k, const exec_plan& p) { put(k, p, offsetof(frame, gdt), std::uint16_t{0x17}); }},
        {"null data selector",
            [](sim::x86_kernel& k, const exec_plan& p) {
                put(k, p, offsetof(frame, data_selector), std::uint32_t{0});
            }},
        {"code selector names data",
            [](sim::x86_kernel& k, const exec_plan& p) {
                put(k, p, offsetof(frame, code_selector), std::uint32_t{0x18});
            }},
        {"data selector names code",
            [](sim::x86_kernel& k, const exec_plan& p) {
                put(k, p, offsetof(frame, data_selector), std::uint32_t{0x10});
            }},
        {"accessed bit not preset",
            [](sim::x86_kernel& k, const exec_plan& p) {
                put(k, p, offsetof(frame, descriptors) + 0x18, std::uint64_t{0x00cf'9200'0000'ffff});
            }},
        {"descriptor not present",
            [](sim::x86_kernel& k, const exec_plan& p) {
                put(k, p, offsetof(frame, descriptors) + 0x10, std::uint64_t{0x00cf'1b00'0000'ffff});
            }},
        {"stack nowhere",
            [](sim::x86_kernel& k, const exec_plan& p) {
                put(k, p, offsetof(frame, stack_top), std::uint32_t{0x2000'0000});
            }},
        {"copy loop elsewhere",
            [](sim::x86_kernel& k, const exec_plan& p) {
                put(k, p, offsetof(frame, copy), static_cast<std::uint32_t>(p.bounce.raw()));
            }},
        {"way out overwritten",
            [](sim::x86_kernel& k, const exec_plan& p) {
                store(k.memory(), p.code + byte_count::of(96), std::byte{0xcc});
            }},
        {"step outside of memory",
            [](sim::x86_kernel& k, const exec_plan& p) {
                const auto first =
                    load<std::uint64_t>(k.memory(), p.program + byte_count::of(offsetof(overlay_program, first_page)));
                store(k.memory(), phys_addr::at(first) + byte_count::of(offsetof(plan_page, steps)),
                    std::uint64_t{0x4000'0000});
            }},
    };
    for (const auto& c : cases) {
        CAPTURE(c.what);
        CHECK(faults_after([&](sim::x86_kernel& k, const exec_plan& p) {
            k.processor().interrupts_off();
            c.damage(k, p);
        }));
    }
}
