/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <axvm/config.h>

static const struct axvm_platform *const platform = &axvm_platform_aarch64;
static struct axvm_machine machine = {.pcpu_count = 4, .memory = GIB(1)};

static struct axvm_config config;
static char said[8192];
static const void *first_field;

static void note(const char *kind, const void *field, const char *path, const char *text)
{
    size_t length = strlen(said);

    if (!length) {
        first_field = field;
    }
    snprintf(said + length, sizeof(said) - length, "%s%s: %s\n", kind, path, text);
}

static void on_error(struct axvm_config_report *report, const void *field, const char *path, const char *text)
{
    (void)report;
    note("", field, path, text);
}

static void on_warn(struct axvm_config_report *report, const void *field, const char *path, const char *text)
{
    (void)report;
    note("warning: ", field, path, text);
}

/* A sound configuration to spoil: "vm" with 256 MiB. */
static int setup(void **state)
{
    (void)state;
    axvm_config_init(&config);
    config.name = "vm";
    config.memory = MIB(256);
    machine = (struct axvm_machine){.pcpu_count = 4, .memory = GIB(1)};
    return 0;
}

static int validate(void)
{
    struct axvm_config_report report = {on_error, on_warn};

    said[0] = '\0';
    axvm_config_complete(&config, platform);
    return axvm_config_validate(&config, platform, &machine, &report);
}

static void expect(int error, const char *text)
{
    int result = validate();

    assert_string_equal(said, text);
    assert_int_equal(result, error);
}

#define WRONG(text) expect(AXVM_EINVAL, text "\n")

static struct axvm_mem_config *add_region(uint64_t start, uint64_t size)
{
    struct axvm_mem_config region = {.gpa = {start}, .size = size, .flags = AXVM_MEM_RWX};

    assert_int_equal(axvm_config_add_memory_region(&config, &region), AXVM_OK);
    return &config.memory_regions[config.memory_regions_count - 1];
}

/* `memory` out, one region in. */
static struct axvm_mem_config *only_region(uint64_t start, uint64_t size)
{
    config.memory = 0;
    return add_region(start, size);
}

static struct axvm_emu_config *add_device(const char *name, uint64_t base, enum axvm_emu_type type, uint32_t irq)
{
    struct axvm_emu_config device = {.name = name, .base = {base}, .length = 0x1000, .irq = irq, .type = type};

    axvm_config_complete(&config, platform);
    assert_int_equal(axvm_config_add_emu_device(&config, &device), AXVM_OK);
    return &config.emu_devices[config.emu_devices_count - 1];
}

/* ---- What is right ----------------------------------------------------------------------------------------------- */

static void test_the_short_form_is_sound(void **state)
{
    (void)state;
    expect(AXVM_OK, "");
}

static void test_an_unknown_machine_refuses_nothing(void **state)
{
    (void)state;
    machine = (struct axvm_machine){0, 0};
    config.memory = GIB(64);
    config.phys_cpu_sets[0] = UINT64_MAX;
    config.phys_cpu_sets_count = 1;
    expect(AXVM_OK, "");
}

static void test_sixty_four_vcpus_fit(void **state)
{
    (void)state;
    config.cpu_num = 64;
    expect(AXVM_OK, "");
}

/* ---- [base] ------------------------------------------------------------------------------------------------------ */

static void test_name(void **state)
{
    (void)state;
    config.name = NULL;
    WRONG("name: the VM has no name");
    assert_ptr_equal(first_field, &config.name);
    config.name = "";
    WRONG("name: the VM has no name");
    config.name = "a\033[2J";
    WRONG("name: control character 0x1b in a name");
    config.name = "0123456789012345678901234567890123456789012345678901234567890123";
    WRONG("name: a name has at most 63 bytes");
    config.name++;
    expect(AXVM_OK, "");
    config.name = "with blanks";
    expect(AXVM_OK, "");
}

static void test_id(void **state)
{
    (void)state;
    config.id = (struct axvm_opt_u64){65535, true};
    expect(AXVM_OK, "");
    config.id.value = 65536;
    WRONG("id: 65536 is more than 65535");
}

static void test_vm_type(void **state)
{
    (void)state;
    config.vm_type = (enum axvm_vm_type)7;
    expect(AXVM_OK, "warning: vm_type: there is no type 7; taken as 1 (RTOS)\n");
}

static void test_cpu_num(void **state)
{
    (void)state;
    config.cpu_num = 0;
    WRONG("cpu_num: a VM has at least one vCPU");
    config.cpu_num = 65;
    WRONG("cpu_num: 65 vCPUs are more than 64");
    config.cpu_num = UINT32_MAX;
    assert_int_equal(validate(), AXVM_EINVAL);
}

static void test_phys_cpu_ids(void **state)
{
    (void)state;
    config.cpu_num = 3;
    config.phys_cpu_ids_count = 2;
    config.phys_cpu_ids[1] = 1;
    WRONG("phys_cpu_ids: one id for each vCPU: expected 3, found 2");
    config.phys_cpu_ids_count = 3;
    config.phys_cpu_ids[2] = 1;
    WRONG("phys_cpu_ids[2]: 0x1 is also the id of vCPU 1");
    config.phys_cpu_ids[2] = 0x80000000;
    WRONG("phys_cpu_ids[2]: 0x80000000 can't be the id of a CPU: only the bits 0xff00ffff0f may be set");
    config.phys_cpu_ids[2] = 0x100;
    expect(AXVM_OK, "");
}

static void test_phys_cpu_sets(void **state)
{
    (void)state;
    config.phys_cpu_sets_count = 2;
    config.phys_cpu_sets[0] = 1;
    config.phys_cpu_sets[1] = 0xf;
    WRONG("phys_cpu_sets: one mask for each vCPU: expected 1, found 2");
    config.cpu_num = 2;
    expect(AXVM_OK, "");
    config.phys_cpu_sets[0] = 0;
    config.phys_cpu_sets[1] = 0x12;
    WRONG("phys_cpu_sets[0]: the mask is empty: vCPU 0 could run nowhere\n"
          "phys_cpu_sets[1]: mask 0x12 has CPUs that the machine, with 4, doesn't have");
    config.phys_cpu_sets[0] = UINT64_MAX;
    machine.pcpu_count = 64;
    expect(AXVM_OK, "");
}

/* ---- [kernel] ---------------------------------------------------------------------------------------------------- */

static void test_no_memory(void **state)
{
    (void)state;
    config.memory = 0;
    WRONG("memory: the VM has no memory: give it memory or memory_regions");
}

static void test_no_room_for_memory(void **state)
{
    (void)state;
    for (unsigned i = 0; i < AXVM_MAX_MEMORY_REGIONS; i++) {
        add_region(GIB(2) + i * 0x1000, 0x1000);
    }
    WRONG("memory: no room for it beside 16 memory_regions");
}

static void test_region_place(void **state)
{
    struct axvm_mem_config *region = only_region(0x40000000, 0);

    (void)state;
    WRONG("memory_regions[0].size: the region is empty");
    region->size = 0x1800;
    WRONG("memory_regions[0].size: 0x1800 is not a multiple of 4 KiB");
    region->gpa.v = 0x40000800;
    WRONG("memory_regions[0].gpa: 0x40000800 is not a multiple of 4 KiB\n"
          "memory_regions[0].size: 0x1800 is not a multiple of 4 KiB");
    assert_ptr_equal(first_field, &region->gpa);
    region->size = 0x1000;
    WRONG("memory_regions[0].gpa: 0x40000800 is not a multiple of 4 KiB");
    *region = (struct axvm_mem_config){.gpa = {UINT64_MAX - 0xfff}, .size = 0x2000, .flags = AXVM_MEM_RWX};
    WRONG("memory_regions[0].size: 0xfffffffffffff000 + 0x2000 wraps around");
    region->gpa.v = UINT64_C(0xfffffffff000);
    WRONG("memory_regions[0].gpa: it ends at 0x1000000000fff, but guest-physical addresses have 48 bits");
    region->size = 0x1000;
    expect(AXVM_OK, "");
}

static void test_region_flags_and_map_type(void **state)
{
    struct axvm_mem_config *region = only_region(0x40000000, 0x1000);

    (void)state;
    region->flags = 0x87;
    WRONG("memory_regions[0].flags: there are no flags 0x80");
    region->flags = 0x17;
    WRONG("memory_regions[0].flags: 0x17 has the flag DEVICE (0x10): RAM can't be device memory");
    region->flags = 0x6;
    WRONG("memory_regions[0].flags: 0x6 lacks the flag READ (0x1): the guest couldn't use it");
    region->flags = 0xf;
    region->map_type = (enum axvm_map_type)3;
    WRONG("memory_regions[0].map_type: there is no map type 3");
    region->map_type = AXVM_MAP_IDENTICAL;
    region->lazy = true;
    WRONG("memory_regions[0].lazy: only map type 0 can be populated on first touch, this is map type 1");
}

static void test_regions_that_overlap(void **state)
{
    (void)state;
    only_region(0x40000000, 0x2000);
    add_region(0x40001000, 0x1000);
    WRONG("memory_regions[1].gpa: [0x40001000, 0x40001fff] overlaps RAM [0x40000000, 0x40001fff]");
    assert_ptr_equal(first_field, &config.memory_regions[1]);
}

static void test_ram_that_overlaps_devices(void **state)
{
    (void)state;
    only_region(0x08000000, 0x08000000);
    WRONG("memory_regions[0].gpa: [0x8000000, 0xfffffff] overlaps device \"gic\" [0x8000000, 0x800ffff]\n"
          "memory_regions[0].gpa: [0x8000000, 0xfffffff] overlaps device \"gic\" [0x8080000, 0x809ffff]\n"
          "memory_regions[0].gpa: [0x8000000, 0xfffffff] overlaps device \"gic\" [0x80a0000, 0x80bffff]\n"
          "memory_regions[0].gpa: [0x8000000, 0xfffffff] overlaps device \"uart\" [0x9000000, 0x9000fff]\n"
          "memory_regions[0].gpa: [0x8000000, 0xfffffff] overlaps device \"rtc\" [0x9010000, 0x9010fff]");
}

static void test_more_memory_than_the_machine_has(void **state)
{
    (void)state;
    config.memory = GIB(2);
    WRONG("memory_regions[0].size: the VM's memory, 0x80000000 bytes, is more than the machine's, 0x40000000");
    config.memory_regions[0].lazy = true;
    expect(AXVM_OK, "warning: memory_regions[0].size: the VM's memory, 0x80000000 bytes, is more than the machine's, "
                    "0x40000000: it fails if it uses all\n");
    config.memory_regions[0].size = GIB(1);
    expect(AXVM_OK, "");
    config.memory_regions[0].lazy = false;
    expect(AXVM_OK, "");
    config.memory_regions[0].size = GIB(2);
    config.memory_regions[0].map_type = AXVM_MAP_RESERVED;
    expect(AXVM_OK, "");
}

static void test_too_much_memory_is_the_largest_regions_fault(void **state)
{
    (void)state;
    only_region(GIB(1), MIB(400));
    add_region(GIB(2), MIB(600));
    add_region(GIB(3), MIB(500));
    WRONG("memory_regions[1].size: the VM's memory, 0x5dc00000 bytes, is more than the machine's, 0x40000000");
}

static void test_a_total_that_overflows_is_too_much(void **state)
{
    (void)state;
    only_region(0, UINT64_MAX - 0xfff);
    add_region(0, UINT64_MAX - 0xfff);
    assert_int_equal(validate(), AXVM_EINVAL);
    assert_non_null(strstr(said, "the VM's memory, 0xffffffffffffffff bytes, is more than"));
}

static void test_images(void **state)
{
    (void)state;
    config.bios_path = "bios";
    WRONG("bios_path: a flat image doesn't say where it goes: bios_load_addr is missing");
    config.bios_load_addr = (struct axvm_opt_u64){0x40000000, true};
    expect(AXVM_OK, "");
    config.dtb_load_addr = (struct axvm_opt_u64){0x40000004, true};
    WRONG("dtb_load_addr: 0x40000004 is not a multiple of 8");
    config.dtb_load_addr.given = false;
    config.bios_path = NULL;
    config.ramdisk_load_addr = (struct axvm_opt_u64){0x40000000, true};
    expect(AXVM_OK, "warning: ramdisk_load_addr: there is no ramdisk_path: nothing goes there\n"
                    "warning: bios_load_addr: there is no bios_path: nothing goes there\n");
}

/* ---- [devices] --------------------------------------------------------------------------------------------------- */

static void test_device_types(void **state)
{
    (void)state;
    add_device("x", 0x0a000000, (enum axvm_emu_type)0x77, 0);
    WRONG("emu_devices[3].type: 0x77 is no type of device");
    config.emu_devices[3].type = AXVM_EMU_VIRTIO_BLK;
    WRONG("emu_devices[3].type: 0xe1 (virtio block) is not served yet on aarch64");
    config.emu_devices[3].type = AXVM_EMU_DUMMY;
    WRONG("emu_devices[3].type: 0 (dummy) is not served yet on aarch64");
}

static void test_device_place(void **state)
{
    struct axvm_emu_config *device = add_device("uart1", 0x09040000, AXVM_EMU_CONSOLE, 40);

    (void)state;
    expect(AXVM_OK, "");
    device->length = 0;
    WRONG("emu_devices[3].length: the device has no registers: its length is 0");
    device->length = 0x2000;
    WRONG("emu_devices[3].base: console at 0x9040000, length 0x2000: its registers take 0x1000 bytes");
    device->length = 0x1000;
    device->base.v = 0x09040800;
    WRONG("emu_devices[3].base: console at 0x9040800, length 0x1000: its base must be aligned to 4 KiB");
    device->base.v = UINT64_MAX - 0xff;
    assert_int_equal(validate(), AXVM_EINVAL);
    assert_non_null(strstr(said, "emu_devices[3].base: 0xffffffffffffff00 + 0x1000 wraps around\n"));
    device->base.v = UINT64_C(1) << 48;
    WRONG("emu_devices[3].base: it ends at 0x1000000000fff, but guest-physical addresses have 48 bits");
    device->base.v = 0x09010000;
    WRONG("emu_devices[3].base: [0x9010000, 0x9010fff] overlaps device \"rtc\" [0x9010000, 0x9010fff]");
    device->base.v = 0x09040000;
    device->name = NULL;
    WRONG("emu_devices[3].name: the device has no name");
}

static void test_interrupt_controller(void **state)
{
    struct axvm_emu_config *gic;

    (void)state;
    axvm_config_complete(&config, platform);
    gic = &config.emu_devices[0];
    gic->length = 0x1000;
    WRONG("emu_devices[0].base: interrupt controller at 0x8000000, length 0x1000: a GICv3 distributor takes 0x10000 "
          "bytes");
    gic->length = 0x10000;
    gic->cfg_count = 3;
    WRONG("emu_devices[0].base: interrupt controller at 0x8000000, length 0x10000: its cfg must be [address of the "
          "redistributors], or [address of the redistributors, address of the ITS]");
    gic->cfg_count = 2;
    gic->cfg[1] = 0x08081000;
    WRONG("emu_devices[0].base: interrupt controller at 0x8000000, length 0x10000: distributor, redistributors and ITS "
          "must be aligned to 64 KiB");
    gic->cfg[1] = 0x08090000;
    WRONG("emu_devices[0].cfg[1]: [0x8090000, 0x80affff] overlaps device \"gic\" [0x80a0000, 0x80bffff]");
    gic->cfg[1] = 0x08ff0000;
    WRONG("emu_devices[1].base: [0x9000000, 0x9000fff] overlaps device \"gic\" [0x8ff0000, 0x900ffff]");
    gic->cfg_count = 1;
    gic->cfg[0] = 0x080a1000;
    WRONG("emu_devices[0].base: interrupt controller at 0x8000000, length 0x10000: distributor, redistributors and ITS "
          "must be aligned to 64 KiB");
    gic->cfg[0] = UINT64_MAX - 0xffff;
    WRONG("emu_devices[0].cfg[0]: 0xffffffffffff0000 + 0x20000 wraps around");
    gic->cfg[0] = 0x08fe0000;
    config.cpu_num = 2;
    WRONG("emu_devices[1].base: [0x9000000, 0x9000fff] overlaps device \"gic\" [0x8fe0000, 0x901ffff]\n"
          "emu_devices[2].base: [0x9010000, 0x9010fff] overlaps device \"gic\" [0x8fe0000, 0x901ffff]");
    config.cpu_num = 1;
    gic->cfg[0] = 0x08000000;
    WRONG("emu_devices[0].cfg[0]: [0x8000000, 0x801ffff] overlaps device \"gic\" [0x8000000, 0x800ffff]");
}

static void test_a_second_interrupt_controller(void **state)
{
    (void)state;
    add_device("gic2", 0x0a000000, AXVM_EMU_INTERRUPT_CONTROLLER, 0);
    config.emu_devices[3].length = 0x10000;
    config.emu_devices[3].cfg[0] = 0x0b000000;
    config.emu_devices[3].cfg_count = 1;
    WRONG("emu_devices[3].type: a second interrupt controller beside \"gic\"");
}

static void test_device_irqs(void **state)
{
    struct axvm_emu_config *device = add_device("uart1", 0x09040000, AXVM_EMU_CONSOLE, 31);

    (void)state;
    WRONG("emu_devices[3].irq: 31 is not in [32, 319], the interrupts of devices");
    device->irq = 320;
    WRONG("emu_devices[3].irq: 320 is not in [32, 319], the interrupts of devices");
    device->irq = 34;
    WRONG("emu_devices[3].irq: 34 is also the interrupt of device \"rtc\"");
    device->irq = 319;
    expect(AXVM_OK, "");
}

static void test_interrupts_without_a_controller(void **state)
{
    (void)state;
    config.default_devices = false;
    add_device("uart", 0x09000000, AXVM_EMU_CONSOLE, 33);
    WRONG("emu_devices[0].irq: 33 can't be raised: the VM has no interrupt controller");
    config.emu_devices[0].irq = 0;
    config.interrupt_mode = AXVM_IRQ_MODE_EMULATED;
    WRONG("interrupt_mode: emulated, but emu_devices has no interrupt controller");
    config.interrupt_mode = AXVM_IRQ_MODE_NONE;
    expect(AXVM_OK, "");
}

static void test_a_controller_without_interrupts(void **state)
{
    (void)state;
    axvm_config_complete(&config, platform);
    config.interrupt_mode = AXVM_IRQ_MODE_NONE;
    WRONG("interrupt_mode: no_irq, but emu_devices has the interrupt controller \"gic\"");
}

static void test_what_is_not_served_yet_is_an_error(void **state)
{
    (void)state;
    config.disk_path = "disk.img";
    config.interrupt_mode = AXVM_IRQ_MODE_PASSTHROUGH;
    config.passthrough_devices[0].name = "/";
    config.passthrough_devices_count = 1;
    config.passthrough_addresses_count = 1;
    config.excluded_devices[0] = "/gic";
    config.excluded_devices_count = 1;
    WRONG("interrupt_mode: passthrough is not served yet\n"
          "passthrough_devices: passthrough of devices is not served yet\n"
          "passthrough_addresses: passthrough of addresses is not served yet\n"
          "excluded_devices: nothing can be excluded: passthrough is not served yet\n"
          "disk_path: disks are not served yet");
}

static void test_all_errors_are_reported(void **state)
{
    (void)state;
    config.name = NULL;
    config.cpu_num = 0;
    config.memory = 0x123;
    WRONG("name: the VM has no name\n"
          "cpu_num: a VM has at least one vCPU\n"
          "memory_regions[0].size: 0x123 is not a multiple of 4 KiB");
}

/* ---- Anything ---------------------------------------------------------------------------------------------------- */

/* Counts and numbers of any value: whatever it says, it ends, and stays within the arrays. */
static void test_garbage_is_survived(void **state)
{
    uint64_t seed = 1;

    (void)state;
    for (unsigned round = 0; round < 500; round++) {
        uint8_t *bytes = (uint8_t *)&config;

        axvm_config_init(&config);
        for (size_t i = 0; i < sizeof(config.memory_regions); i++) {
            seed = seed * UINT64_C(6364136223846793005) + 1;
            bytes[offsetof(struct axvm_config, memory_regions) + i] = (uint8_t)(seed >> 56);
        }
        for (size_t i = 0; i < AXVM_MAX_MEMORY_REGIONS; i++) {
            config.memory_regions[i].lazy = i % 2;
        }
        for (size_t i = 0; i < AXVM_MAX_EMU_DEVICES; i++) {
            seed = seed * UINT64_C(6364136223846793005) + 1;
            config.emu_devices[i] = (struct axvm_emu_config){
                .base = {seed}, .length = seed << 7, .irq = (uint32_t)(seed >> 32), .type = seed >> 60, .cfg_count = 1};
        }
        config.default_devices = false;
        config.cpu_num = (uint32_t)(seed >> 40);
        config.emu_devices_count = round % 2 ? SIZE_MAX : 16;
        config.memory_regions_count = round % 2 ? SIZE_MAX : 16;
        config.phys_cpu_ids_count = SIZE_MAX;
        config.phys_cpu_sets_count = SIZE_MAX;
        assert_int_equal(validate(), AXVM_EINVAL);
    }
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_short_form_is_sound),
        TEST(test_an_unknown_machine_refuses_nothing),
        TEST(test_sixty_four_vcpus_fit),
        TEST(test_name),
        TEST(test_id),
        TEST(test_vm_type),
        TEST(test_cpu_num),
        TEST(test_phys_cpu_ids),
        TEST(test_phys_cpu_sets),
        TEST(test_no_memory),
        TEST(test_no_room_for_memory),
        TEST(test_region_place),
        TEST(test_region_flags_and_map_type),
        TEST(test_regions_that_overlap),
        TEST(test_ram_that_overlaps_devices),
        TEST(test_more_memory_than_the_machine_has),
        TEST(test_too_much_memory_is_the_largest_regions_fault),
        TEST(test_a_total_that_overflows_is_too_much),
        TEST(test_images),
        TEST(test_device_types),
        TEST(test_device_place),
        TEST(test_interrupt_controller),
        TEST(test_a_second_interrupt_controller),
        TEST(test_device_irqs),
        TEST(test_interrupts_without_a_controller),
        TEST(test_a_controller_without_interrupts),
        TEST(test_what_is_not_served_yet_is_an_error),
        TEST(test_all_errors_are_reported),
        TEST(test_garbage_is_survived),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
