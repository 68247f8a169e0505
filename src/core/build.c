/* SPDX-License-Identifier: Apache-2.0 */
#include "core/build.h"

#include "core/config_schema.h"
#include "core/device.h"
#include "core/frames.h"
#include "core/guest_fdt.h"
#include "core/memory.h"
#include "lib/log.h"
#include <libfdt.h>
#include <string.h>

typedef unsigned long long ull;

#define LOAD_STEP (UINT64_C(256) << 10) /* of a reset */

/* ---- Configuration ---- */

struct log_report {
    struct axvm_config_report base;
    const char *name;
};

static void log_fault(struct axvm_config_report *report, enum axvm_log_level level, const char *path, const char *text)
{
    const struct log_report *log = (struct log_report *)report;

    log_line(level, "VM \"%s\": %s%s%s", log->name, path, *path != '\0' ? ": " : "", text);
}

static void report_error(struct axvm_config_report *report, const void *field, const char *path, const char *text)
{
    (void)field;
    log_fault(report, AXVM_LOG_ERROR, path, text);
}

static void report_warn(struct axvm_config_report *report, const void *field, const char *path, const char *text)
{
    (void)field;
    log_fault(report, AXVM_LOG_WARN, path, text);
}

static struct log_report log_report(const struct axvm_config *config)
{
    return (struct log_report){{report_error, report_warn}, config->name != NULL ? config->name : ""};
}

static void *alloc_in_arena(void *context, size_t size)
{
    return arena_alloc(context, size);
}

static int configure(struct axvm *vm, struct axvm_config *config)
{
    struct axvm_machine machine = {.pcpu_count = hal->pcpu_count};
    struct log_report report = log_report(config);
    int error;

    axvm_config_complete(config, arch->platform);
    error = axvm_config_validate(config, arch->platform, &machine, &report.base);
    if (error != AXVM_OK) {
        return error;
    }
    error = config_copy(&vm->config, config, alloc_in_arena, &vm->arena);
    return error == AXVM_OK ? AXVM_OK : fail(error, "VM \"%s\": no memory for its configuration", report.name);
}

/* A configuration is too large for a stack: complete it in frames of its own. */
int build_configure(struct axvm *vm, const struct axvm_config *config)
{
    uint64_t size = (sizeof(*config) + AXVM_PAGE_SIZE - 1) & ~(AXVM_PAGE_SIZE - 1);
    struct axvm_config *scratch;
    hpa_t frames;
    int error = frames_take(size, &frames);

    if (error != AXVM_OK) {
        return fail(error, "VM \"%s\": no memory for its configuration", config->name != NULL ? config->name : "");
    }
    scratch = hal->hpa_to_hva(frames);
    *scratch = *config;
    error = configure(vm, scratch);
    frames_give(frames, size);
    return error;
}

/* ---- The structure itself ---- */

struct axvm *build_alloc(void)
{
    struct arena arena = {0};
    struct axvm *vm = arena_alloc(&arena, arch->vm_size);

    if (vm != NULL) {
        vm->arena = arena;
        vm->refs = 1;
        vm->state = AXVM_STATE_LOADING;
    }
    return vm;
}

/* All that init made, but for what is in the arena. */
static void unbuild(struct axvm *vm)
{
    device_forget_all(vm);
    memory_release(vm);
    arch->vm_fini(vm);
}

void build_free(struct axvm *vm)
{
    struct arena arena = vm->arena;

    if (vm->built) {
        unbuild(vm);
    }
    arena_free_all(&arena);
}

/* ---- Images ---- */

/* Of the images only the kernel's format matters; the others are loaded whole. */
static int probe(const struct axvm *vm, struct image images[AXVM_IMAGE_COUNT])
{
    const char *why = "";

    for (unsigned i = 0; i < AXVM_IMAGE_COUNT; i++) {
        images[i] = (struct image){.data = vm->images[i].data, .size = vm->images[i].size};
    }
    if (images[AXVM_IMAGE_KERNEL].data == NULL) {
        return AXVM_OK;
    }
    if (image_probe(vm->images[AXVM_IMAGE_KERNEL].data, vm->images[AXVM_IMAGE_KERNEL].size,
                    &images[AXVM_IMAGE_KERNEL], &why) != AXVM_OK) {
        return fail(AXVM_EINVAL, "VM %u: kernel image: %s", vm->id, why);
    }
    return AXVM_OK;
}

/* Which part of all that is to be loaded, one image after the other. */
struct load {
    struct axvm *vm;
    uint64_t skip; /* so many bytes are loaded already */
    uint64_t room; /* so many may be, now */
    bool more;     /* that wasn't enough */
};

static uint64_t take(uint64_t *from, uint64_t most)
{
    uint64_t part = *from < most ? *from : most;

    *from -= part;
    return part;
}

/* RAM is zeroed when this is called: pieces without content, an ELF's BSS, are there already. */
static int load_piece(void *context, gpa_t to, const void *from, uint64_t size)
{
    struct load *load = context;
    uint64_t skipped = from != NULL ? take(&load->skip, size) : size;
    uint64_t part = take(&load->room, size - skipped);
    int error = AXVM_OK;

    load->more = load->more || skipped + part < size;
    to.v += skipped;
    if (part != 0) {
        error = addrspace_load(&load->vm->as, to, (const char *)from + skipped, part);
    }
    return error == AXVM_OK ? AXVM_OK
                            : fail(error, "VM %u: an image can't be loaded to 0x%llx, 0x%llx bytes", load->vm->id,
                                   (ull)to.v, (ull)part);
}

static int load_whole(struct load *load, const struct image *image, gpa_t at)
{
    return image->data == NULL ? AXVM_OK : load_piece(load, at, image->data, image->size);
}

static int make_fdt(struct axvm *vm, void *buffer, size_t size)
{
    const struct axvm_image *given = &vm->images[AXVM_IMAGE_DTB];

    return given->data != NULL ? guest_fdt_patch(vm, given->data, given->size, buffer, size)
                               : guest_fdt_build(vm, buffer, size);
}

static int load_fdt(struct axvm *vm)
{
    struct load load = {.vm = vm, .room = UINT64_MAX};
    uint64_t size = vm->layout.dtb_size;
    hpa_t frames;
    void *buffer;
    int error;

    if (size == 0) {
        return AXVM_OK;
    }
    error = frames_take(size, &frames);
    if (error != AXVM_OK) {
        return fail(error, "VM %u: no memory to make its device tree in", vm->id);
    }
    buffer = hal->hpa_to_hva(frames);
    memset(buffer, 0, size); /* no stranger's data in the gaps of what the guest gets */
    error = make_fdt(vm, buffer, size);
    if (error == AXVM_OK) {
        error = load_piece(&load, vm->layout.dtb, buffer, fdt_totalsize(buffer) < size ? fdt_totalsize(buffer) : size);
    }
    frames_give(frames, size);
    return error;
}

/* The device tree comes when all else is there. */
static int load_images(struct load *load, const struct image images[AXVM_IMAGE_COUNT])
{
    struct axvm *vm = load->vm;
    int error = load_whole(load, &images[AXVM_IMAGE_BIOS], vm->layout.bios);

    if (error == AXVM_OK && images[AXVM_IMAGE_KERNEL].data != NULL) {
        error = image_load(&images[AXVM_IMAGE_KERNEL], vm->layout.kernel, load_piece, load);
    }
    if (error == AXVM_OK) {
        error = load_whole(load, &images[AXVM_IMAGE_RAMDISK], vm->layout.ramdisk);
    }
    return error == AXVM_OK && !load->more ? load_fdt(vm) : error;
}

/* ---- vCPUs ---- */

static uint64_t phys_id_of(const struct axvm *vm, uint32_t id)
{
    return id < vm->config.phys_cpu_ids_count ? vm->config.phys_cpu_ids[id] : arch->platform->phys_id(id);
}

static int vcpu_create(struct axvm *vm, uint32_t id)
{
    struct axvm_vcpu *vcpu = arena_alloc(&vm->arena, arch->vcpu_size);
    int error;

    if (vcpu == NULL) {
        return fail(AXVM_ENOMEM, "VM %u: no memory for vCPU %u", vm->id, id);
    }
    vcpu->vm = vm;
    vcpu->id = id;
    vcpu->resident_on = -1;
    vcpu->phys_id = phys_id_of(vm, id);
    error = arch->vcpu_init(vcpu);
    if (error == AXVM_OK) {
        vcpu->state = AXVM_VCPU_FREE;
        vm->vcpus[id] = vcpu;
        vm->vcpu_count = id + 1;
    }
    return error;
}

static int vcpus_create(struct axvm *vm)
{
    int error = AXVM_OK;

    for (uint32_t id = 0; id < vm->config.cpu_num && error == AXVM_OK; id++) {
        error = vcpu_create(vm, id);
    }
    return error;
}

/* ---- All of it ---- */

static int build(struct axvm *vm, const struct image images[AXVM_IMAGE_COUNT])
{
    struct load load = {.vm = vm, .room = UINT64_MAX};
    int error = arch->vm_init(vm);

    error = error != AXVM_OK ? error : memory_map_config(vm);
    error = error != AXVM_OK ? error : vcpus_create(vm);
    error = error != AXVM_OK ? error : device_create_all(vm);
    return error != AXVM_OK ? error : load_images(&load, images);
}

int build_all(struct axvm *vm)
{
    struct log_report report = log_report(&vm->config);
    struct image images[AXVM_IMAGE_COUNT];
    int error = probe(vm, images);

    if (error == AXVM_OK) {
        error = layout_plan(&vm->config, arch->platform, images, &report.base, &vm->layout);
    }
    if (error != AXVM_OK) {
        return error;
    }
    error = build(vm, images);
    if (error != AXVM_OK) {
        unbuild(vm);
    }
    return error;
}

/* The next part of the images. */
static int reload_images(struct axvm *vm)
{
    struct load load = {.vm = vm, .skip = vm->reset.loaded, .room = LOAD_STEP};
    struct image images[AXVM_IMAGE_COUNT];
    int error = probe(vm, images);

    if (error == AXVM_OK) {
        error = load_images(&load, images);
    }
    vm->reset.loaded += LOAD_STEP;
    return error == AXVM_OK && load.more ? AXVM_MORE : error;
}

int build_reset(struct axvm *vm)
{
    int error;

    if (addrspace_zero(&vm->as, &vm->reset.zeroed)) {
        return AXVM_MORE;
    }
    error = reload_images(vm);
    if (error != AXVM_OK) {
        return error;
    }
    device_reset_all(vm);
    arch->vm_reset(vm);
    for (uint32_t i = 0; i < vm->vcpu_count; i++) {
        vm->vcpus[i]->power = VCPU_OFF;
        vm->vcpus[i]->requests = 0;
    }
    return AXVM_OK;
}
