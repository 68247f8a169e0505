/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/aarch64/decode.h"

#include <stddef.h>

static unsigned bits(uint32_t word, unsigned low, unsigned width)
{
    return word >> low & ((1U << width) - 1);
}

static bool bit(uint32_t word, unsigned n)
{
    return (word >> n & 1U) != 0;
}

static int64_t signed_bits(uint32_t word, unsigned low, unsigned width)
{
    int64_t sign = INT64_C(1) << (width - 1);

    return ((int64_t)bits(word, low, width) ^ sign) - sign;
}

/* The fields that most have at the same place. */
#define FIELD_RT(word) ((uint8_t)bits(word, 0, 5))
#define FIELD_RN(word) ((uint8_t)bits(word, 5, 5))
#define FIELD_RT2(word) ((uint8_t)bits(word, 10, 5))
#define FIELD_RM(word) ((uint8_t)bits(word, 16, 5))
#define FIELD_VECTOR(word) bit(word, 26)
#define FIELD_SIZE(word) bits(word, 30, 2) /* also `opc` of pairs and literals */
#define FIELD_OPC(word) bits(word, 22, 2)

#define NO_REGISTER 31U

/* ---- What is moved: false if unallocated ------------------------------------------------------------------------- */

static bool transfer(struct a64_insn *insn, bool load, unsigned size)
{
    insn->kind = load ? A64_INSN_LOAD : A64_INSN_STORE;
    insn->size = (uint8_t)size;
    return true;
}

/* size, V and opc of a single register (C4.1.91, "Load/store register"). */
static bool op_single(uint32_t word, struct a64_insn *insn)
{
    unsigned size = FIELD_SIZE(word), opc = FIELD_OPC(word);

    if (FIELD_VECTOR(word)) {
        insn->vector = true;
        size |= (opc & 2U) << 1;
        return size <= 4 && transfer(insn, (opc & 1U) != 0, size);
    }
    insn->sign = opc >= 2;
    insn->wide = opc == 2;
    return size + opc < 5 && transfer(insn, opc != 0, size);
}

/* The same where a signed load of 64 bits, which makes no sense, is PRFM. */
static bool op_single_or_prefetch(uint32_t word, struct a64_insn *insn)
{
    if (FIELD_SIZE(word) == 3 && FIELD_OPC(word) == 2 && !FIELD_VECTOR(word)) {
        insn->kind = A64_INSN_PREFETCH;
        return true;
    }
    return op_single(word, insn);
}

static bool op_unprivileged(uint32_t word, struct a64_insn *insn)
{
    insn->unprivileged = true;
    return op_single(word, insn);
}

static bool op_literal(uint32_t word, struct a64_insn *insn)
{
    unsigned opc = FIELD_SIZE(word);

    if (FIELD_VECTOR(word)) {
        insn->vector = true;
        return opc < 3 && transfer(insn, true, 2 + opc);
    }
    if (opc == 3) {
        insn->kind = A64_INSN_PREFETCH;
        return true;
    }
    insn->sign = insn->wide = opc == 2; /* LDRSW */
    return transfer(insn, true, opc == 1 ? 3 : 2);
}

static bool op_pair(uint32_t word, struct a64_insn *insn)
{
    unsigned opc = FIELD_SIZE(word);
    bool load = bit(word, 22), no_allocate = bits(word, 23, 2) == 0;

    insn->pair = true;
    insn->elements = 2;
    insn->rt2 = FIELD_RT2(word);
    if (FIELD_VECTOR(word)) {
        insn->vector = true;
        return opc < 3 && transfer(insn, load, 2 + opc);
    }
    if (opc == 1) { /* LDPSW; the store is an extension's */
        insn->sign = insn->wide = true;
        return load && !no_allocate && transfer(insn, true, 2);
    }
    return opc < 3 && transfer(insn, load, opc == 2 ? 3 : 2);
}

/* o2 (bit 23) and o1 (bit 21): exclusives, exclusive pairs and CASP, acquire and release, CAS. */
static bool op_exclusive(uint32_t word, struct a64_insn *insn)
{
    bool o2 = bit(word, 23), o1 = bit(word, 21);

    if (o2 && !o1) {
        return transfer(insn, bit(word, 22), FIELD_SIZE(word));
    }
    insn->kind = A64_INSN_ATOMIC;
    return !o1 || (!o2 && bit(word, 31)) || FIELD_RT2(word) == NO_REGISTER;
}

/* o3 (bit 15) 0: LDADD and its like; 1: SWP, LDAPR, and extensions. */
static bool op_atomic(uint32_t word, struct a64_insn *insn)
{
    bool acquire_only = bits(word, 22, 2) == 2;
    unsigned opc = bits(word, 12, 3);

    if (!bit(word, 15) || opc == 0) {
        insn->kind = A64_INSN_ATOMIC;
        return true;
    }
    return opc == 4 && acquire_only && FIELD_RM(word) == NO_REGISTER && transfer(insn, true, FIELD_SIZE(word));
}

/* LD1 to LD4, ST1 to ST4 of whole registers: how many structures of how many registers. */
static bool op_structures(uint32_t word, struct a64_insn *insn)
{
    static const struct {
        uint8_t repeat, structure;
    } opcodes[16] = {[0] = {1, 4}, [2] = {4, 1}, [4] = {1, 3}, [6] = {3, 1}, [7] = {1, 1}, [8] = {1, 2}, [10] = {2, 1}};
    unsigned opcode = bits(word, 12, 4), size = bits(word, 10, 2);
    bool full = bit(word, 30);

    insn->vector = true;
    insn->structure = opcodes[opcode].structure;
    insn->lanes = (uint8_t)((full ? 16U : 8U) >> size);
    insn->elements = (uint8_t)(insn->lanes * opcodes[opcode].repeat * insn->structure);
    if (insn->structure > 1 && size == 3 && !full) {
        return false; /* no structures of registers with one element */
    }
    return insn->elements != 0 && transfer(insn, bit(word, 22), size);
}

/* One lane, or with `scale` 3 all of them: Q, S and size hold the lane's number, and below it the rest of the size. */
static bool op_lane(uint32_t word, struct a64_insn *insn)
{
    unsigned scale = bits(word, 14, 2), size = bits(word, 10, 2);
    unsigned lane = (unsigned)bit(word, 30) << 3 | (unsigned)bit(word, 12) << 2 | size;
    bool load = bit(word, 22), s = bit(word, 12);

    insn->vector = true;
    insn->structure = (uint8_t)(bits(word, 13, 1) << 1 | bits(word, 21, 1)) + 1;
    insn->elements = insn->structure;
    if (scale == 3) {
        insn->replicate = true;
        insn->lanes = (uint8_t)((bit(word, 30) ? 16U : 8U) >> size);
        return load && !s && transfer(insn, true, size);
    }
    insn->merge = true;
    if (scale == 2 && size == 1) {
        scale = 3;
        if (s) {
            return false;
        }
    } else if ((size & ((1U << scale) - 1)) != 0) {
        return false;
    }
    insn->lane = (uint8_t)(lane >> scale);
    return transfer(insn, load, scale);
}

static bool op_zero(uint32_t word, struct a64_insn *insn)
{
    (void)word;
    insn->kind = A64_INSN_ZERO;
    return true;
}

/* ---- Where: after what ------------------------------------------------------------------------------------------- */

static bool at_base(uint32_t word, struct a64_insn *insn)
{
    (void)word;
    (void)insn;
    return true;
}

static bool at_unscaled(uint32_t word, struct a64_insn *insn)
{
    insn->imm = signed_bits(word, 12, 9);
    return true;
}

static bool at_post_index(uint32_t word, struct a64_insn *insn)
{
    insn->writeback = true;
    insn->indexed = false;
    return at_unscaled(word, insn);
}

static bool at_pre_index(uint32_t word, struct a64_insn *insn)
{
    insn->writeback = true;
    return at_unscaled(word, insn);
}

static bool at_scaled(uint32_t word, struct a64_insn *insn)
{
    insn->imm = (int64_t)bits(word, 10, 12) << insn->size;
    return true;
}

static bool at_register(uint32_t word, struct a64_insn *insn)
{
    insn->rm = FIELD_RM(word);
    insn->extend = (uint8_t)bits(word, 13, 3);
    insn->shift = bit(word, 12) ? insn->size : 0;
    return (insn->extend & 2U) != 0; /* of 32 or 64 bits */
}

static bool at_literal(uint32_t word, struct a64_insn *insn)
{
    insn->rn = A64_BASE_PC;
    insn->imm = signed_bits(word, 5, 19) * 4;
    return true;
}

/* Bits 24:23: non-temporal, post-index, offset, pre-index. */
static bool at_pair(uint32_t word, struct a64_insn *insn)
{
    insn->writeback = bit(word, 23);
    insn->indexed = bits(word, 23, 2) != 1;
    insn->imm = signed_bits(word, 15, 7) * (INT64_C(1) << insn->size);
    return true;
}

/* By a register; for XZR's number, by what is transferred. */
static bool at_structure_post_index(uint32_t word, struct a64_insn *insn)
{
    insn->writeback = true;
    insn->indexed = false;
    insn->rm = FIELD_RM(word);
    if (insn->rm == NO_REGISTER) {
        insn->imm = (int64_t)insn->elements << insn->size;
    }
    return true;
}

/* ---- The table --------------------------------------------------------------------------------------------------- */

#define LOADS_AND_STORES_MASK 0x0a000000U
#define LOADS_AND_STORES 0x08000000U
#define EXTEND_LSL 3U

static const struct row {
    uint32_t mask, value;
    bool (*op)(uint32_t word, struct a64_insn *insn);
    bool (*address)(uint32_t word, struct a64_insn *insn);
} rows[] = {
    {0x3b000000, 0x39000000, op_single_or_prefetch, at_scaled},
    {0x3a000000, 0x28000000, op_pair, at_pair},
    {0x3b200c00, 0x38000400, op_single, at_post_index},
    {0x3b200c00, 0x38000c00, op_single, at_pre_index},
    {0x3b200c00, 0x38000000, op_single_or_prefetch, at_unscaled},
    {0x3f200c00, 0x38000800, op_unprivileged, at_unscaled},
    {0x3b200c00, 0x38200800, op_single_or_prefetch, at_register},
    {0x3f200c00, 0x38200000, op_atomic, at_base},
    {0x3f200c00, 0x19000000, op_single, at_unscaled}, /* LDAPUR, STLUR */
    {0x3f000000, 0x08000000, op_exclusive, at_base},
    {0x3b000000, 0x18000000, op_literal, at_literal},
    {0xbfbf0000, 0x0c000000, op_structures, at_base},
    {0xbfa00000, 0x0c800000, op_structures, at_structure_post_index},
    {0xbf9f0000, 0x0d000000, op_lane, at_base},
    {0xbf800000, 0x0d800000, op_lane, at_structure_post_index},
    {0xffffffe0, 0xd50b7420, op_zero, at_base}, /* DC ZVA */
    {0xffffffe0, 0xd50b7460, op_zero, at_base}, /* DC GVA: hidden from the guest, it is still there */
    {0xffffffe0, 0xd50b7480, op_zero, at_base}, /* DC GZVA */
};

struct a64_insn a64_decode(uint32_t word)
{
    const struct a64_insn unknown = {
        .kind = (word & LOADS_AND_STORES_MASK) == LOADS_AND_STORES ? A64_INSN_UNKNOWN : A64_INSN_OTHER,
    };
    struct a64_insn insn = {
        .elements = 1, .structure = 1, .lanes = 1, .rt = FIELD_RT(word), .rn = FIELD_RN(word), .rm = NO_REGISTER,
        .extend = EXTEND_LSL, .indexed = true,
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if ((word & rows[i].mask) == rows[i].value) {
            return rows[i].op(word, &insn) && rows[i].address(word, &insn) ? insn : unknown;
        }
    }
    return unknown;
}

uint64_t a64_extend(uint64_t value, unsigned size, bool sign)
{
    unsigned unused = 64 - (8U << size);
    uint64_t high = value << unused;

    return sign ? (uint64_t)((int64_t)high >> unused) : high >> unused;
}

/* Kept out of abort.c's way, where loads mostly need none of it. */
__attribute__((noinline)) uint64_t a64_extend_load(uint64_t value, unsigned size, bool sign, bool wide)
{
    value = a64_extend(value, size, sign);
    return sign && !wide ? (uint32_t)value : value;
}
