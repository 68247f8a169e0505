/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of test_run.c's matter is riscv64's own: TLBs, WFI, instructions that a guest doesn't have; and what vCPUs do to
 * each other: interrupts and fences.
 */
#include "support/random.h"
#include "support/run.h"
#include "support/rv64_machine.h"

#include "lib/host.h"
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define SBI_BASE 0x10U
#define SBI_HSM 0x48534dU
#define HSM_HART_STOP 1U
#define SPEC_VERSION 0x02000000U

static struct axvm *the_vm;

static void run(struct axvm *vm, uint32_t vcpu, rv64_guest *guest)
{
    assert_int_equal(rv64_machine_run(vm, vcpu, guest).kind, AXVM_EXIT_EXTERNAL_INTERRUPT);
}

/* Any exit that goes on. */
static void guest_calls(struct rv64_frame *frame)
{
    assert_int_equal(rv64_guest_sbi(frame, SBI_BASE, 0, 0, 0, 0), 0);
    assert_int_equal(frame->x[X_A1], SPEC_VERSION);
}

/* The model aborts when a register is touched that isn't there. */
static void test_a_machine_that_has_less(void **state)
{
    struct axvm *vm;

    (void)state;
    rv64_model.features = 0;
    vm = machine_vm(2, NULL);
    machine_cpu_on(vm, 1);
    run(vm, 0, guest_calls);
    run(vm, 1, guest_calls);
    run(vm, 0, guest_calls);
    assert_int_equal(rv64_model_cpu()->fp_loads + rv64_model_cpu()->vector_loads, 0);
    assert_int_equal(rv64_model_cpu()->controls.henvcfg & (ENVCFG_STCE | ENVCFG_PBMTE), 0);
}

/* ---- TLB ---- */

/* A fence that it executed elsewhere wasn't heard here. */
static void test_a_vcpu_that_comes_back_to_a_pcpu_finds_nothing(void **state)
{
    struct axvm *vm = machine_vm(1, NULL);

    (void)state;
    run(vm, 0, NULL);
    axvm_release_vcpu(vm, 0);
    machine_pcpu(1);
    run_rv64.forgotten();
    run(vm, 0, NULL);
    assert_int_equal(run_rv64.forgotten(), 1);
    axvm_release_vcpu(vm, 0);
    machine_pcpu(0);
    run(vm, 0, NULL);
    assert_int_equal(run_rv64.forgotten(), 1);
    axvm_release_vcpu(vm, 0);
    run(vm, 0, NULL);
    assert_int_equal(run_rv64.forgotten(), 0);
}

static uint64_t far_base;

static void far_away(struct axvm_config *config)
{
    config->memory_regions_count = 1;
    config->memory_regions[0] = (struct axvm_mem_config){.gpa = gpa(far_base), .size = MIB(1), .flags = 7};
}

static uint64_t mode_for(uint64_t base)
{
    far_base = base;
    run(machine_vm(1, far_away), 0, NULL);
    return rv64_model_cpu()->controls.hgatp >> 60;
}

/* The table has as many levels as the addresses need and the hardware has; of a mode's addresses, the lower half. */
static void test_the_mode_follows_the_addresses(void **state)
{
    (void)state;
    assert_int_equal(mode_for((UINT64_C(1) << 40) - MIB(1)), 8);
    assert_int_equal(mode_for(UINT64_C(1) << 40), 9);
    assert_int_equal(mode_for((UINT64_C(1) << 49) - MIB(1)), 9);
    assert_int_equal(mode_for(UINT64_C(1) << 49), 10);
    assert_int_equal(mode_for((UINT64_C(1) << 59) - MIB(1)), 10);
    rv64_model.gpa_bits = 41;
    assert_int_equal(mode_for((UINT64_C(1) << 41) - MIB(1)), 8);
}

/* Only where the VM has been; and all of it, before the VMID is another's. */
static void test_memory_that_goes_is_flushed_where_the_vm_ran(void **state)
{
    struct axvm *vm = machine_vm(2, NULL);
    const struct rv64_model_flush *flush;

    (void)state;
    machine_cpu_on(vm, 1);
    machine_pcpu(1);
    run(vm, 1, NULL);
    rv64_model_forget_flushes();
    assert_int_equal(axvm_unmap_region(vm, gpa(RV64_RAM + MIB(2)), MIB(1)), 0);
    flush = rv64_model_last_flush();
    assert_int_equal(flush->kind, RV64_FLUSH_GSTAGE);
    assert_int_equal(flush->pcpus, 3);
    assert_int_equal(flush->vmid, rv64_vm(vm)->vmid);
    assert_int_equal(flush->start, RV64_RAM + MIB(2));
    assert_int_equal(flush->size, MIB(1));
    machine_pcpu(0);
}

/* Where its VM ran. */
static void test_a_vmid_is_flushed_before_it_is_given_again(void **state)
{
    struct axvm *vm = machine_vm(1, NULL);
    uint32_t vmid = rv64_vm(vm)->vmid;

    (void)state;
    run(vm, 0, NULL);
    assert_int_equal(axvm_shutdown(vm), 0);
    axvm_release_vcpu(vm, 0);
    rv64_model_forget_flushes();
    assert_int_equal(machine_end(vm), 0);
    assert_true(rv64_model.flush_counts[RV64_FLUSH_GSTAGE] > 0);
    assert_int_equal(rv64_model_last_flush()->vmid, vmid);
    assert_int_equal(rv64_model_last_flush()->size, UINT64_MAX);
    assert_int_equal(rv64_model_last_flush()->pcpus, 1);
}

/* ---- Controls ---- */

/* Written out: bit by bit from the manual, not from csr.h. */
#define BIT(n) (UINT64_C(1) << (n))

static void test_what_every_guest_is_kept_from(void **state)
{
    const struct rv64_controls *c = &rv64_model_cpu()->controls;

    (void)state;
    run(machine_vm(1, NULL), 0, NULL);
    assert_int_equal(c->hstatus & ~BIT(8), BIT(7) | BIT(21) | BIT(33)); /* SPV VTW VSXL = 64; not HU VTVM VTSR VGEIN */
    assert_int_equal(c->hedeleg & (BIT(9) | BIT(10) | BIT(11) | BIT(20) | BIT(21) | BIT(22) | BIT(23)), 0);
    assert_int_equal(c->hedeleg, 0xb1ff);
    assert_int_equal(c->hideleg, BIT(2) | BIT(6) | BIT(10));
    assert_int_equal(c->hcounteren, BIT(1)); /* the time, and no counter */
    assert_int_equal(c->henvcfg & 0x30, 0x10); /* CBIE: invalidation flushes */
    assert_int_equal(c->henvcfg & (BIT(62) | BIT(63)), BIT(62) | BIT(63)); /* PBMTE, STCE: this machine has both */
}

static void check_memory_types(bool there, uint32_t features, const char *isa)
{
    static struct axvm_hal host;
    struct axvm *vm;

    host = *hal;
    host.isa = isa;
    hal = &host; /* until the next setup */
    rv64_model.features = features;
    vm = machine_vm(1, NULL);
    run(vm, 0, NULL);
    assert_ptr_equal(vm->as.table.format, there ? &pt_riscv64_gstage_svpbmt : &pt_riscv64_gstage);
    assert_int_equal(rv64_model_cpu()->controls.henvcfg >> 62 & 1, there);
}

/* QEMU 7.2 has henvcfg.PBMTE whether or not the bits of a leaf mean anything; and then they are reserved. */
static void test_memory_types_are_used_where_the_cpu_has_them_and_the_machine_says_so(void **state)
{
    (void)state;
    check_memory_types(true, RV64_ENVCFG | RV64_PBMT, "rv64imafdch_svinval_svpbmt");
    check_memory_types(false, RV64_ENVCFG, "rv64imafdch_svpbmt");
    check_memory_types(false, RV64_ENVCFG | RV64_PBMT, "rv64imafdch_svpbmtx");
    check_memory_types(false, RV64_ENVCFG | RV64_PBMT, NULL);
}

/* ---- Waiting ---- */

static uint64_t sie, hvip;
static unsigned entries;

static void guest_waits(struct rv64_frame *frame)
{
    rv64_model_cpu()->sys[RV64_VSIE] = sie;
    rv64_model_cpu()->hvip = hvip;
    frame->pc = 0x1000;
    rv64_guest_wfi(frame);
}

static void guest_waits_once(struct rv64_frame *frame)
{
    if (entries++ == 0) {
        guest_waits(frame);
    }
}

/* 18.2.3: what is pending in hip and enabled in vsie, one bit lower; vsstatus.SIE doesn't count. */
static void test_wfi_goes_on_for_what_is_pending_and_enabled(void **state)
{
    struct axvm *vm = machine_vm(1, NULL);

    (void)state;
    for (unsigned pending = 0; pending < 8; pending++) {
        for (unsigned enabled = 0; enabled < 8; enabled++) {
            bool goes_on = (pending & enabled) != 0;

            hvip = (pending & 1 ? IRQ_VSS : 0) | (pending & 2 ? IRQ_VST : 0) | (pending & 4 ? IRQ_VSE : 0);
            sie = (enabled & 1 ? BIT(1) : 0) | (enabled & 2 ? BIT(5) : 0) | (enabled & 4 ? BIT(9) : 0);
            rv64_machine_vcpu(vm, 0)->plic.output = (hvip & IRQ_VSE) != 0;
            entries = 0;
            assert_int_equal(rv64_machine_run(vm, 0, guest_waits_once).kind,
                             goes_on ? AXVM_EXIT_EXTERNAL_INTERRUPT : AXVM_EXIT_HALT);
            assert_int_equal(entries, 1); /* it didn't leave to find out */
            assert_int_equal(rv64_machine_vcpu(vm, 0)->frame.pc, 0x1004);
            assert_int_equal(axvm_vcpu_runnable(vm, 0), goes_on);
        }
    }
    rv64_machine_vcpu(vm, 0)->plic.output = false;
}

static void guest_has_an_interrupt(struct rv64_frame *frame)
{
    (void)frame;
    rv64_model_cpu()->hvip = IRQ_VSS;
}

static void test_an_interrupt_that_was_taken_does_not_end_a_wait(void **state)
{
    struct axvm *vm = machine_vm(1, NULL);

    (void)state;
    run(vm, 0, guest_has_an_interrupt);
    axvm_release_vcpu(vm, 0);
    sie = BIT(1);
    hvip = 0; /* the guest has cleared it */
    assert_int_equal(rv64_machine_run(vm, 0, guest_waits).kind, AXVM_EXIT_HALT);
    assert_false(axvm_vcpu_runnable(vm, 0));
}

static void guest_waits_in_user_mode(struct rv64_frame *frame)
{
    rv64_model_cpu()->sys[RV64_VSTVEC] = 0x8000;
    rv64_model_set_vs(false);
    frame->pc = 0x1000;
    rv64_guest_wfi(frame);
    assert_int_equal(frame->pc, 0x8000);
    assert_int_equal(rv64_model_cpu()->sys[RV64_VSCAUSE], 2);
    assert_int_equal(rv64_model_cpu()->sys[RV64_VSTVAL], RV64_INSN_WFI);
    assert_true((rv64_model_cpu()->controls.sstatus & SSTATUS_SPP) != 0); /* in VS now */
}

static void test_wfi_of_user_mode_is_illegal(void **state)
{
    (void)state;
    run(machine_vm(1, NULL), 0, guest_waits_in_user_mode);
}

/* What wakes it: an interrupt of each kind, if it is enabled. */
static void check_wakes(struct axvm *vm, uint64_t enabled, bool wakes)
{
    struct rv64_vcpu *v = rv64_machine_vcpu(vm, 0);

    sie = enabled;
    hvip = 0;
    assert_int_equal(rv64_machine_run(vm, 0, guest_waits).kind, AXVM_EXIT_HALT);
    assert_false(axvm_vcpu_runnable(vm, 0));
    machine_pcpu(1);
    fake_hal_forget();
    rv64_send_ipi(rv64_machine_vcpu(vm, 1), v);
    machine_pcpu(0);
    assert_int_equal(axvm_vcpu_runnable(vm, 0), wakes);
    assert_int_equal(fake_hal_kicks_of(axvm_id(vm), 0), 1);
    run(vm, 0, NULL);
    assert_int_equal(rv64_model_cpu()->hvip, IRQ_VSS); /* and there it is */
}

static void test_an_ipi_wakes_a_waiting_vcpu(void **state)
{
    struct axvm *vm = machine_vm(2, NULL);

    (void)state;
    check_wakes(vm, BIT(1), true);
    check_wakes(vm, BIT(1) | BIT(5) | BIT(9), true);
    check_wakes(vm, BIT(5) | BIT(9), false);
}

static void plic_write(struct axvm *vm, uint64_t offset, uint64_t value)
{
    assert_int_equal(bus_write(&vm->buses[AXVM_SPACE_MMIO], vm->vcpus[0], MACHINE_PLIC + offset, 4, value), 0);
}

static void guest_sees_external(struct rv64_frame *frame)
{
    (void)frame;
    assert_int_equal(rv64_model_cpu()->hvip, IRQ_VSE);
}

static void guest_stops(struct rv64_frame *frame)
{
    guest_sees_external(frame);
    rv64_guest_sbi(frame, SBI_HSM, HSM_HART_STOP, 0, 0, 0);
    fail_msg("hart_stop returned");
}

/* The PLIC's output is a wire: it is up whatever becomes of the hart. */
static void test_a_device_interrupt_outlives_a_restart_of_the_hart(void **state)
{
    struct axvm *vm = machine_vm(2, NULL);

    (void)state;
    machine_cpu_on(vm, 1);
    plic_write(vm, 4 * 10, 1);
    plic_write(vm, 0x2180, 1U << 10); /* for hart 1 */
    run(vm, 1, NULL);
    assert_int_equal(axvm_inject_interrupt(vm, 1, 10), 0);
    assert_int_equal(rv64_machine_run(vm, 1, guest_stops).kind, AXVM_EXIT_CPU_DOWN);
    machine_cpu_on(vm, 1);
    run(vm, 1, guest_sees_external);
}

/* ---- Instructions that a guest doesn't have ---- */

static uint32_t insn;
static bool insn_told, user;

static void guest_executes(struct rv64_frame *frame)
{
    struct rv64_model_cpu *cpu = rv64_model_cpu();

    cpu->sys[RV64_VSTVEC] = 0x8001; /* vectored: exceptions go to the base */
    cpu->sys[RV64_VSSTATUS] = SSTATUS_UXL_64 | SSTATUS_SIE;
    rv64_model_set_vs(!user);
    frame->pc = 0x1002;
    rv64_guest_trap(frame, CAUSE_VIRTUAL_INSTRUCTION, insn_told ? insn : 0, insn);
    assert_int_equal(frame->pc, 0x8000);
    assert_int_equal(cpu->sys[RV64_VSEPC], 0x1002);
    assert_int_equal(cpu->sys[RV64_VSCAUSE], 2);
    assert_int_equal(cpu->sys[RV64_VSTVAL], insn);
    assert_int_equal(cpu->sys[RV64_VSSTATUS], SSTATUS_UXL_64 | SSTATUS_SPIE | (user ? 0 : SSTATUS_SPP));
    assert_true((cpu->controls.sstatus & SSTATUS_SPP) != 0);
}

static void test_what_the_hypervisor_forbids_is_illegal(void **state)
{
    static const uint32_t insns[] = {
        0x60002573, /* csrr a0, hstatus */
        0x68051073, /* csrw hgatp, a0 */
        0x22000073, /* hfence.vvma */
        0xc0002573, /* rdcycle a0 */
    };
    struct axvm *vm = machine_vm(1, NULL);

    (void)state;
    for (unsigned i = 0; i < 16; i++) {
        insn = insns[i / 4];
        insn_told = i % 2 != 0;
        user = i / 2 % 2 != 0;
        run(vm, 0, guest_executes);
    }
}

/* stval says nothing, and what was there is gone: the guest goes on, where it was. */
static void guest_executes_what_is_gone(struct rv64_frame *frame)
{
    struct rv64_frame before = *frame;

    rv64_guest_trap(frame, CAUSE_VIRTUAL_INSTRUCTION, 0, 0);
    assert_memory_equal(frame, &before, sizeof(before));
}

static void test_an_instruction_that_is_gone_is_tried_again(void **state)
{
    (void)state;
    run(machine_vm(1, NULL), 0, guest_executes_what_is_gone);
}

/* No cause that the hardware could invent stops anything. */
static void guest_traps_oddly(struct rv64_frame *frame)
{
    struct rv64_model_cpu *cpu = rv64_model_cpu();

    cpu->sys[RV64_VSTVEC] = 0x8000;
    for (unsigned cause = 0; cause < 64; cause++) {
        if (cause == CAUSE_ECALL_VS || (cause >= CAUSE_FETCH_GUEST_PAGE && cause <= CAUSE_STORE_GUEST_PAGE)) {
            continue;
        }
        frame->pc = 0x1000;
        rv64_guest_trap(frame, (enum rv64_cause)cause, 0x1234, UINT32_MAX);
        assert_int_equal(frame->pc, 0x8000);
        assert_int_equal(cpu->sys[RV64_VSCAUSE], 2);
        assert_int_equal(cpu->sys[RV64_VSEPC], 0x1000);
    }
}

static void test_causes_that_should_not_come_are_the_guests(void **state)
{
    (void)state;
    run(machine_vm(1, NULL), 0, guest_traps_oddly);
}

/* ---- What vCPUs do to each other ---- */

/* vCPU 0 and 1 on pCPU 0 and 1; both have run. */
static struct axvm *two_vcpus(void)
{
    struct axvm *vm = machine_vm(2, NULL);

    machine_cpu_on(vm, 1);
    machine_pcpu(1);
    run(vm, 1, NULL);
    machine_pcpu(0);
    run(vm, 0, NULL);
    return vm;
}

static void guest_gets_an_ipi(struct rv64_frame *frame)
{
    machine_pcpu(0);
    rv64_send_ipi(rv64_machine_vcpu(the_vm, 0), rv64_machine_vcpu(the_vm, 1));
    machine_pcpu(1);
    assert_int_equal(rv64_model_cpu()->hvip, 0);
    rv64_guest_irq(frame, AXVM_IRQ_HANDLED, 1);
    assert_int_equal(rv64_model_cpu()->hvip, IRQ_VSS);
    rv64_model_cpu()->hvip = 0; /* sip.SSIP is the guest's to clear */
    guest_calls(frame);
    assert_int_equal(rv64_model_cpu()->hvip, 0); /* once */
}

static void test_an_ipi_arrives_by_its_kick_and_once(void **state)
{
    (void)state;
    the_vm = two_vcpus();
    fake_hal_forget();
    machine_pcpu(1);
    run(the_vm, 1, guest_gets_an_ipi);
    assert_int_equal(fake_hal_kicks_of(axvm_id(the_vm), 1), 1);
    machine_pcpu(0);
}

static void guest_sees_hvip(struct rv64_frame *frame)
{
    frame->x[20] = rv64_model_cpu()->hvip;
}

/* In the hardware or not, what is pending stays so across a switch. */
static void test_pending_interrupts_travel_with_their_vcpu(void **state)
{
    struct axvm *other;
    struct rv64_vcpu *v;

    (void)state;
    the_vm = two_vcpus();
    other = machine_vm(1, NULL);
    v = rv64_machine_vcpu(the_vm, 0);
    rv64_send_ipi(v, v);
    run(other, 0, guest_sees_hvip);
    assert_int_equal(rv64_machine_vcpu(other, 0)->frame.x[20], 0);
    machine_pcpu(1);
    run(the_vm, 0, guest_sees_hvip);
    assert_int_equal(v->frame.x[20], IRQ_VSS);
    axvm_release_vcpu(the_vm, 0);
    machine_pcpu(0);
}

/* A vCPU that isn't resident is told when it is loaded, wherever that is; one that is, at once. */
static void test_a_fence_for_a_vcpu_that_is_not_resident_waits_for_it(void **state)
{
    struct rv64_vcpu *self, *v;

    (void)state;
    the_vm = two_vcpus();
    self = rv64_machine_vcpu(the_vm, 0);
    v = rv64_machine_vcpu(the_vm, 1);
    machine_pcpu(1);
    axvm_release_vcpu(the_vm, 1);
    run_rv64.forgotten();
    run(the_vm, 1, NULL);
    assert_int_equal(run_rv64.forgotten(), 0); /* it stayed here: nothing to forget */
    axvm_release_vcpu(the_vm, 1);
    for (unsigned kind = RV64_FENCE_I; kind <= RV64_FENCE_VMA_ASID; kind++) {
        machine_pcpu(0);
        rv64_fence_vcpus(self, 2, (enum rv64_fence)kind, 0x1000, 0x1000, 1);
        assert_int_equal(rv64_model_last_flush()->pcpus, 0);
        assert_true(v->fence_wanted);
        machine_pcpu(1);
        run_rv64.forgotten();
        run(the_vm, 1, NULL);
        assert_int_equal(run_rv64.forgotten(), 1);
        assert_false(v->fence_wanted);
        axvm_release_vcpu(the_vm, 1);
    }
    run(the_vm, 1, NULL);
    assert_int_equal(run_rv64.forgotten(), 0);
    machine_pcpu(0);
    rv64_fence_vcpus(self, 3, RV64_FENCE_VMA, 0x1000, 0x1000, 0);
    assert_int_equal(rv64_model_last_flush()->pcpus, 3);
    assert_false(v->fence_wanted);
}

/* Which pCPUs a fence reaches, against a model of who is where, while vCPUs move. */
static void test_fences_reach_vcpus_that_move_at_random(void **state)
{
    bool owed[2] = {false, false}; /* a fence that came while it wasn't resident */
    int where[2] = {0, 1};

    (void)state;
    random_start("moving vCPUs");
    the_vm = two_vcpus();
    for (unsigned i = 0; i < 5000; i++) {
        unsigned v = (unsigned)random_below(2);
        unsigned pcpu = where[v] >= 0 ? (unsigned)where[v] : (unsigned)random_below(2);

        machine_pcpu(pcpu);
        switch (random_below(3)) {
        case 0:
            rv64_model_forget_flushes();
            run(the_vm, v, NULL);
            if (owed[v]) {
                assert_int_equal(run_rv64.forgotten(), 1);
                owed[v] = false;
            }
            for (unsigned other = 0; other < 2; other++) { /* it made room */
                where[other] = other != v && where[other] == (int)pcpu ? -1 : where[other];
            }
            where[v] = (int)pcpu;
            break;
        case 1:
            assert_int_equal(axvm_release_vcpu(the_vm, v), 0);
            where[v] = -1;
            break;
        default: {
            uint64_t expected = 0;

            for (unsigned other = 0; other < 2; other++) {
                expected |= where[other] >= 0 ? UINT64_C(1) << where[other] : 0;
                owed[other] = owed[other] || where[other] < 0;
            }
            rv64_model_forget_flushes();
            rv64_fence_vcpus(rv64_machine_vcpu(the_vm, v), 3, RV64_FENCE_I, 0, UINT64_MAX, 0);
            assert_int_equal(rv64_model_last_flush()->pcpus, expected);
        }
        }
    }
    for (unsigned v = 0; v < 2; v++) {
        if (where[v] >= 0) {
            machine_pcpu((unsigned)where[v]);
            axvm_release_vcpu(the_vm, v);
        }
    }
    machine_pcpu(0);
}

/* ---- Two at once ---- */

static void ipi_from_elsewhere(void)
{
    machine_pcpu(1);
    rv64_send_ipi(rv64_machine_vcpu(the_vm, 1), rv64_machine_vcpu(the_vm, 0));
    machine_pcpu(0);
}

static void guest_serves_when_an_ipi_comes(struct rv64_frame *frame)
{
    the_vm->vcpus[0]->requests = VCPU_REQ_IRQ;
    rv64_model.at_hvip_clear = ipi_from_elsewhere;
    guest_calls(frame);
    assert_null(rv64_model.at_hvip_clear);
    assert_int_equal(rv64_model_cpu()->hvip, IRQ_VSS);
}

static void test_an_ipi_that_comes_while_others_are_served(void **state)
{
    (void)state;
    the_vm = two_vcpus();
    run(the_vm, 0, guest_serves_when_an_ipi_comes);
}

static void guest_waits_when_an_ipi_comes(struct rv64_frame *frame)
{
    if (entries++ == 0) {
        rv64_model_cpu()->sys[RV64_VSIE] = BIT(1);
        rv64_model.at_hvip_read = ipi_from_elsewhere;
        rv64_guest_wfi(frame);
    }
    assert_int_equal(rv64_model_cpu()->hvip, IRQ_VSS);
}

static void test_an_ipi_that_comes_while_it_goes_to_sleep(void **state)
{
    (void)state;
    the_vm = two_vcpus();
    entries = 0;
    run(the_vm, 0, guest_waits_when_an_ipi_comes);
    assert_int_equal(entries, 2);
}

static void fence_from_elsewhere(void)
{
    machine_pcpu(1);
    rv64_fence_vcpus(rv64_machine_vcpu(the_vm, 1), 1, RV64_FENCE_VMA, 0x1000, 0x1000, 0);
    assert_int_equal(rv64_model_last_flush()->pcpus, 1);
    machine_pcpu(0);
}

static void test_a_fence_that_comes_while_it_is_loaded(void **state)
{
    (void)state;
    the_vm = two_vcpus();
    axvm_release_vcpu(the_vm, 0);
    rv64_model.at_controls_load = fence_from_elsewhere;
    run(the_vm, 0, NULL);
    assert_null(rv64_model.at_controls_load);
}

static void memory_goes_elsewhere(void)
{
    machine_pcpu(0);
    assert_int_equal(axvm_unmap_region(the_vm, gpa(RV64_RAM + MIB(2)), MIB(1)), 0);
    assert_int_equal(rv64_model_last_flush()->kind, RV64_FLUSH_GSTAGE);
    assert_int_equal(rv64_model_last_flush()->pcpus & 2, 2);
    machine_pcpu(1);
}

/* As soon as its tables are in hgatp, they may be walked. */
static void test_memory_that_goes_while_it_is_loaded(void **state)
{
    (void)state;
    the_vm = machine_vm(2, NULL);
    machine_cpu_on(the_vm, 1);
    machine_pcpu(1);
    rv64_model.at_controls_load = memory_goes_elsewhere;
    run(the_vm, 1, NULL);
    assert_null(rv64_model.at_controls_load);
    machine_pcpu(0);
}

#define ROUNDS 1000U

static _Atomic unsigned received;
static _Atomic bool done;

/* It waits, or goes on a bit; with each interrupt, the next is asked for. */
static void guest_receives(struct rv64_frame *frame)
{
    while (!done) {
        if ((rv64_model_cpu()->hvip & IRQ_VSS) != 0) {
            rv64_model_cpu()->hvip = 0;
            received++;
        } else if (random_below(2) != 0) {
            rv64_guest_irq(frame, AXVM_IRQ_HANDLED, 1); /* as if there were a kick */
        } else {
            rv64_guest_wfi(frame);
        }
        rv64_model_cpu()->sys[RV64_VSIE] = BIT(1);
    }
}

/* As a host does: while the vCPU is blocked and not runnable, its pCPU is idle. */
static void *receiver(void *argument)
{
    struct axvm_exit exit;

    machine_pcpu(1);
    rv64_model_guest(guest_receives);
    while (!done) {
        axvm_run_vcpu(the_vm, 1, &exit);
        while (exit.kind == AXVM_EXIT_HALT && !axvm_vcpu_runnable(the_vm, 1) && !done) {
            sched_yield();
        }
    }
    axvm_release_vcpu(the_vm, 1);
    return argument;
}

/* One that got lost would leave both waiting for ever. */
static void test_no_ipi_is_lost_to_a_vcpu_that_goes_to_sleep(void **state)
{
    struct rv64_vcpu *self;
    pthread_t thread;

    (void)state;
    the_vm = two_vcpus();
    self = rv64_machine_vcpu(the_vm, 0);
    received = 0;
    done = false;
    assert_int_equal(pthread_create(&thread, NULL, receiver, NULL), 0);
    for (unsigned i = 1; i <= ROUNDS; i++) {
        rv64_send_ipi(self, rv64_machine_vcpu(the_vm, 1));
        while (received < i) {
            sched_yield();
        }
    }
    done = true;
    pthread_join(thread, NULL);
    assert_int_equal(received, ROUNDS);
}

/*
 * The guest's tables have a generation; pCPU 1's TLB knows things of the one in which it was flushed last, and later.
 * When a fence for a generation is over, vCPU 1 must not find anything older.
 */
static _Atomic uint64_t generation, tlb, fenced;
static _Atomic bool stale;
static _Atomic unsigned runs;

static void note_flush(const struct rv64_model_flush *f)
{
    uint64_t now = generation, before = tlb;

    /* Both pCPUs may be here at once, and the one that looked first may come last. */
    while ((f->pcpus & 2) != 0 && f->kind == RV64_FLUSH_VSTAGE && before < now &&
           !atomic_compare_exchange_weak(&tlb, &before, now)) {
    }
}

static void guest_uses_its_tlb(struct rv64_frame *frame)
{
    (void)frame;
    for (unsigned i = 0; i < 100; i++) {
        uint64_t wanted = fenced;

        if (tlb < wanted) {
            stale = true;
        }
    }
}

static void *comer_and_goer(void *argument)
{
    struct axvm_exit exit;

    machine_pcpu(1);
    rv64_model_guest(guest_uses_its_tlb);
    while (!done) {
        axvm_run_vcpu(the_vm, 1, &exit);
        axvm_release_vcpu(the_vm, 1);
        runs++;
    }
    return argument;
}

static void test_no_fence_is_lost_to_a_vcpu_that_comes_and_goes(void **state)
{
    struct rv64_vcpu *self;
    pthread_t thread;

    (void)state;
    the_vm = two_vcpus();
    self = rv64_machine_vcpu(the_vm, 0);
    generation = tlb = fenced = 0;
    runs = 0;
    stale = done = false;
    rv64_model.on_flush = note_flush;
    assert_int_equal(pthread_create(&thread, NULL, comer_and_goer, NULL), 0);
    while (runs < 10 * ROUNDS && !stale) {
        unsigned before = runs;

        for (unsigned i = 0; runs == before; i++) { /* it comes again now: meet it on its way */
            if (i % 1000 == 999) {
                sched_yield();
            }
        }
        for (volatile uint64_t i = random_below(200); i > 0; i--) {
        }
        generation++;
        rv64_fence_vcpus(self, 2, RV64_FENCE_VMA, 0x1000, 0x1000, 0);
        fenced = generation;
    }
    done = true;
    pthread_join(thread, NULL);
    assert_false(stale);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, rv64_machine_setup, machine_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_machine_that_has_less),
        TEST(test_a_vcpu_that_comes_back_to_a_pcpu_finds_nothing),
        TEST(test_the_mode_follows_the_addresses),
        TEST(test_memory_that_goes_is_flushed_where_the_vm_ran),
        TEST(test_a_vmid_is_flushed_before_it_is_given_again),
        TEST(test_what_every_guest_is_kept_from),
        TEST(test_memory_types_are_used_where_the_cpu_has_them_and_the_machine_says_so),
        TEST(test_wfi_goes_on_for_what_is_pending_and_enabled),
        TEST(test_an_interrupt_that_was_taken_does_not_end_a_wait),
        TEST(test_wfi_of_user_mode_is_illegal),
        TEST(test_an_ipi_wakes_a_waiting_vcpu),
        TEST(test_a_device_interrupt_outlives_a_restart_of_the_hart),
        TEST(test_what_the_hypervisor_forbids_is_illegal),
        TEST(test_an_instruction_that_is_gone_is_tried_again),
        TEST(test_causes_that_should_not_come_are_the_guests),
        TEST(test_an_ipi_arrives_by_its_kick_and_once),
        TEST(test_pending_interrupts_travel_with_their_vcpu),
        TEST(test_a_fence_for_a_vcpu_that_is_not_resident_waits_for_it),
        TEST(test_fences_reach_vcpus_that_move_at_random),
        TEST(test_an_ipi_that_comes_while_others_are_served),
        TEST(test_an_ipi_that_comes_while_it_goes_to_sleep),
        TEST(test_a_fence_that_comes_while_it_is_loaded),
        TEST(test_memory_that_goes_while_it_is_loaded),
        TEST(test_no_ipi_is_lost_to_a_vcpu_that_goes_to_sleep),
        TEST(test_no_fence_is_lost_to_a_vcpu_that_comes_and_goes),
    };

    return cmocka_run_group_tests_name("rv64_run", tests, NULL, NULL);
}
