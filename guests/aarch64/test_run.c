/* SPDX-License-Identifier: Apache-2.0 */
/* Running a few instructions at EL1 or EL0, until the first exception. */
#include "test_parts.h"

void once_run(uint64_t pc, uint64_t pstate, uint64_t x0);

/* Of start.S's table: blocks of 1 GiB. */
#define BLOCK_SHIFT 30
#define BLOCK_OFFSET(address) ((address) & ((UINT64_C(1) << BLOCK_SHIFT) - 1))
#define ALIAS_AARCH32 3U
#define ALIAS_DEVICES 509U /* the first block */
#define ALIAS_NOTHING 510U
#define ALIAS_OWN 511U
#define USER_BLOCK UINT64_C(0x745) /* start.S's normal memory, and AP[1]: EL0's, too */

#define EL1H 5U
#define MASK_AIF (7U << 6)

static uint64_t own_block(void)
{
    extern char __image_start[];

    return (uint64_t)(uintptr_t)__image_start >> BLOCK_SHIFT;
}

static void map(unsigned index, uint64_t address)
{
    volatile uint64_t *table = (volatile uint64_t *)reg_read(ttbr0_el1);

    table[index] = 0;
    barrier("dsb sy\n\ttlbi vmalle1\n\tdsb sy\n\tisb");
    table[index] = address | USER_BLOCK;
    barrier("dsb sy\n\tisb");
}

void user_map(void)
{
    map(ALIAS_OWN, own_block() << BLOCK_SHIFT);
    map(ALIAS_AARCH32, own_block() << BLOCK_SHIFT);
    map(ALIAS_DEVICES, 0);
    map(ALIAS_NOTHING, NOTHING - BLOCK_OFFSET(NOTHING));
}

/* The root names one that isn't there, and `used`, which names another. */
void walks_into_nothing(uint64_t *used, uint64_t va[2])
{
    volatile uint64_t *table = (volatile uint64_t *)reg_read(ttbr0_el1);

    used[5] = NOTHING | 3;
    table[ALIAS_OWN] = NOTHING | 3;
    table[ALIAS_NOTHING] = (uint64_t)(uintptr_t)used | 3;
    barrier("dsb sy\n\ttlbi vmalle1\n\tdsb sy\n\tisb");
    va[0] = (uint64_t)ALIAS_OWN << BLOCK_SHIFT | 0x1238;
    va[1] = (uint64_t)ALIAS_NOTHING << BLOCK_SHIFT | 5 << 21 | 0x1238;
}

uint64_t user_alias(uint64_t address)
{
    uint64_t block = address >> BLOCK_SHIFT;
    uint64_t index = block == own_block() ? ALIAS_OWN : block == 0 ? ALIAS_DEVICES : ALIAS_NOTHING;

    return index << BLOCK_SHIFT | BLOCK_OFFSET(address);
}

uint64_t user_alias32(uint64_t address)
{
    return (uint64_t)ALIAS_AARCH32 << BLOCK_SHIFT | BLOCK_OFFSET(address);
}

struct caught run_once(unsigned el, uint64_t pc, uint64_t pstate, uint64_t x0)
{
    once_run(pc, pstate | MASK_AIF | (el == 1 ? EL1H : 0), x0);
    return (struct caught){true, reg_read(esr_el1), reg_read(far_el1), reg_read(elr_el1), reg_read(spsr_el1)};
}
