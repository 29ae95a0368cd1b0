// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/overlay/copy_loop.hpp>

#include <array>
#include <cstring>
#include <stdexcept>

#include <tests/catch.hpp>
#include <tests/support/effort.hpp>
#include <tests/support/overlay_memory.hpp>

using namespace lobos;
using namespace lobos::test;

namespace {

constexpr std::uint32_t bits(std::uint32_t first, std::uint32_t count)
{
    return static_cast<std::uint32_t>(((std::uint64_t{1} << count) - 1) << first);
}

/// `Size` bytes from address `Base`, cheap enough for millions of cases. Knows which byte was loaded and stored, and
/// which was stored twice. The skip ranges lie elsewhere. Strict: it has only aligned words.
template <class Address, class Word, std::uint32_t Size, Address Base> struct arena {
    static_assert(Size <= 32 && Base % sizeof(Word) == 0);
    using address = Address;
    using word = Word;
    static constexpr std::uint32_t size = Size;
    static constexpr Address base = Base;
    static constexpr Address table = 0x4000;

    std::array<std::uint8_t, Size> bytes{};
    std::uint32_t loaded = 0;
    std::uint32_t stored = 0;
    std::uint32_t stored_again = 0;
    unsigned accesses = 0;
    std::array<skip_range, Size> skips{};
    std::size_t skip_count = 0;

    void reset()
    {
        for (std::uint32_t i = 0; i < Size; ++i)
            bytes[i] = static_cast<std::uint8_t>(i + 1);
        loaded = stored = stored_again = 0;
        accesses = 0;
    }
    template <class T> std::uint32_t offset(Address at)
    {
        const Address o = at - Base;
        if (o > Size - sizeof(T) || at % sizeof(T) != 0)
            throw std::out_of_range{"arena: access outside, or not aligned"};
        ++accesses;
        return static_cast<std::uint32_t>(o);
    }
    template <class T> T get(Address at)
    {
        const std::uint32_t o = offset<T>(at);
        loaded |= bits(o, sizeof(T));
        T value;
        std::memcpy(&value, &bytes[o], sizeof(T));
        return value;
    }
    template <class T> void put(Address at, T value)
    {
        const std::uint32_t o = offset<T>(at);
        stored_again |= stored & bits(o, sizeof(T));
        stored |= bits(o, sizeof(T));
        std::memcpy(&bytes[o], &value, sizeof(T));
    }
    Word load_word(Address at) { return get<Word>(at); }
    std::uint8_t load_byte(Address at) { return get<std::uint8_t>(at); }
    void store_word(Address at, Word value) { put(at, value); }
    void store_byte(Address at, std::uint8_t value) { put(at, value); }
    std::uint64_t load_u64(Address at)
    {
        const Address i = at - table;
        if (i % 8 != 0 || i >= skip_count * sizeof(skip_range))
            throw std::out_of_range{"arena: not in the skip list"};
        const skip_range& skip = skips[static_cast<std::size_t>(i / 16)];
        return i % 16 == 0 ? skip.first : skip.last;
    }
    void store_u64(Address, std::uint64_t) { throw std::logic_error{"arena: a note from a step"}; }
    void store_u32(Address, std::uint32_t) { throw std::logic_error{"arena: a note from a step"}; }
    std::uint64_t clock() { throw std::logic_error{"arena: a step reads the clock"}; }
};

/// The same with a mover of blocks, each of which it loads whole before it stores it. It takes a source that lies
/// `SourceAlignment`s from its destination, and holds the loop to what the concept promises.
template <class Arena, std::uint32_t Block, std::uint32_t SourceAlignment> struct block_arena : Arena {
    using address = Arena::address;
    static constexpr address block = Block;
    static constexpr address source_alignment = SourceAlignment;
    unsigned block_calls = 0;
    unsigned bytes_stored = 0;
    bool fenced = true;

    void reset()
    {
        Arena::reset();
        block_calls = bytes_stored = 0;
    }
    void check(address destination, address count)
    {
        if (count == 0 || count % Block != 0 || destination % Block != 0)
            throw std::logic_error{"block_arena: not whole blocks"};
        ++block_calls;
        fenced = false;
    }
    void copy(address destination, address source, address count, bool from_the_end)
    {
        check(destination, count);
        const address distance = destination - source;
        if (distance % SourceAlignment != 0)
            throw std::logic_error{"block_arena: a source that it does not take"};
        if (distance != 0 && (from_the_end ? address{0} - distance : distance) < count)
            throw std::logic_error{"block_arena: from the wrong end"};
        for (address i = 0; i < count; i += Block) {
            const address at = from_the_end ? count - Block - i : i;
            std::array<std::uint8_t, Block> held{};
            for (std::uint32_t k = 0; k < Block; ++k)
                held[k] = this->template get<std::uint8_t>(source + at + k);
            for (std::uint32_t k = 0; k < Block; ++k)
                this->template put<std::uint8_t>(destination + at + k, held[k]);
        }
    }
    void store_zeros(address destination, address count)
    {
        check(destination, count);
        for (address i = 0; i < count; ++i)
            this->template put<std::uint8_t>(destination + i, 0);
    }
    void store_byte(address at, std::uint8_t value)
    {
        Arena::store_byte(at, value);
        ++bytes_stored;
        fenced = false;
    }
    void fence() { fenced = true; }
};

using arena_32 = arena<std::uint32_t, std::uint32_t, 32, 0>;
using arena_32_top = arena<std::uint32_t, std::uint32_t, 32, 0xffff'ffe0>; // ends with the last address
using arena_64 = arena<std::uint64_t, std::uint64_t, 32, 0x1'0000'0000>;
using blocks_1 = block_arena<arena_32_top, 1, 1>;
using blocks_2 = block_arena<arena_32_top, 2, 1>;
using blocks_8 = block_arena<arena_32_top, 8, 1>;
using blocks_16 = block_arena<arena_64, 16, 1>;
using blocks_8_half = block_arena<arena_64, 8, 4>;
using blocks_8_strict = block_arena<arena_32, 8, 8>;
static_assert(overlay::block_memory<blocks_16> && !overlay::block_memory<arena_64>);

/// Whether the arena is what a memmove (or a fill, where source and destination are the same) of `size` bytes that
/// spares the bytes of `spared` leaves: those bytes, nothing else, each stored once; loaded what is needed and nothing
/// else.
template <class M>
bool moved(const M& memory, std::uint32_t destination, std::uint32_t source, std::uint32_t size, std::uint32_t spared)
{
    const std::uint32_t changed = bits(destination, size) & ~spared;
    bool same = memory.stored == changed && memory.stored_again == 0;
    if (source != destination) {
        const std::uint64_t wide = changed;
        const auto needed = static_cast<std::uint32_t>(
            source > destination ? wide << (source - destination) : wide >> (destination - source));
        same &= memory.loaded == needed;
    } else {
        same &= memory.loaded == 0;
    }
    for (std::uint32_t i = 0; i < M::size; ++i) {
        const bool kept = (changed >> i & 1) == 0;
        const std::uint32_t from = kept ? i : i - destination + source;
        same &= memory.bytes[i] == (!kept && source == destination ? 0 : from + 1);
    }
    return same;
}

/// Runs one step with the arena's skip list. The addresses are offsets.
template <class M> void step(M& memory, std::uint32_t destination, std::uint32_t source, std::uint32_t size)
{
    using address = M::address;
    memory.reset();
    overlay::run_step(memory, static_cast<address>(M::base + destination),
        static_cast<address>(address{destination} - source), static_cast<address>(size), M::table,
        static_cast<address>(memory.skip_count));
    if constexpr (overlay::block_memory<M>)
        if (!memory.fenced)
            throw std::logic_error{"a step ends without a fence"};
}

/// The skip list that spares exactly the bytes of `spared`.
template <class M> void spare(M& memory, std::uint32_t spared)
{
    memory.skip_count = 0;
    for (std::uint32_t i = 0; i < M::size; ++i) {
        if ((spared >> i & 1) == 0)
            continue;
        if (i != 0 && (spared >> (i - 1) & 1) != 0)
            ++memory.skips[memory.skip_count - 1].last;
        else
            memory.skips[memory.skip_count++] = {std::uint64_t{M::base} + i, std::uint64_t{M::base} + i};
    }
}

/// Every (source, destination, size, first, last) of the arena that stays in it, and every (source, destination, size)
/// without a skip range. How many there were.
template <class M> std::size_t every_skip_copy()
{
    M memory;
    std::size_t cases = 0;
    for (std::uint32_t low = 0; low <= M::size; low += stride(16u)) {
        for (std::uint32_t high = low; high < M::size || high == low; ++high) {
            const std::uint32_t spared = low == M::size ? 0 : bits(low, high - low + 1);
            spare(memory, spared);
            for (std::uint32_t size = 0; size <= M::size; ++size)
                for (std::uint32_t source = 0; source + size <= M::size; ++source)
                    for (std::uint32_t destination = 0; destination + size <= M::size; ++destination) {
                        ++cases;
                        step(memory, destination, source, size);
                        if (!moved(memory, destination, source, size, spared)) {
                            CAPTURE(source, destination, size, low, high);
                            FAIL("not what was asked for");
                        }
                    }
        }
    }
    return cases;
}

// n bytes hold n - k + 1 places for k bytes, for source and destination alike: the sum of squares up to 33. There are
// 32 * 33 / 2 skip ranges, and none.
constexpr std::size_t copies_in_32 = 33 * 34 * 67 / 6;
constexpr std::size_t skip_copies_in_32 = copies_in_32 * (32 * 33 / 2 + 1);
constexpr std::size_t some_skip_copies = copies_in_32 * (32 + 16 + 1); // of those that begin at a multiple of 16

} // namespace

TEMPLATE_TEST_CASE("a step is memmove", "[overlay]", arena_32, arena_32_top, arena_64, blocks_1, blocks_2, blocks_8,
    blocks_16, blocks_8_half, blocks_8_strict)
{
    TestType memory;
    for (std::uint32_t size = 0; size <= 32; ++size)
        for (std::uint32_t source = 0; source + size <= 32; ++source)
            for (std::uint32_t destination = 0; destination + size <= 32; ++destination) {
                step(memory, destination, source, size);
                CAPTURE(source, destination, size);
                if (!moved(memory, destination, source, size, 0))
                    FAIL("not what memmove does");
            }
}

TEMPLATE_TEST_CASE("a step is memmove, too, where it need not look what it may change", "[overlay]", arena_32,
    arena_32_top, arena_64, blocks_1, blocks_2, blocks_8, blocks_16, blocks_8_half, blocks_8_strict)
{
    using address = TestType::address;
    const auto at = [](std::uint32_t offset) { return static_cast<address>(TestType::base + offset); };
    TestType memory;
    for (std::uint32_t size = 1; size <= 32; ++size)
        for (std::uint32_t source = 0; source + size <= 32; ++source)
            for (std::uint32_t destination = 0; destination + size <= 32; ++destination) {
                memory.reset();
                overlay::skips_in_plan::move(memory, address{}, at(destination),
                    static_cast<address>(address{destination} - source), address{size});
                CAPTURE(source, destination, size);
                if (!moved(memory, destination, source, size, 0))
                    FAIL("not what memmove does");
                if constexpr (overlay::block_memory<TestType>)
                    if (!memory.fenced)
                        FAIL("a step ends without a fence");
            }
}

TEMPLATE_TEST_CASE("a step that fills stores zeros", "[overlay]", arena_32, arena_32_top, arena_64, blocks_1, blocks_2,
    blocks_8, blocks_16, blocks_8_half, blocks_8_strict)
{
    TestType memory;
    for (std::uint32_t size = 0; size <= 32; ++size)
        for (std::uint32_t destination = 0; destination + size <= 32; ++destination) {
            step(memory, destination, destination, size);
            CAPTURE(destination, size);
            if (!moved(memory, destination, destination, size, 0))
                FAIL("not zeros");
        }
}

TEMPLATE_TEST_CASE("what can go in words goes in words", "[overlay]", arena_32, arena_32_top, arena_64)
{
    constexpr unsigned word = sizeof(typename TestType::word);
    TestType memory;
    memory.skip_count = 0;
    step(memory, 0, 16, 16);
    CHECK(memory.accesses == 2 * 16 / word);
    step(memory, 8, 0, 24); // backward
    CHECK(memory.accesses == 2 * 24 / word);
    step(memory, 1, 1 + word, 2 * word - 1); // bytes up to the word, then words
    CHECK(memory.accesses == 2 * (word - 1) + 2);
    step(memory, 1 + word, 1, 2 * word); // and backward
    CHECK(memory.accesses == 2 * 1 + 2 + 2 * (word - 1));
    step(memory, 0, 17, 8); // never aligned together
    CHECK(memory.accesses == 2 * 8);
    step(memory, 0, 0, 32);
    CHECK(memory.accesses == 32 / word);
    step(memory, 3, 3, 0);
    CHECK(memory.accesses == 0);
}

TEMPLATE_TEST_CASE(
    "what can go in blocks goes in blocks", "[overlay]", blocks_2, blocks_8, blocks_8_half, blocks_8_strict)
{
    constexpr auto block = static_cast<std::uint32_t>(TestType::block);
    constexpr auto alignment = static_cast<std::uint32_t>(TestType::source_alignment);
    TestType memory;
    const auto check = [&](unsigned calls, unsigned bytes) {
        CHECK(memory.block_calls == calls);
        CHECK(memory.bytes_stored == bytes);
    };
    step(memory, 0, 16, 16);
    check(1, 0);
    step(memory, 16, 0, 16);
    check(1, 0);
    step(memory, 0, 0, 32);
    check(1, 0);
    step(memory, 1, 1, 30); // bytes up to the first boundary, and from the last
    check(1, 2 * (block - 1));
    step(memory, block - 1, 2 * block - 1, block + 1); // the first byte, then a block; down over itself
    check(1, 1);
    step(memory, 2 * block - 1, block - 1, block + 1); // up over itself: the same, the block first
    check(1, 1);
    const bool takes = 4 % alignment == 0;
    step(memory, 0, 4, 3 * block);
    check(takes ? 1 : 0, takes ? 0 : 3 * block);
    step(memory, 4, 0, 3 * block); // if it takes that, the first and the last half of a block remain
    check(takes ? 1 : 0, takes ? (block == 8 ? block : 0) : 3 * block);
    step(memory, 0, 1, 2 * block); // off by an odd number
    check(alignment == 1 ? 1 : 0, alignment == 1 ? 0 : 2 * block);
    step(memory, 0, 32 - block, block - 1); // less than a block
    check(0, block - 1);
    step(memory, 3, 3, 0);
    check(0, 0);
}

TEMPLATE_TEST_CASE("every skip-copy in 32 bytes", "[overlay][exhaustive]", arena_32, arena_32_top, arena_64, blocks_1,
    blocks_2, blocks_8, blocks_16, blocks_8_half, blocks_8_strict)
{
    CHECK(every_skip_copy<TestType>() == effort(some_skip_copies, skip_copies_in_32, skip_copies_in_32));
}

TEMPLATE_TEST_CASE("every set of skipped bytes in 12", "[overlay][exhaustive]",
    (arena<std::uint32_t, std::uint32_t, 12, 0>), (arena<std::uint32_t, std::uint32_t, 12, 0xffff'fff4>),
    (arena<std::uint64_t, std::uint32_t, 12, 0x100>), (block_arena<arena<std::uint32_t, std::uint32_t, 12, 0>, 1, 1>),
    (block_arena<arena<std::uint32_t, std::uint32_t, 12, 0xffff'fff4>, 4, 1>),
    (block_arena<arena<std::uint64_t, std::uint32_t, 12, 0x100>, 4, 2>))
{
    TestType memory;
    for (std::uint32_t spared = 0; spared < 1u << 12; spared += stride(13u)) {
        spare(memory, spared);
        for (std::uint32_t size = 0; size <= 12; ++size)
            for (std::uint32_t destination = 0; destination + size <= 12; ++destination) {
                bool right = true;
                for (std::uint32_t source = 0; source + size <= 12; ++source) {
                    step(memory, destination, source, size);
                    right &= moved(memory, destination, source, size, spared);
                }
                if (!right) {
                    CAPTURE(spared, size, destination);
                    FAIL("not what was asked for");
                }
            }
    }
}

TEST_CASE("skip ranges may touch, and lie anywhere", "[overlay]")
{
    arena_32 memory;
    for (const std::uint32_t source : {0u, 2u, 4u, 7u, 12u}) {
        CAPTURE(source);
        memory.skips = {skip_range{8, 9}, skip_range{10, 10}, skip_range{11, 14}};
        memory.skip_count = 3;
        step(memory, 4, source, 16);
        CHECK(moved(memory, 4, source, 16, bits(8, 7)));
        memory.skips = {skip_range{0, 3}, skip_range{20, 0xffff'ffff}};
        memory.skip_count = 2;
        step(memory, 4, source, 16);
        CHECK(moved(memory, 4, source, 16, 0));
        memory.skips = {skip_range{0, 0xffff'ffff}};
        memory.skip_count = 1;
        step(memory, 4, source, 16);
        CHECK(memory.accesses == 0);
    }
}

namespace {

/// A program with its steps, and memory around it: the image's at 0, then program, plan pages and trail.
template <class M> struct machine {
    static constexpr std::uint64_t image = 0x1000; // how much there is of it
    static constexpr std::uint64_t pages[] = {0x4000, 0x2000, 0x3000};
    static constexpr std::uint64_t program_at = 0x1000;
    static constexpr std::uint64_t trail_at = 0x5020;

    M memory{0x6000};
    overlay_program program{plan_page::no_page, overlay_program::no_trail, 0, {}};
    std::vector<overlay_step> steps;
    std::vector<std::uint8_t> wanted;

    machine()
    {
        for (std::uint64_t i = 0; i < image; ++i)
            wanted.push_back(static_cast<std::uint8_t>(i * 7 + (i >> 8)));
        memory.write(0_pa, std::as_bytes(std::span{wanted}));
        const breadcrumb crumb{1, 77, 88, 99, 111, 13, 17, 222, 333};
        store(memory, phys_addr::at(trail_at), crumb);
    }
    /// A step, and what it means to each byte.
    void add(std::uint64_t destination, std::uint64_t source, std::uint64_t size)
    {
        steps.push_back({destination, source, size});
        const auto before = wanted;
        for (std::uint64_t i = 0; i < size; ++i) {
            bool spared = false;
            for (std::uint64_t s = 0; s < program.skip_count; ++s)
                spared |= program.skips[s].first <= destination + i && destination + i <= program.skips[s].last;
            if (!spared)
                wanted[static_cast<std::size_t>(destination + i)] =
                    source == destination ? std::uint8_t{0} : before[static_cast<std::size_t>(source + i)];
        }
    }
    template <class Skips = overlay::skips_in_loop> breadcrumb run(std::size_t per_page)
    {
        program.first_page = put_steps(memory, steps, pages, per_page);
        store(memory, phys_addr::at(program_at), program);
        overlay::run<Skips>(memory, static_cast<M::address>(program_at));
        return load<breadcrumb>(memory, phys_addr::at(trail_at));
    }
    bool as_wanted() { return std::memcmp(memory.place(0, wanted.size()), wanted.data(), wanted.size()) == 0; }
};

} // namespace

TEMPLATE_TEST_CASE("a program runs through its chain of pages, around what it skips", "[overlay]",
    overlay_memory<std::uint32_t>, overlay_memory<std::uint64_t>, (overlay_memory<std::uint64_t, std::uint32_t>))
{
    const std::size_t per_page = GENERATE(2u, 3u, 5u, plan_page::capacity);
    machine<TestType> m;
    m.program.skip_count = 2;
    m.program.skips[0] = {0x110, 0x12f};
    m.program.skips[1] = {0x800, 0x803};
    m.add(0x100, 0x300, 0x80);  // around the first
    m.add(0x300, 0x301, 0x100); // down over itself
    m.add(0x7f0, 0x7e0, 0x41);  // up over itself, around the second
    m.add(0x900, 0x900, 0x33);  // a fill
    m.add(0x20, 0x100, 0x40);   // reads what a step before it wrote
    const breadcrumb crumb = m.run(per_page);
    CHECK(m.as_wanted());
    CHECK(crumb.stage == 1); // nobody asked for a trail
    const auto untold = load<overlay_program>(m.memory, phys_addr::at(machine<TestType>::program_at)).untold;
    CHECK(untold.stage == static_cast<std::uint32_t>(overlay_stage::copied));
    CHECK(untold.steps == 5);
    CHECK(m.memory.stored == 0x80 - 0x20 + 0x100 + 0x41 - 4 + 0x33 + 0x40);
}

TEMPLATE_TEST_CASE("the trail tells how far a program has come", "[overlay]", overlay_memory<std::uint32_t>,
    overlay_memory<std::uint64_t>)
{
    using note = TestType::note;
    machine<TestType> m;
    constexpr std::uint64_t trail = machine<TestType>::trail_at;
    m.program.trail = trail;
    for (std::uint64_t i = 0; i < 5; ++i)
        m.add(0x100 + i * 16, 0x800 + i * 16, 8);
    const breadcrumb crumb = m.run(2);
    CHECK(m.as_wanted());
    CHECK(crumb.stage == static_cast<std::uint32_t>(overlay_stage::copied));
    CHECK(crumb.ticks_per_ms == 77); // not the overlay's
    CHECK(crumb.steps == 5);
    CHECK((crumb.exception == 13 && crumb.error == 17 && crumb.at == 222 && crumb.touched == 333)); // the guard's
    CHECK(crumb.began == 10);
    CHECK(crumb.ended == 20);
    std::vector<note> wanted{{trail + 16, 10, 0}, {trail, 2, 0}, {trail + 8, 0, 0}};
    for (std::uint64_t step = 1; step <= 5; ++step) // each as soon as it is done
        wanted.push_back({trail + 8, step, 8 * step});
    wanted.push_back({trail + 24, 20, 40});
    wanted.push_back({trail, 3, 40});
    CHECK(m.memory.notes == wanted);
}

TEMPLATE_TEST_CASE(
    "a program without steps is run too", "[overlay]", overlay_memory<std::uint32_t>, overlay_memory<std::uint64_t>)
{
    machine<TestType> m;
    m.program.trail = machine<TestType>::trail_at;
    const breadcrumb crumb = m.run(1);
    CHECK(crumb.stage == static_cast<std::uint32_t>(overlay_stage::copied));
    CHECK(crumb.began == 10);
    CHECK(crumb.ended == 20);
    CHECK(m.memory.stored == 0);
}

TEST_CASE("a full page and the step after it", "[overlay]")
{
    machine<overlay_memory<std::uint64_t>> m;
    m.program.trail = m.trail_at;
    for (std::uint64_t i = 0; i < plan_page::capacity + 1; ++i)
        m.add(1 + i, i, 1); // a byte that wanders: the order matters
    CHECK(m.run(plan_page::capacity).steps == plan_page::capacity + 1);
    CHECK(m.as_wanted());
    CHECK(m.wanted[plan_page::capacity + 1] == m.wanted[0]);
}

TEMPLATE_TEST_CASE("a loop that knows no skips moves what it is told to, at every distance", "[overlay]",
    overlay_memory<std::uint32_t>, overlay_memory<std::uint64_t>)
{
    for (const std::uint64_t size : {1u, 7u, 8u, 9u, 40u})
        for (std::uint64_t distance = 0; distance <= 48; ++distance) {
            machine<TestType> m;
            m.add(0x100 + distance, 0x100, size);
            m.add(0x200, 0x200 + distance, size);
            m.add(0x300 + distance, 0x300 + distance, size);
            m.program.skip_count = 1;
            m.program.skips[0] = {0, ~0ull};
            m.template run<overlay::skips_in_plan>(2);
            CAPTURE(size, distance);
            REQUIRE(m.as_wanted());
        }
}

TEST_CASE("the last 32-bit address is a source like others", "[overlay]")
{
    constexpr std::uint64_t base = 0xffff'c000;
    overlay_memory<std::uint32_t> memory{0x4000, base};
    store(memory, phys_addr::at(0xffff'ffff), std::uint8_t{0x5a});
    const overlay_step steps[] = {{base + 0x3000, 0xffff'ffff, 1}, overlay_step::fill(0xffff'ffff, 1)};
    overlay_program program{plan_page::no_page, overlay_program::no_trail, 1, {}};
    program.skips[0] = {0xffff'fff0, 0xffff'fffe};
    const std::uint64_t pages[] = {base + 0x1000};
    program.first_page = put_steps(memory, steps, pages);
    store(memory, phys_addr::at(base), program);
    overlay::run(memory, static_cast<std::uint32_t>(base));
    CHECK(load<std::uint8_t>(memory, phys_addr::at(base + 0x3000)) == 0x5a);
    CHECK(load<std::uint8_t>(memory, phys_addr::at(0xffff'ffff)) == 0);
}
