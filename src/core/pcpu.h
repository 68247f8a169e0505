/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the library knows of each pCPU. Only that pCPU itself reads or writes its row.
 *
 * Invariant: cpu->resident is the vCPU whose resident_on is this pCPU's number.
 */
#ifndef AXVM_CORE_PCPU_H
#define AXVM_CORE_PCPU_H

#include "core/vcpu.h"

struct pcpu {
    _Alignas(64) struct axvm_vcpu *resident; /* its registers are in the hardware; NULL: nobody's */
    bool enabled;
};

extern struct pcpu pcpus[AXVM_MAX_PCPUS];

/* Forget everything: no pCPU is enabled. */
void pcpu_init(void);

/* The calling pCPU's row. */
struct pcpu *pcpu_self(void);

/* Save the resident vCPU, if there is one. */
void pcpu_evict(struct pcpu *cpu);

/*
 * Make `vcpu`, which the caller has claimed, resident on the calling pCPU. AXVM_EBUSY: it is resident on another one.
 */
int pcpu_load(struct pcpu *cpu, struct axvm_vcpu *vcpu);

#endif
