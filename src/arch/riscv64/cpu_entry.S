/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Into the guest and back. While the guest runs, sscratch points at its struct rv64_frame; while the host runs it is 0,
 * which tells a trap of HS mode itself. HS mode runs with interrupts masked: an exit never nests.
 */

#define FRAME_X(n)    ((n) * 8)
#define FRAME_PC      256
#define FRAME_HOST_SP 264
#define FRAME_REQUESTS (-116) /* struct axvm_vcpu.requests, as seen from the frame */

#define HOST_TP 104 /* on the host's stack */
#define HOST_SIZE 112

    .section .text.entry, "ax"

/* stvec, in direct mode: all traps come here (Privileged 1.13, 12.1.2). */
    .balign 4
    .global rv64_vectors
rv64_vectors:
    csrrw   sp, sscratch, sp
    beqz    sp, host_trap
    sd      x1, FRAME_X(1)(sp)
    sd      x3, FRAME_X(3)(sp)
    sd      x4, FRAME_X(4)(sp)
    sd      x5, FRAME_X(5)(sp)
    sd      x6, FRAME_X(6)(sp)
    sd      x7, FRAME_X(7)(sp)
    sd      x8, FRAME_X(8)(sp)
    sd      x9, FRAME_X(9)(sp)
    sd      x10, FRAME_X(10)(sp)
    sd      x11, FRAME_X(11)(sp)
    sd      x12, FRAME_X(12)(sp)
    sd      x13, FRAME_X(13)(sp)
    sd      x14, FRAME_X(14)(sp)
    sd      x15, FRAME_X(15)(sp)
    sd      x16, FRAME_X(16)(sp)
    sd      x17, FRAME_X(17)(sp)
    sd      x18, FRAME_X(18)(sp)
    sd      x19, FRAME_X(19)(sp)
    sd      x20, FRAME_X(20)(sp)
    sd      x21, FRAME_X(21)(sp)
    sd      x22, FRAME_X(22)(sp)
    sd      x23, FRAME_X(23)(sp)
    sd      x24, FRAME_X(24)(sp)
    sd      x25, FRAME_X(25)(sp)
    sd      x26, FRAME_X(26)(sp)
    sd      x27, FRAME_X(27)(sp)
    sd      x28, FRAME_X(28)(sp)
    sd      x29, FRAME_X(29)(sp)
    sd      x30, FRAME_X(30)(sp)
    sd      x31, FRAME_X(31)(sp)
    csrrw   t0, sscratch, zero /* the guest's sp; and from here on it is the host that traps */
    csrr    t1, sepc
    sd      t0, FRAME_X(2)(sp)
    sd      t1, FRAME_PC(sp)
    csrr    a1, scause
    mv      a0, sp
    mv      s0, sp
    ld      sp, FRAME_HOST_SP(sp)
    ld      tp, HOST_TP(sp)
    jal     rv64_exit

    /*
     * a0 = 0 goes on, else leaves. Requests are looked at last, with interrupts masked: one that is made later comes
     * with an interrupt that ends the guest's run at once.
     */
    lw      a1, FRAME_REQUESTS(s0)
    or      a1, a1, a0
    bnez    a1, requested

/* s0: the frame. The guest's registers, then the guest. */
resume:
    ld      t0, FRAME_PC(s0)
    csrw    sscratch, s0
    csrw    sepc, t0
    ld      x1, FRAME_X(1)(s0)
    ld      x2, FRAME_X(2)(s0)
    ld      x3, FRAME_X(3)(s0)
    ld      x4, FRAME_X(4)(s0)
    ld      x5, FRAME_X(5)(s0)
    ld      x6, FRAME_X(6)(s0)
    ld      x7, FRAME_X(7)(s0)
    ld      x9, FRAME_X(9)(s0)
    ld      x10, FRAME_X(10)(s0)
    ld      x11, FRAME_X(11)(s0)
    ld      x12, FRAME_X(12)(s0)
    ld      x13, FRAME_X(13)(s0)
    ld      x14, FRAME_X(14)(s0)
    ld      x15, FRAME_X(15)(s0)
    ld      x16, FRAME_X(16)(s0)
    ld      x17, FRAME_X(17)(s0)
    ld      x18, FRAME_X(18)(s0)
    ld      x19, FRAME_X(19)(s0)
    ld      x20, FRAME_X(20)(s0)
    ld      x21, FRAME_X(21)(s0)
    ld      x22, FRAME_X(22)(s0)
    ld      x23, FRAME_X(23)(s0)
    ld      x24, FRAME_X(24)(s0)
    ld      x25, FRAME_X(25)(s0)
    ld      x26, FRAME_X(26)(s0)
    ld      x27, FRAME_X(27)(s0)
    ld      x28, FRAME_X(28)(s0)
    ld      x29, FRAME_X(29)(s0)
    ld      x30, FRAME_X(30)(s0)
    ld      x31, FRAME_X(31)(s0)
    ld      x8, FRAME_X(8)(s0)
    sret

requested:
    mv      a1, a0
    mv      a0, s0
    jal     rv64_exit_finish
    beqz    a0, resume
    /* back to rv64_cpu_enter's caller; sp is what it was there */
    ld      ra, 0(sp)
    ld      s0, 8(sp)
    ld      s1, 16(sp)
    ld      s2, 24(sp)
    ld      s3, 32(sp)
    ld      s4, 40(sp)
    ld      s5, 48(sp)
    ld      s6, 56(sp)
    ld      s7, 64(sp)
    ld      s8, 72(sp)
    ld      s9, 80(sp)
    ld      s10, 88(sp)
    ld      s11, 96(sp)
    addi    sp, sp, HOST_SIZE
    ret

host_trap:
    j       host_exception

/* void rv64_cpu_enter(struct rv64_frame *frame): ra, s0..s11 and tp are the host's to keep (psABI). gp isn't used. */
    .global rv64_cpu_enter
    .type rv64_cpu_enter, @function
rv64_cpu_enter:
    addi    sp, sp, -HOST_SIZE
    sd      ra, 0(sp)
    sd      s0, 8(sp)
    sd      s1, 16(sp)
    sd      s2, 24(sp)
    sd      s3, 32(sp)
    sd      s4, 40(sp)
    sd      s5, 48(sp)
    sd      s6, 56(sp)
    sd      s7, 64(sp)
    sd      s8, 72(sp)
    sd      s9, 80(sp)
    sd      s10, 88(sp)
    sd      s11, 96(sp)
    sd      tp, HOST_TP(sp)
    sd      sp, FRAME_HOST_SP(a0)
    mv      s0, a0
    j       resume
    .size rv64_cpu_enter, . - rv64_cpu_enter
