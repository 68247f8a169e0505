/* SPDX-License-Identifier: Apache-2.0 */
#include "power.h"

#include "lib/log.h"
#include "sbi.h"

bool power_can_start(const struct machine *machine)
{
    (void)machine;
    return sbi_has(SBI_HSM);
}

int power_cpu_on(uint64_t cpu_id, uint64_t entry, uint64_t argument)
{
    int64_t error = sbi_call(SBI_HSM, SBI_HSM_START, cpu_id, entry, argument).error;

    if (error != 0) {
        return fail(AXVM_EUNSUPPORTED, "sbi: hart_start of hart %llu fails: %s", (unsigned long long)cpu_id,
                    sbi_error_name(error));
    }
    return AXVM_OK;
}

void power_off(void)
{
    sbi_call(SBI_SRST, SBI_SRST_RESET, SBI_SRST_SHUTDOWN, 0, 0);
    sbi_call(SBI_LEGACY_SHUTDOWN, 0, 0, 0, 0); /* firmware older than SBI 0.3 */
}
