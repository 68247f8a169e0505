/* SPDX-License-Identifier: Apache-2.0 */
/* What a CPU interface does with waiting interrupts: order, preemption, deactivation; more than list registers hold. */
#include "test.h"
#include "test_parts.h"

#define ICC_RPR_EL1 S3_0_C12_C11_3
#define ICC_DIR_EL1 S3_0_C12_C11_1
#define ICC_CTLR_EL1 S3_0_C12_C12_4
#define EOI_MODE 2U

#define IDLE 0xffU
#define SPIS 12U
#define FIRST 40U
#define ROUNDS 20U

enum { IGROUPR = 0x80, ISPENDR = 0x200, ISACTIVER = 0x300, IPRIORITYR = 0x400, ICFGR = 0xc00, IROUTER = 0x6000,
       GICR_TYPER = 8, GICR_STRIDE = 0x20000, GICR_ISPENDR0 = 0x10200 };

/* Of each SPI another one: 5 and SPIS have no common divisor. */
static unsigned priority_of(unsigned irq)
{
    return 0x20 + (irq - FIRST) * 5 % SPIS * 8;
}

static unsigned spi_of(unsigned rank)
{
    return FIRST + rank * 5 % SPIS; /* 5 is its own inverse */
}

static void set_pending(unsigned irq)
{
    mmio_write32(spi_reg(ISPENDR, irq), 1U << irq % 32);
    check((mmio_read32(spi_reg(ISPENDR, irq)) >> irq % 32 & 1) != 0);
}

static bool is_active(unsigned irq)
{
    return (mmio_read32(spi_reg(ISACTIVER, irq)) >> irq % 32 & 1) != 0;
}

static unsigned running(void)
{
    return (unsigned)reg_read(ICC_RPR_EL1) & 0xff;
}

static void prepare(unsigned irq)
{
    uint64_t config = machine.arch.gicd + ICFGR + irq / 16 * 4, priority = machine.arch.gicd + IPRIORITYR + irq / 4 * 4;
    unsigned shift = irq % 4 * 8;

    mmio_write32(config, mmio_read32(config) | 2U << irq % 16 * 2);
    mmio_write32(spi_reg(IGROUPR, irq), mmio_read32(spi_reg(IGROUPR, irq)) | 1U << irq % 32);
    mmio_write32(machine.arch.gicd + IROUTER + 8 * irq, (uint32_t)machine.cpu_ids[0]);
    mmio_write32(priority, (mmio_read32(priority) & ~(0xffU << shift)) | priority_of(irq) << shift);
    gic_enable(irq);
}

/* All at once: each comes once, the most urgent first. */
static void in_order(void)
{
    mmio_write32(spi_reg(ISPENDR, FIRST), ((1U << SPIS) - 1) << FIRST % 32);
    for (unsigned rank = 0; rank < SPIS; rank++) {
        check_equal(take(), spi_of(rank));
        check_equal(running(), priority_of(spi_of(rank)));
        check_equal(take(), SPURIOUS); /* the others are less urgent */
        end(spi_of(rank));
    }
    check_equal(take(), SPURIOUS);
    check_equal(running(), IDLE);
}

/* Each preempts all before; they end from the innermost outwards. */
static void nested(void)
{
    for (unsigned rank = SPIS; rank-- > 0;) {
        set_pending(spi_of(rank));
        check_equal(take(), spi_of(rank));
        check_equal(running(), priority_of(spi_of(rank)));
    }
    for (unsigned rank = 0; rank < SPIS; rank++) {
        check(is_active(spi_of(rank)));
        end(spi_of(rank));
        check(!is_active(spi_of(rank)));
        check_equal(running(), rank + 1 < SPIS ? priority_of(spi_of(rank + 1)) : IDLE);
    }
}

/* EOIR drops the priority, DIR deactivates: all are active before the first is so no more. */
static void in_two_steps(void)
{
    reg_write(ICC_CTLR_EL1, reg_read(ICC_CTLR_EL1) | EOI_MODE);
    barrier("isb");
    for (unsigned rank = 0; rank < SPIS; rank++) {
        set_pending(spi_of(rank));
        check_equal(take(), spi_of(rank));
        end(spi_of(rank));
        check_equal(running(), IDLE);
        check(is_active(spi_of(rank)));
        set_pending(spi_of(rank));
        check_equal(take(), SPURIOUS);
    }
    for (unsigned rank = 0; rank < SPIS; rank++) {
        reg_write(ICC_DIR_EL1, spi_of(rank));
        barrier("dsb sy\n\tisb");
        check_equal(take(), spi_of(rank));
        end(spi_of(rank));
        reg_write(ICC_DIR_EL1, spi_of(rank));
        barrier("dsb sy\n\tisb");
        check(!is_active(spi_of(rank)));
    }
    check_equal(take(), SPURIOUS);
    reg_write(ICC_CTLR_EL1, reg_read(ICC_CTLR_EL1) & ~(uint64_t)EOI_MODE);
    barrier("isb");
}

/* The priority drop of one that has given way to others, which its priority has held back. */
static void dropped_late(void)
{
    reg_write(ICC_CTLR_EL1, reg_read(ICC_CTLR_EL1) | EOI_MODE);
    barrier("isb");
    set_pending(spi_of(0));
    check_equal(take(), spi_of(0));
    for (unsigned rank = 1; rank < SPIS; rank++) {
        set_pending(spi_of(rank));
    }
    end(spi_of(0));
    check(is_active(spi_of(0)));
    for (unsigned rank = 1; rank < SPIS; rank++) {
        check_equal(take(), spi_of(rank));
        end(spi_of(rank));
        reg_write(ICC_DIR_EL1, spi_of(rank));
        barrier("isb");
        check(is_active(spi_of(0)));
    }
    reg_write(ICC_DIR_EL1, spi_of(0));
    barrier("isb");
    check(!is_active(spi_of(0)));
    reg_write(ICC_CTLR_EL1, reg_read(ICC_CTLR_EL1) & ~(uint64_t)EOI_MODE);
    barrier("isb");
}

/* A timer that fires, and has a new deadline before its interrupt is taken. */
static void deferred(void)
{
    const struct guest_timer *timer = &guest_timers[0];
    uint64_t pending = machine.arch.gicr + GICR_ISPENDR0;

    gic_enable(timer->irq);
    timer->set(ticks());
    while ((reg_read(isr_el1) & 1U << 7) == 0) {
    }
    check_equal(mmio_read32(pending) >> timer->irq & 1, 1);
    timer->set(ticks() + 1000 * ticks_per_second());
    barrier("isb");
    check_equal(mmio_read32(pending) >> timer->irq & 1, 0);
    check_equal(reg_read(isr_el1) & 1U << 7, 0);
    check_equal(take(), SPURIOUS);
    timer->set(ticks());
    while ((reg_read(isr_el1) & 1U << 7) == 0) {
    }
    timer->stop();
    check_equal(mmio_read32(pending) >> timer->irq & 1, 0);
    check_equal(take(), SPURIOUS);
    gic_disable(timer->irq);
}

/* A load of 32 bits gets no more of a register of 64: each redistributor's affinity is in the upper half. */
static void narrow(void)
{
    for (unsigned cpu = 0; cpu < machine.cpu_count; cpu++) {
        uint64_t typer = machine.arch.gicr + GICR_STRIDE * (uint64_t)cpu + GICR_TYPER, low, high;

        __asm__ volatile("ldr %w0, [%1]" : "=r"(low) : "r"(typer) : "memory");
        __asm__ volatile("ldr %w0, [%1, #4]" : "=r"(high) : "r"(typer) : "memory");
        check_equal(low >> 32, 0);
        check_equal(low >> 8 & 0xffff, cpu);
        check_equal(high, machine.cpu_ids[cpu] & 0xffffff);
    }
}

void test_interface(void)
{
    irq_disable();
    for (unsigned irq = FIRST; irq < FIRST + SPIS; irq++) {
        prepare(irq);
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        in_order();
        nested();
        in_two_steps();
        dropped_late();
        deferred();
    }
    narrow();
    print("interface: %u rounds with %u interrupts\n", ROUNDS, SPIS);
}
