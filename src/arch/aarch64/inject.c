/* SPDX-License-Identifier: Apache-2.0 */
/* Exceptions that the guest takes at its own EL1 (Arm ARM D1.3.5, pseudocode AArch64.TakeException). */
#include "arch/aarch64/cpu.h"
#include "arch/aarch64/hcr.h"

/* Of synchronous exceptions, by where they are taken from (Arm ARM D1.3.1.5). */
enum vector_offset {
    VECTOR_FROM_SP0 = 0x000,
    VECTOR_FROM_SPX = 0x200,
    VECTOR_FROM_EL0_64 = 0x400,
    VECTOR_FROM_EL0_32 = 0x600,
};

#define VECTOR_TABLE_MASK UINT64_C(0x7ff) /* VBAR_EL1 bits that are RES0 */

static uint64_t vector_base(const struct a64_vcpu *v)
{
    if ((v->frame.pstate & PSTATE_NRW) != 0) {
        return VECTOR_FROM_EL0_32;
    }
    if (!a64_at_el1(v)) {
        return VECTOR_FROM_EL0_64;
    }
    return (v->frame.pstate & 1U) != 0 ? VECTOR_FROM_SPX : VECTOR_FROM_SP0;
}

/*
 * PSTATE on entry to EL1: flags and DIT are kept, PAN and SSBS follow SCTLR_EL1, everything else is as on any
 * exception.
 */
static uint64_t entry_pstate(const struct a64_vcpu *v, uint64_t sctlr)
{
    uint64_t mmfr1 = a64_cpu_id_register(7, 1);
    bool pan = ((mmfr1 >> 20) & 0xfU) != 0;
    bool ssbs = ((a64_cpu_id_register(4, 1) >> 4) & 0xfU) != 0;
    uint64_t pstate = v->frame.pstate & (PSTATE_NZCV | PSTATE_DIT | PSTATE_PAN);

    if (pan && (sctlr & SCTLR_SPAN) == 0) {
        pstate |= PSTATE_PAN;
    }
    if (ssbs && (sctlr & SCTLR_DSSBS) != 0) {
        pstate |= PSTATE_SSBS;
    }
    return pstate | PSTATE_DAIF | PSTATE_EL1H;
}

static void take_exception(struct a64_vcpu *v, uint64_t esr)
{
    uint64_t pstate = entry_pstate(v, a64_cpu_sys_read(A64_SCTLR_EL1));

    a64_cpu_sys_write(A64_ESR_EL1, esr);
    a64_cpu_sys_write(A64_ELR_EL1, v->frame.pc);
    a64_cpu_sys_write(A64_SPSR_EL1, v->frame.pstate);
    v->frame.pc = (a64_cpu_sys_read(A64_VBAR_EL1) & ~VECTOR_TABLE_MASK) + vector_base(v);
    v->frame.pstate = pstate;
}

void a64_inject_undefined(struct a64_vcpu *v)
{
    take_exception(v, ((uint64_t)EC_UNKNOWN << ESR_EC_SHIFT) | ESR_IL);
}

void a64_inject_sysreg(struct a64_vcpu *v, uint64_t esr)
{
    take_exception(v, (uint64_t)EC_SYSREG << ESR_EC_SHIFT | ESR_IL | (esr & ESR_ISS_MASK));
}

static void take_abort(struct a64_vcpu *v, enum esr_ec ec_lower, uint64_t iss, uint64_t far)
{
    uint64_t ec = a64_at_el1(v) ? ec_lower + (EC_DABT_SAME - EC_DABT_LOWER) : ec_lower;

    a64_cpu_sys_write(A64_FAR_EL1, far);
    take_exception(v, ec << ESR_EC_SHIFT | iss);
}

void a64_inject_data_abort(struct a64_vcpu *v, uint64_t esr, unsigned fsc, uint64_t far)
{
    take_abort(v, EC_DABT_LOWER, (esr & (ESR_IL | ISS_FNV | ISS_WNR | ISS_CM)) | fsc, far);
}

/* Of a walk the guest is told its own level: the syndrome has that at which stage 2 came to nothing. */
static unsigned external_fsc(struct a64_vcpu *v, uint64_t esr, uint64_t far)
{
    if ((esr & ISS_S1PTW) == 0) {
        return FSC_EXTERNAL;
    }
    return (unsigned)((int)FSC_EXTERNAL_WALK + a64_stage1_level(v, far, a64_cpu_fault().ipa, (int)(ISS_FSC(esr) & 3U)));
}

void a64_inject_abort(struct a64_vcpu *v, uint64_t esr, uint64_t far)
{
    unsigned fsc = external_fsc(v, esr, far);

    if (ESR_EC(esr) == EC_IABT_LOWER) {
        take_abort(v, EC_IABT_LOWER, (esr & (ESR_IL | ISS_FNV)) | fsc, far);
    } else {
        a64_inject_data_abort(v, esr, fsc, far);
    }
}

void a64_inject_watchpoint(struct a64_vcpu *v, uint64_t esr, uint64_t far)
{
    take_abort(v, EC_WATCHPOINT_LOWER, ESR_IL | (esr & ISS_WNR) | FSC_DEBUG, far);
}

/*
 * HCR_EL2.VSE: a virtual SError becomes pending. The hardware delivers it when the guest unmasks it, and clears the
 * bit: see vcpu_save().
 */
void a64_inject_serror(struct a64_vcpu *v)
{
    v->controls.hcr |= HCR_VSE;
    a64_cpu_hcr_write(v->controls.hcr);
}
