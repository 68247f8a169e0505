/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CSRs of the Advanced Interrupt Architecture 1.0, for a guest that has an IMSIC and no guest interrupt file: what
 * the CPU doesn't answer itself. Where it has Ssaia, siselect and stopi are its own; where it hasn't, all of them trap
 * as illegal instructions.
 */
#ifndef AXVM_RISCV64_AIA_H
#define AXVM_RISCV64_AIA_H

#include "arch/riscv64/rv64.h"

/*
 * The resident vCPU's instruction at v->frame.pc, which trapped: true if it is an access that this guest may make to
 * siselect, sireg, stopei or stopi; then it is done, and stepped over. False: nothing has changed, and the guest is to
 * take an illegal-instruction exception.
 */
bool rv64_aia_csr(struct rv64_vcpu *v, uint32_t insn);

#endif
