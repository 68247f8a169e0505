/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's own stage 1 (Arm ARM D8.2): at which level a walk of it comes to an address. */
#include "arch/aarch64/cpu.h"
#include "arch/aarch64/hcr.h"

#define SCTLR_M BIT64(0)
#define UPPER BIT64(55) /* of a virtual address: TTBR1_EL1 translates it */
#define ADDRESS UINT64_C(0x0000ffffffffffc0) /* of the first table, which may be smaller than a page */
#define LAST_LEVEL 3
#define UNUSED_MIN 12U /* 52 bits, the most that any CPU translates: from level -1 on */

/* The descriptor's page is compared first: a table is looked into only where it isn't the one that is missed. */
int a64_stage1_level(struct a64_vcpu *v, uint64_t va, uint64_t ipa, int otherwise)
{
    static const uint8_t granules[2][4] = {{12, 16, 14, 12}, {12, 14, 12, 16}}; /* TCR_EL1.TG0, TG1 */
    bool upper = (va & UPPER) != 0;
    uint64_t sctlr = a64_cpu_sys_read(A64_SCTLR_EL1), tcr = a64_cpu_sys_read(A64_TCR_EL1), value;
    uint64_t table = a64_cpu_sys_read(upper ? A64_TTBR1_EL1 : A64_TTBR0_EL1) & ADDRESS;
    unsigned size = tcr >> (upper ? 16 : 0) & 0x3fU, unused = size > UNUSED_MIN ? size : UNUSED_MIN;
    unsigned page_bits = granules[upper][tcr >> (upper ? 30 : 14) & 3U];
    int stride = (int)page_bits - 3, level = LAST_LEVEL + 1 - (64 - (int)unused - (int)page_bits + stride - 1) / stride;
    uint64_t index = va << unused >> unused;

    for (; (sctlr & SCTLR_M) != 0 && level <= LAST_LEVEL; level++) {
        unsigned shift = page_bits + (unsigned)(stride * (LAST_LEVEL - level));
        uint64_t descriptor = table + (index >> shift) * sizeof(value);

        if ((descriptor ^ ipa) >> AXVM_PAGE_SHIFT == 0) {
            return level;
        }
        if (addrspace_read(&v->base.vm->as, gpa(descriptor), &value, sizeof(value)) != AXVM_OK) {
            break;
        }
        value = (sctlr & SCTLR_EE) != 0 ? __builtin_bswap64(value) : value;
        if ((value & 3U) != 3U) {
            break;
        }
        table = (value & ADDRESS) >> page_bits << page_bits;
        index &= (UINT64_C(1) << shift) - 1;
    }
    return otherwise;
}
