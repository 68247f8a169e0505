/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest sees of the CPU (Arm ARM D19.2, ID_*_EL1). */
#include "support/a64_machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define NIBBLE(n) (UINT64_C(0xf) << (n))

/* ---- The policy, register by register: the bits that a guest may see at all ---- */

/*
 * Written from the manual's list of fields, not from the code: anything that EL2 would have to do something for, and
 * anything unknown, isn't in here.
 */
static uint64_t visible(unsigned crm, unsigned op2)
{
    switch (crm * 10 + op2) {
    case 10: /* ID_PFR0: State0-3, CSV2, DIT; not AMU, RAS */
        return 0xffff | NIBBLE(16) | NIBBLE(24);
    case 11: /* ID_PFR1: ProgMod, GenTimer; not Security, MProgMod, Virtualization, Sec_frac, Virt_frac, GIC */
        return NIBBLE(0) | NIBBLE(16);
    case 12: /* ID_DFR0: CopDbg; not CopSDbg, MMapDbg, trace, PerfMon */
        return NIBBLE(0);
    case 14: /* ID_MMFR0 to 3 */
    case 15:
    case 16:
    case 17:
    case 20: /* ID_ISAR0 to 5 */
    case 21:
    case 22:
    case 23:
    case 24:
    case 25:
    case 27: /* ID_ISAR6 */
        return 0xffffffff;
    case 26: /* ID_MMFR4: AC2, CnP, HPDS, LSM, CCIDX; not SpecSEI, XNX, EVT */
        return NIBBLE(4) | NIBBLE(12) | NIBBLE(16) | NIBBLE(20) | NIBBLE(24);
    case 30: /* MVFR0 to 2 */
    case 31:
    case 32:
        return 0xffffffff;
    case 34: /* ID_PFR2: CSV3, SSBS; not RAS_frac */
        return NIBBLE(0) | NIBBLE(4);
    case 36: /* ID_MMFR5: ETS, nTLBPA */
        return NIBBLE(0) | NIBBLE(4);
    case 40: /* ID_AA64PFR0: EL0, EL1, FP, AdvSIMD, GIC, DIT, CSV2, CSV3; nothing between or of EL2, EL3 */
        return NIBBLE(0) | NIBBLE(4) | NIBBLE(16) | NIBBLE(20) | NIBBLE(24) | NIBBLE(48) | NIBBLE(56) | NIBBLE(60);
    case 41: /* ID_AA64PFR1: BT, SSBS; not MTE, RAS_frac, MPAM_frac, SME, RNDR_trap, CSV2_frac, NMI, GCS, THE, ... */
        return NIBBLE(0) | NIBBLE(4);
    case 50: /* ID_AA64DFR0: DebugVer, BRPs, WRPs, CTX_CMPs, DoubleLock; not trace, PMU, SPE, TRBE, BRBE */
        return NIBBLE(0) | NIBBLE(12) | NIBBLE(20) | NIBBLE(28) | NIBBLE(36);
    case 60: /* ID_AA64ISAR0: all but TME */
        return UINT64_MAX & ~NIBBLE(0) & ~NIBBLE(24);
    case 61: /* ID_AA64ISAR1: not APA, API, GPA, GPI, XS, LS64 */
        return UINT64_MAX & ~NIBBLE(4) & ~NIBBLE(8) & ~NIBBLE(24) & ~NIBBLE(28) & ~NIBBLE(56) & ~NIBBLE(60);
    case 62: /* ID_AA64ISAR2: RPRES, BC, CLRBHB; not WFxT, APA3, GPA3, MOPS, PAC_frac, ... */
        return NIBBLE(4) | NIBBLE(20) | NIBBLE(28);
    case 70: /* ID_AA64MMFR0: not SNSMem, TGran*_2, FGT, ECV */
        return NIBBLE(0) | NIBBLE(4) | NIBBLE(8) | NIBBLE(16) | NIBBLE(20) | NIBBLE(24) | NIBBLE(28) | NIBBLE(44);
    case 71: /* ID_AA64MMFR1: HAFDBS, HPDS, PAN, ETS, nTLBPA, ECBHB; not VMIDBits, VH, LO, SpecSEI, XNX, TWED, ... */
        return NIBBLE(0) | NIBBLE(12) | NIBBLE(20) | NIBBLE(36) | NIBBLE(48) | NIBBLE(60);
    case 72: /* ID_AA64MMFR2: not IESB, NV, FWB, EVT */
        return UINT64_MAX & ~NIBBLE(12) & ~NIBBLE(24) & ~NIBBLE(40) & ~NIBBLE(44) & ~NIBBLE(56);
    default:
        return 0;
    }
}

/* Values above which a field says something that isn't given. */
static unsigned limit(unsigned crm, unsigned op2, unsigned shift)
{
    static const struct {
        uint8_t crm, op2, shift, limit;
    } limits[] = {
        {1, 0, 16, 1}, /* CSV2: SCXTNUM_ELx isn't switched */
        {4, 0, 4, 1},  /* EL1: AArch64 only */
        {4, 0, 24, 1}, /* GIC: 3.0, not 4.1 */
        {4, 0, 56, 1}, /* CSV2 */
        {6, 1, 20, 2}, /* LRCPC: not 3, loads and stores that aren't decoded */
        {7, 0, 0, 4},  /* PARange: the second stage's 44 bits */
        {7, 1, 0, 2},  /* HAFDBS: HAFT needs TCR2_EL1 */
    };

    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        if (limits[i].crm == crm && limits[i].op2 == op2 && limits[i].shift == shift) {
            return limits[i].limit;
        }
    }
    return 15;
}

/* ---- Asking as a guest ---- */

static uint64_t seen[8][8];

static void guest_reads_all(struct a64_frame *frame)
{
    for (unsigned crm = 1; crm < 8; crm++) {
        for (unsigned op2 = 0; op2 < 8; op2++) {
            seen[crm][op2] = a64_guest_mrs(frame, 3, 0, 0, crm, op2);
        }
    }
}

static struct axvm *vm;

static void read_all(void)
{
    assert_int_equal(a64_machine_run(vm, 0, guest_reads_all).kind, AXVM_EXIT_EXTERNAL_INTERRUPT);
}

static int setup(void **state)
{
    int error = a64_machine_setup(state);

    vm = machine_vm(1, NULL);
    return error;
}

/* ---- Tests ---- */

static void test_a_cortex_a72_without_its_pmu_and_el2(void **state)
{
    (void)state;
    read_all();
    assert_int_equal(seen[4][0], 0x01000012); /* EL0 with AArch32, EL1 AArch64 only, FP, AdvSIMD, GIC */
    assert_int_equal(seen[4][1], 0);
    assert_int_equal(seen[5][0], 0x10305006); /* no PMU, trace */
    assert_int_equal(seen[6][0], 0x00011120);
    assert_int_equal(seen[7][0], 0x00000124); /* 44 bits, 16-bit ASIDs, mixed endian; no secure memory */
    assert_int_equal(seen[1][0], 0x00000131);
    assert_int_equal(seen[1][1], 0x00010001);
    assert_int_equal(seen[1][2], 0x00000006);
    assert_int_equal(seen[2][5], 0x00011121);
    assert_int_equal(seen[3][0], 0x10110222);
}

#define PFR0 (4 * 8 + 0)

/* ID_AA64PFR0.EL0: else what AArch32's registers hold is unknown. */
static void set_el0_aarch32(void)
{
    a64_model.id[4][0] = (a64_model.id[4][0] & ~UINT64_C(0xf)) | 2;
}

/* Every field of every register, with every value, on a CPU that has nothing else. */
static void test_of_each_field_the_guest_sees_what_it_may(void **state)
{
    static uint64_t a72[8][8];

    (void)state;
    memcpy(a72, a64_model.id, sizeof(a72));
    for (unsigned shift = 0; shift < 64; shift += 4) {
        for (uint64_t value = 1; value < 16; value++) {
            for (unsigned i = 0; i < 64; i++) {
                a64_model.id[i / 8][i % 8] = value << shift;
            }
            set_el0_aarch32();
            read_all();
            for (unsigned i = 8; i < 64; i++) {
                uint64_t expected = value < limit(i / 8, i % 8, shift) ? value : limit(i / 8, i % 8, shift);

                expected = expected << shift & visible(i / 8, i % 8);
                assert_int_equal(seen[i / 8][i % 8], i == PFR0 ? (expected & ~UINT64_C(0xf)) | 2 : expected);
            }
        }
    }
    memcpy(a64_model.id, a72, sizeof(a72));
}

static void test_nothing_hidden_shows_on_a_cpu_that_has_everything(void **state)
{
    (void)state;
    memset(a64_model.id, 0xff, sizeof(a64_model.id));
    set_el0_aarch32();
    read_all();
    for (unsigned i = 8; i < 64; i++) {
        assert_int_equal(seen[i / 8][i % 8] & ~visible(i / 8, i % 8), 0);
    }
}

/* Arm ARM D19.2.x: without AArch32 the values of its registers are unknown. */
static void test_without_aarch32_its_registers_are_zero(void **state)
{
    (void)state;
    a64_model.id[4][0] = 0x01001111;
    read_all();
    for (unsigned i = 8; i < 32; i++) {
        assert_int_equal(seen[i / 8][i % 8], 0);
    }
    assert_int_equal(seen[4][0], 0x01000011);
}

/* PARange: 32, 36, 40, 42, 44, 48, 52 bits; the second stage never has more than 48. */
static void test_pa_range_follows_the_second_stage(void **state)
{
    (void)state;
    for (unsigned range = 0; range < 7; range++) {
        a64_model.id[7][0] = range;
        vm = machine_vm(1, NULL);
        read_all();
        assert_int_equal(seen[7][0], range < 5 ? range : 5);
        assert_int_equal(axvm_shutdown(vm), 0);
    }
}

static void without_gic(struct axvm_config *config)
{
    config->default_devices = false;
    config->emu_devices_count = 0;
}

static void test_gic_field_follows_the_vm(void **state)
{
    (void)state;
    read_all();
    assert_int_equal(seen[4][0] >> 24 & 0xf, 1);
    vm = machine_vm(1, without_gic);
    read_all();
    assert_int_equal(seen[4][0] >> 24 & 0xf, 0);
}

/* Bits of HCR_EL2, MDCR_EL2 and CPTR_EL2 that make hidden things undefined, RES0 where the CPU lacks these. */
static void test_what_is_hidden_traps_where_the_cpu_has_it(void **state)
{
    static const struct {
        uint8_t crm, op2, shift;
        uint64_t hcr, mdcr, cptr;
    } hidden[] = {
        {4, 0, 28, UINT64_C(1) << 36, 0, 0},             /* RAS: HCR_EL2.TERR */
        {4, 0, 44, 0, 0, UINT64_C(1) << 30},             /* AMU: CPTR_EL2.TAM */
        {4, 1, 8, UINT64_C(1) << 58, 0, 0},              /* MTE: HCR_EL2.TID5 */
        {4, 1, 24, UINT64_C(1) << 16, 0, 0},             /* SME: HCR_EL2.TID1 */
        {5, 0, 4, 0, 0, UINT64_C(1) << 20},              /* trace: CPTR_EL2.TTA */
        {5, 0, 8, 0, UINT64_C(1) << 5 | 1U << 6, 0},     /* PMU: MDCR_EL2.TPMCR, TPM */
        {5, 0, 32, 0, UINT64_C(1) << 14, 0},             /* SPE: MDCR_EL2.TPMS */
        {5, 0, 40, 0, UINT64_C(1) << 19, 0},             /* self-hosted trace: MDCR_EL2.TTRF */
        {7, 1, 16, UINT64_C(1) << 35, 0, 0},             /* LORegions: HCR_EL2.TLOR */
    };
    uint64_t hcr = 0, mdcr = 0, cptr = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++) {
        hcr |= hidden[i].hcr;
        mdcr |= hidden[i].mdcr;
        cptr |= hidden[i].cptr;
    }
    for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++) {
        const struct a64_controls *controls;

        memset(a64_model.id, 0, sizeof(a64_model.id));
        a64_model.id[7][0] = 4; /* PARange: 44 bits */
        a64_model.id[hidden[i].crm][hidden[i].op2] |= UINT64_C(1) << hidden[i].shift;
        vm = machine_vm(1, NULL);
        controls = &a64_machine_vcpu(vm, 0)->controls;
        assert_int_equal(controls->hcr & hcr, hidden[i].hcr);
        assert_int_equal(controls->mdcr & mdcr, hidden[i].mdcr);
        assert_int_equal(controls->cptr & cptr, hidden[i].cptr);
        assert_int_equal(controls->cptr & 0x1100, 0x1100); /* TZ, TSM: SVE, SME */
        assert_int_equal(axvm_shutdown(vm), 0);
    }
    a64_model.id[5][0] = 0xf00; /* a PMU that isn't the architecture's */
    assert_int_equal(a64_machine_vcpu(machine_vm(1, NULL), 0)->controls.mdcr & mdcr, 0);
}

static uint64_t trapped, expected;

static void guest_is_refused(struct a64_frame *frame)
{
    a64_guest_sync(frame, trapped);
    assert_int_equal(a64_model_cpu()->sys[A64_ESR_EL1], expected);
}

static void refused_with(uint64_t esr, uint64_t guests)
{
    trapped = esr;
    expected = guests;
    a64_machine_run(vm, 0, guest_is_refused);
}

static void test_a_read_of_a_hidden_id_register_is_undefined_as_the_cpu_has_it(void **state)
{
    const uint64_t gmid = a64_esr_sysreg(3, 1, 0, 0, 4, 3), smidr = a64_esr_sysreg(3, 1, 0, 0, 6, 3);
    const uint64_t gcr = a64_esr_sysreg(3, 0, 1, 0, 6, 3), undefined = a64_esr(EC_UNKNOWN, 0);

    (void)state;
    refused_with(gmid | ISS_SYS_READ, undefined);
    refused_with(smidr | ISS_SYS_READ, undefined);
    a64_model.id[7][2] = UINT64_C(1) << 36; /* FEAT_IDST */
    refused_with(gmid | ISS_SYS_READ, gmid | ISS_SYS_READ);
    refused_with(smidr | ISS_SYS_READ, smidr | ISS_SYS_READ);
    refused_with(gmid, undefined);
    refused_with(gcr | ISS_SYS_READ, undefined);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, machine_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_cortex_a72_without_its_pmu_and_el2),
        TEST(test_of_each_field_the_guest_sees_what_it_may),
        TEST(test_nothing_hidden_shows_on_a_cpu_that_has_everything),
        TEST(test_without_aarch32_its_registers_are_zero),
        TEST(test_pa_range_follows_the_second_stage),
        TEST(test_gic_field_follows_the_vm),
        TEST(test_what_is_hidden_traps_where_the_cpu_has_it),
        TEST(test_a_read_of_a_hidden_id_register_is_undefined_as_the_cpu_has_it),
    };

    return cmocka_run_group_tests_name("a64_idregs", tests, NULL, NULL);
}
