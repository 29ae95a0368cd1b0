// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

#include <tests/support/exec_grid.hpp>

using namespace lobos;
using namespace lobos::test;
using namespace lobos::x86;

TEMPLATE_TEST_CASE("a kernel in 5-level paging is replaced by an image in any state, to the last byte", "",
    image::as_running, image::flat_32, image::paged_32<paging_4m>, image::paged_32<paging_4k>,
    image::paged_32<paging_pae>, image::long_64<paging_4level>, image::long_64<paging_5level>)
{
    check_execs<paging_5level, TestType>();
}
