// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// region_map against what it is said to be, after each of many additions in storage that may be too small; and the
// multiboot memory map, read from memory that may say anything and written again. Input: what to do, then the things to
// do it with.

#include <cstring>

#include <lobos/x86/multiboot_info.hpp>

#include <tests/fuzz/naive_map.hpp>

using namespace lobos;
using namespace lobos::fuzz;

namespace {

constexpr std::uint64_t end_of_32_bits = 0x1'0000'0000;

void check_questions(input& in, const region_map& map, const naive_map& known)
{
    const phys_range asked = in.range();
    const auto kind = static_cast<region_kind>(in.below(7));
    std::optional<std::uint64_t> wrong;
    if (known.at(asked.first().raw()) != kind)
        wrong = asked.first().raw();
    for (const region& r : known.regions()) { // the only places where a kind can end
        const std::uint64_t last = r.range.last().raw();
        if (!wrong && plain(asked).holds(last) && last < asked.last().raw() && known.at(last + 1) != kind)
            wrong = last + 1;
    }
    const auto first_not = map.first_not(kind, asked);
    must(first_not.has_value() == wrong.has_value() && (!wrong || first_not->raw() == *wrong), "first_not is wrong");

    std::vector<phys_range> taken;
    std::vector<piece> taken_pieces;
    for (std::uint32_t i = in.below(3); i != 0; --i) {
        taken.push_back(in.range());
        taken_pieces.push_back(plain(taken.back()));
    }
    const std::uint64_t size = std::max<std::uint64_t>(in.address(), 1);
    const std::uint64_t alignment = std::uint64_t{1} << in.below(64);
    for (const bool lowest : {true, false}) {
        const auto hole = lowest ? map.lowest_hole(byte_count::of(size), byte_count::of(alignment), asked, taken)
                                 : map.highest_hole(byte_count::of(size), byte_count::of(alignment), asked, taken);
        const auto wanted = known.hole(lowest, size, alignment, plain(asked), taken_pieces);
        must(hole.has_value() == wanted.has_value(), "a hole where there is none, or the other way round");
        must(
            !hole || (hole->first().raw() == *wanted && hole->last().raw() - *wanted == size - 1), "not the best hole");
    }
}

void fuzz_map(input& in)
{
    std::vector<region> storage(in.below(24));
    storage.shrink_to_fit();
    region_map map{storage};
    naive_map known;
    std::vector<region> before;
    for (int i = 0; i < 40 && !in.empty(); ++i) {
        const std::uint32_t what = in.below(16);
        if (what < 7) {
            const auto kind = static_cast<region_kind>(what);
            const phys_range range = in.range();
            known.add(range, kind);
            const auto right = known.regions();
            const std::size_t needed = right.size();
            const auto added = map.add(range, kind);
            if (needed > storage.size()) {
                must(!added && added.error() == fault{fault_code::no_space, stage::mapping, needed},
                    "full, and does not say so");
                must(std::ranges::equal(map.regions(), before), "full, and not as it was");
                known.forget_last();
            } else {
                must(added.has_value(), "there was room");
                must(std::ranges::equal(map.regions(), right), "the map is not what was added");
                before = right;
            }
        } else if (what < 12) {
            check_questions(in, map, known);
        } else {
            std::vector<region> other_storage(in.below(24));
            other_storage.shrink_to_fit();
            region_map other{other_storage};
            const auto copied = other.copy_from(map);
            const std::size_t count = map.regions().size();
            must(copied.has_value() == (count <= other_storage.size()),
                "a copy that does not fit, or the other way round");
            if (copied)
                must_agree(other, known);
            else
                must(copied.error() == fault{fault_code::no_space, stage::mapping, count} && other.regions().empty(),
                    "a copy that failed is not empty");
        }
    }
    must_agree(map, known);
}

/// Memory with two things in it: the structure and the map. Whoever looks elsewhere is wrong.
class two_windows {
public:
    void read(phys_addr at, std::span<std::byte> out)
    {
        for (const window& w : windows)
            if (at.raw() >= w.at && at.raw() - w.at <= w.content.size() &&
                out.size() <= w.content.size() - (at.raw() - w.at)) {
                std::memcpy(out.data(), w.content.data() + (at.raw() - w.at), out.size());
                return;
            }
        violated("a read of memory that nobody announced");
    }
    void write(phys_addr, std::span<const std::byte>) { violated("a reader writes"); }

    struct window {
        std::uint64_t at;
        bytes content;
    };
    std::vector<window> windows;
};

std::uint32_t word(const bytes& b, std::size_t at)
{
    std::uint32_t w = 0;
    std::memcpy(&w, b.data() + at, 4);
    return w;
}

// What the map written from `map` reads like.
void check_round_trip(const region_map& map)
{
    bytes block(8192);
    const auto made = make_multiboot_info(map, {}, {}, phys_addr::at(0x5000), block);
    const bool whole = map.regions().size() == 1 && map.regions()[0].range.first().raw() == 0 &&
        map.regions()[0].range.last().raw() == naive_map::top;
    must(made.has_value() == !whole, "a map that cannot be written, or the other way round");
    if (!made)
        return;
    block.resize(*made);
    two_windows memory{{{0x5000, block}}};
    std::vector<region> storage(map.regions().size());
    region_map read{storage};
    must(multiboot_reader{memory, phys_addr::at(0x5000)}.read_memory_map(read).has_value() &&
            std::ranges::equal(read.regions(), map.regions()),
        "what was written is not what is read");
}

void fuzz_multiboot(input& in)
{
    std::vector<region> storage(in.below(24));
    storage.shrink_to_fit();
    region_map map{storage};
    naive_map known;
    if (in.below(2) != 0) {
        const phys_range range = in.range();
        known.add(range, region_kind::acpi_nvs);
        if (!map.add(range, region_kind::acpi_nvs))
            known.forget_last();
    }
    two_windows memory;
    const std::uint64_t info_at = in.number(4);
    bytes info(116);
    const auto some = in.take(56); // nothing after the map's fields matters
    std::copy(some.begin(), some.end(), info.begin());
    memory.windows.push_back({info_at, info});

    // The map's memory is as long as it says, below 4 GiB, and of that as much as there is input; then zeros.
    const std::uint32_t flags = word(info, 0), length = word(info, 44), at = word(info, 48);
    const bool has_map = (flags & 0x40) != 0;
    const bytes entries = copy_of(in.rest());
    const std::uint64_t there = std::min<std::uint64_t>(length, end_of_32_bits - at);
    if (has_map) {
        if (there > entries.size() + 100)
            return; // nothing but empty memory behind them
        bytes content = entries;
        content.resize(there);
        content.shrink_to_fit();
        for (std::size_t i = 0; i < info.size(); ++i) // the map may lie over the structure: there is one memory
            if (info_at + i >= at && info_at + i - at < there)
                content[info_at + i - at] = info[i];
        memory.windows.push_back({at, std::move(content)});
    }

    fault wanted{fault_code::no_log, stage::loading, 0}; // none
    const auto add = [&](std::uint64_t base, std::uint64_t size, region_kind kind) {
        if (size == 0)
            return true;
        if (wide{base} + size > wide{naive_map::top} + 1) {
            wanted = {fault_code::bad_range, stage::loading, base};
            return false;
        }
        known.add(phys_range::of(phys_addr::at(base), byte_count::of(size)), kind);
        if (known.regions().size() > storage.size()) {
            wanted = {fault_code::no_space, stage::mapping, known.regions().size()};
            known.forget_last();
            return false;
        }
        return true;
    };
    if (!has_map) {
        if ((flags & 1) == 0)
            wanted = {fault_code::bad_header, stage::loading, info_at};
        else if (add(0, std::uint64_t{word(info, 4)} * 1024, region_kind::usable))
            add(0x10'0000, std::uint64_t{word(info, 8)} * 1024, region_kind::usable);
    } else if (wide{at} + length > end_of_32_bits) {
        wanted = {fault_code::bad_header, stage::loading, info_at + 44};
    } else {
        const bytes& m = memory.windows[1].content;
        for (std::size_t i = 0; i < m.size();) {
            const std::uint64_t step = m.size() - i < 24 ? 0 : std::uint64_t{word(m, i)} + 4;
            if (step < 24 || step > m.size() - i) {
                wanted = {fault_code::bad_header, stage::loading, at + i};
                break;
            }
            constexpr std::uint32_t types[] = {1, 3, 4, 2, 5, 0x6c6f6253, 0x6c6f6254};
            const auto* known_type = std::find(std::begin(types), std::end(types), word(m, i + 20));
            const auto kind = known_type == std::end(types) ? region_kind::reserved
                                                            : static_cast<region_kind>(known_type - std::begin(types));
            if (!add(word(m, i + 4) | std::uint64_t{word(m, i + 8)} << 32,
                    word(m, i + 12) | std::uint64_t{word(m, i + 16)} << 32, kind))
                break;
            i += step;
        }
    }
    const multiboot_reader reader{memory, phys_addr::at(info_at)};
    const auto read = reader.read_memory_map(map);
    must(read.has_value() == (wanted.code == fault_code::no_log), "read, though it is wrong, or the other way round");
    must(read || read.error() == wanted, "another fault");
    must_agree(map, known);
    check_round_trip(map);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    input in{data, size};
    if (in.below(2) == 0)
        fuzz_map(in);
    else
        fuzz_multiboot(in);
    return 0;
}
