/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting with marks in all registers. */
#include "callee_saved.h"

    .arch_extension fp
    .arch_extension simd

#define EACH_Q 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, \
    28, 29, 30, 31
#define EACH_X 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30

    .text
/*
 * uint64_t marker_spin(uint64_t mark, uint64_t until, struct gaps *gaps): with the mark in x7..x30 and Q0..Q31.
 */
    .global marker_spin
marker_spin:
    callee_save 112
    str     x2, [sp, #96]
    ldp     x6, x5, [x2, #8]
    ldr     x2, [x2]
    .irp    n, EACH_Q
    dup     v\n\().2d, x0
    .endr
    .irp    n, EACH_X
    mov     x\n, x0
    .endr
    mrs     x3, cntvct_el0
1:  isb
    mrs     x4, cntvct_el0
    sub     x3, x4, x3
    cmp     x3, x2
    csel    x2, x3, x2, hi
    cmp     x3, x5
    csel    x3, x3, xzr, hs
    add     x6, x6, x3
    mov     x3, x4
    cmp     x4, x1
    b.lo    1b
    mov     x3, #0
    .irp    n, EACH_X
    eor     x4, x\n, x0
    orr     x3, x3, x4
    .endr
    .irp    n, EACH_Q
    mov     x4, v\n\().d[0]
    mov     x5, v\n\().d[1]
    eor     x4, x4, x0
    eor     x5, x5, x0
    orr     x3, x3, x4
    orr     x3, x3, x5
    .endr
    ldr     x4, [sp, #96]
    stp     x2, x6, [x4]
    mov     x0, x3
    callee_restore 112
    ret
