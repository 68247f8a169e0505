/* SPDX-License-Identifier: Apache-2.0 */
/* What the fuzzers of UARTs share: the device, on a VM that is made once, and its interrupt line. */
#ifndef AXVM_FUZZ_UART_H
#define AXVM_FUZZ_UART_H

#include "fuzz.h"
#include "support/fake_vm.h"

#define UART_BASE UINT64_C(0x20000000)
#define UART_IRQ 50U

static struct input in;
static struct axvm *vm;
static struct axvm_device *device;

typedef int uart_create(struct axvm *vm, const struct axvm_emu_config *config);

static inline void uart_make(uart_create *create, uint64_t length)
{
    struct axvm_emu_config config = {.name = "uart", .base = {UART_BASE}, .length = length, .irq = UART_IRQ,
                                     .type = AXVM_EMU_CONSOLE};
    void *state = NULL;

    require(fake_vm_setup(&state) == 0);
    vm = fake_vm_load(1);
    require(create(vm, &config) == AXVM_OK);
    device = bus_find(&vm->buses[AXVM_SPACE_MMIO], UART_BASE, 1);
}

static inline void uart_begin(uart_create *create, uint64_t length, const uint8_t *data, size_t size)
{
    in = (struct input){data, size};
    if (vm == NULL) {
        uart_make(create, length);
    }
    device->ops->reset(device);
    fake_hal_forget();
}

static inline uint64_t uart_read(uint64_t offset, unsigned size, uint64_t most)
{
    uint64_t value = UINT64_MAX;

    require(device->ops->read(device, vm->vcpus[0], offset, size, &value) == AXVM_OK && value <= most);
    return value;
}

static inline void uart_write(uint64_t offset, unsigned size, uint64_t value)
{
    require(device->ops->write(device, vm->vcpus[0], offset, size, value) == AXVM_OK);
}

static inline bool uart_line(void)
{
    return fake_vm(vm)->wired >> (UART_IRQ - FAKE_IRQ_MIN) & 1;
}

#endif
