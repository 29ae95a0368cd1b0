// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/x86/linux16_rules.hpp>

#include <lobos/x86/paging_4m.hpp>

#include <tests/support/real_mode_scenario.hpp>

using namespace lobos;
using namespace lobos::test;

namespace {

/// A verified exec whose pages of parameters, and whatever else, a test breaks.
struct entering {
    using context_type = verifier_context<sim::memory>;

    real_mode_scenario s{3};
    result<linux16_image> image = s.load("quiet");
    x86::linux16_entry<real_mode_scenario::source> contract{s.kernel, *image};
    result<staged_exec<sim::x86_kernel, crc32c>> staged = prepare(s.machine, contract);
    exec_plan plan = staged->plan();
    std::vector<segment> parts{plan.image.begin(), plan.image.end()};
    std::vector<safe_region> safe{plan.safe.begin(), plan.safe.end()};
    x86::entry_registers found = contract.registers({});

    fault asked()
    {
        plan.image = parts;
        plan.safe = safe;
        const context_type c{plan, s.machine.memory_map(), s.machine.memory(), {}, 1};
        return fault_of(x86::linux16_rules<context_type>{c, found}.hold());
    }

    /// Where byte `offset` of the real-mode segment comes from.
    phys_addr source(std::uint64_t offset)
    {
        const phys_addr at = image->real_mode + byte_count::of(offset);
        for (const segment& g : parts)
            if (g.what == content::copy && g.destination.contains(at)) {
                std::uint64_t skip = g.file_offset.raw() + (at - g.destination.first()).raw();
                for (const extent& e : g.file) {
                    if (skip < e.size.raw())
                        return e.at + byte_count::of(skip);
                    skip -= e.size.raw();
                }
            }
        FAIL("no source for byte " << offset);
        return {};
    }
    template <class T> T get(std::uint64_t offset) { return lobos::load<T>(s.machine.memory(), source(offset)); }
    template <class T> void put(std::uint64_t offset, T value) { store(s.machine.memory(), source(offset), value); }

    /// The answer when `value` stands at `offset`, which it does not afterwards.
    template <class T> fault with(std::uint64_t offset, T value)
    {
        const T was = get<T>(offset);
        put(offset, value);
        const fault answer = asked();
        put(offset, was);
        return answer;
    }
    template <class T> fault with_at(phys_addr at, T value)
    {
        const T was = lobos::load<T>(s.machine.memory(), at);
        store(s.machine.memory(), at, value);
        const fault answer = asked();
        store(s.machine.memory(), at, was);
        return answer;
    }
    fault broken(std::uint64_t offset)
    {
        return {fault_code::entry_contract_broken, stage::verifying, image->real_mode.raw() + offset};
    }
};

fault broken_at(std::uint64_t at)
{
    return {fault_code::entry_contract_broken, stage::verifying, at};
}

} // namespace

TEST_CASE("what a contract has made holds, and only its own stub does", "[x86][linux16_rules]")
{
    entering e;
    REQUIRE(e.asked() == no_fault);
    for (std::uint64_t i = 0; i < linux16::stub.size(); ++i)
        for (unsigned bit = 0; bit < 8; ++bit)
            if (e.with(i, static_cast<std::uint8_t>(e.get<std::uint8_t>(i) ^ 1u << bit)) != e.broken(0))
                FAIL("bit " << bit << " of byte " << i);
    CHECK(e.with(0x100, std::uint8_t{0}) == no_fault); // of the boot sector, and nobody's
}

TEST_CASE("the segment, its base and the registers mean the same", "[x86][linux16_rules]")
{
    entering e;
    const auto base = static_cast<std::uint32_t>(e.image->real_mode.raw());
    const auto answer = [&](x86::entry_registers found) {
        std::swap(found, e.found);
        const fault told = e.asked();
        e.found = found;
        return told;
    };
    const std::uint64_t number = base >> 4;
    CHECK(answer({.ax = number, .real_base = base}) == no_fault);
    CHECK(answer({.ax = number + 1, .real_base = base}) == broken_at(base));
    CHECK(answer({.ax = number | 0x1'0000, .real_base = base}) == broken_at(base));
    CHECK(answer({.ax = number, .bx = 1, .real_base = base}) == broken_at(base));
    CHECK(answer({.ax = number, .si = 1, .real_base = base}) == broken_at(base));
    CHECK(answer({.ax = number, .real_base = base + 1}) == broken_at(base + 1));
    CHECK(answer({.ax = number - 1, .real_base = base - 16}) == broken_at(base - 16)); // not where it is entered
    e.plan.entry = virt_addr::at(0x9'0010);
    CHECK(answer({.ax = 0x9001, .real_base = 0x9'0010}) == broken_at(0x9'0010)); // ends in video memory
    e.plan.entry = virt_addr::at(base + 1);
    CHECK(e.asked() == broken_at(base));
}

TEST_CASE("the header says what the setup code wants to know", "[x86][linux16_rules]")
{
    entering e;
    CHECK(e.with(0x1fe, std::uint16_t{0xaa54}) == e.broken(0x1fe));
    CHECK(e.with(0x200, std::uint8_t{0x90}) == e.broken(0x200));
    for (std::uint64_t i = 0; i < 4; ++i)
        CHECK(e.with(0x202 + i, std::uint8_t{0}) == e.broken(0x202));
    CHECK(e.with(0x206, std::uint16_t{0x201}) == e.broken(0x206));
    CHECK(e.with(0x210, std::uint8_t{0}) == e.broken(0x210));
    CHECK(e.with(0x211, std::uint8_t{0x01}) == e.broken(0x211)); // no heap
    CHECK(e.with(0x211, std::uint8_t{0x80}) == e.broken(0x211)); // the kernel is loaded low
    CHECK(e.with(0x211, std::uint8_t{0xff}) == no_fault);
    CHECK(e.with(0x224, std::uint16_t{0xe000}) == e.broken(0x224));
    CHECK(e.with(0x224, std::uint16_t{0xddff}) == e.broken(0x224));
    CHECK(e.with(0x250, std::uint64_t{1} << 63) == e.broken(0x250));
}

TEST_CASE("the command line ends in the segment, and where the kernel expects it", "[x86][linux16_rules]")
{
    entering e;
    const auto line = static_cast<std::uint32_t>(e.image->command_line_at().raw());
    CHECK(e.with(0xe000, std::uint8_t{0}) == no_fault); // an empty one
    CHECK(e.with(0x228, line + 5) == no_fault);
    CHECK(e.with(0x228, line - 1) == e.broken(0x228));      // in the heap
    CHECK(e.with(0x228, line + 0x1000) == e.broken(0x228)); // never loaded
    CHECK(e.with(0x228, line + 0x2000) == e.broken(0x228));
    CHECK(e.with(0x228, std::uint32_t{0}) == e.broken(0x228));
    CHECK(e.with(0x228, ~std::uint32_t{0}) == e.broken(0x228));
    CHECK(e.with(0x238, std::uint32_t{4}) == e.broken(0x228)); // "quiet" is too long
    CHECK(e.with(0x238, std::uint32_t{5}) == no_fault);
    CHECK(e.with(0x238, ~std::uint32_t{0}) == no_fault);
    e.put(0x238, ~std::uint32_t{0});
    for (std::uint64_t i = 0; i < 4096; ++i)
        e.put(0xe000 + i, 'x');
    CHECK(e.asked() == e.broken(0x228));
    e.put(0xefff, '\0');
    CHECK(e.asked() == no_fault);
}

TEST_CASE("kernel and initrd lie where the header says", "[x86][linux16_rules]")
{
    entering e;
    const auto initrd = static_cast<std::uint32_t>(e.image->base.initrd->first().raw());
    CHECK(e.with(0x214, std::uint32_t{0x10'0000 - 1}) == e.broken(0x214));
    CHECK(e.with(0x214, static_cast<std::uint32_t>(e.image->real_mode.raw())) == e.broken(0x214)); // below 1 MiB
    CHECK(e.with(0x214, std::uint32_t{0x70'0000}) == e.broken(0x214));
    CHECK(e.with(0x218, initrd + 1) == e.broken(0x218));
    CHECK(e.with(0x21c, std::uint32_t{0x1'2344}) == e.broken(0x218));
    std::erase_if(e.parts, [](const segment& g) { return g.role == segment_role::initrd; });
    CHECK(e.asked() == e.broken(0x218));
    e.put(0x218, std::uint64_t{0});
    CHECK(e.asked() == no_fault);
    CHECK(e.with(0x21c, std::uint32_t{1}) == e.broken(0x218));
}

TEST_CASE("there is a BIOS, and its memory is nobody else's", "[x86][linux16_rules]")
{
    entering e;
    CHECK(e.with_at(phys_addr::at(0x40), std::uint32_t{0}) == broken_at(0x40));
    CHECK(e.with_at(phys_addr::at(0x54), std::uint32_t{0}) == broken_at(0x54));
    CHECK(e.with_at(phys_addr::at(0x44), std::uint32_t{0}) == no_fault); // a service that is not needed
    const auto extended = [&](std::uint16_t segment) { return e.with_at(phys_addr::at(0x40e), segment); };
    CHECK(extended(0x9f00) == no_fault);
    CHECK(extended(0x9eff) == broken_at(0x9'eff0)); // the last bytes of the real-mode segment
    CHECK(extended(0x8000) == broken_at(0x8'0000));
    CHECK(extended(0x7fff) == no_fault); // not an extended data area
    CHECK(extended(0xa000) == no_fault);
    CHECK(extended(0) == no_fault);

    SECTION("of the image's")
    {
        const phys_range last = phys_range::of(phys_addr::at(0xfff), byte_count::of(1));
        for (const content what : {content::copy, content::zero, content::scratch}) {
            e.parts.push_back({.destination = last, .what = what});
            CHECK(e.asked() == broken_at(0));
            e.parts.back().destination = phys_range::of(phys_addr::at(0x9'fc00), byte_count::of(1));
            CHECK(e.asked() == broken_at(0x9'fc00));
            e.parts.back().destination = phys_range::of(phys_addr::at(0x9'fbff), byte_count::of(1));
            CHECK(e.asked() == no_fault);
            e.parts.back().destination = phys_range::of(phys_addr::at(0x10'0000), byte_count::of(1));
            CHECK(e.asked() == no_fault);
            e.parts.pop_back();
        }
    }
    SECTION("of the safe regions")
    {
        e.safe.push_back({phys_range::of(phys_addr::at(0), x86::page_size), safe_role::plan});
        CHECK(e.asked() == broken_at(0));
        e.safe.back() = {phys_range::of(phys_addr::at(0xf'ffff), byte_count::of(1)), safe_role::stack};
        CHECK(e.asked() == broken_at(0x9'fc00));
        e.safe.back().role = safe_role::log; // which the running kernel has had there
        CHECK(e.asked() == no_fault);
    }
}

TEST_CASE("what comes from nowhere is not there", "[x86][linux16_rules]")
{
    entering e;
    const auto without = [&](phys_range r) {
        auto kept = e.parts;
        std::erase_if(e.parts, [&](const segment& g) { return g.destination == r; });
        const fault told = e.asked();
        e.parts = std::move(kept);
        return told;
    };
    CHECK(without(e.image->setup_page()) == e.broken(0));
    CHECK(without(e.image->command_line_page()) == e.broken(0x228));
}
