/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fake architecture, for unit tests: no hardware. A vCPU plays a script of exits that the test gave, and notes what
 * the core did with it. What no back end should have to put up with is counted in fake_arch.misuses: registers loaded
 * twice, a vCPU run where it isn't loaded, started or reset while it is.
 */
#ifndef AXVM_ARCH_FAKE_H
#define AXVM_ARCH_FAKE_H

#include "core/vm.h"

#define FAKE_GPRS 32U
#define FAKE_SCRIPT_MAX 32U
#define FAKE_COMPLETIONS_MAX 32U
#define FAKE_RAM_START GIB(1)
#define FAKE_INTC_BASE UINT64_C(0x10000000)
#define FAKE_CONSOLE_BASE UINT64_C(0x10001000)
#define FAKE_IRQ_MIN 32U /* wired interrupts; those below are private */
#define FAKE_IRQ_MAX 95U
#define FAKE_CONSOLE_IRQ 40U
#define FAKE_PHYS_ID(vcpu_id) (0x80U + (vcpu_id))

/* What vcpu_complete() was told. */
struct fake_completion {
    struct axvm_exit exit;
    int error;
    uint64_t value;
};

struct fake_vcpu {
    struct axvm_vcpu base;

    /* The exits to come; then `guest` is called for each further one, or, if it is NULL, the vCPU halts. */
    struct axvm_exit script[FAKE_SCRIPT_MAX];
    unsigned script_count, script_next;
    void (*guest)(struct fake_vcpu *vcpu, struct axvm_exit *exit);
    void *context; /* for `guest` */

    struct fake_completion completions[FAKE_COMPLETIONS_MAX]; /* the last ones, in a ring */
    unsigned completion_count;

    int32_t loaded_on; /* pCPU, or -1 */
    unsigned loads, saves, runs, starts;
    gpa_t entry; /* of the last start */
    uint64_t arg;
    uint64_t gpr[FAKE_GPRS];
    _Atomic uint32_t pending; /* private interrupts pulsed, until the test clears them */
};

struct fake_vm {
    struct axvm base;
    unsigned boots, resets;
    uint64_t shifted;       /* sum of vm_time_shift() */
    _Atomic uint64_t wired; /* pulsed or raised wired interrupts, bit 0 is FAKE_IRQ_MIN; they wake vCPU 0 */
    _Atomic unsigned pulses;
};

/* A page that remembers the last value written, of type AXVM_EMU_CONSOLE: it takes input, too. */
struct fake_device {
    struct axvm_device base;
    uint64_t value;
    unsigned last_size;
    int error; /* what accesses return */
    unsigned resets;
    char input[16];
};

/* Global, for all VMs; a test sets what it wants and fake_arch_reset() clears it. */
extern struct fake_arch {
    _Atomic unsigned misuses;
    _Atomic int vms; /* vm_init less vm_fini */
    bool unsupported;
    /* Errors to return, if not 0 */
    int cpu_enable_error;
    int vm_init_error;
    int vcpu_init_error;
    int device_error;
} fake_arch;

void fake_arch_reset(void);

extern const struct axvm_platform axvm_platform_fake;
extern const struct addrspace_tlb fake_tlb; /* for tables that no hardware walks */

struct fake_vm *fake_vm(struct axvm *vm);
struct fake_vcpu *fake_vcpu(struct axvm *vm, uint32_t id);

/* Add an exit to a vCPU's script. */
void fake_push(struct fake_vcpu *vcpu, struct axvm_exit exit);

/* The n-th completion from the last (0). */
const struct fake_completion *fake_completed(const struct fake_vcpu *vcpu, unsigned n);

/* For `guest`: stay in the guest until the core wants something of the vCPU. */
void fake_guest_spin(struct fake_vcpu *vcpu, struct axvm_exit *exit);

#endif
