/* SPDX-License-Identifier: Apache-2.0 */
#include "support/a64_machine.h"

#include "lib/host.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define PSCI_CPU_ON64 0xc4000003U
#define MAX_VMS 16

static struct axvm_hal host;
static struct axvm *vms[MAX_VMS];
static uint32_t vm_count;
static uint32_t cpu_on_target;

void a64_machine_pcpu(unsigned pcpu)
{
    fake_hal_set_pcpu(pcpu);
    ich_model_select(pcpu);
}

static void deactivated(unsigned pcpu, uint32_t irq)
{
    (void)pcpu; /* the calling one: it is where the guest runs */
    hal->irq_set_active(irq, false);
}

int a64_machine_setup(void **state)
{
    int error = fake_hal_setup(state);

    host = fake_hal;
    host.irq_handle = a64_model_irq_handle;
    a64_model_reset();
    ich_model_reset(4);
    ich_model_on_deactivate(deactivated);
    vm_count = 0;
    error = error != 0 ? error : axvm_library_init(&host, &axvm_arch_aarch64);
    for (unsigned pcpu = 2; pcpu-- > 0 && error == 0;) {
        a64_machine_pcpu(pcpu);
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

static int vm_end(struct axvm *vm)
{
    enum axvm_state state = axvm_state(vm);

    if (vm->inside != 0) {
        vm_abandon(vm);
    }
    if (state == AXVM_STATE_RUNNING || state == AXVM_STATE_SUSPENDED) {
        axvm_shutdown(vm);
    }
    for (unsigned pcpu = A64_MODEL_PCPUS; pcpu-- > 0;) {
        a64_machine_pcpu(pcpu);
        for (uint32_t i = 0; i < axvm_vcpu_count(vm); i++) {
            if (axvm_vcpu_resides_on(vm, i) == (int)pcpu) {
                axvm_release_vcpu(vm, i);
            }
        }
    }
    return axvm_destroy(vm);
}

int a64_machine_teardown(void **state)
{
    int error = 0;

    for (uint32_t i = 0; i < vm_count; i++) {
        error |= vm_end(vms[i]);
    }
    return fake_hal_teardown(state) != 0 || ich_model_faults() != 0 || error != 0 ? -1 : 0;
}

struct axvm *a64_machine_loaded_vm(uint32_t vcpus, void (*change)(struct axvm_config *config))
{
    static const uint32_t kernel[] = {0x14000000}; /* b . */
    static struct axvm_config config;
    struct axvm *vm = NULL;

    axvm_config_init(&config);
    config.name = "test";
    config.cpu_num = vcpus;
    config.memory = MACHINE_RAM_SIZE;
    if (change != NULL) {
        change(&config);
    }
    assert_int_equal(axvm_create(&config, &vm), 0);
    assert_true(vm_count < MAX_VMS);
    vms[vm_count++] = vm;
    assert_int_equal(axvm_set_image(vm, AXVM_IMAGE_KERNEL, kernel, sizeof(kernel)), 0);
    assert_int_equal(axvm_init(vm), 0);
    return vm;
}

struct axvm *a64_machine_vm(uint32_t vcpus, void (*change)(struct axvm_config *config))
{
    struct axvm *vm = a64_machine_loaded_vm(vcpus, change);

    assert_int_equal(axvm_boot(vm), 0);
    return vm;
}

struct axvm_exit a64_machine_run(struct axvm *vm, uint32_t vcpu, a64_guest *guest)
{
    struct axvm_exit exit = {.kind = AXVM_EXIT_KIND_COUNT};

    a64_model_guest(guest);
    assert_int_equal(axvm_run_vcpu(vm, vcpu, &exit), 0);
    return exit;
}

struct a64_vcpu *a64_machine_vcpu(struct axvm *vm, uint32_t vcpu)
{
    return a64_vcpu(vm->vcpus[vcpu]);
}

static void guest_cpu_on(struct a64_frame *frame)
{
    a64_guest_hvc(frame, PSCI_CPU_ON64, cpu_on_target, MACHINE_RAM, 0);
}

void a64_machine_cpu_on(struct axvm *vm, uint32_t vcpu)
{
    cpu_on_target = vcpu;
    assert_int_equal(a64_machine_run(vm, 0, guest_cpu_on).kind, AXVM_EXIT_CPU_UP);
}
