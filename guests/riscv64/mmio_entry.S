/* SPDX-License-Identifier: Apache-2.0 */
/* How the mmio guest executes one instruction, in S mode and in U mode. */
#define EACH_SAVED 1, 3, 4, 8, 9, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27

    .text
/*
 * void mmio_run(struct registers *registers, const void *instruction): load a0..a7 and fa0..fa7, execute what is there,
 * which returns and leaves t3 to t5 alone, and store them. Runs at any address, and without a stack.
 */
    .global mmio_run
mmio_run:
    mv      t3, a0
    mv      t4, a1
    mv      t5, ra
    .irp    n, 0, 1, 2, 3, 4, 5, 6, 7
    fld     fa\n, (64 + 8 * \n)(t3)
    .endr
    .irp    n, 0, 1, 2, 3, 4, 5, 6, 7
    ld      a\n, (8 * \n)(t3)
    .endr
    jalr    t4
    .irp    n, 0, 1, 2, 3, 4, 5, 6, 7
    sd      a\n, (8 * \n)(t3)
    .endr
    .irp    n, 0, 1, 2, 3, 4, 5, 6, 7
    fsd     fa\n, (64 + 8 * \n)(t3)
    .endr
    jr      t5

/* What U mode executes for mmio_run(). */
    .global mmio_run_user
mmio_run_user:
    jal     mmio_run
    ecall

/*
 * void mmio_user(struct user *user): U mode with a0..a7 from user->x, at user->pc, until it traps. Where that was goes
 * to user->pc, why to user->cause and user->tval.
 */
    .global mmio_user
mmio_user:
    addi    sp, sp, -256
    .irp    n, EACH_SAVED
    sd      x\n, (8 * \n)(sp)
    .endr
    csrr    t0, sscratch
    sd      t0, 240(sp)
    csrr    t0, stvec
    sd      t0, 248(sp)
    sd      sp, 88(a0)
    la      t0, user_exit
    csrw    stvec, t0
    csrw    sscratch, a0
    ld      t0, 64(a0)
    csrw    sepc, t0
    li      t0, 1 << 8          /* SPP: user */
    csrc    sstatus, t0
    .irp    n, 7, 6, 5, 4, 3, 2, 1, 0
    ld      a\n, (8 * \n)(a0)
    .endr
    sret

    .balign 4
user_exit:
    csrrw   a0, sscratch, a0
    .irp    n, 1, 2, 3, 4, 5, 6, 7
    sd      a\n, (8 * \n)(a0)
    .endr
    csrr    t0, sscratch
    sd      t0, (a0)
    csrr    t0, sepc
    sd      t0, 64(a0)
    csrr    t0, scause
    sd      t0, 72(a0)
    csrr    t0, stval
    sd      t0, 80(a0)
    ld      sp, 88(a0)
    ld      t0, 240(sp)
    csrw    sscratch, t0
    ld      t0, 248(sp)
    csrw    stvec, t0
    .irp    n, EACH_SAVED
    ld      x\n, (8 * \n)(sp)
    .endr
    addi    sp, sp, 256
    ret
