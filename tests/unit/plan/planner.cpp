// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/plan/planner.hpp>

#include <memory>
#include <numeric>

#include <tests/catch.hpp>
#include <tests/support/byte_memory.hpp>
#include <tests/support/effort.hpp>
#include <tests/support/origins.hpp>

using namespace lobos;
using namespace lobos::test;

namespace {

constexpr phys_addr bounce = 0x7000'0000_pa;
constexpr byte_count page = 4_KiB;
constexpr std::uint64_t top = ~std::uint64_t{0};

/// An image and what became of it.
struct planned {
    std::vector<std::shared_ptr<const std::vector<extent>>> files; // shared: the segments of a copy refer to them
    std::vector<segment> image;
    std::vector<planner_run> runs = std::vector<planner_run>(1000);
    std::vector<overlay_step> steps = std::vector<overlay_step>(1000);
    result<plan_cost> cost = refuse(fault_code::no_log, stage::planning, std::uint64_t{0});

    planned& copy(std::uint64_t destination, std::uint64_t size, std::vector<extent> file, std::uint64_t offset = 0)
    {
        files.push_back(std::make_shared<const std::vector<extent>>(std::move(file)));
        image.push_back({.destination = phys_range::of(phys_addr::at(destination), byte_count::of(size)),
            .file = *files.back(),
            .file_offset = byte_count::of(offset)});
        return *this;
    }
    planned& other(std::uint64_t destination, std::uint64_t size, content what)
    {
        image.push_back(
            {.destination = phys_range::of(phys_addr::at(destination), byte_count::of(size)), .what = what});
        return *this;
    }
    planned& make(std::size_t run_count = 1000, std::size_t step_count = 1000)
    {
        runs.assign(run_count, {});
        steps.assign(step_count, {});
        cost = make_plan(image, phys_range::of(bounce, page), runs, steps);
        if (cost)
            steps.resize(cost->steps);
        return *this;
    }
};

extent piece(std::uint64_t at, std::uint64_t size)
{
    return {phys_addr::at(at), byte_count::of(size)};
}

/// What a plan for the image must be, whatever its steps: right, with figures that are those of its steps.
void check(const planned& p)
{
    REQUIRE(p.cost);
    const auto wrong = first_wrong(p.image, p.steps, bounce);
    CAPTURE(wrong.value_or(0));
    CHECK_FALSE(wrong);
    std::uint64_t wanted = 0;
    for (const segment& s : p.image)
        if (s.what == content::copy || s.what == content::zero)
            wanted += s.destination.size().raw();
    std::uint64_t copied = 0;
    std::uint64_t zeroed = 0;
    std::uint64_t bounced = 0;
    for (const overlay_step& s : p.steps) {
        CHECK(s.size != 0);
        if (s.fills())
            zeroed += s.size;
        else if (s.destination == bounce.raw())
            bounced += s.size;
        else
            copied += s.size;
        if (s.destination == bounce.raw())
            CHECK(s.size <= page.raw());
    }
    CHECK(p.cost->steps == p.steps.size());
    CHECK(p.cost->copied.raw() == copied);
    CHECK(p.cost->zeroed.raw() == zeroed);
    CHECK(p.cost->bounced.raw() == bounced);
    CHECK(copied + zeroed + p.cost->in_place.raw() == wanted);
}

void check_steps(const planned& p, std::vector<overlay_step> steps)
{
    check(p);
    CHECK((p.steps == steps));
}

} // namespace

TEST_CASE("what lies in place costs nothing", "[plan][planner]")
{
    check_steps(planned{}.make(), {});
    const auto p = planned{}.copy(0x1000, 0x2000, {piece(0x1000, 0x2000)}).copy(0x5000, 7, {piece(0x5000, 7)}).make();
    check_steps(p, {});
    CHECK(p.cost->in_place == byte_count::of(0x2007));
    const auto half = planned{}.copy(0x1000, 0x2000, {piece(0x1000, 0x1000), piece(0x9000, 0x1000)}).make();
    check_steps(half, {{0x2000, 0x9000, 0x1000}});
    CHECK(half.cost->in_place == 0x1000_bytes);
    CHECK(half.cost->copied == 0x1000_bytes);
}

TEST_CASE("zeros are one step for each segment, and what is only declared is none", "[plan][planner]")
{
    const auto p = planned{}
                       .other(0x1000, 0x12345, content::zero)
                       .other(0x80'0000, 1, content::scratch)
                       .other(0x80'0000, 1, content::kept) // not the planner's business: the verifier's rule 1
                       .other(0x1000, 0x1000, content::padding)
                       .make();
    check_steps(p, {overlay_step::fill(0x1000, 0x12345)});
    CHECK(p.cost->zeroed == byte_count::of(0x12345));
    CHECK(p.cost->copied == 0_bytes);
    CHECK(p.cost->cycles == 0);
}

TEST_CASE("a fill waits for who reads there", "[plan][planner]")
{
    check_steps(planned{}.other(0x1000, 0x1000, content::zero).copy(0x8000, 0x10, {piece(0x1ff8, 0x10)}).make(),
        {{0x8000, 0x1ff8, 0x10}, overlay_step::fill(0x1000, 0x1000)});
}

TEST_CASE("a chain goes from its free end, whichever way it runs", "[plan][planner]")
{
    constexpr std::uint64_t n = 100;
    planned up;
    planned down;
    for (std::uint64_t i = 0; i < n; ++i) {
        up.copy((i + 1) * 0x20, 0x10, {piece(i * 0x20, 0x10)});
        down.copy(i * 0x20, 0x10, {piece((i + 1) * 0x20, 0x10)});
    }
    for (planned* p : {&up, &down}) {
        p->make();
        check(*p);
        CHECK(p->cost->steps == n);
        CHECK(p->cost->cycles == 0);
        CHECK(p->cost->bounced == 0_bytes);
    }
    CHECK(up.steps.front().destination == n * 0x20);
    CHECK(down.steps.front().destination == 0);
}

TEST_CASE("who reads a part of a page waits for nobody, and everybody for him", "[plan][planner]")
{
    const std::uint64_t from = GENERATE(0x1000u, 0x1001u, 0x1800u, 0x1fffu - 0xfu, 0x2000u - 0x10u, 0x0ff8u, 0x1ff8u);
    CAPTURE(from);
    const auto p =
        planned{}.copy(0x1000, 0x1000, {piece(0x8000, 0x1000)}).copy(0x5000, 0x10, {piece(from, 0x10)}).make();
    check_steps(p, {{0x5000, from, 0x10}, {0x1000, 0x8000, 0x1000}});
}

TEST_CASE("what lies in place parts what goes on behind it", "[plan][planner]")
{
    check_steps(
        planned{}.copy(0x1000, 0x3000, {piece(0x8000, 0x1000), piece(0x2000, 0x1000), piece(0x9000, 0x1000)}).make(),
        {{0x1000, 0x8000, 0x1000}, {0x3000, 0x9000, 0x1000}});
}

TEST_CASE("two pages change places through the bounce page", "[plan][planner]")
{
    const auto p = planned{}.copy(0x1000, 0x2000, {piece(0x2000, 0x1000), piece(0x1000, 0x1000)}).make();
    check_steps(p, {{bounce.raw(), 0x2000, 0x1000}, {0x2000, 0x1000, 0x1000}, {0x1000, bounce.raw(), 0x1000}});
    CHECK(p.cost->cycles == 1);
    CHECK(p.cost->bounced == 0x1000_bytes);
    CHECK(p.cost->copied == 0x2000_bytes);
}

TEST_CASE("a cycle of any length costs one bounce", "[plan][planner]")
{
    const std::uint64_t n = GENERATE(2u, 3u, 4u, 5u, 8u, 31u);
    const std::uint64_t stride = GENERATE(1u, 2u);
    planned p;
    for (std::uint64_t i = 0; i < n; ++i)
        p.copy(0x1000 + i * 0x300, 0x100, {piece(0x1000 + (i + stride) % n * 0x300, 0x100)});
    p.make();
    check(p);
    const std::uint64_t cycles = std::gcd(n, stride);
    if (n == stride) { // every piece lies in place
        CHECK(p.cost->steps == 0);
        return;
    }
    CHECK(p.cost->cycles == cycles);
    CHECK(p.cost->bounced.raw() == cycles * 0x100);
    CHECK(p.cost->steps == n + cycles);
}

TEST_CASE("a cycle longer than a page goes in pieces of a page", "[plan][planner]")
{
    const std::uint64_t size = GENERATE(0xfffu, 0x1000u, 0x1001u, 0x2000u, 0x2801u);
    const auto p = planned{}
                       .copy(0x1'0000, size, {piece(0x2'0000, size)})
                       .copy(0x2'0000, size, {piece(0x3'0000, size)})
                       .copy(0x3'0000, size, {piece(0x1'0000, size)})
                       .make();
    check(p);
    const std::uint64_t chunks = (size + 0xfff) / 0x1000;
    CHECK(p.cost->cycles == 1);
    CHECK(p.cost->bounced.raw() == size);
    CHECK(p.cost->steps == chunks * 4);
}

TEST_CASE("unequal runs that wait for each other are cut", "[plan][planner]")
{
    // A page and three of them change places: what was 4 pages long is a cycle of 4.
    const auto turned = planned{}.copy(0x1000, 0x4000, {piece(0x2000, 0x3000), piece(0x1000, 0x1000)}).make();
    check(turned);
    CHECK(turned.cost->cycles == 1);
    CHECK(turned.cost->bounced == 0x1000_bytes);
    CHECK(turned.cost->copied == 0x4000_bytes);

    // Only a part of each lies on the other, so only that part is a cycle.
    const auto partly =
        planned{}.copy(0x1000, 0x1000, {piece(0x8f00, 0x1000)}).copy(0x8000, 0x1000, {piece(0x1f00, 0x1000)}).make();
    check(partly);
    CHECK(partly.cost->cycles == 0); // 0x1f00.. and 0x8f00.. only touch the last 0x100 bytes, which are free in the end

    const auto crossed =
        planned{}.copy(0x1000, 0x1000, {piece(0x8100, 0x1000)}).copy(0x8000, 0x1000, {piece(0x0f00, 0x1000)}).make();
    check(crossed);
    CHECK(crossed.cost->cycles == 1);
    CHECK(crossed.cost->steps == 3); // the smaller one goes through the bounce page whole
    CHECK(crossed.cost->bounced == 0x1000_bytes);

    // Neither fits in the bounce page.
    check(planned{}.copy(0x1000, 0x8000, {piece(0x3000, 0x6000), piece(0x1000, 0x2000)}).make());
    check(planned{}.copy(0x1000, 0x7000, {piece(0x3800, 0x4800), piece(0x1000, 0x2800)}).make());

    // However long the other: bytes that turn by less than a page do not become as many steps.
    const std::uint64_t size = effort(0x2'0000u, 0x10'0000u, 0x10'0000u);
    const auto turned_by_bytes =
        planned{}.copy(0x1000, size, {piece(0x1123, size - 0x123), piece(0x1000, 0x123)}).make();
    check(turned_by_bytes);
    CHECK(turned_by_bytes.cost->steps == 3);
    CHECK(turned_by_bytes.cost->bounced.raw() == 0x123);
}

TEST_CASE("a run that overlaps itself is one step, up and down", "[plan][planner]")
{
    check_steps(planned{}.copy(0x1010, 0x5000, {piece(0x1000, 0x5000)}).make(), {{0x1010, 0x1000, 0x5000}});
    check_steps(planned{}.copy(0x1000, 0x5000, {piece(0x1001, 0x5000)}).make(), {{0x1000, 0x1001, 0x5000}});
}

TEST_CASE("segments of one file, from their offsets", "[plan][planner]")
{
    const std::vector<extent> file{piece(0x8000, 0x100), piece(0x9000, 0), piece(0xa000, 0x33), piece(0xb001, 0x1000)};
    const auto p = planned{}
                       .copy(0x1000, 0x80, file, 0x40)
                       .copy(0x2000, 0x200, file, 0xf0) // through all pieces
                       .copy(0x3000, 1, file, 0x1132)   // the last byte
                       .copy(0x4000, 0x33, file, 0x100)
                       .make();
    check(p);
    CHECK(p.cost->steps == 6);
    CHECK(p.steps[0] == overlay_step{0x1000, 0x8040, 0x80});
    CHECK(p.steps[1] == overlay_step{0x2000, 0x80f0, 0x10});
    CHECK(p.steps[2] == overlay_step{0x2010, 0xa000, 0x33});
    CHECK(p.steps[3] == overlay_step{0x2043, 0xb001, 0x1bd});
    CHECK(p.steps[4] == overlay_step{0x3000, 0xc000, 1});
    CHECK(p.steps[5] == overlay_step{0x4000, 0xa000, 0x33});
}

TEST_CASE("extents that follow each other are one run, across one of no size too", "[plan][planner]")
{
    check_steps(
        planned{}
            .copy(0x1000, 0x300, {piece(0x8000, 0x100), piece(0, 0), piece(0x8100, 0x100), piece(0x8200, 0x100)})
            .make(2, 1),
        {{0x1000, 0x8000, 0x300}});
    // Of two segments they are two: the destinations need not follow each other, and the roles differ.
    CHECK(
        planned{}.copy(0x1000, 0x100, {piece(0x8000, 0x100)}).copy(0x1100, 1, {piece(0x8100, 1)}).make().steps.size() ==
        2);
}

TEST_CASE("holes of a file are filled, and what lies behind one is copied", "[plan][planner]")
{
    // Zeros stand for the last address, and 0x101 bytes further is 0x100: that is where the copy comes from.
    check_steps(planned{}.copy(0x1000, 0x301, {extent::zeros(byte_count::of(0x101)), piece(0x100, 0x200)}).make(),
        {overlay_step::fill(0x1000, 0x101), {0x1101, 0x100, 0x200}});
    check_steps(planned{}
                    .copy(0x1000, 0x30,
                        {piece(0x8000, 0x10), extent::zeros(byte_count::of(8)), extent::zeros(byte_count::of(8)),
                            piece(0x8020, 0x10)})
                    .make(),
        {{0x1000, 0x8000, 0x10}, overlay_step::fill(0x1010, 0x10), {0x1020, 0x8020, 0x10}});
}

TEST_CASE("a source may be read twice", "[plan][planner]")
{
    const auto p = planned{}
                       .copy(0x1000, 0x1000, {piece(0x8000, 0x1000)})
                       .copy(0x2000, 0x1000, {piece(0x8800, 0x800), piece(0x8000, 0x800)})
                       .copy(0x8000, 0x1000, {piece(0x1000, 0x1000)}) // and then is overwritten
                       .make();
    check(p);
    // Two readers of one page in a cycle with it.
    const auto both = planned{}
                          .copy(0x1000, 0x1000, {piece(0x2000, 0x1000)})
                          .copy(0x2000, 0x1000, {piece(0x1000, 0x1000)})
                          .copy(0x3000, 0x1000, {piece(0x1000, 0x1000)})
                          .copy(0x4000, 0x1000, {piece(0x2000, 0x1000)})
                          .make();
    check(both);
    CHECK(both.cost->bounced == 0x1000_bytes);
    // The second reader waits in another circle, and has not read yet when the first one could be broken.
    check(planned{}
            .copy(0x1000, 0x1000, {piece(0x2000, 0x1000)})
            .copy(0x2000, 0x1000, {piece(0x1000, 0x1000)})
            .copy(0x3000, 0x1000, {piece(0x8000, 0x1000)})
            .copy(0x8000, 0x2000, {piece(0x2000, 0x2000)})
            .make());
}

TEST_CASE("too little room for runs or steps is said with how much", "[plan][planner]")
{
    planned p; // four runs, of which two wait in a circle and one behind it
    p.copy(0x1000, 0x1000, {piece(0x2000, 0x1000)})
        .copy(0x2000, 0x1000, {piece(0x1000, 0x1000)})
        .copy(0x4000, 0x1000, {piece(0x5000, 0x1000)})
        .other(0x5000, 0x10, content::zero);
    for (std::size_t room = 0; room < 4; ++room)
        CHECK(fault_of(p.make(room).cost) == fault{fault_code::no_space, stage::planning, 4});
    for (std::size_t room = 4; room < 8; ++room) // a note for each segment, and one for each run
        CHECK(fault_of(p.make(room).cost) == fault{fault_code::no_space, stage::planning, 8});
    for (std::size_t room = 0; room < 4; ++room)
        CHECK(fault_of(p.make(8, room).cost) == fault{fault_code::no_space, stage::planning, 4});
    CHECK(fault_of(p.make(8, 4).cost) == fault{fault_code::no_space, stage::planning, 5}); // and one for the circle
    check(p.make(8, 5));

    // Two runs that turn three pages by a page and a half: the longer one has to be cut.
    planned turned;
    turned.copy(0x1000, 0x3000, {piece(0x2800, 0x1800), piece(0x1000, 0x1800)});
    check(turned.make(3));
    planned cut;
    cut.copy(0x1000, 0x6000, {piece(0x3000, 0x4000), piece(0x1000, 0x2000)});
    CHECK(fault_of(cut.make(3).cost) == fault{fault_code::no_space, stage::planning, 4});
    check(cut.make(4));

    // What lies in place needs no room but its segment's.
    CHECK(fault_of(planned{}.copy(0x1000, 1, {piece(0x1000, 1)}).make(0).cost) ==
        fault{fault_code::no_space, stage::planning, 1});
    check(planned{}.copy(0x1000, 1, {piece(0x1000, 1)}).make(1, 0));
}

TEST_CASE("who comes back with as much room as was asked for comes to an end", "[plan][planner]")
{
    planned p;
    // Rotations that have no common measure: cut and cut again.
    p.copy(0x1000, 0x100, {piece(0x103d, 0xc3), piece(0x1000, 0x3d)});
    p.copy(0x2000, 0x90, {piece(0x2001, 0x8f), piece(0x2000, 1)});
    p.copy(0x3000, 0x20, {piece(0x300b, 0x15), piece(0x2000, 0xb)});
    std::size_t runs = 0;
    std::size_t steps = 0;
    int tries = 0;
    for (p.make(runs, steps); !p.cost && tries < 1000; p.make(runs, steps), ++tries) {
        const fault f = p.cost.error();
        REQUIRE(f.code == fault_code::no_space);
        REQUIRE(f.at > std::min(runs, steps));
        const auto needed = static_cast<std::size_t>(f.at);
        runs = std::max(runs, needed);
        steps = std::max(steps, needed);
    }
    CAPTURE(tries, runs, steps);
    check(p);
}

TEST_CASE("no byte has two sources", "[plan][planner]")
{
    const auto common = [](planned p) { return fault_of(p.make().cost); };
    const auto overlap = [](std::uint64_t at) { return fault{fault_code::destinations_overlap, stage::planning, at}; };
    CHECK(common(planned{}.copy(0x1000, 0x10, {piece(0x8000, 0x10)}).copy(0x100f, 1, {piece(0x9000, 1)})) ==
        overlap(0x100f));
    CHECK(common(planned{}.copy(0x100f, 1, {piece(0x9000, 1)}).copy(0x1000, 0x10, {piece(0x8000, 0x10)})) ==
        overlap(0x100f));
    CHECK(common(planned{}.copy(0x1000, 0x10, {piece(0x1000, 0x10)}).other(0x1008, 0x10, content::zero)) ==
        overlap(0x1008)); // with one in place
    CHECK(common(planned{}.other(0x1000, 1, content::zero).other(0x1000, 1, content::zero)) == overlap(0x1000));
    check(planned{}.copy(0x1000, 0x10, {piece(0x8000, 0x10)}).copy(0x1010, 1, {piece(0x9000, 1)}).make());
}

TEST_CASE("a file shorter than its segment is refused", "[plan][planner]")
{
    const fault missing{fault_code::source_size_mismatch, stage::planning, 0x1000};
    CHECK(fault_of(planned{}.copy(0x1000, 0x10, {}).make().cost) == missing);
    CHECK(fault_of(planned{}.copy(0x1000, 0x10, {piece(0x8000, 0xf)}).make().cost) == missing);
    CHECK(fault_of(planned{}.copy(0x1000, 0x10, {piece(0x8000, 0x10)}, 1).make().cost) == missing);
    CHECK(fault_of(planned{}.copy(0x1000, 0x10, {piece(0x8000, 0x10)}, top).make().cost) == missing);
    check(planned{}.copy(0x1000, 0x10, {piece(0x8000, 8), piece(0x9000, 8)}).make());
    check(planned{}.copy(0x1000, 0x10, {piece(0x8000, 0x18)}, 8).make());
}

TEST_CASE("the ends of the address space", "[plan][planner]")
{
    // Destinations may end with the last byte, zeros and copies; sources with the one before it.
    check_steps(planned{}.other(top - 0xf, 0x10, content::zero).make(), {overlay_step::fill(top - 0xf, 0x10)});
    check_steps(planned{}.copy(top - 0xf, 0x10, {piece(0, 0x10)}).make(), {{top - 0xf, 0, 0x10}});
    check_steps(planned{}.copy(0, 0x10, {piece(top - 0x10, 0x10)}).make(), {{0, top - 0x10, 0x10}});
    check_steps(planned{}.copy(top - 0xf, 0x10, {piece(top - 0x10, 0x10)}).make(), {{top - 0xf, top - 0x10, 0x10}});
    // The first page and the last but one byte change places.
    const auto swapped =
        planned{}.copy(0, 0x1000, {piece(top - 0x1000, 0x1000)}).copy(top - 0x1000, 0x1000, {piece(0, 0x1000)}).make();
    check(swapped);
    CHECK(swapped.cost->cycles == 1);
    // A cycle beside a run that ends with the last byte, cut by it.
    const auto cut =
        planned{}.copy(top - 0xf, 0x10, {piece(0x100, 0x10)}).copy(0x100, 0x10, {piece(top - 0x10, 0x10)}).make();
    check(cut);
}

TEST_CASE("a file that wraps or ends with the last byte of the address space is refused", "[plan][planner]")
{
    const auto bad = [](std::uint64_t at) { return fault{fault_code::bad_range, stage::planning, at}; };
    CHECK(fault_of(planned{}.copy(0, 2, {piece(top - 1, 2)}).make().cost) == bad(top - 1));
    CHECK(fault_of(planned{}.copy(0, 0x10, {piece(top - 0xf, 0x10)}).make().cost) == bad(top - 0xf));
    CHECK(fault_of(planned{}.copy(0, 0x10, {piece(top - 0x10, 0x12)}).make().cost) == bad(top - 0x10));
    CHECK(fault_of(planned{}.copy(0x1000, 0x10, {piece(0x2000, top)}).make().cost) == bad(0x2000));
    check(planned{}.copy(0, 1, {piece(top, 0), piece(1, 1)}).make());
}

TEST_CASE("two large files that change places", "[plan][planner]")
{
    // Whole pages with no measure in common but the page; and files that end somewhere in one.
    const std::uint64_t odd = GENERATE(0u, 0x123u);
    const std::uint64_t shift = GENERATE(0u, 0x200u); // a bzImage's kernel begins at a sector of its file
    CAPTURE(odd, shift);
    const std::uint64_t kernel = effort(41u, 257u, 1025u) * 0x1000;
    const std::uint64_t initrd = effort(16u, 96u, 384u) * 0x1000;
    planned p;
    p.copy(0x10'0000 + initrd, kernel - odd, {piece(0x10'0000 + shift, kernel)});
    p.copy(0x10'0000, initrd - odd, {piece(0x10'0000 + kernel, initrd)});
    p.make(40'000, 40'000);
    check(p);
    const std::uint64_t pages = (kernel + initrd) / 0x1000;
    CHECK(p.cost->steps < (shift == 0 ? pages * 9 / 4 : pages * 22));
    CHECK(p.cost->bounced.raw() <= p.cost->cycles * 0x1000);
}
