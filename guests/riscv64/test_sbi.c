/* SPDX-License-Identifier: Apache-2.0 */
/* SBI calls with right and wrong arguments (RISC-V Supervisor Binary Interface 2.0); harts' own: test_hsm.c. */
#include "test_parts.h"
#include <string.h>

#define CHECK_ERROR(wanted, ...) check_equal(sbi(__VA_ARGS__).error, (int64_t)(wanted))

/* ---- All registers but a0 and a1 are kept ---- */

static uint64_t registers_differ(uint64_t extension, uint64_t function, uint64_t argument)
{
    register uint64_t a0 __asm__("a0") = argument;
    register uint64_t a1 __asm__("a1") = 0;
    register uint64_t a6 __asm__("a6") = function;
    register uint64_t a7 __asm__("a7") = extension;

    __asm__ volatile(".irp r, t0, t1, t2, t3, t4, t5, t6, a2, a3, a4, a5, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11\n\t"
                     "li \\r, 0x5a5a5a5a\n\t"
                     ".endr\n\t"
                     "ecall\n\t"
                     "li a0, 0x5a5a5a5a\n\t"
                     "li a1, 0\n\t"
                     ".irp r, t0, t1, t2, t3, t4, t5, t6, a2, a3, a4, a5, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11\n\t"
                     "xor \\r, \\r, a0\n\t"
                     "or a1, a1, \\r\n\t"
                     ".endr"
                     : "+r"(a0), "+r"(a1), "+r"(a6), "+r"(a7)
                     :
                     : "t0", "t1", "t2", "t3", "t4", "t5", "t6", "a2", "a3", "a4", "a5", "s2", "s3", "s4", "s5", "s6",
                       "s7", "s8", "s9", "s10", "s11", "memory");
    return a1 | (a6 ^ function) | (a7 ^ extension);
}

/* ---- sbi ---- */

static void test_base(void)
{
    for (unsigned function = 0; function < 7; function++) {
        CHECK_ERROR(SBI_SUCCESS, SBI_BASE, function, SBI_BASE);
    }
    check_equal(sbi(SBI_BASE, SBI_BASE_VERSION, 0).value >> 31, 0);
    check(sbi(SBI_BASE, SBI_BASE_VERSION, 0).value >= 0x1000000);
    check(sbi_has(SBI_BASE) && sbi_has(SBI_TIME) && sbi_has(SBI_IPI) && sbi_has(SBI_RFENCE) && sbi_has(SBI_HSM) &&
          sbi_has(SBI_SRST));
    check(!sbi_has(0x12345678) && !sbi_has(UINT64_MAX) && !sbi_has(0x0fffffff));
    CHECK_ERROR(SBI_ERR_NOT_SUPPORTED, SBI_BASE, 7, 0);
    CHECK_ERROR(SBI_ERR_NOT_SUPPORTED, SBI_BASE, UINT64_MAX, 0);
    CHECK_ERROR(SBI_ERR_NOT_SUPPORTED, 0x12345678, 0, 0);
    CHECK_ERROR(SBI_ERR_NOT_SUPPORTED, UINT64_MAX, 0, 0);
    if (is_strict()) { /* a7 is 32 bits wide where it is 64: SBI 2.0, 3 "extension ID" */
        CHECK_ERROR(SBI_ERR_NOT_SUPPORTED, SBI_TIME, 1, 0);
        CHECK_ERROR(SBI_ERR_NOT_SUPPORTED, SBI_SRST, 1, 0);
    }
    check_equal(registers_differ(SBI_BASE, SBI_BASE_PROBE, SBI_HSM), 0);
    check_equal(registers_differ(SBI_TIME, 0, UINT64_MAX), 0);
    check_equal(registers_differ(0x12345678, 5, 1), 0);
}

static bool soft_pending(void)
{
    return (csr_read(sip) & UINT64_C(1) << IRQ_SOFT) != 0;
}

/* Whether the call has made a software interrupt pending here, which the hypervisor may deliver late. */
static bool has_ipi(void)
{
    for (uint64_t until = ticks() + ticks_per_second() / 1000; ticks() < until && !soft_pending();) {
    }
    if (!soft_pending()) {
        return false;
    }
    csr_clear(sip, UINT64_C(1) << IRQ_SOFT);
    return !soft_pending();
}

static void test_ipi(void)
{
    uint64_t self = machine.cpu_ids[0];

    csr_clear(sip, UINT64_C(1) << IRQ_SOFT);
    CHECK_ERROR(SBI_SUCCESS, SBI_IPI, 0, 1, self);
    check(has_ipi());
    CHECK_ERROR(SBI_SUCCESS, SBI_IPI, 0, UINT64_C(1) << self, 0);
    check(has_ipi());
    CHECK_ERROR(SBI_SUCCESS, SBI_IPI, 0, 0, UINT64_MAX); /* all */
    check(has_ipi());
    CHECK_ERROR(SBI_SUCCESS, SBI_IPI, 0, 0, self);
    check(!soft_pending());
    CHECK_ERROR(SBI_ERR_INVALID_PARAM, SBI_IPI, 0, 1, 0x1000);
    CHECK_ERROR(SBI_ERR_INVALID_PARAM, SBI_IPI, 0, 1, UINT64_MAX - 1);
    if (is_strict()) {
        CHECK_ERROR(SBI_ERR_INVALID_PARAM, SBI_IPI, 0, UINT64_C(1) << 63, 0);
        CHECK_ERROR(SBI_ERR_INVALID_PARAM, SBI_IPI, 0, UINT64_C(1) << machine.cpu_count, 0);
        CHECK_ERROR(SBI_ERR_INVALID_PARAM, SBI_IPI, 0, UINT64_MAX, UINT64_C(1) << 63);
        CHECK_ERROR(SBI_ERR_NOT_SUPPORTED, SBI_IPI, 1, 1, self);
    }
    check(!soft_pending());
}

static void test_rfence(void)
{
    for (unsigned function = 0; function < 3; function++) {
        CHECK_ERROR(SBI_SUCCESS, SBI_RFENCE, function, 1, machine.cpu_ids[0], 0, 0, 0);
        CHECK_ERROR(SBI_SUCCESS, SBI_RFENCE, function, 0, UINT64_MAX, 0x1000, 0x2000, 1);
        CHECK_ERROR(SBI_SUCCESS, SBI_RFENCE, function, 0, UINT64_MAX, 0, UINT64_MAX, 0xffff);
        CHECK_ERROR(SBI_SUCCESS, SBI_RFENCE, function, 0, UINT64_MAX, 0x1234, 1, 0);
        CHECK_ERROR(SBI_ERR_INVALID_PARAM, SBI_RFENCE, function, 1, 0x1000, 0, 0, 0);
        if (is_strict()) {
            CHECK_ERROR(SBI_ERR_INVALID_PARAM, SBI_RFENCE, function, UINT64_C(1) << 63, 0, 0, 0, 0);
        }
    }
    if (is_strict()) { /* nobody below has guests */
        for (unsigned function = 3; function < 8; function++) {
            CHECK_ERROR(SBI_ERR_NOT_SUPPORTED, SBI_RFENCE, function, 1, machine.cpu_ids[0], 0, 0, 0);
        }
    }
}

static void test_srst(void)
{
    if (is_strict()) {
        CHECK_ERROR(SBI_ERR_INVALID_PARAM, SBI_SRST, 0, 3, 0);
        CHECK_ERROR(SBI_ERR_INVALID_PARAM, SBI_SRST, 0, 0xefffffff, 0);
        CHECK_ERROR(SBI_ERR_INVALID_PARAM, SBI_SRST, 0, 0, 2);
        CHECK_ERROR(SBI_ERR_INVALID_PARAM, SBI_SRST, 0, 0, 0xdfffffff);
    }
}

static void test_pmu(void)
{
    uint64_t counters = sbi(SBI_PMU, 0, 0).value;

    if (!sbi_has(SBI_PMU)) {
        CHECK_ERROR(SBI_ERR_NOT_SUPPORTED, SBI_PMU, 0, 0);
        print("sbi: without PMU\n");
        return;
    }
    check(counters != 0);
    CHECK_ERROR(SBI_SUCCESS, SBI_PMU, 1, 0);
    CHECK_ERROR(SBI_ERR_INVALID_PARAM, SBI_PMU, 1, counters + 100);
    CHECK_ERROR(SBI_ERR_INVALID_PARAM, SBI_PMU, 1, UINT64_MAX);
    CHECK_ERROR(SBI_ERR_INVALID_PARAM, SBI_PMU, 5, counters + 100); /* read a firmware counter that isn't there */
}

static volatile unsigned timer_interrupts;

static void timer_fired(const struct guest_timer *timer)
{
    timer_interrupts = timer_interrupts + 1;
    timer->stop();
}

static void await_timer(uint64_t until)
{
    while (timer_interrupts == 0 && ticks() < until) {
    }
}

/*
 * By its interrupt: to a guest, QEMU 7.2 doesn't show sip.STIP when stimecmp has set it. It comes as soon as QEMU's
 * main loop gets a turn, which may be late on a machine with much else to do.
 */
static void check_fires(uint64_t due, bool wanted)
{
    timer_interrupts = 0;
    CHECK_ERROR(SBI_SUCCESS, SBI_TIME, 0, due);
    irq_enable();
    await_timer(ticks() + (wanted ? 60 * ticks_per_second() : ticks_per_second() / 500));
    irq_disable();
    check_equal(timer_interrupts, wanted);
}

static void test_set_timer(void)
{
    timer_enable(guest_timers, timer_fired);
    check_fires(0, true);
    check_fires(ticks(), true);
    check_fires(ticks() + ticks_per_second() / 1000, true);
    check_fires(UINT64_MAX, false);
    csr_clear(sie, UINT64_C(1) << IRQ_TIMER);
}

/* ---- alarms: each comes, whatever its CPU does to other interrupts when it is due ---- */

void test_alarms(void)
{
    uint64_t us = ticks_per_second() / 1000000;

    timer_enable(guest_timers, timer_fired);
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t due = ticks() + 200 * us;

        timer_interrupts = 0;
        guest_timers->set(due);
        irq_enable();
        while (ticks() < due + i % 50 * us) {
            csr_clear(sip, UINT64_C(1) << IRQ_SOFT);
        }
        await_timer(due + 60 * ticks_per_second());
        irq_disable();
        check_equal(timer_interrupts, 1);
    }
}

void test_sbi(void)
{
    test_base();
    test_ipi();
    test_set_timer();
    test_rfence();
    test_srst();
    test_pmu();
}

/* ---- console: DBCN; and typed: a line that is read there ---- */

#define DBCN_WRITE 0
#define DBCN_READ 1
#define DBCN_BYTE 2

static void refused(unsigned function, uint64_t bytes, uint64_t low, uint64_t high)
{
    CHECK_ERROR(SBI_ERR_INVALID_PARAM, SBI_DBCN, function, bytes, low, high);
}

void test_console(void)
{
    static const char text[] = "console: written through the firmware\n";
    static char typed[16];
    uint64_t end = machine.memory_base + machine.memory_size;
    size_t written = 0;

    if (!sbi_has(SBI_DBCN)) {
        print("console: without DBCN\n");
        return;
    }
    while (written < sizeof(text) - 1) {
        struct sbi_ret ret = sbi(SBI_DBCN, DBCN_WRITE, sizeof(text) - 1 - written, (uintptr_t)text + written, 0);

        check_equal(ret.error, 0);
        if (ret.error != 0 || ret.value > sizeof(text) - 1 - written) {
            break;
        }
        written += ret.value;
    }
    CHECK_ERROR(SBI_SUCCESS, SBI_DBCN, DBCN_BYTE, '\n');
    CHECK_ERROR(SBI_SUCCESS, SBI_DBCN, DBCN_WRITE, 0, (uintptr_t)text, 0);
    check_equal(sbi(SBI_DBCN, DBCN_WRITE, 0, (uintptr_t)text, 0).value, 0);
    CHECK_ERROR(SBI_SUCCESS, SBI_DBCN, DBCN_READ, sizeof(typed), (uintptr_t)typed, 0);
    check_equal(sbi(SBI_DBCN, DBCN_READ, sizeof(typed), (uintptr_t)typed, 0).value, 0);
    for (unsigned function = DBCN_WRITE; function <= DBCN_READ; function++) {
        refused(function, 1, HOLE, 0);
        refused(function, 1, machine.uart, 0);
        refused(function, 1, (uintptr_t)text, 1);
        refused(function, 2, end - 1, 0);
        refused(function, UINT64_MAX, (uintptr_t)text, 0);
        refused(function, 16, UINT64_MAX - 7, 0);
        refused(function, 16, UINT64_MAX - 7, UINT64_MAX);
    }
    CHECK_ERROR(SBI_ERR_NOT_SUPPORTED, SBI_DBCN, 3, 0);
}

void test_typed(void)
{
    static char line[64];
    size_t count = 0;

    print("typed: one line, please\n");
    while (count == 0 || line[count - 1] != '\r') {
        struct sbi_ret ret = sbi(SBI_DBCN, DBCN_READ, sizeof(line) - count, (uintptr_t)line + count, 0);

        check_equal(ret.error, 0);
        check(ret.value <= sizeof(line) - count);
        count += ret.value;
    }
    line[count - 1] = '\0';
    print("typed: <%s>\n", line);
}

/* ---- legacy: the calls of SBI 0.1, which return in a0 alone (SBI 2.0, chapter 5) ---- */

static uint64_t legacy(uint64_t extension, uint64_t a0, uint64_t a1)
{
    struct sbi_ret ret = sbi_call(extension, 0, a0, a1, 0, 0, 0);

    check_equal(ret.value, a1); /* kept */
    return (uint64_t)ret.error;
}

/* The fault is that of a load, at the ecall. */
static void check_pointer(uint64_t pointer, uint64_t cause)
{
    for (uint64_t extension = 4; extension <= 7; extension++) {
        struct caught caught;
        uint64_t at, kept;

        catch_begin();
        __asm__ volatile("mv a0, %2\n\tmv a7, %3\n\tlla %0, 1f\n1:\tecall\n\tmv %1, a0"
                         : "=&r"(at), "=&r"(kept)
                         : "r"(pointer), "r"(extension)
                         : "a0", "a1", "a7", "memory");
        caught = catch_end();
        check_caught("hart list", caught, cause, pointer);
        check_equal(caught.pc, at);
        check_equal(kept, pointer);
    }
}

static void check_pointers(void)
{
    uint64_t list = 0;

    check_pointer(UNMAPPED, CAUSE_LOAD_PAGE);
    check_pointer(UINT64_C(1) << 62, CAUSE_LOAD_PAGE); /* no address of Sv39 */
    check_pointer(HOLE, CAUSE_LOAD_ACCESS);
    check_pointer(machine.uart, CAUSE_LOAD_ACCESS);
    check_pointer((uintptr_t)&list + 4, CAUSE_LOAD_MISALIGNED);
    check_pointer(UNMAPPED + 1, CAUSE_LOAD_MISALIGNED);
}

void test_legacy(void)
{
    static const char text[] = "legacy: written byte by byte\n";
    uint64_t mask = UINT64_C(1) << machine.cpu_ids[0];

    if (!sbi_has(1)) {
        print("legacy: there are none\n");
        return;
    }
    for (const char *c = text; *c != '\0'; c++) {
        check_equal(legacy(1, (uint8_t)*c, 7), 0);
    }
    check_equal(legacy(2, 0, 7), UINT64_MAX); /* nothing was typed */
    check_equal(legacy(0, UINT64_MAX, 7), 0);
    csr_clear(sip, UINT64_C(1) << IRQ_SOFT);
    check_equal(legacy(4, (uintptr_t)&mask, 7), 0);
    check(has_ipi());
    check_equal(legacy(4, (uintptr_t)&mask, 7), 0);
    check((int64_t)legacy(3, 0, 7) >= 0); /* clear_ipi: 0, or what the implementation says if there was one */
    check(!soft_pending());
    check_equal(legacy(5, (uintptr_t)&mask, 7), 0);
    check_equal(legacy(6, (uintptr_t)&mask, 0x1000), 0);
    check_equal(legacy(7, (uintptr_t)&mask, 0x1000), 0);
    check_equal(legacy(5, 0, 7), 0); /* all harts */
    if (is_strict()) {
        check_pointers();
    }
    CHECK_ERROR(SBI_ERR_NOT_SUPPORTED, 9, 0, 0); /* no legacy one any more */
}
