/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An emulated PLIC (RISC-V Platform-Level Interrupt Controller Specification 1.0.0), laid out as on QEMU's "virt"
 * machine: vCPU n's context for S mode is 2n + 1; contexts 2n would be M mode's, which a guest doesn't have: they, and
 * whatever else isn't there, read as zero and ignore writes. Sources 1 to 95; 3 bits of priority, WARL. Accesses are of
 * 32 bits and aligned; any other is a bus error, as on that machine.
 *
 * Where the specification leaves a choice, or is easily overlooked:
 *  - A request that a gateway has forwarded stays pending until it is claimed, also when the wire is lowered before.
 *  - A claim takes no notice of the threshold, which only silences the output.
 *  - A completion counts if the source is enabled for the context and claimed, by whatever context; else it is ignored.
 *  - The gateway of an edge remembers one more edge while the source is claimed, and forwards it after the completion;
 *    an edge while the source is pending is one with that.
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
    unsigned index;
    _Atomic bool output;
    _Atomic uint32_t threshold;
    _Atomic uint32_t enabled[VPLIC_WORDS];
};

/*
 * Written under `lock` only; what is atomic is what the guest reads without. Invariants, outside of the lock:
 *  - No source is both pending and claimed, and one whose wire is up is one of them.
 *  - One that is latched is claimed.
 *  - cpus[n]->output: whether a source that is enabled for it is pending with a priority above its threshold.
 */
struct vplic {
    struct spinlock lock;
    struct axvm *vm;
    unsigned cpu_count;
    struct vplic_cpu *cpus[AXVM_MAX_VCPUS];
    uint32_t level[VPLIC_WORDS];   /* the wires */
    uint32_t latched[VPLIC_WORDS]; /* an edge to forward after completion */
    uint32_t claimed[VPLIC_WORDS]; /* the gateway waits for completion */
    _Atomic uint32_t pending[VPLIC_WORDS];
    _Atomic uint8_t priority[VPLIC_SOURCES];
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

/*
 * Whether an interrupt that is enabled and above the threshold is pending for the vCPU. Sequentially consistent: a vCPU
 * that becomes blocked and then looks here, and vcpu_request() after the output has changed, see one of each other.
 */
static inline bool vplic_output(const struct vplic_cpu *cpu)
{
    return atomic_load(&cpu->output);
}

/* The wire of a level-sensitive source; or one edge. AXVM_EINVAL: no such source. */
int vplic_set_line(struct vplic *plic, uint32_t irq, bool level);
int vplic_pulse(struct vplic *plic, uint32_t irq);

#endif
