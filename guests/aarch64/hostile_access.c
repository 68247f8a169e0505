/* SPDX-License-Identifier: Apache-2.0 */
/* Memory: every instruction form on every kind of address, also through translation tables that are up to no good. */
#include "hostile_parts.h"
#include <string.h>

#define BASE 1U /* x1 has the address */

/* ---- Instructions that access memory ----------------------------------------------------------------------------- */

/* The forms that matter most: fixed bits, and those that are random. All of the class comes besides. */
static const struct {
    uint32_t fixed, random;
} forms[] = {
    {0x38000000, 0xc7dffc1f}, /* loads and stores: unscaled, pre- and post-indexed, unprivileged; SIMD and FP, too */
    {0x39000000, 0xc6fffc1f}, /* unsigned offset */
    {0x38200800, 0xc4dff41f}, /* register offset */
    {0x28000000, 0xd5fffc1f}, /* pairs */
    {0x08000000, 0xc0fffc1f}, /* exclusive, ordered, compare and swap */
    {0x38200000, 0xc0dffc1f}, /* atomics */
    {0x19000000, 0xc0dff01f}, /* RCpc, unscaled; tags */
    {0x0c000000, 0x41fffc1f}, /* SIMD structures */
    {0xd50b7000, 0x00000fff}, /* cache maintenance by address, DC ZVA */
    {0xd5087000, 0x000007ff}, /* cache maintenance and address translation of EL1 */
    {0x08000000, 0xf5fffc1f}, /* all of the class */
};

static uint32_t random_access(struct hostile_cpu *cpu)
{
    unsigned form = (unsigned)below(cpu, sizeof(forms) / sizeof(forms[0]));
    uint32_t insn = forms[form].fixed | ((uint32_t)random64(cpu) & forms[form].random);

    if (insn >> 24 == 0xd5) {
        return (insn & ~0x1fU) | BASE;
    }
    return (insn & ~(0x1fU << 5)) | BASE << 5;
}

/* ---- Does it leave alone what it shall not touch? ---------------------------------------------------------------- */

static bool names(uint32_t insn, unsigned reg)
{
    unsigned rt = insn & 31, rn = insn >> 5 & 31, rt2 = insn >> 10 & 31, rs = insn >> 16 & 31;

    return reg == rt || reg == rt + 1 || reg == rn || reg == rt2 || reg == rs || reg == rs + 1;
}

static void check_effects(struct hostile_cpu *cpu, uint32_t insn, const uint64_t before[31])
{
    uint64_t start = (uint64_t)(uintptr_t)cpu->slot;

    for (unsigned i = 0; i < 31; i++) {
        if (cpu->x[i] != before[i] && !names(insn, i)) {
            failed(cpu, "%08x at %#llx changed x%u from %#llx to %#llx", insn, (unsigned long long)before[BASE], i,
                   (unsigned long long)before[i], (unsigned long long)cpu->x[i]);
        }
    }
    if (cpu->pc != (left_by_end(cpu) ? start + 8 : start)) {
        failed(cpu, "%08x at %#llx: esr %#llx at pc %#llx, not %#llx", insn, (unsigned long long)before[BASE],
               (unsigned long long)cpu->esr, (unsigned long long)cpu->pc, (unsigned long long)start);
    }
}

void try_access(struct hostile_cpu *cpu, uint64_t target)
{
    uint64_t before[31];
    uint32_t insn = random_access(cpu);

    reg_write(cpacr_el1, below(cpu, 8) != 0 ? 3U << 20 : 0);
    cpu->x[BASE] = target;
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
        for (unsigned i = 0; i < 4; i++) {
            slot_add(cpu, random_access(cpu));
        }
        cpu->x[BASE] = target;
        slot_run(cpu);
        break;
    case 1: /* from EL0 */
        user_any_set(cpu, target);
        cpu->pstate &= ~UINT64_C(0xf);
        cpu->pc = user_page(cpu, USER_SLOT);
        cpu->x[BASE] = user_page(cpu, USER_ANY) + (target & 0xfff);
        slot_add(cpu, random_access(cpu));
        slot_run(cpu);
        break;
    case 2: /* executed */
        cpu->pc = random_code_target(cpu) & ~UINT64_C(3);
        slot_run(cpu);
        break;
    default:
        try_access(cpu, target);
        break;
    }
}

/* ---- Translation: the second range is this CPU's to play with ---------------------------------------------------- */

#define HIGH UINT64_C(0xffffff8000000000) /* T1SZ 25, as T0SZ is */
#define TCR_T1 (UINT64_C(25) << 16 | UINT64_C(2) << 30) /* 4 KiB granule */
/* What may be random: walk attributes, IPS, AS, TBI1, HA, HD, HPD, HWU, NFD, E0PD */
#define TCR_RANDOM UINT64_C(0x01e7ffd73f000000)
#define TCR_EPD1 UINT64_C(0x800000)

static uint64_t random_attributes(struct hostile_cpu *cpu)
{
    uint64_t random = random64(cpu);
    uint64_t attributes = (random & 0x3dc) | 0x401; /* attributes, NS off, AP, SH; AF, valid */

    attributes ^= (random >> 12 & 7) == 0 ? 0x400 : 0;
    attributes |= (random >> 16 & 3) == 0 ? random & UINT64_C(0x0078000000000800) : 0; /* nG, DBM, Cont, PXN, UXN */
    return attributes;
}

uint64_t alias_page(uint64_t random)
{
    return HIGH | (random & UINT64_C(0x7ffffff000));
}

void alias_to(struct hostile_cpu *cpu, uint64_t va, uint64_t target)
{
    uint64_t *level1 = &cpu->tables[0][va >> 30 & 511], *level2 = &cpu->tables[1][va >> 21 & 511];
    uint64_t *level3 = &cpu->tables[2][va >> 12 & 511];
    uint64_t page = target & UINT64_C(0xfffffffff000);

    *level1 = (uint64_t)(uintptr_t)cpu->tables[1] | 3;
    *level2 = (uint64_t)(uintptr_t)cpu->tables[2] | 3;
    switch (below(cpu, 8)) {
    case 0:
        *level1 = page | random_attributes(cpu);
        break;
    case 1:
        *level2 = page | random_attributes(cpu);
        break;
    case 2:
        *level1 = (random_target(cpu) & UINT64_C(0xfffffffff000)) | 3; /* a table that may be anywhere */
        break;
    case 3:
        *level2 = (random_target(cpu) & UINT64_C(0xfffffffff000)) | 3;
        break;
    case 4:
        *level3 = random64(cpu);
        break;
    default:
        *level3 = page | random_attributes(cpu) | 2;
        break;
    }
}

void alias_begin(struct hostile_cpu *cpu)
{
    extern uint64_t hostile_tables[];
    uint64_t tcr = SANE_TCR_LOW | (uint64_t)SANE_TCR_HIGH << 32;
    uint64_t root = (uint64_t)(uintptr_t)cpu->tables[0];
    uint64_t random = random64(cpu);

    tcr = (tcr & ~(TCR_EPD1 | TCR_RANDOM)) | TCR_T1 | (random & TCR_RANDOM);
    if ((random & 7) == 0) {
        root = random_target(cpu) & ~UINT64_C(0xfff);
    } else if ((random & 7) == 1) {
        root = (uint64_t)(uintptr_t)hostile_tables;
    }
    reg_write(ttbr1_el1, root);
    reg_write(tcr_el1, tcr);
    reg_write(mair_el1, SANE_MAIR | random64(cpu) << 16);
    barrier("dsb ishst\n\tisb\n\ttlbi vmalle1\n\tdsb sy\n\tisb");
    (void)reg_read(S3_0_C7_C4_0); /* PAR_EL1: of what random instructions asked for */
}

/* ---- Memory that is populated on first touch --------------------------------------------------------------------- */

bool lazy_access(struct hostile_cpu *cpu, uint64_t at, uint64_t mark, uint64_t *first, uint64_t *last)
{
    slot_begin(cpu);
    cpu->x[1] = at;
    cpu->x[4] = mark;
    slot_add(cpu, 0xf9400022); /* ldr x2, [x1] */
    slot_add(cpu, 0xf947fc23); /* ldr x3, [x1, #4088] */
    slot_add(cpu, 0xf9000024); /* str x4, [x1] */
    slot_add(cpu, 0xf907fc24); /* str x4, [x1, #4088] */
    slot_run(cpu);
    *first = cpu->x[2];
    *last = cpu->x[3];
    return left_by_end(cpu);
}

/* ---- The instruction that traps is not the one that is there any more -------------------------------------------- */

static void rewrite(struct hostile_cpu *cpu, uint32_t *arena)
{
    uint32_t insn = random_access(cpu);

    if (insn >> 24 != 0xd5) {
        insn = (insn & ~(0x1fU << 5)) | (uint32_t)below(cpu, 32) << 5;
    }
    *(volatile uint32_t *)arena = insn;
    code_changed(arena, 4);
}

void op_race(struct hostile_cpu *cpu)
{
    uint64_t here = (uint64_t)(uintptr_t)cpu->arena;

    for (unsigned i = 0; i < 4; i++) {
        rewrite(cpu, hostile_cpus[below(cpu, machine.cpu_count)].arena);
    }
    for (unsigned i = 0; i < 4; i++) {
        slot_begin(cpu);
        for (unsigned reg = 0; reg < 31; reg += 4) {
            cpu->x[reg] = random_target(cpu);
        }
        cpu->x[BASE] = random_target(cpu);
        cpu->pc = here;
        slot_run(cpu);
        if (cpu->pc != here && cpu->pc != here + 8) {
            failed(cpu, "arena: esr %#llx at pc %#llx", (unsigned long long)cpu->esr, (unsigned long long)cpu->pc);
        }
    }
}
