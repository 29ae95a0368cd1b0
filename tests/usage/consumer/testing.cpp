// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// The test of docs/testing-your-kernel.md, as it stands there. It says itself whether it passed.

#include TESTING_EXAMPLE
