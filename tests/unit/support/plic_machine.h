/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An emulated PLIC with vCPUs that run on a pCPU each, and their guests' accesses.
 *
 * cmocka_unit_test_setup_teardown(test_x, plic_setup, plic_teardown)
 */
#ifndef AXVM_TEST_PLIC_MACHINE_H
#define AXVM_TEST_PLIC_MACHINE_H

#include "core/vm.h"
#include "irqchip/vplic.h"

#define PLIC_VCPUS 3U

/* Registers that tests name. */
#define PLIC_PRIORITY(irq) (UINT64_C(4) * (irq))
#define PLIC_PENDING(word) (UINT64_C(0x1000) + 4 * (word))
#define PLIC_ENABLE_OF(context, word) (UINT64_C(0x2000) + 0x80 * (context) + 4 * (word))
#define PLIC_THRESHOLD_OF(context) (UINT64_C(0x200000) + 0x1000 * (context))
#define PLIC_CLAIM_OF(context) (PLIC_THRESHOLD_OF(context) + 4)
#define PLIC_S_MODE(v) (2 * (uint64_t)(v) + 1)

struct plic_machine {
    struct axvm vm;
    struct axvm_vcpu vcpus[PLIC_VCPUS];
    struct vplic plic;
    struct vplic_cpu cpus[PLIC_VCPUS];
};

extern struct plic_machine plic_machine;

/* As after power-on; plic_power_on() leaves the host as it is. */
int plic_setup(void **state);
int plic_teardown(void **state);
void plic_power_on(void);

/* Accesses of 4 bytes by vCPU `v`, which runs on pCPU v; they must not fail. */
uint32_t plic_read(unsigned v, uint64_t offset);
void plic_write(unsigned v, uint64_t offset, uint32_t value);

/* By vCPU `v` to its own context. */
void plic_enable(unsigned v, uint32_t irq, bool on);
uint32_t plic_claim(unsigned v);
void plic_complete(unsigned v, uint32_t irq);

void plic_wire(uint32_t irq, bool level);
void plic_pulse(uint32_t irq);

/* The output, and whether the vCPU was asked to look at it since the last time (which is then forgotten). */
bool plic_output(unsigned v);
bool plic_asked(unsigned v);

#endif
