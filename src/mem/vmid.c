/* SPDX-License-Identifier: Apache-2.0 */
#include "mem/vmid.h"

#include "lib/log.h"
#include "lib/spinlock.h"

#define VMID_COUNT 256U

static struct {
    struct spinlock lock;
    uint64_t used[VMID_COUNT / 64];
} vmids = {.used = {1}};

static uint64_t bit_of(uint32_t vmid)
{
    return UINT64_C(1) << vmid % 64;
}

int vmid_alloc(unsigned bits, uint32_t *vmid)
{
    uint32_t count = bits < 8 ? 1U << bits : VMID_COUNT, id = 1;

    spin_lock(&vmids.lock);
    while (id < count && (vmids.used[id / 64] & bit_of(id)) != 0) {
        id++;
    }
    if (id < count) {
        vmids.used[id / 64] |= bit_of(id);
        *vmid = id;
    }
    spin_unlock(&vmids.lock);
    return id < count ? AXVM_OK : fail(AXVM_ENOMEM, "all %u VMIDs are in use", count - 1);
}

void vmid_free(uint32_t vmid)
{
    if (vmid != 0) {
        spin_lock(&vmids.lock);
        vmids.used[vmid / 64] &= ~bit_of(vmid);
        spin_unlock(&vmids.lock);
    }
}
