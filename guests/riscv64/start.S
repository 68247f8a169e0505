/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entry of our own riscv64 guests: a Linux Image header (so that QEMU and axvm both put the device tree's address into
 * a1), an identity map, a stack for each CPU, and a trap handler that calls guest_trap().
 */
#define STACK_SHIFT 14
#define FRAME_SIZE 272
#define EACH_X_BUT_SP 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, \
    28, 29, 30, 31

    .section .text.start, "ax"
    .option norvc
    .global _start
_start:
    j       primary
    .word   0
    .quad   0x200000            /* text_offset */
    .quad   __image_size
    .quad   0                   /* little-endian */
    .word   2, 0                /* version 0.2 */
    .quad   0
    .ascii  "RISCV\0\0\0"
    .ascii  "RSC\x05"
    .word   0

primary:
    rdtime  s2
    mv      s0, a0
    mv      s1, a1
    la      t0, __bss_start
    la      t1, __bss_end
1:  bgeu    t0, t1, 2f
    sd      zero, (t0)
    addi    t0, t0, 8
    j       1b
2:  la      t0, entered_at
    sd      s2, (t0)
    la      t0, boot_hart
    sd      s0, (t0)
    call    tables_fill
    call    mmu_on
    li      a0, 0
    call    cpu_setup
    mv      a0, s1
    call    guest_main
    j       .

/* SBI hart_start comes here with the CPU's number in a1. */
    .global secondary_start
secondary_start:
    mv      s0, a1
    call    mmu_on
    mv      a0, s0
    call    cpu_setup
    mv      a0, s0
    call    guest_secondary
    j       .

/* a0: CPU number, kept in sscratch. Stack, traps, FP on. */
cpu_setup:
    csrw    sscratch, a0
    la      t0, stacks
    addi    a0, a0, 1
    slli    a0, a0, STACK_SHIFT
    add     sp, t0, a0
    la      t0, trap_entry
    csrw    stvec, t0
    csrw    sie, zero
    li      t0, 1 << 13 | 1 << 9 /* sstatus.FS and VS: initial */
    csrs    sstatus, t0
    ret

/* Sv39: 1 GiB pages, all of the lower half of the address space as it is. V, R, W, X, A, D. */
tables_fill:
    la      t0, guest_tables
    li      t1, 0xcf
    li      t2, 256
    li      t3, 1 << 28
1:  sd      t1, (t0)
    add     t1, t1, t3
    addi    t0, t0, 8
    addi    t2, t2, -1
    bnez    t2, 1b
    ret

mmu_on:
    la      t0, guest_tables
    srli    t0, t0, 12
    li      t1, 8 << 60
    or      t0, t0, t1
    sfence.vma
    csrw    satp, t0
    sfence.vma
    ret

/* struct guest_frame: x0..x31, pc, sstatus */
    .balign 4
trap_entry:
    addi    sp, sp, -FRAME_SIZE
    .irp    n, EACH_X_BUT_SP
    sd      x\n, (8 * \n)(sp)
    .endr
    addi    t0, sp, FRAME_SIZE
    csrr    t1, sepc
    csrr    t2, sstatus
    sd      t0, (8 * 2)(sp)
    sd      t1, 256(sp)
    sd      t2, 264(sp)
    mv      a0, sp
    call    guest_trap
    ld      t1, 256(sp)
    ld      t2, 264(sp)
    csrw    sepc, t1
    csrw    sstatus, t2
    .irp    n, EACH_X_BUT_SP
    ld      x\n, (8 * \n)(sp)
    .endr
    addi    sp, sp, FRAME_SIZE
    sret

    .bss
    .balign 8
    .global entered_at, boot_hart
entered_at:                     /* the time at the program's first instruction */
    .skip   8
boot_hart:
    .skip   8
    .balign 4096
    .global guest_tables
guest_tables:
    .skip   4096
stacks:
    .skip   64 << STACK_SHIFT
