/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's firmware (SBI HSM and SRST) starts harts and ends all. */
#ifndef METAL_RISCV64_POWER_H
#define METAL_RISCV64_POWER_H

#include "machine.h"

/* Whether firmware starts harts. */
bool power_can_start(const struct machine *machine);

/* Start a hart at `entry`, with `argument` in a1. AXVM_EUNSUPPORTED, with the firmware's reason in the log. */
int power_cpu_on(uint64_t cpu_id, uint64_t entry, uint64_t argument);

/* Switch the machine off. Comes back only if the firmware can't. */
void power_off(void);

#endif
