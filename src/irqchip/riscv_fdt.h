/* SPDX-License-Identifier: Apache-2.0 */
/* What the nodes of RISC-V interrupt controllers in a guest's device tree have in common. 0 or a libfdt error. */
#ifndef AXVM_IRQCHIP_RISCV_FDT_H
#define AXVM_IRQCHIP_RISCV_FDT_H

#include <axvm/device.h>

/* Begin the node: name, compatible, reg. */
int riscv_fdt_begin(const struct axvm_device *device, void *fdt, const char *name, const char *compatible);

/* Its outputs: the external interrupt of S mode of every hart (interrupts-extended). */
int riscv_fdt_external(const struct axvm *vm, void *fdt);

#endif
