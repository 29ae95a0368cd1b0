// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/survive/log.hpp>

#include <deque>
#include <random>
#include <set>
#include <string>

#include <tests/catch.hpp>
#include <tests/support/byte_memory.hpp>
#include <tests/support/effort.hpp>

using namespace lobos;
using namespace lobos::test;

namespace {

constexpr phys_addr place = 0x4000_pa;
constexpr std::uint32_t small_ring = 4096;
constexpr phys_range small_region = phys_range::of(place, 8_KiB);

/// Memory that is exactly one region, so that a read outside is an exception. It may lose power after some bytes.
struct region_memory {
    explicit region_memory(phys_range r = small_region) : range{r}, content(static_cast<std::size_t>(r.size().raw())) {}

    phys_range range;
    bytes content;
    std::size_t writes_left = ~std::size_t{0}; ///< whole writes until the power fails
    std::size_t bytes_left = ~std::size_t{0};
    std::size_t writes = 0;
    std::size_t bytes_written = 0;

    void read(phys_addr at, std::span<std::byte> out) const
    {
        const std::size_t from = offset(at, out.size());
        std::copy_n(content.begin() + static_cast<std::ptrdiff_t>(from), out.size(), out.begin());
    }
    void write(phys_addr at, std::span<const std::byte> in)
    {
        const std::size_t to = offset(at, in.size());
        ++writes;
        bytes_written += in.size();
        if (writes_left == 0)
            return;
        --writes_left;
        const std::size_t now = std::min(in.size(), bytes_left);
        std::copy_n(in.begin(), now, content.begin() + static_cast<std::ptrdiff_t>(to));
        bytes_left -= now;
    }

private:
    std::size_t offset(phys_addr at, std::size_t size) const
    {
        if (at < range.first() || (at - range.first()).raw() > content.size() ||
            size > content.size() - (at - range.first()).raw())
            throw std::out_of_range{"access outside the region"};
        return static_cast<std::size_t>((at - range.first()).raw());
    }
};
static_assert(physical_memory<region_memory>);

using log_type = surviving_log<region_memory>;
using lines = std::deque<std::string>;

log_type created(region_memory& memory)
{
    auto made = log_type::create(memory, memory.range);
    REQUIRE(fault_of(made) == no_fault);
    return *made;
}

/// What a log says, and whether it is all that it has.
struct reading {
    lines text;
    fault said = no_fault;
    friend bool operator==(const reading&, const reading&) = default;
};
template <class Log> reading read(const Log& log)
{
    reading r;
    r.said = fault_of(log.for_each([&](std::string_view s) { r.text.emplace_back(s); }));
    return r;
}
reading reopened(region_memory& memory)
{
    const auto log = log_type::open(memory, memory.range);
    return log ? read(*log) : reading{{}, log.error()};
}

/// The ring as a list: forgets the oldest lines when there is no room for another.
struct ring_model {
    std::size_t capacity = small_ring;
    lines text = {};

    static std::size_t size_of(const std::string& s) { return 8 + (s.size() + 7) / 8 * 8; }
    std::size_t used() const
    {
        std::size_t sum = 0;
        for (const std::string& s : text)
            sum += size_of(s);
        return sum;
    }
    void append(const std::string& s)
    {
        while (capacity - used() < size_of(s))
            text.pop_front();
        text.push_back(s);
    }
};

std::string random_line(std::mt19937& random, std::size_t longest = 240)
{
    std::string s(random() % (longest + 1), ' ');
    for (char& c : s)
        c = static_cast<char>(random() & 0xff);
    return s;
}

/// The header's fields where the format has them, and its checksums made good.
struct raw_log {
    region_memory& memory;
    std::uint64_t get(std::size_t offset, unsigned width = 4) const { return peek(memory.content, offset, width); }
    void put(std::size_t offset, std::uint64_t value, unsigned width = 4)
    {
        patch(memory.content, offset, width, value);
    }
    std::uint64_t sum(std::size_t offset, std::size_t size) const
    {
        return crc32c{}.update(std::span{memory.content}.subspan(offset, size)).value();
    }
    static constexpr std::size_t version = 8, capacity = 12, header_crc = 20, positions = 24;
    void seal_header() { put(header_crc, sum(0, header_crc)); }
    void position(std::size_t slot, std::uint64_t begin, std::uint64_t used, std::uint64_t serial)
    {
        const std::size_t at = positions + 16 * slot;
        put(at, begin);
        put(at + 4, used);
        put(at + 8, serial);
        put(at + 12, sum(at, 12));
    }
    /// The slot that counts.
    std::size_t newest() const
    {
        return static_cast<std::int32_t>(get(positions + 24) - get(positions + 8)) > 0 ? 1 : 0;
    }
};

fault corrupt(phys_addr at)
{
    return {fault_code::corrupt_log, stage::surviving, at.raw()};
}

} // namespace

TEST_CASE("a new log is empty, whatever was there", "[survive][log]")
{
    region_memory memory;
    std::fill(memory.content.begin(), memory.content.end(), std::byte{0xa5});
    const log_type log = created(memory);
    CHECK(read(log) == reading{});
    CHECK(reopened(memory) == reading{});
    CHECK(log.memory_range() == small_region);
    CHECK(log.trail() == place + 56_bytes);
    CHECK(load<breadcrumb>(memory, log.trail()).stage == 0);
    const raw_log raw{memory};
    CHECK(raw.get(0, 8) == 0x474f4c'534f424f4c); // "LOBOSLOG"
    CHECK(raw.get(raw_log::version) == 2);
    CHECK(raw.get(raw_log::capacity) == small_ring);
}

TEST_CASE("what was appended is read in order, by this kernel and the next", "[survive][log]")
{
    region_memory memory;
    log_type log = created(memory);
    const lines said{"one", "", "three", std::string("a\0b", 3), std::string(240, 'x')};
    for (const std::string& s : said)
        log.append(s);
    CHECK(read(log) == reading{said});
    CHECK(reopened(memory) == reading{said});
    auto next = log_type::open(memory, memory.range);
    REQUIRE(next);
    next->append("next");
    lines more = said;
    more.push_back("next");
    CHECK(reopened(memory) == reading{more});
}

TEST_CASE("text that is longer than a record becomes several", "[survive][log]")
{
    for (const std::size_t size : {239u, 240u, 241u, 479u, 480u, 481u, 1000u}) {
        region_memory memory;
        log_type log = created(memory);
        std::string text;
        for (std::size_t i = 0; i < size; ++i)
            text += static_cast<char>('a' + i % 26);
        log.append(text);
        lines expected;
        for (std::size_t i = 0; i < size; i += 240)
            expected.push_back(text.substr(i, 240));
        CAPTURE(size);
        CHECK(reopened(memory) == reading{expected});
    }
}

TEST_CASE("the ring wraps at every offset, and forgets the oldest", "[survive][log]")
{
    // The smallest ring, one that records fill just so, and one that is no power of two.
    for (const std::uint64_t size : {8192u, 8192u + 8, 3 * 4096u + 4000}) {
        region_memory memory{phys_range::of(place, byte_count::of(size))};
        log_type log = created(memory);
        ring_model model{static_cast<std::size_t>(size - 4096)};
        std::mt19937 random{static_cast<std::uint32_t>(size)};
        std::set<std::uint64_t> ends;
        for (int i = 0; i < 20000; ++i) {
            const std::string s = random_line(random, i % 3 == 0 ? 240 : 40);
            log.append(s);
            model.append(s);
            const raw_log raw{memory};
            const std::size_t at = raw_log::positions + 16 * raw.newest();
            ends.insert((raw.get(at) + raw.get(at + 4)) % model.capacity);
            if (i % 16 == 0 || i < 200) {
                const reading now = i % 2 == 0 ? read(log) : reopened(memory);
                if (now != reading{model.text})
                    FAIL("differs after " << i << " appends");
            }
        }
        CHECK(reopened(memory) == reading{model.text});
        CHECK(ends.size() == model.capacity / 8);
    }
}

TEST_CASE("every record length wraps at every offset of the ring's end", "[survive][log]")
{
    for (std::size_t length = 0; length <= 240; length += length < 20 ? 1 : 11)
        for (std::uint32_t before = 8; before <= 256; before += 8) {
            region_memory memory;
            created(memory);
            raw_log{memory}.position(0, small_ring - before, 0, 2);
            auto log = log_type::open(memory, memory.range);
            REQUIRE(log);
            const std::string text(length, 'y');
            log->append(text);
            log->append("z");
            if (reopened(memory) != reading{{text, "z"}})
                FAIL("length " << length << ", " << before << " before the end");
        }
}

TEST_CASE("every flipped bit is harmless or reported", "[survive][log]")
{
    region_memory memory;
    log_type log = created(memory);
    std::mt19937 random{7};
    ring_model model;
    lines before;
    for (int i = 0; i < 150; ++i) {
        const std::string s = random_line(random);
        before = model.text;
        log.append(s);
        model.append(s);
    }
    REQUIRE(reopened(memory) == reading{model.text});
    const std::size_t newest = raw_log{memory}.newest();
    // What there was when room had been made for the last record, and the record was not there.
    while (before.size() + 1 > model.text.size())
        before.pop_front();
    REQUIRE(lines(model.text.begin(), model.text.end() - 1) == before);

    // Each bit of size, checksum and text is reported; padding, free space and the header's page are harmless.
    std::vector<bool> told(memory.content.size());
    const raw_log raw{memory};
    std::size_t record = static_cast<std::size_t>(raw.get(raw_log::positions + 16 * newest));
    for (const std::string& s : model.text) {
        for (std::size_t i = 0; i < 8 + s.size(); ++i)
            told[4096 + (record + i) % small_ring] = true;
        record += (8 + s.size() + 7) / 8 * 8;
    }

    const auto step = stride<std::size_t>(13);
    for (std::size_t bit = 0; bit < memory.content.size() * 8; bit += step) {
        const auto mask = static_cast<std::byte>(1u << bit % 8);
        memory.content[bit / 8] ^= mask;
        const reading now = reopened(memory);
        memory.content[bit / 8] ^= mask;
        const std::size_t at = bit / 8;
        CAPTURE(bit);
        if (at < 8) {
            REQUIRE(now == reading{{}, {fault_code::no_log, stage::surviving, place.raw()}});
        } else if (at < 24) {
            REQUIRE(now == reading{{}, corrupt(place)});
        } else if (at < 56) {
            // A position that is lost cannot be told from one that was never written: at most one record goes with it.
            const bool counts = (at - 24) / 16 == newest;
            REQUIRE(now == reading{counts ? before : model.text});
        } else if (told[at]) {
            REQUIRE(now.said.code == fault_code::corrupt_log);
            REQUIRE(std::equal(now.text.begin(), now.text.end(), model.text.begin()));
            REQUIRE(now.text.size() < model.text.size());
        } else {
            REQUIRE(now == reading{model.text});
        }
    }
}

TEST_CASE("a log goes on after a record was damaged", "[survive][log]")
{
    region_memory memory;
    log_type log = created(memory);
    std::mt19937 random{9};
    for (int i = 0; i < 60; ++i)
        log.append(random_line(random));
    const raw_log raw{memory};
    const auto oldest = static_cast<std::size_t>(raw.get(raw_log::positions + 16 * raw.newest()));
    memory.content[4096 + oldest] ^= std::byte{1};
    CHECK(reopened(memory).said == corrupt(place + byte_count::of(4096 + oldest)));
    // When room is needed the record that cannot be read takes the others with it, and all is well again.
    auto next = log_type::open(memory, memory.range);
    REQUIRE(next);
    next->append(std::string(240, 'n'));
    CHECK(reopened(memory) == reading{{std::string(240, 'n')}});
    ring_model model{small_ring, {std::string(240, 'n')}};
    for (int i = 0; i < 40; ++i) {
        const std::string s = random_line(random);
        next->append(s);
        model.append(s);
    }
    const reading now = reopened(memory);
    CHECK(now.said == no_fault);
    CHECK(now.text == model.text);
}

TEST_CASE("a power cut between two writes, or within one, loses at most the record in the making", "[survive][log]")
{
    std::mt19937 random{11};
    std::size_t cuts = 0;
    for (int round = 0; round < 120; round += stride(8)) {
        region_memory memory;
        ring_model model;
        log_type log = created(memory);
        for (int i = 0; i < 20 + round; ++i) {
            const std::string s = random_line(random);
            log.append(s);
            model.append(s);
        }
        const std::string last = random_line(random);
        ring_model after = model;
        after.append(last);
        lines room = after.text; // after the oldest were forgotten
        room.pop_back();
        const auto survives = [&](auto limit) {
            region_memory cut = memory;
            auto torn = log_type::open(cut, cut.range);
            REQUIRE(torn);
            limit(cut);
            torn->append(last);
            cut.writes_left = cut.bytes_left = ~std::size_t{0};
            const reading now = reopened(cut);
            REQUIRE(now.said == no_fault);
            const bool known = now.text == model.text || now.text == room || now.text == after.text;
            REQUIRE(known);
            ++cuts;

            // And the next kernel can go on.
            auto next = log_type::open(cut, cut.range);
            REQUIRE(next);
            ring_model goes_on{small_ring, now.text};
            next->append("next");
            goes_on.append("next");
            REQUIRE(reopened(cut) == reading{goes_on.text});
            return now.text == after.text;
        };
        region_memory whole = memory;
        auto counted = log_type::open(whole, whole.range);
        REQUIRE(counted);
        whole.writes = whole.bytes_written = 0;
        counted->append(last);
        for (std::size_t k = 0; k <= whole.writes; ++k)
            REQUIRE(survives([k](region_memory& m) { m.writes_left = k; }) == (k == whole.writes));
        for (std::size_t k = 0; k < whole.bytes_written; ++k)
            survives([k](region_memory& m) { m.bytes_left = k; });
    }
    CHECK(cuts > 10000 / stride<std::size_t>(8));
}

TEST_CASE("a region that is too small, or starts off a page, holds no log", "[survive][log]")
{
    const auto made = [](std::uint64_t first, std::uint64_t size) {
        region_memory memory{phys_range::of(phys_addr::at(first), byte_count::of(size))};
        return fault_of(log_type::create(memory, memory.range));
    };
    const fault no_space{fault_code::no_space, stage::surviving, 8192};
    CHECK(made(0x4000, 8191) == no_space);
    CHECK(made(0x4000, 1) == no_space);
    CHECK(made(0x4800, 0x10000) == no_space);
    CHECK(made(0x4001, 0x10000) == no_space);
    CHECK(made(0x4000, 8192) == no_fault);
    CHECK(made(0x4000, 8193) == no_fault);

    const auto found = [](std::uint64_t first, std::uint64_t size) {
        region_memory memory{phys_range::of(phys_addr::at(first), byte_count::of(size))};
        return fault_of(log_type::open(memory, memory.range));
    };
    CHECK(found(0x4000, 8191) == fault{fault_code::no_log, stage::surviving, 0x4000});
    CHECK(found(0x4800, 8192) == fault{fault_code::no_log, stage::surviving, 0x4800});
}

TEST_CASE("a ring has a multiple of 8 bytes, whatever the region has", "[survive][log]")
{
    for (std::uint64_t size = 8192; size < 8192 + 17; ++size) {
        region_memory memory{phys_range::of(place, byte_count::of(size))};
        const log_type log = created(memory);
        CHECK(log.memory_range() == phys_range::of(place, byte_count::of(size & ~std::uint64_t{7})));
    }
}

TEST_CASE("a forged header is not believed, even if its checksum is right", "[survive][log]")
{
    region_memory memory;
    log_type log = created(memory);
    log.append("text");
    const region_memory good = memory;
    const auto with = [&](std::size_t offset, std::uint64_t value) {
        region_memory forged = good;
        raw_log raw{forged};
        raw.put(offset, value);
        raw.seal_header();
        return reopened(forged);
    };
    CHECK(with(raw_log::capacity, small_ring) == reading{{"text"}});
    CHECK(with(raw_log::capacity, 248) == reading{{"text"}});
    for (const std::uint64_t capacity :
        {0ull, 8ull, 240ull, 4095ull, 4092ull, 4104ull, 8192ull, 0x8000'0000ull, 0xffff'fff8ull, 0xffff'ffffull}) {
        CAPTURE(capacity);
        CHECK(with(raw_log::capacity, capacity) == reading{{}, corrupt(place)});
    }
    for (const std::uint64_t version : {0ull, 1ull, 3ull, 0xffff'ffffull})
        CHECK(with(raw_log::version, version) == reading{{}, corrupt(place)});
    CHECK(with(0, 0) == reading{{}, {fault_code::no_log, stage::surviving, place.raw()}});

    // The same log in a region that has become smaller.
    region_memory larger{phys_range::of(place, 12_KiB)};
    created(larger);
    region_memory cut;
    std::copy_n(larger.content.begin(), cut.content.size(), cut.content.begin());
    CHECK(reopened(cut) == reading{{}, corrupt(place)});
}

TEST_CASE("a forged position leads to no read outside and no text that is not there", "[survive][log]")
{
    region_memory memory;
    log_type log = created(memory);
    std::mt19937 random{13};
    ring_model model;
    for (int i = 0; i < 100; ++i) {
        const std::string s = random_line(random);
        log.append(s);
        model.append(s);
    }
    const region_memory good = memory;
    const auto at_positions = corrupt(place + 24_bytes);
    const std::uint64_t interesting[] = {
        0, 4, 8, 240, 248, 4088, 4092, 4095, 4096, 4104, 0x7fff'fff8, 0x8000'0000, 0xffff'fff8, 0xffff'ffff};
    for (const std::uint64_t begin : interesting)
        for (const std::uint64_t used : interesting) {
            region_memory forged = good;
            raw_log raw{forged};
            raw.position(0, begin, used, 1);
            raw.position(1, begin, used, 1);
            CAPTURE(begin, used);
            const reading now = reopened(forged);
            if (begin >= small_ring || used > small_ring || begin % 8 != 0 || used % 8 != 0)
                CHECK(now == reading{{}, at_positions});
            else
                for (const std::string& s : now.text)
                    CHECK(std::ranges::find(model.text, s) != model.text.end());
            if (auto next = log_type::open(forged, forged.range))
                for (int i = 0; i < 50; ++i)
                    next->append(random_line(random));
        }
}

TEST_CASE("a forged record leads to no read outside", "[survive][log]")
{
    for (const std::uint64_t size :
        {0ull, 1ull, 240ull, 241ull, 248ull, 4096ull, 0x7fff'ffffull, 0xffff'fff8ull, 0xffff'ffffull})
        for (const std::size_t begin : {0u, 8u, 4000u, 4088u}) {
            region_memory memory;
            created(memory);
            raw_log raw{memory};
            raw.position(0, begin, 248, 2);
            raw.put(4096 + begin, size);
            const reading now = reopened(memory);
            CAPTURE(size, begin);
            CHECK(now.text.empty());
            CHECK(now.said == corrupt(place + byte_count::of(4096 + begin)));
            // Longer than what is in use, with a good checksum.
            region_memory overlong;
            created(overlong);
            log_type log = *log_type::open(overlong, overlong.range);
            log.append(std::string(240, 'x'));
            raw_log{overlong}.position(1, 0, 240, 9);
            CHECK(reopened(overlong) == reading{{}, corrupt(place + 4_KiB)});
        }
}

TEST_CASE("the serial number may wrap, in both slots", "[survive][log]")
{
    for (const std::uint64_t first :
        {0xffff'fffcull, 0xffff'fffdull, 0xffff'fffeull, 0xffff'ffffull, 0x7fff'fffeull, 0x7fff'ffffull}) {
        region_memory memory;
        created(memory);
        raw_log raw{memory};
        raw.position(first & 1, 0, 0, first);
        raw.position(~first & 1, 0, 0, first - 1);
        lines expected;
        for (int i = 0; i < 8; ++i) {
            auto log = log_type::open(memory, memory.range);
            REQUIRE(log);
            const std::string s = "line " + std::to_string(i);
            log->append(s);
            expected.push_back(s);
            CAPTURE(first, i);
            CHECK(reopened(memory) == reading{expected});
        }
    }
}

TEST_CASE("the map's surviving regions are searched for a log, and no others", "[survive][log]")
{
    region_memory memory{phys_range::of(0x1000_pa, 64_KiB)};
    const auto in = [](std::uint64_t first) { return phys_range::of(phys_addr::at(first), 8_KiB); };
    const auto make = [&](std::uint64_t first, std::string_view text) {
        auto log = log_type::create(memory, in(first));
        REQUIRE(log);
        log->append(text);
    };
    const auto find = [&](std::initializer_list<region> regions) {
        const memory_map map{regions};
        const auto log = log_type::find(memory, map.map);
        return log ? read(*log) : reading{{}, log.error()};
    };
    const fault none{fault_code::no_log, stage::surviving, 0};
    make(0x4000, "first");
    make(0x8000, "second");
    CHECK(find({}) == reading{{}, none});
    CHECK(find({{in(0x4000), region_kind::usable}, {in(0x8000), region_kind::safe}}) == reading{{}, none});
    CHECK(find({{in(0x4000), region_kind::reserved}, {in(0x8000), region_kind::surviving}}) == reading{{"second"}});
    CHECK(find({{in(0x4000), region_kind::surviving}, {in(0x8000), region_kind::surviving}}) == reading{{"first"}});
    // Surviving regions without a log, too small for one, or off a page, are passed over.
    CHECK(find({{in(0x1000), region_kind::surviving}, {phys_range::of(0x3800_pa, 100_bytes), region_kind::surviving},
              {in(0x8000), region_kind::surviving}}) == reading{{"second"}});
    CHECK(find({{in(0x1000), region_kind::surviving}}) == reading{{}, none});
    // One that was a log and is damaged is not passed over in silence.
    memory.content[0x4000 - 0x1000 + 12] ^= std::byte{1};
    CHECK(find({{in(0x4000), region_kind::surviving}, {in(0x8000), region_kind::surviving}}) ==
        reading{{}, corrupt(0x4000_pa)});
}

TEST_CASE("the overlay's trail does not disturb the log", "[survive][log]")
{
    region_memory memory;
    log_type log = created(memory);
    log.append("text");
    const breadcrumb crumb{~0u, ~0u, ~0ull, ~0ull, ~0ull, ~0u, ~0u, ~0ull, ~0ull};
    store(memory, log.trail(), crumb);
    CHECK(reopened(memory) == reading{{"text"}});
    log.append("more");
    CHECK(load<breadcrumb>(memory, log.trail()).ended == ~0ull);
    CHECK(reopened(memory) == reading{{"text", "more"}});
}

TEST_CASE("a surviving region may be all of memory", "[survive][log]")
{
    const auto all = phys_range::between(0_pa, phys_addr::at(~0ull));
    region_memory memory{phys_range::of(0_pa, 8_KiB)};
    log_type log = created(memory);
    log.append("here");
    const memory_map map{{all, region_kind::surviving}};
    const auto found = log_type::find(memory, map.map);
    REQUIRE(found);
    CHECK(found->memory_range() == memory.range);
    CHECK(read(*found) == reading{{"here"}});
    const auto made = log_type::create(memory, all);
    REQUIRE(made);
    CHECK(made->memory_range() == phys_range::of(0_pa, 1_GiB + 4_KiB));
}

TEST_CASE("a ring so long that offsets in it would wrap is refused", "[survive][log]")
{
    region_memory memory;
    created(memory);
    const auto region = phys_range::of(place, 8_GiB);
    for (const std::uint64_t capacity : {1ull << 30, (1ull << 30) + 8, 0xffff'fff8ull}) {
        raw_log raw{memory};
        raw.put(raw_log::capacity, capacity);
        raw.seal_header();
        const auto log = log_type::open(memory, region);
        CHECK(fault_of(log) == (capacity == 1u << 30 ? no_fault : corrupt(place)));
    }
}
