// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

#include <lobos/sim/x86_processor.hpp>

#include <tests/support/exec_grid.hpp>

using namespace lobos;
using namespace lobos::test;
using namespace lobos::x86;

TEMPLATE_TEST_CASE("a kernel's processor says what it runs in, and lobos takes it for that and for no other mode", "",
    paging_4k, paging_4m, paging_pae, paging_4level, paging_5level)
{
    sim::basic_x86_kernel<TestType> k{byte_count::of(8u << 20)};
    using machine = sim::basic_x86_machine<TestType>;
    const machine_facts facts = k.processor().facts();
    CHECK(facts.table_root == machine::root); // no context, and of PAE paging all of its bits
    CHECK(facts.descriptors.base.raw() == machine::linear_base + machine::descriptors.first().raw());
    CHECK(facts.code_selector == machine::code_selector);
    CHECK(facts.data_selector == machine::data_selector);
    CHECK(facts.default_memory_type == 6);
    CHECK(facts.boot_processor);
    const std::array accepted{port<paging_4k>::accepts(facts).has_value(), port<paging_4m>::accepts(facts).has_value(),
        port<paging_pae>::accepts(facts).has_value(), port<paging_4level>::accepts(facts).has_value(),
        port<paging_5level>::accepts(facts).has_value()};
    CHECK(std::ranges::count(accepted, true) == 1);
    CHECK(sim::basic_x86_kernel<TestType>::port::accepts(facts).has_value());

    const bool is_64 = is_long(mode_of_traits<TestType>());
    CHECK(k.processor().segments.code_64() == is_64);
    CHECK(k.processor().code()[piece::switch_long].empty() == !is_64);
}

TEST_CASE("each register is part of the state")
{
    using kernel = sim::basic_x86_kernel<paging_5level>;
    using change = void (*)(sim::x86_processor&);
    using enum sim::x86_segments::name;
    const change changes[] = {
        [](sim::x86_processor& p) { p.gdtr.base ^= std::uint64_t{1} << 40; },
        [](sim::x86_processor& p) { --p.gdtr.limit; },
        [](sim::x86_processor& p) { p.idtr.base += 8; },
        [](sim::x86_processor& p) { --p.idtr.limit; },
        [](sim::x86_processor& p) { p.dr7 = 0x400; },
        [](sim::x86_processor& p) { p.page_attributes ^= std::uint64_t{1} << 32; },
        [](sim::x86_processor& p) { p.mmu.load_cr4(p.mmu.cr4() ^ cr4::no_user_access); },
        [](sim::x86_processor& p) { p.mmu.load_efer(p.mmu.efer() ^ efer::system_calls); },
        [](sim::x86_processor& p) { p.mmu.load_cr3(p.mmu.cr3() + 1); },
        [](sim::x86_processor& p) { p.mmu.load_cr0(p.mmu.cr0() | cr0::task_switched); },
        [](sim::x86_processor& p) { p.load_segment(ss, 0); },
        [](sim::x86_processor& p) { p.interrupts_off(); },
    };
    for (const auto apply : changes) {
        kernel k{byte_count::of(4u << 20)};
        const auto before = k.state();
        apply(k.processor());
        CHECK(difference(before, k.state()) == "registers");
    }
}

TEST_CASE("nobody leaves with interrupts on")
{
    sim::x86_kernel k{byte_count::of(4u << 20)};
    CHECK_THROWS_AS(k.processor().depart(virt_addr::at(0xc020'0000), virt_addr::at(0xc020'1000)), sim::machine_error);
}
