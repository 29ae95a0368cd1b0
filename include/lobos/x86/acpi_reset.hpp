// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The firmware's own way to reset a machine: the reset register of the FADT, found from the ACPI root pointer
/// [acpi/6.5 §4.8.3.6, §5.2.5 to §5.2.9]. For a glue, which hands it to the exception guard by way of
/// machine_facts::reset. Believes no address, length or sum: all that is read lies in the range that the caller can
/// reach, every table's checksum is right, and whatever is not so means that there is no such register. Only one in I/O
/// space is of use to a guard that can map nothing.

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include <lobos/core/physical_memory.hpp>
#include <lobos/core/range.hpp>
#include <lobos/x86/departure.hpp>

namespace lobos::x86 {

/// Lengths and places that the tables have [acpi/6.5 tables 5.3, 5.4, 5.9].
namespace acpi {
inline constexpr std::uint64_t root_size = 20; ///< of the root pointer of version 1
inline constexpr std::uint64_t long_root_size = 36;
inline constexpr std::uint64_t header_size = 36;
inline constexpr std::uint64_t longest_table = 1u << 20; ///< what a table longer than that says is not believed
inline constexpr std::uint64_t fadt_flags = 112;
inline constexpr std::uint64_t fadt_reset_register = 116;
inline constexpr std::uint64_t fadt_reset_value = 128;
inline constexpr std::uint32_t has_reset_register = 1u << 10;
inline constexpr std::uint8_t io_space = 1;
} // namespace acpi

template <physical_memory M> class acpi_reader {
public:
    /// `reach` is what `memory` can read.
    acpi_reader(M& memory, phys_range reach) : memory_{memory}, reach_{reach} {}

    /// The reset register, if there is one in I/O space.
    std::optional<reset_register> reset(phys_addr root)
    {
        const auto fadt = find_fadt(root);
        if (!fadt || fadt->size < acpi::fadt_reset_value + 1)
            return std::nullopt;
        if ((get<std::uint32_t>(fadt->at + acpi::fadt_flags) & acpi::has_reset_register) == 0)
            return std::nullopt;
        const std::uint64_t at = fadt->at + acpi::fadt_reset_register;
        const auto port = get<std::uint64_t>(at + 4);
        if (get<std::uint8_t>(at) != acpi::io_space || get<std::uint8_t>(at + 1) != 8 || get<std::uint8_t>(at + 2) != 0)
            return std::nullopt;
        if (port == 0 || port > 0xffff)
            return std::nullopt;
        return reset_register{static_cast<std::uint16_t>(port), get<std::uint8_t>(fadt->at + acpi::fadt_reset_value)};
    }

private:
    struct table {
        std::uint64_t at;
        std::uint64_t size;
    };

    bool can_read(std::uint64_t at, std::uint64_t size) const
    {
        const auto r = phys_range::checked(phys_addr::at(at), byte_count::of(size));
        return r && reach_.contains(*r);
    }
    /// Precondition: it was found that this can be read.
    template <class T> T get(std::uint64_t at) { return load<T>(memory_, phys_addr::at(at)); }
    bool is(std::uint64_t at, std::string_view signature)
    {
        std::array<char, 8> text{};
        memory_.read(phys_addr::at(at), std::as_writable_bytes(std::span{text}.first(signature.size())));
        return std::string_view{text.data(), signature.size()} == signature;
    }
    bool sums_up(std::uint64_t at, std::uint64_t size)
    {
        std::array<std::byte, 64> part;
        std::uint8_t sum = 0;
        while (size != 0) {
            const std::uint64_t here = std::min<std::uint64_t>(part.size(), size);
            const auto bytes = std::span{part}.first(static_cast<std::size_t>(here));
            memory_.read(phys_addr::at(at), bytes);
            for (const std::byte b : bytes)
                sum = static_cast<std::uint8_t>(sum + std::to_integer<std::uint8_t>(b));
            at += here;
            size -= here;
        }
        return sum == 0;
    }

    std::optional<table> table_at(std::uint64_t at, std::string_view signature)
    {
        if (!can_read(at, acpi::header_size) || !is(at, signature))
            return std::nullopt;
        const std::uint64_t size = get<std::uint32_t>(at + 4);
        if (size < acpi::header_size || size > acpi::longest_table || !can_read(at, size) || !sums_up(at, size))
            return std::nullopt;
        return table{at, size};
    }

    /// By the table of 64-bit addresses where there is one, otherwise by that of 32-bit ones.
    std::optional<table> find_fadt(phys_addr root)
    {
        const std::uint64_t at = root.raw();
        if (!can_read(at, acpi::root_size) || !is(at, "RSD PTR ") || !sums_up(at, acpi::root_size))
            return std::nullopt;
        const bool is_long = get<std::uint8_t>(at + 15) >= 2 && can_read(at, acpi::long_root_size) &&
            get<std::uint32_t>(at + 20) == acpi::long_root_size && sums_up(at, acpi::long_root_size);
        if (is_long)
            if (const auto found = fadt_in<std::uint64_t>(table_at(get<std::uint64_t>(at + 24), "XSDT")))
                return found;
        return fadt_in<std::uint32_t>(table_at(get<std::uint32_t>(at + 16), "RSDT"));
    }
    template <class Address> std::optional<table> fadt_in(const std::optional<table>& list)
    {
        if (!list)
            return std::nullopt;
        for (std::uint64_t i = acpi::header_size; i + sizeof(Address) <= list->size; i += sizeof(Address))
            if (const auto found = table_at(get<Address>(list->at + i), "FACP"))
                return found;
        return std::nullopt;
    }

    M& memory_;
    phys_range reach_;
};

/// The reset register that the root pointer at `root` leads to, if there is one that a guard can use.
template <physical_memory M>
std::optional<reset_register> find_reset_register(M& memory, phys_addr root, phys_range reach)
{
    return acpi_reader<M>{memory, reach}.reset(root);
}

// Sanity checks
static_assert(acpi::fadt_reset_register + 12 == acpi::fadt_reset_value);

} // namespace lobos::x86
