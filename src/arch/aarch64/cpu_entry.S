/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Into the guest and back. While the guest runs, SP_EL2 points at its struct a64_frame, so an exit needs no scratch
 * register to find where the guest's registers go. EL2 runs with interrupts masked: an exit never nests.
 */

#define FRAME_X(n)    ((n) * 8)
#define FRAME_PC      248
#define FRAME_PSTATE  256
#define FRAME_HOST_SP 264
#define FRAME_REQUESTS (-116) /* struct axvm_vcpu.requests, as seen from the frame */

    .section .text.entry, "ax"

/*
 * Frame in SP. Saves the guest's registers, moves to the host's stack; the frame's address stays in x19 and goes to x0.
 */
.macro save_frame
    stp     x0, x1, [sp, #FRAME_X(0)]
    stp     x2, x3, [sp, #FRAME_X(2)]
    stp     x4, x5, [sp, #FRAME_X(4)]
    stp     x6, x7, [sp, #FRAME_X(6)]
    stp     x8, x9, [sp, #FRAME_X(8)]
    stp     x10, x11, [sp, #FRAME_X(10)]
    stp     x12, x13, [sp, #FRAME_X(12)]
    stp     x14, x15, [sp, #FRAME_X(14)]
    stp     x16, x17, [sp, #FRAME_X(16)]
    stp     x18, x19, [sp, #FRAME_X(18)]
    stp     x20, x21, [sp, #FRAME_X(20)]
    stp     x22, x23, [sp, #FRAME_X(22)]
    stp     x24, x25, [sp, #FRAME_X(24)]
    stp     x26, x27, [sp, #FRAME_X(26)]
    stp     x28, x29, [sp, #FRAME_X(28)]
    mrs     x2, elr_el2
    mrs     x3, spsr_el2
    stp     x30, x2, [sp, #FRAME_X(30)]
    ldr     x4, [sp, #FRAME_HOST_SP]
    str     x3, [sp, #FRAME_PSTATE]
    mov     x19, sp
    mov     x0, sp
    mov     sp, x4
.endm

/*
 * After the handler, x19 the frame: w0 = 0 goes on, else leaves. Requests are looked at last, with interrupts masked:
 * one that is made later comes with an interrupt that ends the guest's run at once.
 */
.macro finish
    ldr     w1, [x19, #FRAME_REQUESTS]
    orr     w1, w1, w0
    cbnz    w1, requested
    mov     sp, x19
.endm

exit_sync:
    save_frame
    mrs     x1, esr_el2
    bl      a64_exit_sync
    finish
    /* falls through */

/* Frame in SP: the guest's registers, then the guest. */
resume:
    ldp     x30, x2, [sp, #FRAME_X(30)]
    ldr     x3, [sp, #FRAME_PSTATE]
    msr     elr_el2, x2
    msr     spsr_el2, x3
    ldp     x28, x29, [sp, #FRAME_X(28)]
    ldp     x26, x27, [sp, #FRAME_X(26)]
    ldp     x24, x25, [sp, #FRAME_X(24)]
    ldp     x22, x23, [sp, #FRAME_X(22)]
    ldp     x20, x21, [sp, #FRAME_X(20)]
    ldp     x18, x19, [sp, #FRAME_X(18)]
    ldp     x16, x17, [sp, #FRAME_X(16)]
    ldp     x14, x15, [sp, #FRAME_X(14)]
    ldp     x12, x13, [sp, #FRAME_X(12)]
    ldp     x10, x11, [sp, #FRAME_X(10)]
    ldp     x8, x9, [sp, #FRAME_X(8)]
    ldp     x6, x7, [sp, #FRAME_X(6)]
    ldp     x4, x5, [sp, #FRAME_X(4)]
    ldp     x2, x3, [sp, #FRAME_X(2)]
    ldp     x0, x1, [sp, #FRAME_X(0)]
    eret
    /* Never executed; stops straight-line speculation past the ERET. */
    dsb     nsh
    isb

exit_irq:
    save_frame
    bl      a64_exit_irq
    finish
    b       resume

exit_serror:
    save_frame
    bl      a64_exit_serror
    finish
    b       resume

requested:
    mov     w1, w0
    mov     x0, x19
    bl      a64_exit_finish
    mov     sp, x19
    cbz     w0, resume
    /* falls through: back to a64_cpu_enter's caller */

leave:
    ldr     x0, [sp, #FRAME_HOST_SP]
    mov     sp, x0
    ldp     x29, x30, [sp, #80]
    ldp     x27, x28, [sp, #64]
    ldp     x25, x26, [sp, #48]
    ldp     x23, x24, [sp, #32]
    ldp     x21, x22, [sp, #16]
    ldp     x19, x20, [sp], #96
    ret

/* void a64_cpu_enter(struct a64_frame *frame): x19..x30 are the host's to keep (AAPCS64 6.1.1). */
    .global a64_cpu_enter
    .type a64_cpu_enter, %function
a64_cpu_enter:
    stp     x19, x20, [sp, #-96]!
    stp     x21, x22, [sp, #16]
    stp     x23, x24, [sp, #32]
    stp     x25, x26, [sp, #48]
    stp     x27, x28, [sp, #64]
    stp     x29, x30, [sp, #80]
    mov     x1, sp
    str     x1, [x0, #FRAME_HOST_SP]
    mov     sp, x0
    b       resume
    .size a64_cpu_enter, . - a64_cpu_enter

/* bool a64_cpu_serror_unmask(void): whether an SError came while they were not masked. */
    .global a64_cpu_serror_unmask
    .type a64_cpu_serror_unmask, %function
a64_cpu_serror_unmask:
    mov     w0, wzr
    msr     daifclr, #4
serror_window:
    isb
    msr     daifset, #4
    ret
    .size a64_cpu_serror_unmask, . - a64_cpu_serror_unmask

/* Of EL2's own SErrors, those are expected. */
serror_el2:
    stp     x1, x2, [sp, #-16]!
    mrs     x1, elr_el2
    adr     x2, serror_window
    sub     x1, x1, x2
    cmp     x1, #4
    ldp     x1, x2, [sp], #16
    b.hi    host_exception
    mov     w0, #1
    eret

/* The vector table (Arm ARM D1.3.1.5). What EL2 itself raises is the host's affair: label host_exception. */
.macro vector label
    .balign 0x80
    b       \label
.endm

    .section .text.vectors, "ax"
    .balign 0x800
    .global a64_vectors
a64_vectors:
    .rept 7 /* from EL2 */
    vector  host_exception
    .endr
    vector  serror_el2
    vector  exit_sync /* from EL1 or EL0 under an AArch64 EL1 */
    vector  exit_irq
    vector  exit_irq /* no group-0 interrupt is the host's; irq_handle finds nothing */
    vector  exit_serror
    .rept 4 /* under an AArch32 EL1: HCR_EL2.RW forbids it */
    vector  host_exception
    .endr

    .section .text.entry, "ax"
/* struct a64_fault a64_cpu_fault(void). HPFAR_EL2.FIPA, bits 39:4, is bits 47:12 of the address. */
    .global a64_cpu_fault
    .type a64_cpu_fault, %function
a64_cpu_fault:
    mrs     x0, hpfar_el2
    mrs     x2, far_el2
    mrs     x1, sctlr_el1
    lsl     x0, x0, #8
    bfxil   x0, x2, #0, #12
    ret

/* void a64_cpu_fp_load(const struct a64_fp *fp), void a64_cpu_fp_save(struct a64_fp *fp) */
    .arch_extension fp
    .arch_extension simd
    .global a64_cpu_fp_save
    .type a64_cpu_fp_save, %function
a64_cpu_fp_save:
    stp     q0, q1, [x0, #0]
    stp     q2, q3, [x0, #32]
    stp     q4, q5, [x0, #64]
    stp     q6, q7, [x0, #96]
    stp     q8, q9, [x0, #128]
    stp     q10, q11, [x0, #160]
    stp     q12, q13, [x0, #192]
    stp     q14, q15, [x0, #224]
    stp     q16, q17, [x0, #256]
    stp     q18, q19, [x0, #288]
    stp     q20, q21, [x0, #320]
    stp     q22, q23, [x0, #352]
    stp     q24, q25, [x0, #384]
    stp     q26, q27, [x0, #416]
    stp     q28, q29, [x0, #448]
    stp     q30, q31, [x0, #480]
    mrs     x1, fpcr
    mrs     x2, fpsr
    str     x1, [x0, #512]
    str     x2, [x0, #520]
    ret

    .global a64_cpu_fp_load
    .type a64_cpu_fp_load, %function
a64_cpu_fp_load:
    ldp     q0, q1, [x0, #0]
    ldp     q2, q3, [x0, #32]
    ldp     q4, q5, [x0, #64]
    ldp     q6, q7, [x0, #96]
    ldp     q8, q9, [x0, #128]
    ldp     q10, q11, [x0, #160]
    ldp     q12, q13, [x0, #192]
    ldp     q14, q15, [x0, #224]
    ldp     q16, q17, [x0, #256]
    ldp     q18, q19, [x0, #288]
    ldp     q20, q21, [x0, #320]
    ldp     q22, q23, [x0, #352]
    ldp     q24, q25, [x0, #384]
    ldp     q26, q27, [x0, #416]
    ldp     q28, q29, [x0, #448]
    ldp     q30, q31, [x0, #480]
    ldr     x1, [x0, #512]
    ldr     x2, [x0, #520]
    msr     fpcr, x1
    msr     fpsr, x2
    ret

/* void a64_cpu_q_read(unsigned n, uint8_t q[16]), void a64_cpu_q_write(unsigned n, const uint8_t q[16]) */
.macro q_table label instruction
    .global \label
    .type \label, %function
\label:
    adr     x2, 1f
    and     w0, w0, #31
    add     x2, x2, x0, lsl #3
    br      x2
1:
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    \instruction q\n, [x1]
    ret
    .endr
    .irp n, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    \instruction q\n, [x1]
    ret
    .endr
.endm

    q_table a64_cpu_q_read str
    q_table a64_cpu_q_write ldr
