/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting with marks in all registers. */
#define EACH_X 1, 3, 4, 8, 9, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
#define EACH_F 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, \
    28, 29, 30, 31
#define SAVED 1, 3, 4, 8, 9, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27

    .text
/*
 * uint64_t marker_spin(uint64_t mark, uint64_t until, struct gaps *gaps): with the mark in all general registers but
 * a0..a3, t0..t2 and sp, and in all FP registers.
 */
    .global marker_spin
marker_spin:
    addi    sp, sp, -272
    .irp    n, SAVED
    sd      x\n, (8 * \n)(sp)
    .endr
    sd      a2, 264(sp)
    ld      t2, 8(a2)
    ld      t1, 16(a2)
    ld      a2, (a2)
    .irp    n, EACH_F
    fmv.d.x f\n, a0
    .endr
    .irp    n, EACH_X
    mv      x\n, a0
    .endr
    rdtime  a3
1:  rdtime  t0
    sub     a3, t0, a3
    bgeu    a2, a3, 2f
    mv      a2, a3
2:  bltu    a3, t1, 3f
    add     t2, t2, a3
3:  mv      a3, t0
    bltu    t0, a1, 1b
    li      t1, 0
    .irp    n, EACH_X
    xor     t0, x\n, a0
    or      t1, t1, t0
    .endr
    .irp    n, EACH_F
    fmv.x.d t0, f\n
    xor     t0, t0, a0
    or      t1, t1, t0
    .endr
    ld      t0, 264(sp)
    sd      a2, (t0)
    sd      t2, 8(t0)
    mv      a0, t1
    .irp    n, SAVED
    ld      x\n, (8 * \n)(sp)
    .endr
    addi    sp, sp, 272
    ret
