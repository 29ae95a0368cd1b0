// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// What a kernel has turned on has to be off at the right moment. Each trap is first set, by a value that stays where it
// should go, and then shown to be avoided: that is the grid of exec_from_*.cpp, whose kernels have all of it on.

#include <tests/support/damaged_departure.hpp>

using namespace lobos;
using namespace lobos::test;
using namespace lobos::x86;
using frame = departure_frame;

TEST_CASE("if CR4.PGE stayed, a stale global translation would be taken for the overlay's code")
{
    const auto stays = [](auto& d) { d.put(offsetof(frame, cr4), d.machine.processor().mmu.cr4()); };
    CHECK(departs_after<paging_4m, image::flat_32>(copy_regime::paged, stays).found_other_code());
    // Where entries can forbid execution, somebody's data does.
    const auto with_nxe = departs_after<paging_4level, image::flat_32>(copy_regime::paged, stays);
    CHECK(with_nxe.vector == sim::x86_vector::page_fault);
    const auto only_pge = [](auto& d) {
        d.put(offsetof(frame, cr4), d.field(offsetof(frame, cr4)) | cr4::global_pages | cr4::process_contexts);
    };
    CHECK(departs_after<paging_4level, image::flat_32>(copy_regime::paged, only_pge).vector ==
        sim::x86_vector::page_fault);
}

TEST_CASE("if process contexts or CET stayed, paging could not go")
{
    for (const std::uint64_t bit : {cr4::process_contexts, cr4::control_flow}) {
        CAPTURE(bit);
        const auto stays = [=](auto& d) { d.put(offsetof(frame, cr4), d.field(offsetof(frame, cr4)) | bit); };
        const auto hub = departs_after<paging_4level, image::flat_32>(copy_regime::paged, stays);
        CHECK(hub.vector == sim::x86_vector::general_protection);
    }
}

TEST_CASE("what protects user pages may stay or go: the overlay has none")
{
    const auto stays = [](auto& d) {
        d.put(offsetof(frame, cr4), d.field(offsetof(frame, cr4)) | cr4::no_user_execution | cr4::no_user_access);
    };
    CHECK(departs_after<paging_4level, image::flat_32>(copy_regime::paged, stays).entered);
}

TEST_CASE("the number of levels changes outside of long mode, and as the image's tables are made")
{
    const auto at_once = [](auto& d) { d.put(offsetof(frame, cr4), d.field(offsetof(frame, cr4)) ^ cr4::five_levels); };
    const auto upwards = [](auto& d) {
        d.put(offsetof(frame, up_cr4), d.field(offsetof(frame, up_cr4)) ^ cr4::five_levels);
    };
    using from_5_to_4 = departure<paging_5level, image::long_64<paging_4level>>;
    using from_4_to_5 = departure<paging_4level, image::long_64<paging_5level>>;
    for (const copy_regime regime : {copy_regime::paged, copy_regime::unpaged}) {
        CHECK(from_5_to_4{}.after(regime, [](auto&) {}).entered);
        CHECK(from_4_to_5{}.after(regime, [](auto&) {}).entered);
        CHECK(from_5_to_4{}.after(regime, at_once).vector == sim::x86_vector::general_protection);
        CHECK(from_4_to_5{}.after(regime, at_once).vector == sim::x86_vector::general_protection);
        CHECK(from_5_to_4{}.after(regime, upwards).vector == sim::x86_vector::page_fault);
        CHECK(from_4_to_5{}.after(regime, upwards).vector == sim::x86_vector::page_fault);
    }
}

TEST_CASE("if IA32_EFER.LME stayed, PAE paging would be long mode")
{
    using world = departure<paging_4level, image::paged_32<paging_pae>>;
    const auto undamaged = world{}.after(copy_regime::paged, [](auto&) {});
    CHECK(undamaged.entered);
    CHECK((undamaged.state.efer & (efer::long_mode | efer::long_mode_active | efer::execute_disable)) == 0);
    CHECK((undamaged.state.efer & efer::system_calls) != 0); // not ours
    const auto stays = [](auto& d) { d.put(offsetof(frame, efer_kept), std::uint64_t{0xffff'ffff}); };
    CHECK_FALSE(world{}.after(copy_regime::paged, stays).entered);
}

TEST_CASE("CR0.WP is as the kernel has it until the hub, and set where an image is entered with paging from there")
{
    using world = departure<paging_4level, image::paged_32<paging_pae>>;
    const auto off = [](auto& d) {
        auto& mmu = d.machine.processor().mmu;
        mmu.load_cr4(mmu.cr4() & ~cr4::control_flow);
        mmu.load_cr0(mmu.cr0() & ~cr0::write_protect);
    };
    const auto came_of_it = world{}.after(copy_regime::paged, off);
    CHECK(came_of_it.entered);
    CHECK((came_of_it.state.cr0 & cr0::write_protect) != 0);
}

namespace {

/// What prepare() says of a kernel in some state; nothing has changed then.
template <class Paging, class Image, class Change> fault refusal(Change change)
{
    crosswise<Paging> s{1};
    const Image contract = image_for<Paging, Image>(s);
    change(s.machine);
    const auto before = s.machine.state();
    fault said = {};
    {
        const auto staged = prepare(s.machine, contract);
        REQUIRE_FALSE(staged);
        said = staged.error();
    }
    CHECK(difference(before, s.machine.state()).empty());
    return said;
}

} // namespace

TEST_CASE("a kernel in a state that cannot be left is refused, and is as it was")
{
    const auto refused = [](auto change) { return refusal<paging_4level, image::flat_32>(change); };
    CHECK(refused([](auto& k) { k.processor().page_attributes = 0x0007'0406'0007'0400; }) ==
        fault{fault_code::unsupported, stage::mapping, 0}); // entry 0 of the PAT is uncacheable
    CHECK(refused([](auto& k) { k.processor().page_attributes = 0x0007'0406'0007'0401; }).at == 1);
    CHECK(refused([](auto& k) { k.processor().memory_encrypted = true; }).code == fault_code::memory_encrypted);
    CHECK(refused([](auto& k) { k.processor().boot_processor = false; }).code == fault_code::wrong_processor);
    CHECK(refused([](auto& k) { k.processor().mmu.load_cr4(k.processor().mmu.cr4() | cr4::virtual_machines); }).code ==
        fault_code::unsupported);
}

TEST_CASE("a kernel whose map of memory forbids execution cannot lend it to the overlay's code")
{
    const auto no_code = [](auto& k) {
        using machine = sim::basic_x86_machine<paging_4level>;
        constexpr std::uint64_t asked = 0x105, kernels = 0x101; // global, user, present
        for (phys_addr at = machine::tables.first(); at < machine::tables.last(); at += byte_count::of(8))
            if (const auto entry = load<std::uint64_t>(k.memory(), at); (entry & asked) == kernels)
                store(k.memory(), at, entry | std::uint64_t{1} << 63);
    };
    CHECK(refusal<paging_4level, image::flat_32>(no_code).code == fault_code::switch_page_differs);
}

TEST_CASE("a 64-bit kernel without a stack segment is left for an image that brings its own, or needs none either")
{
    departure<paging_4level, image::flat_32> own;
    own.machine.processor().load_segment(sim::x86_segments::ss, 0);
    CHECK(own.after(copy_regime::paged, [](auto&) {}).entered);
    departure<paging_4level, image::as_running> none;
    none.machine.processor().load_segment(sim::x86_segments::ss, 0);
    const auto came_of_it = none.after(copy_regime::paged, [](auto&) {});
    CHECK(came_of_it.entered);
    CHECK(came_of_it.state.ss == 0);
}

TEST_CASE("what changes of a 64-bit kernel's machine between prepare and commit is found, and named")
{
    using kernel = sim::basic_x86_kernel<paging_4level>;
    const struct {
        const char* what;
        void (*change)(kernel&);
        fault_code expected;
    } cases[] = {
        {"CR4", [](kernel& k) { k.processor().mmu.load_cr4(k.processor().mmu.cr4() ^ cr4::no_user_access); },
            fault_code::table_root_changed},
        {"IA32_EFER", [](kernel& k) { k.processor().mmu.load_efer(k.processor().mmu.efer() ^ efer::system_calls); },
            fault_code::table_root_changed},
        {"IA32_PAT", [](kernel& k) { k.processor().page_attributes ^= 1; }, fault_code::table_root_changed},
        {"the root", [](kernel& k) { k.processor().mmu.load_cr3(k.processor().mmu.cr3() + 0x1000); },
            fault_code::table_root_changed},
        {"another processor", [](kernel& k) { k.processor().boot_processor = false; }, fault_code::wrong_processor},
        {"the upper half of GDTR", [](kernel& k) { k.processor().gdtr.base ^= std::uint64_t{1} << 40; },
            fault_code::descriptor_table_changed},
    };
    for (const auto& c : cases) {
        CAPTURE(c.what);
        crosswise<paging_4level> s{1};
        const auto contract = image_for<paging_4level, image::flat_32>(s);
        auto staged = prepare(s.machine, contract);
        REQUIRE(staged);
        c.change(s.machine);
        const auto before = s.machine.state();
        const auto outcome = run(*staged);
        REQUIRE(std::holds_alternative<fault>(outcome));
        CHECK(std::get<fault>(outcome).code == c.expected);
        CHECK(difference(before, s.machine.state()).empty());
    }
    // Another process context is no change: the tables are the same.
    crosswise<paging_4level> s{1};
    const auto contract = image_for<paging_4level, image::flat_32>(s);
    auto staged = prepare(s.machine, contract);
    REQUIRE(staged);
    s.machine.processor().mmu.load_cr3(s.machine.processor().mmu.cr3() ^ 1);
    CHECK(std::holds_alternative<sim::entry_state>(run(*staged)));
}
