// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The entries of an uncompressed x86 Linux, the vmlinux of [lobos/2000 §3.2.3], as entry contracts. The state of the
/// processor and the boot parameters are those that the kernel's own decompressor would leave it in: startup_32 of a
/// 32-bit kernel wants what the 32-bit boot protocol has, paging off and esi the boot parameters; startup_64 of a
/// 64-bit one is in 64-bit mode on tables that map all of the kernel one to one, rsi the boot parameters
/// [linux/boot.rst "32-bit Boot Protocol", "64-bit Boot Protocol"]. Unlike a bzImage's, the entry is anywhere in the
/// kernel, and the kernel lies where it was linked to lie.

#include <lobos/x86/linux32_entry.hpp>
#include <lobos/x86/linux64_entry.hpp>

namespace lobos::x86 {

/// Of an image that load_vmlinux<elf32_class> has loaded.
class vmlinux32_entry : public linux32_entry {
public:
    using linux32_entry::linux32_entry;

    /// Rule 11. Faults: as linux32_entry's.
    template <class Context> result<void> is_met(const Context& context, const entry_registers& found) const
    {
        return is_met_at(linux_start::anywhere, context, found);
    }
};

/// Of an image that load_vmlinux<elf64_class> has loaded.
class vmlinux64_entry : public linux64_entry {
public:
    using linux64_entry::linux64_entry;

    /// Rule 11. Faults: as linux64_entry's.
    template <class Context> result<void> is_met(const Context& context, const entry_registers& found) const
    {
        return is_met_at(linux_start::anywhere, context, found);
    }
};

} // namespace lobos::x86
