// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// A HWRPB with any numbers in it, sums that are right where the input says so, and what is made of it: the region map,
// against a second reading; what the console wants in tables; and a copy, which has to say the same of memory, and is
// copied again. Nothing is read but what the reader says it reaches. Input: where the block lies and whether it is
// summed, then quadwords and where they go.

#include <cstring>

#include <lobos/alpha/hwrpb_copy.hpp>

#include <tests/fuzz/naive_map.hpp>

using namespace lobos;
using namespace lobos::fuzz;

namespace {

constexpr std::uint64_t reach = 0x10'0000;
constexpr std::size_t room = 0x2'0000; // for a copy

/// Of the block itself; zeros follow.
constexpr std::size_t kept = 4096;
constexpr std::uint64_t dec = 0x42'5052'5748, qemu = 0x4857'5250'4200'0000; // who writes which identifier

/// The block at `at`: so many bytes, and zeros.
class window {
public:
    explicit window(std::uint64_t at, bytes block = bytes(kept)) : at_{at}, block_{std::move(block)} {}

    void read(phys_addr from, std::span<std::byte> out) const
    {
        must(from.raw() >= at_ && wide{from.raw()} + out.size() <= wide{at_} + reach, "a read out of reach");
        peek(from.raw() - at_, out);
    }
    void write(phys_addr, std::span<const std::byte>) { violated("a reader writes"); }

    void peek(std::uint64_t offset, std::span<std::byte> out) const
    {
        for (std::size_t i = 0; i < out.size(); ++i)
            out[i] = offset + i < block_.size() ? block_[offset + i] : std::byte{0};
    }
    std::uint64_t word(std::uint64_t offset) const
    {
        std::uint64_t value = 0;
        peek(offset, std::as_writable_bytes(std::span{&value, 1}));
        return value;
    }
    void put(std::uint64_t offset, std::uint64_t value) { std::memcpy(&block_[offset], &value, 8); }

    /// Modulo 2^64, in which a sum is meant to be.
    std::uint64_t sum(std::uint64_t from, std::uint64_t to) const
    {
        wide total = 0;
        for (; from < to; from += 8)
            total += word(from);
        return static_cast<std::uint64_t>(total);
    }

private:
    std::uint64_t at_;
    bytes block_;
};

void fill(input& in, window& w, std::uint64_t at, std::uint8_t shape)
{
    w.put(0, at);
    w.put(8, (shape & 8) != 0 ? dec : qemu);
    w.put(40, 8192);
    w.put(144, in.below(4));
    w.put(152, 168 + 8 * in.below(64));
    w.put(160, 320);
    w.put(200, (shape & 16) != 0 ? 3072 : 1600);
    w.put(w.word(200) + 16, in.below(6));
    w.put(24, 320);
    w.put(192, (shape & 32) != 0 ? 0 : 2600);
    w.put(2600 + 32, in.below(4));
    while (!in.empty()) {
        const std::uint64_t offset = in.number(2) % (kept / 8) * 8;
        w.put(offset, in.address());
    }
    const std::uint64_t table = w.word(200),
                        clusters = w.word(200) <= kept - 24 && table % 8 == 0 ? w.word(table + 16) : 0;
    if ((shape & 2) == 0 && table >= 320 && clusters != 0 && clusters < 64)
        w.put(table, w.sum(table + 8, table + 24 + 56 * clusters));
    if ((shape & 1) == 0)
        w.put(288, w.sum(0, 288));
}

bool is_part(std::uint64_t offset, wide size)
{
    return offset >= 320 && offset % 8 == 0 && wide{offset} + size <= reach;
}

/// What is wrong with the block itself.
std::optional<fault_code> opening(const window& w, std::uint64_t at)
{
    if (w.word(8) != dec && w.word(8) != qemu)
        return fault_code::unknown_format;
    if (w.word(0) != at || w.word(288) != w.sum(0, 288))
        return fault_code::bad_header;
    if (w.word(40) != 8192)
        return fault_code::unsupported;
    return std::nullopt;
}

/// Adds a piece of memory to what should be known; false when it wraps.
bool add(naive_map& known, wide first, wide size, region_kind kind)
{
    constexpr wide end = wide{1} << 64;
    if (size == 0)
        return first < end;
    if (first + size > end)
        return false;
    known.add(phys_range::between(phys_addr::at(static_cast<std::uint64_t>(first)),
                  phys_addr::at(static_cast<std::uint64_t>(first + size - 1))),
        kind);
    return true;
}

/// What a second reading makes of the clusters and slots, and the fault it stops at.
std::optional<fault_code> reading(const window& w, naive_map& known)
{
    const std::uint64_t table = w.word(200);
    if (!is_part(table, 24) || !is_part(table, 24 + wide{56} * w.word(table + 16)))
        return fault_code::bad_header;
    const std::uint64_t end = table + 24 + 56 * w.word(table + 16);
    if (w.word(table) != 0 && w.word(table) != w.sum(table + 8, end))
        return fault_code::bad_header;
    for (std::uint64_t c = table + 24; c != end; c += 56) {
        const std::uint64_t usage = w.word(c + 48);
        const auto kind = usage == 0         ? region_kind::usable
            : usage == 0x6c6f'6253'0000'0001 ? region_kind::safe
            : usage == 0x6c6f'6254'0000'0001 ? region_kind::surviving
                                             : region_kind::reserved;
        const wide pages = w.word(c + 8);
        if (pages * 8192 > ~std::uint64_t{0} || !add(known, wide{w.word(c)} * 8192, pages * 8192, kind))
            return fault_code::bad_range;
    }
    for (std::uint64_t n = 0; n < w.word(144); ++n) {
        const std::uint64_t size = w.word(152);
        const wide slot = w.word(160) + wide{n} * size;
        if (size < 168 || size % 8 != 0 || size > reach || !is_part(w.word(160), 168) || slot + 168 > reach)
            return fault_code::bad_header;
        const auto s = static_cast<std::uint64_t>(slot);
        if ((w.word(s + 128) & 0x80) == 0)
            continue;
        for (const std::uint64_t field : {0u, 8u}) {
            const wide first = w.word(s + 152 + field), piece = w.word(s + 136 + field);
            if (piece == 0)
                continue;
            if (first + piece > wide{1} << 64)
                return fault_code::bad_range;
            const wide begin = first / 8192 * 8192; // whole pages
            if (!add(known, begin, (first + piece + 8191) / 8192 * 8192 - begin, region_kind::reserved))
                return fault_code::bad_range;
        }
    }
    return std::nullopt;
}

/// The pages that tables have to have: whole ones, all of the block among them, and none that kseg has.
void look_at_console(const alpha::hwrpb_reader<window>& block, std::uint64_t at)
{
    std::vector<mapping> put;
    const auto done = alpha::map_console(block, [&put](const mapping& m) -> result<void> {
        put.push_back(m);
        return {};
    });
    for (const mapping& m : put) {
        const piece v{m.virtual_range.first().raw(), m.virtual_range.last().raw()};
        must(v.first % 8192 == 0 && v.last % 8192 == 8191 && m.physical.raw() % 8192 == 0, "pieces of pages");
        must(wide{m.physical.raw()} + (v.last - v.first) < wide{1} << 64, "a mapping that wraps");
        must(v.last < 0xffff'fc00'0000'0000 || v.first >= 0xffff'fe00'0000'0000, "a table for kseg");
    }
    const std::uint64_t size = block.fixed().size;
    const bool sized = size != 0 && size <= reach;
    must(put.empty() != sized, "a HWRPB without a place, or a place for none");
    if (sized)
        must(put[0].physical.raw() == at && put[0].virtual_range.first().raw() == 0x1000'0000 &&
                put[0].virtual_range.size().raw() == (size + 8191) / 8192 * 8192,
            "the HWRPB is elsewhere");
    if (!done)
        must(done.error().code == fault_code::bad_header && done.error().in == stage::loading, "another fault");
}

/// Whether `copy`, what became of `map` when it was told as clusters and read again, says the same page by page.
void must_say_the_same(const region_map& copy, const region_map& map)
{
    for (const region& r : copy.regions())
        must(
            r.kind != region_kind::usable || !map.first_not(region_kind::usable, r.range), "memory that was not there");
    for (const region& r : map.regions()) {
        const wide end = std::min<wide>((wide{r.range.last().raw()} + 1) / 8192 * 8192, wide{1} << 45);
        const wide first = (wide{r.range.first().raw()} + 8191) / 8192 * 8192;
        if (first >= end)
            continue;
        const auto pages = phys_range::between(
            phys_addr::at(static_cast<std::uint64_t>(first)), phys_addr::at(static_cast<std::uint64_t>(end - 1)));
        const bool own = r.kind == region_kind::usable || r.kind >= region_kind::safe;
        must(!copy.first_not(own ? r.kind : region_kind::reserved, pages), "memory that is something else now");
    }
}

/// Copies the block, opens the copy, and copies that.
void look_at_copy(window& w, const alpha::hwrpb_reader<window>& block, const region_map& map)
{
    constexpr std::uint64_t to = 0x40'0000;
    bytes out(room);
    const auto copied = alpha::copy_hwrpb(w, block, map, phys_addr::at(to), out);
    if (!copied) {
        const fault f = copied.error();
        must(f.code == fault_code::bad_header || f.code == fault_code::no_space ||
                f.code == fault_code::mapping_conflict,
            "another fault");
        must(f.code != fault_code::no_space || f.at > room, "no room, though there is some");
        return;
    }
    must(*copied <= room, "more than there is room for");
    out.resize(*copied);
    window copy{to, out};
    const auto opened = alpha::hwrpb_reader<window>::open(copy, phys_addr::at(to));
    must(opened && opened->fixed().size == *copied, "a copy that cannot be opened");
    std::vector<region> storage(4096);
    region_map read{storage};
    must(alpha::add_memory_clusters(read, *opened).has_value(), "a copy that says nothing of memory");
    must_say_the_same(read, map);
    look_at_console(*opened, to);
    bytes again(room);
    must(alpha::copy_hwrpb(copy, *opened, map, phys_addr::at(to), again) == *copied, "a copy of a copy that grows");
    again.resize(*copied);
    must(again == out, "a copy of a copy that is another");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    input in{data, size};
    const std::uint8_t shape = in.byte();
    const std::uint64_t at = (shape & 4) != 0 ? 0xffff'ffff'ffef'e000 : std::uint64_t{in.byte()} << 13;
    window w{at};
    fill(in, w, at, shape);

    const auto block = alpha::hwrpb_reader<window>::open(w, phys_addr::at(at));
    const auto refused = opening(w, at);
    must(block.has_value() == !refused, "opened, though it should not be, or the other way round");
    if (!block) {
        must(block.error().code == *refused && block.error().in == stage::loading, "another fault");
        return 0;
    }

    naive_map known;
    const auto wrong = reading(w, known);
    std::vector<region> storage(4096);
    region_map map{storage};
    const auto added = alpha::add_memory_clusters(map, *block);
    must(added.has_value() == !wrong, "accepted, though something is wrong with it, or the other way round");
    if (!added) {
        const std::uint64_t field = added.error().at;
        must(added.error().code == *wrong && added.error().in == stage::loading, "another fault");
        must(field >= at && field - at < reach, "a fault that points elsewhere");
    }
    must_agree(map, known);
    look_at_console(*block, at);
    if (added)
        look_at_copy(w, *block, map);
    return 0;
}
