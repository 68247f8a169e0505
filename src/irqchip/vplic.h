/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An emulated PLIC (RISC-V Platform-Level Interrupt Controller Specification 1.0.0), laid out as on QEMU's "virt"
 * machine: hart n's context for S mode is 2n + 1; contexts 2n would be M mode's, which a guest doesn't have, and read
 * as zero. Sources 1 to 95; 3 bits of priority.
 *
 * A context's output is the external interrupt line of its vCPU. When it changes, the vCPU is asked (VCPU_REQ_IRQ) to
 * look at vplic_output() before the guest goes on. Any pCPU may call any function; the lock is taken inside, and no
 * other lock while it is held.
 */
#ifndef AXVM_IRQCHIP_VPLIC_H
#define AXVM_IRQCHIP_VPLIC_H

#include "core/vcpu.h"
#include "lib/spinlock.h"
#include <axvm/device.h>

#define VPLIC_SOURCES 96U /* with 0, which is none */
#define VPLIC_WORDS (VPLIC_SOURCES / 32U)
#define VPLIC_SIZE UINT64_C(0x600000)

struct vplic;

/* A vCPU's S-mode context. */
struct vplic_cpu {
    struct axvm_vcpu *vcpu;
    struct vplic *plic;
    _Atomic bool output;
    uint32_t threshold;
    uint32_t enabled[VPLIC_WORDS];
};

struct vplic {
    struct spinlock lock;
    struct axvm *vm;
    unsigned cpu_count;
    struct vplic_cpu *cpus[AXVM_MAX_VCPUS];
    uint32_t level[VPLIC_WORDS];   /* the wires */
    uint32_t pending[VPLIC_WORDS];
    uint32_t claimed[VPLIC_WORDS]; /* the gateway waits for completion */
    uint8_t priority[VPLIC_SOURCES];
    struct axvm_device device;
};

/*
 * Set up, all as after power-on: vplic_init() with the VM, then vplic_attach() for each vCPU in the order of their ids.
 * vplic_add_device() puts the registers on the bus; the device describes the PLIC in the guest's device tree, with the
 * interrupt controllers of the harts as its parents.
 */
void vplic_init(struct vplic *plic, struct axvm *vm);
void vplic_attach(struct vplic *plic, struct vplic_cpu *cpu, struct axvm_vcpu *vcpu);
int vplic_add_device(struct vplic *plic, gpa_t base);

/* As after power-on, but for the wires, which are their drivers' to lower; no vCPU runs. */
void vplic_reset(struct vplic *plic);

/* Whether an interrupt that is enabled and above the threshold is pending for the vCPU. */
static inline bool vplic_output(const struct vplic_cpu *cpu)
{
    return atomic_load_explicit(&cpu->output, memory_order_acquire);
}

/* The wire of a level-sensitive source; or one edge. AXVM_EINVAL: no such source. */
int vplic_set_line(struct vplic *plic, uint32_t irq, bool level);
int vplic_pulse(struct vplic *plic, uint32_t irq);

#endif
