/* SPDX-License-Identifier: Apache-2.0 */
/* Instructions of all other kinds: CSRs by encoding, random words in S and U mode, impossible states. */
#include "hostile_parts.h"

/* ---- CSRs -------------------------------------------------------------------------------------------------------- */

/* Writing these needs more care: op_wild(). */
static bool is_vital(uint32_t csr)
{
    return csr == CSR_STVEC || csr == CSR_SATP;
}

static uint32_t random_csr(struct hostile_cpu *cpu)
{
    static const uint16_t blocks[] = {0x000, 0x100, 0x140, 0x180, 0x200, 0x240, 0x280, 0x300, 0x340, 0x5a0,
                                      0x600, 0x640, 0x680, 0xc00, 0xc20, 0xda0, 0xe10, 0xf10};
    uint64_t random = random64(cpu);

    if ((random >> 16 & 3) == 0) {
        return random & 0xfff;
    }
    return blocks[below(cpu, COUNT(blocks))] + (random & 0x1f);
}

/* csrrw, csrrs, csrrc, and their immediate forms; 4 is none. */
static void add_csr(struct hostile_cpu *cpu)
{
    uint64_t random = random64(cpu);
    uint32_t csr = random_csr(cpu), rd = random & 31, rs = random >> 5 & 31;
    uint32_t operation = random >> 10 & 7;

    if ((operation & 3) == 0) {
        operation |= 2;
    }
    if (is_vital(csr)) {
        operation = 2;
        rs = 0;
    }
    slot_add(cpu, csr << 20 | rs << 15 | operation << 12 | rd << 7 | 0x73);
    if (rs != 0 && below(cpu, 2) != 0) {
        cpu->x[rs] = random_value(cpu);
    }
}

void op_csr(struct hostile_cpu *cpu)
{
    uint64_t start, end;

    slot_begin(cpu);
    for (unsigned i = 0; i < 4; i++) {
        add_csr(cpu);
    }
    start = cpu->pc;
    end = start + 4 * cpu->slot_used;
    while (true) {
        slot_run(cpu);
        cpu->slot_used--; /* SLOT_END */
        if (left_by_end(cpu) || cpu->pc >= end || cpu->pc < start) {
            break;
        }
        cpu->status |= SSTATUS_SPP;
        cpu->pc += 4; /* go on behind what can't be done */
    }
}

/* ---- What translation and traps depend on, odd for a while ------------------------------------------------------- */

static uint32_t something_that_traps(struct hostile_cpu *cpu)
{
    static const uint32_t insns[] = {
        INSN_ECALL, 0x00073283 /* ld t0, (a4) */, 0x00573023 /* sd t0, (a4) */, 0x00070067 /* jr a4 */,
        0x60002573 /* csrr a0, hstatus */, 0x00000000, 0x1007362f /* lr.d a2, (a4) */, 0x62000073 /* hfence.gvma */,
        0x6c074573 /* hlv.d a0, (a4) */, 0x10200073 /* sret */, 0x30200073 /* mret */, 0x0007222f /* amoadd.w */,
    };
    uint32_t insn = insns[below(cpu, COUNT(insns))];

    return insn == INSN_SRET ? 0x00000073 : insn;
}

static void wild_stvec(struct hostile_cpu *cpu)
{
    cpu->x[X_A1] = random_value(cpu);
    slot_add(cpu, insn_csrrw(CSR_STVEC, X_A2, X_A1));
    slot_add(cpu, insn_csrrw(CSR_STVEC, X_A3, X_A2));
}

/* Other modes and ASIDs lead to the same; the way out makes all of it as it should be. */
void op_wild(struct hostile_cpu *cpu)
{
    unsigned mode = 7 + (unsigned)below(cpu, 4);

    slot_begin(cpu);
    cpu->status &= ~SSTATUS_SPIE;
    if (below(cpu, 8) == 0) {
        wild_stvec(cpu);
        slot_run(cpu);
        return;
    }
    cpu->x[X_A0] = below(cpu, 8);
    cpu->x[X_A6] = below(cpu, 7);
    cpu->x[14] = random_code_target(cpu); /* a4; one of them is a jump */
    cpu->x[X_A1] = mode == 7 ? 0 : satp_of(cpu, mode);
    cpu->x[X_A1] |= mode == 7 ? 0 : (random64(cpu) & 0xffff) << 44;
    if (below(cpu, 16) == 0) { /* modes that there aren't: nothing changes */
        cpu->x[X_A1] = (1 + below(cpu, 7)) << 60 | (random64(cpu) & UINT64_C(0xfffffffffffffff));
    }
    slot_add(cpu, insn_csrrw(CSR_SATP, X_A2, X_A1));
    slot_add(cpu, below(cpu, 2) != 0 ? INSN_SFENCE_VMA : INSN_FENCE_I);
    slot_add(cpu, something_that_traps(cpu));
    slot_run(cpu);
}

/* ---- Random words ------------------------------------------------------------------------------------------------ */

/* In S mode: nothing that is compressed, accesses memory, branches, calls, waits, or writes what is vital. */
static bool is_harmless(uint32_t insn)
{
    uint32_t opcode = insn & 0x7f;

    switch (opcode) {
    case 0x03: /* LOAD */
    case 0x07: /* LOAD-FP */
    case 0x23: /* STORE */
    case 0x27: /* STORE-FP */
    case 0x2f: /* AMO */
    case 0x63: /* BRANCH */
    case 0x67: /* JALR */
    case 0x6f: /* JAL */
        return false;
    case 0x0f: /* MISC-MEM: cache blocks are by address */
        return (insn >> 12 & 7) != 2;
    case 0x73:
        return insn != INSN_ECALL && insn != INSN_SRET && insn != INSN_WFI && !is_vital(insn >> 20) &&
               insn != 0x00d00073 && insn != 0x01d00073; /* wrs.nto, wrs.sto */
    default:
        return (insn & 3) == 3;
    }
}

static uint32_t random_word(struct hostile_cpu *cpu)
{
    uint32_t insn = (uint32_t)random64(cpu);

    switch (below(cpu, 4)) {
    case 0:
        return (insn & ~0x7fU) | 0x73;
    case 1:
        return (insn & 0x007ff000) | (0x20000000U * (uint32_t)below(cpu, 8)) | 0x73; /* hypervisor's, fences */
    default:
        return insn | 3;
    }
}

void op_insn(struct hostile_cpu *cpu)
{
    uint32_t insn;

    slot_begin(cpu);
    do {
        insn = random_word(cpu);
    } while (!is_harmless(insn));
    slot_add(cpu, insn);
    slot_run(cpu);
}

/* In U mode anything; what loops there, a timer ends. */
void op_user(struct hostile_cpu *cpu)
{
    unsigned count = 1 + (unsigned)below(cpu, 4);

    if (below(cpu, 16) == 0) {
        user_any_set(cpu, random_code_target(cpu));
    }
    csr_write(scounteren, random64(cpu));
    slot_begin(cpu);
    cpu->status &= ~SSTATUS_SPP;
    cpu->status ^= below(cpu, 8) == 0 ? SSTATUS_FS : 0;
    for (unsigned i = 1; i < HOSTILE_REGS; i += 2) {
        cpu->x[i] = user_page(cpu, (unsigned)below(cpu, 4)) + (random64(cpu) & 0xfff);
    }
    cpu->pc = user_page(cpu, USER_SLOT);
    while (count-- > 0) {
        slot_add(cpu, below(cpu, 4) == 0 ? random_access(cpu) : (uint32_t)random64(cpu) | (below(cpu, 2) != 0 ? 3 : 0));
    }
    slot_run(cpu);
}

/* ---- Impossible states ------------------------------------------------------------------------------------------- */

/* In U mode code is whatever the words say. */
void op_sret(struct hostile_cpu *cpu)
{
    uint64_t random = random64(cpu);

    slot_begin(cpu);
    cpu->status = random >> 8 & ((random & 3) == 0 ? UINT64_MAX : UINT64_C(0xc6722));
    if (below(cpu, 4) == 0) {
        cpu->pc = random_code_target(cpu) | (random >> 4 & 1);
    } else if ((cpu->status & SSTATUS_SPP) == 0) {
        cpu->pc = user_page(cpu, (unsigned)below(cpu, 4)) + (random >> 2 & 6);
    }
    cpu->x[14] = random_code_target(cpu);
    slot_add(cpu, something_that_traps(cpu));
    slot_run(cpu);
}
