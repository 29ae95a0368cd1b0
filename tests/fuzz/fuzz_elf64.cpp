// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// load_elf64 on any bytes: see elf_oracle.hpp.

#include <tests/fuzz/elf_oracle.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    return lobos::fuzz::fuzz_elf<lobos::test::elf64>({data, size});
}
