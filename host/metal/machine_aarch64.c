/* SPDX-License-Identifier: Apache-2.0 */
/* GICv3, PSCI, generic timer */
#include "machine_scan.h"

/* The index'th of some interrupts, as INTID (arm,gic-v3: type 0 SPI, 1 PPI; number), or 0. */
static uint32_t irq_read(const struct scan *scan, struct property interrupts, uint32_t index)
{
    uint32_t cells = scan->aarch64.irq_cells, type, number;
    const fdt32_t *irq = interrupts.data;

    if (!irq || cells == 0 || index >= (uint32_t)interrupts.length / (cells * 4)) {
        return 0;
    }
    type = fdt32_ld(&irq[index * cells]);
    number = fdt32_ld(&irq[index * cells + 1]);
    if (type == 0 && number < 988) {
        return 32 + number;
    }
    return type == 1 && number < 16 ? 16 + number : 0;
}

static bool is_private(uint32_t irq)
{
    return irq >= 16 && irq < 32;
}

static void found_gicv3(struct scan *scan)
{
    struct machine_gic *gic = &scan->machine->aarch64.gic;
    uint32_t cells = cell_or(scan->node.interrupt_cells, 3);

    if (scan->aarch64.irq_cells != 0 || !device_range(scan, 0, &gic->dist)) {
        return;
    }
    while (gic->redist_count < MACHINE_MAX_REDISTS &&
           device_range(scan, 1 + gic->redist_count, &gic->redist[gic->redist_count])) {
        gic->redist_count++;
    }
    gic->redist_stride = number_or_0(scan->node.redistributor_stride);
    scan->aarch64.irq_cells = cells == 4 ? 4 : 3;
    gic->maintenance_irq = irq_read(scan, scan->node.interrupts, 0);
}

static void found_gicv2(struct scan *scan)
{
    scan->aarch64.gicv2 = true;
}

static void found_timer(struct scan *scan)
{
    scan->aarch64.timer_interrupts = scan->node.interrupts;
    scan->machine->timer_hz = cell_or(scan->node.clock_frequency, 0);
}

static void found_psci(struct scan *scan)
{
    scan->machine->aarch64.psci_smc = property_lists(scan->node.method, "smc");
}

static const struct machine_device devices[] = {
    {"arm,gic-v3", found_gicv3},
    {"arm,gic-400", found_gicv2},
    {"arm,cortex-a15-gic", found_gicv2},
    {"arm,armv8-timer", found_timer},
    {"arm,psci-0.2", found_psci},
    {"arm,psci-1.0", found_psci},
};

static int settle(struct scan *scan)
{
    struct machine *machine = scan->machine;
    struct machine_gic *gic = &machine->aarch64.gic;

    if (scan->aarch64.irq_cells == 0) {
        return machine_problem(machine, AXVM_EUNSUPPORTED,
                               scan->aarch64.gicv2 ? "the interrupt controller is a GICv2, and GICv3 is needed"
                                                   : "the device tree names no GICv3 interrupt controller");
    }
    if (gic->redist_count == 0 || !is_private(gic->maintenance_irq)) {
        return machine_problem(machine, AXVM_EUNSUPPORTED,
                               "the GICv3 has no redistributors or no maintenance interrupt");
    }
    machine_add_device(machine, gic->dist);
    for (unsigned i = 0; i < gic->redist_count; i++) {
        machine_add_device(machine, gic->redist[i]);
    }
    if (scan->console) {
        machine->uart.irq = irq_read(scan, scan->console->interrupts, 0);
    }
    /* In this order: secure physical, physical, virtual, hypervisor */
    machine->aarch64.hyp_timer_irq = irq_read(scan, scan->aarch64.timer_interrupts, 3);
    if (irq_read(scan, scan->aarch64.timer_interrupts, 2) != MACHINE_VIRTUAL_TIMER_IRQ ||
        !is_private(machine->aarch64.hyp_timer_irq)) {
        return machine_problem(machine, AXVM_EUNSUPPORTED,
                               "there is no hypervisor timer, or the virtual one isn't PPI 27");
    }
    return AXVM_OK;
}

const struct machine_kind machine_aarch64 = {
    .devices = devices,
    .devices_count = sizeof(devices) / sizeof(devices[0]),
    .cpu_id_mask = UINT64_C(0xff00ffffff), /* MPIDR_EL1's affinity fields */
    .no_cpu = "the device tree names no CPU",
    .settle = settle,
};
