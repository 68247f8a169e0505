/* SPDX-License-Identifier: Apache-2.0 */
/* What the test guest has to do in assembly. */
#include "callee_saved.h"

/*
 * void once_run(uint64_t pc, uint64_t pstate, uint64_t x0): go there, and come back at the first exception of any kind,
 * which is left in ESR_EL1, FAR_EL1, ELR_EL1 and SPSR_EL1.
 */
    .text
    .global once_run
once_run:
    callee_save 112
    mrs     x9, vbar_el1
    str     x9, [sp, #96]
    ldr     x9, =once_vectors
    msr     vbar_el1, x9
    msr     elr_el1, x0
    msr     spsr_el1, x1
    mov     x0, x2
    isb
    eret

once_back:
    ldr     x9, [sp, #96]
    msr     vbar_el1, x9
    isb
    callee_restore 112
    ret

    .balign 0x800
once_vectors:
    .rept 16
    .balign 0x80
    b       once_back
    .endr

/* For the test of debug exceptions: instructions at known places; x0 is the address of a word, or of two. */
    .balign 64
    .global debug_code
debug_code:
    nop
    nop
    ldr     x1, [x0]
    str     x1, [x0]
    svc     #0

/* The same of pairs, which an emulated device's abort doesn't describe. */
    .global debug_pairs
debug_pairs:
    nop
    nop
    ldp     w1, w2, [x0]
    stp     w1, w2, [x0]
    svc     #0

/* PSCI CPU_ON comes here: the context's lowest byte is the CPU's number, all of it is in TPIDR_EL0. */
    .global context_start
context_start:
    msr     tpidr_el0, x0
    and     x0, x0, #0xff
    b       secondary_start
