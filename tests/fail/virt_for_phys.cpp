// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// EXPECT: could not convert|no viable conversion|no matching function
#include <lobos/core/physical_memory.hpp>

using namespace lobos;

struct some_memory {
    void read(phys_addr, std::span<std::byte>);
    void write(phys_addr, std::span<const std::byte>);
};
int first(some_memory& memory, virt_addr v)
{
#ifdef OFFENCE
    return load<int>(memory, v);
#else
    return load<int>(memory, phys_addr::at(v.raw()));
#endif
}
