/* SPDX-License-Identifier: Apache-2.0 */
#include "guest.h"
#include <libfdt.h>

extern void secondary_start(void);

/* ---- Console: polled PL011 ---- */

#define UART_DR 0x00
#define UART_FR 0x18
#define UART_FR_TXFF (1U << 5)

void console_put(uint8_t c)
{
    while ((mmio_read32(machine.uart + UART_FR) & UART_FR_TXFF) != 0) {
    }
    mmio_write32(machine.uart + UART_DR, c);
}

/* ---- Firmware ---- */

uint64_t hvc(uint64_t id, uint64_t a1, uint64_t a2, uint64_t a3)
{
    register uint64_t x0 __asm__("x0") = id;
    register uint64_t x1 __asm__("x1") = a1;
    register uint64_t x2 __asm__("x2") = a2;
    register uint64_t x3 __asm__("x3") = a3;

    __asm__ volatile("hvc #0" : "+r"(x0) : "r"(x1), "r"(x2), "r"(x3) : "memory");
    return x0;
}

uint64_t smc(uint64_t id, uint64_t a1, uint64_t a2, uint64_t a3)
{
    register uint64_t x0 __asm__("x0") = id;
    register uint64_t x1 __asm__("x1") = a1;
    register uint64_t x2 __asm__("x2") = a2;
    register uint64_t x3 __asm__("x3") = a3;

    __asm__ volatile(".inst 0xd4000003 /* smc #0 */" : "+r"(x0) : "r"(x1), "r"(x2), "r"(x3) : "memory");
    return x0;
}

_Noreturn void power_off(void)
{
    hvc(PSCI_SYSTEM_OFF, 0, 0, 0);
    for (;;) {
        barrier("wfi");
    }
}

void system_reset(void)
{
    hvc(PSCI_SYSTEM_RESET, 0, 0, 0);
}

/* ---- CPUs ---- */

uint64_t boot_cpu_id(void)
{
    return reg_read(mpidr_el1) & UINT64_C(0xff00ffffff);
}

int64_t cpu_on(unsigned cpu)
{
    return (int64_t)hvc(PSCI_CPU_ON, machine.cpu_ids[cpu], (uint64_t)(uintptr_t)secondary_start, cpu);
}

void cpu_off(void)
{
    hvc(PSCI_CPU_OFF, 0, 0, 0);
}

bool cpu_is_off(unsigned cpu)
{
    return hvc(PSCI_AFFINITY_INFO, machine.cpu_ids[cpu], 0, 0) == 1;
}

/* ---- GICv3 ---- */

#define GICD_CTLR 0x0000
#define GICD_ISENABLER(n) (0x0100 + 4 * (uint64_t)(n))
#define GICD_ICENABLER(n) (0x0180 + 4 * (uint64_t)(n))
#define GICD_IGROUPR(n) (0x0080 + 4 * (uint64_t)(n))
#define GICR_STRIDE 0x20000
#define GICR_WAKER 0x14
#define GICR_SGI 0x10000
#define GICR_WAKER_CHILDREN_ASLEEP (1U << 2)

#define FIRST_LPI 8192U

static void (*handlers[1020])(unsigned intid);
static void (*lpi_handler)(unsigned intid);

static uint64_t redistributor(void)
{
    return machine.arch.gicr + GICR_STRIDE * (uint64_t)cpu_id();
}

void irq_init_cpu(void)
{
    uint64_t gicr = redistributor();

    if (cpu_id() == 0) {
        mmio_write32(machine.arch.gicd + GICD_CTLR, 0x2); /* EnableGrp1 */
    }
    mmio_write32(gicr + GICR_WAKER, 0);
    while ((mmio_read32(gicr + GICR_WAKER) & GICR_WAKER_CHILDREN_ASLEEP) != 0) {
    }
    mmio_write32(gicr + GICR_SGI + GICD_IGROUPR(0), 0xffffffffU);
    reg_write(ICC_SRE_EL1, 7);
    barrier("isb");
    reg_write(ICC_PMR_EL1, 0xff);
    reg_write(ICC_IGRPEN1_EL1, 1);
    barrier("isb");
}

static uint64_t enable_base(unsigned intid)
{
    return intid < 32 ? redistributor() + GICR_SGI : machine.arch.gicd;
}

void gic_enable(unsigned intid)
{
    mmio_write32(enable_base(intid) + GICD_ISENABLER(intid / 32), 1U << (intid % 32));
}

void gic_disable(unsigned intid)
{
    mmio_write32(enable_base(intid) + GICD_ICENABLER(intid / 32), 1U << (intid % 32));
}

void gic_handler(unsigned intid, void (*handler)(unsigned intid))
{
    handlers[intid] = handler;
}

void gic_lpi_handler(void (*handler)(unsigned intid))
{
    lpi_handler = handler;
}

void gic_send_sgi(unsigned intid, unsigned target_cpu)
{
    uint64_t mpidr = machine.cpu_ids[target_cpu];

    reg_write(ICC_SGI1R_EL1, (uint64_t)intid << 24 | (mpidr >> 8 & 0xff) << 16 | UINT64_C(1) << (mpidr & 0xf));
    barrier("isb");
}

#define SGI_IPI 1U

static void (*ipi_handler)(void);

static void handle_ipi(unsigned intid)
{
    (void)intid;
    ipi_handler();
}

void ipi_enable(void (*handler)(void))
{
    ipi_handler = handler;
    gic_handler(SGI_IPI, handle_ipi);
    gic_enable(SGI_IPI);
}

void ipi_send(unsigned cpu)
{
    gic_send_sgi(SGI_IPI, cpu);
}

/* ---- Timers ---- */

static void virtual_set(uint64_t due)
{
    reg_write(cntv_cval_el0, due);
    reg_write(cntv_ctl_el0, 1);
}

static void virtual_stop(void)
{
    reg_write(cntv_ctl_el0, 0);
    barrier("isb");
}

static uint64_t physical_now(void)
{
    barrier("isb");
    return reg_read(cntpct_el0);
}

static void physical_set(uint64_t due)
{
    reg_write(cntp_cval_el0, due);
    reg_write(cntp_ctl_el0, 1);
}

static void physical_stop(void)
{
    reg_write(cntp_ctl_el0, 0);
    barrier("isb");
}

static const struct guest_timer timers[] = {
    {"virtual", ticks, virtual_set, virtual_stop, 27},
    {"physical", physical_now, physical_set, physical_stop, 30},
    {0},
};

const struct guest_timer *guest_timers = timers;

static void (*timer_handler)(const struct guest_timer *timer);

static void handle_timer(unsigned intid)
{
    timer_handler(&guest_timers[intid == guest_timers[0].irq ? 0 : 1]);
}

void timer_enable(const struct guest_timer *timer, void (*handler)(const struct guest_timer *timer))
{
    timer_handler = handler;
    gic_handler(timer->irq, handle_timer);
    gic_enable(timer->irq);
}

/* ---- Exceptions ---- */

static void synchronous(struct guest_frame *frame)
{
    uint64_t esr = reg_read(esr_el1);

    if (!catch_take((struct caught){true, esr, reg_read(far_el1), frame->pc, frame->pstate})) {
        print("FAIL unexpected exception: esr %#llx far %#llx pc %#llx\n", (unsigned long long)esr,
              (unsigned long long)reg_read(far_el1), (unsigned long long)frame->pc);
        power_off();
    }
    frame->pc += 4;
}

void guest_exception(unsigned kind, struct guest_frame *frame)
{
    uint64_t intid;

    if (kind % 4 == 0) {
        synchronous(frame);
        return;
    }
    intid = reg_read(ICC_IAR1_EL1);
    if (intid < 1020) {
        if (handlers[intid] != NULL) {
            handlers[intid]((unsigned)intid);
        }
        reg_write(ICC_EOIR1_EL1, intid);
    } else if (intid >= FIRST_LPI && lpi_handler != NULL) {
        lpi_handler((unsigned)intid);
        reg_write(ICC_EOIR1_EL1, intid);
    }
}

/* ---- The machine, from its device tree ---- */

void discover_arch(const void *fdt)
{
    int gic = fdt_node_offset_by_compatible(fdt, -1, "arm,gic-v3");
    int uart = fdt_node_offset_by_compatible(fdt, -1, "arm,pl011");
    uint64_t size;

    (void)fdt_reg(fdt, uart, 0, &machine.uart, &size);
    (void)fdt_reg(fdt, gic, 0, &machine.arch.gicd, &size);
    (void)fdt_reg(fdt, gic, 1, &machine.arch.gicr, &size);
}
