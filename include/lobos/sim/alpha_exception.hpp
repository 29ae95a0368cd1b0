// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// What keeps a simulated Alpha from going on with the next instruction: an exception, as the PALcode for Unix hands it
/// to the kernel [alpha/arm II-B, exceptions and interrupts]. Thrown where it is found; whoever runs the processor
/// delivers it, or lets a test see it.

#include <cstdint>

namespace lobos::sim {

/// Where the kernel is entered; wrent has the same numbers.
enum class alpha_entry : std::uint8_t { interrupt, arithmetic, memory, instruction, unaligned, system_call };
inline constexpr unsigned alpha_entries = 6;

/// What a memory fault finds wrong, as mmcsr has it.
enum class alpha_fault : std::uint8_t {
    translation_not_valid,
    access_violation,
    fault_on_read,
    fault_on_execute,
    fault_on_write,
};

struct alpha_exception {
    alpha_entry entry = alpha_entry::interrupt;
    std::uint64_t a0 = 0; ///< what the kernel is told in the registers of these names
    std::uint64_t a1 = 0;
    std::uint64_t a2 = 0;
    bool behind = false;     ///< the saved pc is that of the next instruction
    unsigned level = 0;      ///< an interrupt's: it comes through where the priority is lower
    bool not_masked = false; ///< comes through whatever the priority is

    friend constexpr bool operator==(const alpha_exception&, const alpha_exception&) = default;

    /// Who wanted the address.
    static constexpr std::uint64_t by_load = 0, by_store = 1, by_fetch = ~std::uint64_t{0};
    static constexpr alpha_exception memory(std::uint64_t address, alpha_fault what, std::uint64_t cause)
    {
        return {.entry = alpha_entry::memory, .a0 = address, .a1 = static_cast<std::uint64_t>(what), .a2 = cause};
    }
    /// `opcode` is the instruction's, `ra` the register that it would have loaded or stored.
    static constexpr alpha_exception unaligned(std::uint64_t address, std::uint64_t opcode, std::uint64_t ra)
    {
        return {.entry = alpha_entry::unaligned, .a0 = address, .a1 = opcode, .a2 = ra, .behind = true};
    }

    /// Why an instruction is not executed.
    static constexpr std::uint64_t breakpoint = 0, bugcheck = 1, trap = 2, no_instruction = 4;
    static constexpr alpha_exception instruction(std::uint64_t why)
    {
        return {.entry = alpha_entry::instruction, .a0 = why, .behind = true};
    }

    /// `vector` is the one in the system control block, `what` what is known of it: an address in kseg for a machine
    /// check, where the PALcode has written more.
    static constexpr alpha_exception machine_check(std::uint64_t vector, std::uint64_t what)
    {
        return {.a0 = 2, .a1 = vector, .a2 = what, .level = 7, .not_masked = true};
    }
    static constexpr alpha_exception device(unsigned level, std::uint64_t vector)
    {
        return {.a0 = 3, .a1 = vector, .level = level};
    }
    static constexpr alpha_exception clock() { return {.a0 = 1, .level = 5}; }
};

// Sanity checks
static_assert(static_cast<int>(alpha_fault::fault_on_write) == 4 && static_cast<int>(alpha_entry::system_call) == 5);
static_assert(alpha_exception::memory(8, alpha_fault::access_violation, alpha_exception::by_store).a1 == 1);

} // namespace lobos::sim
