/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The counter is hal->ticks() divided down, plus an offset that RTCLR sets; it runs from the start, as a clock with a
 * battery does. A match is noticed by a timer of whichever pCPU set the alarm last.
 */
#include "device/pl031.h"

#include "core/device.h"
#include "core/guest_fdt.h"
#include "core/vm.h"
#include "device/bus.h"
#include "device/primecell.h"
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

/*
 * `lock` guards all but the timer. `arming` is taken around arming the timer, and before `lock`: hal->timer_arm() may
 * wait until the timer's fire() is over on another pCPU, and fire() takes `lock`.
 */
struct pl031 {
    struct axvm_device device;
    struct spinlock arming;
    struct spinlock lock;
    struct axvm_timer alarm;
    bool armed; /* a match is to come at `match_at` */
    uint64_t match_at; /* in ticks */
    uint32_t base;     /* what the counter starts with */
    uint64_t started;  /* in ticks */
    uint32_t offset;   /* counter = seconds since `started` + offset */
    uint32_t load, match;
    bool unmasked, raised, line;
};

static uint64_t seconds(const struct pl031 *rtc, uint64_t now)
{
    return (now - rtc->started) / hal->tick_hz;
}

static uint32_t counter(const struct pl031 *rtc, uint64_t now)
{
    return (uint32_t)seconds(rtc, now) + rtc->offset;
}

static void update(struct pl031 *rtc)
{
    bool line = rtc->raised && rtc->unmasked;

    if (line != rtc->line) {
        rtc->line = line;
        axvm_device_set_irq(&rtc->device, line);
    }
}

/* Raise the interrupt if the time has come. A timer that fires for nothing does no harm. */
static void look(struct pl031 *rtc)
{
    if (rtc->armed && hal->ticks() >= rtc->match_at) {
        rtc->armed = false;
        rtc->raised = true;
        update(rtc);
    }
}

static void alarm_fire(struct axvm_timer *timer)
{
    struct pl031 *rtc = (struct pl031 *)(void *)((char *)timer - offsetof(struct pl031, alarm));

    spin_lock(&rtc->lock);
    look(rtc);
    spin_unlock(&rtc->lock);
}

/* When the counter will have the match value next: now, if it has it. */
static void schedule(struct pl031 *rtc)
{
    uint64_t now = hal->ticks();
    uint32_t wait = rtc->match - counter(rtc, now);

    rtc->armed = true;
    rtc->match_at = wait == 0 ? now : rtc->started + (seconds(rtc, now) + wait) * hal->tick_hz;
    look(rtc);
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
        return rtc->unmasked ? RTC_INTERRUPT : 0;
    case RTCRIS:
        return rtc->raised ? RTC_INTERRUPT : 0;
    case RTCMIS:
        return rtc->raised && rtc->unmasked ? RTC_INTERRUPT : 0;
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
        rtc->unmasked = (value & RTC_INTERRUPT) != 0;
        break;
    case RTCICR:
        rtc->raised = rtc->raised && (value & RTC_INTERRUPT) == 0;
        break;
    default:
        return;
    }
    update(rtc);
}

static void arm(struct pl031 *rtc)
{
    uint64_t match_at;
    bool armed;

    spin_lock(&rtc->lock);
    armed = rtc->armed;
    match_at = rtc->match_at;
    spin_unlock(&rtc->lock);
    if (armed) {
        rtc->alarm.deadline = match_at;
        hal->timer_arm(&rtc->alarm);
    }
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
        spin_lock(&rtc->lock);
        *value = bus_narrow(reg_read(rtc, offset / 4), size);
        spin_unlock(&rtc->lock);
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
    spin_lock(&rtc->arming);
    spin_lock(&rtc->lock);
    reg_write(rtc, offset / 4, (uint32_t)value);
    spin_unlock(&rtc->lock);
    arm(rtc);
    spin_unlock(&rtc->arming);
    return AXVM_OK;
}

static void pl031_removed(struct axvm_device *device)
{
    hal->timer_cancel(&((struct pl031 *)device)->alarm);
}

static void pl031_reset(struct axvm_device *device)
{
    struct pl031 *rtc = (struct pl031 *)device;

    pl031_removed(device);
    spin_lock(&rtc->lock);
    rtc->armed = false;
    rtc->offset = rtc->base;
    rtc->load = 0;
    rtc->match = 0;
    rtc->unmasked = false;
    rtc->raised = false;
    update(rtc);
    spin_unlock(&rtc->lock);
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
    rtc->alarm.fire = alarm_fire;
    rtc->started = hal->ticks();
    rtc->base = config->cfg_count > 0 ? (uint32_t)config->cfg[0] : 0;
    pl031_reset(&rtc->device);
    return axvm_add_device(vm, &rtc->device);
}
