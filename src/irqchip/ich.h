/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtual CPU interface of the calling pCPU: ICH_* registers (GIC architecture IHI 0069, chapter 12.4). Hardware's
 * in src/arch/aarch64/cpu_gic.c; unit tests put a model behind the same names.
 */
#ifndef AXVM_IRQCHIP_ICH_H
#define AXVM_IRQCHIP_ICH_H

#include <stdint.h>

#define ICH_MAX_LRS 16U

/* ICH_LR<n>_EL2. The two state bits together: invalid (neither), pending, active, pending and active (both). */
#define ICH_LR_VINTID UINT64_C(0xffffffff)
#define ICH_LR_PINTID_SHIFT 32U
#define ICH_LR_EOI (UINT64_C(1) << 41) /* only where HW is 0 */
#define ICH_LR_PRIORITY_SHIFT 48U
#define ICH_LR_GROUP1 (UINT64_C(1) << 60)
#define ICH_LR_HW (UINT64_C(1) << 61)
#define ICH_LR_PENDING (UINT64_C(1) << 62)
#define ICH_LR_ACTIVE (UINT64_C(1) << 63)
#define ICH_LR_STATE (ICH_LR_PENDING | ICH_LR_ACTIVE)

/* ICH_HCR_EL2 */
#define ICH_HCR_EN (1U << 0)
#define ICH_HCR_UIE (1U << 1)      /* maintenance when at most one list register is valid */
#define ICH_HCR_LRENPIE (1U << 2)  /* ... while EOIcount isn't zero */
#define ICH_HCR_NPIE (1U << 3)     /* ... when no list register is pending */
#define ICH_HCR_VGRP0EIE (1U << 4) /* ... while the guest has group 0 on; DIE: off */
#define ICH_HCR_VGRP0DIE (1U << 5)
#define ICH_HCR_VGRP1EIE (1U << 6)
#define ICH_HCR_VGRP1DIE (1U << 7)
#define ICH_HCR_TDIR (1U << 14) /* the guest's writes to ICC_DIR_EL1 trap */
#define ICH_HCR_EOICOUNT_SHIFT 27U

/* ICH_MISR_EL2 */
#define ICH_MISR_EOI (1U << 0)
#define ICH_MISR_U (1U << 1)
#define ICH_MISR_LRENP (1U << 2)
#define ICH_MISR_NP (1U << 3)
#define ICH_MISR_VGRP0E (1U << 4)
#define ICH_MISR_VGRP0D (1U << 5)
#define ICH_MISR_VGRP1E (1U << 6)
#define ICH_MISR_VGRP1D (1U << 7)

/* ICH_VMCR_EL2 */
#define ICH_VMCR_VENG0 (1U << 0)
#define ICH_VMCR_VENG1 (1U << 1)
#define ICH_VMCR_VFIQEN (1U << 3)
#define ICH_VMCR_VCBPR (1U << 4)
#define ICH_VMCR_VEOIM (1U << 9)
#define ICH_VMCR_VBPR1_SHIFT 18U
#define ICH_VMCR_VBPR0_SHIFT 21U
#define ICH_VMCR_VPMR_SHIFT 24U

unsigned ich_lr_count(void);    /* ICH_VTR_EL2.ListRegs + 1: at least 2 are needed */
unsigned ich_ap_count(void);    /* active priority registers of a group: 1, 2 or 4 (ICH_VTR_EL2.PREbits) */
uint64_t ich_lr_read(unsigned n);
void ich_lr_write(unsigned n, uint64_t value);
uint32_t ich_elrsr_read(void);  /* bit n: list register n holds no interrupt */
uint32_t ich_misr_read(void);   /* why the maintenance interrupt is asserted */
uint32_t ich_hcr_read(void);
void ich_hcr_write(uint32_t value);
uint32_t ich_vmcr_read(void);
void ich_vmcr_write(uint32_t value);
uint32_t ich_ap0r_read(unsigned n);
void ich_ap0r_write(unsigned n, uint32_t value);
uint32_t ich_ap1r_read(unsigned n);
void ich_ap1r_write(unsigned n, uint32_t value);

#endif
