/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An emulated GICv3 (IHI 0069): distributor, redistributors, and the delivery of interrupts to vCPUs through list
 * registers. One security state, affinity routing always on (GICD_CTLR.ARE and DS read as one), 32 priorities. With
 * an ITS (vits.h) there are LPIs, too.
 *
 * State is kept as the register files have it, one 32-bit word for 32 interrupts, so that a register access is a word
 * operation. Word 0 of a vCPU (SGIs and PPIs) is in struct vgicv3_cpu; words 1.. (SPIs) are in struct vgicv3, and those
 * of the LPIs behind them. An LPI is an edge of group 1 that is never active (IHI 0069 5.1); its target is whose
 * redistributor has it pending, enable and priority are what was last read of the guest's LPI configuration table.
 *
 * An interrupt that sits in a list register is held by that vCPU until it is folded back into its word. Whoever changes
 * a word marks the interrupts concerned as dirty, and requests VCPU_REQ_IRQ of the vCPU that holds or is to get them;
 * vgicv3_sync() there brings their list registers up to date before the guest goes on.
 *
 * Pending and active state that other vCPUs hold is exact: a guest's read or write of it asks them to fold, and ends
 * when all that were asked have folded (or were saved), once each. So what is read was so at some time during the
 * access, and what is written is in the list registers when the instruction is done. Until then the device answers
 * BUS_AGAIN; the vCPU comes again, serves its own requests in between, and holds no lock: two that ask each other get
 * their answers. Nothing else waits for another vCPU; GICD_CTLR.RWP and GICR_CTLR.RWP stay set until a disabled
 * interrupt has left the list registers (IHI 0069 12.9.4).
 *
 * The lock of a GIC is taken inside all functions here; while it is held, guest memory is read, but no other lock is
 * taken.
 */
#ifndef AXVM_IRQCHIP_VGICV3_H
#define AXVM_IRQCHIP_VGICV3_H

#include "core/vcpu.h"
#include "irqchip/ich.h"
#include "lib/spinlock.h"
#include <axvm/device.h>

#define VGICV3_MAX_IRQS 320U /* INTIDs 0..319: 32 private, 288 SPIs, enough for the wires of every machine we met */
#define VGICV3_WORDS (VGICV3_MAX_IRQS / 32U)

#define VGICV3_FIRST_LPI 8192U
#define VGICV3_LPI_COUNT_SHIFT 8U /* GICD_TYPER.num_LPIs + 1 */
#define VGICV3_LPIS (1U << VGICV3_LPI_COUNT_SHIFT)
#define VGICV3_LPI_WORDS (VGICV3_LPIS / 32U)

#define VGICV3_DIST_SIZE UINT64_C(0x10000)
#define VGICV3_REDIST_SIZE UINT64_C(0x20000) /* a vCPU: RD_base and SGI_base frames */

/*
 * Thirty-two interrupts, under vgicv3.lock. Invariants:
 *  - an interrupt is in at most one list register of one vCPU; `in_lr` says that it is in number `slot` of `owner`'s;
 *  - `in_lr` and `slot` change only on the pCPU where the owner is resident, and no bit of `in_lr` is set while it
 *    isn't;
 *  - lr_latch and forced are subsets of in_lr;
 *  - `owner` means something where `in_lr` or `active` is set; until both are clear nobody else gets the interrupt.
 */
struct vgicv3_word {
    uint8_t index; /* INTID = 32 * index + bit; LPIs follow those: vgicv3_intid() */
    uint32_t enabled;
    uint32_t group1;
    uint32_t edge;   /* ICFGR: edge-triggered */
    uint32_t level;  /* the wire, for wired interrupts */
    uint32_t latch;  /* pending by an edge, a write to ISPENDR, an SGI, or (hardware-linked) a physical interrupt */
    uint32_t active; /* of those in list registers: as of the last fold */
    uint32_t in_lr;
    uint32_t hardware; /* the physical interrupt of this number is active until the guest has deactivated this one */
    uint32_t wired;    /* if also in `hardware`: pending by the physical wire alone, and no longer than that is up */
    uint32_t lr_latch; /* the list register was made pending by `latch`, which was cleared then */
    uint32_t forced;   /* the guest wrote `active` since: it overrides the list register at the next fold */
    uint32_t dirty;    /* to be looked at by the next sync of whoever holds it or gets it */
    uint32_t priority[8]; /* a byte each */
    uint8_t target[32];   /* vCPU it is routed to, or VGICV3_NO_VCPU */
    uint8_t owner[32];
    uint8_t slot[32];
};

#define VGICV3_NO_VCPU 0xffU

struct vgicv3;
struct vits;

/* What the comments call `own` changes only on the pCPU where the vCPU is resident. */
struct vgicv3_cpu {
    struct axvm_vcpu *vcpu;
    struct vgicv3 *gic;
    struct vgicv3_word private; /* word 0 */
    _Atomic uint32_t inbox; /* SGIs not yet merged: bits 15..0 by ICC_SGI1R, 31..16 those that only reach group 0 */
    uint8_t index;
    bool asleep;          /* GICR_WAKER.ProcessorSleep */
    bool rebuild;         /* the next sync has to look at all interrupts, not only dirty ones */
    bool lr_waiting;      /* a list register would end a wait, when vgicv3_pending() looked; false while not resident */
    uint8_t wakes_below[2]; /* of a group's interrupts: the priority below which they do; as of then */
    bool lpis_on;         /* GICR_CTLR.EnableLPIs */
    uint8_t groups;       /* ICH_VMCR_VENG*: those on at the CPU interface when that was last looked at */
    uint64_t pendbaser;   /* GICR_PENDBASER */
    uint32_t dirty_words; /* bit n: word n may have dirty interrupts for this vCPU */
    uint64_t awaited;     /* while in vgicv3.waiting: vCPUs that haven't folded since this one's access began */
    uint32_t lr_mask;     /* own: the list registers there are */
    uint32_t lr_used;     /* own: those that held something when last written */
    uint32_t lr_eoi;      /* own: those of them that ask for maintenance at the guest's EOI */
    uint32_t hcr;         /* own, under the lock: ICH_HCR_EL2 as last written, 0 while not resident */
    uint64_t lr[ICH_MAX_LRS]; /* own: as last written */
    uint32_t vmcr, ap0r[4], ap1r[4]; /* valid while not resident */
};

struct vgicv3 {
    struct spinlock lock;
    struct axvm *vm;
    bool (*wire)(struct axvm_vcpu *vcpu, uint32_t irq); /* of a vCPU's physical interrupts, where it is resident */
    unsigned cpu_count;
    struct vgicv3_cpu *cpus[AXVM_MAX_VCPUS];
    uint32_t affinity[AXVM_MAX_VCPUS]; /* Aff3.Aff2.Aff1.Aff0, a byte each */
    uint32_t ctlr;                     /* GICD_CTLR: EnableGrp0, EnableGrp1 */
    uint64_t pokes;    /* vCPUs to request VCPU_REQ_IRQ of when the lock is given up */
    uint64_t settling; /* vCPUs that may still have a disabled interrupt in a list register: RWP */
    uint64_t waiting;  /* vCPUs in an access to state that others hold */
    uint32_t stranded; /* ICH_VMCR_VENG*: groups of 1-of-N interrupts that no vCPU could take when that was looked at */
    unsigned words;     /* how many there are: more with LPIs on */
    struct vits *its;   /* NULL: none, and no LPIs */
    uint32_t typer;     /* GICD_TYPER */
    bool lpis_on;       /* of some vCPU: the LPI configuration table is in use */
    uint64_t propbaser; /* GICR_PROPBASER, the same for all (GICR_TYPER.CommonLPIAff is 0) */
    struct vgicv3_word spi[VGICV3_WORDS + VGICV3_LPI_WORDS]; /* [0] unused; LPIs from [VGICV3_WORDS] on */
    uint64_t irouter[VGICV3_MAX_IRQS];
    bool roaming; /* since the reset something has been in `roams` */
    uint32_t roams[VGICV3_WORDS + VGICV3_LPI_WORDS]; /* by word: 1-of-N interrupts, whose targets the GIC chooses */
    struct axvm_device dist, redist;
};

/*
 * Set up, all as after power-on: vgicv3_init() with the VM, then vgicv3_attach() for each vCPU in the order of their
 * ids. vgicv3_add_devices() puts the registers on the bus: the distributor (its device describes the GIC in the guest's
 * device tree) and, contiguous, a redistributor for each of the VM's cpu_num vCPUs.
 */
void vgicv3_init(struct vgicv3 *gic, struct axvm *vm);
void vgicv3_attach(struct vgicv3 *gic, struct vgicv3_cpu *cpu, struct axvm_vcpu *vcpu);
int vgicv3_add_devices(struct vgicv3 *gic, gpa_t dist, gpa_t redist);
void vgicv3_set_its(struct vgicv3 *gic, struct vits *its); /* NULL: none */

/* As after power-on, but for the wires, which are their drivers' to lower; no vCPU runs or is resident. */
void vgicv3_reset(struct vgicv3 *gic);

/* The vCPU's CPU interface as after its power-on (PSCI CPU_ON); its redistributor keeps its state. Not resident. */
void vgicv3_cpu_reset(struct vgicv3_cpu *cpu);

/* The vCPU has been powered off (PSCI CPU_OFF), and is about to be saved: others get the 1-of-N interrupts it had. */
void vgicv3_cpu_off(struct vgicv3_cpu *cpu);

/* Virtual CPU interface of the calling pCPU from and to memory. */
void vgicv3_load(struct vgicv3_cpu *cpu);
void vgicv3_save(struct vgicv3_cpu *cpu);

/*
 * Bring the list registers up to date. The vCPU is resident here. Called when VCPU_REQ_IRQ was set and on the
 * maintenance interrupt.
 */
void vgicv3_sync(struct vgicv3_cpu *cpu);

/* Any pCPU. An edge on a private interrupt; an edge on, or the level of, an SPI. AXVM_EINVAL: no such interrupt. */
int vgicv3_pulse(struct vgicv3_cpu *cpu, uint32_t irq);
int vgicv3_set_line(struct vgicv3 *gic, uint32_t irq, bool level);
/* The level of a PPI (the emulated physical timer, PMU). */
void vgicv3_set_private_line(struct vgicv3_cpu *cpu, uint32_t irq, bool level);

/*
 * The running vCPU's physical private interrupt `irq` fired, and stays active: deliver it as its own, linked to the
 * hardware (the guest's EOI deactivates it). The vCPU is resident here.
 *
 * It is level-sensitive: when the guest quiets its source before taking it, it is pending no more (IHI 0069 4.1.2).
 * List registers know nothing of that, and the guest does it without an exit; so the wire is looked at whenever the
 * GIC's state is (the guest reads pending state, waits, loses the pCPU, or something else changes about its
 * interrupts). A guest that does none of this between quieting the source and taking interrupts gets one for nothing,
 * as from a real GIC that hasn't noticed yet; drivers look at the source.
 */
void vgicv3_hardware_irq(struct vgicv3_cpu *cpu, uint32_t irq);

/* Whether the physical private interrupt `irq` must be active on the pCPU where the vCPU is (is to be) resident: it is
 * pending or active in the guest. Not resident. */
bool vgicv3_hardware_active(const struct vgicv3_cpu *cpu, uint32_t irq);

/* A guest's write to ICC_SGI1R_EL1 (group 1), ICC_SGI0R_EL1 (group 0) or ICC_ASGI1R_EL1 by `from`. */
enum vgicv3_sgi_group { VGICV3_SGI1, VGICV3_SGI0, VGICV3_ASGI1 };
void vgicv3_send_sgi(struct vgicv3_cpu *from, uint64_t value, enum vgicv3_sgi_group group);

/*
 * A guest's write to ICC_DIR_EL1, which traps where the hardware can (ICH_VTR_EL2.TDS): list registers alone can't
 * deactivate what is active in memory or on another vCPU. Resident here.
 */
void vgicv3_deactivate(struct vgicv3_cpu *cpu, uint64_t value);

/*
 * For the ITS, on behalf of `from` (a vCPU resident here) or NULL; `lpi` is INTID - VGICV3_FIRST_LPI, below
 * VGICV3_LPIS. Make an LPI pending at a vCPU's redistributor (not if that has LPIs off), or pending nowhere; pass it,
 * or all that one vCPU has, on to another; read the guest's configuration of one or of all again.
 */
void vgicv3_lpi_set(struct vgicv3 *gic, const struct axvm_vcpu *from, unsigned lpi, unsigned target);
void vgicv3_lpi_clear(struct vgicv3 *gic, const struct axvm_vcpu *from, unsigned lpi);
void vgicv3_lpi_move(struct vgicv3 *gic, const struct axvm_vcpu *from, unsigned lpi, unsigned target);
void vgicv3_lpi_move_all(struct vgicv3 *gic, const struct axvm_vcpu *from, unsigned source, unsigned target);
void vgicv3_lpi_reload(struct vgicv3 *gic, const struct axvm_vcpu *from, unsigned lpi);
void vgicv3_lpi_reload_all(struct vgicv3 *gic, const struct axvm_vcpu *from);

/* Whether an INTID is one of the LPIs there are (GICR_PROPBASER.IDbits). */
bool vgicv3_is_lpi(struct vgicv3 *gic, uint32_t intid);

/* Whether what the above took from the vCPU has left its list registers. */
bool vgicv3_lpi_settled(struct vgicv3 *gic, unsigned cpu);

/*
 * Whether some interrupt is deliverable to the vCPU: pending, enabled, its group on, also at the CPU interface, not
 * merely active, and of a priority that ICC_PMR_EL1 and what is active let through. Any pCPU, but elsewhere than where
 * the vCPU is resident only after it was asked there, and hasn't run since: when it waits.
 */
bool vgicv3_pending(struct vgicv3_cpu *cpu);

#endif
