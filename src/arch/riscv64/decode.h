/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RV64's loads and stores (RISC-V Unprivileged, "RV32/64G Instruction Set Listings", chapters "C" and "Zcb"): what a
 * guest that faulted at an emulated device was about to do. Nothing here asks which extensions the guest has: an
 * instruction of another one would have been illegal, and not have faulted.
 */
#ifndef AXVM_RISCV64_DECODE_H
#define AXVM_RISCV64_DECODE_H

#include <stdbool.h>
#include <stdint.h>

enum rv64_insn_kind {
    RV64_INSN_OTHER,   /* does not access memory */
    RV64_INSN_UNKNOWN, /* may access memory */
    RV64_INSN_LOAD,    /* one general register */
    RV64_INSN_STORE,
    RV64_INSN_LOAD_F,  /* one F register */
    RV64_INSN_STORE_F,
    RV64_INSN_LR,
    RV64_INSN_AMO,     /* SC, too */
    RV64_INSN_LOAD_V,  /* vector */
    RV64_INSN_STORE_V,
    RV64_INSN_CBO,     /* CBO.*: faults as a store does */
};

/* Of OTHER, UNKNOWN, LOAD_V, STORE_V and CBO only `kind` and `length` count. */
struct rv64_insn {
    uint8_t kind;   /* enum rv64_insn_kind */
    uint8_t length; /* of the instruction, in bytes: 2 or 4 */
    uint8_t size;   /* of the access, in bytes: 1, 2, 4 or 8; AMOCAS.Q: 16 */
    bool sign;      /* a load of a general register extends the sign */
    uint8_t reg;    /* that is loaded or stored */
    uint8_t base;   /* its value and `imm` are the address */
    int16_t imm;
};

/* An instruction of 16 bits is in the lower half. */
struct rv64_insn rv64_decode(uint32_t word);

#endif
