/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/riscv64/decode.h"

static unsigned bits(uint32_t word, unsigned low, unsigned width)
{
    return word >> low & ((1U << width) - 1);
}

#define FIELD_OPCODE(word) bits(word, 2, 5)
#define FIELD_RD(word) bits(word, 7, 5)
#define FIELD_FUNCT3(word) bits(word, 12, 3)
#define FIELD_RS1(word) bits(word, 15, 5)
#define FIELD_RS2(word) bits(word, 20, 5)
#define FIELD_FUNCT5(word) bits(word, 27, 5)

/* Major opcodes, bits 6:2 (table "RISC-V base opcode map"). */
enum opcode {
    OP_LOAD = 0,
    OP_LOAD_FP = 1,
    OP_MISC_MEM = 3,
    OP_STORE = 8,
    OP_STORE_FP = 9,
    OP_AMO = 11,
    OP_SYSTEM = 28,
};

/* OP, OP-IMM, OP-32, OP-IMM-32, LUI, AUIPC, MADD to OP-V, BRANCH, JALR, JAL: none of them accesses memory. */
#define OPCODES_OTHER 0x0b3f7070U

#define FUNCT3_CBO 2U        /* MISC-MEM; 0 and 1 are FENCE and FENCE.I */
#define FUNCT3_HYPERVISOR 4U /* SYSTEM: HLV and HSV, and SSPUSH */
#define FUNCT5_LR 2U

static struct rv64_insn none(enum rv64_insn_kind kind, unsigned length)
{
    return (struct rv64_insn){.kind = (uint8_t)kind, .length = (uint8_t)length};
}

/* ---- 32 bits ----------------------------------------------------------------------------------------------------- */

static struct rv64_insn load(uint32_t word, enum rv64_insn_kind kind)
{
    unsigned funct3 = FIELD_FUNCT3(word);

    return (struct rv64_insn){
        .kind = (uint8_t)kind, .length = 4, .size = (uint8_t)(1U << (funct3 & 3U)),
        .sign = kind == RV64_INSN_LOAD && funct3 < 4,
        .reg = (uint8_t)FIELD_RD(word), .base = (uint8_t)FIELD_RS1(word), .imm = (int16_t)((int32_t)word >> 20),
    };
}

static struct rv64_insn store(uint32_t word, enum rv64_insn_kind kind)
{
    return (struct rv64_insn){
        .kind = (uint8_t)kind, .length = 4, .size = (uint8_t)(1U << (FIELD_FUNCT3(word) & 3U)),
        .reg = (uint8_t)FIELD_RS2(word), .base = (uint8_t)FIELD_RS1(word),
        .imm = (int16_t)((int32_t)((word & 0xfe000000U) | FIELD_RD(word) << 20) >> 20),
    };
}

/* B to Q (Zabha, A, Zacas); LR.W and LR.D. */
static struct rv64_insn atomic(uint32_t word)
{
    bool lr = FIELD_FUNCT5(word) == FUNCT5_LR;
    unsigned funct3 = FIELD_FUNCT3(word);

    if (funct3 > 4 || (lr && funct3 != 2 && funct3 != 3)) {
        return none(RV64_INSN_UNKNOWN, 4);
    }
    return (struct rv64_insn){
        .kind = lr ? RV64_INSN_LR : RV64_INSN_AMO, .length = 4, .size = (uint8_t)(1U << funct3),
        .reg = (uint8_t)FIELD_RD(word), .base = (uint8_t)FIELD_RS1(word),
    };
}

/* LOAD-FP and STORE-FP: widths 1 to 4 are H, W, D and Q, the others a vector's elements. */
static bool is_vector(unsigned funct3)
{
    return funct3 == 0 || funct3 > 4;
}

static struct rv64_insn decode_32(uint32_t word)
{
    unsigned opcode = FIELD_OPCODE(word), funct3 = FIELD_FUNCT3(word);

    switch (opcode) {
    case OP_LOAD:
        if (funct3 != 7) {
            return load(word, RV64_INSN_LOAD);
        }
        break;
    case OP_STORE:
        if (funct3 < 4) {
            return store(word, RV64_INSN_STORE);
        }
        break;
    case OP_LOAD_FP:
        if (funct3 != 4) {
            return is_vector(funct3) ? none(RV64_INSN_LOAD_V, 4) : load(word, RV64_INSN_LOAD_F);
        }
        break;
    case OP_STORE_FP:
        if (funct3 != 4) {
            return is_vector(funct3) ? none(RV64_INSN_STORE_V, 4) : store(word, RV64_INSN_STORE_F);
        }
        break;
    case OP_AMO:
        return atomic(word);
    case OP_MISC_MEM:
        if (funct3 <= FUNCT3_CBO) {
            return none(funct3 == FUNCT3_CBO ? RV64_INSN_CBO : RV64_INSN_OTHER, 4);
        }
        break;
    case OP_SYSTEM:
        return none(funct3 == FUNCT3_HYPERVISOR ? RV64_INSN_UNKNOWN : RV64_INSN_OTHER, 4);
    default:
        return none((OPCODES_OTHER >> opcode & 1U) != 0 ? RV64_INSN_OTHER : RV64_INSN_UNKNOWN, 4);
    }
    return none(RV64_INSN_UNKNOWN, 4);
}

/* ---- 16 bits (chapter "C", section "Load and Store Instructions") ------------------------------------------------ */

#define C_SP 2U
#define C_REG(field) (8U + (field)) /* the fields of 3 bits: x8 to x15 */

/* funct3 (bits 15:13) in quadrants 0 and 2: bit 2 says store; below it, 1 is FLD, 2 LW, 3 LD. */
static struct rv64_insn compressed(uint32_t word, unsigned reg, unsigned base, unsigned imm)
{
    unsigned funct3 = bits(word, 13, 3), type = funct3 & 3U;
    bool is_store = funct3 >= 4;
    enum rv64_insn_kind kind = is_store ? RV64_INSN_STORE : RV64_INSN_LOAD;

    if (type == 1) {
        kind = is_store ? RV64_INSN_STORE_F : RV64_INSN_LOAD_F;
    }
    return (struct rv64_insn){
        .kind = (uint8_t)kind, .length = 2, .size = type == 2 ? 4 : 8, .sign = !is_store && type != 1,
        .reg = (uint8_t)reg, .base = (uint8_t)base, .imm = (int16_t)imm,
    };
}

/* Zcb: bits 12:10 are 0 LBU, 1 LHU and LH, 2 SB, 3 SH. */
static struct rv64_insn compressed_narrow(uint32_t word)
{
    unsigned op = bits(word, 10, 3), bit6 = bits(word, 6, 1), bit5 = bits(word, 5, 1);
    bool half = (op & 1U) != 0;

    if (op > 3 || (op == 3 && bit6 != 0)) {
        return none(RV64_INSN_UNKNOWN, 2);
    }
    return (struct rv64_insn){
        .kind = op < 2 ? RV64_INSN_LOAD : RV64_INSN_STORE, .length = 2, .size = half ? 2 : 1,
        .sign = op == 1 && bit6 != 0, .reg = (uint8_t)C_REG(bits(word, 2, 3)), .base = (uint8_t)C_REG(bits(word, 7, 3)),
        .imm = (int16_t)(bit5 << 1 | (half ? 0 : bit6)),
    };
}

/* CL and CS: imm[5:3] in bits 12:10; of a word imm[2|6], of a double word imm[7:6] in bits 6:5. */
static struct rv64_insn compressed_by_register(uint32_t word)
{
    unsigned imm = bits(word, 10, 3) << 3;

    if (bits(word, 13, 2) == 2) {
        imm |= bits(word, 6, 1) << 2 | bits(word, 5, 1) << 6;
    } else {
        imm |= bits(word, 5, 2) << 6;
    }
    return compressed(word, C_REG(bits(word, 2, 3)), C_REG(bits(word, 7, 3)), imm);
}

/* CI and CSS. Loads: imm[5] in bit 12; of a word imm[4:2|7:6], of a double word imm[4:3|8:6] in bits 6:2. */
static struct rv64_insn compressed_by_sp(uint32_t word)
{
    bool is_word = bits(word, 13, 2) == 2;
    unsigned imm;

    if (bits(word, 15, 1) == 0) {
        imm = bits(word, 12, 1) << 5 | (is_word ? bits(word, 4, 3) << 2 | bits(word, 2, 2) << 6
                                                : bits(word, 5, 2) << 3 | bits(word, 2, 3) << 6);
        return compressed(word, FIELD_RD(word), C_SP, imm);
    }
    imm = is_word ? bits(word, 9, 4) << 2 | bits(word, 7, 2) << 6 : bits(word, 10, 3) << 3 | bits(word, 7, 3) << 6;
    return compressed(word, bits(word, 2, 5), C_SP, imm);
}

static struct rv64_insn decode_16(uint32_t word)
{
    unsigned quadrant = bits(word, 0, 2), funct3 = bits(word, 13, 3);

    if (quadrant == 0 && funct3 == 4) {
        return compressed_narrow(word);
    }
    if (quadrant == 1 || (funct3 & 3U) == 0) {
        return none(RV64_INSN_OTHER, 2);
    }
    if (quadrant == 0) {
        return compressed_by_register(word);
    }
    if (FIELD_RD(word) == 0 && (funct3 == 2 || funct3 == 3)) { /* C.LWSP and C.LDSP of x0 are reserved */
        return none(RV64_INSN_UNKNOWN, 2);
    }
    return compressed_by_sp(word);
}

struct rv64_insn rv64_decode(uint32_t word)
{
    return (word & 3U) == 3 ? decode_32(word) : decode_16(word);
}
