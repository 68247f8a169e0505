/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole aarch64 machine for a unit test: fake host, modelled CPUs, and the library on top, used through its public
 * API.
 *
 *     cmocka_unit_test_setup_teardown(test_x, a64_machine_setup, a64_machine_teardown)
 */
#ifndef AXVM_TEST_A64_MACHINE_H
#define AXVM_TEST_A64_MACHINE_H

#include "support/a64_model.h"
#include "support/fake_hal.h"
#include "support/ich_model.h"

#define MACHINE_RAM GIB(1) /* where guests have theirs, and how much; the first page is the kernel: entry point */
#define MACHINE_RAM_SIZE MIB(4)
#define MACHINE_UART UINT64_C(0x09000000)

/* Setup: a machine whose pCPUs 0 and 1 are enabled, no VM. Teardown stops and destroys the VMs, and fails for leaks. */
int a64_machine_setup(void **state);
int a64_machine_teardown(void **state);

/* The calling thread is that pCPU from now on: of the fake host, and of the virtual CPU interface's model. */
void a64_machine_pcpu(unsigned pcpu);

/* A running VM; `change` (may be NULL) has the last word about its configuration. */
struct axvm *a64_machine_vm(uint32_t vcpus, void (*change)(struct axvm_config *config));

/* The same, only loaded: for devices to be added. */
struct axvm *a64_machine_loaded_vm(uint32_t vcpus, void (*change)(struct axvm_config *config));

/* Run a vCPU on the calling pCPU, with this guest in it. */
struct axvm_exit a64_machine_run(struct axvm *vm, uint32_t vcpu, a64_guest *guest);

struct a64_vcpu *a64_machine_vcpu(struct axvm *vm, uint32_t vcpu);

/* Start vCPU `vcpu` as vCPU 0 does it, by PSCI; it hasn't run yet. */
void a64_machine_cpu_on(struct axvm *vm, uint32_t vcpu);

#endif
