/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vCPU, as far as no architecture is concerned. Each architecture's vCPU structure begins with this one.
 *
 * Invariants:
 *  - Whoever moved `state` from FREE or BLOCKED to READY has claimed the vCPU: nobody else runs it or changes its
 *    registers.
 *  - `resident_on` changes only on the pCPU it names (or, from -1, on the pCPU that takes it, and has claimed the
 *    vCPU). That pCPU may save the registers without a claim, to make room for another vCPU.
 *  - Whoever sets a bit in `requests` that wasn't set, or finds the vCPU blocked, kicks it; the vCPU clears bits before
 *    it acts on them, and looks for interrupts after it has become blocked. So a request is either seen before the next
 *    entry, or its kick ends the run or the wait.
 *  - `power`: only under the VM's lock from OFF to ON_PENDING; only by the vCPU itself to ON and to OFF.
 */
#ifndef AXVM_CORE_VCPU_H
#define AXVM_CORE_VCPU_H

#include <axvm/axvm.h>
#include <stdatomic.h>

enum vcpu_request {
    VCPU_REQ_LEAVE = 1U << 0,  /* the VM left the running state: give the pCPU back to the host */
    VCPU_REQ_IRQ = 1U << 1,    /* interrupt state changed: bring the list registers up to date */
    VCPU_REQ_RELOAD = 1U << 2, /* something outside the registers changed (time offset, traps): save and load again */
    VCPU_REQ_ACCESS = 1U << 3, /* its own, without a kick: an access to a device isn't finished yet (BUS_AGAIN) */
};

/* What the core acts on before it has the back end enter the guest. */
#define VCPU_REQ_CORE ((uint32_t)VCPU_REQ_LEAVE | (uint32_t)VCPU_REQ_RELOAD)

/* PSCI's and SBI HSM's view of it. */
enum vcpu_power {
    VCPU_OFF,
    VCPU_ON_PENDING, /* told to start: start_entry and start_arg hold until the first run takes them */
    VCPU_ON,
};

/*
 * Hot counters, one row each so that adding one is adding a row (name, what it counts).
 * Only the pCPU that runs the vCPU writes them.
 */
#define VCPU_STATS(X)                                                                                                  \
    X(mmio, "plain accesses to emulated devices")                                                                      \
    X(faults, "other second-stage faults: pages populated or logged, any other access")                                \
    X(calls, "calls of the guest ABI (PSCI, SBI) and hypercalls")                                                      \
    X(sysregs, "trapped system registers")                                                                             \
    X(irqs, "physical interrupts taken while the guest ran")                                                           \
    X(others, "exits of other kinds: the guest's exits are these and all above")                                       \
    X(halts, "waits for an interrupt that gave the pCPU away")                                                         \
    X(switches, "times the registers were loaded")

struct vcpu_stats {
#define VCPU_STAT_FIELD(name, text) uint64_t name;
    VCPU_STATS(VCPU_STAT_FIELD)
#undef VCPU_STAT_FIELD
};

struct axvm_vcpu {
    struct axvm *vm;
    uint32_t id;
    _Atomic uint32_t requests;
    _Atomic int32_t resident_on; /* pCPU whose hardware holds its registers, or -1 */
    _Atomic uint32_t state;      /* enum axvm_vcpu_state */
    _Atomic uint32_t power;      /* enum vcpu_power */
    _Atomic bool alone;          /* has its pCPU for itself: WFI isn't trapped */
    uint64_t phys_id;            /* MPIDR affinity or hart id */
    gpa_t start_entry;
    uint64_t start_arg;
    struct vcpu_stats stats;
};

/*
 * Set bits in `requests` and kick the vCPU if they are new, or if it is blocked; not if it is the one that the calling
 * pCPU is running, which looks at them before it enters the guest again. Any pCPU, any lock held.
 */
void vcpu_request(struct axvm_vcpu *vcpu, uint32_t requests);

/*
 * Claim a vCPU that nobody has claimed; *was is its state until now (FREE or BLOCKED). AXVM_EBUSY: somebody has.
 * Unclaim gives it back in that state; a vCPU that meanwhile has an interrupt to wake up for is kicked.
 */
int vcpu_claim(struct axvm_vcpu *vcpu, uint32_t *was);
void vcpu_unclaim(struct axvm_vcpu *vcpu, uint32_t was);

/* The VM's vCPU with this MPIDR affinity or hart id, or NULL. */
struct axvm_vcpu *vcpu_by_phys_id(struct axvm *vm, uint64_t phys_id);

/*
 * Power a vCPU on (any vCPU's pCPU may call): it starts at `entry` with `arg` as the guest ABI says. AXVM_EEXIST: it is
 * on; AXVM_EBUSY: somebody else is just starting it; AXVM_EBADSTATE: the VM is at its end.
 */
int vcpu_power_on(struct axvm_vcpu *vcpu, gpa_t entry, uint64_t arg);

/* Power the calling vCPU off. The caller leaves the guest with AXVM_EXIT_CPU_DOWN afterwards. */
void vcpu_power_off(struct axvm_vcpu *vcpu);

#endif
