/* SPDX-License-Identifier: Apache-2.0 */
/* Exceptions that a guest is given, against Arm ARM D1.3.5 and the pseudocode of AArch64.TakeException. */
#include "support/a64_machine.h"
#include "support/random.h"

#include "arch/aarch64/hcr.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define VBAR UINT64_C(0xffff800008010800)
#define PC UINT64_C(0xffff800008123454)
#define EL0T 0x0U
#define EL1T 0x4U
#define EL1H 0x5U
#define AARCH32_USER 0x10U

#define MMFR1_PAN (UINT64_C(1) << 20)
#define PFR1_SSBS (UINT64_C(2) << 4)

/* What a test wants to happen, and where it happens. */
static struct {
    uint64_t pstate, sctlr, vbar, esr, far, ipa, tcr, ttbr;
    void (*check)(const struct a64_frame *frame);
} now;

static void guest_traps(struct a64_frame *frame)
{
    struct a64_model_cpu *cpu = a64_model_cpu();

    frame->pc = PC;
    frame->pstate = now.pstate;
    cpu->sys[A64_SCTLR_EL1] = now.sctlr;
    cpu->sys[A64_VBAR_EL1] = now.vbar;
    cpu->sys[A64_TCR_EL1] = now.tcr;
    cpu->sys[A64_TTBR0_EL1] = now.ttbr;
    cpu->far = now.far;
    cpu->hpfar = now.ipa >> 12 << 4;
    a64_guest_sync(frame, now.esr);
    now.check(frame);
}

static struct axvm *vm;

static void trap(uint64_t pstate, uint64_t esr, void (*check)(const struct a64_frame *frame))
{
    now.pstate = pstate;
    now.esr = esr;
    now.check = check;
    assert_int_equal(a64_machine_run(vm, 0, guest_traps).kind, AXVM_EXIT_EXTERNAL_INTERRUPT);
}

static int setup(void **state)
{
    int error = a64_machine_setup(state);

    now.sctlr = 0x30d00800;
    now.vbar = VBAR;
    now.far = now.ipa = 0;
    vm = machine_vm(1, NULL);
    return error;
}

static uint64_t sys(enum a64_sys reg)
{
    return a64_model_cpu()->sys[reg];
}

/* ---- Undefined instructions ---- */

static void check_undefined(const struct a64_frame *frame)
{
    assert_int_equal(frame->pc, VBAR + 0x200);
    assert_int_equal(sys(A64_ESR_EL1), 0x02000000); /* EC 0, IL */
    assert_int_equal(sys(A64_ELR_EL1), PC);
    assert_int_equal(sys(A64_SPSR_EL1), EL1H);
    assert_int_equal(frame->pstate, 0x3c5);
}

static bool is_handled(unsigned ec)
{
    return ec == EC_WFX || ec == EC_HVC64 || ec == EC_SMC64 || ec == EC_IABT_LOWER || ec == EC_DABT_LOWER;
}

static void test_every_exception_class_without_a_meaning_is_undefined_to_the_guest(void **state)
{
    (void)state;
    for (unsigned ec = 0; ec < EC_COUNT; ec++) {
        if (!is_handled(ec)) { /* EC_SYSREG: op0 0, a register that is none */
            trap(EL1H, (uint64_t)ec << 26 | ESR_IL, check_undefined);
        }
        if (!is_handled(ec) && ec != EC_SYSREG) { /* whatever the rest of the syndrome */
            trap(EL1H, (uint64_t)ec << 26 | 0x1ffffff, check_undefined);
            trap(EL1H, UINT64_C(0xffffffff00000000) | (uint64_t)ec << 26, check_undefined);
        }
    }
}

/* ---- Where it goes ---- */

static uint64_t expected_vector;

static void check_vector(const struct a64_frame *frame)
{
    assert_int_equal(frame->pc, VBAR + expected_vector);
    assert_int_equal(sys(A64_SPSR_EL1), now.pstate);
    assert_int_equal(sys(A64_ELR_EL1), PC);
    assert_int_equal(frame->pstate & 0x3df, 0x3c5); /* DAIF masked, EL1h, AArch64 */
}

static void test_vector_follows_where_it_is_taken_from(void **state)
{
    static const struct {
        uint64_t pstate, vector;
    } from[] = {
        {EL1T, 0x000}, {EL1H, 0x200}, {EL0T, 0x400}, {AARCH32_USER, 0x600}, {AARCH32_USER | 0x20, 0x600},
    };

    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        expected_vector = from[i].vector;
        trap(from[i].pstate, (uint64_t)EC_UNKNOWN << 26, check_vector);
        trap(from[i].pstate | 0x3c0, (uint64_t)EC_UNKNOWN << 26, check_vector);
    }
}

/* VBAR_EL1 bits 10:0 are RES0: what the guest left there is no part of the vector's address. */
static void test_low_bits_of_vbar_do_not_count(void **state)
{
    (void)state;
    now.vbar = VBAR | 0x7ff;
    expected_vector = 0x200;
    trap(EL1H, (uint64_t)EC_UNKNOWN << 26, check_vector);
}

/* ---- PSTATE ---- */

/*
 * C5.2.19, SPSR_EL2, and AArch64.TakeException: NZCV and DIT are kept; PAN is set unless SCTLR_EL1.SPAN; SSBS becomes
 * SCTLR_EL1.DSSBS; UAO, SS, IL, BTYPE, and of AArch32 Q, GE, IT, E and T, are gone. In SPSR_EL2 DIT is bit 24 whatever
 * the state it was taken from; bit 21 is SS.
 */
static uint64_t expected_pstate(uint64_t from, uint64_t sctlr, bool pan, bool ssbs)
{
    uint64_t to = (from & (UINT64_C(0xf) << 28)) | (from & (1U << 24)) | (from & (1U << 22)) | 0x3c5;

    if (pan && (sctlr >> 23 & 1) == 0) {
        to |= 1U << 22;
    }
    if (ssbs && (sctlr >> 44 & 1) != 0) {
        to |= 1U << 12;
    }
    return to;
}

static bool has_pan, has_ssbs;

static void check_pstate(const struct a64_frame *frame)
{
    assert_int_equal(frame->pstate, expected_pstate(now.pstate, now.sctlr, has_pan, has_ssbs));
    assert_int_equal(sys(A64_SPSR_EL1), now.pstate);
}

static void test_pstate_on_entry(void **state)
{
    static const uint8_t modes[] = {EL0T, EL1T, EL1H, AARCH32_USER};

    (void)state;
    random_start("pstate");
    for (unsigned features = 0; features < 4; features++) {
        has_pan = (features & 1) != 0;
        has_ssbs = (features & 2) != 0;
        a64_model.id[7][1] = has_pan ? MMFR1_PAN : 0;
        a64_model.id[4][1] = has_ssbs ? PFR1_SSBS : 0;
        for (unsigned i = 0; i < 2000; i++) {
            uint64_t pstate = (random_u64() & 0xffffffe0 & ~(UINT64_C(has_pan ? 0 : 1) << 22)) | modes[i % 4];

            now.sctlr = random_u64();
            trap(i % 4 == 3 ? pstate : pstate & ~UINT64_C(0x10), (uint64_t)EC_UNKNOWN << 26, check_pstate);
        }
    }
}

/* ---- Aborts ---- */

static uint64_t expected_esr;

static void check_abort(const struct a64_frame *frame)
{
    assert_int_equal(sys(A64_ESR_EL1), expected_esr);
    assert_int_equal(sys(A64_FAR_EL1), now.far);
    check_vector(frame);
}

/* The machine's own external abort (0x10): no stage-2 fault, so passed on as it is. */
static void abort_from(uint64_t pstate, uint64_t vector, enum esr_ec ec, uint64_t iss, uint64_t injected)
{
    unsigned same = vector < 0x400 ? 1 : 0;

    expected_vector = vector;
    expected_esr = (uint64_t)(ec + same) << 26 | ESR_IL | injected;
    trap(pstate, a64_esr(ec, iss), check_abort);
}

static void test_abort_keeps_what_the_guest_may_know_of_its_syndrome(void **state)
{
    static const struct {
        uint64_t pstate, vector;
    } from[] = {
        {EL1T, 0x000}, {EL1H, 0x200}, {EL0T, 0x400}, {AARCH32_USER, 0x600},
    };

    (void)state;
    now.far = UINT64_C(0xffff00000badf00d);
    for (unsigned i = 0; i < 4; i++) {
        uint64_t p = from[i].pstate, vector = from[i].vector;

        abort_from(p, vector, EC_DABT_LOWER, 0x10, 0x10);
        abort_from(p, vector, EC_DABT_LOWER, 0x10 | ISS_WNR, 0x10 | ISS_WNR);
        abort_from(p, vector, EC_DABT_LOWER, 0x10 | ISS_WNR | ISS_CM, 0x10 | ISS_WNR | ISS_CM);
        abort_from(p, vector, EC_DABT_LOWER, 0x10 | ISS_ISV | ISS_SSE | ISS_SF | UINT64_C(5) << 16, 0x10);
        abort_from(p, vector, EC_IABT_LOWER, 0x10, 0x10);
        for (unsigned level = 0; level < 4; level++) {
            abort_from(p, vector, EC_DABT_LOWER, ISS_S1PTW | 4 | level, 0x14 | level);
            abort_from(p, vector, EC_DABT_LOWER, ISS_S1PTW | ISS_WNR | 4 | level, 0x14 | ISS_WNR | level);
            abort_from(p, vector, EC_IABT_LOWER, ISS_S1PTW | 4 | level, 0x14 | level);
        }
    }
}

#define NOTHING UINT64_C(0x30000000)
#define TABLE_AT(n) (A64_RAM + (n) * KIB(4))

static void set_entry(uint64_t at, uint64_t value)
{
    value = (now.sctlr & SCTLR_EE) != 0 ? __builtin_bswap64(value) : value;
    assert_int_equal(axvm_write_guest(vm, gpa(at), &value, sizeof(value)), 0);
}

/* Stage 2 comes to nothing at its level 1, wherever the walk is. */
static void walk_lacks(unsigned level, uint64_t table)
{
    now.ipa = table;
    abort_from(EL1H, 0x200, EC_DABT_LOWER, ISS_S1PTW | FSC_TRANSLATION | 1, FSC_EXTERNAL_WALK | level);
    abort_from(EL0T, 0x400, EC_IABT_LOWER, ISS_S1PTW | FSC_TRANSLATION | 1, FSC_EXTERNAL_WALK | level);
}

static void test_abort_of_a_walk_has_the_level_of_that(void **state)
{
    (void)state;
    now.far = UINT64_C(1) << 30 | UINT64_C(2) << 21 | 0x1238;
    now.sctlr |= 1; /* M */
    for (unsigned big = 0; big < 2; big++, now.sctlr |= SCTLR_EE) {
        now.tcr = 25; /* T0SZ: from level 1 on */
        now.ttbr = NOTHING | 1;
        walk_lacks(1, NOTHING);
        now.ttbr = TABLE_AT(0) | 1;
        set_entry(TABLE_AT(0) + 8, NOTHING | 3);
        walk_lacks(2, NOTHING);
        set_entry(TABLE_AT(0) + 8, TABLE_AT(1) | 3);
        set_entry(TABLE_AT(1) + 16, NOTHING | 3);
        walk_lacks(3, NOTHING);
        walk_lacks(1, NOTHING + KIB(4)); /* the guest has changed its tables: what stage 2 says */
        now.tcr = 33; /* a table of two entries */
        now.ttbr = TABLE_AT(2) + 0x40;
        set_entry(TABLE_AT(2) + 0x48, NOTHING | 3);
        walk_lacks(2, NOTHING);
        now.tcr = 0; /* more than any walk has: that begins at level -1 */
        now.ttbr = now.ipa = NOTHING;
        abort_from(EL1H, 0x200, EC_DABT_LOWER, ISS_S1PTW | FSC_TRANSLATION | 1, FSC_EXTERNAL_WALK - 1);
    }
    now.tcr = now.ttbr = 0;
}

/* FnV says that FAR holds nothing: the guest has to know. */
static void test_abort_without_an_address_says_so(void **state)
{
    (void)state;
    abort_from(EL1H, 0x200, EC_DABT_LOWER, 0x10 | ISS_FNV, 0x10 | ISS_FNV);
    abort_from(EL0T, 0x400, EC_IABT_LOWER, 0x10 | ISS_FNV, 0x10 | ISS_FNV);
}

static void check_16_bit(const struct a64_frame *frame)
{
    assert_int_equal(sys(A64_ESR_EL1), (uint64_t)EC_DABT_LOWER << 26 | 0x10);
    check_vector(frame);
}

static void test_abort_of_a_16_bit_instruction_keeps_its_length(void **state)
{
    (void)state;
    expected_vector = 0x600;
    trap(AARCH32_USER | 0x20, (uint64_t)EC_DABT_LOWER << 26 | ISS_ISV | 0x10, check_16_bit);
}

/* Whatever the FSC, an abort ends in the guest or is answered; none of them ends anything else. */
static void check_any(const struct a64_frame *frame)
{
    assert_true(frame->pc == VBAR + 0x200 || frame->pc == PC);
}

static void test_every_fault_status_ends_in_the_guest(void **state)
{
    (void)state;
    random_start("fault status");
    for (unsigned i = 0; i < 64 * 64; i++) {
        uint64_t iss = (random_u64() & ESR_ISS_MASK & ~UINT64_C(0x3f) & ~ISS_ISV) | (i & 0x3f);

        trap(EL1H, a64_esr((i & 64) != 0 ? EC_DABT_LOWER : EC_IABT_LOWER, iss), check_any);
    }
    assert_int_equal(axvm_state(vm), AXVM_STATE_RUNNING);
}

/* ---- SError ---- */

static void guest_gets_serror(struct a64_frame *frame)
{
    uint64_t pc = frame->pc;

    a64_guest_serror(frame);
    assert_int_equal(frame->pc, pc);
    assert_int_equal(a64_vcpu(vm->vcpus[0])->base.stats.others, 1);
    assert_true((a64_model_cpu()->controls.hcr & HCR_VSE) != 0);
}

/* The hardware clears VSE when the guest takes it. */
static void guest_takes_serror(struct a64_frame *frame)
{
    (void)frame;
    assert_true((a64_model_cpu()->controls.hcr & HCR_VSE) != 0);
    a64_model_cpu()->controls.hcr &= ~HCR_VSE;
}

static void guest_sees_no_serror(struct a64_frame *frame)
{
    (void)frame;
    assert_int_equal(a64_model_cpu()->controls.hcr & HCR_VSE, 0);
}

static void test_serror_becomes_pending_for_the_guest(void **state)
{
    (void)state;
    a64_machine_run(vm, 0, guest_gets_serror);
    a64_machine_run(vm, 0, guest_takes_serror);
    axvm_release_vcpu(vm, 0);
    a64_machine_run(vm, 0, guest_sees_no_serror);
}

static void test_serror_waits_for_its_guest_while_others_run(void **state)
{
    struct axvm *other = machine_vm(1, NULL);

    (void)state;
    a64_machine_run(vm, 0, guest_gets_serror);
    a64_machine_run(other, 0, guest_sees_no_serror);
    a64_machine_run(vm, 0, guest_takes_serror);
    a64_machine_run(other, 0, guest_sees_no_serror);
    a64_machine_run(vm, 0, guest_sees_no_serror);
}

/* EL2 has it masked: without care, it would come when the next guest is entered. */
static void guest_leaves_an_serror(struct a64_frame *frame)
{
    (void)frame;
    a64_model_cpu()->serror = true;
}

static void test_serror_that_comes_after_the_exit_is_that_guests(void **state)
{
    struct axvm *other = machine_vm(1, NULL);

    (void)state;
    a64_machine_run(vm, 0, guest_leaves_an_serror);
    a64_machine_run(vm, 0, guest_takes_serror);
    a64_machine_run(vm, 0, guest_leaves_an_serror);
    a64_machine_run(other, 0, guest_sees_no_serror);
    a64_machine_run(vm, 0, guest_takes_serror);
    a64_machine_run(vm, 0, guest_leaves_an_serror);
    axvm_release_vcpu(vm, 0);
    a64_machine_run(other, 0, guest_sees_no_serror);
    a64_machine_run(vm, 0, guest_takes_serror);
    a64_machine_run(vm, 0, guest_sees_no_serror);
}

static unsigned entries;

static void guest_waits_until_it_takes_an_serror(struct a64_frame *frame)
{
    if (++entries == 1) {
        a64_guest_serror(frame);
    } else {
        guest_takes_serror(frame);
    }
    a64_guest_wfi(frame);
}

static void test_serror_ends_a_wait_until_it_is_taken(void **state)
{
    (void)state;
    entries = 0;
    assert_int_equal(a64_machine_run(vm, 0, guest_waits_until_it_takes_an_serror).kind, AXVM_EXIT_HALT);
    assert_int_equal(entries, 2);
}

static void guest_waits_and_leaves_an_serror(struct a64_frame *frame)
{
    a64_model_cpu()->serror = true;
    a64_guest_wfi(frame);
}

static void test_serror_of_a_vcpu_that_waits_wakes_it(void **state)
{
    struct axvm *other = machine_vm(1, NULL);

    (void)state;
    assert_int_equal(a64_machine_run(vm, 0, guest_waits_and_leaves_an_serror).kind, AXVM_EXIT_HALT);
    fake_hal_forget();
    a64_machine_run(other, 0, guest_sees_no_serror);
    assert_int_equal(fake_hal_kicks_of(axvm_id(vm), 0), 1);
    assert_true(axvm_vcpu_runnable(vm, 0));
    a64_machine_run(vm, 0, guest_takes_serror);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, machine_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_every_exception_class_without_a_meaning_is_undefined_to_the_guest),
        TEST(test_vector_follows_where_it_is_taken_from),
        TEST(test_low_bits_of_vbar_do_not_count),
        TEST(test_pstate_on_entry),
        TEST(test_abort_keeps_what_the_guest_may_know_of_its_syndrome),
        TEST(test_abort_of_a_walk_has_the_level_of_that),
        TEST(test_abort_without_an_address_says_so),
        TEST(test_abort_of_a_16_bit_instruction_keeps_its_length),
        TEST(test_every_fault_status_ends_in_the_guest),
        TEST(test_serror_becomes_pending_for_the_guest),
        TEST(test_serror_waits_for_its_guest_while_others_run),
        TEST(test_serror_that_comes_after_the_exit_is_that_guests),
        TEST(test_serror_ends_a_wait_until_it_is_taken),
        TEST(test_serror_of_a_vcpu_that_waits_wakes_it),
    };

    return cmocka_run_group_tests_name("a64_inject", tests, NULL, NULL);
}
