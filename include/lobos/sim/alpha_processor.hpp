// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// A simulated Alpha that can leave one kernel and enter another. It executes the very instructions that a kernel on a
/// real one brings with it, as they lie in its safe page, until it comes to one that lies elsewhere. A test may look in
/// before each of them, and let an exception happen there.

#include <functional>

#include <lobos/alpha/port.hpp>
#include <lobos/sim/alpha_code.hpp>
#include <lobos/sim/alpha_palcode.hpp>
#include <lobos/sim/state_hash.hpp>

namespace lobos::sim {

/// Thrown by alpha_processor::depart when it arrives: the exec has happened. The state is what the new kernel's first
/// instruction finds.
struct alpha_kernel_entered {
    alpha_state state;
    phys_addr physical_pc;
};

class alpha_processor : public alpha_palcode {
public:
    using alpha_palcode::alpha_palcode;

    bool compiled_for_bytes = false; ///< the kernel was compiled for a processor with loads and stores of bytes
    bool primary = true;
    alpha::halt_request halt_word;
    alpha::reset_store reset; ///< what the kernel knows of a device; there is none unless a test makes one

    /// Called before each instruction of the overlay, and before the new kernel's first.
    std::function<void(alpha_processor&)> before_each_instruction;

    std::uint64_t copying = 0;                   ///< instructions of the copy loop since the departure
    std::uint64_t around = 0;                    ///< all others of the overlay
    std::uint64_t most = std::uint64_t{1} << 28; ///< of both, before it is taken for endless

    alpha::machine_facts facts() const
    {
        return {.table_root = phys_addr::at(mmu.root_page << page_bits),
            .vptb = virt_addr::at(mmu.vptb),
            .status = priority,
            .primary = primary,
            .halt = halt_word,
            .reset = reset};
    }

    alpha::overlay_code code() const { return alpha_code::pieces(compiled_for_bytes); }

    void interrupts_off() noexcept { priority = 7; }

    /// Leaves by throwing alpha_kernel_entered, alpha_halted where the guard gave up the machine to the console, or
    /// machine_error where a machine would have gone wrong. The code was written a moment ago, so an imb comes first,
    /// as in <lobos/machine/processor.hpp>; in registers there is what the kernel had in them.
    void depart(virt_addr code, virt_addr frame)
    {
        if (priority != 7)
            throw machine_error{"left with interrupts on", code.raw()};
        stream.barrier();
        for (unsigned i = 0; i < r::count; ++i)
            if (i != r::sp)
                general.set(i, rubbish());
        general.set(r::a0, frame.raw());
        general.set(r::pv, code.raw());
        pc = code.raw();
        const phys_addr told = look_around(frame.raw());
        copy_ = load<std::uint64_t>(memory_, told + byte_count::of(offsetof(alpha::departure_frame, copy)));
        leave_ = load<std::uint64_t>(memory_, told + byte_count::of(offsetof(alpha::departure_frame, leave)));
        copying = around = 0;
        for (;;)
            advance();
    }

    /// All registers that outlive an instruction; not what the buffers remember, which is nobody's state.
    void add_to(state_hash& hash) const
    {
        for (const std::uint64_t value :
            {mmu.root_page, mmu.space, mmu.vptb, pcbb, priority, kernel_gp, user_sp, unique, general[r::sp]})
            hash.add(value);
        hash.add(floating_point);
        for (const auto& entry : entries) {
            hash.add(entry.has_value());
            hash.add(entry.value_or(0));
        }
    }

private:
    static constexpr unsigned page_bits = 13;

    /// Notes where the code is. Where the frame is.
    phys_addr look_around(std::uint64_t frame)
    try {
        code_page_ = mmu.peek(pc, alpha_mmu::intent::execute).raw() >> page_bits;
        return mmu.peek(frame, alpha_mmu::intent::read);
    } catch (const alpha_exception& e) {
        throw machine_error{"the departure is not mapped", e.a0};
    }

    void advance()
    {
        const unsigned before = exceptions;
        if (before_each_instruction)
            before_each_instruction(*this);
        guarded(before);
        if (!in_code_page(true)) // what cannot be fetched is no way out
            enter();
        const bool copies = pc >= copy_ && pc < leave_;
        ++(copies ? copying : around);
        if (copying + around > most)
            throw machine_error{"does not come to an end", pc};
        run_instruction();
        guarded(before);
    }

    /// Whether the instruction lies where the overlay's do; `unmapped` when it lies nowhere.
    bool in_code_page(bool unmapped) const
    try {
        return mmu.peek(pc, alpha_mmu::intent::execute).raw() >> page_bits == code_page_;
    } catch (const alpha_exception&) {
        return unmapped;
    }

    /// What an exception has found, since there were `before` of them, has to be the guard.
    void guarded(unsigned before) const
    {
        if (exceptions != before && !in_code_page(false))
            throw machine_error{"an exception finds no guard", pc};
    }

    [[noreturn]] void enter()
    {
        fetch();
        throw alpha_kernel_entered{state(), mmu.peek(pc, alpha_mmu::intent::execute)};
    }

    std::uint64_t code_page_ = 0; ///< number of the physical page
    std::uint64_t copy_ = 0;
    std::uint64_t leave_ = 0;
};

static_assert(alpha::processor<alpha_processor>);

} // namespace lobos::sim
