/* SPDX-License-Identifier: Apache-2.0 */
/* An ITS and what it makes of the redistributors, for the guests that use one (IHI 0069, chapters 5 and 12). */
#ifndef GUEST_ITS_H
#define GUEST_ITS_H

#include "guest.h"

enum {
    GITS_CTLR = 0x0, GITS_TYPER = 0x8, GITS_CBASER = 0x80, GITS_CWRITER = 0x88, GITS_CREADR = 0x90, GITS_BASER0 = 0x100,
    GITS_TRANSLATER = 0x10040,
    GICR_CTLR = 0x0, GICR_TYPER = 0x8, GICR_PROPBASER = 0x70, GICR_PENDBASER = 0x78, GICR_STRIDE = 0x20000,
    MOVI = 1, INT = 3, CLEAR = 4, SYNC = 5, MAPD = 8, MAPC = 9, MAPTI = 0xa, MAPI = 0xb, INV = 0xc, INVALL = 0xd,
    MOVALL = 0xe, DISCARD = 0xf,
};

#define ITS_VALID (UINT64_C(1) << 63)
#define WRITE_BACK (UINT64_C(7) << 59 | UINT64_C(1) << 10) /* inner-shareable */
#define FIRST_LPI 8192U

#endif
