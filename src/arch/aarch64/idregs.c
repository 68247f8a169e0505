/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the guest sees of the CPU: one table of the ID register fields (Arm ARM D19.2.51 and on) that it is given. A
 * field without a row reads as zero, "not implemented", and what it stands for traps or has no effect: that is the
 * other table.
 */
#include "arch/aarch64/cpu.h"
#include "arch/aarch64/hcr.h"

#define WIDTH_AARCH32 32U

struct id_field {
    uint8_t crm, op2;
    uint8_t shift, width;
    uint8_t limit; /* the guest sees the smaller of this and the hardware's; NO_LIMIT: the hardware's */
};

#define NO_LIMIT 0xffU
#define GIVE(crm, op2, shift) {crm, op2, shift, 4, NO_LIMIT}
#define LIMIT(crm, op2, shift, limit) {crm, op2, shift, 4, limit}
#define WHOLE(crm, op2) {crm, op2, 0, WIDTH_AARCH32, NO_LIMIT}

static const struct id_field id_fields[] = {
    /*
     * AArch32, for EL0. ID_PFR0: State0-3, CSV2, DIT. ID_PFR1: ProgMod, GenTimer. ID_DFR0: CopDbg. ID_MMFR0-3,
     * ID_ISAR0-6, MVFR0-2. ID_MMFR4: AC2, CnP, HPDS, LSM, CCIDX. ID_PFR2: CSV3, SSBS. ID_MMFR5: ETS, nTLBPA.
     */
    GIVE(1, 0, 0), GIVE(1, 0, 4), GIVE(1, 0, 8), GIVE(1, 0, 12), LIMIT(1, 0, 16, 1), GIVE(1, 0, 24),
    GIVE(1, 1, 0), GIVE(1, 1, 16), GIVE(1, 2, 0), WHOLE(1, 4), WHOLE(1, 5), WHOLE(1, 6), WHOLE(1, 7),
    WHOLE(2, 0), WHOLE(2, 1), WHOLE(2, 2), WHOLE(2, 3), WHOLE(2, 4), WHOLE(2, 5), WHOLE(2, 7),
    GIVE(2, 6, 4), GIVE(2, 6, 12), GIVE(2, 6, 16), GIVE(2, 6, 20), GIVE(2, 6, 24),
    WHOLE(3, 0), WHOLE(3, 1), WHOLE(3, 2), GIVE(3, 4, 0), GIVE(3, 4, 4), GIVE(3, 6, 0), GIVE(3, 6, 4),

    /* ID_AA64PFR0: EL0, EL1 (AArch64 only), FP, AdvSIMD, GIC, DIT, CSV2 (2 would need SCXTNUM), CSV3 */
    GIVE(4, 0, 0), LIMIT(4, 0, 4, 1), GIVE(4, 0, 16), GIVE(4, 0, 20), LIMIT(4, 0, 24, 1), GIVE(4, 0, 48),
    LIMIT(4, 0, 56, 1), GIVE(4, 0, 60),
    /* ID_AA64PFR1: BT, SSBS */
    GIVE(4, 1, 0), GIVE(4, 1, 4),

    /* ID_AA64DFR0: DebugVer, BRPs, WRPs, CTX_CMPs, DoubleLock */
    GIVE(5, 0, 0), GIVE(5, 0, 12), GIVE(5, 0, 20), GIVE(5, 0, 28), GIVE(5, 0, 36),

    /* ID_AA64ISAR0: AES, SHA1, SHA2, CRC32, Atomic, RDM, SHA3, SM3, SM4, DP, FHM, TS, TLB, RNDR */
    GIVE(6, 0, 4), GIVE(6, 0, 8), GIVE(6, 0, 12), GIVE(6, 0, 16), GIVE(6, 0, 20), GIVE(6, 0, 28), GIVE(6, 0, 32),
    GIVE(6, 0, 36), GIVE(6, 0, 40), GIVE(6, 0, 44), GIVE(6, 0, 48), GIVE(6, 0, 52), GIVE(6, 0, 56), GIVE(6, 0, 60),
    /*
     * ID_AA64ISAR1: DPB, JSCVT, FCMA, LRCPC (3 would need more in decode.c), FRINTTS, SB, SPECRES, BF16, DGH, I8MM; no
     * pointer authentication
     */
    GIVE(6, 1, 0), GIVE(6, 1, 12), GIVE(6, 1, 16), LIMIT(6, 1, 20, 2), GIVE(6, 1, 32), GIVE(6, 1, 36), GIVE(6, 1, 40),
    GIVE(6, 1, 44), GIVE(6, 1, 48), GIVE(6, 1, 52),
    /* ID_AA64ISAR2: RPRES, BC, CLRBHB */
    GIVE(6, 2, 4), GIVE(6, 2, 20), GIVE(6, 2, 28),

    /* ID_AA64MMFR0: PARange (limited to the VM's own, below), ASIDBits, BigEnd, BigEndEL0, TGran16/64/4, ExS */
    GIVE(7, 0, 0), GIVE(7, 0, 4), GIVE(7, 0, 8), GIVE(7, 0, 16), GIVE(7, 0, 20), GIVE(7, 0, 24), GIVE(7, 0, 28),
    GIVE(7, 0, 44),
    /* ID_AA64MMFR1: HAFDBS (3 would need TCR2_EL1), HPDS, PAN, ETS, nTLBPA, ECBHB */
    LIMIT(7, 1, 0, 2), GIVE(7, 1, 12), GIVE(7, 1, 20), GIVE(7, 1, 36), GIVE(7, 1, 48), GIVE(7, 1, 60),
    /* ID_AA64MMFR2: CnP, UAO, LSM, VARange, CCIDX, ST, AT, IDS, TTL, BBM, E0PD */
    GIVE(7, 2, 0), GIVE(7, 2, 4), GIVE(7, 2, 8), GIVE(7, 2, 16), GIVE(7, 2, 20), GIVE(7, 2, 28), GIVE(7, 2, 32),
    GIVE(7, 2, 36), GIVE(7, 2, 48), GIVE(7, 2, 52), GIVE(7, 2, 60),
};

/*
 * What is hidden, and the controls by which touching it is undefined all the same. They are RES0 on a CPU that lacks
 * it. Hidden without a row are what CPTR_EL2 traps everywhere (SVE, SME), what is off while a bit of HCR_EL2 is zero
 * (pointer authentication: APK, API; MTE: ATA; RAS records' fault injection: FIEN; nested virtualization: NV) or of
 * HCRX_EL2 and the fine-grained traps (see cpu_switch.c), and what isn't EL1's.
 */
struct hidden {
    uint8_t crm, op2, shift;
    uint8_t control; /* offset in struct a64_controls */
    uint64_t traps;
};

#define HIDE(crm, op2, shift, control, traps) {crm, op2, shift, offsetof(struct a64_controls, control), traps}

static const struct hidden hidden[] = {
    HIDE(4, 0, 28, hcr, HCR_TERR),                /* RAS: error records */
    HIDE(4, 0, 44, cptr, CPTR_TAM),               /* AMU */
    HIDE(4, 1, 8, hcr, HCR_TID5),                 /* MTE: GMID_EL1 */
    HIDE(4, 1, 24, hcr, HCR_TID1),                /* SME: SMIDR_EL1; with REVIDR_EL1 and AIDR_EL1: sysreg.c */
    HIDE(5, 0, 4, cptr, CPTR_TTA),                /* TraceVer: trace registers */
    HIDE(5, 0, 8, mdcr, MDCR_TPM | MDCR_TPMCR),   /* PMUVer */
    HIDE(5, 0, 32, mdcr, MDCR_TPMS),              /* PMSVer: statistical profiling */
    HIDE(5, 0, 40, mdcr, MDCR_TTRF),              /* TraceFilt */
    HIDE(7, 1, 16, hcr, HCR_TLOR),                /* LO: limited ordering regions */
};

#define FIELD_NONE 0xfU /* of DFR0's fields: not as the architecture has it, if at all */

#define PFR0_CRM 4U
#define PFR0_GIC_SHIFT 24U
#define PFR0_EL0_AARCH32 2U
#define AARCH32_CRM_LAST 3U
#define MMFR0_CRM 7U

static uint64_t field_value(const struct id_field *field, uint64_t hardware)
{
    uint64_t mask = (UINT64_C(1) << field->width) - 1;
    uint64_t value = (hardware >> field->shift) & mask;

    if (field->limit != NO_LIMIT && value > field->limit) {
        value = field->limit;
    }
    return value << field->shift;
}

/* ID_AA64MMFR0_EL1.PARange never says more than the VM's second stage can translate. */
static uint64_t limit_pa_range(uint64_t mmfr0, unsigned gpa_bits)
{
    static const uint8_t bits[] = {32, 36, 40, 42, 44, 48};
    uint64_t range = sizeof(bits) - 1;

    while (range > 0 && bits[range] > gpa_bits) {
        range--;
    }
    return (mmfr0 & 0xfU) <= range ? mmfr0 : ((mmfr0 & ~UINT64_C(0xf)) | range);
}

uint64_t a64_id_register(const struct a64_vcpu *v, unsigned crm, unsigned op2)
{
    const struct a64_vm *vm = a64_vm(v->base.vm);
    uint64_t hardware = a64_cpu_id_register(crm, op2);
    uint64_t value = 0;

    if (crm <= AARCH32_CRM_LAST && (a64_cpu_id_register(PFR0_CRM, 0) & 0xfU) != PFR0_EL0_AARCH32) {
        return 0; /* unknown */
    }
    for (size_t i = 0; i < sizeof(id_fields) / sizeof(id_fields[0]); i++) {
        const struct id_field *field = &id_fields[i];

        if (field->crm == crm && field->op2 == op2) {
            value |= field_value(field, hardware);
        }
    }
    if (crm == PFR0_CRM && op2 == 0 && !vm->has_gic) {
        value &= ~(UINT64_C(0xf) << PFR0_GIC_SHIFT);
    }
    if (crm == MMFR0_CRM && op2 == 0) {
        value = limit_pa_range(value, vm->gpa_bits);
    }
    return value;
}

void a64_hide(struct a64_controls *controls)
{
    for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++) {
        const struct hidden *h = &hidden[i];
        unsigned value = (unsigned)(a64_cpu_id_register(h->crm, h->op2) >> h->shift) & 0xfU;

        if (value != 0 && value != FIELD_NONE) {
            *(uint64_t *)(void *)((char *)controls + h->control) |= h->traps;
        }
    }
}
