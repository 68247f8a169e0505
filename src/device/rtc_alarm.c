/* SPDX-License-Identifier: Apache-2.0 */
#include "device/rtc_alarm.h"

#include "lib/host.h"
#include <stddef.h>

uint64_t rtc_start_time(const struct axvm_emu_config *config)
{
    return config->cfg_count > 0 ? config->cfg[0] * NS_PER_SECOND : hal->wall_clock();
}

void rtc_alarm_update(struct rtc_alarm *alarm)
{
    bool line = alarm->raised && alarm->unmasked;

    if (line != alarm->line) {
        alarm->line = line;
        axvm_device_set_irq(alarm->device, line);
    }
}

/* Raise the interrupt if the time has come. A timer that fires for nothing does no harm. */
static void look(struct rtc_alarm *alarm)
{
    if (alarm->armed && hal->ticks() >= alarm->due) {
        alarm->armed = false;
        alarm->raised = true;
        rtc_alarm_update(alarm);
    }
}

static void fire(struct axvm_timer *timer)
{
    struct rtc_alarm *alarm = (struct rtc_alarm *)(void *)((char *)timer - offsetof(struct rtc_alarm, timer));

    spin_lock(&alarm->lock);
    look(alarm);
    spin_unlock(&alarm->lock);
}

void rtc_alarm_init(struct rtc_alarm *alarm, struct axvm_device *device)
{
    alarm->device = device;
    alarm->timer.fire = fire;
}

void rtc_alarm_set(struct rtc_alarm *alarm, uint64_t due)
{
    alarm->armed = true;
    alarm->due = due;
    look(alarm);
}

void rtc_alarm_begin(struct rtc_alarm *alarm)
{
    spin_lock(&alarm->arming);
    spin_lock(&alarm->lock);
}

void rtc_alarm_end(struct rtc_alarm *alarm)
{
    bool armed = alarm->armed;
    uint64_t due = alarm->due;

    spin_unlock(&alarm->lock);
    if (armed) {
        alarm->timer.deadline = due;
        hal->timer_arm(&alarm->timer);
    }
    spin_unlock(&alarm->arming);
}

void rtc_alarm_cancel(struct rtc_alarm *alarm)
{
    hal->timer_cancel(&alarm->timer);
}

void rtc_alarm_reset(struct rtc_alarm *alarm)
{
    rtc_alarm_cancel(alarm);
    spin_lock(&alarm->lock);
    alarm->armed = false;
    alarm->raised = false;
    alarm->unmasked = false;
    rtc_alarm_update(alarm);
    spin_unlock(&alarm->lock);
}
