/* SPDX-License-Identifier: Apache-2.0 */
/* The hostile guest's memory: translation tables, slots, and the addresses and values that it tries. */
#include "hostile_parts.h"
#include <string.h>

#define PAGE 4096U
#define GIB (UINT64_C(1) << 30)
#define USER_BASE UINT64_C(0xc0000000) /* AArch32 gets there, too */
#define USER_WINDOW 0x8000U /* of a CPU */
#define SCRATCH_BASE UINT64_C(0x41000000) /* far from what this program needs: indices and offsets go astray */
#define SCRATCH_STRIDE 0x100000U

#define DESC_BLOCK 0x1U
#define DESC_TABLE 0x3U
#define DESC_PAGE 0x3U
#define DESC_DEVICE (1U << 10)                 /* AF; attributes 0 */
#define DESC_NORMAL (1U << 10 | 3U << 8 | 1U << 2) /* AF, inner-shareable; attributes 1 */
#define DESC_USER (1U << 6)
#define DESC_READ_ONLY (1U << 7)
#define DESC_UXN (UINT64_C(1) << 54)
#define DESC_PXN (UINT64_C(1) << 53)

#define PAGE_ALIGNED __attribute__((aligned(4096)))

/* Levels 1 to 3 of the translation that all CPUs share: identity, but for the EL0 windows. */
extern uint64_t hostile_tables[512];
uint64_t hostile_tables[512] PAGE_ALIGNED;
static uint64_t ram_level2[512] PAGE_ALIGNED, image_level3[512] PAGE_ALIGNED;
static uint64_t user_level2[512] PAGE_ALIGNED, user_level3[512] PAGE_ALIGNED;

static uint64_t own_tables[HOSTILE_CPUS][3][512] PAGE_ALIGNED;
static uint32_t slots[HOSTILE_CPUS][SLOT_WORDS] PAGE_ALIGNED, arenas[HOSTILE_CPUS][SLOT_WORDS] PAGE_ALIGNED;

/* ---- Tables ------------------------------------------------------------------------------------------------------ */

static uint64_t address(const volatile void *at)
{
    return (uint64_t)(uintptr_t)at;
}

static void image_map(void)
{
    extern char __image_start[], __text_end[];

    for (uint64_t i = 0; i < 512; i++) {
        uint64_t at = GIB + i * PAGE;
        bool code = at >= address(__image_start) && at < address(__text_end);

        image_level3[i] = at | DESC_PAGE | DESC_NORMAL | (code ? DESC_READ_ONLY : 0);
        ram_level2[i] = (GIB + i * 0x200000) | DESC_BLOCK | DESC_NORMAL;
    }
    ram_level2[0] = address(image_level3) | DESC_TABLE;
}

uint64_t scratch_page(const struct hostile_cpu *cpu)
{
    return SCRATCH_BASE + cpu->index * SCRATCH_STRIDE;
}

uint64_t user_page(const struct hostile_cpu *cpu, unsigned page)
{
    return USER_BASE + cpu->index * USER_WINDOW + page * PAGE;
}

static uint64_t *user_entry(const struct hostile_cpu *cpu, unsigned page)
{
    return &user_level3[(cpu->index * USER_WINDOW >> 12) + page];
}

void user_any_set(struct hostile_cpu *cpu, uint64_t target)
{
    uint64_t page = user_page(cpu, USER_ANY) >> 12;

    *user_entry(cpu, USER_ANY) =
        (target & UINT64_C(0xfffffffff000)) | DESC_PAGE | DESC_USER | (below(cpu, 2) << 2) | 1U << 10;
    __asm__ volatile("dsb ishst\n\ttlbi vaae1is, %0\n\tdsb ish\n\tisb" ::"r"(page) : "memory");
}

static void cpu_init(struct hostile_cpu *cpu, unsigned index)
{
    cpu->index = index;
    cpu->slot = slots[index];
    cpu->arena = arenas[index];
    for (unsigned level = 0; level < 3; level++) {
        cpu->tables[level] = own_tables[index][level];
    }
    for (unsigned i = 0; i < SLOT_WORDS; i++) {
        cpu->slot[i] = SLOT_END;
        cpu->arena[i] = i == 0 ? INSN_NOP : SLOT_END;
    }
    *user_entry(cpu, USER_SLOT) = address(cpu->slot) | DESC_PAGE | DESC_NORMAL | DESC_USER | DESC_READ_ONLY;
    *user_entry(cpu, USER_DATA) = scratch_page(cpu) | DESC_PAGE | DESC_NORMAL | DESC_USER | DESC_UXN;
}

void tables_init(void)
{
    for (uint64_t i = 0; i < 512; i++) {
        hostile_tables[i] = i * GIB | DESC_BLOCK | DESC_UXN | (i == 0 ? DESC_DEVICE : DESC_NORMAL);
    }
    image_map();
    hostile_tables[1] = address(ram_level2) | DESC_TABLE;
    hostile_tables[USER_BASE / GIB] = address(user_level2) | DESC_TABLE;
    user_level2[0] = address(user_level3) | DESC_TABLE;
    for (unsigned i = 0; i < HOSTILE_CPUS; i++) {
        cpu_init(&hostile_cpus[i], i);
    }
}

/* ---- Slots ------------------------------------------------------------------------------------------------------- */

void code_changed(const void *start, unsigned size)
{
    for (uint64_t at = address(start) & ~UINT64_C(15); at < address(start) + size; at += 16) {
        __asm__ volatile("dc cvau, %0" ::"r"(at) : "memory");
    }
    barrier("dsb ish");
    for (uint64_t at = address(start) & ~UINT64_C(15); at < address(start) + size; at += 16) {
        __asm__ volatile("ic ivau, %0" ::"r"(at) : "memory");
    }
    barrier("dsb ish\n\tisb");
}

void slot_begin(struct hostile_cpu *cpu)
{
    uint64_t small = random64(cpu);

    for (unsigned i = 0; i < 31; i++) {
        cpu->x[i] = small >> i & 0xfff;
    }
    cpu->sp = scratch_page(cpu) + PAGE;
    cpu->pc = address(cpu->slot);
    cpu->pstate = 0x305 | (small >> 60 & 3) << 6; /* EL1h; D and A masked, F and I perhaps */
    cpu->slot_used = 0;
}

void slot_add(struct hostile_cpu *cpu, uint32_t insn)
{
    cpu->slot[cpu->slot_used++] = insn;
}

bool left_by_end(const struct hostile_cpu *cpu)
{
    return cpu->vector % 4 == 0 && cpu->esr >> 26 == 0x15;
}

/* What an interrupt's handler may do, and much that none should. */
static void take_interrupt(struct hostile_cpu *cpu)
{
    uint64_t what = random64(cpu);
    uint64_t irq = (what & 1) != 0 ? reg_read(S3_0_C12_C12_0) : reg_read(S3_0_C12_C8_0);

    barrier("dsb sy\n\tisb");
    if ((what & 6) == 0) {
        irq = what >> 8 & 0x3ff;
    }
    if ((what & 8) != 0) {
        reg_write(S3_0_C12_C12_1, irq); /* EOIR1 */
    } else {
        reg_write(S3_0_C12_C8_1, irq); /* EOIR0 */
    }
    if ((what & 0x30) == 0) {
        reg_write(S3_0_C12_C11_1, irq); /* DIR */
    }
}

bool may_loop(const struct hostile_cpu *cpu)
{
    return cpu->leashed || (cpu->pstate & 0xf) == 0; /* EL0 */
}

static void keep_on_leash(struct hostile_cpu *cpu)
{
    if (may_loop(cpu)) {
        open_interrupts(cpu);
        reg_write(cntv_cval_el0, ticks() + ticks_per_second() / 50000);
        reg_write(cntv_ctl_el0, 1);
        cpu->pstate &= ~UINT64_C(0x80); /* I */
    }
}

/*
 * Interrupts come before an instruction as often as they like, but not for ever. They end what waits, since one may
 * leave a CPU as it can't be woken, and what loops.
 */
void slot_enter(struct hostile_cpu *cpu)
{
    unsigned patience = 4;

    keep_on_leash(cpu);
    hostile_enter(cpu);
    while (cpu->vector % 4 == 1 || cpu->vector % 4 == 2) {
        take_interrupt(cpu);
        if (cpu->waiting) {
            return;
        }
        if (--patience == 0) {
            if (may_loop(cpu)) {
                return;
            }
            cpu->pstate |= 0xc0; /* I, F */
        }
        hostile_enter(cpu);
    }
    if (cpu->vector % 4 == 3) {
        failed(cpu, "SError, esr %#llx", (unsigned long long)cpu->esr);
    }
}

/* ---- What to try ------------------------------------------------------------------------------------------------- */

/*
 * Where something begins or ends, in this guest's map as the tests make it (read-only, unreadable, lazy RAM), or
 * nothing.
 */
static const uint64_t places[] = {
    0x00000000, 0x04000000, 0x07fff000, 0x08010000, 0x08080000, 0x0808ff80, 0x08090000, 0x0809f000, 0x080a0000,
    0x08120000, 0x08ffffff, 0x09000000, 0x09001000, 0x09010000, 0x09011000, 0x0a000000, 0x10000000, 0x3efff000,
    0x3ffff000, 0x41fff000, 0x42000000, 0x50000000, 0x50100000, 0x51000000, 0x51100000, 0x60000000, 0x63fff000,
    0x64000000, 0x80000000, 0xfffff000, 0x100000000, 0x4010000000, 0x7ffffff000,
};

uint64_t random_place(struct hostile_cpu *cpu)
{
    switch (below(cpu, 8)) {
    case 0:
        return machine.arch.gicd + below(cpu, 0x10000);
    case 1:
        return machine.arch.gicr + below(cpu, 0x20000U * (machine.cpu_count + 1U));
    case 2:
        return machine.arch.gicr + below(cpu, machine.cpu_count) * 0x20000U + below(cpu, 2) * 0x10000 +
               below(cpu, 0x1000);
    case 3:
        return machine.arch.gicd + 0x80 + below(cpu, 0xf80);
    case 4:
        return machine.uart + 4 + below(cpu, 0xffc); /* not its data register: that would be too much output */
    case 5:
        return 0x09010000 + below(cpu, 0x1000);
    case 6:
        return scratch_page(cpu) + below(cpu, 2 * PAGE);
    default:
        return places[below(cpu, COUNT(places))];
    }
}

/* An index into RAM, when a register with it is scaled, must not lead to what this program needs. */
bool may_try(uint64_t target)
{
    for (unsigned scale = 1; scale <= 4; scale++) {
        if (target << scale >> 23 == 0x40000000 >> 23 && target >> 16 != 0x0800) {
            return false;
        }
    }
    return true;
}
