/* SPDX-License-Identifier: Apache-2.0 */
#include "timerqueue.h"

/* True: it was the first. */
static bool queue_remove(struct timerqueue *queue, struct axvm_timer *timer)
{
    struct axvm_timer **link = &queue->first;

    while (*link && *link != timer) {
        link = &(*link)->next;
    }
    if (*link) {
        *link = timer->next;
        timer->armed = false;
    }
    return link == &queue->first;
}

bool timerqueue_cancel(struct timerqueue *queues, unsigned self, struct axvm_timer *timer)
{
    struct timerqueue *queue = &queues[timer->pcpu];
    bool first;

    spin_lock(&queue->lock);
    first = timer->armed && queue_remove(queue, timer);
    spin_unlock(&queue->lock);
    while (queue != &queues[self] && atomic_load(&queue->firing) == timer) {
    }
    return first && queue == &queues[self];
}

bool timerqueue_arm(struct timerqueue *queues, unsigned self, struct axvm_timer *timer)
{
    struct timerqueue *queue = &queues[self];
    struct axvm_timer **link = &queue->first;

    timerqueue_cancel(queues, self, timer);
    spin_lock(&queue->lock);
    while (*link && (*link)->deadline <= timer->deadline) {
        link = &(*link)->next;
    }
    timer->next = *link;
    timer->armed = true;
    timer->pcpu = self;
    *link = timer;
    spin_unlock(&queue->lock);
    return link == &queue->first;
}

/* Take the first timer if it is due, and note that it fires. */
static struct axvm_timer *queue_pop(struct timerqueue *queue, uint64_t now)
{
    struct axvm_timer *timer;

    spin_lock(&queue->lock);
    timer = queue->first;
    if (timer && timer->deadline <= now) {
        queue->first = timer->next;
        timer->armed = false;
    } else {
        timer = NULL;
    }
    atomic_store(&queue->firing, timer);
    spin_unlock(&queue->lock);
    return timer;
}

static unsigned queue_count_due(struct timerqueue *queue, uint64_t now)
{
    unsigned due = 0;

    spin_lock(&queue->lock);
    for (const struct axvm_timer *timer = queue->first; timer && timer->deadline <= now; timer = timer->next) {
        due++;
    }
    spin_unlock(&queue->lock);
    return due;
}

uint64_t timerqueue_deadline(struct timerqueue *queue)
{
    uint64_t deadline;

    spin_lock(&queue->lock);
    deadline = queue->first ? queue->first->deadline : UINT64_MAX;
    spin_unlock(&queue->lock);
    return deadline;
}

uint64_t timerqueue_run(struct timerqueue *queue, uint64_t now)
{
    struct axvm_timer *timer;

    for (unsigned due = queue_count_due(queue, now); due > 0 && (timer = queue_pop(queue, now)); due--) {
        timer->fire(timer);
        atomic_store(&queue->firing, NULL);
    }
    return timerqueue_deadline(queue);
}
