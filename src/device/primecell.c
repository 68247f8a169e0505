/* SPDX-License-Identifier: Apache-2.0 */
#include "device/primecell.h"

#include "core/vm.h"
#include <libfdt.h>
#include <stdio.h>
#include <string.h>

uint32_t primecell_id(const uint8_t peripheral[4], uint64_t offset)
{
    static const uint8_t cell[4] = {0x0d, 0xf0, 0x05, 0xb1};
    unsigned n = (unsigned)(offset - PRIMECELL_IDS) / 4;

    return n < 4 ? peripheral[n] : cell[n % 4];
}

/* "arm,<name>", NUL, "arm,primecell" */
static int compatible(void *fdt, const char *name)
{
    static const char primecell[] = "arm,primecell";
    char text[64];
    int length = snprintf(text, sizeof(text) - sizeof(primecell), "arm,%s", name) + 1;

    memcpy(text + length, primecell, sizeof(primecell));
    return fdt_property(fdt, "compatible", text, length + (int)sizeof(primecell));
}

int primecell_fdt_begin(const struct axvm_device *device, void *fdt, const char *name)
{
    const fdt64_t reg[] = {cpu_to_fdt64(device->base), cpu_to_fdt64(device->size)};
    char node[48];
    int error;

    snprintf(node, sizeof(node), "%s@%llx", name, (unsigned long long)device->base);
    error = fdt_begin_node(fdt, node);
    error = error != 0 ? error : compatible(fdt, name);
    error = error != 0 ? error : fdt_property(fdt, "reg", reg, sizeof(reg));
    return error != 0 || device->irq == 0 ? error : arch->fdt_irq(device->vm, fdt, device->irq);
}
