/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of the test guest. */
#ifndef TEST_PARTS_H
#define TEST_PARTS_H

#include "guest.h"

#define NOTHING UINT64_C(0x700000000) /* normal memory to our own page tables; no machine of ours has any there */

/* ---- test_run.c: at EL1 or at EL0, until the first exception ---- */

/* Make what is below user_alias() executable, readable and writable at EL0. */
void user_map(void);
/* Addresses whose tables of level 2 and 3 aren't there; `used` is a zeroed page. */
void walks_into_nothing(uint64_t *used, uint64_t va[2]);
uint64_t user_alias(uint64_t address); /* of this program's own memory, of devices, or of NOTHING */

uint64_t user_alias32(uint64_t address); /* of this program's own memory, below 4 GiB */

#define PSTATE_AARCH32 (UINT64_C(1) << 4)
#define PSTATE_SS (UINT64_C(1) << 21)

/* Run at exception level `el` from `pc` on, with this x0; `pstate`: any of these. */
struct caught run_once(unsigned el, uint64_t pc, uint64_t pstate, uint64_t x0);

/* ---- The GIC ---- */

static inline uint64_t spi_reg(unsigned reg, unsigned irq)
{
    return machine.arch.gicd + reg + irq / 32 * 4;
}

static inline uint32_t take(void)
{
    uint32_t intid = (uint32_t)reg_read(ICC_IAR1_EL1);

    barrier("dsb sy\n\tisb");
    return intid;
}

#define SPURIOUS 1023U

/* It may have a way to come. */
static inline uint32_t take_soon(void)
{
    uint64_t deadline = ticks() + 5 * ticks_per_second();
    uint32_t intid = take();

    while (intid == SPURIOUS && ticks() < deadline) {
        intid = take();
    }
    return intid;
}

static inline void end(uint32_t intid)
{
    reg_write(ICC_EOIR1_EL1, intid);
    barrier("dsb sy\n\tisb");
}

/* ---- Tests ---- */

/* gic: what one CPU reads and writes of interrupts that another has */
void test_gic(void);

/* interface: the CPU interface, with more interrupts than there are list registers */
void test_interface(void);

/* levels: interrupts of devices are pending while their cause is there */
void test_levels(void);

/* sgis: who gets an SGI, and as what; routes: 1-of-N interrupts */
void test_sgis(void);
void test_routes(void);

/* debug: breakpoints, watchpoints and software step, and the OS lock */
void test_debug(void);

/* races: CPU_ON by several CPUs at once, and of one that is turning itself off */
void test_races(void);

#endif
