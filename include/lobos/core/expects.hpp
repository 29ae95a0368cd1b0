// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Contracts. A broken precondition is a defect of the caller, not a fault of the input: it has no error code and no
/// way to go on. It ends in the one function that every embedder defines, once, for its own kernel.

namespace lobos {

/// The embedder's hook: a precondition of the library did not hold. `what` is the condition in words, a string
/// literal. Must not return: print it and stop, or throw in a hosted test.
[[noreturn]] void contract_violated(const char* what);

/// States a precondition. In a constant expression a false condition does not compile.
[[gnu::always_inline]] constexpr void expects(bool condition, const char* what)
{
    if (!condition) [[unlikely]]
        contract_violated(what);
}

} // namespace lobos
