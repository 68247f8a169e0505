/* SPDX-License-Identifier: Apache-2.0 */
/* The hostile guest's memory: page tables, slots, and the addresses and values that it tries. */
#include "hostile_parts.h"

#define PAGE 4096U
#define GIB (UINT64_C(1) << 30)
#define USER_BASE (200 * GIB)
#define USER_WINDOW 0x8000U /* of a CPU */
#define SCRATCH_BASE UINT64_C(0x81000000) /* far from what this program needs: offsets go astray */
#define SCRATCH_STRIDE 0x100000U

#define PTE_TABLE 0x01U
#define PTE_ALL 0xcfU /* V, R, W, X, A, D */
#define PTE_USER 0x10U
#define PTE_WRITE 0x04U
#define PTE_EXECUTE 0x08U

#define PAGE_ALIGNED __attribute__((aligned(4096)))

/*
 * The root of each CPU: the lower half is the same for all, and identity but for the windows of U mode; the upper half
 * is its own to play with. With another table or two above them the same holds for Sv48 and Sv57.
 */
static uint64_t own_tables[HOSTILE_CPUS][3][512] PAGE_ALIGNED, upper_tables[HOSTILE_CPUS][2][512] PAGE_ALIGNED;
static uint64_t user_level1[512] PAGE_ALIGNED, user_level0[512] PAGE_ALIGNED;
static uint32_t slots[HOSTILE_CPUS][SLOT_WORDS] PAGE_ALIGNED, arenas[HOSTILE_CPUS][SLOT_WORDS] PAGE_ALIGNED;

/* ---- Tables ------------------------------------------------------------------------------------------------------ */

static uint64_t address(const volatile void *at)
{
    return (uint64_t)(uintptr_t)at;
}

static uint64_t pte(uint64_t at, uint64_t flags)
{
    return at >> 12 << 10 | flags;
}

uint64_t satp_of(const struct hostile_cpu *cpu, unsigned mode)
{
    uint64_t root = mode == 8 ? address(cpu->tables[0]) : address(upper_tables[cpu->index][mode - 9]);

    return (uint64_t)mode << 60 | root >> 12;
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
    return &user_level0[(cpu->index * USER_WINDOW >> 12) + page];
}

void user_any_set(struct hostile_cpu *cpu, uint64_t target)
{
    *user_entry(cpu, USER_ANY) = pte(target & UINT64_C(0xfffffffffff000), PTE_ALL | PTE_USER);
    __asm__ volatile("sfence.vma %0" ::"r"(user_page(cpu, USER_ANY)) : "memory");
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
        cpu->arena[i] = i != 0 ? SLOT_END : index % 2 == 0 ? INSN_NOP : INSN_C_NOP << 16 | INSN_C_NOP;
    }
    for (uint64_t i = 0; i < 256; i++) {
        cpu->tables[0][i] = pte(i * GIB, PTE_ALL);
    }
    cpu->tables[0][USER_BASE / GIB] = pte(address(user_level1), PTE_TABLE);
    upper_tables[index][0][0] = pte(address(cpu->tables[0]), PTE_TABLE);
    upper_tables[index][1][0] = pte(address(upper_tables[index][0]), PTE_TABLE);
    *user_entry(cpu, USER_SLOT) = pte(address(cpu->slot), (PTE_ALL & ~PTE_WRITE) | PTE_USER);
    *user_entry(cpu, USER_DATA) = pte(scratch_page(cpu), (PTE_ALL & ~PTE_EXECUTE) | PTE_USER);
    cpu->satp = satp_of(cpu, 8);
}

void tables_init(void)
{
    user_level1[0] = pte(address(user_level0), PTE_TABLE);
    for (unsigned i = 0; i < HOSTILE_CPUS; i++) {
        cpu_init(&hostile_cpus[i], i);
    }
}

/* ---- Slots ------------------------------------------------------------------------------------------------------- */

void code_changed(const void *start, unsigned size)
{
    (void)start;
    (void)size;
    barrier("fence rw, rw\n\tfence.i");
}

void slot_begin(struct hostile_cpu *cpu)
{
    uint64_t small = random64(cpu);

    for (unsigned i = 1; i < HOSTILE_REGS; i++) {
        cpu->x[i] = small >> i & 0xfff;
    }
    cpu->x[X_A7] = SBI_BASE; /* an ecall that came about by itself ends nothing */
    cpu->x[X_SP] = scratch_page(cpu) + PAGE;
    cpu->pc = address(cpu->slot);
    cpu->status = SSTATUS_SPP | SSTATUS_FS | (machine.arch.vector ? SSTATUS_VS : 0);
    cpu->status |= (small >> 60 & 3) == 0 ? SSTATUS_SPIE : 0;
    cpu->slot_used = 0;
}

void slot_add(struct hostile_cpu *cpu, uint32_t insn)
{
    cpu->slot[cpu->slot_used++] = insn;
}

bool left_by_end(const struct hostile_cpu *cpu)
{
    return cpu->cause == CAUSE_BREAKPOINT;
}

/* What an interrupt's handler may do, and much that none should; but that its cause may go on is up to slot_enter(). */
static void take_interrupt(struct hostile_cpu *cpu)
{
    uint64_t what = random64(cpu);
    uint64_t claim = machine.arch.plic + PLIC_CLAIM(machine.arch.context[cpu->index]);

    switch (cpu->cause & ~CAUSE_INTERRUPT) {
    case IRQ_SOFT:
        csr_clear(sip, what << 1 & 2);
        break;
    case IRQ_TIMER:
        (void)sbi(SBI_TIME, 0, (what & 1) != 0 ? UINT64_MAX : ticks() + (what >> 8 & 0xff));
        break;
    case IRQ_EXTERNAL:
        what = (what & 7) != 0 ? mmio_read32(claim) : what >> 8 & 0x7f;
        mmio_write32(claim, (uint32_t)what);
        break;
    default:
        failed(cpu, "interrupt %llu", (unsigned long long)(cpu->cause & ~CAUSE_INTERRUPT));
        break;
    }
}

bool may_loop(const struct hostile_cpu *cpu)
{
    return cpu->leashed || (cpu->status & SSTATUS_SPP) == 0; /* U mode */
}

/* What loops, a timer ends. */
static void keep_on_leash(struct hostile_cpu *cpu)
{
    cpu->status |= cpu->leashed ? SSTATUS_SPIE : 0;
    if (may_loop(cpu)) {
        (void)sbi(SBI_TIME, 0, ticks() + ticks_per_second() / 50000);
        csr_set(sie, UINT64_C(1) << IRQ_TIMER);
    }
}

/*
 * Interrupts come before an instruction as often as they like, but not for ever. They end what waits: with all of them
 * off, nothing would.
 */
void slot_enter(struct hostile_cpu *cpu)
{
    unsigned patience = 4;

    keep_on_leash(cpu);
    hostile_enter(cpu);
    while ((cpu->cause & CAUSE_INTERRUPT) != 0) {
        take_interrupt(cpu);
        if (cpu->waiting) {
            return;
        }
        if (--patience == 0) {
            if (may_loop(cpu)) {
                return;
            }
            csr_write(sie, 0);
        }
        keep_on_leash(cpu);
        hostile_enter(cpu);
    }
}

/* ---- What to try ------------------------------------------------------------------------------------------------- */

/*
 * Where something begins or ends, in this guest's map as the tests make it (read-only, unreadable, lazy RAM), or
 * nothing; the first ones aren't for the bare machine, which one of them ends.
 */
static const uint64_t places[] = {
    0x00000000, 0x00100000, 0x00100ffc, 0x02000000, 0x0c5ffffc, 0x0c600000,  0x10000100,  0x10001000,
    0x80000000, 0x81fff000, 0x82000000, 0x90000000, 0x900ffff8, 0x90100000,  0x91000000,  0x91100000,
    0xa0000000, 0xa3fff000, 0xa4000000, 0x18000000, 0x7ffff000, 0xfffff000,  0x100000000, 0x1ffffff000,
    0x2000000000, 0x3fffffff000, 0xfffffffffff000,
};

#define PLACES_OF_VMS 17U

uint64_t random_place(struct hostile_cpu *cpu)
{
    unsigned first = is_strict() ? 0 : PLACES_OF_VMS;
    uint64_t plic = machine.arch.plic;

    switch (below(cpu, 8)) {
    case 0:
        return plic + below(cpu, 0x600000);
    case 1:
        return plic + below(cpu, 96) * 4;
    case 2:
        return plic + 0x1000 + below(cpu, 0x1000 + 0x80 * (2U * machine.cpu_count + 1U));
    case 3:
        return plic + PLIC_THRESHOLD(below(cpu, 2U * machine.cpu_count + 1U)) + below(cpu, 12);
    case 4:
        return machine.uart + 1 + below(cpu, 0xff); /* not its data register, of whose output there would be too much */
    case 5:
        return machine.arch.rtc + below(cpu, 0x1000);
    case 6:
        return scratch_page(cpu) + below(cpu, 2 * PAGE);
    default:
        return places[first + below(cpu, COUNT(places) - first)];
    }
}

bool may_try(uint64_t target)
{
    return target != machine.uart; /* its data register: of its output there would be too much */
}
