/* SPDX-License-Identifier: Apache-2.0 */
/* The distributor's registers (IHI 0069 12.9), and the GIC in the guest's device tree. */
#include "irqchip/vgicv3_impl.h"
#include "core/guest_fdt.h"
#include "irqchip/vits.h"

#include <libfdt.h>
#include <stdio.h>

enum {
    GICD_CTLR = 0x0000,
    GICD_TYPER = 0x0004,
    GICD_IIDR = 0x0008,
    GICD_IROUTER = 0x6000,
    GICD_IROUTER_END = 0x8000,
};

#define GICD_CTLR_ENABLES (GICD_CTLR_ENABLE_GRP0 | GICD_CTLR_ENABLE_GRP1)
#define GICD_CTLR_ARE (1U << 4)
#define GICD_CTLR_DS (1U << 6)
#define GICD_CTLR_RWP (1U << 31)

/*
 * Ranges of SGIs (RSS) and affinity level 3 are supported; INTIDs have 10 bits; no LPIs, no message-based SPIs, no
 * second security state, no extended SPIs.
 */
#define TYPER_LINES (VGICV3_WORDS - 1U)
#define TYPER_ID_BITS (9U << 19)
#define TYPER_A3V (1U << 24)
#define TYPER_RSS (1U << 26)
#define TYPER (TYPER_LINES | TYPER_ID_BITS | TYPER_A3V | TYPER_RSS)

/* With LPIs, INTIDs have 14 bits. */
#define TYPER_LPI_ID_BITS (13U << 19)
#define TYPER_LPIS (1U << 17)
#define TYPER_NUM_LPIS ((VGICV3_LPI_COUNT_SHIFT - 1) << 11)
#define TYPER_WITH_LPIS (TYPER_LINES | TYPER_LPI_ID_BITS | TYPER_LPIS | TYPER_NUM_LPIS | TYPER_A3V | TYPER_RSS)

static struct vgicv3 *gic_of(struct axvm_device *device)
{
    return (struct vgicv3 *)(void *)((char *)device - offsetof(struct vgicv3, dist));
}

/* ---- GICD_CTLR --------------------------------------------------------------------------------------------------- */

static uint32_t ctlr_read(struct vgicv3 *gic)
{
    uint32_t value;

    spin_lock(&gic->lock);
    value = gic->ctlr | GICD_CTLR_ARE | GICD_CTLR_DS | (gic->settling != 0 ? GICD_CTLR_RWP : 0);
    vgicv3_unlock(gic, NULL);
    return value;
}

static void ctlr_write(struct vgicv3 *gic, struct axvm_vcpu *from, uint32_t value)
{
    spin_lock(&gic->lock);
    if (gic->ctlr != (value & GICD_CTLR_ENABLES)) {
        gic->ctlr = value & GICD_CTLR_ENABLES;
        for (unsigned i = 0; i < gic->cpu_count; i++) {
            vgicv3_cpu_changed(gic->cpus[i]);
            gic->settling |= i != from->id && gic->cpus[i]->lr_used != 0 ? UINT64_C(1) << i : 0;
        }
        vgicv3_choose_again(gic); /* for what was not forwarded nobody has been chosen */
    }
    vgicv3_unlock(gic, from);
}

/* ---- GICD_IROUTER<n> --------------------------------------------------------------------------------------------- */

/* The SPI, or 0. Each has eight bytes, accessible by the word as well (IHI 0069 12.1.3). */
static unsigned irouter_irq(uint64_t offset, unsigned size)
{
    unsigned irq = (unsigned)(offset - GICD_IROUTER) / 8;

    return (size == 4 || size == 8) && offset % size == 0 && irq >= 32 && irq < VGICV3_MAX_IRQS ? irq : 0;
}

static uint64_t irouter_read(struct vgicv3 *gic, uint64_t offset, unsigned size)
{
    unsigned irq = irouter_irq(offset, size);
    uint64_t value;

    spin_lock(&gic->lock);
    value = gic->irouter[irq];
    vgicv3_unlock(gic, NULL);
    return bus_narrow(value >> (offset % 8 * 8), size);
}

static void irouter_write(struct vgicv3 *gic, struct axvm_vcpu *from, uint64_t offset, unsigned size, uint64_t value)
{
    unsigned irq = irouter_irq(offset, size);
    struct vgicv3_word *word = &gic->spi[irq / 32];
    uint32_t bit = 1U << irq % 32;

    if (irq == 0) {
        return;
    }
    spin_lock(&gic->lock);
    value = vgicv3_merge(gic->irouter[irq], offset, size, value) & IROUTER_MASK;
    gic->irouter[irq] = value;
    word->target[irq % 32] = vgicv3_find(gic, vgicv3_pack_affinity(value));
    gic->roams[word->index] = (gic->roams[word->index] & ~bit) | ((value & IROUTER_IRM) != 0 ? bit : 0);
    gic->roaming |= (value & IROUTER_IRM) != 0;
    vgicv3_changed(gic, word, bit);
    vgicv3_unlock(gic, from);
}

/* ---- The device -------------------------------------------------------------------------------------------------- */

/* What is accessed often has its own way in dist_read() and dist_write(), for which no registers need be saved. */
__attribute__((noinline)) static int rare_read(struct vgicv3 *gic, uint64_t offset, unsigned size, uint64_t *value)
{
    *value = 0; /* also TYPER2, STATUSR; SETSPI and CLRSPI are write-only and not supported: TYPER.MBIS is 0 */
    if (offset >= GICD_IROUTER && offset < GICD_IROUTER_END) {
        *value = irouter_read(gic, offset, size);
    } else if (offset >= VGICV3_IDS) {
        *value = vgicv3_id_read(offset, size);
    } else if (offset == GICD_CTLR && size == 4) {
        *value = ctlr_read(gic);
    } else if (offset == GICD_IIDR && size == 4) {
        *value = GIC_IIDR;
    }
    return AXVM_OK;
}

static int dist_read(struct axvm_device *device, struct axvm_vcpu *vcpu, uint64_t offset, unsigned size,
                     uint64_t *value)
{
    struct vgicv3 *gic = gic_of(device);

    if (offset == GICD_TYPER && size == 4) {
        *value = gic->typer;
        return AXVM_OK;
    }
    if (offset >= VGICV3_WORD_REGS && offset < VGICV3_WORD_REGS_END) {
        return vgicv3_regs_read(gic, vcpu, NULL, offset, size, value);
    }
    return rare_read(gic, offset, size, value);
}

__attribute__((noinline)) static int rare_write(struct vgicv3 *gic, struct axvm_vcpu *vcpu, uint64_t offset,
                                                unsigned size, uint64_t value)
{
    if (offset >= GICD_IROUTER && offset < GICD_IROUTER_END) {
        irouter_write(gic, vcpu, offset, size, value);
    } else if (offset == GICD_CTLR && size == 4) {
        ctlr_write(gic, vcpu, (uint32_t)value);
    }
    return AXVM_OK;
}

static int dist_write(struct axvm_device *device, struct axvm_vcpu *vcpu, uint64_t offset, unsigned size,
                      uint64_t value)
{
    struct vgicv3 *gic = gic_of(device);

    if (offset >= VGICV3_WORD_REGS && offset < VGICV3_WORD_REGS_END) {
        return vgicv3_regs_write(gic, vcpu, NULL, offset, size, (uint32_t)value);
    }
    return rare_write(gic, vcpu, offset, size, value);
}

/* Binding arm,gic-v3: the ITS is a child. The parent node has two address cells and two size cells. */
static int fdt_node(struct axvm_device *device, void *fdt)
{
    const struct vgicv3 *gic = gic_of(device);
    const fdt64_t reg[] = {cpu_to_fdt64(gic->dist.base), cpu_to_fdt64(gic->dist.size), cpu_to_fdt64(gic->redist.base),
                           cpu_to_fdt64(gic->redist.size)};
    char name[48];
    int error;

    snprintf(name, sizeof(name), "interrupt-controller@%llx", (unsigned long long)device->base);
    error = fdt_begin_node(fdt, name);
    error = error != 0 ? error : fdt_property_string(fdt, "compatible", "arm,gic-v3");
    error = error != 0 ? error : fdt_property(fdt, "interrupt-controller", NULL, 0);
    error = error != 0 ? error : fdt_property_u32(fdt, "#interrupt-cells", 3);
    error = error != 0 ? error : fdt_property(fdt, "reg", reg, sizeof(reg));
    error = error != 0 ? error : fdt_property_u32(fdt, "phandle", GUEST_FDT_INTC);
    if (error == 0 && gic->its != NULL) {
        error = vits_fdt(gic->its, fdt);
    }
    return error != 0 ? error : fdt_end_node(fdt);
}

static const struct axvm_device_ops dist_ops = {
    .name = "GICv3 distributor",
    .read = dist_read,
    .write = dist_write,
    .fdt_node = fdt_node,
};

void vgicv3_dist_init(struct vgicv3 *gic)
{
    gic->dist = (struct axvm_device){.ops = &dist_ops, .space = AXVM_SPACE_MMIO, .size = VGICV3_DIST_SIZE};
    vgicv3_set_its(gic, NULL);
}

void vgicv3_set_its(struct vgicv3 *gic, struct vits *its)
{
    gic->its = its;
    gic->typer = its != NULL ? TYPER_WITH_LPIS : TYPER;
}
