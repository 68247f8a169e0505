/* SPDX-License-Identifier: Apache-2.0 */
/* An exception that EL2 took from itself: a defect of the hypervisor. */
#ifndef METAL_AARCH64_FAULT_H
#define METAL_AARCH64_FAULT_H

#include <stdbool.h>
#include <stdint.h>

/* Saved by host_exception (entry.S), which knows the order. */
struct fault_regs {
    uint64_t x[31];
    uint64_t sp, pc, pstate, esr, far;
};

#define FAULT_INSN_ALIGN 4U

static inline uint64_t fault_sp(const struct fault_regs *regs)
{
    return regs->sp;
}

static inline uint64_t fault_ra(const struct fault_regs *regs)
{
    return regs->x[30];
}

const char *fault_name(const struct fault_regs *regs);
void fault_log(const struct fault_regs *regs); /* all registers */
bool fault_is_call(uint64_t addr);             /* whether a function may return to `addr`, in the image's text */

/*
 * Say what happened, with registers and the return addresses on the stack, relative to the image's start (so that
 * addr2line finds them in axvm.elf), and park the calling pCPU; the others go on. In host/metal/fault.c.
 */
_Noreturn void fault_report(const struct fault_regs *regs);

#endif
