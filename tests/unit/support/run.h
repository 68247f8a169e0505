/* SPDX-License-Identifier: Apache-2.0 */
/* What test_run.c has to know of an architecture: its registers, and what the hardware does at a run. */
#ifndef AXVM_TEST_RUN_H
#define AXVM_TEST_RUN_H

#include "support/machine.h"

/* All of it is about the calling pCPU; "in a guest" means: called by its guest. */
struct run_arch {
    /* Every register that a guest has, in a guest: filled with a pattern, checked for it, as at its beginning. */
    void (*fill)(uint64_t seed);
    void (*check)(uint64_t seed);
    void (*check_fresh)(void);
    void (*set_pc)(uint64_t pc); /* in a guest */
    uint64_t (*pc)(const struct axvm *vm, uint32_t vcpu);

    /* How often a guest was entered, and its system registers loaded and saved. */
    unsigned (*entries)(void);
    unsigned (*loads)(void);
    unsigned (*saves)(void);

    /* Second-stage translation: VMIDs are 1 to `vmids`, after few_vmids() (NULL: always). What is in the hardware. */
    unsigned vmids;
    void (*few_vmids)(void);
    uint64_t (*vmid_of)(struct axvm *vm);
    uint64_t (*vmid)(void);
    uint64_t (*root)(void);
    unsigned (*forgotten)(void); /* how often all of a VMID's was flushed, since the last call */

    /* An interrupt that axvm_inject_interrupt() makes, for vCPU 0. In a guest: enable it; take it, to the end. */
    uint32_t irq;
    void (*enable_irq)(void);
    void (*take_irq)(void);
    bool (*signalled)(void);
    bool (*waits_trap)(void);

    void (*take_away)(void); /* what a pCPU needs for all this, from all of them */
    bool (*enabled)(unsigned pcpu);
};

extern const struct run_arch run_a64, run_rv64;

static inline uint64_t run_pattern(uint64_t seed, uint64_t n)
{
    return (seed << 56 | n << 32 | seed << 16 | n) * UINT64_C(0x9e3779b97f4a7c15);
}

#endif
