/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Emulated IMSICs (RISC-V Advanced Interrupt Architecture 1.0, chapter 3): for each vCPU an interrupt file of S level
 * with 255 identities, whose page devices, APLIC and other vCPUs write an identity to. The pages are consecutive.
 *
 * No lock: any pCPU makes an interrupt pending; all else is done by the vCPU itself, through its CSRs. Invariant:
 * either VCPU_REQ_IRQ is requested of the vCPU, or vimsic_output() is what it was when that was last served.
 */
#ifndef AXVM_IRQCHIP_VIMSIC_H
#define AXVM_IRQCHIP_VIMSIC_H

#include "core/vcpu.h"
#include <axvm/device.h>

#define VIMSIC_IDS 255U /* the highest identity; 0 is none */
#define VIMSIC_WORDS ((VIMSIC_IDS + 1U) / 64U)
#define VIMSIC_PAGE UINT64_C(0x1000) /* of each vCPU */

/* Registers of an interrupt file, as siselect names them (3.8). On RV64 there are only even eip and eie. */
enum vimsic_reg {
    VIMSIC_FIRST = 0x70,
    VIMSIC_EIDELIVERY = 0x70,
    VIMSIC_EITHRESHOLD = 0x72,
    VIMSIC_EIP0 = 0x80,
    VIMSIC_EIE0 = 0xc0,
    VIMSIC_LAST = 0xff,
};

/*
 * `moved`: the rest is elsewhere, in a guest interrupt file of the CPU, and eip has only the messages that go there by
 * vimsic_collect().
 */
struct vimsic_cpu {
    struct axvm_vcpu *vcpu;
    _Atomic bool moved;
    _Atomic uint64_t eip[VIMSIC_WORDS];
    _Atomic uint64_t eie[VIMSIC_WORDS];
    _Atomic uint32_t delivery; /* eidelivery: 0 or 1 */
    _Atomic uint32_t threshold;
};

struct vimsic {
    struct axvm *vm;
    unsigned cpu_count;
    struct vimsic_cpu *cpus[AXVM_MAX_VCPUS];
    struct axvm_device device;
};

/*
 * Set up, all as after power-on: vimsic_init() with the VM, then vimsic_attach() for each vCPU in the order of their
 * ids. vimsic_add_device() puts the pages of the VM's cpu_num vCPUs on the bus; the device describes the IMSICs in the
 * guest's device tree.
 */
void vimsic_init(struct vimsic *imsic, struct axvm *vm);
void vimsic_attach(struct vimsic *imsic, struct vimsic_cpu *cpu, struct axvm_vcpu *vcpu);
int vimsic_add_device(struct vimsic *imsic, gpa_t base);

/* As after power-on; no vCPU runs. */
void vimsic_reset(struct vimsic *imsic);

/* A message: the identity becomes pending, if there is such. Any pCPU, any lock held. */
void vimsic_send(struct vimsic_cpu *cpu, uint32_t id);

/* A device's write to an address in the pages. AXVM_EINVAL, not logged: nothing there takes messages. */
int vimsic_signal_msi(struct vimsic *imsic, uint64_t address, uint32_t data);

/* Whether the interrupt file asserts the external interrupt of its vCPU. Any pCPU. */
bool vimsic_output(const struct vimsic_cpu *cpu);

/*
 * Accesses by the vCPU's own CSR instructions, where it runs. Register `select`: *old is what it was; the bits in
 * `mask` become those of `value`, in one step. False: there is no such register.
 */
bool vimsic_reg_rmw(struct vimsic_cpu *cpu, uint64_t select, uint64_t mask, uint64_t value, uint64_t *old);

/* What an interrupt file holds, while nobody else touches it. */
struct vimsic_state {
    uint64_t eip[VIMSIC_WORDS], eie[VIMSIC_WORDS];
    uint32_t delivery, threshold;
};

/*
 * By the vCPU where it runs, or is to run: from here on an interrupt file elsewhere has its state, and it asserts
 * nothing; it is back. vimsic_collect: messages that came since, of 64 identities; each was requested (VCPU_REQ_IRQ).
 */
void vimsic_move_out(struct vimsic_cpu *cpu, struct vimsic_state *state);
void vimsic_move_in(struct vimsic_cpu *cpu, const struct vimsic_state *state);
uint64_t vimsic_collect(struct vimsic_cpu *cpu, unsigned word);

/* stopei; if it is also written, that claims the interrupt. */
uint64_t vimsic_topei(struct vimsic_cpu *cpu, bool claim);

#endif
