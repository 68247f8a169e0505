/* SPDX-License-Identifier: Apache-2.0 */
/* What the identity map doesn't have, mapped behind it by pages of 1 GiB. */
#include "test_parts.h"
#include <libfdt.h>

#define GIB (UINT64_C(1) << 30)
#define IDENTITY (UINT64_C(1) << 38)
#define PTE_TABLE 0x01U
#define PTE_ALL 0xcfU /* V, R, W, X, A, D */
#define PTE_EXECUTE 0x49U /* V, X, A */
#define PTE(address, bits) ((address) >> 12 << 10 | (bits))

#define RTC_ALARM_HIGH 0x0c

extern uint64_t guest_tables[512];

/* The root's next entry becomes this; the address of its GiB. */
static uint64_t map(uint64_t pte)
{
    static uint64_t entry = 256;

    guest_tables[entry] = pte;
    barrier("sfence.vma");
    return entry++ << 30 | ~(IDENTITY - 1);
}

static uint64_t map_page(uint64_t physical, uint64_t bits)
{
    return map(PTE(physical & ~(GIB - 1), bits)) + physical % GIB;
}

/*
 * ---- far: memory and a clock that the device tree has far up, and what nothing answers there; through the map, or
 * with no translation ----
 */

static struct caught bare_load(uint64_t physical, uint64_t *value)
{
    uint64_t satp = csr_read(satp);

    catch_begin();
    __asm__ volatile("csrw satp, zero; sfence.vma; ld %0, (%1); csrw satp, %2; sfence.vma"
                     : "=&r"(*value)
                     : "r"(physical), "r"(satp)
                     : "memory");
    return catch_end();
}

static void words_at(uint64_t at, uint64_t size)
{
    for (uint64_t page = at; page < at + size; page += 4096) {
        volatile uint64_t *words = (volatile uint64_t *)page;

        check_equal(words[0] | words[511], 0);
        words[0] = page;
        words[511] = ~page;
    }
    for (uint64_t page = at; page < at + size; page += 4096) {
        const volatile uint64_t *words = (const volatile uint64_t *)page;

        check_equal(words[0], page);
        check_equal(words[511], ~page);
    }
}

/* A page that has not been touched yet is fetched from, then what follows the memory. */
static void fetch_end(uint64_t end)
{
    check_caught("fetch", run_at(end - 2), CAUSE_FETCH_ACCESS, end);
    *(volatile uint16_t *)(end - 2) = 0x8082; /* ret */
    barrier("fence.i");
    check(!run_at(end - 2).happened);
}

/* A page that has not been touched yet is a table, of nothing, then of the 2 MiB that it is in itself. */
static void walk_table(uint64_t at, uint64_t physical)
{
    uint64_t gib = map(PTE(physical, PTE_TABLE));
    volatile uint64_t *table = (volatile uint64_t *)at;
    struct caught caught;

    catch_begin();
    (void)*(volatile uint64_t *)gib;
    caught = catch_end();
    check_caught("load", caught, CAUSE_LOAD_PAGE, gib);
    table[0] = PTE(physical & ~UINT64_C(0x1fffff), PTE_ALL);
    barrier("sfence.vma");
    check_equal(*(volatile uint64_t *)(gib + physical % 0x200000), table[0]);
}

static void memory_at(uint64_t physical, uint64_t size)
{
    uint64_t at = map_page(physical, PTE_ALL), word;

    words_at(at, size - 8192);
    check(!bare_load(physical, &word).happened);
    check_equal(word, at);
    walk_table(at + size - 8192, physical + size - 8192);
    fetch_end(at + size);
    faults_at(at + size, CAUSE_LOAD_ACCESS, CAUSE_STORE_ACCESS, CAUSE_FETCH_ACCESS);
    print("far: %llu KiB at %#llx\n", (unsigned long long)size / 1024, (unsigned long long)physical);
}

void test_far(void)
{
    const void *fdt = (const void *)(uintptr_t)machine.fdt_base;
    uint64_t base, size, word, clock = map_page(machine.arch.rtc, PTE_ALL);
    int node = -1;

    while ((node = fdt_node_offset_by_prop_value(fdt, node, "device_type", "memory", 7)) >= 0) {
        if (fdt_reg(fdt, node, 0, &base, &size) && base >= IDENTITY) {
            memory_at(base, size);
        }
    }
    check(machine.arch.rtc >= IDENTITY);
    mmio_write32(clock + RTC_ALARM_HIGH, 0x12345678);
    check_equal(mmio_read32(clock + RTC_ALARM_HIGH), 0x12345678);
    for (unsigned bit = 39; bit < 64; bit++) {
        uint64_t at = (UINT64_C(1) << bit) + 8;

        check_caught("bare", bare_load(at, &word), CAUSE_LOAD_ACCESS, at);
    }
}

/* ---- unreadable: instructions that can be fetched, not read, trap as others do ---- */

/* lw a0, (a0); c.lw a0, (a0); lw a0, (a0); hfence.vvma; wfi; each with a return */
static const uint16_t program[] __attribute__((aligned(4))) = {
    0x2503, 0x0005, 0x8082, 0x4108, 0x8082, 0x2503, 0x0005, 0x8082, 0x0073, 0x2200, 0x8082, 0x0073, 0x1050, 0x8082,
};
#define C_LW 3
#define LW_ACROSS 5 /* its halves are in two words */
#define HFENCE_VVMA 8
#define WFI 11

static uint64_t call(uint64_t code, uint64_t a0)
{
    register uint64_t r0 __asm__("a0") = a0;

    __asm__ volatile("jalr %1" : "+r"(r0) : "r"(code) : "ra", "memory");
    return r0;
}

void test_unreadable(void)
{
    uint64_t code = map_page((uintptr_t)program, PTE_EXECUTE), alarm = machine.arch.rtc + RTC_ALARM_HIGH;

    catch_begin();
    (void)*(volatile uint16_t *)code;
    check_equal(catch_end().cause, CAUSE_LOAD_PAGE);
    mmio_write32(alarm, 0x12345678);
    check_equal(call(code, alarm), 0x12345678);
    check_equal(call(code + 2 * C_LW, alarm), 0x12345678);
    check_equal(call(code + 2 * LW_ACROSS, alarm), 0x12345678);
    check_equal(run_at(code + 2 * HFENCE_VVMA).cause, CAUSE_ILLEGAL);
    (void)sbi(SBI_TIME, 0, 0);
    csr_set(sie, UINT64_C(1) << IRQ_TIMER);
    check(!run_at(code + 2 * WFI).happened);
}
