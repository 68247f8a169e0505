/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An emulated APLIC (RISC-V Advanced Interrupt Architecture 1.0, chapter 4): one domain, of S level, little-endian,
 * with sources 1 to 95 and priorities of 8 bits. Hart indices are vCPU ids. With IMSICs it delivers by message only,
 * without directly only: domaincfg.DM is fixed.
 *
 * With direct delivery, a vCPU's output is its external interrupt line. When it changes, the vCPU is asked
 * (VCPU_REQ_IRQ) to look at vaplic_output() before the guest goes on. Any pCPU may call any function; the lock is taken
 * inside, and no other lock while it is held.
 */
#ifndef AXVM_IRQCHIP_VAPLIC_H
#define AXVM_IRQCHIP_VAPLIC_H

#include "core/vcpu.h"
#include "irqchip/vimsic.h"
#include "lib/spinlock.h"
#include <axvm/device.h>

#define VAPLIC_SOURCES 96U /* with 0, which is none */
#define VAPLIC_WORDS (VAPLIC_SOURCES / 32U)
#define VAPLIC_SIZE UINT64_C(0x8000)

struct vaplic;

/* A vCPU's interrupt delivery control (4.8.1). */
struct vaplic_cpu {
    struct axvm_vcpu *vcpu;
    struct vaplic *aplic;
    _Atomic bool output;
    bool delivery, force;
    uint8_t threshold;
    uint32_t topi;
};

/*
 * One bit for each source, as the registers have them. Invariants, whenever the lock isn't held:
 *  - pending, enabled, edge and leveled are subsets of active, pulsed of pending and leveled; target is 0 outside it;
 *  - with direct delivery, a level-sensitive source is pending while its input asserts it, and topi and output of each
 *    vCPU are what follows from the rest;
 *  - with messages, nothing is pending and enabled while `on`, and a level-sensitive source isn't pending unless its
 *    input asserts it.
 */
struct vaplic {
    struct spinlock lock;
    struct axvm *vm;
    struct vimsic *imsic; /* NULL: direct delivery */
    unsigned cpu_count;
    struct vaplic_cpu *cpus[AXVM_MAX_VCPUS];
    bool on;         /* domaincfg.IE */
    uint32_t genmsi;
    uint64_t pokes;  /* vCPUs to request VCPU_REQ_IRQ of when the lock is given up */
    uint32_t level[VAPLIC_WORDS]; /* the wires */
    uint32_t pulsed[VAPLIC_WORDS]; /* level-sensitive: asserted until it is taken, whatever the wire */
    uint32_t active[VAPLIC_WORDS], edge[VAPLIC_WORDS], leveled[VAPLIC_WORDS], inverted[VAPLIC_WORDS];
    uint32_t pending[VAPLIC_WORDS], enabled[VAPLIC_WORDS];
    uint8_t mode[VAPLIC_SOURCES]; /* sourcecfg.SM */
    uint32_t target[VAPLIC_SOURCES];
    struct axvm_device device;
};

/*
 * Set up, all as after power-on: vaplic_init() with the VM, then vaplic_attach() for each vCPU in the order of their
 * ids. vaplic_add_device() puts the registers on the bus, and decides how interrupts are delivered: to `imsic`, or, if
 * that is NULL, directly. The device describes the APLIC in the guest's device tree: two cells name a source.
 */
void vaplic_init(struct vaplic *aplic, struct axvm *vm);
void vaplic_attach(struct vaplic *aplic, struct vaplic_cpu *cpu, struct axvm_vcpu *vcpu);
int vaplic_add_device(struct vaplic *aplic, gpa_t base, struct vimsic *imsic);

/* As after power-on, but for the wires, which are their drivers' to lower; no vCPU runs. */
void vaplic_reset(struct vaplic *aplic);

/* Whether the APLIC asserts the external interrupt of the vCPU; never with messages. */
static inline bool vaplic_output(const struct vaplic_cpu *cpu)
{
    return atomic_load_explicit(&cpu->output, memory_order_acquire);
}

/*
 * The wire of a source; or one edge, which a level-sensitive source takes for a device that asserts it until the guest
 * has claimed it (or the message has gone). AXVM_EINVAL: no such source.
 */
int vaplic_set_line(struct vaplic *aplic, uint32_t irq, bool level);
int vaplic_pulse(struct vaplic *aplic, uint32_t irq);

/* The property `interrupts` of a device with this wired interrupt. */
int vaplic_fdt_irq(void *fdt, uint32_t irq);

#endif
