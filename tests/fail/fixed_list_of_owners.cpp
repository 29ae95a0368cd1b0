// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// EXPECT: a fixed_list holds plain data
#include <lobos/core/fixed_list.hpp>

using namespace lobos;

struct owner {
    ~owner() {}
};
void make()
{
#ifdef OFFENCE
    fixed_list<owner, 1> list;
    static_cast<void>(list.empty());
#else
    fixed_list<int, 1> list;
    static_cast<void>(list.empty());
#endif
}
