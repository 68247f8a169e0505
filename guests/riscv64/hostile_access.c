/* SPDX-License-Identifier: Apache-2.0 */
/* Memory: every instruction form on every kind of address, also through page tables that are up to no good. */
#include "hostile_parts.h"
#include <string.h>

/* ---- Instructions that access memory ----------------------------------------------------------------------------- */

/* Fixed bits, and those that are random. Where the address is in a register of the instruction, that is BASE. */
static const struct {
    uint32_t fixed, random;
    bool compressed;
} forms[] = {
    {0x00000003, 0xfff07f80, false}, /* loads, of all widths there are and aren't */
    {0x00000003, 0x00007f80, false}, /* without an offset */
    {0x00000023, 0xfff07f80, false}, /* stores */
    {0x00000023, 0x01f07000, false},
    {0x00000007, 0xfff07f80, false}, /* FP loads, and the vectors' */
    {0x00000027, 0xfff07f80, false}, /* FP stores, and the vectors' */
    {0x02000007, 0x11f07f80, false}, /* vector loads, unmasked */
    {0x02000027, 0x11f07f80, false},
    {0x0000202f, 0xfff01f80, false}, /* atomics, also of odd widths */
    {0x1000202f, 0x06001f80, false}, /* lr */
    {0x1800202f, 0x07f01f80, false}, /* sc */
    {0x0000200f, 0x00700000, false}, /* cache blocks: inval, clean, flush, zero */
    {0x00004000, 0x00001c7c, true},  /* c.lw */
    {0x00006000, 0x00001c7c, true},  /* c.ld */
    {0x00002000, 0x00001c7c, true},  /* c.fld */
    {0x0000c000, 0x00001c7c, true},  /* c.sw */
    {0x0000e000, 0x00001c7c, true},  /* c.sd */
    {0x0000a000, 0x00001c7c, true},  /* c.fsd */
    {0x00008000, 0x00001c7c, true},  /* c.lbu and others, of Zcb */
    {0x00002002, 0x0000dffc, true},  /* by sp: c.fldsp, c.lwsp, c.ldsp; c.fsdsp, c.swsp, c.sdsp */
};

static uint32_t compressed(struct hostile_cpu *cpu, uint32_t insn)
{
    static const uint16_t by_sp[] = {0x2002, 0x4002, 0x6002, 0xa002, 0xc002, 0xe002};

    if ((insn & 3) == 2) {
        insn = by_sp[below(cpu, COUNT(by_sp))] | (insn & 0x1ffc);
    } else {
        insn = (insn & ~(7U << 7)) | (BASE - 8) << 7;
    }
    return (uint32_t)INSN_C_NOP << 16 | insn;
}

uint32_t random_access(struct hostile_cpu *cpu)
{
    unsigned form = (unsigned)below(cpu, COUNT(forms));
    uint32_t insn = forms[form].fixed | ((uint32_t)random64(cpu) & forms[form].random);

    if (forms[form].compressed) {
        return compressed(cpu, insn);
    }
    return insn | BASE << 15;
}

/* ---- Does it leave alone what it shall not touch? ---------------------------------------------------------------- */

static bool names(uint32_t insn, unsigned reg)
{
    if ((insn & 3) == 0) {
        return reg == 8 + (insn >> 2 & 7);
    }
    return reg == (insn >> 7 & 31);
}

static void check_effects(struct hostile_cpu *cpu, uint32_t insn, const uint64_t before[HOSTILE_REGS])
{
    uint64_t start = (uint64_t)(uintptr_t)cpu->slot;

    for (unsigned i = 1; i < HOSTILE_REGS; i++) {
        if (cpu->x[i] != before[i] && !names(insn, i)) {
            failed(cpu, "%08x at %#llx changed x%u from %#llx to %#llx", insn, (unsigned long long)before[BASE], i,
                   (unsigned long long)before[i], (unsigned long long)cpu->x[i]);
        }
    }
    if (cpu->pc != (left_by_end(cpu) ? start + 4 : start)) {
        failed(cpu, "%08x at %#llx: scause %#llx at sepc %#llx, not %#llx", insn, (unsigned long long)before[BASE],
               (unsigned long long)cpu->cause, (unsigned long long)cpu->pc, (unsigned long long)start);
    }
}

void try_access(struct hostile_cpu *cpu, uint64_t target)
{
    uint64_t before[HOSTILE_REGS];
    uint32_t insn = random_access(cpu);

    if (below(cpu, 8) == 0) {
        cpu->status &= ~(SSTATUS_FS | SSTATUS_VS);
    }
    cpu->status |= below(cpu, 4) == 0 ? SSTATUS_SUM : 0;
    cpu->x[BASE] = target;
    cpu->x[X_SP] = below(cpu, 2) != 0 ? target : cpu->x[X_SP];
    memcpy(before, cpu->x, sizeof(before));
    slot_add(cpu, insn);
    slot_run(cpu);
    check_effects(cpu, insn, before);
}

void op_mmio(struct hostile_cpu *cpu)
{
    uint64_t target = random_target(cpu);

    slot_begin(cpu);
    switch (below(cpu, 16)) {
    case 0: /* several at once */
        cpu->x[BASE] = cpu->x[X_SP] = target;
        for (unsigned i = 0; i < 4; i++) {
            slot_add(cpu, random_access(cpu));
        }
        slot_run(cpu);
        break;
    case 1: /* from U mode */
        user_any_set(cpu, target);
        cpu->status &= ~SSTATUS_SPP;
        cpu->pc = user_page(cpu, USER_SLOT);
        cpu->x[BASE] = user_page(cpu, USER_ANY) + (target & 0xfff);
        slot_add(cpu, random_access(cpu));
        slot_run(cpu);
        break;
    case 2: /* executed */
        cpu->pc = random_code_target(cpu) & ~UINT64_C(1);
        slot_run(cpu);
        break;
    default:
        try_access(cpu, target);
        break;
    }
}

/* ---- Translation: the upper half is this CPU's to play with ------------------------------------------------------ */

#define HIGH UINT64_C(0xffffffc000000000)
#define PPN(at) (((at) >> 12 & UINT64_C(0xfffffffffff)) << 10)

static uint64_t random_flags(struct hostile_cpu *cpu)
{
    uint64_t random = random64(cpu);
    uint64_t flags = 0xc1 | (random & 0x3e); /* V, A, D; R, W, X, U, G */

    flags ^= (random >> 12 & 7) == 0 ? 0x40 : 0; /* A */
    flags ^= (random >> 15 & 7) == 0 ? 0x80 : 0; /* D */
    flags ^= (random >> 18 & 31) == 0 ? 0x01 : 0;
    flags |= (random >> 24 & 7) == 0 ? random & UINT64_C(0xffc0000000000300) : 0; /* N, PBMT, reserved; RSW */
    return flags;
}

uint64_t alias_page(uint64_t random)
{
    return HIGH | (random & UINT64_C(0x3ffffff000));
}

void alias_to(struct hostile_cpu *cpu, uint64_t va, uint64_t target)
{
    uint64_t *level2 = &cpu->tables[0][va >> 30 & 511], *level1 = &cpu->tables[1][va >> 21 & 511];
    uint64_t *level0 = &cpu->tables[2][va >> 12 & 511];

    *level2 = PPN((uint64_t)(uintptr_t)cpu->tables[1]) | 1;
    *level1 = PPN((uint64_t)(uintptr_t)cpu->tables[2]) | 1;
    switch (below(cpu, 8)) {
    case 0:
        *level2 = PPN(target) | random_flags(cpu); /* mostly not aligned as it should be */
        break;
    case 1:
        *level1 = PPN(target) | random_flags(cpu);
        break;
    case 2:
        *level2 = PPN(random_code_target(cpu)) | 1; /* a table that may be anywhere */
        break;
    case 3:
        *level1 = PPN(random_code_target(cpu)) | 1;
        break;
    case 4:
        *level0 = PPN(target) | (random64(cpu) & UINT64_C(0xffc00000000003ff));
        break;
    default:
        *level0 = PPN(target) | random_flags(cpu);
        break;
    }
}

void alias_begin(struct hostile_cpu *cpu)
{
    (void)cpu;
    barrier("sfence.vma");
}

/* ---- Memory that is populated on first touch --------------------------------------------------------------------- */

bool lazy_access(struct hostile_cpu *cpu, uint64_t at, uint64_t mark, uint64_t *first, uint64_t *last)
{
    slot_begin(cpu);
    cpu->x[X_A1] = at;
    cpu->x[14] = at + 4088; /* a4 */
    cpu->x[15] = mark;      /* a5 */
    slot_add(cpu, 0x0005b603); /* ld a2, (a1) */
    slot_add(cpu, 0x00073683); /* ld a3, (a4) */
    slot_add(cpu, 0x00f5b023); /* sd a5, (a1) */
    slot_add(cpu, 0x00f73023); /* sd a5, (a4) */
    slot_run(cpu);
    *first = cpu->x[X_A2];
    *last = cpu->x[X_A3];
    return left_by_end(cpu);
}

/* ---- The instruction that traps is not the one that is there any more -------------------------------------------- */

/*
 * An arena has instructions of 16 bits or of 32, and no others: what is written between the halves of two short ones
 * must not be half an instruction, which may be a jump to anywhere.
 */
static void rewrite(struct hostile_cpu *cpu, const struct hostile_cpu *target)
{
    bool is_long = target->index % 2 == 0;
    uint32_t insn;

    do {
        insn = random_access(cpu);
    } while (((insn & 3) == 3) != is_long);
    if (is_long) {
        insn = (insn & ~(31U << 15)) | (uint32_t)below(cpu, 32) << 15;
    }
    *(volatile uint32_t *)target->arena = insn;
    code_changed(target->arena, 4);
}

void op_race(struct hostile_cpu *cpu)
{
    uint64_t here = (uint64_t)(uintptr_t)cpu->arena;

    for (unsigned i = 0; i < 4; i++) {
        rewrite(cpu, &hostile_cpus[below(cpu, machine.cpu_count)]);
    }
    for (unsigned i = 0; i < 4; i++) {
        slot_begin(cpu);
        for (unsigned reg = 1; reg < HOSTILE_REGS; reg++) {
            cpu->x[reg] = random_target(cpu);
        }
        cpu->pc = here;
        slot_run(cpu);
        if (cpu->pc < here || cpu->pc > here + 4) {
            failed(cpu, "arena: scause %#llx at sepc %#llx", (unsigned long long)cpu->cause,
                   (unsigned long long)cpu->pc);
        }
    }
}
