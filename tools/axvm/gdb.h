/* SPDX-License-Identifier: Apache-2.0 */
/* Debugging what `axvm run` starts, with gdb. */
#ifndef AXVM_TOOL_GDB_H
#define AXVM_TOOL_GDB_H

#include "target.h"

/* Print what to type to debug the hypervisor image on QEMU's machine with gdb. false: it says why it can't. */
bool gdb_explain(const struct target *target, const struct axvm_machine *machine, const char *image, unsigned port);

#endif
