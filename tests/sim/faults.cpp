// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// Every request of the glue that may fail is made to fail, alone and in pairs. Whatever prepare() says then, once its
// exec is gone everything that is somebody's is as it was, and the next exec succeeds to the last byte.
//
// A pair may fall into one attempt, or into an attempt and the one that is made because it was refused.

#include <cstdio>

#include <tests/support/effort.hpp>
#include <tests/support/exec_grid.hpp>
#include <tests/support/scenario.hpp>
#include <tests/support/state_difference.hpp>

using namespace lobos;
using namespace lobos::test;

namespace {

/// Four pages of kernel, two of initrd: an exec that is over soon.
struct small_linux : linux_scenario {
    explicit small_linux(std::uint32_t seed)
        : linux_scenario{seed,
              bzimage_builder{
                  .code = 0x2340, .init_size = 0x4000, .pref_address = 0x20'0000, .kernel_alignment = 0x10'0000},
              0x1345},
          image{load()}
    {
        REQUIRE(image);
    }
    x86::linux32_entry contract() const { return x86::linux32_entry{*image}; }
    result<linux_image> image;
};

/// Six pages over the running kernel, two of them from the file, with the log in the midst.
struct small_paged : paged_scenario {
    explicit small_paged(std::uint32_t seed) : paged_scenario{seed}
    {
        elf_builder e = image();
        e.parts[0].p_vaddr = 0xc010'f000;
        e.parts[0].p_paddr = 0x10'f000;
        e.parts[0].p_filesz = 0x1432;
        e.parts[0].p_memsz = 0x6000;
        e.entry = 0xc010'f040;
        e.size = 0x1000 + 0x1432;
        kernel_file = machine.stage(e.build());
        entry = load();
        REQUIRE(entry);
    }
    const x86::paged_entry& contract() const { return *entry; }
    result<x86::paged_entry> entry = refuse(fault_code::empty_image, stage::loading, 0);
};

/// A 64-bit kernel in five levels of tables, and three segments that enter 64-bit mode on four, by way of the hub.
struct small_long : crosswise<x86::paging_5level> {
    using image_type = image::long_64<x86::paging_4level>;
    explicit small_long(std::uint32_t seed) : crosswise{2 * seed + 1, 6} {}
    image_type contract() const { return image_for<x86::paging_5level, image_type>(*this); }
};

/// What the image's bytes are to be, and where: pages, less what is safe.
using contents = std::vector<std::pair<phys_addr, bytes>>;

contents wanted_image(sim::memory& memory, const exec_plan& plan)
{
    contents wanted;
    for (const segment& s : plan.image) {
        phys_addr to = s.destination.first();
        for (content_cursor c{s}; c.left().raw() != 0;) {
            const byte_count in_page = x86::page_size - (to - align_down(to, x86::page_size));
            const extent piece = c.take(in_page);
            bytes file(static_cast<std::size_t>(piece.size.raw()));
            if (!piece.is_zeros())
                memory.read(piece.at, file);
            const phys_range here = phys_range::of(to, piece.size);
            if (std::ranges::none_of(plan.safe, [&](const safe_region& r) { return r.range.overlaps(here); }))
                wanted.emplace_back(to, std::move(file));
            to += piece.size;
        }
    }
    return wanted;
}

/// The next exec, without failures: it enters the new kernel, and every byte of that is right.
template <class Scenario> void check_next_exec(Scenario& s)
{
    s.machine.fail_requests({});
    const auto contract = s.contract();
    auto staged = prepare(s.machine, contract);
    REQUIRE(staged);
    const contents wanted = wanted_image(s.machine.memory(), staged->plan());
    const auto outcome = run(*staged);
    REQUIRE(std::holds_alternative<sim::entry_state>(outcome));
    CHECK(std::ranges::all_of(wanted, [&](const auto& w) { return s.machine.memory().holds(w.first, w.second); }));
    CHECK_FALSE(wanted.empty());
}

/// Prepares and drops until every one of `failing` has failed, three times at most; whether they all did.
template <class Scenario> bool endure(Scenario& s, const std::set<std::size_t>& failing)
{
    const sim::kernel_state before = s.machine.state();
    s.machine.fail_requests(failing);
    const auto contract = s.contract();
    for (int attempt = 0; attempt < 3 && s.machine.injected.failed() < failing.size(); ++attempt) {
        const std::size_t failed = s.machine.injected.failed();
        {
            const auto staged = prepare(s.machine, contract);
            if (!staged) {
                const fault_code code = staged.error().code;
                CHECK((code == fault_code::no_memory || code == fault_code::not_mapped));
                CHECK(s.machine.injected.failed() > failed);
            }
        }
        CHECK(difference(before, s.machine.state()).empty());
    }
    return s.machine.injected.failed() == failing.size();
}

template <class Scenario> std::size_t requests_of_one_exec()
{
    Scenario s{1};
    s.machine.fail_requests({});
    const auto contract = s.contract();
    REQUIRE(prepare(s.machine, contract));
    CHECK(s.machine.injected.failed() == 0);
    for (const auto kind :
        {sim::glue_call::allocate_page, sim::glue_call::allocate_workspace, sim::glue_call::virtual_address})
        CHECK(s.machine.injected.count(kind) != 0);
    return s.machine.requests();
}

template <class Scenario> void check_every_single()
{
    const std::size_t all = requests_of_one_exec<Scenario>();
    for (std::size_t i = 0; i < all; i += stride(std::size_t{3})) {
        CAPTURE(i);
        Scenario s{1};
        CHECK(endure(s, {i}));
        check_next_exec(s);
    }
    std::printf("faults: %zu requests, each failing alone\n", all);
}

template <class Scenario> void check_every_pair(std::uint32_t seed)
{
    const std::size_t all = requests_of_one_exec<Scenario>();
    std::size_t pairs = 0;
    for (std::size_t i = 0; i < all; ++i) {
        // A refused attempt ends with request i or goes on for a while; the next one has `all`.
        for (std::size_t j = i + 1; j <= i + all; j += stride(7u)) {
            CAPTURE(i, j);
            Scenario s{seed};
            CHECK(endure(s, {i, j}));
            check_next_exec(s);
            ++pairs;
        }
    }
    std::printf("faults: %zu requests, %zu pairs failing\n", all, pairs);
}

/// A contract whose parameters are refused while `refuses` is set.
template <class Contract> struct refusing : Contract {
    refusing(const Contract& contract, const bool& flag) : Contract{contract}, refuses{flag} {}
    template <physical_memory M>
    result<void> write_parameters(
        M& memory, const region_map& map, std::span<const phys_addr> pages, std::span<std::byte> scratch) const
    {
        store(memory, pages[0], std::uint64_t{0x6861'6c66}); // half of the work is done by then
        if (refuses)
            return refuse(fault_code::too_many_regions, stage::staging, 7);
        return Contract::write_parameters(memory, map, pages, scratch);
    }
    const bool& refuses;
};

} // namespace

TEMPLATE_TEST_CASE(
    "each request fails: all is as it was, the next exec succeeds", "", small_linux, small_paged, small_long)
{
    check_every_single<TestType>();
}

TEMPLATE_TEST_CASE(
    "each pair of requests fails: all is as it was, the next exec succeeds", "", small_linux, small_paged)
{
    for (std::uint32_t seed = 1; seed <= effort(1u, 1u, 8u); ++seed)
        check_every_pair<TestType>(seed);
}

TEMPLATE_TEST_CASE("a call that always fails is a refusal, or not needed", "", small_linux, small_paged, small_long)
{
    for (const auto kind : {sim::glue_call::allocate_page, sim::glue_call::allocate_page_at,
             sim::glue_call::allocate_workspace, sim::glue_call::virtual_address}) {
        CAPTURE(static_cast<int>(kind));
        TestType s{2};
        const sim::kernel_state before = s.machine.state();
        s.machine.injected.fail_every(kind);
        const auto contract = s.contract();
        const bool claims = kind == sim::glue_call::allocate_page_at;
        CHECK(prepare(s.machine, contract).has_value() == claims);
        CHECK(difference(before, s.machine.state()).empty());
        if (!claims)
            s.machine.injected.fail_every(kind, false);
        check_next_exec(s);
    }
}

TEMPLATE_TEST_CASE("a contract that refuses its parameters is one refusal among others", "", small_linux, small_paged)
{
    const std::size_t all = requests_of_one_exec<TestType>();
    for (std::size_t i = 0; i <= all; ++i) {
        CAPTURE(i);
        TestType s{3};
        const sim::kernel_state before = s.machine.state();
        bool refuses = true;
        const refusing contract{s.contract(), refuses};
        s.machine.fail_requests({all + i}); // in the attempt behind it, or never
        {
            const auto staged = prepare(s.machine, contract);
            REQUIRE_FALSE(staged);
            if (s.machine.injected.failed() == 0)
                CHECK(staged.error() == fault{fault_code::too_many_regions, stage::staging, 7});
        }
        CHECK(difference(before, s.machine.state()).empty());
        refuses = false;
        (void)prepare(s.machine, contract);
        CHECK(difference(before, s.machine.state()).empty());
        s.machine.fail_requests({});
        CHECK(prepare(s.machine, contract));
        CHECK(difference(before, s.machine.state()).empty());
        check_next_exec(s);
    }
}

TEMPLATE_TEST_CASE("a memory map that changes in any stage stops the commit", "", small_linux, small_paged)
{
    for (const stage when : {stage::planning, stage::mapping, stage::staging, stage::verifying, stage::committing}) {
        CAPTURE(to_string(when));
        TestType s{4};
        const sim::kernel_state before = s.machine.state();
        struct change {
            sim::x86_kernel& machine;
            stage when;
            void apply()
            {
                ++machine.generation;
                REQUIRE(
                    machine.map().add(phys_range::of(phys_addr::at(0x70'0000), x86::page_size), region_kind::acpi_nvs));
            }
        } plugged{s.machine, when};
        exec_options options;
        options.after = [](stage finished, void* context) {
            auto& c = *static_cast<change*>(context);
            if (finished == c.when)
                c.apply();
        };
        options.context = &plugged;
        {
            const auto contract = s.contract();
            auto staged = prepare(s.machine, contract, options);
            if (staged) {
                if (when == stage::committing)
                    plugged.apply();
                const auto outcome = run(*staged);
                REQUIRE(std::holds_alternative<fault>(outcome));
                CHECK(std::get<fault>(outcome) == fault{fault_code::memory_map_changed, stage::committing, 2});
            }
        }
        CHECK(difference(before, s.machine.state()) == "map");
        check_next_exec(s);
    }
}
