/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's firmware: SBI 2.0. test_power.c tests what it has in common with PSCI. */
#include "support/random.h"
#include "support/rv64_machine.h"

#include "lib/host.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

/* Written out, not from sbi.h. */
#define BASE 0x10U
#define TIME 0x54494d45U
#define IPI 0x735049U
#define RFENCE 0x52464e43U
#define HSM 0x48534dU
#define SRST 0x53525354U
#define SUSP 0x53555350U
#define DBCN 0x4442434eU
#define HVC 0x485643U
#define PMU 0x504d55U

#define SUCCESS 0U
#define NOT_SUPPORTED ((uint64_t)-2)
#define INVALID_PARAM ((uint64_t)-3)
#define DENIED ((uint64_t)-4)
#define INVALID_ADDRESS ((uint64_t)-5)

#define START 0U
#define STOP 1U
#define STATUS 2U
#define SUSPEND 3U

#define STARTED 0U

#define ALL UINT64_MAX
#define RAM_END (RV64_RAM + MACHINE_RAM_SIZE)

static const struct {
    uint64_t eid;
    unsigned functions;
} implemented[] = {{BASE, 7}, {TIME, 1}, {IPI, 1}, {RFENCE, 3}, {HSM, 4}, {SRST, 1}, {SUSP, 1}, {DBCN, 3}};

#define EXTENSIONS (sizeof(implemented) / sizeof(implemented[0]))

static bool is_implemented(uint64_t eid)
{
    for (size_t i = 0; i < EXTENSIONS; i++) {
        if (implemented[i].eid == eid) {
            return true;
        }
    }
    return eid < 9 || eid == HVC;
}

/* ---- One call, and what became of it ---- */

struct call {
    uint64_t eid, fid, a[5];
};

static struct call call;

static uint64_t make(struct rv64_frame *frame, const struct call *c)
{
    frame->x[X_A3] = c->a[3];
    frame->x[X_A4] = c->a[4];
    return rv64_guest_sbi(frame, c->eid, c->fid, c->a[0], c->a[1], c->a[2]);
}

static void guest_call(struct rv64_frame *frame)
{
    make(frame, &call);
}

static struct axvm_exit exit_of(struct axvm *vm, uint32_t vcpu, struct call c)
{
    call = c;
    return rv64_machine_run(vm, vcpu, guest_call);
}

#define CALL(e, f, ...) ((struct call){.eid = (e), .fid = (f), .a = {__VA_ARGS__}})

static struct rv64_frame *frame_of(struct axvm *vm, uint32_t vcpu)
{
    return &rv64_machine_vcpu(vm, vcpu)->frame;
}

/* The error of a call that doesn't leave the guest; its value is in `value`. */
static uint64_t value;

static uint64_t error_of(struct axvm *vm, uint32_t vcpu, struct call c)
{
    struct rv64_frame *frame = frame_of(vm, vcpu);

    assert_int_equal(exit_of(vm, vcpu, c).kind, AXVM_EXIT_EXTERNAL_INTERRUPT);
    value = frame->x[X_A1];
    if (frame->x[X_A0] != SUCCESS) {
        assert_int_equal(value, 0);
    }
    return frame->x[X_A0];
}

static uint64_t value_of(struct axvm *vm, uint32_t vcpu, struct call c)
{
    assert_int_equal(error_of(vm, vcpu, c), SUCCESS);
    return value;
}

static void run(struct axvm *vm, uint32_t vcpu)
{
    assert_int_equal(rv64_machine_run(vm, vcpu, NULL).kind, AXVM_EXIT_EXTERNAL_INTERRUPT);
}

/* ---- BASE, and calls as such ---- */

static void test_base_says_what_this_is(void **state)
{
    struct axvm *vm = machine_vm(1, NULL);

    (void)state;
    assert_int_equal(value_of(vm, 0, CALL(BASE, 0)), 0x02000000);
    assert_true(value_of(vm, 0, CALL(BASE, 1)) > 0xffff); /* no id that the specification gave, or will soon */
    assert_true(value_of(vm, 0, CALL(BASE, 2)) != 0);
    for (unsigned fid = 4; fid <= 6; fid++) { /* mvendorid, marchid, mimpid */
        assert_int_equal(value_of(vm, 0, CALL(BASE, fid)), 0);
    }
}

static void test_probe_tells_what_is_implemented(void **state)
{
    struct axvm *vm = machine_vm(1, NULL);
    static const uint64_t others[] = {9, 15, 17, PMU, 0x43505043, 0x4e41434c, 0x535441, 0x08000000, 0x09000000,
                                      0x0a000000, UINT64_C(0x100000010), UINT64_MAX};

    (void)state;
    for (size_t i = 0; i < EXTENSIONS; i++) {
        assert_int_equal(value_of(vm, 0, CALL(BASE, 3, implemented[i].eid)), 1);
    }
    for (uint64_t eid = 0; eid < 32; eid++) {
        assert_int_equal(value_of(vm, 0, CALL(BASE, 3, eid)), eid < 9 || eid == BASE ? 1 : 0);
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_int_equal(value_of(vm, 0, CALL(BASE, 3, others[i])), 0);
    }
    assert_int_equal(value_of(vm, 0, CALL(BASE, 3, HVC)), 1);
}

static void test_a_call_changes_a0_a1_and_pc_alone(void **state)
{
    struct axvm *vm = machine_vm(1, NULL);
    struct rv64_frame before, *frame = frame_of(vm, 0);

    (void)state;
    run(vm, 0);
    for (unsigned i = 1; i < 32; i++) {
        frame->x[i] = UINT64_C(0x0101010101010101) * i;
    }
    before = *frame;
    memcpy(&before.x[X_A0], (uint64_t[]){0, 0x02000000, 7, 8, 9}, 5 * sizeof(uint64_t));
    before.x[X_A6] = 0;
    before.x[X_A7] = BASE;
    before.pc += 4;
    rv64_machine_vcpu(vm, 0)->base.stats.calls = 0;
    error_of(vm, 0, CALL(BASE, 0, 5, 6, 7, 8, 9));
    assert_int_equal(rv64_machine_vcpu(vm, 0)->base.stats.calls, 1);
    before.host_sp = frame->host_sp;
    assert_memory_equal(frame, &before, sizeof(before));
}

static void test_functions_that_an_extension_lacks(void **state)
{
    struct axvm *vm = machine_vm(2, NULL);

    (void)state;
    run(vm, 0);
    for (size_t i = 0; i < EXTENSIONS; i++) {
        const uint64_t fids[] = {implemented[i].functions, implemented[i].functions + 1, 0xff, 0x80000000U,
                                 UINT64_C(0x100000000), UINT64_MAX};

        for (size_t f = 0; f < sizeof(fids) / sizeof(fids[0]); f++) {
            assert_int_equal(error_of(vm, 0, CALL(implemented[i].eid, fids[f], 1, 0, 0, 0)), NOT_SUPPORTED);
        }
    }
    assert_int_equal(rv64_model_cpu()->hvip, 0);
    assert_int_equal(axvm_state(vm), AXVM_STATE_RUNNING);
}

static void guest_sweeps_unknown_calls(struct rv64_frame *frame)
{
    for (unsigned i = 0; i < 20000; i++) {
        uint64_t eid = random_u64() & 0x0fffffff;
        uint64_t pc = frame->pc;

        if (i % 4 == 1) { /* beside a real one, in each direction that a bit can flip */
            eid = implemented[random_below(EXTENSIONS)].eid ^ UINT64_C(1) << random_below(64);
        } else if (i % 4 == 2) {
            eid = random_u64();
        }
        if (!is_implemented(eid)) {
            assert_int_equal(rv64_guest_sbi(frame, eid, random_below(4), random_u64(), random_u64(), random_u64()),
                             NOT_SUPPORTED);
            assert_int_equal(frame->x[X_A1], 0);
            assert_int_equal(frame->pc, pc + 4);
        }
    }
}

static void test_unknown_extensions_are_not_supported_and_nothing_else(void **state)
{
    struct axvm *vm = machine_vm(2, NULL);

    (void)state;
    random_start("unknown calls");
    assert_int_equal(rv64_machine_run(vm, 0, guest_sweeps_unknown_calls).kind, AXVM_EXIT_EXTERNAL_INTERRUPT);
    assert_int_equal(rv64_machine_vcpu(vm, 1)->base.power, VCPU_OFF);
    assert_int_equal(axvm_state(vm), AXVM_STATE_RUNNING);
}

static void guest_hypercalls(struct rv64_frame *frame)
{
    for (unsigned i = 0; i < 6; i++) {
        frame->x[X_A0 + i] = UINT64_C(0xdeadbeef00000000) + i;
    }
    frame->x[X_A6] = 3;
    frame->x[X_A7] = HVC;
    rv64_guest_ecall(frame);
}

static void test_hypercall_reaches_the_host_with_six_arguments(void **state)
{
    struct axvm *vm = machine_vm(1, NULL);
    struct axvm_exit exit = rv64_machine_run(vm, 0, guest_hypercalls);

    (void)state;
    assert_int_equal(exit.kind, AXVM_EXIT_HYPERCALL);
    assert_int_equal(exit.hypercall.nr, 3);
    for (unsigned i = 0; i < 6; i++) {
        assert_int_equal(exit.hypercall.args[i], UINT64_C(0xdeadbeef00000000) + i);
    }
    assert_int_equal(frame_of(vm, 0)->pc, RV64_RAM + 4);
    assert_int_equal(axvm_set_return_value(vm, 0, 77), 0);
    run(vm, 0);
    assert_int_equal(frame_of(vm, 0)->x[X_A0], 77);
}

/* ---- TIME ---- */

static void test_set_timer_with_sstc_is_the_hardwares(void **state)
{
    struct axvm *vm = machine_vm(1, NULL);

    (void)state;
    for (uint64_t eid = 0; eid <= TIME; eid += TIME) {
        assert_int_equal(error_of(vm, 0, CALL(eid, 0, 1234 + eid)), SUCCESS);
        assert_int_equal(rv64_model_cpu()->timecmp, 1234 + eid);
        assert_int_equal(fake_hal_timers(0), 0);
    }
}

static void test_set_timer_without_sstc_arms_the_hosts(void **state)
{
    struct axvm *vm;

    (void)state;
    rv64_model.features &= ~(uint32_t)RV64_SSTC;
    fake_hal_set_ticks(1000);
    vm = machine_vm(1, NULL);
    run(vm, 0);
    for (uint64_t eid = 0; eid <= TIME; eid += TIME) {
        rv64_model_cpu()->hvip |= IRQ_VST;
        assert_int_equal(error_of(vm, 0, CALL(eid, 0, 500 + eid)), SUCCESS);
        assert_int_equal(rv64_model_cpu()->hvip & IRQ_VST, 0);
        assert_int_equal(fake_hal_next_deadline(0), 1500 + eid);
    }
}

/* ---- Lists of harts: IPI ---- */

static void sparse(struct axvm_config *config)
{
    static const uint64_t ids[] = {3, 5, 66, UINT64_C(0x8000000000000000)};

    memcpy(config->phys_cpu_ids, ids, sizeof(ids));
    config->phys_cpu_ids_count = config->cpu_num;
}

/* A machine where these many harts run. */
static struct axvm *running_vm(uint32_t vcpus, void (*change)(struct axvm_config *config))
{
    struct axvm *vm = machine_vm(vcpus, change);

    for (uint32_t i = 1; i < vcpus; i++) {
        machine_cpu_on(vm, i);
        run(vm, i);
    }
    run(vm, 0);
    return vm;
}

/* Which vCPUs have a software interrupt: the others don't know of it yet, 0 has it in the hardware. Forgotten then. */
static uint64_t interrupted(struct axvm *vm)
{
    uint64_t mask = 0;

    for (uint32_t i = 0; i < axvm_vcpu_count(vm); i++) {
        struct rv64_vcpu *v = rv64_machine_vcpu(vm, i);

        if (v->ipi || (i == 0 && (rv64_model_cpu()->hvip & IRQ_VSS) != 0)) {
            mask |= UINT64_C(1) << i;
        }
        v->ipi = false;
        v->base.requests = 0;
    }
    rv64_model_cpu()->hvip &= ~IRQ_VSS;
    return mask;
}

static void test_ipi_reaches_the_harts_of_the_mask(void **state)
{
    struct axvm *vm = running_vm(4, NULL);

    (void)state;
    interrupted(vm);
    for (uint64_t mask = 0; mask < 16; mask++) {
        assert_int_equal(error_of(vm, 0, CALL(IPI, 0, mask, 0)), SUCCESS);
        assert_int_equal(interrupted(vm), mask);
    }
    assert_int_equal(error_of(vm, 0, CALL(IPI, 0, 3, 2)), SUCCESS);
    assert_int_equal(interrupted(vm), 0xc);
    assert_int_equal(error_of(vm, 0, CALL(IPI, 0, 0x123456789, ALL)), SUCCESS); /* the mask is ignored */
    assert_int_equal(interrupted(vm), 0xf);
}

static void test_ipi_wakes_and_kicks(void **state)
{
    struct axvm *vm = running_vm(2, NULL);

    (void)state;
    fake_hal_forget();
    assert_int_equal(error_of(vm, 0, CALL(IPI, 0, 2, 0)), SUCCESS);
    assert_int_equal(fake_hal_kicks_of(axvm_id(vm), 1), 1);
    assert_int_equal(error_of(vm, 0, CALL(IPI, 0, 1, 0)), SUCCESS);
    assert_int_equal(fake_hal_kicks_of(axvm_id(vm), 0), 0);
    assert_int_equal(rv64_model_cpu()->hvip & IRQ_VSS, IRQ_VSS);
}

/* Nothing is sent, not even to those that are there. */
static void check_refused(struct axvm *vm, uint64_t mask, uint64_t base)
{
    interrupted(vm);
    assert_int_equal(error_of(vm, 0, CALL(IPI, 0, mask, base)), INVALID_PARAM);
    assert_int_equal(interrupted(vm), 0);
    rv64_model_forget_flushes();
    for (uint64_t fid = 0; fid < 3; fid++) {
        assert_int_equal(error_of(vm, 0, CALL(RFENCE, fid, mask, base, 0, 0, 0)), INVALID_PARAM);
    }
    assert_int_equal(rv64_model.flush_count, 0);
}

static void test_lists_with_a_hart_that_is_none(void **state)
{
    struct axvm *vm = running_vm(3, NULL);

    (void)state;
    check_refused(vm, 8, 0);
    check_refused(vm, 0xf, 0);
    check_refused(vm, UINT64_MAX, 0);
    check_refused(vm, UINT64_C(1) << 63, 0);
    check_refused(vm, 7, 1);
    check_refused(vm, 1, 3);
    check_refused(vm, 1, UINT64_MAX - 1);
    check_refused(vm, 7, UINT64_MAX - 1); /* the third is hart 0, were it to wrap */
    check_refused(vm, 4, UINT64_MAX - 1);
    assert_int_equal(error_of(vm, 0, CALL(IPI, 0, 0, 1000)), SUCCESS); /* names none */
    assert_int_equal(interrupted(vm), 0);
}

static void test_lists_of_sparse_harts(void **state)
{
    struct axvm *vm = running_vm(4, sparse); /* 3, 5, 66, 2^63 */

    (void)state;
    interrupted(vm);
    assert_int_equal(error_of(vm, 0, CALL(IPI, 0, 0x28, 0)), SUCCESS);
    assert_int_equal(interrupted(vm), 3);
    assert_int_equal(error_of(vm, 0, CALL(IPI, 0, UINT64_C(1) << 63 | 4, 3)), SUCCESS); /* 66 and 5 */
    assert_int_equal(interrupted(vm), 6);
    assert_int_equal(error_of(vm, 0, CALL(IPI, 0, 1, UINT64_C(1) << 63)), SUCCESS);
    assert_int_equal(interrupted(vm), 8);
    assert_int_equal(error_of(vm, 0, CALL(IPI, 0, 0, ALL)), SUCCESS);
    assert_int_equal(interrupted(vm), 0xf);
    check_refused(vm, 1, 0);
    check_refused(vm, 0x38, 0);
    check_refused(vm, 3, UINT64_C(1) << 63);
}

static void make_64_vcpus(struct axvm_config *config)
{
    config->default_devices = false;
}

static void test_all_of_64_harts(void **state)
{
    struct axvm *vm = machine_vm(64, make_64_vcpus);

    (void)state;
    for (uint32_t i = 1; i < 64; i++) {
        machine_cpu_on(vm, i);
        run(vm, i);
    }
    run(vm, 0);
    interrupted(vm);
    assert_int_equal(error_of(vm, 0, CALL(IPI, 0, 0, ALL)), SUCCESS);
    assert_int_equal(interrupted(vm), UINT64_MAX);
    assert_int_equal(error_of(vm, 0, CALL(IPI, 0, UINT64_MAX, 0)), SUCCESS);
    assert_int_equal(interrupted(vm), UINT64_MAX);
    check_refused(vm, UINT64_MAX, 1);
}

/* A hart begins without interrupts of the time when it was off; and is valid all the same. */
static void test_harts_that_are_off_get_no_ipi(void **state)
{
    struct axvm *vm = machine_vm(3, NULL);

    (void)state;
    machine_cpu_on(vm, 1); /* and never run */
    interrupted(vm);
    fake_hal_forget();
    assert_int_equal(error_of(vm, 0, CALL(IPI, 0, 7, 0)), SUCCESS);
    assert_int_equal(interrupted(vm), 1);
    assert_int_equal(error_of(vm, 0, CALL(IPI, 0, 0, ALL)), SUCCESS);
    assert_int_equal(interrupted(vm), 1);
    assert_int_equal(fake_hal_kicks(), 0);
}

/* ---- RFENCE ---- */

/* vCPU 0 on pCPU 0, and 1 on pCPU 1, of three. */
static struct axvm *fence_vm(void)
{
    struct axvm *vm = machine_vm(3, NULL);

    machine_cpu_on(vm, 1);
    machine_pcpu(1);
    run(vm, 1);
    machine_pcpu(0);
    run(vm, 0);
    rv64_machine_vcpu(vm, 2)->fence_wanted = false;
    return vm;
}

static void check_fence(struct axvm *vm, struct call c, struct rv64_model_flush expected)
{
    const struct rv64_model_flush *got;

    rv64_model_forget_flushes();
    assert_int_equal(error_of(vm, 0, c), SUCCESS);
    assert_int_equal(rv64_model.flush_count, 1);
    got = rv64_model_last_flush();
    assert_int_equal(got->kind, expected.kind);
    assert_int_equal(got->pcpus, expected.pcpus);
    assert_int_equal(got->vmid, rv64_vm(vm)->vmid);
    if (expected.kind != RV64_FLUSH_FENCE_I) {
        assert_int_equal(got->start, expected.start);
        assert_int_equal(got->size, expected.size);
        assert_int_equal(got->asid, expected.asid);
    }
}

#define VSTAGE(p, s, n) ((struct rv64_model_flush){RV64_FLUSH_VSTAGE, 0, p, 0, s, n, 0})
#define VSTAGE_ASID(p, s, n, a) ((struct rv64_model_flush){RV64_FLUSH_VSTAGE_ASID, 0, p, 0, s, n, a})
#define FENCE_I(p) ((struct rv64_model_flush){RV64_FLUSH_FENCE_I, 0, p, 0, 0, 0, 0})

static void test_fences_reach_the_pcpus_of_the_harts(void **state)
{
    struct axvm *vm = fence_vm();

    (void)state;
    for (uint64_t mask = 1; mask < 4; mask++) {
        check_fence(vm, CALL(RFENCE, 0, mask, 0), FENCE_I(mask));
        check_fence(vm, CALL(RFENCE, 1, mask, 0, 0x1000, 0x2000), VSTAGE(mask, 0x1000, 0x2000));
        check_fence(vm, CALL(RFENCE, 2, mask, 0, 0x1000, 0x2000, 9), VSTAGE_ASID(mask, 0x1000, 0x2000, 9));
    }
    assert_false(rv64_machine_vcpu(vm, 2)->fence_wanted);
    check_fence(vm, CALL(RFENCE, 1, 0, ALL, 0x1000, 0x2000), VSTAGE(3, 0x1000, 0x2000));
    assert_true(rv64_machine_vcpu(vm, 2)->fence_wanted);
}

static void test_fence_ranges(void **state)
{
    struct axvm *vm = fence_vm();
    const uint64_t top = UINT64_MAX - 0xfff; /* the last page */

    (void)state;
    check_fence(vm, CALL(RFENCE, 1, 1, 0, 0, 0), VSTAGE(1, 0, UINT64_MAX));
    check_fence(vm, CALL(RFENCE, 1, 1, 0, 0x5000, UINT64_MAX), VSTAGE(1, 0, UINT64_MAX));
    check_fence(vm, CALL(RFENCE, 2, 1, 0, 0, 0, 7), VSTAGE_ASID(1, 0, UINT64_MAX, 7));
    check_fence(vm, CALL(RFENCE, 2, 1, 0, 0x5000, UINT64_MAX, 7), VSTAGE_ASID(1, 0, UINT64_MAX, 7));
    check_fence(vm, CALL(RFENCE, 1, 1, 0, 0x1234, 1), VSTAGE(1, 0x1234, 1));
    check_fence(vm, CALL(RFENCE, 1, 1, 0, 0, UINT64_MAX - 1), VSTAGE(1, 0, UINT64_MAX - 1));
    check_fence(vm, CALL(RFENCE, 1, 1, 0, top, 0x1000), VSTAGE(1, top, 0x1000));
    rv64_model_forget_flushes();
    for (uint64_t fid = 1; fid < 3; fid++) {
        assert_int_equal(error_of(vm, 0, CALL(RFENCE, fid, 1, 0, top, 0x1001)), INVALID_ADDRESS);
        assert_int_equal(error_of(vm, 0, CALL(RFENCE, fid, 1, 0, 3, UINT64_MAX - 1)), INVALID_ADDRESS);
        assert_int_equal(error_of(vm, 0, CALL(RFENCE, fid, 1, 0, UINT64_MAX, 2)), INVALID_ADDRESS);
        assert_int_equal(error_of(vm, 0, CALL(RFENCE, fid, 1, 0, 0x1000, 0)), SUCCESS); /* a range of nothing */
        assert_int_equal(error_of(vm, 0, CALL(RFENCE, fid, 0, 0, 0, 0)), SUCCESS); /* nobody */
    }
    assert_int_equal(rv64_model.flush_count, 0);
    check_fence(vm, CALL(RFENCE, 0, 1, 0, top, 0x1001), FENCE_I(1)); /* has no range */
}

/* ---- HSM: start, stop, status ---- */

static void test_hart_start_begins_as_the_specification_says(void **state)
{
    struct axvm *vm = machine_vm(3, sparse);
    struct rv64_vcpu *target = rv64_machine_vcpu(vm, 2);
    struct axvm_exit exit = exit_of(vm, 0, CALL(HSM, START, 66, RV64_RAM + 0x1002, 42));

    (void)state;
    assert_int_equal(exit.kind, AXVM_EXIT_CPU_UP);
    assert_int_equal(exit.cpu_up.target, 2);
    assert_int_equal(frame_of(vm, 0)->x[X_A0], 0);
    assert_int_equal(frame_of(vm, 0)->x[X_A1], 0);
    assert_true(axvm_vcpu_runnable(vm, 2));

    machine_pcpu(1);
    run(vm, 2);
    assert_int_equal(target->frame.pc, RV64_RAM + 0x1002);
    assert_int_equal(target->frame.x[X_A0], 66);
    assert_int_equal(target->frame.x[X_A1], 42);
    assert_int_equal(rv64_model_cpu()->sys[RV64_VSATP], 0);
    assert_int_equal(rv64_model_cpu()->sys[RV64_VSSTATUS] & SSTATUS_SIE, 0);
    assert_true(rv64_cpu_is_vs());
}

static void test_hart_start_of_a_hart_that_is_none(void **state)
{
    static const uint64_t harts[] = {0, 1, 2, 4, 6, 67, UINT64_C(0x8000000000000000), UINT64_C(0x100000003),
                                     UINT64_MAX};
    struct axvm *vm = machine_vm(3, sparse);

    (void)state;
    for (size_t i = 0; i < sizeof(harts) / sizeof(harts[0]); i++) {
        assert_int_equal(error_of(vm, 0, CALL(HSM, START, harts[i], RV64_RAM, 0)), INVALID_PARAM);
        assert_int_equal(error_of(vm, 0, CALL(HSM, STATUS, harts[i])), INVALID_PARAM);
    }
    assert_int_equal(rv64_machine_vcpu(vm, 1)->base.power, VCPU_OFF);
    assert_int_equal(rv64_machine_vcpu(vm, 2)->base.power, VCPU_OFF);
}

/* Besides the machine's RAM: a region without execution, and one that is lazy. */
#define NO_EXEC GIB(4)

static void with_regions(struct axvm_config *config)
{
    config->memory_regions_count = 1;
    config->memory_regions[0] = (struct axvm_mem_config){.gpa = gpa(NO_EXEC), .size = MIB(1), .flags = 3};
}

static void lazily(struct axvm_config *config)
{
    config->lazy = true;
    with_regions(config);
}

static void check_entries(struct axvm *vm)
{
    const uint64_t bad[] = {0, RV64_RAM - 2, RV64_RAM + 1, RAM_END - 1, RAM_END, MACHINE_NOTHING, MACHINE_PLIC,
                            NO_EXEC, NO_EXEC + MIB(1) - 2, UINT64_MAX, UINT64_MAX - 1, UINT64_C(1) << 60};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(error_of(vm, 0, CALL(HSM, START, 1, bad[i], 0)), INVALID_ADDRESS);
        assert_int_equal(error_of(vm, 0, CALL(HSM, SUSPEND, 0x80000000U, bad[i], 0)), INVALID_ADDRESS);
        assert_int_equal(error_of(vm, 0, CALL(SUSP, 0, 0, bad[i], 0)), INVALID_ADDRESS);
    }
    assert_int_equal(rv64_machine_vcpu(vm, 1)->base.power, VCPU_OFF);
    assert_int_equal(exit_of(vm, 0, CALL(HSM, START, 1, RAM_END - 2, 0)).kind, AXVM_EXIT_CPU_UP);
}

static void test_entries_are_executable_ram(void **state)
{
    (void)state;
    check_entries(machine_vm(2, with_regions));
    check_entries(machine_vm(2, lazily));
}

static void guest_spoils_everything(struct rv64_frame *frame)
{
    struct rv64_model_cpu *cpu = rv64_model_cpu();

    memset(&frame->x[1], 0xff, 31 * sizeof(uint64_t));
    memset(&cpu->fp, 0xff, sizeof(cpu->fp));
    memset(cpu->sys, 0xff, sizeof(cpu->sys));
    cpu->hvip = IRQ_VSS;
    cpu->timecmp = 1;
    rv64_guest_sbi(frame, HSM, STOP, 0, 0, 0);
    fail_msg("hart_stop returned");
}

static void test_hart_stop_and_start_again_begins_afresh(void **state)
{
    struct axvm *vm = machine_vm(2, NULL);
    struct rv64_vcpu *target = rv64_machine_vcpu(vm, 1);
    struct rv64_model_cpu *cpu = &rv64_model.cpus[1];

    (void)state;
    machine_cpu_on(vm, 1);
    machine_pcpu(1);
    assert_int_equal(rv64_machine_run(vm, 1, guest_spoils_everything).kind, AXVM_EXIT_CPU_DOWN);
    assert_false(axvm_vcpu_runnable(vm, 1));
    assert_int_equal(rv64_machine_run(vm, 1, NULL).kind, AXVM_EXIT_CPU_DOWN); /* it isn't run by mistake */

    machine_pcpu(0);
    assert_int_equal(exit_of(vm, 0, CALL(HSM, START, 1, RV64_RAM + 0x2000, 9)).kind, AXVM_EXIT_CPU_UP);
    machine_pcpu(1);
    run(vm, 1);
    assert_int_equal(target->frame.pc, RV64_RAM + 0x2000);
    assert_int_equal(target->frame.x[X_A0], 1);
    assert_int_equal(target->frame.x[X_A1], 9);
    for (unsigned i = 0; i < 32; i++) {
        assert_int_equal(i == X_A0 || i == X_A1 ? 0 : target->frame.x[i], 0);
        assert_int_equal(cpu->fp.f[i], 0);
    }
    assert_int_equal(cpu->sys[RV64_VSSTATUS], UINT64_C(2) << 32); /* UXL: 64 bits; all else off */
    for (unsigned i = RV64_VSSTATUS + 1; i < RV64_SYS_COUNT; i++) {
        assert_int_equal(cpu->sys[i], i == RV64_SCOUNTEREN ? HCOUNTEREN_TM : 0); /* VU mode reads time */
    }
    assert_int_equal(cpu->hvip, 0);
    assert_int_equal(cpu->timecmp, UINT64_MAX);
    assert_int_equal(fake_hal_timers(1), 0);
}

/* ---- HSM: suspend ---- */

static void test_retentive_suspend_waits_and_then_succeeds(void **state)
{
    struct axvm *vm = machine_vm(1, NULL);
    struct rv64_frame *frame = frame_of(vm, 0);

    (void)state;
    assert_int_equal(exit_of(vm, 0, CALL(HSM, SUSPEND, 0, UINT64_MAX, 77)).kind, AXVM_EXIT_HALT);
    assert_int_equal(axvm_vcpu_state(vm, 0), AXVM_VCPU_BLOCKED);
    assert_int_equal(frame->x[X_A0], SUCCESS);
    assert_int_equal(frame->x[X_A1], 0);
    assert_int_equal(frame->x[X_A2], 77);
    assert_int_equal(frame->pc, RV64_RAM + 4);
    assert_int_equal(exit_of(vm, 0, CALL(HSM, SUSPEND, UINT64_C(0x500000000), 0, 0)).kind, AXVM_EXIT_HALT);
}

static void spoil_and_suspend(struct rv64_frame *frame, uint64_t eid, uint64_t fid, uint64_t type)
{
    struct rv64_model_cpu *cpu = rv64_model_cpu();

    cpu->sys[RV64_VSATP] = UINT64_C(8) << 60 | 0x12345;
    cpu->sys[RV64_VSSTATUS] |= SSTATUS_SIE;
    cpu->sys[RV64_VSIE] = IRQ_SS;
    frame->x[X_SP] = 0x5555;
    rv64_guest_sbi(frame, eid, fid, type, RV64_RAM + 0x3000, 0x77);
}

static unsigned entries;

static void guest_suspends_non_retentive(struct rv64_frame *frame)
{
    if (entries++ == 0) {
        spoil_and_suspend(frame, HSM, SUSPEND, 0x80000000U);
        fail_msg("the suspend returned");
    }
}

static void guest_suspends_the_system(struct rv64_frame *frame)
{
    if (entries++ == 0) {
        spoil_and_suspend(frame, SUSP, 0, 0);
        fail_msg("the suspend returned");
    }
}

static void check_resumed(struct axvm *vm, uint32_t vcpu, uint64_t hart)
{
    const struct rv64_frame *frame = frame_of(vm, vcpu);

    assert_int_equal(frame->pc, RV64_RAM + 0x3000);
    assert_int_equal(frame->x[X_A0], hart);
    assert_int_equal(frame->x[X_A1], 0x77);
    assert_int_equal(rv64_model_cpu()->sys[RV64_VSATP], 0);
    assert_int_equal(rv64_model_cpu()->sys[RV64_VSSTATUS] & SSTATUS_SIE, 0);
}

static void check_suspend(rv64_guest *guest)
{
    struct axvm *vm = machine_vm(2, sparse);

    entries = 0;
    assert_int_equal(rv64_machine_run(vm, 0, guest).kind, AXVM_EXIT_HALT);
    assert_false(axvm_vcpu_runnable(vm, 0));
    rv64_send_ipi(rv64_machine_vcpu(vm, 1), rv64_machine_vcpu(vm, 0)); /* what it left enabled in sie wakes it */
    assert_true(axvm_vcpu_runnable(vm, 0));
    run(vm, 0);
    check_resumed(vm, 0, 3);
}

static void test_non_retentive_suspend_resumes_at_its_address(void **state)
{
    (void)state;
    check_suspend(guest_suspends_non_retentive);
    check_suspend(guest_suspends_the_system);
}

static void guest_suspends_with_interrupt_pending(struct rv64_frame *frame)
{
    rv64_model_cpu()->sys[RV64_VSIE] = IRQ_SS;
    rv64_model_cpu()->hvip = IRQ_VSS;
    assert_int_equal(rv64_guest_sbi(frame, HSM, SUSPEND, 0, 0, 0), SUCCESS);
    assert_int_equal(rv64_guest_sbi(frame, HSM, STATUS, 0, 0, 0), SUCCESS);
    assert_int_equal(frame->x[X_A1], STARTED);
    spoil_and_suspend(frame, HSM, SUSPEND, 0x80000000U);
    frame->x[20] = 1;
}

static void test_suspend_with_an_interrupt_pending_returns_at_once(void **state)
{
    struct axvm *vm = machine_vm(1, NULL);

    (void)state;
    assert_int_equal(rv64_machine_run(vm, 0, guest_suspends_with_interrupt_pending).kind,
                     AXVM_EXIT_EXTERNAL_INTERRUPT);
    assert_int_equal(frame_of(vm, 0)->x[20], 1);
    check_resumed(vm, 0, 0);
}

static void test_suspend_types_that_are_none(void **state)
{
    static const uint64_t types[] = {1, 0x0fffffff, 0x10000000, 0x7fffffff, 0x80000001U, 0x8fffffffU, 0x90000000U,
                                     0xffffffffU};
    struct axvm *vm = machine_vm(1, NULL);

    (void)state;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        assert_int_equal(error_of(vm, 0, CALL(HSM, SUSPEND, types[i], RV64_RAM, 0)), INVALID_PARAM);
        assert_int_equal(error_of(vm, 0, CALL(SUSP, 0, types[i], RV64_RAM, 0)), INVALID_PARAM);
    }
    assert_int_equal(error_of(vm, 0, CALL(SUSP, 0, 0x80000000U, RV64_RAM, 0)), INVALID_PARAM);
}

static void test_system_suspend_wants_the_other_harts_stopped(void **state)
{
    struct axvm *vm = machine_vm(3, NULL);

    (void)state;
    assert_int_equal(exit_of(vm, 0, CALL(HSM, START, 2, RV64_RAM, 0)).kind, AXVM_EXIT_CPU_UP);
    assert_int_equal(error_of(vm, 0, CALL(SUSP, 0, 0, RV64_RAM, 0)), DENIED); /* start pending */
    assert_int_equal(exit_of(vm, 2, CALL(HSM, SUSPEND, 0)).kind, AXVM_EXIT_HALT);
    assert_int_equal(error_of(vm, 0, CALL(SUSP, 0, 0, RV64_RAM, 0)), DENIED); /* suspended */
    assert_int_equal(frame_of(vm, 0)->pc, RV64_RAM + 12);
    assert_int_equal(exit_of(vm, 2, CALL(HSM, STOP)).kind, AXVM_EXIT_CPU_DOWN);
    assert_int_equal(exit_of(vm, 0, CALL(SUSP, 0, 0, RV64_RAM, 0)).kind, AXVM_EXIT_HALT);
}

/* ---- The end ---- */

static void check_system_down(struct call c, enum axvm_system_event event)
{
    struct axvm_exit exit = exit_of(machine_vm(1, NULL), 0, c);

    assert_int_equal(exit.kind, AXVM_EXIT_SYSTEM_DOWN);
    assert_int_equal(exit.system_down.event, event);
}

static void test_shutdown_and_reboots_stop_the_vm(void **state)
{
    (void)state;
    check_system_down(CALL(SRST, 0, 0, 0), AXVM_SYSTEM_OFF);
    check_system_down(CALL(SRST, 0, UINT64_C(0xff00000000), UINT64_C(0xff00000001)), AXVM_SYSTEM_OFF);
    check_system_down(CALL(SRST, 0, 1, 0), AXVM_SYSTEM_RESET);
    check_system_down(CALL(SRST, 0, 2, 1), AXVM_SYSTEM_RESET);
    check_system_down(CALL(8, 99), AXVM_SYSTEM_OFF);
}

static void test_reset_types_and_reasons_that_are_none(void **state)
{
    static const uint64_t numbers[] = {3, 0x7fffffff, 0xdfffffffU, 0xe0000000U, 0xf0000000U, 0xffffffffU};
    struct axvm *vm = machine_vm(1, NULL);

    (void)state;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        assert_int_equal(error_of(vm, 0, CALL(SRST, 0, numbers[i], 0)), INVALID_PARAM);
        assert_int_equal(error_of(vm, 0, CALL(SRST, 0, 0, numbers[i])), INVALID_PARAM);
    }
    assert_int_equal(error_of(vm, 0, CALL(SRST, 0, 0, 2)), INVALID_PARAM);
    assert_int_equal(axvm_state(vm), AXVM_STATE_RUNNING);
}

/* ---- DBCN ---- */

static void put(struct axvm *vm, uint64_t at, const char *text)
{
    assert_int_equal(axvm_write_guest(vm, gpa(at), text, strlen(text)), 0);
}

static void test_console_write_prints_guest_memory(void **state)
{
    struct axvm *vm = machine_vm(1, NULL);

    (void)state;
    put(vm, RV64_RAM + 0xffd, "hello, page");
    assert_int_equal(value_of(vm, 0, CALL(DBCN, 0, 11, RV64_RAM + 0xffd, 0)), 11);
    put(vm, RAM_END - 1, "!");
    assert_int_equal(value_of(vm, 0, CALL(DBCN, 0, 1, RAM_END - 1, 0)), 1);
    assert_int_equal(value_of(vm, 0, CALL(DBCN, 0, 0, UINT64_MAX, UINT64_MAX)), 0);
    assert_int_equal(value_of(vm, 0, CALL(DBCN, 2, UINT64_C(0xabcd00) | '?')), 0);
    assert_string_equal(fake_hal_console(axvm_id(vm)), "hello, page!?");
}

/* What one call doesn't take the guest asks for again; nothing is lost, and no call is long. */
static void test_a_long_console_write_is_done_in_parts(void **state)
{
    struct axvm *vm = machine_vm(1, NULL);
    char text[1501];
    uint64_t done = 0;

    (void)state;
    for (unsigned i = 0; i < 1500; i++) {
        text[i] = (char)('a' + i % 26);
    }
    text[1500] = '\0';
    put(vm, RV64_RAM + 0x100, text);
    while (done < 1500) {
        uint64_t part = value_of(vm, 0, CALL(DBCN, 0, 1500 - done, RV64_RAM + 0x100 + done, 0));

        assert_true(part > 0 && part <= 1024);
        done += part;
    }
    assert_int_equal(done, 1500);
    assert_string_equal(fake_hal_console(axvm_id(vm)), text);
    assert_true(value_of(vm, 0, CALL(DBCN, 0, MACHINE_RAM_SIZE, RV64_RAM, 0)) <= 1024);
}

static void test_console_memory_that_is_none(void **state)
{
    const struct call bad[] = {
        {DBCN, 0, {1, RAM_END, 0}},
        {DBCN, 0, {2, RAM_END - 1, 0}},
        {DBCN, 0, {1, RV64_RAM - 1, 0}},
        {DBCN, 0, {2, RV64_RAM - 1, 0}},
        {DBCN, 0, {1, RV64_RAM, 1}},
        {DBCN, 0, {1, RV64_RAM, UINT64_MAX}},
        {DBCN, 0, {1, MACHINE_NOTHING, 0}},
        {DBCN, 0, {MACHINE_RAM_SIZE + 1, RV64_RAM, 0}},
        {DBCN, 0, {UINT64_MAX, RV64_RAM, 0}},
        {DBCN, 0, {UINT64_MAX, 1, 0}},
        {DBCN, 0, {0 - RV64_RAM, RV64_RAM, 0}},
    };
    struct axvm *vm = machine_vm(1, NULL);

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        for (uint64_t fid = 0; fid < 2; fid++) { /* write, read */
            struct call c = bad[i];

            c.fid = fid;
            assert_int_equal(error_of(vm, 0, c), INVALID_PARAM);
        }
    }
    assert_string_equal(fake_hal_console(axvm_id(vm)), "");
}

/* What is at 0x100 of RAM after so many bytes of '.' were there, and console_read was called for `size`. */
static const char *read_console(struct axvm *vm, uint64_t size, uint64_t expected)
{
    static char bytes[64];

    put(vm, RV64_RAM + 0x100, "..........");
    assert_int_equal(value_of(vm, 0, CALL(DBCN, 1, size, RV64_RAM + 0x100, 0)), expected);
    assert_int_equal(axvm_read_guest(vm, gpa(RV64_RAM + 0x100), bytes, 10), 0);
    bytes[10] = '\0';
    return bytes;
}

static void test_console_read_gives_what_was_typed(void **state)
{
    struct axvm *vm = machine_vm(1, NULL);

    (void)state;
    assert_string_equal(read_console(vm, 16, 0), "..........");
    assert_int_equal(axvm_console_input(vm, "typed", 5), 5);
    assert_int_equal(axvm_console_input(vm, "!\r", 2), 2);
    assert_string_equal(read_console(vm, 0, 0), "..........");
    assert_string_equal(read_console(vm, 3, 3), "typ.......");
    assert_string_equal(read_console(vm, UINT64_C(0x100004), 4), "ed!\r......");
    assert_string_equal(read_console(vm, 16, 0), "..........");
}

/* What finds no room is offered again by the host; what can't be written stays, and the legacy call gives it. */
static void test_typed_characters_are_not_lost(void **state)
{
    struct axvm *vm = machine_vm(1, NULL);
    char typed[100];

    (void)state;
    memset(typed, 'a', sizeof(typed));
    assert_int_equal(axvm_console_input(vm, typed, sizeof(typed)), 32);
    assert_int_equal(axvm_console_input(vm, typed, 1), 0);
    assert_int_equal(error_of(vm, 0, CALL(DBCN, 1, 1, RAM_END, 0)), -3);
    assert_int_equal(error_of(vm, 0, CALL(DBCN, 1, 2, RAM_END - 1, 0)), -3);
    assert_string_equal(read_console(vm, 2, 2), "aa........");
    assert_int_equal(axvm_console_input(vm, "\xff""b", 2), 2);
    for (unsigned i = 0; i < 30; i++) {
        assert_int_equal(exit_of(vm, 0, CALL(2, 0)).kind, AXVM_EXIT_EXTERNAL_INTERRUPT);
        assert_int_equal(frame_of(vm, 0)->x[X_A0], 'a');
    }
    assert_int_equal(exit_of(vm, 0, CALL(2, 0)).kind, AXVM_EXIT_EXTERNAL_INTERRUPT);
    assert_int_equal(frame_of(vm, 0)->x[X_A0], 0xff);
    assert_string_equal(read_console(vm, 2, 1), "b.........");
}

static void with_uart(struct axvm_config *config)
{
    config->emu_devices[config->emu_devices_count++] = (struct axvm_emu_config){
        .name = "uart", .base = {0x10000000}, .length = 0x100, .irq = 10, .type = AXVM_EMU_CONSOLE};
}

static void test_where_there_is_a_uart_it_has_what_is_typed(void **state)
{
    struct axvm *vm = machine_vm(1, with_uart);

    (void)state;
    assert_int_equal(axvm_console_input(vm, "x", 1), 1);
    assert_string_equal(read_console(vm, 16, 0), "..........");
}

/* ---- Legacy ---- */

/* a1 stays, whatever the call. */
static uint64_t legacy(struct axvm *vm, uint64_t eid, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3)
{
    assert_int_equal(exit_of(vm, 0, CALL(eid, 0x1234, a0, a1, a2, a3)).kind, AXVM_EXIT_EXTERNAL_INTERRUPT);
    assert_int_equal(frame_of(vm, 0)->x[X_A1], a1);
    return frame_of(vm, 0)->x[X_A0];
}

#define MASK_AT (RV64_RAM + 0x800)

static uint64_t mask_at(struct axvm *vm, uint64_t mask)
{
    assert_int_equal(axvm_write_guest(vm, gpa(MASK_AT), &mask, sizeof(mask)), 0);
    return MASK_AT;
}

static void test_legacy_console(void **state)
{
    struct axvm *vm = machine_vm(1, NULL);

    (void)state;
    assert_int_equal(legacy(vm, 1, 'A', 5, 0, 0), 0);
    assert_int_equal(legacy(vm, 1, UINT64_C(0xffffffffffffff00) | 'B', 5, 0, 0), 0);
    assert_int_equal(legacy(vm, 2, 0, 5, 0, 0), UINT64_MAX);
    assert_string_equal(fake_hal_console(axvm_id(vm)), "AB");
}

static void test_legacy_clear_ipi(void **state)
{
    struct axvm *vm = machine_vm(1, NULL);

    (void)state;
    run(vm, 0);
    assert_int_equal(legacy(vm, 3, 9, 5, 0, 0), 0);
    rv64_model_cpu()->hvip = IRQ_VSS | IRQ_VSE;
    assert_true((int64_t)legacy(vm, 3, 9, 5, 0, 0) > 0);
    assert_int_equal(rv64_model_cpu()->hvip & IRQ_VSS, 0);
    assert_int_equal(legacy(vm, 3, 9, 5, 0, 0), 0);
    rv64_machine_vcpu(vm, 0)->ipi = true; /* sent, and not arrived */
    assert_true((int64_t)legacy(vm, 3, 9, 5, 0, 0) > 0);
    assert_false(rv64_machine_vcpu(vm, 0)->ipi);
    assert_int_equal(rv64_model_cpu()->hvip & IRQ_VSS, 0);
}

static void test_legacy_ipi_takes_its_mask_from_virtual_memory(void **state)
{
    struct axvm *vm = running_vm(4, NULL);

    (void)state;
    interrupted(vm);
    for (uint64_t mask = 0; mask < 16; mask++) {
        assert_int_equal(legacy(vm, 4, mask_at(vm, mask), 5, 0, 0), 0);
        assert_int_equal(interrupted(vm), mask);
    }
    assert_int_equal(legacy(vm, 4, 0, 5, 0, 0), 0);
    assert_int_equal(interrupted(vm), 0xf);
    assert_true((int64_t)legacy(vm, 4, mask_at(vm, 0x11), 5, 0, 0) < 0);
    assert_int_equal(interrupted(vm), 0);
}

static void test_legacy_fences(void **state)
{
    struct axvm *vm = fence_vm();
    const struct rv64_model_flush *flush;

    (void)state;
    rv64_model_forget_flushes();
    assert_int_equal(legacy(vm, 5, mask_at(vm, 3), 5, 0, 0), 0);
    flush = rv64_model_last_flush();
    assert_int_equal(flush->kind, RV64_FLUSH_FENCE_I);
    assert_int_equal(flush->pcpus, 3);
    assert_int_equal(legacy(vm, 6, MASK_AT, 0x1000, 0x3000, 0), 0);
    flush = rv64_model_last_flush();
    assert_int_equal(flush->kind, RV64_FLUSH_VSTAGE);
    assert_int_equal(flush->start, 0x1000);
    assert_int_equal(flush->size, 0x3000);
    assert_int_equal(legacy(vm, 7, 0, 0x1000, 0x3000, 9), 0);
    flush = rv64_model_last_flush();
    assert_int_equal(flush->kind, RV64_FLUSH_VSTAGE_ASID);
    assert_int_equal(flush->pcpus, 3);
    assert_int_equal(flush->size, 0x3000);
    assert_int_equal(flush->asid, 9);
    assert_int_equal(legacy(vm, 6, MASK_AT, 0, 0, 0), 0);
    assert_int_equal(rv64_model_last_flush()->size, UINT64_MAX);
    assert_int_equal(rv64_model.flush_count, 4);
    assert_true((int64_t)legacy(vm, 6, MASK_AT, UINT64_MAX, 2, 0) < 0);
    assert_int_equal(rv64_model.flush_count, 4);
}

/* "redirected back to the supervisor with sepc pointing to the faulting ECALL" */
#define HIGH UINT64_C(0xffffffff00000000)

static unsigned bad_pointer_cause;

static bool translate_upper_half(uint64_t va, uint64_t *addr)
{
    *addr = va - HIGH;
    return va >> 63 != 0;
}

static void guest_passes_a_bad_pointer(struct rv64_frame *frame)
{
    uint64_t pc = frame->pc;

    rv64_model_cpu()->sys[RV64_VSATP] = rv64_model.translate != NULL ? UINT64_C(8) << 60 : 0;
    rv64_model_cpu()->sys[RV64_VSTVEC] = RV64_RAM + 0x400;
    for (uint64_t eid = 4; eid < 8; eid++) {
        frame->pc = pc;
        rv64_guest_sbi(frame, eid, 0, call.a[0], 0, 0);
        assert_int_equal(frame->pc, RV64_RAM + 0x400);
        assert_int_equal(frame->x[X_A0], call.a[0]);
        assert_int_equal(rv64_model_cpu()->sys[RV64_VSEPC], pc);
        assert_int_equal(rv64_model_cpu()->sys[RV64_VSCAUSE], bad_pointer_cause);
        assert_int_equal(rv64_model_cpu()->sys[RV64_VSTVAL], call.a[0]);
    }
}

static void check_bad_pointer(struct axvm *vm, uint64_t pointer, unsigned cause)
{
    call.a[0] = pointer;
    bad_pointer_cause = cause;
    assert_int_equal(rv64_machine_run(vm, 0, guest_passes_a_bad_pointer).kind, AXVM_EXIT_EXTERNAL_INTERRUPT);
}

static void test_legacy_mask_pointer_that_faults(void **state)
{
    struct axvm *vm = running_vm(2, NULL);

    (void)state;
    interrupted(vm);
    rv64_model_forget_flushes();
    check_bad_pointer(vm, 8, CAUSE_LOAD_ACCESS);
    check_bad_pointer(vm, RAM_END, CAUSE_LOAD_ACCESS);
    check_bad_pointer(vm, UINT64_MAX - 7, CAUSE_LOAD_ACCESS);
    check_bad_pointer(vm, MACHINE_PLIC, CAUSE_LOAD_ACCESS);
    check_bad_pointer(vm, MASK_AT + 1, CAUSE_LOAD_MISALIGNED);
    rv64_model.translate = translate_upper_half;
    check_bad_pointer(vm, MASK_AT, CAUSE_LOAD_PAGE);
    check_bad_pointer(vm, HIGH + RAM_END, CAUSE_LOAD_ACCESS);
    check_bad_pointer(vm, HIGH + MACHINE_PLIC, CAUSE_LOAD_ACCESS);
    check_bad_pointer(vm, HIGH + MASK_AT + 4, CAUSE_LOAD_MISALIGNED);
    assert_int_equal(interrupted(vm), 0);
    assert_int_equal(rv64_model.flush_count, 0);
    mask_at(vm, 2);
    assert_int_equal(legacy(vm, 4, HIGH + MASK_AT, 5, 0, 0), 0);
    assert_int_equal(interrupted(vm), 2);
}

static void lazy(struct axvm_config *config)
{
    config->lazy = true;
}

/* The call is made again when the page is there. */
static void guest_passes_a_pointer_to_a_new_page(struct rv64_frame *frame)
{
    uint64_t pc = frame->pc;

    rv64_guest_sbi(frame, 4, 0, RAM_END - 8, 5, 0);
    assert_int_equal(frame->pc, pc);
    assert_int_equal(frame->x[X_A0], RAM_END - 8);
    rv64_guest_ecall(frame);
    assert_int_equal(frame->pc, pc + 4);
    assert_int_equal(frame->x[X_A0], 0);
    assert_int_equal(frame->x[X_A1], 5);
}

static void test_legacy_mask_pointer_to_lazy_memory(void **state)
{
    struct axvm *vm = running_vm(1, lazy);

    (void)state;
    assert_int_equal(rv64_machine_run(vm, 0, guest_passes_a_pointer_to_a_new_page).kind, AXVM_EXIT_EXTERNAL_INTERRUPT);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, rv64_machine_setup, machine_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_base_says_what_this_is),
        TEST(test_probe_tells_what_is_implemented),
        TEST(test_a_call_changes_a0_a1_and_pc_alone),
        TEST(test_functions_that_an_extension_lacks),
        TEST(test_unknown_extensions_are_not_supported_and_nothing_else),
        TEST(test_hypercall_reaches_the_host_with_six_arguments),
        TEST(test_set_timer_with_sstc_is_the_hardwares),
        TEST(test_set_timer_without_sstc_arms_the_hosts),
        TEST(test_ipi_reaches_the_harts_of_the_mask),
        TEST(test_ipi_wakes_and_kicks),
        TEST(test_lists_with_a_hart_that_is_none),
        TEST(test_lists_of_sparse_harts),
        TEST(test_all_of_64_harts),
        TEST(test_harts_that_are_off_get_no_ipi),
        TEST(test_fences_reach_the_pcpus_of_the_harts),
        TEST(test_fence_ranges),
        TEST(test_hart_start_begins_as_the_specification_says),
        TEST(test_hart_start_of_a_hart_that_is_none),
        TEST(test_entries_are_executable_ram),
        TEST(test_hart_stop_and_start_again_begins_afresh),
        TEST(test_retentive_suspend_waits_and_then_succeeds),
        TEST(test_non_retentive_suspend_resumes_at_its_address),
        TEST(test_suspend_with_an_interrupt_pending_returns_at_once),
        TEST(test_suspend_types_that_are_none),
        TEST(test_system_suspend_wants_the_other_harts_stopped),
        TEST(test_shutdown_and_reboots_stop_the_vm),
        TEST(test_reset_types_and_reasons_that_are_none),
        TEST(test_console_write_prints_guest_memory),
        TEST(test_a_long_console_write_is_done_in_parts),
        TEST(test_console_memory_that_is_none),
        TEST(test_console_read_gives_what_was_typed),
        TEST(test_typed_characters_are_not_lost),
        TEST(test_where_there_is_a_uart_it_has_what_is_typed),
        TEST(test_legacy_console),
        TEST(test_legacy_clear_ipi),
        TEST(test_legacy_ipi_takes_its_mask_from_virtual_memory),
        TEST(test_legacy_fences),
        TEST(test_legacy_mask_pointer_that_faults),
        TEST(test_legacy_mask_pointer_to_lazy_memory),
    };

    return cmocka_run_group_tests_name("rv64_sbi", tests, NULL, NULL);
}
