/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's real-time clock, which is only read. */
#ifndef METAL_RTC_H
#define METAL_RTC_H

#include "ranges.h"

struct rtc {
    uint64_t (*read)(const struct rtc *rtc); /* nanoseconds since 1970; NULL: there is no clock */
    struct range regs;
};

uint64_t rtc_pl031_read(const struct rtc *rtc);    /* Arm DDI 0224 */
uint64_t rtc_goldfish_read(const struct rtc *rtc); /* "Goldfish Virtual Hardware", VII. Goldfish real-time clock */

#endif
