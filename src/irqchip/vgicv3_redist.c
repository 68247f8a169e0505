/* SPDX-License-Identifier: Apache-2.0 */
/* The redistributors: of each vCPU the frames RD_base (IHI 0069 12.10) and SGI_base (12.11), 64 KiB each. */
#include "irqchip/vgicv3_impl.h"

enum {
    GICR_CTLR = 0x0000,
    GICR_IIDR = 0x0004,
    GICR_TYPER = 0x0008,
    GICR_WAKER = 0x0014,
    GICR_PROPBASER = 0x0070,
    GICR_PENDBASER_END = 0x0080,
};

#define FRAME_SIZE 0x10000U

#define GICR_CTLR_ENABLE_LPIS (1U << 0)
#define GICR_CTLR_RWP (1U << 3)
#define GICR_TYPER_PLPIS (1U << 0)
#define GICR_TYPER_LAST (1U << 4)
#define GICR_TYPER_NUMBER_SHIFT 8U
#define GICR_TYPER_AFFINITY_SHIFT 32U
#define GICR_WAKER_PROCESSOR_SLEEP (1U << 1)
#define GICR_WAKER_CHILDREN_ASLEEP (1U << 2)

static struct vgicv3 *gic_of(struct axvm_device *device)
{
    return (struct vgicv3 *)(void *)((char *)device - offsetof(struct vgicv3, redist));
}

/* No direct injection of LPIs (DirectLPI is 0); CommonLPIAff 0: all redistributors share GICR_PROPBASER. */
static uint64_t typer(const struct vgicv3_cpu *cpu)
{
    return (uint64_t)cpu->gic->affinity[cpu->index] << GICR_TYPER_AFFINITY_SHIFT |
           (uint64_t)cpu->index << GICR_TYPER_NUMBER_SHIFT |
           (cpu->index + 1U == cpu->gic->cpu_count ? GICR_TYPER_LAST : 0) |
           (cpu->gic->its != NULL ? GICR_TYPER_PLPIS : 0);
}

static uint32_t ctlr_read(struct vgicv3_cpu *cpu)
{
    uint32_t value;

    spin_lock(&cpu->gic->lock);
    value = (cpu->gic->settling >> cpu->index & 1) != 0 ? GICR_CTLR_RWP : 0;
    value |= cpu->lpis_on ? GICR_CTLR_ENABLE_LPIS : 0;
    vgicv3_unlock(cpu->gic, NULL);
    return value;
}

/* The CPU interface is quiet, and awake again, as soon as it is told. */
static uint32_t waker_read(struct vgicv3_cpu *cpu)
{
    bool asleep;

    spin_lock(&cpu->gic->lock);
    asleep = cpu->asleep;
    vgicv3_unlock(cpu->gic, NULL);
    return asleep ? GICR_WAKER_PROCESSOR_SLEEP | GICR_WAKER_CHILDREN_ASLEEP : 0;
}

static void waker_write(struct vgicv3_cpu *cpu, const struct axvm_vcpu *from, uint32_t value)
{
    spin_lock(&cpu->gic->lock);
    cpu->asleep = (value & GICR_WAKER_PROCESSOR_SLEEP) != 0;
    vgicv3_cpu_changed(cpu);
    vgicv3_choose_again(cpu->gic);
    vgicv3_unlock(cpu->gic, from);
}

/* Without an ITS there are no LPIs, and these are RES0. */
static bool is_lpi_base(const struct vgicv3_cpu *cpu, unsigned offset, unsigned size)
{
    return cpu->gic->its != NULL && offset >= GICR_PROPBASER && offset < GICR_PENDBASER_END && size >= 4 &&
           offset % size == 0;
}

static uint64_t rd_base_read(struct vgicv3_cpu *cpu, unsigned offset, unsigned size)
{
    if (offset >= VGICV3_IDS) {
        return vgicv3_id_read(offset, size);
    }
    if (offset >= GICR_TYPER && offset + size <= GICR_TYPER + 8 && (size == 8 || size == 4) && offset % size == 0) {
        return typer(cpu) >> (offset % 8 * 8);
    }
    if (is_lpi_base(cpu, offset, size)) {
        return vgicv3_lpi_base_read(cpu, offset);
    }
    if (size != 4) {
        return 0;
    }
    switch (offset) {
    case GICR_CTLR:
        return ctlr_read(cpu);
    case GICR_IIDR:
        return GIC_IIDR;
    case GICR_WAKER:
        return waker_read(cpu);
    default:
        return 0;
    }
}

static void rd_base_write(struct vgicv3_cpu *cpu, struct axvm_vcpu *from, unsigned offset, unsigned size,
                          uint64_t value)
{
    if (offset == GICR_WAKER && size == 4) {
        waker_write(cpu, from, (uint32_t)value);
    } else if (offset == GICR_CTLR && size == 4 && (value & GICR_CTLR_ENABLE_LPIS) != 0) {
        vgicv3_lpi_enable(cpu, from);
    } else if (is_lpi_base(cpu, offset, size)) {
        vgicv3_lpi_base_write(cpu, offset, size, value);
    }
}

/* SGIs sent before an access come before it. */
static void collect_sgis(struct vgicv3_cpu *cpu)
{
    if (atomic_load_explicit(&cpu->inbox, memory_order_relaxed) != 0) {
        spin_lock(&cpu->gic->lock);
        vgicv3_merge_inbox(cpu);
        vgicv3_unlock(cpu->gic, NULL);
    }
}

static int redist_read(struct axvm_device *device, struct axvm_vcpu *vcpu, uint64_t offset, unsigned size,
                       uint64_t *value)
{
    struct vgicv3 *gic = gic_of(device);
    struct vgicv3_cpu *cpu = gic->cpus[offset / VGICV3_REDIST_SIZE];
    unsigned reg = offset % FRAME_SIZE;

    if ((offset & FRAME_SIZE) != 0 && reg < VGICV3_WORD_REGS_END) {
        collect_sgis(cpu);
        return vgicv3_regs_read(gic, vcpu, cpu, reg, size, value);
    }
    *value = (offset & FRAME_SIZE) == 0 ? bus_narrow(rd_base_read(cpu, reg, size), size) : 0;
    return AXVM_OK;
}

static int redist_write(struct axvm_device *device, struct axvm_vcpu *vcpu, uint64_t offset, unsigned size,
                        uint64_t value)
{
    struct vgicv3 *gic = gic_of(device);
    struct vgicv3_cpu *cpu = gic->cpus[offset / VGICV3_REDIST_SIZE];
    unsigned reg = offset % FRAME_SIZE;

    if ((offset & FRAME_SIZE) != 0 && reg < VGICV3_WORD_REGS_END) {
        collect_sgis(cpu);
        return vgicv3_regs_write(gic, vcpu, cpu, reg, size, (uint32_t)value);
    }
    if ((offset & FRAME_SIZE) == 0) {
        rd_base_write(cpu, vcpu, reg, size, value);
    }
    return AXVM_OK;
}

static const struct axvm_device_ops redist_ops = {
    .name = "GICv3 redistributors",
    .read = redist_read,
    .write = redist_write,
};

/* The size is known when the device is added. */
void vgicv3_redist_init(struct vgicv3 *gic)
{
    gic->redist = (struct axvm_device){.ops = &redist_ops, .space = AXVM_SPACE_MMIO};
}
