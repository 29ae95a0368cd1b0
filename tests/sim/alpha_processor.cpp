// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// The overlay's own code, instruction by instruction.

#include <lobos/sim/alpha_processor.hpp>

#include <tests/support/alpha_exec.hpp>
#include <tests/support/effort.hpp>
#include <tests/support/state_difference.hpp>

using namespace lobos;
using namespace lobos::literals;
using namespace lobos::test;
using sim::alpha_exception;
using reg = sim::alpha_register;
using search = sim::alpha_mmu::search;

namespace {

constexpr std::uint64_t kseg = 0xffff'fc00'0000'0000;
constexpr phys_addr trail = phys_addr::at(0x3e'e000);
constexpr std::uint32_t call_imb = 0x86, call_swpctx = 0x30, call_tbi = 0x33, call_wrent = 0x34;

/// The instruction that comes next; 0 when it lies nowhere.
template <class World> std::uint32_t next(World& world)
try {
    auto& cpu = world.processor();
    return load<std::uint32_t>(world.machine.memory(), cpu.mmu.peek(cpu.pc, sim::alpha_mmu::intent::execute));
} catch (const alpha_exception&) {
    return 0;
}

/// An exec in which the instruction `word` is left out, every time.
template <class World> alpha_outcome run_without(World& world, const alpha_image& image, std::uint32_t word)
{
    auto staged = prepare(world.machine, image);
    REQUIRE(staged);
    world.processor().before_each_instruction = [&](sim::alpha_processor& cpu) {
        while (next(world) == word)
            cpu.pc += 4;
    };
    return run_alpha(*staged);
}

/// With a place for the breadcrumb.
template <class Kernel> struct noted_world : alpha_world<Kernel> {
    explicit noted_world(std::uint32_t seed) : alpha_world<Kernel>{seed, 0x205}
    {
        REQUIRE(this->machine.map().add(phys_range::of(trail, alpha::port::page_size), region_kind::surviving));
        store(this->machine.memory(), trail, breadcrumb{});
    }
    breadcrumb note() { return load<breadcrumb>(this->machine.memory(), trail); }
};

} // namespace

TEMPLATE_TEST_CASE("an image is entered as it was promised", "", sim::alpha_kernel, sim::mapped_alpha_kernel)
{
    const auto looks = GENERATE(search::virtual_table, search::virtual_table_or_walk, search::walk);
    const bool bytes = GENERATE(false, true);
    const std::size_t chunk = GENERATE(as<std::size_t>{}, 0x2000, 0x1005);
    const bool mapped = GENERATE(false, true);
    CAPTURE(looks, bytes, chunk, mapped);
    alpha_world<TestType> world{3, 0x2025, chunk};
    auto& cpu = world.processor();
    cpu.mmu.looks = looks;
    cpu.compiled_for_bytes = bytes;
    cpu.model = bytes ? sim::alpha_model::ev67() : sim::alpha_model::ev4();

    // Where the buffers know something else.
    const alpha_image image = mapped ? world.image_at(0x2a'0000_va) : world.image();
    auto staged = prepare(world.machine, image);
    REQUIRE(staged);
    const exec_plan& plan = staged->plan();
    const auto outcome = run_alpha(*staged);
    REQUIRE(std::holds_alternative<sim::alpha_kernel_entered>(outcome));
    const auto& [state, physical] = std::get<sim::alpha_kernel_entered>(outcome);
    CHECK(world.arrived());
    CHECK(state.pc == image.entry().raw());
    CHECK(physical == image.physical_entry());
    CHECK(state.general[reg::pv] == state.pc);
    CHECK((state.general[reg::a0] & 0x1fff) == 7);
    CHECK(state.general[reg::sp] == kseg + plan.stack.raw() + 8192);
    CHECK(state.priority == 7);
    CHECK(state.ptbr == plan.new_root.raw() >> 13);
    CHECK(state.space == 0);
    CHECK(state.vptb == TestType::machine::vptb);
    CHECK(state.pcbb == plan.frame.raw() + offsetof(alpha::departure_frame, context));
    for (const auto& entry : state.entries)
        CHECK(phys_range::of(plan.code, alpha::port::page_size).contains(phys_addr::at(*entry - kseg)));
    CHECK(cpu.exceptions == 0);
    CHECK(cpu.around + cpu.copying + 0u == cpu.executed);
    CHECK(cpu.around < 64);
}

TEMPLATE_TEST_CASE("an exception before any instruction finds the guard, once it is there", "", sim::alpha_kernel,
    sim::mapped_alpha_kernel)
{
    // A machine check at every instruction, and at each one of the others.
    constexpr alpha_exception kinds[] = {alpha_exception::memory(0x1234, sim::alpha_fault::fault_on_write, 1),
        alpha_exception::instruction(alpha_exception::no_instruction), alpha_exception::unaligned(0x4321, 0x29, 3)};
    const bool checks = GENERATE(true, false);
    std::uint64_t guarded = 0;
    bool entered = false;
    for (std::uint64_t n = 0; !entered; n = n < 60 ? n + stride(7u) : n * 5 / 4) {
        const alpha_exception exception = checks ? alpha_exception::machine_check(0x670, kseg + 0x6000) : kinds[n % 3];
        noted_world<TestType> world{5};
        const alpha_image image = world.image();
        auto staged = prepare(world.machine, image, {.trail = trail});
        REQUIRE(staged);
        std::uint64_t at = 0;
        std::uint64_t number = 0;
        unsigned entries = 0; // of the guard that were made
        world.processor().before_each_instruction = [&](sim::alpha_processor& cpu) {
            if (number++ == n) {
                at = cpu.pc + (exception.behind ? 4 : 0);
                cpu.deliver(exception);
            } else if (cpu.exceptions == 0) {
                entries += next(world) == call_wrent ? 1u : 0u;
            }
        };
        const auto outcome = run_alpha(*staged);
        CAPTURE(n, at);
        entered = std::holds_alternative<sim::alpha_kernel_entered>(outcome);
        if (entered)
            break;
        if (entries <= static_cast<unsigned>(exception.entry)) { // the kernel's own entry, of which nothing is left
            CHECK(std::holds_alternative<sim::machine_error>(outcome));
            continue;
        }
        ++guarded;
        REQUIRE(std::holds_alternative<sim::alpha_halted>(outcome));
        CHECK(world.note().exception == static_cast<std::uint32_t>(exception.entry) + 1);
        CHECK(world.note().at == at);
        if (exception.entry != sim::alpha_entry::instruction) // whose a1 means nothing
            CHECK(world.note().error == static_cast<std::uint32_t>(exception.a1));
        CHECK(world.note().touched == exception.a0);
        // The console finds what it is asked for.
        const auto halt = load<std::uint64_t>(world.machine.memory(), world.processor().facts().halt.flags);
        CHECK(halt == ((0x1cc & ~std::uint64_t{1}) | alpha::halt_request::cold_bootstrap));
    }
    CHECK(guarded > effort(8u, 40u, 40u));
}

TEST_CASE("the guard halts as often as somebody goes on")
{
    noted_world<sim::alpha_kernel> world{5};
    const alpha_image image = world.image();
    auto staged = prepare(world.machine, image, {.trail = trail});
    REQUIRE(staged);
    world.processor().continued_halts = 3;
    world.processor().before_each_instruction = [&](sim::alpha_processor& cpu) {
        if (cpu.copying == 20 && cpu.exceptions == 0)
            cpu.deliver(alpha_exception::machine_check(0x670, 0));
    };
    CHECK(std::holds_alternative<sim::alpha_halted>(run_alpha(*staged)));
    CHECK(world.processor().continued_halts == 0);
}

TEST_CASE("the guard has a device reset the machine once its record is there, and halts if that does nothing")
{
    // A register at an address of I/O, which bit 40 of kseg's is bit 43 of. What is stored there shows in the memory
    // that stands for it.
    constexpr phys_addr device = phys_addr::at(0x801'fc00'0064);
    noted_world<sim::alpha_kernel> world{5};
    auto& memory = world.machine.memory();
    auto& cpu = world.processor();
    memory.add_ram(phys_range::of(device, 1_bytes));
    cpu.model = sim::alpha_model::ev67();
    cpu.reset = {virt_addr::at(0xffff'fd01'fc00'0064), 0xfe};
    const alpha_image image = world.image();
    auto staged = prepare(world.machine, image, {.trail = trail});
    REQUIRE(staged);
    std::uint64_t stored_at = 0; // the instruction's number
    cpu.before_each_instruction = [&](sim::alpha_processor& p) {
        if (p.copying == 20 && p.exceptions == 0)
            p.deliver(alpha_exception::machine_check(0x670, 0));
        if (stored_at == 0 && p.record.first(sim::access_kind::write, phys_range::of(device, 1_bytes)))
            stored_at = p.executed;
    };
    REQUIRE(std::holds_alternative<sim::alpha_halted>(run_alpha(*staged)));
    const auto store_of = [&](phys_addr at, byte_count size) {
        return cpu.record.first(sim::access_kind::write, phys_range::of(at, size));
    };
    const auto reset = store_of(device, 1_bytes);
    REQUIRE(reset);
    CHECK(reset->range() == phys_range::of(device, 1_bytes)); // a byte, once
    CHECK(reset->first == reset->last);
    CHECK(load<std::uint8_t>(memory, device) == 0xfe);
    CHECK(world.note().exception == 1);
    const auto record = store_of(trail + byte_count::of(offsetof(breadcrumb, exception)), 4_bytes);
    const auto request = store_of(cpu.facts().halt.flags, 8_bytes);
    REQUIRE(record);
    REQUIRE(request);
    CHECK(record->last < reset->first);
    CHECK(request->last < reset->first);
    CHECK(cpu.executed - stored_at > 10'000); // the device takes its time
}

TEMPLATE_TEST_CASE("what the overlay must not leave out", "", sim::alpha_kernel, sim::mapped_alpha_kernel)
{
    SECTION("imb: what was copied need not be what is executed")
    {
        alpha_world<TestType> world{7};
        CHECK(std::holds_alternative<sim::machine_error>(run_without(world, world.image(), call_imb)));
    }
    SECTION("tbia: the image is where its tables say, not where the last ones said")
    {
        alpha_world<TestType> world{7};
        const alpha_image image = world.image_at(0x2a'0000_va);
        const auto outcome = run_without(world, image, call_tbi);
        const auto* entered = std::get_if<sim::alpha_kernel_entered>(&outcome);
        CHECK_FALSE((entered && entered->physical_pc == image.physical_entry()));
    }
    SECTION("swpctx: nor do they map it where it is to be")
    {
        alpha_world<TestType> world{7};
        const auto image = world.image_at(virt_addr::at(0xffff'ff00'0000'0000));
        CHECK(std::holds_alternative<sim::alpha_halted>(run_without(world, image, call_swpctx))); // the guard
    }
    SECTION("wrent")
    {
        alpha_world<TestType> world{7};
        world.processor().mmu.looks = search::walk;
        const alpha_image image = world.image();
        auto staged = prepare(world.machine, image);
        REQUIRE(staged);
        world.processor().before_each_instruction = [&](sim::alpha_processor& cpu) {
            while (next(world) == call_wrent)
                cpu.pc += 4;
            if (cpu.copying == 100)
                cpu.deliver(alpha_exception::machine_check(0x670, 0));
        };
        CHECK(std::holds_alternative<sim::machine_error>(run_alpha(*staged)));
    }
}

TEST_CASE("code for a processor with stores of bytes is none for one without")
{
    alpha_world<sim::alpha_kernel> world{9};
    world.processor().compiled_for_bytes = true;
    const alpha_image image = world.image();
    auto staged = prepare(world.machine, image);
    REQUIRE(staged);
    CHECK(std::holds_alternative<sim::alpha_halted>(run_alpha(*staged))); // the guard
}

TEST_CASE("each register is part of the state of an Alpha")
{
    using change = void (*)(sim::alpha_processor&);
    const change changes[] = {
        [](sim::alpha_processor& p) { p.mmu.root_page ^= 1; },
        [](sim::alpha_processor& p) { p.mmu.vptb = 0x2'0000'0000; },
        [](sim::alpha_processor& p) { ++p.mmu.space; },
        [](sim::alpha_processor& p) { p.pcbb += 8; },
        [](sim::alpha_processor& p) { p.kernel_gp += 8; },
        [](sim::alpha_processor& p) { p.user_sp += 8; },
        [](sim::alpha_processor& p) { ++p.unique; },
        [](sim::alpha_processor& p) { p.floating_point = true; },
        [](sim::alpha_processor& p) { p.entries[4] = std::nullopt; },
        [](sim::alpha_processor& p) { *p.entries[5] += 8; },
        [](sim::alpha_processor& p) { p.general.set(reg::sp, 0); },
        [](sim::alpha_processor& p) { p.interrupts_off(); },
    };
    for (const auto apply : changes) {
        sim::alpha_kernel k{4_MiB};
        const auto before = k.state();
        apply(k.processor());
        CHECK(difference(before, k.state()) == "registers");
    }
}

TEST_CASE("nobody leaves an Alpha with interrupts on, or for nowhere")
{
    sim::alpha_kernel k{4_MiB};
    CHECK_THROWS_AS(
        k.processor().depart(virt_addr::at(kseg + 0x20'0010), virt_addr::at(kseg + 0x20'2000)), sim::machine_error);
    k.processor().interrupts_off();
    CHECK_THROWS_AS(k.processor().depart(0x8000'0000_va, virt_addr::at(kseg + 0x20'2000)), sim::machine_error);
    CHECK_THROWS_AS(k.processor().depart(virt_addr::at(kseg + 0x20'0010), 0x8000'0000_va), sim::machine_error);
}
