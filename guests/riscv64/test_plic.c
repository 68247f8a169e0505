/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PLIC (RISC-V Platform-Level Interrupt Controller Specification 1.0.0), driven by the UART's lines and the
 * clock's.
 */
#include "test_parts.h"

#define RTC_TIME_LOW 0x00
#define RTC_TIME_HIGH 0x04
#define RTC_ALARM_LOW 0x08
#define RTC_ALARM_HIGH 0x0c
#define RTC_IRQ_ENABLED 0x10
#define RTC_CLEAR_ALARM 0x14
#define RTC_CLEAR_INTERRUPT 0x1c

#define UART_IER_RX 1U
#define UART_IER_THRE 2U
#define UART_MCR_LOOP 0x10U

static uint64_t plic(uint64_t offset)
{
    return machine.arch.plic + offset;
}

static unsigned context(void)
{
    return machine.arch.context[cpu_id()];
}

static volatile bool signalled[64];

static void note_signal(void)
{
    signalled[cpu_id()] = true;
    csr_clear(sie, UINT64_C(1) << IRQ_EXTERNAL);
}

/*
 * By its interrupt: to a guest, QEMU 7.2 doesn't show sip.SEIP. The wire to the hart takes its time, but not for ever.
 */
static void check_signalled(int line, bool wanted)
{
    uint64_t until = ticks() + ticks_per_second() / (wanted ? 10 : 100000);
    volatile bool *got = &signalled[cpu_id()];

    *got = false;
    external_handler = note_signal;
    irq_enable();
    while (!*got && ticks() < until) {
    }
    irq_disable();
    external_handler = NULL;
    csr_set(sie, UINT64_C(1) << IRQ_EXTERNAL);
    if (*got != wanted) {
        check_failed(__FILE__, line, "external interrupt", *got, wanted);
    }
}

#define CHECK_SIGNALLED(wanted) check_signalled(__LINE__, (wanted))

static uint32_t claim(void)
{
    return mmio_read32(plic(PLIC_CLAIM(context())));
}

static void complete(uint32_t irq)
{
    mmio_write32(plic(PLIC_CLAIM(context())), irq);
}

static void set_threshold(uint32_t threshold)
{
    mmio_write32(plic(PLIC_THRESHOLD(context())), threshold);
}

static void set_priority(unsigned irq, uint32_t priority)
{
    mmio_write32(plic(PLIC_PRIORITY(irq)), priority);
}

static bool is_pending(unsigned irq)
{
    return (mmio_read32(plic(PLIC_PENDING(irq))) >> irq % 32 & 1) != 0;
}

/* The transmitter is empty, so this raises its interrupt, and that lowers it. */
static void uart_raise(void)
{
    while ((mmio_read8(machine.uart + UART_LSR) & UART_LSR_THRE) == 0) {
    }
    mmio_write8(machine.uart + UART_IER, UART_IER_THRE);
}

static void uart_lower(void)
{
    mmio_write8(machine.uart + UART_IER, 0);
    (void)mmio_read8(machine.uart + UART_IIR);
}

/* ---- Registers ---- */

static void test_registers(void)
{
    unsigned irq = machine.arch.uart_irq;

    for (uint32_t value = 0; value < 8; value++) {
        set_priority(irq, value);
        check_equal(mmio_read32(plic(PLIC_PRIORITY(irq))), value);
        set_threshold(value);
        check_equal(mmio_read32(plic(PLIC_THRESHOLD(context()))), value);
    }
    set_threshold(0);
    check_equal(mmio_read32(plic(PLIC_PRIORITY(0))), 0);
    check_equal(claim(), 0);
    complete(0);
    complete(irq); /* nothing was claimed */
    complete(UINT32_MAX);
    if (is_strict()) {
        mmio_write32(plic(PLIC_ENABLE(context(), 0)), UINT32_MAX);
        check_equal(mmio_read32(plic(PLIC_ENABLE(context(), 0))), UINT32_MAX - 1); /* there is no source 0 */
        mmio_write32(plic(PLIC_ENABLE(context(), 96)), UINT32_MAX);
        check_equal(mmio_read32(plic(PLIC_ENABLE(context(), 96))), 0);
        set_priority(0, 7);
        check_equal(mmio_read32(plic(PLIC_PRIORITY(0))), 0);
    }
    mmio_write32(plic(PLIC_ENABLE(context(), 0)), 0);
}

/* ---- Level, claim, completion ---- */

static void test_claim(void)
{
    unsigned irq = machine.arch.uart_irq;

    plic_enable(irq);
    CHECK_SIGNALLED(false);
    uart_raise();
    CHECK_SIGNALLED(true);
    check(is_pending(irq));
    check_equal(claim(), irq);
    CHECK_SIGNALLED(false);
    check(!is_pending(irq)); /* the gateway forwards no other until this is completed */
    check_equal(claim(), 0);
    if (is_strict()) {
        complete(irq);
        CHECK_SIGNALLED(true);
        check(is_pending(irq)); /* the line is still up */
        check_equal(claim(), irq);
    }
    uart_lower();
    complete(irq);
    CHECK_SIGNALLED(false);
    plic_disable(irq);
    uart_raise();
    CHECK_SIGNALLED(false);
    check(is_pending(irq));
    if (is_strict()) {
        mmio_write32(plic(PLIC_ENABLE(context(), irq)), 1U << irq % 32);
        CHECK_SIGNALLED(true);
        mmio_write32(plic(PLIC_ENABLE(context(), irq)), 0);
        CHECK_SIGNALLED(false);
    }
    uart_lower();
    if (is_strict()) {
        check_equal(claim(), 0); /* isn't enabled */
    }
}

static void test_threshold(void)
{
    unsigned irq = machine.arch.uart_irq;

    plic_enable(irq);
    uart_raise();
    for (uint32_t priority = 0; priority < 8; priority++) {
        for (uint32_t threshold = 0; threshold < 8; threshold++) {
            set_priority(irq, priority);
            set_threshold(threshold);
            CHECK_SIGNALLED(priority > threshold);
        }
    }
    set_priority(irq, 1);
    set_threshold(is_strict() ? 7 : 0); /* a claim doesn't ask for the threshold: PLIC 1.0.0, chapter 8 */
    check_equal(claim(), irq);
    uart_lower();
    complete(irq);
    set_threshold(0);
    plic_disable(irq);
}

/* ---- Two sources ---- */

static void rtc_alarm(void)
{
    uint64_t rtc = machine.arch.rtc;
    uint32_t low = mmio_read32(rtc + RTC_TIME_LOW);
    uint64_t now = (uint64_t)mmio_read32(rtc + RTC_TIME_HIGH) << 32 | low;

    mmio_write32(rtc + RTC_IRQ_ENABLED, 1);
    mmio_write32(rtc + RTC_ALARM_HIGH, (uint32_t)((now - 1) >> 32));
    mmio_write32(rtc + RTC_ALARM_LOW, (uint32_t)(now - 1)); /* past already */
}

static void rtc_lower(void)
{
    mmio_write32(machine.arch.rtc + RTC_CLEAR_INTERRUPT, 1);
    mmio_write32(machine.arch.rtc + RTC_IRQ_ENABLED, 0);
}

static void claim_both(unsigned first, unsigned second)
{
    check_equal(claim(), first);
    check_equal(claim(), second);
    check_equal(claim(), 0);
}

static void test_priorities(void)
{
    unsigned uart = machine.arch.uart_irq, rtc = machine.arch.rtc_irq;
    unsigned low = uart < rtc ? uart : rtc, high = uart < rtc ? rtc : uart;

    for (unsigned round = 0; round < 3; round++) {
        plic_enable(uart);
        plic_enable(rtc);
        set_priority(low, round == 1 ? 2 : 3);
        set_priority(high, round == 2 ? 2 : 3);
        uart_raise();
        rtc_alarm();
        claim_both(round == 1 ? high : low, round == 1 ? low : high); /* equals: the lower number first */
        rtc_lower();
        uart_lower();
        complete(uart);
        complete(rtc);
        CHECK_SIGNALLED(false);
        plic_disable(uart);
        plic_disable(rtc);
    }
}

/* ---- Taken as interrupts ---- */

static volatile unsigned taken;
static volatile uint8_t received;

static void uart_handler(unsigned irq)
{
    check_equal(irq, machine.arch.uart_irq);
    taken = taken + 1;
    uart_lower(); /* first: QEMU's PLIC takes what touches a line that is up for another interrupt */
    received = mmio_read8(machine.uart + UART_RBR);
}

static void wait_taken(unsigned count)
{
    irq_enable();
    for (uint64_t until = ticks() + ticks_per_second() / 10; ticks() < until && taken < count;) {
    }
    irq_disable();
    check_equal(taken, count);
}

static void test_taken(void)
{
    plic_handler(machine.arch.uart_irq, uart_handler);
    plic_enable(machine.arch.uart_irq);
    taken = 0;
    for (unsigned i = 1; i <= 100; i++) {
        uart_raise();
        wait_taken(i);
    }
}

/* The UART's own output, back as input. */
static void test_loopback(void)
{
    uint64_t uart = machine.uart;

    mmio_write8(uart + UART_MCR, UART_MCR_LOOP);
    taken = 0;
    mmio_write8(uart + UART_IER, UART_IER_RX);
    mmio_write8(uart + UART_THR, 0xa5);
    wait_taken(1);
    check_equal(received, 0xa5);
    mmio_write8(uart + UART_IER, 0);
    mmio_write8(uart + UART_MCR, 0);
    plic_disable(machine.arch.uart_irq);
}

/* Another hart's context is its own. */
static volatile bool other_done;

static void other_hart(void)
{
    unsigned irq = machine.arch.uart_irq;

    CHECK_SIGNALLED(false);
    plic_enable(irq);
    CHECK_SIGNALLED(true);
    check_equal(claim(), irq);
    uart_lower();
    complete(irq);
    plic_disable(irq);
    other_done = true;
}

static void test_other_hart(void)
{
    uart_raise();
    check_equal(cpu_start(1, other_hart), 0);
    while (!other_done) {
        cpu_relax();
    }
    CHECK_SIGNALLED(false);
}

void test_plic(void)
{
    uart_lower();
    test_registers();
    test_claim();
    test_threshold();
    test_priorities();
    test_taken();
    test_loopback();
    if (machine.cpu_count > 1) {
        test_other_hart();
    }
    print("plic: sources %u and %u interrupt as they should\n", machine.arch.uart_irq, machine.arch.rtc_irq);
}
