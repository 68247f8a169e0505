/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that accesses the UART anyhow, while somebody types: its interrupt line is up exactly while IIR names a
 * source, LSR and IIR agree, and no more characters are taken than it has room for.
 */
#include "device/ns16550.h"
#include "fuzz.h"
#include "support/fake_vm.h"

#define BASE UINT64_C(0x20000000)
#define IRQ 50U

static struct input in;
static struct axvm *vm;
static struct axvm_device *device;

static void start(void)
{
    struct axvm_emu_config config = {.name = "uart", .base = {BASE}, .length = 0x100, .irq = IRQ,
                                     .type = AXVM_EMU_CONSOLE};
    void *state = NULL;

    require(fake_vm_setup(&state) == 0);
    vm = fake_vm_load(1);
    require(ns16550_create(vm, &config) == AXVM_OK);
    device = bus_find(&vm->buses[AXVM_SPACE_MMIO], BASE, 1);
}

static uint64_t rd(uint64_t offset, unsigned size)
{
    uint64_t value = UINT64_MAX;

    require(device->ops->read(device, vm->vcpus[0], offset, size, &value) == AXVM_OK);
    require(value <= UINT8_MAX);
    return value;
}

static void do_access(unsigned deed)
{
    uint64_t offset = (deed & 0x70) != 0 ? deed & 7 : take(&in, 1) % 0xf8;
    unsigned size = 1U << (deed >> 3 & 1) * (take(&in, 1) & 3);

    if ((deed & 0x80) != 0) {
        (void)rd(offset, size);
    } else {
        require(device->ops->write(device, vm->vcpus[0], offset, size, take(&in, size)) == AXVM_OK);
    }
}

static void do_type(void)
{
    char text[32] = "0123456789abcdefghijklmnopqrstu";
    size_t count = take(&in, 1) % sizeof(text);

    require(device->ops->input(device, text, count) <= (count < 16 ? count : 16));
}

static void check(void)
{
    bool line = fake_vm(vm)->wired >> (IRQ - FAKE_IRQ_MIN) & 1;
    uint64_t iir = rd(2, 1);

    require(((iir & 1) == 0) == line);
    require((iir & 4) == 0 || (rd(5, 1) & 3) != 0); /* receive or line status, and there is something */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    in = (struct input){data, size};
    if (vm == NULL) {
        start();
    }
    device->ops->reset(device);
    while (in.size > 0) {
        unsigned deed = (unsigned)take(&in, 1);

        if (deed == 0x88) {
            device->ops->reset(device);
        } else if ((deed & 0x7f) == 0x7f) {
            do_type();
        } else {
            do_access(deed);
        }
        if ((deed & 0x40) != 0) {
            check();
        }
    }
    fake_hal_forget();
    return 0;
}
