/* SPDX-License-Identifier: Apache-2.0 */
#include "support/rv64_machine.h"

#include "lib/host.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define SBI_HSM 0x48534dU
#define HSM_HART_START 0
#define MAX_VMS 8U

static struct axvm_hal host;
static struct axvm *vms[MAX_VMS];
static uint32_t vm_count;
static uint64_t start_hart;

void rv64_machine_pcpu(unsigned pcpu)
{
    fake_hal_set_pcpu(pcpu);
}

static uint64_t pcpu_hart(unsigned pcpu)
{
    return MACHINE_HART(pcpu);
}

int rv64_machine_setup(void **state)
{
    int error = fake_hal_setup(state);

    host = fake_hal;
    host.irq_handle = rv64_model_irq_handle;
    host.pcpu_hart = pcpu_hart;
    host.guest_file = rv64_model_guest_file; /* of use with RV64_GUEST_FILE */
    host.isa = "rv64imafdch_zicsr_zifencei_zicbom_sstc_svpbmt";
    rv64_model_reset();
    vm_count = 0;
    error = error != 0 ? error : axvm_library_init(&host, &axvm_arch_riscv64);
    for (unsigned pcpu = 2; pcpu-- > 0 && error == 0;) {
        rv64_machine_pcpu(pcpu);
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
    for (unsigned pcpu = RV64_MODEL_PCPUS; pcpu-- > 0;) {
        rv64_machine_pcpu(pcpu);
        for (uint32_t i = 0; i < axvm_vcpu_count(vm); i++) {
            if (axvm_vcpu_resides_on(vm, i) == (int)pcpu) {
                axvm_release_vcpu(vm, i);
            }
        }
    }
    return axvm_destroy(vm);
}

int rv64_machine_teardown(void **state)
{
    int error = 0;

    for (uint32_t i = 0; i < vm_count; i++) {
        error |= vm_end(vms[i]);
    }
    return fake_hal_teardown(state) != 0 || error != 0 ? -1 : 0;
}

struct axvm *rv64_machine_loaded_vm(uint32_t vcpus, void (*change)(struct axvm_config *config))
{
    static const uint32_t kernel[] = {0x0000006f}; /* j . */
    static struct axvm_config config;
    struct axvm *vm = NULL;

    axvm_config_init(&config);
    config.name = "test";
    config.cpu_num = vcpus;
    config.memory = MACHINE_RAM_SIZE;
    config.default_devices = false;
    config.emu_devices[0] = (struct axvm_emu_config){
        .name = "plic", .base = gpa(MACHINE_PLIC), .length = 0x600000, .type = AXVM_EMU_INTERRUPT_CONTROLLER};
    config.emu_devices_count = 1;
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

struct axvm *rv64_machine_vm(uint32_t vcpus, void (*change)(struct axvm_config *config))
{
    struct axvm *vm = rv64_machine_loaded_vm(vcpus, change);

    assert_int_equal(axvm_boot(vm), 0);
    return vm;
}

struct axvm_exit rv64_machine_run(struct axvm *vm, uint32_t vcpu, rv64_guest *guest)
{
    struct axvm_exit exit = {.kind = AXVM_EXIT_KIND_COUNT};

    rv64_model_guest(guest);
    assert_int_equal(axvm_run_vcpu(vm, vcpu, &exit), 0);
    return exit;
}

struct rv64_vcpu *rv64_machine_vcpu(struct axvm *vm, uint32_t vcpu)
{
    return rv64_vcpu(vm->vcpus[vcpu]);
}

static void guest_hart_start(struct rv64_frame *frame)
{
    rv64_guest_sbi(frame, SBI_HSM, HSM_HART_START, start_hart, MACHINE_RAM, 0);
}

void rv64_machine_hart_start(struct axvm *vm, uint32_t vcpu)
{
    start_hart = vm->vcpus[vcpu]->phys_id;
    assert_int_equal(rv64_machine_run(vm, 0, guest_hart_start).kind, AXVM_EXIT_CPU_UP);
}
