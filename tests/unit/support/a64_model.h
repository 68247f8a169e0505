/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aarch64 pCPUs in software, behind src/arch/aarch64/cpu.h: what EL2 can reach of them as plain fields, and guests that
 * are C functions. With the fake host and the model of the virtual CPU interface, a whole machine runs in a unit test.
 *
 * A guest function runs when the vCPU enters the guest, and traps by the a64_guest_*() calls below, as hardware and
 * cpu_entry.S would. Such a call returns when the guest goes on; it doesn't when the exit handler says A64_LEAVE: then
 * the function is abandoned, and begins again at the next entry. When it returns, the host takes the pCPU back
 * (AXVM_EXIT_EXTERNAL_INTERRUPT).
 */
#ifndef AXVM_TEST_A64_MODEL_H
#define AXVM_TEST_A64_MODEL_H

#include "arch/aarch64/cpu.h"
#include <setjmp.h>

#define A64_MODEL_PCPUS 8U

typedef void a64_guest(struct a64_frame *frame);

/* One pCPU. Everything may be read and set at any time. */
struct a64_model_cpu {
    bool enabled;
    struct a64_controls controls;
    uint64_t sys[A64_SYS_COUNT];
    struct a64_fp fp;
    struct a64_debug debug; /* the four register files */
    bool serror; /* one is pending */
    uint64_t cntv_ctl, cntv_cval;
    uint64_t far, hpfar;
    enum axvm_irq_result irq_result; /* of the physical interrupt that is being taken */
    uint32_t irq;
    struct a64_frame *frame; /* that is in the guest */
    a64_guest *guest;
    jmp_buf leave;
    unsigned entries, controls_loads, sys_loads, sys_saves, debug_loads, flushes_local;
    uint64_t flushed_vttbr; /* VTTBR_EL2 at the last a64_cpu_tlb_flush_local() */
};

struct a64_model {
    bool supported;
    uint64_t id[8][8]; /* ID registers by CRm and op2 */
    uint64_t midr;
    bool (*translate)(uint64_t va, uint64_t *ipa); /* NULL: the guest's MMU is off */
    uint64_t (*at)(uint64_t va, unsigned access);  /* what a64_cpu_at() says; NULL: what `translate` makes of it */
    _Atomic unsigned flushes_vmid, flushes_range, publishes, cleans;
    struct {
        uint64_t vttbr, start, size; /* size 0: the whole VMID */
    } flushed; /* by the last of the first two */
    struct a64_model_cpu cpus[A64_MODEL_PCPUS];
};

extern struct a64_model a64_model;

/* A machine of Cortex-A72s, with a GICv3. */
void a64_model_reset(void);

/* The calling pCPU. */
struct a64_model_cpu *a64_model_cpu(void);

/* A host's irq_handle: what a64_guest_irq() said. */
enum axvm_irq_result a64_model_irq_handle(uint32_t *irq);

/* Run this from the next entry on, on the calling pCPU. */
void a64_model_guest(a64_guest *guest);

/* The output of the virtual timer, by the clock of the fake host. */
bool a64_model_cntv_up(const struct a64_model_cpu *cpu);

/* ---- What a guest does ---- */

void a64_guest_sync(struct a64_frame *frame, uint64_t esr);
void a64_guest_serror(struct a64_frame *frame);

/* A physical interrupt, with the host's answer to it. */
void a64_guest_irq(struct a64_frame *frame, enum axvm_irq_result result, uint32_t irq);

/* HVC #0 and SMC #0 with x0 to x3; the result is in x0. */
uint64_t a64_guest_hvc(struct a64_frame *frame, uint64_t x0, uint64_t x1, uint64_t x2, uint64_t x3);
uint64_t a64_guest_smc(struct a64_frame *frame, uint64_t x0, uint64_t x1, uint64_t x2, uint64_t x3);

/* WFI that traps. */
void a64_guest_wfi(struct a64_frame *frame);

/* A stage-2 translation fault of a load or store of `size` bytes by general register `reg`, at an address that stage 1
 * maps to itself. `flags`: ISS_SSE, ISS_SF. */
void a64_guest_load(struct a64_frame *frame, uint64_t ipa, unsigned size, unsigned reg, uint64_t flags);
void a64_guest_store(struct a64_frame *frame, uint64_t ipa, unsigned size, unsigned reg);

/* Syndromes. a64_esr_sysreg: for MSR, or with ISS_SYS_READ for MRS. */
static inline uint64_t a64_esr(enum esr_ec ec, uint64_t iss)
{
    return (uint64_t)ec << ESR_EC_SHIFT | ESR_IL | iss;
}

static inline uint64_t a64_esr_sysreg(unsigned op0, unsigned op1, unsigned crn, unsigned crm, unsigned op2, unsigned rt)
{
    return a64_esr(EC_SYSREG, (uint64_t)op0 << 20 | (uint64_t)op2 << 17 | (uint64_t)op1 << 14 | (uint64_t)crn << 10 |
                                  (uint64_t)rt << 5 | (uint64_t)crm << 1);
}

uint64_t a64_guest_mrs(struct a64_frame *frame, unsigned op0, unsigned op1, unsigned crn, unsigned crm, unsigned op2);
void a64_guest_msr(struct a64_frame *frame, unsigned op0, unsigned op1, unsigned crn, unsigned crm, unsigned op2,
                   uint64_t value);

#endif
