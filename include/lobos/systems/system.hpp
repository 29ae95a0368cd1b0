// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The three systems of the paper's comparison [lobos/2000 §5] as compositions: where virtual memory is on during the
/// copy, and in which states of the processor they enter a kernel. All else is the library's, and the same for all.

#include <string_view>

#include <lobos/kernel_exec.hpp>
#include <lobos/x86/route.hpp>

namespace lobos::systems {

/// What can be said of a system in the paper's words [lobos/2000 §5.3], for its purest way: the one that it is named
/// for. Counts are those of this library, from the point of no return to the new kernel's first instruction.
struct account {
    std::string_view name;
    x86::entry_state purest;         ///< the state in which its purest way ends
    bool paging_throughout;          ///< virtual memory is never off
    bool segmentation_throughout;    ///< nor is segmentation
    bool reaches_bios;               ///< the new kernel can call the BIOS, as it could when it was started by it
    unsigned descriptor_table_loads; ///< how often the GDT is relocated
    unsigned table_root_loads;       ///< and the page tables
    unsigned papers_relocations;     ///< of the GDT, by the system that the paper describes
    bool papers_contiguous;          ///< whether that one needed its image in contiguous memory; none here does
};

template <class S>
concept system = requires(x86::entry_state state) {
    { S::about } -> std::convertible_to<const account&>;
    { S::copy } -> std::convertible_to<copy_regime>;
    { S::enters(state) } -> std::same_as<bool>;
} && S::enters(S::about.purest);

/// prepare() as system `S` does it. What `S` does not enter does not compile. Faults: those of lobos::prepare.
template <system S, checksum_policy Sum = crc32c, kernel_glue Glue, class Contract>
    requires entry_contract<Contract, typename Glue::port> && (S::enters(Contract::state))
auto prepare(Glue& glue, const Contract& contract, exec_options options = {})
{
    options.copy = S::copy;
    return ::lobos::prepare<Sum>(glue, contract, options);
}

/// As for lobos::prepare: the contract is referred to later.
template <system S, checksum_policy Sum = crc32c, kernel_glue Glue, class Contract>
void prepare(Glue& glue, const Contract&& contract, exec_options options = {}) = delete;

} // namespace lobos::systems
