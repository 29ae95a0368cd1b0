// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// Nothing: what is precompiled for the tests needs a target of its own.
