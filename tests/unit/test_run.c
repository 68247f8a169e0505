/* SPDX-License-Identifier: Apache-2.0 */
/* The world switch, and what sends a vCPU out of the guest: what is the same for all architectures. */
#include "support/run.h"
#include "support/rv64_machine.h"

#include "lib/host.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct axvm *the_vm;

static const struct run_arch *cpu(void)
{
    return machine == &machine_a64 ? &run_a64 : &run_rv64;
}

static int setup_with_vector(void **state)
{
    int error = rv64_machine_setup(state);

    rv64_model.features |= RV64_VECTOR;
    rv64_model.vlenb = 32;
    return error;
}

static void run(struct axvm *vm, uint32_t vcpu, machine_guest *guest)
{
    assert_int_equal(machine_run(vm, vcpu, guest).kind, AXVM_EXIT_EXTERNAL_INTERRUPT);
}

/* ---- Every register comes back ---- */

static uint64_t seed; /* of the pattern that a guest fills its registers with */

static void guest_fills(void)
{
    cpu()->fill(seed);
}

static void guest_checks(void)
{
    cpu()->check(seed);
}

static void guest_is_fresh(void)
{
    cpu()->check_fresh();
}

static void run_seed(struct axvm *vm, uint32_t vcpu, uint64_t s, machine_guest *guest)
{
    seed = s;
    run(vm, vcpu, guest);
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

static void test_a_new_guest_sees_nothing_of_others(void **state)
{
    struct axvm *one = machine_vm(1, NULL);
    struct axvm *two = machine_vm(1, NULL);

    (void)state;
    run_seed(one, 0, 0xed, guest_fills);
    run(two, 0, guest_is_fresh);
}

static void test_reset_leaves_nothing_of_the_last_run(void **state)
{
    struct axvm *vm = machine_vm(1, NULL);

    (void)state;
    run_seed(vm, 0, 0xed, guest_fills);
    assert_int_equal(axvm_shutdown(vm), 0);
    assert_int_equal(axvm_reset(vm), 0);
    assert_int_equal(axvm_boot(vm), 0);
    run(vm, 0, guest_is_fresh);
}

static void test_registers_stay_in_the_hardware_between_runs(void **state)
{
    struct axvm *vm = machine_vm(1, NULL);

    (void)state;
    for (unsigned i = 0; i < 10; i++) {
        run(vm, 0, NULL);
    }
    assert_int_equal(cpu()->entries(), 10);
    assert_int_equal(cpu()->loads(), 1);
    assert_int_equal(cpu()->saves(), 0);
    assert_int_equal(vm->vcpus[0]->stats.switches, 1);
    assert_int_equal(axvm_vcpu_resides_on(vm, 0), 0);
}

/* ---- TLB ---- */

static void test_what_a_vcpu_left_in_a_tlb_no_other_finds(void **state)
{
    struct axvm *one = machine_vm(2, NULL);
    struct axvm *two = machine_vm(1, NULL);

    (void)state;
    machine_cpu_on(one, 1);
    run(two, 0, NULL);
    run(one, 0, NULL);
    cpu()->forgotten();
    run(two, 0, NULL);
    run(one, 0, NULL);
    assert_int_equal(cpu()->forgotten(), 0); /* each VM has a VMID */
    run(one, 1, NULL);
    assert_int_equal(cpu()->forgotten(), 1);
    run(one, 1, NULL);
    run(two, 0, NULL);
    run(one, 1, NULL);
    assert_int_equal(cpu()->forgotten(), 0);
    run(two, 0, NULL);
    run(one, 0, NULL);
    assert_int_equal(cpu()->forgotten(), 1);
}

static void test_each_vm_has_a_vmid_and_its_table(void **state)
{
    struct axvm *one = machine_vm(1, NULL);
    struct axvm *two = machine_vm(1, NULL);
    uint64_t vmid;

    (void)state;
    run(one, 0, NULL);
    vmid = cpu()->vmid();
    assert_int_equal(vmid, cpu()->vmid_of(one));
    assert_int_not_equal(vmid, 0);
    assert_int_equal(cpu()->root(), axvm_page_table_root(one).v);
    run(two, 0, NULL);
    assert_int_not_equal(cpu()->vmid(), 0);
    assert_int_not_equal(cpu()->vmid(), vmid);
    assert_int_equal(cpu()->root(), axvm_page_table_root(two).v);
}

static struct axvm *small_vm(int expected)
{
    static struct axvm_config config;
    struct axvm *vm;

    axvm_config_init(&config);
    config.name = "small";
    config.cpu_num = 1;
    config.memory = MIB(4);
    config.lazy = true;
    config.default_devices = false;
    assert_int_equal(axvm_create(&config, &vm), 0);
    assert_int_equal(axvm_set_image(vm, AXVM_IMAGE_KERNEL, &machine->kernel, sizeof(machine->kernel)), 0);
    assert_int_equal(axvm_init(vm), expected);
    return vm;
}

/* One that failed takes none, one that goes gives it back. */
static void test_vmids_run_out_with_an_error(void **state)
{
    struct axvm *vms[256];
    bool taken[256] = {false};
    uint64_t vmid;

    (void)state;
    if (cpu()->few_vmids != NULL) {
        cpu()->few_vmids();
    }
    for (unsigned i = 0; i < cpu()->vmids; i++) {
        vms[i] = small_vm(AXVM_OK);
        vmid = cpu()->vmid_of(vms[i]);
        assert_in_range(vmid, 1, cpu()->vmids);
        assert_false(taken[vmid]);
        taken[vmid] = true;
    }
    vms[cpu()->vmids] = small_vm(AXVM_ENOMEM);
    assert_true(fake_hal_logged("VMID"));
    vmid = cpu()->vmid_of(vms[3]);
    assert_int_equal(axvm_destroy(vms[3]), 0);
    vms[3] = small_vm(AXVM_OK);
    assert_int_equal(cpu()->vmid_of(vms[3]), vmid);
    for (unsigned i = 0; i <= cpu()->vmids; i++) {
        assert_int_equal(axvm_destroy(vms[i]), 0);
    }
}

/* ---- Waiting ---- */

static void guest_waits(void)
{
    cpu()->set_pc(0x1000);
    machine->wfi();
    fail_msg("WFI returned");
}

static void test_wfi_blocks_with_the_pc_behind_it(void **state)
{
    struct axvm *vm = machine_vm(1, NULL);

    (void)state;
    assert_int_equal(machine_run(vm, 0, guest_waits).kind, AXVM_EXIT_HALT);
    assert_int_equal(axvm_vcpu_state(vm, 0), AXVM_VCPU_BLOCKED);
    assert_false(axvm_vcpu_runnable(vm, 0));
    assert_int_equal(cpu()->pc(vm, 0), 0x1004);
    assert_int_equal(vm->vcpus[0]->stats.halts, 1);
}

static void guest_enables(void)
{
    cpu()->enable_irq();
}

static void guest_takes(void)
{
    assert_true(cpu()->signalled());
    cpu()->take_irq();
    machine->call();
    assert_false(cpu()->signalled());
}

static void inject_from_elsewhere(void)
{
    machine_pcpu(1);
    assert_int_equal(axvm_inject_interrupt(the_vm, 1, cpu()->irq), 0);
    machine_pcpu(0);
}

static void test_an_interrupt_wakes_a_waiting_vcpu(void **state)
{
    (void)state;
    the_vm = machine_vm(1, NULL);
    run(the_vm, 0, guest_enables);
    assert_int_equal(machine_run(the_vm, 0, guest_waits).kind, AXVM_EXIT_HALT);
    fake_hal_forget();
    inject_from_elsewhere();
    assert_int_equal(fake_hal_kicks_of(axvm_id(the_vm), 0), 1);
    assert_true(axvm_vcpu_runnable(the_vm, 0));
    run(the_vm, 0, guest_takes);
}

/* Whether the vCPU was resident when it came or not. */
static void test_an_interrupt_between_runs_is_there_at_entry_and_goes_when_taken(void **state)
{
    struct axvm *other = machine_vm(1, NULL);

    (void)state;
    the_vm = machine_vm(1, NULL);
    run(the_vm, 0, guest_enables);
    for (unsigned i = 0; i < 2; i++) {
        inject_from_elsewhere();
        assert_false(cpu()->signalled());
        run(the_vm, 0, guest_takes);
        run(other, 0, NULL);
    }
}

static void guest_gets_interrupts_from_elsewhere(void)
{
    cpu()->enable_irq();
    inject_from_elsewhere();
    assert_false(cpu()->signalled());
    machine->irq(AXVM_IRQ_HANDLED, 1); /* the kick */
    guest_takes();
    assert_int_equal(axvm_inject_interrupt(the_vm, 1, cpu()->irq), 0); /* by this pCPU itself: no kick is needed */
    machine->call();
    guest_takes();
}

static void test_an_interrupt_is_there_before_the_guest_goes_on(void **state)
{
    (void)state;
    the_vm = machine_vm(1, NULL);
    run(the_vm, 0, guest_gets_interrupts_from_elsewhere);
    assert_int_equal(fake_hal_kicks_of(axvm_id(the_vm), 0), 1);
}

static void guest_sees_waits_untrapped(void)
{
    assert_false(cpu()->waits_trap());
}

static void guest_sees_waits_trapped(void)
{
    assert_true(cpu()->waits_trap());
}

static unsigned entries;

/* The host takes the pCPU's solitude away while the guest runs. */
static void guest_loses_solitude(void)
{
    if (entries++ == 0) {
        guest_sees_waits_untrapped();
        axvm_vcpu_set_alone(the_vm, 0, false);
        machine->call();
    }
    guest_sees_waits_trapped();
}

static void test_a_vcpu_alone_waits_untrapped(void **state)
{
    (void)state;
    the_vm = machine_vm(1, NULL);
    run(the_vm, 0, guest_sees_waits_trapped);
    assert_int_equal(axvm_vcpu_set_alone(the_vm, 0, true), 0);
    run(the_vm, 0, guest_sees_waits_untrapped);
    entries = 0;
    run(the_vm, 0, guest_loses_solitude);
    assert_int_equal(entries, 2);
    run(the_vm, 0, guest_sees_waits_trapped);
}

/* ---- Requests ---- */

static void on_other_pcpu(int (*what)(struct axvm *vm))
{
    machine_pcpu(1);
    assert_int_equal(what(the_vm), 0);
    machine_pcpu(0);
}

static void guest_is_suspended(void)
{
    on_other_pcpu(axvm_suspend);
    machine->call();
    fail_msg("the guest goes on");
}

static void guest_found_the_answer(void)
{
    machine->check_answer();
}

static void test_suspend_ends_the_run_at_the_next_exit(void **state)
{
    (void)state;
    the_vm = machine_vm(1, NULL);
    assert_int_equal(machine_run(the_vm, 0, guest_is_suspended).kind, AXVM_EXIT_STOPPED);
    assert_int_equal(axvm_vcpu_resides_on(the_vm, 0), AXVM_ENOENT);
    assert_true(fake_hal_kicks_of(axvm_id(the_vm), 0) > 0);
    assert_int_equal(machine_run(the_vm, 0, guest_found_the_answer).kind, AXVM_EXIT_STOPPED);
    assert_int_equal(axvm_resume(the_vm), 0);
    run(the_vm, 0, guest_found_the_answer);
}

static void guest_is_suspended_and_resumed(void)
{
    if (entries++ == 0) {
        on_other_pcpu(axvm_suspend);
        on_other_pcpu(axvm_resume);
        machine->call();
    }
    machine->check_answer();
}

static void test_suspend_and_resume_before_it_was_noticed_go_unnoticed(void **state)
{
    (void)state;
    entries = 0;
    the_vm = machine_vm(1, NULL);
    run(the_vm, 0, guest_is_suspended_and_resumed);
    assert_int_equal(entries, 2);
}

static void guest_is_stopped(void)
{
    on_other_pcpu(axvm_shutdown);
    machine->irq(AXVM_IRQ_HANDLED, 1); /* the kick */
    fail_msg("the guest goes on");
}

static void test_shutdown_ends_the_run_by_its_kick(void **state)
{
    (void)state;
    the_vm = machine_vm(1, NULL);
    assert_int_equal(machine_run(the_vm, 0, guest_is_stopped).kind, AXVM_EXIT_STOPPED);
    assert_int_equal(axvm_state(the_vm), AXVM_STATE_STOPPED);
}

/* As when other pCPUs request something again each time it has been served: here, what nobody serves. */
static void guest_is_asked_without_end(void)
{
    the_vm->vcpus[0]->requests = 1U << 31;
    machine->call();
    fail_msg("the guest goes on");
}

static void test_endless_requests_give_the_pcpu_back(void **state)
{
    (void)state;
    the_vm = machine_vm(1, NULL);
    assert_int_equal(machine_run(the_vm, 0, guest_is_asked_without_end).kind, AXVM_EXIT_NOTHING);
    the_vm->vcpus[0]->requests = 0;
    run(the_vm, 0, guest_found_the_answer);
}

/* ---- Physical interrupts ---- */

static void guest_is_interrupted(void)
{
    static const uint32_t irqs[] = {1, 5, 9, 12, 13, 26, 63};

    cpu()->fill(1);
    for (unsigned i = 0; i < 7; i++) {
        machine->irq(AXVM_IRQ_NONE, irqs[i]);
        machine->irq(AXVM_IRQ_HANDLED, irqs[i]);
    }
    machine->irq(AXVM_IRQ_MAINTENANCE, 25);
    cpu()->check(1);
    machine->irq(AXVM_IRQ_RESCHED, 5);
    fail_msg("the guest goes on");
}

static void test_the_hosts_interrupts_leave_the_guest_alone(void **state)
{
    struct axvm *vm = machine_vm(1, NULL);
    struct axvm_exit exit = machine_run(vm, 0, guest_is_interrupted);

    (void)state;
    assert_int_equal(exit.kind, AXVM_EXIT_EXTERNAL_INTERRUPT);
    assert_int_equal(exit.external_interrupt.vector, 5);
    assert_int_equal(vm->vcpus[0]->stats.irqs, 2 * 7 + 2);
    assert_int_equal(vm->vcpus[0]->stats.others, 0);
}

/* ---- The machine ---- */

static void test_a_pcpu_without_virtualization_is_refused(void **state)
{
    (void)state;
    cpu()->take_away();
    machine_pcpu(2);
    assert_false(axvm_has_hardware_support());
    assert_int_equal(axvm_cpu_enable(), AXVM_EUNSUPPORTED);
    assert_false(cpu()->enabled(2));
    machine_pcpu(0);
}

#define WITH_VECTOR(f) {"riscv64 with V: " #f, f, setup_with_vector, machine_teardown, NULL}

int main(void)
{
    const struct CMUnitTest tests[] = {
        MACHINE_TESTS(test_every_register_comes_back),
        WITH_VECTOR(test_every_register_comes_back),
        MACHINE_TESTS(test_a_new_guest_sees_nothing_of_others),
        WITH_VECTOR(test_a_new_guest_sees_nothing_of_others),
        MACHINE_TESTS(test_reset_leaves_nothing_of_the_last_run),
        WITH_VECTOR(test_reset_leaves_nothing_of_the_last_run),
        MACHINE_TESTS(test_registers_stay_in_the_hardware_between_runs),
        MACHINE_TESTS(test_what_a_vcpu_left_in_a_tlb_no_other_finds),
        MACHINE_TESTS(test_each_vm_has_a_vmid_and_its_table),
        MACHINE_TESTS(test_vmids_run_out_with_an_error),
        MACHINE_TESTS(test_wfi_blocks_with_the_pc_behind_it),
        MACHINE_TESTS(test_an_interrupt_wakes_a_waiting_vcpu),
        MACHINE_TESTS(test_an_interrupt_between_runs_is_there_at_entry_and_goes_when_taken),
        MACHINE_TESTS(test_an_interrupt_is_there_before_the_guest_goes_on),
        MACHINE_TESTS(test_a_vcpu_alone_waits_untrapped),
        MACHINE_TESTS(test_suspend_ends_the_run_at_the_next_exit),
        MACHINE_TESTS(test_suspend_and_resume_before_it_was_noticed_go_unnoticed),
        MACHINE_TESTS(test_shutdown_ends_the_run_by_its_kick),
        MACHINE_TESTS(test_endless_requests_give_the_pcpu_back),
        MACHINE_TESTS(test_the_hosts_interrupts_leave_the_guest_alone),
        MACHINE_TESTS(test_a_pcpu_without_virtualization_is_refused),
    };

    return cmocka_run_group_tests_name("run", tests, NULL, NULL);
}
