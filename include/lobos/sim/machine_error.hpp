// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// What a simulated machine throws where a real one would have gone wrong: an exception of its processor, which past
/// the point of no return is the end, or something no machine reports at all, as executing what is no code.

#include <cstdint>
#include <cstdio>
#include <optional>
#include <stdexcept>
#include <string>

namespace lobos::sim {

/// An exception of the processor: its vector in the machine's own numbering, and the error code that comes with it.
struct exception_code {
    unsigned vector;
    std::uint32_t error = 0;
    friend constexpr bool operator==(exception_code, exception_code) = default;
};

class machine_error : public std::runtime_error {
public:
    /// `what()` says how and where; `address` is what was addressed, or the selector that was loaded.
    machine_error(const std::string& what, std::uint64_t address)
        : std::runtime_error{what + " at " + hex(address)},
          address_{address}
    {
    }
    machine_error(const std::string& what, std::uint64_t address, exception_code code)
        : std::runtime_error{what + " at " + hex(address) + " (vector " + std::to_string(code.vector) +
              ", error code " + hex(code.error) + ")"},
          address_{address},
          code_{code}
    {
    }

    std::uint64_t address() const { return address_; }
    /// Nothing when it is no exception of the processor.
    std::optional<exception_code> code() const { return code_; }

private:
    static std::string hex(std::uint64_t value)
    {
        char text[24];
        std::snprintf(
            text, sizeof text, "0x%llx", static_cast<unsigned long long>(value)); // NOLINT(google-runtime-int)
        return text;
    }

    std::uint64_t address_;
    std::optional<exception_code> code_;
};

} // namespace lobos::sim
