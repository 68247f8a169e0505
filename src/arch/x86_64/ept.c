/* SPDX-License-Identifier: Apache-2.0 */
#include "mem/pagetable.h"

/* Intel SDM 3C 29.3.2, "EPT Translation Mechanism": formats of the entries of a four-level EPT. */
#define EPT_READ (UINT64_C(1) << 0)
#define EPT_WRITE (UINT64_C(1) << 1)
#define EPT_EXEC (UINT64_C(1) << 2)
#define EPT_MEMTYPE(n) ((uint64_t)(n) << 3)
#define EPT_LARGE (UINT64_C(1) << 7)
#define EPT_ADDR UINT64_C(0x000ffffffffff000)

#define MEMTYPE_UC 0
#define MEMTYPE_WC 1
#define MEMTYPE_WB 6

const struct pt_format pt_x86_ept = {
    .name = "x86 EPT",
    .min_input_bits = 32,
    .max_input_bits = 48,
    .min_levels = 4,
    .max_levels = 4,
    .max_root_bits = 9,
    .fixed_root = true,
    .max_leaf_level = 2,
    .pa_mask = EPT_ADDR,
    .present_mask = EPT_READ | EPT_WRITE | EPT_EXEC,
    .table_bits = EPT_READ | EPT_WRITE | EPT_EXEC,
    .kind_mask = EPT_LARGE,
    .leaf_bits = {0, EPT_LARGE, EPT_LARGE},
    .perm_mask = EPT_READ | EPT_WRITE | EPT_EXEC,
    .perm_bits =
        {
            [AXVM_MEM_READ] = EPT_READ,
            [AXVM_MEM_READ | AXVM_MEM_WRITE] = EPT_READ | EPT_WRITE,
            [AXVM_MEM_READ | AXVM_MEM_EXEC] = EPT_READ | EPT_EXEC,
            [AXVM_MEM_READ | AXVM_MEM_WRITE | AXVM_MEM_EXEC] = EPT_READ | EPT_WRITE | EPT_EXEC,
        },
    .memory_mask = EPT_MEMTYPE(7),
    .memory_bits = {[PT_NORMAL] = EPT_MEMTYPE(MEMTYPE_WB),
                    [PT_DEVICE] = EPT_MEMTYPE(MEMTYPE_UC),
                    [PT_UNCACHED] = EPT_MEMTYPE(MEMTYPE_WC)},
};
