/* SPDX-License-Identifier: Apache-2.0 */
/* What the marker guest asks of an architecture. */
#ifndef MARKER_H
#define MARKER_H

#include "guest.h"

#define MARK UINT64_C(0x4d41524b00000000) /* "MARK" */

/* System registers that nothing here uses; and whether they still have it. */
void mark_registers(uint64_t mark);
void check_registers(uint64_t mark);

/*
 * Read the time until `until`, with all general and FP registers that aren't needed for that holding `mark`. *gap:
 * raised to the most ticks from one reading to the next. Zero: all registers kept the mark.
 */
uint64_t marker_spin(uint64_t mark, uint64_t until, uint64_t *gap);

#endif
