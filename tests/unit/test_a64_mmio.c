/* SPDX-License-Identifier: Apache-2.0 */
/* Instructions that access emulated devices: what they move between devices and registers. */
#include "support/a64_access.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define A ACCESS_A

/* ---- General registers ------------------------------------------------------------------------------------------- */

static void test_single_registers_with_write_back(void **state)
{
    static const struct {
        uint32_t word;
        const char *accesses;
        uint64_t x2;
        int64_t x1;
    } cases[] = {
        {0xb8404422, "AR4+010 ", 0x93929190, 4},                     /* ldr w2, [x1], #4 */
        {0x38c01422, "AR1+010 ", 0xffffff90, 1},                     /* ldrsb w2, [x1], #1 */
        {0x38801422, "AR1+010 ", UINT64_C(0xffffffffffffff90), 1},   /* ldrsb x2, [x1], #1 */
        {0x78802c22, "AR2+012 ", UINT64_C(0xffffffffffff9392), 2},   /* ldrsh x2, [x1, #2]! */
        {0xb89fc422, "AR4+010 ", UINT64_C(0xffffffff93929190), -4},  /* ldrsw x2, [x1], #-4 */
        {0x38401422, "AR1+010 ", 0x90, 1},                           /* ldrb w2, [x1], #1 */
        {0x78402c22, "AR2+012 ", 0x9392, 2},                         /* ldrh w2, [x1, #2]! */
        {0xc8dffc22, "AR8+010 ", UINT64_C(0x9796959493929190), 0},   /* ldar x2, [x1] */
        {0xf8400822, "AR8+010 ", UINT64_C(0x9796959493929190), 0},   /* ldtr x2, [x1] */
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        access_load(cases[i].word, A + 0x10);
        assert_done(cases[i].accesses);
        assert_int_equal(after.x[2], cases[i].x2);
        assert_int_equal(after.x[1], before.x[1] + (uint64_t)cases[i].x1);
    }
}

static void test_stores_carry_what_they_name(void **state)
{
    static const struct {
        uint32_t word;
        const char *accesses;
        int64_t x1;
    } cases[] = {
        {0xf8008422, "AW8+010=fedcba9876543210 ", 8}, /* str x2, [x1], #8 */
        {0x38001422, "AW1+010=10 ", 1},               /* strb w2, [x1], #1 */
        {0x78002422, "AW2+010=3210 ", 2},             /* strh w2, [x1], #2 */
        {0xb800443f, "AW4+010=0 ", 4},                /* str wzr, [x1], #4 */
        {0x889ffc22, "AW4+010=76543210 ", 0},         /* stlr w2, [x1] */
        {0xf8000822, "AW8+010=fedcba9876543210 ", 0}, /* sttr x2, [x1] */
    };

    (void)state;
    before.x[2] = UINT64_C(0xfedcba9876543210);
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        access_store(cases[i].word, A + 0x10);
        assert_done(cases[i].accesses);
        assert_int_equal(after.x[1], before.x[1] + (uint64_t)cases[i].x1);
        assert_int_equal(after.x[2], before.x[2]);
    }
}

static void test_pairs_are_two_accesses_in_order(void **state)
{
    (void)state;
    access_load(0xa8c10c22, A + 0x10); /* ldp x2, x3, [x1], #16 */
    assert_done("AR8+010 AR8+018 ");
    assert_int_equal(after.x[2], UINT64_C(0x9796959493929190));
    assert_int_equal(after.x[3], UINT64_C(0x9f9e9d9c9b9a9998));
    assert_int_equal(after.x[1], before.x[1] + 16);
    access_load(0x29410c22, A + 0x18); /* ldp w2, w3, [x1, #8] */
    assert_done("AR4+018 AR4+01c ");
    assert_int_equal(after.x[3], 0x9f9e9d9c);
    assert_int_equal(after.x[1], before.x[1]);
    access_load(0x69410c22, A + 0x18); /* ldpsw x2, x3, [x1, #8] */
    assert_int_equal(after.x[2], UINT64_C(0xffffffff9b9a9998));
    access_load(0xa8400c22, A + 0x10); /* ldnp x2, x3, [x1] */
    assert_done("AR8+010 AR8+018 ");
    access_store(0xa9bf0c22, A); /* stp x2, x3, [x1, #-16]! */
    assert_done("AW8+000=2222222222222222 AW8+008=3333333333333333 ");
    assert_int_equal(after.x[1], before.x[1] - 16);
}

static void test_address_from_a_register_offset(void **state)
{
    (void)state;
    before.x[4] = 8;
    access_load(0xf8646822, A + 0x18); /* ldr x2, [x1, x4] */
    assert_done("AR8+018 ");
    before.x[4] = UINT64_C(0x12345678fffffffe);
    access_load(0xf864d822, A); /* ldr x2, [x1, w4, sxtw #3] */
    assert_done("AR8+000 ");
    before.x[1] = A - (UINT64_C(0xfffffffe) << 2) + 0x40;
    access_load(0xb8645822, A + 0x40); /* ldr w2, [x1, w4, uxtw #2] */
    assert_done("AR4+040 ");
    assert_int_equal(after.x[1], before.x[1]);
}

static bool code_near_a(uint64_t va, uint64_t *ipa)
{
    *ipa = va >= A ? va : ACCESS_CODE;
    return true;
}

static void test_address_from_the_pc(void **state)
{
    (void)state;
    a64_model.translate = code_near_a;
    before.pc = A - 0x1000;
    access_load(0x58008082, A + 0x10); /* ldr x2, .+0x1010 */
    assert_done("AR8+010 ");
    assert_int_equal(after.x[2], UINT64_C(0x9796959493929190));
    access_load(0x98008082, A + 0x10); /* ldrsw x2, .+0x1010 */
    assert_int_equal(after.x[2], UINT64_C(0xffffffff93929190));
    access_load(0x9c008082, A + 0x10); /* ldr q2, .+0x1010 */
    assert_done("AR8+010 AR8+018 ");
}

static void test_base_may_be_the_stack_pointer_in_use(void **state)
{
    static const uint64_t modes[] = {EL0T, EL1T, EL1H};

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        bool sp1 = modes[i] == EL1H;

        before.pstate = modes[i];
        before.sp_el0 = sp1 ? 0x5500 : A + 0x20;
        before.sp_el1 = sp1 ? A + 0x20 : 0x5510;
        access_load(0xf84087e2, A + 0x20); /* ldr x2, [sp], #8 */
        assert_done("AR8+020 ");
        assert_int_equal(after.sp_el0, before.sp_el0 + (sp1 ? 0 : 8));
        assert_int_equal(after.sp_el1, before.sp_el1 + (sp1 ? 8 : 0));
    }
}

static void test_loads_to_xzr_go_nowhere(void **state)
{
    (void)state;
    access_load(0xf840843f, A + 0x10); /* ldr xzr, [x1], #8 */
    assert_done("AR8+010 ");
    before.x[1] += 8;
    assert_memory_equal(before.x, after.x, sizeof(before.x));
    assert_int_equal(after.sp_el1, before.sp_el1);
}

/* Constrained unpredictable (K1.2.22): what we say happens, happens. */
static void test_registers_that_are_base_and_data(void **state)
{
    (void)state;
    access_load(0xf8408421, A + 0x10); /* ldr x1, [x1], #8 */
    assert_done("AR8+010 ");
    assert_int_equal(after.x[1], UINT64_C(0x9796959493929190));
    access_load(0xa8c10821, A + 0x10); /* ldp x1, x2, [x1], #16 */
    assert_int_equal(after.x[1], UINT64_C(0x9796959493929190));
    access_load(0xa8c10422, A + 0x10); /* ldp x2, x1, [x1], #16 */
    assert_int_equal(after.x[1], UINT64_C(0x9f9e9d9c9b9a9998));
    access_store(0xf8008421, A + 0x10); /* str x1, [x1], #8 */
    assert_done("AW8+010=20000010 ");
    assert_int_equal(after.x[1], before.x[1] + 8);
    access_store(0xa8810821, A + 0x10); /* stp x1, x2, [x1], #16 */
    assert_done("AW8+010=20000010 AW8+018=2222222222222222 ");
    assert_int_equal(after.x[1], before.x[1] + 16);
}

/* ---- Vector registers -------------------------------------------------------------------------------------------- */

static void assert_q(unsigned n, uint64_t low, uint64_t high)
{
    assert_int_equal(after.q[2 * n], low);
    assert_int_equal(after.q[2 * n + 1], high);
}

static void test_vector_loads_clear_what_they_do_not_fill(void **state)
{
    static const struct {
        uint32_t word;
        const char *accesses;
        uint64_t low, high;
    } cases[] = {
        {0x3d400022, "AR1+010 ", 0x90, 0},                         /* ldr b2, [x1] */
        {0x7d400022, "AR2+010 ", 0x9190, 0},                       /* ldr h2, [x1] */
        {0xbd400022, "AR4+010 ", 0x93929190, 0},                   /* ldr s2, [x1] */
        {0xfd400022, "AR8+010 ", UINT64_C(0x9796959493929190), 0}, /* ldr d2, [x1] */
        {0x3dc00022, "AR8+010 AR8+018 ", UINT64_C(0x9796959493929190), UINT64_C(0x9f9e9d9c9b9a9998)}, /* ldr q2, [x1] */
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        access_load(cases[i].word, A + 0x10);
        assert_done(cases[i].accesses);
        assert_q(2, cases[i].low, cases[i].high);
        assert_int_equal(after.x[2], before.x[2]);
    }
    access_load(0x3cc10421, A + 0x10); /* ldr q1, [x1], #16 */
    assert_q(1, UINT64_C(0x9796959493929190), UINT64_C(0x9f9e9d9c9b9a9998));
    assert_int_equal(after.x[1], before.x[1] + 16);
}

static void test_vector_stores(void **state)
{
    (void)state;
    access_store(0x3c001422, A + 0x10); /* str b2, [x1], #1 */
    assert_done("AW1+010=20 ");
    assert_int_equal(after.x[1], before.x[1] + 1);
    access_store(0x7d000022, A + 0x10); /* str h2, [x1] */
    assert_done("AW2+010=2120 ");
    access_store(0xbd000022, A + 0x10); /* str s2, [x1] */
    assert_done("AW4+010=23222120 ");
    access_store(0xfd000022, A + 0x10); /* str d2, [x1] */
    assert_done("AW8+010=2726252423222120 ");
    access_store(0x3c810c22, A + 0x20); /* str q2, [x1, #16]! */
    assert_done("AW8+020=2726252423222120 AW8+028=2f2e2d2c2b2a2928 ");
    assert_int_equal(after.x[1], before.x[1] + 16);
    assert_memory_equal(before.q, after.q, sizeof(before.q));
}

static void test_vector_pairs(void **state)
{
    (void)state;
    access_load(0x2d400c22, A + 0x10); /* ldp s2, s3, [x1] */
    assert_done("AR4+010 AR4+014 ");
    assert_q(2, 0x93929190, 0);
    assert_q(3, 0x97969594, 0);
    access_load(0x6d400c22, A + 0x10); /* ldp d2, d3, [x1] */
    assert_done("AR8+010 AR8+018 ");
    access_load(0xacc10c22, A + 0x10); /* ldp q2, q3, [x1], #32 */
    assert_done("AR8+010 AR8+018 AR8+020 AR8+028 ");
    assert_q(3, UINT64_C(0xa7a6a5a4a3a2a1a0), UINT64_C(0xafaeadacabaaa9a8));
    assert_int_equal(after.x[1], before.x[1] + 32);
    access_store(0xad000c22, A + 0x10); /* stp q2, q3, [x1] */
    assert_done("AW8+010=2726252423222120 AW8+018=2f2e2d2c2b2a2928 AW8+020=3736353433323130 AW8+028=3f3e3d3c3b3a3938 ");
}

static void test_structures(void **state)
{
    (void)state;
    before.x[5] = 0x123;
    access_load(0x4c40a03f, A + 0x10); /* ld1 {v31.16b, v0.16b}, [x1] */
    assert_q(31, UINT64_C(0x9796959493929190), UINT64_C(0x9f9e9d9c9b9a9998));
    assert_q(0, UINT64_C(0xa7a6a5a4a3a2a1a0), UINT64_C(0xafaeadacabaaa9a8));
    access_load(0x0cdf7022, A + 0x10); /* ld1 {v2.8b}, [x1], #8 */
    assert_done("AR1+010 AR1+011 AR1+012 AR1+013 AR1+014 AR1+015 AR1+016 AR1+017 ");
    assert_q(2, UINT64_C(0x9796959493929190), 0);
    assert_int_equal(after.x[1], before.x[1] + 8);
    access_load(0x0c408422, A + 0x10); /* ld2 {v2.4h, v3.4h}, [x1] */
    assert_q(2, UINT64_C(0x9d9c999895949190), 0);
    assert_q(3, UINT64_C(0x9f9e9b9a97969392), 0);
    access_load(0x4cc54822, A + 0x10); /* ld3 {v2.4s, v3.4s, v4.4s}, [x1], x5 */
    assert_q(2, UINT64_C(0x9f9e9d9c93929190), UINT64_C(0xb7b6b5b4abaaa9a8));
    assert_q(4, UINT64_C(0xa7a6a5a49b9a9998), UINT64_C(0xbfbebdbcb3b2b1b0));
    assert_int_equal(after.x[1], before.x[1] + 0x123);
    access_load(0x4cdf0022, A + 0x10); /* ld4 {v2.16b, v3.16b, v4.16b, v5.16b}, [x1], #64 */
    assert_q(5, UINT64_C(0xafaba7a39f9b9793), UINT64_C(0xcfcbc7c3bfbbb7b3));
    assert_int_equal(after.x[1], before.x[1] + 64);
    access_store(0x4c008c22, A + 0x10); /* st2 {v2.2d, v3.2d}, [x1] */
    assert_done("AW8+010=2726252423222120 AW8+018=3736353433323130 AW8+020=2f2e2d2c2b2a2928 AW8+028=3f3e3d3c3b3a3938 ");
}

static void test_lanes(void **state)
{
    (void)state;
    access_load(0x4d400422, A + 0x10); /* ld1 {v2.b}[9], [x1] */
    assert_done("AR1+010 ");
    assert_q(2, before.q[4], UINT64_C(0x2f2e2d2c2b2a9028));
    access_load(0x0d400022, A + 0x10); /* ld1 {v2.b}[0], [x1] */
    assert_q(2, UINT64_C(0x2726252423222190), before.q[5]);
    access_load(0x4ddf8422, A + 0x10); /* ld1 {v2.d}[1], [x1], #8 */
    assert_done("AR8+010 ");
    assert_q(2, before.q[4], UINT64_C(0x9796959493929190));
    access_store(0x4d9f9022, A + 0x10); /* st1 {v2.s}[3], [x1], #4 */
    assert_done("AW4+010=2f2e2d2c ");
    access_load(0x4ddf6822, A + 0x10); /* ld3 {v2.h, v3.h, v4.h}[5], [x1], #6 */
    assert_done("AR2+010 AR2+012 AR2+014 ");
    assert_q(2, before.q[4], UINT64_C(0x2f2e2d2c91902928));
    assert_q(4, before.q[8], UINT64_C(0x4f4e4d4c95944948));
    assert_int_equal(after.x[1], before.x[1] + 6);
    access_load(0x4d40c822, A + 0x10); /* ld1r {v2.4s}, [x1] */
    assert_done("AR4+010 ");
    assert_q(2, UINT64_C(0x9392919093929190), UINT64_C(0x9392919093929190));
    access_load(0x0dffc022, A + 0x10); /* ld2r {v2.8b, v3.8b}, [x1], #2 */
    assert_done("AR1+010 AR1+011 ");
    assert_q(2, UINT64_C(0x9090909090909090), 0);
    assert_q(3, UINT64_C(0x9191919191919191), 0);
}

/* ---- Byte order -------------------------------------------------------------------------------------------------- */

static void test_big_endian_data_is_reversed(void **state)
{
    static const struct {
        uint64_t pstate, sctlr;
        bool big;
    } cases[] = {
        {EL1H, SCTLR_EE, true},  {EL1T, SCTLR_EE, true},  {EL1H, SCTLR_E0E, false},
        {EL0T, SCTLR_E0E, true},  {EL0T, SCTLR_EE, false},
    };

    (void)state;
    before.x[2] = UINT64_C(0xfedcba9876543210);
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        before.pstate = cases[i].pstate;
        before.sctlr = cases[i].sctlr;
        access_load(0xa8c10c22, A + 0x10); /* ldp x2, x3, [x1], #16 */
        assert_done("AR8+010 AR8+018 ");
        assert_int_equal(after.x[2], cases[i].big ? UINT64_C(0x9091929394959697) : UINT64_C(0x9796959493929190));
        access_store(0x78002422, A + 0x10); /* strh w2, [x1], #2 */
        assert_done(cases[i].big ? "AW2+010=1032 " : "AW2+010=3210 ");
        access_load(0x3dc00022, A + 0x10); /* ldr q2, [x1] */
        assert_q(2, cases[i].big ? UINT64_C(0x98999a9b9c9d9e9f) : UINT64_C(0x9796959493929190),
                 cases[i].big ? UINT64_C(0x9091929394959697) : UINT64_C(0x9f9e9d9c9b9a9998));
        access_load(0x0c408422, A + 0x10); /* ld2 {v2.4h, v3.4h}, [x1] */
        assert_q(2, cases[i].big ? UINT64_C(0x9c9d989994959091) : UINT64_C(0x9d9c999895949190), 0);
        access_trap(access_esr(4, 2, 0), A + 0x10); /* ldr w2, [x1] */
        assert_done("AR4+010 ");
        assert_int_equal(after.x[2], cases[i].big ? 0x90919293 : 0x93929190);
        access_trap(access_esr(2, 2, ISS_SSE | ISS_SF), A + 0x10); /* ldrsh x2, [x1] */
        assert_int_equal(after.x[2], UINT64_C(0xffffffffffff0000) | (cases[i].big ? 0x9091 : 0x9190));
        access_trap(access_esr(4, 2, ISS_WNR), A + 0x10); /* str w2, [x1] */
        assert_done(cases[i].big ? "AW4+010=10325476 " : "AW4+010=76543210 ");
    }
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, a64_access_setup, machine_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_single_registers_with_write_back),
        TEST(test_stores_carry_what_they_name),
        TEST(test_pairs_are_two_accesses_in_order),
        TEST(test_address_from_a_register_offset),
        TEST(test_address_from_the_pc),
        TEST(test_base_may_be_the_stack_pointer_in_use),
        TEST(test_loads_to_xzr_go_nowhere),
        TEST(test_registers_that_are_base_and_data),
        TEST(test_vector_loads_clear_what_they_do_not_fill),
        TEST(test_vector_stores),
        TEST(test_vector_pairs),
        TEST(test_structures),
        TEST(test_lanes),
        TEST(test_big_endian_data_is_reversed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
