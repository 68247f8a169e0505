/* SPDX-License-Identifier: Apache-2.0 */
/* Second-stage aborts in detail: what of test_abort.c's matter is aarch64's own. */
#include "support/a64_machine.h"
#include "support/places.h"
#include "support/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define VBAR UINT64_C(0xffff800008010800)
#define PC UINT64_C(0xffff800008123454)
#define VA UINT64_C(0xffff000012345000) /* where stage 1 maps what a permission fault is about */

#define FNSC_TRANSLATION 0x07U
#define FNSC_ACCESS_FLAG 0x0bU
#define FNSC_PERMISSION 0x0fU

#define EL1T 0x4U
#define EL1H 0x5U
#define AARCH32_USER 0x10U
#define AARCH32_T (1U << 5)

/* ---- The machine ---- */

static struct axvm *vm;

static uint64_t translation; /* of VA, when the model is asked; 0: none */

static bool translate(uint64_t va, uint64_t *ipa)
{
    uint64_t page = va & ~UINT64_C(0xfff);

    if (page == (PC & ~UINT64_C(0xfff)) || page == VA + AXVM_PAGE_SIZE) {
        *ipa = page == VA + AXVM_PAGE_SIZE ? HOLE : A64_RAM;
        return true;
    }
    assert_int_equal(page, VA);
    *ipa = translation | (va & 0xfff);
    return translation != 0;
}

static int setup(void **state)
{
    int error = a64_machine_setup(state);

    translation = 0;
    a64_model.translate = translate;
    vm = places_vm();
    dev.generous = true; /* more than was asked for is nobody's */
    return error;
}

/* What the guest does: `before` its frame, then an abort, then `after` its frame. */
static struct {
    uint64_t esr, far, ipa;
    struct a64_frame before, after;
} now;

static void guest_aborts(struct a64_frame *frame)
{
    struct a64_model_cpu *cpu = a64_model_cpu();

    memcpy(frame->x, now.before.x, sizeof(frame->x));
    frame->pc = PC;
    frame->pstate = now.before.pstate;
    cpu->sys[A64_VBAR_EL1] = VBAR;
    cpu->far = now.far;
    cpu->hpfar = now.ipa >> 12 << 4;
    a64_guest_sync(frame, now.esr);
    now.after = *frame;
}

static void prepare(uint64_t pstate)
{
    for (unsigned i = 0; i < 31; i++) {
        now.before.x[i] = UINT64_C(0x1111111100000000) * (i % 14 + 1) + UINT64_C(0x80c0a0e0) + i;
    }
    now.before.pstate = pstate;
}

static enum axvm_exit_kind run_abort(uint64_t esr, uint64_t far, uint64_t ipa)
{
    now.esr = esr;
    now.far = far;
    now.ipa = ipa;
    return a64_machine_run(vm, 0, guest_aborts).kind;
}

static void abort_at(uint64_t esr, uint64_t far, uint64_t ipa)
{
    assert_int_equal(run_abort(esr, far, ipa), AXVM_EXIT_EXTERNAL_INTERRUPT);
}

static void check_injected(uint64_t esr)
{
    const uint64_t *sys = a64_model_cpu()->sys;

    assert_int_equal(now.after.pc, VBAR + 0x200);
    assert_int_equal(sys[A64_ESR_EL1], esr);
    assert_int_equal(sys[A64_FAR_EL1], now.far);
    assert_int_equal(sys[A64_ELR_EL1], PC);
    assert_int_equal(sys[A64_SPSR_EL1], now.before.pstate);
    assert_memory_equal(now.after.x, now.before.x, sizeof(now.after.x));
}

/* The guest does the same again. */
static void check_retried(void)
{
    assert_int_equal(now.after.pc, PC);
    assert_int_equal(now.after.pstate, now.before.pstate);
    assert_memory_equal(now.after.x, now.before.x, sizeof(now.after.x));
}

static uint64_t load_esr(unsigned log2_size, unsigned reg, bool sign_extend, bool wide)
{
    return a64_esr(EC_DABT_LOWER, ISS_ISV | (uint64_t)log2_size << 22 | (sign_extend ? ISS_SSE : 0) |
                                      (uint64_t)reg << 16 | (wide ? ISS_SF : 0) | FNSC_TRANSLATION);
}

static uint64_t store_esr(unsigned log2_size, unsigned reg)
{
    return load_esr(log2_size, reg, false, log2_size == 3) | ISS_WNR;
}

/* ---- Devices ---- */

static uint64_t extended(uint64_t value, unsigned log2_size, bool sign_extend, bool wide)
{
    switch (log2_size) {
    case 0:
        value = sign_extend ? (uint64_t)(int64_t)(int8_t)value : (uint8_t)value;
        break;
    case 1:
        value = sign_extend ? (uint64_t)(int64_t)(int16_t)value : (uint16_t)value;
        break;
    case 2:
        value = sign_extend ? (uint64_t)(int64_t)(int32_t)value : (uint32_t)value;
        break;
    default:
        break;
    }
    return wide ? value : (uint32_t)value;
}

static void check_load(unsigned log2_size, unsigned reg, bool sign_extend, bool wide, uint64_t answer)
{
    struct a64_frame expected;

    prepare(EL1H);
    dev.answer = answer;
    dev.reads = 0;
    abort_at(load_esr(log2_size, reg, sign_extend, wide), VA | 0x128, DEVICE | 0x128);
    expected = now.before;
    if (reg < 31) {
        expected.x[reg] = extended(answer, log2_size, sign_extend, wide);
    }
    assert_int_equal(dev.reads, 1);
    assert_int_equal(dev.offset, 0x128);
    assert_int_equal(dev.size, 1U << log2_size);
    assert_memory_equal(now.after.x, expected.x, sizeof(expected.x));
    assert_int_equal(now.after.pc, PC + 4);
    assert_int_equal(now.after.pstate, EL1H);
}

static void test_loads_of_all_widths_extensions_and_registers(void **state)
{
    static const uint64_t answers[] = {UINT64_C(0x8899aabbccddeeff), UINT64_C(0x7766554433221100), 0,
                                       UINT64_C(0x80008000800080), UINT64_MAX};

    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        for (unsigned log2_size = 0; log2_size < 4; log2_size++) {
            for (unsigned bits = 0; bits < 4; bits++) {
                check_load(log2_size, 7, (bits & 1) != 0, (bits & 2) != 0 || log2_size == 3, answers[i]);
            }
        }
    }
    for (unsigned reg = 0; reg < 32; reg++) { /* 31: XZR */
        check_load(3, reg, false, true, answers[0]);
    }
}

static void test_stores_of_all_widths_and_registers(void **state)
{
    (void)state;
    prepare(EL1H);
    for (unsigned log2_size = 0; log2_size < 4; log2_size++) {
        for (unsigned reg = 0; reg < 32; reg++) {
            dev.writes = 0;
            abort_at(store_esr(log2_size, reg), VA | 0x48, DEVICE | 0x48);
            assert_int_equal(dev.writes, 1);
            assert_int_equal(dev.offset, 0x48);
            assert_int_equal(dev.size, 1U << log2_size);
            assert_int_equal(dev.value, reg == 31 ? 0 : extended(now.before.x[reg], log2_size, false, true));
            assert_memory_equal(now.after.x, now.before.x, sizeof(now.after.x));
            assert_int_equal(now.after.pc, PC + 4);
        }
    }
}

/* HPFAR_EL2.FIPA is bits 43:4 and stands for IPA bits 51:12; NS is bit 63. The page offset is in FAR_EL2. */
static void guest_aborts_with_hpfar_bits(struct a64_frame *frame)
{
    a64_model_cpu()->far = VA | 0x20;
    a64_model_cpu()->hpfar = UINT64_C(1) << 63 | (DEVICE >> 12 << 4) | 0xf;
    a64_guest_sync(frame, store_esr(2, 1));
}

static void test_only_the_address_counts_of_hpfar(void **state)
{
    (void)state;
    a64_machine_run(vm, 0, guest_aborts_with_hpfar_bits);
    assert_int_equal(dev.writes, 1);
    assert_int_equal(dev.offset, 0x20);
}

static void test_access_that_sticks_out_of_a_device_is_refused(void **state)
{
    (void)state;
    prepare(EL1H);
    abort_at(load_esr(3, 1, false, true), VA | 0xff8, DEVICE | 0xff8);
    check_injected(a64_esr(EC_DABT_SAME, 0x10));
    assert_int_equal(dev.reads, 0);
}

static void test_cache_maintenance_on_a_device_is_done_with(void **state)
{
    (void)state;
    prepare(EL1H);
    abort_at(a64_esr(EC_DABT_LOWER, ISS_CM | ISS_WNR | FNSC_TRANSLATION), VA, DEVICE);
    assert_int_equal(now.after.pc, PC + 4);
    assert_int_equal(dev.reads + dev.writes, 0);
}

/* T32 has instructions of 16 bits (ESR IL = 0), and conditions of those that follow in PSTATE.IT (Arm ARM G1.8). */
static void test_device_access_of_aarch32_steps_over_what_there_is(void **state)
{
    /* {IT[7:0] before, after}: base condition and mask shift left by one; when only the last one was left, it's over */
    static const uint8_t it[][2] = {{0, 0},    {0x08, 0},    {0x0c, 0x18}, {0xa6, 0xac},
                                    {0xe8, 0}, {0xa3, 0xa6}, {0xaf, 0xbe}};

    (void)state;
    for (unsigned i = 0; i < sizeof(it) / sizeof(it[0]); i++) {
        uint32_t bits = (uint32_t)(it[i][0] & 3) << 25 | (uint32_t)(it[i][0] >> 2) << 10;
        uint32_t bits_after = (uint32_t)(it[i][1] & 3) << 25 | (uint32_t)(it[i][1] >> 2) << 10;

        prepare(AARCH32_USER | AARCH32_T | bits | 0x60000000);
        abort_at(store_esr(2, 1) & ~ESR_IL, VA, DEVICE);
        assert_int_equal(now.after.pc, PC + 2);
        assert_int_equal(now.after.pstate, AARCH32_USER | AARCH32_T | bits_after | 0x60000000);
        abort_at(store_esr(2, 1), VA, DEVICE);
        assert_int_equal(now.after.pc, PC + 4);
        assert_int_equal(now.after.pstate, AARCH32_USER | AARCH32_T | bits_after | 0x60000000);
    }
    prepare(AARCH32_USER); /* A32 */
    abort_at(store_esr(2, 1), VA, DEVICE);
    assert_int_equal(now.after.pc, PC + 4);
    assert_int_equal(now.after.pstate, AARCH32_USER);
}

/* ---- Memory ---- */

static void test_first_touch_of_a_lazy_page_populates_that_page(void **state)
{
    const uint64_t esrs[] = {
        load_esr(3, 1, false, true),
        store_esr(0, 1),
        a64_esr(EC_DABT_LOWER, FNSC_TRANSLATION),                       /* load pair */
        a64_esr(EC_DABT_LOWER, FNSC_TRANSLATION | ISS_WNR),             /* store pair */
        a64_esr(EC_DABT_LOWER, FNSC_TRANSLATION | ISS_WNR | ISS_CM),    /* cache maintenance */
        a64_esr(EC_DABT_LOWER, FNSC_TRANSLATION | ISS_S1PTW),           /* a table of stage 1 */
        a64_esr(EC_DABT_LOWER, FNSC_TRANSLATION | ISS_S1PTW | ISS_WNR),
        a64_esr(EC_IABT_LOWER, FNSC_TRANSLATION),
        a64_esr(EC_IABT_LOWER, FNSC_TRANSLATION | ISS_S1PTW),
        a64_esr(EC_DABT_LOWER, 0x04),                                   /* any level */
    };

    (void)state;
    prepare(EL1H);
    for (unsigned i = 0; i < sizeof(esrs) / sizeof(esrs[0]); i++) {
        uint64_t page = LAZY + i * MIB(2) / 8;

        assert_false(places_mapped(vm, page));
        abort_at(esrs[i], VA | 0xff8, page | 0xff8);
        check_retried();
        places_check_populated(vm, page);
    }
}

static void test_access_flag_fault_is_tried_again(void **state)
{
    (void)state;
    prepare(EL1H);
    abort_at(store_esr(3, 1), VA, LAZY);
    abort_at(a64_esr(EC_DABT_LOWER, FNSC_ACCESS_FLAG | ISS_WNR), VA, LAZY);
    check_retried();
}

/* ---- Permission faults: HPFAR_EL2 is unknown, unless it was a walk (Arm ARM D19.2.60) ---- */

static void test_permission_fault_is_found_by_the_guests_own_translation(void **state)
{
    (void)state;
    prepare(EL1H);
    translation = ROM;
    abort_at(store_esr(2, 1) | FNSC_PERMISSION, VA | 0x10, LAZY);
    check_injected(a64_esr(EC_DABT_SAME, 0x10 | ISS_WNR));
    assert_false(places_mapped(vm, LAZY));
    translation = DATA;
    abort_at(a64_esr(EC_IABT_LOWER, FNSC_PERMISSION), VA, ROM);
    check_injected(a64_esr(EC_IABT_SAME, 0x10));
}

static void test_permission_fault_whose_translation_is_gone_is_tried_again(void **state)
{
    (void)state;
    prepare(EL1H);
    translation = 0;
    abort_at(store_esr(2, 1) | FNSC_PERMISSION, VA, ROM);
    check_retried();
    abort_at(a64_esr(EC_IABT_LOWER, FNSC_PERMISSION), VA, DATA);
    check_retried();
}

/* A walk has read the descriptor already: what it wasn't allowed to is to set the access flag or the dirty state. */
static void test_permission_fault_of_a_walk_is_a_write(void **state)
{
    const uint64_t esrs[] = {
        a64_esr(EC_DABT_LOWER, FNSC_PERMISSION | ISS_S1PTW),
        a64_esr(EC_DABT_LOWER, FNSC_PERMISSION | ISS_S1PTW | ISS_WNR),
        a64_esr(EC_IABT_LOWER, FNSC_PERMISSION | ISS_S1PTW),
    };

    (void)state;
    prepare(EL1H);
    for (unsigned i = 0; i < 3; i++) {
        abort_at(esrs[i], VA, ROM);
        check_injected(ESR_EC(esrs[i]) == EC_IABT_LOWER ? a64_esr(EC_IABT_SAME, 0x17)
                                                        : a64_esr(EC_DABT_SAME, 0x17 | (esrs[i] & ISS_WNR)));
    }
}

/* DC IVAC may ask for write permission (Arm ARM D7.5.9.5). */
static void test_cache_maintenance_of_read_only_memory_is_done_with(void **state)
{
    (void)state;
    prepare(EL1H);
    translation = ROM;
    abort_at(a64_esr(EC_DABT_LOWER, FNSC_PERMISSION | ISS_WNR | ISS_CM), VA, 0);
    assert_int_equal(now.after.pc, PC + 4);
    assert_memory_equal(now.after.x, now.before.x, sizeof(now.after.x));
}

static void test_writes_to_logged_pages_are_noted_and_go_on(void **state)
{
    const uint64_t esrs[] = {
        store_esr(2, 1) | FNSC_PERMISSION,
        a64_esr(EC_DABT_LOWER, FNSC_PERMISSION | ISS_WNR),
        a64_esr(EC_DABT_LOWER, FNSC_PERMISSION | ISS_WNR | ISS_CM),
        a64_esr(EC_DABT_LOWER, FNSC_PERMISSION | ISS_WNR | ISS_S1PTW),
        a64_esr(EC_IABT_LOWER, FNSC_PERMISSION | ISS_S1PTW),
    };

    (void)state;
    assert_int_equal(axvm_dirty_log_start(vm), 0);
    prepare(EL1H);
    for (unsigned i = 0; i < 5; i++) {
        translation = DATA + i * AXVM_PAGE_SIZE;
        abort_at(esrs[i], VA, translation);
        check_retried();
        assert_true(places_dirty(vm, translation));
        assert_false(places_dirty(vm, translation + AXVM_PAGE_SIZE));
    }
    assert_int_equal(axvm_dirty_log_stop(vm), 0);
}

/* ---- Anything at all ---- */

static void test_random_aborts_end_in_the_guest(void **state)
{
    static const uint64_t places[] = {DEVICE, ROM, LAZY, DATA, A64_RAM, MACHINE_UART, HOLE, UINT64_C(0x08000000),
                                      UINT64_C(0x080a0000), UINT64_C(0x09010000)};

    (void)state;
    random_start("aborts");
    for (unsigned i = 0; i < 20000; i++) {
        uint64_t place = places[random_below(10)] + (random_u64() & 0xfff);

        prepare(random_below(2) != 0 ? EL1H : EL1T);
        translation = random_below(4) != 0 ? place & ~UINT64_C(0xfff) : 0;
        dev.error = random_below(8) == 0 ? AXVM_EINVAL : 0;
        abort_at(a64_esr(random_below(4) != 0 ? EC_DABT_LOWER : EC_IABT_LOWER,
                         (random_u64() & ESR_ISS_MASK & ~UINT64_C(0x30)) | (random_below(8) == 0 ? 0x10 : 0)),
                 VA | (place & 0xfff), place);
        assert_true(now.after.pc == PC || now.after.pc == PC + 4 || (now.after.pc & ~UINT64_C(0x200)) == VBAR);
    }
    assert_int_equal(axvm_state(vm), AXVM_STATE_RUNNING);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, machine_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_loads_of_all_widths_extensions_and_registers),
        TEST(test_stores_of_all_widths_and_registers),
        TEST(test_only_the_address_counts_of_hpfar),
        TEST(test_access_that_sticks_out_of_a_device_is_refused),
        TEST(test_cache_maintenance_on_a_device_is_done_with),
        TEST(test_device_access_of_aarch32_steps_over_what_there_is),
        TEST(test_first_touch_of_a_lazy_page_populates_that_page),
        TEST(test_access_flag_fault_is_tried_again),
        TEST(test_permission_fault_is_found_by_the_guests_own_translation),
        TEST(test_permission_fault_whose_translation_is_gone_is_tried_again),
        TEST(test_permission_fault_of_a_walk_is_a_write),
        TEST(test_cache_maintenance_of_read_only_memory_is_done_with),
        TEST(test_writes_to_logged_pages_are_noted_and_go_on),
        TEST(test_random_aborts_end_in_the_guest),
    };

    return cmocka_run_group_tests_name("a64_abort", tests, NULL, NULL);
}
