// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// Plans as they may lie in memory: the rules that read them, in the verifier's order, and then the naive model of what
// the steps do. What the rules let pass does what the image says, to the byte, around every safe region; nothing is
// read that is not safe memory. The rules about page tables and registers have tests of their own. Input: the image,
// safe regions, then program and pages of steps in short numbers.

#include <algorithm>
#include <cstring>
#include <map>

#include <lobos/plan/place_rules.hpp>
#include <lobos/plan/step_rules.hpp>
#include <lobos/x86/paging_4m.hpp>

#include <tests/fuzz/naive_map.hpp>

using namespace lobos;
using namespace lobos::fuzz;

namespace {

constexpr std::uint64_t code = 0x8000, stack = 0x9000, frame = 0xa000, program_at = 0xa100, bounce = 0xb000,
                        plan_pages = 0xc000, tables = 0xe000, log_at = 0xf000;

// Memory of 64 KiB that holds what was put there, zeros else. Where `strict`, nothing but safe memory may be read.
class small_memory {
public:
    void read(phys_addr at, std::span<std::byte> out)
    {
        const auto range = phys_range::checked(at, byte_count::of(out.size()));
        must(!strict ||
                (range && std::ranges::any_of(safe, [&](const safe_region& r) { return r.range.contains(*range); })),
            "a read of memory that is not safe");
        for (std::size_t i = 0; i < out.size(); ++i) {
            const std::uint64_t here = at.raw() <= ~std::uint64_t{i} ? at.raw() + i : 0;
            out[i] = here < content.size() ? content[static_cast<std::size_t>(here)] : std::byte{};
        }
    }
    void write(phys_addr, std::span<const std::byte>) { violated("a rule writes"); }
    void put(std::uint64_t at, std::uint64_t word) { std::memcpy(content.data() + at, &word, 8); }
    std::uint64_t word(std::uint64_t at) const
    {
        std::uint64_t w = 0;
        std::memcpy(&w, content.data() + at, 8);
        return w;
    }

    bytes content = bytes(0x1'0000);
    std::span<const safe_region> safe;
    bool strict = true;
};

// Two bytes, but for what they cannot say.
std::uint64_t short_number(input& in)
{
    const std::uint64_t n = in.number(2);
    return n == 0xffff ? ~std::uint64_t{0} : n == 0xfffe ? in.address() : n;
}

struct world {
    std::vector<region> storage = std::vector<region>(32);
    region_map map{storage};
    std::vector<extent> file;
    std::vector<segment> image;
    std::vector<safe_region> safe{{page(code), safe_role::code}, {page(stack), safe_role::stack},
        {page(frame), safe_role::frame}, {page(bounce), safe_role::bounce},
        {phys_range::of(phys_addr::at(plan_pages), byte_count::of(0x2000)), safe_role::plan},
        {page(tables), safe_role::page_table}, {page(log_at), safe_role::log}};
    std::vector<verified_write> writes;
    small_memory memory;
    exec_plan plan;

    static phys_range page(std::uint64_t at) { return phys_range::of(phys_addr::at(at), byte_count::of(4096)); }

    explicit world(input& in)
    {
        must(map.add(phys_range::of(phys_addr{}, byte_count::of(0x1'0000)), region_kind::usable).has_value(), "room");
        for (std::uint32_t i = in.below(6); i != 0; --i) {
            const std::uint64_t at = short_number(in), size = short_number(in);
            file.push_back({phys_addr::at(at), byte_count::of(size)});
        }
        for (std::uint32_t i = in.below(5); i != 0; --i) {
            constexpr content kinds[] = {
                content::copy, content::zero, content::padding, content::kept, content::scratch};
            const content what = kinds[in.below(5)];
            const std::uint64_t at = in.number(2), size = in.number(2) % 0x2000 + 1, from = short_number(in);
            image.push_back({.destination = phys_range::of(phys_addr::at(at), byte_count::of(size)),
                .what = what,
                .file = what == content::copy ? std::span<const extent>{file} : std::span<const extent>{},
                .file_offset = byte_count::of(what == content::copy ? from : 0)});
        }
        const std::uint8_t shape = in.byte();
        for (std::uint32_t i = shape & 3u; i != 0; --i) { // logs of earlier kernels, small as a test may have them
            const auto range = phys_range::of(phys_addr::at(in.number(2)), byte_count::of(in.number(1) + 1));
            safe.push_back({range, in.below(8) == 0 ? static_cast<safe_role>(in.below(8)) : safe_role::log});
            must(map.add(range, region_kind::surviving).has_value(), "the map has room");
        }
        if ((shape & 32) == 0)
            std::ranges::sort(safe, {}, [](const safe_region& r) { return r.range.first(); });
        writes.resize((shape & 4) != 0 ? in.below(64) : 64);
        plan = {.page = byte_count::of(4096),
            .image = image,
            .safe = safe,
            .code = phys_addr::at(code),
            .code_size = byte_count::of(64),
            .stack = phys_addr::at(stack),
            .frame = phys_addr::at(frame),
            .program = phys_addr::at((shape & 8) != 0 ? in.number(2) : program_at),
            .bounce = phys_addr::at((shape & 16) != 0 ? in.number(2) : bounce),
            .running_root = {},
            .new_root = phys_addr::at(tables),
            .switch_page = {},
            .entry = {},
            .entry_root = {},
            .virtual_layout = {},
            .cost = {}};
        put_program(in);
    }

    void put_program(input& in)
    {
        const std::uint64_t pages[] = {plan_pages, plan_pages + 0x1000};
        const std::uint64_t program = std::min<std::uint64_t>(plan.program.raw(), 0xf000);
        memory.put(program, short_number(in));     // first_page
        memory.put(program + 8, short_number(in)); // trail
        const std::uint64_t skips = short_number(in);
        memory.put(program + 16, skips);
        for (std::uint64_t i = 0; i < std::min<std::uint64_t>(skips, 4) * 2; ++i)
            memory.put(program + 24 + 8 * i, short_number(in));
        for (const std::uint64_t p : pages) {
            memory.put(p, short_number(in)); // next
            const std::uint64_t count = short_number(in);
            memory.put(p + 8, count);
            for (std::uint64_t i = 0; i < std::min<std::uint64_t>(count, 20); ++i) {
                const std::uint64_t destination = short_number(in), said = short_number(in);
                const std::uint64_t source = said == ~std::uint64_t{0} ? destination : said; // a fill is not to be rare
                const stored_step step = stored_step::of({destination, source, short_number(in)});
                memory.put(p + 16 + 24 * i, step.distance);
                memory.put(p + 24 + 24 * i, step.source);
                memory.put(p + 32 + 24 * i, step.size);
            }
        }
        memory.safe = safe;
    }
};

// The steps as anybody would read them. What was proved needs no further check.
std::vector<overlay_step> steps_of(const world& w)
{
    std::vector<overlay_step> steps;
    for (std::uint64_t p = w.memory.word(w.plan.program.raw()); p != ~std::uint64_t{0}; p = w.memory.word(p))
        for (std::uint64_t i = 0; i < w.memory.word(p + 8); ++i) {
            const stored_step step{
                w.memory.word(p + 16 + 24 * i), w.memory.word(p + 24 + 24 * i), w.memory.word(p + 32 + 24 * i)};
            steps.push_back(step.step());
        }
    return steps;
}

// For each byte of the image's copies and fills, where it has to come from.
std::map<std::uint64_t, std::uint64_t> wanted_origins(std::span<const segment> image)
{
    constexpr std::uint64_t zeros = ~std::uint64_t{0};
    std::map<std::uint64_t, std::uint64_t> wanted;
    for (const segment& s : image) {
        if (s.what != content::copy && s.what != content::zero)
            continue;
        for (std::uint64_t i = 0; i < s.destination.size().raw(); ++i) {
            std::uint64_t& origin = wanted[s.destination.first().raw() + i];
            origin = zeros;
            if (s.what == content::zero)
                continue;
            wide offset = wide{s.file_offset.raw()} + i;
            bool found = false;
            for (const extent& e : s.file) {
                found = offset < e.size.raw();
                if (found) {
                    origin = e.at.raw() == zeros ? zeros : e.at.raw() + static_cast<std::uint64_t>(offset);
                    break;
                }
                offset -= e.size.raw();
            }
            must(found, "a segment longer than its file was accepted");
        }
    }
    return wanted;
}

// For each byte of memory, at which address it lay before the first step; `zeros` for a zero.
void check_what_the_steps_do(const world& w)
{
    constexpr std::uint64_t zeros = ~std::uint64_t{0};
    const std::uint64_t skip_count = w.memory.word(w.plan.program.raw() + 16);
    const auto skipped = [&](std::uint64_t at) {
        for (std::uint64_t i = 0; i < skip_count; ++i) {
            const std::uint64_t skip = w.plan.program.raw() + 24 + 16 * i;
            if (w.memory.word(skip) <= at && at <= w.memory.word(skip + 8))
                return true;
        }
        return false;
    };
    std::map<std::uint64_t, std::uint64_t> now;
    const auto origin = [&](std::uint64_t at) {
        const auto found = now.find(at);
        return found == now.end() ? at : found->second;
    };
    for (const overlay_step& s : steps_of(w)) {
        must(s.size <= 0x1'0000, "a step larger than memory was accepted");
        std::vector<std::uint64_t> read;
        for (std::uint64_t i = 0; i < s.size; ++i)
            read.push_back(s.source == s.destination ? zeros : origin(s.source + i));
        for (std::uint64_t i = 0; i < s.size; ++i)
            if (!skipped(s.destination + i))
                now[s.destination + i] = read[static_cast<std::size_t>(i)];
    }
    const auto is_safe = [&](std::uint64_t at) {
        return std::ranges::any_of(w.safe, [&](const safe_region& r) { return plain(r.range).holds(at); });
    };
    const auto wanted = wanted_origins(w.image);
    for (const auto& [at, from] : now) {
        if (at >= bounce && at < bounce + 4096 && w.plan.bounce.raw() == bounce)
            continue;
        must(!is_safe(at), "a step writes to a safe region");
        must(wanted.contains(at), "a step writes where the image has nothing");
    }
    for (const auto& [at, from] : wanted)
        must(is_safe(at) || origin(at) == from, "the image is not what it should be");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    input in{data, size};
    world w{in};
    const std::size_t most_pages = 3;

    // Nobody has proved anything yet: it must end, and say so.
    w.memory.strict = false;
    using paging = x86::paging_4m;
    verifier_context<small_memory> c{w.plan, w.map, w.memory, w.writes, most_pages};
    std::size_t visited = 0;
    const auto first = load<std::uint64_t>(w.memory, w.plan.program);
    (void)for_each_step(w.memory, first, most_pages, [&](const overlay_step&, std::uint64_t time) -> result<void> {
        must(time == visited++, "a step out of time");
        return {};
    });
    must(visited <= most_pages * plan_page::capacity, "more steps than pages can hold");
    if (rules::collect_writes(c, paging::physical_reach)) {
        must(c.writes.size() <= w.writes.size() && std::ranges::is_sorted(c.writes, {}, &verified_write::destination),
            "the writes are not sorted");
        if (rules::safe_regions_are_apart(c)) // the image's own numbers come first
            (void)rules::steps_write_the_image(c);
        (void)rules::sources_are_intact(c);
    }

    w.memory.strict = true;
    c.writes = w.writes;
    const bool accepted = rules::destinations(c) && rules::safe_regions_are_apart(c) && rules::machinery_is_safe(c) &&
        rules::tables_are_safe<paging>(c, w.plan.new_root) && rules::program_is_sound(c) &&
        rules::collect_writes(c, paging::physical_reach) && rules::steps_write_the_image(c) &&
        rules::sources_are_intact(c);
    if (accepted)
        check_what_the_steps_do(w);
    return 0;
}
