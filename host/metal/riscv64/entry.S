/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where each pCPU begins: the boot pCPU as Linux's Documentation/arch/riscv/boot.rst says (HS mode, satp = 0, a0 the
 * hart's id, a1 the device tree), the others by SBI hart_start (a1 their struct percpu). Caches are coherent, always.
 */
#include "host_layout.h"

#define SSTATUS_CLEAR 0xc6602 /* SIE, VS, FS, SUM, MXR: the host has no use for any of them */

    .option norelax

/* Documentation/arch/riscv/boot-image-header.rst */
    .section .head.first, "ax"
    .option push
    .option norvc
    j       entry
    nop
    .option pop
    .quad   0x200000    /* text_offset: on a 2 MiB boundary, with the firmware's own 2 MiB below */
    /* image.ld puts image_size here */
    .section .head.second, "ax"
    .quad   0           /* little-endian */
    .word   2           /* version 0.2 of the header */
    .word   0
    .quad   0
    .ascii  "RISCV\0\0\0"
    .ascii  "RSC\x05"
    .word   0

    .section .text.entry, "ax"
.macro begin
    csrw    sie, zero
    li      t0, SSTATUS_CLEAR
    csrc    sstatus, t0
    csrw    sscratch, zero /* the host runs: see rv64_vectors */
    lla     t0, park
    csrw    stvec, t0
.endm

/* From here on an exception of HS mode's own comes to host_exception. Spoils t0. */
.macro catch
    mv      tp, sp
    lla     t0, rv64_vectors
    csrw    stvec, t0
.endm

/*
 * The first hart that comes here boots. OpenSBI 1.1 may send another here, which should begin at secondary_entry: it
 * says that a hart is to start before it says where. That hart finds its struct percpu by its hart id.
 */
entry:
    begin
    lla     t0, entry_taken
    li      t1, 1
    amoswap.w.aqrl t1, t1, (t0)
    bnez    t1, late
    mv      s0, a0
    mv      s1, a1
    lla     s2, image_start

    /* R_RISCV_RELATIVE, the only kind that a static PIE needs: *(base + offset) = base + addend. */
    lla     t0, image_rela
    lla     t1, image_rela_end
    li      t6, 3
1:  bgeu    t0, t1, 2f
    ld      t2, 0(t0)
    lw      t3, 8(t0)
    ld      t4, 16(t0)
    addi    t0, t0, 24
    bne     t3, t6, park
    add     t2, t2, s2
    add     t4, t4, s2
    sd      t4, 0(t2)
    j       1b

2:  lla     t0, image_bss
    lla     t1, image_end
3:  sd      zero, 0(t0)
    sd      zero, 8(t0)
    addi    t0, t0, 16
    bltu    t0, t1, 3b

    lla     sp, boot_stack + STACK_AREA - PERCPU_SIZE
    catch
    mv      a0, s1
    call    mmu_early
    beqz    a0, park
    lla     a0, mmu_boot
    call    mmu_switch
    beqz    a0, park
    mv      a0, s1
    mv      a1, s0
    call    metal_main
    j       park

late:
    lla     t0, percpus
    addi    t1, t0, 8 * PERCPU_MAX
5:  ld      a1, 0(t0)
    addi    t0, t0, 8
    beqz    a1, 6f
    ld      t2, PERCPU_CPU_ID(a1)
    beq     t2, a0, secondary_entry
6:  bltu    t0, t1, 5b
    j       park

    .section .data.entry_taken, "aw"
    .balign 4
entry_taken:
    .word   0

    .section .text.entry, "ax"
/* a1: the pCPU's struct percpu, on top of its stack. Aligned, since firmware puts it into stvec, too. */
    .balign 4
    .global secondary_entry
secondary_entry:
    begin
    mv      sp, a1
    catch
    lla     a0, mmu_boot
    call    mmu_switch
    beqz    a0, park
    call    metal_secondary
    /* falls through */

    .balign 4
    .global park
park:
    csrw    sie, zero
    csrci   sstatus, 2
4:  wfi
    j       4b

/*
 * bool mmu_switch(const struct mmu_regs *regs): take another translation table for the same addresses. False: the hart
 * hasn't that many levels, and nothing has changed (Privileged 1.13, 12.1.11: the write is ignored as a whole).
 */
    .global mmu_switch
mmu_switch:
    ld      t0, 0(a0)
    sfence.vma
    csrw    satp, t0
    sfence.vma
    fence.i
    csrr    t1, satp
    xor     t0, t0, t1
    seqz    a0, t0
    ret

/*
 * An exception of HS mode's own, from the library's vector: sp is 0, and sscratch has the interrupted one. Never
 * returns. The registers go into struct percpu.
 */
    .global host_exception
host_exception:
    sd      x1, (PERCPU_REGS + 8)(tp)
    lw      x1, PERCPU_FAULTED(tp)
    bnez    x1, park            /* while reporting another one */
    li      x1, 1
    sw      x1, PERCPU_FAULTED(tp)
    .irp n, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    sd      x\n, (PERCPU_REGS + 8 * \n)(tp)
    .endr
    csrrw   a1, sscratch, zero
    sd      a1, (PERCPU_REGS + 16)(tp)
    csrr    t0, sepc
    csrr    t1, sstatus
    csrr    t2, scause
    csrr    t3, stval
    sd      t0, (PERCPU_REGS + 256)(tp)
    sd      t1, (PERCPU_REGS + 264)(tp)
    sd      t2, (PERCPU_REGS + 272)(tp)
    sd      t3, (PERCPU_REGS + 280)(tp)

    /* Go on below what is on the stack, if sp is sound and there is room; else start the stack afresh. */
    sub     t0, tp, a1
    li      t1, STACK_AREA - STACK_GUARD - PERCPU_SIZE - 2048
    bleu    t0, t1, 5f
    mv      a1, tp
5:  andi    sp, a1, -16
    addi    a0, tp, PERCPU_REGS
    call    fault_report
    j       park

/* The boot pCPU's stack, laid out as host_layout.h says. */
    .section .stack, "aw", %nobits
    .balign STACK_AREA
    .global boot_stack
boot_stack:
    .skip   STACK_AREA
