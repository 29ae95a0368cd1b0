// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The front door. `prepare()` does everything that can fail: it places the machinery in safe memory, plans, verifies
/// and takes the checksums; whatever it says, the running kernel is as it was. `commit()` looks once more whether the
/// machine is still the one that was planned for, and goes.
///
///     auto staged = lobos::prepare(glue, contract);
///     if (!staged)
///         return report(staged.error());
///     return report(lobos::commit(*staged)); // comes back only with a fault, and then nothing has happened

#include <lobos/core/crc32c.hpp>
#include <lobos/glue/kernel_port.hpp>
#include <lobos/glue/preparation.hpp>

namespace lobos {

/// Stages, plans and verifies the exec of `contract`'s image. The contract and what it points to must outlive the
/// result. `Sum` is the checksum by which commit() will see whether a staged byte has changed: CRC-32C finds accidents;
/// prepare<sha256>(...) is for those who fear more.
///
/// Precondition: 12 KiB of stack are left, beside what the glue takes of it.
/// Faults: no_memory, no_space, whatever the port, the planner, the clone, the contract and the rules refuse; the
/// running kernel is then as it was.
template <checksum_policy Sum = crc32c, kernel_glue Glue, class Contract>
    requires kernel_port<typename Glue::port> && entry_contract<Contract, typename Glue::port>
result<staged_exec<Glue, Sum>> prepare(Glue& glue, const Contract& contract, const exec_options& options = {})
{
    // One run for each extent is the rule; more only where runs wait for each other in circles.
    const contract_terms terms = terms_of(contract);
    preparation_room room;
    for (const segment& s : terms.segments)
        room.runs += s.file.size() + 1;
    for (int attempt = 1;; ++attempt) {
        preparation<Glue, Sum> next{glue, terms, options};
        auto staged = next.run(contract, room);
        constexpr int most_attempts = 16;
        const bool again = next.wanted() && attempt < most_attempts;
        if (!again)
            return staged;
        room = *next.wanted();
    }
}

/// The staged exec goes on to refer to its contract, so a temporary one does not compile.
template <checksum_policy Sum = crc32c, kernel_glue Glue, class Contract>
void prepare(Glue& glue, const Contract&& contract, const exec_options& options = {}) = delete;

/// Goes. Compares the machine, the memory map and every staged byte with what was verified; comes back only when one
/// of them differs, and then nothing has happened. Past that comparison nothing is allocated and nothing can fail.
/// Machine and map are looked at before the bytes, of which a changed map may have left none, and after them, for that
/// takes a while.
///
/// Precondition: the caller stays on its processor, so a kernel that would move it to another keeps itself from doing
/// so, from the call on.
/// Faults: memory_map_changed (at: new generation), staged_image_changed (at: destination of the segment, or the
/// overlay's code page when it is the machinery that changed), and those of the port's `unchanged`.
template <kernel_glue Glue, checksum_policy Sum> fault commit(staged_exec<Glue, Sum>& staged)
{
    Glue& glue = *staged.glue_;
    const auto is_as_planned = [&]() -> result<void> {
        if (glue.memory_generation() != staged.generation_)
            return refuse(fault_code::memory_map_changed, stage::committing, glue.memory_generation());
        return Glue::port::unchanged(staged.facts_, glue.processor().facts());
    };
    if (const auto same = is_as_planned(); !same)
        return same.error();
    const auto& was = staged.sums_;
    auto& is = staged.sums_again_;
    staged.take_checksums(is);
    for (std::size_t i = 0; i < staged.plan().image.size(); ++i)
        if (is.image[i] != was.image[i])
            return {
                fault_code::staged_image_changed, stage::committing, staged.plan().image[i].destination.first().raw()};
    if (is.machinery != was.machinery || is.parameters != was.parameters)
        return {fault_code::staged_image_changed, stage::committing, staged.plan().code.raw()};
    if (const auto same = is_as_planned(); !same)
        return same.error();

    glue.before_point_of_no_return();
    glue.processor().interrupts_off(); // the point of no return
    glue.processor().depart(staged.departure_, staged.frame_);
    std::unreachable();
}

} // namespace lobos
