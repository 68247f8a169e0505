/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guests that write anything to the ITS, to the LPI registers of the redistributors, and into the command queue, while
 * devices send messages and vCPUs come and go. The tables keep their invariants, and the vCPUs get no interrupt that
 * isn't.
 */
#include "fuzz.h"
#include "support/fake_hal.h"
#include "support/its_machine.h"

static struct input in;

static unsigned any_vcpu(void)
{
    return (unsigned)take(&in, 1) % GIC_VCPUS;
}

static void do_register(void)
{
    static const uint32_t regs[] = {GITS_CTLR, GITS_TYPER, GITS_CBASER, GITS_CWRITER, GITS_CREADR, GITS_BASER0,
                                    GITS_TRANSLATER};
    unsigned v = any_vcpu();
    uint64_t offset = regs[take(&in, 1) % (sizeof(regs) / sizeof(regs[0]))] + (take(&in, 1) & 4);
    unsigned size = 1U << (take(&in, 1) & 3);

    its_write(v, offset, size, take(&in, 8));
    (void)its_read(v, offset, size);
}

static void do_redistributor(void)
{
    static const uint32_t regs[] = {GICR_CTLR, GICR_PROPBASER, GICR_PENDBASER};
    unsigned v = any_vcpu();

    gicr_write(v, any_vcpu(), regs[take(&in, 1) % 3] + (take(&in, 1) & 4), 4U << (take(&in, 1) & 1), take(&in, 8));
}

static void do_command(void)
{
    uint64_t device = take(&in, 1) & 3, number = take(&in, 1) & 0x1f;
    uint64_t event = take(&in, 1) & 7, lpi = LPI(take(&in, 1)), collection = take(&in, 1) & 7;
    uint64_t target = take(&in, 1) & 7;

    its_command(any_vcpu(), device << 32 | number, lpi << 32 | event, ITS_VALID | target << 16 | collection,
                target << 16);
}

static void do_any_command(void)
{
    uint64_t dw0 = take(&in, 8), dw1 = take(&in, 8), dw2 = take(&in, 8);

    its_command(any_vcpu(), dw0, dw1, dw2, take(&in, 8));
}

static void do_configure(void)
{
    unsigned lpi = (unsigned)take(&in, 1);

    its_configure(lpi, (uint8_t)take(&in, 1));
}

static void do_message(void)
{
    uint32_t device = (uint32_t)take(&in, 1);

    (void)vits_signal_msi(&its, device, (uint32_t)take(&in, 1));
}

static void do_interrupts(void)
{
    unsigned v = any_vcpu();
    uint32_t intid = gic_ack(v);

    require(intid == GIC_SPURIOUS || intid - 8192 < VGICV3_LPIS);
    if (intid != GIC_SPURIOUS) {
        gic_eoi(v, intid);
    }
}

static void do_switch(void)
{
    unsigned v = any_vcpu();

    gic_save(v);
    gic_load(v, v);
}

static void do_time(void)
{
    fake_hal_advance(take(&in, 2) * 100);
    gic_serve_all();
}

static void (*const deeds[])(void) = {
    do_register, do_redistributor, do_command,    do_command, do_command, do_any_command,
    do_configure, do_message,      do_interrupts, do_switch,  do_time,
};

static void check(void)
{
    require(its.event_count <= VITS_EVENTS);
    for (unsigned i = 0; i < its.event_count; i++) {
        require(i == 0 || its.events[i - 1].key < its.events[i].key);
        require(its.events[i].lpi < VGICV3_LPIS && its.events[i].collection < VITS_COLLECTIONS);
    }
    for (unsigned i = 0; i < VITS_COLLECTIONS; i++) {
        require(its.collections[i] < GIC_VCPUS || its.collections[i] == VGICV3_NO_VCPU);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    void *state = NULL;

    in = (struct input){data, size};
    require(its_setup(&state) == 0);
    while (in.size > 0) {
        deeds[take(&in, 1) % (sizeof(deeds) / sizeof(deeds[0]))]();
    }
    check();
    require(its_teardown(&state) == 0);
    return 0;
}
