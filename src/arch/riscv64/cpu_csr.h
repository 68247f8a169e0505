/* SPDX-License-Identifier: Apache-2.0 */
/* CSRs of HS mode by number, since not every assembler knows their names; for cpu_*.c only. */
#ifndef AXVM_RISCV64_CPU_CSR_H
#define AXVM_RISCV64_CPU_CSR_H

#include <stdint.h>

#define CSR_SSTATUS 0x100
#define CSR_STVEC 0x105
#define CSR_SCOUNTEREN 0x106
#define CSR_SENVCFG 0x10a
#define CSR_SCAUSE 0x142
#define CSR_STVAL 0x143
#define CSR_VSSTATUS 0x200
#define CSR_VSIE 0x204
#define CSR_VSTVEC 0x205
#define CSR_VSSCRATCH 0x240
#define CSR_VSEPC 0x241
#define CSR_VSCAUSE 0x242
#define CSR_VSTVAL 0x243
#define CSR_VSTIMECMP 0x24d
#define CSR_VSISELECT 0x250
#define CSR_VSIREG 0x251
#define CSR_VSATP 0x280
#define CSR_HSTATUS 0x600
#define CSR_HEDELEG 0x602
#define CSR_HIDELEG 0x603
#define CSR_HIE 0x604
#define CSR_HTIMEDELTA 0x605
#define CSR_HCOUNTEREN 0x606
#define CSR_HVIEN 0x608
#define CSR_HVICTL 0x609
#define CSR_HGEIE 0x607
#define CSR_HENVCFG 0x60a
#define CSR_HSTATEEN0 0x60c
#define CSR_HSTATEEN1 0x60d
#define CSR_HSTATEEN2 0x60e
#define CSR_HSTATEEN3 0x60f
#define CSR_HTVAL 0x643
#define CSR_HIP 0x644
#define CSR_HVIP 0x645
#define CSR_HVIPRIO1 0x646
#define CSR_HVIPRIO2 0x647
#define CSR_HTINST 0x64a
#define CSR_HGATP 0x680

#define csr_read(csr)                                                                                                  \
    __extension__({                                                                                                    \
        uint64_t value_;                                                                                               \
        __asm__ volatile("csrr %0, %1" : "=r"(value_) : "i"(csr) : "memory");                                          \
        value_;                                                                                                        \
    })
#define csr_write(csr, value) __asm__ volatile("csrw %0, %1" ::"i"(csr), "rK"((uint64_t)(value)) : "memory")
#define csr_set(csr, bits) __asm__ volatile("csrs %0, %1" ::"i"(csr), "rK"((uint64_t)(bits)) : "memory")
#define csr_clear(csr, bits) __asm__ volatile("csrc %0, %1" ::"i"(csr), "rK"((uint64_t)(bits)) : "memory")

/*
 * An instruction that may trap, between these two: if it does, what follows it up to GUARD_END isn't executed. A trap
 * from HS mode goes to HS mode (it isn't delegated further), so all that is to be done is to catch it. %[vec] is a
 * register. The trap spoils sepc, scause, stval, htval, htinst, sstatus.SPP and hstatus.SPV.
 */
#define GUARD_BEGIN                                                                                                    \
    "lla %[vec], 8f\n\t"                                                                                               \
    "csrrw %[vec], 0x105, %[vec]\n\t"
#define GUARD_END                                                                                                      \
    ".balign 4\n"                                                                                                      \
    "8:\n\t"                                                                                                           \
    "csrw 0x105, %[vec]\n\t"

/* Whether a CSR is there: reading it doesn't trap. */
#define csr_exists(csr)                                                                                                \
    __extension__({                                                                                                    \
        uint64_t vec_, there_ = 0;                                                                                     \
        __asm__ volatile(GUARD_BEGIN "csrr zero, %[n]\n\tli %[ok], 1\n\t" GUARD_END                                    \
                         : [vec] "=&r"(vec_), [ok] "+&r"(there_)                                                       \
                         : [n] "i"(csr)                                                                                \
                         : "memory");                                                                                  \
        there_ != 0;                                                                                                   \
    })

#endif
