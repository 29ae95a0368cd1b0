// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

/// \file
/// Of the functions of the C library that compilers and std::string_view call, those that are the same on every
/// machine. memcpy copies from the first byte to the last.

#include <cstddef>

extern "C" {

void* memcpy(void* to, const void* from, std::size_t size);

void* memmove(void* to, const void* from, std::size_t size)
{
    auto* t = static_cast<unsigned char*>(to);
    const auto* f = static_cast<const unsigned char*>(from);
    if (t <= f || t >= f + size)
        return memcpy(to, from, size);
    for (volatile unsigned char* v = t; size-- > 0;)
        v[size] = f[size];
    return to;
}

int memcmp(const void* a, const void* b, std::size_t size)
{
    const auto* x = static_cast<const unsigned char*>(a);
    const auto* y = static_cast<const unsigned char*>(b);
    for (std::size_t i = 0; i < size; ++i)
        if (x[i] != y[i])
            return x[i] < y[i] ? -1 : 1;
    return 0;
}

void* memchr(const void* in, int value, std::size_t size)
{
    const auto* bytes = static_cast<const unsigned char*>(in);
    for (std::size_t i = 0; i < size; ++i)
        if (bytes[i] == static_cast<unsigned char>(value))
            return const_cast<unsigned char*>(bytes + i);
    return nullptr;
}

std::size_t strlen(const char* text)
{
    std::size_t length = 0;
    while (text[length] != '\0')
        ++length;
    return length;
}

} // extern "C"
