/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host for unit tests: struct axvm_hal over ordinary memory. It is stricter than any real host.
 *
 *  - Host-physical addresses are [FAKE_RAM_BASE, FAKE_RAM_BASE + ram size), nowhere near the pointers that stand for
 *    them: an address that wasn't converted crashes.
 *  - Frames come filled with garbage. Free frames, and those never given out, are poisoned for AddressSanitizer.
 *  - Every misuse (double or misaligned free, converting the address of a free frame, ...) is printed and
 *    counted; fake_hal_teardown() fails the test for it, and for every leak.
 *
 * The usual test:
 *     cmocka_unit_test_setup_teardown(test_x, fake_hal_setup, fake_hal_teardown)
 */
#ifndef AXVM_TEST_FAKE_HAL_H
#define AXVM_TEST_FAKE_HAL_H

#include <axvm/hal.h>

#define FAKE_RAM_BASE GIB(2)
#define FAKE_RAM_SIZE MIB(256) /* unless fake_hal_set_ram() said otherwise */
#define FAKE_GARBAGE 0xa7      /* every byte of a fresh frame */
#define FAKE_TICK_HZ UINT64_C(62500000)

extern const struct axvm_hal fake_hal;

/*
 * cmocka fixtures. Setup: everything forgotten, `hal` set to &fake_hal. Teardown: non-zero if frames or regions are
 * still taken, timers armed, or something was misused.
 */
int fake_hal_setup(void **state);
int fake_hal_teardown(void **state);

/* For a test that does several rounds: how many faults teardown would find now (printed); then start afresh. */
unsigned fake_hal_faults(void);
void fake_hal_reset(void);

/* ---- Memory ---- */

/* Another amount of RAM, a multiple of 4 KiB, at most 4 GiB, until the next reset; nothing may be taken yet. */
void fake_hal_set_ram(uint64_t size);

size_t fake_hal_frames_used(void);    /* 4 KiB frames given out by frames_alloc */
size_t fake_hal_frames_claimed(void); /* by region_claim */
size_t fake_hal_allocations(void);    /* successful frames_alloc calls since reset */
unsigned fake_hal_max_order(void);    /* the largest order that succeeded since reset */

/* The n-th allocation from now (1: the next) fails, once; 0: none. true if it did happen. */
void fake_hal_fail_allocation(size_t n);
bool fake_hal_allocation_failed(void);

/* From now on allocations of `order` and above fail, uncounted, as on a fragmented host. UINT_MAX: none. */
void fake_hal_fail_orders_from(unsigned order);

/* Memory that is the host's own, kept aside for a guest: not allocatable, convertible, not counted as a leak. */
void fake_hal_reserve(hpa_t base, uint64_t size);

/* For the test itself: the pointer behind an address, without the ownership check; NULL outside RAM. */
void *fake_hal_peek(hpa_t addr);

/* ---- Time and pCPUs ---- */

/* The calling thread is this pCPU from now on (0 at first). */
void fake_hal_set_pcpu(unsigned pcpu);

#define FAKE_WALL_CLOCK UINT64_C(1800000000123456789) /* always */
void fake_hal_set_ticks(uint64_t ticks); /* fires nothing */

/* Time moves on; timers fire in order of their deadlines, each on its own pCPU with the clock at its deadline. */
void fake_hal_advance(uint64_t ticks);

/* Timers armed on that pCPU, and the first deadline (UINT64_MAX: none). */
unsigned fake_hal_timers(unsigned pcpu);
uint64_t fake_hal_next_deadline(unsigned pcpu);

/* ---- What the library told the host ---- */

struct fake_kick {
    uint32_t vm_id, vcpu_id;
};

size_t fake_hal_kicks(void); /* since reset or fake_hal_forget() */
struct fake_kick fake_hal_kick(size_t index);
size_t fake_hal_kicks_of(uint32_t vm_id, uint32_t vcpu_id);
void fake_hal_on_kick(void (*callback)(uint32_t vm_id, uint32_t vcpu_id)); /* also called; NULL: none */

/* irq_handle answers with these, first in first out, then AXVM_IRQ_NONE. */
void fake_hal_push_irq(enum axvm_irq_result result, uint32_t irq);
bool fake_hal_irq_active(unsigned pcpu, uint32_t irq); /* as irq_set_active last said; irq < 32 */

/* Everything written to that VM's console, as a string. */
const char *fake_hal_console(uint32_t vm_id);

/* Whether a log line contains `text`; how many lines of that level. AXVM_LOG=1 in the environment prints all lines. */
bool fake_hal_logged(const char *text);
size_t fake_hal_log_lines(enum axvm_log_level level);

/* Forget kicks, console output and log lines; memory and time stay. */
void fake_hal_forget(void);

#endif
