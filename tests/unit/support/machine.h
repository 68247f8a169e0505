/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole machine for a unit test: the fake host, an architecture's modelled CPUs, and the library on top, used through
 * its public API. What is here goes for every architecture; a64_machine.h and rv64_machine.h add what is one's own.
 *
 * A test that is for all of them stands in its program's list as MACHINE_TESTS(test_x).
 */
#ifndef AXVM_TEST_MACHINE_H
#define AXVM_TEST_MACHINE_H

#include "core/arch.h"
#include "core/vm.h"
#include "support/fake_hal.h"

#define MACHINE_RAM_SIZE MIB(4) /* of a guest; the first page is the kernel: entry point */

typedef void machine_guest(void);

/* An architecture's. The calls from `call` on are what a guest does, on the calling pCPU (see a64_model.h). */
struct machine_arch {
    const struct axvm_arch *arch;
    uint32_t kernel;                               /* an instruction that jumps to itself */
    void (*reset)(struct axvm_hal *host);          /* the models, and what the host has of them */
    void (*configure)(struct axvm_config *config); /* NULL: the usual devices */
    void (*select)(unsigned pcpu);                 /* of a model that has to know it; NULL: none */
    unsigned (*faults)(void);                      /* that a model has counted; NULL: none does */
    void (*enters)(void);                          /* machine_be_guest() runs from the next entry on */
    void (*call)(void);                            /* an exit that goes on with an answer */
    void (*check_answer)(void);                    /* that it is in the registers */
    void (*wfi)(void);
    void (*irq)(enum axvm_irq_result result, uint32_t irq); /* a physical interrupt, with the host's answer to it */
    void (*start)(uint64_t cpu);                            /* another vCPU, by its physical id, at the kernel */
};

extern const struct machine_arch machine_a64, machine_rv64;
extern const struct machine_arch *machine; /* the one that was set up last */

/* Setup: a machine whose pCPUs 0 and 1 are enabled, no VM. Teardown stops and destroys the VMs, and fails for leaks. */
int machine_setup(const struct machine_arch *which);
int machine_teardown(void **state);
int a64_machine_setup(void **state);
int rv64_machine_setup(void **state);

#define MACHINE_TESTS(f)                                                                                               \
    {"aarch64: " #f, f, a64_machine_setup, machine_teardown, NULL},                                                    \
    {"riscv64: " #f, f, rv64_machine_setup, machine_teardown, NULL}

/* The calling thread is that pCPU from now on: of the fake host, and of the models. */
void machine_pcpu(unsigned pcpu);

/* A running VM; `change` (may be NULL) has the last word about its configuration. */
struct axvm *machine_vm(uint32_t vcpus, void (*change)(struct axvm_config *config));

/* The same, only loaded: for devices to be added. */
struct axvm *machine_loaded_vm(uint32_t vcpus, void (*change)(struct axvm_config *config));

/* Stop and destroy it, as teardown does with all that are left. */
int machine_end(struct axvm *vm);

/* Run a vCPU on the calling pCPU, with this guest in it (NULL: it does nothing); or with the one that is there. */
struct axvm_exit machine_run(struct axvm *vm, uint32_t vcpu, machine_guest *guest);
struct axvm_exit machine_enter(struct axvm *vm, uint32_t vcpu);
void machine_be_guest(void);

void machine_suspend_for(struct axvm *vm, uint64_t ticks);

/*
 * What a host may do at any time, at random: let time pass, take the vCPU to another pCPU, suspend the VM for a while.
 * So many ticks long it was suspended.
 */
uint64_t machine_disturb(struct axvm *vm, uint32_t vcpu);

/* Start vCPU `vcpu` as vCPU 0 does it; it hasn't run yet. */
void machine_cpu_on(struct axvm *vm, uint32_t vcpu);

#endif
