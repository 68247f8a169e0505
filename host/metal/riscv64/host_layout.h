/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a pCPU's own memory is laid out, for C and assembly: STACK_AREA bytes, aligned to their size. From below: a guard
 * of one page, not mapped; the stack; struct percpu, which tp points to.
 */
#ifndef METAL_RISCV64_HOST_LAYOUT_H
#define METAL_RISCV64_HOST_LAYOUT_H

#define STACK_AREA 0x4000
#define STACK_GUARD 0x1000
#define PERCPU_SIZE 0x300

/* Offsets into struct percpu; fault.c holds them together. */
#define PERCPU_FAULTED 4
#define PERCPU_CPU_ID 8
#define PERCPU_MAX 64 /* AXVM_MAX_PCPUS */
#define PERCPU_REGS 16

#endif
