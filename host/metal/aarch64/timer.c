/* SPDX-License-Identifier: Apache-2.0 */
#include "timer.h"

#include "host_cpu.h"

#define CNT_CTL_ENABLE 1U

uint64_t timer_frequency(void)
{
    return sysreg_read(cntfrq_el0) & UINT32_MAX;
}

uint64_t timer_now(void)
{
    isb(); /* or the counter may be read early (Arm ARM D11.1.2) */
    return sysreg_read(cntpct_el0);
}

void timer_cpu_init(void)
{
    timer_set(UINT64_MAX);
}

void timer_set(uint64_t deadline)
{
    if (deadline == UINT64_MAX) {
        sysreg_write(cnthp_ctl_el2, 0);
    } else {
        sysreg_write(cnthp_cval_el2, deadline);
        sysreg_write(cnthp_ctl_el2, CNT_CTL_ENABLE);
    }
    isb(); /* the level of its interrupt follows before the caller looks again */
}
