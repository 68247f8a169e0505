/* SPDX-License-Identifier: Apache-2.0 */
#include "guest.h"
#include <libfdt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct guest_machine machine;

extern void secondary_start(void);

static unsigned failures;

/* ---- Console: polled PL011 ---- */

#define UART_DR 0x00
#define UART_FR 0x18
#define UART_FR_TXFF (1U << 5)

static volatile unsigned print_lock;

static void lock(volatile unsigned *word)
{
    while (__atomic_exchange_n(word, 1, __ATOMIC_ACQUIRE) != 0) {
    }
}

static void unlock(volatile unsigned *word)
{
    __atomic_store_n(word, 0, __ATOMIC_RELEASE);
}

void print(const char *format, ...)
{
    char text[256];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    lock(&print_lock);
    for (const char *c = text; *c != '\0'; c++) {
        while ((mmio_read32(machine.uart + UART_FR) & UART_FR_TXFF) != 0) {
        }
        mmio_write32(machine.uart + UART_DR, (uint8_t)*c);
    }
    unlock(&print_lock);
}

void check_failed(const char *file, int line, const char *what, uint64_t got, uint64_t wanted)
{
    failures++;
    print("FAIL %s:%d: %s: got %#llx, wanted %#llx\n", file, line, what, (unsigned long long)got,
          (unsigned long long)wanted);
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

/* ---- CPUs ---- */

static void (*volatile cpu_function[64])(void);

int64_t cpu_start(unsigned cpu, void (*function)(void))
{
    cpu_function[cpu] = function;
    barrier("dsb sy");
    return (int64_t)hvc(PSCI_CPU_ON, machine.mpidr[cpu], (uint64_t)(uintptr_t)secondary_start, cpu);
}

void guest_secondary(unsigned cpu)
{
    gic_init_cpu();
    cpu_function[cpu]();
    hvc(PSCI_CPU_OFF, 0, 0, 0);
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
    return machine.gicr + GICR_STRIDE * (uint64_t)cpu_id();
}

void gic_init_cpu(void)
{
    uint64_t gicr = redistributor();

    if (cpu_id() == 0) {
        mmio_write32(machine.gicd + GICD_CTLR, 0x2); /* EnableGrp1 */
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
    return intid < 32 ? redistributor() + GICR_SGI : machine.gicd;
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
    uint64_t mpidr = machine.mpidr[target_cpu];

    reg_write(ICC_SGI1R_EL1, (uint64_t)intid << 24 | (mpidr >> 8 & 0xff) << 16 | UINT64_C(1) << (mpidr & 0xf));
    barrier("isb");
}

/* ---- Exceptions ---- */

static volatile struct {
    bool expected;
    struct caught caught;
} catching[64];

void catch_begin(void)
{
    catching[cpu_id()].caught.happened = false;
    catching[cpu_id()].expected = true;
    barrier("isb");
}

struct caught catch_end(void)
{
    barrier("isb");
    catching[cpu_id()].expected = false;
    return catching[cpu_id()].caught;
}

static void synchronous(struct guest_frame *frame)
{
    uint64_t esr = reg_read(esr_el1);

    if (!catching[cpu_id()].expected) {
        print("FAIL unexpected exception: esr %#llx far %#llx pc %#llx\n", (unsigned long long)esr,
              (unsigned long long)reg_read(far_el1), (unsigned long long)frame->pc);
        power_off();
    }
    catching[cpu_id()].caught =
        (struct caught){true, esr, reg_read(far_el1), frame->pc, frame->pstate};
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

static uint64_t cells(const fdt32_t *at, int count)
{
    uint64_t value = 0;

    for (int i = 0; i < count; i++) {
        value = value << 32 | fdt32_to_cpu(at[i]);
    }
    return value;
}

/* The n'th reg entry of a node below the root. */
static bool node_reg(const void *fdt, int node, int n, uint64_t *base, uint64_t *size)
{
    int ac = fdt_address_cells(fdt, 0);
    int sc = fdt_size_cells(fdt, 0);
    int length;
    const fdt32_t *reg = fdt_getprop(fdt, node, "reg", &length);

    if (reg == NULL || length < 4 * (n + 1) * (ac + sc)) {
        return false;
    }
    *base = cells(reg + n * (ac + sc), ac);
    *size = cells(reg + n * (ac + sc) + ac, sc);
    return true;
}

static void discover(const void *fdt)
{
    int chosen = fdt_path_offset(fdt, "/chosen");
    int cpus = fdt_path_offset(fdt, "/cpus");
    int gic = fdt_node_offset_by_compatible(fdt, -1, "arm,gic-v3");
    int uart = fdt_node_offset_by_compatible(fdt, -1, "arm,pl011");
    int memory = fdt_node_offset_by_prop_value(fdt, -1, "device_type", "memory", 7);
    uint64_t size;
    int node;

    (void)node_reg(fdt, uart, 0, &machine.uart, &size);
    (void)node_reg(fdt, gic, 0, &machine.gicd, &size);
    (void)node_reg(fdt, gic, 1, &machine.gicr, &size);
    (void)node_reg(fdt, memory, 0, &machine.memory_base, &machine.memory_size);
    machine.fdt_base = (uint64_t)(uintptr_t)fdt;
    machine.fdt_size = fdt_totalsize(fdt);
    machine.args = fdt_getprop(fdt, chosen, "bootargs", NULL);
    machine.args = machine.args != NULL ? machine.args : "";
    fdt_for_each_subnode(node, fdt, cpus)
    {
        const fdt32_t *reg = fdt_getprop(fdt, node, "reg", NULL);
        const char *type = fdt_getprop(fdt, node, "device_type", NULL);

        if (reg != NULL && type != NULL && strcmp(type, "cpu") == 0) {
            machine.mpidr[machine.cpu_count++] = cells(reg, fdt_address_cells(fdt, cpus));
        }
    }
}

void guest_main(const void *fdt)
{
    discover(fdt);
    gic_init_cpu();
    test_main();
    print("%s: %u failed\n", failures == 0 ? "GUEST PASS" : "GUEST FAIL", failures);
    power_off();
}
