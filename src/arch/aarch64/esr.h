/* SPDX-License-Identifier: Apache-2.0 */
/* ESR_ELx (Arm ARM D19.2.37-40) and the encodings that go with it. */
#ifndef AXVM_AARCH64_ESR_H
#define AXVM_AARCH64_ESR_H

#include <stdint.h>

#define BIT64(n) (UINT64_C(1) << (n))

#define ESR_EC_SHIFT 26U
#define ESR_EC(esr) ((unsigned)((esr) >> ESR_EC_SHIFT) & 0x3fU)
#define ESR_IL BIT64(25)
#define ESR_ISS_MASK (BIT64(25) - 1)

enum esr_ec {
    EC_UNKNOWN = 0x00,
    EC_WFX = 0x01,
    EC_CP15_32 = 0x03,
    EC_CP15_64 = 0x04,
    EC_ILLEGAL_STATE = 0x0e,
    EC_HVC64 = 0x16,
    EC_SMC64 = 0x17,
    EC_SYSREG = 0x18,
    EC_IABT_LOWER = 0x20,
    EC_IABT_SAME = 0x21,
    EC_DABT_LOWER = 0x24,
    EC_DABT_SAME = 0x25,
    EC_WATCHPOINT_LOWER = 0x34,
    EC_COUNT = 0x40,
};

/* ISS of data and instruction aborts */
#define ISS_FSC(esr) ((unsigned)(esr)&0x3fU)
#define ISS_FSC_TYPE(esr) ((unsigned)(esr)&0x3cU) /* without the level */
#define ISS_WNR BIT64(6)
#define ISS_S1PTW BIT64(7)
#define ISS_CM BIT64(8)
#define ISS_FNV BIT64(10)
#define ISS_SF BIT64(15)
#define ISS_SRT(esr) ((unsigned)((esr) >> 16) & 0x1fU)
#define ISS_SSE BIT64(21)
#define ISS_SAS(esr) ((unsigned)((esr) >> 22) & 3U) /* log2 of the access size */
#define ISS_ISV BIT64(24)

enum fsc {
    FSC_TRANSLATION = 0x04, /* + level */
    FSC_ACCESS_FLAG = 0x08,
    FSC_PERMISSION = 0x0c,
    FSC_EXTERNAL = 0x10,
    FSC_EXTERNAL_WALK = 0x14, /* + level */
    FSC_ALIGNMENT = 0x21,
    FSC_DEBUG = 0x22,
    FSC_UNSUPPORTED_ATOMIC = 0x35, /* unsupported Exclusive or atomic access */
};

/* ISS of a trapped WFx or of an AArch32 system register access: the instruction's condition */
#define ISS_CV BIT64(24) /* COND is valid */
#define ISS_COND(esr) ((unsigned)((esr) >> 20) & 0xfU)

/* ISS of a trapped WFx: TI tells which */
#define ISS_WFX_TI(esr) ((unsigned)(esr)&3U)
#define WFX_WFI 0U

/* ISS of a trapped HVC or SMC */
#define ISS_IMM16(esr) ((unsigned)(esr)&0xffffU)

/* ISS of a trapped MSR, MRS or system instruction (EC 0x18) */
#define ISS_SYS_READ BIT64(0)
#define ISS_SYS_RT(esr) ((unsigned)((esr) >> 5) & 0x1fU)
#define ISS_SYS_OP0(esr) ((unsigned)((esr) >> 20) & 3U)
#define ISS_SYS_OP2(esr) ((unsigned)((esr) >> 17) & 7U)
#define ISS_SYS_OP1(esr) ((unsigned)((esr) >> 14) & 7U)
#define ISS_SYS_CRN(esr) ((unsigned)((esr) >> 10) & 0xfU)
#define ISS_SYS_CRM(esr) ((unsigned)((esr) >> 1) & 0xfU)

/* The same of AArch32: EC_CP15_32 has the fields above but op0; EC_CP15_64 has these */
#define ISS_CP15_64_OPC1(esr) ((unsigned)((esr) >> 16) & 0xfU)
#define ISS_CP15_64_RT2(esr) ((unsigned)((esr) >> 10) & 0x1fU)

/* SPSR_ELx / PSTATE */
#define PSTATE_MODE_MASK UINT64_C(0x1f)
#define PSTATE_EL_MASK UINT64_C(0xc) /* of AArch64 */
#define PSTATE_EL0T UINT64_C(0x0)
#define PSTATE_EL1T UINT64_C(0x4)
#define PSTATE_EL1H UINT64_C(0x5)
#define PSTATE_NRW BIT64(4) /* AArch32 */
#define PSTATE_AA32_BIG BIT64(9) /* E: big-endian data */
#define PSTATE_AA32_IT ((UINT64_C(0x3f) << 10) | (UINT64_C(3) << 25))
#define PSTATE_DAIF (UINT64_C(0xf) << 6)
#define PSTATE_D BIT64(9)
#define PSTATE_BTYPE (UINT64_C(3) << 10)
#define PSTATE_SSBS BIT64(12)
#define PSTATE_SS BIT64(21)
#define PSTATE_PAN BIT64(22)
#define PSTATE_UAO BIT64(23)
#define PSTATE_DIT BIT64(24)
#define PSTATE_NZCV (UINT64_C(0xf) << 28)

#define SCTLR_SPAN BIT64(23)
#define SCTLR_E0E BIT64(24)
#define SCTLR_EE BIT64(25)
#define SCTLR_DSSBS BIT64(44)

/* PAR_EL1 after an address translation instruction */
#define PAR_F BIT64(0) /* it failed */
#define PAR_FST(par) ((unsigned)((par) >> 1) & 0x3fU)
#define PAR_S BIT64(9) /* in stage 2 */
#define PAR_PA UINT64_C(0x000ffffffffff000)

#endif
