/* SPDX-License-Identifier: Apache-2.0 */
/* The world switch, and what sends a vCPU out of the guest. */
#include "support/a64_machine.h"

#include "arch/aarch64/hcr.h"
#include "lib/host.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define VERSION 0x84000000U
#define CPU_OFF 0x84000002U

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

/* ---- Every register comes back ---- */

static uint64_t seed; /* of the pattern that a guest fills its registers with */

static uint64_t pattern(uint64_t n)
{
    return (seed << 56 | n << 32 | seed << 16 | n) * UINT64_C(0x9e3779b97f4a7c15);
}

/* MDSCR_EL1 isn't written but by a trap. */
static uint64_t sys_pattern(unsigned reg)
{
    return reg == A64_MDSCR_EL1 ? (pattern(100 + reg) & MDSCR_KDE) | MDSCR_MDE : pattern(100 + reg);
}

/* 5 priority bits; the least binary points there are */
static uint32_t vmcr_pattern(void)
{
    return ICH_VMCR_VFIQEN | 3U << ICH_VMCR_VBPR1_SHIFT | 2U << ICH_VMCR_VBPR0_SHIFT |
           (uint32_t)(seed << 3 & 0xf8) << ICH_VMCR_VPMR_SHIFT;
}

static void debug_pattern(struct a64_debug *debug)
{
    for (unsigned n = 0; n < A64_MAX_BREAKPOINTS; n++) {
        debug->bvr[n] = pattern(300 + n);
        debug->bcr[n] = pattern(320 + n);
        debug->wvr[n] = pattern(340 + n);
        debug->wcr[n] = pattern(360 + n);
    }
}

static void debug_fill(struct a64_frame *frame)
{
    struct a64_debug debug;

    debug_pattern(&debug);
    for (unsigned n = 0; n < A64_MAX_BREAKPOINTS; n++) {
        a64_guest_msr(frame, 2, 0, 0, n, 4, debug.bvr[n]);
        a64_guest_msr(frame, 2, 0, 0, n, 5, debug.bcr[n]);
        a64_guest_msr(frame, 2, 0, 0, n, 6, debug.wvr[n]);
        a64_guest_msr(frame, 2, 0, 0, n, 7, debug.wcr[n]);
    }
    os_lock(frame, false);
    mdscr(frame, sys_pattern(A64_MDSCR_EL1));
}

static void guest_fills(struct a64_frame *frame)
{
    struct a64_model_cpu *cpu = a64_model_cpu();

    debug_fill(frame);
    for (unsigned i = 0; i < 31; i++) {
        frame->x[i] = pattern(i);
    }
    frame->pc = pattern(31);
    frame->pstate = (pattern(32) & PSTATE_NZCV) | PSTATE_EL1H;
    for (unsigned i = 0; i < A64_SYS_COUNT; i++) {
        cpu->sys[i] = i == A64_MDSCR_EL1 ? cpu->sys[i] : sys_pattern(i);
    }
    for (unsigned i = 0; i < 64; i++) {
        cpu->fp.v[i] = pattern(200 + i);
    }
    cpu->fp.fpcr = pattern(264);
    cpu->fp.fpsr = pattern(265);
    cpu->cntv_ctl = CNT_CTL_IMASK | CNT_CTL_ENABLE;
    cpu->cntv_cval = pattern(400);
    ich_vmcr_write(vmcr_pattern());
    ich_ap1r_write(0, (uint32_t)seed);
}

static void guest_checks(struct a64_frame *frame)
{
    const struct a64_model_cpu *cpu = a64_model_cpu();
    struct a64_debug debug;

    for (unsigned i = 0; i < 31; i++) {
        assert_int_equal(frame->x[i], pattern(i));
    }
    assert_int_equal(frame->pc, pattern(31));
    assert_int_equal(frame->pstate, (pattern(32) & PSTATE_NZCV) | PSTATE_EL1H);
    for (unsigned i = 0; i < A64_SYS_COUNT; i++) {
        assert_int_equal(cpu->sys[i], sys_pattern(i));
    }
    for (unsigned i = 0; i < 64; i++) {
        assert_int_equal(cpu->fp.v[i], pattern(200 + i));
    }
    assert_int_equal(cpu->fp.fpcr, pattern(264));
    assert_int_equal(cpu->fp.fpsr, pattern(265));
    debug_pattern(&debug);
    assert_memory_equal(cpu->debug.bvr, debug.bvr, sizeof(debug.bvr));
    assert_memory_equal(cpu->debug.bcr, debug.bcr, sizeof(debug.bcr));
    assert_memory_equal(cpu->debug.wvr, debug.wvr, sizeof(debug.wvr));
    assert_memory_equal(cpu->debug.wcr, debug.wcr, sizeof(debug.wcr));
    assert_int_equal(cpu->cntv_ctl & 3, CNT_CTL_IMASK | CNT_CTL_ENABLE);
    assert_int_equal(cpu->cntv_cval, pattern(400));
    assert_int_equal(ich_vmcr_read(), vmcr_pattern());
    assert_int_equal(ich_ap1r_read(0), seed);
}

static void run_seed(struct axvm *vm, uint32_t vcpu, uint64_t s, a64_guest *guest)
{
    seed = s;
    assert_int_equal(a64_machine_run(vm, vcpu, guest).kind, AXVM_EXIT_EXTERNAL_INTERRUPT);
}

static void test_every_register_comes_back(void **state)
{
    struct axvm *one = machine_vm(2, NULL);
    struct axvm *two = machine_vm(1, NULL);

    (void)state;
    machine_cpu_on(one, 1);
    run_seed(one, 0, 1, guest_fills);
    run_seed(one, 1, 2, guest_fills);
    run_seed(two, 0, 3, guest_fills);
    for (unsigned round = 0; round < 3; round++) {
        run_seed(one, 0, 1, guest_checks);
        run_seed(two, 0, 3, guest_checks);
        run_seed(one, 1, 2, guest_checks);
        run_seed(one, 1, 2, guest_checks);
    }
    axvm_release_vcpu(one, 1);
    machine_pcpu(1);
    run_seed(one, 1, 2, guest_checks);
}

/* ---- Nothing of one guest is seen by the next ---- */

static void guest_is_fresh(struct a64_frame *frame)
{
    static const uint64_t reset[A64_SYS_COUNT] = {
#define RESET(name, value) [A64_##name] = (value),
        A64_SYS_REGS(RESET)
#undef RESET
    };
    const struct a64_model_cpu *cpu = a64_model_cpu();

    assert_memory_equal(cpu->sys, reset, sizeof(reset));
    for (unsigned i = 0; i < 64; i++) {
        assert_int_equal(cpu->fp.v[i], 0);
    }
    assert_int_equal(cpu->fp.fpcr | cpu->fp.fpsr, 0);
    assert_int_equal(cpu->cntv_ctl, 0);
    assert_int_equal(cpu->cntv_cval, 0);
    assert_true((cpu->controls.mdcr & MDCR_TDA) != 0);
    assert_int_equal(a64_guest_mrs(frame, 2, 0, 0, 0, 4), 0); /* DBGBVR0_EL1 */
    assert_int_equal(a64_guest_mrs(frame, 2, 0, 0, 2, 2), 0); /* MDSCR_EL1 */
    assert_int_equal(ich_ap1r_read(0), 0);
    for (unsigned i = 1; i < 31; i++) {
        assert_int_equal(frame->x[i], 0);
    }
}

static void test_a_new_guest_sees_nothing_of_others(void **state)
{
    struct axvm *one = machine_vm(1, NULL);
    struct axvm *two = machine_vm(1, NULL);

    (void)state;
    run_seed(one, 0, 0xee, guest_fills);
    run_seed(two, 0, 0, guest_is_fresh);
}

static void test_reset_leaves_nothing_of_the_last_run(void **state)
{
    struct axvm *vm = machine_vm(1, NULL);

    (void)state;
    run_seed(vm, 0, 0xee, guest_fills);
    assert_int_equal(axvm_shutdown(vm), 0);
    assert_int_equal(axvm_reset(vm), 0);
    assert_int_equal(axvm_boot(vm), 0);
    run_seed(vm, 0, 0, guest_is_fresh);
}

static void test_registers_stay_in_the_hardware_between_runs(void **state)
{
    struct axvm *vm = machine_vm(1, NULL);
    const struct a64_model_cpu *cpu = a64_model_cpu();

    (void)state;
    for (unsigned i = 0; i < 10; i++) {
        a64_machine_run(vm, 0, NULL);
    }
    assert_int_equal(cpu->entries, 10);
    assert_int_equal(cpu->sys_loads, 1);
    assert_int_equal(cpu->sys_saves, 0);
    assert_int_equal(a64_machine_vcpu(vm, 0)->base.stats.switches, 1);
    assert_int_equal(axvm_vcpu_resides_on(vm, 0), 0);
}

/* ---- TLB ---- */

static void test_tlb_is_flushed_between_vcpus_of_one_vm_alone(void **state)
{
    struct axvm *one = machine_vm(2, NULL);
    struct axvm *two = machine_vm(1, NULL);
    struct a64_model_cpu *cpu = a64_model_cpu();

    (void)state;
    machine_cpu_on(one, 1);
    a64_machine_run(two, 0, NULL);
    a64_machine_run(one, 0, NULL);
    a64_machine_run(two, 0, NULL);
    assert_int_equal(cpu->flushes_local, 0); /* each VM has a VMID */
    a64_machine_run(one, 1, NULL);
    assert_int_equal(cpu->flushes_local, 1);
    assert_int_equal(cpu->flushed_vttbr, a64_vm(one)->vttbr);
    a64_machine_run(one, 1, NULL);
    a64_machine_run(two, 0, NULL);
    a64_machine_run(one, 1, NULL);
    assert_int_equal(cpu->flushes_local, 1);
    a64_machine_run(two, 0, NULL);
    a64_machine_run(one, 0, NULL);
    assert_int_equal(cpu->flushes_local, 2);
    axvm_release_vcpu(one, 0);
    machine_pcpu(1);
    a64_machine_run(one, 0, NULL); /* the first of its VM here */
    assert_int_equal(a64_model_cpu()->flushes_local, 0);
}

static void test_each_vm_has_a_vmid_that_is_flushed_before_use(void **state)
{
    struct axvm *one = machine_vm(1, NULL);
    unsigned flushes = a64_model.flushes_vmid;
    struct axvm *two = machine_vm(1, NULL);
    uint64_t vmid_one, vmid_two;

    (void)state;
    assert_true(a64_model.flushes_vmid > flushes);
    a64_machine_run(one, 0, NULL);
    vmid_one = a64_model_cpu()->controls.vttbr >> 48;
    assert_int_equal(a64_model_cpu()->controls.vttbr & UINT64_C(0xffffffffffff), axvm_page_table_root(one).v);
    a64_machine_run(two, 0, NULL);
    vmid_two = a64_model_cpu()->controls.vttbr >> 48;
    assert_int_equal(a64_model_cpu()->controls.vttbr & UINT64_C(0xffffffffffff), axvm_page_table_root(two).v);
    assert_true(vmid_one != 0 && vmid_two != 0 && vmid_one != vmid_two);
    assert_true(vmid_one < 256 && vmid_two < 256);
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
    assert_int_equal(controls_of_new_vm()->hcr & ~(BIT(35) | BIT(36) | UINT64_C(0xffffffff)), 0);
}

/* ---- WFI and WFE ---- */

static void guest_waits(struct a64_frame *frame)
{
    frame->pc = 0x1000;
    a64_guest_wfi(frame);
    fail_msg("WFI returned");
}

static void guest_waits_for_event(struct a64_frame *frame)
{
    frame->pc = 0x1000;
    a64_guest_sync(frame, a64_esr(EC_WFX, ISS_WFE));
    fail_msg("WFE returned");
}

static void test_wfi_blocks_and_wfe_gives_way(void **state)
{
    struct axvm *vm = machine_vm(1, NULL);
    struct a64_frame *frame = &a64_machine_vcpu(vm, 0)->frame;

    (void)state;
    assert_int_equal(a64_machine_run(vm, 0, guest_waits).kind, AXVM_EXIT_HALT);
    assert_int_equal(axvm_vcpu_state(vm, 0), AXVM_VCPU_BLOCKED);
    assert_false(axvm_vcpu_runnable(vm, 0));
    assert_int_equal(frame->pc, 0x1004);
    assert_int_equal(a64_machine_run(vm, 0, guest_waits_for_event).kind, AXVM_EXIT_NOTHING);
    assert_true(axvm_vcpu_runnable(vm, 0));
    assert_int_equal(frame->pc, 0x1004);
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

static void test_interrupt_makes_a_waiting_vcpu_runnable(void **state)
{
    struct axvm *vm = machine_vm(1, NULL);

    (void)state;
    a64_machine_run(vm, 0, guest_enables_interrupts);
    assert_int_equal(a64_machine_run(vm, 0, guest_waits).kind, AXVM_EXIT_HALT);
    fake_hal_forget();
    machine_pcpu(1);
    assert_int_equal(axvm_inject_interrupt(vm, 1, 0), 0);
    assert_int_equal(fake_hal_kicks_of(axvm_id(vm), 0), 1);
    assert_true(axvm_vcpu_runnable(vm, 0));
}

static void guest_is_signalled_at_once(struct a64_frame *frame)
{
    (void)frame;
    assert_true(ich_model_signalled(1));
}

static void test_interrupt_that_came_between_runs_is_there_at_entry(void **state)
{
    struct axvm *vm = machine_vm(1, NULL);

    (void)state;
    a64_machine_run(vm, 0, guest_enables_interrupts);
    machine_pcpu(1);
    assert_int_equal(axvm_inject_interrupt(vm, 1, 0), 0);
    machine_pcpu(0);
    assert_false(ich_model_signalled(1));
    a64_machine_run(vm, 0, guest_is_signalled_at_once);
}

static void guest_sees_waits_untrapped(struct a64_frame *frame)
{
    (void)frame;
    assert_int_equal(a64_model_cpu()->controls.hcr & (HCR_TWI | HCR_TWE), 0);
}

static void guest_sees_waits_trapped(struct a64_frame *frame)
{
    (void)frame;
    assert_int_equal(a64_model_cpu()->controls.hcr & (HCR_TWI | HCR_TWE), HCR_TWI | HCR_TWE);
}

/* The host takes the pCPU's solitude away while the guest runs. */
static void guest_loses_solitude(struct a64_frame *frame)
{
    static unsigned entries;

    if (entries++ == 0) {
        guest_sees_waits_untrapped(frame);
        axvm_vcpu_set_alone(the_vm, 0, false);
        a64_guest_hvc(frame, VERSION, 0, 0, 0);
    }
    guest_sees_waits_trapped(frame);
}

static void test_a_vcpu_alone_waits_untrapped(void **state)
{
    (void)state;
    the_vm = machine_vm(1, NULL);
    a64_machine_run(the_vm, 0, guest_sees_waits_trapped);
    assert_int_equal(axvm_vcpu_set_alone(the_vm, 0, true), 0);
    a64_machine_run(the_vm, 0, guest_sees_waits_untrapped);
    assert_int_equal(a64_machine_run(the_vm, 0, guest_loses_solitude).kind, AXVM_EXIT_EXTERNAL_INTERRUPT);
    a64_machine_run(the_vm, 0, guest_sees_waits_trapped);
}

/* ---- Requests ---- */

static void on_other_pcpu(int (*what)(struct axvm *vm))
{
    machine_pcpu(1);
    assert_int_equal(what(the_vm), 0);
    machine_pcpu(0);
}

static void guest_is_suspended(struct a64_frame *frame)
{
    on_other_pcpu(axvm_suspend);
    a64_guest_hvc(frame, VERSION, 0, 0, 0);
    fail_msg("the guest goes on");
}

static void guest_found_version(struct a64_frame *frame)
{
    assert_int_equal(frame->x[0], 0x10001);
}

static void test_suspend_ends_the_run_at_the_next_exit(void **state)
{
    (void)state;
    the_vm = machine_vm(1, NULL);
    assert_int_equal(a64_machine_run(the_vm, 0, guest_is_suspended).kind, AXVM_EXIT_STOPPED);
    assert_int_equal(axvm_vcpu_resides_on(the_vm, 0), AXVM_ENOENT);
    assert_true(fake_hal_kicks_of(axvm_id(the_vm), 0) > 0);
    assert_int_equal(a64_machine_run(the_vm, 0, guest_found_version).kind, AXVM_EXIT_STOPPED);
    assert_int_equal(axvm_resume(the_vm), 0);
    assert_int_equal(a64_machine_run(the_vm, 0, guest_found_version).kind, AXVM_EXIT_EXTERNAL_INTERRUPT);
}

static unsigned entries;

static void guest_is_suspended_and_resumed(struct a64_frame *frame)
{
    if (entries++ == 0) {
        on_other_pcpu(axvm_suspend);
        on_other_pcpu(axvm_resume);
        a64_guest_hvc(frame, VERSION, 0, 0, 0);
    }
    assert_int_equal(frame->x[0], 0x10001);
}

static void test_suspend_and_resume_before_it_was_noticed_go_unnoticed(void **state)
{
    (void)state;
    entries = 0;
    the_vm = machine_vm(1, NULL);
    assert_int_equal(a64_machine_run(the_vm, 0, guest_is_suspended_and_resumed).kind, AXVM_EXIT_EXTERNAL_INTERRUPT);
    assert_int_equal(entries, 2);
}

static void guest_is_stopped(struct a64_frame *frame)
{
    on_other_pcpu(axvm_shutdown);
    a64_guest_irq(frame, AXVM_IRQ_HANDLED, 5); /* the kick */
    fail_msg("the guest goes on");
}

static void test_shutdown_ends_the_run_by_its_kick(void **state)
{
    (void)state;
    the_vm = machine_vm(1, NULL);
    assert_int_equal(a64_machine_run(the_vm, 0, guest_is_stopped).kind, AXVM_EXIT_STOPPED);
    assert_int_equal(axvm_state(the_vm), AXVM_STATE_STOPPED);
}

/* As when other pCPUs request something again each time it has been served: here, what nobody serves. */
static void guest_is_asked_without_end(struct a64_frame *frame)
{
    the_vm->vcpus[0]->requests = 1U << 31;
    a64_guest_hvc(frame, VERSION, 0, 0, 0);
    fail_msg("the guest goes on");
}

static void test_endless_requests_give_the_pcpu_back(void **state)
{
    (void)state;
    the_vm = machine_vm(1, NULL);
    assert_int_equal(a64_machine_run(the_vm, 0, guest_is_asked_without_end).kind, AXVM_EXIT_NOTHING);
    the_vm->vcpus[0]->requests = 0;
    assert_int_equal(a64_machine_run(the_vm, 0, guest_found_version).kind, AXVM_EXIT_EXTERNAL_INTERRUPT);
}

/* ---- Physical interrupts ---- */

static void guest_is_interrupted(struct a64_frame *frame)
{
    struct a64_frame before = *frame;

    a64_guest_irq(frame, AXVM_IRQ_NONE, 0);
    a64_guest_irq(frame, AXVM_IRQ_HANDLED, 26);
    a64_guest_irq(frame, AXVM_IRQ_MAINTENANCE, 25);
    assert_memory_equal(frame, &before, sizeof(before));
    a64_guest_irq(frame, AXVM_IRQ_RESCHED, 77);
    fail_msg("the guest goes on");
}

static void test_the_hosts_interrupts_leave_the_guest_alone(void **state)
{
    struct axvm *vm = machine_vm(1, NULL);
    struct axvm_exit exit = a64_machine_run(vm, 0, guest_is_interrupted);

    (void)state;
    assert_int_equal(exit.kind, AXVM_EXIT_EXTERNAL_INTERRUPT);
    assert_int_equal(exit.external_interrupt.vector, 77);
    assert_int_equal(a64_machine_vcpu(vm, 0)->base.stats.irqs, 4);
    assert_int_equal(a64_machine_vcpu(vm, 0)->base.stats.others, 0);
}

static void guest_gets_interrupts_from_elsewhere(struct a64_frame *frame)
{
    guest_enables_interrupts(frame);
    machine_pcpu(1);
    assert_int_equal(axvm_inject_interrupt(the_vm, 1, 0), 0);
    machine_pcpu(0);
    assert_false(ich_model_signalled(1));
    a64_guest_irq(frame, AXVM_IRQ_HANDLED, 1); /* the kick */
    assert_true(ich_model_signalled(1));
    assert_int_equal(ich_model_ack(1), 0);
    ich_model_eoi(1, 0);
    assert_int_equal(axvm_inject_interrupt(the_vm, 1, 0), 0); /* by this pCPU itself: no kick is needed */
    a64_guest_hvc(frame, VERSION, 0, 0, 0);
    assert_int_equal(ich_model_ack(1), 0);
    ich_model_eoi(1, 0);
}

static void test_an_interrupt_is_in_the_list_registers_before_the_guest_goes_on(void **state)
{
    (void)state;
    the_vm = machine_vm(1, NULL);
    assert_int_equal(a64_machine_run(the_vm, 0, guest_gets_interrupts_from_elsewhere).kind,
                     AXVM_EXIT_EXTERNAL_INTERRUPT);
    assert_int_equal(fake_hal_kicks_of(axvm_id(the_vm), 0), 1);
}

/* ---- The machine ---- */

static void test_a_pcpu_without_el2_is_refused(void **state)
{
    (void)state;
    a64_model.supported = false;
    machine_pcpu(2);
    assert_false(axvm_has_hardware_support());
    assert_int_equal(axvm_cpu_enable(), AXVM_EUNSUPPORTED);
    assert_false(a64_model.cpus[2].enabled);
}

static void make_lazy(struct axvm_config *config)
{
    config->lazy = true;
    config->default_devices = false;
    config->emu_devices_count = 0;
}

/* 255 VMIDs of 8 bits; a failed VM gives its own back. */
static void test_vmids_run_out_with_an_error(void **state)
{
    static struct axvm_config config;
    struct axvm *vms[256];

    (void)state;
    axvm_config_init(&config);
    config.name = "test";
    config.cpu_num = 1;
    config.memory = MIB(4);
    make_lazy(&config);
    for (unsigned i = 0; i < 256; i++) {
        static const uint32_t kernel = 0x14000000;

        assert_int_equal(axvm_create(&config, &vms[i]), 0);
        assert_int_equal(axvm_set_image(vms[i], AXVM_IMAGE_KERNEL, &kernel, sizeof(kernel)), 0);
        assert_int_equal(axvm_init(vms[i]), i < 255 ? AXVM_OK : AXVM_ENOMEM);
        for (unsigned other = 0; i < 255 && other < i; other++) {
            assert_int_not_equal(a64_vm(vms[i])->vmid, a64_vm(vms[other])->vmid);
        }
    }
    assert_true(fake_hal_logged("VMID"));
    assert_int_equal(axvm_destroy(vms[7]), 0);
    vms[7] = machine_vm(1, make_lazy);
    for (unsigned i = 0; i < 256; i++) {
        assert_int_equal(i == 7 ? 0 : axvm_destroy(vms[i]), 0);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, a64_machine_setup, machine_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_every_register_comes_back),
        TEST(test_a_new_guest_sees_nothing_of_others),
        TEST(test_reset_leaves_nothing_of_the_last_run),
        TEST(test_registers_stay_in_the_hardware_between_runs),
        TEST(test_tlb_is_flushed_between_vcpus_of_one_vm_alone),
        TEST(test_each_vm_has_a_vmid_that_is_flushed_before_use),
        TEST(test_memory_that_goes_is_flushed_from_the_tlbs_of_its_vm),
        TEST(test_breakpoints_are_in_the_hardware_only_while_they_count),
        TEST(test_os_lock_keeps_debug_exceptions_away),
        TEST(test_what_every_guest_is_kept_from),
        TEST(test_features_of_the_cpu_bring_their_traps),
        TEST(test_traps_of_features_that_are_not_there_stay_zero),
        TEST(test_enables_stay_off),
        TEST(test_wfi_blocks_and_wfe_gives_way),
        TEST(test_waits_only_if_its_condition_holds),
        TEST(test_neither_waits_with_an_interrupt_pending),
        TEST(test_interrupt_makes_a_waiting_vcpu_runnable),
        TEST(test_interrupt_that_came_between_runs_is_there_at_entry),
        TEST(test_a_vcpu_alone_waits_untrapped),
        TEST(test_suspend_ends_the_run_at_the_next_exit),
        TEST(test_suspend_and_resume_before_it_was_noticed_go_unnoticed),
        TEST(test_shutdown_ends_the_run_by_its_kick),
        TEST(test_endless_requests_give_the_pcpu_back),
        TEST(test_the_hosts_interrupts_leave_the_guest_alone),
        TEST(test_an_interrupt_is_in_the_list_registers_before_the_guest_goes_on),
        TEST(test_a_pcpu_without_el2_is_refused),
        TEST(test_vmids_run_out_with_an_error),
    };

    return cmocka_run_group_tests_name("a64_run", tests, NULL, NULL);
}
