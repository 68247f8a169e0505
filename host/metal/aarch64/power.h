/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's firmware (PSCI, Arm DEN 0022), called by SMC: EL2 has nobody above it that HVC would reach. */
#ifndef METAL_AARCH64_POWER_H
#define METAL_AARCH64_POWER_H

#include "machine.h"

/* Whether firmware starts CPUs. */
bool power_can_start(const struct machine *machine);

/* Start a CPU at `entry` with `argument` in x0. AXVM_EUNSUPPORTED, with the firmware's reason in the log. */
int power_cpu_on(uint64_t cpu_id, uint64_t entry, uint64_t argument);

/* Switch the machine off. Comes back only if the firmware can't. */
void power_off(void);

#endif
