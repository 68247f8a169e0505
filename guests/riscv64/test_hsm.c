/* SPDX-License-Identifier: Apache-2.0 */
/* Harts that start, stop, suspend and fence each other (SBI 2.0, chapters 8, 9 and 13). */
#include "test_parts.h"

#define CHECK_ERROR(wanted, ...) check_equal(sbi(__VA_ARGS__).error, (int64_t)(wanted))
#define RETENTIVE 0x00000000U
#define NON_RETENTIVE 0x80000000U

extern void secondary_start(void);

static volatile unsigned starts, go, done;

static uint64_t status(unsigned cpu)
{
    return sbi(SBI_HSM, SBI_HSM_STATUS, machine.cpu_ids[cpu]).value;
}

static void wait_until_off(unsigned cpu)
{
    while (!cpu_is_off(cpu)) {
        cpu_relax();
    }
}

static void count_start(void)
{
    __atomic_fetch_add(&starts, 1, __ATOMIC_SEQ_CST);
}

/* ---- hsm ---- */

static void test_arguments(void)
{
    uint64_t entry = (uintptr_t)secondary_start;

    CHECK_ERROR(SBI_ERR_ALREADY_AVAILABLE, SBI_HSM, SBI_HSM_START, machine.cpu_ids[0], entry, 0);
    CHECK_ERROR(SBI_ERR_INVALID_PARAM, SBI_HSM, SBI_HSM_START, 0x1000, entry, 0);
    CHECK_ERROR(SBI_ERR_INVALID_PARAM, SBI_HSM, SBI_HSM_START, UINT64_MAX, entry, 0);
    CHECK_ERROR(SBI_ERR_INVALID_PARAM, SBI_HSM, SBI_HSM_STATUS, 0x1000);
    CHECK_ERROR(SBI_ERR_INVALID_PARAM, SBI_HSM, SBI_HSM_STATUS, UINT64_MAX);
    CHECK_ERROR(SBI_ERR_INVALID_PARAM, SBI_HSM, SBI_HSM_SUSPEND, 0x1, entry, 0);
    CHECK_ERROR(SBI_ERR_INVALID_PARAM, SBI_HSM, SBI_HSM_SUSPEND, 0x80000001, entry, 0);
    CHECK_ERROR(SBI_ERR_NOT_SUPPORTED, SBI_HSM, 4, 0);
    check_equal(status(0), HART_STARTED);
    if (machine.cpu_count > 1 && is_strict()) {
        CHECK_ERROR(SBI_ERR_INVALID_ADDRESS, SBI_HSM, SBI_HSM_START, machine.cpu_ids[1], HOLE, 0);
        CHECK_ERROR(SBI_ERR_INVALID_ADDRESS, SBI_HSM, SBI_HSM_START, machine.cpu_ids[1], machine.uart, 0);
        CHECK_ERROR(SBI_ERR_INVALID_ADDRESS, SBI_HSM, SBI_HSM_START, machine.cpu_ids[1], UINT64_MAX - 1, 0);
        check_equal(status(1), HART_STOPPED);
    }
}

/* Until the timer wakes it, with interrupts masked. */
static void test_retentive(void)
{
    const struct guest_timer *timer = guest_timers;
    uint64_t due = ticks() + ticks_per_second() / 1000;

    csr_set(sie, UINT64_C(1) << IRQ_TIMER);
    timer->set(due);
    CHECK_ERROR(SBI_SUCCESS, SBI_HSM, SBI_HSM_SUSPEND, RETENTIVE, 0, 0);
    check(ticks() >= due);
    timer->stop();
    csr_clear(sie, UINT64_C(1) << IRQ_TIMER);
}

static void resumed(void)
{
    check((csr_read(sip) & UINT64_C(1) << IRQ_SOFT) != 0);
    csr_clear(sip, UINT64_C(1) << IRQ_SOFT);
    done = 1;
}

static void suspend_self(void)
{
    unsigned self = cpu_id();

    cpu_begins_with(self, resumed);
    csr_set(sie, UINT64_C(1) << IRQ_SOFT);
    go = 1;
    (void)sbi(SBI_HSM, SBI_HSM_SUSPEND, NON_RETENTIVE, (uintptr_t)secondary_start, self);
    check_failed(__FILE__, __LINE__, "a non-retentive suspend came back", 1, 0);
}

static void test_non_retentive(void)
{
    go = done = 0;
    check_equal(cpu_start(1, suspend_self), 0);
    while (go == 0 || (status(1) != HART_SUSPENDED && is_strict())) {
        cpu_relax();
    }
    while (done == 0) {
        ipi_send(1);
        cpu_relax();
    }
    wait_until_off(1);
}

/* Others that start the same hart at the same time: one of them does. */
static volatile unsigned winners;

static void start_last(void)
{
    count_start();
    while (go == 0) {
        cpu_relax();
    }
    if (sbi(SBI_HSM, SBI_HSM_START, machine.cpu_ids[1], (uintptr_t)secondary_start, 1).error == 0) {
        __atomic_fetch_add(&winners, 1, __ATOMIC_SEQ_CST);
    }
    __atomic_fetch_add(&done, 1, __ATOMIC_SEQ_CST);
}

static void stay_until_done(void)
{
    while (done < machine.cpu_count - 2) {
        cpu_relax();
    }
}

static void test_race(void)
{
    for (unsigned round = 0; round < 20; round++) {
        starts = go = done = winners = 0;
        cpu_begins_with(1, stay_until_done);
        for (unsigned cpu = 2; cpu < machine.cpu_count; cpu++) {
            check_equal(cpu_start(cpu, start_last), 0);
        }
        while (starts < machine.cpu_count - 2) {
            cpu_relax();
        }
        go = 1;
        for (unsigned cpu = 2; cpu < machine.cpu_count; cpu++) {
            wait_until_off(cpu);
        }
        check_equal(winners, 1);
        wait_until_off(1);
    }
}

/* Begun again the moment it may be. */
static void test_restart(void)
{
    starts = 0;
    cpu_begins_with(1, count_start);
    for (unsigned round = 1; round <= 50; round++) {
        while (cpu_on(1) != 0) {
            uint64_t state = status(1);

            check(state <= HART_STOP_PENDING);
        }
        while (starts < round) {
            cpu_relax();
        }
    }
    wait_until_off(1);
    check_equal(starts, 50);
}

void test_hsm(void)
{
    test_arguments();
    test_retentive();
    if (machine.cpu_count > 1) {
        check_equal(status(1), HART_STOPPED);
        test_restart();
        test_non_retentive();
    }
    if (machine.cpu_count > 2) {
        test_race();
    }
    print("hsm: %u harts start, stop and suspend\n", machine.cpu_count);
}

/* ---- fences: another hart's translations change when it is told ---- */

#define WINDOW UINT64_C(0x3000000000) /* its 1 GiB page is the test's */
#define WINDOW_INDEX (WINDOW >> 30)

extern volatile uint64_t guest_tables[];

static volatile uint64_t fence_pages[2][512] __attribute__((aligned(4096)));
static volatile uint64_t fence_level2[512] __attribute__((aligned(4096)));
static volatile uint64_t fence_level3[512] __attribute__((aligned(4096)));
static volatile uint64_t fence_seen;

static uint64_t leaf(const volatile void *page)
{
    return (uint64_t)(uintptr_t)page >> 12 << 10 | 0xcf;
}

static uint64_t table(const volatile void *page)
{
    return (uint64_t)(uintptr_t)page >> 12 << 10 | 1;
}

static void fence_reader(void)
{
    while (done == 0) {
        fence_seen = *(volatile uint64_t *)WINDOW;
    }
}

static void test_remote(unsigned function)
{
    for (unsigned round = 0; round < 200; round++) {
        fence_level3[0] = leaf(fence_pages[round % 2]);
        CHECK_ERROR(SBI_SUCCESS, SBI_RFENCE, function, 1, machine.cpu_ids[1], WINDOW, 4096, 0);
        fence_seen = 0;
        fence_seen = 0; /* the first may have been overtaken by one that was read before */
        for (uint64_t seen = 0; seen == 0; seen = fence_seen) {
            cpu_relax();
        }
        fence_seen = 0;
        while (fence_seen == 0) {
            cpu_relax();
        }
        check_equal(fence_seen, 1 + round % 2);
    }
}

void test_fences(void)
{
    if (machine.cpu_count < 2) {
        return;
    }
    fence_pages[0][0] = 1;
    fence_pages[1][0] = 2;
    fence_level3[0] = leaf(fence_pages[0]);
    fence_level2[0] = table(fence_level3);
    guest_tables[WINDOW_INDEX] = table(fence_level2);
    barrier("sfence.vma");
    done = 0;
    check_equal(cpu_start(1, fence_reader), 0);
    test_remote(1);
    test_remote(2);
    CHECK_ERROR(SBI_SUCCESS, SBI_RFENCE, 0, 0, UINT64_MAX);
    done = 1;
    wait_until_off(1);
    print("fences: another hart saw 400 changes\n");
}

/* ---- suspend: SUSP ---- */

static uint64_t susp_due;

static void susp_resumed(void)
{
    check(ticks() >= susp_due);
    guest_timers->stop();
    check_equal(csr_read(satp) >> 60, 8); /* by start.S again */
    print("suspend: resumed\n");
    guest_end();
}

static void idle_until_done(void)
{
    while (done == 0) {
        cpu_relax();
    }
}

void test_suspend(void)
{
    uint64_t entry = (uintptr_t)secondary_start;

    if (!sbi_has(SBI_SUSP)) {
        CHECK_ERROR(SBI_ERR_NOT_SUPPORTED, SBI_SUSP, 0, 0, entry, 0);
        print("suspend: without SUSP\n");
        return;
    }
    CHECK_ERROR(SBI_ERR_INVALID_PARAM, SBI_SUSP, 0, 1, entry, 0);
    CHECK_ERROR(SBI_ERR_INVALID_PARAM, SBI_SUSP, 0, 0x7fffffff, entry, 0);
    CHECK_ERROR(SBI_ERR_INVALID_ADDRESS, SBI_SUSP, 0, 0, HOLE, 0);
    if (machine.cpu_count > 1) {
        done = 0;
        check_equal(cpu_start(1, idle_until_done), 0);
        CHECK_ERROR(SBI_ERR_DENIED, SBI_SUSP, 0, 0, entry, 0);
        done = 1;
        wait_until_off(1);
    }
    cpu_begins_with(0, susp_resumed);
    susp_due = ticks() + ticks_per_second() / 1000;
    csr_set(sie, UINT64_C(1) << IRQ_TIMER);
    guest_timers->set(susp_due);
    (void)sbi(SBI_SUSP, 0, 0, entry, 0);
    check_failed(__FILE__, __LINE__, "the suspend came back", 1, 0);
}
