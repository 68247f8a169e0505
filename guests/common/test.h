/* SPDX-License-Identifier: Apache-2.0 */
/* What the test guest asks of an architecture: tests of its own, and what the common ones need. */
#ifndef TEST_H
#define TEST_H

#include "guest.h"

struct guest_test {
    const char *name;
    void (*run)(void);
};

extern const struct guest_test arch_tests[]; /* ends with one that has no name */

/* Registers that must keep what is put there, all derived from `seed`. */
void state_fill(uint64_t seed);
void state_check(uint64_t seed);

/* A random access to a device, and a random firmware call: any but those that end or start CPUs, or the VM. */
void noise_access(void);
void noise_call(void);
uint64_t noise(void);

/* Until the timer's interrupt has come, `delta` ticks from now; how late it was. */
uint64_t timer_round(const struct guest_timer *timer, uint64_t delta, bool wait);
void timer_prepare(const struct guest_timer *timer);

#endif
