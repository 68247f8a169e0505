/* SPDX-License-Identifier: Apache-2.0 */
#include "core/registry.h"

#include "core/vm.h"
#include "lib/log.h"

static struct {
    struct spinlock lock;
    struct axvm *first;
} registry;

/* Where a VM with that id is or belongs. */
static struct axvm **place_of(uint32_t id)
{
    struct axvm **place = &registry.first;

    while (*place != NULL && (*place)->id < id) {
        place = &(*place)->next;
    }
    return place;
}

static uint32_t lowest_free_id(void)
{
    uint32_t id = 1;

    for (const struct axvm *vm = *place_of(1); vm != NULL && vm->id == id; vm = vm->next) {
        id++;
    }
    return id;
}

/* A validated configuration's id is no more than 16 bits wide. */
static bool add(struct axvm *vm)
{
    struct axvm **place;

    vm->id = vm->config.id.given ? (uint32_t)vm->config.id.value : lowest_free_id();
    place = place_of(vm->id);
    if (*place != NULL && (*place)->id == vm->id) {
        return false;
    }
    vm->config.id = (struct axvm_opt_u64){.value = vm->id, .given = true};
    vm->next = *place;
    *place = vm;
    return true;
}

int registry_add(struct axvm *vm)
{
    bool added;

    spin_lock(&registry.lock);
    added = add(vm);
    spin_unlock(&registry.lock);
    return added ? AXVM_OK : fail(AXVM_EEXIST, "VM \"%s\": there is a VM with id %u already", axvm_name(vm), vm->id);
}

void registry_remove(struct axvm *vm)
{
    spin_lock(&registry.lock);
    *place_of(vm->id) = vm->next;
    spin_unlock(&registry.lock);
}

bool registry_is_empty(void)
{
    bool empty;

    spin_lock(&registry.lock);
    empty = registry.first == NULL;
    spin_unlock(&registry.lock);
    return empty;
}

struct axvm *axvm_find(uint32_t id)
{
    struct axvm *vm;

    spin_lock(&registry.lock);
    vm = *place_of(id);
    vm = vm != NULL && vm->id == id ? axvm_get(vm) : NULL;
    spin_unlock(&registry.lock);
    return vm;
}
