/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_AIA_H
#define BENCH_AIA_H

#include "bench.h"

struct bench_aia {
    uint64_t source;   /* the address of a source's sourcecfg */
    uint64_t messages; /* struct bench_messages: by IMSIC */
};

/* False: the machine has no IMSICs. */
bool bench_aia_find(struct bench_aia *aia);

#endif
