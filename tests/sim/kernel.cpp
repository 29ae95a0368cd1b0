// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// A machine that is no more than the concept asks for: what a kernel on any machine does must not need more.

#include <lobos/sim/kernel.hpp>

#include <tests/catch.hpp>
#include <tests/support/state_difference.hpp>

using namespace lobos;
using namespace lobos::literals;
using lobos::test::difference;

namespace {

struct no_machine {
    struct port {
        static constexpr byte_count page_size = 4_KiB;
    };
    static constexpr phys_range own_memory = phys_range::of(0x1'0000_pa, 8_KiB);

    explicit no_machine(sim::memory& m) : memory{m} {}
    void boot(byte_count) { store(memory, own_memory.first(), std::uint32_t{1}); }
    std::uint64_t& processor() { return registers; }
    std::optional<virt_addr> virtual_address(phys_addr page) const { return virt_addr::at(page.raw() + 1_GiB .raw()); }
    void add_to(sim::state_hash& hash) const { hash.add(registers); }

    sim::memory& memory;
    std::uint64_t registers = 0;
};

using kernel = sim::kernel<no_machine>;
static_assert(kernel_glue<kernel>);

constexpr phys_range anywhere = phys_range::between(phys_addr{}, phys_addr::at(~std::uint64_t{0}));

} // namespace

TEST_CASE("free memory begins behind the kernel's own, and ends with RAM")
{
    kernel k{1_MiB, 3};
    std::size_t pages = 0;
    while (const auto page = k.allocate_page(anywhere)) {
        CHECK(phys_range::between(0x1'2000_pa, 0xf'ffff_pa).contains(phys_range::of(*page, 4_KiB)));
        ++pages;
    }
    CHECK(pages == 256 - 16 - 2);
    CHECK(k.pages_taken() == pages);
    CHECK(k.memory_map().regions().size() == 1);
    CHECK(k.memory().peek(0x1'0000_pa) == std::byte{1}); // it has booted
}

TEST_CASE("every request has a number, and fails when it is told to")
{
    using enum sim::glue_call;
    kernel k{1_MiB};
    k.fail_requests({1, 2, 4, 5});
    CHECK(k.allocate_page(anywhere));
    CHECK_FALSE(k.allocate_page(anywhere));
    CHECK_FALSE(k.allocate_page_at(0x8'0000_pa));
    CHECK(k.allocate_page_at(0x8'0000_pa));
    CHECK(k.allocate_workspace(64).empty());
    CHECK_FALSE(k.virtual_address(0x8'0000_pa));
    CHECK(k.virtual_address(0x8'0000_pa));
    CHECK(k.requests() == 7);
    CHECK(k.injected.failed() == 4);
    CHECK(k.injected.count(virtual_address) == 2);
    CHECK(k.pages_taken() == 2);
    k.fail_request(0);
    CHECK(k.allocate_workspace(64).empty());
    CHECK_FALSE(k.allocate_workspace(64).empty());
    k.fail_request(std::nullopt);
    CHECK(k.requests() == 0);
}

TEST_CASE("what was not taken is not given back")
{
    kernel k{1_MiB};
    const auto page = k.allocate_page(anywhere);
    REQUIRE(page);
    const auto space = k.allocate_workspace(64);
    CHECK(k.workspaces_taken() == 1);
    k.free_page(*page);
    k.free_workspace(space);
    CHECK(k.workspaces_taken() == 0);
    CHECK(k.pages_taken() == 0);
    CHECK(k.wrong_frees == 0);
    k.free_page(*page);
    k.free_workspace(space);
    CHECK(k.wrong_frees == 2);
}

TEST_CASE("the state is what is somebody's, each part by itself")
{
    kernel k{1_MiB};
    REQUIRE(k.map().add(phys_range::of(0x8'0000_pa, 4_KiB), region_kind::surviving));
    const auto file = k.stage(std::vector<std::byte>(5000));
    const auto before = k.state();
    CHECK(difference(before, k.state()).empty());

    const auto flips = [&](phys_addr at) {
        const auto old = load<std::uint8_t>(k.memory(), at);
        store(k.memory(), at, static_cast<std::uint8_t>(old ^ 1));
        const std::string names = difference(before, k.state());
        store(k.memory(), at, old);
        return names;
    };
    store(k.memory(), 0x8'0000_pa, std::uint8_t{5});
    CHECK(difference(before, k.state()) == "surviving");
    store(k.memory(), kernel::own_memory.last(), std::uint8_t{5});
    store(k.memory(), 0x9'0000_pa, std::uint8_t{5}); // free memory
    CHECK(difference(before, k.state()) == "own_memory surviving");
    const auto now = k.state();
    CHECK(flips(0x9'0000_pa) == difference(before, now));
    CHECK(flips(file.extents[1].at) == "own_memory pages surviving");

    k.free_page(file.extents[0].at);
    CHECK(difference(now, k.state()) == "pages");
    CHECK(k.allocate_page_at(file.extents[0].at));
    CHECK(difference(now, k.state()).empty());
    REQUIRE(k.allocate_page_at(0xa'0000_pa)); // never written, like the other one
    const auto with_a_page = k.state();
    k.free_page(0xa'0000_pa);
    REQUIRE(k.allocate_page_at(0xb'0000_pa));
    CHECK(difference(with_a_page, k.state()) == "pages");
    k.free_page(0xb'0000_pa);
    ++k.generation;
    CHECK(difference(now, k.state()) == "map");
    --k.generation;
    k.processor() = 7;
    CHECK(difference(now, k.state()) == "registers");
    k.processor() = 0;
    (void)k.allocate_workspace(1);
    CHECK(difference(now, k.state()) == "owned");
}

TEST_CASE("a staged file is the file")
{
    kernel k{1_MiB, 3};
    std::vector<std::byte> file(10'000);
    for (std::size_t i = 0; i < file.size(); ++i)
        file[i] = static_cast<std::byte>(i * 31);
    for (const std::size_t chunk : {4096u, 1000u}) {
        const auto staged = k.stage(file, chunk);
        CHECK(staged.extents.size() == (file.size() + chunk - 1) / chunk);
        const auto source = staged.source(k.memory());
        std::vector<std::byte> read(file.size());
        REQUIRE(source.read(0, read));
        CHECK(read == file);
    }
}
