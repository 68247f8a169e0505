/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which addresses of the machine a guest may have as they are (axvm_hal.region_claim). Only memory, and each piece
 * once:
 *
 *   free memory of the host's allocator,
 *   memory that the machine's device tree sets aside: a child of /reserved-memory without `no-map`.
 *
 * Nothing else, for a VM's configuration may be hostile: what the host uses itself (its image, device tree and bundle,
 * the interrupt controller, the console), what firmware reserves in another way or with `no-map` (secure memory is
 * such), registers, and addresses where nothing is, whose errors might come while the host runs.
 */
#ifndef METAL_CLAIMS_H
#define METAL_CLAIMS_H

#include "frames.h"

struct claims {
    struct spinlock lock; /* of `unclaimed`; the others are set while booting */
    struct frames *frames;
    struct ranges used;      /* by the host, whatever it is */
    struct ranges aside;     /* set aside for guests; none of it is owned by `frames` */
    struct ranges unclaimed; /* of `aside` */
};

/*
 * Take [base, base+size). AXVM_EBUSY: some of it is used by the host or a guest; AXVM_EINVAL: not all of it is memory
 * of one of the two kinds, or no whole pages. Not logged.
 */
int claims_take(struct claims *claims, uint64_t base, uint64_t size);

/* Give back what was taken. */
void claims_release(struct claims *claims, uint64_t base, uint64_t size);

#endif
