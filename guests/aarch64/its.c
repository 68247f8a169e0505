/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that has its events become LPIs: every CPU gets those that are meant for it, each exactly as often as it was
 * raised. It also runs on the bare machine (qemu-system-aarch64 -M virt,gic-version=3).
 */
#include "its.h"
#include <libfdt.h>
#include <string.h>

#define DEVICE 3U
#define EVENT_BITS 6U
#define ROUNDS 300U
#define ITS_CPUS 16U /* an event for each CPU, and one that moves about */

#define LPI(event) (FIRST_LPI + (event))
#define MOVING ITS_CPUS
#define HOME 0U /* the collection, and CPU, that this one comes back to */

/* Tables, in the guest's own memory. */
#define PROPERTIES (machine.memory_base + 0x800000)
#define PENDING(cpu) (machine.memory_base + 0x900000 + 0x10000 * (uint64_t)(cpu))
#define TABLE(n) (machine.memory_base + 0xb00000 + 0x10000 * (uint64_t)(n))
#define QUEUE (machine.memory_base + 0xc00000)
#define ITT (machine.memory_base + 0xd00000)

static uint64_t its;
static volatile unsigned counts[ITS_CPUS][MOVING + 1];
static unsigned expected[ITS_CPUS][MOVING + 1];
static volatile unsigned ready, done, finished;

static void discover(void)
{
    const void *fdt = (const void *)(uintptr_t)machine.fdt_base;
    const fdt64_t *reg = fdt_getprop(fdt, fdt_node_offset_by_compatible(fdt, -1, "arm,gic-v3-its"), "reg", NULL);

    if (reg != NULL) {
        its = fdt64_to_cpu(*reg);
    }
}

/* ---- Commands ---- */

static void command(uint64_t dw0, uint64_t dw1, uint64_t dw2, uint64_t dw3)
{
    static uint64_t end;
    volatile uint64_t *dw = (volatile uint64_t *)(QUEUE + end);

    dw[0] = dw0;
    dw[1] = dw1;
    dw[2] = dw2;
    dw[3] = dw3;
    end = (end + 32) % 4096;
    barrier("dsb sy");
    mmio_write64(its + GITS_CWRITER, end);
    while (mmio_read64(its + GITS_CREADR) != end) {
    }
}

static void sync(unsigned cpu)
{
    command(SYNC, 0, (uint64_t)cpu << 16, 0);
}

static void event_command(unsigned number, unsigned event)
{
    command((uint64_t)DEVICE << 32 | number, event, 0, 0);
}

static void configure(unsigned event, uint8_t config)
{
    ((volatile uint8_t *)PROPERTIES)[event] = config;
    barrier("dsb sy");
}

/* Of the moving event, and have `cpu` know. */
static void reconfigure(uint8_t config, unsigned cpu)
{
    configure(MOVING, config);
    event_command(INV, MOVING);
    sync(cpu);
}

/* ---- Every CPU ---- */

static void lpi_handler(unsigned intid)
{
    unsigned event = intid - LPI(0);

    if (event > MOVING) {
        check_failed(__FILE__, __LINE__, "an LPI of ours", intid, LPI(0));
        return;
    }
    __atomic_fetch_add(&counts[cpu_id()][event], 1, __ATOMIC_SEQ_CST);
}

static void lpis_on(void)
{
    uint64_t gicr = machine.arch.gicr + GICR_STRIDE * (uint64_t)cpu_id();

    check_equal(mmio_read64(gicr + GICR_TYPER) & 1, 1);
    check_equal(mmio_read64(gicr + GICR_TYPER) >> 8 & 0xffff, cpu_id());
    mmio_write64(gicr + GICR_PROPBASER, PROPERTIES | UINT64_C(1) << 10 | UINT64_C(7) << 7 | 13);
    mmio_write64(gicr + GICR_PENDBASER, PENDING(cpu_id()) | UINT64_C(1) << 62 | UINT64_C(1) << 10 | UINT64_C(7) << 7);
    mmio_write32(gicr + GICR_CTLR, 1);
    check_equal(mmio_read32(gicr + GICR_CTLR) & 1, 1);
}

static void other_cpu(void)
{
    lpis_on();
    irq_enable();
    advance(&ready);
    wait_for(&done, 1);
    irq_disable();
    advance(&finished);
}

/* ---- CPU 0 ---- */

static void its_on(void)
{
    check_equal(mmio_read64(its + GITS_TYPER) >> 19 & 1, 0); /* targets are processor numbers */
    for (unsigned n = 0; n < 8; n++) {
        uint64_t baser = mmio_read64(its + GITS_BASER0 + 8 * n);

        if ((baser >> 56 & 7) != 0) {
            mmio_write64(its + GITS_BASER0 + 8 * n, ITS_VALID | WRITE_BACK | TABLE(n) | 2 << 8);
        }
    }
    mmio_write64(its + GITS_CBASER, ITS_VALID | WRITE_BACK | QUEUE);
    mmio_write64(its + GITS_CWRITER, 0);
    mmio_write32(its + GITS_CTLR, 1);
}

static void map_all(void)
{
    command((uint64_t)DEVICE << 32 | MAPD, EVENT_BITS - 1, ITS_VALID | ITT, 0);
    for (unsigned cpu = 0; cpu < machine.cpu_count; cpu++) {
        configure(cpu, 0xa1);
        command(MAPC, 0, ITS_VALID | (uint64_t)cpu << 16 | cpu, 0);
        command((uint64_t)DEVICE << 32 | MAPTI, (uint64_t)LPI(cpu) << 32 | cpu, cpu, 0);
        command(INVALL, 0, cpu, 0);
        sync(cpu);
    }
    configure(MOVING, 0x81);
    command((uint64_t)DEVICE << 32 | MAPTI, (uint64_t)LPI(MOVING) << 32 | MOVING, 0, 0);
    reconfigure(0x81, 0);
}

static void expect(unsigned cpu, unsigned event)
{
    expected[cpu][event]++;
    while (__atomic_load_n(&counts[cpu][event], __ATOMIC_ACQUIRE) < expected[cpu][event]) {
        barrier("yield");
    }
}

/*
 * One event moves to the CPU, comes there, and comes once when it was disabled meanwhile, or not at all if cleared.
 * Pending, it is moved back.
 */
static void move_about(unsigned cpu)
{
    command((uint64_t)DEVICE << 32 | MOVI, MOVING, cpu, 0);
    sync(HOME);
    event_command(INT, MOVING);
    expect(cpu, MOVING);
    reconfigure(0x80, cpu);
    event_command(INT, MOVING);
    event_command(INT, MOVING);
    reconfigure(0x81, cpu);
    expect(cpu, MOVING);
    reconfigure(0x80, cpu);
    event_command(INT, MOVING);
    event_command(CLEAR, MOVING);
    reconfigure(0x81, cpu);
    reconfigure(0x80, cpu);
    event_command(INT, MOVING);
    command((uint64_t)DEVICE << 32 | MOVI, MOVING, HOME, 0);
    sync(cpu);
    reconfigure(0x81, HOME);
    expect(HOME, MOVING);
}

static void run(void)
{
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned cpu = 0; cpu < machine.cpu_count; cpu++) {
            event_command(INT, cpu);
        }
        for (unsigned cpu = 0; cpu < machine.cpu_count; cpu++) {
            expect(cpu, cpu);
        }
        move_about(round % machine.cpu_count);
    }
    event_command(DISCARD, 0);
    event_command(INT, 0);
    sync(0);
}

void test_main(void)
{
    unsigned total = 0;

    discover();
    check(its != 0 && machine.cpu_count <= ITS_CPUS);
    if (its == 0 || machine.cpu_count > ITS_CPUS) {
        return;
    }
    gic_lpi_handler(lpi_handler);
    for (unsigned cpu = 1; cpu < machine.cpu_count; cpu++) {
        check_equal(cpu_start(cpu, other_cpu), 0);
    }
    lpis_on();
    irq_enable();
    wait_for(&ready, machine.cpu_count - 1);
    its_on();
    map_all();
    run();
    advance(&done);
    wait_for(&finished, machine.cpu_count - 1);
    irq_disable();
    for (unsigned cpu = 0; cpu < machine.cpu_count; cpu++) {
        for (unsigned event = 0; event <= MOVING; event++) {
            check_equal(counts[cpu][event], expected[cpu][event]);
            total += counts[cpu][event];
        }
    }
    print("its: %u CPUs took %u LPIs\n", machine.cpu_count, total);
}
