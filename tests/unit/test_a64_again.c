/* SPDX-License-Identifier: Apache-2.0 */
/* Accesses that a device doesn't finish at once (BUS_AGAIN): the guest waits for them, and nothing is done twice. */
#include "support/a64_access.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define A ACCESS_A
#define SLOW (ACCESS_A + ACCESS_SLOW)
#define LONG_TIME 1000U

static void test_plain_accesses_are_made_again(void **state)
{
    (void)state;
    access_slow = 2;
    access_trap(access_esr(4, 2, 0), SLOW);
    assert_done("AR4+7f0~AR4+7f0~AR4+7f0 ");
    assert_int_equal(after.x[2], 0x73727170);
    access_slow = 1;
    access_trap(access_esr(1, 2, 0), SLOW);
    assert_done("AR1+7f0~AR1+7f0 ");
    assert_int_equal(after.x[2], 0x70);
    access_slow = 2;
    access_trap(access_esr(4, 3, ISS_WNR), SLOW);
    assert_done("AW4+7f0=33333333~AW4+7f0=33333333~AW4+7f0=33333333 ");
    assert_memory_equal(before.x, after.x, sizeof(before.x));
    assert_int_equal(a64_machine_vcpu(vm, 0)->base.stats.mmio, 3);
}

static void test_write_back_happens_once(void **state)
{
    (void)state;
    before.x[1] = SLOW;
    access_slow = 3;
    access_load(0xb8404422, SLOW); /* ldr w2, [x1], #4 */
    assert_done("AR4+7f0~AR4+7f0~AR4+7f0~AR4+7f0 ");
    assert_int_equal(after.x[2], 0x73727170);
    assert_int_equal(after.x[1], SLOW + 4);
    before.x[1] = SLOW - 8;
    access_slow = 1;
    access_store(0xb8008c23, SLOW); /* str w3, [x1, #8]! */
    assert_done("AW4+7f0=33333333~AW4+7f0=33333333 ");
    assert_int_equal(after.x[1], SLOW);
}

/* Neither what came before the slow part nor what comes after it. */
static void test_parts_that_are_done_are_not_made_again(void **state)
{
    (void)state;
    before.x[1] = SLOW - 8;
    access_slow = 2;
    access_load(0xa8c10c22, SLOW - 8); /* ldp x2, x3, [x1], #16 */
    assert_done("AR8+7e8 AR8+7f0~AR8+7f0~AR8+7f0 ");
    assert_int_equal(after.x[2], UINT64_C(0x6f6e6d6c6b6a6968));
    assert_int_equal(after.x[3], UINT64_C(0x7776757473727170));
    assert_int_equal(after.x[1], SLOW + 8);
    access_slow = 1;
    access_store(0xa9000c22, SLOW - 8); /* stp x2, x3, [x1] */
    assert_done("AW8+7e8=2222222222222222 AW8+7f0=3333333333333333~AW8+7f0=3333333333333333 ");
    before.x[1] = SLOW - 16;
    access_slow = 1;
    access_load(0xacc10c22, SLOW - 16); /* ldp q2, q3, [x1], #32 */
    assert_done("AR8+7e0 AR8+7e8 AR8+7f0~AR8+7f0 AR8+7f8 ");
    assert_int_equal(after.q[4], UINT64_C(0x6766656463626160));
    assert_int_equal(after.q[5], UINT64_C(0x6f6e6d6c6b6a6968));
    assert_int_equal(after.q[6], UINT64_C(0x7776757473727170));
    assert_int_equal(after.q[7], UINT64_C(0x7f7e7d7c7b7a7978));
}

static void test_refusal_after_a_slow_part_leaves_registers_alone(void **state)
{
    (void)state;
    before.x[1] = SLOW;
    access_slow = 2;
    access_load(0xacc10c22, SLOW); /* ldp q2, q3, [x1], #32 */
    assert_abort(0x10, false, SLOW, "AR8+7f0~AR8+7f0~AR8+7f0 AR8+7f8 AR8+800 ");
}

/* ---- It takes longer ---- */

static unsigned entered;

/* The first time it traps; it is entered again where the trap left it. */
static void guest_reads(struct a64_frame *frame)
{
    if (entered++ == 0) {
        frame->pc = before.pc;
        frame->pstate = EL1H;
        a64_guest_load(frame, SLOW, 4, 2, 0);
    }
    assert_int_equal(frame->pc, before.pc + 4);
    assert_int_equal(frame->x[2], 0x73727170);
}

static void guest_idles(struct a64_frame *frame)
{
    (void)frame;
}

static enum axvm_exit_kind run_again(void)
{
    unsigned entries = entered;
    enum axvm_exit_kind kind = a64_machine_run(vm, 0, guest_reads).kind;

    assert_true(kind == AXVM_EXIT_EXTERNAL_INTERRUPT || entered == entries);
    return kind;
}

static void begin_long_read(void)
{
    entered = 0;
    accesses[0] = '\0';
    access_slow = LONG_TIME;
    assert_int_equal(a64_machine_run(vm, 0, guest_reads).kind, AXVM_EXIT_NOTHING);
    assert_int_equal(run_again(), AXVM_EXIT_NOTHING);
    assert_true(access_slow > 0);
}

static void finish_read(void)
{
    access_slow = 1;
    assert_int_equal(run_again(), AXVM_EXIT_EXTERNAL_INTERRUPT);
    assert_int_equal(entered, 2);
}

static void test_host_gets_its_pcpu_meanwhile(void **state)
{
    (void)state;
    begin_long_read();
    finish_read();
}

static void test_another_vcpu_may_run_there_meanwhile(void **state)
{
    struct axvm *other = machine_vm(1, NULL);

    (void)state;
    begin_long_read();
    assert_int_equal(a64_machine_run(other, 0, guest_idles).kind, AXVM_EXIT_EXTERNAL_INTERRUPT);
    axvm_release_vcpu(vm, 0);
    machine_pcpu(1);
    finish_read();
}

static void test_vm_may_be_suspended_meanwhile(void **state)
{
    (void)state;
    begin_long_read();
    assert_int_equal(axvm_suspend(vm), 0);
    assert_int_equal(run_again(), AXVM_EXIT_STOPPED);
    assert_int_equal(axvm_resume(vm), 0);
    finish_read();
}

/* The VM starts afresh, with nothing left to do. */
static void test_vm_may_be_reset_meanwhile(void **state)
{
    (void)state;
    begin_long_read();
    assert_int_equal(axvm_shutdown(vm), 0);
    assert_int_equal(run_again(), AXVM_EXIT_STOPPED);
    assert_int_equal(axvm_reset(vm), 0);
    assert_int_equal(axvm_boot(vm), 0);
    accesses[0] = '\0';
    assert_int_equal(a64_machine_run(vm, 0, guest_idles).kind, AXVM_EXIT_EXTERNAL_INTERRUPT);
    assert_string_equal(accesses, "");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, a64_access_setup, machine_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_plain_accesses_are_made_again),
        TEST(test_write_back_happens_once),
        TEST(test_parts_that_are_done_are_not_made_again),
        TEST(test_refusal_after_a_slow_part_leaves_registers_alone),
        TEST(test_host_gets_its_pcpu_meanwhile),
        TEST(test_another_vcpu_may_run_there_meanwhile),
        TEST(test_vm_may_be_suspended_meanwhile),
        TEST(test_vm_may_be_reset_meanwhile),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
