/* SPDX-License-Identifier: Apache-2.0 */
/* For assembly: x19 to x30 into a new frame of `size` bytes and back. What is above the first 96 of them is free. */
    .macro callee_save size
    stp     x19, x20, [sp, #-\size]!
    stp     x21, x22, [sp, #16]
    stp     x23, x24, [sp, #32]
    stp     x25, x26, [sp, #48]
    stp     x27, x28, [sp, #64]
    stp     x29, x30, [sp, #80]
    .endm

    .macro callee_restore size
    ldp     x29, x30, [sp, #80]
    ldp     x27, x28, [sp, #64]
    ldp     x25, x26, [sp, #48]
    ldp     x23, x24, [sp, #32]
    ldp     x21, x22, [sp, #16]
    ldp     x19, x20, [sp], #\size
    .endm
