/* SPDX-License-Identifier: Apache-2.0 */
#include "intc.h"

#include "host.h"
#include "host_cpu.h"
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

#define SGI_KICK 0U
#define SPURIOUS 1020U /* from here on: 1020..1023 are no interrupts (IHI 0069 2.2.1) */

static volatile uint8_t *dist;
static struct {
    uint32_t hyp_timer, maintenance, uart;
} irqs;

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

static void dist_init(void)
{
    unsigned count;

    write32(dist, GICD_CTLR, 0);
    wait_clear(dist, GICD_CTLR, GICD_CTLR_RWP);
    count = 32 * ((read32(dist, GICD_TYPER) & 0x1fU) + 1);
    for (unsigned irq = 32; irq < count && irq < SPURIOUS; irq += 32) {
        write32(dist, GICD_ICENABLER + irq / 8, UINT32_MAX);
        write32(dist, GICD_IGROUPR + irq / 8, UINT32_MAX);
    }
    for (unsigned irq = 32; irq < count && irq < SPURIOUS; irq += 4) {
        write32(dist, GICD_IPRIORITYR + irq, PRIORITY);
    }
    wait_clear(dist, GICD_CTLR, GICD_CTLR_RWP);
    write32(dist, GICD_CTLR, GICD_CTLR_ARE); /* before the groups: changing ARE while they are on is unpredictable */
    wait_clear(dist, GICD_CTLR, GICD_CTLR_RWP);
    write32(dist, GICD_CTLR, GICD_CTLR_ARE | GICD_CTLR_GROUPS);
}

void intc_init(const struct machine *machine)
{
    dist = (volatile uint8_t *)(uintptr_t)machine->aarch64.gic.dist.base;
    irqs.hyp_timer = machine->aarch64.hyp_timer_irq;
    irqs.maintenance = machine->aarch64.gic.maintenance_irq;
    dist_init();
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

static void redist_init(volatile uint8_t *redist)
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
    write32(redist, GICR_ISENABLER0,
            1U << SGI_KICK | 1U << MACHINE_VIRTUAL_TIMER_IRQ | 1U << irqs.hyp_timer | 1U << irqs.maintenance);
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

int intc_cpu_init(const struct machine *machine, struct percpu *self)
{
    const struct machine_gic *gic = &machine->aarch64.gic;
    struct percpu_intc *intc = &self->intc;
    uint64_t id = self->cpu_id;

    for (unsigned i = 0; i < gic->redist_count && !intc->redist; i++) {
        intc->redist = find_redist(gic->redist[i], gic->redist_stride, affinity32(id));
    }
    if (!intc->redist) {
        return fail(AXVM_ENOENT, "pCPU %u has no GICv3 redistributor", self->id);
    }
    /* ICC_SGI1R_EL1 (12.2.20): Aff3, Aff2, INTID, Aff1, range selector, target list */
    intc->sgi_target = (id >> 32 & 0xffU) << 48 | (id >> 16 & 0xffU) << 32 | (id >> 8 & 0xffU) << 16 |
                       (id >> 4 & 0xfU) << 44 | UINT64_C(1) << (id & 0xfU) | (uint64_t)SGI_KICK << 24;
    redist_init(intc->redist);
    cpu_interface_init();
    return AXVM_OK;
}

/* An SPI, like every UART's */
void intc_enable_uart(uint32_t irq)
{
    uint64_t id = this_cpu()->cpu_id;

    irqs.uart = irq;
    write32(dist, GICD_IROUTER + 8 * irq, (uint32_t)id & 0xffffffU);
    write32(dist, GICD_IROUTER + 8 * irq + 4, (uint32_t)(id >> 32));
    write32(dist, GICD_ISENABLER + irq / 32 * 4, 1U << irq % 32);
}

void intc_set_active(uint32_t irq, bool active)
{
    write32(this_cpu()->intc.redist, active ? GICR_ISACTIVER0 : GICR_ICACTIVER0, 1U << (irq & 31U));
    cpu_dsb();
}

void intc_kick(const struct percpu *target)
{
    __asm__ volatile("dsb ishst" ::: "memory");
    sysreg_write(ICC_SGI1R_EL1, target->intc.sgi_target);
    isb();
}

/* ---- Taking interrupts ----------------------------------------------------------------------------------------- */

/* The calling pCPU's pending interrupt, now active; what its sender wrote before is visible (IHI 0069 4.1.1). */
static uint32_t acknowledge(void)
{
    uint32_t irq = (uint32_t)sysreg_read(ICC_IAR1_EL1) & 0xffffffU;

    cpu_dsb();
    return irq;
}

/* After it was acknowledged. */
static void drop(uint32_t irq)
{
    sysreg_write(ICC_EOIR1_EL1, irq);
}

/* After it was dropped. Without the ISB the interrupt might be signalled once more before it is gone. */
void intc_complete(uint32_t irq)
{
    isb();
    sysreg_write(ICC_DIR_EL1, irq);
    isb();
}

/* Out of the way of the guest's own interrupt, which is the frequent one. */
static __attribute__((noinline)) enum axvm_irq_result handle_own(uint32_t irq)
{
    if (irq >= SPURIOUS) {
        return AXVM_IRQ_NONE;
    }
    if (irq == irqs.hyp_timer) {
        host_timer_due();
    } else if (irq == irqs.uart) {
        host_uart_input();
    }
    drop(irq);
    intc_complete(irq);
    return irq == irqs.maintenance ? AXVM_IRQ_MAINTENANCE : percpu_irq_result();
}

enum axvm_irq_result host_irq_handle(uint32_t *irq)
{
    uint32_t which = acknowledge();

    if (which != MACHINE_VIRTUAL_TIMER_IRQ) {
        return handle_own(which);
    }
    drop(which);
    *irq = which;
    return AXVM_IRQ_GUEST;
}
