/* SPDX-License-Identifier: Apache-2.0 */
/* The system's counter, and each hart's supervisor timer: stimecmp (Sstc) where it is there, else SBI's. */
#ifndef METAL_RISCV64_TIMER_H
#define METAL_RISCV64_TIMER_H

#include <stdint.h>

uint64_t timer_frequency(void); /* 0: only the device tree knows */
uint64_t timer_now(void);       /* CSR time */

/* The calling pCPU's, which then isn't set. */
void timer_cpu_init(void);

/* Have the calling pCPU interrupted at `deadline`, or at times before; UINT64_MAX: only these. */
void timer_set(uint64_t deadline);

#endif
