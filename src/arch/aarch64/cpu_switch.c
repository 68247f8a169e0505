/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The world switch's registers. Writes to them take effect at the ERET that enters the guest, a context synchronization
 * event (Arm ARM D1.3.4, D8.16), so none needs an ISB of its own unless it says why.
 */
#include "arch/aarch64/cpu.h"
#include "arch/aarch64/cpu_insn.h"
#include "arch/aarch64/hcr.h"

extern const char a64_vectors[];

bool a64_cpu_serror_unmask(void); /* cpu_entry.S */

#define CNTHCTL_EL1PCTEN BIT64(0) /* CNTPCT_EL0 is the guest's to read; CNTP_* (EL1PCEN) trap */
#define MPAM2_TRAPMPAM1EL1 BIT64(48)
#define MPAM2_TRAPMPAM0EL1 BIT64(49)
#define MPAMHCR_TRAP_MPAMIDR BIT64(31)
#define MPAMIDR_HAS_HCR BIT64(17)
#define ISR_A BIT64(8)
#define DISR_A BIT64(31)
#define ICC_SRE_SRE BIT64(0)
#define ICC_SRE_DFB BIT64(1)
#define ICC_SRE_DIB BIT64(2)

bool a64_cpu_supported(void)
{
    bool el2 = ((sysreg_read(CurrentEL) >> 2) & 3U) == 2;
    uint64_t mmfr0 = sysreg_read(ID_AA64MMFR0_EL1);
    bool granule4k = (mmfr0 >> 28 & 0xfU) != 0xfU && (mmfr0 >> 40 & 0xfU) != 1U; /* TGran4, TGran4_2: at stage 2 */
    bool gic_sysregs = ((sysreg_read(ID_AA64PFR0_EL1) >> 24) & 0xfU) != 0;

    return el2 && granule4k && gic_sysregs;
}

static bool has_ras(void)
{
    return (sysreg_read(ID_AA64PFR0_EL1) >> 28 & 0xfU) != 0;
}

/* Memory partitioning (MPAM): all guests in partition 0; its registers trap, and to them are not there. */
static void mpam_reset(void)
{
    bool v1 = (sysreg_read(ID_AA64PFR0_EL1) >> 40 & 0xfU) != 0, v0 = (sysreg_read(ID_AA64PFR1_EL1) >> 16 & 0xfU) != 0;

    if (v1 || v0) {
        sysreg_write(MPAM0_EL1, 0);
        sysreg_write(MPAM1_EL1, 0);
        sysreg_write(MPAM2_EL2, MPAM2_TRAPMPAM0EL1 | MPAM2_TRAPMPAM1EL1);
        if ((sysreg_read(MPAMIDR_EL1) & MPAMIDR_HAS_HCR) != 0) {
            sysreg_write(MPAMHCR_EL2, MPAMHCR_TRAP_MPAMIDR);
        }
    }
}

/*
 * What later versions of the architecture added, unknown after reset (Arm ARM D19.2): no trap that would surprise, and
 * what HCRX_EL2 and the fine-grained traps' bits of negative polarity enable stays off, as idregs.c hides it.
 */
static void extensions_reset(void)
{
    unsigned fgt = (unsigned)(sysreg_read(ID_AA64MMFR0_EL1) >> 56) & 0xfU;
    bool amu = (sysreg_read(ID_AA64PFR0_EL1) >> 44 & 0xfU) != 0;

    if ((sysreg_read(ID_AA64MMFR1_EL1) >> 40 & 0xfU) != 0) {
        sysreg_write(HCRX_EL2, 0);
    }
    if (fgt >= 1) {
        sysreg_write(HFGRTR_EL2, 0);
        sysreg_write(HFGWTR_EL2, 0);
        sysreg_write(HFGITR_EL2, 0);
        sysreg_write(HDFGRTR_EL2, 0);
        sysreg_write(HDFGWTR_EL2, 0);
    }
    if (fgt >= 1 && amu) {
        sysreg_write(HAFGRTR_EL2, 0);
    }
    if (fgt >= 2) {
        sysreg_write(HFGRTR2_EL2, 0);
        sysreg_write(HFGWTR2_EL2, 0);
        sysreg_write(HFGITR2_EL2, 0);
        sysreg_write(HDFGRTR2_EL2, 0);
        sysreg_write(HDFGWTR2_EL2, 0);
    }
    if (has_ras()) {
        sysreg_write(VSESR_EL2, 0);
    }
    mpam_reset();
}

/*
 * ICC_SRE_EL2.Enable is off: ICC_SRE_EL1 traps (sysreg.c). Where a GIC lets SRE be turned off, one guest's write would
 * else stay there for the next.
 */
void a64_cpu_enable(void)
{
    sysreg_write(vbar_el2, (uint64_t)(uintptr_t)a64_vectors);
    sysreg_write(cnthctl_el2, CNTHCTL_EL1PCTEN);
    sysreg_write(hstr_el2, 0);
    sysreg_write(cptr_el2, CPTR_RES1); /* FP and SIMD: the world switch's own, before it writes CPTR_EL2 */
    extensions_reset();
    sysreg_write(oslar_el1, 0); /* the guest has an OS lock of its own */
    sysreg_write(ICC_SRE_EL2, ICC_SRE_SRE | ICC_SRE_DFB | ICC_SRE_DIB);
    isb(); /* ICC_SRE_EL2.SRE before any ICH_* access */
    sysreg_write(ICC_SRE_EL1, ICC_SRE_SRE | ICC_SRE_DFB | ICC_SRE_DIB);
    ich_hcr_write(0);
    /* Nothing is known of what the TLB and the instruction cache hold from before. */
    __asm__ volatile("dsb nshst\n\ttlbi alle1\n\tic iallu\n\tdsb nsh\n\tisb" ::: "memory");
}

void a64_cpu_disable(void)
{
    ich_hcr_write(0);
    sysreg_write(hcr_el2, HCR_RW | HCR_FMO | HCR_IMO | HCR_AMO); /* interrupts stay the host's */
    isb();
}

unsigned a64_cpu_pa_bits(void)
{
    static const uint8_t bits[] = {32, 36, 40, 42, 44, 48, 52};
    unsigned range = (unsigned)sysreg_read(ID_AA64MMFR0_EL1) & 0xfU;

    return range < sizeof(bits) ? bits[range] : 48;
}

uint64_t a64_cpu_midr(void)
{
    return sysreg_read(midr_el1);
}

#define ID_CASE(crm, op2)                                                                                              \
    case (crm)*8 + (op2):                                                                                              \
        return sysreg_read(S3_0_C0_C##crm##_##op2);
#define ID_CASES(crm)                                                                                                  \
    ID_CASE(crm, 0) ID_CASE(crm, 1) ID_CASE(crm, 2) ID_CASE(crm, 3)                                                    \
    ID_CASE(crm, 4) ID_CASE(crm, 5) ID_CASE(crm, 6) ID_CASE(crm, 7)

uint64_t a64_cpu_id_register(unsigned crm, unsigned op2)
{
    switch (crm * 8 + op2) {
        ID_CASES(1)
        ID_CASES(2)
        ID_CASES(3)
        ID_CASES(4)
        ID_CASES(5)
        ID_CASES(6)
        ID_CASES(7)
    default:
        return 0;
    }
}

/* Until a64_cpu_sys_load(), the stage-1 registers are another vCPU's. */
void a64_cpu_controls_load(const struct a64_controls *c)
{
    walks_stop();
    /* MDCR_EL2.HPMN keeps the number of counters it had at reset: fewer is constrained unpredictable (D19.3.17). */
    sysreg_write(mdcr_el2, c->mdcr | (sysreg_read(mdcr_el2) & MDCR_HPMN_MASK));
    sysreg_write(hcr_el2, c->hcr);
    sysreg_write(cptr_el2, c->cptr);
    sysreg_write(vtcr_el2, c->vtcr);
    sysreg_write(vttbr_el2, c->vttbr);
    sysreg_write(vpidr_el2, c->vpidr);
    sysreg_write(vmpidr_el2, c->vmpidr);
    sysreg_write(cntvoff_el2, c->cntvoff);
    if (has_ras()) {
        sysreg_write(VDISR_EL2, 0); /* the guest's DISR_EL1, which it isn't told of, is no mailbox for the next one */
    }
}

uint64_t a64_cpu_hcr_read(void)
{
    return sysreg_read(hcr_el2);
}

void a64_cpu_hcr_write(uint64_t hcr)
{
    sysreg_write(hcr_el2, hcr);
}

/*
 * With RAS, ESB (else a NOP) waits for errors, and puts an SError that is masked into DISR_EL1 (Arm ARM D17.2); where
 * it doesn't, the SError is taken.
 */
bool a64_cpu_serror_take(void)
{
    __asm__ volatile("dsb sy\n\thint #16\n\tisb" ::: "memory");
    if (has_ras() && (sysreg_read(DISR_EL1) & DISR_A) != 0) {
        sysreg_write(DISR_EL1, 0);
        return true;
    }
    return (sysreg_read(isr_el1) & ISR_A) != 0 && a64_cpu_serror_unmask();
}

void a64_cpu_sys_load(const uint64_t sys[A64_SYS_COUNT])
{
#define LOAD(name, reset)                                                                                              \
    if (A64_##name != A64_SCTLR_EL1 && A64_##name != A64_TCR_EL1) {                                                    \
        sysreg_write(name, sys[A64_##name]);                                                                           \
    }
    A64_SYS_REGS(LOAD)
#undef LOAD
    walks_resume((struct walks){sys[A64_TCR_EL1], sys[A64_SCTLR_EL1]});
}

void a64_cpu_sys_save(uint64_t sys[A64_SYS_COUNT])
{
#define SAVE(name, reset) sys[A64_##name] = sysreg_read(name);
    A64_SYS_REGS(SAVE)
#undef SAVE
}

uint64_t a64_cpu_sys_read(enum a64_sys reg)
{
    switch (reg) {
#define READ(name, reset)                                                                                              \
    case A64_##name:                                                                                                   \
        return sysreg_read(name);
        A64_SYS_REGS(READ)
#undef READ
    case A64_SYS_COUNT:
        break;
    }
    return 0;
}

void a64_cpu_sys_write(enum a64_sys reg, uint64_t value)
{
    switch (reg) {
#define WRITE(name, reset)                                                                                             \
    case A64_##name:                                                                                                   \
        sysreg_write(name, value);                                                                                     \
        break;
        A64_SYS_REGS(WRITE)
#undef WRITE
    case A64_SYS_COUNT:
        break;
    }
}

/* Breakpoints n..0: DBGBVR<n>_EL1 is S2_0_C0_C<n>_4, BCR 5, WVR 6, WCR 7. */
#define EACH_DEBUG(X)                                                                                                  \
    X(15) X(14) X(13) X(12) X(11) X(10) X(9) X(8) X(7) X(6) X(5) X(4) X(3) X(2) X(1) X(0)

static unsigned debug_breakpoints(void)
{
    return (unsigned)(sysreg_read(ID_AA64DFR0_EL1) >> 12) & 0xfU; /* BRPs: one less than there are */
}

static unsigned debug_watchpoints(void)
{
    return (unsigned)(sysreg_read(ID_AA64DFR0_EL1) >> 20) & 0xfU;
}

void a64_cpu_debug_load(const struct a64_debug *d)
{
#define LOAD_BP(n)                                                                                                     \
    case n:                                                                                                            \
        sysreg_write(S2_0_C0_C##n##_4, d->bvr[n]);                                                                     \
        sysreg_write(S2_0_C0_C##n##_5, d->bcr[n]);                                                                     \
        __attribute__((fallthrough));
#define LOAD_WP(n)                                                                                                     \
    case n:                                                                                                            \
        sysreg_write(S2_0_C0_C##n##_6, d->wvr[n]);                                                                     \
        sysreg_write(S2_0_C0_C##n##_7, d->wcr[n]);                                                                     \
        __attribute__((fallthrough));
    switch (debug_breakpoints()) {
        EACH_DEBUG(LOAD_BP)
    default:
        break;
    }
    switch (debug_watchpoints()) {
        EACH_DEBUG(LOAD_WP)
    default:
        break;
    }
}

void a64_cpu_cntv_load(uint64_t ctl, uint64_t cval)
{
    sysreg_write(cntv_cval_el0, cval);
    sysreg_write(cntv_ctl_el0, ctl);
}

uint64_t a64_cpu_cntv_ctl(void)
{
    return sysreg_read(cntv_ctl_el0);
}

void a64_cpu_cntv_save(uint64_t *ctl, uint64_t *cval)
{
    *ctl = sysreg_read(cntv_ctl_el0);
    *cval = sysreg_read(cntv_cval_el0);
    sysreg_write(cntv_ctl_el0, 0);
    isb(); /* the timer's output is down before the caller looks at interrupts */
}

uint64_t a64_cpu_far(void)
{
    return sysreg_read(far_el2);
}

uint64_t a64_cpu_at(uint64_t va, unsigned access)
{
    uint64_t guest_par = sysreg_read(par_el1);
    uint64_t par;

    switch (access) {
    case 0:
        __asm__ volatile("at s1e0r, %0" ::"r"(va) : "memory");
        break;
    case A64_AT_WRITE:
        __asm__ volatile("at s1e0w, %0" ::"r"(va) : "memory");
        break;
    case A64_AT_EL1:
        __asm__ volatile("at s1e1r, %0" ::"r"(va) : "memory");
        break;
    default:
        __asm__ volatile("at s1e1w, %0" ::"r"(va) : "memory");
        break;
    }
    isb();
    par = sysreg_read(par_el1);
    sysreg_write(par_el1, guest_par);
    return par;
}
