/* SPDX-License-Identifier: Apache-2.0 */
/* All VMs of the library, sorted by id, under one lock. A VM in it has its creator's reference. */
#ifndef AXVM_CORE_REGISTRY_H
#define AXVM_CORE_REGISTRY_H

#include <axvm/axvm.h>

/*
 * Add a VM under the id that its configuration gives, or else the lowest free one from 1. AXVM_EEXIST: the id is taken.
 */
int registry_add(struct axvm *vm);
void registry_remove(struct axvm *vm);
bool registry_is_empty(void);

#endif
