// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// A departure of which something is broken after verification, behind commit()'s back: the simulated machine must
/// notice what a real one would trip over.

#include <tests/support/exec_grid.hpp>

namespace lobos::test {

/// What came of it.
struct departure_outcome {
    bool entered = false;
    unsigned vector = 0; ///< of the exception; 0 when it was none
    std::string what = {};
    sim::entry_state state = {};

    /// What the guard's check says.
    bool unguarded() const { return !entered && what.starts_with("an exception here would find no handler"); }
    bool found_other_code() const { return !entered && what.starts_with("executes what is not the overlay's code"); }
};

/// A world of the grid with all bytes late, about to leave for an image.
template <class Paging, class Image> struct departure {
    using kernel = sim::basic_x86_kernel<Paging>;

    crosswise<Paging> world{2};
    Image contract = image_for<Paging, Image>(world);
    exec_plan plan = {};
    kernel& machine = world.machine;
    sim::memory& memory = world.machine.memory();

    /// What comes of it when `damage(*this)` has happened.
    template <class Damage> departure_outcome after(copy_regime regime, Damage damage)
    {
        auto staged = prepare(machine, contract, {.copy = regime});
        REQUIRE(staged);
        plan = staged->plan();
        machine.processor().interrupts_off();
        damage(*this);
        try {
            machine.processor().depart(plan.switch_page + byte_count::of(sizeof(x86::code_page_head)),
                *machine.virtual_address(plan.frame) + byte_count::of(x86::departure_frame::middle));
        } catch (const sim::machine_error& e) {
            return {.vector = e.code() ? e.code()->vector : 0, .what = e.what()};
        } catch (const sim::new_kernel_entered& e) {
            return {.entered = true, .state = e.state};
        }
        return {};
    }

    // For the damage.

    std::uint64_t field(std::size_t offset) { return load<std::uint64_t>(memory, plan.frame + byte_count::of(offset)); }
    template <class T> void put(std::size_t offset, T value) { put(plan.frame, offset, value); }
    template <class T> void put(phys_addr page, std::size_t offset, T value)
    {
        store(memory, page + byte_count::of(offset), value);
    }
    /// The descriptor of `page` that a field of the frame names.
    void put_named(phys_addr page, std::size_t selector_field, std::uint64_t word)
    {
        put(page, offsetof(x86::table_page, descriptors) + static_cast<std::size_t>(field(selector_field)), word);
    }
};

/// The outcome of one damage.
template <class Paging, class Image, class Damage>
departure_outcome departs_after(copy_regime regime, Damage damage)
{
    departure<Paging, Image> d;
    return d.after(regime, damage);
}

} // namespace lobos::test
