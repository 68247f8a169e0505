/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/aarch64/stage2.h"

/* Arm ARM D8.3.1, VMSAv8-64 table and block descriptors, 4 KiB granule, 48-bit output addresses. */
#define DESC_VALID (UINT64_C(1) << 0)
#define DESC_TABLE (UINT64_C(1) << 1) /* levels above the last: a table, not a block; last level: a page */
#define DESC_ADDR UINT64_C(0x0000fffffffff000)
#define DESC_SH_INNER (UINT64_C(3) << 8)
#define DESC_AF (UINT64_C(1) << 10)

/* D8.3.2, stage 2 attributes. Without FEAT_XNX bit 54 alone is XN; with it 0b10 is "executable nowhere", too. */
#define S2_MEMATTR(n) ((uint64_t)(n) << 2)
#define S2_READ (UINT64_C(1) << 6)
#define S2_WRITE (UINT64_C(1) << 7)
#define S2_XN (UINT64_C(2) << 53)

/* Stage 1 of EL2, one VA range: AP[1] and nG are RES1 and RES0, PXN is RES0. */
#define S1_ATTRINDX(n) ((uint64_t)(n) << 2)
#define S1_AP1 (UINT64_C(1) << 6)
#define S1_READ_ONLY (UINT64_C(1) << 7)
#define S1_XN (UINT64_C(1) << 54)

#define VTCR_T0SZ(bits) ((uint64_t)(64 - (bits)))
#define VTCR_SL0(n) ((uint64_t)(n) << 6)
#define VTCR_IRGN0_WBWA (UINT64_C(1) << 8)
#define VTCR_ORGN0_WBWA (UINT64_C(1) << 10)
#define VTCR_SH0_INNER (UINT64_C(3) << 12)
#define VTCR_PS(n) ((uint64_t)(n) << 16)
#define VTCR_RES1 (UINT64_C(1) << 31)

const struct pt_format pt_aarch64_stage2 = {
    .name = "aarch64 stage 2",
    .min_input_bits = 32,
    .max_input_bits = 48,
    .min_levels = 3,
    .max_levels = 4,
    .max_root_bits = 13, /* 16 concatenated tables, D8.2.2 */
    .max_leaf_level = 2,
    .break_before_make = true,
    .pa_mask = DESC_ADDR,
    .present_mask = DESC_VALID,
    .table_bits = DESC_VALID | DESC_TABLE,
    .kind_mask = DESC_TABLE,
    .table_kind = DESC_TABLE,
    .leaf_bits = {DESC_VALID | DESC_TABLE | DESC_AF | DESC_SH_INNER, DESC_VALID | DESC_AF | DESC_SH_INNER,
                  DESC_VALID | DESC_AF | DESC_SH_INNER},
    .perm_mask = S2_READ | S2_WRITE | S2_XN,
    .perm_bits =
        {
            [AXVM_MEM_READ] = S2_READ | S2_XN,
            [AXVM_MEM_READ | AXVM_MEM_WRITE] = S2_READ | S2_WRITE | S2_XN,
            [AXVM_MEM_READ | AXVM_MEM_EXEC] = S2_READ,
            [AXVM_MEM_READ | AXVM_MEM_WRITE | AXVM_MEM_EXEC] = S2_READ | S2_WRITE,
        },
    .memory_mask = S2_MEMATTR(15),
    .memory_bits = {[PT_NORMAL] = S2_MEMATTR(15), [PT_DEVICE] = S2_MEMATTR(1), [PT_UNCACHED] = S2_MEMATTR(5)},
};

const struct pt_format pt_aarch64_el2 = {
    .name = "aarch64 EL2",
    .min_input_bits = 32,
    .max_input_bits = 48,
    .min_levels = 3,
    .max_levels = 4,
    .max_root_bits = 9,
    .max_leaf_level = 2,
    .break_before_make = true,
    .pa_mask = DESC_ADDR,
    .present_mask = DESC_VALID,
    .table_bits = DESC_VALID | DESC_TABLE,
    .kind_mask = DESC_TABLE,
    .table_kind = DESC_TABLE,
    .leaf_bits = {DESC_VALID | DESC_TABLE | DESC_AF | DESC_SH_INNER, DESC_VALID | DESC_AF | DESC_SH_INNER,
                  DESC_VALID | DESC_AF | DESC_SH_INNER},
    .perm_mask = S1_AP1 | S1_READ_ONLY | S1_XN,
    .perm_bits =
        {
            [AXVM_MEM_READ] = S1_AP1 | S1_READ_ONLY | S1_XN,
            [AXVM_MEM_READ | AXVM_MEM_WRITE] = S1_AP1 | S1_XN,
            [AXVM_MEM_READ | AXVM_MEM_EXEC] = S1_AP1 | S1_READ_ONLY,
            [AXVM_MEM_READ | AXVM_MEM_WRITE | AXVM_MEM_EXEC] = S1_AP1,
        },
    .memory_mask = S1_ATTRINDX(7),
    .memory_bits = {[PT_NORMAL] = S1_ATTRINDX(1), [PT_DEVICE] = S1_ATTRINDX(0), [PT_UNCACHED] = S1_ATTRINDX(2)},
};

/* The encodings of PS; 52 bits would need another descriptor format. */
static const uint8_t ps_bits[] = {32, 36, 40, 42, 44, 48};

uint64_t stage2_vtcr(const struct pagetable *table, unsigned pa_range_bits)
{
    uint64_t sl0 = table->levels == 4 ? VTCR_SL0(2) : VTCR_SL0(1); /* start at level 0 or at level 1 */
    unsigned ps = sizeof ps_bits - 1;

    while (ps > 0 && ps_bits[ps] > pa_range_bits) {
        ps--;
    }
    return VTCR_RES1 | VTCR_PS(ps) | VTCR_SH0_INNER | VTCR_ORGN0_WBWA | VTCR_IRGN0_WBWA | sl0 |
           VTCR_T0SZ(table->input_bits);
}

unsigned stage2_gpa_bits(unsigned pa_range_bits)
{
    const struct pt_format *format = &pt_aarch64_stage2;

    if (pa_range_bits < format->min_input_bits) {
        return format->min_input_bits;
    }
    return pa_range_bits < format->max_input_bits ? pa_range_bits : format->max_input_bits;
}
