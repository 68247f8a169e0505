/* SPDX-License-Identifier: Apache-2.0 */
/* Runs of host frames of any length: a run of 2^order frames whose tail goes back at once. */
#ifndef AXVM_CORE_FRAMES_H
#define AXVM_CORE_FRAMES_H

#include <axvm/types.h>

/* `size` bytes, a multiple of 4 KiB and not 0, contiguous, aligned to the next power of two. AXVM_ENOMEM. */
int frames_take(uint64_t size, hpa_t *base);

/* Give back [base, base+size): of a run that frames_take() gave, or part of one. */
void frames_give(hpa_t base, uint64_t size);

#endif
