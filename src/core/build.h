/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What makes up a VM: making it, loading it, taking it apart. One caller at a time (axvm.busy, or the last reference).
 */
#ifndef AXVM_CORE_BUILD_H
#define AXVM_CORE_BUILD_H

#include "core/vm.h"

/* A VM that is `arch->vm_size` large, in its own arena, with one reference; NULL: no memory. */
struct axvm *build_alloc(void);

/* Give it all back to the host. */
void build_free(struct axvm *vm);

/* Complete, validate and copy the configuration. Errors: as axvm_create(). */
int build_configure(struct axvm *vm, const struct axvm_config *config);

/* Everything between loading and loaded. On an error guest memory has gone back to the host. */
int build_all(struct axvm *vm);

/*
 * As after build_all(): RAM zeroed and loaded, devices and vCPUs as after power-on. All vCPUs are claimed, none
 * resident. vm->reset is zero at first. AXVM_MORE: it isn't finished, call again.
 */
int build_reset(struct axvm *vm);

#endif
