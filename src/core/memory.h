/* SPDX-License-Identifier: Apache-2.0 */
/* A VM's memory: what its configuration asks for, and what is added later. */
#ifndef AXVM_CORE_MEMORY_H
#define AXVM_CORE_MEMORY_H

#include "core/vm.h"

/* Map all memory regions of the configuration. An error leaves some mapped. */
int memory_map_config(struct axvm *vm);

/* Unmap everything and give it back to the host, the second-stage table included. Nothing to do if there is none. */
void memory_release(struct axvm *vm);

#endif
