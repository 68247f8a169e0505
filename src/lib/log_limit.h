/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AXVM_LIB_LOG_LIMIT_H
#define AXVM_LIB_LOG_LIMIT_H

#include <stdatomic.h>
#include <stdint.h>

/*
 * For lines that a guest can cause again and again: so many at once, and so many a second in the long run. What is left
 * out is counted, and said before the next line. Zero at first; any pCPU.
 */
#define LOG_BURST 40U
#define LOG_A_SECOND 5U

struct log_limit {
    _Atomic uint64_t used;     /* the time, in ticks, until which lines have been said */
    _Atomic uint32_t left_out;
};

#endif
