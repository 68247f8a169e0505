/* SPDX-License-Identifier: Apache-2.0 */
#include "rtc.h"

#define RTCDR 0U
#define TIME_LOW 0U /* reading it latches the high half */
#define TIME_HIGH 4U

static uint32_t get(const struct rtc *rtc, uint32_t reg)
{
    return *(const volatile uint32_t *)(uintptr_t)(rtc->regs.base + reg);
}

uint64_t rtc_pl031_read(const struct rtc *rtc)
{
    return (uint64_t)get(rtc, RTCDR) * UINT64_C(1000000000);
}

uint64_t rtc_goldfish_read(const struct rtc *rtc)
{
    uint32_t low = get(rtc, TIME_LOW);

    return (uint64_t)get(rtc, TIME_HIGH) << 32 | low;
}
