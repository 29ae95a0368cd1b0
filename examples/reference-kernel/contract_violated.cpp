// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

/// \file
/// The library's hook: one of its preconditions did not hold.

#include "console.hpp"

[[noreturn]] void lobos::contract_violated(const char* what)
{
    text_line line{"stopped: contract violated: "};
    for (; *what != '\0'; ++what)
        line.add({what, 1});
    kernel::out.say(line);
    kernel::stop();
}
