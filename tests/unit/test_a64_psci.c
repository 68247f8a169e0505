/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's firmware: SMC Calling Convention 1.1 (DEN 0028) and PSCI 1.1 (DEN 0022). test_power.c tests what these
 * have in common with SBI.
 */
#include "support/a64_machine.h"
#include "support/random.h"

#include "arch/aarch64/hcr.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define BIT_64 0x40000000U

#define SMCCC_VERSION 0x80000000U
#define SMCCC_ARCH_FEATURES 0x80000001U
#define VERSION 0x84000000U
#define CPU_SUSPEND 0x84000001U
#define CPU_OFF 0x84000002U
#define CPU_ON 0x84000003U
#define AFFINITY_INFO 0x84000004U
#define MIGRATE_INFO_TYPE 0x84000006U
#define SYSTEM_OFF 0x84000008U
#define SYSTEM_RESET 0x84000009U
#define FEATURES 0x8400000aU
#define SYSTEM_RESET2 0x84000012U

#define NOT_SUPPORTED ((uint64_t)-1)
#define INVALID_PARAMETERS ((uint64_t)-2)

#define GARBAGE UINT64_C(0xdeadbeef00000000) /* in the upper halves of registers that a 32-bit call doesn't have */

static const uint32_t implemented[] = {
    VERSION,     CPU_SUSPEND,          CPU_OFF,    CPU_ON,       AFFINITY_INFO,          MIGRATE_INFO_TYPE,
    SYSTEM_OFF,  SYSTEM_RESET,         FEATURES,   SYSTEM_RESET2, CPU_SUSPEND | BIT_64,   CPU_ON | BIT_64,
    AFFINITY_INFO | BIT_64, SYSTEM_RESET2 | BIT_64, SMCCC_VERSION, SMCCC_ARCH_FEATURES,
};

static bool is_implemented(uint32_t id)
{
    for (size_t i = 0; i < sizeof(implemented) / sizeof(implemented[0]); i++) {
        if (implemented[i] == id) {
            return true;
        }
    }
    return false;
}

/* ---- One call, and what became of it ---- */

static struct {
    bool smc;
    uint64_t x[4];
} call;

static void guest_call(struct a64_frame *frame)
{
    (call.smc ? a64_guest_smc : a64_guest_hvc)(frame, call.x[0], call.x[1], call.x[2], call.x[3]);
}

static struct axvm_exit exit_of(struct axvm *vm, uint32_t vcpu, uint64_t x0, uint64_t x1, uint64_t x2, uint64_t x3)
{
    call.x[0] = x0;
    call.x[1] = x1;
    call.x[2] = x2;
    call.x[3] = x3;
    return a64_machine_run(vm, vcpu, guest_call);
}

/* The result of a call that doesn't leave the guest. */
static uint64_t result_of(struct axvm *vm, uint32_t vcpu, uint64_t x0, uint64_t x1, uint64_t x2, uint64_t x3)
{
    assert_int_equal(exit_of(vm, vcpu, x0, x1, x2, x3).kind, AXVM_EXIT_EXTERNAL_INTERRUPT);
    return a64_machine_vcpu(vm, vcpu)->frame.x[0];
}

/* Every test runs by HVC, and again by SMC. */
static int setup_hvc(void **state)
{
    memset(&call, 0, sizeof(call));
    return a64_machine_setup(state);
}

static int setup_smc(void **state)
{
    memset(&call, 0, sizeof(call));
    call.smc = true;
    return a64_machine_setup(state);
}

/* ---- What needs no other vCPU ---- */

static void test_versions_are_smccc_1_1_and_psci_1_1(void **state)
{
    struct axvm *vm = machine_vm(1, NULL);

    (void)state;
    assert_int_equal(result_of(vm, 0, VERSION, 0, 0, 0), 0x10001);
    assert_int_equal(result_of(vm, 0, SMCCC_VERSION, 0, 0, 0), 0x10001);
    assert_int_equal(result_of(vm, 0, MIGRATE_INFO_TYPE, 0, 0, 0), 2);
}

/* DEN 0028 2.6: the identifier is W0. */
static void test_upper_half_of_the_function_id_is_ignored(void **state)
{
    struct axvm *vm = machine_vm(1, NULL);

    (void)state;
    assert_int_equal(result_of(vm, 0, GARBAGE | VERSION, 0, 0, 0), 0x10001);
}

static void test_a_call_changes_x0_and_pc_alone(void **state)
{
    struct axvm *vm = machine_vm(1, NULL);
    struct a64_frame before, *frame = &a64_machine_vcpu(vm, 0)->frame;

    (void)state;
    a64_machine_run(vm, 0, NULL);
    for (unsigned i = 0; i < 31; i++) {
        frame->x[i] = UINT64_C(0x1111111111111111) * (i % 15 + 1);
    }
    frame->pstate = PSTATE_NZCV | PSTATE_EL1H;
    before = *frame;
    memcpy(before.x, (uint64_t[]){0x10001, 5, 6, 7}, 4 * sizeof(uint64_t));
    before.pc += 4;
    a64_machine_vcpu(vm, 0)->base.stats.calls = 0;
    result_of(vm, 0, VERSION, 5, 6, 7);
    assert_int_equal(a64_machine_vcpu(vm, 0)->base.stats.calls, 1);
    before.host_sp = frame->host_sp;
    assert_memory_equal(frame, &before, sizeof(before));
}

static void test_features_tell_what_is_implemented(void **state)
{
    struct axvm *vm = machine_vm(1, NULL);

    (void)state;
    for (size_t i = 0; i < sizeof(implemented) / sizeof(implemented[0]); i++) {
        bool psci = implemented[i] >> 24 != 0x80;
        uint64_t supported = psci || implemented[i] == SMCCC_VERSION ? 0 : NOT_SUPPORTED;

        assert_int_equal(result_of(vm, 0, FEATURES, GARBAGE | implemented[i], 0, 0), supported);
        assert_int_equal(result_of(vm, 0, SMCCC_ARCH_FEATURES, GARBAGE | implemented[i], 0, 0),
                         psci ? NOT_SUPPORTED : 0);
    }
    for (uint32_t id = 0x84000000U; id < 0x84000100U; id++) {
        for (uint32_t wide = 0; wide <= BIT_64; wide += BIT_64) {
            uint64_t expected = is_implemented(id | wide) ? 0 : NOT_SUPPORTED;

            assert_int_equal(result_of(vm, 0, FEATURES, id | wide, 0, 0), expected);
        }
    }
}

static void guest_sweeps_unknown_calls(struct a64_frame *frame)
{
    for (unsigned i = 0; i < 20000; i++) {
        uint32_t id = (uint32_t)random_u64() | 0x80000000U;

        if (i % 4 < 2) { /* near the real ones: 0x80000000, 0x84000000 */
            id = (id & 0xc000003fU) | (i % 4) * 0x04000000U;
        }
        if (!is_implemented(id)) {
            uint64_t pc = frame->pc;

            assert_int_equal((call.smc ? a64_guest_smc : a64_guest_hvc)(frame, id, random_u64(), random_u64(), 0),
                             NOT_SUPPORTED);
            assert_int_equal(frame->pc, pc + 4);
        }
    }
}

static void test_unknown_functions_are_not_supported_and_nothing_else(void **state)
{
    struct axvm *vm = machine_vm(2, NULL);

    (void)state;
    random_start("unknown calls");
    assert_int_equal(a64_machine_run(vm, 0, guest_sweeps_unknown_calls).kind, AXVM_EXIT_EXTERNAL_INTERRUPT);
    assert_int_equal(a64_machine_vcpu(vm, 1)->base.power, VCPU_OFF);
    assert_int_equal(axvm_state(vm), AXVM_STATE_RUNNING);
}

/* DEN 0028 2.9: any immediate but zero. */
static void guest_uses_immediates(struct a64_frame *frame)
{
    static const uint16_t immediates[] = {1, 0xaf, 0x7fff, 0xffff};

    for (unsigned i = 0; i < 4; i++) {
        uint64_t pc = frame->pc;

        frame->x[0] = SYSTEM_OFF;
        frame->pc += call.smc ? 0 : 4;
        a64_guest_sync(frame, a64_esr(call.smc ? EC_SMC64 : EC_HVC64, immediates[i]));
        assert_int_equal(frame->x[0], NOT_SUPPORTED);
        assert_int_equal(frame->pc, pc + 4);
    }
}

static void test_an_immediate_makes_any_call_unknown(void **state)
{
    struct axvm *vm = machine_vm(1, NULL);

    (void)state;
    assert_int_equal(a64_machine_run(vm, 0, guest_uses_immediates).kind, AXVM_EXIT_EXTERNAL_INTERRUPT);
}

/* Not an SMCCC fast call: the host's to answer. */
static void guest_hypercalls(struct a64_frame *frame)
{
    for (unsigned i = 1; i <= 6; i++) {
        frame->x[i] = GARBAGE + i;
    }
    frame->x[0] = 3;
    frame->pc += call.smc ? 0 : 4;
    a64_guest_sync(frame, a64_esr(call.smc ? EC_SMC64 : EC_HVC64, 0));
}

static void test_hypercall_reaches_the_host_with_six_arguments(void **state)
{
    struct axvm *vm = machine_vm(1, NULL);
    struct axvm_exit exit = a64_machine_run(vm, 0, guest_hypercalls);

    (void)state;
    assert_int_equal(exit.kind, AXVM_EXIT_HYPERCALL);
    assert_int_equal(exit.hypercall.nr, 3);
    for (unsigned i = 0; i < 6; i++) {
        assert_int_equal(exit.hypercall.args[i], GARBAGE + i + 1);
    }
    assert_int_equal(a64_machine_vcpu(vm, 0)->frame.pc, A64_RAM + 4);
    assert_int_equal(axvm_set_return_value(vm, 0, 77), 0);
    a64_machine_run(vm, 0, NULL);
    assert_int_equal(a64_machine_vcpu(vm, 0)->frame.x[0], 77);
}

/* ---- CPU_SUSPEND ---- */

static void test_suspend_waits_and_then_succeeds(void **state)
{
    struct axvm *vm = machine_vm(1, NULL);

    (void)state;
    for (uint64_t power_state = 0; power_state <= 0x10000; power_state += 0x10000) { /* standby, power-down */
        assert_int_equal(exit_of(vm, 0, CPU_SUSPEND, power_state, 0, 0).kind, AXVM_EXIT_HALT);
        assert_int_equal(axvm_vcpu_state(vm, 0), AXVM_VCPU_BLOCKED);
        assert_int_equal(a64_machine_vcpu(vm, 0)->frame.x[0], 0);
        assert_int_equal(exit_of(vm, 0, CPU_SUSPEND | BIT_64, GARBAGE | power_state, 0, 0).kind, AXVM_EXIT_HALT);
        assert_int_equal(a64_machine_vcpu(vm, 0)->frame.x[0], 0);
    }
}

static void test_suspend_refuses_reserved_bits_of_the_power_state(void **state)
{
    struct axvm *vm = machine_vm(1, NULL);
    const uint64_t reserved = 0xfcfe0000U;

    (void)state;
    for (unsigned bit = 0; bit < 32; bit++) {
        if ((reserved >> bit & 1) != 0) {
            assert_int_equal(result_of(vm, 0, CPU_SUSPEND, UINT64_C(1) << bit, 0, 0), INVALID_PARAMETERS);
        } else {
            assert_int_equal(exit_of(vm, 0, CPU_SUSPEND, UINT64_C(1) << bit, 0, 0).kind, AXVM_EXIT_HALT);
        }
    }
}

/* The host's PPI 27 for this guest, enabled in its GIC. */
static void guest_enables_timer(struct a64_frame *frame)
{
    frame->x[5] = 2; /* group 1 */
    a64_guest_store(frame, 0x08000000, 4, 5);
    frame->x[5] = 1U << 27;
    a64_guest_store(frame, 0x080b0100, 4, 5);
    ich_model_set_pmr(0xf8);
    ich_model_set_group(1, true);
}

static void guest_suspends_with_interrupt_pending(struct a64_frame *frame)
{
    guest_enables_timer(frame);
    a64_model_cpu()->cntv_ctl = CNT_CTL_ENABLE; /* due since ever */
    a64_guest_irq(frame, AXVM_IRQ_GUEST, 27);
    assert_int_equal(a64_guest_hvc(frame, CPU_SUSPEND, 0, 0, 0), 0);
    frame->x[20] = 1;
}

static void test_suspend_with_an_interrupt_pending_returns_at_once(void **state)
{
    struct axvm *vm = machine_vm(1, NULL);

    (void)state;
    assert_int_equal(a64_machine_run(vm, 0, guest_suspends_with_interrupt_pending).kind, AXVM_EXIT_EXTERNAL_INTERRUPT);
    assert_int_equal(a64_machine_vcpu(vm, 0)->frame.x[20], 1);
}

/* ---- CPU_ON, CPU_OFF, AFFINITY_INFO ---- */

static void set_phys_ids(struct axvm_config *config)
{
    config->phys_cpu_ids[0] = 0;
    config->phys_cpu_ids[1] = UINT64_C(0x0100000203);
    config->phys_cpu_ids_count = 2;
}

static void test_cpu_on_starts_the_vcpu_of_that_mpidr(void **state)
{
    struct axvm *vm = machine_vm(2, set_phys_ids);
    struct a64_vcpu *target = a64_machine_vcpu(vm, 1);
    struct axvm_exit exit;

    (void)state;
    exit = exit_of(vm, 0, CPU_ON | BIT_64, UINT64_C(0x0100000203), A64_RAM + 0x1000, GARBAGE | 42);
    assert_int_equal(exit.kind, AXVM_EXIT_CPU_UP);
    assert_int_equal(exit.cpu_up.target, 1);
    assert_int_equal(a64_machine_vcpu(vm, 0)->frame.x[0], 0);
    assert_true(axvm_vcpu_runnable(vm, 1));

    machine_pcpu(1);
    assert_int_equal(a64_machine_run(vm, 1, NULL).kind, AXVM_EXIT_EXTERNAL_INTERRUPT);
    assert_int_equal(target->frame.pc, A64_RAM + 0x1000);
    assert_int_equal(target->frame.x[0], GARBAGE | 42);
    assert_int_equal(target->frame.pstate, 0x3c5); /* DAIF masked, EL1h */
    assert_int_equal(a64_model_cpu()->controls.vmpidr, UINT64_C(0x0180000203));
    assert_int_equal(a64_model_cpu()->sys[A64_SCTLR_EL1] & 0x1005, 0); /* MMU and caches off */
}

/* DEN 0022, 6.4: SCTLR_EL1.EE is as the caller has it. */
static void test_cpu_on_starts_it_in_the_callers_byte_order(void **state)
{
    struct axvm *vm = machine_vm(2, NULL);
    const uint64_t ee = UINT64_C(1) << 25, reset = 0x30d00800;

    (void)state;
    for (unsigned round = 0; round < 4; round++) {
        uint64_t callers = round % 2 == 0 ? ee : 0;

        assert_int_equal(result_of(vm, 0, VERSION, 0, 0, 0), 0x10001);
        a64_model_cpu()->sys[A64_SCTLR_EL1] = reset | callers;
        assert_int_equal(exit_of(vm, 0, CPU_ON, 1, A64_RAM + 0x1000, 42).kind, AXVM_EXIT_CPU_UP);
        machine_pcpu(1);
        assert_int_equal(a64_machine_run(vm, 1, NULL).kind, AXVM_EXIT_EXTERNAL_INTERRUPT);
        assert_int_equal(a64_model_cpu()->sys[A64_SCTLR_EL1], reset | callers);
        assert_int_equal(a64_machine_vcpu(vm, 1)->frame.pc, A64_RAM + 0x1000);
        assert_int_equal(exit_of(vm, 1, CPU_OFF, 0, 0, 0).kind, AXVM_EXIT_CPU_DOWN);
        machine_pcpu(0);
    }
}

/* A 32-bit call has 32-bit arguments: a target with Aff3 can't be named, an address above 4 GiB can't be given. */
static void test_cpu_on_32_sees_half_of_its_arguments(void **state)
{
    struct axvm *vm = machine_vm(2, NULL);

    (void)state;
    assert_int_equal(exit_of(vm, 0, CPU_ON, GARBAGE | 1, GARBAGE | A64_RAM, GARBAGE | 42).kind, AXVM_EXIT_CPU_UP);
    a64_machine_run(vm, 1, NULL);
    assert_int_equal(a64_machine_vcpu(vm, 1)->frame.pc, A64_RAM);
    assert_int_equal(a64_machine_vcpu(vm, 1)->frame.x[0], 42);
}

static void guest_spoils_everything(struct a64_frame *frame)
{
    struct a64_model_cpu *cpu = a64_model_cpu();

    memset(frame->x, 0xff, sizeof(frame->x));
    memset(&cpu->fp, 0xff, sizeof(cpu->fp));
    memset(cpu->sys, 0xff, sizeof(cpu->sys));
    a64_guest_serror(frame);
    cpu->cntv_ctl = 3;
    cpu->cntv_cval = 1;
    a64_guest_msr(frame, 3, 3, 14, 2, 1, 1); /* CNTP_CTL_EL0: due at once */
    a64_guest_msr(frame, 2, 0, 0, 0, 4, 0x1230); /* DBGBVR0_EL1 */
    a64_guest_hvc(frame, CPU_OFF, 0, 0, 0);
    fail_msg("CPU_OFF returned");
}

static void test_cpu_off_and_on_again_begins_afresh(void **state)
{
    struct axvm *vm = machine_vm(2, NULL);
    struct a64_vcpu *target = a64_machine_vcpu(vm, 1);
    struct a64_model_cpu *cpu = &a64_model.cpus[1];

    (void)state;
    machine_cpu_on(vm, 1);
    machine_pcpu(1);
    assert_int_equal(a64_machine_run(vm, 1, guest_spoils_everything).kind, AXVM_EXIT_CPU_DOWN);
    assert_false(axvm_vcpu_runnable(vm, 1));
    assert_int_equal(fake_hal_timers(1), 0);
    assert_int_equal(a64_machine_run(vm, 1, NULL).kind, AXVM_EXIT_CPU_DOWN); /* it isn't run by mistake */

    machine_pcpu(0);
    assert_int_equal(exit_of(vm, 0, CPU_ON | BIT_64, 1, A64_RAM + 0x2000, 9).kind, AXVM_EXIT_CPU_UP);
    machine_pcpu(1);
    assert_int_equal(a64_machine_run(vm, 1, NULL).kind, AXVM_EXIT_EXTERNAL_INTERRUPT);
    assert_int_equal(target->frame.pc, A64_RAM + 0x2000);
    assert_int_equal(target->frame.x[0], 9);
    for (unsigned i = 1; i < 31; i++) {
        assert_int_equal(target->frame.x[i], 0);
    }
    for (unsigned i = 0; i < 64; i++) {
        assert_int_equal(cpu->fp.v[i], 0);
    }
    assert_int_equal(cpu->sys[A64_SCTLR_EL1], 0x30d00800);
    assert_int_equal(cpu->sys[A64_VBAR_EL1], 0);
    assert_int_equal(cpu->sys[A64_MDSCR_EL1], 0);
    assert_int_equal(cpu->controls.hcr & 0x100, 0); /* VSE */
    assert_int_equal(cpu->cntv_ctl, 0);
    assert_int_equal(a64_cntp_read(target, 1) & 3, 0);
    assert_true(target->debug.os_lock);
    assert_int_equal(target->debug.bvr[0], 0);
}

/* DEN 0022 5.1.5: the level is a uint32 also in the 64-bit call. */
static void test_affinity_info_of_levels_and_targets_that_are_none(void **state)
{
    struct axvm *vm = machine_vm(2, NULL);

    (void)state;
    assert_int_equal(result_of(vm, 0, AFFINITY_INFO, GARBAGE | 1, 0, 0), 1);
    assert_int_equal(result_of(vm, 0, AFFINITY_INFO | BIT_64, 1, 1, 0), INVALID_PARAMETERS);
    assert_int_equal(result_of(vm, 0, AFFINITY_INFO | BIT_64, 1, UINT32_MAX, 0), INVALID_PARAMETERS);
    assert_int_equal(result_of(vm, 0, AFFINITY_INFO | BIT_64, 1, GARBAGE, 0), 1);
    assert_int_equal(result_of(vm, 0, AFFINITY_INFO | BIT_64, 2, 0, 0), INVALID_PARAMETERS);
    assert_int_equal(result_of(vm, 0, AFFINITY_INFO | BIT_64, GARBAGE | 1, 0, 0), INVALID_PARAMETERS);
}

/* ---- The end ---- */

static void test_reset2_is_a_reset(void **state)
{
    (void)state;
    for (uint64_t wide = 0; wide <= BIT_64; wide += BIT_64) {
        struct axvm_exit exit = exit_of(machine_vm(1, NULL), 0, SYSTEM_RESET2 | wide, GARBAGE, 0, 0);

        assert_int_equal(exit.kind, AXVM_EXIT_SYSTEM_DOWN);
        assert_int_equal(exit.system_down.event, AXVM_SYSTEM_RESET);
    }
}

static void test_reset2_knows_the_warm_reset_alone(void **state)
{
    struct axvm *vm = machine_vm(1, NULL);

    (void)state;
    assert_int_equal(result_of(vm, 0, SYSTEM_RESET2, 1, 0, 0), INVALID_PARAMETERS);
    assert_int_equal(result_of(vm, 0, SYSTEM_RESET2 | BIT_64, 0x80000000U, 0, 0), INVALID_PARAMETERS);
    assert_int_equal(axvm_state(vm), AXVM_STATE_RUNNING);
}

#define BOTH(f)                                                                                                        \
    {"hvc: " #f, f, setup_hvc, machine_teardown, NULL}, {"smc: " #f, f, setup_smc, machine_teardown, NULL}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_versions_are_smccc_1_1_and_psci_1_1),
        BOTH(test_upper_half_of_the_function_id_is_ignored),
        BOTH(test_a_call_changes_x0_and_pc_alone),
        BOTH(test_features_tell_what_is_implemented),
        BOTH(test_unknown_functions_are_not_supported_and_nothing_else),
        BOTH(test_an_immediate_makes_any_call_unknown),
        BOTH(test_hypercall_reaches_the_host_with_six_arguments),
        BOTH(test_suspend_waits_and_then_succeeds),
        BOTH(test_suspend_refuses_reserved_bits_of_the_power_state),
        BOTH(test_suspend_with_an_interrupt_pending_returns_at_once),
        BOTH(test_cpu_on_starts_the_vcpu_of_that_mpidr),
        BOTH(test_cpu_on_starts_it_in_the_callers_byte_order),
        BOTH(test_cpu_on_32_sees_half_of_its_arguments),
        BOTH(test_cpu_off_and_on_again_begins_afresh),
        BOTH(test_affinity_info_of_levels_and_targets_that_are_none),
        BOTH(test_reset2_is_a_reset),
        BOTH(test_reset2_knows_the_warm_reset_alone),
    };

    return cmocka_run_group_tests_name("a64_psci", tests, NULL, NULL);
}
