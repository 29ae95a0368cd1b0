// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/paging/clone.hpp>

#include <set>
#include <string>

#include <tests/support/paging_modes.hpp>

using namespace lobos;
using namespace lobos::test;

namespace {

constexpr fault no_frame{fault_code::no_memory, stage::staging, 0x77};

/// What must be mapped, in whole pages; everything else must not.
struct piece {
    std::uint64_t first, size, physical;
    bool writable = true;
    std::uint64_t last() const { return first + (size - 1); }
};

/// The tables it takes to map pieces in the largest pages up to `largest`, by the manual: the root, and those on the
/// way.
template <class Paging> std::size_t tables_for(const std::vector<piece>& pieces, unsigned largest)
{
    using mode = manual<Paging>;
    std::set<std::pair<unsigned, std::uint64_t>> tables{{mode::levels - 1, 0}};
    for (const piece& p : pieces)
        for (std::uint64_t done = 0; done < p.size;) {
            const auto whole = [&](std::uint64_t size) {
                return (p.first + done) % size == 0 && (p.physical + done) % size == 0 && p.size - done >= size;
            };
            unsigned level = largest;
            while (level > 0 && !whole(mode::span[level]))
                --level;
            for (unsigned table = level; table + 1 < mode::levels; ++table)
                tables.insert({table, (p.first + done) / mode::span[table + 1]});
            done += mode::span[level];
        }
    return tables.size();
}

/// Running tables, and a clone of them in frames that are full of ones. Only frames may be written.
template <class Paging> struct clone_world : table_world<Paging> {
    using mode = manual<Paging>;
    using base = table_world<Paging>;

    /// The clone's view of memory: a write to anything but a frame is an exception.
    struct guarded {
        clone_world& world;
        void read(phys_addr at, std::span<std::byte> out) { world.memory.read(at, out); }
        void write(phys_addr at, std::span<const std::byte> in)
        {
            if (at.raw() < world.first_frame || at.raw() + in.size() > base::mode::table_size * world.used)
                throw std::logic_error{"the clone writes to what is not its own"};
            world.memory.write(at, in);
        }
    };

    using base::base;

    std::uint64_t first_frame = 0;
    std::size_t frames = 0;     ///< handed out
    std::size_t fails_at = ~0u; ///< this request, from 0
    unsigned additions = 0;     ///< calls of `add`

    static virt_range virt(std::uint64_t first, std::uint64_t size)
    {
        return virt_range::of(virt_addr::at(mode::address_of(first)), byte_count::of(size));
    }
    static mapping to(std::uint64_t first, std::uint64_t size, std::uint64_t physical, bool writable = true)
    {
        return {virt(first, size), phys_addr::at(physical),
            writable ? lobos::access::read_write : lobos::access::read_only};
    }

    result<phys_addr> frame()
    {
        if (frames == fails_at)
            return std::unexpected{no_frame};
        ++frames;
        const phys_addr at = phys_addr::at(this->new_table());
        const bytes ones(base::mode::table_size, std::byte{0xff});
        this->memory.write(at, ones);
        return at;
    }

    result<cloned_tables<Paging>> clone(const std::vector<virt_range>& keep, const std::vector<mapping>& added = {})
    {
        first_frame = base::mode::table_size * this->used;
        frames = 0;
        additions = 0;
        guarded own{*this};
        const auto add = [&](auto put) -> result<void> {
            ++additions;
            for (const mapping& m : added)
                if (const result<void> done = put(m); !done)
                    return done;
            return {};
        };
        return clone_page_tables<Paging>(own, phys_addr::at(this->root), keep, add, [&] { return frame(); });
    }

    /// Empty when the tables at `from` map the pieces and nothing else. Every entry is looked at, and every piece
    /// within.
    std::string scan(phys_addr from, const std::vector<piece>& expected)
    {
        constexpr std::uint64_t last = mode::addresses - 1;
        for (std::uint64_t v = 0;;) {
            const manual_walk found = this->look(from.raw(), v);
            std::uint64_t until = v | (mode::span[found.level] - 1); // the same entry speaks for all of it
            const piece* wanted = nullptr;
            for (const piece& p : expected)
                if (v >= p.first && v <= p.last())
                    wanted = &p;
            for (const piece& p : expected) {
                if (v < p.first)
                    until = std::min(until, p.first - 1);
                if (v <= p.last())
                    until = std::min(until, p.last());
            }
            const bool good = wanted ? found.what == manual_walk::mapped && found.writable == wanted->writable &&
                    found.executable && found.physical == wanted->physical + (v - wanted->first)
                                     : found.what == manual_walk::absent;
            if (!good)
                return "wrong at " + text_of(v);
            if (until == last)
                return "";
            v = until + 1;
        }
    }
    static std::string text_of(std::uint64_t v) { return Catch::StringMaker<virt_addr>::convert(virt_addr::at(v)); }
};

/// A page on each level up to the second, if the mode has it, the smallest twice in one table, once more far away, and
/// one that may not be written.
template <class Paging> struct running_kernel : clone_world<Paging> {
    using mode = manual<Paging>;
    static constexpr unsigned big_level = mode::page_levels > 1 ? 1 : 0;
    static constexpr std::uint64_t small = mode::span[0], large = mode::span[1], big = mode::span[big_level];
    static constexpr std::uint64_t next = 3 * large + big; ///< after the first big page
    static constexpr std::uint64_t end = mode::addresses;

    running_kernel()
    {
        this->map(big_level, 3 * large, 5 * large);
        this->map(big_level, next, 9 * large);
        this->map(0, 6 * large + 2 * small, 11 * small);
        this->map(0, 6 * large + 3 * small, 13 * small);
        this->map(0, 6 * large + 5 * small, 12 * small, 0);
        this->map(0, end - small, 0);
        this->map(big_level, 8 * large, 2 * large, 0);
    }
};

} // namespace

TEMPLATE_LIST_TEST_CASE("a clone keeps the pages that were asked for and nothing else", "[paging][clone]", paging_modes)
{
    running_kernel<TestType> k;
    constexpr auto small = k.small, large = k.large, big = k.big, next = k.next, end = k.end;
    const struct {
        std::vector<virt_range> keep;
        std::vector<piece> expected;
    } cases[] = {
        {{}, {}},
        // Of a page all of it, however little was asked for.
        {{k.virt(3 * large + 1, 1)}, {{3 * large, big, 5 * large}}},
        {{k.virt(next - 1, 1)}, {{3 * large, big, 5 * large}}},
        {{k.virt(next - 1, 2)}, {{3 * large, big, 5 * large}, {next, big, 9 * large}}},
        {{k.virt(6 * large + 2 * small + 5, 1)}, {{6 * large + 2 * small, small, 11 * small}}},
        {{k.virt(6 * large + 3 * small - 1, 2)},
            {{6 * large + 2 * small, small, 11 * small}, {6 * large + 3 * small, small, 13 * small}}},
        // Read-only stays read-only.
        {{k.virt(6 * large + 5 * small, 1)}, {{6 * large + 5 * small, small, 12 * small, false}}},
        {{k.virt(8 * large + 7, 9)}, {{8 * large, big, 2 * large, false}}},
        // The top of the space, and one page asked for in three ways.
        {{k.virt(end - 1, 1)}, {{end - small, small, 0}}},
        {{k.virt(end - small, small)}, {{end - small, small, 0}}},
        {{k.virt(3 * large, 1), k.virt(3 * large, big), k.virt(next - 1, 1)}, {{3 * large, big, 5 * large}}},
        {{k.virt(end - 1, 1), k.virt(6 * large + 2 * small, small), k.virt(3 * large, big)},
            {{end - small, small, 0}, {6 * large + 2 * small, small, 11 * small}, {3 * large, big, 5 * large}}},
    };
    for (const auto& c : cases) {
        CAPTURE(&c - cases);
        auto world = k;
        const auto cloned = world.clone(c.keep);
        REQUIRE(fault_of(cloned) == no_fault);
        CHECK(world.scan(cloned->root, c.expected) == "");
        CHECK(cloned->tables == tables_for<TestType>(c.expected, k.big_level));
        CHECK(world.frames == cloned->tables);
        CHECK(world.additions == 1);
        for (std::uint64_t at = 0; at < world.first_frame; ++at)
            if (load<std::uint8_t>(world.memory, phys_addr::at(at)) != load<std::uint8_t>(k.memory, phys_addr::at(at)))
                FAIL("running tables were written at " << at);
    }
}

TEMPLATE_LIST_TEST_CASE("what is added is mapped, and nothing else", "[paging][clone]", paging_modes)
{
    using mode = manual<TestType>;
    running_kernel<TestType> k;
    constexpr std::uint64_t granule = TestType::granule.raw();
    constexpr auto end = k.end;
    // Of what can be mapped one to one.
    constexpr std::uint64_t top = std::min<std::uint64_t>(mode::first_hole, std::uint64_t{1} << mode::physical_bits);
    const struct {
        std::vector<mapping> added;
        std::vector<piece> expected;
    } cases[] = {
        {{k.to(0, granule, 0)}, {{0, granule, 0}}},
        {{k.to(granule, 2 * granule, 7 * granule)}, {{granule, 2 * granule, 7 * granule}}},
        {{k.to(granule, granule, 7 * granule, false)}, {{granule, granule, 7 * granule, false}}},
        {{k.to(top - granule, granule, top - granule)}, {{top - granule, granule, top - granule}}},
        {{k.to(end - granule, granule, 0)}, {{end - granule, granule, 0}}},
        // The same twice, overlapping, and two names of one place.
        {{k.to(0, 3 * granule, 0), k.to(granule, 3 * granule, granule)}, {{0, 4 * granule, 0}}},
        {{k.to(0, granule, granule), k.to(granule, granule, granule)},
            {{0, granule, granule}, {granule, granule, granule}}},
    };
    for (const auto& c : cases) {
        CAPTURE(&c - cases);
        auto world = k;
        const auto cloned = world.clone({}, c.added);
        REQUIRE(fault_of(cloned) == no_fault);
        CHECK(world.scan(cloned->root, c.expected) == "");
        CHECK(cloned->tables == tables_for<TestType>(c.expected, mode::largest_made));
        CHECK(world.frames == cloned->tables);
    }
}

TEMPLATE_LIST_TEST_CASE(
    "the largest pages are made that map no more than was asked for", "[paging][clone]", paging_modes)
{
    using mode = manual<TestType>;
    constexpr std::uint64_t granule = TestType::granule.raw();
    constexpr std::uint64_t large = mode::span[mode::largest_made];
    constexpr std::uint64_t smaller = mode::span[mode::largest_made == 0 ? 0 : mode::largest_made - 1];
    constexpr std::uint64_t step = std::max(granule, smaller);
    running_kernel<TestType> k;
    // From one step before a large page to one after another, with the physical side alike and not.
    for (const std::uint64_t before : {std::uint64_t{0}, step % large})
        for (const std::uint64_t after : {std::uint64_t{0}, step % large})
            for (const std::uint64_t shift : {std::uint64_t{0}, step % large, large}) {
                CAPTURE(before, after, shift);
                const piece p{3 * large - before, before + 2 * large + after, 3 * large - before + shift};
                auto world = k;
                const auto cloned = world.clone({}, {k.to(p.first, p.size, p.physical)});
                REQUIRE(fault_of(cloned) == no_fault);
                CHECK(world.scan(cloned->root, {p}) == "");
                CHECK(cloned->tables == tables_for<TestType>({p}, mode::largest_made));
                CHECK((world.look(cloned->root.raw(), 3 * large).level == mode::largest_made) == (shift % large == 0));
            }
    // And one that is too short.
    if (large > granule) {
        auto world = k;
        const auto cloned = world.clone({}, {k.to(3 * large, large - step, 3 * large)});
        REQUIRE(fault_of(cloned) == no_fault);
        CHECK(world.scan(cloned->root, {{3 * large, large - step, 3 * large}}) == "");
    }
}

TEMPLATE_LIST_TEST_CASE("pieces that overlap are one mapping, whichever comes first", "[paging][clone]", paging_modes)
{
    using mode = manual<TestType>;
    constexpr std::uint64_t granule = TestType::granule.raw();
    constexpr std::uint64_t large = mode::span[mode::largest_made];
    running_kernel<TestType> k;
    const mapping whole = k.to(2 * large, large, 4 * large);
    const mapping inside = k.to(2 * large + granule % large, granule, 4 * large + granule % large);
    for (const auto& added : {std::vector{whole, inside}, std::vector{inside, whole}}) {
        auto world = k;
        const auto cloned = world.clone({}, added);
        REQUIRE(fault_of(cloned) == no_fault);
        CHECK(world.scan(cloned->root, {{2 * large, large, 4 * large}}) == "");
    }
    if (large == granule)
        return;
    // What says something else of these bytes is still a conflict, at the first of them.
    for (const mapping& other : {k.to(2 * large + granule, granule, 4 * large),
             k.to(2 * large + granule, granule, 4 * large + granule, false)}) {
        for (const auto& added : {std::vector{whole, other}, std::vector{other, whole}}) {
            auto world = k;
            CHECK(fault_of(world.clone({}, added)) ==
                fault_at<TestType>(fault_code::mapping_conflict, 2 * large + granule));
        }
    }
}

TEMPLATE_LIST_TEST_CASE("all of memory can be mapped one to one", "[paging][clone]", paging_modes)
{
    using mode = manual<TestType>;
    clone_world<TestType> k{300};
    const auto everything = identity_mapping<TestType>(phys_range::of(0_pa, byte_count::of(mode::much)));
    const auto cloned = k.clone({}, {everything});
    REQUIRE(fault_of(cloned) == no_fault);
    CHECK(k.scan(cloned->root, {{0, mode::much, 0}}) == "");
    CHECK(cloned->tables == tables_for<TestType>({{0, mode::much, 0}}, mode::largest_made));
    if (!std::is_same_v<TestType, x86::paging_4level>)
        return;
    // The last byte that can be, and the first that cannot.
    const auto last = phys_range::of(phys_addr::at(mode::first_hole - 1), 1_bytes);
    CHECK(k.clone({}, {identity_mapping<TestType>(last)}).has_value());
    const auto past = phys_range::of(phys_addr::at(mode::first_hole), 1_bytes);
    CHECK(fault_of(k.clone({}, {identity_mapping<TestType>(past)})) ==
        fault{fault_code::bad_range, stage::mapping, mode::first_hole});
}

TEMPLATE_LIST_TEST_CASE("an identity mapping is widened to the granule", "[paging][clone]", paging_modes)
{
    constexpr std::uint64_t granule = TestType::granule.raw();
    const auto of = [](std::uint64_t first, std::uint64_t last) {
        return identity_mapping<TestType>(phys_range::between(phys_addr::at(first), phys_addr::at(last)));
    };
    const mapping one = of(granule, granule);
    CHECK(one.virtual_range == virt_range::of(virt_addr::at(granule), TestType::granule));
    CHECK(one.physical == phys_addr::at(granule));
    CHECK(one.rights == lobos::access::read_write);
    const mapping two = of(2 * granule - 1, 2 * granule);
    CHECK(two.virtual_range == virt_range::of(virt_addr::at(granule), byte_count::of(2 * granule)));
    CHECK(two.physical == phys_addr::at(granule));
}

TEMPLATE_LIST_TEST_CASE(
    "what software and the processor noted is not kept, what the memory is stays", "[paging][clone]", paging_modes)
{
    using mode = manual<TestType>;
    for (unsigned level = 0; level < mode::page_levels; ++level) {
        clone_world<TestType> world;
        const std::uint64_t v = 2 * mode::span[level];
        world.map(level, v, 3 * mode::span[level], mode::noted[level] | mode::memory_type[level] | mode::writable);
        const auto cloned = world.clone({world.virt(v, 1)});
        REQUIRE(fault_of(cloned) == no_fault);
        const manual_walk leaf = world.look(cloned->root.raw(), v);
        CHECK(leaf.level == level);
        CHECK(leaf.entry ==
            (in_entry<TestType>(3 * mode::span[level]) | mode::present | mode::writable | mode::page[level] |
                mode::memory_type[level] | mode::preset[level]));
    }
}

TEMPLATE_LIST_TEST_CASE("a clone permits no more than all running levels together", "[paging][clone]", paging_modes)
{
    using mode = manual<TestType>;
    clone_world<TestType> world;
    world.table_for(0, 0, mode::present); // a table that may not be written through
    world.map(0, 0, 5 * mode::span[0], rights_levels<TestType>() > 1 ? mode::writable : 0);
    REQUIRE_FALSE(world.look(0).writable);
    const auto cloned = world.clone({world.virt(0, 1)});
    REQUIRE(fault_of(cloned) == no_fault);
    CHECK(world.scan(cloned->root, {{0, mode::span[0], 5 * mode::span[0], false}}) == "");
}

TEMPLATE_LIST_TEST_CASE("a clone executes nothing that any running level forbids to", "[paging][clone]", paging_modes)
{
    using mode = manual<TestType>;
    if (mode::no_execute == 0)
        return;
    for (unsigned forbidden = 0; forbidden < 4; ++forbidden) {
        CAPTURE(forbidden);
        clone_world<TestType> world;
        world.table_for(0, 0, mode::present | mode::writable | (forbidden & 1 ? mode::no_execute : 0));
        world.map(0, 0, 5 * mode::span[0], mode::writable | (forbidden & 2 ? mode::no_execute : 0));
        const auto cloned = world.clone({world.virt(0, 1)}, {world.to(mode::span[0], mode::span[0], 0)});
        REQUIRE(fault_of(cloned) == no_fault);
        const bool counts = rights_levels<TestType>() > 1 || (forbidden & 2) != 0;
        CHECK(world.look(cloned->root.raw(), 0).executable == !(forbidden != 0 && counts));
        CHECK(world.look(cloned->root.raw(), mode::span[0]).executable);
    }
}

TEMPLATE_LIST_TEST_CASE("what is kept may be added again if it is the same", "[paging][clone]", paging_modes)
{
    using mode = manual<TestType>;
    constexpr std::uint64_t granule = TestType::granule.raw();
    constexpr unsigned level = granule == mode::span[0] ? 0 : 1;
    clone_world<TestType> world;
    world.map(level, 2 * granule, 3 * granule);
    const auto cloned = world.clone({world.virt(2 * granule, 1)}, {world.to(2 * granule, granule, 3 * granule)});
    REQUIRE(fault_of(cloned) == no_fault);
    CHECK(world.scan(cloned->root, {{2 * granule, granule, 3 * granule}}) == "");

    const auto conflict = fault_at<TestType>(fault_code::mapping_conflict, 2 * granule);
    auto elsewhere = world;
    CHECK(fault_of(elsewhere.clone({world.virt(2 * granule, 1)}, {world.to(2 * granule, granule, 4 * granule)})) ==
        conflict);
    auto read_only = world;
    CHECK(fault_of(read_only.clone(
              {world.virt(2 * granule, 1)}, {world.to(2 * granule, granule, 3 * granule, false)})) == conflict);
}

TEMPLATE_LIST_TEST_CASE(
    "two mappings of one address are a conflict, and so are two sizes", "[paging][clone]", paging_modes)
{
    using mode = manual<TestType>;
    running_kernel<TestType> k;
    constexpr std::uint64_t granule = TestType::granule.raw();
    constexpr auto large = k.large, small = k.small;
    const auto said = [&](std::vector<virt_range> keep, std::vector<mapping> added) {
        auto world = k;
        return fault_of(world.clone(keep, added));
    };
    const auto conflict = [](std::uint64_t v) { return fault_at<TestType>(fault_code::mapping_conflict, v); };
    CHECK(said({}, {k.to(0, 2 * granule, 0), k.to(granule, granule, 3 * granule)}) == conflict(granule));
    CHECK(said({}, {k.to(0, 2 * granule, 0), k.to(granule, granule, granule, false)}) == conflict(granule));
    if (mode::page_levels == 1) {
        // Every page is as small as that.
    } else if (granule == mode::span[0]) {
        // A small page is wanted inside a large one.
        CHECK(said({k.virt(3 * large, 1)}, {k.to(3 * large + small, small, 0)}) == conflict(3 * large + small));
    } else {
        // A large page is wanted around a small one: a table is there already.
        CHECK(said({k.virt(6 * large + 2 * small, 1)}, {k.to(6 * large, large, 0)}) == conflict(6 * large));
        CHECK(said({k.virt(6 * large + 2 * small, 1)}, {k.to(5 * large, 2 * large, 0)}) == conflict(6 * large));
    }
}

TEMPLATE_LIST_TEST_CASE("mappings that no table can hold are refused", "[paging][clone]", paging_modes)
{
    running_kernel<TestType> k;
    constexpr std::uint64_t granule = TestType::granule.raw();
    constexpr std::uint64_t end = manual<TestType>::first_hole;
    constexpr std::uint64_t physical_end = std::uint64_t{1} << manual<TestType>::physical_bits;
    const auto said = [&](mapping m) {
        auto world = k;
        return fault_of(world.clone({}, {m}));
    };
    const auto f = [](fault_code code, std::uint64_t at) { return fault{code, stage::mapping, at}; };
    CHECK(said(k.to(1, granule, 0)) == f(fault_code::misaligned, 1));
    CHECK(said(k.to(granule - 1, granule, 0)) == f(fault_code::misaligned, granule - 1));
    CHECK(said(k.to(0, granule - 1, 0)) == f(fault_code::misaligned, 0));
    CHECK(said(k.to(0, granule + 1, 0)) == f(fault_code::misaligned, 0));
    CHECK(said(k.to(granule, granule, 1)) == f(fault_code::misaligned, granule));
    CHECK(said(k.to(granule, granule, granule / 2)) == f(fault_code::misaligned, granule));
    const mapping past{virt_range::of(virt_addr::at(end), TestType::granule), 0_pa};
    CHECK(said(past) == f(fault_code::bad_range, end));
    CHECK(said(k.to(end - granule, 2 * granule, 0)) == f(fault_code::bad_range, end - granule));
    CHECK(said(k.to(granule, granule, physical_end)) == f(fault_code::bad_range, granule));
    CHECK(said(k.to(granule, 2 * granule, physical_end - granule)) == f(fault_code::bad_range, granule));
    CHECK(said(k.to(granule, 2 * granule, ~std::uint64_t{0} - (granule - 1))) == f(fault_code::bad_range, granule));
    const auto whole = virt_range::between(0_va, virt_addr::at(~std::uint64_t{0}));
    CHECK(said({whole, 0_pa}) == f(fault_code::bad_range, 0));
}

TEMPLATE_LIST_TEST_CASE("what is to be kept has to be there, all of it", "[paging][clone]", paging_modes)
{
    using mode = manual<TestType>;
    running_kernel<TestType> k;
    constexpr auto large = k.large, small = k.small, big = k.big, next = k.next;
    const auto said = [&](virt_range keep) {
        auto world = k;
        return fault_of(world.clone({keep}));
    };
    const auto absent = [](std::uint64_t v) { return fault_at<TestType>(fault_code::not_mapped, v); };
    CHECK(said(k.virt(0, 1)) == absent(0));
    CHECK(said(k.virt(3 * large - 1, 2)) == absent(3 * large - 1));
    CHECK(said(k.virt(next, big + 1)) == absent(next + big));
    CHECK(said(k.virt(6 * large + 2 * small, 3 * small)) == absent(6 * large + 4 * small));
    const std::uint64_t hole = mode::first_hole;
    auto up_to_the_hole = k;
    up_to_the_hole.map(0, hole - small, 0);
    CHECK(fault_of(up_to_the_hole.clone({k.virt(hole - small, small + 1)})) ==
        fault{fault_code::not_mapped, stage::mapping, hole});

    for (unsigned level = 0; level < mode::page_levels; ++level)
        if (mode::reserved[level] != 0) {
            clone_world<TestType> world;
            world.map(level, 10 * large, large, mode::reserved[level] & ~(mode::reserved[level] - 1));
            const manual_walk bad = world.look(10 * large);
            REQUIRE(bad.what == manual_walk::reserved);
            CHECK(fault_of(world.clone({world.virt(10 * large, 1)})) ==
                fault{fault_code::bad_page_table, stage::mapping, bad.entry_at});
        }
}

TEMPLATE_LIST_TEST_CASE("whichever frame is missing, the fault is passed on", "[paging][clone]", paging_modes)
{
    running_kernel<TestType> k;
    constexpr std::uint64_t granule = TestType::granule.raw();
    const std::vector<virt_range> keep{
        k.virt(6 * k.large + 2 * k.small, 1), k.virt(k.end - 1, 1), k.virt(3 * k.large, 1)};
    const std::vector<mapping> added{k.to(0, granule, 0)};
    auto whole = k;
    const auto cloned = whole.clone(keep, added);
    REQUIRE(cloned);
    REQUIRE(cloned->tables >= 3);
    for (std::size_t n = 0; n < cloned->tables; ++n) {
        auto world = k;
        world.fails_at = n;
        CAPTURE(n);
        CHECK(fault_of(world.clone(keep, added)) == no_frame);
        CHECK(world.frames == n);
    }
    auto enough = k;
    enough.fails_at = cloned->tables;
    CHECK(enough.clone(keep, added).has_value());
}

TEMPLATE_LIST_TEST_CASE("a frame that no entry can name is refused", "[paging][clone]", paging_modes)
{
    table_world<TestType> world;
    const std::uint64_t far = std::uint64_t{1} << manual<TestType>::physical_bits;
    for (const std::uint64_t at : {far, far - TestType::table_size.raw() / 2}) {
        const auto nothing = [](auto) { return result<void>{}; };
        const auto said = clone_page_tables<TestType>(
            world.memory, phys_addr::at(world.root), {}, nothing, [&] { return result<phys_addr>{phys_addr::at(at)}; });
        CHECK(fault_of(said) == fault{fault_code::bad_range, stage::mapping, at});
    }
}

TEMPLATE_LIST_TEST_CASE("a fault of whoever adds is passed on", "[paging][clone]", paging_modes)
{
    clone_world<TestType> world;
    const fault own{fault_code::no_room, stage::loading, 99};
    int calls = 0;
    const auto said = clone_page_tables<TestType>(
        world.memory, phys_addr::at(world.root), {},
        [&](auto) -> result<void> {
            ++calls;
            return std::unexpected{own};
        },
        [&] { return world.frame(); });
    CHECK(fault_of(said) == own);
    CHECK(calls == 1);
}

TEMPLATE_LIST_TEST_CASE("a clone of a clone is the same", "[paging][clone]", paging_modes)
{
    using mode = manual<TestType>;
    running_kernel<TestType> k;
    const std::vector<virt_range> keep{
        k.virt(6 * k.large + 2 * k.small, 1), k.virt(3 * k.large, 1), k.virt(8 * k.large, 1)};
    const auto first = k.clone(keep);
    REQUIRE(first);
    k.root = first->root.raw();
    const auto second = k.clone(keep);
    REQUIRE(second);
    CHECK(second->tables == first->tables);
    for (std::uint64_t v = 0; v < k.end;) {
        const manual_walk a = k.look(first->root.raw(), v);
        const manual_walk b = k.look(second->root.raw(), v);
        if (a.what != b.what || a.entry != b.entry || a.level != b.level)
            FAIL("differs at " << v);
        v += mode::span[a.level];
    }
}
