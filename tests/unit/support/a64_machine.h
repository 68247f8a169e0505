/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole aarch64 machine for a unit test (see machine.h): what is its own.
 *
 *     cmocka_unit_test_setup_teardown(test_x, a64_machine_setup, machine_teardown)
 */
#ifndef AXVM_TEST_A64_MACHINE_H
#define AXVM_TEST_A64_MACHINE_H

#include "support/a64_model.h"
#include "support/ich_model.h"
#include "support/machine.h"

#define A64_RAM GIB(1) /* where guests have theirs */
#define MACHINE_UART UINT64_C(0x09000000)

/* machine_run(), with a guest that is written for this architecture. */
struct axvm_exit a64_machine_run(struct axvm *vm, uint32_t vcpu, a64_guest *guest);

struct a64_vcpu *a64_machine_vcpu(struct axvm *vm, uint32_t vcpu);

#endif
