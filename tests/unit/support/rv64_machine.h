/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole riscv64 machine for a unit test: fake host, modelled CPUs, and the library on top, used through its public
 * API.
 *
 *     cmocka_unit_test_setup_teardown(test_x, rv64_machine_setup, rv64_machine_teardown)
 */
#ifndef AXVM_TEST_RV64_MACHINE_H
#define AXVM_TEST_RV64_MACHINE_H

#include "support/fake_hal.h"
#include "support/rv64_model.h"

#define MACHINE_RAM GIB(2) /* where guests have theirs, and how much; the first page is the kernel: entry point */
#define MACHINE_RAM_SIZE MIB(4)
#define MACHINE_PLIC UINT64_C(0x0c000000)
#define MACHINE_NOTHING UINT64_C(0x10000000) /* an address where there is neither RAM nor a device */
#define MACHINE_HART(pcpu) (2 * (uint64_t)(pcpu) + 1) /* the host's hart ids */

/* Setup: a machine whose pCPUs 0 and 1 are enabled, no VM. Teardown stops and destroys the VMs, and fails for leaks. */
int rv64_machine_setup(void **state);
int rv64_machine_teardown(void **state);

/* The calling thread is that pCPU of the fake host from now on. */
void rv64_machine_pcpu(unsigned pcpu);

/* A running VM with a PLIC; `change` (may be NULL) has the last word about its configuration. */
struct axvm *rv64_machine_vm(uint32_t vcpus, void (*change)(struct axvm_config *config));

/* The same, only loaded: for devices to be added. */
struct axvm *rv64_machine_loaded_vm(uint32_t vcpus, void (*change)(struct axvm_config *config));

/* Run a vCPU on the calling pCPU, with this guest in it. */
struct axvm_exit rv64_machine_run(struct axvm *vm, uint32_t vcpu, rv64_guest *guest);

struct rv64_vcpu *rv64_machine_vcpu(struct axvm *vm, uint32_t vcpu);

/* Start vCPU `vcpu` as vCPU 0 does it, by SBI HSM; it hasn't run yet. */
void rv64_machine_hart_start(struct axvm *vm, uint32_t vcpu);

#endif
