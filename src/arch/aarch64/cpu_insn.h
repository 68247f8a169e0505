/* SPDX-License-Identifier: Apache-2.0 */
/* System register access and barriers, for cpu_*.c only. */
#ifndef AXVM_AARCH64_CPU_INSN_H
#define AXVM_AARCH64_CPU_INSN_H

#include <stdint.h>

/* Registers that not every assembler knows by name. */
#define ICC_SRE_EL1 S3_0_C12_C12_5
#define ICC_SRE_EL2 S3_4_C12_C9_5
#define HCRX_EL2 S3_4_C1_C2_2
#define HFGRTR_EL2 S3_4_C1_C1_4
#define HFGWTR_EL2 S3_4_C1_C1_5
#define HFGITR_EL2 S3_4_C1_C1_6
#define HDFGRTR_EL2 S3_4_C3_C1_4
#define HDFGWTR_EL2 S3_4_C3_C1_5
#define HAFGRTR_EL2 S3_4_C3_C1_6
#define HFGRTR2_EL2 S3_4_C3_C1_2
#define HFGWTR2_EL2 S3_4_C3_C1_3
#define HFGITR2_EL2 S3_4_C3_C1_7
#define HDFGRTR2_EL2 S3_4_C3_C1_0
#define HDFGWTR2_EL2 S3_4_C3_C1_1
#define DISR_EL1 S3_0_C12_C1_1
#define MPAMHCR_EL2 S3_4_C10_C4_0
#define MPAMIDR_EL1 S3_0_C10_C4_4
#define MPAM0_EL1 S3_0_C10_C5_1
#define MPAM1_EL1 S3_0_C10_C5_0
#define MPAM2_EL2 S3_4_C10_C5_0
#define VSESR_EL2 S3_4_C5_C2_3
#define VDISR_EL2 S3_4_C12_C1_1
#define ICH_HCR_EL2 S3_4_C12_C11_0
#define ICH_VTR_EL2 S3_4_C12_C11_1
#define ICH_MISR_EL2 S3_4_C12_C11_2
#define ICH_ELRSR_EL2 S3_4_C12_C11_5
#define ICH_VMCR_EL2 S3_4_C12_C11_7

#define SYSREG_STRING(name) #name
#define sysreg_read(name)                                                                                              \
    __extension__({                                                                                                    \
        uint64_t value_;                                                                                               \
        __asm__ volatile("mrs %0, " SYSREG_STRING(name) : "=r"(value_));                                               \
        value_;                                                                                                        \
    })
#define sysreg_write(name, value)                                                                                      \
    __asm__ volatile("msr " SYSREG_STRING(name) ", %0" ::"r"((uint64_t)(value)) : "memory")

static inline void isb(void)
{
    __asm__ volatile("isb" ::: "memory");
}

/*
 * No translation table walk of EL1 and EL0 begins between these two. Where the registers of the two stages don't belong
 * together this must be so: Cortex-A57, A72, A76 and Neoverse N1 may execute an AT instruction speculatively and keep
 * what it finds in the TLB (errata 1319537, 1319367, 1165522). Stage 1 is on meanwhile, since without it nothing is
 * walked that EPD0 and EPD1 could stop.
 */
#define SCTLR_M (UINT64_C(1) << 0)
#define TCR_EPD0 (UINT64_C(1) << 7)
#define TCR_EPD1 (UINT64_C(1) << 23)

struct walks {
    uint64_t tcr, sctlr;
};

static inline struct walks walks_stop(void)
{
    struct walks walks = {sysreg_read(tcr_el1), sysreg_read(sctlr_el1)};

    sysreg_write(tcr_el1, walks.tcr | TCR_EPD0 | TCR_EPD1);
    isb();
    sysreg_write(sctlr_el1, walks.sctlr | SCTLR_M);
    isb();
    return walks;
}

static inline void walks_resume(struct walks walks)
{
    isb();
    sysreg_write(sctlr_el1, walks.sctlr);
    isb();
    sysreg_write(tcr_el1, walks.tcr);
}

#endif
