/* SPDX-License-Identifier: Apache-2.0 */
/* host/metal/timerqueue.c */
#include "timerqueue.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct timerqueue queues[2];
static struct axvm_timer timers[8];
static int fired[32];
static unsigned fired_count;

static void note(struct axvm_timer *timer)
{
    fired[fired_count++] = (int)(timer - timers);
}

static void arm(unsigned self, unsigned timer, uint64_t deadline, bool first)
{
    timers[timer].deadline = deadline;
    assert_int_equal(timerqueue_arm(queues, self, &timers[timer]), first);
}

static int setup(void **state)
{
    (void)state;
    memset(queues, 0, sizeof(queues));
    memset(timers, 0, sizeof(timers));
    fired_count = 0;
    for (unsigned i = 0; i < 8; i++) {
        timers[i].fire = note;
    }
    return 0;
}

static void assert_fired(unsigned count, const int *expected)
{
    assert_int_equal(fired_count, count);
    assert_memory_equal(fired, expected, count * sizeof(int));
}

#define ASSERT_FIRED(...) assert_fired(sizeof((int[]){__VA_ARGS__}) / sizeof(int), (const int[]){__VA_ARGS__})

static void due_timers_fire_in_order_of_their_deadlines(void **state)
{
    (void)state;
    arm(0, 0, 300, true);
    arm(0, 1, 100, true);
    arm(0, 2, 200, false);
    arm(0, 3, 200, false);
    arm(1, 4, 50, true);
    assert_int_equal(timerqueue_run(&queues[0], 99), 100);
    assert_int_equal(fired_count, 0);
    assert_int_equal(timerqueue_run(&queues[0], 200), 300);
    ASSERT_FIRED(1, 2, 3);
    assert_int_equal(timerqueue_run(&queues[0], UINT64_MAX), UINT64_MAX);
    ASSERT_FIRED(1, 2, 3, 0);
    assert_int_equal(timerqueue_run(&queues[0], UINT64_MAX), UINT64_MAX);
    ASSERT_FIRED(1, 2, 3, 0);
}

static void arming_again_moves_a_timer_also_from_another_pcpu(void **state)
{
    (void)state;
    arm(0, 0, 100, true);
    arm(0, 0, 200, true);
    assert_int_equal(timerqueue_run(&queues[0], 150), 200);
    arm(1, 0, 300, true);
    assert_int_equal(timerqueue_run(&queues[0], 400), UINT64_MAX);
    assert_int_equal(fired_count, 0);
    timerqueue_run(&queues[1], 400);
    ASSERT_FIRED(0);
}

static void a_cancelled_timer_does_not_fire(void **state)
{
    (void)state;
    arm(0, 0, 100, true);
    arm(0, 1, 100, false);
    arm(0, 2, 100, false);
    assert_false(timerqueue_cancel(queues, 1, &timers[1]));
    assert_false(timerqueue_cancel(queues, 1, &timers[1]));
    assert_false(timerqueue_cancel(queues, 0, &timers[5]));
    arm(0, 6, 50, true);
    assert_true(timerqueue_cancel(queues, 0, &timers[6]));
    assert_int_equal(timerqueue_deadline(&queues[0]), 100);
    arm(0, 6, 50, true);
    assert_false(timerqueue_cancel(queues, 1, &timers[6])); /* not this pCPU's hardware */
    assert_false(timers[1].armed);
    timerqueue_run(&queues[0], 100);
    ASSERT_FIRED(0, 2);
    assert_false(timers[0].armed);
}

static void arm_for_the_past(struct axvm_timer *timer)
{
    note(timer);
    arm(0, (unsigned)(timer - timers), 1, true);
}

static void cancel_the_next(struct axvm_timer *timer)
{
    note(timer);
    timerqueue_cancel(queues, 0, timer); /* its own, too */
    timerqueue_cancel(queues, 0, timer + 1);
}

static void a_timer_that_arms_itself_for_the_past_fires_once_a_run(void **state)
{
    (void)state;
    timers[0].fire = arm_for_the_past;
    arm(0, 0, 10, true);
    assert_int_equal(timerqueue_run(&queues[0], 100), 1);
    ASSERT_FIRED(0);
    assert_int_equal(timerqueue_run(&queues[0], 100), 1);
    ASSERT_FIRED(0, 0);
}

static void a_firing_timer_may_cancel_others_that_are_due(void **state)
{
    (void)state;
    timers[0].fire = cancel_the_next;
    arm(0, 0, 10, true);
    arm(0, 1, 20, false);
    arm(0, 2, 30, false);
    assert_int_equal(timerqueue_run(&queues[0], 100), UINT64_MAX);
    ASSERT_FIRED(0, 2);
}

static _Atomic int phase;

static void fire_slowly(struct axvm_timer *timer)
{
    atomic_store(&phase, 1);
    for (unsigned i = 0; i < 20000000 && atomic_load(&phase) == 1; i++) {
    }
    note(timer);
}

static void *run_first_queue(void *unused)
{
    timerqueue_run(&queues[0], 100);
    return unused;
}

static void cancelling_waits_while_the_timer_fires_elsewhere(void **state)
{
    pthread_t thread;

    (void)state;
    atomic_store(&phase, 0);
    timers[0].fire = fire_slowly;
    arm(0, 0, 10, true);
    assert_int_equal(pthread_create(&thread, NULL, run_first_queue, NULL), 0);
    while (atomic_load(&phase) == 0) {
    }
    timerqueue_cancel(queues, 1, &timers[0]);
    ASSERT_FIRED(0);
    atomic_store(&phase, 2);
    pthread_join(thread, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(due_timers_fire_in_order_of_their_deadlines, setup),
        cmocka_unit_test_setup(arming_again_moves_a_timer_also_from_another_pcpu, setup),
        cmocka_unit_test_setup(a_cancelled_timer_does_not_fire, setup),
        cmocka_unit_test_setup(a_timer_that_arms_itself_for_the_past_fires_once_a_run, setup),
        cmocka_unit_test_setup(a_firing_timer_may_cancel_others_that_are_due, setup),
        cmocka_unit_test_setup(cancelling_waits_while_the_timer_fires_elsewhere, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
