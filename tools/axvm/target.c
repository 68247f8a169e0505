/* SPDX-License-Identifier: Apache-2.0 */
#include "target.h"

#include <string.h>

const struct target targets[] = {
    {
        &axvm_platform_aarch64,
        "qemu-system-aarch64",
        {"-M", "virt,virtualization=on,gic-version=3", "-cpu", "cortex-a72"},
    },
    {
        &axvm_platform_riscv64,
        "qemu-system-riscv64",
        {"-M", "virt", "-cpu", "rv64"},
    },
};

const unsigned target_count = sizeof(targets) / sizeof(targets[0]);

const struct target *target_named(const char *arch)
{
    for (unsigned i = 0; i < target_count; i++) {
        if (!strcmp(targets[i].platform->arch, arch)) {
            return &targets[i];
        }
    }
    return NULL;
}

const struct target *target_of_elf(uint16_t elf_machine)
{
    for (unsigned i = 0; i < target_count; i++) {
        if (targets[i].platform->elf_machine == elf_machine) {
            return &targets[i];
        }
    }
    return NULL;
}

const struct target *target_default(void)
{
    return &targets[0];
}
