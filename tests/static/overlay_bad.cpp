// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// The overlay with one thing in it that must not be there: tests/static/overlay-object has to notice each.
#include <lobos/machine/overlay.hpp>

[[maybe_unused]] static std::uint32_t somewhere;

extern "C" {
#if defined(BAD_MEMCPY)
void* memcpy(void*, const void*, std::size_t);
[[LOBOS_OVERLAY_CODE]] inline void bad(void* to, const void* from, std::size_t size)
{
    memcpy(to, from, size);
}
#elif defined(BAD_GLOBAL)
[[LOBOS_OVERLAY_CODE]] inline std::uint32_t bad()
{
    return ++somewhere;
}
#elif defined(BAD_CALL)
// Its own section's, but by way of a table that somebody would have to relocate.
[[LOBOS_OVERLAY_CODE]] inline auto bad()
{
    return &lobos::machine::lobos_x86_copy;
}
#elif defined(BAD_SIZE)
[[LOBOS_OVERLAY_CODE]] inline void bad()
{
    asm volatile(".skip 4000, 0x90");
}
#elif defined(BAD_GUARD)
[[LOBOS_OVERLAY_CODE]] inline std::uint32_t bad()
{
    std::uint32_t guard = 0;
    asm volatile("movl %%gs:20, %0" : "=r"(guard));
    return guard;
}
#elif defined(BAD_VECTOR)
[[LOBOS_OVERLAY_CODE]] inline void bad()
{
    asm volatile("pxor %xmm0, %xmm0");
}
#endif
}
