/* SPDX-License-Identifier: Apache-2.0 */
#include "machine_scan.h"

static int settle(struct scan *scan)
{
    return machine_problem(scan->machine, AXVM_EUNSUPPORTED, "it is of riscv64");
}

const struct machine_kind machine_riscv64 = {
    .cpu_id_mask = UINT64_MAX,
    .no_cpu = "the device tree names no hart that has the hypervisor extension",
    .settle = settle,
};
