// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// Memory that 32-bit code does not reach: a 64-bit kernel copies from there and to there as long as the copy is paged.

#include <tests/support/effort.hpp>
#include <tests/support/exec_grid.hpp>

using namespace lobos;
using namespace lobos::test;
using namespace lobos::x86;

namespace {

constexpr byte_count ram = byte_count::of(std::uint64_t{5} << 30);
constexpr phys_addr low = phys_addr::at(0x100'0000);
constexpr phys_addr high = phys_addr::at(0x1'1000'0000);

/// A file whose pages lie on both sides of 4 GiB, in turn.
template <class Paging> struct wide_world {
    explicit wide_world(std::uint32_t seed) : machine{ram}
    {
        file.resize(0x1'8000 - seed % 7);
        for (std::size_t i = 0; i < file.size(); ++i)
            file[i] = pattern(i * 5 + seed);
        for (std::size_t done = 0; done < file.size(); done += 0x1000) {
            const auto part = std::span{file}.subspan(done, std::min<std::size_t>(0x1000, file.size() - done));
            const phys_addr beyond = phys_addr::at((done & 0x1000) != 0 ? 0x1'0000'0000 - 0x20'0000 : 0x1'0000'0000);
            const phys_addr page = beyond + byte_count::of(done);
            REQUIRE(machine.allocate_page_at(page));
            machine.memory().write(page, part);
            extents.push_back({page, byte_count::of(part.size())});
        }
        machine.injected.fail_every(sim::glue_call::allocate_page_at, seed % 2 == 0);
    }
    std::vector<segment> to(phys_addr where) const
    {
        return {{.destination = phys_range::of(where, byte_count::of(file.size())), .file = extents}};
    }
    bytes file;
    std::vector<extent> extents;
    sim::basic_x86_kernel<Paging> machine;
};

/// Whether an exec of it, with a copy of that kind, ends with every byte in its place.
template <class Paging, class Image> result<void> arrives(std::uint32_t seed, phys_addr where, copy_regime regime)
{
    wide_world<Paging> s{seed};
    const Image contract{s.to(where), high_address<entry_paging<Image, Paging>>()};
    const auto before = s.machine.state();
    auto staged = std::optional{prepare(s.machine, contract, {.copy = regime})};
    if (!*staged) {
        const fault why = staged->error();
        staged.reset();
        CHECK(difference(before, s.machine.state()).empty());
        return std::unexpected{why};
    }
    const auto outcome = run(**staged);
    REQUIRE(std::holds_alternative<sim::entry_state>(outcome));
    CHECK(std::get<sim::entry_state>(outcome).physical_rip == where + byte_count::of(0x20));
    CHECK(s.machine.memory().holds(where, s.file));
    return {};
}

/// A kernel that gives pages from as far up as whoever asks has a use for.
struct heeding : sim::basic_x86_kernel<paging_4level> {
    using basic_x86_kernel::basic_x86_kernel;
    std::uint64_t next = ram.raw();
    std::size_t given = 0;
    std::optional<phys_addr> allocate_page(phys_range in)
    {
        ++given;
        const phys_addr page = phys_addr::at(next - x86::page_size.raw());
        if (!in.contains(page) || !allocate_page_at(page))
            return kernel::allocate_page(in);
        next = page.raw();
        return page;
    }
};

/// Has a heeding kernel exec a plain binary above 4 GiB in the mode that `Paging` says. Where everything lies then.
template <class Paging> void check_heeded(bool machinery_is_high)
{
    heeding machine{ram};
    const auto file = machine.stage(bytes(0x2345, std::byte{0x90}));
    const auto image = load_flat_paged(file.source(machine.memory()), high,
        high_address<entry_paging<paged_entry_in<Paging>, paging_4level>>(), byte_count::of(0x4321),
        byte_count::of(0x20));
    REQUIRE(image);
    const auto contract = paged_entry_in<Paging>::make(*image, {}, "told below");
    REQUIRE(contract);
    auto staged = prepare(machine, *contract);
    REQUIRE(fault_of(staged) == no_fault);
    std::size_t pages = 0;
    std::uint64_t told_at = 0;
    for (const safe_region& r : staged->plan().safe) {
        CAPTURE(to_string(r.role));
        pages += static_cast<std::size_t>(r.range.size().raw() / x86::page_size.raw());
        const bool told = r.role == safe_role::parameters;
        told_at = told ? r.range.first().raw() : told_at;
        CHECK(below_4g.contains(r.range) == (told || !machinery_is_high));
    }
    CHECK(machine.given == pages); // none of them in vain
    const auto outcome = run(*staged);
    REQUIRE(std::holds_alternative<sim::entry_state>(outcome));
    const auto& entered = std::get<sim::entry_state>(outcome);
    CHECK(entered.physical_rip == high + byte_count::of(0x20));
    CHECK(entered.rax == multiboot_loader_magic);
    CHECK(entered.rbx == told_at);
}

} // namespace

TEST_CASE("a 64-bit kernel's paged copy reaches above 4 GiB, and so does a 64-bit image")
{
    for (std::uint32_t seed = 0; seed < effort(1u, 2u, 2u); ++seed) {
        CAPTURE(seed);
        CHECK(arrives<paging_4level, image::flat_32>(seed, low, copy_regime::paged));
        CHECK(arrives<paging_4level, image::long_64<paging_4level>>(seed, high, copy_regime::paged));
        CHECK(arrives<paging_5level, image::long_64<paging_4level>>(seed, high, copy_regime::paged));
        CHECK(arrives<paging_5level, image::as_running>(seed, high, copy_regime::paged));
    }
}

TEST_CASE("a copy without paging does not, and says so")
{
    for (const phys_addr where : {low, high}) {
        const auto refused = arrives<paging_4level, image::long_64<paging_4level>>(0, where, copy_regime::unpaged);
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code == fault_code::bad_range);
        CHECK(refused.error().at >> 32 == 1); // what is out of reach
    }
}

TEST_CASE("a kernel that heeds where a page is wanted gives none in vain, and what is told in 32 bits lies there")
{
    check_heeded<same_paging>(true);
    check_heeded<paging_5level>(false); // the way leads through 32-bit code
}
