/* SPDX-License-Identifier: Apache-2.0 */
/* The system's counter, and each hart's supervisor timer: stimecmp (Sstc) where it is there, else SBI's. */
#ifndef METAL_RISCV64_TIMER_H
#define METAL_RISCV64_TIMER_H

#include <stdbool.h>
#include <stdint.h>

uint64_t timer_frequency(void); /* 0: only the device tree knows */
uint64_t timer_now(void);       /* CSR time */

/* Whether the calling hart has stimecmp, and firmware lets us have it. */
bool timer_has_sstc(void);

/* Have the calling pCPU interrupted at `deadline`; UINT64_MAX: no more. */
void timer_set(uint64_t deadline);

#endif
