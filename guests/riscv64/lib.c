/* SPDX-License-Identifier: Apache-2.0 */
#include "guest.h"
#include <libfdt.h>

extern void secondary_start(void);
extern uint64_t boot_hart;

/* ---- Console: polled ns16550, or the firmware's where there is none ---- */

void console_put(uint8_t c)
{
    if (machine.uart == 0) {
        (void)sbi(SBI_DBCN, 2 /* console_write_byte */, c);
        return;
    }
    while ((mmio_read8(machine.uart + UART_LSR) & UART_LSR_THRE) == 0) {
    }
    mmio_write8(machine.uart + UART_THR, c);
}

/* ---- SBI ---- */

struct sbi_ret sbi_call(uint64_t extension, uint64_t function, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3,
                        uint64_t a4)
{
    register uint64_t r0 __asm__("a0") = a0;
    register uint64_t r1 __asm__("a1") = a1;
    register uint64_t r2 __asm__("a2") = a2;
    register uint64_t r3 __asm__("a3") = a3;
    register uint64_t r4 __asm__("a4") = a4;
    register uint64_t r6 __asm__("a6") = function;
    register uint64_t r7 __asm__("a7") = extension;

    __asm__ volatile("ecall" : "+r"(r0), "+r"(r1) : "r"(r2), "r"(r3), "r"(r4), "r"(r6), "r"(r7) : "memory");
    return (struct sbi_ret){(int64_t)r0, r1};
}

_Noreturn void power_off(void)
{
    (void)sbi(SBI_SRST, 0, 0, 0);
    for (;;) {
        barrier("wfi");
    }
}

void system_reset(void)
{
    (void)sbi(SBI_SRST, 0, option("warm") != NULL ? 2 : 1, 0);
}

/* ---- CPUs ---- */

uint64_t boot_cpu_id(void)
{
    return boot_hart;
}

int64_t cpu_on(unsigned cpu)
{
    return sbi(SBI_HSM, SBI_HSM_START, machine.cpu_ids[cpu], (uintptr_t)secondary_start, cpu).error;
}

void cpu_off(void)
{
    irq_disable();
    (void)sbi(SBI_HSM, SBI_HSM_STOP, 0);
}

bool cpu_is_off(unsigned cpu)
{
    return sbi(SBI_HSM, SBI_HSM_STATUS, machine.cpu_ids[cpu]).value == HART_STOPPED;
}

/* ---- The PLIC ---- */

static void (*handlers[128])(unsigned irq);

static uint64_t enable_word(unsigned irq)
{
    return machine.arch.plic + PLIC_ENABLE(machine.arch.context[cpu_id()], irq);
}

void plic_enable(unsigned irq)
{
    mmio_write32(enable_word(irq), mmio_read32(enable_word(irq)) | 1U << irq % 32);
    mmio_write32(machine.arch.plic + PLIC_PRIORITY(irq), 1); /* last: QEMU 7.2 looks for interrupts only now */
}

void plic_disable(unsigned irq)
{
    mmio_write32(enable_word(irq), mmio_read32(enable_word(irq)) & ~(1U << irq % 32));
}

void plic_handler(unsigned irq, void (*handler)(unsigned irq))
{
    handlers[irq] = handler;
}

void irq_init_cpu(void)
{
    if (machine.arch.plic != 0) {
        mmio_write32(machine.arch.plic + PLIC_THRESHOLD(machine.arch.context[cpu_id()]), 0);
    }
    csr_set(sie, UINT64_C(1) << IRQ_EXTERNAL);
}

void (*external_handler)(void);

static void external(void)
{
    uint64_t claim = machine.arch.plic + PLIC_CLAIM(machine.arch.context[cpu_id()]);
    uint32_t irq = mmio_read32(claim);

    if (irq != 0) {
        if (irq < COUNT(handlers) && handlers[irq] != NULL) {
            handlers[irq](irq);
        }
        mmio_write32(claim, irq);
    }
}

/* ---- From CPU to CPU ---- */

static void (*ipi_handler)(void);

void ipi_enable(void (*handler)(void))
{
    ipi_handler = handler;
    csr_set(sie, UINT64_C(1) << IRQ_SOFT);
}

void ipi_send(unsigned cpu)
{
    (void)sbi(SBI_IPI, 0, 1, machine.cpu_ids[cpu]);
}

static void software(void)
{
    csr_clear(sip, UINT64_C(1) << IRQ_SOFT);
    if (ipi_handler != NULL) {
        ipi_handler();
    }
}

/* ---- Timers: the same comparison, set by a register where there is Sstc, and by the firmware ---- */

uint64_t ticks_per_second(void)
{
    return machine.arch.timebase;
}

static void sstc_set(uint64_t due)
{
    csr_write(0x14d, due);
}

static void sstc_stop(void)
{
    csr_write(0x14d, UINT64_MAX);
}

static void sbi_timer_set(uint64_t due)
{
    (void)sbi(SBI_TIME, 0, due);
}

static void sbi_timer_stop(void)
{
    (void)sbi(SBI_TIME, 0, UINT64_MAX);
}

static const struct guest_timer timers[] = {
    {"Sstc", ticks, sstc_set, sstc_stop, 0},
    {"SBI", ticks, sbi_timer_set, sbi_timer_stop, 0},
    {0},
};

const struct guest_timer *guest_timers = &timers[1];

static const struct guest_timer *timer;
static void (*timer_handler)(const struct guest_timer *timer);

void timer_enable(const struct guest_timer *which, void (*handler)(const struct guest_timer *timer))
{
    timer = which;
    timer_handler = handler;
    csr_set(sie, UINT64_C(1) << IRQ_TIMER);
}

/* ---- Traps ---- */

static void interrupt(uint64_t number)
{
    switch (number) {
    case IRQ_SOFT:
        software();
        break;
    case IRQ_TIMER:
        timer_handler(timer);
        break;
    case IRQ_EXTERNAL:
        (external_handler != NULL ? external_handler : external)();
        break;
    default:
        check_failed(__FILE__, __LINE__, "interrupt", number, 0);
        break;
    }
}

static bool is_fetch(uint64_t cause)
{
    return cause == CAUSE_FETCH_ACCESS || cause == CAUSE_FETCH_PAGE || cause == CAUSE_FETCH_MISALIGNED;
}

/* Behind the instruction, which may be only for execution; where none could be fetched, back to who called it. */
static void skip(struct guest_frame *frame, uint64_t cause)
{
    if (is_fetch(cause)) {
        frame->pc = frame->x[1];
    } else {
        csr_set(sstatus, SSTATUS_MXR); /* until the return */
        frame->pc += (*(const uint16_t *)(uintptr_t)frame->pc & 3) == 3 ? 4 : 2;
    }
}

void guest_trap(struct guest_frame *frame)
{
    uint64_t cause = csr_read(scause);
    uint64_t tval = csr_read(stval);

    if ((cause & CAUSE_INTERRUPT) != 0) {
        interrupt(cause & ~CAUSE_INTERRUPT);
        return;
    }
    if (!catch_take((struct caught){true, cause, tval, frame->pc})) {
        print("FAIL unexpected exception: scause %llu stval %#llx sepc %#llx\n", (unsigned long long)cause,
              (unsigned long long)tval, (unsigned long long)frame->pc);
        power_off();
    }
    skip(frame, cause);
}

/* ---- Vector registers: by encodings, since not every assembler knows them ---- */

unsigned vector_words(void)
{
    uint64_t words = 32 * csr_read(0xc22 /* vlenb */) / 8;

    return words < VECTOR_WORDS ? (unsigned)words : VECTOR_WORDS;
}

void vectors_load(const uint64_t *image)
{
    register uint64_t a0 __asm__("a0") = (uintptr_t)image;
    uint64_t step = csr_read(0xc22) * 8;

    __asm__ volatile(".word 0xe2850007; add a0, a0, %1; .word 0xe2850407; add a0, a0, %1\n\t" /* vl8re8.v v0, v8 */
                     ".word 0xe2850807; add a0, a0, %1; .word 0xe2850c07"                     /* v16, v24 */
                     : "+r"(a0)
                     : "r"(step)
                     : "memory");
}

void vectors_store(uint64_t *image)
{
    register uint64_t a0 __asm__("a0") = (uintptr_t)image;
    uint64_t step = csr_read(0xc22) * 8;

    __asm__ volatile(".word 0xe2850027; add a0, a0, %1; .word 0xe2850427; add a0, a0, %1\n\t" /* vs8r.v v0, v8 */
                     ".word 0xe2850827; add a0, a0, %1; .word 0xe2850c27"
                     : "+r"(a0)
                     : "r"(step)
                     : "memory");
}

/* ---- The machine, from its device tree ---- */

static uint32_t number(const void *fdt, int node, const char *property)
{
    const fdt32_t *value = fdt_getprop(fdt, node, property, NULL);

    return value != NULL ? fdt32_to_cpu(*value) : 0;
}

/* The CPU whose interrupt controller has this phandle. */
static unsigned intc_cpu(const void *fdt, uint32_t phandle)
{
    int node = fdt_parent_offset(fdt, fdt_node_offset_by_phandle(fdt, phandle));
    const void *reg = fdt_getprop(fdt, node, "reg", NULL);
    uint64_t id = reg != NULL ? fdt_number(reg, fdt_address_cells(fdt, fdt_parent_offset(fdt, node))) : UINT64_MAX;
    unsigned cpu = 0;

    while (cpu < machine.cpu_count && machine.cpu_ids[cpu] != id) {
        cpu++;
    }
    return cpu;
}

/* A PLIC's contexts are what its interrupts-extended lists, in that order. */
static void discover_contexts(const void *fdt, int plic)
{
    int length;
    const fdt32_t *wires = fdt_getprop(fdt, plic, "interrupts-extended", &length);

    for (int i = 0; wires != NULL && i < length / 8; i++) {
        unsigned cpu = intc_cpu(fdt, fdt32_to_cpu(wires[2 * i]));

        if (fdt32_to_cpu(wires[2 * i + 1]) == IRQ_EXTERNAL && cpu < machine.cpu_count) {
            machine.arch.context[cpu] = (unsigned)i;
        }
    }
}

static void discover_extensions(void)
{
    catch_begin();
    csr_write(0x14d, UINT64_MAX);
    machine.arch.sstc = !catch_end().happened;
    guest_timers = machine.arch.sstc ? &timers[0] : &timers[1];
    catch_begin();
    (void)csr_read(0xc22); /* vlenb */
    machine.arch.vector = !catch_end().happened;
}

void discover_arch(const void *fdt)
{
    int plic = fdt_node_offset_by_compatible(fdt, -1, "riscv,plic0");
    int uart = fdt_node_offset_by_compatible(fdt, -1, "ns16550a");
    int rtc = fdt_node_offset_by_compatible(fdt, -1, "google,goldfish-rtc");
    uint64_t size;

    (void)fdt_reg(fdt, uart, 0, &machine.uart, &size);
    (void)fdt_reg(fdt, rtc, 0, &machine.arch.rtc, &size);
    (void)fdt_reg(fdt, plic, 0, &machine.arch.plic, &size);
    machine.arch.uart_irq = number(fdt, uart, "interrupts");
    machine.arch.rtc_irq = number(fdt, rtc, "interrupts");
    machine.arch.timebase = number(fdt, fdt_path_offset(fdt, "/cpus"), "timebase-frequency");
    discover_contexts(fdt, plic);
    discover_extensions();
}
