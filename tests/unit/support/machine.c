/* SPDX-License-Identifier: Apache-2.0 */
#include "support/machine.h"

#include "lib/host.h"
#include "support/random.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define MAX_PCPUS 8U
#define MAX_VMS 16U

const struct machine_arch *machine;

static struct axvm_hal host;
static struct axvm *vms[MAX_VMS];
static uint32_t vm_count;
static machine_guest *guests[MAX_PCPUS];
static uint64_t to_start;

void machine_pcpu(unsigned pcpu)
{
    fake_hal_set_pcpu(pcpu);
    if (machine->select != NULL) {
        machine->select(pcpu);
    }
}

int machine_setup(const struct machine_arch *which)
{
    void *state = NULL;
    int error = fake_hal_setup(&state);

    machine = which;
    host = fake_hal;
    which->reset(&host);
    vm_count = 0;
    error = error != 0 ? error : axvm_library_init(&host, which->arch);
    for (unsigned pcpu = 2; pcpu-- > 0 && error == 0;) {
        machine_pcpu(pcpu);
        error = axvm_cpu_enable();
    }
    return error;
}

/* A failed assertion left it in the middle of a run. */
static void vm_abandon(struct axvm *vm)
{
    vm->inside = 0;
    for (uint32_t i = 0; i < axvm_vcpu_count(vm); i++) {
        vm->vcpus[i]->state = AXVM_VCPU_FREE;
    }
}

static void forget(const struct axvm *vm)
{
    for (uint32_t i = 0; i < vm_count; i++) {
        if (vms[i] == vm) {
            vms[i] = vms[--vm_count];
        }
    }
}

int machine_end(struct axvm *vm)
{
    enum axvm_state state = axvm_state(vm);

    forget(vm);
    if (vm->inside != 0) {
        vm_abandon(vm);
    }
    if (state == AXVM_STATE_RUNNING || state == AXVM_STATE_SUSPENDED) {
        axvm_shutdown(vm);
    }
    for (unsigned pcpu = MAX_PCPUS; pcpu-- > 0;) {
        machine_pcpu(pcpu);
        for (uint32_t i = 0; i < axvm_vcpu_count(vm); i++) {
            if (axvm_vcpu_resides_on(vm, i) == (int)pcpu) {
                axvm_release_vcpu(vm, i);
            }
        }
    }
    return axvm_destroy(vm);
}

int machine_teardown(void **state)
{
    int error = 0;

    while (vm_count > 0) {
        error |= machine_end(vms[0]);
    }
    error |= fake_hal_teardown(state);
    return error != 0 || (machine->faults != NULL && machine->faults() != 0) ? -1 : 0;
}

struct axvm *machine_loaded_vm(uint32_t vcpus, void (*change)(struct axvm_config *config))
{
    static struct axvm_config config;
    struct axvm *vm = NULL;

    axvm_config_init(&config);
    config.name = "test";
    config.cpu_num = vcpus;
    config.memory = MACHINE_RAM_SIZE;
    if (machine->configure != NULL) {
        machine->configure(&config);
    }
    if (change != NULL) {
        change(&config);
    }
    assert_int_equal(axvm_create(&config, &vm), 0);
    assert_true(vm_count < MAX_VMS);
    vms[vm_count++] = vm;
    assert_int_equal(axvm_set_image(vm, AXVM_IMAGE_KERNEL, &machine->kernel, sizeof(machine->kernel)), 0);
    assert_int_equal(axvm_init(vm), 0);
    return vm;
}

struct axvm *machine_vm(uint32_t vcpus, void (*change)(struct axvm_config *config))
{
    struct axvm *vm = machine_loaded_vm(vcpus, change);

    assert_int_equal(axvm_boot(vm), 0);
    return vm;
}

void machine_be_guest(void)
{
    if (guests[hal->pcpu_id()] != NULL) {
        guests[hal->pcpu_id()]();
    }
}

struct axvm_exit machine_enter(struct axvm *vm, uint32_t vcpu)
{
    struct axvm_exit exit = {.kind = AXVM_EXIT_KIND_COUNT};

    assert_int_equal(axvm_run_vcpu(vm, vcpu, &exit), 0);
    return exit;
}

struct axvm_exit machine_run(struct axvm *vm, uint32_t vcpu, machine_guest *guest)
{
    guests[hal->pcpu_id()] = guest;
    machine->enters();
    return machine_enter(vm, vcpu);
}

void machine_suspend_for(struct axvm *vm, uint64_t ticks)
{
    assert_int_equal(axvm_suspend(vm), 0);
    fake_hal_advance(ticks);
    assert_int_equal(axvm_resume(vm), 0);
}

uint64_t machine_disturb(struct axvm *vm, uint32_t vcpu)
{
    uint64_t suspended = 0;
    unsigned what = (unsigned)random_below(24);

    if (what == 0) {
        suspended = random_below(1000);
        machine_suspend_for(vm, suspended);
    } else if (what < 10) {
        axvm_release_vcpu(vm, vcpu);
        machine_pcpu((unsigned)random_below(2));
    } else {
        fake_hal_advance(random_below(100));
    }
    return suspended;
}

static void guest_starts(void)
{
    machine->start(to_start);
}

void machine_cpu_on(struct axvm *vm, uint32_t vcpu)
{
    to_start = vm->vcpus[vcpu]->phys_id;
    assert_int_equal(machine_run(vm, 0, guest_starts).kind, AXVM_EXIT_CPU_UP);
}
