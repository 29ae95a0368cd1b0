// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/x86/departure_rules.hpp>

#include <tests/support/departing.hpp>
#include <tests/support/effort.hpp>

using namespace lobos;
using namespace lobos::test;
using namespace lobos::x86;

namespace {

constexpr std::uint64_t frame = 0x1'2000, first_page = 0x1'3000, second_page = 0x1'4000;
constexpr std::uint64_t four_gib = 0x1'0000'0000;

fault broken_at(std::uint64_t at)
{
    return {fault_code::entry_contract_broken, stage::verifying, at};
}
fault bad_table(std::uint64_t at)
{
    return {fault_code::bad_descriptor_table, stage::verifying, at};
}
fault not_mapped(std::uint64_t at)
{
    return {fault_code::not_mapped, stage::verifying, at};
}
fault not_writable(std::uint64_t at)
{
    return {fault_code::not_writable, stage::verifying, at};
}

/// A machinery that is sound.
template <class D, class... Args> D sound(Args... args)
{
    D d{args...};
    REQUIRE(fault_of(d.write()) == no_fault);
    REQUIRE(fault_of(d.sound()) == no_fault);
    return d;
}

using to_running_32 = departing<paging_4m>;
using to_pae = departing<paging_4m, paging_pae>;
using to_long = departing<paging_4m, paging_4level>;
using from_64 = departing<paging_4level>;

to_running_32 running_32()
{
    return sound<to_running_32>(entry_state::as_running);
}
to_running_32 flat_from_32(copy_regime r = copy_regime::paged)
{
    return sound<to_running_32>(entry_state::flat_32, r);
}
to_pae pae_from_32()
{
    return sound<to_pae>(entry_state::paged_32, copy_regime::paged, paging_mode::pae);
}
to_long long_from_32()
{
    return sound<to_long>(entry_state::long_64, copy_regime::paged, paging_mode::four_level);
}
from_64 running_64()
{
    return sound<from_64>(entry_state::as_running);
}
from_64 long_from_64()
{
    return sound<from_64>(entry_state::long_64, copy_regime::paged, paging_mode::four_level, true);
}
from_64 flat_from_64()
{
    return sound<from_64>(entry_state::flat_32);
}

/// What is said when one value of the page at `page` is another.
template <class D> fault said(D d, std::uint64_t address, unsigned width, std::uint64_t value)
{
    d.poke(address, width, value);
    return fault_of(d.sound());
}

/// Every bit of a field counts.
template <class D> void every_bit_counts(const D& good, std::uint64_t offset, fault expected)
{
    const std::uint64_t value = D{good}.field(offset);
    for (unsigned bit = 0; bit < 64; ++bit) {
        CAPTURE(offset, bit);
        CHECK(said(good, frame + offset, 8, value ^ std::uint64_t{1} << bit) == expected);
    }
}

/// A field has to be an address in the code behind its head.
template <class D> void has_to_be_in_the_code(const D& good, std::uint64_t offset)
{
    const std::uint64_t end = 0x1'0000 + good.plan.code_size.raw();
    const std::uint64_t outside[] = {0, 0xffff, 0x1'0000, 0x1'001f, end, 0x1'2000, four_gib + 0x1'0040, ~0ull};
    for (const std::uint64_t place : outside) {
        CAPTURE(offset, place);
        CHECK(said(good, frame + offset, 8, place) == broken_at(frame));
    }
    CAPTURE(offset);
    CHECK(said(good, frame + offset, 8, 0x1'0020) == no_fault);
    CHECK(said(good, frame + offset, 8, end - 1) == no_fault);
}

} // namespace

TEST_CASE("what the writer makes is sound on every way", "[x86][departure_rules]")
{
    running_32();
    flat_from_32();
    flat_from_32(copy_regime::unpaged);
    pae_from_32();
    long_from_32();
    running_64();
    long_from_64();
    flat_from_64();
    sound<departing<paging_pae>>(entry_state::as_running);
    sound<departing<paging_pae>>(entry_state::flat_32, copy_regime::unpaged);
    sound<departing<paging_4m, paging_4k>>(entry_state::paged_32, copy_regime::unpaged, paging_mode::bits_32);
    sound<departing<paging_4level>>(entry_state::flat_32, copy_regime::unpaged);
    sound<departing<paging_5level>>(entry_state::as_running);
    sound<departing<paging_5level, paging_4level>>(entry_state::long_64, copy_regime::paged, paging_mode::four_level);
    sound<departing<paging_4level, paging_5level>>(entry_state::long_64, copy_regime::unpaged, paging_mode::five_level);
    sound<departing<paging_4level, paging_4m>>(entry_state::paged_32, copy_regime::paged, paging_mode::bits_32_pse);
    departing<paging_4k> small{entry_state::flat_32};
    small.running.cr4 = 0x80; // no large pages
    REQUIRE(small.write());
    CHECK(fault_of(small.sound()) == no_fault);
}

TEST_CASE("a frame that does not agree with the plan is refused", "[x86][departure_rules]")
{
    for (const std::uint64_t offset : {0u, 8u, 32u, 96u, 304u}) { // self table_root stack_top program_at trail
        every_bit_counts(running_32(), offset, broken_at(frame));
        every_bit_counts(flat_from_32(), offset, broken_at(frame));
        every_bit_counts(long_from_32(), offset, broken_at(frame));
        every_bit_counts(running_64(), offset, broken_at(frame));
    }
    every_bit_counts(running_32(), 216, broken_at(frame)); // entry
    every_bit_counts(running_64(), 216, broken_at(frame));
    every_bit_counts(pae_from_32(), 216, broken_at(frame));
    every_bit_counts(long_from_64(), 216, broken_at(frame));
    every_bit_counts(pae_from_32(), 192, broken_at(frame)); // up_cr3
    every_bit_counts(long_from_32(), 192, broken_at(frame));
    CHECK(said(flat_from_32(), frame + 216, 8, 0x10'0021) == broken_at(frame));

    auto elsewhere = running_32();
    elsewhere.plan.program = elsewhere.plan.program + 8_bytes;
    elsewhere.poke(frame + 96, 8, 0x1'2150);
    CHECK(fault_of(elsewhere.sound()) == broken_at(frame));
    CHECK(said(running_32(), frame + 336, 8, 0x1'7000) == broken_at(frame)); // the program's trail
}

TEST_CASE("every address of code lies in the code", "[x86][departure_rules]")
{
    for (const std::uint64_t offset : {40u, 80u, 88u}) { // arrive after_arrive after_copy
        has_to_be_in_the_code(running_32(), offset);
        has_to_be_in_the_code(flat_from_32(), offset);
        has_to_be_in_the_code(running_64(), offset);
        has_to_be_in_the_code(long_from_64(), offset);
    }
    has_to_be_in_the_code(flat_from_32(), 128); // after_hub
    has_to_be_in_the_code(flat_from_64(), 128);
    has_to_be_in_the_code(flat_from_32(), 120); // hub
    has_to_be_in_the_code(flat_from_64(), 120);
    has_to_be_in_the_code(pae_from_32(), 208); // after_up
    has_to_be_in_the_code(long_from_32(), 208);
    for (const std::uint64_t offset : {120u, 128u, 208u}) // nowhere where there is no hub
        CHECK(said(running_32(), frame + offset, 8, 0x1'0040) == broken_at(frame));
    CHECK(said(flat_from_32(), frame + 208, 8, 0x1'0040) == broken_at(frame));
}

TEST_CASE("long mode is asked for where the hub writes IA32_EFER, and on the way into it", "[x86][departure_rules]")
{
    CHECK(said(long_from_32(), frame + 168, 8, 0xffff'ffff) == broken_at(frame));
    CHECK(said(long_from_32(), frame + 168, 8, 0xffff'fffe) == no_fault);
    for (unsigned bit = 0; bit < 64; ++bit)
        CHECK(said(long_from_32(), frame + 176, 8, 0x100 ^ std::uint64_t{1} << bit) == broken_at(frame));
    CHECK(said(flat_from_32(), frame + 176, 8, 0x100) == broken_at(frame));
    CHECK(said(flat_from_64(), frame + 168, 8, 0xffff'f7ff) == broken_at(frame)); // its own stays
    CHECK(said(flat_from_64(), frame + 168, 8, 0xffff'feff) == no_fault);
    CHECK(said(running_32(), frame + 176, 8, 0x100) == broken_at(frame));
}

TEST_CASE("an image that is entered unpaged is left for from the hub", "[x86][departure_rules]")
{
    auto paged = running_32();
    paged.plan.entered_paged = false;
    CHECK(fault_of(paged.sound()) == broken_at(frame));
    auto up = pae_from_32();
    up.plan.entered_paged = false;
    CHECK(fault_of(up.sound()) == broken_at(frame));
    CHECK(said(flat_from_32(), frame + 192, 8, 0x2'2000) == broken_at(frame));
}

TEST_CASE("what 32 bits cannot say is refused and not cut", "[x86][departure_rules]")
{
    const auto root = [](auto d) {
        d.plan.new_root = phys_addr::at(four_gib + 0x2'1000);
        d.poke(frame + 8, 8, four_gib + 0x2'1000);
        return fault_of(d.sound());
    };
    CHECK(root(running_32()) == broken_at(frame));
    CHECK(root(flat_from_32()) == broken_at(frame));

    const auto stack = [](auto d, std::uint64_t page) {
        d.plan.stack = phys_addr::at(page);
        d.poke(frame + 32, 8, page + 0x1000);
        return fault_of(d.sound());
    };
    CHECK(stack(running_32(), four_gib + 0x1'1000) == broken_at(frame));
    CHECK(stack(running_32(), 0xffff'f000) == broken_at(frame)); // one past it
    CHECK(stack(flat_from_64(), four_gib + 0x1'1000) == broken_at(frame));
    CHECK(stack(running_64(), four_gib + 0x1'1000) == not_mapped(from_64::stack_alias + 0xfff)); // 64 bits say it

    const auto code = [](auto d) {
        d.plan.code = phys_addr::at(four_gib + 0x1'0000);
        for (const std::uint64_t offset : {40u, 80u, 88u, 120u, 128u, 208u})
            if (const std::uint64_t was = d.field(offset); was != 0)
                d.poke(frame + offset, 8, four_gib + was);
        return fault_of(d.sound());
    };
    CHECK(code(running_32()) == broken_at(frame));
    CHECK(code(flat_from_32()) == broken_at(frame));
    CHECK(code(flat_from_64()) == broken_at(frame));

    const auto entry = [](auto d) {
        d.plan.entry = virt_addr::at(four_gib + 0x20);
        d.poke(frame + 216, 8, four_gib + 0x20);
        return fault_of(d.sound());
    };
    CHECK(entry(running_32()) == broken_at(frame));
    CHECK(entry(flat_from_64()) == broken_at(frame));
    CHECK(entry(pae_from_32()) == broken_at(frame));
    CHECK(entry(long_from_32()) == no_fault);
    CHECK(entry(running_64()) == no_fault);

    const auto trail = [](auto d, std::uint64_t at) {
        d.poke(frame + 304, 8, at);
        d.poke(frame + 336, 8, at);
        return fault_of(d.sound());
    };
    CHECK(trail(running_32(), 0x1'7000) == no_fault);
    CHECK(trail(running_32(), four_gib + 0x1'7000) == broken_at(frame));
    CHECK(trail(flat_from_64(), four_gib + 0x1'7000) == broken_at(frame));
    CHECK(trail(running_64(), four_gib + 0x1'7000) == no_fault);

    const auto hub_page = [](auto d) {
        d.plan.mode_pages[0] = phys_addr::at(four_gib + first_page);
        return fault_of(d.sound());
    };
    CHECK(hub_page(flat_from_32()) == broken_at(frame));
    CHECK(hub_page(flat_from_64()) == broken_at(frame));

    const auto entry_root = [](auto d) {
        d.plan.entry_root = phys_addr::at(four_gib + 0x2'2000);
        d.poke(frame + 192, 8, four_gib + 0x2'2000);
        return fault_of(d.sound());
    };
    CHECK(entry_root(pae_from_32()) == broken_at(frame));
    CHECK(entry_root(long_from_32()) == broken_at(frame));

    CHECK(said(running_32(), frame + 24, 8, four_gib + to_running_32::stack_alias + 0x1000) == broken_at(frame));
    CHECK(said(running_32(), frame + 50, 8, four_gib + to_running_32::frame_alias + 1024) == broken_at(frame));
}

TEST_CASE("CR4 of the copy stands for the running mode of paging", "[x86][departure_rules]")
{
    const auto cr4 = [](auto d, std::uint64_t value) { // in both places
        d.poke(0x1'0018, 8, value);
        d.poke(frame + 16, 8, value);
        return fault_of(d.sound());
    };
    CHECK(cr4(running_32(), 0x10) == no_fault);
    CHECK(cr4(running_32(), 0x50) == no_fault);
    CHECK(cr4(running_64(), 0x70) == no_fault);
    for (const std::uint64_t wrong : {0x00u, 0x20u, 0x30u})
        CHECK(cr4(running_32(), wrong) == broken_at(frame));
    for (const std::uint64_t wrong : {0x00u, 0x10u, 0x1020u})
        CHECK(cr4(running_64(), wrong) == broken_at(frame));
    // Nothing that old protections or global mappings would answer to.
    for (unsigned bit = 0; bit < 64; ++bit) {
        const bool may = bit == 4 || bit == 5 || bit == 6 || bit == 12;
        CAPTURE(bit);
        if (!may) {
            CHECK(cr4(running_32(), 0x10 | std::uint64_t{1} << bit) == broken_at(frame));
            CHECK(cr4(running_64(), 0x20 | std::uint64_t{1} << bit) == broken_at(frame));
        }
    }
}

TEST_CASE("the registers of the way up stand for the image's mode of paging", "[x86][departure_rules]")
{
    for (const std::uint64_t wrong : {0x00u, 0x10u, 0x50u, 0xf0u, 0x2070u}) {
        CAPTURE(wrong);
        CHECK(said(pae_from_32(), frame + 184, 8, wrong) == broken_at(frame));
        CHECK(said(long_from_32(), frame + 184, 8, wrong) == broken_at(frame));
    }
    CHECK(said(pae_from_32(), frame + 184, 8, 0x20) == no_fault);
    CHECK(said(long_from_32(), frame + 184, 8, 0x1070) == broken_at(frame)); // five levels
    CHECK(said(pae_from_32(), frame + 176, 8, 0x100) == broken_at(frame));   // long mode
    CHECK(said(long_from_32(), frame + 176, 8, 0) == broken_at(frame));
    CHECK(said(pae_from_32(), frame + 200, 8, 0x11) == broken_at(frame)); // no paging
    CHECK(said(pae_from_32(), frame + 200, 8, 0x8001'0010) == broken_at(frame));
    CHECK(said(pae_from_32(), frame + 200, 8, 0x8000'0011) == no_fault);
}

TEST_CASE("the safe stack is at its alias in the running tables and in the new ones", "[x86][departure_rules]")
{
    const auto stack = [](auto d, std::uint64_t root, std::uint64_t to, std::uint64_t bits = 2) {
        using D = decltype(d);
        d.template map<typename D::paging>(root, D::stack_alias, to, bits);
        return fault_of(d.sound());
    };
    struct for_32 : to_running_32 {
        using paging = paging_4m;
        for_32() : to_running_32{entry_state::as_running} { REQUIRE(write()); }
    };
    struct for_64 : from_64 {
        using paging = paging_4level;
        for_64() : from_64{entry_state::as_running} { REQUIRE(write()); }
    };
    for (const std::uint64_t root : {0x2'0000u, 0x2'1000u}) {
        CHECK(stack(for_32{}, root, 0x1'1000) == no_fault);
        CHECK(stack(for_32{}, root, 0x1'6000) == not_mapped(0xc075'0fff));
        CHECK(stack(for_64{}, root, 0x1'6000) == not_mapped(0xffff'8000'c075'0fff));
        CHECK(stack(for_32{}, root, 0x1'1000, 0) == not_writable(0xc075'0fff)); // an exception could not be told
        CHECK(stack(for_64{}, root, 0x1'1000, 0) == not_writable(0xffff'8000'c075'0fff));
    }
    CHECK(said(running_32(), frame + 24, 8, 0xc075'2000) == not_mapped(0xc075'1fff));
    CHECK(said(running_32(), frame + 24, 8, 0xc075'0ff8) == not_mapped(0xc075'0ff7)); // not its end
}

TEST_CASE("the head of the code page says the same as the frame", "[x86][departure_rules]")
{
    for (const std::uint64_t offset : {0u, 8u, 16u, 24u})
        for (unsigned bit = 0; bit < 64; ++bit) {
            auto d = running_32();
            const std::uint64_t at = 0x1'0000 + offset;
            d.poke(at, 8, d.at(at) ^ std::uint64_t{1} << bit);
            CAPTURE(offset, bit);
            CHECK(fault_of(d.sound()) == broken_at(0x1'0000));
        }
    CHECK(said(running_32(), frame + 16, 8, 0x50) == broken_at(0x1'0000)); // a CR4 that would do as well
}

TEST_CASE("a descriptor table that does not lie in its page is refused", "[x86][departure_rules]")
{
    // The copy's: whatever its base it says where the page is, and the page has to be there.
    const std::uint64_t base = to_running_32::frame_alias + 1024;
    CHECK(said(running_32(), frame + 50, 8, base + 8) == bad_table(to_running_32::frame_alias + 3072));
    CHECK(said(running_32(), frame + 66, 8, base) == bad_table(base));
    auto both = running_32();
    both.poke(frame + 50, 8, base + 0x1000);
    both.poke(frame + 66, 8, base + 0x1000 + 2048);
    CHECK(fault_of(both.sound()) == not_mapped(to_running_32::frame_alias + 0x1000));
    auto identity = running_32(); // there only once the tables are switched
    identity.poke(frame + 50, 8, frame + 1024);
    identity.poke(frame + 66, 8, frame + 3072);
    CHECK(fault_of(identity.sound()) == not_mapped(frame));

    for (const std::uint64_t other : {0x1'3408ull, 0x1'33f8ull, 0x1'2400ull, 0ull, 0x1'0001'3400ull}) {
        CHECK(said(flat_from_32(), frame + 138, 8, other) == bad_table(other));
        CHECK(said(flat_from_64(), frame + 138, 8, other) == bad_table(other));
        CHECK(said(flat_from_32(), frame + 154, 8, other) == bad_table(other));
    }
    CHECK(said(long_from_32(), frame + 274, 8, 0x1'3400) == bad_table(0x1'3400));
    CHECK(said(long_from_32(), frame + 290, 8, 0x1'3c00) == bad_table(0x1'3c00));
    CHECK(said(long_from_64(), frame + 274, 8, 0x1'4400) == bad_table(0x1'4400));
    CHECK(said(long_from_64(), frame + 290, 8, 0x1'4c00) == bad_table(0x1'4c00));
}

TEST_CASE("limits are those of whole tables inside the page", "[x86][departure_rules]")
{
    for (const std::uint64_t limit : {0x46ull, 0x48ull, 0ull, 0x800ull, 0x807ull, 0xffffull}) {
        CAPTURE(limit);
        CHECK(said(running_32(), frame + 48, 2, limit) == bad_table(0xc073'0400));
        CHECK(said(flat_from_32(), frame + 136, 2, limit) == bad_table(0x1'3400));
        CHECK(said(long_from_32(), frame + 272, 2, limit) == bad_table(0x1'4400));
    }
    CHECK(said(running_32(), frame + 48, 2, 0x7ff) == no_fault);
    for (const std::uint64_t limit : {0x1feull, 0xffull, 0x200ull}) {
        CAPTURE(limit);
        CHECK(said(running_32(), frame + 64, 2, limit) == bad_table(0xc073'0c00));
        CHECK(said(flat_from_64(), frame + 152, 2, limit) == bad_table(0x1'3c00));
        CHECK(said(long_from_64(), frame + 288, 2, limit) == bad_table(0x1'3c00));
    }
    // A selector has to end within the limit.
    CHECK(said(flat_from_32(), frame + 48, 2, 0x2f) == bad_table(0x30));
    CHECK(said(flat_from_32(), frame + 48, 2, 0x37) == bad_table(0x38));
    CHECK(said(flat_from_32(), frame + 48, 2, 0x3f) == no_fault);
    CHECK(said(flat_from_32(), frame + 136, 2, 0x2f) == bad_table(0x30));
    CHECK(said(flat_from_32(), frame + 136, 2, 0x37) == bad_table(0x38));
    CHECK(said(flat_from_64(), frame + 48, 2, 0x3f) == bad_table(0x40));
    CHECK(said(long_from_64(), frame + 272, 2, 0x3f) == bad_table(0x40)); // of the gates
}

TEST_CASE("the first descriptor is null", "[x86][departure_rules]")
{
    CHECK(said(running_32(), frame + 1024, 8, 1) == bad_table(0));
    CHECK(said(flat_from_32(), first_page + 1024, 8, 1) == bad_table(0));
    CHECK(said(long_from_32(), second_page + 1024, 8, 1) == bad_table(0));
}

TEST_CASE("selectors have to name flat segments of the table", "[x86][departure_rules]")
{
    const auto try_all = [](const auto& good, std::uint64_t offset, std::uint64_t of_the_other_kind) {
        for (const std::uint64_t selector : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{8}, std::uint64_t{0x11},
                 std::uint64_t{0x12}, std::uint64_t{0x14}, std::uint64_t{0x1b}, std::uint64_t{0x20},
                 std::uint64_t{0x28}, std::uint64_t{0x48}, std::uint64_t{0x800}, std::uint64_t{0xfff8},
                 std::uint64_t{0x1'0010}, ~std::uint64_t{7}, of_the_other_kind}) {
            CAPTURE(offset, selector);
            CHECK(said(good, frame + offset, 8, selector) == bad_table(selector));
        }
    };
    try_all(running_32(), 104, 0x18); // of the copy
    try_all(running_32(), 112, 0x10);
    try_all(running_32(), 224, 0x18); // of the entry
    try_all(running_32(), 232, 0x10);
    try_all(flat_from_32(), 104, 0x38);
    try_all(flat_from_32(), 112, 0x30);
    try_all(flat_from_32(), 264, 0x38); // of the hub
    try_all(flat_from_32(), 224, 0x40);
    try_all(flat_from_32(), 232, 0x10);
    try_all(flat_from_64(), 104, 0x30);
    try_all(flat_from_64(), 112, 0x40);
    try_all(flat_from_64(), 264, 0x40);
    try_all(flat_from_64(), 224, 0x40);
    try_all(long_from_32(), 224, 0x30);
    try_all(long_from_32(), 232, 0x10);
    try_all(long_from_64(), 104, 0x30);
    try_all(long_from_64(), 224, 0x30);
    try_all(long_from_64(), 232, 0x40);
}

TEST_CASE("64-bit code may have no data segment where the image is entered as it runs", "[x86][departure_rules]")
{
    auto none = running_64();
    none.poke(frame + 112, 8, 0);
    none.poke(frame + 232, 8, 0);
    CHECK(fault_of(none.sound()) == no_fault);
    CHECK(said(running_64(), frame + 112, 8, 4) == bad_table(4));
    CHECK(said(long_from_64(), frame + 232, 8, 0) == bad_table(0)); // the protocol has one
    CHECK(said(flat_from_64(), frame + 112, 8, 0) == bad_table(0)); // the hub's is 32-bit code
}

/// What rule 10 says when a bit of a descriptor is another.
template <class D> fault flipped(D d, std::uint64_t page, std::uint64_t selector, unsigned bit)
{
    const std::uint64_t at = page + 1024 + selector;
    d.poke(at, 8, d.at(at) ^ std::uint64_t{1} << bit);
    return fault_of(d.sound());
}

TEST_CASE("of a flat segment every bit counts", "[x86][departure_rules]")
{
    for (unsigned bit = 0; bit < 64; ++bit) {
        CAPTURE(bit);
        CHECK(flipped(running_32(), frame, 0x10, bit) == bad_table(0x10));
        CHECK(flipped(running_32(), frame, 0x18, bit) == bad_table(0x18));
        CHECK(flipped(flat_from_32(), frame, 0x30, bit) == bad_table(0x30));
        CHECK(flipped(flat_from_32(), first_page, 0x30, bit) == bad_table(0x30));
        CHECK(flipped(flat_from_32(), first_page, 0x38, bit) == bad_table(0x38));
        CHECK(flipped(flat_from_32(), first_page, 0x10, bit) == bad_table(0x10));
        CHECK(flipped(flat_from_32(), first_page, 0x18, bit) == bad_table(0x18));
        CHECK(flipped(flat_from_64(), frame, 0x30, bit) == bad_table(0x30)); // in force until paging is off
        CHECK(flipped(long_from_32(), second_page, 0x18, bit) == bad_table(0x18));
        CHECK(flipped(long_from_64(), first_page, 0x18, bit) == bad_table(0x18)); // the protocol's is flat
    }
}

TEST_CASE(
    "64-bit mode ignores base and limit, and neither type nor mode, privilege, presence", "[x86][departure_rules]")
{
    // [intel/vol3 §5.2.1]
    for (const unsigned bit : {40u, 43u, 44u, 45u, 46u, 47u, 53u, 54u}) {
        CAPTURE(bit);
        CHECK(flipped(running_64(), frame, 0x10, bit) == bad_table(0x10));
        CHECK(flipped(flat_from_64(), frame, 0x40, bit) == bad_table(0x40));
        CHECK(flipped(long_from_32(), second_page, 0x10, bit) == bad_table(0x10));
        CHECK(flipped(long_from_64(), first_page, 0x10, bit) == bad_table(0x10));
    }
    for (const unsigned bit : {40u, 41u, 43u, 44u, 45u, 46u, 47u}) {
        CAPTURE(bit);
        CHECK(flipped(running_64(), frame, 0x18, bit) == bad_table(0x18));
    }
    for (const unsigned bit : {0u, 15u, 16u, 39u, 48u, 51u, 55u, 56u, 63u}) {
        CHECK(flipped(running_64(), frame, 0x10, bit) == no_fault);
        CHECK(flipped(running_64(), frame, 0x18, bit) == no_fault);
    }
    auto plain = running_64(); // as many 64-bit kernels have it
    plain.poke(frame + 1024 + 0x18, 8, 0x0000'9300'0000'0000);
    CHECK(fault_of(plain.sound()) == no_fault);
}

TEST_CASE("a running kernel whose own selectors are not flat cannot hand them on", "[x86][departure_rules]")
{
    to_running_32 d{entry_state::as_running};
    d.running.code_selector = 0x08; // the user's
    REQUIRE(d.write());
    CHECK(fault_of(d.sound()) == bad_table(0x08));
    to_running_32 without_data{entry_state::as_running};
    without_data.running.data_selector = 0;
    REQUIRE(without_data.write());
    CHECK(fault_of(without_data.sound()) == bad_table(0));
}

TEST_CASE("every gate is a present interrupt gate of ring 0 to code in the code page", "[x86][departure_rules]")
{
    const auto try_all = [](const auto& good, std::uint64_t page, bool is_64, std::uint64_t guard, std::uint64_t code,
                             std::uint64_t data) {
        for (std::uint64_t v = 0; v < 32; v += stride<std::uint64_t>(2)) { // that of the NMI among them
            const std::uint64_t gate = page + 3072 + v * (is_64 ? 16 : 8);
            const std::uint64_t handler = guard + (v == 2 ? 160 : 5 * v);
            CAPTURE(page, v);
            for (const std::uint64_t type : {0x8f00u, 0x0e00u, 0xee00u, 0x8600u, 0x8e01u, 0x8500u})
                CHECK(said(good, gate + 4, 2, type) == bad_table(handler));
            for (const std::uint64_t selector : {std::uint64_t{0}, data, code | 3, std::uint64_t{0xfff8}})
                CHECK(said(good, gate + 2, 2, selector) == bad_table(selector));
            const std::uint64_t outside = handler ^ 0x8000; // another page
            CHECK(said(good, gate, 2, outside & 0xffff) == bad_table(outside));
            CHECK(said(good, gate + 6, 2, 0x4321) == bad_table((handler & ~std::uint64_t{0xffff'0000}) | 0x4321'0000));
            if (is_64)
                CHECK(said(good, gate + 8, 4, 0x7654) == bad_table((handler & 0xffff'ffff) | 0x7654ull << 32));
        }
        // The head of the code page is no code.
        const std::uint64_t first_handler = guard & ~std::uint64_t{0xffff};
        CHECK(
            said(good, page + 3072, 2, (guard & 0xf000) | 0x1f) == bad_table(first_handler | (guard & 0xf000) | 0x1f));
    };
    using enum piece;
    const auto place = [](auto places, piece p) { return places.at(p) - 0x1'0000; };
    const auto running_at = place(places_of({depart, arrive, copy, leave_flat, guard_32}), guard_32);
    try_all(running_32(), frame, false, 0xc071'0000 + running_at, 0x10, 0x18);
    const auto hub_at = place(places_of({depart, arrive, copy, down, hub, leave_flat, guard_32}), guard_32);
    try_all(flat_from_32(), first_page, false, 0x1'0000 + hub_at, 0x30, 0x38);
    const auto long_at = place(places_of({depart, arrive, copy, leave_long, guard_64}), guard_64);
    try_all(running_64(), frame, true, 0xffff'8000'c071'0000 + long_at, 0x10, 0x18);
    const auto same_at = place(places_of({depart, arrive, copy, switch_long, leave_long, guard_64}), guard_64);
    try_all(long_from_64(), first_page, true, 0x1'0000 + same_at, 0x40, 0x30);
    const auto last_at =
        place(places_of({depart, arrive, copy, down, hub, up, enter_long, leave_long, guard_32, guard_64}), guard_64);
    try_all(long_from_32(), second_page, true, 0x1'0000 + last_at, 0x40, 0x38);
}

TEST_CASE("the frame is at its alias in both tables", "[x86][departure_rules]")
{
    for (const std::uint64_t root : {0x2'0000u, 0x2'1000u}) {
        auto d = running_32();
        d.map<paging_4m>(root, to_running_32::frame_alias, 0x1'6000);
        CHECK(fault_of(d.sound()) == not_mapped(0xc073'0000));
        auto wide = running_64();
        wide.map<paging_4level>(root, from_64::frame_alias, 0x1'6000);
        CHECK(fault_of(wide.sound()) == not_mapped(0xffff'8000'c073'0000));
    }
}

TEST_CASE("at the hub's address lie the tables of the mode that comes there", "[x86][departure_rules]")
{
    // A 64-bit kernel still has its own descriptors there, a 32-bit one those of the hub.
    auto from_32 = flat_from_32();
    from_32.map<paging_4m>(0x2'1000, first_page, frame);
    CHECK(fault_of(from_32.sound()) == not_mapped(first_page));
    auto wide = flat_from_64();
    wide.map<paging_4level>(0x2'1000, first_page, first_page);
    CHECK(fault_of(wide.sound()) == not_mapped(first_page));
    // On the same tables the image's page is where it is.
    auto same = long_from_64();
    same.map<paging_4level>(0x2'1000, first_page, frame);
    CHECK(fault_of(same.sound()) == not_mapped(first_page));
    // On the way up the 64-bit tables lie at the hub's address, and the 32-bit image's hub stays.
    auto to_64 = long_from_32();
    to_64.map<paging_4level>(0x2'2000, first_page, first_page);
    CHECK(fault_of(to_64.sound()) == not_mapped(first_page));
    auto to_32 = pae_from_32();
    to_32.map<paging_pae>(0x2'2000, first_page, second_page);
    CHECK(fault_of(to_32.sound()) == not_mapped(first_page));
}

TEST_CASE("the pages of the way up are one to one in the image's tables", "[x86][departure_rules]")
{
    for (const std::uint64_t page : {0x1'0000u, 0x1'1000u, 0x1'2000u}) {
        CAPTURE(page);
        auto pae = pae_from_32();
        pae.map<paging_pae>(0x2'2000, page, 0x1'7000);
        CHECK(fault_of(pae.sound()) == not_mapped(page));
        auto wide = long_from_32();
        wide.map<paging_4level>(0x2'2000, page, 0x1'7000);
        CHECK(fault_of(wide.sound()) == not_mapped(page));
    }
    const std::uint64_t no_execute = std::uint64_t{1} << 63;
    auto code = pae_from_32();
    code.map<paging_pae>(0x2'2000, 0x1'0000, 0x1'0000, 2 | no_execute);
    CHECK(fault_of(code.sound()) == fault{fault_code::not_executable, stage::verifying, 0x1'0000});
    code.map<paging_pae>(0x2'2000, 0x1'0000, 0x1'0000, 0); // read-only code is good enough
    code.map<paging_pae>(0x2'2000, 0x1'2000, 0x1'2000, no_execute);
    CHECK(fault_of(code.sound()) == no_fault);
    auto stack = pae_from_32();
    stack.map<paging_pae>(0x2'2000, 0x1'1000, 0x1'1000, 0);
    CHECK(fault_of(stack.sound()) == not_writable(0x1'1000));
}

TEST_CASE("an entry below the plan's is an offset in a segment as real mode has them", "[x86][departure_rules]")
{
    from_64 good{entry_state::real_16};
    good.values.real_base = 0x9'0000;
    good.plan.entry = 0x9'0200_va;
    REQUIRE(good.write());
    REQUIRE(fault_of(good.sound()) == no_fault);
    CHECK(said(good, frame + 216, 8, 0x201) == bad_table(0x20)); // another base than the segment's
    CHECK(said(good, frame + 224, 8, 0x10) == bad_table(0x10));
    CHECK(said(good, frame + 232, 8, 0x28) == bad_table(0x28)); // the stub loads it itself
    CHECK(said(good, frame + 216, 8, 0x9'0200) == bad_table(0x20));
    for (const std::uint64_t selector : {0x20u, 0x28u})
        for (unsigned bit = 0; bit < 64; ++bit) {
            auto d = good;
            const std::uint64_t word = d.at(first_page + 1024 + selector);
            d.poke(first_page + 1024 + selector, 8, word ^ std::uint64_t{1} << bit);
            CAPTURE(selector, bit);
            CHECK(fault_of(d.sound()) == bad_table(selector));
        }
    // Behind the end of the 64 KB.
    from_64 far{entry_state::real_16};
    far.values.real_base = 0x9'0000;
    far.plan.entry = 0xa'0000_va;
    REQUIRE(far.write());
    CHECK(fault_of(far.sound()) == bad_table(0x20));
    far.plan.entry = 0x9'ffff_va;
    REQUIRE(far.write());
    CHECK(fault_of(far.sound()) == no_fault);
}
