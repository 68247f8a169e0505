/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine's GICv3 (IHI 0069): affinity routing, all interrupts in group 1, EOImode 1: writing ICC_EOIR1_EL1 drops
 * the priority, ICC_DIR_EL1 (or the guest, through a list register linked to the interrupt) deactivates.
 */
#ifndef METAL_AARCH64_GICV3_H
#define METAL_AARCH64_GICV3_H

#include "aarch64/cpu_el2.h"
#include "machine.h"

struct percpu;

#define GICV3_SGI_KICK 0U
#define GICV3_SPURIOUS 1020U /* from here on: 1020..1023 are no interrupts (IHI 0069 2.2.1) */

/* The distributor; once, before any gicv3_cpu_init(). */
void gicv3_init(const struct machine *machine);

/*
 * The calling pCPU's redistributor and CPU interface, with the kick, `private` interrupts (a mask of INTIDs 0..31)
 * enabled. AXVM_ENOENT: it has no redistributor among the machine's.
 */
int gicv3_cpu_init(const struct machine *machine, struct percpu *self, uint32_t private);

/* Let an SPI come to the calling pCPU. */
void gicv3_enable_spi(uint32_t irq);

/* The calling pCPU's pending interrupt, now active; what its sender wrote before is visible (IHI 0069 4.1.1). */
static inline uint32_t gicv3_acknowledge(void)
{
    uint32_t irq = (uint32_t)sysreg_read(ICC_IAR1_EL1) & 0xffffffU;

    cpu_dsb();
    return irq;
}

/* After it was acknowledged. */
static inline void gicv3_drop(uint32_t irq)
{
    sysreg_write(ICC_EOIR1_EL1, irq);
}

/* After it was dropped. Without the ISB the interrupt might be signalled once more before it is gone. */
static inline void gicv3_deactivate(uint32_t irq)
{
    isb();
    sysreg_write(ICC_DIR_EL1, irq);
    isb();
}

void gicv3_set_active(uint32_t irq, bool active); /* private ones, of the calling pCPU */

/* Send the kick. What was written before is visible to the pCPU that takes it. */
void gicv3_kick(const struct percpu *target);

#endif
