/* SPDX-License-Identifier: Apache-2.0 */
/* What of test_run.c's matter is aarch64's own: VMIDs, breakpoints, traps, WFE. */
#include "support/a64_machine.h"

#include "arch/aarch64/hcr.h"
#include "lib/host.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define ISS_WFE 1U

static uint64_t mdscr(struct a64_frame *frame, uint64_t value)
{
    a64_guest_msr(frame, 2, 0, 0, 2, 2, value);
    return a64_guest_mrs(frame, 2, 0, 0, 2, 2);
}

static void os_lock(struct a64_frame *frame, bool locked)
{
    a64_guest_msr(frame, 2, 0, 1, 0, 4, locked);
}

/* ---- TLB ---- */

/* A fence or a TLBI of its reaches all pCPUs. */
static void test_a_vcpu_that_moves_flushes_nothing(void **state)
{
    struct axvm *vm = machine_vm(1, NULL);

    (void)state;
    a64_machine_run(vm, 0, NULL);
    axvm_release_vcpu(vm, 0);
    machine_pcpu(1);
    a64_machine_run(vm, 0, NULL); /* the first of its VM here */
    assert_int_equal(a64_model_cpu()->flushes_local, 0);
}

static void test_a_vmid_is_flushed_before_use(void **state)
{
    unsigned flushes = a64_model.flushes_vmid;

    (void)state;
    machine_vm(1, NULL);
    assert_true(a64_model.flushes_vmid > flushes);
}

static void test_memory_that_goes_is_flushed_from_the_tlbs_of_its_vm(void **state)
{
    struct axvm *one = machine_vm(1, NULL);
    struct axvm *two = machine_vm(1, NULL);
    unsigned flushes = a64_model.flushes_range;

    (void)state;
    a64_machine_run(two, 0, NULL);
    assert_int_equal(axvm_unmap_region(one, gpa(A64_RAM + MIB(2)), MIB(1)), 0);
    assert_true(a64_model.flushes_range > flushes);
    assert_int_equal(a64_model.flushed.vttbr, a64_vm(one)->vttbr);
    assert_int_equal(a64_model.flushed.start, A64_RAM + MIB(2));
    assert_int_equal(a64_model.flushed.size, MIB(1));
}

/* ---- Breakpoints ---- */

static void guest_sets_breakpoints_without_mde(struct a64_frame *frame)
{
    const struct a64_model_cpu *cpu = a64_model_cpu();

    for (unsigned n = 0; n < 16; n++) {
        for (unsigned kind = 4; kind < 8; kind++) {
            a64_guest_msr(frame, 2, 0, 0, n, kind, 0x1000 * n + kind);
        }
    }
    for (unsigned n = 0; n < 16; n++) {
        for (unsigned kind = 4; kind < 8; kind++) {
            assert_int_equal(a64_guest_mrs(frame, 2, 0, 0, n, kind), 0x1000 * n + kind);
        }
    }
    assert_int_equal(cpu->debug_loads, 0);
    assert_true((cpu->controls.mdcr & MDCR_TDA) != 0);
}

static void guest_turns_mde_on(struct a64_frame *frame)
{
    const struct a64_model_cpu *cpu = a64_model_cpu();

    os_lock(frame, false);
    assert_int_equal(mdscr(frame, MDSCR_KDE), MDSCR_KDE);
    assert_int_equal(cpu->debug_loads, 0);
    assert_int_equal(mdscr(frame, MDSCR_MDE | MDSCR_KDE), MDSCR_MDE | MDSCR_KDE);
    assert_int_equal(cpu->debug_loads, 1);
    for (unsigned n = 0; n < 16; n++) {
        assert_int_equal(cpu->debug.bvr[n], 0x1000 * n + 4);
        assert_int_equal(cpu->debug.bcr[n], 0x1000 * n + 5);
        assert_int_equal(cpu->debug.wvr[n], 0x1000 * n + 6);
        assert_int_equal(cpu->debug.wcr[n], 0x1000 * n + 7);
    }
}

/* Whatever the guest does with them: DBGCLAIM and DBGDTR would be a mailbox for the next one. */
static void guest_has_none_for_itself(struct a64_frame *frame)
{
    (void)frame;
    assert_true((a64_model_cpu()->controls.mdcr & MDCR_TDA) != 0);
}

static void guest_has_no_breakpoints(struct a64_frame *frame)
{
    guest_has_none_for_itself(frame);
    assert_int_equal(a64_model_cpu()->sys[A64_MDSCR_EL1], 0);
    assert_int_equal(a64_guest_mrs(frame, 2, 0, 0, 3, 4), 0);
    assert_int_equal(a64_guest_mrs(frame, 2, 0, 0, 2, 2), 0);
}

static void guest_moves_a_breakpoint(struct a64_frame *frame)
{
    guest_has_none_for_itself(frame);
    assert_int_equal(a64_model_cpu()->debug.bvr[3], 0x3004);
    a64_guest_msr(frame, 2, 0, 0, 3, 4, 0xabc0);
    assert_int_equal(a64_model_cpu()->debug.bvr[3], 0xabc0);
    assert_int_equal(mdscr(frame, 0), 0);
    assert_int_equal(a64_model_cpu()->sys[A64_MDSCR_EL1], 0);
}

static void guest_finds_its_breakpoint(struct a64_frame *frame)
{
    assert_int_equal(a64_guest_mrs(frame, 2, 0, 0, 3, 4), 0xabc0);
}

static void test_breakpoints_are_in_the_hardware_only_while_they_count(void **state)
{
    struct axvm *one = machine_vm(1, NULL);
    struct axvm *two = machine_vm(1, NULL);
    struct a64_model_cpu *cpu = a64_model_cpu();

    (void)state;
    a64_machine_run(one, 0, guest_sets_breakpoints_without_mde);
    a64_machine_run(two, 0, guest_has_no_breakpoints);
    assert_int_equal(cpu->debug_loads, 0);
    a64_machine_run(one, 0, guest_turns_mde_on);
    a64_machine_run(two, 0, guest_has_no_breakpoints);
    assert_int_equal(cpu->debug_loads, 1);
    a64_machine_run(one, 0, guest_moves_a_breakpoint);
    assert_int_equal(cpu->debug_loads, 3);
    a64_machine_run(two, 0, guest_has_no_breakpoints);
    a64_machine_run(one, 0, guest_finds_its_breakpoint);
    assert_int_equal(cpu->debug_loads, 3);
}

/* Arm ARM D2.2: with OSLSR_EL1.OSLK set, which is how it comes out of reset, no debug exceptions but BRK's. */
static void guest_debugs_with_the_os_lock(struct a64_frame *frame)
{
    const uint64_t all = MDSCR_SS | MDSCR_TDCC | MDSCR_KDE | MDSCR_MDE;
    const struct a64_model_cpu *cpu = a64_model_cpu();

    assert_int_equal(mdscr(frame, all), all);
    assert_int_equal(cpu->sys[A64_MDSCR_EL1], MDSCR_TDCC | MDSCR_KDE);
    a64_guest_msr(frame, 2, 0, 0, 1, 4, 0x1230);
    assert_int_equal(cpu->debug_loads, 0);
    os_lock(frame, false);
    assert_int_equal(cpu->sys[A64_MDSCR_EL1], all);
    assert_int_equal(cpu->debug_loads, 1);
    assert_int_equal(cpu->debug.bvr[1], 0x1230);
    os_lock(frame, true);
    assert_int_equal(cpu->sys[A64_MDSCR_EL1], MDSCR_TDCC | MDSCR_KDE);
    assert_int_equal(a64_guest_mrs(frame, 2, 0, 0, 2, 2), all);
}

static void guest_still_has_the_os_lock(struct a64_frame *frame)
{
    assert_int_equal(a64_model_cpu()->sys[A64_MDSCR_EL1], MDSCR_TDCC | MDSCR_KDE);
    assert_int_equal(a64_guest_mrs(frame, 2, 0, 0, 2, 2), MDSCR_SS | MDSCR_TDCC | MDSCR_KDE | MDSCR_MDE);
}

static void test_os_lock_keeps_debug_exceptions_away(void **state)
{
    struct axvm *one = machine_vm(1, NULL);
    struct axvm *two = machine_vm(1, NULL);

    (void)state;
    a64_machine_run(one, 0, guest_debugs_with_the_os_lock);
    a64_machine_run(two, 0, guest_has_no_breakpoints);
    a64_machine_run(one, 0, guest_still_has_the_os_lock);
    assert_int_equal(a64_model_cpu()->debug_loads, 1);
}

/* ---- Controls ---- */

static uint64_t id_field(unsigned crm, unsigned op2, unsigned shift, uint64_t value)
{
    a64_model.id[crm][op2] = (a64_model.id[crm][op2] & ~(UINT64_C(0xf) << shift)) | value << shift;
    return value;
}

static const struct a64_controls *controls_of_new_vm(void)
{
    a64_machine_run(machine_vm(1, NULL), 0, NULL);
    return &a64_model_cpu()->controls;
}

/* Written out: bit by bit from the manual, not from hcr.h. */
#define BIT(n) (UINT64_C(1) << (n))

static void test_what_every_guest_is_kept_from(void **state)
{
    const struct a64_controls *c = controls_of_new_vm();
    uint64_t hcr = BIT(0) | BIT(1) | BIT(3) | BIT(4) | BIT(5) | BIT(9) | BIT(10) | BIT(13) | BIT(14) | BIT(18) |
                   BIT(19) | BIT(20) | BIT(21) | BIT(31);

    (void)state;
    assert_int_equal(c->hcr, hcr); /* VM SWIO FMO IMO AMO FB BSU=IS TWI TWE TID3 TSC TIDCP TACR RW */
    assert_int_equal(c->mdcr, BIT(5) | BIT(6) | BIT(9) | BIT(10) | BIT(11)); /* TPMCR TPM TDA TDOSA TDRA */
    assert_int_equal(c->cptr, 0x33ff);
    assert_int_equal(c->vpidr, 0x410fd083);
    assert_int_equal(c->vmpidr, BIT(31));
    assert_int_equal(c->vtcr >> 16 & 7, 4);        /* PS: 44 bits */
    assert_int_equal(c->vtcr & 0x3f, 64 - 44);     /* T0SZ */
    assert_int_equal(c->vtcr >> 6 & 3, 2);         /* SL0: level 0 */
    assert_int_equal(c->vtcr >> 14 & 3, 0);        /* TG0: 4 KiB */
}

static void test_features_of_the_cpu_bring_their_traps(void **state)
{
    const struct a64_controls *c;

    (void)state;
    id_field(7, 1, 16, 1); /* LORegions: TLOR */
    id_field(4, 0, 28, 1); /* RAS: TERR */
    id_field(5, 0, 32, 1); /* SPE: TPMS */
    id_field(5, 0, 40, 1); /* trace filter: TTRF */
    id_field(5, 0, 4, 1);  /* trace: TTA */
    id_field(4, 0, 44, 1); /* activity monitors: TAM */
    c = controls_of_new_vm();
    assert_int_equal(c->hcr & (BIT(35) | BIT(36)), BIT(35) | BIT(36));
    assert_int_equal(c->mdcr & (BIT(14) | BIT(19)), BIT(14) | BIT(19));
    assert_int_equal(c->cptr, 0x33ff | BIT(20) | BIT(30));
}

static void test_traps_of_features_that_are_not_there_stay_zero(void **state)
{
    static const uint64_t no_pmu[] = {0, 0xf}; /* 0xf: a PMU that isn't PMUv3, whose registers are the CPU's own */
    const struct a64_controls *c;

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        id_field(5, 0, 8, no_pmu[i]);
        c = controls_of_new_vm();
        assert_int_equal(c->mdcr, BIT(9) | BIT(10) | BIT(11));
    }
}

/* Pointer authentication, nested virtualization, memory tagging: their enables stay off, whatever the CPU has. */
static void test_enables_stay_off(void **state)
{
    (void)state;
    memset(a64_model.id, 0x11, sizeof(a64_model.id));
    a64_model.id[7][0] = 0x1124;
    assert_int_equal(controls_of_new_vm()->hcr & ~(BIT(35) | BIT(36) | BIT(58) | UINT64_C(0xffffffff)), 0);
}

/* ---- WFI and WFE ---- */

static void guest_waits_for_event(struct a64_frame *frame)
{
    frame->pc = 0x1000;
    a64_guest_sync(frame, a64_esr(EC_WFX, ISS_WFE));
    fail_msg("WFE returned");
}

static void test_wfe_gives_way(void **state)
{
    struct axvm *vm = machine_vm(1, NULL);

    (void)state;
    assert_int_equal(a64_machine_run(vm, 0, guest_waits_for_event).kind, AXVM_EXIT_NOTHING);
    assert_true(axvm_vcpu_runnable(vm, 0));
    assert_int_equal(a64_machine_vcpu(vm, 0)->frame.pc, 0x1004);
}

#define A32_USER 0x10U
#define FLAG_Z (UINT64_C(1) << 30)
#define WHEN_EQUAL (UINT64_C(1) << 24) /* CV, and COND 0: EQ */

/* In T32 the condition is the IT block's, and the instruction has 16 bits. */
static void guest_waits_on_conditions_that_fail(struct a64_frame *frame)
{
    for (uint64_t kind = WFX_WFI; kind <= ISS_WFE; kind++) {
        frame->pstate = A32_USER;
        frame->pc = 0x1000;
        a64_guest_sync(frame, a64_esr(EC_WFX, WHEN_EQUAL | kind));
        assert_int_equal(frame->pc, 0x1004);
        frame->pstate = A32_USER | 0x4U << 8; /* EQ, and one more instruction */
        a64_guest_sync(frame, a64_esr(EC_WFX, kind) & ~ESR_IL);
        assert_int_equal(frame->pc, 0x1006);
        assert_int_equal(frame->pstate, A32_USER | 0x8U << 8);
    }
}

static void guest_waits_on_a_condition_that_holds(struct a64_frame *frame)
{
    frame->pstate = A32_USER | FLAG_Z;
    frame->pc = 0x1000;
    a64_guest_sync(frame, a64_esr(EC_WFX, WHEN_EQUAL | WFX_WFI));
    fail_msg("WFIEQ returned");
}

/* BTYPE of AArch64 is where AArch32 has the IT block. */
static void guest_waits_in_aarch64(struct a64_frame *frame)
{
    frame->pstate |= PSTATE_BTYPE;
    a64_guest_sync(frame, a64_esr(EC_WFX, WFX_WFI));
    fail_msg("WFI returned");
}

static void test_waits_only_if_its_condition_holds(void **state)
{
    struct axvm *vm = machine_vm(1, NULL);

    (void)state;
    assert_int_equal(a64_machine_run(vm, 0, guest_waits_in_aarch64).kind, AXVM_EXIT_HALT);
    assert_int_equal(a64_machine_run(vm, 0, guest_waits_on_conditions_that_fail).kind, AXVM_EXIT_EXTERNAL_INTERRUPT);
    assert_int_equal(a64_machine_run(vm, 0, guest_waits_on_a_condition_that_holds).kind, AXVM_EXIT_HALT);
    assert_int_equal(a64_machine_vcpu(vm, 0)->frame.pc, 0x1004);
}

static void guest_enables_interrupts(struct a64_frame *frame)
{
    frame->x[1] = 2; /* GICD_CTLR: group 1 */
    a64_guest_store(frame, 0x08000000, 4, 1);
    frame->x[1] = 1U << 27 | 1U << 30 | 1; /* GICR_ISENABLER0: both timers, SGI 0 */
    a64_guest_store(frame, 0x080b0100, 4, 1);
    ich_model_set_pmr(0xf8);
    ich_model_set_group(1, true);
}

static struct axvm *the_vm;

/* Again from the beginning, if the run doesn't end. */
static void guest_waits_with_interrupt_pending(struct a64_frame *frame)
{
    static const uint64_t kinds[] = {WFX_WFI, ISS_WFE};

    if (frame->x[20] == 0) {
        guest_enables_interrupts(frame);
        assert_int_equal(axvm_inject_interrupt(the_vm, 1, 0), 0);
    }
    while (frame->x[20] < 2) {
        frame->x[21] = frame->pc + 4;
        a64_guest_sync(frame, a64_esr(EC_WFX, kinds[frame->x[20]++]));
    }
    assert_int_equal(frame->pc, frame->x[21]);
}

static void test_neither_waits_with_an_interrupt_pending(void **state)
{
    (void)state;
    the_vm = machine_vm(1, NULL);
    assert_int_equal(a64_machine_run(the_vm, 0, guest_waits_with_interrupt_pending).kind, AXVM_EXIT_EXTERNAL_INTERRUPT);
    assert_int_equal(a64_machine_vcpu(the_vm, 0)->frame.x[20], 2);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, a64_machine_setup, machine_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_vcpu_that_moves_flushes_nothing),
        TEST(test_a_vmid_is_flushed_before_use),
        TEST(test_memory_that_goes_is_flushed_from_the_tlbs_of_its_vm),
        TEST(test_breakpoints_are_in_the_hardware_only_while_they_count),
        TEST(test_os_lock_keeps_debug_exceptions_away),
        TEST(test_what_every_guest_is_kept_from),
        TEST(test_features_of_the_cpu_bring_their_traps),
        TEST(test_traps_of_features_that_are_not_there_stay_zero),
        TEST(test_enables_stay_off),
        TEST(test_wfe_gives_way),
        TEST(test_waits_only_if_its_condition_holds),
        TEST(test_neither_waits_with_an_interrupt_pending),
    };

    return cmocka_run_group_tests_name("a64_run", tests, NULL, NULL);
}
