/* SPDX-License-Identifier: Apache-2.0 */
/* axvm_create(), axvm_init(), axvm_reset(), axvm_destroy(): what a VM is made of, and that all of it goes back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <libfdt.h>
#include <string.h>

#include "support/fake_vm.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_vm_setup, fake_vm_teardown)

#define IDENTICAL_BASE (FAKE_RAM_BASE + MIB(16))
#define RESERVED_BASE (FAKE_RAM_BASE + MIB(32))
#define OUTSIDE_BASE GIB(64) /* no memory of the host's */

static bool guest_has(struct axvm *vm, uint64_t addr, const void *bytes, size_t size)
{
    unsigned char buffer[4096];

    assert_true(size <= sizeof(buffer));
    assert_int_equal(axvm_read_guest(vm, gpa(addr), buffer, size), AXVM_OK);
    return memcmp(buffer, bytes, size) == 0;
}

static bool guest_is_zero(struct axvm *vm, uint64_t addr, size_t size)
{
    static const unsigned char zeroes[4096];

    return guest_has(vm, addr, zeroes, size);
}

static void add_region(struct axvm_config *config, uint64_t base, uint64_t size, enum axvm_map_type type)
{
    config->memory_regions[config->memory_regions_count++] = (struct axvm_mem_config){
        .gpa = gpa(base), .size = size, .flags = AXVM_MEM_RWX, .map_type = type};
}

/* Some of everything. */
static struct axvm_config rich_config(void)
{
    struct axvm_config config = fake_config(3);

    config.cmdline = "console=none";
    add_region(&config, IDENTICAL_BASE, MIB(1), AXVM_MAP_IDENTICAL);
    add_region(&config, RESERVED_BASE, KIB(64), AXVM_MAP_RESERVED);
    return config;
}

static struct axvm *init_config(const struct axvm_config *config)
{
    struct axvm *vm = fake_vm_create(config);

    assert_int_equal(axvm_init(vm), AXVM_OK);
    assert_int_equal(axvm_state(vm), AXVM_STATE_LOADED);
    return vm;
}

/* ---- Making ---- */

static void the_configuration_is_completed_and_copied(void **state)
{
    char name[] = "mine", cmdline[] = "quiet";
    struct axvm_config config = fake_config(1);
    struct axvm *vm;

    (void)state;
    config.name = name;
    config.cmdline = cmdline;
    vm = fake_vm_create(&config);
    memset(name, 'x', 4);
    memset(cmdline, 'x', 5);
    memset(&config, 0xff, sizeof(config));
    assert_string_equal(axvm_name(vm), "mine");
    assert_string_equal(axvm_config(vm)->cmdline, "quiet");
    assert_int_equal(axvm_config(vm)->memory_regions_count, 1);
    assert_int_equal(axvm_config(vm)->memory_regions[0].size, FAKE_VM_RAM);
    assert_int_equal(axvm_config(vm)->emu_devices_count, 2);
    fake_vm_end(vm);
}

static void a_bad_configuration_is_refused_with_each_fault_in_the_log(void **state)
{
    struct axvm_config config = fake_config(0);
    struct axvm *vm = NULL;

    (void)state;
    add_region(&config, 0x123, MIB(1), AXVM_MAP_ALLOC);
    assert_int_equal(axvm_create(&config, &vm), AXVM_EINVAL);
    assert_null(vm);
    assert_true(fake_hal_logged("cpu_num"));
    assert_true(fake_hal_logged("memory_regions[0]"));
    assert_int_equal(fake_hal_frames_used(), 0);
    assert_null(axvm_find(1));
}

static void init_makes_vcpus_devices_and_memory(void **state)
{
    struct axvm *vm = fake_vm_load(3);
    hpa_t target;

    (void)state;
    assert_int_equal(axvm_vcpu_count(vm), 3);
    for (uint32_t id = 0; id < 3; id++) {
        assert_int_equal(axvm_vcpu_state(vm, id), AXVM_VCPU_FREE);
        assert_int_equal(axvm_vcpu_resides_on(vm, id), AXVM_ENOENT);
        assert_int_equal(vm->vcpus[id]->power, VCPU_OFF);
    }
    assert_non_null(fake_console(vm));
    assert_int_equal(axvm_translate(vm, gpa(FAKE_RAM_START), &target, NULL), AXVM_OK);
    assert_int_equal(axvm_translate(vm, gpa(FAKE_RAM_START + FAKE_VM_RAM), &target, NULL), AXVM_ENOENT);
    fake_vm_end(vm);
}

static void images_and_the_device_tree_are_where_the_layout_says_and_the_rest_is_zero(void **state)
{
    static const char ramdisk[] = "a ramdisk";
    struct axvm_config config = fake_config(1);
    struct axvm *vm = fake_vm_create(&config);
    uint8_t header[8];

    (void)state;
    assert_int_equal(axvm_set_image(vm, AXVM_IMAGE_RAMDISK, ramdisk, sizeof(ramdisk)), AXVM_OK);
    assert_int_equal(axvm_init(vm), AXVM_OK);
    assert_true(guest_has(vm, vm->layout.kernel.v, fake_kernel, sizeof(fake_kernel)));
    assert_true(guest_has(vm, vm->layout.ramdisk.v, ramdisk, sizeof(ramdisk)));
    assert_int_equal(axvm_read_guest(vm, vm->layout.dtb, header, sizeof(header)), AXVM_OK);
    assert_int_equal(fdt32_ld((const fdt32_t *)(void *)header), FDT_MAGIC);
    assert_true(guest_is_zero(vm, vm->layout.kernel.v + sizeof(fake_kernel), 4096));
    fake_vm_end(vm);
}

static void a_given_device_tree_is_patched_and_loaded(void **state)
{
    struct axvm_config config = fake_config(1);
    struct axvm *vm = fake_vm_create(&config);
    uint8_t dtb[1024], loaded[4096];

    (void)state;
    assert_int_equal(fdt_create_empty_tree(dtb, sizeof(dtb)), 0);
    assert_int_equal(fdt_setprop_string(dtb, 0, "model", "of the user"), 0);
    assert_int_equal(axvm_set_image(vm, AXVM_IMAGE_DTB, dtb, sizeof(dtb)), AXVM_OK);
    assert_int_equal(axvm_init(vm), AXVM_OK);
    assert_int_equal(axvm_read_guest(vm, vm->layout.dtb, loaded, sizeof(loaded)), AXVM_OK);
    assert_string_equal(fdt_getprop(loaded, 0, "model", NULL), "of the user");
    fake_vm_end(vm);
}

static void put_le(uint8_t *to, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        to[i] = (uint8_t)(value >> (8 * i));
    }
}

static void an_elf_kernels_bss_is_zero_and_its_segments_are_at_their_addresses(void **state)
{
    struct axvm_config config = fake_config(1);
    uint8_t elf[256] = {0x7f, 'E', 'L', 'F', 2, 1, 1};
    struct axvm *vm = NULL;

    (void)state;
    put_le(elf + 16, 2, 2); /* ET_EXEC */
    put_le(elf + 24, FAKE_RAM_START + 0x10000, 8);
    put_le(elf + 32, 64, 8);
    put_le(elf + 54, 56, 2);
    put_le(elf + 56, 1, 2);
    put_le(elf + 64, 1, 4); /* PT_LOAD */
    put_le(elf + 64 + 8, 128, 8);
    put_le(elf + 64 + 16, FAKE_RAM_START + 0x10000, 8);
    put_le(elf + 64 + 24, FAKE_RAM_START + 0x10000, 8);
    put_le(elf + 64 + 32, 16, 8);
    put_le(elf + 64 + 40, 0x2000, 8);
    memcpy(elf + 128, "sixteen bytes...", 16);
    assert_int_equal(axvm_create(&config, &vm), AXVM_OK);
    assert_int_equal(axvm_set_image(vm, AXVM_IMAGE_KERNEL, elf, sizeof(elf)), AXVM_OK);
    assert_int_equal(axvm_init(vm), AXVM_OK);
    assert_int_equal(vm->layout.entry.v, FAKE_RAM_START + 0x10000);
    assert_true(guest_has(vm, FAKE_RAM_START + 0x10000, "sixteen bytes...", 16));
    assert_true(guest_is_zero(vm, FAKE_RAM_START + 0x10010, 0x1000));
    fake_vm_end(vm);
}

static void a_damaged_kernel_or_a_layout_that_does_not_fit_fails_the_vm(void **state)
{
    static const uint8_t damaged[64] = {0x7f, 'E', 'L', 'F', 2, 1, 1};
    struct axvm_config config = fake_config(1);
    struct axvm *vm = fake_vm_create(&config);

    (void)state;
    assert_int_equal(axvm_set_image(vm, AXVM_IMAGE_KERNEL, damaged, sizeof(damaged)), AXVM_OK);
    assert_int_equal(axvm_init(vm), AXVM_EINVAL);
    assert_int_equal(axvm_state(vm), AXVM_STATE_FAILED);
    assert_true(fake_hal_logged("kernel image"));
    fake_vm_end(vm);

    config.kernel_load_addr = (struct axvm_opt_u64){.value = FAKE_RAM_START + FAKE_VM_RAM, .given = true};
    vm = fake_vm_create(&config);
    assert_int_equal(axvm_init(vm), AXVM_EINVAL);
    assert_int_equal(axvm_state(vm), AXVM_STATE_FAILED);
    fake_vm_end(vm);
}

static void what_an_architecture_refuses_fails_the_vm_and_nothing_is_kept(void **state)
{
    int *const errors[] = {&fake_arch.vm_init_error, &fake_arch.vcpu_init_error, &fake_arch.device_error};
    struct axvm_config config = rich_config();

    (void)state;
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        struct axvm *vm = fake_vm_create(&config);

        *errors[i] = AXVM_EUNSUPPORTED;
        assert_int_equal(axvm_init(vm), AXVM_EUNSUPPORTED);
        *errors[i] = AXVM_OK;
        assert_int_equal(axvm_state(vm), AXVM_STATE_FAILED);
        assert_int_equal(fake_arch.vms, 0);
        assert_int_equal(fake_hal_frames_claimed(), 0);
        assert_int_equal(axvm_boot(vm), AXVM_EBADSTATE);
        assert_int_equal(axvm_reset(vm), AXVM_EBADSTATE);
        assert_int_equal(axvm_read_guest(vm, gpa(FAKE_RAM_START), &(char){0}, 1), AXVM_EBADSTATE);
        fake_vm_end(vm);
        assert_int_equal(fake_hal_frames_used(), 0);
    }
}

static void a_device_type_that_has_no_model_fails_the_vm(void **state)
{
    struct axvm_config config = fake_config(1);
    struct axvm *vm;

    (void)state;
    config.default_devices = false;
    config.emu_devices[0] = (struct axvm_emu_config){
        .name = "thing", .base = gpa(0x30000000), .length = AXVM_PAGE_SIZE, .type = AXVM_EMU_DUMMY};
    config.emu_devices_count = 1;
    vm = fake_vm_create(&config);
    assert_int_equal(axvm_init(vm), AXVM_EUNSUPPORTED);
    assert_true(fake_hal_logged("thing"));
    fake_vm_end(vm);
}

/* ---- Map types ---- */

static void identical_memory_is_claimed_zeroed_and_released(void **state)
{
    struct axvm_config config = fake_config(1);
    struct axvm_memory_region regions[4];
    struct axvm *vm;
    hpa_t target;

    (void)state;
    add_region(&config, IDENTICAL_BASE, MIB(1), AXVM_MAP_IDENTICAL);
    vm = init_config(&config);
    assert_int_equal(fake_hal_frames_claimed(), 256);
    assert_int_equal(axvm_translate(vm, gpa(IDENTICAL_BASE + 0x5000), &target, NULL), AXVM_OK);
    assert_int_equal(target.v, IDENTICAL_BASE + 0x5000);
    assert_true(guest_is_zero(vm, IDENTICAL_BASE + MIB(1) - 4096, 4096));
    assert_int_equal(axvm_memory_regions(vm, regions, 4), 2);
    assert_int_equal(regions[0].map_type, AXVM_MAP_IDENTICAL);
    assert_true(regions[0].needs_release);
    assert_int_equal(regions[1].map_type, AXVM_MAP_ALLOC);
    assert_true(regions[1].needs_release);
    assert_int_equal(regions[1].size, FAKE_VM_RAM);
    fake_vm_end(vm);
    assert_int_equal(fake_hal_frames_claimed(), 0);
}

static void identical_memory_in_use_is_refused(void **state)
{
    struct axvm_config config = fake_config(1);
    struct axvm *first, *second;

    (void)state;
    add_region(&config, IDENTICAL_BASE, MIB(1), AXVM_MAP_IDENTICAL);
    first = init_config(&config);
    second = fake_vm_create(&config);
    assert_int_equal(axvm_init(second), AXVM_EBUSY);
    assert_int_equal(axvm_state(second), AXVM_STATE_FAILED);
    assert_int_equal(axvm_state(first), AXVM_STATE_LOADED);
    fake_vm_end(second);
    assert_int_equal(fake_hal_frames_claimed(), 256);
    fake_vm_end(first);
}

static int never_claim(hpa_t base, uint64_t size)
{
    (void)base;
    (void)size;
    return AXVM_EINVAL;
}

static void memory_that_the_host_does_not_give_is_refused(void **state)
{
    static const enum axvm_map_type types[] = {AXVM_MAP_IDENTICAL, AXVM_MAP_RESERVED};
    struct axvm_hal strict = fake_hal;

    (void)state;
    strict.region_claim = never_claim;
    hal = &strict;
    for (size_t i = 0; i < 2; i++) {
        struct axvm_config config = fake_config(1);
        struct axvm *vm;

        add_region(&config, OUTSIDE_BASE, MIB(2), types[i]);
        vm = fake_vm_create(&config);
        assert_int_equal(axvm_init(vm), AXVM_EINVAL);
        assert_true(fake_hal_logged("isn't all memory that a guest may have"));
        fake_vm_end(vm);
    }
    hal = &fake_hal;
}

static void identical_memory_that_the_host_does_not_have_is_mapped_with_a_warning(void **state)
{
    struct axvm_config config = fake_config(1);
    struct axvm_memory_region regions[2];
    struct axvm *vm;
    hpa_t target;

    (void)state;
    add_region(&config, OUTSIDE_BASE, MIB(2), AXVM_MAP_IDENTICAL);
    vm = init_config(&config);
    assert_true(fake_hal_logged("no allocatable memory"));
    assert_int_equal(axvm_translate(vm, gpa(OUTSIDE_BASE), &target, NULL), AXVM_OK);
    assert_int_equal(target.v, OUTSIDE_BASE);
    assert_int_equal(axvm_memory_regions(vm, regions, 2), 2);
    assert_false(regions[0].needs_release);
    fake_vm_end(vm);
}

static void reserved_memory_is_mapped_zeroed_without_a_word(void **state)
{
    struct axvm_config config = fake_config(1);
    struct axvm *vm;
    hpa_t target;

    (void)state;
    fake_hal_reserve(hpa(RESERVED_BASE), KIB(64));
    add_region(&config, RESERVED_BASE, KIB(64), AXVM_MAP_RESERVED);
    vm = init_config(&config);
    assert_int_equal(fake_hal_log_lines(AXVM_LOG_WARN), 0);
    assert_int_equal(fake_hal_frames_claimed(), 0);
    assert_int_equal(axvm_translate(vm, gpa(RESERVED_BASE), &target, NULL), AXVM_OK);
    assert_int_equal(target.v, RESERVED_BASE);
    assert_true(guest_is_zero(vm, RESERVED_BASE, 4096));
    fake_vm_end(vm);
}

static void reserved_memory_that_is_in_use_by_the_host_is_refused(void **state)
{
    struct axvm_config config = fake_config(1);
    struct axvm *vm;

    (void)state;
    assert_int_equal(hal->region_claim(hpa(RESERVED_BASE), AXVM_PAGE_SIZE), AXVM_OK);
    add_region(&config, RESERVED_BASE, KIB(64), AXVM_MAP_RESERVED);
    vm = fake_vm_create(&config);
    assert_int_equal(axvm_init(vm), AXVM_EBUSY);
    fake_vm_end(vm);
    hal->region_release(hpa(RESERVED_BASE), AXVM_PAGE_SIZE);
}

static void a_region_that_is_only_in_part_the_hosts_is_refused(void **state)
{
    struct axvm_config config = fake_config(1);
    struct axvm *vm;

    (void)state;
    add_region(&config, FAKE_RAM_BASE + FAKE_RAM_SIZE - MIB(1), MIB(2), AXVM_MAP_IDENTICAL);
    vm = fake_vm_create(&config);
    assert_int_equal(axvm_init(vm), AXVM_EBUSY);
    fake_vm_end(vm);
}

/* ---- Reset ---- */

static void reset_zeroes_ram_and_loads_the_images_again(void **state)
{
    struct axvm_config config = fake_config(1);
    struct axvm *vm;
    uint64_t far_away;

    (void)state;
    add_region(&config, IDENTICAL_BASE, MIB(1), AXVM_MAP_IDENTICAL);
    vm = init_config(&config);
    far_away = vm->layout.kernel.v + 0x10000;
    assert_int_equal(axvm_boot(vm), AXVM_OK);
    assert_int_equal(axvm_write_guest(vm, vm->layout.kernel, "overwritten", 11), AXVM_OK);
    assert_int_equal(axvm_write_guest(vm, vm->layout.dtb, "gone", 4), AXVM_OK);
    assert_int_equal(axvm_write_guest(vm, gpa(far_away), "dirt", 4), AXVM_OK);
    assert_int_equal(axvm_write_guest(vm, gpa(IDENTICAL_BASE), "dirt", 4), AXVM_OK);
    assert_int_equal(axvm_shutdown(vm), AXVM_OK);
    assert_int_equal(axvm_reset(vm), AXVM_OK);
    assert_true(guest_has(vm, vm->layout.kernel.v, fake_kernel, sizeof(fake_kernel)));
    assert_true(guest_is_zero(vm, far_away, 4));
    assert_true(guest_is_zero(vm, IDENTICAL_BASE, 4));
    assert_false(guest_has(vm, vm->layout.dtb.v, "gone", 4));
    fake_vm_end(vm);
}

static void reset_brings_vcpus_and_devices_back_to_power_on(void **state)
{
    struct axvm *vm = fake_vm_boot(2);

    (void)state;
    fake_run_on(0, vm, 0);
    assert_int_equal(vcpu_power_on(vm->vcpus[1], gpa(0x1000), 1), AXVM_OK);
    fake_run_on(1, vm, 1);
    fake_console(vm)->value = 77;
    fake_vcpu(vm, 1)->pending = 1;
    axvm_fail(vm, "for the test");
    fake_run_on(1, vm, 1);
    assert_int_equal(axvm_reset(vm), AXVM_OK);
    assert_int_equal(axvm_state(vm), AXVM_STATE_LOADED);
    assert_int_equal(fake_vm(vm)->resets, 1);
    assert_int_equal(fake_console(vm)->resets, 1);
    assert_int_equal(fake_console(vm)->value, 0);
    for (uint32_t id = 0; id < 2; id++) {
        assert_int_equal(vm->vcpus[id]->power, VCPU_OFF);
        assert_int_equal(vm->vcpus[id]->requests, 0);
        assert_int_equal(axvm_vcpu_state(vm, id), AXVM_VCPU_FREE);
    }
    assert_int_equal(axvm_boot(vm), AXVM_OK);
    assert_int_equal(fake_run_on(1, vm, 1), AXVM_EXIT_CPU_DOWN);
    assert_int_equal(fake_run_on(0, vm, 0), AXVM_EXIT_HALT);
    assert_int_equal(fake_vcpu(vm, 0)->starts, 2);
    assert_int_equal(fake_vcpu(vm, 0)->entry.v, vm->layout.entry.v);
    fake_vm_end(vm);
}

static void reset_goes_by_parts_and_keeps_others_away_meanwhile(void **state)
{
    static unsigned char ramdisk[600 << 10];
    struct axvm_config config = fake_config(1);
    struct axvm *vm = fake_vm_create(&config);
    unsigned parts = 0;

    (void)state;
    memset(ramdisk, 0x77, sizeof(ramdisk));
    assert_int_equal(axvm_set_image(vm, AXVM_IMAGE_RAMDISK, ramdisk, sizeof(ramdisk)), AXVM_OK);
    assert_int_equal(axvm_init(vm), AXVM_OK);
    for (uint64_t at = 0; at < sizeof(ramdisk); at += 4096) {
        assert_int_equal(axvm_write_guest(vm, gpa(vm->layout.ramdisk.v + at), "dirt", 4), AXVM_OK);
    }
    assert_int_equal(axvm_shutdown(vm), AXVM_OK);
    while (axvm_reset_step(vm) == AXVM_MORE) {
        parts++;
        assert_int_equal(axvm_state(vm), AXVM_STATE_STOPPED);
        assert_int_equal(axvm_reset(vm), AXVM_EBUSY);
        assert_int_equal(axvm_destroy(vm), AXVM_EBUSY);
        assert_int_equal(axvm_boot(vm), AXVM_EBADSTATE);
        assert_int_equal(axvm_set_gpr(vm, 0, 1, 1), AXVM_EBUSY);
    }
    assert_int_equal(parts, FAKE_VM_RAM / KIB(256) + 2);
    assert_int_equal(axvm_state(vm), AXVM_STATE_LOADED);
    for (uint64_t at = 0; at < sizeof(ramdisk); at += 4096) {
        assert_true(guest_has(vm, vm->layout.ramdisk.v + at, ramdisk + at,
                              sizeof(ramdisk) - at < 4096 ? sizeof(ramdisk) - at : 4096));
    }
    assert_true(guest_has(vm, vm->layout.kernel.v, fake_kernel, sizeof(fake_kernel)));
    assert_int_equal(axvm_boot(vm), AXVM_OK);
    assert_int_equal(fake_run_on(0, vm, 0), AXVM_EXIT_HALT);
    fake_vm_end(vm);
}

static void a_vm_that_is_reset_again_and_again_doesnt_flood_the_log(void **state)
{
    struct axvm *vm = fake_vm_boot(1);

    (void)state;
    fake_hal_forget();
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(axvm_shutdown(vm), AXVM_OK);
        assert_int_equal(axvm_reset(vm), AXVM_OK);
        assert_int_equal(axvm_boot(vm), AXVM_OK);
    }
    assert_in_range(fake_hal_log_lines(AXVM_LOG_INFO), 10, 40);
    fake_vm_end(vm);
}

static void a_vm_that_fails_while_it_is_reset_stays_failed(void **state)
{
    struct axvm *vm = fake_vm_boot(1);

    (void)state;
    assert_int_equal(axvm_shutdown(vm), AXVM_OK);
    assert_int_equal(axvm_reset_step(vm), AXVM_MORE);
    axvm_fail(vm, "for the test");
    while (axvm_reset_step(vm) == AXVM_MORE) {
        assert_int_equal(axvm_state(vm), AXVM_STATE_FAILED);
    }
    assert_int_equal(axvm_state(vm), AXVM_STATE_FAILED);
    assert_int_equal(axvm_reset(vm), AXVM_OK);
    fake_vm_end(vm);
}

static void a_reset_that_goes_wrong_fails_the_vm_and_can_be_tried_again(void **state)
{
    struct axvm *vm = fake_vm_boot(1);

    (void)state;
    assert_int_equal(axvm_shutdown(vm), AXVM_OK);
    fake_hal_fail_allocation(1); /* of where the device tree is made */
    assert_int_equal(axvm_reset(vm), AXVM_ENOMEM);
    assert_int_equal(axvm_state(vm), AXVM_STATE_FAILED);
    assert_int_equal(axvm_vcpu_state(vm, 0), AXVM_VCPU_FREE);
    assert_int_equal(axvm_reset(vm), AXVM_OK);
    assert_int_equal(axvm_boot(vm), AXVM_OK);
    fake_vm_end(vm);
}

/* ---- All of it goes back ---- */

static void destroy_gives_everything_back(void **state)
{
    struct axvm_config config = rich_config();
    struct axvm *vm;

    (void)state;
    fake_hal_reserve(hpa(RESERVED_BASE), KIB(64));
    vm = init_config(&config);
    assert_int_equal(axvm_boot(vm), AXVM_OK);
    fake_run_on(0, vm, 0);
    fake_vm_end(vm);
    assert_int_equal(fake_hal_frames_used(), 0);
    assert_int_equal(fake_hal_frames_claimed(), 0);
    assert_int_equal(fake_arch.vms, 0);
}

static void a_vm_that_was_never_initialized_goes_back_too(void **state)
{
    struct axvm_config config = rich_config();
    struct axvm *vm = fake_vm_create(&config);

    (void)state;
    assert_int_equal(axvm_destroy(vm), AXVM_OK);
    assert_int_equal(fake_hal_frames_used(), 0);
}

/* Each allocation in turn. true: there was an n-th one. */
static bool survives_failing_allocation(size_t n, const struct axvm_config *config)
{
    struct axvm *vm = NULL;
    bool failed;
    int error;

    fake_hal_fail_allocation(n);
    error = axvm_create(config, &vm);
    if (error == AXVM_OK) {
        assert_int_equal(axvm_set_image(vm, AXVM_IMAGE_KERNEL, fake_kernel, sizeof(fake_kernel)), AXVM_OK);
        error = axvm_init(vm);
        assert_int_equal(axvm_state(vm), error == AXVM_OK ? AXVM_STATE_LOADED : AXVM_STATE_FAILED);
        if (error != AXVM_OK) {
            assert_int_equal(fake_hal_frames_claimed(), 0);
            assert_int_equal(fake_arch.vms, 0);
        }
    }
    failed = fake_hal_allocation_failed();
    fake_hal_fail_allocation(0);
    assert_true(error == AXVM_OK || (failed && error == AXVM_ENOMEM));
    if (vm != NULL) {
        fake_vm_end(vm);
    }
    assert_int_equal(fake_hal_frames_used(), 0);
    assert_int_equal(fake_hal_frames_claimed(), 0);
    assert_null(axvm_find(1));
    return failed;
}

static void no_failing_allocation_leaks_or_breaks_anything(void **state)
{
    struct axvm_config config = rich_config();
    size_t n = 1;

    (void)state;
    while (survives_failing_allocation(n, &config)) {
        n++;
    }
    assert_true(n > 10);
}

static void a_vm_of_two_vcpus_keeps_no_more_than_its_budget(void **state)
{
    struct axvm *vm = fake_vm_load(2);

    (void)state;
    /* 64 KiB for all of it, page tables included; the architectures' own parts and some page tables need theirs. */
    assert_true(sizeof(struct axvm) <= 20 * 1024);
    assert_true(vm->arena.bytes - 2 * sizeof(struct fake_vcpu) <= 32 * 1024);
    fake_vm_end(vm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_configuration_is_completed_and_copied),
        TEST(a_bad_configuration_is_refused_with_each_fault_in_the_log),
        TEST(init_makes_vcpus_devices_and_memory),
        TEST(images_and_the_device_tree_are_where_the_layout_says_and_the_rest_is_zero),
        TEST(a_given_device_tree_is_patched_and_loaded),
        TEST(an_elf_kernels_bss_is_zero_and_its_segments_are_at_their_addresses),
        TEST(a_damaged_kernel_or_a_layout_that_does_not_fit_fails_the_vm),
        TEST(what_an_architecture_refuses_fails_the_vm_and_nothing_is_kept),
        TEST(a_device_type_that_has_no_model_fails_the_vm),
        TEST(identical_memory_is_claimed_zeroed_and_released),
        TEST(identical_memory_in_use_is_refused),
        TEST(memory_that_the_host_does_not_give_is_refused),
        TEST(identical_memory_that_the_host_does_not_have_is_mapped_with_a_warning),
        TEST(reserved_memory_is_mapped_zeroed_without_a_word),
        TEST(reserved_memory_that_is_in_use_by_the_host_is_refused),
        TEST(a_region_that_is_only_in_part_the_hosts_is_refused),
        TEST(reset_zeroes_ram_and_loads_the_images_again),
        TEST(reset_brings_vcpus_and_devices_back_to_power_on),
        TEST(reset_goes_by_parts_and_keeps_others_away_meanwhile),
        TEST(a_vm_that_is_reset_again_and_again_doesnt_flood_the_log),
        TEST(a_vm_that_fails_while_it_is_reset_stays_failed),
        TEST(a_reset_that_goes_wrong_fails_the_vm_and_can_be_tried_again),
        TEST(destroy_gives_everything_back),
        TEST(a_vm_that_was_never_initialized_goes_back_too),
        TEST(no_failing_allocation_leaks_or_breaks_anything),
        TEST(a_vm_of_two_vcpus_keeps_no_more_than_its_budget),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
