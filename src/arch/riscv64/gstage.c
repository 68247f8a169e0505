/* SPDX-License-Identifier: Apache-2.0 */
#include "mem/pagetable.h"

/*
 * RISC-V Privileged 1.13, 18.5 "Two-Stage Address Translation": as Sv39, Sv48 and Sv57 (chapter 10), with a root of
 * 16 KiB. All G-stage accesses count as user-mode ones, so leaves have U; A and D are set, so that neither a fault nor
 * an update by hardware is needed.
 */
#define PTE_V (UINT64_C(1) << 0)
#define PTE_R (UINT64_C(1) << 1)
#define PTE_W (UINT64_C(1) << 2)
#define PTE_X (UINT64_C(1) << 3)
#define PTE_U (UINT64_C(1) << 4)
#define PTE_G (UINT64_C(1) << 5)
#define PTE_A (UINT64_C(1) << 6)
#define PTE_D (UINT64_C(1) << 7)
#define PTE_PPN UINT64_C(0x003ffffffffffc00)
#define PTE_PBMT(n) ((uint64_t)(n) << 61) /* Svpbmt, chapter 14: 0 is the address's own type (PMA), 1 NC, 2 IO */

#define PTE_LEAF (PTE_V | PTE_U | PTE_A | PTE_D)
#define PTE_HOST_LEAF (PTE_V | PTE_G | PTE_A | PTE_D)

/* 41 bits: Sv39x4, 50 bits: Sv48x4, 59 bits: Sv57x4. svpbmt: 1, or 0: the bits are reserved. */
#define GSTAGE(svpbmt)                                                                                                 \
    {                                                                                                                  \
        .name = "riscv64 G-stage",                                                                                     \
        .min_input_bits = 41,                                                                                          \
        .max_input_bits = 59,                                                                                          \
        .min_levels = 3,                                                                                               \
        .max_levels = 5,                                                                                               \
        .max_root_bits = 11,                                                                                           \
        .fixed_root = true,                                                                                            \
        .max_leaf_level = 2,                                                                                           \
        .pa_shift = 2,                                                                                                 \
        .pa_mask = PTE_PPN,                                                                                            \
        .present_mask = PTE_V,                                                                                         \
        .table_bits = PTE_V,                                                                                           \
        .kind_mask = PTE_R | PTE_W | PTE_X,                                                                            \
        .leaf_bits = {PTE_LEAF, PTE_LEAF, PTE_LEAF},                                                                   \
        .perm_mask = PTE_R | PTE_W | PTE_X,                                                                            \
        .perm_bits =                                                                                                   \
            {                                                                                                          \
                [AXVM_MEM_READ] = PTE_R,                                                                               \
                [AXVM_MEM_READ | AXVM_MEM_WRITE] = PTE_R | PTE_W,                                                      \
                [AXVM_MEM_READ | AXVM_MEM_EXEC] = PTE_R | PTE_X,                                                       \
                [AXVM_MEM_READ | AXVM_MEM_WRITE | AXVM_MEM_EXEC] = PTE_R | PTE_W | PTE_X,                              \
            },                                                                                                         \
        .memory_mask = PTE_PBMT(3 * (svpbmt)),                                                                         \
        .memory_bits = {[PT_DEVICE] = PTE_PBMT(2 * (svpbmt)), [PT_UNCACHED] = PTE_PBMT(1 * (svpbmt))},                 \
    }

const struct pt_format pt_riscv64_gstage = GSTAGE(0);
const struct pt_format pt_riscv64_gstage_svpbmt = GSTAGE(1);

/*
 * Chapter 12.3 ff.: Sv39, Sv48, Sv57 for S mode itself. Addresses are sign-extended; this is the lower half of them,
 * which is the lower half of the root: 38, 47 or 56 bits.
 */
const struct pt_format pt_riscv64_host = {
    .name = "riscv64 HS",
    .min_input_bits = 38,
    .max_input_bits = 56,
    .min_levels = 3,
    .max_levels = 5,
    .max_root_bits = 8,
    .fixed_root = true,
    .max_leaf_level = 2,
    .pa_shift = 2,
    .pa_mask = PTE_PPN,
    .present_mask = PTE_V,
    .table_bits = PTE_V,
    .kind_mask = PTE_R | PTE_W | PTE_X,
    .leaf_bits = {PTE_HOST_LEAF, PTE_HOST_LEAF, PTE_HOST_LEAF},
    .perm_mask = PTE_R | PTE_W | PTE_X,
    .perm_bits =
        {
            [AXVM_MEM_READ] = PTE_R,
            [AXVM_MEM_READ | AXVM_MEM_WRITE] = PTE_R | PTE_W,
            [AXVM_MEM_READ | AXVM_MEM_EXEC] = PTE_R | PTE_X,
            [AXVM_MEM_READ | AXVM_MEM_WRITE | AXVM_MEM_EXEC] = PTE_R | PTE_W | PTE_X,
        },
};
