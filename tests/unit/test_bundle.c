/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/bundle.h"
#include "core/config_schema.h"
#include "lib/fdt_check.h"
#include "support/fake_hal.h"

#include <libfdt.h>

#define HEAD_SIZE 0x2000U

static const char kernel[] = "this is a kernel";
static const char ramdisk[5000] = "this is a ramdisk";

/* A configuration with every key that has a field. */
static struct axvm_config full_config(void)
{
    struct axvm_config config;

    axvm_config_init(&config);
    config.id = (struct axvm_opt_u64){7, true};
    config.name = "linux";
    config.vm_type = AXVM_TYPE_LINUX;
    config.cpu_num = 2;
    axvm_config_set_guest_cpu_sets(&config, (const uint64_t[]){1, UINT64_C(0x8000000000000000)}, 2);
    config.phys_cpu_ids[1] = 0x100;
    config.phys_cpu_ids_count = 2;
    config.entry_point = (struct axvm_opt_u64){0, true};
    config.kernel_path = "images/vmlinuz";
    config.kernel_load_addr = (struct axvm_opt_u64){UINT64_MAX, true};
    config.bios_load_addr = (struct axvm_opt_u64){0x8000, true};
    config.dtb_load_addr = (struct axvm_opt_u64){0x48000000, true};
    config.ramdisk_path = "images/initrd";
    config.ramdisk_load_addr = (struct axvm_opt_u64){0x49000000, true};
    config.image_location = AXVM_IMAGES_IN_FS;
    config.cmdline = "";
    config.disk_path = "disk";
    config.memory = UINT64_C(0x123456789abcdef0);
    config.lazy = true;
    config.interrupt_mode = AXVM_IRQ_MODE_PASSTHROUGH;
    axvm_config_add_memory_region(&config, &(struct axvm_mem_config){{0x80000000}, 0x1000, 7, AXVM_MAP_RESERVED, true});
    axvm_config_add_memory_region(&config, &(struct axvm_mem_config){{0x90000000}, 0x2000, 15, AXVM_MAP_ALLOC, false});
    axvm_config_add_emu_device(&config, &(struct axvm_emu_config){"gic", {1}, 2, 3, AXVM_EMU_RTC, {9, 8, 7}, 3});
    axvm_config_add_emu_device(&config, &(struct axvm_emu_config){.name = "uart"});
    axvm_config_add_passthrough_device(&config, &(struct axvm_passthrough_config){"/timer", {1}, {2}, 3, 4});
    axvm_config_add_passthrough_address(&config, gpa(5), 6);
    axvm_config_add_excluded_device(&config, "/a");
    axvm_config_add_excluded_device(&config, "/b");
    return config;
}

static struct axvm_config small_config(void)
{
    struct axvm_config config;

    axvm_config_init(&config);
    config.name = "small";
    config.kernel_path = "k";
    return config;
}

static void set_image(struct bundle_image *image, const void *data, size_t size, const char *file)
{
    *image = (struct bundle_image){data, size, file, bundle_crc32(0, data, size)};
}

static uint64_t page_up(uint64_t value)
{
    return (value + 0xfff) & ~UINT64_C(0xfff);
}

/* A heap block that ends where the bundle ends, so that the sanitizer sees a step too far. */
struct file {
    uint8_t *data;
    size_t size;
};

static struct file make(const struct bundle_source *vms, unsigned count)
{
    struct file file;
    uint64_t total, end = HEAD_SIZE;
    uint8_t *head = aligned_alloc(4096, HEAD_SIZE);

    assert_int_equal(bundle_write_head(head, HEAD_SIZE, "aarch64", vms, count, &total), AXVM_OK);
    file.size = (size_t)total;
    file.data = malloc(file.size);
    memset(file.data, 0, file.size);
    memcpy(file.data, head, HEAD_SIZE);
    free(head);
    for (unsigned i = 0; i < count; i++) {
        for (unsigned kind = 0; kind < AXVM_IMAGE_COUNT; kind++) {
            const struct bundle_image *image = &vms[i].images[kind];

            if (image->data) {
                end = page_up(end);
                memcpy(file.data + end, image->data, image->size);
                end += image->size;
            }
        }
    }
    assert_int_equal(end, file.size);
    return file;
}

/* Two VMs, the first with kernel and ramdisk, the second with a kernel. */
static struct file make_two(void)
{
    struct axvm_config first = full_config(), second = small_config();
    struct bundle_source vms[2] = {{.config = &first}, {.config = &second}};

    set_image(&vms[0].images[AXVM_IMAGE_KERNEL], kernel, sizeof(kernel), "images/vmlinuz");
    set_image(&vms[0].images[AXVM_IMAGE_RAMDISK], ramdisk, sizeof(ramdisk), "images/initrd");
    set_image(&vms[1].images[AXVM_IMAGE_KERNEL], kernel, sizeof(kernel), "k");
    return make(vms, 2);
}

/* A VM of a bundle that is right, as it comes out; `unpacked.file.data` is to be freed. */
static struct {
    struct file file;
    struct bundle bundle;
    struct axvm_config config;
    struct bundle_image images[AXVM_IMAGE_COUNT];
} unpacked;

static void unpack(struct file file, unsigned vm)
{
    unpacked.file = file;
    assert_int_equal(bundle_open(&unpacked.bundle, file.data, file.size), AXVM_OK);
    assert_int_equal(bundle_vm(&unpacked.bundle, vm, &unpacked.config, unpacked.images), AXVM_OK);
}

static size_t head_size(const void *fdt)
{
    return fdt_totalsize(fdt);
}

/* Put the right checksum on a head that was changed: what lies behind it must stand on its own. */
static void seal(struct file *file)
{
    uint32_t crc;

    assert_int_equal(fdt_setprop_inplace_u32(file->data, 0, "header-crc32", 0), 0);
    crc = bundle_crc32(0, file->data, head_size(file->data));
    assert_int_equal(fdt_setprop_inplace_u32(file->data, 0, "header-crc32", crc), 0);
}

/* ---- What is right ----------------------------------------------------------------------------------------------- */

static void test_crc32_is_that_of_gzip(void **state)
{
    (void)state;
    assert_int_equal(bundle_crc32(0, "123456789", 9), 0xcbf43926);
    assert_int_equal(bundle_crc32(bundle_crc32(0, "1234", 4), "56789", 5), 0xcbf43926);
    assert_int_equal(bundle_crc32(0, "", 0), 0);
}

static void assert_config_equal(const struct axvm_config *a, const struct axvm_config *b)
{
    assert_string_equal(a->name, b->name);
    assert_string_equal(a->kernel_path, b->kernel_path);
    assert_string_equal(a->ramdisk_path, b->ramdisk_path);
    assert_string_equal(a->cmdline, b->cmdline);
    assert_string_equal(a->disk_path, b->disk_path);
    assert_null(a->bios_path);
    assert_null(a->dtb_path);
    assert_int_equal(a->id.value, b->id.value);
    assert_true(a->id.given && a->entry_point.given && a->bios_load_addr.given && a->dtb_load_addr.given);
    assert_int_equal(a->entry_point.value, b->entry_point.value);
    assert_true(a->kernel_load_addr.value == UINT64_MAX);
    assert_int_equal(a->ramdisk_load_addr.value, b->ramdisk_load_addr.value);
    assert_int_equal(a->vm_type, b->vm_type);
    assert_int_equal(a->cpu_num, b->cpu_num);
    assert_int_equal(a->phys_cpu_ids_count, 2);
    assert_memory_equal(a->phys_cpu_ids, b->phys_cpu_ids, sizeof(a->phys_cpu_ids));
    assert_int_equal(a->phys_cpu_sets_count, 2);
    assert_memory_equal(a->phys_cpu_sets, b->phys_cpu_sets, sizeof(a->phys_cpu_sets));
    assert_int_equal(a->image_location, b->image_location);
    assert_true(a->memory == b->memory);
    assert_int_equal(a->lazy, b->lazy);
    assert_int_equal(a->interrupt_mode, b->interrupt_mode);
    assert_int_equal(a->default_devices, b->default_devices);
}

static void test_a_configuration_comes_back_as_it_was(void **state)
{
    const struct axvm_config *config = &unpacked.config;
    struct axvm_config expected = full_config();

    (void)state;
    unpack(make_two(), 0);
    assert_int_equal(unpacked.bundle.vm_count, 2);
    assert_string_equal(unpacked.bundle.arch, "aarch64");
    assert_config_equal(config, &expected);
    assert_int_equal(config->memory_regions_count, 2);
    assert_int_equal(config->memory_regions[0].gpa.v, 0x80000000);
    assert_int_equal(config->memory_regions[0].map_type, AXVM_MAP_RESERVED);
    assert_true(config->memory_regions[0].lazy);
    assert_int_equal(config->memory_regions[1].flags, 15);
    assert_int_equal(config->emu_devices_count, 2);
    assert_string_equal(config->emu_devices[0].name, "gic");
    assert_int_equal(config->emu_devices[0].type, AXVM_EMU_RTC);
    assert_int_equal(config->emu_devices[0].cfg_count, 3);
    assert_int_equal(config->emu_devices[0].cfg[2], 7);
    assert_string_equal(config->emu_devices[1].name, "uart");
    assert_int_equal(config->passthrough_devices[0].base_hpa.v, 2);
    assert_int_equal(config->passthrough_addresses[0].length, 6);
    assert_string_equal(config->excluded_devices[1], "/b");
    free(unpacked.file.data);
}

static void test_what_is_not_given_stays_not_given(void **state)
{
    const struct axvm_config *config = &unpacked.config;

    (void)state;
    unpack(make_two(), 1);
    assert_string_equal(config->name, "small");
    assert_false(config->id.given);
    assert_false(config->entry_point.given);
    assert_null(config->cmdline);
    assert_true(config->default_devices);
    assert_int_equal(config->interrupt_mode, AXVM_IRQ_MODE_DEFAULT);
    assert_int_equal(config->memory_regions_count, 0);
    free(unpacked.file.data);
}

static void test_an_empty_device_list_is_not_an_absent_one(void **state)
{
    struct axvm_config config = small_config();
    struct bundle_source vm = {.config = &config};

    (void)state;
    config.default_devices = false;
    set_image(&vm.images[AXVM_IMAGE_KERNEL], kernel, sizeof(kernel), "k");
    unpack(make(&vm, 1), 0);
    assert_false(unpacked.config.default_devices);
    assert_int_equal(unpacked.config.emu_devices_count, 0);
    free(unpacked.file.data);
}

static void test_images_come_back_aligned_and_whole(void **state)
{
    struct bundle_image *images = unpacked.images;

    (void)state;
    unpack(make_two(), 0);
    assert_string_equal(images[AXVM_IMAGE_KERNEL].file, "images/vmlinuz");
    assert_int_equal(images[AXVM_IMAGE_KERNEL].size, sizeof(kernel));
    assert_memory_equal(images[AXVM_IMAGE_KERNEL].data, kernel, sizeof(kernel));
    assert_int_equal(images[AXVM_IMAGE_RAMDISK].size, sizeof(ramdisk));
    assert_memory_equal(images[AXVM_IMAGE_RAMDISK].data, ramdisk, sizeof(ramdisk));
    assert_int_equal(((const uint8_t *)images[AXVM_IMAGE_RAMDISK].data - unpacked.file.data) % 4096, 0);
    assert_null(images[AXVM_IMAGE_DTB].data);
    assert_null(images[AXVM_IMAGE_BIOS].data);
    assert_int_equal(bundle_vm(&unpacked.bundle, 2, &unpacked.config, images), AXVM_ENOENT);
    free(unpacked.file.data);
}

static void test_a_head_that_is_too_small_is_refused(void **state)
{
    struct axvm_config config = full_config();
    struct bundle_source vms[8];
    uint64_t total;
    void *head = aligned_alloc(4096, 4096);

    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        vms[i] = (struct bundle_source){.config = &config};
    }
    assert_int_equal(bundle_write_head(head, 4096, "aarch64", vms, 8, &total), AXVM_ENOMEM);
    assert_int_equal(bundle_write_head(head, 4096, "aarch64", vms, 1, &total), AXVM_OK);
    assert_int_equal(bundle_write_head(head, 4095, "aarch64", vms, 1, &total), AXVM_EINVAL);
    assert_int_equal(bundle_write_head(head, 0, "aarch64", vms, 1, &total), AXVM_EINVAL);
    assert_int_equal(bundle_write_head(head, 4096, "aarch64", vms, BUNDLE_MAX_VMS + 1, &total), AXVM_EINVAL);
    free(head);
}

/* ---- What is damaged --------------------------------------------------------------------------------------------- */

static bool images_are_good(const struct bundle_image images[AXVM_IMAGE_COUNT])
{
    for (unsigned kind = 0; kind < AXVM_IMAGE_COUNT; kind++) {
        if (images[kind].data && bundle_crc32(0, images[kind].data, images[kind].size) != images[kind].crc32) {
            return false;
        }
    }
    return true;
}

/* Read everything there is to read. */
static int read_all(const void *data, size_t size)
{
    struct bundle_image images[AXVM_IMAGE_COUNT];
    struct axvm_config config;
    struct bundle bundle;
    int error = bundle_open(&bundle, data, size);

    for (unsigned i = 0; !error && i < bundle.vm_count; i++) {
        error = bundle_vm(&bundle, i, &config, images);
        error = error || images_are_good(images) ? error : AXVM_EINVAL;
    }
    return error;
}

static void test_a_bundle_cut_off_anywhere_is_refused(void **state)
{
    struct file file = make_two();

    (void)state;
    for (size_t size = 0; size < file.size; size += size < HEAD_SIZE ? 7 : 501) {
        uint8_t *cut = malloc(size ? size : 1);

        memcpy(cut, file.data, size);
        assert_int_equal(read_all(cut, size), AXVM_EINVAL);
        free(cut);
    }
    assert_true(fake_hal_logged("bundle: truncated"));
    free(file.data);
}

/*
 * fuzz_bundle found libfdt 1.6.1's own check to fall over one: below version 16, a node's name has its path before it.
 */
static void test_an_old_version_is_refused(void **state)
{
    struct file file = make_two();

    (void)state;
    for (uint32_t version = 2; version < 17; version++) {
        fdt_set_version(file.data, version);
        fdt_set_last_comp_version(file.data, version);
        assert_int_equal(fdt_check_sound(file.data, file.size), -FDT_ERR_BADVERSION);
        assert_int_equal(read_all(file.data, file.size), AXVM_EINVAL);
    }
    free(file.data);
}

static void test_a_flipped_bit_in_head_or_image_is_found(void **state)
{
    struct file file = make_two();
    size_t head = head_size(file.data);

    (void)state;
    for (size_t i = 0; i < head; i++) {
        file.data[i] ^= (uint8_t)(1U << i % 8);
        assert_int_equal(read_all(file.data, file.size), AXVM_EINVAL);
        file.data[i] ^= (uint8_t)(1U << i % 8);
    }
    file.data[file.size - 1] ^= 0x80;
    assert_int_equal(read_all(file.data, file.size), AXVM_EINVAL);
    file.data[file.size - 1] ^= 0x80;
    assert_int_equal(read_all(file.data, file.size), AXVM_OK);
    free(file.data);
}

/* Someone who can compute a checksum is no friend either. */
static void test_a_forged_head_is_survived(void **state)
{
    struct file file = make_two();
    size_t head = head_size(file.data);
    uint8_t *pristine = malloc(head);
    unsigned accepted = 0;

    (void)state;
    memcpy(pristine, file.data, head);
    for (size_t i = 0; i < head; i++) {
        static const uint8_t values[] = {0x00, 0xff, 0x80, 0x01};

        memcpy(file.data, pristine, head);
        file.data[i] = i % 5 == 4 ? file.data[i] + 1 : values[i % 5];
        if (fdt_check_sound(file.data, file.size) == 0 && fdt_getprop(file.data, 0, "header-crc32", NULL)) {
            seal(&file);
        }
        accepted += read_all(file.data, file.size) == AXVM_OK;
    }
    assert_int_not_equal(accepted, 0);
    assert_int_not_equal(accepted, head);
    free(pristine);
    free(file.data);
}

/* Change the `at`th byte of a property of /vm@0 and seal: must be refused. */
static void forge(const char *path, const char *property, size_t at, uint8_t value, const char *logged)
{
    struct file file = make_two();
    int node = fdt_path_offset(file.data, path);
    int length;
    uint8_t *data = fdt_getprop_w(file.data, node, property, &length);

    assert_non_null(data);
    assert_true(at < (size_t)length);
    data[at] = value;
    seal(&file);
    fake_hal_forget();
    assert_int_equal(read_all(file.data, file.size), AXVM_EINVAL);
    if (!fake_hal_logged(logged)) {
        fail_msg("%s %s[%zu] = %#x: \"%s\" is not in the log", path, property, at, value, logged);
    }
    free(file.data);
}

static void test_forged_values_are_refused(void **state)
{
    (void)state;
    forge("/", "compatible", 0, 'A', "compatible is \"Axvm,bundle\"");
    forge("/", "version", 3, 2, "bundle: not of version 1");
    forge("/", "arch", 7, 'x', "arch or total-size is missing");
    forge("/", "total-size", 0, 1, "bundle: truncated");
    forge("/vm@0/base", "cpu_num", 0, 1, "base.cpu_num is damaged");
    forge("/vm@0/base", "name", 5, 'x', "base.name is damaged");
    forge("/vm@0/base", "name", 2, 0, "base.name is damaged");
    forge("/vm@0/base", "phys_cpu_sets", 7, 65, "base.phys_cpu_sets is damaged");
    forge("/vm@0/base", "phys_cpu_sets", 7, 1, "base.phys_cpu_sets is damaged");
    forge("/vm@0/base", "phys_cpu_sets", 0, 0x80, "base.phys_cpu_sets is damaged");
    forge("/vm@0/kernel", "lazy", 7, 2, "kernel.lazy is damaged");
    forge("/vm@0/kernel", "image_location", 7, 9, "kernel.image_location is damaged");
    forge("/vm@0/kernel", "memory_regions", 7, 17, "kernel.memory_regions is damaged");
    forge("/vm@0/kernel", "memory_regions", 8 + 16 + 3, 1, "kernel.memory_regions is damaged");
    forge("/vm@0/devices", "emu_devices", 8 + 4 + 8 * 4 + 7, 9, "devices.emu_devices is damaged");
    forge("/vm@0/devices", "interrupt_mode", 7, 0, "devices.interrupt_mode is damaged");
    forge("/vm@0/images/kernel", "data-offset", 0, 0xff, "kernel image: no 17 bytes at");
    forge("/vm@0/images/kernel", "data-offset", 7, 1, "kernel image: no 17 bytes at");
    forge("/vm@0/images/kernel", "data-offset", 6, 0, "kernel image: no 17 bytes at 0");
    forge("/vm@0/images/kernel", "data-size", 0, 0xff, "bytes at 0x2000");
    forge("/vm@0/images/kernel", "data-size", 7, 0, "kernel image: no 0 bytes at 0x2000");
    forge("/vm@0/images/kernel", "file", 14, 'x', "the description of the kernel image is damaged");
}

static void rename_node(struct file *file, const char *path, const char *name)
{
    int node = fdt_path_offset(file->data, path);

    assert_true(node > 0);
    memcpy((char *)(uintptr_t)fdt_get_name(file->data, node, NULL), name, strlen(name));
    seal(file);
    fake_hal_forget();
}

static void test_unknown_sections_and_missing_images_are_refused(void **state)
{
    struct file file = make_two();

    (void)state;
    rename_node(&file, "/vm@0/base", "bass");
    assert_int_equal(read_all(file.data, file.size), AXVM_EINVAL);
    assert_true(fake_hal_logged("bundle: unknown key in [bass]: id"));
    rename_node(&file, "/vm@0/bass", "base");
    rename_node(&file, "/vm@0/images/ramdisk", "rumdisk");
    assert_int_equal(read_all(file.data, file.size), AXVM_EINVAL);
    assert_true(fake_hal_logged("bundle: images/initrd has no data"));
    free(file.data);
}

static void test_too_many_vms_are_refused(void **state)
{
    uint8_t *fdt = aligned_alloc(4096, 0x4000);
    struct file file = {fdt, 0x4000};

    (void)state;
    assert_int_equal(fdt_create(fdt, 0x4000) | fdt_finish_reservemap(fdt) | fdt_begin_node(fdt, ""), 0);
    assert_int_equal(fdt_property(fdt, "compatible", "axvm,bundle", 12) | fdt_property_u32(fdt, "version", 1), 0);
    assert_int_equal(fdt_property(fdt, "arch", "x", 2) | fdt_property_u64(fdt, "total-size", 0), 0);
    assert_int_equal(fdt_property_u32(fdt, "header-crc32", 0), 0);
    for (unsigned i = 0; i <= BUNDLE_MAX_VMS; i++) {
        char name[16];

        snprintf(name, sizeof(name), "vm@%u", i);
        assert_int_equal(fdt_begin_node(fdt, name) | fdt_end_node(fdt), 0);
    }
    assert_int_equal(fdt_end_node(fdt) | fdt_finish(fdt), 0);
    seal(&file);
    assert_int_equal(read_all(fdt, 0x4000), AXVM_EINVAL);
    assert_true(fake_hal_logged("bundle: 65 VMs are more than 64"));
    free(fdt);
}

static void test_what_is_no_bundle_is_refused(void **state)
{
    uint8_t *bytes = malloc(4096);

    (void)state;
    memset(bytes, 0xa5, 4096);
    assert_int_equal(read_all(bytes, 4096), AXVM_EINVAL);
    assert_int_equal(read_all(bytes + 1, 4095), AXVM_EINVAL);
    assert_true(fake_hal_logged("bundle: not aligned"));
    assert_int_equal(fdt_create_empty_tree(bytes, 4096), 0);
    assert_int_equal(read_all(bytes, 4096), AXVM_EINVAL);
    assert_true(fake_hal_logged("bundle: not a bundle"));
    free(bytes);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_hal_setup, fake_hal_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_crc32_is_that_of_gzip),
        TEST(test_a_configuration_comes_back_as_it_was),
        TEST(test_what_is_not_given_stays_not_given),
        TEST(test_an_empty_device_list_is_not_an_absent_one),
        TEST(test_images_come_back_aligned_and_whole),
        TEST(test_a_head_that_is_too_small_is_refused),
        TEST(test_a_bundle_cut_off_anywhere_is_refused),
        TEST(test_an_old_version_is_refused),
        TEST(test_a_flipped_bit_in_head_or_image_is_found),
        TEST(test_a_forged_head_is_survived),
        TEST(test_forged_values_are_refused),
        TEST(test_unknown_sections_and_missing_images_are_refused),
        TEST(test_too_many_vms_are_refused),
        TEST(test_what_is_no_bundle_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
