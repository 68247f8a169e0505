/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine's GICv3 (IHI 0069): affinity routing, all interrupts in group 1, EOImode 1: writing ICC_EOIR1_EL1 drops
 * the priority, ICC_DIR_EL1 (or the guest, through a list register linked to the interrupt) deactivates.
 */
#ifndef METAL_AARCH64_INTC_H
#define METAL_AARCH64_INTC_H

#include "machine.h"
#include <axvm/hal.h>

struct percpu;

/* What struct percpu has for it. */
struct percpu_intc {
    uint64_t sgi_target;      /* as ICC_SGI1R_EL1 wants it */
    volatile uint8_t *redist; /* GICR RD_base; SGI_base is 64 KiB above */
};

/* What all pCPUs share; once, before any intc_cpu_init(). */
void intc_init(const struct machine *machine);

/*
 * The calling pCPU's own part, with the kick, the timer's and, as far as the guest's come as physical interrupts, these
 * enabled. AXVM_ENOENT: it isn't there.
 */
int intc_cpu_init(const struct machine *machine, struct percpu *self);

/* Have the UART's interrupt come to the calling pCPU. */
void intc_enable_uart(uint32_t irq);

/* Make the pCPU take an interrupt. What was written before is visible to it then. */
void intc_kick(const struct percpu *target);

/* axvm_hal.irq_set_active: private interrupts, of the calling pCPU */
void intc_set_active(uint32_t irq, bool active);

/* An interrupt for which host_irq_handle() said AXVM_IRQ_GUEST, while that guest isn't there: it is over. */
void intc_complete(uint32_t irq);

#endif
