/* SPDX-License-Identifier: Apache-2.0 */
#include "irqchip/vits.h"

#include "core/guest_fdt.h"
#include "core/vm.h"
#include "irqchip/vgicv3_impl.h"
#include <libfdt.h>
#include <stdio.h>
#include <string.h>

/* GITS_* (IHI 0069 12.19) */
enum {
    GITS_CTLR = 0x0000,
    GITS_IIDR = 0x0004,
    GITS_TYPER = 0x0008,
    GITS_CBASER = 0x0080,
    GITS_CWRITER = 0x0088,
    GITS_CREADR = 0x0090,
    GITS_BASER0 = 0x0100,
    GITS_TRANSLATER = 0x10040,
};

#define FRAME_SIZE 0x10000U

#define CTLR_ENABLED (1U << 0)
#define CTLR_QUIESCENT (1U << 31)

/* Physical LPIs; translation table entries of a byte (not used); targets are named by GICR_TYPER.Processor_Number. */
#define ID_BITS 16U /* of EventIDs and DeviceIDs */
#define TYPER_PHYSICAL (UINT64_C(1) << 0)
#define TYPER_EVENT_ID_BITS (UINT64_C(15) << 8)
#define TYPER_DEVICE_ID_BITS (UINT64_C(15) << 13)
#define TYPER_HCC ((uint64_t)VITS_COLLECTIONS << 24)
#define TYPER (TYPER_PHYSICAL | TYPER_EVENT_ID_BITS | TYPER_DEVICE_ID_BITS | TYPER_HCC)

#define BASER_VALID (UINT64_C(1) << 63)
#define BASER_ATTRIBUTES (UINT64_C(7) << 59 | UINT64_C(7) << 53 | UINT64_C(3) << 10) /* caches, shareability: kept */
#define BASER_SIZE UINT64_C(0xff) /* in pages, less one */

#define CBASER_ADDRESS UINT64_C(0x000ffffffffff000)
#define CBASER_MASK (BASER_VALID | BASER_ATTRIBUTES | CBASER_ADDRESS | BASER_SIZE)
#define CBASER_PAGE 4096U
#define QUEUE_OFFSET UINT32_C(0xfffe0) /* CWRITER, CREADR */

/* A flat table of devices, with entries of a byte. */
#define BASER0_TYPE_DEVICES (UINT64_C(1) << 56)
#define BASER0_PAGE_SHIFT 8U
#define BASER0_PAGE (UINT64_C(3) << BASER0_PAGE_SHIFT) /* 4, 16, 64 KiB; 3 is reserved */
#define BASER0_ADDRESS UINT64_C(0x0000fffffffff000)
#define BASER0_MASK (BASER_VALID | BASER_ATTRIBUTES | BASER0_ADDRESS | BASER0_PAGE | BASER_SIZE)

#define COMMAND_SIZE 32U
#define BATCH 32U             /* commands carried out at once */
#define BATCHES_A_SECOND 20000U
#define TIMER_SHARE 50U /* of the pCPU's time that the timer may take: a fiftieth */

static struct vits *its_of(struct axvm_device *device)
{
    return (struct vits *)(void *)((char *)device - offsetof(struct vits, device));
}

/* ---- Events ------------------------------------------------------------------------------------------------------ */

/* The first event whose key isn't less. */
static unsigned event_at(const struct vits *its, uint64_t key)
{
    unsigned low = 0, high = its->event_count;

    while (low < high) {
        unsigned middle = (low + high) / 2;

        if (its->events[middle].key < key) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct vits_event *event_find(struct vits *its, uint32_t device, uint32_t event)
{
    uint32_t key = device << ID_BITS | event;
    unsigned at = event_at(its, key);

    if ((device | event) >> ID_BITS != 0 || at == its->event_count || its->events[at].key != key) {
        return NULL;
    }
    return &its->events[at];
}

static void events_remove(struct vits *its, unsigned at, unsigned count)
{
    its->event_count -= count;
    memmove(&its->events[at], &its->events[at + count], (its->event_count - at) * sizeof(its->events[0]));
}

/* The event, new if need be; NULL: no room. */
static struct vits_event *event_make(struct vits *its, uint32_t device, uint32_t event)
{
    struct vits_event *found = event_find(its, device, event);
    uint32_t key = device << ID_BITS | event;
    unsigned at = event_at(its, key);

    if (found != NULL || its->event_count == VITS_EVENTS) {
        return found;
    }
    memmove(&its->events[at + 1], &its->events[at], (its->event_count - at) * sizeof(its->events[0]));
    its->event_count++;
    its->events[at].key = key;
    return &its->events[at];
}

static void events_forget(struct vits *its, uint32_t device)
{
    unsigned first = event_at(its, (uint64_t)device << ID_BITS);
    unsigned end = event_at(its, (uint64_t)(device + 1) << ID_BITS);

    events_remove(its, first, end - first);
}

static struct vits_device *device_find(struct vits *its, uint32_t id)
{
    for (unsigned i = 0; i < VITS_DEVICES; i++) {
        if (its->devices[i].event_bits != 0 && its->devices[i].id == id) {
            return &its->devices[i];
        }
    }
    return NULL;
}

static struct vits_device *device_make(struct vits *its, uint32_t id)
{
    struct vits_device *found = device_find(its, id);

    for (unsigned i = 0; i < VITS_DEVICES && found == NULL; i++) {
        found = its->devices[i].event_bits == 0 ? &its->devices[i] : NULL;
    }
    return found;
}

/* Whether the guest's device table has an entry for it. */
static bool device_in_table(const struct vits *its, uint32_t id)
{
    uint64_t page = UINT64_C(4096) << 2 * ((its->baser & BASER0_PAGE) >> BASER0_PAGE_SHIFT);

    return (its->baser & BASER_VALID) != 0 && id >> ID_BITS == 0 && id < ((its->baser & BASER_SIZE) + 1) * page;
}

/* ---- Commands (IHI 0069 5.3) ------------------------------------------------------------------------------------- */

struct command {
    struct axvm_vcpu *from; /* whose access it is, or NULL */
    uint64_t dw[4];
};

static uint32_t command_device(const struct command *c)
{
    return (uint32_t)(c->dw[0] >> 32);
}

static uint32_t command_event_id(const struct command *c)
{
    return (uint32_t)c->dw[1];
}

static unsigned command_collection(const struct command *c)
{
    return (unsigned)c->dw[2] & 0xffffU;
}

static bool command_valid(const struct command *c)
{
    return c->dw[2] >> 63 != 0;
}

/* RDbase of a doubleword: bits 50:16. A vCPU, or VGICV3_NO_VCPU. */
static uint8_t command_target(const struct vits *its, uint64_t dw)
{
    uint64_t number = dw >> 16 & UINT64_C(0x7ffffffff);

    return number < its->gic->cpu_count ? (uint8_t)number : VGICV3_NO_VCPU;
}

static struct vits_event *command_event(struct vits *its, const struct command *c)
{
    return event_find(its, command_device(c), command_event_id(c));
}

/* Who gets the events of a collection. */
static uint8_t collection_target(const struct vits *its, unsigned collection)
{
    return collection < VITS_COLLECTIONS ? its->collections[collection] : VGICV3_NO_VCPU;
}

/* A device that was mapped already gets a new table, without events. */
static void do_mapd(struct vits *its, const struct command *c)
{
    uint32_t id = command_device(c);
    unsigned bits = (c->dw[1] & 0x1f) + 1;
    struct vits_device *device;

    if (!device_in_table(its, id) || (command_valid(c) && bits > ID_BITS)) {
        return;
    }
    events_forget(its, id);
    device = command_valid(c) ? device_make(its, id) : device_find(its, id);
    if (device != NULL) {
        device->id = (uint16_t)id;
        device->event_bits = command_valid(c) ? (uint8_t)bits : 0;
    }
}

static void do_mapc(struct vits *its, const struct command *c)
{
    unsigned collection = command_collection(c);
    uint8_t target = command_target(its, c->dw[2]);

    if (collection >= VITS_COLLECTIONS) {
        return;
    }
    if (!command_valid(c)) {
        its->collections[collection] = VGICV3_NO_VCPU;
    } else if (target != VGICV3_NO_VCPU) {
        its->collections[collection] = target;
    }
}

static void map_event(struct vits *its, const struct command *c, uint32_t intid)
{
    const struct vits_device *device = device_find(its, command_device(c));
    uint32_t id = command_event_id(c);
    struct vits_event *event;

    if (device == NULL || id >> device->event_bits != 0 || command_collection(c) >= VITS_COLLECTIONS ||
        !vgicv3_is_lpi(its->gic, intid)) {
        return;
    }
    event = event_make(its, device->id, id);
    if (event != NULL) {
        event->lpi = (uint16_t)(intid - VGICV3_FIRST_LPI);
        event->collection = (uint16_t)command_collection(c);
        vgicv3_lpi_reload(its->gic, c->from, event->lpi);
    }
}

static void do_mapti(struct vits *its, const struct command *c)
{
    map_event(its, c, (uint32_t)(c->dw[1] >> 32));
}

static void do_mapi(struct vits *its, const struct command *c)
{
    map_event(its, c, command_event_id(c));
}

static void do_movi(struct vits *its, const struct command *c)
{
    struct vits_event *event = command_event(its, c);
    uint8_t target = collection_target(its, command_collection(c));

    if (event != NULL && target != VGICV3_NO_VCPU) {
        event->collection = (uint16_t)command_collection(c);
        vgicv3_lpi_move(its->gic, c->from, event->lpi, target);
    }
}

static void do_movall(struct vits *its, const struct command *c)
{
    uint8_t source = command_target(its, c->dw[2]);
    uint8_t target = command_target(its, c->dw[3]);

    if (source != VGICV3_NO_VCPU && target != VGICV3_NO_VCPU) {
        vgicv3_lpi_move_all(its->gic, c->from, source, target);
    }
}

static void do_int(struct vits *its, const struct command *c)
{
    const struct vits_event *event = command_event(its, c);
    uint8_t target = event != NULL ? collection_target(its, event->collection) : VGICV3_NO_VCPU;

    if (target != VGICV3_NO_VCPU) {
        vgicv3_lpi_set(its->gic, c->from, event->lpi, target);
    }
}

static void do_clear(struct vits *its, const struct command *c)
{
    const struct vits_event *event = command_event(its, c);

    if (event != NULL) {
        vgicv3_lpi_clear(its->gic, c->from, event->lpi);
    }
}

static void do_discard(struct vits *its, const struct command *c)
{
    const struct vits_event *event = command_event(its, c);

    if (event != NULL) {
        vgicv3_lpi_clear(its->gic, c->from, event->lpi);
        events_remove(its, (unsigned)(event - its->events), 1);
    }
}

static void do_inv(struct vits *its, const struct command *c)
{
    const struct vits_event *event = command_event(its, c);

    if (event != NULL) {
        vgicv3_lpi_reload(its->gic, c->from, event->lpi);
    }
}

static void do_invall(struct vits *its, const struct command *c)
{
    if (collection_target(its, command_collection(c)) != VGICV3_NO_VCPU) {
        vgicv3_lpi_reload_all(its->gic, c->from);
    }
}

enum { SYNC = 0x05 };

static void (*const commands[])(struct vits *its, const struct command *c) = {
    [0x01] = do_movi, [0x03] = do_int,  [0x04] = do_clear, [0x08] = do_mapd,   [0x09] = do_mapc,   [0x0a] = do_mapti,
    [0x0b] = do_mapi, [0x0c] = do_inv,  [0x0d] = do_invall, [0x0e] = do_movall, [0x0f] = do_discard,
};

/* False: it has to wait. */
static bool execute(struct vits *its, const struct command *c)
{
    unsigned number = c->dw[0] & 0xff;

    if (number == SYNC) {
        uint8_t target = command_target(its, c->dw[2]);

        return target == VGICV3_NO_VCPU || vgicv3_lpi_settled(its->gic, target);
    }
    if (number < sizeof(commands) / sizeof(commands[0]) && commands[number] != NULL) {
        commands[number](its, c);
    }
    return true;
}

/* ---- The queue --------------------------------------------------------------------------------------------------- */

static uint32_t queue_size(const struct vits *its)
{
    return (uint32_t)((its->cbaser & BASER_SIZE) + 1) * CBASER_PAGE;
}

static bool has_commands(const struct vits *its)
{
    return its->enabled && (its->cbaser & BASER_VALID) != 0 && its->creadr != its->cwriter &&
           its->cwriter < queue_size(its);
}

/*
 * What a timer does is nobody's turn. So it takes a small part of the time only: the longer the last commands took, the
 * longer the next ones wait. A guest that is in a hurry reads CREADR, for which it pays itself.
 */
static void schedule(struct vits *its, uint64_t since)
{
    if (!its->scheduled) {
        uint64_t now = hal->ticks(), delay = hal->tick_hz / BATCHES_A_SECOND;
        uint64_t fair = (now - since) * (TIMER_SHARE - 1);

        its->scheduled = true;
        its->timer.deadline = now + (fair > delay ? fair : delay);
        hal->timer_arm(&its->timer);
    }
}

/* A command that can't be read is a wrong one, and ignored. */
static void process(struct vits *its, struct axvm_vcpu *from)
{
    struct command c = {.from = from};
    uint64_t since = hal->ticks();

    for (unsigned n = 0; has_commands(its); n++) {
        gpa_t at = gpa((its->cbaser & CBASER_ADDRESS) + its->creadr);

        if (n == BATCH ||
            (addrspace_read(&its->gic->vm->as, at, c.dw, COMMAND_SIZE) == AXVM_OK && !execute(its, &c))) {
            schedule(its, since);
            return;
        }
        its->creadr = (its->creadr + COMMAND_SIZE) % queue_size(its);
    }
}

static void fire(struct axvm_timer *timer)
{
    struct vits *its = (struct vits *)(void *)((char *)timer - offsetof(struct vits, timer));

    spin_lock(&its->lock);
    its->scheduled = false;
    process(its, NULL);
    spin_unlock(&its->lock);
}

/* ---- Registers --------------------------------------------------------------------------------------------------- */

static uint64_t reg_read(struct vits *its, struct axvm_vcpu *from, unsigned reg)
{
    switch (reg) {
    case GITS_CTLR:
        return (uint64_t)GIC_IIDR << 32 | (its->enabled ? CTLR_ENABLED : CTLR_QUIESCENT);
    case GITS_TYPER:
        return TYPER;
    case GITS_CBASER:
        return its->cbaser;
    case GITS_CWRITER:
        return its->cwriter;
    case GITS_CREADR:
        process(its, from);
        return its->creadr;
    case GITS_BASER0:
        return its->baser | BASER0_TYPE_DEVICES;
    default:
        return 0; /* GITS_BASER1 to 7: there are no such tables */
    }
}

/* A new table is empty. */
static void baser_write(struct vits *its, uint64_t value)
{
    value &= BASER0_MASK;
    its->baser = (value & BASER0_PAGE) == BASER0_PAGE ? value & ~(UINT64_C(1) << BASER0_PAGE_SHIFT) : value;
    its->event_count = 0;
    memset(its->devices, 0, sizeof(its->devices));
}

/* While the ITS is enabled, writes to the base registers have no defined effect: here they have none. */
static void reg_write(struct vits *its, struct axvm_vcpu *from, unsigned reg, unsigned offset, unsigned size,
                      uint64_t value)
{
    if (reg == GITS_CTLR && offset == GITS_CTLR) {
        its->enabled = (value & CTLR_ENABLED) != 0;
        process(its, from);
    } else if (reg == GITS_CWRITER) {
        its->cwriter = (uint32_t)vgicv3_merge(its->cwriter, offset, size, value) & QUEUE_OFFSET;
        process(its, from);
    } else if (reg == GITS_CBASER && !its->enabled) {
        its->cbaser = vgicv3_merge(its->cbaser, offset, size, value) & CBASER_MASK;
        its->creadr = 0;
    } else if (reg == GITS_BASER0 && !its->enabled) {
        baser_write(its, vgicv3_merge(its->baser, offset, size, value));
    }
}

/* All that the frame of GITS_TRANSLATER has is write-only, or reserved. */
static bool is_register(uint64_t offset, unsigned size)
{
    return offset < FRAME_SIZE && size >= 4 && offset % size == 0;
}

static int its_read(struct axvm_device *device, struct axvm_vcpu *vcpu, uint64_t offset, unsigned size, uint64_t *value)
{
    struct vits *its = its_of(device);

    *value = 0;
    if (!is_register(offset, size)) {
        return AXVM_OK;
    }
    if (offset >= VGICV3_IDS) {
        *value = vgicv3_id_read(offset, size);
        return AXVM_OK;
    }
    spin_lock(&its->lock);
    *value = bus_narrow(reg_read(its, vcpu, (unsigned)offset & ~7U) >> (offset % 8 * 8), size);
    spin_unlock(&its->lock);
    return AXVM_OK;
}

static int its_write(struct axvm_device *device, struct axvm_vcpu *vcpu, uint64_t offset, unsigned size, uint64_t value)
{
    struct vits *its = its_of(device);

    if (is_register(offset, size)) {
        spin_lock(&its->lock);
        reg_write(its, vcpu, (unsigned)offset & ~7U, (unsigned)offset, size, value);
        spin_unlock(&its->lock);
    }
    return AXVM_OK;
}

/* ---- The device -------------------------------------------------------------------------------------------------- */

/* Disabled first: one that is just firing on another pCPU, for which the cancellation waits, may arm itself again. */
static void its_stop(struct vits *its)
{
    spin_lock(&its->lock);
    its->enabled = false;
    spin_unlock(&its->lock);
    hal->timer_cancel(&its->timer);
}

static void its_removed(struct axvm_device *device)
{
    its_stop(its_of(device));
}

static void its_reset(struct axvm_device *device)
{
    struct vits *its = its_of(device);

    its_stop(its);
    spin_lock(&its->lock);
    its->scheduled = false;
    its->cwriter = 0;
    its->creadr = 0;
    its->cbaser = 0;
    baser_write(its, 0);
    memset(its->collections, VGICV3_NO_VCPU, sizeof(its->collections));
    spin_unlock(&its->lock);
}

static const struct axvm_device_ops its_ops = {
    .name = "GICv3 ITS",
    .read = its_read,
    .write = its_write,
    .reset = its_reset,
    .removed = its_removed,
};

void vits_init(struct vits *its, struct vgicv3 *gic, gpa_t base)
{
    its->device =
        (struct axvm_device){.ops = &its_ops, .space = AXVM_SPACE_MMIO, .base = base.v, .size = VITS_SIZE};
    its->gic = gic;
    its->timer.fire = fire;
    its_reset(&its->device);
    vgicv3_set_its(gic, its);
}

gpa_t vits_doorbell(const struct vits *its)
{
    return gpa(its->device.base + GITS_TRANSLATER);
}

int vits_signal_msi(struct vits *its, uint32_t device_id, uint32_t event_id)
{
    const struct vits_event *event;
    uint8_t target = VGICV3_NO_VCPU;

    spin_lock(&its->lock);
    event = its->enabled ? event_find(its, device_id, event_id) : NULL;
    if (event != NULL) {
        target = collection_target(its, event->collection);
    }
    if (target != VGICV3_NO_VCPU) {
        vgicv3_lpi_set(its->gic, NULL, event->lpi, target);
    }
    spin_unlock(&its->lock);
    return target != VGICV3_NO_VCPU ? AXVM_OK : AXVM_ENOENT;
}

/* Binding arm,gic-v3. */
int vits_fdt(const struct vits *its, void *fdt)
{
    const fdt64_t reg[] = {cpu_to_fdt64(its->device.base), cpu_to_fdt64(its->device.size)};
    char name[48];
    int error;

    snprintf(name, sizeof(name), "msi-controller@%llx", (unsigned long long)its->device.base);
    error = fdt_property_u32(fdt, "#address-cells", 2);
    error = error != 0 ? error : fdt_property_u32(fdt, "#size-cells", 2);
    error = error != 0 ? error : fdt_property(fdt, "ranges", NULL, 0);
    error = error != 0 ? error : fdt_begin_node(fdt, name);
    error = error != 0 ? error : fdt_property_string(fdt, "compatible", "arm,gic-v3-its");
    error = error != 0 ? error : fdt_property(fdt, "msi-controller", NULL, 0);
    error = error != 0 ? error : fdt_property_u32(fdt, "#msi-cells", 1);
    error = error != 0 ? error : fdt_property(fdt, "reg", reg, sizeof(reg));
    error = error != 0 ? error : fdt_property_u32(fdt, "phandle", GUEST_FDT_MSI);
    return error != 0 ? error : fdt_end_node(fdt);
}
