// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// surviving_log over memory that an unknown kernel left: any header, any ring, with checksums that are right where the
// input says so, for whoever forges a log can compute them. The log that is found lies inside its region; what it tells
// is what a second reading finds; what is appended can be read, by the next kernel too. Nothing outside is touched.

#include <array>
#include <cstring>
#include <map>
#include <string>

#include <lobos/survive/log.hpp>

#include <tests/fuzz/fuzz.hpp>

using namespace lobos;
using namespace lobos::fuzz;

namespace {

// Memory that is zero until it is written. The log may read what is `allowed`, and write what is `writable`.
class sparse {
public:
    void read(phys_addr at, std::span<std::byte> out)
    {
        must(out.empty() || within(allowed, at, out.size()), "a read outside of the surviving regions");
        peek(at.raw(), out);
    }
    void write(phys_addr at, std::span<const std::byte> in)
    {
        must(in.empty() || within(writable, at, in.size()), "a write elsewhere than to the ring and the positions");
        poke(at.raw(), in);
    }
    void peek(std::uint64_t at, std::span<std::byte> out)
    {
        for (std::size_t i = 0; i < out.size(); ++i)
            out[i] = page_of(at + i)[(at + i) % 4096];
    }
    void poke(std::uint64_t at, std::span<const std::byte> in)
    {
        for (std::size_t i = 0; i < in.size(); ++i)
            page_of(at + i)[(at + i) % 4096] = in[i];
    }

    std::vector<phys_range> allowed, writable;

private:
    using page = std::array<std::byte, 4096>;
    page& page_of(std::uint64_t at)
    {
        if (!last_ || last_at_ != at / 4096) {
            last_ = &pages_[at / 4096];
            last_at_ = at / 4096;
        }
        return *last_;
    }
    static bool within(const std::vector<phys_range>& ranges, phys_addr at, std::size_t size)
    {
        const auto range = phys_range::checked(at, byte_count::of(size));
        return range && std::ranges::any_of(ranges, [&](phys_range r) { return r.contains(*range); });
    }
    std::map<std::uint64_t, page> pages_;
    page* last_ = nullptr;
    std::uint64_t last_at_ = 0;
};

// Byte by byte, the table made bit by bit [rfc/3720 appendix B.4].
std::uint32_t simple_crc(std::span<const std::byte> bytes)
{
    static const std::vector<std::uint32_t> table = [] {
        std::vector<std::uint32_t> t;
        for (std::uint32_t n = 0; n < 256; ++n) {
            std::uint32_t crc = n;
            for (int i = 0; i < 8; ++i)
                crc = crc >> 1 ^ ((crc & 1) != 0 ? 0x82f6'3b78u : 0u);
            t.push_back(crc);
        }
        return t;
    }();
    std::uint32_t crc = 0xffff'ffff;
    for (const std::byte b : bytes)
        crc = crc >> 8 ^ table[(crc ^ std::to_integer<std::uint32_t>(b)) & 0xff];
    return ~crc;
}

struct position {
    std::uint32_t begin, used, serial;
};

struct forgery {
    sparse& memory;
    std::uint64_t at;
    std::uint64_t ring() const { return at + 4096; }

    void put(std::uint64_t where, std::span<const std::byte> what) const { memory.poke(where, what); }
    void put_word(std::uint64_t where, std::uint64_t value) const
    {
        const auto word = static_cast<std::uint32_t>(value);
        put(where, std::as_bytes(std::span{&word, 1}));
    }
    bytes get(std::uint64_t where, std::size_t size) const
    {
        bytes out(size);
        memory.peek(where, out);
        return out;
    }
    std::uint32_t word(std::uint64_t where) const
    {
        std::uint32_t value = 0;
        std::memcpy(&value, get(where, 4).data(), 4);
        return value;
    }

    // A header from the input; most bits of `shape` leave something wrong.
    void make(input& in, std::uint8_t shape, std::uint64_t room) const
    {
        const char magic[] = {'L', 'O', 'B', 'O', 'S', 'L', 'O', 'G'};
        put(at, std::as_bytes(std::span{magic}));
        put_word(at + 8, 2); // the version
        put_word(at + 12, (shape & 1) != 0 ? in.number(4) : room & 0xffff'fff8);
        put_word(at + 16, 0);
        if ((shape & 2) != 0) // anything may be wrong
            put_word(at + in.below(20), in.number(4));
        put_word(at + 20, (shape & 4) != 0 ? in.number(4) : simple_crc(get(at, 20)));
        const std::uint32_t capacity = word(at + 12);
        for (const std::uint64_t slot : {at + 24, at + 40}) {
            for (std::uint64_t i = 0; i < 3; ++i)
                put_word(slot + 4 * i, i == 2 || (shape & 8) != 0 ? in.address() : in.number(2) << 3);
            put_word(slot + 12, (shape & 16) != 0 ? in.number(4) : simple_crc(get(slot, 12)));
        }
        // Records, from where the first position begins, around the end of the ring.
        std::uint64_t offset = word(at + 24 + (shape >> 5 & 1) * 16u);
        const bool possible = capacity >= 8 && ring() <= ~(std::uint64_t{capacity} + 8);
        for (int i = 0; i < 64 && !in.empty() && possible; ++i) {
            const std::uint8_t what = in.byte();
            std::uint32_t size = in.byte();
            const auto text = copy_of(in.take(what >= 0xc0 ? size % 16 : size));
            size = what == 0xff ? static_cast<std::uint32_t>(in.number(4)) : static_cast<std::uint32_t>(text.size());
            bytes record(8);
            std::memcpy(record.data(), &size, 4);
            record.insert(record.end(), text.begin(), text.end());
            bytes summed(record.begin(), record.begin() + 4);
            summed.insert(summed.end(), text.begin(), text.end());
            const std::uint32_t crc = what == 0xfe ? static_cast<std::uint32_t>(in.number(4)) : simple_crc(summed);
            std::memcpy(record.data() + 4, &crc, 4);
            record.resize((record.size() + 7) / 8 * 8);
            for (std::size_t k = 0; k < record.size(); k += 8)
                put(ring() + (offset + k) % capacity, std::span{record}.subspan(k, 8));
            offset = (offset + record.size()) % capacity;
        }
    }

    // What a log at `at` in `room` bytes of ring says, by a second reading.
    struct told {
        bool sound = false;
        std::uint32_t capacity = 0;
        position where = {};
        std::vector<std::string> records = {};
        bool whole = false; // all records could be read
    };
    told read(wide room) const
    {
        told t;
        t.capacity = word(at + 12);
        if (word(at + 8) != 2 || word(at + 20) != simple_crc(get(at, 20)) || t.capacity % 8 != 0 || t.capacity < 248 ||
            t.capacity > room || t.capacity > 1u << 30)
            return t;
        for (const std::uint64_t slot : {at + 24, at + 40}) {
            const position p{word(slot), word(slot + 4), word(slot + 8)};
            const bool valid = word(slot + 12) == simple_crc(get(slot, 12)) && p.begin < t.capacity &&
                p.begin % 8 == 0 && p.used <= t.capacity && p.used % 8 == 0;
            const std::uint64_t ahead =
                (std::uint64_t{p.serial} + (std::uint64_t{1} << 32) - t.where.serial) % (std::uint64_t{1} << 32);
            if (valid && (!t.sound || (ahead != 0 && ahead < 1u << 31)))
                t.where = p, t.sound = true;
        }
        if (!t.sound)
            return t;
        std::uint32_t left = t.where.used;
        for (std::uint64_t offset = t.where.begin; left != 0;) {
            const std::uint32_t size = word_in_ring(t, offset);
            if (size > 240 || (size + 15) / 8 * 8 > left)
                return t;
            bytes summed = bytes_in_ring(t, offset, 4);
            const bytes text = bytes_in_ring(t, offset + 8, size);
            summed.insert(summed.end(), text.begin(), text.end());
            if (word_in_ring(t, offset + 4) != simple_crc(summed))
                return t;
            t.records.emplace_back(text_of(text));
            offset += (size + 15) / 8 * 8;
            left -= (size + 15) / 8 * 8;
        }
        t.whole = true;
        return t;
    }
    bytes bytes_in_ring(const told& t, std::uint64_t offset, std::size_t n) const
    {
        bytes out(n);
        for (std::size_t i = 0; i < n; ++i)
            memory.peek(ring() + (offset + i) % t.capacity, {&out[i], 1});
        return out;
    }
    std::uint32_t word_in_ring(const told& t, std::uint64_t offset) const
    {
        std::uint32_t value = 0;
        std::memcpy(&value, bytes_in_ring(t, offset, 4).data(), 4);
        return value;
    }
};

template <class Log> std::pair<std::vector<std::string>, result<void>> records_of(const Log& log)
{
    std::vector<std::string> records;
    const auto visited = log.for_each([&](std::string_view text) { records.emplace_back(text); });
    return {records, visited};
}

void append_and_read(surviving_log<sparse>& log, forgery f, wide room, std::string_view text, const region_map& map)
{
    const auto before = f.read(room);
    f.memory.writable = {phys_range::of(phys_addr::at(f.at + 24), byte_count::of(32)),
        phys_range::of(phys_addr::at(f.ring()), byte_count::of(before.capacity))};
    log.append(text);
    f.memory.writable.clear();
    const auto after = f.read(room);
    must(after.sound, "after an append there is no log");
    must(after.capacity == before.capacity, "an append changes the capacity");
    must(before.where.serial != after.where.serial, "an append leaves the position as it was");
    // Two forged positions may be half the way round apart, and then one step makes the other one the later.
    const std::uint64_t round = std::uint64_t{1} << 32;
    if ((round + after.where.serial - before.where.serial) % round > 0xffff)
        return;
    std::vector<std::string> wanted = before.records;
    for (std::size_t i = 0; i == 0 || i < text.size(); i += 240)
        wanted.emplace_back(text.substr(i, 240));
    if (before.whole) {
        must(after.whole, "an append to a sound log leaves one that is not");
        must(after.records.size() <= wanted.size() && !after.records.empty() &&
                std::equal(after.records.rbegin(), after.records.rend(), wanted.rbegin()),
            "the log is not its last records and the new one");
        std::size_t size = 0; // nothing is forgotten that had room
        for (const std::string& r : after.records)
            size += (r.size() + 15) / 8 * 8;
        if (after.records.size() < wanted.size())
            must(size + (wanted[wanted.size() - after.records.size() - 1].size() + 15) / 8 * 8 > after.capacity,
                "a record was forgotten that had room");
    } else {
        // What could be read stays readable, until it is forgotten. What a forged last record says may depend on what
        // is written behind it.
        const bool stays = after.records.size() >= before.records.size() &&
            std::equal(before.records.begin(), before.records.end(), after.records.begin());
        std::size_t added = 0;
        for (std::size_t i = before.records.size(); i < wanted.size(); ++i)
            added += (wanted[i].size() + 15) / 8 * 8;
        must(stays || before.where.used + added > before.capacity, "an append to a damaged log makes it worse");
    }
    const auto [told, visited] = records_of(log);
    must(told == after.records && visited.has_value() == after.whole, "for_each tells something else");
    const auto again = surviving_log<sparse>::find(f.memory, map);
    must(again.has_value() && again->memory_range() == log.memory_range(), "the next kernel does not find it");
    must(records_of(*again).first == told, "the next kernel reads something else");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    input in{data, size};
    sparse memory;
    region storage[8];
    region_map map{storage};
    for (std::uint32_t i = in.below(4); i != 0; --i) {
        const auto kind = in.below(4) == 0 ? region_kind::usable : region_kind::surviving;
        phys_range range = in.range();
        if (kind == region_kind::surviving && in.below(4) != 0) // mostly on a page
            range = widen(range, byte_count::of(4096));
        must(map.add(range, kind).has_value(), "three regions have room");
    }
    const std::uint32_t chosen = in.below(4);
    std::uint32_t i = 0;
    for (const region& r : map.regions()) {
        if (r.kind != region_kind::surviving)
            continue;
        memory.allowed.push_back(r.range);
        const std::uint64_t all_but_one = r.range.last().raw() - r.range.first().raw();
        if (all_but_one >= 8191 && (i++ == chosen || in.below(2) == 0))
            forgery{memory, r.range.first().raw()}.make(in, in.byte(), all_but_one - 4095);
    }

    // By a second reading: the first region with a magic number decides.
    const auto found = surviving_log<sparse>::find(memory, map);
    std::optional<phys_range> wanted;
    for (const region& r : map.regions()) {
        const std::uint64_t at = r.range.first().raw();
        const bool room = r.range.last().raw() - at >= 8191;
        if (r.kind == region_kind::surviving && !wanted && at % 4096 == 0 && room &&
            text_of(forgery{memory, at}.get(at, 8)) == "LOBOSLOG")
            wanted = r.range;
    }
    if (!wanted) {
        must(!found && found.error() == fault{fault_code::no_log, stage::surviving, 0}, "a log where there is none");
        return 0;
    }
    const forgery f{memory, wanted->first().raw()};
    const wide room = wide{wanted->last().raw()} + 1 - f.at - 4096;
    const auto told = f.read(room);
    must(found.has_value() == told.sound, "accepted, though it is no log, or the other way round");
    if (!found) {
        must(found.error().code == fault_code::corrupt_log && wanted->contains(phys_addr::at(found.error().at)),
            "another fault");
        return 0;
    }
    const phys_range range = found->memory_range();
    must(range.first() == wanted->first() && wanted->contains(range), "a log outside of its region");
    must(wanted->contains(phys_range::of(found->trail(), byte_count::of(32))), "a trail outside of the region");
    must(found->trail().raw() == f.at + 56, "the trail is elsewhere");
    const auto [records, visited] = records_of(*found);
    must(records == told.records && visited.has_value() == told.whole, "for_each tells something else");
    must(visited ||
            (visited.error().code == fault_code::corrupt_log && range.contains(phys_addr::at(visited.error().at))),
        "another fault");

    auto log = *found;
    for (int k = 0; k < 6; ++k) {
        const std::size_t n = in.byte() * (in.below(8) == 0 ? 4u : 1u);
        std::string text{text_of(in.take(n))};
        text.resize(n, 'x');
        append_and_read(log, f, room, text, map);
        if (in.empty())
            break;
    }
    return 0;
}
