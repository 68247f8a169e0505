/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An emulated GICv3 with vCPUs on the models of the virtual CPU interface, and a test that plays both their guests and
 * the part of the hypervisor around the GIC: what the guest does takes effect at once, maintenance interrupts and
 * requests for list registers are served before the guest's next step (gic_serve_all() serves requests to the other
 * vCPUs).
 *
 * cmocka_unit_test_setup_teardown(test_x, gic_setup, gic_teardown)
 */
#ifndef AXVM_TEST_GIC_MACHINE_H
#define AXVM_TEST_GIC_MACHINE_H

#include "core/vm.h"
#include "irqchip/vgicv3.h"
#include "support/ich_model.h"

#define GIC_VCPUS 4U
#define GIC_SPURIOUS ICH_MODEL_SPURIOUS

/* Registers (IHI 0069 12.8) that tests name. */
enum {
    GICD_CTLR = 0x0, GICD_TYPER = 0x4, GICD_IIDR = 0x8,
    GIC_IGROUPR = 0x80, GIC_ISENABLER = 0x100, GIC_ICENABLER = 0x180, GIC_ISPENDR = 0x200, GIC_ICPENDR = 0x280,
    GIC_ISACTIVER = 0x300, GIC_ICACTIVER = 0x380, GIC_IPRIORITYR = 0x400, GIC_ICFGR = 0xc00,
    GICD_IROUTER = 0x6000, GIC_PIDR2 = 0xffe8,
    GICR_CTLR = 0x0, GICR_IIDR = 0x4, GICR_TYPER = 0x8, GICR_WAKER = 0x14, GICR_SGI_BASE = 0x10000,
};

struct gic_machine {
    struct axvm vm;
    struct axvm_vcpu vcpus[GIC_VCPUS];
    struct vgicv3 gic;
    struct vgicv3_cpu cpus[GIC_VCPUS];
    int pcpu[GIC_VCPUS]; /* where each is resident, or -1 */
    uint32_t fallen[GIC_VCPUS]; /* wires of physical private interrupts that are down; they come up as they fire */
    unsigned lrs;
    unsigned exits; /* syncs for a request or a maintenance interrupt */
};

extern struct gic_machine gic_machine;

/*
 * vCPU n is resident on pCPU n, four list registers, everything enabled: all interrupts in group 1 with priority 0xa0,
 * both groups on, the guests' masks open. gic_start() does the same with another number of list registers.
 */
int gic_setup(void **state);
int gic_teardown(void **state); /* fails for faults of the model and of the host */
void gic_start(unsigned lrs);
/* The same without enabling anything. */
void gic_power_on(unsigned lrs);

/* Guest accesses by vCPU `v`; one that waits for others has them serve their requests. gicr_*: of the redistributor
 * `of`. */
uint64_t gicd_read(unsigned v, uint64_t offset, unsigned size);
void gicd_write(unsigned v, uint64_t offset, unsigned size, uint64_t value);
uint64_t gicr_read(unsigned v, unsigned of, uint64_t offset, unsigned size);
void gicr_write(unsigned v, unsigned of, uint64_t offset, unsigned size, uint64_t value);

/* One bit of the registers with a bit for each interrupt, wherever it is; private ones of vCPU `v` itself. */
bool gic_bit_read(unsigned v, unsigned reg, uint32_t irq);
void gic_bit_write(unsigned v, unsigned reg, uint32_t irq);
void gic_set_priority(unsigned v, uint32_t irq, uint8_t priority);
void gic_set_edge(unsigned v, uint32_t irq, bool edge);
void gic_route(unsigned v, uint32_t irq, unsigned target);

/* The guest's CPU interface. */
uint32_t gic_ack(unsigned v);
void gic_eoi(unsigned v, uint32_t irq);
void gic_dir(unsigned v, uint32_t irq);
bool gic_signalled(unsigned v); /* is an IRQ asserted */
void gic_sgi(unsigned v, uint64_t value, enum vgicv3_sgi_group group);
void gic_send_sgi(unsigned v, unsigned target, unsigned sgi); /* group 1, to one vCPU */

/* The machine. */
void gic_wire(uint32_t irq, bool level);
void gic_private_wire(unsigned v, uint32_t irq, bool level);
void gic_pulse(unsigned v, uint32_t irq);
void gic_physical_irq(unsigned v, uint32_t irq); /* fires where the vCPU is */
void gic_physical_wire_falls(unsigned v, uint32_t irq);
void gic_save(unsigned v);
void gic_load(unsigned v, unsigned pcpu);

/* Be on the pCPU where `v` is; before entry, serve its requests and maintenance interrupts. */
void gic_enter(unsigned v);
void gic_serve_all(void);

#endif
