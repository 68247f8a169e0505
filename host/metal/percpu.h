/* SPDX-License-Identifier: Apache-2.0 */
/* What the metal host keeps for each pCPU. */
#ifndef METAL_PERCPU_H
#define METAL_PERCPU_H

#include "fault.h"
#include "host_cpu.h"
#include "host_layout.h"
#include "intc.h"
#include "scheduler.h"
#include <axvm/hal.h>

/* In the pCPU's own memory, on top of its stack. Only that pCPU touches it, but for what is atomic. */
struct percpu {
    uint32_t id;      /* from 0, in the order of the device tree */
    uint32_t faulted; /* an exception of the hypervisor's own is being reported */
    uint64_t cpu_id;  /* machine.cpu_id[id] */
    struct fault_regs regs;
    struct percpu_intc intc;
    _Atomic bool online;
    bool in_console;  /* perhaps inside the console's lock: a fault must not want it */
    bool takes_input; /* the UART's interrupt has come here */
    struct runqueue queue;
    struct axvm_timer console_timer;
};

extern struct percpu *percpus[AXVM_MAX_PCPUS]; /* by id; NULL: never started */

static inline struct percpu *this_cpu(void)
{
    return cpu_this();
}

/* What an interrupt of the host's own comes to, once it is handled. */
static inline enum axvm_irq_result percpu_irq_result(void)
{
    return atomic_load_explicit(&this_cpu()->queue.preempt, memory_order_relaxed) ? AXVM_IRQ_RESCHED : AXVM_IRQ_HANDLED;
}

#endif
