/* SPDX-License-Identifier: Apache-2.0 */
/* What raises sip.SEIP: one of several interrupt controllers, of which the host uses no more than the UART's wire. */
#ifndef METAL_RISCV64_EXTINT_H
#define METAL_RISCV64_EXTINT_H

#include "machine.h"

struct percpu;

struct extint {
    /* All wires off; once. */
    void (*init)(const struct machine *machine);
    /* The calling pCPU's part, as far as it has one: then `self->intc` knows. AXVM_ENOENT: it must have one. */
    int (*cpu_init)(const struct machine *machine, struct percpu *self);
    /* Have that wire, the UART's, come to a pCPU that has its part. */
    void (*enable)(uint32_t irq, const struct percpu *cpu);
    /* sip.SEIP is set. */
    void (*handle)(void);
};

extern const struct extint extint_plic;  /* RISC-V Platform-Level Interrupt Controller 1.0.0 */
extern const struct extint extint_aplic; /* RISC-V AIA 1.0, chapter 4: an APLIC in direct delivery mode */
extern const struct extint extint_imsic; /* chapter 3, and an APLIC in MSI delivery mode, if any */

static inline uint32_t extint_read(const volatile uint8_t *base, uint32_t offset)
{
    return *(const volatile uint32_t *)(const volatile void *)(base + offset);
}

static inline void extint_write(volatile uint8_t *base, uint32_t offset, uint32_t value)
{
    *(volatile uint32_t *)(volatile void *)(base + offset) = value;
}

#endif
