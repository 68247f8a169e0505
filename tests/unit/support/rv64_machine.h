/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole riscv64 machine for a unit test (see machine.h): what is its own. A VM has a PLIC, and no other device.
 *
 *     cmocka_unit_test_setup_teardown(test_x, rv64_machine_setup, machine_teardown)
 */
#ifndef AXVM_TEST_RV64_MACHINE_H
#define AXVM_TEST_RV64_MACHINE_H

#include "support/machine.h"
#include "support/rv64_model.h"

#define RV64_RAM GIB(2) /* where guests have theirs */
#define MACHINE_PLIC UINT64_C(0x0c000000)
#define MACHINE_NOTHING UINT64_C(0x10000000) /* an address where there is neither RAM nor a device */
#define MACHINE_HART(pcpu) (2 * (uint64_t)(pcpu) + 1) /* the host's hart ids */

/* machine_run(), with a guest that is written for this architecture. */
struct axvm_exit rv64_machine_run(struct axvm *vm, uint32_t vcpu, rv64_guest *guest);

struct rv64_vcpu *rv64_machine_vcpu(struct axvm *vm, uint32_t vcpu);

#endif
