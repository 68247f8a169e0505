/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The counter is hal->ticks() divided down, plus an offset that RTCLR sets; it runs from the start, as a clock with a
 * battery does.
 */
#include "device/pl031.h"

#include "core/device.h"
#include "core/guest_fdt.h"
#include "core/vm.h"
#include "device/bus.h"
#include "device/primecell.h"
#include "device/rtc_alarm.h"
#include "lib/host.h"
#include <libfdt.h>

/* Registers (DDI 0224 3.2), each 32 bits apart. */
enum {
    RTCDR = 0x00 / 4,
    RTCMR = 0x04 / 4,
    RTCLR = 0x08 / 4,
    RTCCR = 0x0c / 4,
    RTCIMSC = 0x10 / 4,
    RTCRIS = 0x14 / 4,
    RTCMIS = 0x18 / 4,
    RTCICR = 0x1c / 4,
};

#define RTCCR_START 1U
#define RTC_INTERRUPT 1U

struct pl031 {
    struct axvm_device device;
    struct rtc_alarm alarm; /* a match */
    uint32_t base;          /* what the counter starts with */
    uint64_t started;       /* in ticks */
    uint32_t offset;        /* counter = seconds since `started` + offset */
    uint32_t load, match;
};

static uint64_t seconds(const struct pl031 *rtc, uint64_t now)
{
    return (now - rtc->started) / hal->tick_hz;
}

static uint32_t counter(const struct pl031 *rtc, uint64_t now)
{
    return (uint32_t)seconds(rtc, now) + rtc->offset;
}

/* When the counter will have the match value next: now, if it has it. */
static void schedule(struct pl031 *rtc)
{
    uint64_t now = hal->ticks();
    uint32_t wait = rtc->match - counter(rtc, now);

    rtc_alarm_set(&rtc->alarm, wait == 0 ? now : rtc->started + (seconds(rtc, now) + wait) * hal->tick_hz);
}

static uint32_t reg_read(struct pl031 *rtc, uint64_t reg)
{
    switch (reg) {
    case RTCDR:
        return counter(rtc, hal->ticks());
    case RTCMR:
        return rtc->match;
    case RTCLR:
        return rtc->load;
    case RTCCR:
        return RTCCR_START;
    case RTCIMSC:
        return rtc->alarm.unmasked ? RTC_INTERRUPT : 0;
    case RTCRIS:
        return rtc->alarm.raised ? RTC_INTERRUPT : 0;
    case RTCMIS:
        return rtc->alarm.raised && rtc->alarm.unmasked ? RTC_INTERRUPT : 0;
    default:
        return 0;
    }
}

static void reg_write(struct pl031 *rtc, uint64_t reg, uint32_t value)
{
    switch (reg) {
    case RTCMR:
        rtc->match = value;
        schedule(rtc);
        break;
    case RTCLR:
        rtc->load = value;
        rtc->offset = value - (uint32_t)seconds(rtc, hal->ticks());
        schedule(rtc);
        break;
    case RTCIMSC:
        rtc->alarm.unmasked = (value & RTC_INTERRUPT) != 0;
        break;
    case RTCICR:
        rtc->alarm.raised = rtc->alarm.raised && (value & RTC_INTERRUPT) == 0;
        break;
    default:
        return;
    }
    rtc_alarm_update(&rtc->alarm);
}

/* ---- The device -------------------------------------------------------------------------------------------------- */

static int pl031_read(struct axvm_device *device, struct axvm_vcpu *vcpu, uint64_t offset, unsigned size,
                      uint64_t *value)
{
    static const uint8_t peripheral_id[4] = {0x31, 0x10, 0x04, 0x00};
    struct pl031 *rtc = (struct pl031 *)device;

    (void)vcpu;
    if (size > 4 || offset % 4 != 0) {
        *value = 0;
    } else if (offset >= PRIMECELL_IDS) {
        *value = primecell_id(peripheral_id, offset);
    } else {
        spin_lock(&rtc->alarm.lock);
        *value = bus_narrow(reg_read(rtc, offset / 4), size);
        spin_unlock(&rtc->alarm.lock);
    }
    return AXVM_OK;
}

/* The registers have 32 bits: a narrower write makes no sense, and is ignored. */
static int pl031_write(struct axvm_device *device, struct axvm_vcpu *vcpu, uint64_t offset, unsigned size,
                       uint64_t value)
{
    struct pl031 *rtc = (struct pl031 *)device;

    (void)vcpu;
    if (size != 4 || offset % 4 != 0) {
        return AXVM_OK;
    }
    rtc_alarm_begin(&rtc->alarm);
    reg_write(rtc, offset / 4, (uint32_t)value);
    rtc_alarm_end(&rtc->alarm);
    return AXVM_OK;
}

static void pl031_removed(struct axvm_device *device)
{
    rtc_alarm_cancel(&((struct pl031 *)device)->alarm);
}

static void pl031_reset(struct axvm_device *device)
{
    struct pl031 *rtc = (struct pl031 *)device;

    rtc_alarm_reset(&rtc->alarm);
    rtc->offset = rtc->base;
    rtc->load = 0;
    rtc->match = 0;
}

/* Bindings arm,pl031.yaml and primecell.yaml */
static int pl031_fdt_node(struct axvm_device *device, void *fdt)
{
    int error = primecell_fdt_begin(device, fdt, "pl031");

    error = error != 0 ? error : fdt_property_u32(fdt, "clocks", GUEST_FDT_CLOCK);
    error = error != 0 ? error : fdt_property_string(fdt, "clock-names", "apb_pclk");
    return error != 0 ? error : fdt_end_node(fdt);
}

static const struct axvm_device_ops ops = {
    .name = "PL031",
    .read = pl031_read,
    .write = pl031_write,
    .reset = pl031_reset,
    .removed = pl031_removed,
    .fdt_node = pl031_fdt_node,
};

int pl031_create(struct axvm *vm, const struct axvm_emu_config *config)
{
    struct pl031 *rtc = device_new(vm, config, &ops, sizeof(*rtc), PRIMECELL_SIZE);

    if (rtc == NULL) {
        return AXVM_ENOMEM;
    }
    rtc_alarm_init(&rtc->alarm, &rtc->device);
    rtc->started = hal->ticks();
    rtc->base = (uint32_t)(rtc_start_time(config) / NS_PER_SECOND);
    pl031_reset(&rtc->device);
    return axvm_add_device(vm, &rtc->device);
}
