/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_ARCH_H
#define BENCH_ARCH_H

#include "bench.h"

/*
 * Time to the instruction, though the counter's ticks may be of 16 ns.
 *
 * 16 readings, each one instruction after the last: the sum of floor((t + k) / P) for k = 0 .. P - 1 is t (Hermite),
 * for any period P that divides 16. From the first reading on, the time that this takes is always the same.
 */
static inline uint64_t now(void)
{
    uint64_t sum, sums = 16 / tick_ns;

    __asm__ volatile("isb\n\t"
                     ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n\t"
                     "mrs x\\n, cntvct_el0\n\t"
                     ".endr\n\t"
                     ".irp n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n\t"
                     "add x0, x0, x\\n\n\t"
                     ".endr\n\t"
                     "mov %0, x0"
                     : "=r"(sum)
                     :
                     : "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14",
                       "x15", "memory");
    return (sum - tick_ns * sums * (sums - 1) / 2) / sums;
}

/* QEMU's timers are exact, whenever they are set. */
static inline void begin_tick(void)
{
}

#endif
