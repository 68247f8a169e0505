/* SPDX-License-Identifier: Apache-2.0 */
#include "aarch64/gicv3.h"

#include "aarch64/cpu_el2.h"
#include "lib/log.h"
#include "percpu.h"

/* Distributor (IHI 0069 12.9) */
#define GICD_CTLR 0x0000U
#define GICD_TYPER 0x0004U
#define GICD_IGROUPR 0x0080U
#define GICD_ISENABLER 0x0100U
#define GICD_ICENABLER 0x0180U
#define GICD_IPRIORITYR 0x0400U
#define GICD_IROUTER 0x6000U
#define GICD_CTLR_GROUPS 0x3U /* one security state: groups 0 and 1; two: group 1, without and with routing */
#define GICD_CTLR_ARE 0x10U
#define GICD_CTLR_RWP (1U << 31)

/* Redistributor: RD_base (12.10), SGI_base 64 KiB above (12.11) */
#define GICR_TYPER 0x0008U
#define GICR_WAKER 0x0014U
#define GICR_SGI 0x10000U
#define GICR_IGROUPR0 (GICR_SGI + 0x0080U)
#define GICR_ISENABLER0 (GICR_SGI + 0x0100U)
#define GICR_ICENABLER0 (GICR_SGI + 0x0180U)
#define GICR_ICPENDR0 (GICR_SGI + 0x0280U)
#define GICR_ISACTIVER0 (GICR_SGI + 0x0300U)
#define GICR_ICACTIVER0 (GICR_SGI + 0x0380U)
#define GICR_IPRIORITYR (GICR_SGI + 0x0400U)
#define GICR_TYPER_VLPIS (1U << 1)
#define GICR_TYPER_LAST (1U << 4)
#define GICR_WAKER_SLEEP (1U << 1)
#define GICR_WAKER_CHILDREN_ASLEEP (1U << 2)

#define PRIORITY 0xa0a0a0a0U /* of all interrupts alike */

/* How often a register is read that is to change at once; more means broken hardware. */
#define PATIENCE 1000000U

static volatile uint8_t *dist;

static uint32_t read32(const volatile uint8_t *base, uint32_t offset)
{
    return *(const volatile uint32_t *)(const volatile void *)(base + offset);
}

static void write32(volatile uint8_t *base, uint32_t offset, uint32_t value)
{
    *(volatile uint32_t *)(volatile void *)(base + offset) = value;
}

static void wait_clear(const volatile uint8_t *base, uint32_t offset, uint32_t bits)
{
    for (unsigned n = 0; (read32(base, offset) & bits) != 0; n++) {
        if (n == PATIENCE) {
            log_error("gicv3: bits 0x%x of the register at 0x%llx stay set", bits,
                      (unsigned long long)address_of(base + offset));
            return;
        }
    }
}

void gicv3_init(const struct machine *machine)
{
    unsigned irqs;

    dist = (volatile uint8_t *)(uintptr_t)machine->gic.dist.base;
    write32(dist, GICD_CTLR, 0);
    wait_clear(dist, GICD_CTLR, GICD_CTLR_RWP);
    irqs = 32 * ((read32(dist, GICD_TYPER) & 0x1fU) + 1);
    for (unsigned irq = 32; irq < irqs && irq < GICV3_SPURIOUS; irq += 32) {
        write32(dist, GICD_ICENABLER + irq / 8, UINT32_MAX);
        write32(dist, GICD_IGROUPR + irq / 8, UINT32_MAX);
    }
    for (unsigned irq = 32; irq < irqs && irq < GICV3_SPURIOUS; irq += 4) {
        write32(dist, GICD_IPRIORITYR + irq, PRIORITY);
    }
    wait_clear(dist, GICD_CTLR, GICD_CTLR_RWP);
    write32(dist, GICD_CTLR, GICD_CTLR_ARE); /* before the groups: changing ARE while they are on is unpredictable */
    wait_clear(dist, GICD_CTLR, GICD_CTLR_RWP);
    write32(dist, GICD_CTLR, GICD_CTLR_ARE | GICD_CTLR_GROUPS);
}

static uint32_t affinity32(uint64_t cpu_id)
{
    return (uint32_t)((cpu_id & 0xffffffU) | (cpu_id >> 8 & 0xff000000U));
}

/* The redistributor whose GICR_TYPER has the affinity, in a region of them; NULL: none there. */
static volatile uint8_t *find_redist(struct range region, uint64_t stride, uint32_t affinity)
{
    uint64_t at = region.base;

    while (at + GICR_SGI + 0x10000U <= region.end) {
        volatile uint8_t *redist = (volatile uint8_t *)(uintptr_t)at;
        uint32_t typer = read32(redist, GICR_TYPER);

        if (read32(redist, GICR_TYPER + 4) == affinity) {
            return redist;
        }
        if ((typer & GICR_TYPER_LAST) != 0) {
            return NULL;
        }
        at += stride ? stride : (typer & GICR_TYPER_VLPIS) != 0 ? 0x40000U : 0x20000U;
    }
    return NULL;
}

static void redist_init(volatile uint8_t *redist, uint32_t private)
{
    write32(redist, GICR_WAKER, read32(redist, GICR_WAKER) & ~GICR_WAKER_SLEEP);
    wait_clear(redist, GICR_WAKER, GICR_WAKER_CHILDREN_ASLEEP);
    write32(redist, GICR_ICENABLER0, UINT32_MAX);
    write32(redist, GICR_ICPENDR0, UINT32_MAX);
    write32(redist, GICR_ICACTIVER0, UINT32_MAX);
    write32(redist, GICR_IGROUPR0, UINT32_MAX);
    for (uint32_t irq = 0; irq < 32; irq += 4) {
        write32(redist, GICR_IPRIORITYR + irq, PRIORITY);
    }
    write32(redist, GICR_ISENABLER0, private | 1U << GICV3_SGI_KICK);
}

static void cpu_interface_init(void)
{
    sysreg_write(ICC_SRE_EL2, 0xf); /* SRE, DFB, DIB, Enable */
    isb();
    sysreg_write(ICC_PMR_EL1, 0xff);
    sysreg_write(ICC_BPR1_EL1, 0);
    sysreg_write(ICC_CTLR_EL1, 1U << 1); /* EOImode */
    sysreg_write(ICC_IGRPEN1_EL1, 1);
    isb();
}

int gicv3_cpu_init(const struct machine *machine, struct percpu *self, uint32_t private)
{
    uint64_t id = self->cpu_id;

    for (unsigned i = 0; i < machine->gic.redist_count && !self->redist; i++) {
        self->redist = find_redist(machine->gic.redist[i], machine->gic.redist_stride, affinity32(id));
    }
    if (!self->redist) {
        return fail(AXVM_ENOENT, "pCPU %u has no GICv3 redistributor", self->id);
    }
    /* ICC_SGI1R_EL1 (12.2.20): Aff3, Aff2, INTID, Aff1, range selector, target list */
    self->sgi_target = (id >> 32 & 0xffU) << 48 | (id >> 16 & 0xffU) << 32 | (id >> 8 & 0xffU) << 16 |
                       (id >> 4 & 0xfU) << 44 | UINT64_C(1) << (id & 0xfU) | (uint64_t)GICV3_SGI_KICK << 24;
    redist_init(self->redist, private);
    cpu_interface_init();
    return AXVM_OK;
}

void gicv3_enable_spi(uint32_t irq)
{
    uint64_t id = this_cpu()->cpu_id;

    write32(dist, GICD_IROUTER + 8 * irq, (uint32_t)id & 0xffffffU);
    write32(dist, GICD_IROUTER + 8 * irq + 4, (uint32_t)(id >> 32));
    write32(dist, GICD_ISENABLER + irq / 32 * 4, 1U << irq % 32);
}

void gicv3_set_active(uint32_t irq, bool active)
{
    write32(this_cpu()->redist, active ? GICR_ISACTIVER0 : GICR_ICACTIVER0, 1U << (irq & 31U));
    cpu_dsb();
}

void gicv3_kick(const struct percpu *target)
{
    __asm__ volatile("dsb ishst" ::: "memory");
    sysreg_write(ICC_SGI1R_EL1, target->sgi_target);
    isb();
}
