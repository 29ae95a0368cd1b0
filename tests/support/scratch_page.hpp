// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The page of storage that a contract puts its parameters together in, as large as any machine's, with rubbish in it.

#include <algorithm>
#include <array>
#include <span>

namespace lobos::test {

inline std::span<std::byte> scratch_page()
{
    static std::array<std::byte, 8192> page;
    std::ranges::fill(page, std::byte{0xa5});
    return page;
}

} // namespace lobos::test
