// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// One exec after another, on every port: each kernel starts from the memory that the last one left behind, moves on
// what it finds there, and writes into the log of all of them.

#include <tests/conformance/ports.hpp>
#include <tests/conformance/world.hpp>
#include <tests/support/effort.hpp>

using namespace lobos;
using namespace lobos::conformance;

namespace {

/// A kernel that has come up in the memory of another. What it needs for itself it has made anew.
template <class D> struct successor : world<D> {
    using base = world<D>;
    using base::at;
    static constexpr std::size_t size = 3 * base::page_bytes + 77;
    static constexpr std::size_t log_page = 60, log_pages = 4;

    successor(std::uint32_t n, sim::memory* before) : base{n}, number{n}
    {
        bytes page(base::page_bytes);
        for (phys_addr there = at(0); before != nullptr && there.raw() < base::ram.raw(); there += base::page_size) {
            before->read(there, page);
            base::machine.memory().write(there, page);
        }
        base::claim(log_page, log_pages);
        base::claim(first_page(n), 5);
        if (before == nullptr) {
            base::start_log(log_page, log_pages);
            base::machine.memory().write(module_of(0).first(), base::contents(size, 7));
        } else {
            REQUIRE(base::machine.map().add(base::pages(log_page, log_pages), region_kind::surviving));
        }
        kernel = base::machine.stage(base::contents(base::page_bytes + 5, n));
    }

    /// Where kernel `n` finds what has been handed on from the first.
    static phys_range module_of(std::uint32_t n) { return phys_range::of(at(first_page(n), 13 * n + 1), file_size); }
    auto log() { return surviving_log<sim::memory>::find(base::machine.memory(), base::machine.memory_map()); }

    typename D::image image() const
    {
        return D::image_of(
            {{.destination = phys_range::of(base::own_memory.first(), byte_count::of(base::page_bytes + 5)),
                 .file = kernel.extents},
                {.destination = module_of(number + 1), .role = segment_role::module, .file = {&found, 1}}},
            base::own_memory.first() + byte_count::of(0x100));
    }

    std::uint32_t number;
    sim::staged_bytes kernel;
    extent found{module_of(number).first(), file_size};

private:
    static constexpr byte_count file_size = byte_count::of(size);
    static constexpr std::size_t first_page(std::uint32_t n) { return n % 2 == 0 ? 20 : 22; }
};

} // namespace

TEMPLATE_LIST_TEST_CASE("an exec follows an exec, and what was handed on arrives at the last", "", ports)
{
    const std::uint32_t kernels = effort(2u, 4u, 16u);
    std::optional<sim::memory> left;
    std::vector<std::string> written;
    for (std::uint32_t n = 0; n < kernels; ++n) {
        CAPTURE(TestType::name, n);
        successor<TestType> w{n, left ? &*left : nullptr};
        auto log = w.log();
        REQUIRE(log);
        written.push_back("kernel " + std::to_string(n));
        log->append(written.back());
        if (n != 0)
            CHECK(load<breadcrumb>(w.machine.memory(), log->trail()).exception == 0);
        check_exec(w, w.image(), {.trail = log->trail()});
        left.emplace(w.machine.memory());
    }
    successor<TestType> last{kernels, &*left};
    CHECK(last.machine.memory().holds(last.module_of(kernels).first(), last.contents(last.size, 7)));
    const auto log = last.log();
    REQUIRE(log);
    std::vector<std::string> lines;
    REQUIRE(log->for_each([&](std::string_view line) { lines.emplace_back(line); }));
    CHECK(lines == written);
}
