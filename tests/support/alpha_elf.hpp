// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// ELF files for an Alpha: 64-bit, with addresses in kseg for physical ones, as kernels for it have them. A small
/// kernel that Linux's loader takes begins with its entry, at 0x1010000.

#include <tests/support/elf_builder.hpp>

namespace lobos::test {

struct elf_alpha : elf64 {
    static constexpr std::uint16_t machine = EM_ALPHA;
    static constexpr address virt = 0xffff'fc00'0101'0000, phys = virt;
};
using alpha_part = elf_part<elf_alpha>;
using alpha_elf_builder = basic_elf_builder<elf_alpha>;

/// Text of 0x123 bytes at `start`, data of 0x45 and a bss up to `start` + 0x4044.
inline alpha_elf_builder alpha_kernel(std::uint64_t start = elf_alpha::virt)
{
    alpha_elf_builder kernel = small_kernel<elf_alpha>();
    kernel.parts[0].p_vaddr = kernel.parts[0].p_paddr = kernel.entry = start;
    kernel.parts[2].p_vaddr = kernel.parts[2].p_paddr = start + 0x2000;
    return kernel;
}

} // namespace lobos::test
