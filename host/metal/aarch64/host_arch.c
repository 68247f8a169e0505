/* SPDX-License-Identifier: Apache-2.0 */
#include "host.h"

const struct axvm_arch *const host_arch = &axvm_arch_aarch64;
const struct machine_kind *const host_machine = &machine_aarch64;
bool (*const host_guest_file)(hpa_t *page, uint32_t *ids) = NULL;
