/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's watchpoints on emulated devices. */
#include "support/a64_access.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define A ACCESS_A
#define FAR_TAG UINT64_C(0x5a00000000000000)

#define MDSCR_MDE BIT64(15)
#define MDSCR_KDE BIT64(13)
#define ON (MDSCR_MDE | MDSCR_KDE)
#define PSTATE_D BIT64(9)

#define E 1U
#define EL1 (1U << 1)
#define EL0 (2U << 1)
#define LOADS (1U << 3)
#define STORES (2U << 3)
#define BAS(bytes) ((uint32_t)(bytes) << 5)
#define HMC (1U << 13)
#define SSC(n) ((uint32_t)(n) << 14)
#define LINKED(n) ((uint32_t)(n) << 16 | 1U << 20)
#define MASK(n) ((uint32_t)(n) << 24)
#define ALL (E | EL1 | EL0 | LOADS | STORES | BAS(0xff))

#define WATCHPOINTS 4U

#define LDR_W2 0xb9400022U  /* ldr w2, [x1] */
#define LDP_X2 0xa9400c22U  /* ldp x2, x3, [x1] */
#define LDTR_X2 0xf8400822U /* ldtr x2, [x1] */

static struct {
    uint64_t mdscr, oslar;
    unsigned number;
    uint64_t wvr, wcr;
    uint64_t bvr, bcr; /* of breakpoint 5 */
    uint64_t contextidr;
} armed;

static void guest_arms(struct a64_frame *frame)
{
    a64_guest_msr(frame, 2, 0, 0, armed.number, 6, armed.wvr);
    a64_guest_msr(frame, 2, 0, 0, armed.number, 7, armed.wcr);
    a64_guest_msr(frame, 2, 0, 0, 5, 4, armed.bvr);
    a64_guest_msr(frame, 2, 0, 0, 5, 5, armed.bcr);
    a64_guest_msr(frame, 2, 0, 0, 2, 2, armed.mdscr);
    a64_guest_msr(frame, 2, 0, 1, 0, 4, armed.oslar);
    a64_model_cpu()->sys[A64_CONTEXTIDR_EL1] = armed.contextidr;
}

static void arm(void)
{
    assert_int_equal(a64_machine_run(vm, 0, guest_arms).kind, AXVM_EXIT_EXTERNAL_INTERRUPT);
}

static int setup(void **state)
{
    int error = a64_access_setup(state);

    a64_model.id[5][0] = (WATCHPOINTS - 1) << 20;
    memset(&armed, 0, sizeof(armed));
    armed.mdscr = ON;
    armed.wvr = A + 0x10;
    armed.wcr = ALL;
    arm();
    return error;
}

/* Four bytes at A + `offset`, or at what x1 is. */
static void load(uint64_t offset)
{
    before.x[1] = A + offset;
    access_trap(access_esr(4, 2, 0), A + offset);
}

static void store(uint64_t offset)
{
    before.x[1] = A + offset;
    access_trap(access_esr(4, 2, ISS_WNR), A + offset);
}

static bool was_watched(void)
{
    uint64_t *sys = a64_model_cpu()->sys;
    bool from_el1 = (before.pstate & 0x1c) == EL1T;

    if (accesses[0] != '\0') {
        assert_int_equal(after.pc, before.pc + 4);
        return false;
    }
    assert_int_equal(sys[A64_ESR_EL1] & ~BIT64(6), (uint64_t)(from_el1 ? 0x35 : 0x34) << 26 | BIT64(25) | 0x22);
    assert_int_equal(sys[A64_ELR_EL1], before.pc);
    assert_int_equal(sys[A64_SPSR_EL1], before.pstate);
    assert_memory_equal(before.x, after.x, sizeof(before.x));
    return true;
}

static bool is_watched(void)
{
    load(0x10);
    return was_watched();
}

static void watched_at(uint64_t far)
{
    assert_true(was_watched());
    assert_int_equal(a64_model_cpu()->sys[A64_FAR_EL1], far);
}

static void test_the_exception_comes_before_the_access(void **state)
{
    (void)state;
    load(0x10);
    watched_at(A + 0x10);
    assert_int_equal(a64_model_cpu()->sys[A64_ESR_EL1], UINT64_C(0xd6000022));
    store(0x14);
    watched_at(A + 0x14);
    assert_int_equal(a64_model_cpu()->sys[A64_ESR_EL1], UINT64_C(0xd6000062)); /* WnR */
    load(0xc);
    assert_done("AR4+00c ");
    store(0x18);
    assert_done("AW4+018=22222222 ");
}

/* Also where the access before was no watched one: what abort.c remembers of devices doesn't count. */
static void test_it_comes_when_armed_later_and_no_more_when_disarmed(void **state)
{
    (void)state;
    armed.mdscr = 0;
    arm();
    assert_false(is_watched());
    armed.mdscr = ON;
    arm();
    assert_true(is_watched());
    armed.mdscr = MDSCR_KDE;
    arm();
    assert_false(is_watched());
}

static void test_none_while_the_os_lock_is_locked(void **state)
{
    (void)state;
    armed.oslar = 1;
    arm();
    assert_false(is_watched());
    armed.oslar = 0;
    arm();
    assert_true(is_watched());
}

static void test_at_el1_the_guest_allows_them(void **state)
{
    (void)state;
    before.pstate = EL1H | PSTATE_D;
    assert_false(is_watched());
    before.pstate = EL0T | PSTATE_D;
    assert_true(is_watched());
    armed.mdscr = MDSCR_MDE;
    arm();
    before.pstate = EL1H;
    assert_false(is_watched());
    before.pstate = EL0T;
    assert_true(is_watched());
    before.pstate = USER32;
    assert_true(is_watched());
}

static void test_control_fields(void **state)
{
    static const struct {
        uint32_t wcr;
        uint64_t pstate;
        bool load, store;
    } cases[] = {
        {ALL & ~E, EL1H, false, false},
        {ALL & ~LOADS, EL1H, false, true},
        {ALL & ~STORES, EL1H, true, false},
        {ALL & ~EL1, EL1H, false, false},
        {ALL & ~EL1, EL0T, true, true},
        {ALL & ~EL0, EL1T, true, true},
        {ALL & ~EL0, EL0T, false, false},
        {ALL & ~EL0, USER32, false, false},
        {ALL | HMC, EL0T, true, true},
        {ALL | SSC(1), EL1H, true, true},         /* Non-secure */
        {ALL | SSC(2), EL1H, false, false},       /* Secure */
        {ALL | SSC(3), EL1H, false, false},
        {ALL | SSC(3) | HMC, EL1H, true, true},   /* EL2, EL1, EL0 */
        {E | LOADS | STORES | BAS(0xff) | SSC(3) | HMC, EL1H, false, false}, /* EL2 */
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        armed.wcr = cases[i].wcr;
        arm();
        before.pstate = cases[i].pstate;
        load(0x10);
        assert_int_equal(was_watched(), cases[i].load);
        store(0x10);
        assert_int_equal(was_watched(), cases[i].store);
        before.pstate = EL1H;
    }
}

static void test_bytes_are_selected(void **state)
{
    static const struct {
        uint64_t wvr;
        uint32_t bas, mask;
        uint64_t first, last; /* offsets watched */
    } cases[] = {
        {A + 0x10, 0xff, 0, 0x10, 0x17},
        {A + 0x10, 0x01, 0, 0x10, 0x10},
        {A + 0x10, 0x80, 0, 0x17, 0x17},
        {A + 0x10, 0x3c, 0, 0x12, 0x15},
        {A + 0x14, 0x0f, 0, 0x14, 0x17}, /* bit 2: a word, whose BAS has four bits */
        {A + 0x14, 0xf2, 0, 0x15, 0x15},
        {A + 0x40, 0xff, 5, 0x40, 0x5f},
        {A + 0x40, 0xff, 3, 0x40, 0x47},
        {A, 0xff, 31, 0, 0x5ff},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        armed.wvr = cases[i].wvr;
        armed.wcr = E | EL1 | LOADS | BAS(cases[i].bas) | MASK(cases[i].mask);
        arm();
        for (uint64_t at = 0; at < 0x80; at++) {
            access_trap(access_esr(1, 2, 0), A + at);
            assert_int_equal(was_watched(), at >= cases[i].first && at <= cases[i].last);
        }
    }
}

static void test_far_is_the_first_watched_byte(void **state)
{
    (void)state;
    armed.wcr = E | EL1 | LOADS | BAS(0x30);
    arm();
    access_trap(access_esr(8, 2, 0), A + 0x10);
    watched_at(A + 0x14);
}

static bool stage1(uint64_t va, uint64_t *ipa)
{
    *ipa = va << 8 >> 8;
    return true;
}

static void test_a_tag_does_not_count(void **state)
{
    (void)state;
    a64_model.translate = stage1;
    access_trap(access_esr(4, 2, 0), (A + 0x10) | FAR_TAG);
    watched_at((A + 0x10) | FAR_TAG);
    armed.wvr = (A + 0x10) | BIT64(55);
    arm();
    assert_false(is_watched());
}

static void test_every_watchpoint_there_is(void **state)
{
    (void)state;
    armed.wcr = 0;
    arm();
    for (armed.number = 0; armed.number < 16; armed.number++) {
        armed.wcr = ALL;
        arm();
        assert_int_equal(is_watched(), armed.number < WATCHPOINTS);
        armed.wcr = 0;
        arm();
    }
}

#define CONTEXT 0x12345678U
#define BCR(type) ((uint64_t)(type) << 20 | 0xfU << 5 | 3U << 1 | E)

static void test_linked_to_a_context(void **state)
{
    (void)state;
    armed.wcr = ALL | LINKED(5);
    armed.bvr = CONTEXT;
    armed.bcr = BCR(3);
    armed.contextidr = CONTEXT;
    arm();
    assert_true(is_watched());
    armed.contextidr = CONTEXT + 1;
    arm();
    assert_false(is_watched());
    armed.contextidr = CONTEXT;
    armed.bcr = BCR(3) & ~(uint64_t)E;
    arm();
    assert_false(is_watched());
    armed.bcr = BCR(2); /* not linked */
    arm();
    assert_false(is_watched());
}

/* ---- Instructions without a syndrome ----------------------------------------------------------------------------- */

static void test_all_of_a_pair_is_looked_at_first(void **state)
{
    (void)state;
    armed.wvr = A + 0x18;
    arm();
    before.x[1] = A + 0x10;
    access_load(LDP_X2, A + 0x10);
    watched_at(A + 0x18);
    before.x[1] = A + 0x20;
    access_load(LDP_X2, A + 0x20);
    assert_done("AR8+020 AR8+028 ");
}

static void test_unprivileged_accesses_are_those_of_el0(void **state)
{
    (void)state;
    armed.wcr = E | EL0 | LOADS | BAS(0xff);
    arm();
    access_load(LDR_W2, A + 0x10);
    assert_false(was_watched());
    access_load(LDTR_X2, A + 0x10);
    assert_true(was_watched());
}

/* ---- What comes before, and after -------------------------------------------------------------------------------- */

static uint64_t no_second_page(uint64_t va, unsigned access)
{
    (void)access;
    return va < A + 0x1000 ? va & PAR_PA : PAR_F | (FSC_TRANSLATION | 3) << 1;
}

static void test_mmu_faults_come_first(void **state)
{
    (void)state;
    a64_model.at = no_second_page;
    armed.wvr = A + 0xff8;
    arm();
    before.x[1] = A + 0xff8;
    access_trap(access_esr(4, 2, 0), A + 0xffe);
    assert_abort(FSC_TRANSLATION | 3, false, A + 0x1000, "");
}

static void test_external_aborts_come_last(void **state)
{
    (void)state;
    armed.wvr = A + ACCESS_REFUSED;
    arm();
    load(ACCESS_REFUSED);
    assert_true(was_watched());
    armed.wvr = ACCESS_NOTHING - 8;
    arm();
    before.x[1] = ACCESS_NOTHING - 8;
    access_load(LDP_X2, ACCESS_NOTHING - 8);
    assert_true(was_watched());
}

static void test_an_access_that_takes_long_is_looked_at_once(void **state)
{
    (void)state;
    access_slow = 3;
    load(ACCESS_SLOW);
    assert_done("AR4+7f0~AR4+7f0~AR4+7f0~AR4+7f0 ");
    armed.wvr = A + ACCESS_SLOW;
    arm();
    access_slow = 3;
    load(ACCESS_SLOW);
    assert_true(was_watched());
    assert_int_equal(access_slow, 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, machine_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_exception_comes_before_the_access),
        TEST(test_it_comes_when_armed_later_and_no_more_when_disarmed),
        TEST(test_none_while_the_os_lock_is_locked),
        TEST(test_at_el1_the_guest_allows_them),
        TEST(test_control_fields),
        TEST(test_bytes_are_selected),
        TEST(test_far_is_the_first_watched_byte),
        TEST(test_a_tag_does_not_count),
        TEST(test_every_watchpoint_there_is),
        TEST(test_linked_to_a_context),
        TEST(test_all_of_a_pair_is_looked_at_first),
        TEST(test_unprivileged_accesses_are_those_of_el0),
        TEST(test_mmu_faults_come_first),
        TEST(test_external_aborts_come_last),
        TEST(test_an_access_that_takes_long_is_looked_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
