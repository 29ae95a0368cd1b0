// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The grid of whole execs: a simulated kernel in one mode of paging, replaced by an image in any state, with the copy
/// paged or not. Files are staged crosswise in their own destination, so the copy has cycles to break; every byte of
/// memory is compared, and every register that an image may rely on.

#include <random>

#include <lobos/x86/paging_4k.hpp>
#include <lobos/x86/paging_4level.hpp>
#include <lobos/x86/paging_5level.hpp>
#include <lobos/x86/paging_pae.hpp>

#include <tests/support/effort.hpp>
#include <tests/support/scenario.hpp>
#include <tests/support/state_difference.hpp>

namespace lobos::test {

/// A kernel with scattered pages, and files that were staged crosswise in their own destination: cycles, which the
/// bounce page breaks, and sources from everywhere.
template <class Paging> struct crosswise {
    explicit crosswise(std::uint32_t seed, std::size_t pages = 32) : machine{ram, seed + 1}
    {
        bytes file(pages * 0x1000);
        for (std::size_t i = 0; i < file.size(); ++i)
            file[i] = pattern(i * 7 + seed);
        where = phys_range::of(phys_addr::at(0x2f'd000), byte_count::of(file.size()));
        for (std::size_t i = 0; i < pages; ++i) {
            const phys_addr page = where.first() + byte_count::of(i * 0x1000);
            REQUIRE(machine.allocate_page_at(page));
            extents.push_back({page, x86::page_size});
        }
        std::mt19937 random{seed};
        std::ranges::shuffle(extents, random);
        for (std::size_t i = 0; i < pages; ++i)
            machine.memory().write(extents[i].at, std::span{file}.subspan(i * 0x1000, 0x1000));
        elsewhere = machine.stage(std::span{file}.first(file.size() / 2 + 0x234), 4096 - seed % 9);
        // What lies in free memory is put there early; in every other world that is refused.
        machine.injected.fail_every(sim::glue_call::allocate_page_at, seed % 2 == 0);
    }
    /// A surviving log, for the overlay to leave its breadcrumb in.
    phys_addr start_log()
    {
        constexpr phys_range region = phys_range::of(phys_addr::at(0x60'0000), byte_count::of(0x4000));
        REQUIRE(machine.map().add(region, region_kind::surviving));
        const auto log = surviving_log<sim::memory>::create(machine.memory(), region);
        REQUIRE(log);
        return log->trail();
    }
    std::vector<segment> parts() const
    {
        const phys_range high =
            phys_range::of(phys_addr::at(0x48'0000), byte_count::of(where.size().raw() / 2 + 0x234));
        return {{.destination = where, .file = extents},
            {.destination = high, .role = segment_role::initrd, .file = elsewhere.extents},
            {.destination = phys_range::of(high.last() + byte_count::of(1), byte_count::of(0x4321)),
                .what = content::zero}};
    }

    static constexpr byte_count ram = byte_count::of(8u << 20);
    sim::basic_x86_kernel<Paging> machine;
    std::vector<extent> extents;
    phys_range where = phys_range::of(phys_addr{}, x86::page_size);
    sim::staged_bytes elsewhere;
};

/// Where an image that is entered with paging expects itself: high up in its mode's address space.
template <class Paging> constexpr virt_addr high_address()
{
    constexpr auto mode = x86::mode_of_traits<Paging>();
    return virt_addr::at(mode == x86::paging_mode::five_level ? 0xff22'0000'0000'0000
            : mode == x86::paging_mode::four_level            ? 0xffff'c900'0000'0000
                                                              : 0xd000'0000);
}

/// An image in one state, entered 32 bytes behind its beginning.
template <x86::entry_state State, class Paging> struct raw_image : raw_contract {
    static constexpr x86::entry_state state = State;
    using paging = Paging;

    std::vector<virtual_segment> layout;

    raw_image(std::vector<segment> p, virt_addr linear) : raw_contract{std::move(p)}
    {
        if constexpr (!std::is_void_v<Paging>) {
            const phys_range first = parts.front().destination;
            const phys_addr base = align_down(first.first(), byte_count::of(4u << 20));
            layout.push_back({virt_range::of(linear + (first.first() - base), first.size()), first.first(), true});
        }
    }
    phys_addr physical_entry() const { return parts.front().destination.first() + byte_count::of(0x20); }
    virt_addr entry() const
    {
        return layout.empty() ? virt_addr::at(physical_entry().raw())
                              : layout.front().virtual_range.first() + byte_count::of(0x20);
    }
    std::span<const virtual_segment> virtual_layout() const { return layout; }
    x86::entry_registers registers(std::span<const phys_addr> pages) const
    {
        return {
            .ax = 0xa0a1'a2a3'a4a5'a6a7, .bx = 0xb0b1'b2b3'b4b5'b6b7, .si = pages[0].raw() | std::uint64_t{7} << 60};
    }
};

namespace image {
using as_running = raw_image<x86::entry_state::as_running, same_paging>;
using flat_32 = raw_image<x86::entry_state::flat_32, void>;
template <class Paging> using paged_32 = raw_image<x86::entry_state::paged_32, Paging>;
template <class Paging> using long_64 = raw_image<x86::entry_state::long_64, Paging>;
} // namespace image

/// The image of a cell of the grid: what a kernel of `Paging` is replaced by.
template <class Paging, class Image> Image image_for(const crosswise<Paging>& world)
{
    return {world.parts(), high_address<entry_paging<Image, Paging>>()};
}

/// What the image of a cell is promised.
struct promised {
    virt_addr entry;
    phys_addr physical_entry;
    x86::entry_state state;
    bool stays; ///< in the running kernel's mode and on its selectors
    x86::paging_mode paging;
    bool code_64() const { return x86::is_long(paging); }
};

template <class Paging, class Image> promised promise_of(const Image& contract)
{
    constexpr bool stays = Image::state == x86::entry_state::as_running;
    constexpr x86::paging_mode entered = [] {
        if constexpr (stays)
            return x86::mode_of_traits<Paging>();
        else if constexpr (std::is_void_v<typename Image::paging>)
            return x86::paging_mode::none;
        else
            return x86::mode_of_traits<typename Image::paging>();
    }();
    return {contract.entry(), contract.physical_entry(), Image::state, stays, entered};
}

/// What the image's first instruction finds is what its state promises. `running` are the kernel's selectors.
inline void check_state(
    const sim::entry_state& state, const promised& to, std::pair<unsigned, unsigned> running, const exec_plan& plan)
{
    const std::uint64_t width = to.code_64() ? ~std::uint64_t{0} : 0xffff'ffff;
    const auto [code, data] = to.stays ? running : std::pair{0x10u, 0x18u};
    CHECK(state.rip == to.entry.raw());
    CHECK(state.physical_rip == to.physical_entry);
    CHECK(state.rax == (0xa0a1'a2a3'a4a5'a6a7 & width));
    CHECK(state.rbx == (0xb0b1'b2b3'b4b5'b6b7 & width));
    CHECK((state.rsi & ~std::uint64_t{0xffff'f000} & width) == (std::uint64_t{7} << 60 & width));
    CHECK((state.rcx | state.rdx | state.rdi | state.rbp) == 0);
    CHECK(
        phys_range::of(plan.stack, x86::page_size).contains(phys_addr::at(state.rsp - 1))); // some of it is still there
    if (to.code_64())
        CHECK(std::ranges::count(state.r8_to_r15, 0u) == 8);
    CHECK_FALSE(state.interrupts);
    CHECK(state.dr7 == 0x400);
    CHECK(state.cs == code);
    for (const std::uint16_t selector : {state.ds, state.es, state.fs, state.gs, state.ss})
        CHECK(selector == data);
    CHECK(state.flat == !(to.stays && to.code_64())); // the running kernel's data has no limit
    CHECK(state.code_64 == to.code_64());
    CHECK(state.paging == to.paging);
    CHECK((state.cr0 & x86::cr0::protection) != 0);
    CHECK(state.cr3 == (to.paging == x86::paging_mode::none ? 0 : plan.entry_root.raw()));
    // Nothing is left that a kernel turned on for itself.
    constexpr std::uint64_t mode = x86::cr4::large_pages | x86::cr4::wide_pages | x86::cr4::five_levels;
    CHECK((state.cr4 & ~(mode | x86::cr4::machine_check)) == 0);
    if (to.paging == x86::paging_mode::none)
        CHECK(state.cr4 == 0);
    CHECK(((state.efer & x86::efer::long_mode_active) != 0) == to.code_64());
    if (!to.code_64())
        CHECK((state.efer & x86::efer::long_mode) == 0);
}

/// Goes, and compares all of memory, every access and the state in which the image is entered.
template <class Paging>
void check_exec_of(crosswise<Paging>& s, staged_exec<sim::basic_x86_kernel<Paging>, crc32c>& staged, const promised& to,
    std::optional<phys_addr> trail)
{
    using kernel = sim::basic_x86_kernel<Paging>;
    const exec_plan plan = staged.plan();
    CHECK(plan.cost.cycles > 0);
    const snapshot before{s.machine.memory(), s.ram};
    const auto outcome = run(staged);
    REQUIRE(std::holds_alternative<sim::entry_state>(outcome));
    check_memory(plan, before, snapshot{s.machine.memory(), s.ram}, trail);
    check_accesses(plan, s.machine.processor().record, trail);
    if (trail) {
        const auto crumb = load<breadcrumb>(s.machine.memory(), *trail);
        CHECK(crumb.stage == static_cast<std::uint32_t>(overlay_stage::copied));
        CHECK(crumb.steps == plan.cost.steps);
    }
    check_state(std::get<sim::entry_state>(outcome), to, {kernel::code_selector, kernel::data_selector}, plan);
    CHECK(s.machine.memory().unwritten_reads() == 0);
}

/// An exec of one cell of the grid; every other one with a log.
template <class Paging, class Image> void check_exec(std::uint32_t seed, copy_regime regime)
{
    CAPTURE(seed, regime == copy_regime::paged, static_cast<int>(Image::state));
    crosswise<Paging> s{seed};
    const auto contract = image_for<Paging, Image>(s);
    exec_options options{.copy = regime};
    if (seed % 2 != 0)
        options.trail = s.start_log();
    auto staged = prepare(s.machine, contract, options);
    REQUIRE(staged);
    CHECK(staged->plan().regime == regime);
    check_exec_of(s, *staged, promise_of<Paging>(contract), options.trail);
}

/// Both copy regimes, many worlds; where the state does not allow a copy without paging, that is refused.
template <class Paging, class Image> void check_execs()
{
    for (std::uint32_t seed = 0; seed < effort(1u, 2u, 16u); ++seed) {
        check_exec<Paging, Image>(seed, copy_regime::paged);
        if (Image::state != x86::entry_state::as_running)
            check_exec<Paging, Image>(seed, copy_regime::unpaged);
    }
}

} // namespace lobos::test
