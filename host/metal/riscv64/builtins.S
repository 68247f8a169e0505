/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the compiler calls where the base instruction set (no Zbb, no Zabha) has nothing shorter: GCC's runtime library
 * has it too, but for another ABI. In assembly, since link-time optimization comes before these calls are made.
 */
    .option norelax

    .section .text.builtins, "ax"

/* int __ctzdi2(uint64_t): the number of zeroes below the lowest one: those that a0 & -a0, less 1, turns to ones. */
    .global __ctzdi2
    .type __ctzdi2, @function
__ctzdi2:
    addi    t0, a0, -1
    not     a0, a0
    and     a0, a0, t0
    /* falls through */

/* int __popcountdi2(uint64_t): sums of neighbouring 1, 2 and 4 bits; the multiplication adds up the bytes. */
    .global __popcountdi2
    .type __popcountdi2, @function
__popcountdi2:
    li      t1, 0x5555555555555555
    srli    t0, a0, 1
    and     t0, t0, t1
    sub     a0, a0, t0
    li      t1, 0x3333333333333333
    srli    t0, a0, 2
    and     t0, t0, t1
    and     a0, a0, t1
    add     a0, a0, t0
    li      t1, 0x0f0f0f0f0f0f0f0f
    srli    t0, a0, 4
    add     a0, a0, t0
    and     a0, a0, t1
    li      t1, 0x0101010101010101
    mul     a0, a0, t1
    srli    a0, a0, 56
    ret

/* int __clzdi2(uint64_t): the number of zeroes above the highest one. With all bits below it set, those that aren't. */
    .global __clzdi2
    .type __clzdi2, @function
__clzdi2:
    .irp n, 1, 2, 4, 8, 16, 32
    srli    t0, a0, \n
    or      a0, a0, t0
    .endr
    not     a0, a0
    j       __popcountdi2

/* uint8_t __atomic_exchange_1(volatile uint8_t *, uint8_t, int): sequentially consistent, whatever is asked for. */
    .global __atomic_exchange_1
    .type __atomic_exchange_1, @function
__atomic_exchange_1:
    slli    t0, a0, 3       /* the byte's place in its word; shifts take it modulo 32 */
    andi    a0, a0, -4
    li      t1, 0xff
    andi    a1, a1, 0xff
    sllw    t1, t1, t0
    sllw    a1, a1, t0
1:  lr.w.aqrl t2, (a0)
    xor     t3, t2, a1
    and     t3, t3, t1
    xor     t3, t3, t2
    sc.w.rl t3, t3, (a0)
    bnez    t3, 1b
    srlw    a0, t2, t0
    andi    a0, a0, 0xff
    ret

/*
 * What begins and ends functions that are built to be small (-msave-restore): ra and the first n of s0 to s11 go below
 * the stack pointer of before, in this order from the top, and the frame is a multiple of 16 bytes. An even n and the
 * next odd one take the same frame, and share: s(n) more to save does no harm. Saving returns by t0 and changes
 * nothing else; restoring returns to whom the function was called by.
 */
    .macro each_saved insn, last, frame
    \insn  ra, \frame - 8(sp)
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    .if \n < \last
    \insn  s\n, \frame - 16 - 8 * \n(sp)
    .endif
    .endr
    .endm

    .macro save_restore last, before
    .irp n, \last, \before
    .global __riscv_save_\n, __riscv_restore_\n
    .set __riscv_save_\n, save_\last
    .set __riscv_restore_\n, restore_\last
    .endr
save_\last:
    addi    sp, sp, -((8 * \last + 8 + 15) & -16)
    each_saved sd, \last, ((8 * \last + 8 + 15) & -16)
    jr      t0
restore_\last:
    each_saved ld, \last, ((8 * \last + 8 + 15) & -16)
    addi    sp, sp, (8 * \last + 8 + 15) & -16
    ret
    .endm

    save_restore 1, 0
    save_restore 3, 2
    save_restore 5, 4
    save_restore 7, 6
    save_restore 9, 8
    save_restore 11, 10
    save_restore 12
