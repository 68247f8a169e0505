/* SPDX-License-Identifier: Apache-2.0 */
/*
 * riscv64 pCPUs in software, behind src/arch/riscv64/cpu.h: what HS mode can reach of them as plain fields, and guests
 * that are C functions. With the fake host, a whole machine runs in a unit test.
 *
 * A guest function runs when the vCPU enters the guest, and traps by the rv64_guest_*() calls below, as hardware and
 * cpu_entry.S would. Such a call returns when the guest goes on; it doesn't when the exit handler says RV64_LEAVE: then
 * the function is abandoned, and begins again at the next entry. When it returns, the host takes the pCPU back
 * (AXVM_EXIT_EXTERNAL_INTERRUPT).
 */
#ifndef AXVM_TEST_RV64_MODEL_H
#define AXVM_TEST_RV64_MODEL_H

#include "arch/riscv64/cpu.h"
#include <setjmp.h>

#define RV64_MODEL_PCPUS 8U
#define RV64_MODEL_MAX_VLENB 64U
#define RV64_MODEL_FLUSHES 4096U

/* Registers by their names in the calling convention. */
enum { X_RA = 1, X_SP = 2, X_A0 = 10, X_A1, X_A2, X_A3, X_A4, X_A5, X_A6, X_A7 };

#define RV64_INSN_WFI 0x10500073U
#define RV64_INSN_ECALL 0x00000073U

typedef void rv64_guest(struct rv64_frame *frame);

/* One pCPU. Everything may be read and set at any time. */
struct rv64_model_cpu {
    bool enabled;
    struct rv64_controls controls; /* the guest's privilege is sstatus.SPP; hstatus.SPVP follows it at a trap */
    uint64_t sys[RV64_SYS_COUNT];
    uint64_t hvip;
    uint64_t timecmp; /* vstimecmp */
    struct vimsic_state file; /* its guest interrupt file number 1 */
    struct rv64_fp fp;
    struct rv64_vector vector; /* its data is vector_data */
    uint8_t vector_data[32 * RV64_MODEL_MAX_VLENB];
    struct rv64_fault fault; /* of the last trap */
    bool unreadable;         /* but rv64_cpu_fetch() faults all the same; rv64_cpu_fetch_again() doesn't */
    bool fetches;            /* rv64_cpu_fetch() finds `insn` where the trap was; else it faults */
    uint32_t insn;
    unsigned fetch_count;
    enum axvm_irq_result irq_result; /* of the physical interrupt that is being taken */
    uint32_t irq;
    struct rv64_frame *frame; /* that is in the guest */
    rv64_guest *guest;
    jmp_buf leave;
    unsigned entries, controls_loads, sys_loads, sys_saves, fp_loads, fp_saves, vector_loads, vector_saves;
};

enum rv64_flush_kind {
    RV64_FLUSH_GSTAGE,
    RV64_FLUSH_GSTAGE_LOCAL, /* start: the page */
    RV64_FLUSH_VSTAGE,
    RV64_FLUSH_VSTAGE_ASID,
    RV64_FLUSH_FENCE_I,
    RV64_FLUSH_KINDS
};

struct rv64_model_flush {
    enum rv64_flush_kind kind;
    unsigned by;    /* pCPU */
    uint64_t pcpus; /* mask */
    uint32_t vmid;  /* V-stage: the one in the calling pCPU's hgatp */
    uint64_t start, size, asid;
};

struct rv64_model {
    bool supported;
    uint32_t features; /* enum rv64_feature */
    unsigned gpa_bits, vmid_bits;
    uint64_t vlenb;
    bool (*translate)(uint64_t va, uint64_t *gpa); /* NULL: the guest's MMU is off */
    _Atomic unsigned publishes;
    _Atomic unsigned flush_count;                        /* all kinds */
    _Atomic unsigned flush_counts[RV64_FLUSH_KINDS];
    struct rv64_model_flush flushes[RV64_MODEL_FLUSHES]; /* the first ones, in their order */
    void (*on_flush)(const struct rv64_model_flush *flush); /* also called; NULL: none */
    /* Called once, when the hypervisor next touches that: what another pCPU does at this very moment. */
    void (*at_hvip_read)(void);
    void (*at_hvip_clear)(void);
    void (*at_controls_load)(void);
    struct rv64_model_cpu cpus[RV64_MODEL_PCPUS];
};

extern struct rv64_model rv64_model;

/* A machine of rv64gc harts with H, Sstc, Svpbmt and Ssaia, and no V; Sv57x4, 14 bits of VMID. */
void rv64_model_reset(void);

/* The calling pCPU. */
struct rv64_model_cpu *rv64_model_cpu(void);

/*
 * A host's guest_file: pCPU n's has its page at RV64_MODEL_FILE(n). A message comes to it, by whoever's store to that
 * page.
 */
#define RV64_MODEL_FILE(pcpu) (UINT64_C(0x24001000) + 0x4000 * (uint64_t)(pcpu))
bool rv64_model_guest_file(hpa_t *page, uint32_t *ids);
void rv64_model_message(unsigned pcpu, uint32_t id);

/* Forget the flushes; the latest one. */
void rv64_model_forget_flushes(void);
const struct rv64_model_flush *rv64_model_last_flush(void);

/* A host's irq_handle: what rv64_guest_irq() said. */
enum axvm_irq_result rv64_model_irq_handle(uint32_t *irq);

/* Run this from the next entry on, on the calling pCPU. */
void rv64_model_guest(rv64_guest *guest);

/* The guest on the calling pCPU drops to VU mode, or is back in VS mode. */
void rv64_model_set_vs(bool vs);

/*
 * hip of that pCPU by the clock of the fake host; and what of it the guest would take now, were its vsstatus.SIE set:
 * pending, delegated and enabled in vsie; as bits of hip.
 */
uint64_t rv64_model_hip(const struct rv64_model_cpu *cpu);
uint64_t rv64_model_signalled(const struct rv64_model_cpu *cpu);

/* ---- What a guest does ---- */

/* Any synchronous trap: stval; rv64_cpu_fetch() finds `insn`. */
void rv64_guest_trap(struct rv64_frame *frame, enum rv64_cause cause, uint64_t tval, uint32_t insn);

/*
 * A guest page fault (causes 20, 21, 23). `insn` 0: the instruction can't be fetched. rv64_guest_fault_at: with stval
 * and htinst.
 */
void rv64_guest_fault(struct rv64_frame *frame, enum rv64_cause cause, uint64_t gpa, uint32_t insn);
void rv64_guest_fault_at(struct rv64_frame *frame, enum rv64_cause cause, uint64_t gpa, uint64_t tval, uint64_t tinst,
                         uint32_t insn);

/* A load or store of `size` bytes by general register `reg`, at an address that stage 1 maps to itself. */
void rv64_guest_load(struct rv64_frame *frame, uint64_t gpa, unsigned size, unsigned reg, bool zero_extend);
void rv64_guest_store(struct rv64_frame *frame, uint64_t gpa, unsigned size, unsigned reg);

/* A virtual-instruction exception (stval is the instruction); WFI, which traps by hstatus.VTW. */
void rv64_guest_virtual(struct rv64_frame *frame, uint32_t insn);
void rv64_guest_wfi(struct rv64_frame *frame);

/* A physical interrupt (IRQ: 1 software, 5 timer, 9 external, 12 guest external), with the host's answer to it. */
void rv64_guest_irq(struct rv64_frame *frame, enum axvm_irq_result result, uint32_t irq);

/* ecall with the registers as they are; an SBI call, whose error is returned, and whose value is in a1. */
void rv64_guest_ecall(struct rv64_frame *frame);
uint64_t rv64_guest_sbi(struct rv64_frame *frame, uint64_t eid, uint64_t fid, uint64_t a0, uint64_t a1, uint64_t a2);

/* CSR instructions that trap: csrrs reg, csr, zero and csrrw zero, csr, reg. */
static inline uint32_t rv64_insn_csrr(unsigned csr, unsigned reg)
{
    return 0x00002073U | (uint32_t)csr << 20 | (uint32_t)reg << 7;
}

static inline uint32_t rv64_insn_csrw(unsigned csr, unsigned reg)
{
    return 0x00001073U | (uint32_t)csr << 20 | (uint32_t)reg << 15;
}

#endif
