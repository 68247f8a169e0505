/* SPDX-License-Identifier: Apache-2.0 */
#include "power.h"

#include "host_cpu.h"
#include "lib/log.h"

#define PSCI_CPU_ON UINT64_C(0xc4000003)
#define PSCI_SYSTEM_OFF UINT64_C(0x84000008)

bool power_can_start(const struct machine *machine)
{
    return machine->aarch64.psci_smc;
}

int power_cpu_on(uint64_t cpu_id, uint64_t entry, uint64_t argument)
{
    int32_t result = (int32_t)cpu_smc(PSCI_CPU_ON, cpu_id, entry, argument);

    if (result != 0) {
        return fail(AXVM_EUNSUPPORTED, "psci: CPU_ON of CPU 0x%llx fails with %d", (unsigned long long)cpu_id, result);
    }
    return AXVM_OK;
}

void power_off(void)
{
    cpu_smc(PSCI_SYSTEM_OFF, 0, 0, 0);
}
