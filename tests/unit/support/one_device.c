/* SPDX-License-Identifier: Apache-2.0 */
#include "support/one_device.h"

#include <libfdt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

struct axvm *device_vm;

static struct axvm_emu_config config;
static unsigned width;
static char tree[1024];

int one_device_setup(void **state, int (*create)(struct axvm *, const struct axvm_emu_config *),
                     struct axvm_emu_config given, unsigned register_width)
{
    int error = fake_vm_setup(state);

    width = register_width;
    config = given;
    config.base = gpa(DEVICE_BASE);
    config.irq = DEVICE_IRQ;
    fake_hal_set_ticks(12345);
    device_vm = fake_vm_load(1);
    return error != 0 ? error : create(device_vm, &config);
}

int one_device_teardown(void **state)
{
    fake_vm_end(device_vm);
    return fake_vm_teardown(state);
}

struct axvm_device *device(void)
{
    return bus_find(&device_vm->buses[AXVM_SPACE_MMIO], DEVICE_BASE, 1);
}

int rd_sized(uint64_t offset, unsigned size, uint64_t *value)
{
    return bus_read(&device_vm->buses[AXVM_SPACE_MMIO], device_vm->vcpus[0], DEVICE_BASE + offset, size, value);
}

int wr_sized(uint64_t offset, unsigned size, uint64_t value)
{
    return bus_write(&device_vm->buses[AXVM_SPACE_MMIO], device_vm->vcpus[0], DEVICE_BASE + offset, size, value);
}

uint32_t rd(unsigned offset)
{
    uint64_t value;

    assert_int_equal(rd_sized(offset, width, &value), AXVM_OK);
    return (uint32_t)value;
}

void wr(unsigned offset, uint32_t value)
{
    assert_int_equal(wr_sized(offset, width, value), AXVM_OK);
}

bool line(void)
{
    return fake_vm(device_vm)->wired >> (DEVICE_IRQ - FAKE_IRQ_MIN) & 1;
}

size_t type(const char *text)
{
    return device()->ops->input(device(), text, strlen(text));
}

void device_reset(void)
{
    device()->ops->reset(device());
}

int described(const char *name, const char *compatible)
{
    char path[64];
    int node;

    assert_int_equal(fdt_create(tree, sizeof(tree)), 0);
    fdt_finish_reservemap(tree);
    fdt_begin_node(tree, "");
    assert_int_equal(device()->ops->fdt_node(device(), tree), 0);
    fdt_end_node(tree);
    assert_int_equal(fdt_finish(tree), 0);
    snprintf(path, sizeof(path), "/%s@20000000", name);
    node = fdt_path_offset(tree, path);
    assert_true(node > 0);
    assert_true(described_string(node, "compatible", 0, compatible));
    assert_int_equal(described_cell(node, "interrupts", 0, 1), DEVICE_IRQ); /* as the fake architecture writes it */
    assert_int_equal(described_cell(node, "reg", 1, 4), DEVICE_BASE);
    assert_int_equal(described_cell(node, "reg", 3, 4), config.length);
    return node;
}

uint32_t described_cell(int node, const char *property, int index, int count)
{
    int length;
    const fdt32_t *cells = fdt_getprop(tree, node, property, &length);

    assert_int_equal(length, 4 * count);
    return fdt32_to_cpu(cells[index]);
}

bool described_string(int node, const char *property, int index, const char *string)
{
    return fdt_stringlist_search(tree, node, property, string) == index;
}
