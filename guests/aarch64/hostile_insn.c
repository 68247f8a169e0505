/* SPDX-License-Identifier: Apache-2.0 */
/* Instructions of all other kinds: system registers by encoding, random words at EL1 and EL0, impossible states. */
#include "hostile_parts.h"

/* ---- System instructions ----------------------------------------------------------------------------------------- */

#define SCTLR_EL1 SYSREG(3, 0, 1, 0, 0)
#define TTBR0_EL1 SYSREG(3, 0, 2, 0, 0)
#define TTBR1_EL1 SYSREG(3, 0, 2, 0, 1)
#define TCR_EL1 SYSREG(3, 0, 2, 0, 2)
#define MAIR_EL1 SYSREG(3, 0, 10, 2, 0)
#define VBAR_EL1 SYSREG(3, 0, 12, 0, 0)

/* Writing these needs more care: op_wild(). */
static bool is_vital(uint32_t reg)
{
    return reg == SCTLR_EL1 || reg == TTBR0_EL1 || reg == TCR_EL1 || reg == MAIR_EL1 || reg == VBAR_EL1;
}

/*
 * QEMU 7.2 itself doesn't survive some values of these: it asserts that ICC_BPR<n> isn't written with multiples of 8,
 * and never comes back when a CNTV_CVAL plus the hypervisor's offset is past 2^64. Elsewhere they are tried with
 * others.
 */
static bool kills_qemu(uint32_t reg)
{
    return reg == SYSREG(3, 0, 12, 8, 3) || reg == SYSREG(3, 0, 12, 12, 3) || reg == SYSREG(3, 3, 14, 3, 0) ||
           reg == SYSREG(3, 3, 14, 3, 2);
}

/* Hints and their like, of which some wait. */
static bool is_hint(uint32_t reg)
{
    return reg >> 11 == 3 && (reg >> 7 & 0xf) >= 1 && (reg >> 7 & 0xf) <= 2;
}

static uint32_t random_sysreg(struct hostile_cpu *cpu)
{
    uint64_t random = random64(cpu);
    uint32_t reg = random & 0xffff;

    if ((random >> 16 & 3) != 0) {
        reg |= 3U << 14; /* mostly registers proper */
    }
    if ((random >> 18 & 3) == 0) {
        reg &= ~(7U << 11); /* mostly of EL1 */
    }
    return reg;
}

static void add_sysreg(struct hostile_cpu *cpu)
{
    uint64_t random = random64(cpu);
    uint32_t reg = random_sysreg(cpu);
    unsigned rt = random & 31;

    if (is_hint(reg)) {
        return;
    }
    if ((random & 0x20) != 0 || is_vital(reg) || kills_qemu(reg)) {
        slot_add(cpu, insn_mrs(reg, rt));
    } else {
        slot_add(cpu, insn_msr(reg, rt));
    }
    if (rt < 31) {
        cpu->x[rt] = random_value(cpu);
    }
}

void op_sysreg(struct hostile_cpu *cpu)
{
    uint64_t end;

    slot_begin(cpu);
    for (unsigned i = 0; i < 4; i++) {
        add_sysreg(cpu);
    }
    end = cpu->pc + 4 * cpu->slot_used + 4;
    while (true) {
        slot_run(cpu);
        cpu->slot_used--; /* the SVC */
        if (left_by_end(cpu) || cpu->pc >= end - 4 || cpu->pc < (uint64_t)(uintptr_t)cpu->slot) {
            break;
        }
        cpu->pc += 4; /* go on behind what can't be done */
    }
}

/* ---- Registers that translation depends on, while the MMU is off or odd ------------------------------------------ */

#define SCTLR_M 1U
#define SCTLR_EE (UINT64_C(1) << 25)

static uint32_t something_that_traps(struct hostile_cpu *cpu)
{
    static const uint32_t insns[] = {
        INSN_HVC, INSN_SMC, 0xf9400085 /* ldr x5, [x4] */, 0xb8004485 /* str w5, [x4], #4 */,
        0xd5380020 /* mrs x0, id_pfr.. */,
        0xa9401885 /* ldp x5, x6, [x4] */, 0x4c407084 /* ld1 {v4.16b}, [x4] */, 0xd65f0080 /* ret x4 */,
        0xd50b7e24 /* dc civac, x4 */, 0x00000000 /* udf */, 0xc85f7c85 /* ldxr x5, [x4] */,
    };

    return insns[below(cpu, sizeof(insns) / sizeof(insns[0]))];
}

static void wild_vbar(struct hostile_cpu *cpu)
{
    cpu->x[1] = random_value(cpu);
    cpu->x[2] = reg_read(vbar_el1);
    slot_add(cpu, insn_msr(VBAR_EL1, 1));
    slot_add(cpu, insn_mrs(VBAR_EL1, 3));
    slot_add(cpu, insn_msr(VBAR_EL1, 2));
    slot_add(cpu, INSN_ISB);
}

/* The way out makes all of it as it should be, before it uses memory. */
void op_wild(struct hostile_cpu *cpu)
{
    static const uint32_t regs[] = {TTBR0_EL1, TCR_EL1, MAIR_EL1, TTBR1_EL1};
    uint64_t sctlr = SANE_SCTLR ^ (random64(cpu) & random64(cpu));

    slot_begin(cpu);
    cpu->pstate |= 0x3c0; /* what comes back from an interrupt is sane */
    if (below(cpu, 8) == 0) {
        wild_vbar(cpu);
        slot_run(cpu);
        return;
    }
    cpu->x[4] = random_code_target(cpu); /* one of them is a jump */
    if (below(cpu, 2) != 0) {
        cpu->x[1] = sctlr & ~(uint64_t)SCTLR_M;
        cpu->x[2] = random_value(cpu);
        cpu->x[0] = 0x84000000;
        slot_add(cpu, insn_msr(SCTLR_EL1, 1));
        slot_add(cpu, INSN_ISB);
        slot_add(cpu, insn_msr(regs[below(cpu, 4)], 2));
    } else {
        cpu->x[1] = (sctlr & ~SCTLR_EE) | SCTLR_M; /* EE turns the tables' descriptors around, too */
        slot_add(cpu, insn_msr(SCTLR_EL1, 1));
    }
    slot_add(cpu, INSN_ISB);
    slot_add(cpu, something_that_traps(cpu));
    slot_run(cpu);
}

/* ---- Random words ------------------------------------------------------------------------------------------------ */

static bool is_branch_or_system(uint32_t insn)
{
    return (insn >> 26 & 7) == 5;
}

static bool is_memory(uint32_t insn)
{
    return (insn & 0x0a000000) == 0x08000000;
}

static bool is_exception(uint32_t insn)
{
    return insn >> 24 == 0xd4;
}

/* At EL1: no memory, whose addresses would be random as well, and no branches. */
void op_insn(struct hostile_cpu *cpu)
{
    uint32_t insn;

    slot_begin(cpu);
    do {
        insn = (uint32_t)random64(cpu);
        if (below(cpu, 8) == 0) {
            insn = 0xd4000000 | (insn & 0xe0001f) | (insn >> 8 & 0xffff) << 5;
        }
    } while (is_memory(insn) || (is_branch_or_system(insn) && !is_exception(insn)));
    slot_add(cpu, insn);
    slot_run(cpu);
}

/* Where a direct branch goes, in words; 1 for all else. */
static int64_t branch_offset(uint32_t insn)
{
    if ((insn & 0x7c000000) == 0x14000000) { /* B, BL */
        return (int32_t)(insn << 6) >> 6;
    }
    if ((insn & 0xfe000000) == 0x54000000 || (insn & 0x7e000000) == 0x34000000) { /* B.cond, CBZ, CBNZ */
        return (int32_t)(insn << 8) >> 13;
    }
    if ((insn & 0x7e000000) == 0x36000000) { /* TBZ, TBNZ */
        return (int32_t)(insn << 13) >> 18;
    }
    return 1;
}

/* At EL0, anything that doesn't wait and doesn't loop. */
static uint32_t random_user_insn(struct hostile_cpu *cpu)
{
    uint32_t insn;

    do {
        insn = (uint32_t)random64(cpu);
    } while (((insn & 0xfffff000) == 0xd5032000 || (insn & 0xfffff000) == 0xd5031000) ||
             (branch_offset(insn) <= 0 && branch_offset(insn) > -8));
    return insn;
}

static void user_registers(struct hostile_cpu *cpu)
{
    for (unsigned i = 0; i < 31; i += 2) {
        cpu->x[i] = user_page(cpu, (unsigned)below(cpu, 4)) + (random64(cpu) & 0xfff);
    }
    cpu->x[28] = random_value(cpu);
    cpu->sp = user_page(cpu, USER_DATA) + (random64(cpu) & 0xff0);
    cpu->pc = user_page(cpu, USER_SLOT);
}

void op_user(struct hostile_cpu *cpu)
{
    unsigned count = 1 + (unsigned)below(cpu, 4);

    if (below(cpu, 16) == 0) {
        user_any_set(cpu, random_target(cpu));
    }
    reg_write(cntkctl_el1, random64(cpu) & ~UINT64_C(0x100)); /* EL0VTEN: see kills_qemu() */
    reg_write(cpacr_el1, random64(cpu) & (3U << 20));
    slot_begin(cpu);
    cpu->pstate &= ~UINT64_C(0xf);
    user_registers(cpu);
    while (count-- > 0) {
        slot_add(cpu, random_user_insn(cpu));
    }
    slot_run(cpu);
}

/* ---- Impossible states ------------------------------------------------------------------------------------------- */

/* AArch32 code at EL0 is whatever the words say. */
void op_eret(struct hostile_cpu *cpu)
{
    uint64_t random = random64(cpu);

    slot_begin(cpu);
    cpu->pstate = random >> 32 & ((random & 3) == 0 ? UINT64_MAX : UINT64_C(0xf3f00fff));
    if ((cpu->pstate & 0x1c) != 4) {
        user_registers(cpu);
    }
    slot_add(cpu, (cpu->pstate & 0x10) != 0 ? (uint32_t)random64(cpu) : something_that_traps(cpu));
    slot_run(cpu);
}
