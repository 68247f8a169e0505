/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An emulated Interrupt Translation Service (IHI 0069 5.2): events of devices become LPIs, as the guest says by
 * commands in a queue in its memory.
 *
 * Tables are kept here, in bounded room, not in the memory that the guest gives: of that, only the device table's size
 * counts, which says what DeviceIDs there are. Collections are few, and need no memory of the guest's (GITS_TYPER.HCC).
 * A command for which there is no room, or that is wrong, is ignored (IHI 0069 5.3).
 *
 * Commands are carried out when GITS_CWRITER is written, a few at a time; the rest follow at the guest's next access to
 * CREADR or CWRITER, and by a timer, whichever comes first. So no access takes long, however full the queue is; and the
 * timer takes a fiftieth of the time at most. A SYNC waits until what was disabled, moved, or cleared has left the list
 * registers of the vCPU it names.
 *
 * Lock order: vits.lock, then vgicv3.lock and the address space's.
 */
#ifndef AXVM_IRQCHIP_VITS_H
#define AXVM_IRQCHIP_VITS_H

#include "irqchip/vgicv3.h"

#define VITS_SIZE UINT64_C(0x20000) /* two frames: control registers, and that of GITS_TRANSLATER */
#define VITS_EVENTS VGICV3_LPIS
#define VITS_DEVICES 64U
#define VITS_COLLECTIONS (AXVM_MAX_VCPUS + 1U)

struct vits_event {
    uint32_t key; /* DeviceID << 16 | EventID */
    uint16_t lpi; /* INTID - VGICV3_FIRST_LPI */
    uint16_t collection;
};

struct vits_device {
    uint16_t id;
    uint8_t event_bits; /* 0: unused */
};

/*
 * Under `lock`. Invariants: events[0 .. event_count) ascend by key; each has a device here, an LPI below VGICV3_LPIS
 * and a collection below VITS_COLLECTIONS; collections[] are vCPUs that exist or VGICV3_NO_VCPU.
 */
struct vits {
    struct axvm_device device;
    struct spinlock lock;
    struct vgicv3 *gic;
    bool enabled;   /* GITS_CTLR.Enabled */
    bool scheduled; /* the timer is armed */
    uint32_t cwriter, creadr;
    uint64_t cbaser, baser; /* GITS_BASER0: the device table */
    struct axvm_timer timer;
    unsigned event_count;
    struct vits_event events[VITS_EVENTS];
    struct vits_device devices[VITS_DEVICES];
    uint8_t collections[VITS_COLLECTIONS];
};

/* Zeroed memory becomes the GIC's ITS, which then has LPIs. Put its->device on the bus afterwards. */
void vits_init(struct vits *its, struct vgicv3 *gic, gpa_t base);

/* Where devices write the number of an event: GITS_TRANSLATER. A CPU's write there has no DeviceID, and no effect. */
gpa_t vits_doorbell(const struct vits *its);

/* A device's write to the doorbell. Any pCPU. AXVM_ENOENT, not logged: the guest takes no such event, now. */
int vits_signal_msi(struct vits *its, uint32_t device_id, uint32_t event_id);

/* Its node, inside the GIC's, in a device tree that is being written. 0 or a negative libfdt error. */
int vits_fdt(const struct vits *its, void *fdt);

#endif
