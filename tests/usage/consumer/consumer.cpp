// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// A memory map as a kernel would keep it, with its own hook for broken contracts.

#include <cstdio>
#include <cstdlib>

#include <lobos/core/region_map.hpp>

void lobos::contract_violated(const char* what)
{
    std::fprintf(stderr, "contract: %s\n", what);
    std::abort();
}

int main()
{
    using namespace lobos;
    region storage[8];
    region_map map{storage};
    const auto all = phys_range::of(0_pa, 64_MiB);
    if (!map.add(all, region_kind::usable) || !map.add(phys_range::of(0xa0000_pa, 384_KiB), region_kind::reserved))
        return 1;
    const auto hole = map.highest_hole(4_MiB, 4_MiB, all, {});
    return hole && hole->first() == 0x3c00000_pa && map.regions().size() == 3 ? 0 : 1;
}
