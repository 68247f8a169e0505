/* SPDX-License-Identifier: Apache-2.0 */
/* An exception that HS mode took from itself: a defect of the hypervisor. */
#ifndef METAL_RISCV64_FAULT_H
#define METAL_RISCV64_FAULT_H

#include <stdint.h>

/* Saved by host_exception (entry.S), which knows the order. */
struct fault_regs {
    uint64_t x[32];
    uint64_t pc, sstatus, scause, stval;
};

/*
 * Say what happened, with registers and the return addresses on the stack, relative to the image's start (so that
 * addr2line finds them in axvm.elf), and park the calling pCPU; the others go on.
 */
_Noreturn void fault_report(const struct fault_regs *regs);

#endif
