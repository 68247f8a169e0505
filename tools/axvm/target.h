/* SPDX-License-Identifier: Apache-2.0 */
/* The architectures that the command line knows: a row each. */
#ifndef AXVM_TOOL_TARGET_H
#define AXVM_TOOL_TARGET_H

#include <axvm/config.h>

#define TARGET_MACHINE_WORDS 4U

/* The hypervisor image for it is axvm-ARCH.bin, its symbols are in metal/ARCH/axvm.elf, both beside this program. */
struct target {
    const struct axvm_platform *platform;
    const char *qemu;
    const char *machine[TARGET_MACHINE_WORDS]; /* what hypervisor images are started on; of any size */
};

extern const struct target targets[];
extern const unsigned target_count;

/* NULL: there is none. */
const struct target *target_named(const char *arch);
const struct target *target_of_elf(uint16_t elf_machine);

/* For files that don't tell: the first row. */
const struct target *target_default(void);

#endif
