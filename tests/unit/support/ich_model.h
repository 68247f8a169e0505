/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtual CPU interfaces of a machine in software (IHI 0069 chapters 5 and 12.2 to 12.4): ICH_* registers for the
 * hypervisor behind irqchip/ich.h, and ICV_* registers for the test that plays the guest.
 *
 * Each pCPU has one; "the calling pCPU" is the one that ich_model_select() named last (per thread). 5 priority bits and
 * 5 preemption bits, as ICH_VTR_EL2 of a Cortex-A72 has them.
 */
#ifndef AXVM_TEST_ICH_MODEL_H
#define AXVM_TEST_ICH_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#define ICH_MODEL_PCPUS 8U
#define ICH_MODEL_SPURIOUS 1023U

/* All registers as after power-on, list registers full of garbage; `lrs` list registers; pCPU 0 selected. */
void ich_model_reset(unsigned lrs);
void ich_model_select(unsigned pcpu);

/* Interfaces that have LPIs active in a list register until their EOI, as QEMU's. Until the next reset. */
void ich_model_keep_lpis_active(bool keep);

/*
 * Interfaces that report what isn't so, as QEMU 7.2's: VGRP0D while group 1 is off; earlier ones also LRENP whatever
 * EOIcount is. Until the next reset.
 */
void ich_model_false_alarms(bool on);

/* Interfaces that count EOIs that find no list register whatever the EOImode, as QEMU 7.2's. Until the next reset. */
void ich_model_count_drops(bool count);

/*
 * What the guest does on the selected pCPU: ICC_IAR0/1, EOIR0/1, HPPIR0/1, RPR, PMR, BPR0/1, IGRPEN0/1, CTLR.EOImode.
 */
uint32_t ich_model_ack(unsigned group);
void ich_model_eoi(unsigned group, uint32_t intid);
uint32_t ich_model_hppi(unsigned group);
uint32_t ich_model_running_priority(void);
void ich_model_set_pmr(uint32_t mask);
void ich_model_set_bpr(unsigned group, uint32_t point);
void ich_model_set_group(unsigned group, bool on);
void ich_model_set_eoi_mode(bool split);
uint32_t ich_model_eoi_mode(void);

/* A write to ICC_DIR: false if it traps to the hypervisor instead (ICH_HCR_EL2.TDIR). */
bool ich_model_dir(uint32_t intid);

/* Whether the PE is signalled an IRQ (group 1) or FIQ (group 0), and whether the maintenance interrupt is asserted. */
bool ich_model_signalled(unsigned group);
bool ich_model_maintenance(void);

/* Called for each physical interrupt that the guest deactivated through a linked list register. */
void ich_model_on_deactivate(void (*callback)(unsigned pcpu, uint32_t pintid));

/*
 * Breaches of the rules by the hypervisor since reset (printed): an interrupt in two list registers, a linked one that
 * is pending and active, reserved bits, a register that isn't implemented, ...
 */
unsigned ich_model_faults(void);

/* Register accesses by the hypervisor since reset, to see that it doesn't do needless ones. */
unsigned ich_model_accesses(void);

#endif
