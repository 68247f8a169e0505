/* SPDX-License-Identifier: Apache-2.0 */
#include "core/device.h"

#include "core/config_schema.h"
#include "lib/log.h"
#include <libfdt.h>
#include <stdio.h>
#include <string.h>

typedef unsigned long long ull;

void *device_new(struct axvm *vm, const struct axvm_emu_config *config, const struct axvm_device_ops *ops, size_t size,
                 uint64_t length)
{
    struct axvm_device *device = arena_alloc(&vm->arena, size);

    if (device == NULL) {
        log_error("VM %u: no memory for the device \"%s\"", vm->id, config->name);
        return NULL;
    }
    *device = (struct axvm_device){
        .ops = ops,
        .vm = vm,
        .space = AXVM_SPACE_MMIO,
        .base = config->base.v,
        .size = length,
        .irq = config->irq,
    };
    return device;
}

int device_fdt_begin(const struct axvm_device *device, void *fdt, const char *name, const char *compatible, int length)
{
    const fdt64_t reg[] = {cpu_to_fdt64(device->base), cpu_to_fdt64(device->size)};
    char node[48];
    int error;

    snprintf(node, sizeof(node), "%s@%llx", name, (ull)device->base);
    error = fdt_begin_node(fdt, node);
    error = error != 0 ? error : fdt_property(fdt, "compatible", compatible, length);
    error = error != 0 ? error : fdt_property(fdt, "reg", reg, sizeof(reg));
    return error != 0 || device->irq == 0 ? error : arch->fdt_irq(device->vm, fdt, device->irq);
}

const struct axvm_device *device_overlapping(const struct axvm *vm, uint64_t start, uint64_t size)
{
    const struct bus *bus = &vm->buses[AXVM_SPACE_MMIO];

    for (unsigned i = 0; i < bus->count; i++) {
        if (bus->entries[i].base <= start + (size - 1) && start <= bus->entries[i].last) {
            return bus->entries[i].device;
        }
    }
    return NULL;
}

/* Whether memory is mapped anywhere in the device's range; *at says where. */
static bool is_on_memory(struct axvm *vm, const struct axvm_device *device, gpa_t *at)
{
    struct addrspace *as = &vm->as;
    bool found = false;

    spin_lock(&as->lock);
    for (unsigned i = 0; i < as->area_count && !found; i++) {
        const struct area *area = &as->areas[i];

        *at = area->gpa;
        found = area->gpa.v <= device->base + (device->size - 1) && device->base <= area->gpa.v + (area->size - 1);
    }
    spin_unlock(&as->lock);
    return found;
}

/*
 * Devices come and go only while nobody looks: no vCPU is in the guest, and reset isn't at work (init adds some
 * itself).
 */
static int check_changeable(struct axvm *vm)
{
    if (!vm_is_quiet(vm)) {
        return fail(AXVM_EBADSTATE, "VM %u: devices can't be added or removed while it runs", vm->id);
    }
    if (vm->busy && vm->built) {
        return fail(AXVM_EBUSY, "VM %u: devices can't be added or removed while it is reset or destroyed", vm->id);
    }
    return AXVM_OK;
}

static int add_locked(struct axvm *vm, struct axvm_device *device)
{
    struct axvm_device *other = NULL;
    int error = check_changeable(vm);
    gpa_t at;

    if (error != AXVM_OK) {
        return error;
    }
    error = bus_add(&vm->buses[device->space], device, &other);
    if (error == AXVM_EEXIST) {
        return fail(error, "VM %u: device %s at 0x%llx, 0x%llx bytes, overlaps device %s at 0x%llx, 0x%llx bytes",
                    vm->id, device->ops->name, (ull)device->base, (ull)device->size, other->ops->name, (ull)other->base,
                    (ull)other->size);
    }
    if (error != AXVM_OK) {
        return fail(error, "VM %u: device %s at 0x%llx, 0x%llx bytes: %s", vm->id, device->ops->name, (ull)device->base,
                    (ull)device->size, error == AXVM_ENOMEM ? "too many devices" : "not a range");
    }
    if (device->space == AXVM_SPACE_MMIO && is_on_memory(vm, device, &at)) {
        (void)bus_remove(&vm->buses[device->space], device);
        return fail(AXVM_EEXIST, "VM %u: device %s at 0x%llx, 0x%llx bytes, overlaps the memory at 0x%llx", vm->id,
                    device->ops->name, (ull)device->base, (ull)device->size, (ull)at.v);
    }
    device->vm = vm;
    device->next = vm->devices;
    vm->devices = device;
    return AXVM_OK;
}

int axvm_add_device(struct axvm *vm, struct axvm_device *device)
{
    int error;

    if (device->ops == NULL || device->ops->name == NULL || (unsigned)device->space >= AXVM_SPACE_COUNT) {
        return fail(AXVM_EINVAL, "VM %u: a device without operations, a name or an address space", vm->id);
    }
    spin_lock(&vm->lock);
    error = add_locked(vm, device);
    spin_unlock(&vm->lock);
    return error;
}

static int remove_locked(struct axvm *vm, struct axvm_device *device)
{
    struct axvm_device **link = &vm->devices;
    int error = check_changeable(vm);

    if (error != AXVM_OK) {
        return error;
    }
    while (*link != NULL && *link != device) {
        link = &(*link)->next;
    }
    if (*link == NULL) {
        return fail(AXVM_ENOENT, "VM %u: the device to remove isn't one of its own", vm->id);
    }
    *link = device->next;
    device->next = NULL;
    return bus_remove(&vm->buses[device->space], device);
}

int axvm_remove_device(struct axvm *vm, struct axvm_device *device)
{
    int error;

    spin_lock(&vm->lock);
    error = remove_locked(vm, device);
    spin_unlock(&vm->lock);
    if (error == AXVM_OK && device->ops->removed != NULL) {
        device->ops->removed(device);
    }
    return error;
}

void axvm_device_set_irq(struct axvm_device *device, bool level)
{
    if (device->irq != 0) {
        arch->irq_line(device->vm, device->irq, level);
    }
}

static const struct arch_device_type *type_find(enum axvm_emu_type type)
{
    for (size_t i = 0; i < arch->devices_count; i++) {
        if (arch->devices[i].type == type) {
            return &arch->devices[i];
        }
    }
    return NULL;
}

int device_create_all(struct axvm *vm)
{
    for (size_t i = 0; i < vm->config.emu_devices_count; i++) {
        const struct axvm_emu_config *config = &vm->config.emu_devices[i];
        const struct arch_device_type *type = type_find(config->type);
        int error = type == NULL ? AXVM_EUNSUPPORTED : type->create(vm, config);

        if (type == NULL) {
            return fail(error, "VM %u: device %s: type 0x%x isn't emulated on %s", vm->id, config->name,
                        (unsigned)config->type, arch->name);
        }
        if (error != AXVM_OK) {
            return error;
        }
    }
    return AXVM_OK;
}

void device_reset_all(struct axvm *vm)
{
    for (struct axvm_device *device = vm->devices; device != NULL; device = device->next) {
        if (device->ops->reset != NULL) {
            device->ops->reset(device);
        }
    }
}

void device_forget_all(struct axvm *vm)
{
    struct axvm_device *device, *next;

    spin_lock(&vm->lock);
    device = vm->devices;
    vm->devices = NULL;
    memset(vm->buses, 0, sizeof(vm->buses));
    spin_unlock(&vm->lock);
    for (; device != NULL; device = next) {
        next = device->next;
        if (device->ops->removed != NULL) {
            device->ops->removed(device);
        }
    }
}

/* The first that was added, which is the last of the list. */
static struct axvm_device *console_of(struct axvm *vm)
{
    struct axvm_device *console = NULL;

    for (struct axvm_device *device = vm->devices; device != NULL; device = device->next) {
        console = device->ops->input != NULL ? device : console;
    }
    return console;
}

/* The lock keeps the list as it is; lock order: vm, then the device's own. */
int axvm_console_input(struct axvm *vm, const char *bytes, size_t count)
{
    struct axvm_device *console;
    int taken = AXVM_ENOENT;

    count = count > INT32_MAX ? INT32_MAX : count;
    spin_lock(&vm->lock);
    console = console_of(vm);
    if (console != NULL) {
        taken = (int)console->ops->input(console, bytes, count);
    } else if (arch->console_input != NULL) {
        taken = (int)arch->console_input(vm, bytes, count);
    }
    spin_unlock(&vm->lock);
    return taken;
}
