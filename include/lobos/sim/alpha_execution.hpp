// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// An Alpha that executes instructions as they lie in memory [alpha/arm §4]: the integer ones, with every fetch and
/// every operand through the translation in force, and recorded. What has no meaning to integer code of a compiler or
/// of ours is an illegal instruction here: floating point, loads with a lock, arithmetic that traps on an overflow.
///
/// A call of the PALcode is an instruction like others, but for what it does, which is <lobos/sim/alpha_palcode.hpp>'s.

#include <array>
#include <optional>

#include <lobos/sim/alpha_instruction_stream.hpp>
#include <lobos/sim/alpha_mmu.hpp>
#include <lobos/sim/alpha_operate.hpp>

namespace lobos::sim {

/// The integer registers. The last one is 0 whatever is written to it.
class alpha_registers {
public:
    std::uint64_t operator[](unsigned which) const { return values_[which]; }
    void set(unsigned which, std::uint64_t value)
    {
        if (which != alpha_register::zero)
            values_[which] = value;
    }

private:
    std::array<std::uint64_t, alpha_register::count> values_ = {};
};

class alpha_execution {
public:
    explicit alpha_execution(memory& memory) : mmu{memory, &record}, memory_{memory} {}
    alpha_execution(const alpha_execution&) = delete;

    alpha_model model;
    recorder record; ///< every access it makes
    alpha_mmu mmu;
    alpha_instruction_stream stream;
    alpha_registers general;
    std::uint64_t pc = 0;
    std::uint64_t executed = 0;     ///< instructions, whether or not they came through
    std::uint32_t cycle_offset = 0; ///< what rpcc has in its upper half

    /// The instruction at `pc`, which goes on to the next one. The function of a call of the PALcode is returned, for
    /// the PALcode to do. Throws alpha_exception, with nothing changed but `executed`, or machine_error.
    std::optional<std::uint32_t> step()
    {
        ++executed;
        const alpha_instruction i{fetch()};
        const std::uint64_t next = pc + 4;
        using enum alpha_opcode;
        switch (i.opcode()) {
        case call_pal: pc = next; return i.pal_function();
        case lda: general.set(i.ra(), address(i)); break;
        case ldah: general.set(i.ra(), general[i.rb()] + (i.displacement() << 16)); break;
        case ldbu: byte_instruction(), load_into<std::uint8_t>(i); break;
        case ldwu: byte_instruction(), load_into<std::uint16_t>(i); break;
        case ldl: load_into<std::int32_t>(i); break;
        case ldq: load_into<std::uint64_t>(i); break;
        case ldq_u: load_into<std::uint64_t>(i, ~std::uint64_t{7}); break;
        case stb: byte_instruction(), store_from<std::uint8_t>(i); break;
        case stw: byte_instruction(), store_from<std::uint16_t>(i); break;
        case stl: store_from<std::uint32_t>(i); break;
        case stq: store_from<std::uint64_t>(i); break;
        case stq_u: store_from<std::uint64_t>(i, ~std::uint64_t{7}); break;
        case arithmetic:
        case logical:
        case shift:
        case multiply:
        case extension: operate(i); break;
        case miscellaneous: miscellany(i); break;
        case jump: {
            const std::uint64_t to = general[i.rb()] & ~std::uint64_t{3};
            general.set(i.ra(), next);
            pc = to;
            return std::nullopt;
        }
        default: pc = branch(i, next); return std::nullopt;
        }
        pc = next;
        return std::nullopt;
    }

    // What PALcode and instructions are made of.

    template <class T> T load_virtual(std::uint64_t at)
    {
        const phys_addr physical = mmu.translate(at, alpha_mmu::intent::read);
        record.note(access_kind::read, at, physical, sizeof(T));
        return load<T>(memory_, physical);
    }
    template <class T> void store_virtual(std::uint64_t at, T value)
    {
        const phys_addr physical = mmu.translate(at, alpha_mmu::intent::write);
        record.note(access_kind::write, at, physical, sizeof(T));
        store(memory_, physical, value);
        stream.wrote(physical, sizeof(T));
    }
    /// By the processor itself.
    template <class T> T load_physical(phys_addr at)
    {
        record.note(access_kind::walk, at.raw(), at, sizeof(T));
        return load<T>(memory_, at);
    }
    template <class T> void store_physical(phys_addr at, T value)
    {
        record.note(access_kind::mark, at.raw(), at, sizeof(T));
        store(memory_, at, value);
        stream.wrote(at, sizeof(T));
    }

    /// rpcc's lower half: an instruction a cycle.
    std::uint32_t cycle_counter() const { return static_cast<std::uint32_t>(executed & 0xffff'ffff); }

protected:
    /// The instruction at `pc`.
    std::uint32_t fetch()
    {
        const phys_addr physical = mmu.translate(pc, alpha_mmu::intent::execute);
        if (stream.may_be_stale(physical))
            throw machine_error{"executes what no imb has made visible", pc};
        record.note(access_kind::fetch, pc, physical, sizeof(std::uint32_t));
        const auto unwritten = memory_.unwritten_reads();
        const auto word = load<std::uint32_t>(memory_, physical);
        if (memory_.unwritten_reads() != unwritten)
            throw machine_error{"executes what nobody has written", pc};
        return word;
    }

private:
    [[noreturn]] static void illegal() { throw alpha_exception::instruction(alpha_exception::no_instruction); }
    void byte_instruction() const
    {
        if (!model.bytes)
            illegal();
    }

    std::uint64_t address(alpha_instruction i) const { return general[i.rb()] + i.displacement(); }

    /// The address of an operand. `within` clears the bits of it that do not count.
    template <class T> std::uint64_t operand(alpha_instruction i, std::uint64_t within) const
    {
        const std::uint64_t at = address(i) & within;
        if (at % sizeof(T) != 0)
            throw alpha_exception::unaligned(at, static_cast<std::uint64_t>(i.opcode()), i.ra());
        return at;
    }
    /// A load into no register is a hint, which may come to nothing: no fault, no access.
    template <class T> void load_into(alpha_instruction i, std::uint64_t within = ~std::uint64_t{0})
    {
        if (i.ra() == alpha_register::zero)
            return;
        general.set(i.ra(), static_cast<std::uint64_t>(load_virtual<T>(operand<T>(i, within)))); // with its sign
    }
    template <class T> void store_from(alpha_instruction i, std::uint64_t within = ~std::uint64_t{0})
    {
        store_virtual<T>(operand<T>(i, within), static_cast<T>(general[i.ra()]));
    }

    void operate(alpha_instruction i)
    {
        const std::uint64_t b = i.has_literal() ? i.literal() : general[i.rb()];
        const auto result = alpha_operate{model}.result(i, general[i.ra()], b, general[i.rc()]);
        if (!result)
            illegal();
        general.set(i.rc(), *result);
    }

    /// Barriers, of which this processor needs none: it does one thing after another. Hints on caches.
    void miscellany(alpha_instruction i)
    {
        switch (i.memory_function()) {
        case 0x0000: // trapb
        case 0x0400: // excb
        case 0x4000: // mb
        case 0x4400: // wmb
        case 0x8000: // fetch
        case 0xa000: // fetch_m
            return;
        case 0xc000: // rpcc
            general.set(i.ra(), std::uint64_t{cycle_offset} << 32 | cycle_counter());
            return;
        default: illegal();
        }
    }

    /// Where a branch goes; an instruction that is none is illegal.
    std::uint64_t branch(alpha_instruction i, std::uint64_t next)
    {
        const std::uint64_t a = general[i.ra()];
        const bool negative = a >> 63 != 0;
        bool taken = false;
        using enum alpha_opcode;
        switch (i.opcode()) {
        case br:
        case bsr:
            general.set(i.ra(), next);
            taken = true;
            break;
        case blbc: taken = (a & 1) == 0; break;
        case blbs: taken = (a & 1) != 0; break;
        case beq: taken = a == 0; break;
        case bne: taken = a != 0; break;
        case blt: taken = negative; break;
        case bge: taken = !negative; break;
        case ble: taken = negative || a == 0; break;
        case bgt: taken = !negative && a != 0; break;
        default: illegal();
        }
        return taken ? next + i.branch_displacement() : next;
    }

protected:
    memory& memory_;
};

} // namespace lobos::sim
