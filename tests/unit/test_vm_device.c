/* SPDX-License-Identifier: Apache-2.0 */
/* Devices of a VM: adding and removing them, their interrupts, the console. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "support/fake_vm.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_vm_setup, fake_vm_teardown)

static int read_one(struct axvm_device *device, struct axvm_vcpu *vcpu, uint64_t offset, unsigned size, uint64_t *value)
{
    (void)device;
    (void)vcpu;
    (void)offset;
    (void)size;
    *value = 1;
    return AXVM_OK;
}

static int write_nothing(struct axvm_device *device, struct axvm_vcpu *vcpu, uint64_t offset, unsigned size,
                         uint64_t value)
{
    (void)device;
    (void)vcpu;
    (void)offset;
    (void)size;
    (void)value;
    return AXVM_OK;
}

static const struct axvm_device_ops plain_ops = {.name = "plain", .read = read_one, .write = write_nothing};

static struct axvm_device plain(uint64_t base, uint64_t size)
{
    return (struct axvm_device){.ops = &plain_ops, .space = AXVM_SPACE_MMIO, .base = base, .size = size};
}

static void a_device_answers_once_added_and_no_more_when_removed(void **state)
{
    struct axvm_exit read = {.kind = AXVM_EXIT_MMIO_READ,
                             .mmio = {.addr = gpa(0x30000010), .width = AXVM_DWORD, .reg_width = AXVM_DWORD}};
    struct axvm_device device = plain(0x30000000, 0x100);
    struct axvm *vm = fake_vm_load(1);

    (void)state;
    assert_int_equal(axvm_add_device(vm, &device), AXVM_OK);
    assert_ptr_equal(device.vm, vm);
    assert_int_equal(axvm_boot(vm), AXVM_OK);
    fake_push(fake_vcpu(vm, 0), read);
    fake_run_on(0, vm, 0);
    assert_int_equal(fake_completed(fake_vcpu(vm, 0), 0)->error, AXVM_OK);
    assert_int_equal(fake_completed(fake_vcpu(vm, 0), 0)->value, 1);
    assert_int_equal(axvm_suspend(vm), AXVM_OK);
    assert_int_equal(axvm_remove_device(vm, &device), AXVM_OK);
    assert_int_equal(axvm_remove_device(vm, &device), AXVM_ENOENT);
    assert_int_equal(axvm_resume(vm), AXVM_OK);
    fake_push(fake_vcpu(vm, 0), read);
    fake_run_on(0, vm, 0);
    assert_int_equal(fake_completed(fake_vcpu(vm, 0), 0)->error, AXVM_ENOENT);
    fake_vm_end(vm);
}

static void devices_do_not_come_or_go_while_a_vcpu_may_be_in_the_guest(void **state)
{
    struct axvm_device device = plain(0x30000000, 0x100), other = plain(0x30001000, 0x100);
    struct axvm *vm = fake_vm_load(1);

    (void)state;
    assert_int_equal(axvm_add_device(vm, &device), AXVM_OK);
    assert_int_equal(axvm_boot(vm), AXVM_OK);
    assert_int_equal(axvm_add_device(vm, &other), AXVM_EBADSTATE);
    assert_int_equal(axvm_remove_device(vm, &device), AXVM_EBADSTATE);
    assert_true(vm_enter(vm));
    axvm_fail(vm, "for the test"); /* the vCPU hasn't left yet */
    assert_int_equal(axvm_add_device(vm, &other), AXVM_EBADSTATE);
    assert_int_equal(axvm_remove_device(vm, &device), AXVM_EBADSTATE);
    vm_leave(vm);
    assert_int_equal(axvm_add_device(vm, &other), AXVM_OK);
    assert_int_equal(axvm_remove_device(vm, &device), AXVM_OK);
    vm->busy = true; /* as if it were being reset */
    assert_int_equal(axvm_add_device(vm, &device), AXVM_EBUSY);
    assert_int_equal(axvm_remove_device(vm, &other), AXVM_EBUSY);
    vm->busy = false;
    fake_vm_end(vm);
}

static void a_device_that_overlaps_another_or_memory_is_refused_naming_both(void **state)
{
    struct axvm_device on_device = plain(FAKE_CONSOLE_BASE + 0xff0, 0x20);
    struct axvm_device on_ram = plain(FAKE_RAM_START + FAKE_VM_RAM - 1, 1);
    struct axvm_device below_ram = plain(FAKE_RAM_START - 0x1000, 0x1001);
    struct axvm_device beside_ram = plain(FAKE_RAM_START - 0x1000, 0x1000);
    struct axvm_device ports = {.ops = &plain_ops, .space = AXVM_SPACE_PORT, .base = FAKE_RAM_START, .size = 8};
    struct axvm *vm = fake_vm_load(1);

    (void)state;
    assert_int_equal(axvm_add_device(vm, &on_device), AXVM_EEXIST);
    assert_true(fake_hal_logged("device plain at 0x10001ff0, 0x20 bytes, overlaps device fake at 0x10001000"));
    assert_int_equal(axvm_add_device(vm, &on_ram), AXVM_EEXIST);
    assert_true(fake_hal_logged("overlaps the memory at 0x40000000"));
    assert_int_equal(axvm_add_device(vm, &below_ram), AXVM_EEXIST);
    assert_int_equal(axvm_add_device(vm, &beside_ram), AXVM_OK);
    assert_int_equal(axvm_add_device(vm, &ports), AXVM_OK); /* another address space */
    assert_int_equal(axvm_remove_device(vm, &on_ram), AXVM_ENOENT);
    fake_vm_end(vm);
}

static void memory_that_comes_after_a_device_is_refused(void **state)
{
    struct axvm_config config = fake_config(1);
    struct axvm_device device = plain(FAKE_RAM_START + 0x1000, 0x10);
    struct axvm *vm = fake_vm_create(&config);

    (void)state;
    assert_int_equal(axvm_add_device(vm, &device), AXVM_OK); /* the embedder's, while loading */
    assert_int_equal(axvm_init(vm), AXVM_EEXIST);
    assert_int_equal(axvm_state(vm), AXVM_STATE_FAILED);
    fake_vm_end(vm);
}

static void a_device_that_makes_no_sense_is_refused(void **state)
{
    static const struct axvm_device_ops nameless = {.read = read_one, .write = write_nothing};
    static const struct axvm_device_ops deaf = {.name = "deaf", .read = read_one};
    struct axvm_device device = plain(0x30000000, 0);
    struct axvm *vm = fake_vm_load(1);

    (void)state;
    assert_int_equal(axvm_add_device(vm, &device), AXVM_EINVAL);
    device = plain(UINT64_MAX - 1, 4);
    assert_int_equal(axvm_add_device(vm, &device), AXVM_EINVAL);
    device = plain(0x30000000, 16);
    device.space = AXVM_SPACE_COUNT;
    assert_int_equal(axvm_add_device(vm, &device), AXVM_EINVAL);
    device = plain(0x30000000, 16);
    device.ops = NULL;
    assert_int_equal(axvm_add_device(vm, &device), AXVM_EINVAL);
    device.ops = &nameless;
    assert_int_equal(axvm_add_device(vm, &device), AXVM_EINVAL);
    device.ops = &deaf;
    assert_int_equal(axvm_add_device(vm, &device), AXVM_EINVAL);
    assert_null(bus_find(&vm->buses[AXVM_SPACE_MMIO], 0x30000000, 1));
    fake_vm_end(vm);
}

static void a_device_may_end_with_the_last_address(void **state)
{
    struct axvm_device device = plain(UINT64_MAX - 0xf, 0x10);
    struct axvm *vm = fake_vm_load(1);

    (void)state;
    assert_int_equal(axvm_add_device(vm, &device), AXVM_OK);
    fake_vm_end(vm);
}

static void a_bus_that_is_full_refuses_more(void **state)
{
    struct axvm_device devices[BUS_MAX_DEVICES];
    struct axvm *vm = fake_vm_load(1); /* has one: the console */
    unsigned added = 0;

    (void)state;
    for (unsigned i = 0; i < BUS_MAX_DEVICES; i++) {
        devices[i] = plain(0x30000000 + i * 0x100, 0x100);
        added += axvm_add_device(vm, &devices[i]) == AXVM_OK;
    }
    assert_int_equal(added, BUS_MAX_DEVICES - 1);
    assert_int_equal(axvm_add_device(vm, &devices[BUS_MAX_DEVICES - 1]), AXVM_ENOMEM);
    fake_vm_end(vm);
}

static void a_device_drives_its_wired_interrupt(void **state)
{
    struct axvm_device silent = plain(0x30000000, 16);
    struct axvm *vm = fake_vm_boot(1);

    (void)state;
    axvm_device_set_irq(&fake_console(vm)->base, true);
    assert_int_equal(fake_vm(vm)->wired, UINT64_C(1) << (FAKE_CONSOLE_IRQ - FAKE_IRQ_MIN));
    assert_true(vm->vcpus[0]->requests & VCPU_REQ_IRQ);
    axvm_device_set_irq(&fake_console(vm)->base, false);
    assert_int_equal(fake_vm(vm)->wired, 0);
    axvm_device_set_irq(&silent, true); /* it has none */
    fake_vm_end(vm);
}

static size_t take_none(struct axvm_device *device, const char *bytes, size_t count)
{
    (void)device;
    (void)bytes;
    (void)count;
    return 0;
}

static void console_input_goes_to_the_first_device_that_takes_any(void **state)
{
    static const struct axvm_device_ops later_ops = {
        .name = "later", .read = read_one, .write = write_nothing, .input = take_none};
    struct axvm_device later = plain(0x30000000, 16), mute = plain(0x30001000, 16);
    struct axvm *vm = fake_vm_load(1);

    (void)state;
    later.ops = &later_ops;
    assert_int_equal(axvm_add_device(vm, &mute), AXVM_OK);
    assert_int_equal(axvm_add_device(vm, &later), AXVM_OK);
    assert_int_equal(axvm_console_input(vm, "hello", 5), 5);
    assert_memory_equal(fake_console(vm)->input, "hello", 5);
    assert_int_equal(axvm_console_input(vm, "more than it can take", 21), sizeof(fake_console(vm)->input));
    fake_vm_end(vm);
}

static void without_a_console_input_is_refused(void **state)
{
    struct axvm_config config = fake_config(1);
    struct axvm *vm;

    (void)state;
    config.default_devices = false;
    vm = fake_vm_create(&config);
    assert_int_equal(axvm_init(vm), AXVM_OK);
    assert_int_equal(axvm_console_input(vm, "x", 1), AXVM_ENOENT);
    fake_vm_end(vm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_device_answers_once_added_and_no_more_when_removed),
        TEST(devices_do_not_come_or_go_while_a_vcpu_may_be_in_the_guest),
        TEST(a_device_that_overlaps_another_or_memory_is_refused_naming_both),
        TEST(memory_that_comes_after_a_device_is_refused),
        TEST(a_device_that_makes_no_sense_is_refused),
        TEST(a_device_may_end_with_the_last_address),
        TEST(a_bus_that_is_full_refuses_more),
        TEST(a_device_drives_its_wired_interrupt),
        TEST(console_input_goes_to_the_first_device_that_takes_any),
        TEST(without_a_console_input_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
