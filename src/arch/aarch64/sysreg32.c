/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What traps of AArch32 programs at EL0 needn't pass its condition. Of system registers only the physical timer is
 * there (CNTKCTL_EL1.EL0PTEN).
 */
#include "arch/aarch64/a64.h"

/* MRC and MCR p15, 0, Rt, c14, c2, 0 or 1: CNTP_TVAL, CNTP_CTL. The numbers are those of AArch64's a64_cntp_read(). */
static bool is_tval_or_ctl(uint64_t esr)
{
    return ISS_SYS_OP1(esr) == 0 && ISS_SYS_CRN(esr) == 14 && ISS_SYS_CRM(esr) == 2 && ISS_SYS_OP2(esr) <= 1;
}

/* MRRC and MCRR p15, 2, Rt, Rt2, c14: CNTP_CVAL. */
static bool is_cval(uint64_t esr)
{
    return ISS_CP15_64_OPC1(esr) == 2 && ISS_SYS_CRM(esr) == 14;
}

/* Arm ARM G1.20, ConditionHolds(). Of T32 the syndrome needn't have the condition: it is the IT block's, if any. */
bool a64_aarch32_condition_holds(uint64_t pstate, uint64_t esr)
{
    unsigned it = (unsigned)(pstate >> 8 & 0xfcU) | (unsigned)(pstate >> 25 & 3U);
    unsigned cond = (esr & ISS_CV) != 0 ? ISS_COND(esr) : (it & 0xfU) != 0 ? it >> 4 : 14U;
    unsigned n = pstate >> 31 & 1U, z = pstate >> 30 & 1U, c = pstate >> 29 & 1U, o = pstate >> 28 & 1U;
    unsigned ge = 1U ^ n ^ o;
    unsigned met = z | c << 1 | n << 2 | o << 3 | (c & ~z) << 4 | ge << 5 | (ge & ~z) << 6 | 1U << 7;

    return (met >> (cond >> 1) & 1U) != (cond == 15U ? 0 : cond & 1U);
}

static void timer_access(struct a64_vcpu *v, uint64_t esr, unsigned reg, unsigned rt2)
{
    uint64_t value;

    if ((esr & ISS_SYS_READ) != 0) {
        value = a64_cntp_read(v, reg);
        a64_reg_write(v, ISS_SYS_RT(esr), (uint32_t)value);
        a64_reg_write(v, rt2, value >> 32);
    } else {
        value = (uint32_t)a64_reg_read(v, ISS_SYS_RT(esr)) | a64_reg_read(v, rt2) << 32;
        a64_cntp_write(v, reg, value);
    }
}

int a64_sysreg_aarch32(struct a64_vcpu *v, uint64_t esr)
{
    bool wide = ESR_EC(esr) == EC_CP15_64;

    v->base.stats.sysregs++;
    if (wide ? !is_cval(esr) : !is_tval_or_ctl(esr)) {
        a64_inject_undefined(v);
        return A64_RESUME;
    }
    if (a64_aarch32_condition_holds(v->frame.pstate, esr)) {
        timer_access(v, esr, wide ? 2 : ISS_SYS_OP2(esr), wide ? ISS_CP15_64_RT2(esr) : 31);
    }
    a64_step_over(v, esr);
    return A64_RESUME;
}
