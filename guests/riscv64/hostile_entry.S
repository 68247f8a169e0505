/* SPDX-License-Identifier: Apache-2.0 */
/* How the hostile guest's harts start, and how they get into a slot and out of it. */
#include "hostile.h"

#define EACH_X_BUT_T0 1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, \
    28, 29, 30, 31
#define EACH_X_BUT_A1 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, \
    28, 29, 30, 31
#define EACH_F 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, \
    28, 29, 30, 31
#define SAVED 1, 3, 4, 8, 9, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27
#define SAVED_SIZE 256
#define VECTOR_SHIFT 6

    .text
    .option norvc
/* t0: struct hostile_cpu. This hart's vector. Spoils t1, t2. */
own_vector:
    la      t1, hostile_cpus
    sub     t1, t0, t1
    srli    t1, t1, HOSTILE_CPU_SHIFT - VECTOR_SHIFT
    la      t2, hostile_vectors
    add     t1, t1, t2
    csrw    stvec, t1
    ret

/* void hostile_sane(uint64_t satp) */
    .global hostile_sane
hostile_sane:
    mv      t3, ra
    la      t0, hostile_cpus
    jal     own_vector
    csrw    satp, a0
    sfence.vma
    jr      t3

/* As hart_start leaves it: no translation, a1 the argument; what is in the registers goes to struct boot_record. */
    .balign 4
    .global hostile_start
hostile_start:
    .irp    n, EACH_X_BUT_A1
    sd      x\n, (CPU_BOOT + 8 * \n)(a1)
    .endr
    mv      t0, a1
    li      t1, CPU_BOOT + BOOT_REGS_AT
    add     t1, t0, t1
    csrr    t3, sstatus
    li      t2, 3 << 13
    csrs    sstatus, t2
#define SAVE(name, number, mask) csrr t2, number; sd t2, (t1); addi t1, t1, 8;
    BOOT_REGS(SAVE)
    sd      t3, (CPU_BOOT + BOOT_REGS_AT)(t0) /* as it was before FP was on */
    li      t1, CPU_BOOT + BOOT_F_AT
    add     t1, t0, t1
    .irp    n, EACH_F
    fsd     f\n, (8 * \n)(t1)
    .endr
    jal     own_vector
    ld      t1, CPU_SATP(t0)
    csrw    satp, t1
    sfence.vma
    mv      s0, t0
    jal     take_stack
    mv      a0, s0
    call    hostile_started

/* sp: the stack of the hart in s0, empty. Spoils t0, t1. */
take_stack:
    la      t0, hostile_cpus
    sub     t0, s0, t0
    srli    t0, t0, HOSTILE_CPU_SHIFT
    addi    t0, t0, 1
    slli    t0, t0, HOSTILE_STACK_SHIFT
    la      t1, hostile_stacks
    add     sp, t0, t1
    ret

/* void hostile_enter(struct hostile_cpu *cpu) */
    .global hostile_enter
hostile_enter:
    addi    sp, sp, -SAVED_SIZE
    .irp    n, SAVED
    sd      x\n, (8 * \n)(sp)
    .endr
    sd      sp, CPU_STACK(a0)
    li      t0, 1
    sd      t0, CPU_IN_SLOT(a0)
    mv      t0, a0
    ld      t1, CPU_PC(t0)
    csrw    sepc, t1
    ld      t1, CPU_STATUS(t0)
    csrw    sstatus, t1
    .irp    n, EACH_X_BUT_T0
    ld      x\n, (8 * \n)(t0)
    .endr
    ld      t0, (8 * 5)(t0)
    sret

/* One for each hart: nothing else that a slot can't change says which hart this is. */
    .balign 1 << VECTOR_SHIFT
hostile_vectors:
    .irp    n, 0, 1, 2, 3, 4, 5, 6, 7
    .balign 1 << VECTOR_SHIFT
    csrw    sscratch, t0
    la      t0, hostile_cpus + (\n << HOSTILE_CPU_SHIFT)
    j       left
    .endr

/*
 * The registers to struct hostile_cpu, all that translation depends on as it should be, back to hostile_enter()'s
 * caller.
 */
left:
    .irp    n, EACH_X_BUT_T0
    sd      x\n, (8 * \n)(t0)
    .endr
    csrr    t1, sscratch
    sd      t1, (8 * 5)(t0)
    csrr    t1, sepc
    sd      t1, CPU_PC(t0)
    csrr    t1, sstatus
    sd      t1, CPU_STATUS(t0)
    csrr    t1, scause
    sd      t1, CPU_CAUSE(t0)
    csrr    t1, stval
    sd      t1, CPU_TVAL(t0)
    ld      t1, CPU_SATP(t0)
    csrr    t2, satp
    beq     t1, t2, 1f
    csrw    satp, t1
    sfence.vma
1:  jal     own_vector
    ld      t1, CPU_IN_SLOT(t0)
    beqz    t1, crashed
    sd      zero, CPU_IN_SLOT(t0)
    ld      sp, CPU_STACK(t0)
    .irp    n, SAVED
    ld      x\n, (8 * \n)(sp)
    .endr
    addi    sp, sp, SAVED_SIZE
    ret

crashed:
    mv      s0, t0
    jal     take_stack
    mv      a0, s0
    call    hostile_crashed

/* void hostile_f_fill(uint64_t mark): all of f0..f31 */
    .global hostile_f_fill
hostile_f_fill:
    .irp    n, EACH_F
    fmv.d.x f\n, a0
    .endr
    ret

/* uint64_t hostile_f_differ(uint64_t mark): not zero if one of them is something else */
    .global hostile_f_differ
hostile_f_differ:
    li      a1, 0
    .irp    n, EACH_F
    fmv.x.d a2, f\n
    xor     a2, a2, a0
    or      a1, a1, a2
    .endr
    mv      a0, a1
    ret
