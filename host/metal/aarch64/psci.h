/* SPDX-License-Identifier: Apache-2.0 */
/* Calls to the machine's firmware (PSCI, Arm DEN 0022), by SMC: EL2 has nobody above it that HVC would reach. */
#ifndef METAL_AARCH64_PSCI_H
#define METAL_AARCH64_PSCI_H

#include <stdint.h>

/* Start a CPU at `entry` with `argument` in x0. AXVM_EUNSUPPORTED, with the firmware's reason in the log. */
int psci_cpu_on(uint64_t cpu_id, uint64_t entry, uint64_t argument);

/* Comes back only if the firmware can't. */
void psci_system_off(void);

#endif
