// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// EXPECT: is_trivially_copyable
#include <lobos/core/physical_memory.hpp>

using namespace lobos;

struct some_memory {
    void read(phys_addr, std::span<std::byte>);
    void write(phys_addr, std::span<const std::byte>);
};
struct not_plain {
    ~not_plain() {}
    int number;
};
void keep(some_memory& memory, const not_plain& value)
{
#ifdef OFFENCE
    store(memory, phys_addr{}, value);
#else
    store(memory, phys_addr{}, value.number);
#endif
}
