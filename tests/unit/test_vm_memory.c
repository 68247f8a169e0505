/* SPDX-License-Identifier: Apache-2.0 */
/* The guest-memory part of the public API. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "support/fake_vm.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_vm_setup, fake_vm_teardown)

#define FREE_GPA UINT64_C(0x80000) /* of the guest's, where nothing is */
#define OUTSIDE GIB(64)            /* no memory of the host's */

static struct axvm_opt_u64 at(uint64_t addr)
{
    return (struct axvm_opt_u64){.value = addr, .given = true};
}

static const struct axvm_opt_u64 anywhere = {.given = false};

static bool is_zero(struct axvm *vm, uint64_t addr, uint64_t size)
{
    static const unsigned char zeroes[4096];
    unsigned char page[4096];

    for (; size > 0; addr += sizeof(page), size -= sizeof(page)) {
        assert_int_equal(axvm_read_guest(vm, gpa(addr), page, sizeof(page)), AXVM_OK);
        if (memcmp(page, zeroes, sizeof(page)) != 0) {
            return false;
        }
    }
    return true;
}

static void memory_can_be_added_at_an_address(void **state)
{
    struct axvm *vm = fake_vm_load(1);
    struct axvm_memory_region regions[3];

    (void)state;
    assert_int_equal(axvm_alloc_memory_region(vm, at(FREE_GPA), KIB(32), AXVM_MEM_RW), AXVM_OK);
    assert_true(is_zero(vm, FREE_GPA, KIB(32)));
    assert_int_equal(axvm_memory_regions(vm, NULL, 0), 2);
    memset(regions, 0, sizeof(regions));
    assert_int_equal(axvm_memory_regions(vm, regions, 1), 2);
    assert_int_equal(regions[1].size, 0); /* no more than was asked for */
    assert_int_equal(axvm_memory_regions(vm, regions, 3), 2);
    assert_int_equal(regions[1].gpa.v, FREE_GPA);
    assert_int_equal(regions[1].size, KIB(32));
    assert_int_equal(regions[1].flags, AXVM_MEM_RW);
    assert_true(regions[1].needs_release);
    fake_vm_end(vm);
}

static void memory_can_be_added_where_the_host_has_some(void **state)
{
    struct axvm *vm = fake_vm_load(1);
    struct axvm_memory_region regions[2];
    size_t frames = fake_hal_frames_used();
    uint64_t base;
    hpa_t target;

    (void)state;
    assert_int_equal(axvm_alloc_memory_region(vm, anywhere, 5 * AXVM_PAGE_SIZE, AXVM_MEM_RW), AXVM_OK);
    assert_int_equal(axvm_memory_regions(vm, regions, 2), 2);
    base = regions[1].gpa.v;
    assert_int_equal(axvm_translate(vm, gpa(base), &target, NULL), AXVM_OK);
    assert_int_equal(target.v, base);
    assert_true(is_zero(vm, base, 5 * AXVM_PAGE_SIZE));
    assert_true(fake_hal_frames_used() >= frames + 5);
    assert_int_equal(axvm_unmap_region(vm, gpa(base), 5 * AXVM_PAGE_SIZE), AXVM_OK);
    assert_int_equal(fake_hal_frames_used(), frames);
    assert_int_equal(axvm_alloc_memory_region(vm, anywhere, 3 * AXVM_PAGE_SIZE, AXVM_MEM_RW), AXVM_OK);
    fake_vm_end(vm);
}

static void bad_regions_are_refused_and_leave_nothing_behind(void **state)
{
    struct axvm *vm = fake_vm_load(1);
    size_t frames = fake_hal_frames_used();

    (void)state;
    assert_int_equal(axvm_alloc_memory_region(vm, at(FREE_GPA), 0, AXVM_MEM_RW), AXVM_EINVAL);
    assert_int_equal(axvm_alloc_memory_region(vm, at(FREE_GPA), 100, AXVM_MEM_RW), AXVM_EINVAL);
    assert_int_equal(axvm_alloc_memory_region(vm, at(FREE_GPA + 1), 4096, AXVM_MEM_RW), AXVM_EINVAL);
    assert_int_equal(axvm_alloc_memory_region(vm, at(UINT64_MAX - 4095), 8192, AXVM_MEM_RW), AXVM_EINVAL);
    assert_int_equal(axvm_alloc_memory_region(vm, at(UINT64_C(1) << 40), 4096, AXVM_MEM_RW), AXVM_EINVAL);
    assert_int_equal(axvm_alloc_memory_region(vm, at(FREE_GPA), 4096, 1U << 20), AXVM_EINVAL);
    assert_int_equal(axvm_alloc_memory_region(vm, anywhere, 0, AXVM_MEM_RW), AXVM_EINVAL);
    assert_int_equal(axvm_alloc_memory_region(vm, anywhere, 4097, AXVM_MEM_RW), AXVM_EINVAL);
    assert_int_equal(axvm_alloc_memory_region(vm, anywhere, 4096, 1U << 20), AXVM_EINVAL);
    assert_int_equal(axvm_alloc_memory_region(vm, anywhere, GIB(1), AXVM_MEM_RW), AXVM_ENOMEM);
    assert_int_equal(axvm_alloc_memory_region(vm, at(FREE_GPA), GIB(1) - MIB(64), AXVM_MEM_RW), AXVM_EEXIST);
    assert_int_equal(axvm_alloc_memory_region(vm, at(FAKE_RAM_START + 4096), 4096, AXVM_MEM_RW), AXVM_EEXIST);
    assert_int_equal(axvm_map_reserved_memory_region(vm, gpa(0x800), 4096, AXVM_MEM_RW), AXVM_EINVAL);
    assert_int_equal(axvm_map_reserved_memory_region(vm, gpa(FAKE_RAM_START), 4096, AXVM_MEM_RW), AXVM_EEXIST);
    assert_int_equal(axvm_memory_regions(vm, NULL, 0), 1);
    assert_int_equal(fake_hal_frames_used(), frames);
    assert_int_equal(fake_hal_frames_claimed(), 0);
    fake_vm_end(vm);
}

static void memory_and_devices_keep_out_of_each_others_way(void **state)
{
    static const uint64_t starts[] = {FAKE_CONSOLE_BASE, FAKE_CONSOLE_BASE - AXVM_PAGE_SIZE};
    struct axvm *vm = fake_vm_load(1);
    size_t frames = fake_hal_frames_used();

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(axvm_alloc_memory_region(vm, at(starts[i]), 8192, AXVM_MEM_RW), AXVM_EEXIST);
        assert_int_equal(axvm_map_region(vm, gpa(starts[i]), hpa(OUTSIDE), 8192, AXVM_MEM_RW), AXVM_EEXIST);
        assert_int_equal(axvm_map_reserved_memory_region(vm, gpa(starts[i]), 8192, AXVM_MEM_RW), AXVM_EEXIST);
    }
    assert_true(fake_hal_logged("overlaps device fake"));
    assert_int_equal(axvm_map_region(vm, gpa(FAKE_CONSOLE_BASE + 4096), hpa(OUTSIDE), 4096, AXVM_MEM_RW), AXVM_OK);
    assert_int_equal(axvm_map_region(vm, gpa(FAKE_CONSOLE_BASE - 4096), hpa(OUTSIDE), 4096, AXVM_MEM_RW), AXVM_OK);
    assert_int_equal(fake_hal_frames_claimed(), 0);
    assert_true(fake_hal_frames_used() <= frames + 3);
    fake_vm_end(vm);
}

static int never(struct axvm_device *device, struct axvm_vcpu *vcpu, uint64_t offset, unsigned size, uint64_t *value)
{
    (void)device;
    (void)vcpu;
    (void)offset;
    (void)size;
    (void)value;
    return AXVM_EFAULT;
}

static int never_either(struct axvm_device *device, struct axvm_vcpu *vcpu, uint64_t offset, unsigned size,
                        uint64_t value)
{
    return never(device, vcpu, offset, size, &value);
}

static void memory_that_the_host_has_only_where_a_device_is_goes_back(void **state)
{
    static const struct axvm_device_ops ops = {.name = "large", .read = never, .write = never_either};
    struct axvm_device device = {.ops = &ops, .space = AXVM_SPACE_MMIO, .base = FAKE_RAM_BASE, .size = FAKE_RAM_SIZE};
    struct axvm *vm = fake_vm_load(1);
    size_t frames = fake_hal_frames_used();

    (void)state;
    assert_int_equal(axvm_add_device(vm, &device), AXVM_OK);
    assert_int_equal(axvm_alloc_memory_region(vm, anywhere, KIB(64), AXVM_MEM_RW), AXVM_EEXIST);
    assert_int_equal(fake_hal_frames_used(), frames);
    fake_vm_end(vm);
}

static void reserved_memory_is_claimed_if_the_host_could_give_it_to_others(void **state)
{
    struct axvm *vm = fake_vm_load(1);
    uint64_t base = FAKE_RAM_BASE + MIB(128);

    (void)state;
    assert_int_equal(axvm_map_reserved_memory_region(vm, gpa(base), KIB(64), AXVM_MEM_RW), AXVM_OK);
    assert_int_equal(fake_hal_frames_claimed(), 16);
    assert_true(is_zero(vm, base, KIB(64)));
    /* In part: the claim is one. */
    assert_int_equal(axvm_unmap_region(vm, gpa(base), KIB(32)), AXVM_OK);
    assert_int_equal(fake_hal_frames_claimed(), 16);
    assert_int_equal(axvm_memory_regions(vm, NULL, 0), 2);
    fake_vm_end(vm);
    assert_int_equal(fake_hal_frames_claimed(), 0);

    vm = fake_vm_load(1);
    assert_int_equal(axvm_map_reserved_memory_region(vm, gpa(base), KIB(64), AXVM_MEM_RW), AXVM_OK);
    assert_int_equal(axvm_unmap_region(vm, gpa(base), KIB(64)), AXVM_OK);
    assert_int_equal(fake_hal_frames_claimed(), 0);
    assert_int_equal(axvm_memory_regions(vm, NULL, 0), 1);
    fake_vm_end(vm);
}

static void more_regions_than_there_is_room_for_are_refused_whole(void **state)
{
    struct axvm *vm = fake_vm_load(1);
    unsigned added = 0;
    size_t frames;
    hpa_t target;

    (void)state;
    while (axvm_alloc_memory_region(vm, at(FREE_GPA + added * 8192), 4096, AXVM_MEM_RW) == AXVM_OK) {
        added++;
    }
    assert_int_equal(added, VM_MAX_REGIONS - 1);
    frames = fake_hal_frames_used();
    assert_int_equal(axvm_alloc_memory_region(vm, at(FREE_GPA + added * 8192), 4096, AXVM_MEM_RW), AXVM_ENOMEM);
    assert_int_equal(axvm_alloc_memory_region(vm, anywhere, 4096, AXVM_MEM_RW), AXVM_ENOMEM);
    assert_int_equal(axvm_map_reserved_memory_region(vm, gpa(FAKE_RAM_BASE + MIB(100)), 4096, AXVM_MEM_RW),
                     AXVM_ENOMEM);
    assert_int_equal(axvm_translate(vm, gpa(FREE_GPA + added * 8192), &target, NULL), AXVM_ENOENT);
    assert_int_equal(fake_hal_frames_used(), frames);
    assert_int_equal(fake_hal_frames_claimed(), 0);
    fake_vm_end(vm);
}

static void ranges_are_mapped_protected_translated_and_unmapped(void **state)
{
    struct axvm *vm = fake_vm_load(1);
    uint32_t flags;
    hpa_t target;

    (void)state;
    assert_int_equal(axvm_map_region(vm, gpa(FREE_GPA), hpa(OUTSIDE), 8192, AXVM_MEM_RW), AXVM_OK);
    assert_int_equal(axvm_map_region(vm, gpa(FREE_GPA + 4096), hpa(OUTSIDE), 8192, AXVM_MEM_RW), AXVM_EEXIST);
    assert_int_equal(axvm_translate(vm, gpa(FREE_GPA + 4097), &target, &flags), AXVM_OK);
    assert_int_equal(target.v, OUTSIDE + 4097);
    assert_int_equal(flags, AXVM_MEM_RW);
    assert_int_equal(axvm_protect_region(vm, gpa(FREE_GPA), 4096, AXVM_MEM_READ), AXVM_OK);
    assert_int_equal(axvm_translate(vm, gpa(FREE_GPA), &target, &flags), AXVM_OK);
    assert_int_equal(flags, AXVM_MEM_READ);
    assert_int_equal(axvm_unmap_region(vm, gpa(FREE_GPA), 8192), AXVM_OK);
    assert_int_equal(axvm_unmap_region(vm, gpa(FREE_GPA), 8192), AXVM_ENOENT);
    assert_int_equal(axvm_unmap_region(vm, gpa(FREE_GPA), 0), AXVM_EINVAL);
    assert_int_equal(axvm_unmap_region(vm, gpa(UINT64_MAX - 4095), 8192), AXVM_EINVAL);
    assert_int_equal(axvm_translate(vm, gpa(FREE_GPA), &target, &flags), AXVM_ENOENT);
    assert_int_equal(axvm_page_table_root(vm).v, vm->as.table.root.v);
    fake_vm_end(vm);
}

static void guest_memory_is_read_and_written_within_its_bounds_and_permissions(void **state)
{
    struct axvm *vm = fake_vm_load(1);
    char text[16] = "0123456789abcde";

    (void)state;
    assert_int_equal(axvm_write_guest(vm, gpa(FAKE_RAM_START + 4090), text, 16), AXVM_OK);
    memset(text, 0, sizeof(text));
    assert_int_equal(axvm_read_guest(vm, gpa(FAKE_RAM_START + 4090), text, 16), AXVM_OK);
    assert_string_equal(text, "0123456789abcde");
    assert_int_equal(axvm_read_guest(vm, gpa(FAKE_RAM_START + FAKE_VM_RAM - 8), text, 16), AXVM_EFAULT);
    assert_int_equal(axvm_read_guest(vm, gpa(UINT64_MAX - 4), text, 16), AXVM_EFAULT);
    assert_int_equal(axvm_protect_region(vm, gpa(FAKE_RAM_START), 4096, AXVM_MEM_READ), AXVM_OK);
    assert_int_equal(axvm_write_guest(vm, gpa(FAKE_RAM_START), text, 1), AXVM_EFAULT);
    fake_vm_end(vm);
}

static void an_images_place_is_given_as_host_memory_in_order(void **state)
{
    struct axvm_buffer buffers[64];
    struct axvm *vm = fake_vm_load(1);
    uint64_t offset = 0;
    int count = axvm_image_load_region(vm, gpa(FAKE_RAM_START + 100), MIB(3), buffers, 64);

    (void)state;
    assert_true(count > 0);
    for (int i = 0; i < count; i++) {
        memset(buffers[i].data, 0x40 + i, buffers[i].size);
        offset += buffers[i].size;
    }
    assert_int_equal(offset, MIB(3));
    for (int i = 0; i < count; i++) {
        unsigned char first;

        assert_int_equal(axvm_read_guest(vm, gpa(FAKE_RAM_START + 100 + MIB(3) - offset), &first, 1), AXVM_OK);
        assert_int_equal(first, 0x40 + i);
        offset -= buffers[i].size;
    }
    fake_vm_end(vm);
}

static void an_images_place_that_is_no_ram_or_in_too_many_pieces_is_refused(void **state)
{
    struct axvm_buffer buffers[2];
    struct axvm_config config = fake_config(1);
    struct axvm *vm = fake_vm_create(&config);

    (void)state;
    assert_int_equal(axvm_image_load_region(vm, gpa(FAKE_RAM_START), 4096, buffers, 2), AXVM_EBADSTATE);
    assert_int_equal(axvm_init(vm), AXVM_OK);
    assert_int_equal(axvm_image_load_region(vm, gpa(FAKE_RAM_START), 4096, buffers, 0), AXVM_ENOMEM);
    assert_int_equal(axvm_image_load_region(vm, gpa(FAKE_RAM_START), 0, buffers, 2), AXVM_EINVAL);
    assert_int_equal(axvm_image_load_region(vm, gpa(UINT64_MAX), 2, buffers, 2), AXVM_EINVAL);
    assert_int_equal(axvm_image_load_region(vm, gpa(FREE_GPA), 1, buffers, 2), AXVM_EFAULT);
    assert_int_equal(axvm_image_load_region(vm, gpa(FAKE_RAM_START + FAKE_VM_RAM - 1), 2, buffers, 2), AXVM_EFAULT);
    assert_int_equal(axvm_boot(vm), AXVM_OK);
    assert_int_equal(axvm_image_load_region(vm, gpa(FAKE_RAM_START), 4096, buffers, 2), AXVM_EBADSTATE);
    fake_vm_end(vm);
}

static void lazy_pages_are_populated_for_an_image(void **state)
{
    struct axvm_buffer buffers[64];
    struct axvm_config config = fake_config(1);
    struct axvm *vm;
    hpa_t target;

    (void)state;
    config.lazy = true;
    vm = fake_vm_create(&config);
    assert_int_equal(axvm_init(vm), AXVM_OK);
    assert_int_equal(axvm_translate(vm, gpa(FAKE_RAM_START + MIB(1)), &target, NULL), AXVM_ENOENT);
    assert_true(axvm_image_load_region(vm, gpa(FAKE_RAM_START + MIB(1)), 8192, buffers, 64) > 0);
    assert_int_equal(axvm_translate(vm, gpa(FAKE_RAM_START + MIB(1) + 4096), &target, NULL), AXVM_OK);
    fake_vm_end(vm);
}

static void the_dirty_log_notes_what_is_written_and_forgets_it_when_fetched(void **state)
{
    struct axvm *vm = fake_vm_load(1);
    uint8_t bitmap[2];

    (void)state;
    assert_int_equal(axvm_dirty_log_fetch(vm, gpa(FAKE_RAM_START), KIB(64), bitmap), AXVM_EBADSTATE);
    assert_int_equal(axvm_dirty_log_start(vm), AXVM_OK);
    assert_int_equal(axvm_dirty_log_start(vm), AXVM_EBADSTATE);
    assert_int_equal(axvm_write_guest(vm, gpa(FAKE_RAM_START + 4095), "ab", 2), AXVM_OK);
    assert_int_equal(axvm_write_guest(vm, gpa(FAKE_RAM_START + 9 * AXVM_PAGE_SIZE), "c", 1), AXVM_OK);
    assert_int_equal(axvm_dirty_log_fetch(vm, gpa(FAKE_RAM_START), KIB(64), bitmap), AXVM_OK);
    assert_int_equal(bitmap[0], 3);
    assert_int_equal(bitmap[1], 2);
    assert_int_equal(axvm_dirty_log_fetch(vm, gpa(FAKE_RAM_START), KIB(64), bitmap), AXVM_OK);
    assert_int_equal(bitmap[0] | bitmap[1], 0);
    assert_int_equal(axvm_dirty_log_stop(vm), AXVM_OK);
    assert_int_equal(axvm_dirty_log_stop(vm), AXVM_EBADSTATE);
    fake_vm_end(vm);
}

static void before_it_is_initialized_a_vm_has_no_memory(void **state)
{
    struct axvm_config config = fake_config(1);
    struct axvm *vm = fake_vm_create(&config);
    uint8_t byte = 0;
    hpa_t target;

    (void)state;
    assert_int_equal(axvm_alloc_memory_region(vm, anywhere, 4096, AXVM_MEM_RW), AXVM_EBADSTATE);
    assert_int_equal(axvm_map_reserved_memory_region(vm, gpa(0), 4096, AXVM_MEM_RW), AXVM_EBADSTATE);
    assert_int_equal(axvm_map_region(vm, gpa(0), hpa(0), 4096, AXVM_MEM_RW), AXVM_EBADSTATE);
    assert_int_equal(axvm_unmap_region(vm, gpa(0), 4096), AXVM_EBADSTATE);
    assert_int_equal(axvm_protect_region(vm, gpa(0), 4096, AXVM_MEM_RW), AXVM_EBADSTATE);
    assert_int_equal(axvm_translate(vm, gpa(0), &target, NULL), AXVM_EBADSTATE);
    assert_int_equal(axvm_read_guest(vm, gpa(0), &byte, 1), AXVM_EBADSTATE);
    assert_int_equal(axvm_write_guest(vm, gpa(0), &byte, 1), AXVM_EBADSTATE);
    assert_int_equal(axvm_dirty_log_start(vm), AXVM_EBADSTATE);
    assert_int_equal(axvm_dirty_log_fetch(vm, gpa(0), 4096, &byte), AXVM_EBADSTATE);
    assert_int_equal(axvm_dirty_log_stop(vm), AXVM_EBADSTATE);
    assert_int_equal(axvm_memory_regions(vm, NULL, 0), 0);
    fake_vm_end(vm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(memory_can_be_added_at_an_address),
        TEST(memory_can_be_added_where_the_host_has_some),
        TEST(bad_regions_are_refused_and_leave_nothing_behind),
        TEST(memory_and_devices_keep_out_of_each_others_way),
        TEST(memory_that_the_host_has_only_where_a_device_is_goes_back),
        TEST(reserved_memory_is_claimed_if_the_host_could_give_it_to_others),
        TEST(more_regions_than_there_is_room_for_are_refused_whole),
        TEST(ranges_are_mapped_protected_translated_and_unmapped),
        TEST(guest_memory_is_read_and_written_within_its_bounds_and_permissions),
        TEST(an_images_place_is_given_as_host_memory_in_order),
        TEST(an_images_place_that_is_no_ram_or_in_too_many_pieces_is_refused),
        TEST(lazy_pages_are_populated_for_an_image),
        TEST(the_dirty_log_notes_what_is_written_and_forgets_it_when_fetched),
        TEST(before_it_is_initialized_a_vm_has_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
