/* SPDX-License-Identifier: Apache-2.0 */
#include "host.h"

const struct axvm_arch *const host_arch = &axvm_arch_riscv64;
const struct machine_kind *const host_machine = &machine_riscv64;
