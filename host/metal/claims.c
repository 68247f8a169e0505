/* SPDX-License-Identifier: Apache-2.0 */
#include "claims.h"

#include "lib/log.h"

/* Lists that are full lose pieces: here of what is unclaimed, so nothing is given twice. */
static bool take_aside(struct claims *claims, uint64_t base, uint64_t end)
{
    bool unclaimed;

    spin_lock(&claims->lock);
    unclaimed = ranges_hold(&claims->unclaimed, base, end);
    if (unclaimed) {
        ranges_remove(&claims->unclaimed, base, end);
    }
    spin_unlock(&claims->lock);
    return unclaimed;
}

int claims_take(struct claims *claims, uint64_t base, uint64_t size)
{
    uint64_t end = base + size;
    int error;

    if (((base | size) & (AXVM_PAGE_SIZE - 1)) != 0 || end <= base) {
        return AXVM_EINVAL;
    }
    if (ranges_touch(&claims->used, base, end)) {
        return AXVM_EBUSY;
    }
    if (ranges_hold(&claims->aside, base, end)) {
        return take_aside(claims, base, end) ? AXVM_OK : AXVM_EBUSY;
    }
    error = frames_claim(claims->frames, base, size);
    return error == AXVM_ENOENT ? AXVM_EINVAL : error;
}

void claims_release(struct claims *claims, uint64_t base, uint64_t size)
{
    if (!ranges_hold(&claims->aside, base, base + size)) {
        frames_release(claims->frames, base, size);
        return;
    }
    spin_lock(&claims->lock);
    if (!ranges_add(&claims->unclaimed, base, base + size)) {
        log_warn("0x%llx..0x%llx can't be given again: memory is in too many pieces", (unsigned long long)base,
                 (unsigned long long)(base + size));
    }
    spin_unlock(&claims->lock);
}
