/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOSTILE_ARCH_H
#define HOSTILE_ARCH_H

/* Offsets in struct hostile_cpu that hostile_entry.S uses. */
#define CPU_PC 256
#define CPU_STATUS 264
#define CPU_CAUSE 272
#define CPU_TVAL 280
#define CPU_STACK 288
#define CPU_IN_SLOT 296
#define CPU_SATP 304

/*
 * What a hart finds when it starts: X(CSR, its number, mask of the bits that must be zero). Most of them are
 * unspecified then; that they are zero is this hypervisor's way of not showing what others left there. sstatus: SIE,
 * SPIE, SPP, SUM, MXR. scounteren: TM may be set. stimecmp is checked apart.
 */
#define BOOT_REGS(X)                                                                                                   \
    X(sstatus, 0x100, 0xc0122) X(sie, 0x104, ALL) X(stvec, 0x105, ALL) X(scounteren, 0x106, ~UINT64_C(2))              \
    X(senvcfg, 0x10a, ALL) X(sscratch, 0x140, ALL) X(sepc, 0x141, ALL) X(scause, 0x142, ALL) X(stval, 0x143, ALL)      \
    X(sip, 0x144, 0x220) X(satp, 0x180, ALL) X(fcsr, 0x003, ALL)

/* In struct boot_record: x0..x31, then BOOT_REGS in their order, then f0..f31. */
#define BOOT_REGS_AT 256
#define BOOT_F_AT 384

#ifndef __ASSEMBLER__
#include "arch.h"

#define ALL UINT64_MAX
#define SLOT_END 0x00100073U /* ebreak */
#define HOSTILE_REGS 32
#define INSN_ALIGN UINT64_C(1)
#define LAZY_BASE UINT64_C(0xa0000000)

struct boot_record {
    uint64_t x[32];
    uint64_t regs[(BOOT_F_AT - BOOT_REGS_AT) / 8];
    uint64_t f[32];
};

#define HOSTILE_CPU_ARCH                                                                                               \
    uint64_t x[32];                                                                                                    \
    uint64_t pc;                                                                                                       \
    uint64_t status; /* sstatus */                                                                                     \
    uint64_t cause, tval;                                                                                              \
    uint64_t stack; /* the C code's meanwhile */                                                                       \
    uint64_t in_slot;                                                                                                  \
    uint64_t satp; /* the C code's */                                                                                  \
    bool suspended; /* starts again where it keeps what it had */

#endif
#endif
