// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/overlay/explain_json.hpp>

#include <string>
#include <vector>

#include <tests/catch.hpp>
#include <tests/support/sound_plan.hpp>

using namespace lobos;
using namespace lobos::test;

namespace {

std::vector<std::string> lines_of(sound_plan& p)
{
    std::vector<std::string> lines;
    explain_json(p.memory, p.plan, [&](std::string_view line) { lines.emplace_back(line); });
    return lines;
}

std::string json_of(sound_plan& p)
{
    std::string text;
    for (const std::string& line : lines_of(p))
        text.append(line).append("\n");
    return text;
}

/// Whether a text is one value of JSON, of the part of JSON that a plan needs: no escapes, no fractions.
class json_reader {
public:
    static bool accepts(std::string_view text)
    {
        json_reader r{text};
        return r.value() && r.rest_.find_first_not_of(" \n") == std::string_view::npos;
    }

private:
    explicit json_reader(std::string_view text) : rest_{text} {}

    bool take(char c)
    {
        while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\n'))
            rest_.remove_prefix(1);
        if (rest_.empty() || rest_.front() != c)
            return false;
        rest_.remove_prefix(1);
        return true;
    }
    bool string()
    {
        if (!take('"'))
            return false;
        for (; !rest_.empty() && rest_.front() != '"'; rest_.remove_prefix(1))
            if (rest_.front() < ' ' || rest_.front() == '\\')
                return false;
        return take('"');
    }
    bool word(std::string_view w)
    {
        const bool there = rest_.starts_with(w);
        rest_.remove_prefix(there ? w.size() : 0);
        return there;
    }
    bool number()
    {
        const std::size_t digits = std::min(rest_.find_first_not_of("0123456789"), rest_.size());
        const bool good = digits != 0 && (digits == 1 || rest_.front() != '0');
        rest_.remove_prefix(digits);
        return good;
    }
    template <class Element> bool list(char end, Element element)
    {
        if (take(end))
            return true;
        do {
            if (!element())
                return false;
        } while (take(','));
        return take(end);
    }
    bool value()
    {
        if (take('{'))
            return list('}', [&] { return string() && take(':') && value(); });
        if (take('['))
            return list(']', [&] { return value(); });
        rest_.remove_prefix(std::min(rest_.find_first_not_of(" \n"), rest_.size()));
        if (rest_.starts_with('"'))
            return string();
        return word("true") || word("false") || number();
    }
    std::string_view rest_;
};

} // namespace

TEST_CASE("a plan in JSON", "[overlay][explain]")
{
    sound_plan p;
    const sparse_memory before = p.memory;
    CHECK(json_of(p) == R"({
  "schema": "lobos.plan/1",
  "segments": [
    {"first": "0x00400000", "last": "0x00404fff", "role": "kernel", "content": "copy"},
    {"first": "0x00405000", "last": "0x00406fff", "role": "kernel", "content": "zero"},
    {"first": "0x00407000", "last": "0x00407fff", "role": "kernel", "content": "scratch"},
    {"first": "0x00500000", "last": "0x00500fff", "role": "module", "content": "kept"},
    {"first": "0x00406000", "last": "0x00406fff", "role": "kernel", "content": "padding"}
  ],
  "safe": [
    {"first": "0x00406000", "last": "0x00406fff", "role": "log"},
    {"first": "0x00c00000", "last": "0x00c00fff", "role": "overlay code"},
    {"first": "0x00c01000", "last": "0x00c01fff", "role": "stack"},
    {"first": "0x00c02000", "last": "0x00c02fff", "role": "descriptor table"},
    {"first": "0x00c04000", "last": "0x00c06fff", "role": "plan"},
    {"first": "0x00c08000", "last": "0x00c09fff", "role": "page table"},
    {"first": "0x00c0a000", "last": "0x00c0afff", "role": "boot parameters"},
    {"first": "0x01000000", "last": "0x01000fff", "role": "bounce page"},
    {"first": "0x01400000", "last": "0x01400fff", "role": "log"}
  ],
  "skips": [
    {"first": "0x00406000", "last": "0x00406fff"}
  ],
  "steps": [
    {"do": "copy", "to": "0x00403000", "from": "0x00800800", "size": "4096"},
    {"do": "copy", "to": "0x00404000", "from": "0x00803000", "size": "4096"},
    {"do": "zero", "to": "0x00405000", "size": "8192"},
    {"do": "save", "to": "0x01000000", "from": "0x00400000", "size": "4096"},
    {"do": "copy", "to": "0x00400000", "from": "0x00401000", "size": "4096"},
    {"do": "restore", "to": "0x00401000", "from": "0x01000000", "size": "4096"}
  ],
  "cost": {
    "steps": 6,
    "cycles": 1,
    "copied": "16384",
    "zeroed": "4096",
    "bounced": "4096",
    "skipped": "4096",
    "in_place": "4096"
  },
  "tables": {"root": "0x00c08000", "pages": 2},
  "entry": {"address": "0x00400020", "paging": false}
}
)");
    CHECK(p.memory == before);
    p.enter_paged();
    const auto paged = lines_of(p);
    CHECK(paged.at(paged.size() - 2) == R"(  "entry": {"address": "0xc0400020", "paging": true})");
}

TEST_CASE("a plan in JSON can be read as such, however little is in it", "[overlay][explain]")
{
    sound_plan p;
    CHECK(json_reader::accepts(json_of(p)));
    p.image.clear();
    p.safe.clear();
    p.steps.clear();
    p.program.skip_count = 0;
    p.plan.cost = {};
    p.lay_out();
    const std::string least = json_of(p);
    CHECK(json_reader::accepts(least));
    for (const char* list : {"segments", "safe", "skips", "steps"})
        CHECK(least.find("  \"" + std::string{list} + "\": [\n  ],\n") != std::string::npos);
    // And the reader does tell.
    CHECK_FALSE(json_reader::accepts(R"({"a": 1,})"));
    CHECK_FALSE(json_reader::accepts(R"([1 2])"));
    CHECK_FALSE(json_reader::accepts(R"({"a" 1})"));
    CHECK_FALSE(json_reader::accepts(R"("a)"));
    CHECK_FALSE(json_reader::accepts(R"([01])"));
    CHECK_FALSE(json_reader::accepts(R"({} {})"));
}

TEST_CASE("the largest numbers fit into a line of JSON, whole", "[overlay][explain]")
{
    constexpr std::uint64_t most = ~std::uint64_t{0};
    sound_plan p;
    p.image.push_back({.destination = phys_range::between(phys_addr::at(most - 1), phys_addr::at(most)),
        .what = content::scratch,
        .role = segment_role::kernel});
    p.add_safe({p.image.back().destination, safe_role::parameters});
    p.steps.clear();
    p.lay_out();
    p.plan.cost = {};
    p.plan.cost.steps = static_cast<std::size_t>(most);
    p.plan.cost.copied = byte_count::of(most);
    p.plan.cost.in_place = byte_count::of(most);
    p.plan.cost.cycles = static_cast<std::size_t>(most);
    p.plan.new_root = phys_addr::at(most);
    p.plan.table_pages = static_cast<std::size_t>(most);
    p.plan.entry = virt_addr::at(most);
    const std::string text = json_of(p);
    CHECK(json_reader::accepts(text));
    CHECK(text.find('~') == std::string::npos);
    CHECK(text.find(R"("last": "0xffffffffffffffff", "role": "kernel", "content": "scratch"})") != std::string::npos);
    CHECK(text.find(R"("skipped": "18446744073709551615")") != std::string::npos);
    CHECK(text.find(R"("in_place": "18446744073709551615")") != std::string::npos);

    text_line step;
    detail::describe(step, {most, most - 1, most}, 0x9000_pa);
    CHECK(step.view() ==
        R"("do": "copy", "to": "0xffffffffffffffff", "from": "0xfffffffffffffffe", "size": "18446744073709551615")");
}

TEST_CASE("what a step is for", "[overlay][explain]")
{
    constexpr phys_addr bounce = 0x9000_pa;
    CHECK(detail::kind_of({0x1000, 0x2000, 1}, bounce) == "copy");
    CHECK(detail::kind_of(overlay_step::fill(0x1000, 1), bounce) == "zero");
    CHECK(detail::kind_of({0x9000, 0x2000, 1}, bounce) == "save");
    CHECK(detail::kind_of({0x1000, 0x9000, 1}, bounce) == "restore");
}

TEST_CASE("two plans that differ in one step differ in one line", "[overlay][explain]")
{
    sound_plan p;
    const auto before = lines_of(p);
    p.steps[0].source += 8;
    p.lay_out();
    const auto after = lines_of(p);
    REQUIRE(before.size() == after.size());
    std::size_t different = 0;
    for (std::size_t i = 0; i < before.size(); ++i)
        different += before[i] != after[i] ? 1u : 0u;
    CHECK(different == 1);
}
