// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

/// \file
/// Copying and filling memory, by quadwords where both ends agree. Compilers take such loops for what they are in, so
/// every pass has something in it that they cannot see through.

#include <cstddef>
#include <cstdint>

namespace {

bool is_aligned(const void* a, const void* b)
{
    return ((reinterpret_cast<std::uintptr_t>(a) | reinterpret_cast<std::uintptr_t>(b)) & 7) == 0;
}

void keep()
{
    asm volatile("" : : : "memory");
}

using quadword [[gnu::may_alias]] = std::uint64_t;

} // namespace

extern "C" {

void* memcpy(void* to, const void* from, std::size_t size)
{
    auto* t = static_cast<unsigned char*>(to);
    const auto* f = static_cast<const unsigned char*>(from);
    if (is_aligned(t, f))
        for (; size >= 8; size -= 8, t += 8, f += 8, keep())
            *reinterpret_cast<quadword*>(t) = *reinterpret_cast<const quadword*>(f);
    for (; size > 0; --size, ++t, ++f, keep())
        *t = *f;
    return to;
}

void* memset(void* to, int value, std::size_t size)
{
    auto* t = static_cast<unsigned char*>(to);
    const auto byte = static_cast<unsigned char>(value);
    if (is_aligned(t, t))
        for (; size >= 8; size -= 8, t += 8, keep())
            *reinterpret_cast<quadword*>(t) = byte * std::uint64_t{0x0101'0101'0101'0101};
    for (; size > 0; --size, ++t, keep())
        *t = byte;
    return to;
}

} // extern "C"
