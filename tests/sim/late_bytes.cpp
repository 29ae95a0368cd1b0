// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// What is left for after the point of no return: the bytes whose destination the running kernel was using, once each,
// and one bounce page for each cycle. Counted from the processor's own record.

#include <tests/support/effort.hpp>
#include <tests/support/scenario.hpp>

using namespace lobos;
using namespace lobos::test;

namespace {

/// True when somebody has the page: the kernel itself, or a file that was read in.
bool in_use(sim::x86_kernel& k, phys_addr page)
{
    if (!k.allocate_page_at(page))
        return true;
    k.free_page(page);
    return false;
}

/// Bytes of the image whose destination is in use, but for those that lie there already.
std::uint64_t live_bytes(sim::x86_kernel& k, std::span<const segment> image)
{
    std::uint64_t live = 0;
    for (const segment& s : image) {
        phys_addr to = s.destination.first();
        for (content_cursor c{s}; c.left().raw() != 0;) {
            const byte_count in_page = x86::page_size - (to - align_down(to, x86::page_size));
            const extent piece = c.take(in_page);
            if (in_use(k, align_down(to, x86::page_size)) && piece.at != to)
                live += piece.size.raw();
            to += piece.size;
        }
    }
    return live;
}

void check_late_bytes(sim::x86_kernel& k, byte_count ram, const raw_contract& contract)
{
    const std::uint64_t live = live_bytes(k, contract.parts);
    const std::size_t taken = k.pages_taken();
    auto staged = prepare(k, contract);
    REQUIRE(staged);
    const exec_plan plan = staged->plan();
    const snapshot before{k.memory(), ram};
    k.processor().record.clear();
    REQUIRE(std::holds_alternative<sim::entry_state>(run(*staged)));
    check_memory(plan, before, snapshot{k.memory(), ram}, std::nullopt);
    std::uint64_t late = 0;
    for (const segment& s : contract.parts)
        late += k.processor().record.bytes(sim::access_kind::write, s.destination);
    CHECK(late == live);
    const auto bounced =
        k.processor().record.bytes(sim::access_kind::write, phys_range::of(plan.bounce, x86::page_size));
    CHECK(bounced == plan.cost.bounced.raw());
    CHECK(bounced <= plan.cost.cycles * x86::page_size.raw());
    CHECK(k.pages_taken() >= taken);
}

} // namespace

TEST_CASE("after the point of no return only live destinations are written, each byte once")
{
    const std::uint32_t seed = GENERATE_COPY(range(0u, effort(4u, 24u, 200u)));
    CAPTURE(seed);
    constexpr byte_count ram = byte_count::of(4u << 20);
    sim::x86_kernel k{ram, seed};
    std::mt19937 random{seed + 1};
    bytes file(0x6'0000 + random() % 0x5000);
    for (std::size_t i = 0; i < file.size(); ++i)
        file[i] = pattern(i + seed);
    const auto kernel_file = k.stage(file);
    const auto initrd_file = k.stage(std::span{file}.first(0x2'0000 + random() % 0x3000), 4096 - random() % 7);
    const auto size_of = [](const sim::staged_bytes& f) {
        byte_count size;
        for (const extent& e : f.extents)
            size += e.size;
        return size;
    };
    // The kernel over the running one, with zeros behind it from anywhere in a page; the initrd somewhere high.
    const byte_count kernel_size = size_of(kernel_file);
    const phys_addr kernel_at = phys_addr::at(0x10'0000 + (seed % 3 == 0 ? 0 : random() % 0x2'0000 / 512 * 512));
    const phys_addr initrd_at = phys_addr::at(0x28'0000 + random() % 0x4000);
    const raw_contract contract{{{.destination = phys_range::of(kernel_at, kernel_size), .file = kernel_file.extents},
        {.destination = phys_range::of(kernel_at + kernel_size, byte_count::of(0x2345)), .what = content::zero},
        {.destination = phys_range::of(initrd_at, size_of(initrd_file)),
            .role = segment_role::initrd,
            .file = initrd_file.extents}}};
    check_late_bytes(k, ram, contract);
}

TEST_CASE("a file in its own destination, page by page in another order, costs a bounce page for each cycle")
{
    const std::uint32_t seed = GENERATE(range(1u, 6u));
    CAPTURE(seed);
    constexpr byte_count ram = byte_count::of(4u << 20);
    sim::x86_kernel k{ram};
    bytes file(0x4'0000);
    for (std::size_t i = 0; i < file.size(); ++i)
        file[i] = pattern(i * seed);
    auto in_order = k.stage(file).extents;
    const phys_addr first = in_order.front().at;
    REQUIRE(in_order.back().at - first == byte_count::of(file.size()) - x86::page_size);
    std::mt19937 random{seed};
    std::ranges::shuffle(in_order, random);
    check_late_bytes(k, ram, {{{.destination = phys_range::of(first, byte_count::of(file.size())), .file = in_order}}});
}

TEST_CASE("an image of nine tenths of memory, scattered over its own destination")
{
    constexpr byte_count ram = byte_count::of(16u << 20); // a tenth of which has room for the kernel
    const byte_count size = byte_count::of(ram.raw() / 10 * 9 / 4096 * 4096 + 2458); // the last page is not whole
    sim::x86_kernel k{ram};
    bytes file(static_cast<std::size_t>(size.raw()));
    for (std::size_t i = 0; i < file.size(); ++i)
        file[i] = pattern(i ^ i >> 12);
    // What is free lies behind the image, as far as there is any: the machinery has to have a place.
    std::vector<extent> scattered = k.stage(file).extents;
    std::mt19937 random{3};
    std::shuffle(scattered.begin(), scattered.end() - 1, random);
    const raw_contract contract{{{.destination = phys_range::of(phys_addr::at(0x10'0000), size), .file = scattered}}};
    bytes wanted(file.size());
    REQUIRE(staged_file(k.memory(), scattered).read(0, wanted));
    REQUIRE(wanted != file);
    auto staged = prepare(k, contract);
    REQUIRE(staged);
    const plan_cost cost = staged->plan().cost;
    CHECK(cost.cycles > 0);
    CHECK(cost.steps <= scattered.size() + cost.cycles);
    REQUIRE(std::holds_alternative<sim::entry_state>(run(*staged)));
    bytes after(file.size());
    k.memory().read(phys_addr::at(0x10'0000), after);
    CHECK(after == wanted);
}
