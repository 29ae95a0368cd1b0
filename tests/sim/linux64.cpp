// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// A Linux kernel entered by its 64-bit protocol, out of kernels of 32-bit and of 64-bit code.

#include <lobos/x86/linux64_entry.hpp>
#include <lobos/x86/paging_5level.hpp>
#include <lobos/x86/paging_pae.hpp>

#include <tests/support/effort.hpp>
#include <tests/support/scenario.hpp>
#include <tests/support/state_difference.hpp>

using namespace lobos;
using namespace lobos::test;
using namespace lobos::x86;

namespace {

bzimage_builder small_linux_64()
{
    bzimage_builder b = linux_scenario::small_linux();
    b.code = 0x1'2340;
    b.xloadflags = 3;
    return b;
}

template <class Paging> struct linux64_world : linux_world<Paging> {
    explicit linux64_world(std::uint32_t seed)
        : linux_world<Paging>{seed, small_linux_64(), 0x8765},
          image{this->load("console=ttyS0 x=\"a b\"", linux_entry::long_64)}
    {
        REQUIRE(image);
        this->machine.injected.fail_every(sim::glue_call::allocate_page_at, seed % 2 != 0);
    }
    result<linux_image> image;
};

} // namespace

TEMPLATE_TEST_CASE("Linux is entered in 64-bit mode on four levels, and finds everything where it is told", "",
    paging_4m, paging_pae, paging_4level, paging_5level)
{
    const std::uint32_t seed = GENERATE_COPY(range(0u, effort(1u, 2u, 16u)));
    const copy_regime regime = GENERATE(copy_regime::paged, copy_regime::unpaged);
    CAPTURE(seed, regime == copy_regime::paged);
    linux64_world<TestType> s{seed};
    const phys_addr rsdp = phys_addr::at(0xf5a0);
    s.machine.memory().write(rsdp, bytes(20)); // of the first revision
    const linux64_entry contract{*s.image, {.acpi_rsdp = rsdp}};
    auto staged = prepare(s.machine, contract, {.copy = regime});
    REQUIRE(staged);
    const exec_plan plan = staged->plan();
    const snapshot before{s.machine.memory(), s.ram};
    const auto outcome = run(*staged);
    REQUIRE(std::holds_alternative<sim::entry_state>(outcome));
    const auto& state = std::get<sim::entry_state>(outcome);
    check_memory(plan, before, snapshot{s.machine.memory(), s.ram}, std::nullopt);
    check_accesses(plan, s.machine.processor().record, std::nullopt);

    CHECK(state.code_64);
    CHECK(state.paging == paging_mode::four_level);
    CHECK(state.rip == s.image->kernel.first().raw() + 0x200);
    CHECK(state.physical_rip.raw() == state.rip);
    CHECK(state.cs == 0x10);
    for (const std::uint16_t selector : {state.ds, state.es, state.ss})
        CHECK(selector == 0x18);
    CHECK(state.flat);
    CHECK_FALSE(state.interrupts);
    CHECK(state.dr7 == 0x400);
    CHECK((state.rax | state.rbx | state.rcx | state.rdx | state.rdi | state.rbp) == 0);

    // What it reads and writes first is where it is, through the tables in force.
    auto& mmu = s.machine.processor().mmu;
    using intent = sim::x86_mmu::intent;
    const auto one_to_one = [&](phys_range r, intent wanted) {
        bool is = true;
        for (std::uint64_t at = r.first().raw() & ~std::uint64_t{0xfff}; at <= r.last().raw(); at += 0x1000)
            is = is && mmu.peek(at, wanted).raw() == at;
        return is;
    };
    const phys_range page = phys_range::of(phys_addr::at(state.rsi), x86::page_size);
    bytes parameters(4096);
    s.machine.memory().read(page.first(), parameters);
    const std::uint64_t line = peek(parameters, 0x228, 4) | peek(parameters, 0x0c8, 4) << 32;
    CHECK(one_to_one(page, intent::write));
    CHECK(one_to_one(s.image->kernel, intent::write));
    CHECK(one_to_one(s.image->kernel, intent::execute));
    CHECK(one_to_one(phys_range::of(phys_addr::at(line), byte_count::of(24)), intent::read));
    CHECK(one_to_one(phys_range::of(phys_addr::at(0), byte_count::of(0xa'0000)), intent::write));
    CHECK(peek(parameters, 0x202, 4) == 0x53726448);
    CHECK(peek(parameters, 0x218, 4) == s.image->initrd->first().raw());
    CHECK(peek(parameters, 0x070, 8) == 0xf5a0);
    CHECK(s.machine.memory().unwritten_reads() == 0);
}

TEST_CASE("a 64-bit Linux that is refused leaves a 64-bit kernel as it was, and then goes")
{
    const auto requests = [] {
        linux64_world<paging_5level> s{0};
        const linux64_entry contract{*s.image};
        s.machine.fail_requests({});
        REQUIRE(prepare(s.machine, contract));
        return s.machine.requests();
    }();
    CHECK(requests > 20);
    for (std::size_t n = 0; n < requests; n += stride<std::size_t>(5)) {
        CAPTURE(n);
        linux64_world<paging_5level> s{0};
        const linux64_entry contract{*s.image};
        const auto before = s.machine.state();
        s.machine.fail_request(n);
        {
            const auto staged = prepare(s.machine, contract);
            if (!staged)
                CHECK((staged.error().code == fault_code::no_memory || staged.error().code == fault_code::not_mapped));
        }
        CHECK(difference(before, s.machine.state()).empty());
        s.machine.fail_requests({});
        auto staged = prepare(s.machine, contract);
        REQUIRE(staged);
        const auto outcome = run(*staged);
        REQUIRE(std::holds_alternative<sim::entry_state>(outcome));
        CHECK(std::get<sim::entry_state>(outcome).code_64);
    }
}
