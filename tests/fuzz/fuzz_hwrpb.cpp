// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// A HWRPB with any numbers in it, sums that are right where the input says so, and the region map made of it, against a
// second reading. Nothing is read but what the reader says it reaches. Input: where the block lies and whether it is
// summed, then quadwords and where they go.

#include <cstring>

#include <lobos/alpha/memory_clusters.hpp>

#include <tests/fuzz/naive_map.hpp>

using namespace lobos;
using namespace lobos::fuzz;

namespace {

constexpr std::uint64_t reach = 0x10'0000;
constexpr std::size_t kept = 4096;                                          // of the block; zeros follow
constexpr std::uint64_t dec = 0x42'5052'5748, qemu = 0x4857'5250'4200'0000; // who writes which identifier

/// The block at `at`.
class window {
public:
    explicit window(std::uint64_t at) : at_{at} {}

    void read(phys_addr from, std::span<std::byte> out) const
    {
        must(from.raw() >= at_ && wide{from.raw()} + out.size() <= wide{at_} + reach, "a read out of reach");
        peek(from.raw() - at_, out);
    }
    void write(phys_addr, std::span<const std::byte>) { violated("a reader writes"); }

    void peek(std::uint64_t offset, std::span<std::byte> out) const
    {
        for (std::size_t i = 0; i < out.size(); ++i)
            out[i] = offset + i < kept ? block_[offset + i] : std::byte{0};
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
    bytes block_ = bytes(kept);
};

void fill(input& in, window& w, std::uint64_t at, std::uint8_t shape)
{
    w.put(0, at);
    w.put(8, (shape & 8) != 0 ? dec : qemu);
    w.put(40, 8192);
    w.put(144, in.below(4));
    w.put(152, 168 + 8 * in.below(64));
    w.put(160, 320);
    w.put(200, 1600);
    w.put(1616, in.below(6));
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
        for (const std::uint64_t field : {0u, 8u})
            if (!add(known, w.word(s + 152 + field), w.word(s + 136 + field), region_kind::reserved) &&
                w.word(s + 136 + field) != 0)
                return fault_code::bad_range;
    }
    return std::nullopt;
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
    return 0;
}
