/* SPDX-License-Identifier: Apache-2.0 */
#include "irqchip/riscv_fdt.h"

#include "core/guest_fdt.h"
#include "core/vm.h"
#include <libfdt.h>
#include <stdio.h>
#include <string.h>

#define EXTERNAL_S 9U /* as a bit of sip */

int riscv_fdt_begin(const struct axvm_device *device, void *fdt, const char *name, const char *compatible)
{
    const fdt64_t reg[] = {cpu_to_fdt64(device->base), cpu_to_fdt64(device->size)};
    char node[48];
    int error;

    snprintf(node, sizeof(node), "%s@%llx", name, (unsigned long long)device->base);
    error = fdt_begin_node(fdt, node);
    error = error != 0 ? error : fdt_property(fdt, "compatible", compatible, (int)strlen(compatible) + 1);
    return error != 0 ? error : fdt_property(fdt, "reg", reg, sizeof(reg));
}

int riscv_fdt_external(const struct axvm *vm, void *fdt)
{
    fdt32_t cells[2 * AXVM_MAX_VCPUS];
    unsigned count = 0;

    for (uint32_t i = 0; i < vm->vcpu_count; i++) {
        cells[count++] = cpu_to_fdt32(GUEST_FDT_CPU_INTC0 + i);
        cells[count++] = cpu_to_fdt32(EXTERNAL_S);
    }
    return fdt_property(fdt, "interrupts-extended", cells, (int)(count * sizeof(cells[0])));
}
