/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_ARCH_H
#define BENCH_ARCH_H

#include "bench.h"

/*
 * Time to the instruction, though the counter's ticks are of 100 ns.
 *
 * 100 readings, each three instructions after the last: 3k runs through all remainders of 100, so that the sum of
 * floor((t + 3k) / 100) for k = 0 .. 99 is t + (3 - 1) * 4950 / 100 = t + 99. From the first reading on, the time that
 * this takes is always the same.
 */
static inline uint64_t now(void)
{
    uint64_t sum = 0, reading;

    __asm__ volatile(".option push\n\t"
                     ".option norvc\n\t"
                     ".rept 100\n\t"
                     "rdtime %1\n\t"
                     "add %0, %0, %1\n\t"
                     "nop\n\t"
                     ".endr\n\t"
                     ".option pop"
                     : "+r"(sum), "=&r"(reading)
                     :
                     : "memory");
    return sum - 99;
}

/* QEMU's timers are late by as much of a tick as had passed when they were set. */
static inline void begin_tick(void)
{
    uint64_t skipped = now() % tick_ns * 4, at;

    __asm__ volatile(".option push\n\t"
                     ".option norvc\n\t"
                     "la %0, 1f\n\t"
                     "add %0, %0, %1\n\t"
                     "jr %0\n"
                     "1:\n\t"
                     ".rept 100\n\t"
                     "nop\n\t"
                     ".endr\n\t"
                     ".option pop"
                     : "=&r"(at)
                     : "r"(skipped));
}

#endif
