// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// Prints each way from a running x86 kernel to an image, and the pieces of the overlay that lie on it, the exception
// guard's apart: a line "BITS NAME PIECE...". tests/static/overlay-object adds their sizes up.
#include <cstdio>

#include <lobos/x86/route.hpp>

int main()
{
    using namespace lobos;
    using namespace lobos::x86;
    constexpr const char* states[] = {"as-running", "flat-32", "paged-32", "long-64", "real-16"};
    constexpr const char* names[pieces] = {"depart", "arrive", "copy", "copy_32", "down", "hub", "leave_flat", "up",
        "enter_long", "switch_long", "leave_long", "guard_32", "guard_64"};
    for (const bool from_long : {false, true})
        for (unsigned state = 0; state < 5; ++state)
            for (const copy_regime regime : {copy_regime::paged, copy_regime::unpaged})
                for (const bool same_tables : {true, false}) {
                    const auto way = route_to(static_cast<entry_state>(state), regime, from_long, same_tables);
                    if (!way)
                        continue;
                    std::printf("%d %s%s%s", from_long ? 64 : 32, states[state],
                        regime == copy_regime::paged ? "" : "-unpaged", way->up ? "-up" : "");
                    for (unsigned p = 0; p < pieces; ++p)
                        if (way->takes(static_cast<piece>(p)) && static_cast<piece>(p) < piece::guard_32)
                            std::printf(" %s", names[p]);
                    std::printf("\n");
                }
}
