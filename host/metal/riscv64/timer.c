/* SPDX-License-Identifier: Apache-2.0 */
#include "timer.h"

#include "host_cpu.h"
#include "percpu.h"

uint64_t timer_frequency(void)
{
    return 0;
}

uint64_t timer_now(void)
{
    return csr_read(CSR_TIME);
}

bool timer_has_sstc(void)
{
    return csr_exists(CSR_STIMECMP);
}

void timer_set(uint64_t deadline)
{
    if (this_cpu()->intc.sstc) {
        csr_write(CSR_STIMECMP, deadline);
    } else {
        sbi_call(SBI_TIME, SBI_TIME_SET, deadline, 0, 0);
    }
}
