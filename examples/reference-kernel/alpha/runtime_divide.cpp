// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

/// \file
/// Division, which an Alpha has no instruction for. Compilers call these two by a convention of their own: dividend in
/// t10, divisor in t11, return address in t9, the result in t12, and every other register as it was.

/// Bit by bit, as on paper. `result` is where the answer is at the end: t12 for the quotient, v0 for the rest.
#define DIVIDE(name, result)                                                                                           \
    ".global " name "\n" name ":\n\t"                                                                                  \
    "lda $30, -32($30)\n\t"                                                                                            \
    "stq $0, 0($30)\n\t"                                                                                               \
    "stq $1, 8($30)\n\t"                                                                                               \
    "stq $2, 16($30)\n\t"                                                                                              \
    "stq $24, 24($30)\n\t"                                                                                             \
    "mov $31, $0\n\t"                                                                                                  \
    "mov $31, $27\n\t"                                                                                                 \
    "lda $1, 64($31)\n"                                                                                                \
    "1:\n\t"                                                                                                           \
    "srl $0, 63, $28\n\t" /* what is shifted out of the rest makes it larger than any divisor */                       \
    "srl $24, 63, $2\n\t"                                                                                              \
    "addq $24, $24, $24\n\t"                                                                                           \
    "addq $0, $0, $0\n\t"                                                                                              \
    "bis $0, $2, $0\n\t"                                                                                               \
    "addq $27, $27, $27\n\t"                                                                                           \
    "cmpule $25, $0, $2\n\t"                                                                                           \
    "bis $2, $28, $2\n\t"                                                                                              \
    "beq $2, 2f\n\t"                                                                                                   \
    "subq $0, $25, $0\n\t"                                                                                             \
    "bis $27, 1, $27\n"                                                                                                \
    "2:\n\t"                                                                                                           \
    "lda $1, -1($1)\n\t"                                                                                               \
    "bne $1, 1b\n\t"                                                                                                   \
    "mov " result ", $27\n\t"                                                                                          \
    "ldq $0, 0($30)\n\t"                                                                                               \
    "ldq $1, 8($30)\n\t"                                                                                               \
    "ldq $2, 16($30)\n\t"                                                                                              \
    "ldq $24, 24($30)\n\t"                                                                                             \
    "lda $30, 32($30)\n\t"                                                                                             \
    "ret $31, ($23), 1\n"

asm(".pushsection .text\n\t.set noat\n" DIVIDE("__divqu", "$27") DIVIDE("__remqu", "$0") "\t.popsection");
