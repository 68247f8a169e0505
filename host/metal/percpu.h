/* SPDX-License-Identifier: Apache-2.0 */
/* What the metal host keeps for each pCPU. */
#ifndef METAL_PERCPU_H
#define METAL_PERCPU_H

#include "aarch64/fault.h"
#include "aarch64/layout.h"
#include "scheduler.h"
#include <axvm/hal.h>

/* In the pCPU's own memory, on top of its stack. Only that pCPU touches it, but for what is atomic. */
struct percpu {
    uint32_t id;      /* from 0, in the order of the device tree */
    uint32_t faulted; /* an exception of EL2's own is being reported */
    uint64_t cpu_id;  /* MPIDR_EL1 affinity fields */
    struct fault_regs regs;
    uint64_t sgi_target;     /* as ICC_SGI1R_EL1 wants it */
    volatile uint8_t *redist; /* GICR RD_base; SGI_base is 64 KiB above */
    _Atomic bool online;
    bool in_console;  /* perhaps inside the console's lock: a fault must not want it */
    bool takes_input; /* the UART's interrupt comes here */
    struct runqueue queue;
    struct axvm_timer console_timer;
};

extern struct percpu *percpus[AXVM_MAX_PCPUS]; /* by id; NULL: never started */

static inline struct percpu *this_cpu(void)
{
    struct percpu *self;

    __asm__("mrs %0, tpidr_el2" : "=r"(self));
    return self;
}

#endif
