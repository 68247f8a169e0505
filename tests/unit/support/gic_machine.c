/* SPDX-License-Identifier: Apache-2.0 */
#include "support/gic_machine.h"

#include "device/bus.h"
#include "lib/host.h"
#include "support/fake_hal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ROUNDS 8

struct gic_machine gic_machine;

static struct gic_machine *const m = &gic_machine;

static void physically_deactivated(unsigned pcpu, uint32_t irq)
{
    (void)pcpu;
    hal->irq_set_active(irq, false);
}

static bool wire(struct axvm_vcpu *vcpu, uint32_t irq)
{
    if (m->pcpu[vcpu->id] != (int)hal->pcpu_id()) {
        fprintf(stderr, "gic_machine: vCPU %u's wires can't be seen from here\n", vcpu->id);
        abort();
    }
    return (m->fallen[vcpu->id] >> irq & 1) == 0;
}

static void on_pcpu_of(unsigned v)
{
    if (m->pcpu[v] < 0) {
        fprintf(stderr, "gic_machine: vCPU %u isn't resident\n", v);
        abort();
    }
    fake_hal_set_pcpu((unsigned)m->pcpu[v]);
    ich_model_select((unsigned)m->pcpu[v]);
}

/* ---- Life ---- */

void gic_power_on(unsigned lrs)
{
    memset(m, 0, sizeof(*m));
    ich_model_reset(lrs);
    ich_model_on_deactivate(physically_deactivated);
    m->lrs = lrs;
    m->vm.id = 1;
    m->vm.config.cpu_num = GIC_VCPUS;
    vgicv3_init(&m->gic, &m->vm);
    m->gic.wire = wire;
    m->gic.redist.size = GIC_VCPUS * VGICV3_REDIST_SIZE;
    for (unsigned v = 0; v < GIC_VCPUS; v++) {
        m->vcpus[v].vm = &m->vm;
        m->vcpus[v].id = v;
        m->vcpus[v].phys_id = v;
        atomic_store(&m->vcpus[v].state, AXVM_VCPU_RUNNING);
        atomic_store(&m->vcpus[v].power, VCPU_ON);
        m->pcpu[v] = -1;
        vgicv3_attach(&m->gic, &m->cpus[v], &m->vcpus[v]);
        gic_load(v, v);
    }
}

void gic_start(unsigned lrs)
{
    gic_power_on(lrs);
    gicd_write(0, GICD_CTLR, 4, 3);
    for (uint32_t w = 1; w < VGICV3_WORDS; w++) {
        gicd_write(0, GIC_ISENABLER + 4 * w, 4, UINT32_MAX);
    }
    for (uint32_t irq = 32; irq < VGICV3_MAX_IRQS; irq++) {
        gic_set_priority(0, irq, 0xa0);
    }
    for (unsigned v = 0; v < GIC_VCPUS; v++) {
        gicr_write(v, v, GICR_SGI_BASE + GIC_ISENABLER, 4, UINT32_MAX);
        for (uint32_t irq = 0; irq < 32; irq++) {
            gic_set_priority(v, irq, 0xa0);
        }
        ich_model_set_pmr(0xf8);
        ich_model_set_group(0, true);
        ich_model_set_group(1, true);
    }
}

int gic_setup(void **state)
{
    int error = fake_hal_setup(state);

    gic_start(4);
    return error;
}

int gic_teardown(void **state)
{
    int faults = (int)ich_model_faults();

    fake_hal_set_pcpu(0);
    return fake_hal_teardown(state) | faults;
}

void gic_load(unsigned v, unsigned pcpu)
{
    m->pcpu[v] = (int)pcpu;
    atomic_store(&m->vcpus[v].resident_on, (int)pcpu);
    on_pcpu_of(v);
    for (uint32_t irq = 16; irq < 32; irq++) {
        hal->irq_set_active(irq, vgicv3_hardware_active(&m->cpus[v], irq));
    }
    vgicv3_load(&m->cpus[v]);
}

void gic_save(unsigned v)
{
    on_pcpu_of(v);
    vgicv3_save(&m->cpus[v]);
    for (uint32_t irq = 16; irq < 32; irq++) {
        hal->irq_set_active(irq, false);
    }
    m->pcpu[v] = -1;
    atomic_store(&m->vcpus[v].resident_on, -1);
}

void gic_enter(unsigned v)
{
    on_pcpu_of(v);
    for (unsigned round = 0; round < MAX_ROUNDS; round++) {
        bool requested = (atomic_exchange(&m->vcpus[v].requests, 0) & VCPU_REQ_IRQ) != 0;

        if (!requested && !ich_model_maintenance()) {
            return;
        }
        m->exits++;
        vgicv3_sync(&m->cpus[v]);
    }
    fprintf(stderr, "gic_machine: vCPU %u never gets back into its guest\n", v);
    abort();
}

void gic_serve_all(void)
{
    for (unsigned round = 0; round < MAX_ROUNDS; round++) {
        bool idle = true;

        for (unsigned v = 0; v < GIC_VCPUS; v++) {
            if (m->pcpu[v] >= 0 && atomic_load(&m->vcpus[v].requests) != 0) {
                idle = false;
                gic_enter(v);
            }
        }
        if (idle) {
            return;
        }
    }
    fprintf(stderr, "gic_machine: the vCPUs keep each other busy for ever\n");
    abort();
}

/* ---- Registers ---- */

/* An access that isn't finished: the other vCPUs, too, do as they are asked, then this one comes again. */
static bool again(unsigned v, int result)
{
    if (result == AXVM_OK) {
        return false;
    }
    if (result != BUS_AGAIN || m->cpus[v].awaited == 0) {
        abort();
    }
    gic_serve_all();
    gic_enter(v);
    return true;
}

static uint64_t reg_read(unsigned v, struct axvm_device *device, uint64_t offset, unsigned size)
{
    uint64_t value = 0;

    gic_enter(v);
    while (again(v, device->ops->read(device, &m->vcpus[v], offset, size, &value))) {
    }
    gic_enter(v);
    return value;
}

static void reg_write(unsigned v, struct axvm_device *device, uint64_t offset, unsigned size, uint64_t value)
{
    gic_enter(v);
    while (again(v, device->ops->write(device, &m->vcpus[v], offset, size, value))) {
    }
    gic_enter(v);
}

uint64_t gicd_read(unsigned v, uint64_t offset, unsigned size)
{
    return reg_read(v, &m->gic.dist, offset, size);
}

void gicd_write(unsigned v, uint64_t offset, unsigned size, uint64_t value)
{
    reg_write(v, &m->gic.dist, offset, size, value);
}

uint64_t gicr_read(unsigned v, unsigned of, uint64_t offset, unsigned size)
{
    return reg_read(v, &m->gic.redist, of * VGICV3_REDIST_SIZE + offset, size);
}

void gicr_write(unsigned v, unsigned of, uint64_t offset, unsigned size, uint64_t value)
{
    reg_write(v, &m->gic.redist, of * VGICV3_REDIST_SIZE + offset, size, value);
}

static uint64_t field_read(unsigned v, uint64_t offset, uint32_t irq, unsigned size)
{
    return irq < 32 ? gicr_read(v, v, GICR_SGI_BASE + offset, size) : gicd_read(v, offset, size);
}

static void field_write(unsigned v, uint64_t offset, uint32_t irq, unsigned size, uint64_t value)
{
    if (irq < 32) {
        gicr_write(v, v, GICR_SGI_BASE + offset, size, value);
    } else {
        gicd_write(v, offset, size, value);
    }
}

bool gic_bit_read(unsigned v, unsigned reg, uint32_t irq)
{
    return field_read(v, reg + irq / 32 * 4, irq, 4) >> irq % 32 & 1;
}

void gic_bit_write(unsigned v, unsigned reg, uint32_t irq)
{
    field_write(v, reg + irq / 32 * 4, irq, 4, 1U << irq % 32);
}

void gic_set_priority(unsigned v, uint32_t irq, uint8_t priority)
{
    field_write(v, GIC_IPRIORITYR + irq, irq, 1, priority);
}

void gic_set_edge(unsigned v, uint32_t irq, bool edge)
{
    uint64_t offset = GIC_ICFGR + irq / 16 * 4;
    uint64_t bit = UINT64_C(2) << irq % 16 * 2;
    uint64_t value = field_read(v, offset, irq, 4);

    field_write(v, offset, irq, 4, edge ? value | bit : value & ~bit);
}

void gic_route(unsigned v, uint32_t irq, unsigned target)
{
    gicd_write(v, GICD_IROUTER + 8 * irq, 8, target);
}

/* ---- The guest's CPU interface ---- */

uint32_t gic_ack(unsigned v)
{
    uint32_t irq;

    gic_enter(v);
    irq = ich_model_ack(1);
    gic_enter(v);
    return irq;
}

void gic_eoi(unsigned v, uint32_t irq)
{
    gic_enter(v);
    ich_model_eoi(1, irq);
    gic_enter(v);
}

void gic_dir(unsigned v, uint32_t irq)
{
    gic_enter(v);
    if (!ich_model_dir(irq)) {
        vgicv3_deactivate(&m->cpus[v], irq);
    }
    gic_enter(v);
}

bool gic_signalled(unsigned v)
{
    gic_enter(v);
    return ich_model_signalled(1);
}

void gic_sgi(unsigned v, uint64_t value, enum vgicv3_sgi_group group)
{
    gic_enter(v);
    vgicv3_send_sgi(&m->cpus[v], value, group);
    gic_enter(v);
}

void gic_send_sgi(unsigned v, unsigned target, unsigned sgi)
{
    gic_sgi(v, (uint64_t)sgi << 24 | UINT64_C(1) << target, VGICV3_SGI1);
}

/* ---- The machine ---- */

void gic_wire(uint32_t irq, bool level)
{
    if (vgicv3_set_line(&m->gic, irq, level) != AXVM_OK) {
        abort();
    }
}

void gic_private_wire(unsigned v, uint32_t irq, bool level)
{
    vgicv3_set_private_line(&m->cpus[v], irq, level);
}

void gic_pulse(unsigned v, uint32_t irq)
{
    if (vgicv3_pulse(&m->cpus[v], irq) != AXVM_OK) {
        abort();
    }
}

void gic_physical_wire_falls(unsigned v, uint32_t irq)
{
    m->fallen[v] |= 1U << irq;
}

void gic_physical_irq(unsigned v, uint32_t irq)
{
    gic_enter(v);
    m->fallen[v] &= ~(1U << irq);
    hal->irq_set_active(irq, true); /* acknowledged */
    vgicv3_hardware_irq(&m->cpus[v], irq);
    gic_enter(v);
}
