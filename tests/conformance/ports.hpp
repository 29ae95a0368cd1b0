// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The ports that the conformance suite runs over, one line each; and how to write what stands behind a line.
///
/// The suite in this folder demands of every port what tests/sim demands of x86 alone, without knowing a machine: whole
/// execs with every byte and every access compared, every layout of a few pages, each request of the glue failing,
/// whatever the exec stands on changing before commit(), bytes that are aligned to nothing, exceptions behind the point
/// of no return, one exec after another. A port needs a simulated kernel for it, a model of `lobos::sim::kernel`, and a
/// *description*, a class that says what the suite cannot know. <tests/conformance/x86.hpp> and
/// <tests/conformance/alpha.hpp> are two, of 80 and of 120 lines. In the order in which they are wanted:
///
/// 1. Its mode of paging has its line in tests/support/paging_modes.hpp: walk and clone are tested there, not here.
/// 2. `kernel`, the simulated kernel. It is made of a size of memory and a seed; its processor records in `record` what
///    it does, and leaves commit() by an exception.
/// 3. `image`, an entry contract that derives from `made_up_image` and adds what is the machine's: the state that it is
///    entered in, the tables it is entered on, where its parts are to be mapped, its entry's virtual address, and which
///    register names its page of parameters. `image_of(parts, first_instruction)` makes one; `first_instruction` is
///    physical, a multiple of 16, and lies in the first part, which may begin at any address.
/// 4. `name`, for messages.
/// 5. `store`, how many bytes the processor stores in one piece when a single one is to be changed; `edges`, what the
///    edges of regions that survive have to be multiples of.
/// 6. `commit(kernel, staged)`, which calls lobos::commit and says in the suite's words how that ends: an `arrival` at
///    the image's first instruction, the `fault` that refused, `stopped` by the guard, or the machine_error.
/// 7. `processor_writes(kernel)`, where the processor itself writes on its way out, into the context that it leaves for
///    one; and `change_tables(kernel)`, after which other tables are in use than those that were planned for.
/// 8. The exception guard. If the simulated processor runs its code: `exception_kinds`, how many kinds of exceptions
///    there are to try; `commit_with_exception(kernel, staged, kind, instruction, what)`, which goes with one of them
///    before the overlay's instruction of that number and says in `what` how the guard has to note it; and
///    `guard_writes(kernel)`, where it writes beside the log. If it proves instead, at each instruction, that an
///    exception would find the guard: `guard_was_proved(kernel)`.
///
/// The concepts are in <tests/conformance/description.hpp>; when they hold, add the line.

#include <tuple>

#include <lobos/x86/paging_4level.hpp>
#include <lobos/x86/paging_4m.hpp>
#include <lobos/x86/paging_pae.hpp>

#include <tests/conformance/alpha.hpp>
#include <tests/conformance/x86.hpp>

namespace lobos::conformance {

/// Of x86 one mode for each width of its entries and its code; each line costs seconds to compile, and whole execs from
/// the other modes are in tests/sim.
using ports = std::tuple<         //
    x86_port<x86::paging_4m>,     //
    x86_port<x86::paging_pae>,    //
    x86_port<x86::paging_4level>, //
    alpha_port<false>,            //
    alpha_port<true>              //
    >;

} // namespace lobos::conformance
