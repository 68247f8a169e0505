/* SPDX-License-Identifier: Apache-2.0 */
/* CSR fields and exception codes, as the RISC-V Privileged Architecture (version 1.13) names them. */
#ifndef AXVM_RISCV64_CSR_H
#define AXVM_RISCV64_CSR_H

#include <axvm/types.h>

#define RV_BIT(n) (UINT64_C(1) << (n))

/* scause, vscause (table 10.1 "scause" and 18.6): the interrupt flag and exception codes */
#define CAUSE_INTERRUPT RV_BIT(63)
enum rv64_cause {
    CAUSE_FETCH_MISALIGNED = 0,
    CAUSE_FETCH_ACCESS = 1,
    CAUSE_ILLEGAL = 2,
    CAUSE_BREAKPOINT = 3,
    CAUSE_LOAD_MISALIGNED = 4,
    CAUSE_LOAD_ACCESS = 5,
    CAUSE_STORE_MISALIGNED = 6,
    CAUSE_STORE_ACCESS = 7,
    CAUSE_ECALL_U = 8,
    CAUSE_ECALL_S = 9,
    CAUSE_ECALL_VS = 10,
    CAUSE_FETCH_PAGE = 12,
    CAUSE_LOAD_PAGE = 13,
    CAUSE_STORE_PAGE = 15,
    CAUSE_FETCH_GUEST_PAGE = 20,
    CAUSE_LOAD_GUEST_PAGE = 21,
    CAUSE_VIRTUAL_INSTRUCTION = 22,
    CAUSE_STORE_GUEST_PAGE = 23,
    CAUSE_COUNT = 24,
};

/* Interrupts, as bits of sip, sie, hideleg, hvip, hie, ...; VS-level ones: one bit higher than the guest sees them */
#define IRQ_SS RV_BIT(1)
#define IRQ_VSS RV_BIT(2)
#define IRQ_ST RV_BIT(5)
#define IRQ_VST RV_BIT(6)
#define IRQ_SE RV_BIT(9)
#define IRQ_VSE RV_BIT(10)
#define IRQ_SGE RV_BIT(12)
#define IRQ_VS_ALL (IRQ_VSS | IRQ_VST | IRQ_VSE)

/* sstatus and vsstatus */
#define SSTATUS_SIE RV_BIT(1)
#define SSTATUS_SPIE RV_BIT(5)
#define SSTATUS_SPP RV_BIT(8)
#define SSTATUS_VS (UINT64_C(3) << 9)
#define SSTATUS_VS_CLEAN (UINT64_C(2) << 9)
#define SSTATUS_FS (UINT64_C(3) << 13)
#define SSTATUS_FS_INITIAL (UINT64_C(1) << 13)
#define SSTATUS_FS_CLEAN (UINT64_C(2) << 13)
#define SSTATUS_MXR RV_BIT(19)
#define SSTATUS_UXL_64 (UINT64_C(2) << 32)

/* hstatus (18.2.1) */
#define HSTATUS_GVA RV_BIT(6)
#define HSTATUS_SPV RV_BIT(7)
#define HSTATUS_SPVP RV_BIT(8)
#define HSTATUS_VGEIN_SHIFT 12U
#define HSTATUS_VGEIN (UINT64_C(0x3f) << HSTATUS_VGEIN_SHIFT)
#define HSTATUS_VTVM RV_BIT(20)
#define HSTATUS_VTW RV_BIT(21)
#define HSTATUS_VTSR RV_BIT(22)
#define HSTATUS_VSXL_64 (UINT64_C(2) << 32)

/* henvcfg, senvcfg (18.2.5, 10.1.10) */
#define ENVCFG_FIOM RV_BIT(0)
#define ENVCFG_CBIE (UINT64_C(3) << 4)
#define ENVCFG_CBCFE RV_BIT(6)
#define ENVCFG_CBZE RV_BIT(7)
#define ENVCFG_PBMTE RV_BIT(62)
#define ENVCFG_STCE RV_BIT(63)

/* hstateen0 (Smstateen 1.0): the IMSIC's and AIA's registers, siselect, senvcfg */
#define HSTATEEN_SWITCHED (RV_BIT(58) | RV_BIT(59) | RV_BIT(60) | RV_BIT(62))

#define HCOUNTEREN_TM RV_BIT(1)

/* hvictl (AIA 6.3.2) */
#define HVICTL_IID_SEI (UINT64_C(9) << 16)
#define HVICTL_IPRIO_LOWEST UINT64_C(255)

/* hgatp (18.2.10) */
#define HGATP_MODE_SHIFT 60U
#define HGATP_VMID_SHIFT 44U
#define HGATP_VMID_MAX UINT64_C(0x3fff)
#define HGATP_SV39X4 UINT64_C(8)
#define HGATP_SV48X4 UINT64_C(9)
#define HGATP_SV57X4 UINT64_C(10)

/* CSR numbers that guests name in instructions that trap */
enum rv64_csr {
    CSR_STIMECMP = 0x14d,
    CSR_SISELECT = 0x150,
    CSR_SIREG = 0x151,
    CSR_STOPEI = 0x15c,
    CSR_STOPI = 0xdb0,
    CSR_TIME = 0xc01,
};

#endif
