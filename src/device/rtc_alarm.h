/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The alarm of a real-time clock: a moment of hal->ticks(), noticed by a timer of whichever pCPU set it last, that
 * raises the clock's interrupt, which may be masked.
 *
 * `lock` guards the clock's registers too, and all but the timer. `arming` is taken around arming the timer, and before
 * `lock`: hal->timer_arm() may wait until the timer's fire() is over on another pCPU, and fire() takes `lock`.
 */
#ifndef AXVM_DEVICE_RTC_ALARM_H
#define AXVM_DEVICE_RTC_ALARM_H

#include "lib/spinlock.h"
#include <axvm/config.h>
#include <axvm/device.h>
#include <axvm/hal.h>

#define NS_PER_SECOND UINT64_C(1000000000)

/* The time that a clock begins with, in nanoseconds: its configuration's, in seconds, or else the host's. */
uint64_t rtc_start_time(const struct axvm_emu_config *config);

struct rtc_alarm {
    struct axvm_device *device; /* whose interrupt it is */
    struct spinlock arming;
    struct spinlock lock;
    struct axvm_timer timer;
    bool armed; /* the alarm is to come at `due` */
    uint64_t due;
    bool raised, unmasked, line;
};

void rtc_alarm_init(struct rtc_alarm *alarm, struct axvm_device *device);

/* Around a guest's write to the clock's registers. */
void rtc_alarm_begin(struct rtc_alarm *alarm);
void rtc_alarm_end(struct rtc_alarm *alarm);

/* In between: the alarm comes at `due`, at once if that is over. */
void rtc_alarm_set(struct rtc_alarm *alarm, uint64_t due);

/* The interrupt line as `raised` and `unmasked` are; `lock` is held. */
void rtc_alarm_update(struct rtc_alarm *alarm);

/* No alarm any more, nothing raised, masked; no vCPU runs. rtc_alarm_cancel(): just the timer. */
void rtc_alarm_reset(struct rtc_alarm *alarm);
void rtc_alarm_cancel(struct rtc_alarm *alarm);

#endif
