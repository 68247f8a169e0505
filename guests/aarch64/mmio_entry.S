/* SPDX-License-Identifier: Apache-2.0 */
/* How the mmio guest executes one instruction, at each exception level. */
#include "callee_saved.h"

    .arch_extension fp
    .arch_extension simd
    .text

/*
 * void mmio_run(struct registers *registers, const void *instruction): load x0-x7 and q0-q7, execute what is there,
 * which returns and leaves x9 to x11 alone, and store them. Runs at any address.
 */
    .global mmio_run
mmio_run:
    mov     x9, x0
    mov     x10, x1
    mov     x11, x30
    ldp     q0, q1, [x9, #64]
    ldp     q2, q3, [x9, #96]
    ldp     q4, q5, [x9, #128]
    ldp     q6, q7, [x9, #160]
    ldp     x0, x1, [x9]
    ldp     x2, x3, [x9, #16]
    ldp     x4, x5, [x9, #32]
    ldp     x6, x7, [x9, #48]
    blr     x10
    stp     x0, x1, [x9]
    stp     x2, x3, [x9, #16]
    stp     x4, x5, [x9, #32]
    stp     x6, x7, [x9, #48]
    stp     q0, q1, [x9, #64]
    stp     q2, q3, [x9, #96]
    stp     q4, q5, [x9, #128]
    stp     q6, q7, [x9, #160]
    ret     x11

/* The same with SP_EL0 as the stack pointer. */
    .global mmio_run_sp0
mmio_run_sp0:
    stp     x29, x30, [sp, #-16]!
    msr     spsel, #0
    bl      mmio_run
    msr     spsel, #1
    ldp     x29, x30, [sp], #16
    ret

/* What EL0 executes for mmio_run(). */
    .global mmio_run_user
mmio_run_user:
    bl      mmio_run
    svc     #0

/* void mmio_user(struct user *user): EL0 from user->pc on until it traps. The exception goes to user->esr and ->far. */
    .global mmio_user
mmio_user:
    callee_save 112
    mrs     x1, vbar_el1
    stp     x0, x1, [sp, #96]
    adr     x1, user_vectors
    msr     vbar_el1, x1
    ldp     x1, x2, [x0, #64]
    msr     elr_el1, x1
    msr     spsr_el1, x2
    ldp     x6, x7, [x0, #48]
    ldp     x4, x5, [x0, #32]
    ldp     x2, x3, [x0, #16]
    ldp     x0, x1, [x0]
    isb
    eret

user_exit:
    stp     x8, x9, [sp, #-16]!
    ldr     x8, [sp, #112]
    stp     x0, x1, [x8]
    stp     x2, x3, [x8, #16]
    stp     x4, x5, [x8, #32]
    stp     x6, x7, [x8, #48]
    mrs     x0, elr_el1
    mrs     x1, spsr_el1
    mrs     x2, esr_el1
    mrs     x3, far_el1
    stp     x0, x1, [x8, #64]
    stp     x2, x3, [x8, #80]
    add     sp, sp, #16
    ldr     x1, [sp, #104]
    msr     vbar_el1, x1
    isb
    callee_restore 112
    ret

/* Synchronous exceptions of EL0, AArch64 and AArch32; there are no others here. */
    .balign 0x800
user_vectors:
    .balign 0x400
    .skip   0x400
    b       user_exit
    .balign 0x200
    b       user_exit
    .balign 0x80
