/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clock is hal->ticks() in nanoseconds, plus an offset that writing the time sets; it runs from the start, as one
 * with a battery does.
 *
 * Of the time and of the alarm, guests write the high half before the low half: only the write of the low half
 * looks at whether the alarm has come. An alarm is for a time of the clock: setting the clock moves it. (QEMU leaves it
 * when it was.)
 */
#include "device/goldfish_rtc.h"

#include "core/device.h"
#include "device/rtc_alarm.h"
#include "lib/host.h"
#include <libfdt.h>

#define RTC_SIZE UINT64_C(0x1000)

/* Registers, each 32 bits. */
enum {
    TIME_LOW = 0x00,  /* reading it latches the high half */
    TIME_HIGH = 0x04,
    ALARM_LOW = 0x08, /* writing it sets the alarm */
    ALARM_HIGH = 0x0c,
    IRQ_ENABLED = 0x10,
    CLEAR_ALARM = 0x14,
    ALARM_STATUS = 0x18, /* whether an alarm is to come */
    CLEAR_INTERRUPT = 0x1c,
};

struct goldfish_rtc {
    struct axvm_device device;
    struct rtc_alarm alarm;
    uint64_t base;    /* the time to begin with */
    uint64_t started; /* in ticks */
    uint64_t offset;  /* time = nanoseconds since `started` + offset */
    uint64_t alarm_time;
    uint32_t time_high;
};

static uint64_t time_at(const struct goldfish_rtc *rtc, uint64_t now)
{
    uint64_t ticks = now - rtc->started;

    return rtc->offset + ticks / hal->tick_hz * NS_PER_SECOND + ticks % hal->tick_hz * NS_PER_SECOND / hal->tick_hz;
}

/* `wait` nanoseconds from now, rounded up, in ticks. What is beyond the counter's range never comes. */
static uint64_t ticks_after(uint64_t now, uint64_t wait)
{
    uint64_t seconds = wait / NS_PER_SECOND;
    uint64_t rest = (wait % NS_PER_SECOND * hal->tick_hz + (NS_PER_SECOND - 1)) / NS_PER_SECOND;

    return seconds < (UINT64_MAX - now) / hal->tick_hz ? now + seconds * hal->tick_hz + rest : UINT64_MAX;
}

static void schedule(struct goldfish_rtc *rtc)
{
    uint64_t now = hal->ticks();
    uint64_t time = time_at(rtc, now);

    rtc_alarm_set(&rtc->alarm, rtc->alarm_time <= time ? now : ticks_after(now, rtc->alarm_time - time));
}

static uint64_t with_low(uint64_t value, uint32_t low)
{
    return (value & ~(uint64_t)UINT32_MAX) | low;
}

static uint64_t with_high(uint64_t value, uint32_t high)
{
    return (uint64_t)high << 32 | (uint32_t)value;
}

static uint32_t time_read(struct goldfish_rtc *rtc)
{
    uint64_t time = time_at(rtc, hal->ticks());

    rtc->time_high = (uint32_t)(time >> 32);
    return (uint32_t)time;
}

static uint32_t reg_read(struct goldfish_rtc *rtc, uint64_t offset)
{
    switch (offset) {
    case TIME_LOW:
        return time_read(rtc);
    case TIME_HIGH:
        return rtc->time_high;
    case ALARM_LOW:
        return (uint32_t)rtc->alarm_time;
    case ALARM_HIGH:
        return (uint32_t)(rtc->alarm_time >> 32);
    case IRQ_ENABLED:
        return rtc->alarm.unmasked ? 1 : 0;
    case ALARM_STATUS:
        return rtc->alarm.armed ? 1 : 0;
    default:
        return 0;
    }
}

static void time_low_write(struct goldfish_rtc *rtc, uint32_t value)
{
    uint64_t time = time_at(rtc, hal->ticks());

    rtc->offset += with_low(time, value) - time;
    if (rtc->alarm.armed) {
        schedule(rtc);
    }
}

static void time_high_write(struct goldfish_rtc *rtc, uint32_t value)
{
    uint64_t time = time_at(rtc, hal->ticks());

    rtc->offset += with_high(time, value) - time;
}

static void reg_write(struct goldfish_rtc *rtc, uint64_t offset, uint32_t value)
{
    switch (offset) {
    case TIME_LOW:
        time_low_write(rtc, value);
        break;
    case TIME_HIGH:
        time_high_write(rtc, value);
        break;
    case ALARM_LOW:
        rtc->alarm_time = with_low(rtc->alarm_time, value);
        schedule(rtc);
        break;
    case ALARM_HIGH:
        rtc->alarm_time = with_high(rtc->alarm_time, value);
        break;
    case IRQ_ENABLED:
        rtc->alarm.unmasked = (value & 1) != 0;
        break;
    case CLEAR_ALARM:
        rtc->alarm.armed = false;
        break;
    case CLEAR_INTERRUPT:
        rtc->alarm.raised = false;
        break;
    default:
        break;
    }
    rtc_alarm_update(&rtc->alarm);
}

/* ---- The device -------------------------------------------------------------------------------------------------- */

static int goldfish_rtc_read(struct axvm_device *device, struct axvm_vcpu *vcpu, uint64_t offset, unsigned size,
                             uint64_t *value)
{
    struct goldfish_rtc *rtc = (struct goldfish_rtc *)device;

    (void)vcpu;
    if (size != 4 || offset % 4 != 0) {
        return AXVM_EINVAL;
    }
    spin_lock(&rtc->alarm.lock);
    *value = reg_read(rtc, offset);
    spin_unlock(&rtc->alarm.lock);
    return AXVM_OK;
}

static int goldfish_rtc_write(struct axvm_device *device, struct axvm_vcpu *vcpu, uint64_t offset, unsigned size,
                              uint64_t value)
{
    struct goldfish_rtc *rtc = (struct goldfish_rtc *)device;

    (void)vcpu;
    if (size != 4 || offset % 4 != 0) {
        return AXVM_EINVAL;
    }
    rtc_alarm_begin(&rtc->alarm);
    reg_write(rtc, offset, (uint32_t)value);
    rtc_alarm_end(&rtc->alarm);
    return AXVM_OK;
}

static void goldfish_rtc_removed(struct axvm_device *device)
{
    rtc_alarm_cancel(&((struct goldfish_rtc *)device)->alarm);
}

static void goldfish_rtc_reset(struct axvm_device *device)
{
    struct goldfish_rtc *rtc = (struct goldfish_rtc *)device;

    rtc_alarm_reset(&rtc->alarm);
    rtc->offset = rtc->base;
    rtc->alarm_time = 0;
    rtc->time_high = 0;
}

/* Binding google,goldfish-rtc.yaml */
static int goldfish_rtc_fdt_node(struct axvm_device *device, void *fdt)
{
    int error = device_fdt_begin(device, fdt, "rtc", "google,goldfish-rtc", sizeof("google,goldfish-rtc"));

    return error != 0 ? error : fdt_end_node(fdt);
}

static const struct axvm_device_ops ops = {
    .name = "Goldfish RTC",
    .read = goldfish_rtc_read,
    .write = goldfish_rtc_write,
    .reset = goldfish_rtc_reset,
    .removed = goldfish_rtc_removed,
    .fdt_node = goldfish_rtc_fdt_node,
};

int goldfish_rtc_create(struct axvm *vm, const struct axvm_emu_config *config)
{
    struct goldfish_rtc *rtc = device_new(vm, config, &ops, sizeof(*rtc), RTC_SIZE);

    if (rtc == NULL) {
        return AXVM_ENOMEM;
    }
    rtc_alarm_init(&rtc->alarm, &rtc->device);
    rtc->started = hal->ticks();
    rtc->base = rtc_start_time(config);
    goldfish_rtc_reset(&rtc->device);
    return axvm_add_device(vm, &rtc->device);
}
