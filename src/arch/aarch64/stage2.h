/* SPDX-License-Identifier: Apache-2.0 */
/* How the aarch64 page tables (mem/pagetable.h) are told to the registers. Portable. */
#ifndef AXVM_ARCH_AARCH64_STAGE2_H
#define AXVM_ARCH_AARCH64_STAGE2_H

#include "mem/pagetable.h"

/* MAIR_EL2 for pt_aarch64_el2: 0 Device-nGnRE, 1 Normal write-back, 2 Normal non-cacheable. */
#define EL2_MAIR UINT64_C(0x44ff04)

/*
 * VTCR_EL2 for a table of pt_aarch64_stage2 on a PE with that many physical address bits: T0SZ, SL0, PS, 4 KiB granule,
 * cacheable inner-shareable walks. VS, HA, HD and the rest are 0.
 */
uint64_t stage2_vtcr(const struct pagetable *table, unsigned pa_range_bits);

/* The widest input range for a PE with that many physical address bits (ID_AA64MMFR0_EL1.PARange). */
unsigned stage2_gpa_bits(unsigned pa_range_bits);

#endif
