/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Level-sensitive interrupts of devices (IHI 0069 4.1.2): pending as long as their cause is there, whether they have
 * been taken, and whether they have been ended.
 */
#include "test.h"
#include "test_parts.h"
#include <libfdt.h>

#define ROUNDS 2U
#define ENDS 3U /* while the cause stays */

enum { IGROUPR = 0x80, ISPENDR = 0x200, ICPENDR = 0x280, ISACTIVER = 0x300, IPRIORITYR = 0x400, ICFGR = 0xc00,
       IROUTER = 0x6000 };

enum { UART_DR = 0x00, UART_IMSC = 0x38, UART_RIS = 0x3c, UART_ICR = 0x44, UART_INT_TX = 1 << 5 };
enum { RTC_DR = 0x00, RTC_MR = 0x04, RTC_IMSC = 0x10, RTC_RIS = 0x14, RTC_ICR = 0x1c };

struct source {
    const char *compatible;
    void (*raise)(uint64_t base);
    void (*quiet)(uint64_t base);
};

/* The transmitter has room again. */
static void uart_raise(uint64_t base)
{
    mmio_write32(base + UART_IMSC, UART_INT_TX);
    mmio_write32(base + UART_DR, '.');
    while ((mmio_read32(base + UART_RIS) & UART_INT_TX) == 0) {
    }
}

static void uart_quiet(uint64_t base)
{
    mmio_write32(base + UART_ICR, UART_INT_TX);
}

/* The next second begins. */
static void rtc_raise(uint64_t base)
{
    mmio_write32(base + RTC_IMSC, 1);
    mmio_write32(base + RTC_MR, mmio_read32(base + RTC_DR) + 1);
    while (mmio_read32(base + RTC_RIS) == 0) {
    }
}

static void rtc_quiet(uint64_t base)
{
    mmio_write32(base + RTC_ICR, 1);
}

static const struct source sources[] = {
    {"arm,pl011", uart_raise, uart_quiet},
    {"arm,pl031", rtc_raise, rtc_quiet},
};

static bool is_set(unsigned reg, unsigned irq)
{
    return (mmio_read32(spi_reg(reg, irq)) >> irq % 32 & 1) != 0;
}

static void set(unsigned reg, unsigned irq)
{
    mmio_write32(spi_reg(reg, irq), 1U << irq % 32);
}

static void prepare(unsigned irq)
{
    uint64_t config = machine.arch.gicd + ICFGR + irq / 16 * 4;

    mmio_write32(config, mmio_read32(config) & ~(2U << irq % 16 * 2));
    mmio_write32(spi_reg(IGROUPR, irq), mmio_read32(spi_reg(IGROUPR, irq)) | 1U << irq % 32);
    mmio_write32(machine.arch.gicd + IROUTER + 8 * irq, (uint32_t)machine.cpu_ids[0]);
    mmio_write32(machine.arch.gicd + IPRIORITYR + (irq & ~3U), 0x80808080U);
    gic_enable(irq);
}

static void expect_nothing(unsigned irq)
{
    check(!is_set(ISPENDR, irq));
    check_equal(reg_read(isr_el1), 0);
    check_equal(take(), SPURIOUS);
}

static void stays(const struct source *source, uint64_t base, unsigned irq)
{
    source->raise(base);
    for (unsigned i = 0; i < ENDS; i++) { /* without any other access to the GIC */
        check_equal(take_soon(), irq);
        end(irq);
    }
    for (unsigned i = 0; i < ENDS; i++) {
        check_equal(take_soon(), irq);
        check(is_set(ISACTIVER, irq));
        check(is_set(ISPENDR, irq));
        check_equal(take(), SPURIOUS); /* active */
        set(ICPENDR, irq);
        check(is_set(ISPENDR, irq));
        end(irq);
        check(!is_set(ISACTIVER, irq));
        check(is_set(ISPENDR, irq));
    }
    check_equal(take_soon(), irq);
    source->quiet(base);
    check(!is_set(ISPENDR, irq));
    end(irq);
    expect_nothing(irq);
}

static void goes(const struct source *source, uint64_t base, unsigned irq)
{
    source->raise(base);
    while (!is_set(ISPENDR, irq)) {
    }
    source->quiet(base);
    expect_nothing(irq);
}

/* Without a cause, software may make it pending: once. */
static void is_latched(unsigned irq)
{
    set(ISPENDR, irq);
    check(is_set(ISPENDR, irq));
    check_equal(take_soon(), irq);
    check(!is_set(ISPENDR, irq));
    end(irq);
    expect_nothing(irq);
    set(ISPENDR, irq);
    set(ICPENDR, irq);
    expect_nothing(irq);
}

static void try_source(const struct source *source)
{
    const void *fdt = (const void *)(uintptr_t)machine.fdt_base;
    int node = fdt_node_offset_by_compatible(fdt, -1, source->compatible);
    const fdt32_t *cells = fdt_getprop(fdt, node, "interrupts", NULL); /* SPI, number, level */
    uint64_t base, size;
    unsigned irq;

    if (cells == NULL || !fdt_reg(fdt, node, 0, &base, &size)) {
        check_failed(__FILE__, __LINE__, source->compatible, 0, 1);
        return;
    }
    irq = fdt32_to_cpu(cells[1]) + 32;
    prepare(irq);
    source->quiet(base);
    expect_nothing(irq);
    for (unsigned round = 0; round < ROUNDS; round++) {
        stays(source, base, irq);
        goes(source, base, irq);
        is_latched(irq);
    }
    gic_disable(irq);
}

void test_levels(void)
{
    irq_disable();
    for (unsigned i = 0; i < COUNT(sources); i++) {
        try_source(&sources[i]);
    }
    print("\nlevels: interrupts of %u devices were there while their cause was\n", (unsigned)COUNT(sources));
}
