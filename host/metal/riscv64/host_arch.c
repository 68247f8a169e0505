/* SPDX-License-Identifier: Apache-2.0 */
#include "host.h"
#include "percpu.h"

static bool guest_file(hpa_t *page, uint32_t *ids)
{
    *page = this_cpu()->intc.guest_file;
    *ids = this_cpu()->intc.guest_ids;
    return page->v != 0;
}

const struct axvm_arch *const host_arch = &axvm_arch_riscv64;
const struct machine_kind *const host_machine = &machine_riscv64;
bool (*const host_guest_file)(hpa_t *page, uint32_t *ids) = guest_file;
