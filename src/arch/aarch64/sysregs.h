/* SPDX-License-Identifier: Apache-2.0 */
/* EL1 and EL0 registers that belong to a vCPU and live in the hardware while it is resident. A new one is a new row. */
#ifndef AXVM_AARCH64_SYSREGS_H
#define AXVM_AARCH64_SYSREGS_H

/* X(name, value after reset) */
#define A64_SYS_REGS(X)                                                                                                \
    X(SCTLR_EL1, 0x30d00800) /* RES1 bits of Armv8.0; MMU and caches off */                                            \
    X(CPACR_EL1, 0)                                                                                                    \
    X(TTBR0_EL1, 0)                                                                                                    \
    X(TTBR1_EL1, 0)                                                                                                    \
    X(TCR_EL1, 0)                                                                                                      \
    X(ESR_EL1, 0)                                                                                                      \
    X(AFSR0_EL1, 0)                                                                                                    \
    X(AFSR1_EL1, 0)                                                                                                    \
    X(FAR_EL1, 0)                                                                                                      \
    X(MAIR_EL1, 0)                                                                                                     \
    X(AMAIR_EL1, 0)                                                                                                    \
    X(VBAR_EL1, 0)                                                                                                     \
    X(CONTEXTIDR_EL1, 0)                                                                                               \
    X(PAR_EL1, 0)                                                                                                      \
    X(CSSELR_EL1, 0)                                                                                                   \
    X(CNTKCTL_EL1, 0)                                                                                                  \
    X(MDSCR_EL1, 0)                                                                                                    \
    X(TPIDR_EL0, 0)                                                                                                    \
    X(TPIDRRO_EL0, 0)                                                                                                  \
    X(TPIDR_EL1, 0)                                                                                                    \
    X(SP_EL0, 0)                                                                                                       \
    X(SP_EL1, 0)                                                                                                       \
    X(ELR_EL1, 0)                                                                                                      \
    X(SPSR_EL1, 0)

enum a64_sys {
#define A64_SYS_ENUM(name, reset) A64_##name,
    A64_SYS_REGS(A64_SYS_ENUM)
#undef A64_SYS_ENUM
    A64_SYS_COUNT
};

#endif
