/* SPDX-License-Identifier: Apache-2.0 */
/* The hostile guest's parts for aarch64. */
#ifndef HOSTILE_PARTS_H
#define HOSTILE_PARTS_H

#include "hostile.h"

/* hostile_entry.S */
void hostile_sane(void); /* this program's vectors and translation */
void hostile_fp_fill(uint64_t mark);
uint64_t hostile_fp_differ(uint64_t mark);

/*
 * A CPU whose CPU interface and redistributor let interrupt 27 and SGIs of group 1 through, whatever was done to them.
 */
void open_interrupts(struct hostile_cpu *cpu);
void open_redistributor(unsigned cpu);

/* One access of a random width, without a slot. */
void access_register(struct hostile_cpu *cpu, uint64_t at, uint64_t value);

/* CPU 0, once. */
void its_adopt(void);

void op_mmio(struct hostile_cpu *cpu);
void op_sysreg(struct hostile_cpu *cpu);
void op_wild(struct hostile_cpu *cpu);
void op_insn(struct hostile_cpu *cpu);
void op_user(struct hostile_cpu *cpu);
void op_eret(struct hostile_cpu *cpu);
void op_race(struct hostile_cpu *cpu);
void op_call(struct hostile_cpu *cpu);
void op_power(struct hostile_cpu *cpu);
void op_sgi(struct hostile_cpu *cpu);
void op_gic(struct hostile_cpu *cpu);
void op_its(struct hostile_cpu *cpu);
void op_timer(struct hostile_cpu *cpu);
void op_line(struct hostile_cpu *cpu);
void op_debug(struct hostile_cpu *cpu);
void op_wait(struct hostile_cpu *cpu);
void op_keep(struct hostile_cpu *cpu);

#endif
