/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that has its mark in every register and in all its memory, for others to find if it leaks; and that says every
 * 10 ms that it is alive, and how long it was kept from running.
 *
 * Every other beat it spins, and measures the longest time between two readings of the counter; then it waits for
 * interrupts of its timer, and measures how late they are. In between it looks whether its marks are still there.
 *
 * The command line: beats=N (then it powers off; 0, or nothing: never), spin=1 (no waiting).
 */
#include "guest.h"
#include <string.h>

#define PPI_CNTV 27U
#define MARK UINT64_C(0x4d41524b00000000) /* "MARK" */
#define BEAT_US 10000U
#define STEP_US 100U

static uint64_t ticks_per_us;

uint64_t marker_spin(uint64_t mark, uint64_t until, uint64_t *gap); /* marker_regs.S */

/* ---- Marks --------------------------------------------------------------------------------------------------------- */

/* The page's own, so that one that turns up elsewhere tells where it is from. */
static bool is_own(uint64_t page)
{
    extern char __image_start[], __bss_end[];

    return (page + 4096 > (uint64_t)(uintptr_t)__image_start && page < (uint64_t)(uintptr_t)__bss_end) ||
           (page + 4096 > machine.fdt_base && page < machine.fdt_base + machine.fdt_size);
}

static void mark_page(uint64_t page)
{
    for (uint64_t at = page; at < page + 4096; at += 8) {
        *(volatile uint64_t *)at = MARK | (at >> 3 & 0xffffffff);
    }
}

static void check_page(uint64_t page)
{
    for (uint64_t at = page; at < page + 4096; at += 8) {
        uint64_t word = *(volatile uint64_t *)at;

        if (word != (MARK | (at >> 3 & 0xffffffff))) {
            check_failed(__FILE__, __LINE__, "the mark in memory", word, MARK | (at >> 3 & 0xffffffff));
            return;
        }
    }
}

static void mark_memory(void)
{
    for (uint64_t page = machine.memory_base; page < machine.memory_base + machine.memory_size; page += 4096) {
        if (!is_own(page)) {
            mark_page(page);
        }
    }
}

/* A few pages each time. */
static void check_memory(unsigned beat)
{
    uint64_t pages = machine.memory_size / 4096;

    for (unsigned i = 0; i < 4; i++) {
        uint64_t page = machine.memory_base + (beat * 4 + i) % pages * 4096;

        if (!is_own(page)) {
            check_page(page);
        }
    }
}

/* System registers that nothing here uses; breakpoints are in the hardware while MDSCR_EL1.MDE is set. */
static void mark_registers(uint64_t mark)
{
    reg_write(tpidr_el0, mark);
    reg_write(tpidrro_el0, mark);
    reg_write(contextidr_el1, mark & 0xffffffff);
    reg_write(far_el1, mark);
    reg_write(esr_el1, mark >> 32);
    reg_write(afsr0_el1, mark);
    reg_write(amair_el1, mark);
    reg_write(ttbr1_el1, mark & UINT64_C(0xffff0000fffff000));
    reg_write(sp_el0, mark);
    reg_write(elr_el1, mark);
    reg_write(par_el1, mark & 0xfffff000);
    reg_write(dbgbvr0_el1, mark & ~UINT64_C(3));
    reg_write(dbgbvr5_el1, mark & ~UINT64_C(3));
    reg_write(dbgwvr0_el1, mark & ~UINT64_C(7));
    reg_write(dbgwvr3_el1, mark & ~UINT64_C(7));
    reg_write(mdscr_el1, 0x8000);
    reg_write(cntp_cval_el0, mark);
    reg_write(fpcr, 0x3c00000);
    reg_write(fpsr, 0x9f);
}

static void check_registers(uint64_t mark)
{
    check_equal(reg_read(tpidr_el0), mark);
    check_equal(reg_read(tpidrro_el0), mark);
    check_equal(reg_read(contextidr_el1), mark & 0xffffffff);
    check_equal(reg_read(ttbr1_el1), mark & UINT64_C(0xffff0000fffff000));
    check_equal(reg_read(sp_el0), mark);
    check_equal(reg_read(dbgbvr0_el1) & 0xffffffff, mark & ~UINT64_C(3) & 0xffffffff);
    check_equal(reg_read(dbgwvr3_el1) & 0xffffffff, mark & ~UINT64_C(7) & 0xffffffff);
    check_equal(reg_read(mdscr_el1), 0x8000);
    check_equal(reg_read(cntp_cval_el0), mark);
    check_equal(reg_read(fpcr), 0x3c00000);
    check_equal(reg_read(fpsr), 0x9f);
}

/* ---- Beats --------------------------------------------------------------------------------------------------------- */

static volatile uint64_t fired_at;

static void timer_handler(unsigned intid)
{
    (void)intid;
    fired_at = ticks();
    reg_write(cntv_ctl_el0, 0);
    barrier("isb");
}

static void wait_until(uint64_t until, uint64_t *late)
{
    while (ticks() < until) {
        uint64_t due = ticks() + STEP_US * ticks_per_us;

        fired_at = 0;
        reg_write(cntv_cval_el0, due);
        reg_write(cntv_ctl_el0, 1);
        while (fired_at == 0) {
            barrier("wfi");
            irq_enable();
            irq_disable();
        }
        *late = fired_at - due > *late ? fired_at - due : *late;
    }
}

void test_main(void)
{
    uint64_t beats = option_number("beats=", 0), spin_only = option_number("spin=", 0);
    uint64_t gap = 0, late = 0;

    ticks_per_us = reg_read(cntfrq_el0) / 1000000;
    gic_handler(PPI_CNTV, timer_handler);
    gic_enable(PPI_CNTV);
    mark_memory();
    print("marker: %llu beats\n", (unsigned long long)beats);
    for (unsigned beat = 1; beats == 0 || beat <= beats; beat++) {
        uint64_t until = ticks() + BEAT_US * ticks_per_us;
        uint64_t mark = MARK | beat << 12;

        mark_registers(mark);
        if (beat % 2 == 0 && spin_only == 0) {
            wait_until(until, &late);
        } else {
            check_equal(marker_spin(mark, until, &gap), 0);
            check_registers(mark);
        }
        check_memory(beat);
        print("beat %u: without the CPU at most %llu us, interrupts at most %llu us late\n", beat,
              (unsigned long long)(gap / ticks_per_us), (unsigned long long)(late / ticks_per_us));
    }
}
