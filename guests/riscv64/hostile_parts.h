/* SPDX-License-Identifier: Apache-2.0 */
/* The hostile guest's parts for riscv64. */
#ifndef HOSTILE_PARTS_H
#define HOSTILE_PARTS_H

#include "hostile.h"

/* Registers by their numbers, and what the operations put into them. */
enum { X_SP = 2, X_A0 = 10, X_A1, X_A2, X_A3, X_A6 = 16, X_A7, X_S4 = 20 };
#define BASE X_A1 /* has the address of an access */

#define INSN_NOP 0x00000013U
#define INSN_WFI 0x10500073U
#define INSN_ECALL 0x00000073U
#define INSN_SRET 0x10200073U
#define INSN_SFENCE_VMA 0x12000073U
#define INSN_FENCE_I 0x0000100fU
#define INSN_C_NOP 0x0001U

#define CSR_STVEC 0x105U
#define CSR_SATP 0x180U
#define SATP_SV39 (UINT64_C(8) << 60)

static inline uint32_t insn_csrrw(uint32_t csr, uint32_t rd, uint32_t rs)
{
    return csr << 20 | rs << 15 | 1U << 12 | rd << 7 | 0x73;
}

/*
 * Whether this is under a hypervisor of ours, in a VM as tests/system/test_hostile.py makes it; else on the bare
 * machine.
 */
bool is_strict(void);

/* hostile_entry.S */
void hostile_sane(uint64_t satp); /* this program's translation, and this hart's vector: CPU 0's */
void hostile_f_fill(uint64_t mark);
uint64_t hostile_f_differ(uint64_t mark);

/* hostile_slot.c: page tables. `mode`: SATP.MODE, 8 to 10, of tables that have the same at the same places. */
uint64_t satp_of(const struct hostile_cpu *cpu, unsigned mode);

/* hostile_access.c: an instruction that accesses memory, by BASE or, if compressed, also by others. */
uint32_t random_access(struct hostile_cpu *cpu);

void op_mmio(struct hostile_cpu *cpu);
void op_race(struct hostile_cpu *cpu);
void op_csr(struct hostile_cpu *cpu);
void op_wild(struct hostile_cpu *cpu);
void op_insn(struct hostile_cpu *cpu);
void op_user(struct hostile_cpu *cpu);
void op_sret(struct hostile_cpu *cpu);
void op_call(struct hostile_cpu *cpu);
void op_power(struct hostile_cpu *cpu);
void op_ipi(struct hostile_cpu *cpu);
void op_fence(struct hostile_cpu *cpu);
void op_plic(struct hostile_cpu *cpu);
void op_timer(struct hostile_cpu *cpu);
void op_line(struct hostile_cpu *cpu);
void op_wait(struct hostile_cpu *cpu);
void op_keep(struct hostile_cpu *cpu);

#endif
