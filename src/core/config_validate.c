/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one validator: everything that is wrong with a configuration as such. What is wrong with images, or with where
 * they go, src/core/layout.c finds.
 */
#include "core/config_schema.h"
#include "mem/planner.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MAX_ID UINT64_C(65535)
#define MAX_NAME 63U
#define TEXT_MAX 200
#define MEMBER_MAX 64

#define HEX(v) ((unsigned long long)(v))

struct validation {
    const struct axvm_config *config;
    const struct axvm_platform *platform;
    const struct axvm_machine *machine;
    struct axvm_config_report *report;
    unsigned errors;
    struct planner planner;
};

__attribute__((format(printf, 4, 0)))
static void say(struct validation *v,
                void (*to)(struct axvm_config_report *, const void *, const char *, const char *), const void *field,
                const char *format, va_list args)
{
    char path[MEMBER_MAX];
    char text[TEXT_MAX];

    schema_path(v->config, field, path, sizeof(path));
    vsnprintf(text, sizeof(text), format, args);
    to(v->report, field, path, text);
}

__attribute__((format(printf, 3, 4)))
static void error(struct validation *v, const void *field, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say(v, v->report->error, field, format, args);
    va_end(args);
    v->errors++;
}

__attribute__((format(printf, 3, 4)))
static void warn(struct validation *v, const void *field, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say(v, v->report->warn, field, format, args);
    va_end(args);
}

static size_t count_of(size_t count, size_t max)
{
    return count < max ? count : max;
}

/* ---- [base] ------------------------------------------------------------------------------------------------------ */

/* Names go to logs and terminals: no control characters, and not too long for a line. */
static void check_name(struct validation *v, const char *const *name, const char *what)
{
    if (!*name || !**name) {
        error(v, name, "%s has no name", what);
        return;
    }
    if (strnlen(*name, MAX_NAME + 1) > MAX_NAME) {
        error(v, name, "a name has at most %u bytes", MAX_NAME);
        return;
    }
    for (const char *c = *name; *c; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f) {
            error(v, name, "control character 0x%02x in a name", (unsigned char)*c);
            return;
        }
    }
}

static void check_phys_cpu_ids(struct validation *v)
{
    const struct axvm_config *config = v->config;
    uint64_t mask = v->platform->phys_id_mask ? v->platform->phys_id_mask : UINT64_MAX;
    size_t count = count_of(config->phys_cpu_ids_count, AXVM_MAX_VCPUS);

    if (count && count != config->cpu_num) {
        error(v, &config->phys_cpu_ids_count, "one id for each vCPU: expected %u, found %zu", config->cpu_num, count);
    }
    for (size_t i = 0; i < count; i++) {
        const uint64_t *id = &config->phys_cpu_ids[i];

        if (*id & ~mask) {
            error(v, id, "%#llx can't be the id of a CPU: only the bits %#llx may be set", HEX(*id), HEX(mask));
        }
        for (size_t j = 0; j < i; j++) {
            if (config->phys_cpu_ids[j] == *id) {
                error(v, id, "%#llx is also the id of vCPU %zu", HEX(*id), j);
                break;
            }
        }
    }
}

static void check_phys_cpu_sets(struct validation *v)
{
    const struct axvm_config *config = v->config;
    unsigned pcpus = v->machine->pcpu_count;
    uint64_t there = pcpus && pcpus < 64 ? (UINT64_C(1) << pcpus) - 1 : UINT64_MAX;
    size_t count = count_of(config->phys_cpu_sets_count, AXVM_MAX_VCPUS);

    if (count && count != config->cpu_num) {
        error(v, &config->phys_cpu_sets_count, "one mask for each vCPU: expected %u, found %zu", config->cpu_num,
              count);
    }
    for (size_t i = 0; i < count; i++) {
        const uint64_t *set = &config->phys_cpu_sets[i];

        if (!*set) {
            error(v, set, "the mask is empty: vCPU %zu could run nowhere", i);
        }
        if (*set & ~there) {
            error(v, set, "mask %#llx has CPUs that the machine, with %u, doesn't have", HEX(*set), pcpus);
        }
    }
}

static void check_base(struct validation *v)
{
    const struct axvm_config *config = v->config;
    uint32_t max = v->platform->max_vcpus < AXVM_MAX_VCPUS ? v->platform->max_vcpus : AXVM_MAX_VCPUS;

    if (config->id.given && config->id.value > MAX_ID) {
        error(v, &config->id, "%llu is more than %llu", HEX(config->id.value), HEX(MAX_ID));
    }
    check_name(v, &config->name, "the VM");
    if (config->vm_type > AXVM_TYPE_LINUX) {
        warn(v, &config->vm_type, "there is no type %u; taken as 1 (RTOS)", config->vm_type);
    }
    if (!config->cpu_num) {
        error(v, &config->cpu_num, "a VM has at least one vCPU");
    } else if (config->cpu_num > max) {
        error(v, &config->cpu_num, "%u vCPUs are more than %u", config->cpu_num, max);
    }
    check_phys_cpu_ids(v);
    check_phys_cpu_sets(v);
}

/* ---- [kernel] ---------------------------------------------------------------------------------------------------- */

static uint64_t highest_gpa(const struct validation *v)
{
    unsigned bits = v->platform->gpa_bits;

    return bits && bits < 64 ? (UINT64_C(1) << bits) - 1 : UINT64_MAX;
}

static void check_region_place(struct validation *v, const struct axvm_mem_config *region)
{
    uint64_t start = region->gpa.v;
    uint64_t size = region->size;

    switch (planner_add(&v->planner, NULL, region, start, size, AXVM_PAGE_SIZE, highest_gpa(v))) {
    case PLANNER_EMPTY:
        error(v, &region->size, "the region is empty");
        break;
    case PLANNER_OVERFLOW:
        error(v, &region->size, "%#llx + %#llx wraps around", HEX(start), HEX(size));
        break;
    case PLANNER_TOO_HIGH:
        error(v, region, "it ends at %#llx, but guest-physical addresses have %u bits", HEX(start + (size - 1)),
              v->platform->gpa_bits);
        break;
    case PLANNER_MISALIGNED:
        if (start & (AXVM_PAGE_SIZE - 1)) {
            error(v, &region->gpa, "%#llx is not a multiple of 4 KiB", HEX(start));
        }
        if (size & (AXVM_PAGE_SIZE - 1)) {
            error(v, &region->size, "%#llx is not a multiple of 4 KiB", HEX(size));
        }
        break;
    default:
        break;
    }
}

static void check_region(struct validation *v, const struct axvm_mem_config *region)
{
    uint32_t unknown = region->flags & ~AXVM_MEM_ALL_FLAGS;

    check_region_place(v, region);
    if (unknown) {
        error(v, &region->flags, "there are no flags %#x", unknown);
    } else if (region->flags & AXVM_MEM_DEVICE) {
        error(v, &region->flags, "%#x has the flag DEVICE (0x10): RAM can't be device memory", region->flags);
    } else if (!(region->flags & AXVM_MEM_READ)) {
        error(v, &region->flags, "%#x lacks the flag READ (0x1): the guest couldn't use it", region->flags);
    }
    if (region->map_type > AXVM_MAP_RESERVED) {
        error(v, &region->map_type, "there is no map type %u", region->map_type);
    } else if (region->lazy && region->map_type != AXVM_MAP_ALLOC) {
        error(v, &region->lazy, "only map type 0 can be populated on first touch, this is map type %u",
              region->map_type);
    }
}

static uint64_t saturating_add(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* Reserved memory isn't the host's to give: it doesn't count. Lazy memory may exceed what there is, at its own risk. */
static void check_memory_total(struct validation *v)
{
    const struct axvm_config *config = v->config;
    const struct axvm_mem_config *largest = &config->memory_regions[0];
    uint64_t taken = 0, touched = 0;

    for (size_t i = 0; i < count_of(config->memory_regions_count, AXVM_MAX_MEMORY_REGIONS); i++) {
        const struct axvm_mem_config *region = &config->memory_regions[i];

        if (region->map_type == AXVM_MAP_RESERVED) {
            continue;
        }
        if (region->size > largest->size) {
            largest = region;
        }
        if (!region->lazy) {
            taken = saturating_add(taken, region->size);
        }
        touched = saturating_add(touched, region->size);
    }
    if (!v->machine->memory) {
        return;
    }
    if (taken > v->machine->memory) {
        error(v, &largest->size, "the VM's memory, %#llx bytes, is more than the machine's, %#llx", HEX(taken),
              HEX(v->machine->memory));
    } else if (touched > v->machine->memory) {
        warn(v, &largest->size,
             "the VM's memory, %#llx bytes, is more than the machine's, %#llx: it fails if it uses all", HEX(touched),
             HEX(v->machine->memory));
    }
}

static void check_memory(struct validation *v)
{
    const struct axvm_config *config = v->config;

    if (config->memory) {
        error(v, &config->memory, "no room for it beside %u memory_regions", AXVM_MAX_MEMORY_REGIONS);
    } else if (!config->memory_regions_count) {
        error(v, &config->memory, "the VM has no memory: give it memory or memory_regions");
    }
    for (size_t i = 0; i < count_of(config->memory_regions_count, AXVM_MAX_MEMORY_REGIONS); i++) {
        check_region(v, &config->memory_regions[i]);
    }
    check_memory_total(v);
}

static void check_kernel(struct validation *v)
{
    const struct axvm_config *config = v->config;

    check_memory(v);
    if (config->bios_path && !config->bios_load_addr.given) {
        error(v, &config->bios_path, "a flat image doesn't say where it goes: bios_load_addr is missing");
    }
    if (config->dtb_load_addr.given && config->dtb_load_addr.value % 8) {
        error(v, &config->dtb_load_addr, "%#llx is not a multiple of 8", HEX(config->dtb_load_addr.value));
    }
    if (config->ramdisk_load_addr.given && !config->ramdisk_path) {
        warn(v, &config->ramdisk_load_addr, "there is no ramdisk_path: nothing goes there");
    }
    if (config->bios_load_addr.given && !config->bios_path) {
        warn(v, &config->bios_load_addr, "there is no bios_path: nothing goes there");
    }
    if (config->disk_path) {
        error(v, &config->disk_path, "disks are not served yet");
    }
}

/* ---- [devices] --------------------------------------------------------------------------------------------------- */

static bool is_served(const struct axvm_platform *platform, enum axvm_emu_type type)
{
    for (size_t i = 0; i < platform->served_count; i++) {
        if (platform->served[i] == type) {
            return true;
        }
    }
    return false;
}

static void check_device_range(struct validation *v, const struct axvm_emu_config *device, const void *field,
                               uint64_t start, uint64_t length)
{
    switch (planner_add(&v->planner, device->name ? device->name : "", field, start, length, 1, highest_gpa(v))) {
    case PLANNER_OVERFLOW:
        error(v, field, "%#llx + %#llx wraps around", HEX(start), HEX(length));
        break;
    case PLANNER_TOO_HIGH:
        error(v, field, "it ends at %#llx, but guest-physical addresses have %u bits", HEX(start + (length - 1)),
              v->platform->gpa_bits);
        break;
    default:
        break;
    }
}

static void check_device_type(struct validation *v, const struct axvm_emu_config *device)
{
    struct axvm_range_config extra[AXVM_MAX_EMU_CFG] = {{{0}, 0}};
    const char *type = config_emu_type_name(device->type);
    const char *wrong;

    if (!type) {
        error(v, &device->type, "%#x is no type of device", device->type);
        return;
    }
    if (!is_served(v->platform, device->type)) {
        error(v, &device->type, "%#x (%s) is not served yet on %s", device->type, type, v->platform->arch);
        return;
    }
    if (!v->platform->device_check || !device->length) {
        return;
    }
    wrong = v->platform->device_check(v->config, device, extra);
    if (wrong) {
        error(v, &device->base, "%s at %#llx, length %#llx: %s", type, HEX(device->base.v), HEX(device->length), wrong);
        return;
    }
    for (size_t i = 0; i < AXVM_MAX_EMU_CFG; i++) {
        if (extra[i].length) {
            check_device_range(v, device, &device->cfg[i], extra[i].gpa.v, extra[i].length);
        }
    }
}

static void check_device_irq(struct validation *v, size_t index, bool has_controller)
{
    const struct axvm_emu_config *devices = v->config->emu_devices;
    const struct axvm_emu_config *device = &devices[index];

    if (!device->irq) {
        return;
    }
    if (!has_controller) {
        error(v, &device->irq, "%u can't be raised: the VM has no interrupt controller", device->irq);
        return;
    }
    if (device->irq < v->platform->irq_min || device->irq > v->platform->irq_max) {
        error(v, &device->irq, "%u is not in [%u, %u], the interrupts of devices", device->irq, v->platform->irq_min,
              v->platform->irq_max);
    }
    for (size_t i = 0; i < index; i++) {
        if (devices[i].irq == device->irq) {
            error(v, &device->irq, "%u is also the interrupt of device \"%s\"", device->irq,
                  devices[i].name ? devices[i].name : "");
            return;
        }
    }
}

/* Returns whether there is an interrupt controller. */
static bool check_interrupt_controller(struct validation *v)
{
    const struct axvm_config *config = v->config;
    const struct axvm_emu_config *first = NULL;

    for (size_t i = 0; i < count_of(config->emu_devices_count, AXVM_MAX_EMU_DEVICES); i++) {
        const struct axvm_emu_config *device = &config->emu_devices[i];

        if (device->type != AXVM_EMU_INTERRUPT_CONTROLLER) {
            continue;
        }
        if (first) {
            error(v, &device->type, "a second interrupt controller beside \"%s\"", first->name ? first->name : "");
        } else {
            first = device;
        }
    }
    if (config->interrupt_mode == AXVM_IRQ_MODE_PASSTHROUGH) {
        error(v, &config->interrupt_mode, "passthrough is not served yet");
    } else if (config->interrupt_mode == AXVM_IRQ_MODE_EMULATED && !first) {
        error(v, &config->interrupt_mode, "emulated, but emu_devices has no interrupt controller");
    } else if (config->interrupt_mode == AXVM_IRQ_MODE_NONE && first) {
        error(v, &config->interrupt_mode, "no_irq, but emu_devices has the interrupt controller \"%s\"",
              first->name ? first->name : "");
    }
    return first != NULL;
}

static void check_devices(struct validation *v)
{
    const struct axvm_config *config = v->config;
    bool has_controller = check_interrupt_controller(v);

    for (size_t i = 0; i < count_of(config->emu_devices_count, AXVM_MAX_EMU_DEVICES); i++) {
        const struct axvm_emu_config *device = &config->emu_devices[i];

        check_name(v, &device->name, "the device");
        if (!device->length) {
            error(v, &device->length, "the device has no registers: its length is 0");
        } else {
            check_device_range(v, device, &device->base, device->base.v, device->length);
        }
        check_device_type(v, device);
        check_device_irq(v, i, has_controller);
    }
    if (config->passthrough_devices_count) {
        error(v, &config->passthrough_devices_count, "passthrough of devices is not served yet");
    }
    if (config->passthrough_addresses_count) {
        error(v, &config->passthrough_addresses_count, "passthrough of addresses is not served yet");
    }
    if (config->excluded_devices_count) {
        error(v, &config->excluded_devices_count, "nothing can be excluded: passthrough is not served yet");
    }
}

/* ---- Everything side by side ------------------------------------------------------------------------------------- */

static void report_overlap(void *context, const struct planner_range *later, const struct planner_range *earlier)
{
    error(context, later->field, "[%#llx, %#llx] overlaps %s%s%s [%#llx, %#llx]", HEX(later->first), HEX(later->last),
          earlier->name ? "device \"" : "RAM", earlier->name ? earlier->name : "", earlier->name ? "\"" : "",
          HEX(earlier->first), HEX(earlier->last));
}

int axvm_config_validate(const struct axvm_config *config, const struct axvm_platform *platform,
                         const struct axvm_machine *machine, struct axvm_config_report *report)
{
    struct validation v = {.config = config, .platform = platform, .machine = machine, .report = report};

    check_base(&v);
    check_devices(&v); /* before memory: of a device and RAM that overlap, it is the RAM that is reported */
    check_kernel(&v);
    planner_check(&v.planner, report_overlap, &v);
    return v.errors ? AXVM_EINVAL : AXVM_OK;
}
