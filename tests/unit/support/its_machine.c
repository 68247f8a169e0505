/* SPDX-License-Identifier: Apache-2.0 */
#include "support/its_machine.h"

#include "arch/fake/fake.h"
#include "mem/pagetable.h"
#include "support/fake_hal.h"

#include <stdlib.h>
#include <string.h>

struct vits its;

static uint32_t queue_size, queue_end;

static struct addrspace *guest_memory(void)
{
    return &gic_machine.vm.as;
}

/* ---- Life ---- */

void its_power_on(void)
{
    if (addrspace_init(guest_memory(), &pt_aarch64_stage2, 40, &fake_tlb, 1) != AXVM_OK ||
        addrspace_map_alloc(guest_memory(), gpa(ITS_RAM), ITS_RAM_SIZE, AXVM_MEM_RWX, true) != AXVM_OK) {
        abort();
    }
    memset(&its, 0, sizeof(its));
    vits_init(&its, &gic_machine.gic, gpa(ITS_BASE));
    queue_size = 0;
    queue_end = 0;
}

void its_start(void)
{
    for (unsigned v = 0; v < GIC_VCPUS - 1; v++) {
        gicr_write(v, v, GICR_PROPBASER, 8, ITS_PROPERTIES | 13);
        gicr_write(v, v, GICR_PENDBASER, 8, ITS_PENDING(v));
        gicr_write(v, v, GICR_CTLR, 4, 1);
    }
    queue_size = 0x2000;
    queue_end = 0;
    its_write(0, GITS_BASER0, 8, ITS_VALID | (ITS_RAM + 0x80000) | 2 << 8);
    its_write(0, GITS_CBASER, 8, ITS_VALID | ITS_QUEUE | 1);
    its_write(0, GITS_CWRITER, 8, 0);
    its_write(0, GITS_CTLR, 4, 1);
}

int its_setup(void **state)
{
    int error = gic_setup(state);

    its_power_on();
    its_start();
    return error;
}

int its_teardown(void **state)
{
    its.device.ops->removed(&its.device);
    addrspace_destroy(guest_memory());
    return gic_teardown(state);
}

/* ---- What the guest does ---- */

uint64_t its_read(unsigned v, uint64_t offset, unsigned size)
{
    uint64_t value = 0;

    gic_enter(v);
    if (its.device.ops->read(&its.device, &gic_machine.vcpus[v], offset, size, &value) != AXVM_OK) {
        abort();
    }
    gic_enter(v);
    return size == 8 ? value : value & ((UINT64_C(1) << 8 * size) - 1);
}

void its_write(unsigned v, uint64_t offset, unsigned size, uint64_t value)
{
    gic_enter(v);
    if (its.device.ops->write(&its.device, &gic_machine.vcpus[v], offset, size, value) != AXVM_OK) {
        abort();
    }
    gic_enter(v);
}

void its_store(uint64_t address, const void *from, size_t size)
{
    if (addrspace_write(guest_memory(), gpa(address), from, size) != AXVM_OK) {
        abort();
    }
}

void its_configure(unsigned lpi, uint8_t value)
{
    its_store(ITS_PROPERTIES + lpi, &value, 1);
}

void its_queue(uint64_t dw0, uint64_t dw1, uint64_t dw2, uint64_t dw3)
{
    const uint64_t dw[4] = {dw0, dw1, dw2, dw3};

    its_store(ITS_QUEUE + queue_end, dw, sizeof(dw));
    queue_end = (queue_end + 32) % queue_size;
}

void its_submit(unsigned v)
{
    its_write(v, GITS_CWRITER, 8, queue_end);
}

void its_command(unsigned v, uint64_t dw0, uint64_t dw1, uint64_t dw2, uint64_t dw3)
{
    its_queue(dw0, dw1, dw2, dw3);
    its_submit(v);
}

void its_mapd(uint32_t device, unsigned event_bits, bool valid)
{
    its_command(0, (uint64_t)device << 32 | ITS_MAPD, event_bits - 1, (valid ? ITS_VALID : 0) | (ITS_RAM + 0x90000), 0);
}

void its_mapc(unsigned collection, unsigned target, bool valid)
{
    its_command(0, ITS_MAPC, 0, (valid ? ITS_VALID : 0) | (uint64_t)target << 16 | collection, 0);
}

void its_mapti(uint32_t device, uint32_t event, uint32_t intid, unsigned collection)
{
    its_command(0, (uint64_t)device << 32 | ITS_MAPTI, (uint64_t)intid << 32 | event, collection, 0);
}

void its_event(unsigned command, uint32_t device, uint32_t event)
{
    its_command(0, (uint64_t)device << 32 | command, event, 0, 0);
}

void its_movi(uint32_t device, uint32_t event, unsigned collection)
{
    its_command(0, (uint64_t)device << 32 | ITS_MOVI, event, collection, 0);
}

unsigned its_take(unsigned v, uint32_t *intids, unsigned max)
{
    unsigned count = 0;

    gic_serve_all();
    while (gic_signalled(v) && count < max) {
        intids[count] = gic_ack(v);
        gic_eoi(v, intids[count]);
        count++;
    }
    return count;
}
