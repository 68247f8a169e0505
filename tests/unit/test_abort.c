/* SPDX-License-Identifier: Apache-2.0 */
/* Second-stage aborts, guest page faults: what becomes of them, whatever the architecture calls them. */
#include "support/a64_machine.h"
#include "support/places.h"
#include "support/rv64_machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define VECTORS UINT64_C(0xffffffff80001000)
#define PC UINT64_C(0xffffffff80123454)
#define VA UINT64_C(0xffffffc812345000) /* where stage 1 maps what an access is about */
#define VALUE UINT64_C(0x11223344) /* that is stored */

/* Of 4 bytes; a walk: the read of a stage-1 table, for a load or a fetch. */
enum access { LOAD, STORE, FETCH, WALK_OF_LOAD, WALK_OF_FETCH, ACCESSES };

/* The guest goes on behind it; does it again; or has the exception for what no bus answers, and all registers. */
enum outcome { DONE, RETRIED, REFUSED };

static const struct abort_arch {
    uint64_t last_page;
    void (*access)(enum access how, uint64_t addr, bool denied); /* in a guest. `denied`: there is memory at addr */
    enum outcome (*outcome)(enum access how);
    uint64_t (*loaded)(void);
} *arch_aborts;

/* ---- aarch64 ---- */

static struct a64_frame a64_before, a64_after;
static uint64_t stage1; /* where VA is */

static bool a64_translate(uint64_t va, uint64_t *ipa)
{
    *ipa = (va - VA < AXVM_PAGE_SIZE ? stage1 : A64_RAM) | (va & (AXVM_PAGE_SIZE - 1));
    return true;
}

static void a64_access(enum access how, uint64_t addr, bool denied)
{
    static const struct {
        enum esr_ec ec;
        uint64_t iss;
    } syndromes[] = {
        [LOAD] = {EC_DABT_LOWER, ISS_ISV | 2U << 22 | 1U << 16},
        [STORE] = {EC_DABT_LOWER, ISS_ISV | 2U << 22 | 1U << 16 | ISS_WNR},
        [FETCH] = {EC_IABT_LOWER, 0},
        [WALK_OF_LOAD] = {EC_DABT_LOWER, ISS_S1PTW},
        [WALK_OF_FETCH] = {EC_IABT_LOWER, ISS_S1PTW},
    };
    struct a64_model_cpu *cpu = a64_model_cpu();
    struct a64_frame *frame = cpu->frame;

    for (unsigned i = 0; i < 31; i++) {
        frame->x[i] = i == 1 ? VALUE : i;
    }
    frame->pc = PC;
    cpu->sys[A64_VBAR_EL1] = VECTORS;
    cpu->far = VA | (addr & (AXVM_PAGE_SIZE - 1));
    cpu->hpfar = denied ? 0 : addr >> 12 << 4;
    stage1 = addr & ~(AXVM_PAGE_SIZE - 1);
    a64_before = *frame;
    a64_guest_sync(frame, a64_esr(syndromes[how].ec, syndromes[how].iss | (denied ? 0x0f : 0x07)));
    a64_after = *frame;
}

static enum outcome a64_outcome(enum access how)
{
    const uint64_t *sys = a64_model_cpu()->sys;
    static const uint64_t esrs[] = {
        [LOAD] = (uint64_t)EC_DABT_SAME << ESR_EC_SHIFT | ESR_IL | 0x10,
        [STORE] = (uint64_t)EC_DABT_SAME << ESR_EC_SHIFT | ESR_IL | 0x10 | ISS_WNR,
        [FETCH] = (uint64_t)EC_IABT_SAME << ESR_EC_SHIFT | ESR_IL | 0x10,
        [WALK_OF_LOAD] = (uint64_t)EC_DABT_SAME << ESR_EC_SHIFT | ESR_IL | 0x17,
        [WALK_OF_FETCH] = (uint64_t)EC_IABT_SAME << ESR_EC_SHIFT | ESR_IL | 0x17,
    };

    if (a64_after.pc == PC + 4) {
        return DONE;
    }
    assert_memory_equal(a64_after.x, a64_before.x, sizeof(a64_before.x));
    if (a64_after.pc == PC) {
        return RETRIED;
    }
    assert_int_equal(a64_after.pc, VECTORS + 0x200);
    assert_int_equal(sys[A64_ESR_EL1], esrs[how]);
    assert_int_equal(sys[A64_ELR_EL1], PC);
    assert_int_equal(sys[A64_FAR_EL1], a64_model_cpu()->far);
    return REFUSED;
}

static uint64_t a64_loaded(void)
{
    return a64_after.x[1];
}

static const struct abort_arch a64_aborts = {
    .last_page = UINT64_C(0xfffffffff) << 12,
    .access = a64_access,
    .outcome = a64_outcome,
    .loaded = a64_loaded,
};

static int setup_a64(void **state)
{
    int error = a64_machine_setup(state);

    arch_aborts = &a64_aborts;
    a64_model.translate = a64_translate;
    *state = places_vm();
    return error;
}

/* ---- riscv64 ---- */

static struct rv64_frame rv64_before, rv64_after;
static uint64_t stval;

static void rv64_access(enum access how, uint64_t addr, bool denied)
{
    static const struct {
        enum rv64_cause cause;
        uint64_t tinst;
        uint32_t insn;
    } faults[] = {
        [LOAD] = {CAUSE_LOAD_GUEST_PAGE, 0, 0x00056583},  /* lwu a1, 0(a0) */
        [STORE] = {CAUSE_STORE_GUEST_PAGE, 0, 0x00b52023}, /* sw a1, 0(a0) */
        [FETCH] = {CAUSE_FETCH_GUEST_PAGE, 0, 0},
        [WALK_OF_LOAD] = {CAUSE_LOAD_GUEST_PAGE, 0x3000, 0},
        [WALK_OF_FETCH] = {CAUSE_FETCH_GUEST_PAGE, 0x3000, 0},
    };
    struct rv64_frame *frame = rv64_model_cpu()->frame;

    (void)denied; /* it is the same fault */
    for (unsigned i = 1; i < 32; i++) {
        frame->x[i] = i;
    }
    stval = VA | (addr & (AXVM_PAGE_SIZE - 1));
    frame->x[X_A0] = stval;
    frame->x[X_A1] = VALUE;
    frame->pc = PC;
    rv64_model_cpu()->sys[RV64_VSTVEC] = VECTORS;
    rv64_before = *frame;
    rv64_guest_fault_at(frame, faults[how].cause, addr, stval, faults[how].tinst, faults[how].insn);
    rv64_after = *frame;
}

static enum outcome rv64_outcome(enum access how)
{
    static const enum rv64_cause causes[] = {
        [LOAD] = CAUSE_LOAD_ACCESS,         [STORE] = CAUSE_STORE_ACCESS,        [FETCH] = CAUSE_FETCH_ACCESS,
        [WALK_OF_LOAD] = CAUSE_LOAD_ACCESS, [WALK_OF_FETCH] = CAUSE_FETCH_ACCESS,
    };
    const uint64_t *sys = rv64_model_cpu()->sys;

    if (rv64_after.pc == PC + 4) {
        return DONE;
    }
    assert_memory_equal(rv64_after.x, rv64_before.x, sizeof(rv64_before.x));
    if (rv64_after.pc == PC) {
        return RETRIED;
    }
    assert_int_equal(rv64_after.pc, VECTORS);
    assert_int_equal(sys[RV64_VSCAUSE], causes[how]);
    assert_int_equal(sys[RV64_VSEPC], PC);
    assert_int_equal(sys[RV64_VSTVAL], stval);
    return REFUSED;
}

static uint64_t rv64_loaded(void)
{
    return rv64_after.x[X_A1];
}

static const struct abort_arch rv64_aborts = {
    .last_page = (UINT64_C(1) << 41) - AXVM_PAGE_SIZE,
    .access = rv64_access,
    .outcome = rv64_outcome,
    .loaded = rv64_loaded,
};

static int setup_rv64(void **state)
{
    int error = rv64_machine_setup(state);

    arch_aborts = &rv64_aborts;
    *state = places_vm();
    return error;
}

/* ---- One access, and what becomes of it ---- */

static struct {
    enum access how;
    uint64_t addr;
    bool denied;
} now;

static void guest_accesses(void)
{
    arch_aborts->access(now.how, now.addr, now.denied);
}

static enum axvm_exit_kind exit_of(struct axvm *vm, enum access how, uint64_t addr, bool denied)
{
    now.how = how;
    now.addr = addr;
    now.denied = denied;
    return machine_run(vm, 0, guest_accesses).kind;
}

static enum outcome of(struct axvm *vm, enum access how, uint64_t addr)
{
    assert_int_equal(exit_of(vm, how, addr, false), AXVM_EXIT_EXTERNAL_INTERRUPT);
    return arch_aborts->outcome(how);
}

static enum outcome of_denied(struct axvm *vm, enum access how, uint64_t addr)
{
    assert_int_equal(exit_of(vm, how, addr, true), AXVM_EXIT_EXTERNAL_INTERRUPT);
    return arch_aborts->outcome(how);
}

/* ---- Devices ---- */

static void test_a_device_is_read_and_written(void **state)
{
    dev.answer = 0x87654321;
    assert_int_equal(of(*state, LOAD, DEVICE + 0x128), DONE);
    assert_int_equal(arch_aborts->loaded(), 0x87654321);
    assert_int_equal(dev.offset, 0x128);
    assert_int_equal(of(*state, STORE, DEVICE + 0x48), DONE);
    assert_int_equal(dev.value, VALUE);
    assert_int_equal(dev.offset, 0x48);
    assert_int_equal(dev.size, 4);
    assert_int_equal(dev.reads, 1);
    assert_int_equal(dev.writes, 1);
    assert_int_equal(of(*state, STORE, OTHER_DEVICE), DONE);
    assert_int_equal(dev.others, 1);
}

static void test_an_error_of_a_device_is_the_guests(void **state)
{
    static const int errors[] = {AXVM_EINVAL, AXVM_EFAULT, AXVM_EUNSUPPORTED, AXVM_ENOENT};

    for (unsigned i = 0; i < 4; i++) {
        dev.error = errors[i];
        assert_int_equal(of(*state, LOAD, DEVICE), REFUSED);
        assert_int_equal(of(*state, STORE, DEVICE), REFUSED);
    }
    assert_int_equal(axvm_state(*state), AXVM_STATE_RUNNING);
}

static void test_neither_instructions_nor_tables_are_read_from_devices(void **state)
{
    for (enum access how = FETCH; how < ACCESSES; how++) {
        assert_int_equal(of(*state, how, DEVICE), REFUSED);
    }
    assert_int_equal(dev.reads, 0);
}

/* ---- Memory ---- */

static void test_first_touch_of_a_lazy_page_populates_it(void **state)
{
    for (enum access how = LOAD; how < ACCESSES; how++) {
        uint64_t page = LAZY + how * KIB(256);

        assert_false(places_mapped(*state, page));
        assert_int_equal(of(*state, how, page + 0xff8), RETRIED);
        places_check_populated(*state, page);
        assert_int_equal(of(*state, how, page), RETRIED); /* another vCPU's first touch */
    }
}

static void test_a_host_without_memory_fails_the_vm(void **state)
{
    fake_hal_fail_orders_from(0);
    assert_int_equal(exit_of(*state, STORE, LAZY, false), AXVM_EXIT_STOPPED);
    assert_int_equal(axvm_state(*state), AXVM_STATE_FAILED);
    assert_true(fake_hal_logged("memory"));
}

static void test_nothing_there_is_refused(void **state)
{
    const uint64_t holes[] = {4, HOLE, DEVICE + 0xffc, DEVICE - 4, LAZY + MIB(4), arch_aborts->last_page};

    for (unsigned i = 0; i < 6; i++) {
        for (enum access how = LOAD; how < ACCESSES; how++) {
            assert_int_equal(of(*state, how, holes[i]), REFUSED);
        }
    }
    assert_int_equal(dev.reads + dev.writes, 0);
}

static void test_what_memory_does_not_allow_is_refused(void **state)
{
    assert_int_equal(of_denied(*state, STORE, ROM), REFUSED);
    assert_int_equal(of_denied(*state, FETCH, DATA), REFUSED);
    assert_int_equal(of_denied(*state, STORE, DATA), RETRIED); /* it is allowed by now */
}

static void test_writes_to_logged_pages_are_noted_and_go_on(void **state)
{
    assert_int_equal(axvm_dirty_log_start(*state), 0);
    assert_int_equal(of_denied(*state, STORE, DATA), RETRIED);
    assert_true(places_dirty(*state, DATA));
    assert_false(places_dirty(*state, DATA + AXVM_PAGE_SIZE));
    assert_int_equal(of_denied(*state, STORE, ROM), REFUSED);
    assert_int_equal(axvm_dirty_log_stop(*state), 0);
}

#define BOTH(f)                                                                                                        \
    {"aarch64: " #f, f, setup_a64, machine_teardown, NULL}, {"riscv64: " #f, f, setup_rv64, machine_teardown, NULL}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_a_device_is_read_and_written),
        BOTH(test_an_error_of_a_device_is_the_guests),
        BOTH(test_neither_instructions_nor_tables_are_read_from_devices),
        BOTH(test_first_touch_of_a_lazy_page_populates_it),
        BOTH(test_a_host_without_memory_fails_the_vm),
        BOTH(test_nothing_there_is_refused),
        BOTH(test_what_memory_does_not_allow_is_refused),
        BOTH(test_writes_to_logged_pages_are_noted_and_go_on),
    };

    return cmocka_run_group_tests_name("abort", tests, NULL, NULL);
}
