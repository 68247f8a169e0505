/* SPDX-License-Identifier: Apache-2.0 */
#include "support/fake_vm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

const uint8_t fake_kernel[4096] = {[0] = 'k', [1] = 'e', [4095] = 'l'};

int fake_vm_setup(void **state)
{
    int error = fake_hal_setup(state);

    fake_arch_reset();
    error |= axvm_library_init(&fake_hal, &axvm_arch_fake);
    for (unsigned pcpu = FAKE_VM_PCPUS; pcpu-- > 0;) {
        fake_hal_set_pcpu(pcpu);
        error |= axvm_cpu_enable();
    }
    return error;
}

int fake_vm_teardown(void **state)
{
    if (fake_arch.misuses != 0 || fake_arch.vms != 0) {
        fprintf(stderr, "fake architecture: misused %u times, %d VMs not finished\n", fake_arch.misuses, fake_arch.vms);
        return -1;
    }
    return fake_hal_teardown(state);
}

struct axvm_config fake_config(uint32_t cpus)
{
    struct axvm_config config;

    axvm_config_init(&config);
    config.name = "fake";
    config.cpu_num = cpus;
    config.memory = FAKE_VM_RAM;
    return config;
}

struct axvm *fake_vm_create(const struct axvm_config *config)
{
    struct axvm *vm = NULL;

    assert_int_equal(axvm_create(config, &vm), AXVM_OK);
    assert_non_null(vm);
    assert_int_equal(axvm_set_image(vm, AXVM_IMAGE_KERNEL, fake_kernel, sizeof(fake_kernel)), AXVM_OK);
    return vm;
}

struct axvm *fake_vm_load(uint32_t cpus)
{
    struct axvm_config config = fake_config(cpus);
    struct axvm *vm = fake_vm_create(&config);

    assert_int_equal(axvm_init(vm), AXVM_OK);
    return vm;
}

struct axvm *fake_vm_boot(uint32_t cpus)
{
    struct axvm *vm = fake_vm_load(cpus);

    assert_int_equal(axvm_boot(vm), AXVM_OK);
    return vm;
}

void fake_vm_end(struct axvm *vm)
{
    enum axvm_state state = axvm_state(vm);

    if (state == AXVM_STATE_RUNNING || state == AXVM_STATE_SUSPENDED) {
        assert_int_equal(axvm_shutdown(vm), AXVM_OK);
    }
    for (uint32_t id = 0; id < axvm_vcpu_count(vm); id++) {
        int pcpu = axvm_vcpu_resides_on(vm, id);

        if (pcpu >= 0) {
            fake_hal_set_pcpu((unsigned)pcpu);
            assert_int_equal(axvm_release_vcpu(vm, id), AXVM_OK);
        }
    }
    fake_hal_set_pcpu(0);
    assert_int_equal(axvm_destroy(vm), AXVM_OK);
}

enum axvm_exit_kind fake_run_on(unsigned pcpu, struct axvm *vm, uint32_t vcpu)
{
    struct axvm_exit exit;

    fake_hal_set_pcpu(pcpu);
    assert_int_equal(axvm_run_vcpu(vm, vcpu, &exit), AXVM_OK);
    fake_hal_set_pcpu(0);
    return exit.kind;
}

struct fake_device *fake_console(struct axvm *vm)
{
    struct axvm_device *device = bus_find(&vm->buses[AXVM_SPACE_MMIO], FAKE_CONSOLE_BASE, 1);

    assert_non_null(device);
    return (struct fake_device *)device;
}
