/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that tests the machine it runs on, from inside. The test to run is its command line; each prints what it
 * measured, and the library ends with GUEST PASS or GUEST FAIL. It also runs on the bare machine, for example
 * qemu-system-aarch64 -M virt,gic-version=3 -append psci, or qemu-system-riscv64 -M virt -append sbi.
 */
#include "test.h"
#include <string.h>

/* ---- timer: the timers fire when they are due, never before ---- */

#define TIMER_ROUNDS 500U

static volatile uint64_t timer_fired_at;

static void timer_fired(const struct guest_timer *timer)
{
    timer_fired_at = timer->now();
    timer->stop();
}

void timer_prepare(const struct guest_timer *timer)
{
    timer_enable(timer, timer_fired);
}

uint64_t timer_round(const struct guest_timer *timer, uint64_t delta, bool wait)
{
    uint64_t due = timer->now() + delta;

    timer_fired_at = 0;
    timer->set(due);
    irq_enable();
    while (timer_fired_at == 0) {
        if (wait) {
            irq_disable();
            if (timer_fired_at == 0) {
                wait_irq();
            }
            irq_enable();
        }
    }
    irq_disable();
    check(timer_fired_at >= due);
    return timer_fired_at - due;
}

static void timer_rounds(const struct guest_timer *timer)
{
    uint64_t us = (ticks_per_second() + 999999) / 1000000;
    uint64_t worst[2] = {0, 0};

    timer_prepare(timer);
    for (unsigned wait = 0; wait < 2; wait++) {
        for (unsigned i = 0; i < TIMER_ROUNDS; i++) {
            uint64_t late = timer_round(timer, 32 * us + 37 * i * us / 63, wait != 0);

            worst[wait] = late > worst[wait] ? late : worst[wait];
        }
    }
    print("%s timer: %u rounds each, at most %llu ns late spinning, %llu ns late in WFI\n", timer->name, TIMER_ROUNDS,
          (unsigned long long)(worst[0] * 1000000000U / ticks_per_second()),
          (unsigned long long)(worst[1] * 1000000000U / ticks_per_second()));
}

static void test_timer(void)
{
    for (const struct guest_timer *timer = guest_timers; timer->name != NULL; timer++) {
        timer_rounds(timer);
    }
}

/* ---- smp: every CPU starts, counts under one lock, and answers interrupts from every other ---- */

#define SMP_ROUNDS 20000U
#define SMP_PINGS 200U

static volatile unsigned smp_lock;
static volatile uint64_t smp_counter;
static volatile unsigned smp_started, smp_counted, smp_done;
static volatile unsigned smp_pings[MAX_CPUS];

static void ping_handler(void)
{
    __atomic_fetch_add(&smp_pings[cpu_id()], 1, __ATOMIC_SEQ_CST);
}

static void smp_cpu(void)
{
    unsigned self = cpu_id();

    ipi_enable(ping_handler);
    irq_enable();
    advance(&smp_started);
    wait_for(&smp_started, machine.cpu_count);
    for (unsigned i = 0; i < SMP_ROUNDS; i++) {
        while (__atomic_exchange_n(&smp_lock, 1, __ATOMIC_ACQUIRE) != 0) {
        }
        smp_counter = smp_counter + 1;
        __atomic_store_n(&smp_lock, 0, __ATOMIC_RELEASE);
    }
    advance(&smp_counted);
    wait_for(&smp_counted, machine.cpu_count);
    for (unsigned round = 0; round < SMP_PINGS; round++) {
        for (unsigned target = 0; target < machine.cpu_count; target++) {
            unsigned before = smp_pings[target];

            if (target != self) {
                ipi_send(target);
                while (__atomic_load_n(&smp_pings[target], __ATOMIC_ACQUIRE) == before) {
                    cpu_relax();
                }
            }
        }
    }
    advance(&smp_done);
    wait_for(&smp_done, machine.cpu_count);
    irq_disable();
}

static void test_smp(void)
{
    for (unsigned cpu = 1; cpu < machine.cpu_count; cpu++) {
        check_equal(cpu_start(cpu, smp_cpu), 0);
    }
    smp_cpu();
    check_equal(smp_counter, (uint64_t)SMP_ROUNDS * machine.cpu_count);
    for (unsigned cpu = 1; cpu < machine.cpu_count; cpu++) {
        while (!cpu_is_off(cpu)) {
        }
    }
    print("smp: %u CPUs counted to %llu and answered each other\n", machine.cpu_count, (unsigned long long)smp_counter);
}

/* ---- memory: all of it is there, zero at first, and keeps what is written ---- */

static bool page_write(volatile uint64_t *word, uint64_t at)
{
    if (word[0] != 0 || word[511] != 0) {
        check_failed(__FILE__, __LINE__, "fresh page reads zero", at, 0);
        return false;
    }
    word[0] = at;
    word[511] = ~at;
    return true;
}

static bool page_check(const volatile uint64_t *word, uint64_t at)
{
    if (word[0] != at || word[511] != ~at) {
        check_failed(__FILE__, __LINE__, "page keeps its words", word[0], at);
        return false;
    }
    return true;
}

static void test_memory(void)
{
    uint64_t end = machine.memory_base + machine.memory_size;
    uint64_t pages = 0;

    for (uint64_t at = machine.memory_base; at + 4096 <= end; at += 4096) {
        if (page_is_free(at)) {
            if (!page_write((volatile uint64_t *)at, at)) {
                return;
            }
            pages++;
        }
    }
    for (uint64_t at = machine.memory_base; at + 4096 <= end; at += 4096) {
        if (page_is_free(at) && !page_check((volatile uint64_t *)at, at)) {
            return;
        }
    }
    print("memory: %llu pages are as they should be\n", (unsigned long long)pages);
}

/* ---- state: registers are the guest's own, whoever else runs on the same CPU meanwhile ---- */

#define STATE_ROUNDS 100U

/* Wait for an interrupt, then as long without giving the CPU away. */
static void test_state(void)
{
    timer_prepare(&guest_timers[0]);
    for (unsigned round = 0; round < STATE_ROUNDS; round++) {
        uint64_t seed = ticks() * 0x9e3779b97f4a7c15U;
        uint64_t pause = ticks_per_second() / 1000;

        state_fill(seed);
        (void)timer_round(&guest_timers[0], pause, true);
        (void)timer_round(&guest_timers[0], pause, false);
        state_check(seed);
    }
}

/* ---- noise: random accesses to all devices, and random firmware calls ---- */

#define NOISE_ROUNDS 20000U

uint64_t noise(void)
{
    static uint64_t state = 0x853c49e6748fea9b;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static void test_noise(void)
{
    for (unsigned i = 0; i < NOISE_ROUNDS; i++) {
        catch_begin();
        noise_access();
        noise_call(); /* with pointers, too */
        (void)catch_end();
    }
    print("noise: %u accesses and calls later\n", NOISE_ROUNDS);
}

/* ---- reset: comes back once, told by a mark in memory that reset must wipe out ---- */

static void test_reset(void)
{
    extern char __image_start[];
    volatile uint64_t *mark = (volatile uint64_t *)((uintptr_t)__image_start + 0x1400000);

    check_equal(*mark, 0);
    *mark = 0x5a5a5a5a;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    print("reset: marked, asking for a reset\n");
    system_reset();
}

/* ---- resets: the same, asked for by the last CPU while all are running. off: all ask for the end at once ---- */

static volatile unsigned power_ready;

static void power_wait(void)
{
    __atomic_fetch_add(&power_ready, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&power_ready, __ATOMIC_ACQUIRE) < machine.cpu_count) {
        cpu_relax();
    }
}

static void off_cpu(void)
{
    power_wait();
    power_off();
}

static void resets_cpu(void)
{
    power_wait();
    if (cpu_id() == machine.cpu_count - 1) {
        test_reset();
    }
    for (;;) {
        power_ready = power_ready + 1;
    }
}

static void on_all(void (*function)(void))
{
    for (unsigned cpu = 1; cpu < machine.cpu_count; cpu++) {
        check_equal(cpu_start(cpu, function), 0);
    }
    function();
}

static void test_resets(void)
{
    on_all(resets_cpu);
}

static void test_off(void)
{
    on_all(off_cpu);
}

/* ---- chatter: lines that must arrive whole, whoever else writes to the same terminal ---- */

static void test_chatter(void)
{
    for (unsigned i = 0; i < 300; i++) {
        print("chatter %03u abcdefghijklmnopqrstuvwxyz\n", i);
    }
}

/* ---- hang: a CPU that never gives itself back ---- */

static void test_hang(void)
{
    print("hang: no interrupt will be taken any more\n");
    irq_disable();
    for (;;) {
        barrier("");
    }
}

/* ---- share: how much of its CPU it has, of which others want a part ---- */

#define SHARE_MS 200U
#define SHARE_AWAY_US 100U /* others had the CPU, and not only the hypervisor */

static void test_share(void)
{
    uint64_t us = ticks_per_second() / 1000000, start = ticks(), before = start, now = start;
    uint64_t longest = 0, away = 0;

    while (now - start < SHARE_MS * 1000 * us) {
        now = ticks();
        away += now - before >= SHARE_AWAY_US * us ? now - before : 0;
        longest = now - before > longest ? now - before : longest;
        before = now;
    }
    print("share: %llu %% of the CPU, without it for at most %llu us\n",
          (unsigned long long)((now - start - away) * 100 / (now - start)), (unsigned long long)(longest / us));
}

/* ---- nap: a CPU that works, and waits for a moment before its turn would end ---- */

static void test_nap(void)
{
    print("nap: waiting for moments\n");
    timer_prepare(&guest_timers[0]);
    for (;;) {
        uint64_t until = ticks() + ticks_per_second() / 500;

        while (ticks() < until) {
        }
        (void)timer_round(&guest_timers[0], ticks_per_second() / 100000, true);
    }
}

/* ---- pester: a CPU that waits again and again, and always has an interrupt from another ---- */

static volatile uint64_t pestered;

static void pester_handler(void)
{
    pestered = pestered + 1;
}

static void pester_cpu(void)
{
    for (;;) {
        ipi_send(0);
    }
}

static void test_pester(void)
{
    print("pester: waiting for another CPU\n");
    ipi_enable(pester_handler);
    check_equal(cpu_start(1, pester_cpu), 0);
    for (;;) {
        wait_irq();
        irq_enable();
        irq_disable();
    }
}

static const struct guest_test tests[] = {
    {"timer", test_timer}, {"smp", test_smp},     {"memory", test_memory},   {"state", test_state},
    {"noise", test_noise}, {"reset", test_reset}, {"chatter", test_chatter}, {"hang", test_hang},
    {"resets", test_resets}, {"off", test_off},   {"share", test_share},     {"nap", test_nap},
    {"pester", test_pester}, {0},
};

static const struct guest_test *find(const struct guest_test *test)
{
    while (test->name != NULL && !word_is(machine.args, test->name)) {
        test++;
    }
    return test;
}

void test_main(void)
{
    const struct guest_test *test = find(tests)->name != NULL ? find(tests) : find(arch_tests);

    if (test->name == NULL) {
        check_failed(__FILE__, __LINE__, machine.args, 0, 0);
        return;
    }
    print("test guest: %s, %u CPUs, %llu MiB at %#llx\n", test->name, machine.cpu_count,
          (unsigned long long)(machine.memory_size >> 20), (unsigned long long)machine.memory_base);
    test->run();
}
