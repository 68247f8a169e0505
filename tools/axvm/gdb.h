/* SPDX-License-Identifier: Apache-2.0 */
/* Debugging what `axvm run` starts, with gdb. */
#ifndef AXVM_TOOL_GDB_H
#define AXVM_TOOL_GDB_H

#include <axvm/config.h>

/* The machine that hypervisor images are started on; its size is the user's choice. */
#define QEMU_MACHINE "-M", "virt,virtualization=on,gic-version=3", "-cpu", "cortex-a72"

/* Print what to type to debug the hypervisor image on that machine with gdb. false: it says why it can't. */
bool gdb_explain(const struct axvm_machine *machine, const char *image, unsigned port);

#endif
