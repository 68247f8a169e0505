/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A64's loads and stores (Arm ARM C4.1.89-91, "Loads and Stores"), for accesses that the syndrome does not describe
 * (ESR_EL2.ISV = 0). Instructions of extensions that the guest hasn't got (idregs.c) are A64_INSN_UNKNOWN.
 */
#ifndef AXVM_AARCH64_DECODE_H
#define AXVM_AARCH64_DECODE_H

#include <stdbool.h>
#include <stdint.h>

enum a64_insn_kind {
    A64_INSN_OTHER,    /* does not access memory */
    A64_INSN_UNKNOWN,  /* in the space of loads and stores, but none that is known */
    A64_INSN_LOAD,
    A64_INSN_STORE,
    A64_INSN_PREFETCH,
    A64_INSN_ZERO,     /* DC ZVA, DC GVA, DC GZVA */
    A64_INSN_ATOMIC,   /* exclusive, or read-modify-write */
};

#define A64_BASE_PC 32U
#define A64_INSN_MAX_BYTES 64U /* that one instruction transfers: LD4 of 16-byte registers */

/*
 * A load or a store moves `elements` elements of 1 << `size` bytes, one after the other from the address on, each to or
 * from the register and the lane that a64_insn_register() and a64_insn_lane() say. Of other kinds only `kind` counts,
 * and `rt` of A64_INSN_ZERO.
 *
 * Address: base, plus offset if `indexed`. Offset: `imm`, plus register `rm` (31: none) extended and shifted. With
 * `writeback`, the base register becomes base + offset.
 *
 * Invariants: elements << size <= A64_INSN_MAX_BYTES; size <= 3 for general registers, <= 4 for vector registers.
 */
struct a64_insn {
    enum a64_insn_kind kind;
    bool vector;       /* Q registers, not general ones */
    bool pair;         /* two elements: rt, rt2; else they go from rt on, structure after structure */
    bool sign;         /* a load of a general register extends the sign, to 64 bits if `wide`, else to 32 */
    bool wide;
    bool unprivileged; /* as EL0 would */
    bool merge;        /* a load of a vector register leaves its other lanes as they are; else they become zero */
    bool replicate;    /* a load of a vector register fills all its `lanes` with the one element */
    bool indexed;
    bool writeback;
    uint8_t size;      /* log2 of an element's bytes */
    uint8_t elements;
    uint8_t structure; /* registers that take turns: 1, or 2 to 4 for LD2 to LD4 */
    uint8_t lanes;     /* of each register */
    uint8_t lane;      /* the first */
    uint8_t rt, rt2;
    uint8_t rn;        /* 31: SP */
    uint8_t rm;
    uint8_t extend;    /* of rm: the instruction's `option` field, UXTB 0 to SXTX 7: sign at bit 2, size at [1:0] */
    uint8_t shift;
    int64_t imm;
};

struct a64_insn a64_decode(uint32_t word);

static inline unsigned a64_insn_register(const struct a64_insn *insn, unsigned element)
{
    unsigned turn = element / ((unsigned)insn->lanes * insn->structure);

    if (insn->pair) {
        return element == 0 ? insn->rt : insn->rt2;
    }
    return (insn->rt + turn * insn->structure + element % insn->structure) % 32;
}

static inline unsigned a64_insn_lane(const struct a64_insn *insn, unsigned element)
{
    return insn->pair ? 0 : insn->lane + element / insn->structure % insn->lanes;
}

/* The lowest 1 << `size` bytes of a value as 64 bits; with `sign`, as a signed one. */
uint64_t a64_extend(uint64_t value, unsigned size, bool sign);

/* So what a load of a general register leaves there: of 64 bits if `wide`, else of 32. */
uint64_t a64_extend_load(uint64_t value, unsigned size, bool sign, bool wide);

#endif
