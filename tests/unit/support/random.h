/* SPDX-License-Identifier: Apache-2.0 */
/* Repeatable randomness: the same run each time, unless the environment's AXVM_SEED says another. */
#ifndef AXVM_TEST_RANDOM_H
#define AXVM_TEST_RANDOM_H

#include <stdint.h>

/* Begin a run; prints its seed. */
void random_start(const char *what);

uint64_t random_u64(void);
uint64_t random_below(uint64_t limit); /* 0 for a limit of 0 */

#endif
