/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hardware line: everything in this architecture that needs a privileged instruction, and nothing else. cpu_*.c and
 * cpu_entry.S implement it in HS mode; unit tests put a model behind the same names.
 */
#ifndef AXVM_RISCV64_CPU_H
#define AXVM_RISCV64_CPU_H

#include "arch/riscv64/rv64.h"

/* Enter the guest; returns when an exit handler says RV64_LEAVE. Interrupts are masked, before and after. */
void rv64_cpu_enter(struct rv64_frame *frame);

bool rv64_cpu_supported(void); /* the H extension, with a G-stage mode that we know, VMIDs, and fences */
bool rv64_cpu_has_fences(void); /* firmware that fences other harts: SBI RFENCE */
bool rv64_cpu_enable(void); /* false: it lacks what those before it had, or its vectors have another size */
void rv64_cpu_disable(void);
uint32_t rv64_cpu_features(void); /* enum rv64_feature, of the calling pCPU; it was enabled */
unsigned rv64_cpu_gpa_bits(void); /* 41, 50 or 59: the widest that hgatp takes; of the pCPU that was enabled first */
unsigned rv64_cpu_vmid_bits(void); /* of the same */
uint64_t rv64_cpu_vlenb(void); /* the same for all pCPUs; touches no register that a resident vCPU may have changed */

void rv64_cpu_controls_load(const struct rv64_controls *controls);
void rv64_cpu_controls_save(struct rv64_controls *controls); /* hstatus.SPVP and sstatus.SPP */
void rv64_cpu_hstatus_write(uint64_t hstatus); /* all but SPVP, which stays */
void rv64_cpu_sys_load(const uint64_t sys[RV64_SYS_COUNT]);
void rv64_cpu_sys_save(uint64_t sys[RV64_SYS_COUNT]);
uint64_t rv64_cpu_sys_read(enum rv64_sys reg); /* of the resident vCPU */
void rv64_cpu_sys_write(enum rv64_sys reg, uint64_t value);

/* The resident vCPU's privilege: VS (true) or VU; and to make it VS, for an exception. */
bool rv64_cpu_is_vs(void);
void rv64_cpu_set_vs(void);

/* hvip: pending VS-level interrupts. hip also has the timer's and the guest interrupt file's. */
uint64_t rv64_cpu_hvip_read(void);
void rv64_cpu_hvip_set(uint64_t bits);
void rv64_cpu_hvip_clear(uint64_t bits);
void rv64_cpu_hvip_write(uint64_t hvip);
uint64_t rv64_cpu_hip_read(void);

/* FP and vector registers. Those that the guest hasn't changed since they were loaded needn't be saved. */
void rv64_cpu_fp_load(const struct rv64_fp *fp);
void rv64_cpu_fp_save(struct rv64_fp *fp);
void rv64_cpu_vector_load(const struct rv64_vector *vector);
void rv64_cpu_vector_save(struct rv64_vector *vector);

/* One F register of the resident vCPU, 0 to 31, as 64 bits (a single-precision value is NaN-boxed). */
uint64_t rv64_cpu_f_read(unsigned n);
void rv64_cpu_f_write(unsigned n, uint64_t value);

/* vstimecmp (Sstc). */
uint64_t rv64_cpu_timecmp_read(void);
void rv64_cpu_timecmp_write(uint64_t compare);

/*
 * cpu_aia.c: the guest interrupt file that hstatus.VGEIN selects, of `ids` identities, becomes this; what it is, and it
 * delivers nothing any more; and identities of one word become pending.
 */
void rv64_cpu_file_load(const struct vimsic_state *state, uint32_t ids);
void rv64_cpu_file_save(struct vimsic_state *state);
void rv64_cpu_file_pend(unsigned word, uint64_t messages);

/* The trap being handled: htval (guest-physical address >> 2, or always 0), stval, htinst. */
struct rv64_fault {
    uint64_t gpa; /* htval << 2 | stval & 3 */
    uint64_t tval;
    uint64_t tinst;
};
struct rv64_fault rv64_cpu_fault(void);

/*
 * vsstage.c: find fault->gpa by the resident guest's tables. AXVM_ENOENT: they don't lead there any more, or the access
 * isn't allowed; AXVM_EFAULT: the tables are where they can't be; AXVM_ENOMEM: for the page that gpa is in.
 */
int rv64_vs_stage_find(struct rv64_vcpu *v, uint64_t cause, struct rv64_fault *fault);

/*
 * Through the resident guest's own translation, with its privilege: the instruction at `pc` (HLVX; 16 bits if its two
 * lowest bits say so), or 8 bytes of data at `va` (HLV.D). False: that faults; rv64_cpu_read_u64() also says how, and
 * of a guest page fault rv64_cpu_fault() says the rest.
 *
 * rv64_cpu_fetch_again: also where HLVX is taken for HLV, as by QEMU 7.2, and the page is for execution only: with MXR,
 * which is nothing to HLVX. And rv64_cpu_fault() is `fault` again.
 */
bool rv64_cpu_fetch(uint64_t pc, uint32_t *insn);
bool rv64_cpu_fetch_again(uint64_t pc, const struct rv64_fault *fault, uint32_t *insn);
bool rv64_cpu_read_u64(uint64_t va, uint64_t *value, uint64_t *cause);

/*
 * TLBs. A range of 0 bytes is none. pcpus: a mask of the host's numbers; the calling one's is done by instruction, the
 * others by firmware (SBI RFENCE), which has done it when this returns.
 */
void rv64_cpu_gstage_flush(uint64_t pcpus, uint32_t vmid, uint64_t start, uint64_t size); /* size UINT64_MAX: all */
void rv64_cpu_vstage_flush(uint64_t pcpus, uint64_t start, uint64_t size); /* of the calling pCPU's VMID in hgatp */
void rv64_cpu_vstage_flush_asid(uint64_t pcpus, uint64_t asid, uint64_t start, uint64_t size);
void rv64_cpu_fence_i(uint64_t pcpus);
void rv64_cpu_gstage_flush_local(uint64_t gpa); /* one page of the current VMID, after it was mapped */

/* New table entries are visible to every walker from here on. */
void rv64_cpu_table_publish(void);

/* Zero [start, start+size), a multiple of 4 KiB. */
void rv64_cpu_zero(void *start, uint64_t size);

#endif
