/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOSTILE_ARCH_H
#define HOSTILE_ARCH_H

/* Offsets in struct hostile_cpu that hostile_entry.S uses. */
#define CPU_SP 248
#define CPU_PC 256
#define CPU_PSTATE 264
#define CPU_ESR 272
#define CPU_FAR 280
#define CPU_VECTOR 288
#define CPU_STACK 296
#define CPU_IN_SLOT 304
/* The registers that must be as they are while C code runs. Those of the second translation range are free for all. */
#define SANE_SCTLR 0x34d5d805 /* RES1, M, C, I; UCI, nTWE, nTWI, UCT, DZE; no SA, no SA0 */
#define SANE_TCR_LOW 0x803519 /* T0SZ 25, write-back inner-shareable walks, 4 KiB; EPD1 */
#define SANE_TCR_HIGH 0x5 /* IPS: 48 bits */
#define SANE_MAIR 0xff00 /* 0: device, 1: normal; the others are free for all */

/*
 * What a CPU finds when it starts: X(register, its value, mask of the bits that must have it). A CPU's registers are
 * mostly UNKNOWN at reset; that they are zero is this hypervisor's way of not showing what others left there.
 */
#define BOOT_REGS(X)                                                                                                   \
    X(sctlr_el1, 0, 0x1005) X(cpacr_el1, 0, ALL) X(ttbr0_el1, 0, ALL) X(ttbr1_el1, 0, ALL) X(tcr_el1, 0, ALL)          \
    X(esr_el1, 0, ALL) X(afsr0_el1, 0, ALL) X(afsr1_el1, 0, ALL) X(far_el1, 0, ALL) X(mair_el1, 0, ALL)                \
    X(amair_el1, 0, ALL) X(vbar_el1, 0, ALL) X(contextidr_el1, 0, ALL) X(par_el1, 0, ALL) X(csselr_el1, 0, ALL)        \
    X(cntkctl_el1, 0, ALL) X(mdscr_el1, 0, ALL) X(tpidr_el0, 0, ALL) X(tpidrro_el0, 0, ALL) X(tpidr_el1, 0, ALL)       \
    X(sp_el0, 0, ALL) X(elr_el1, 0, ALL) X(spsr_el1, 0, ALL) X(cntv_ctl_el0, 0, 3) X(cntv_cval_el0, 0, ALL)            \
    X(cntp_ctl_el0, 0, 3) X(cntp_cval_el0, 0, ALL) X(CurrentEL, 4, ALL) X(daif, 0x3c0, ALL) X(spsel, 1, ALL)           \
    X(oslsr_el1, 0xa, 0xa) X(mdccint_el1, 0, ALL)                                                                      \
    X(dbgbvr0_el1, 0, ALL) X(dbgbcr0_el1, 0, ALL) X(dbgbvr5_el1, 0, ALL) X(dbgbcr5_el1, 0, ALL)                        \
    X(dbgwvr0_el1, 0, ALL) X(dbgwcr0_el1, 0, ALL) X(dbgwvr3_el1, 0, ALL) X(dbgwcr3_el1, 0, ALL)                        \
    X(S3_0_C4_C6_0 /* ICC_PMR */, 0, ALL) X(S3_0_C12_C8_3 /* ICC_BPR0 */, 0, 4) X(S3_0_C12_C12_3 /* ICC_BPR1 */, 0, 4) \
    X(S3_0_C12_C12_4 /* ICC_CTLR */, 0, 3) X(S3_0_C12_C12_6 /* ICC_IGRPEN0 */, 0, ALL)                                 \
    X(S3_0_C12_C12_7 /* ICC_IGRPEN1 */, 0, ALL) X(S3_0_C12_C8_4 /* ICC_AP0R0 */, 0, ALL)                               \
    X(S3_0_C12_C9_0 /* ICC_AP1R0 */, 0, ALL) X(S3_0_C12_C11_3 /* ICC_RPR */, 0xff, ALL)
/* The same, of those that CPACR_EL1 must allow first. */
#define BOOT_FP_REGS(X) X(fpcr, 0, ALL) X(fpsr, 0, ALL)

/* In struct boot_record: x0..x30, SP, then BOOT_REGS and BOOT_FP_REGS in their order, then Q0..Q31. */
#define BOOT_REGS_AT 256
#define BOOT_FP_AT 1024

#ifndef __ASSEMBLER__
#include <stdint.h>

#define ALL UINT64_MAX
#define SLOT_END 0xd4000001U /* SVC */
#define HOSTILE_REGS 31
#define INSN_ALIGN UINT64_C(3)
#define LAZY_BASE UINT64_C(0x60000000)

struct boot_record {
    uint64_t x[31], sp;
    uint64_t regs[(BOOT_FP_AT - BOOT_REGS_AT) / 8];
    uint64_t fp[64];
};

#define HOSTILE_CPU_ARCH                                                                                               \
    uint64_t x[31];                                                                                                    \
    uint64_t sp;                                                                                                       \
    uint64_t pc;                                                                                                       \
    uint64_t pstate;                                                                                                   \
    uint64_t esr, far;                                                                                                 \
    uint64_t vector; /* by which the slot was left: 0..15 */                                                           \
    uint64_t stack;  /* the C code's meanwhile */                                                                      \
    uint64_t in_slot;

static inline uint32_t insn_msr(uint32_t reg, unsigned rt)
{
    return 0xd5000000U | reg << 5 | rt;
}

static inline uint32_t insn_mrs(uint32_t reg, unsigned rt)
{
    return 0xd5200000U | reg << 5 | rt;
}

#define SYSREG(op0, op1, crn, crm, op2)                                                                                \
    ((uint32_t)(op0) << 14 | (uint32_t)(op1) << 11 | (uint32_t)(crn) << 7 | (uint32_t)(crm) << 3 | (uint32_t)(op2))
#define INSN_ISB 0xd5033fdfU
#define INSN_NOP 0xd503201fU
#define INSN_HVC 0xd4000002U
#define INSN_SMC 0xd4000003U
#define INSN_WFE 0xd503205fU
#define INSN_WFI 0xd503207fU

#endif
#endif
