/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One-shot timers (struct axvm_timer), a queue for each pCPU, over that pCPU's one hardware timer.
 *
 * Locking: the queue's lock, innermost of all; it isn't held while a timer fires.
 */
#ifndef METAL_TIMERQUEUE_H
#define METAL_TIMERQUEUE_H

#include "lib/spinlock.h"
#include <axvm/hal.h>

/*
 * Invariant: the list is sorted by deadline; a timer is in at most one queue, that of pCPU timer->pcpu, and then
 * `armed`. timer->pcpu stays after that, so that a cancel finds where the timer may be firing.
 */
struct timerqueue {
    struct spinlock lock;
    struct axvm_timer *first;
    struct axvm_timer *_Atomic firing;
};

/* Put the timer into the queue of the calling pCPU, `queues[self]`. True: it is the first now, so set the hardware. */
bool timerqueue_arm(struct timerqueue *queues, unsigned self, struct axvm_timer *timer);

/*
 * Take it out of whichever queue it is in; if another pCPU is just firing it, wait until that is over. True: it was the
 * first of the calling pCPU's queue, so the hardware can be set to what timerqueue_deadline() says.
 */
bool timerqueue_cancel(struct timerqueue *queues, unsigned self, struct axvm_timer *timer);

/* When the first timer is due; UINT64_MAX: there is none. */
uint64_t timerqueue_deadline(struct timerqueue *queue);

/*
 * Fire what is due at `now`, and give the next deadline. Of timers that arm themselves again for a time
 * that is past, each fires once.
 */
uint64_t timerqueue_run(struct timerqueue *queue, uint64_t now);

#endif
