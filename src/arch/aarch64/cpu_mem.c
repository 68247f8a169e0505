/* SPDX-License-Identifier: Apache-2.0 */
/* TLB and cache maintenance for guests' memory. */
#include "arch/aarch64/cpu.h"
#include "arch/aarch64/cpu_insn.h"
#include <string.h>

/* Beyond this many pages, forgetting the whole VMID is cheaper than page by page. */
#define FLUSH_MAX_PAGES 256U

/*
 * Stage-2 TLB maintenance applies to the VMID in VTTBR_EL2 (Arm ARM D8.14.5), so a foreign one is put there meanwhile.
 * The stage-1 registers are still those of the vCPU that is resident here.
 */
struct vmid {
    uint64_t before;
    bool foreign;
    struct walks walks;
};

static struct vmid vmid_enter(uint64_t vttbr)
{
    struct vmid vmid = {.before = sysreg_read(vttbr_el2)};

    __asm__ volatile("dsb ishst" ::: "memory"); /* the table's changes are seen by the walkers first (D8.14.1) */
    vmid.foreign = vmid.before != vttbr;
    if (vmid.foreign) {
        vmid.walks = walks_stop();
        sysreg_write(vttbr_el2, vttbr);
        isb();
    }
    return vmid;
}

/*
 * Once nobody finds the frames any more, instruction caches forget what they held of them, too (Arm ARM D7.5.9.2): the
 * frames' next owner gets them zeroed, and might fetch from there before it has written anything. EL2 executes no such
 * memory, so nothing comes back.
 */
static void vmid_leave(struct vmid vmid)
{
    __asm__ volatile("dsb ish\n\tic ialluis\n\tdsb ish\n\tisb" ::: "memory");
    if (vmid.foreign) {
        sysreg_write(vttbr_el2, vmid.before);
        walks_resume(vmid.walks);
        isb();
    }
}

void a64_cpu_tlb_flush_range(uint64_t vttbr, uint64_t start, uint64_t size)
{
    struct vmid vmid;

    if (size / AXVM_PAGE_SIZE > FLUSH_MAX_PAGES) {
        a64_cpu_tlb_flush_vmid(vttbr);
        return;
    }
    vmid = vmid_enter(vttbr);
    for (uint64_t ipa = start; ipa - start < size; ipa += AXVM_PAGE_SIZE) {
        __asm__ volatile("tlbi ipas2e1is, %0" ::"r"(ipa >> AXVM_PAGE_SHIFT) : "memory");
    }
    /* IPAS2E1 leaves combined stage 1 and 2 entries alone; once it is complete, forget those (D8.14.5). */
    __asm__ volatile("dsb ish\n\ttlbi vmalle1is" ::: "memory");
    vmid_leave(vmid);
}

void a64_cpu_tlb_flush_vmid(uint64_t vttbr)
{
    struct vmid vmid = vmid_enter(vttbr);

    __asm__ volatile("tlbi vmalls12e1is" ::: "memory");
    vmid_leave(vmid);
}

void a64_cpu_tlb_flush_local(void)
{
    __asm__ volatile("isb\n\ttlbi vmalle1\n\tdsb nsh\n\tisb" ::: "memory");
}

void a64_cpu_table_publish(void)
{
    __asm__ volatile("dsb ishst" ::: "memory");
}

static uint64_t cache_line(void)
{
    return UINT64_C(4) << (sysreg_read(ctr_el0) >> 16 & 0xfU); /* DminLine: log2 of words */
}

/* Clean to the point of coherency (Arm ARM D7.5.9): a guest with its caches off reads there. */
static void clean(uint64_t start, uint64_t size)
{
    uint64_t line = cache_line();

    for (uint64_t at = start & ~(line - 1); at < start + size; at += line) {
        __asm__ volatile("dc cvac, %0" ::"r"(at) : "memory");
    }
    __asm__ volatile("dsb ish" ::: "memory");
}

/* Zero and clean, where a line is what DC ZVA zeroes. This is most of a first touch, so it goes by eight lines. */
static void zero_lines(uint64_t at, uint64_t size, uint64_t line)
{
    for (uint64_t end = at + size; at != end;) {
        __asm__ volatile(".rept 8\n\t"
                         "dc zva, %0\n\t"
                         "dc cvac, %0\n\t"
                         "add %0, %0, %1\n\t"
                         ".endr"
                         : "+r"(at)
                         : "r"(line)
                         : "memory");
    }
    __asm__ volatile("dsb ish" ::: "memory");
}

/* DCZID_EL0: DZP, DC ZVA is prohibited; BS, log2 of the words that it zeroes. */
static __attribute__((noinline)) void zero_blocks(void *start, uint64_t size, uint64_t dczid)
{
    uint64_t from = (uint64_t)(uintptr_t)start, block = UINT64_C(4) << (dczid & 0xfU);

    if ((dczid & 0x10U) != 0) {
        memset(start, 0, size);
    } else {
        for (uint64_t at = from; at != from + size; at += block) {
            __asm__ volatile("dc zva, %0" ::"r"(at) : "memory");
        }
    }
    clean(from, size);
}

void a64_cpu_zero(void *start, uint64_t size)
{
    uint64_t dczid = sysreg_read(dczid_el0), line = cache_line();

    if (line == UINT64_C(4) << (dczid & 0x1fU) && line <= AXVM_PAGE_SIZE / 8) { /* with DZP, no line is as long */
        zero_lines((uint64_t)(uintptr_t)start, size, line);
    } else {
        zero_blocks(start, size, dczid);
    }
}

void a64_cpu_clean_code(const void *start, uint64_t size)
{
    clean((uint64_t)(uintptr_t)start, size);
    __asm__ volatile("ic ialluis\n\tdsb ish\n\tisb" ::: "memory");
}
