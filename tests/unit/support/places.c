/* SPDX-License-Identifier: Apache-2.0 */
#include "support/places.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

struct places_dev dev;

static void note(const struct axvm_device *device, const struct axvm_vcpu *vcpu, uint64_t offset, unsigned size)
{
    assert_int_equal(vcpu->id, 0);
    assert_true(offset + size <= device->size);
    dev.others += device == &dev.other;
    dev.offset = offset;
    dev.size = size;
}

static int dev_read(struct axvm_device *device, struct axvm_vcpu *vcpu, uint64_t offset, unsigned size, uint64_t *value)
{
    note(device, vcpu, offset, size);
    dev.reads++;
    *value = dev.generous ? dev.answer : bus_narrow(dev.answer, size);
    return dev.error;
}

static int dev_write(struct axvm_device *device, struct axvm_vcpu *vcpu, uint64_t offset, unsigned size, uint64_t value)
{
    note(device, vcpu, offset, size);
    dev.writes++;
    dev.value = value;
    return dev.error;
}

static void add_memory(struct axvm_config *config)
{
    static const struct axvm_mem_config regions[] = {
        {.gpa = {ROM}, .size = KIB(64), .flags = AXVM_MEM_READ | AXVM_MEM_EXEC},
        {.gpa = {LAZY}, .size = MIB(4), .flags = AXVM_MEM_RWX, .lazy = true},
        {.gpa = {DATA}, .size = KIB(64), .flags = AXVM_MEM_RW},
    };

    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(axvm_config_add_memory_region(config, &regions[i]), 0);
    }
}

struct axvm *places_vm(void)
{
    static const struct axvm_device_ops ops = {.name = "test", .read = dev_read, .write = dev_write};
    struct axvm *vm = machine_loaded_vm(1, add_memory);

    memset(&dev, 0, sizeof(dev));
    dev.device = (struct axvm_device){.ops = &ops, .base = DEVICE, .size = DEVICE_SIZE};
    dev.other = (struct axvm_device){.ops = &ops, .base = OTHER_DEVICE, .size = 0x1000};
    assert_int_equal(axvm_add_device(vm, &dev.device), 0);
    assert_int_equal(axvm_add_device(vm, &dev.other), 0);
    assert_int_equal(axvm_boot(vm), 0);
    return vm;
}

bool places_mapped(struct axvm *vm, uint64_t addr)
{
    return axvm_translate(vm, gpa(addr), NULL, NULL) == AXVM_OK;
}

bool places_dirty(struct axvm *vm, uint64_t addr)
{
    uint8_t bit = 0;

    assert_int_equal(axvm_dirty_log_fetch(vm, gpa(addr), AXVM_PAGE_SIZE, &bit), 0);
    return (bit & 1) != 0;
}

void places_check_populated(struct axvm *vm, uint64_t page)
{
    static const uint8_t zeroes[AXVM_PAGE_SIZE];
    static uint8_t found[AXVM_PAGE_SIZE];

    assert_true(places_mapped(vm, page));
    assert_false(places_mapped(vm, page + 4 * AXVM_PAGE_SIZE));
    assert_int_equal(axvm_read_guest(vm, gpa(page), found, sizeof(found)), 0);
    assert_memory_equal(found, zeroes, sizeof(zeroes));
}
