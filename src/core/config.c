/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/log.h"

#include <axvm/config.h>
#include <string.h>

void axvm_config_init(struct axvm_config *config)
{
    *config = (struct axvm_config){
        .vm_type = AXVM_TYPE_RTOS,
        .cpu_num = 1,
        .image_location = AXVM_IMAGES_IN_MEMORY,
        .default_devices = true,
    };
}

/* ---- Completing -------------------------------------------------------------------------------------------------- */

/* `memory` becomes one more region. If there is no room for it, it stays, and the validator says so. */
static void complete_memory(struct axvm_config *config, const struct axvm_platform *platform)
{
    if (!config->memory || config->memory_regions_count >= AXVM_MAX_MEMORY_REGIONS) {
        return;
    }
    config->memory_regions[config->memory_regions_count++] = (struct axvm_mem_config){
        .gpa = platform->ram_base,
        .size = config->memory,
        .flags = AXVM_MEM_RWX,
        .map_type = AXVM_MAP_ALLOC,
        .lazy = config->lazy,
    };
    config->memory = 0;
}

/* The usual set; without interrupts, if the VM is to have none. */
static void complete_default_devices(struct axvm_config *config, const struct axvm_platform *platform)
{
    bool silent = config->interrupt_mode == AXVM_IRQ_MODE_NONE;

    if (!config->default_devices) {
        return;
    }
    config->default_devices = false;
    config->emu_devices_count = 0;
    for (size_t i = 0; i < platform->devices_count && i < AXVM_MAX_EMU_DEVICES; i++) {
        struct axvm_emu_config device = platform->devices[i];

        if (silent && device.type == AXVM_EMU_INTERRUPT_CONTROLLER) {
            continue;
        }
        if (silent) {
            device.irq = 0;
        }
        config->emu_devices[config->emu_devices_count++] = device;
    }
}

/* A device without cfg gets that of the usual device of its type. */
static void complete_device_cfg(struct axvm_emu_config *device, const struct axvm_platform *platform)
{
    for (size_t i = 0; i < platform->devices_count && !device->cfg_count; i++) {
        if (platform->devices[i].type == device->type) {
            memcpy(device->cfg, platform->devices[i].cfg, sizeof(device->cfg));
            device->cfg_count = platform->devices[i].cfg_count;
        }
    }
}

static bool has_interrupt_controller(const struct axvm_config *config)
{
    for (size_t i = 0; i < config->emu_devices_count && i < AXVM_MAX_EMU_DEVICES; i++) {
        if (config->emu_devices[i].type == AXVM_EMU_INTERRUPT_CONTROLLER) {
            return true;
        }
    }
    return false;
}

void axvm_config_complete(struct axvm_config *config, const struct axvm_platform *platform)
{
    complete_memory(config, platform);
    complete_default_devices(config, platform);
    for (size_t i = 0; i < config->emu_devices_count && i < AXVM_MAX_EMU_DEVICES; i++) {
        complete_device_cfg(&config->emu_devices[i], platform);
    }
    if (config->interrupt_mode == AXVM_IRQ_MODE_DEFAULT) {
        config->interrupt_mode = has_interrupt_controller(config) ? AXVM_IRQ_MODE_EMULATED : AXVM_IRQ_MODE_NONE;
    }
}

/* ---- Getters and setters ----------------------------------------------------------------------------------------- */

size_t axvm_config_get_vcpu_affinities(const struct axvm_config *config, const struct axvm_platform *platform,
                                       struct axvm_vcpu_affinity affinities[AXVM_MAX_VCPUS])
{
    uint32_t count = config->cpu_num < AXVM_MAX_VCPUS ? config->cpu_num : AXVM_MAX_VCPUS;

    for (uint32_t i = 0; i < count; i++) {
        affinities[i] = (struct axvm_vcpu_affinity){
            .vcpu_id = i,
            .pcpu_set = i < config->phys_cpu_sets_count ? config->phys_cpu_sets[i] : UINT64_MAX,
            .phys_id = i < config->phys_cpu_ids_count ? config->phys_cpu_ids[i] : platform->phys_id(i),
        };
    }
    return count;
}

void axvm_config_set_guest_cpu_sets(struct axvm_config *config, const uint64_t *sets, size_t count)
{
    config->phys_cpu_sets_count = count < AXVM_MAX_VCPUS ? count : AXVM_MAX_VCPUS;
    for (size_t i = 0; i < config->phys_cpu_sets_count; i++) {
        config->phys_cpu_sets[i] = sets[i];
    }
}

static int full(const char *list, unsigned max)
{
    return fail(AXVM_ENOMEM, "%s: no room for more than %u", list, max);
}

int axvm_config_add_memory_region(struct axvm_config *config, const struct axvm_mem_config *region)
{
    if (config->memory_regions_count >= AXVM_MAX_MEMORY_REGIONS) {
        return full("memory_regions", AXVM_MAX_MEMORY_REGIONS);
    }
    config->memory_regions[config->memory_regions_count++] = *region;
    return AXVM_OK;
}

/* How many bytes of [start, start + size) some region holds from `start` on. */
static uint64_t bytes_held(const struct axvm_config *config, uint64_t start, uint64_t size)
{
    uint64_t held = 0;

    for (size_t i = 0; i < config->memory_regions_count && i < AXVM_MAX_MEMORY_REGIONS; i++) {
        const struct axvm_mem_config *region = &config->memory_regions[i];
        uint64_t inside = start - region->gpa.v;

        if (start >= region->gpa.v && inside < region->size && region->size - inside > held) {
            held = region->size - inside;
        }
    }
    return held < size ? held : size;
}

bool axvm_config_contains_memory_range(const struct axvm_config *config, gpa_t start, uint64_t size)
{
    uint64_t left = size;
    uint64_t from = start.v;

    if (!size || size - 1 > UINT64_MAX - start.v) {
        return false;
    }
    while (left) { /* at most once for each region: every turn leaves the one that reaches furthest */
        uint64_t held = bytes_held(config, from, left);

        if (!held) {
            return false;
        }
        from += held;
        left -= held;
    }
    return true;
}

int axvm_config_add_emu_device(struct axvm_config *config, const struct axvm_emu_config *device)
{
    if (config->emu_devices_count >= AXVM_MAX_EMU_DEVICES) {
        return full("emu_devices", AXVM_MAX_EMU_DEVICES);
    }
    config->default_devices = false;
    config->emu_devices[config->emu_devices_count++] = *device;
    return AXVM_OK;
}

int axvm_config_add_passthrough_device(struct axvm_config *config, const struct axvm_passthrough_config *device)
{
    if (config->passthrough_devices_count >= AXVM_MAX_PASSTHROUGH_DEVICES) {
        return full("passthrough_devices", AXVM_MAX_PASSTHROUGH_DEVICES);
    }
    config->passthrough_devices[config->passthrough_devices_count++] = *device;
    return AXVM_OK;
}

int axvm_config_remove_passthrough_device(struct axvm_config *config, const char *name)
{
    size_t kept = 0;
    size_t count = config->passthrough_devices_count;

    for (size_t i = 0; i < count; i++) {
        if (strcmp(config->passthrough_devices[i].name, name)) {
            config->passthrough_devices[kept++] = config->passthrough_devices[i];
        }
    }
    config->passthrough_devices_count = kept;
    if (kept == count) {
        return fail(AXVM_ENOENT, "passthrough_devices: there is no \"%s\"", name);
    }
    return AXVM_OK;
}

void axvm_config_clear_passthrough_devices(struct axvm_config *config)
{
    config->passthrough_devices_count = 0;
}

int axvm_config_add_passthrough_address(struct axvm_config *config, gpa_t start, uint64_t length)
{
    if (config->passthrough_addresses_count >= AXVM_MAX_PASSTHROUGH_ADDRESSES) {
        return full("passthrough_addresses", AXVM_MAX_PASSTHROUGH_ADDRESSES);
    }
    config->passthrough_addresses[config->passthrough_addresses_count++] = (struct axvm_range_config){start, length};
    return AXVM_OK;
}

int axvm_config_add_excluded_device(struct axvm_config *config, const char *path)
{
    if (config->excluded_devices_count >= AXVM_MAX_EXCLUDED_DEVICES) {
        return full("excluded_devices", AXVM_MAX_EXCLUDED_DEVICES);
    }
    config->excluded_devices[config->excluded_devices_count++] = path;
    return AXVM_OK;
}
