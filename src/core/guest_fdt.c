/* SPDX-License-Identifier: Apache-2.0 */
#include "core/guest_fdt.h"

#include "core/vm.h"
#include "lib/fdt_check.h"
#include "lib/log.h"
#include <libfdt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define ROOT 0 /* offset of the root node */
#define NAME_MAX_SIZE 64U

static int finish(const struct axvm *vm, int error, size_t size)
{
    if (error == -FDT_ERR_NOSPACE) {
        return fail(AXVM_ENOMEM, "VM %u: its device tree takes more than the 0x%zx bytes kept for it", vm->id, size);
    }
    if (error == -FDT_ERR_BADNCELLS) {
        return fail(AXVM_EINVAL, "VM %u: its device tree's #address-cells or #size-cells are odd, or too few", vm->id);
    }
    return error == 0 ? AXVM_OK : fail(AXVM_EINVAL, "VM %u: its device tree: %s", vm->id, fdt_strerror(error));
}

/* A guest takes for RAM what it can write to: a read-only region is no such thing. */
static bool is_guest_ram(const struct axvm_memory_region *region)
{
    return (region->flags & AXVM_MEM_DEVICE) == 0 && (region->flags & AXVM_MEM_RW) == AXVM_MEM_RW;
}

static void memory_name(char name[NAME_MAX_SIZE], const struct axvm_memory_region *region)
{
    snprintf(name, NAME_MAX_SIZE, "memory@%llx", (unsigned long long)region->gpa.v);
}

/* ---- A tree of our own ------------------------------------------------------------------------------------------- */

/* Properties first: none may follow a subnode. */
static int write_root(struct axvm *vm, void *fdt)
{
    int error = fdt_property_u32(fdt, "#address-cells", 2);

    error = error != 0 ? error : fdt_property_u32(fdt, "#size-cells", 2);
    error = error != 0 ? error : fdt_property_string(fdt, "model", "axvm");
    return error != 0 ? error : arch->fdt_root(vm, fdt);
}

static int write_cpu(struct axvm_vcpu *vcpu, void *fdt)
{
    char name[NAME_MAX_SIZE];
    int error;

    snprintf(name, sizeof(name), "cpu@%llx", (unsigned long long)vcpu->phys_id);
    error = fdt_begin_node(fdt, name);
    error = error != 0 ? error : fdt_property_string(fdt, "device_type", "cpu");
    error = error != 0 ? error : arch->fdt_cpu(vcpu, fdt);
    return error != 0 ? error : fdt_end_node(fdt);
}

static int write_cpus(struct axvm *vm, void *fdt)
{
    int error = fdt_begin_node(fdt, "cpus");

    error = error != 0 ? error : fdt_property_u32(fdt, "#address-cells", 2);
    error = error != 0 ? error : fdt_property_u32(fdt, "#size-cells", 0);
    error = error != 0 || arch->fdt_cpus == NULL ? error : arch->fdt_cpus(vm, fdt);
    for (uint32_t i = 0; i < vm->vcpu_count && error == 0; i++) {
        error = write_cpu(vm->vcpus[i], fdt);
    }
    return error != 0 ? error : fdt_end_node(fdt);
}

static int write_region(const struct axvm_memory_region *region, void *fdt)
{
    const fdt64_t reg[] = {cpu_to_fdt64(region->gpa.v), cpu_to_fdt64(region->size)};
    char name[NAME_MAX_SIZE];
    int error;

    memory_name(name, region);
    error = fdt_begin_node(fdt, name);
    error = error != 0 ? error : fdt_property_string(fdt, "device_type", "memory");
    error = error != 0 ? error : fdt_property(fdt, "reg", reg, sizeof(reg));
    return error != 0 ? error : fdt_end_node(fdt);
}

static int write_memory(const struct axvm *vm, void *fdt)
{
    int error = 0;

    for (unsigned i = 0; i < vm->region_count && error == 0; i++) {
        const struct axvm_memory_region *region = &vm->regions[i].region;

        error = is_guest_ram(region) ? write_region(region, fdt) : 0;
    }
    return error;
}

static bool is_console(const struct axvm *vm, const struct axvm_device *device)
{
    for (size_t i = 0; i < vm->config.emu_devices_count; i++) {
        if (vm->config.emu_devices[i].type == AXVM_EMU_CONSOLE) {
            return vm->config.emu_devices[i].base.v == device->base;
        }
    }
    return false;
}

/* The name of the node that was written when the structure block was `from` bytes long; NULL: none was. */
static const char *node_name(const void *fdt, uint32_t from)
{
    const struct fdt_node_header *node = (const void *)((const char *)fdt + fdt_off_dt_struct(fdt) + from);

    return from < fdt_size_dt_struct(fdt) && fdt32_ld(&node->tag) == FDT_BEGIN_NODE ? node->name : NULL;
}

/* *console: the console's node, which its device names as it likes. */
static int write_devices(struct axvm *vm, void *fdt, const char **console)
{
    int error = 0;

    for (struct axvm_device *device = vm->devices; device != NULL && error == 0; device = device->next) {
        uint32_t from = fdt_size_dt_struct(fdt);

        error = device->ops->fdt_node != NULL ? device->ops->fdt_node(device, fdt) : 0;
        if (is_console(vm, device)) {
            *console = node_name(fdt, from);
        }
    }
    return error;
}

static int write_stdout(void *fdt, const char *console)
{
    char path[NAME_MAX_SIZE];

    if (console == NULL || strlen(console) + 2 > sizeof(path)) {
        return 0;
    }
    return fdt_property(fdt, "stdout-path", path, snprintf(path, sizeof(path), "/%s", console) + 1);
}

/* fdt_property_string() would cut a length that is no int. */
static int write_cmdline(const struct axvm *vm, void *fdt)
{
    size_t size = vm->config.cmdline != NULL ? strlen(vm->config.cmdline) + 1 : 0;

    if (size > INT_MAX) {
        return -FDT_ERR_NOSPACE;
    }
    return size != 0 ? fdt_property(fdt, "bootargs", vm->config.cmdline, (int)size) : 0;
}

static int write_chosen(const struct axvm *vm, void *fdt, const char *console)
{
    uint64_t ramdisk = vm->layout.ramdisk.v, size = vm->layout.ramdisk_size;
    int error = fdt_begin_node(fdt, "chosen");

    error = error != 0 ? error : write_stdout(fdt, console);
    error = error != 0 ? error : write_cmdline(vm, fdt);
    if (size != 0) {
        error = error != 0 ? error : fdt_property_u64(fdt, "linux,initrd-start", ramdisk);
        error = error != 0 ? error : fdt_property_u64(fdt, "linux,initrd-end", ramdisk + size);
    }
    return error != 0 ? error : fdt_end_node(fdt);
}

/* In one pass, and no name of a property is looked for: of libfdt's work, it is searching that takes time. */
int guest_fdt_build(struct axvm *vm, void *buffer, size_t size)
{
    const char *console = NULL;
    int error = fdt_create_with_flags(buffer, size < INT_MAX ? (int)size : INT_MAX, FDT_CREATE_FLAG_NO_NAME_DEDUP);

    error = error != 0 ? error : fdt_finish_reservemap(buffer);
    error = error != 0 ? error : fdt_begin_node(buffer, "");
    error = error != 0 ? error : write_root(vm, buffer);
    error = error != 0 ? error : write_memory(vm, buffer);
    error = error != 0 ? error : write_cpus(vm, buffer);
    error = error != 0 ? error : arch->fdt_nodes(vm, buffer);
    error = error != 0 ? error : write_devices(vm, buffer, &console);
    error = error != 0 ? error : write_chosen(vm, buffer, console);
    error = error != 0 ? error : fdt_end_node(buffer);
    error = error != 0 ? error : fdt_finish(buffer);
    return finish(vm, error, size);
}

/* ---- The user's tree: it may be anything, and up to 2 MiB of it -------------------------------------------------- */

/* fdt_setprop_string() would cut a length that is no int. */
static int set_string(void *fdt, int node, const char *name, const char *text)
{
    size_t size = strlen(text) + 1;

    return size <= INT_MAX ? fdt_setprop(fdt, node, name, text, (int)size) : -FDT_ERR_NOSPACE;
}

static int set_initrd(const struct axvm *vm, void *fdt, int chosen)
{
    static const char *const names[] = {"linux,initrd-start", "linux,initrd-end"};
    const uint64_t values[] = {vm->layout.ramdisk.v, vm->layout.ramdisk.v + vm->layout.ramdisk_size};
    int error = 0;

    for (unsigned i = 0; i < 2 && error == 0; i++) {
        error = vm->layout.ramdisk_size != 0 ? fdt_setprop_u64(fdt, chosen, names[i], values[i])
                                             : fdt_delprop(fdt, chosen, names[i]);
        error = error == -FDT_ERR_NOTFOUND ? 0 : error;
    }
    return error;
}

static int set_chosen(const struct axvm *vm, void *fdt)
{
    int chosen = fdt_subnode_offset(fdt, ROOT, "chosen");
    int error = 0;

    if (chosen == -FDT_ERR_NOTFOUND) {
        chosen = fdt_add_subnode(fdt, ROOT, "chosen");
    }
    if (chosen < 0) {
        return chosen;
    }
    if (vm->config.cmdline != NULL) {
        error = set_string(fdt, chosen, "bootargs", vm->config.cmdline);
    }
    return error == 0 ? set_initrd(vm, fdt, chosen) : error;
}

/* `value` as `cells` cells (1 or 2); false if it doesn't fit. */
static bool put_cells(fdt32_t *to, int cells, uint64_t value)
{
    to[0] = cpu_to_fdt32((uint32_t)(cells == 2 ? value >> 32 : value));
    if (cells == 2) {
        to[1] = cpu_to_fdt32((uint32_t)value);
    }
    return cells == 2 || value <= UINT32_MAX;
}

static int add_memory(void *fdt, const struct axvm_memory_region *region, int address_cells, int size_cells)
{
    char name[NAME_MAX_SIZE];
    fdt32_t reg[4];
    int node, error;

    if (!put_cells(reg, address_cells, region->gpa.v) || !put_cells(reg + address_cells, size_cells, region->size)) {
        return -FDT_ERR_BADNCELLS;
    }
    memory_name(name, region);
    node = fdt_add_subnode(fdt, ROOT, name);
    if (node < 0) {
        return node;
    }
    error = fdt_setprop(fdt, node, "reg", reg, (address_cells + size_cells) * (int)sizeof(reg[0]));
    return error == 0 ? set_string(fdt, node, "device_type", "memory") : error;
}

/* Added in front, each; so the last comes first. */
static int set_memory(const struct axvm *vm, void *fdt)
{
    int address_cells = fdt_address_cells(fdt, ROOT);
    int size_cells = fdt_size_cells(fdt, ROOT);
    int error = 0;

    for (unsigned i = vm->region_count; i > 0 && error == 0; i--) {
        const struct axvm_memory_region *region = &vm->regions[i - 1].region;

        error = is_guest_ram(region) ? add_memory(fdt, region, address_cells, size_cells) : 0;
    }
    return error;
}

/*
 * Take out the subnodes of `parent` that `unwanted` says. They become FDT_NOPs: moving the rest of the tree up for each
 * of them would make the work grow with the square of the tree's size. Returns how many there were, or an error.
 */
static int remove_subnodes(void *fdt, int parent, bool (*unwanted)(void *context, const void *fdt, int node),
                           void *context)
{
    int node = fdt_first_subnode(fdt, parent);
    int count = 0;

    while (node >= 0) {
        int next = fdt_next_subnode(fdt, node);

        if (unwanted(context, fdt, node)) {
            int error = fdt_nop_node(fdt, node);

            if (error != 0) {
                return error;
            }
            count++;
        }
        node = next;
    }
    return node == -FDT_ERR_NOTFOUND ? count : node;
}

/* Whether a node is one of the kind that "memory" or "cpu" names, be it by its name or by its device_type. */
static bool node_is(const void *fdt, int node, const char *kind)
{
    int length, type_length;
    const char *name = fdt_get_name(fdt, node, &length);
    const char *type = fdt_getprop(fdt, node, "device_type", &type_length);
    int kind_length = (int)strlen(kind);

    if (type != NULL && type_length == kind_length + 1 && memcmp(type, kind, (size_t)type_length) == 0) {
        return true;
    }
    return name != NULL && strncmp(name, kind, (size_t)kind_length) == 0 &&
           (name[kind_length] == '@' || name[kind_length] == '\0');
}

static bool is_memory(void *context, const void *fdt, int node)
{
    (void)context;
    return node_is(fdt, node, "memory");
}

struct cpu_filter {
    struct axvm *vm;
    int address_cells;
    uint64_t found; /* mask of vCPUs that have a node */
};

/* A CPU that is no vCPU, or one that there is a node for already. */
static bool is_foreign_cpu(void *context, const void *fdt, int node)
{
    struct cpu_filter *filter = context;
    const struct axvm_vcpu *vcpu = NULL;
    const void *reg;
    int length;

    if (!node_is(fdt, node, "cpu")) {
        return false;
    }
    reg = fdt_getprop(fdt, node, "reg", &length);
    if (reg != NULL && length == filter->address_cells * (int)sizeof(fdt32_t)) {
        vcpu = vcpu_by_phys_id(filter->vm, filter->address_cells == 2 ? fdt64_ld(reg) : fdt32_ld(reg));
    }
    if (vcpu == NULL || (filter->found >> vcpu->id & 1) != 0) {
        return true;
    }
    filter->found |= UINT64_C(1) << vcpu->id;
    return false;
}

static unsigned count_bits(uint64_t bits)
{
    unsigned count = 0;

    for (; bits != 0; bits &= bits - 1) {
        count++;
    }
    return count;
}

/* cpu-map refers to CPUs by phandle: it can't stay when some are gone. */
static int remove_foreign_cpus(struct cpu_filter *filter, void *fdt, int cpus)
{
    int removed, map;

    filter->address_cells = fdt_address_cells(fdt, cpus);
    removed = remove_subnodes(fdt, cpus, is_foreign_cpu, filter);
    if (removed <= 0) {
        return removed;
    }
    map = fdt_subnode_offset(fdt, cpus, "cpu-map");
    return map >= 0 ? fdt_nop_node(fdt, map) : 0;
}

static int limit_cpus(struct axvm *vm, void *fdt)
{
    int cpus = fdt_subnode_offset(fdt, ROOT, "cpus");
    struct cpu_filter filter = {.vm = vm};
    int error = cpus >= 0 ? remove_foreign_cpus(&filter, fdt, cpus) : 0;
    unsigned found = count_bits(filter.found);

    if (error == 0 && found != vm->vcpu_count) {
        log_limited(&vm->log, AXVM_LOG_WARN, "VM %u: its device tree has nodes for %u of its %u vCPUs", vm->id, found,
                    vm->vcpu_count);
    }
    return error;
}

int guest_fdt_patch(struct axvm *vm, const void *dtb, size_t dtb_size, void *buffer, size_t size)
{
    int error = fdt_check_guest(dtb, dtb_size);

    error = error != 0 ? error : fdt_open_into(dtb, buffer, size < INT_MAX ? (int)size : INT_MAX);
    error = error != 0 ? error : limit_cpus(vm, buffer);
    if (error == 0) {
        error = remove_subnodes(buffer, ROOT, is_memory, NULL);
        error = error > 0 ? 0 : error;
    }
    error = error != 0 ? error : set_memory(vm, buffer);
    error = error != 0 ? error : set_chosen(vm, buffer);
    error = error != 0 ? error : fdt_pack(buffer);
    return finish(vm, error, size);
}
