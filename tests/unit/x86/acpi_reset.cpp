// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/x86/acpi_reset.hpp>

#include <string_view>

#include <tests/catch.hpp>
#include <tests/support/byte_memory.hpp>

using namespace lobos;
using namespace lobos::x86;
using test::byte_memory;
using test::bytes;
using test::patch;

namespace {

constexpr std::uint64_t size_of_memory = 0x4000;
constexpr std::uint64_t rsdp = 0x100, rsdt = 0x1000, xsdt = 0x1800, other = 0x2000, fadt = 0x3000;

/// Firmware with a port 0xcf9 and value 6 in the FADT, which lies second in both lists.
struct firmware {
    bytes memory = bytes(size_of_memory);

    void text(std::uint64_t at, std::string_view s)
    {
        for (std::size_t i = 0; i < s.size(); ++i)
            memory.at(at + i) = static_cast<std::byte>(s[i]);
    }
    void seal(std::uint64_t at, std::uint64_t size, std::uint64_t sum_at)
    {
        unsigned sum = 0;
        memory.at(sum_at) = std::byte{0};
        for (std::uint64_t i = 0; i < size; ++i)
            sum += std::to_integer<unsigned>(memory.at(at + i));
        memory.at(sum_at) = static_cast<std::byte>(0x100 - (sum & 0xff));
    }
    void table(std::uint64_t at, std::string_view signature, std::uint32_t size)
    {
        text(at, signature);
        patch(memory, at + 4, 4, size);
    }
    void seal_table(std::uint64_t at) { seal(at, test::peek(memory, at + 4, 4), at + 9); }

    explicit firmware(unsigned revision, std::uint32_t fadt_size = 244)
    {
        text(rsdp, "RSD PTR ");
        patch(memory, rsdp + 15, 1, revision);
        patch(memory, rsdp + 16, 4, rsdt);
        if (revision >= 2) {
            patch(memory, rsdp + 20, 4, 36);
            patch(memory, rsdp + 24, 8, xsdt);
        }
        table(rsdt, "RSDT", 36 + 8);
        patch(memory, rsdt + 36, 4, other);
        patch(memory, rsdt + 40, 4, fadt);
        table(xsdt, "XSDT", 36 + 16);
        patch(memory, xsdt + 36, 8, other);
        patch(memory, xsdt + 44, 8, fadt);
        table(other, "APIC", 60);
        table(fadt, "FACP", fadt_size);
        patch(memory, fadt + 112, 4, 1u << 10 | 0xa5);
        patch(memory, fadt + 116, 1, 1); // I/O space
        patch(memory, fadt + 117, 1, 8); // bits
        patch(memory, fadt + 120, 8, 0xcf9);
        patch(memory, fadt + 128, 1, 6);
        seal_all();
    }
    void seal_all()
    {
        for (const std::uint64_t at : {rsdt, xsdt, other, fadt})
            seal_table(at);
        seal(rsdp, 20, rsdp + 8);
        if (memory[rsdp + 15] >= std::byte{2})
            seal(rsdp, 36, rsdp + 32);
    }
    std::optional<reset_register> found(std::uint64_t reach = size_of_memory) const
    {
        byte_memory m{static_cast<std::size_t>(size_of_memory)}; // throws on any access outside
        m.write(phys_addr::at(0), memory);
        return find_reset_register(m, phys_addr::at(rsdp), phys_range::of(phys_addr::at(0), byte_count::of(reach)));
    }
};

} // namespace

TEST_CASE("the register is found by either list", "[x86][acpi_reset]")
{
    for (const unsigned revision : {0u, 2u})
        CHECK(firmware{revision}.found() == reset_register{0xcf9, 6});
    firmware only_long{2};
    patch(only_long.memory, rsdp + 16, 4, 0);
    only_long.seal_all();
    CHECK(only_long.found() == reset_register{0xcf9, 6});
    firmware damaged_long{2}; // the short list still stands
    damaged_long.memory[xsdt + 40] ^= std::byte{1};
    CHECK(damaged_long.found() == reset_register{0xcf9, 6});
}

TEST_CASE("a register that a guard cannot use is none", "[x86][acpi_reset]")
{
    const auto with = [](std::uint64_t offset, std::size_t width, std::uint64_t value) {
        firmware f{2};
        patch(f.memory, fadt + offset, width, value);
        f.seal_all();
        return f.found();
    };
    CHECK_FALSE(with(112, 4, ~(1u << 10) & 0xffff'ffff)); // not supported
    CHECK_FALSE(with(116, 1, 0));                         // memory
    CHECK_FALSE(with(116, 1, 2));                         // PCI configuration
    CHECK_FALSE(with(117, 1, 16));
    CHECK_FALSE(with(118, 1, 1));
    CHECK_FALSE(with(120, 8, 0));
    CHECK_FALSE(with(120, 8, 0x1'0000));
    CHECK_FALSE(with(120, 8, 0x1'0000'0cf9));
    CHECK(with(120, 8, 0xffff) == reset_register{0xffff, 6});
    CHECK(with(128, 1, 0xfe) == reset_register{0xcf9, 0xfe});
}

TEST_CASE("a FADT of version 1 has no room for one", "[x86][acpi_reset]")
{
    CHECK_FALSE(firmware{0, 116}.found());
    CHECK_FALSE(firmware{0, 128}.found());
    CHECK(firmware{0, 129}.found());
}

TEST_CASE("a single damaged bit anywhere is never believed", "[x86][acpi_reset]")
{
    const firmware good{0};
    for (const auto& [at, size] : {std::pair{rsdp, std::uint64_t{20}}, {rsdt, 44}, {fadt, 244}})
        for (std::uint64_t i = 0; i < size; ++i)
            for (unsigned bit = 0; bit < 8; ++bit) {
                firmware f = good;
                f.memory[at + i] ^= static_cast<std::byte>(1u << bit);
                if (const auto found = f.found())
                    FAIL("byte " << at + i << " bit " << bit);
            }
}

TEST_CASE("nothing beyond what can be read is read", "[x86][acpi_reset]")
{
    const firmware good{2};
    for (const std::uint64_t reach : {rsdp + 19, rsdt + 10, rsdt + 43, fadt + 10, fadt + 243})
        CHECK_FALSE(good.found(reach));
    CHECK(good.found(fadt + 244));
    const auto with = [](std::uint64_t at, std::size_t width, std::uint64_t value) {
        firmware f{2};
        patch(f.memory, at, width, value);
        f.seal(rsdp, 20, rsdp + 8);
        f.seal(rsdp, 36, rsdp + 32);
        return f.found();
    };
    for (const std::uint64_t far : {size_of_memory, size_of_memory - 4, std::uint64_t{0xffff'fff0}}) {
        CHECK(with(rsdp + 24, 8, far) == reset_register{0xcf9, 6}); // by the other list
        CHECK(with(rsdp + 24, 8, ~std::uint64_t{0} - 3) == reset_register{0xcf9, 6});
    }
    for (const std::uint64_t size : {0u, 35u, 0x3001u, 0x10'0001u, 0xffff'ffffu}) {
        firmware f{0};
        patch(f.memory, fadt + 4, 4, size);
        CHECK_FALSE(f.found());
        firmware list{0};
        patch(list.memory, rsdt + 4, 4, size);
        CHECK_FALSE(list.found());
    }
}
