/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hardware line: everything in this architecture that needs a privileged instruction, and nothing else. cpu_*.c and
 * cpu_entry.S implement it at EL2 (non-VHE); unit tests put a model behind the same names.
 */
#ifndef AXVM_AARCH64_CPU_H
#define AXVM_AARCH64_CPU_H

#include "arch/aarch64/a64.h"

/* Enter the guest; returns when an exit handler says A64_LEAVE. Interrupts are masked at EL2, before and after. */
void a64_cpu_enter(struct a64_frame *frame);

bool a64_cpu_supported(void); /* EL2, 4 KiB granule, GICv3 system registers */
void a64_cpu_enable(void);
void a64_cpu_disable(void);

unsigned a64_cpu_pa_bits(void); /* of the calling pCPU: ID_AA64MMFR0_EL1.PARange */
uint64_t a64_cpu_id_register(unsigned crm, unsigned op2); /* op0 3, op1 0, CRn 0 */
uint64_t a64_cpu_midr(void);

/* One after the other: in between, EL1 has no stage 1. */
void a64_cpu_controls_load(const struct a64_controls *controls);
void a64_cpu_sys_load(const uint64_t sys[A64_SYS_COUNT]);
void a64_cpu_sys_save(uint64_t sys[A64_SYS_COUNT]);
uint64_t a64_cpu_sys_read(enum a64_sys reg); /* of the resident vCPU */
void a64_cpu_sys_write(enum a64_sys reg, uint64_t value);
uint64_t a64_cpu_hcr_read(void);
void a64_cpu_hcr_write(uint64_t hcr);

/* Wait for all that this pCPU has begun; true: it has an SError pending, which is taken away from it. */
bool a64_cpu_serror_take(void);

void a64_cpu_fp_load(const struct a64_fp *fp);
void a64_cpu_fp_save(struct a64_fp *fp);

/* Breakpoint and watchpoint registers, as many as the pCPU has. */
void a64_cpu_debug_load(const struct a64_debug *debug);

/* The virtual timer. Saving disables it. */
void a64_cpu_cntv_load(uint64_t ctl, uint64_t cval);
uint64_t a64_cpu_cntv_ctl(void);
void a64_cpu_cntv_save(uint64_t *ctl, uint64_t *cval);

/* One Q register of the resident vCPU, 0 to 31: its bytes, the lowest first. */
void a64_cpu_q_read(unsigned n, uint8_t q[16]);
void a64_cpu_q_write(unsigned n, const uint8_t q[16]);

/* The abort being handled: FAR_EL2, and what HPFAR_EL2 makes of it. SCTLR_EL1 says how the guest orders bytes. */
struct a64_fault {
    uint64_t ipa;
    uint64_t sctlr;
};
struct a64_fault a64_cpu_fault(void);
uint64_t a64_cpu_far(void);

/* AT S1E0R, with these flags S1E0W, S1E1R or S1E1W: what PAR_EL1 would say; the guest's own stays. */
#define A64_AT_WRITE 1U
#define A64_AT_EL1 2U
uint64_t a64_cpu_at(uint64_t va, unsigned access);

/*
 * Translate `va` by the guest's own stage 1, for an access that it has let pass: whoever may do anything with an
 * address, EL1 may read it. False: it doesn't any more.
 */
static inline bool a64_cpu_translate(uint64_t va, uint64_t *ipa)
{
    uint64_t par = a64_cpu_at(va, A64_AT_EL1);

    *ipa = (par & PAR_PA) | (va & (AXVM_PAGE_SIZE - 1));
    return (par & PAR_F) == 0;
}

/* Forget stage-2 translations of a VMID, here and on all pCPUs of the inner-shareable domain. */
void a64_cpu_tlb_flush_range(uint64_t vttbr, uint64_t start, uint64_t size);
void a64_cpu_tlb_flush_vmid(uint64_t vttbr);

/* Forget the stage-1 translations of the VMID in VTTBR_EL2, on this pCPU. */
void a64_cpu_tlb_flush_local(void);

/* New table entries are visible to every walker from here on. */
void a64_cpu_table_publish(void);

/*
 * Memory as a guest with its caches off sees it. Zero [start, start+size), a multiple of 4 KiB, down to the point of
 * coherency; or clean what the host wrote there, and forget what instruction caches hold.
 */
void a64_cpu_zero(void *start, uint64_t size);
void a64_cpu_clean_code(const void *start, uint64_t size);

#endif
