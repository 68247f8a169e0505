/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VMs of the fake architecture on the fake host, for tests of the core. The usual test:
 *     cmocka_unit_test_setup_teardown(test_x, fake_vm_setup, fake_vm_teardown)
 */
#ifndef AXVM_TEST_FAKE_VM_H
#define AXVM_TEST_FAKE_VM_H

#include <axvm/axvm.h>

#include "arch/fake/fake.h"
#include "support/fake_hal.h"

#define FAKE_VM_RAM MIB(4)
#define FAKE_VM_PCPUS 4U /* enabled ones; this thread is pCPU 0 */

extern const uint8_t fake_kernel[4096];

/* Fixtures: as the fake host's; teardown also fails if the core misused the architecture or forgot a VM. */
int fake_vm_setup(void **state);
int fake_vm_teardown(void **state);

/* `cpus` vCPUs, FAKE_VM_RAM at FAKE_RAM_START, the usual devices: a console. */
struct axvm_config fake_config(uint32_t cpus);

/*
 * A VM of that configuration in state loading, with `fake_kernel`; then loaded; then running. Fails the test if it
 * can't.
 */
struct axvm *fake_vm_create(const struct axvm_config *config);
struct axvm *fake_vm_load(uint32_t cpus);
struct axvm *fake_vm_boot(uint32_t cpus);

/* Shut down if need be, and destroy, whatever it is doing; no vCPU is inside. */
void fake_vm_end(struct axvm *vm);

/* axvm_run_vcpu() on that pCPU; fails the test on an error. */
enum axvm_exit_kind fake_run_on(unsigned pcpu, struct axvm *vm, uint32_t vcpu);

/* The console that the configuration made. */
struct fake_device *fake_console(struct axvm *vm);

#endif
