/* SPDX-License-Identifier: Apache-2.0 */
#include "device/primecell.h"

#include "core/device.h"
#include <stdio.h>
#include <string.h>

uint32_t primecell_id(const uint8_t peripheral[4], uint64_t offset)
{
    static const uint8_t cell[4] = {0x0d, 0xf0, 0x05, 0xb1};
    unsigned n = (unsigned)(offset - PRIMECELL_IDS) / 4;

    return n < 4 ? peripheral[n] : cell[n % 4];
}

/* "arm,<name>", NUL, "arm,primecell" */
int primecell_fdt_begin(const struct axvm_device *device, void *fdt, const char *name)
{
    static const char primecell[] = "arm,primecell";
    char text[64];
    int length = snprintf(text, sizeof(text) - sizeof(primecell), "arm,%s", name) + 1;

    memcpy(text + length, primecell, sizeof(primecell));
    return device_fdt_begin(device, fdt, name, text, length + (int)sizeof(primecell));
}
