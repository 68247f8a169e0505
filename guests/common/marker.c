/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that has its mark in every register and in all its memory, for others to find if it leaks; and that says
 * every 10 ms that it is alive, and how long it was kept from running.
 *
 * Every other beat it spins, and measures the longest time between two readings of the counter, and for how much of
 * that time it had the CPU; then it waits for interrupts of its timer, and measures how late they are. In between it
 * looks whether its marks are still there.
 *
 * The command line: beats=N (then it powers off; 0, or nothing: never), spin=1 (no waiting).
 */
#include "marker.h"

#define BEAT_US 10000U
#define STEP_US 100U
#define AWAY_US 500U /* it was without the CPU, and not only interrupted */

static uint64_t ticks_per_us;

/* ---- Marks ------------------------------------------------------------------------------------------------------- */

/* Each word tells where it is from, if it turns up elsewhere. */
static void mark_page(uint64_t page)
{
    for (uint64_t at = page; at < page + 4096; at += 8) {
        *(volatile uint64_t *)at = MARK | (at >> 3 & 0xffffffff);
    }
}

static void check_page(uint64_t page)
{
    for (uint64_t at = page; at < page + 4096; at += 8) {
        uint64_t word = *(volatile uint64_t *)at;

        if (word != (MARK | (at >> 3 & 0xffffffff))) {
            check_failed(__FILE__, __LINE__, "the mark in memory", word, MARK | (at >> 3 & 0xffffffff));
            return;
        }
    }
}

static void mark_memory(void)
{
    for (uint64_t page = machine.memory_base; page < machine.memory_base + machine.memory_size; page += 4096) {
        if (page_is_free(page)) {
            mark_page(page);
        }
    }
}

/* A few pages each time. */
static void check_memory(unsigned beat)
{
    uint64_t pages = machine.memory_size / 4096;

    for (unsigned i = 0; i < 4; i++) {
        uint64_t page = machine.memory_base + (beat * 4 + i) % pages * 4096;

        if (page_is_free(page)) {
            check_page(page);
        }
    }
}

/* ---- Beats ------------------------------------------------------------------------------------------------------- */

static volatile uint64_t fired_at;

static void timer_fired(const struct guest_timer *timer)
{
    fired_at = ticks();
    timer->stop();
}

static void wait_until(uint64_t until, uint64_t *late)
{
    while (ticks() < until) {
        uint64_t due = ticks() + STEP_US * ticks_per_us;

        fired_at = 0;
        guest_timers->set(due);
        while (fired_at == 0) {
            wait_irq();
            irq_enable();
            irq_disable();
        }
        *late = fired_at - due > *late ? fired_at - due : *late;
    }
}

void test_main(void)
{
    uint64_t beats = option_number("beats=", 0), spin_only = option_number("spin=", 0);
    const char *self = spin_only != 0 ? "spinner" : "marker";
    uint64_t spun = 0, late = 0;
    struct gaps gaps = {0};

    ticks_per_us = ticks_per_second() / 1000000;
    gaps.least = AWAY_US * ticks_per_us;
    timer_enable(guest_timers, timer_fired);
    mark_memory();
    print("%s: %llu beats\n", self, (unsigned long long)beats);
    for (unsigned beat = 1; beats == 0 || beat <= beats; beat++) {
        uint64_t since = ticks(), until = since + BEAT_US * ticks_per_us;
        uint64_t mark = MARK | beat << 12;

        mark_registers(mark);
        if (beat % 2 == 0 && spin_only == 0) {
            wait_until(until, &late);
        } else {
            since = ticks();
            check_equal(marker_spin(mark, until, &gaps), 0);
            spun += ticks() - since;
            check_registers(mark);
        }
        check_memory(beat);
        print("%s %u: without the CPU at most %llu us, interrupts at most %llu us late, had it for %llu %%\n", self,
              beat, (unsigned long long)(gaps.longest / ticks_per_us), (unsigned long long)(late / ticks_per_us),
              (unsigned long long)((spun - gaps.sum) * 100 / spun));
    }
}
