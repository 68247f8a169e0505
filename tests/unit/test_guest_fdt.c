/* SPDX-License-Identifier: Apache-2.0 */
#include "core/guest_fdt.h"

#include "core/vm.h"
#include "lib/fdt_check.h"
#include "support/fake_hal.h"
#include "support/random.h"
#include <libfdt.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define RAM UINT64_C(0x40000000)
#define UART UINT64_C(0x9000000)
#define ROOM KIB(64)

/* ---- An architecture and a device that describe themselves ------------------------------------------------------- */

static int hook_error;

static int arch_root(struct axvm *vm, void *fdt)
{
    int error = hook_error;

    (void)vm;
    error = error != 0 ? error : fdt_property_string(fdt, "compatible", "axvm,test");
    return error != 0 ? error : fdt_property_u32(fdt, "interrupt-parent", GUEST_FDT_INTC);
}

static int arch_cpu(struct axvm_vcpu *vcpu, void *fdt)
{
    fdt64_t reg = cpu_to_fdt64(vcpu->phys_id);
    int error = fdt_property_string(fdt, "compatible", "axvm,cpu");

    return error != 0 ? error : fdt_property(fdt, "reg", &reg, sizeof(reg));
}

static int node_with_reg(void *fdt, const char *name, uint64_t base, uint64_t size)
{
    const fdt64_t reg[] = {cpu_to_fdt64(base), cpu_to_fdt64(size)};
    int error = fdt_begin_node(fdt, name);

    return error != 0 ? error : fdt_property(fdt, "reg", reg, sizeof(reg));
}

static int arch_nodes(struct axvm *vm, void *fdt)
{
    int error = node_with_reg(fdt, "intc@8000000", 0x8000000, 0x10000);

    (void)vm;
    error = error != 0 ? error : fdt_property(fdt, "interrupt-controller", NULL, 0);
    error = error != 0 ? error : fdt_property_u32(fdt, "#interrupt-cells", 1);
    error = error != 0 ? error : fdt_property_u32(fdt, "#address-cells", 0);
    error = error != 0 ? error : fdt_property_u32(fdt, "phandle", GUEST_FDT_INTC);
    return error != 0 ? error : fdt_end_node(fdt);
}

static const struct axvm_arch test_arch = {.fdt_root = arch_root, .fdt_cpu = arch_cpu, .fdt_nodes = arch_nodes};

static int uart_node(struct axvm_device *device, void *fdt)
{
    char name[32];
    int error;

    snprintf(name, sizeof(name), "serial@%llx", (unsigned long long)device->base);
    error = node_with_reg(fdt, name, device->base, device->size);
    return error != 0 ? error : fdt_end_node(fdt);
}

/* ---- A VM -------------------------------------------------------------------------------------------------------- */

static struct axvm vm;
static struct axvm_vcpu vcpus[AXVM_MAX_VCPUS];
static const struct axvm_device_ops uart_ops = {.name = "uart", .fdt_node = uart_node};
static const struct axvm_device_ops silent_ops = {.name = "silent"};
static struct axvm_device uarts[3];
static uint64_t tree[ROOM / sizeof(uint64_t)];

static void add_region(uint64_t start, uint64_t size, uint32_t flags)
{
    vm.regions[vm.region_count++].region =
        (struct axvm_memory_region){.gpa = gpa(start), .size = size, .flags = flags};
}

static void set_vcpus(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        vcpus[i] = (struct axvm_vcpu){.vm = &vm, .id = i, .phys_id = i / 4 << 8 | i % 4};
        vm.vcpus[i] = &vcpus[i];
    }
    vm.vcpu_count = count;
}

static void add_device(struct axvm_device *device, const struct axvm_device_ops *ops, uint64_t base)
{
    *device = (struct axvm_device){.ops = ops, .vm = &vm, .base = base, .size = 0x1000, .next = vm.devices};
    vm.devices = device;
}

/* Two vCPUs, 256 MiB, a UART, a ramdisk, a command line. */
static int set_up(void **state)
{
    memset(&vm, 0, sizeof(vm));
    vm.id = 5;
    vm.config.cmdline = "console=ttyAMA0 quiet";
    vm.layout.ramdisk = gpa(RAM + MIB(128));
    vm.layout.ramdisk_size = 12345;
    vm.config.emu_devices[0] = (struct axvm_emu_config){.base = gpa(UART), .type = AXVM_EMU_CONSOLE};
    vm.config.emu_devices_count = 1;
    add_region(RAM, MIB(256), AXVM_MEM_RWX);
    set_vcpus(2);
    add_device(&uarts[0], &uart_ops, UART);
    hook_error = 0;
    arch = &test_arch;
    return fake_hal_setup(state);
}

static void build(void)
{
    memset(tree, 0xa5, sizeof(tree));
    assert_int_equal(guest_fdt_build(&vm, tree, sizeof(tree)), AXVM_OK);
    assert_int_equal(fdt_check_sound(tree, sizeof(tree)), 0);
}

/* ---- Reading a tree ---------------------------------------------------------------------------------------------- */

static int node_at(const char *path)
{
    int node = fdt_path_offset(tree, path);

    if (node < 0) {
        fail_msg("%s: %s", path, fdt_strerror(node));
    }
    return node;
}

static void assert_no_node(const char *path)
{
    assert_int_equal(fdt_path_offset(tree, path), -FDT_ERR_NOTFOUND);
}

static const void *property(const char *path, const char *name, int length)
{
    int actual;
    const void *value = fdt_getprop(tree, node_at(path), name, &actual);

    if (value == NULL || (length >= 0 && actual != length)) {
        fail_msg("%s: %s is missing, or of another length than %d: %d", path, name, length, actual);
    }
    return value;
}

static void assert_string(const char *path, const char *name, const char *value)
{
    assert_string_equal(property(path, name, (int)strlen(value) + 1), value);
}

static void assert_u32(const char *path, const char *name, uint32_t value)
{
    assert_int_equal(fdt32_ld(property(path, name, 4)), value);
}

static void assert_u64(const char *path, const char *name, uint64_t value)
{
    assert_int_equal(fdt64_ld(property(path, name, 8)), value);
}

static void assert_reg(const char *path, uint64_t base, uint64_t size)
{
    const fdt64_t *reg = property(path, "reg", 16);

    assert_int_equal(fdt64_ld(&reg[0]), base);
    assert_int_equal(fdt64_ld(&reg[1]), size);
}

static void assert_no_property(const char *path, const char *name)
{
    assert_null(fdt_getprop(tree, node_at(path), name, NULL));
}

static unsigned count_subnodes(const char *path)
{
    unsigned count = 0;
    int node;

    fdt_for_each_subnode(node, tree, node_at(path)) {
        count++;
    }
    return count;
}

/* ---- A tree made from the configuration -------------------------------------------------------------------------- */

static void root_describes_the_machine(void **state)
{
    (void)state;
    build();
    assert_u32("/", "#address-cells", 2);
    assert_u32("/", "#size-cells", 2);
    assert_string("/", "model", "axvm");
    assert_string("/", "compatible", "axvm,test");
    assert_u32("/", "interrupt-parent", GUEST_FDT_INTC);
}

static void chosen_has_command_line_and_ramdisk(void **state)
{
    (void)state;
    build();
    assert_string("/chosen", "bootargs", "console=ttyAMA0 quiet");
    assert_u64("/chosen", "linux,initrd-start", RAM + MIB(128));
    assert_u64("/chosen", "linux,initrd-end", RAM + MIB(128) + 12345);
    vm.config.cmdline = NULL;
    vm.layout.ramdisk_size = 0;
    build();
    assert_no_property("/chosen", "bootargs");
    assert_no_property("/chosen", "linux,initrd-start");
    assert_no_property("/chosen", "linux,initrd-end");
}

static void stdout_is_the_configurations_first_console(void **state)
{
    (void)state;
    add_device(&uarts[1], &uart_ops, UART + 0x1000);
    add_device(&uarts[2], &silent_ops, UART + 0x2000);
    build();
    assert_string("/chosen", "stdout-path", "/serial@9000000");
    vm.config.emu_devices[0].type = AXVM_EMU_RTC;
    vm.config.emu_devices[1] = (struct axvm_emu_config){.base = gpa(UART + 0x1000), .type = AXVM_EMU_CONSOLE};
    vm.config.emu_devices[2] = vm.config.emu_devices[0];
    vm.config.emu_devices_count = 3;
    build();
    assert_string("/chosen", "stdout-path", "/serial@9001000");
}

static void stdout_is_left_out_without_a_described_console(void **state)
{
    (void)state;
    vm.config.emu_devices[0].base = gpa(UART + 0x2000);
    build();
    assert_no_property("/chosen", "stdout-path");
    vm.config.emu_devices_count = 0;
    build();
    assert_no_property("/chosen", "stdout-path");
}

static int long_node(struct axvm_device *device, void *fdt)
{
    char name[96];
    int error;

    memset(name, 'x', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    error = node_with_reg(fdt, name, device->base, device->size);
    return error != 0 ? error : fdt_end_node(fdt);
}

static void stdout_is_left_out_rather_than_cut_off(void **state)
{
    static const struct axvm_device_ops long_ops = {.name = "long", .fdt_node = long_node};

    (void)state;
    uarts[0].ops = &long_ops;
    build();
    assert_no_property("/chosen", "stdout-path");
}

static void memory_is_what_the_guest_may_write(void **state)
{
    (void)state;
    add_region(GIB(4), GIB(5), AXVM_MEM_RW);
    add_region(GIB(16), MIB(1), AXVM_MEM_READ | AXVM_MEM_EXEC);
    add_region(GIB(17), MIB(1), AXVM_MEM_RW | AXVM_MEM_DEVICE);
    build();
    assert_reg("/memory@40000000", RAM, MIB(256));
    assert_string("/memory@40000000", "device_type", "memory");
    assert_reg("/memory@100000000", GIB(4), GIB(5));
    assert_no_node("/memory@400000000");
    assert_no_node("/memory@440000000");
    assert_true(node_at("/memory@40000000") < node_at("/memory@100000000"));
}

static void every_vcpu_has_a_node(void **state)
{
    (void)state;
    set_vcpus(64);
    build();
    assert_u32("/cpus", "#address-cells", 2);
    assert_u32("/cpus", "#size-cells", 0);
    assert_int_equal(count_subnodes("/cpus"), 64);
    assert_string("/cpus/cpu@0", "device_type", "cpu");
    assert_u64("/cpus/cpu@f03", "reg", 0xf03);
    assert_string("/cpus/cpu@f03", "compatible", "axvm,cpu");
}

static void devices_describe_themselves(void **state)
{
    (void)state;
    add_device(&uarts[1], &silent_ops, UART + 0x1000);
    build();
    assert_reg("/serial@9000000", UART, 0x1000);
    assert_int_equal(count_subnodes("/"), 5); /* chosen, memory, cpus, intc, serial */
}

static void tree_is_packed(void **state)
{
    (void)state;
    build();
    assert_in_range(fdt_totalsize(tree), 500, 1500);
}

static void too_small_a_buffer_is_refused(void **state)
{
    size_t needed;
    size_t size = 0;
    int error;

    (void)state;
    build();
    needed = fdt_totalsize(tree);
    do {
        uint64_t *small = malloc(size + 1);

        assert_non_null(small);
        error = guest_fdt_build(&vm, small, size);
        if (error != AXVM_OK) {
            assert_int_equal(error, AXVM_ENOMEM);
        }
        free(small);
        size += 4;
    } while (error != AXVM_OK && size <= ROOM);
    assert_in_range(size, needed, needed + 64);
    assert_true(fake_hal_logged("VM 5: its device tree takes more than the 0x100 bytes kept for it"));
}

static void error_of_a_hook_is_an_error(void **state)
{
    (void)state;
    hook_error = -FDT_ERR_BADSTATE;
    assert_int_equal(guest_fdt_build(&vm, tree, sizeof(tree)), AXVM_EINVAL);
    assert_true(fake_hal_logged("VM 5: its device tree: FDT_ERR_BADSTATE"));
}

static void write_file(int file, const void *data, size_t size)
{
    assert_int_equal(write(file, data, size), (ssize_t)size);
    assert_int_equal(close(file), 0);
}

static void dtc_finds_nothing_to_warn_of(void **state)
{
    char path[] = "/tmp/axvm-fdt-XXXXXX";
    char command[128];
    char complaint[256];
    FILE *dtc;
    size_t length;

    (void)state;
    if (system("dtc --version >/dev/null 2>&1") != 0) {
        skip();
    }
    set_vcpus(5);
    add_region(GIB(4), GIB(4), AXVM_MEM_RWX);
    build();
    write_file(mkstemp(path), tree, fdt_totalsize(tree));
    snprintf(command, sizeof(command), "dtc -I dtb -O dts -o /dev/null %s 2>&1", path);
    dtc = popen(command, "r");
    assert_non_null(dtc);
    length = fread(complaint, 1, sizeof(complaint) - 1, dtc);
    complaint[length] = '\0';
    assert_int_equal(pclose(dtc), 0);
    unlink(path);
    assert_string_equal(complaint, "");
}

/* ---- A user's tree ----------------------------------------------------------------------------------------------- */

static struct {
    uint32_t root_cells, cpu_cells;
    unsigned cpus;
    bool without_chosen, without_cpus;
} user;

static uint64_t user_tree[KIB(16) / sizeof(uint64_t)];

#define OK(call) assert_int_equal(call, 0)

static void write_user_cpus(void *fdt)
{
    OK(fdt_begin_node(fdt, "cpus"));
    OK(fdt_property_u32(fdt, "#address-cells", user.cpu_cells));
    OK(fdt_property_u32(fdt, "#size-cells", 0));
    OK(fdt_begin_node(fdt, "cpu-map"));
    OK(fdt_end_node(fdt));
    for (unsigned i = 0; i < user.cpus; i++) {
        fdt64_t reg = cpu_to_fdt64(i);
        char name[32];

        snprintf(name, sizeof(name), "cpu@%x", i);
        OK(fdt_begin_node(fdt, name));
        OK(fdt_property_string(fdt, "device_type", "cpu"));
        OK(fdt_property(fdt, "reg", (const char *)&reg + (user.cpu_cells == 1 ? 4 : 0), user.cpu_cells == 1 ? 4 : 8));
        OK(fdt_begin_node(fdt, "l1-cache"));
        OK(fdt_end_node(fdt));
        OK(fdt_end_node(fdt));
    }
    OK(fdt_end_node(fdt));
}

static void write_user_tree(void)
{
    const fdt32_t reg[8] = {0};
    void *fdt = user_tree;

    OK(fdt_create(fdt, sizeof(user_tree)));
    OK(fdt_add_reservemap_entry(fdt, 0x1000, 0x2000));
    OK(fdt_finish_reservemap(fdt));
    OK(fdt_begin_node(fdt, ""));
    OK(fdt_property_u32(fdt, "#address-cells", user.root_cells));
    OK(fdt_property_u32(fdt, "#size-cells", user.root_cells));
    OK(fdt_property_string(fdt, "model", "user's own"));
    for (unsigned i = 0; i < 2; i++) {
        OK(fdt_begin_node(fdt, i == 0 ? "memory@80000000" : "ddr"));
        OK(fdt_property_string(fdt, "device_type", "memory"));
        OK(fdt_property(fdt, "reg", reg, 8 * (int)user.root_cells));
        OK(fdt_end_node(fdt));
    }
    OK(fdt_begin_node(fdt, "memory-controller"));
    OK(fdt_end_node(fdt));
    if (!user.without_cpus) {
        write_user_cpus(fdt);
    }
    if (!user.without_chosen) {
        OK(fdt_begin_node(fdt, "chosen"));
        OK(fdt_property_string(fdt, "bootargs", "the user's"));
        OK(fdt_property_u32(fdt, "linux,initrd-start", 1));
        OK(fdt_property_u32(fdt, "linux,initrd-end", 2));
        OK(fdt_property_string(fdt, "stdout-path", "/uart"));
        OK(fdt_end_node(fdt));
    }
    OK(fdt_begin_node(fdt, "uart"));
    OK(fdt_property(fdt, "reg", reg, 8 * (int)user.root_cells));
    OK(fdt_end_node(fdt));
    OK(fdt_end_node(fdt));
    OK(fdt_finish(fdt));
}

static int set_up_user(void **state)
{
    memset(&user, 0, sizeof(user));
    user.root_cells = 2;
    user.cpu_cells = 1;
    user.cpus = 4;
    return set_up(state);
}

static int patch_result(void)
{
    write_user_tree();
    memset(tree, 0xa5, sizeof(tree));
    return guest_fdt_patch(&vm, user_tree, fdt_totalsize(user_tree), tree, sizeof(tree));
}

static void patch(void)
{
    assert_int_equal(patch_result(), AXVM_OK);
    assert_int_equal(fdt_check_sound(tree, sizeof(tree)), 0);
}

static void patched_memory_is_the_vms(void **state)
{
    (void)state;
    add_region(GIB(4), GIB(5), AXVM_MEM_RW);
    patch();
    assert_reg("/memory@40000000", RAM, MIB(256));
    assert_reg("/memory@100000000", GIB(4), GIB(5));
    assert_no_node("/memory@80000000");
    assert_no_node("/ddr");
    node_at("/memory-controller");
}

static void patched_memory_follows_the_trees_cells(void **state)
{
    (void)state;
    user.root_cells = 1;
    patch();
    assert_u64("/memory@40000000", "reg", RAM << 32 | MIB(256));
    add_region(GIB(4), GIB(1), AXVM_MEM_RW);
    assert_int_equal(patch_result(), AXVM_EINVAL);
    assert_true(fake_hal_logged("VM 5: its device tree's #address-cells or #size-cells are odd, or too few"));
    vm.region_count = 0;
    add_region(RAM, GIB(4), AXVM_MEM_RW);
    assert_int_equal(patch_result(), AXVM_EINVAL);
    user.root_cells = 3;
    assert_int_equal(patch_result(), AXVM_EINVAL);
}

static void patched_cpus_are_the_vms(void **state)
{
    (void)state;
    for (user.cpu_cells = 1; user.cpu_cells <= 2; user.cpu_cells++) {
        patch();
        assert_int_equal(count_subnodes("/cpus"), 2);
        node_at("/cpus/cpu@0/l1-cache");
        node_at("/cpus/cpu@1");
    }
    assert_int_equal(fake_hal_log_lines(AXVM_LOG_WARN), 0);
    user.cpu_cells = 3;
    assert_int_equal(patch_result(), AXVM_EINVAL);
}

static void patched_cpus_go_by_their_ids(void **state)
{
    (void)state;
    vcpus[0].phys_id = 1;
    vcpus[1].phys_id = 3;
    patch();
    assert_int_equal(count_subnodes("/cpus"), 2);
    node_at("/cpus/cpu@1");
    node_at("/cpus/cpu@3");
}

static void cpu_map_stays_if_all_cpus_do(void **state)
{
    (void)state;
    user.cpus = 2;
    patch();
    node_at("/cpus/cpu-map");
}

static void vcpus_without_a_node_are_warned_of(void **state)
{
    (void)state;
    user.cpus = 1;
    patch();
    assert_true(fake_hal_logged("VM 5: its device tree has nodes for 1 of its 2 vCPUs"));
    user.without_cpus = true;
    patch();
    assert_true(fake_hal_logged("VM 5: its device tree has nodes for 0 of its 2 vCPUs"));
}

static void cpu_with_a_reg_of_another_length_is_none(void **state)
{
    (void)state;
    write_user_tree();
    OK(fdt_setprop_inplace_u32(user_tree, fdt_path_offset(user_tree, "/cpus"), "#address-cells", 2));
    assert_int_equal(guest_fdt_patch(&vm, user_tree, fdt_totalsize(user_tree), tree, sizeof(tree)), AXVM_OK);
    assert_int_equal(count_subnodes("/cpus"), 0);
}

static void cpu_described_twice_is_kept_once(void **state)
{
    static const char twice[] = "cpu@3";
    int node;

    (void)state;
    write_user_tree();
    node = fdt_path_offset(user_tree, "/cpus/cpu@3");
    OK(fdt_setprop_inplace_u32(user_tree, node, "reg", 1));
    assert_int_equal(guest_fdt_patch(&vm, user_tree, fdt_totalsize(user_tree), tree, sizeof(tree)), AXVM_OK);
    assert_int_equal(count_subnodes("/cpus"), 2);
    assert_true(fdt_subnode_offset(tree, node_at("/cpus"), twice) < 0);
}

static void patched_chosen_has_what_the_vm_decides(void **state)
{
    (void)state;
    patch();
    assert_string("/chosen", "bootargs", "console=ttyAMA0 quiet");
    assert_u64("/chosen", "linux,initrd-start", RAM + MIB(128));
    assert_u64("/chosen", "linux,initrd-end", RAM + MIB(128) + 12345);
    assert_string("/chosen", "stdout-path", "/uart");
    vm.config.cmdline = NULL;
    vm.layout.ramdisk_size = 0;
    patch();
    assert_string("/chosen", "bootargs", "the user's");
    assert_no_property("/chosen", "linux,initrd-start");
    assert_no_property("/chosen", "linux,initrd-end");
}

static void missing_chosen_is_added(void **state)
{
    (void)state;
    user.without_chosen = true;
    patch();
    assert_string("/chosen", "bootargs", "console=ttyAMA0 quiet");
}

static void everything_else_stays(void **state)
{
    uint64_t start, size;

    (void)state;
    patch();
    assert_string("/", "model", "user's own");
    property("/uart", "reg", 16);
    assert_int_equal(fdt_num_mem_rsv(tree), 1);
    OK(fdt_get_mem_rsv(tree, 0, &start, &size));
    assert_int_equal(start, 0x1000);
    assert_true(fdt_totalsize(tree) < fdt_totalsize(user_tree) + 1024);
}

static void patching_into_too_small_a_buffer_is_refused(void **state)
{
    int error;

    (void)state;
    write_user_tree();
    for (size_t size = 0; size < fdt_totalsize(user_tree) + 1024; size += 4) {
        uint64_t *small = malloc(size + 1);

        assert_non_null(small);
        error = guest_fdt_patch(&vm, user_tree, fdt_totalsize(user_tree), small, size);
        assert_true(error == AXVM_OK || error == AXVM_ENOMEM);
        assert_true(error == AXVM_OK || size < fdt_totalsize(user_tree) + 512);
        free(small);
    }
}

/* ---- Hostile trees ----------------------------------------------------------------------------------------------- */

static void truncated_tree_is_refused(void **state)
{
    (void)state;
    write_user_tree();
    for (size_t size = 0; size < fdt_totalsize(user_tree); size++) {
        uint64_t *cut = malloc(size + 1);

        assert_non_null(cut);
        memcpy(cut, user_tree, size);
        assert_int_equal(guest_fdt_patch(&vm, cut, size, tree, sizeof(tree)), AXVM_EINVAL);
        free(cut);
    }
}

static void misaligned_tree_is_refused(void **state)
{
    char *data = (char *)user_tree;

    (void)state;
    write_user_tree();
    memmove(data + 4, data, fdt_totalsize(user_tree));
    assert_int_equal(guest_fdt_patch(&vm, data + 4, sizeof(user_tree) - 4, tree, sizeof(tree)), AXVM_EINVAL);
}

static void tree_of_an_old_version_is_refused(void **state)
{
    (void)state;
    write_user_tree();
    fdt_set_version(user_tree, 16);
    assert_int_equal(guest_fdt_patch(&vm, user_tree, fdt_totalsize(user_tree), tree, sizeof(tree)), AXVM_EINVAL);
    assert_true(fake_hal_logged("FDT_ERR_BADVERSION"));
}

static void tree_with_too_many_names_is_refused(void **state)
{
    const uint32_t sizes[] = {65536, 65537};
    uint64_t *large = calloc(1, KIB(128));
    uint64_t *patched = malloc(KIB(128));

    (void)state;
    assert_non_null(large);
    assert_non_null(patched);
    write_user_tree();
    memcpy(large, user_tree, fdt_totalsize(user_tree));
    for (unsigned i = 0; i < 2; i++) {
        fdt_set_totalsize(large, KIB(128));
        fdt_set_size_dt_strings(large, sizes[i]);
        assert_int_equal(guest_fdt_patch(&vm, large, KIB(128), patched, KIB(128)), i == 0 ? AXVM_OK : AXVM_EINVAL);
    }
    free(patched);
    free(large);
}

static void mutate(uint8_t *data, size_t size)
{
    static const uint32_t nasty[] = {0, 1, 2, 3, 4, 9, 0x10, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff};

    for (uint64_t n = 1 + random_below(4); n > 0; n--) {
        size_t at = random_below(3) == 0 ? random_below(sizeof(struct fdt_header)) : random_below(size);
        fdt32_t value = cpu_to_fdt32(random_below(2) != 0 ? nasty[random_below(11)] : (uint32_t)random_below(size));

        if (random_below(2) != 0) {
            data[at] = (uint8_t)random_u64();
        } else if (at / 4 * 4 + 4 <= size) {
            memcpy(data + at / 4 * 4, &value, 4);
        }
    }
}

/* What is accepted must be a sound tree that says the truth about RAM. */
static void check_accepted(const void *fdt, size_t size)
{
    int node;

    assert_int_equal(fdt_check_sound(fdt, size), 0);
    node = fdt_path_offset(fdt, "/memory@40000000");
    assert_true(node >= 0);
    assert_string_equal(fdt_getprop(fdt, fdt_path_offset(fdt, "/chosen"), "bootargs", NULL), vm.config.cmdline);
}

static void mutated_trees_are_harmless(void **state)
{
    unsigned accepted = 0, refused = 0;

    (void)state;
    random_start("mutated device trees");
    write_user_tree();
    for (unsigned round = 0; round < 40000; round++) {
        size_t size = fdt_totalsize(user_tree);
        size_t room = size + random_below(3) * 512;
        uint8_t *dtb = malloc(size);
        uint8_t *buffer = malloc(room);

        assert_non_null(dtb);
        assert_non_null(buffer);
        memcpy(dtb, user_tree, size);
        mutate(dtb, size);
        if (guest_fdt_patch(&vm, dtb, size, buffer, room) == AXVM_OK) {
            check_accepted(buffer, room);
            accepted++;
        } else {
            refused++;
        }
        fake_hal_forget();
        free(buffer);
        free(dtb);
    }
    assert_true(accepted > 1000 && refused > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(root_describes_the_machine, set_up, fake_hal_teardown),
        cmocka_unit_test_setup_teardown(chosen_has_command_line_and_ramdisk, set_up, fake_hal_teardown),
        cmocka_unit_test_setup_teardown(stdout_is_the_configurations_first_console, set_up, fake_hal_teardown),
        cmocka_unit_test_setup_teardown(stdout_is_left_out_without_a_described_console, set_up, fake_hal_teardown),
        cmocka_unit_test_setup_teardown(stdout_is_left_out_rather_than_cut_off, set_up, fake_hal_teardown),
        cmocka_unit_test_setup_teardown(memory_is_what_the_guest_may_write, set_up, fake_hal_teardown),
        cmocka_unit_test_setup_teardown(every_vcpu_has_a_node, set_up, fake_hal_teardown),
        cmocka_unit_test_setup_teardown(devices_describe_themselves, set_up, fake_hal_teardown),
        cmocka_unit_test_setup_teardown(tree_is_packed, set_up, fake_hal_teardown),
        cmocka_unit_test_setup_teardown(too_small_a_buffer_is_refused, set_up, fake_hal_teardown),
        cmocka_unit_test_setup_teardown(error_of_a_hook_is_an_error, set_up, fake_hal_teardown),
        cmocka_unit_test_setup_teardown(dtc_finds_nothing_to_warn_of, set_up, fake_hal_teardown),
        cmocka_unit_test_setup_teardown(patched_memory_is_the_vms, set_up_user, fake_hal_teardown),
        cmocka_unit_test_setup_teardown(patched_memory_follows_the_trees_cells, set_up_user, fake_hal_teardown),
        cmocka_unit_test_setup_teardown(patched_cpus_are_the_vms, set_up_user, fake_hal_teardown),
        cmocka_unit_test_setup_teardown(patched_cpus_go_by_their_ids, set_up_user, fake_hal_teardown),
        cmocka_unit_test_setup_teardown(cpu_map_stays_if_all_cpus_do, set_up_user, fake_hal_teardown),
        cmocka_unit_test_setup_teardown(vcpus_without_a_node_are_warned_of, set_up_user, fake_hal_teardown),
        cmocka_unit_test_setup_teardown(cpu_with_a_reg_of_another_length_is_none, set_up_user, fake_hal_teardown),
        cmocka_unit_test_setup_teardown(cpu_described_twice_is_kept_once, set_up_user, fake_hal_teardown),
        cmocka_unit_test_setup_teardown(patched_chosen_has_what_the_vm_decides, set_up_user, fake_hal_teardown),
        cmocka_unit_test_setup_teardown(missing_chosen_is_added, set_up_user, fake_hal_teardown),
        cmocka_unit_test_setup_teardown(everything_else_stays, set_up_user, fake_hal_teardown),
        cmocka_unit_test_setup_teardown(patching_into_too_small_a_buffer_is_refused, set_up_user, fake_hal_teardown),
        cmocka_unit_test_setup_teardown(truncated_tree_is_refused, set_up_user, fake_hal_teardown),
        cmocka_unit_test_setup_teardown(misaligned_tree_is_refused, set_up_user, fake_hal_teardown),
        cmocka_unit_test_setup_teardown(tree_of_an_old_version_is_refused, set_up_user, fake_hal_teardown),
        cmocka_unit_test_setup_teardown(tree_with_too_many_names_is_refused, set_up_user, fake_hal_teardown),
        cmocka_unit_test_setup_teardown(mutated_trees_are_harmless, set_up_user, fake_hal_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
