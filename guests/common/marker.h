/* SPDX-License-Identifier: Apache-2.0 */
/* What the marker guest asks of an architecture. */
#ifndef MARKER_H
#define MARKER_H

#include "guest.h"

#define MARK UINT64_C(0x4d41524b00000000) /* "MARK" */

/* System registers that nothing here uses; and whether they still have it. */
void mark_registers(uint64_t mark);
void check_registers(uint64_t mark);

/* How long it went from one reading of the time to the next, in ticks. marker_regs.S knows the offsets. */
struct gaps {
    uint64_t longest;
    uint64_t sum;   /* of those that aren't less than this: */
    uint64_t least;
};

/*
 * Read the time until `until`, with all general and FP registers that aren't needed for that holding `mark`. `gaps` is
 * brought up to date. Zero: all registers kept the mark.
 */
uint64_t marker_spin(uint64_t mark, uint64_t until, struct gaps *gaps);

#endif
