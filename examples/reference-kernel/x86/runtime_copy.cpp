// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

/// \file
/// The two functions of the C library that the processor has instructions for.

#include <cstddef>

extern "C" {

void* memcpy(void* to, const void* from, std::size_t size)
{
    void* const result = to;
    asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
    return result;
}

void* memset(void* to, int value, std::size_t size)
{
    void* const result = to;
    asm volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(value) : "memory");
    return result;
}

} // extern "C"
