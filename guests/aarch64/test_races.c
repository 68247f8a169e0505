/* SPDX-License-Identifier: Apache-2.0 */
/* CPU_ON (Arm DEN 0022) of one CPU by several others at the same time. CPU 3 is the target. */
#include "test.h"
#include "test_parts.h"

#define TARGET 3U
#define CALLERS 3U
#define PAIRS 100U
#define STARTS 150U
#define SECONDS 20U

#define SUCCESS 0
#define ALREADY_ON (-4)
#define ON_PENDING (-5)

extern void context_start(void);

static int64_t start_target(uint64_t context)
{
    return (int64_t)hvc(PSCI_CPU_ON, machine.cpu_ids[TARGET], (uint64_t)(uintptr_t)context_start, context);
}

static uint64_t context_of(unsigned caller, unsigned round)
{
    return (uint64_t)round << 32 | (uint64_t)caller << 16 | TARGET;
}

/* False: it takes too long. */
static bool wait_until(volatile unsigned *word, unsigned value)
{
    uint64_t since = ticks();

    while (__atomic_load_n(word, __ATOMIC_ACQUIRE) < value) {
        if (ticks() - since > SECONDS * ticks_per_second()) {
            check_failed(__FILE__, __LINE__, "something comes in time", *word, value);
            return false;
        }
    }
    return true;
}

static void wait_off(unsigned cpu)
{
    while (!cpu_is_off(cpu)) {
    }
}

/* ---- Two call at once: one of them starts it ---- */

static volatile unsigned pair_arrived, pair_called, pair_released;
static volatile int64_t pair_result[2];
static volatile uint64_t pair_context;

static void pair_target(void)
{
    pair_context = reg_read(tpidr_el0);
    (void)wait_until(&pair_released, (unsigned)(pair_context >> 32) + 1);
}

static void pair_call(unsigned self, unsigned round)
{
    advance(&pair_arrived);
    (void)wait_until(&pair_arrived, 2 * (round + 1));
    pair_result[self] = start_target(context_of(self, round));
    advance(&pair_called);
}

static void pair_second(void)
{
    for (unsigned round = 0; round < PAIRS; round++) {
        pair_call(1, round);
    }
}

static void pair_check(unsigned round)
{
    unsigned winner = pair_result[0] == SUCCESS ? 0 : 1;
    int64_t other = pair_result[1 - winner];

    check_equal(pair_result[winner], SUCCESS);
    check(other == ALREADY_ON || other == ON_PENDING);
    advance(&pair_released);
    wait_off(TARGET);
    check_equal(pair_context, context_of(winner, round));
}

static void test_pairs(void)
{
    cpu_begins_with(TARGET, pair_target);
    check_equal(cpu_start(1, pair_second), 0);
    for (unsigned round = 0; round < PAIRS; round++) {
        pair_call(0, round);
        if (!wait_until(&pair_called, 2 * (round + 1))) {
            return;
        }
        pair_check(round);
    }
    wait_off(1);
}

/* ---- Three call as often as it takes, while it turns itself off again and again: each start is one ---- */

static volatile unsigned started[CALLERS][STARTS];

static void start_counted(void)
{
    uint64_t context = reg_read(tpidr_el0);
    unsigned caller = context >> 16 & 0xff, round = (unsigned)(context >> 32);

    if ((context & 0xff) == TARGET && caller < CALLERS && round < STARTS) {
        advance(&started[caller][round]);
    } else {
        check_failed(__FILE__, __LINE__, "context is one that was given", context, 0);
    }
}

static void start_often(void)
{
    unsigned self = cpu_id();

    for (unsigned round = 0; round < STARTS; round++) {
        int64_t result;

        do {
            result = start_target(context_of(self, round));
        } while (result == ALREADY_ON || result == ON_PENDING);
        check_equal(result, SUCCESS);
        if (!wait_until(&started[self][round], 1)) {
            return;
        }
    }
}

static void test_starts(void)
{
    cpu_begins_with(TARGET, start_counted);
    for (unsigned cpu = 1; cpu < CALLERS; cpu++) {
        check_equal(cpu_start(cpu, start_often), 0);
    }
    start_often();
    for (unsigned cpu = 1; cpu <= TARGET; cpu++) {
        wait_off(cpu);
    }
    for (unsigned i = 0; i < CALLERS * STARTS; i++) {
        check_equal(started[i / STARTS][i % STARTS], 1);
    }
}

void test_races(void)
{
    check_equal(machine.cpu_count, TARGET + 1);
    test_pairs();
    test_starts();
    print("races: %u pairs, %u starts\n", PAIRS, CALLERS * STARTS);
}
