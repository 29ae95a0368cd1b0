// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// Runs the example of README.md, as it stands there, in the simulator: a small Linux image has to be entered.

#include README_EXAMPLE

#include <lobos/sim/x86_kernel.hpp>

#include <cstdio>
#include <cstdlib>

#include <tests/support/bzimage_builder.hpp>

void lobos::contract_violated(const char* what)
{
    std::fprintf(stderr, "contract violated: %s\n", what);
    std::abort();
}

int main()
{
    lobos::sim::x86_kernel kernel{lobos::byte_count::of(8u << 20), 1};
    const auto file = kernel.stage(lobos::test::bzimage_builder{.pref_address = 0x20'0000}.build());
    const auto refused = boot(kernel, file.source(kernel.memory()), std::string(9999, 'x'));
    if (refused.code != lobos::fault_code::command_line_too_long)
        return 1;
    try {
        (void)boot(kernel, file.source(kernel.memory()), "quiet");
    } catch (const lobos::sim::new_kernel_entered& entered) {
        return entered.state.rip == 0x20'0000 ? 0 : 2;
    }
    return 3;
}
