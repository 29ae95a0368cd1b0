// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/overlay/explain.hpp>

#include <string>

#include <tests/catch.hpp>
#include <tests/support/sound_plan.hpp>

using namespace lobos;
using namespace lobos::test;

namespace {

std::string explained(sound_plan& p)
{
    std::string text;
    explain(p.memory, p.plan, [&](std::string_view line) { text.append(line).append("\n"); });
    return text;
}

/// The overlay on the plan's memory, in earnest, and counted.
struct counted {
    using address = std::uint64_t;
    using word = std::uint64_t;
    sparse_memory& memory;
    overlay_effect effect;

    word load_word(address at)
    {
        effect.read += sizeof(word);
        return load<word>(memory, phys_addr::at(at));
    }
    std::uint8_t load_byte(address at)
    {
        ++effect.read;
        return load<std::uint8_t>(memory, phys_addr::at(at));
    }
    std::uint64_t load_u64(address at) { return load<std::uint64_t>(memory, phys_addr::at(at)); }
    void store_word(address at, word value) { put(at, value); }
    void store_byte(address at, std::uint8_t value) { put(at, value); }
    void store_u64(address at, std::uint64_t value) { store(memory, phys_addr::at(at), value); }
    void store_u32(address at, std::uint32_t value) { store(memory, phys_addr::at(at), value); }
    std::uint64_t clock() { return 1; }

private:
    template <class T> void put(address at, T value)
    {
        store(memory, phys_addr::at(at), value);
        effect.written += sizeof(T);
        effect.lowest = std::min(effect.lowest, at);
        effect.highest = std::max(effect.highest, at + sizeof(T) - 1);
    }
};
static_assert(overlay::loop_memory<counted>);

void check_same_as_a_run(sound_plan& p)
{
    const sparse_memory before = p.memory;
    const overlay_effect tried = try_overlay(p.memory, p.plan);
    CHECK(p.memory == before);
    counted earnest{p.memory, {}};
    overlay::run(earnest, p.plan.program.raw());
    CHECK_FALSE(p.memory == before);
    CHECK(tried.read == earnest.effect.read);
    CHECK(tried.written == earnest.effect.written);
    CHECK(tried.lowest == earnest.effect.lowest);
    CHECK(tried.highest == earnest.effect.highest);
}

} // namespace

TEST_CASE("a plan in words", "[overlay][explain]")
{
    sound_plan p;
    const sparse_memory before = p.memory;
    CHECK(explained(p) == R"(segment 0x00400000 - 0x00404fff  kernel, copy
segment 0x00405000 - 0x00406fff  kernel, zero
segment 0x00407000 - 0x00407fff  kernel, scratch
segment 0x00500000 - 0x00500fff  module, kept
segment 0x00406000 - 0x00406fff  kernel, padding
safe    0x00406000 - 0x00406fff  log
safe    0x00c00000 - 0x00c00fff  overlay code
safe    0x00c01000 - 0x00c01fff  stack
safe    0x00c02000 - 0x00c02fff  descriptor table
safe    0x00c04000 - 0x00c06fff  plan
safe    0x00c08000 - 0x00c09fff  page table
safe    0x00c0a000 - 0x00c0afff  boot parameters
safe    0x01000000 - 0x01000fff  bounce page
safe    0x01400000 - 0x01400fff  log
steps 6, cycles 1, bytes copied 16384, zeroed 4096, bounced 4096, skipped 4096, in place 4096
tables at 0x00c08000, 2 pages
entry 0x00400020, paging off
)");
    CHECK(p.memory == before);
    p.enter_paged();
    const std::string paged = explained(p);
    CHECK(paged.substr(paged.rfind("entry")) == "entry 0xc0400020, paging on\n");
}

TEST_CASE("what is explained is what the overlay would do", "[overlay][explain]")
{
    sound_plan p;
    const overlay_effect effect = try_overlay(p.memory, p.plan);
    CHECK(effect.written == 16384 + 8192 + 4096 - 4096);
    CHECK(effect.lowest == 0x0040'0000);
    CHECK(effect.highest == 0x0100'0fff);
    CHECK(copied(p.plan, effect) == 16384_bytes);
    CHECK(zeroed(effect) == 4096_bytes);
    CHECK(skipped(p.plan, effect) == 4096_bytes);
    check_same_as_a_run(p);
}

TEST_CASE("a trial counts bytes as well as words", "[overlay][explain]")
{
    sound_plan p;
    p.steps = {{0x0040'3001, 0x0080'0802, 0x123}, overlay_step::fill(0x0040'5ff5, 0x100d)};
    p.lay_out();
    const overlay_effect effect = try_overlay(p.memory, p.plan);
    CHECK(effect.written == 0x123 + 0xb + 2);
    CHECK(effect.lowest == 0x0040'3001);
    CHECK(effect.highest == 0x0040'7001);
    check_same_as_a_run(p);
}

TEST_CASE("a plan without steps writes nothing", "[overlay][explain]")
{
    sound_plan p;
    p.steps.clear();
    p.plan.cost = {};
    p.lay_out();
    const sparse_memory before = p.memory;
    const overlay_effect effect = try_overlay(p.memory, p.plan);
    CHECK(effect.written == 0);
    CHECK(effect.lowest > effect.highest);
    CHECK(skipped(p.plan, effect) == 0_bytes);
    CHECK(explained(p).find("steps 0, cycles 0, bytes copied 0, zeroed 0, bounced 0, skipped 0, in place 0\n") !=
        std::string::npos);
    CHECK(p.memory == before);
}
