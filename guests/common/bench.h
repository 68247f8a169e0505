/* SPDX-License-Identifier: Apache-2.0 */
/* What the bench guest asks of an architecture. */
#ifndef BENCH_H
#define BENCH_H

#include "guest.h"

struct operation {
    const char *name;
    uint64_t (*total)(const struct operation *operation, unsigned rounds); /* ns that all rounds took */
    void (*call)(uint64_t argument);
    uint64_t argument;
};

uint64_t bench_calls(const struct operation *operation, unsigned rounds);
uint64_t bench_readings(const struct operation *operation, unsigned rounds); /* of the time, in twos */
uint64_t bench_touches(const struct operation *operation, unsigned rounds);
uint64_t bench_ipi_self(const struct operation *operation, unsigned rounds);
uint64_t bench_ipi_peer(const struct operation *operation, unsigned rounds);
uint64_t bench_message_self(const struct operation *operation, unsigned rounds); /* argument: struct bench_messages */
uint64_t bench_message_peer(const struct operation *operation, unsigned rounds);
uint64_t bench_timer_spin(const struct operation *operation, unsigned rounds);
uint64_t bench_timer_wfi(const struct operation *operation, unsigned rounds);

/* Interrupts from CPU to CPU other than by ipi_send(); the same contract. */
struct bench_messages {
    void (*enable)(void (*handler)(void));
    void (*send)(unsigned cpu);
};

void bench_nothing(uint64_t argument);
void bench_read32(uint64_t addr);

/* Of the architecture: operations that take their turn, and the one without a name behind them. */
const struct operation *bench_operations(void);
/*
 * Its bench_arch.h has now(): ns, to the instruction, from ticks of tick_ns; and begin_tick(): wait until as much of a
 * tick has passed as always, when it matters for a timer that is set then.
 */
extern uint64_t tick_ns;
extern uint64_t entered_at; /* start.S: ticks() at the program's first instruction */

#define TOUCH_OFFSET 0x1200000U /* from the program: memory that nothing has used */
uint64_t bench_fresh_memory(void);

/* tests/bench/profile.py finds an operation's rounds in a trace by the calls of these two. */
void bench_begin(void);
void bench_end(void);

#endif
