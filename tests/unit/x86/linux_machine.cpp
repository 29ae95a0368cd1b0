// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/x86/linux_machine.hpp>

#include <tests/catch.hpp>

using lobos::x86::linux_machine;
using namespace lobos::literals;

TEST_CASE("a Linux is told in as few pages as it takes", "[x86][linux_machine]")
{
    const std::byte seed[4081] = {};
    const struct {
        std::size_t regions, seed, pages;
    } cases[] = {{0, 0, 2}, {1, 0, 2}, {128, 0, 2}, {129, 0, 3}, {128 + 204, 0, 3}, {128 + 205, 0, 4},
        {128 + 6 * 204, 0, 8}, {128 + 6 * 204 + 1, 0, 8}, {~std::size_t{0} / 64, 0, 8}, {0, 1, 3}, {128, 32, 3},
        {128 + 201, 32, 3}, {128 + 202, 32, 4}, {128, 4080, 3}, {129, 4080, 4}, {129, 4081, 4}};
    for (const auto& c : cases) {
        CAPTURE(c.regions, c.seed);
        CHECK(linux_machine{.rng_seed = std::span{seed}.first(c.seed), .regions = c.regions}.parameter_pages() ==
            c.pages);
    }
}

TEST_CASE("what is known of the machine becomes parameters", "[x86][linux_machine]")
{
    const auto nothing = linux_machine{}.parameters();
    CHECK_FALSE(nothing.acpi_rsdp);
    CHECK_FALSE(nothing.efi);
    CHECK(nothing.rng_seed.empty());

    const std::byte seed[32] = {};
    const lobos::efi_firmware efi{true, 0x7f00'0000_pa, lobos::phys_range::of(0x7e00'0000_pa, 0x30_bytes), 48, 1};
    const auto all = linux_machine{.acpi_rsdp = 0xe0000_pa, .efi = efi, .rng_seed = seed}.parameters();
    CHECK(all.acpi_rsdp == 0xe0000_pa);
    REQUIRE(all.efi);
    CHECK(all.efi->system_table == 0x7f00'0000_pa);
    CHECK(linux_machine{.efi = efi, .regions = 10}.parameter_pages() == 2 + 1);
    CHECK(linux_machine{.efi = efi}.parameter_pages() == 2 + 4);
    CHECK(linux_machine{.efi = efi, .rng_seed = seed, .regions = 1000}.parameter_pages() == 8);
    CHECK(all.rng_seed.data() == seed);
    CHECK(all.rng_seed.size() == 32);
}
