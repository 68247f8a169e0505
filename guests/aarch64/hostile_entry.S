/* SPDX-License-Identifier: Apache-2.0 */
/* How the hostile guest's CPUs start, and how they get into a slot and out of it. */
#include "callee_saved.h"
#include "hostile.h"

    .arch_extension fp
    .arch_extension simd

#define EACH_Q 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, \
    28, 29, 30, 31

/* Which CPU this is, whatever has been written to other registers. */
.macro this_cpu to, scratch
    mrs     \to, mpidr_el1
    and     \to, \to, #0xf
    adrp    \scratch, hostile_cpus
    add     \to, \scratch, \to, lsl #HOSTILE_CPU_SHIFT
.endm

.macro sane_sctlr to
    movz    \to, #(SANE_SCTLR & 0xffff)
    movk    \to, #(SANE_SCTLR >> 16), lsl #16
.endm

/* What translation and exceptions depend on. Needs no memory; spoils x1. */
.macro make_sane
    mov     x1, #SANE_MAIR
    msr     mair_el1, x1
    movz    x1, #(SANE_TCR_LOW & 0xffff)
    movk    x1, #(SANE_TCR_LOW >> 16), lsl #16
    movk    x1, #SANE_TCR_HIGH, lsl #32
    msr     tcr_el1, x1
    adrp    x1, hostile_tables
    msr     ttbr0_el1, x1
    adrp    x1, hostile_vectors
    add     x1, x1, :lo12:hostile_vectors
    msr     vbar_el1, x1
    isb
    tlbi    vmalle1
    dsb     sy
    sane_sctlr x1
    msr     sctlr_el1, x1
    isb
.endm

    .text
/* void hostile_sane(void) */
    .global hostile_sane
hostile_sane:
    dsb     sy
    make_sane
    ret

/* As PSCI CPU_ON leaves it: MMU off, x0 the argument; what is in the registers goes to struct boot_record. */
    .global hostile_start
hostile_start:
    str     x1, [x0, #(CPU_BOOT + 8)]
    str     x2, [x0, #(CPU_BOOT + 16)]
    add     x1, x0, #CPU_BOOT
    stp     x3, x4, [x1, #24]
    stp     x5, x6, [x1, #40]
    stp     x7, x8, [x1, #56]
    stp     x9, x10, [x1, #72]
    stp     x11, x12, [x1, #88]
    stp     x13, x14, [x1, #104]
    stp     x15, x16, [x1, #120]
    stp     x17, x18, [x1, #136]
    stp     x19, x20, [x1, #152]
    stp     x21, x22, [x1, #168]
    stp     x23, x24, [x1, #184]
    stp     x25, x26, [x1, #200]
    stp     x27, x28, [x1, #216]
    stp     x29, x30, [x1, #232]
    mov     x2, sp
    str     x2, [x1, #248]
    add     x2, x1, #BOOT_REGS_AT
#define SAVE(name, value, mask) mrs x3, name; str x3, [x2], #8;
    BOOT_REGS(SAVE)
    mov     x3, #(3 << 20)
    msr     cpacr_el1, x3
    isb
    BOOT_FP_REGS(SAVE)
    add     x2, x1, #BOOT_FP_AT
    .irp    n, EACH_Q
    str     q\n, [x2], #16
    .endr
    mov     x19, x0
    make_sane

    /* The caches must not hide what was written above with them off. */
    add     x1, x19, #CPU_BOOT
    add     x2, x19, #(1 << HOSTILE_CPU_SHIFT)
1:  dc      ivac, x1
    add     x1, x1, #16
    cmp     x1, x2
    b.lo    1b
    dsb     sy

    bl      take_stack
    mov     x0, x19
    bl      hostile_started

/* SP: this CPU's stack, empty. Spoils x0, x1. */
take_stack:
    mrs     x0, mpidr_el1
    and     x0, x0, #0xf
    add     x0, x0, #1
    ldr     x1, =hostile_stacks
    add     x0, x1, x0, lsl #HOSTILE_STACK_SHIFT
    mov     sp, x0
    ret

/* void hostile_enter(struct hostile_cpu *cpu) */
    .global hostile_enter
hostile_enter:
    callee_save 96
    mov     x1, sp
    mov     x2, #1
    stp     x1, x2, [x0, #CPU_STACK]
    ldp     x2, x3, [x0, #CPU_PC]
    msr     elr_el1, x2
    msr     spsr_el1, x3
    ldr     x1, [x0, #CPU_SP]
    msr     sp_el0, x1
    mov     sp, x1
    ldp     x2, x3, [x0, #16]
    ldp     x4, x5, [x0, #32]
    ldp     x6, x7, [x0, #48]
    ldp     x8, x9, [x0, #64]
    ldp     x10, x11, [x0, #80]
    ldp     x12, x13, [x0, #96]
    ldp     x14, x15, [x0, #112]
    ldp     x16, x17, [x0, #128]
    ldp     x18, x19, [x0, #144]
    ldp     x20, x21, [x0, #160]
    ldp     x22, x23, [x0, #176]
    ldp     x24, x25, [x0, #192]
    ldp     x26, x27, [x0, #208]
    ldp     x28, x29, [x0, #224]
    ldr     x30, [x0, #240]
    ldp     x0, x1, [x0]
    eret

.macro slot_left n
    .balign 0x80
    msr     tpidr_el1, x0
    mov     x0, #\n
    msr     tpidr_el0, x0
    b       left
.endm

    .balign 0x800
hostile_vectors:
    .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    slot_left \n
    .endr

/*
 * First what memory accesses depend on, then the registers to struct hostile_cpu, then back to hostile_enter()'s
 * caller.
 */
left:
    msr     tpidrro_el0, x1
    mrs     x0, sctlr_el1
    sane_sctlr x1
    cmp     x0, x1
    b.eq    1f
    make_sane
1:  this_cpu x0, x1
    stp     x2, x3, [x0, #16]
    stp     x4, x5, [x0, #32]
    stp     x6, x7, [x0, #48]
    stp     x8, x9, [x0, #64]
    stp     x10, x11, [x0, #80]
    stp     x12, x13, [x0, #96]
    stp     x14, x15, [x0, #112]
    stp     x16, x17, [x0, #128]
    stp     x18, x19, [x0, #144]
    stp     x20, x21, [x0, #160]
    stp     x22, x23, [x0, #176]
    stp     x24, x25, [x0, #192]
    stp     x26, x27, [x0, #208]
    stp     x28, x29, [x0, #224]
    mrs     x1, tpidr_el1
    mrs     x2, tpidrro_el0
    stp     x1, x2, [x0]
    mov     x1, sp
    stp     x30, x1, [x0, #240]
    mrs     x1, elr_el1
    mrs     x2, spsr_el1
    stp     x1, x2, [x0, #CPU_PC]
    mrs     x1, esr_el1
    mrs     x2, far_el1
    stp     x1, x2, [x0, #CPU_ESR]
    mrs     x1, tpidr_el0
    str     x1, [x0, #CPU_VECTOR]
    ldp     x1, x2, [x0, #CPU_STACK]
    cbz     x2, crashed
    str     xzr, [x0, #CPU_IN_SLOT]
    mov     sp, x1
    callee_restore 96
    ret

crashed:
    mov     x19, x0
    bl      take_stack
    mov     x0, x19
    bl      hostile_crashed

/* void hostile_fp_fill(uint64_t mark): all of Q0..Q31 */
    .global hostile_fp_fill
hostile_fp_fill:
    .irp    n, EACH_Q
    dup     v\n\().2d, x0
    .endr
    ret

/* uint64_t hostile_fp_differ(uint64_t mark): not zero if one of them is something else */
    .global hostile_fp_differ
hostile_fp_differ:
    mov     x1, #0
    .irp    n, EACH_Q
    mov     x2, v\n\().d[0]
    mov     x3, v\n\().d[1]
    eor     x2, x2, x0
    eor     x3, x3, x0
    orr     x1, x1, x2
    orr     x1, x1, x3
    .endr
    mov     x0, x1
    ret
