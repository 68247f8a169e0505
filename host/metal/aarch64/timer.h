/* SPDX-License-Identifier: Apache-2.0 */
/* The generic timer (Arm ARM D11): the system's counter, and each pCPU's EL2 physical timer. */
#ifndef METAL_AARCH64_TIMER_H
#define METAL_AARCH64_TIMER_H

#include <stdint.h>

uint64_t timer_frequency(void); /* CNTFRQ_EL0, as firmware left it */
uint64_t timer_now(void);       /* CNTPCT_EL0 */

/* The calling pCPU's, which then isn't set. */
void timer_cpu_init(void);

/* Have the calling pCPU interrupted at `deadline`; UINT64_MAX: no more. */
void timer_set(uint64_t deadline);

#endif
