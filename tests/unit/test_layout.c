/* SPDX-License-Identifier: Apache-2.0 */
#include "core/layout.h"

#include "support/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define AARCH64 183U
#define RISCV 243U
#define RAM UINT64_C(0x40000000)
#define RISCV_RAM UINT64_C(0x80000000)

static const struct axvm_platform aarch64 = {
    .arch = "aarch64", .elf_machine = AARCH64, .ram_base = {RAM}, .entry_align = 4,
};
static const struct axvm_platform riscv64 = {
    .arch = "riscv64", .elf_machine = RISCV, .ram_base = {RISCV_RAM}, .entry_align = 2,
};

/* ---- What the planner says --------------------------------------------------------------------------------------- */

static struct {
    unsigned errors, warnings;
    const void *fields[16]; /* of errors */
    char text[4096];        /* path: text, a line each */
} said;

static void note(const char *path, const char *text)
{
    size_t used = strlen(said.text);

    snprintf(said.text + used, sizeof(said.text) - used, "%s: %s\n", path, text);
}

static void note_error(struct axvm_config_report *report, const void *field, const char *path, const char *text)
{
    (void)report;
    assert_true(said.errors < 16);
    said.fields[said.errors++] = field;
    note(path, text);
}

static void note_warning(struct axvm_config_report *report, const void *field, const char *path, const char *text)
{
    (void)report;
    (void)field;
    said.warnings++;
    note(path, text);
}

static void assert_said(const char *text)
{
    if (strstr(said.text, text) == NULL) {
        fail_msg("\"%s\" is not in:\n%s", text, said.text);
    }
}

/* ---- A configuration and its images ------------------------------------------------------------------------------ */

static const struct axvm_platform *platform;
static struct axvm_config config;
static struct image images[AXVM_IMAGE_COUNT];
static struct layout layout;
static uint8_t elf_file[512];
static const uint8_t bytes[4096];

static void add_ram(uint64_t start, uint64_t size, uint32_t flags)
{
    config.memory_regions[config.memory_regions_count++] =
        (struct axvm_mem_config){.gpa = gpa(start), .size = size, .flags = flags};
}

static struct axvm_opt_u64 at(uint64_t value)
{
    return (struct axvm_opt_u64){value, true};
}

static struct image file(uint64_t size)
{
    return (struct image){.data = bytes, .size = size, .format = IMAGE_FLAT, .memory_size = size};
}

static struct image linux_file(enum image_format format, uint64_t text_offset, uint64_t size)
{
    return (struct image){.data = bytes, .size = sizeof(bytes), .format = format, .text_offset = text_offset,
                          .memory_size = size, .elf_machine = format == IMAGE_LINUX_ARM64 ? AARCH64 : RISCV};
}

static void put(uint8_t *to, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++) {
        to[i] = (uint8_t)(value >> (8 * i));
    }
}

/* An ELF file of two segments of 64 KiB memory each. */
static struct image elf(uint16_t machine, uint64_t first, uint64_t second, uint64_t entry)
{
    static const uint8_t ident[7] = {0x7f, 'E', 'L', 'F', 2, 1, 1};
    const uint64_t start[] = {first, second};
    const char *why = "";
    struct image image;

    memset(elf_file, 0, sizeof(elf_file));
    memcpy(elf_file, ident, sizeof(ident));
    put(elf_file + 16, 2, 2);
    put(elf_file + 18, machine, 2);
    put(elf_file + 24, entry, 8);
    put(elf_file + 32, 64, 8);
    put(elf_file + 54, 56, 2);
    put(elf_file + 56, 2, 2);
    for (unsigned i = 0; i < 2; i++) {
        uint8_t *header = elf_file + 64 + i * 56U;

        put(header, 1, 4);
        put(header + 16, start[i], 8);
        put(header + 24, start[i], 8);
        put(header + 32, 256, 8);
        put(header + 40, KIB(64), 8);
    }
    if (image_probe(elf_file, sizeof(elf_file), &image, &why) != AXVM_OK) {
        fail_msg("%s", why);
    }
    return image;
}

/* 256 MiB of RAM and a Linux kernel of 32 MiB. */
static int set_up(void **state)
{
    (void)state;
    memset(&config, 0, sizeof(config));
    memset(images, 0, sizeof(images));
    platform = &aarch64;
    config.kernel_path = "vmlinuz";
    add_ram(RAM, MIB(256), AXVM_MEM_RWX);
    images[AXVM_IMAGE_KERNEL] = linux_file(IMAGE_LINUX_ARM64, 0, MIB(32));
    return 0;
}

/* The same for riscv64, whose kernels leave 2 MiB below them. */
static int set_up_riscv64(void **state)
{
    set_up(state);
    platform = &riscv64;
    config.memory_regions[0].gpa.v = RISCV_RAM;
    images[AXVM_IMAGE_KERNEL] = linux_file(IMAGE_LINUX_RISCV, MIB(2), MIB(32));
    return 0;
}

static int plan_result(void)
{
    struct axvm_config_report report = {note_error, note_warning};

    memset(&said, 0, sizeof(said));
    memset(&layout, 0xa5, sizeof(layout));
    return layout_plan(&config, platform, images, &report, &layout);
}

static void plan(void)
{
    if (plan_result() != AXVM_OK || said.errors != 0) {
        fail_msg("refused: %s", said.text);
    }
}

/* One error, which names `field` and has `text`. */
static void plan_fails(const void *field, const char *text)
{
    assert_int_equal(plan_result(), AXVM_EINVAL);
    assert_said(text);
    if (said.errors != 1) {
        fail_msg("%u errors:\n%s", said.errors, said.text);
    }
    assert_ptr_equal(said.fields[0], field);
}

/* ---- Where things go --------------------------------------------------------------------------------------------- */

static void linux_kernel_goes_to_the_start_of_ram(void **state)
{
    (void)state;
    plan();
    assert_int_equal(layout.kernel.v, RAM);
    assert_int_equal(layout.kernel_size, MIB(32));
    assert_int_equal(layout.entry.v, RAM);
    assert_int_equal(layout.ramdisk_size, 0);
    assert_int_equal(layout.bios_size, 0);
    assert_int_equal(said.warnings, 0);
}

static void linux_kernel_keeps_its_text_offset(void **state)
{
    (void)state;
    images[AXVM_IMAGE_KERNEL].text_offset = 0x80000;
    plan();
    assert_int_equal(layout.kernel.v, RAM + 0x80000);
    assert_int_equal(layout.entry.v, RAM + 0x80000);
    assert_int_equal(said.warnings, 0);
}

static void linux_kernel_may_want_to_be_further_up(void **state)
{
    (void)state;
    images[AXVM_IMAGE_KERNEL].text_offset = MIB(2); /* as RISC-V's has */
    plan();
    assert_int_equal(layout.kernel.v, RAM + MIB(2));
    config.memory_regions[0].size = MIB(1);
    images[AXVM_IMAGE_KERNEL].memory_size = KIB(512);
    plan_fails(&config.kernel_path, "no room for the kernel");
}

static void kernel_base_is_rounded_up_to_2_mib(void **state)
{
    (void)state;
    config.memory_regions[0].gpa.v = RAM + AXVM_PAGE_SIZE;
    plan();
    assert_int_equal(layout.kernel.v, RAM + MIB(2));
    images[AXVM_IMAGE_KERNEL] = file(1000);
    plan();
    assert_int_equal(layout.kernel.v, RAM + MIB(2));
    assert_int_equal(layout.entry.v, RAM + MIB(2));
}

static void device_tree_is_at_the_top_of_small_ram_and_the_ramdisk_below(void **state)
{
    (void)state;
    images[AXVM_IMAGE_RAMDISK] = file(MIB(5) + 1);
    config.ramdisk_path = "initrd";
    plan();
    assert_int_equal(layout.dtb.v, RAM + MIB(254));
    assert_int_equal(layout.dtb_size, KIB(64));
    assert_int_equal(layout.ramdisk.v, RAM + MIB(249) - AXVM_PAGE_SIZE);
    assert_int_equal(layout.ramdisk_size, MIB(5) + 1);
}

static void device_tree_stays_within_512_mib_of_the_kernel(void **state)
{
    (void)state;
    config.memory_regions[0].size = GIB(3);
    images[AXVM_IMAGE_KERNEL].text_offset = 0x80000;
    images[AXVM_IMAGE_RAMDISK] = file(MIB(100));
    plan();
    assert_int_equal(layout.dtb.v, RAM + MIB(510));
    assert_int_equal(layout.ramdisk.v, RAM + MIB(410));
}

static void ramdisk_that_is_too_large_goes_further_away(void **state)
{
    (void)state;
    config.memory_regions[0].size = GIB(3);
    images[AXVM_IMAGE_RAMDISK] = file(GIB(1));
    plan();
    assert_int_equal(layout.ramdisk.v, RAM + GIB(2));
}

static void ramdisk_stays_within_32_gib_of_a_linux_kernel(void **state)
{
    (void)state;
    config.memory_regions[0].size = GIB(64);
    images[AXVM_IMAGE_RAMDISK] = file(GIB(1));
    plan();
    assert_int_equal(layout.ramdisk.v, GIB(32)); /* the window begins at 1 GiB, where RAM does */
    assert_int_equal(layout.kernel.v, GIB(1));
}

static void tiny_ram_is_enough_for_a_tiny_guest(void **state)
{
    (void)state;
    config.memory_regions[0].size = KIB(128);
    images[AXVM_IMAGE_KERNEL] = file(KIB(64));
    plan();
    assert_int_equal(layout.kernel.v, RAM);
    assert_int_equal(layout.dtb.v, RAM + KIB(64));
}

static void kernel_prefers_the_platforms_ram(void **state)
{
    (void)state;
    config.memory_regions_count = 0;
    add_ram(MIB(16), MIB(256), AXVM_MEM_RWX);
    add_ram(RAM, MIB(256), AXVM_MEM_RWX);
    plan();
    assert_int_equal(layout.kernel.v, RAM);
    config.memory_regions[1].size = MIB(16);
    plan();
    assert_int_equal(layout.kernel.v, MIB(16));
}

static void regions_that_touch_are_one_piece_of_ram(void **state)
{
    (void)state;
    config.memory_regions_count = 0;
    add_ram(RAM + MIB(16), MIB(16), AXVM_MEM_RWX);
    add_ram(RAM, MIB(16), AXVM_MEM_RWX | AXVM_MEM_USER);
    add_ram(RAM + MIB(32), MIB(16), AXVM_MEM_RWX);
    plan();
    assert_int_equal(layout.kernel.v, RAM);
}

static void nothing_is_put_into_memory_without_all_permissions(void **state)
{
    (void)state;
    config.memory_regions_count = 0;
    add_ram(RAM, MIB(256), AXVM_MEM_RW);
    add_ram(RAM + GIB(1), MIB(256), AXVM_MEM_RWX);
    add_ram(RAM + GIB(2), MIB(256), AXVM_MEM_RWX | AXVM_MEM_DEVICE);
    images[AXVM_IMAGE_RAMDISK] = file(MIB(1));
    plan();
    assert_int_equal(layout.kernel.v, RAM + GIB(1));
    assert_true(layout.dtb.v > layout.kernel.v && layout.dtb.v < RAM + GIB(2));
    assert_true(layout.ramdisk.v > layout.kernel.v && layout.ramdisk.v < RAM + GIB(2));
}

static void computed_places_avoid_the_given_ones(void **state)
{
    (void)state;
    config.dtb_load_addr = at(RAM);
    config.ramdisk_load_addr = at(RAM + MIB(4));
    images[AXVM_IMAGE_RAMDISK] = file(MIB(1));
    plan();
    assert_int_equal(layout.kernel.v, RAM + MIB(6));
    assert_int_equal(layout.dtb.v, RAM);
    images[AXVM_IMAGE_KERNEL].text_offset = 0x80000;
    images[AXVM_IMAGE_KERNEL].memory_size = MIB(1);
    plan();
    assert_int_equal(layout.kernel.v, RAM + 0x80000);
}

static void given_addresses_are_taken(void **state)
{
    (void)state;
    config.entry_point = at(RAM + MIB(2) + 64);
    config.kernel_load_addr = at(RAM + MIB(2));
    config.dtb_load_addr = at(RAM + 8);
    config.ramdisk_load_addr = at(RAM + MIB(100) + 3);
    config.bios_load_addr = at(RAM + MIB(200));
    images[AXVM_IMAGE_KERNEL] = file(1000);
    images[AXVM_IMAGE_RAMDISK] = file(2000);
    images[AXVM_IMAGE_BIOS] = file(3000);
    plan();
    assert_int_equal(layout.entry.v, RAM + MIB(2) + 64);
    assert_int_equal(layout.kernel.v, RAM + MIB(2));
    assert_int_equal(layout.kernel_size, 1000);
    assert_int_equal(layout.dtb.v, RAM + 8);
    assert_int_equal(layout.ramdisk.v, RAM + MIB(100) + 3);
    assert_int_equal(layout.bios.v, RAM + MIB(200));
    assert_int_equal(layout.bios_size, 3000);
}

static void elf_stays_at_its_own_addresses(void **state)
{
    (void)state;
    images[AXVM_IMAGE_KERNEL] = elf(AARCH64, RAM + MIB(8), RAM + MIB(9), RAM + MIB(8) + 16);
    plan();
    assert_int_equal(layout.kernel.v, RAM + MIB(8));
    assert_int_equal(layout.kernel_size, MIB(1) + KIB(64));
    assert_int_equal(layout.entry.v, RAM + MIB(8) + 16);
    config.kernel_load_addr = at(RAM + MIB(8));
    plan();
    config.kernel_load_addr = at(RAM);
    plan_fails(&config.kernel_load_addr, "an ELF file is loaded at its own addresses, here 0x40800000-0x4090ffff");
}

static void elf_may_span_a_hole_in_ram(void **state)
{
    (void)state;
    add_ram(GIB(3), MIB(16), AXVM_MEM_RWX);
    add_ram(GIB(4), MIB(16), AXVM_MEM_RWX);
    images[AXVM_IMAGE_KERNEL] = elf(AARCH64, RAM, GIB(3), RAM);
    plan();
    images[AXVM_IMAGE_KERNEL] = elf(AARCH64, RAM, GIB(3) + MIB(16), RAM);
    plan_fails(&config.kernel_path, "the kernel at 0xc1000000-0xc10000ff lies outside RAM");
}

static void bios_alone_is_where_the_vm_starts(void **state)
{
    (void)state;
    images[AXVM_IMAGE_KERNEL] = (struct image){0};
    images[AXVM_IMAGE_BIOS] = file(1000);
    config.bios_load_addr = at(RAM + MIB(1));
    plan();
    assert_int_equal(layout.entry.v, RAM + MIB(1));
    assert_int_equal(layout.kernel_size, 0);
    assert_int_equal(layout.dtb.v, RAM + MIB(254));
}

static void room_for_a_users_device_tree_leaves_slack(void **state)
{
    (void)state;
    images[AXVM_IMAGE_DTB] = file(10000);
    plan();
    assert_int_equal(layout.dtb_size, 28 * 1024);
    config.cmdline = "a command line";
    plan();
    assert_int_equal(layout.dtb_size, 28 * 1024);
    images[AXVM_IMAGE_DTB] = file(MIB(2) - KIB(16));
    plan_fails(&config.dtb_path, "the device tree would take 2052 KiB; Linux accepts 2048 KiB");
    config.cmdline = NULL;
    plan();
    assert_int_equal(layout.dtb_size, MIB(2));
}

/* ---- What is refused --------------------------------------------------------------------------------------------- */

static void images_outside_ram_are_refused(void **state)
{
    (void)state;
    config.kernel_load_addr = at(RAM + MIB(254));
    config.entry_point = at(RAM);
    images[AXVM_IMAGE_KERNEL] = file(MIB(2));
    plan();
    images[AXVM_IMAGE_KERNEL] = file(MIB(2) + 1);
    plan_fails(&config.kernel_load_addr, "kernel_load_addr: the kernel at 0x4fe00000-0x50000000 lies outside RAM");
    config.kernel_load_addr = at(RAM);
    config.ramdisk_load_addr = at(RAM - 1);
    images[AXVM_IMAGE_RAMDISK] = file(1);
    plan_fails(&config.ramdisk_load_addr, "the ramdisk at 0x3fffffff-0x3fffffff lies outside RAM");
    config.ramdisk_load_addr = at(UINT64_MAX);
    plan_fails(&config.ramdisk_load_addr, "the ramdisk at 0xffffffffffffffff would reach beyond the last address");
    config.ramdisk_load_addr = at(UINT64_MAX - 1);
    plan_fails(&config.ramdisk_load_addr, "the ramdisk at 0xfffffffffffffffe-0xfffffffffffffffe lies outside RAM");
}

static void images_in_device_memory_are_refused(void **state)
{
    (void)state;
    add_ram(RAM + MIB(256), MIB(16), AXVM_MEM_RWX | AXVM_MEM_DEVICE);
    config.kernel_load_addr = at(RAM + MIB(256));
    config.entry_point = at(RAM);
    plan_fails(&config.kernel_load_addr, "the kernel at 0x50000000-0x51ffffff lies outside RAM");
}

static void overlaps_are_refused_naming_both(void **state)
{
    (void)state;
    config.dtb_load_addr = at(RAM + MIB(31));
    config.kernel_load_addr = at(RAM);
    plan_fails(&config.dtb_load_addr,
               "the dtb at 0x41f00000-0x41f0ffff overlaps the kernel at 0x40000000-0x41ffffff");
    config.dtb_load_addr = at(RAM + MIB(32));
    plan();
}

/* It would start somewhere else, or fault. */
static void entry_that_is_no_address_of_an_instruction_is_refused(void **state)
{
    (void)state;
    images[AXVM_IMAGE_KERNEL] = file(KIB(64));
    config.entry_point = at(RAM + 2);
    plan_fails(&config.entry_point, "entry_point: the entry point 0x40000002 is not a multiple of 4");
}

static void entry_outside_executable_ram_is_refused(void **state)
{
    (void)state;
    config.memory_regions_count = 0;
    add_ram(RAM, MIB(64), AXVM_MEM_RWX);
    add_ram(RAM + MIB(64), MIB(64), AXVM_MEM_RW);
    add_ram(RAM + MIB(128), MIB(64), AXVM_MEM_RWX);
    config.entry_point = at(RAM + MIB(64));
    plan_fails(&config.entry_point, "entry_point: the entry point 0x44000000 is not in executable RAM");
    config.entry_point = at(UINT64_MAX);
    plan_fails(&config.entry_point, "the entry point 0xffffffffffffffff is not in executable RAM");
    config.entry_point = at(RAM + MIB(192));
    plan_fails(&config.entry_point, "the entry point 0x4c000000 is not in executable RAM");
    config.entry_point.given = false;
    config.kernel_load_addr = at(RAM + MIB(64));
    images[AXVM_IMAGE_KERNEL] = file(KIB(64));
    plan_fails(&config.kernel_load_addr, "the entry point 0x44000000 is not in executable RAM");
}

static void foreign_kernels_are_refused(void **state)
{
    (void)state;
    images[AXVM_IMAGE_KERNEL] = linux_file(IMAGE_LINUX_RISCV, MIB(2), MIB(32));
    plan_fails(&config.kernel_path, "kernel_path: the kernel is for riscv64 (ELF machine 243), the VM is aarch64");
    images[AXVM_IMAGE_KERNEL] = elf(62, RAM, RAM + MIB(1), RAM);
    plan_fails(&config.kernel_path, "the kernel is for x86_64");
    images[AXVM_IMAGE_KERNEL] = elf(0, RAM, RAM + MIB(1), RAM);
    plan_fails(&config.kernel_path, "the kernel is for an unknown architecture (ELF machine 0)");
}

static void compressed_kernels_are_refused(void **state)
{
    static const uint8_t gzip[4096] = {0x1f, 0x8b, 0x08, 0x00};
    static const uint8_t zboot[4096] = {'M', 'Z', 0, 0, 'z', 'i', 'm', 'g'};

    (void)state;
    images[AXVM_IMAGE_KERNEL] = file(sizeof(gzip));
    images[AXVM_IMAGE_KERNEL].data = gzip;
    plan_fails(&config.kernel_path, "the kernel is compressed (gzip): unpack it first");
    images[AXVM_IMAGE_KERNEL].data = zboot;
    plan_fails(&config.kernel_path, "compressed (EFI zboot)");
    images[AXVM_IMAGE_KERNEL].size = images[AXVM_IMAGE_KERNEL].memory_size = 7;
    plan();
}

static void vm_without_kernel_and_bios_is_refused(void **state)
{
    (void)state;
    images[AXVM_IMAGE_KERNEL] = (struct image){0};
    plan_fails(&config.kernel_path, "there is no kernel image");
}

static void bios_without_an_address_is_refused(void **state)
{
    (void)state;
    images[AXVM_IMAGE_BIOS] = file(1000);
    plan_fails(&config.bios_path, "bios_path: a BIOS image needs bios_load_addr");
}

static void misaligned_device_tree_is_refused(void **state)
{
    (void)state;
    config.dtb_load_addr = at(RAM + MIB(128) + 4);
    plan_fails(&config.dtb_load_addr, "dtb_load_addr: 0x48000004 is not a multiple of 8");
}

static void ramdisk_out_of_linuxs_reach_is_refused(void **state)
{
    (void)state;
    add_ram(GIB(32), GIB(2), AXVM_MEM_RWX);
    images[AXVM_IMAGE_RAMDISK] = file(GIB(1));
    config.ramdisk_load_addr = at(GIB(32));
    plan();
    config.ramdisk_load_addr = at(GIB(32) + AXVM_PAGE_SIZE);
    plan_fails(&config.ramdisk_load_addr,
               "is too far from the kernel at 0x40000000-0x41ffffff: Linux wants both within 32 GiB");
    images[AXVM_IMAGE_KERNEL] = file(1000);
    plan();
}

static void no_room_says_how_much_is_missing(void **state)
{
    (void)state;
    images[AXVM_IMAGE_KERNEL].memory_size = MIB(256) + 1;
    plan_fails(&config.kernel_path,
               "no room for the kernel: it takes 262145 KiB, the largest free piece of RAM has 262144 KiB, 1 KiB are");
    images[AXVM_IMAGE_KERNEL].memory_size = MIB(256);
    plan_fails(&config.dtb_load_addr,
               "no room for the dtb: it takes 64 KiB, the largest free piece of RAM has 0 KiB, 64 KiB are missing");
    images[AXVM_IMAGE_KERNEL].memory_size = MIB(128);
    images[AXVM_IMAGE_RAMDISK] = file(MIB(128));
    plan_fails(&config.ramdisk_path, "no room for the ramdisk: it takes 131072 KiB, the largest free piece of RAM has");
}

static void no_room_may_be_a_matter_of_alignment(void **state)
{
    (void)state;
    config.memory_regions[0].gpa.v = RAM + AXVM_PAGE_SIZE;
    config.memory_regions[0].size = MIB(34);
    images[AXVM_IMAGE_KERNEL].memory_size = MIB(33);
    plan_fails(&config.kernel_path, "no free piece of RAM (the largest has 34816 KiB) has them at an aligned address");
}

static void all_faults_are_reported_together(void **state)
{
    (void)state;
    images[AXVM_IMAGE_KERNEL] = elf(62, 0, MIB(1), 0);
    images[AXVM_IMAGE_BIOS] = file(1000);
    images[AXVM_IMAGE_RAMDISK] = file(1000);
    config.dtb_load_addr = at(RAM + 4);
    config.ramdisk_load_addr = at(RAM + KIB(32));
    assert_int_equal(plan_result(), AXVM_EINVAL);
    assert_int_equal(said.errors, 6);
    assert_said("the kernel is for x86_64");
    assert_said("the kernel at 0x0-0xff lies outside RAM");
    assert_said("a BIOS image needs bios_load_addr");
    assert_said("the ramdisk at 0x40008000-0x400083e7 overlaps the dtb at 0x40000004-0x40010003");
    assert_said("0x40000004 is not a multiple of 8");
    assert_said("the entry point 0x0 is not in executable RAM");
}

/* ---- riscv64 ----------------------------------------------------------------------------------------------------- */

static void riscv_linux_goes_to_its_offset_from_the_start_of_ram(void **state)
{
    (void)state;
    images[AXVM_IMAGE_RAMDISK] = file(MIB(5) + 1);
    plan();
    assert_int_equal(layout.kernel.v, RISCV_RAM + MIB(2));
    assert_int_equal(layout.entry.v, RISCV_RAM + MIB(2));
    assert_int_equal(layout.dtb.v, RISCV_RAM + MIB(254));
    assert_int_equal(layout.ramdisk.v, RISCV_RAM + MIB(249) - AXVM_PAGE_SIZE);
    assert_int_equal(said.warnings, 0);
}

/* boot.rst: "at a PMD boundary". */
static void riscv_linux_off_a_2_mib_boundary_is_warned_of(void **state)
{
    (void)state;
    config.kernel_load_addr = at(RISCV_RAM + MIB(64));
    plan();
    assert_int_equal(said.warnings, 0);
    config.kernel_load_addr = at(RISCV_RAM + MIB(64) + KIB(64));
    plan();
    assert_int_equal(said.warnings, 1);
    assert_said("kernel_load_addr: not at the kernel's own offset from a multiple of 2 MiB");
}

static void riscv_linux_takes_its_ramdisk_from_anywhere(void **state)
{
    (void)state;
    add_ram(GIB(64), GIB(2), AXVM_MEM_RWX);
    images[AXVM_IMAGE_RAMDISK] = file(GIB(1));
    config.ramdisk_load_addr = at(GIB(64));
    plan();
    assert_int_equal(layout.ramdisk.v, GIB(64));
}

static void riscv_elf_is_entered_where_it_says(void **state)
{
    (void)state;
    images[AXVM_IMAGE_KERNEL] = elf(RISCV, RISCV_RAM + MIB(2), RISCV_RAM + MIB(4), RISCV_RAM + MIB(2) + 16);
    plan();
    assert_int_equal(layout.kernel.v, RISCV_RAM + MIB(2));
    assert_int_equal(layout.entry.v, RISCV_RAM + MIB(2) + 16);
}

static void kernels_foreign_to_riscv64_are_refused(void **state)
{
    (void)state;
    images[AXVM_IMAGE_KERNEL] = linux_file(IMAGE_LINUX_ARM64, 0, MIB(32));
    plan_fails(&config.kernel_path, "kernel_path: the kernel is for aarch64 (ELF machine 183), the VM is riscv64");
    images[AXVM_IMAGE_KERNEL] = elf(AARCH64, RISCV_RAM, RISCV_RAM + MIB(1), RISCV_RAM);
    plan_fails(&config.kernel_path, "the kernel is for aarch64");
}

/* ---- What is only odd -------------------------------------------------------------------------------------------- */

static void misplaced_linux_kernel_is_warned_of(void **state)
{
    (void)state;
    config.kernel_load_addr = at(RAM + KIB(64));
    plan();
    assert_int_equal(said.warnings, 1);
    assert_said("kernel_load_addr: not at the kernel's own offset");
    images[AXVM_IMAGE_KERNEL].text_offset = KIB(64);
    plan();
    assert_int_equal(said.warnings, 0);
}

static void entering_linux_elsewhere_is_warned_of(void **state)
{
    (void)state;
    config.entry_point = at(RAM + 64);
    plan();
    assert_int_equal(said.warnings, 1);
    assert_said("entry_point: a Linux image is entered at its first byte");
    images[AXVM_IMAGE_BIOS] = file(1000);
    config.bios_load_addr = at(RAM + MIB(64));
    config.entry_point = at(RAM + MIB(64));
    plan();
    assert_int_equal(said.warnings, 0);
}

/* ---- Hostile configurations -------------------------------------------------------------------------------------- */

/* The validator has refused such a configuration; planning it all the same does no harm. */
static void regions_that_are_no_ranges_are_no_ram(void **state)
{
    static const struct {
        uint64_t start, size;
    } regions[] = {
        {0, UINT64_MAX},
        {0, 0},
        {UINT64_MAX - MIB(1) + 1, MIB(256)},
        {UINT64_C(1) << 61, MIB(256)},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(regions) / sizeof(regions[0]); i++) {
        config.memory_regions_count = 0;
        add_ram(regions[i].start, regions[i].size, AXVM_MEM_RWX);
        assert_int_equal(plan_result(), AXVM_EINVAL);
        assert_said("no room for the kernel");
    }
}

static void regions_that_overlap_are_merged(void **state)
{
    (void)state;
    add_ram(RAM + MIB(1), MIB(1), AXVM_MEM_RWX);
    plan();
    assert_int_equal(layout.dtb.v, RAM + MIB(254));
}

/* Mostly near RAM and its edges, sometimes at the edges of everything. */
static uint64_t random_address(void)
{
    uint64_t jitter = random_below(5) * AXVM_PAGE_SIZE - 2 * AXVM_PAGE_SIZE;

    switch (random_below(4)) {
    case 0:
        return (UINT64_C(1) << random_below(64)) - random_below(3);
    case 1:
        return random_below(2) != 0 ? jitter : (random_u64() << 20) + jitter;
    default:
        return RAM + MIB(random_below(64)) + jitter;
    }
}

static bool inside(uint64_t start, uint64_t size, uint32_t need)
{
    for (uint64_t page = start; page < start + size; page = (page | (AXVM_PAGE_SIZE - 1)) + 1) {
        bool found = false;

        for (size_t i = 0; i < config.memory_regions_count && !found; i++) {
            const struct axvm_mem_config *region = &config.memory_regions[i];

            found = page >= region->gpa.v && page - region->gpa.v < region->size && (region->flags & need) == need &&
                    (region->flags & AXVM_MEM_DEVICE) == 0;
        }
        if (!found) {
            return false;
        }
    }
    return true;
}

static bool apart(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
    return a_size == 0 || b_size == 0 || a + a_size <= b || b + b_size <= a;
}

static void random_case(void)
{
    set_up(NULL);
    config.memory_regions_count = 0;
    for (uint64_t n = random_below(5); n > 0; n--) {
        add_ram(random_address(), random_below(64) << (random_below(2) != 0 ? 20 : 12),
                random_below(4) != 0 ? AXVM_MEM_RWX : (uint32_t)(random_u64() & AXVM_MEM_ALL_FLAGS));
    }
    if (random_below(4) == 0 && config.memory_regions_count != 0) {
        config.memory_regions[0].size = random_address();
    }
    config.entry_point = (struct axvm_opt_u64){random_address(), random_below(4) == 0};
    config.kernel_load_addr = (struct axvm_opt_u64){random_address(), random_below(3) == 0};
    config.dtb_load_addr = (struct axvm_opt_u64){random_address(), random_below(3) == 0};
    config.ramdisk_load_addr = (struct axvm_opt_u64){random_address(), random_below(3) == 0};
    config.bios_load_addr = (struct axvm_opt_u64){random_address(), random_below(3) != 0};
    images[AXVM_IMAGE_KERNEL].memory_size = 1 + random_below(MIB(8));
    images[AXVM_IMAGE_KERNEL].text_offset = random_below(2) != 0 ? 0 : random_below(MIB(4));
    if (random_below(8) == 0) {
        images[AXVM_IMAGE_KERNEL].memory_size = IMAGE_MAX_SIZE;
        images[AXVM_IMAGE_KERNEL].text_offset = IMAGE_MAX_SIZE;
    }
    if (random_below(2) != 0) {
        images[AXVM_IMAGE_RAMDISK] = file(1 + random_below(MIB(4)));
    }
    if (random_below(4) == 0) {
        images[AXVM_IMAGE_BIOS] = file(1 + random_below(MIB(1)));
    }
}

static void accepted_layouts_are_sound(void **state)
{
    unsigned accepted = 0;

    (void)state;
    random_start("random configurations");
    for (unsigned round = 0; round < 20000; round++) {
        random_case();
        if (plan_result() != AXVM_OK) {
            assert_true(said.errors > 0);
            continue;
        }
        accepted++;
        assert_int_equal(said.errors, 0);
        assert_true(inside(layout.kernel.v, layout.kernel_size, 0));
        assert_true(inside(layout.dtb.v, layout.dtb_size, 0));
        assert_true(inside(layout.ramdisk.v, layout.ramdisk_size, 0));
        assert_true(inside(layout.bios.v, layout.bios_size, 0));
        assert_true(inside(layout.entry.v, 1, AXVM_MEM_EXEC));
        assert_true(apart(layout.kernel.v, layout.kernel_size, layout.dtb.v, layout.dtb_size));
        assert_true(apart(layout.kernel.v, layout.kernel_size, layout.ramdisk.v, layout.ramdisk_size));
        assert_true(apart(layout.kernel.v, layout.kernel_size, layout.bios.v, layout.bios_size));
        assert_true(apart(layout.dtb.v, layout.dtb_size, layout.ramdisk.v, layout.ramdisk_size));
        assert_true(apart(layout.dtb.v, layout.dtb_size, layout.bios.v, layout.bios_size));
        assert_true(apart(layout.ramdisk.v, layout.ramdisk_size, layout.bios.v, layout.bios_size));
        if (!config.kernel_load_addr.given) {
            assert_int_equal((layout.kernel.v - images[AXVM_IMAGE_KERNEL].text_offset) % MIB(2), 0);
        }
        assert_int_equal(layout.dtb.v % 8, 0);
    }
    assert_in_range(accepted, 1000, 19000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(linux_kernel_goes_to_the_start_of_ram, set_up),
        cmocka_unit_test_setup(linux_kernel_keeps_its_text_offset, set_up),
        cmocka_unit_test_setup(linux_kernel_may_want_to_be_further_up, set_up),
        cmocka_unit_test_setup(kernel_base_is_rounded_up_to_2_mib, set_up),
        cmocka_unit_test_setup(device_tree_is_at_the_top_of_small_ram_and_the_ramdisk_below, set_up),
        cmocka_unit_test_setup(device_tree_stays_within_512_mib_of_the_kernel, set_up),
        cmocka_unit_test_setup(ramdisk_that_is_too_large_goes_further_away, set_up),
        cmocka_unit_test_setup(ramdisk_stays_within_32_gib_of_a_linux_kernel, set_up),
        cmocka_unit_test_setup(tiny_ram_is_enough_for_a_tiny_guest, set_up),
        cmocka_unit_test_setup(kernel_prefers_the_platforms_ram, set_up),
        cmocka_unit_test_setup(regions_that_touch_are_one_piece_of_ram, set_up),
        cmocka_unit_test_setup(nothing_is_put_into_memory_without_all_permissions, set_up),
        cmocka_unit_test_setup(computed_places_avoid_the_given_ones, set_up),
        cmocka_unit_test_setup(given_addresses_are_taken, set_up),
        cmocka_unit_test_setup(elf_stays_at_its_own_addresses, set_up),
        cmocka_unit_test_setup(elf_may_span_a_hole_in_ram, set_up),
        cmocka_unit_test_setup(bios_alone_is_where_the_vm_starts, set_up),
        cmocka_unit_test_setup(room_for_a_users_device_tree_leaves_slack, set_up),
        cmocka_unit_test_setup(images_outside_ram_are_refused, set_up),
        cmocka_unit_test_setup(images_in_device_memory_are_refused, set_up),
        cmocka_unit_test_setup(overlaps_are_refused_naming_both, set_up),
        cmocka_unit_test_setup(entry_that_is_no_address_of_an_instruction_is_refused, set_up),
        cmocka_unit_test_setup(entry_outside_executable_ram_is_refused, set_up),
        cmocka_unit_test_setup(foreign_kernels_are_refused, set_up),
        cmocka_unit_test_setup(compressed_kernels_are_refused, set_up),
        cmocka_unit_test_setup(vm_without_kernel_and_bios_is_refused, set_up),
        cmocka_unit_test_setup(bios_without_an_address_is_refused, set_up),
        cmocka_unit_test_setup(misaligned_device_tree_is_refused, set_up),
        cmocka_unit_test_setup(ramdisk_out_of_linuxs_reach_is_refused, set_up),
        cmocka_unit_test_setup(no_room_says_how_much_is_missing, set_up),
        cmocka_unit_test_setup(no_room_may_be_a_matter_of_alignment, set_up),
        cmocka_unit_test_setup(all_faults_are_reported_together, set_up),
        cmocka_unit_test_setup(riscv_linux_goes_to_its_offset_from_the_start_of_ram, set_up_riscv64),
        cmocka_unit_test_setup(riscv_linux_off_a_2_mib_boundary_is_warned_of, set_up_riscv64),
        cmocka_unit_test_setup(riscv_linux_takes_its_ramdisk_from_anywhere, set_up_riscv64),
        cmocka_unit_test_setup(riscv_elf_is_entered_where_it_says, set_up_riscv64),
        cmocka_unit_test_setup(kernels_foreign_to_riscv64_are_refused, set_up_riscv64),
        cmocka_unit_test_setup(misplaced_linux_kernel_is_warned_of, set_up),
        cmocka_unit_test_setup(entering_linux_elsewhere_is_warned_of, set_up),
        cmocka_unit_test_setup(regions_that_are_no_ranges_are_no_ram, set_up),
        cmocka_unit_test_setup(regions_that_overlap_are_merged, set_up),
        cmocka_unit_test_setup(accepted_layouts_are_sound, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
