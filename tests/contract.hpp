// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Under test a broken contract is an exception: `CHECK_THROWS_AS(0_pa - 1_bytes, contract_error)`.

#include <stdexcept>

struct contract_error : std::logic_error {
    using std::logic_error::logic_error;
};
