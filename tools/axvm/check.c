/* SPDX-License-Identifier: Apache-2.0 */
/* What the library's validator and layout say of each file, and what is wrong between files. */
#include "core/config_schema.h"
#include "core/layout.h"
#include "files.h"
#include "lib/fdt_check.h"
#include "util.h"
#include "vmfile.h"

#include <libfdt.h>
#include <string.h>

#define IMAGE_FILE_MAX GIB(2)

/* ---- The library's findings -------------------------------------------------------------------------------------- */

struct report {
    struct axvm_config_report base;
    struct vm_file *file;
};

static bool is_bad(const struct vm_file *file, const char *section, const char *name)
{
    return file->bad[schema_find(section, name) - schema_keys];
}

/*
 * Say it at the place that the field was written at. A region that stands for `memory` is called that. What could not
 * be read has been complained about; its default is nobody's mistake.
 */
static void found(struct axvm_config_report *report, enum diag_level level, const void *field, const char *path,
                  const char *text)
{
    struct vm_file *file = ((struct report *)report)->file;
    const struct axvm_config *config = &file->complete;
    const void *first_added = &config->memory_regions[file->config.memory_regions_count];
    const void *first_device = &config->emu_devices[0];
    const struct schema_key *key;

    if (field >= first_added && field < (const void *)&config->memory_regions[AXVM_MAX_MEMORY_REGIONS]) {
        field = &config->memory;
        path = "memory";
    } else if (file->config.default_devices && field >= first_device &&
               field < (const void *)&config->emu_devices[AXVM_MAX_EMU_DEVICES]) {
        path = "the usual devices";
    }
    key = vmfile_key(config, field);
    if (key && file->bad[key - schema_keys]) {
        return;
    }
    if (field == &config->memory && is_bad(file, "kernel", "memory_regions")) {
        return;
    }
    file->kernel_trouble |= level == DIAG_ERROR && key && !strcmp(key->section, "kernel");
    diag(level, &file->source, vmfile_place(file, config, field), "%s%s%s", path, *path ? ": " : "", text);
}

static void on_error(struct axvm_config_report *report, const void *field, const char *path, const char *text)
{
    found(report, DIAG_ERROR, field, path, text);
}

static void on_warn(struct axvm_config_report *report, const void *field, const char *path, const char *text)
{
    found(report, DIAG_WARNING, field, path, text);
}

/* ---- Images ------------------------------------------------------------------------------------------------------ */

/* Whether the data is what it should be; *why if not. A kernel may be packed: it is replaced by what it unpacks to. */
static bool look_at_image(enum axvm_image_kind kind, char *data, size_t size, struct image *image, const char **why)
{
    char *reason = NULL;

    if (kind == AXVM_IMAGE_KERNEL && is_gzip(data, size)) {
        data = gunzip(data, size, IMAGE_FILE_MAX, &size, &reason);
        *why = reason;
        if (!data) {
            return false;
        }
    }
    if (kind == AXVM_IMAGE_KERNEL) {
        return image_probe(data, size, image, why) == AXVM_OK;
    }
    if (!size) {
        *why = "it is empty";
        return false;
    }
    if (kind == AXVM_IMAGE_DTB && fdt_check_guest(data, size)) {
        *why = fdt_check_sound(data, size) ? "it is no sound device tree"
                                           : "its #address-cells or #size-cells aren't 1 or 2, or its names too many";
        return false;
    }
    *image = (struct image){.data = (const uint8_t *)data, .size = size, .memory_size = size};
    return true;
}

/* NULL, or what is wrong. */
static char *read_image(struct vm_file *file, enum axvm_image_kind kind)
{
    const char *given = vmfile_image_path(&file->config, kind);
    const char *why;
    char *reason;
    char *path;
    char *data;
    size_t size;

    if (!*given) {
        return xprintf("the path is empty");
    }
    path = path_beside(file->source.path, given);
    data = file_read(path, IMAGE_FILE_MAX, &size, &reason);
    if (!data) {
        return reason;
    }
    return look_at_image(kind, data, size, &file->images[kind], &why) ? NULL : xprintf("%s: %s", path, why);
}

static void read_images(struct vm_file *file)
{
    const void *const fields[AXVM_IMAGE_COUNT] = {
        [AXVM_IMAGE_KERNEL] = &file->config.kernel_path,
        [AXVM_IMAGE_BIOS] = &file->config.bios_path,
        [AXVM_IMAGE_DTB] = &file->config.dtb_path,
        [AXVM_IMAGE_RAMDISK] = &file->config.ramdisk_path,
    };

    for (unsigned kind = 0; kind < AXVM_IMAGE_COUNT; kind++) {
        char *wrong = vmfile_image_path(&file->config, kind) ? read_image(file, kind) : NULL;
        char name[32];

        if (wrong) {
            schema_path(&file->config, fields[kind], name, sizeof(name));
            diag(DIAG_ERROR, &file->source, vmfile_place(file, &file->config, fields[kind]), "%s: %s", name, wrong);
            file->kernel_trouble = true;
        }
    }
}

/* ---- The architecture -------------------------------------------------------------------------------------------- */

/* What the file's kernel is for; NULL: there is none, or it doesn't tell. */
static const struct target *kernel_target(const struct vm_file *file)
{
    return target_of_elf(file->images[AXVM_IMAGE_KERNEL].elf_machine);
}

/*
 * Unless an architecture was asked for, the first kernel that is for one tells it for all the files that don't. Kernels
 * for several are one mistake, so each of these files is otherwise checked as what it is.
 */
static void find_targets(struct vm_file *files, unsigned count, const struct target *asked)
{
    const struct vm_file *first = NULL;

    for (unsigned i = 0; i < count && !first; i++) {
        first = kernel_target(&files[i]) ? &files[i] : NULL;
    }
    for (unsigned i = 0; i < count; i++) {
        struct vm_file *file = &files[i];
        const struct target *own = kernel_target(file);
        struct toml_place at, first_at;

        file->target = asked ? asked : own ? own : first ? kernel_target(first) : target_default();
        if (asked || !own || own == kernel_target(first)) {
            continue;
        }
        at = vmfile_place(file, &file->config, &file->config.kernel_path);
        first_at = vmfile_place(first, &first->config, &first->config.kernel_path);
        diag(DIAG_ERROR, &file->source, at, "kernel_path: the kernel is for %s, but that of %s:%u:%u is for %s",
             own->platform->arch, first->source.path, first_at.line, first_at.column,
             kernel_target(first)->platform->arch);
    }
}

/* ---- One file ---------------------------------------------------------------------------------------------------- */

static void check_file(struct vm_file *file, const struct axvm_machine *machine)
{
    const struct axvm_platform *platform = file->target->platform;
    struct report report = {{on_error, on_warn}, file};
    struct layout layout;

    file->complete = file->config;
    axvm_config_complete(&file->complete, platform);
    axvm_config_validate(&file->complete, platform, machine, &report.base);
    if (!file->config.kernel_path && !file->config.bios_path) {
        on_error(&report.base, &file->complete.kernel_path, "kernel_path", "the VM has nothing to run");
    }
    file->kernel_trouble |= is_bad(file, "kernel", "memory") || is_bad(file, "kernel", "memory_regions");
    if (!file->kernel_trouble) {
        layout_plan(&file->complete, platform, file->images, &report.base, &layout);
    }
}

/* ---- Between files ----------------------------------------------------------------------------------------------- */

static void check_pair(const struct vm_file *first, const struct vm_file *second)
{
    const struct axvm_config *a = &first->config, *b = &second->config;

    if (a->id.given && b->id.given && a->id.value == b->id.value) {
        diag(DIAG_ERROR, &second->source, vmfile_place(second, b, &b->id), "id: %llu is also that of %s",
             (unsigned long long)b->id.value, first->source.path);
    }
    if (a->name && b->name && !strcmp(a->name, b->name)) {
        diag(DIAG_ERROR, &second->source, vmfile_place(second, b, &b->name), "name: \"%s\" is also that of %s", b->name,
             first->source.path);
    }
}

static bool overlap(const struct axvm_mem_config *a, const struct axvm_mem_config *b)
{
    return a->gpa.v < b->gpa.v + b->size && b->gpa.v < a->gpa.v + a->size;
}

/* Map types 1 and 2 are host memory at the same address: two VMs would write to the same RAM. */
static void check_pair_memory(const struct vm_file *first, const struct vm_file *second)
{
    for (size_t i = 0; i < second->complete.memory_regions_count; i++) {
        const struct axvm_mem_config *mine = &second->complete.memory_regions[i];

        for (size_t j = 0; mine->map_type != AXVM_MAP_ALLOC && j < first->complete.memory_regions_count; j++) {
            const struct axvm_mem_config *other = &first->complete.memory_regions[j];

            if (other->map_type != AXVM_MAP_ALLOC && overlap(mine, other)) {
                diag(DIAG_ERROR, &second->source, vmfile_place(second, &second->complete, mine),
                     "memory_regions[%zu]: the same host memory as memory_regions[%zu] of %s", i, j,
                     first->source.path);
            }
        }
    }
}

static uint64_t memory_taken(const struct vm_file *file)
{
    uint64_t taken = 0;

    for (size_t i = 0; i < file->complete.memory_regions_count; i++) {
        const struct axvm_mem_config *region = &file->complete.memory_regions[i];

        taken += region->map_type == AXVM_MAP_RESERVED || region->lazy ? 0 : region->size;
    }
    for (unsigned kind = 0; kind < AXVM_IMAGE_COUNT; kind++) {
        taken += file->images[kind].size;
    }
    return taken;
}

/* Sums can't wrap: each VM alone has been found to fit, and files are at most IMAGE_FILE_MAX. */
static void check_memory(const struct vm_file *files, unsigned count, const struct axvm_machine *machine)
{
    const struct toml_place whole = {0, 0};
    uint64_t taken = 0;

    for (unsigned i = 0; i < count; i++) {
        taken += memory_taken(&files[i]);
    }
    if (machine->memory && taken > machine->memory) {
        diag(DIAG_ERROR, &files[count - 1].source, whole,
             "the VMs' memory and images take %llu MiB, but the machine has %llu MiB",
             (unsigned long long)((taken + MIB(1) - 1) >> 20), (unsigned long long)(machine->memory >> 20));
    }
}

struct vm_file *vmfiles_check(const char *const *paths, unsigned count, const struct target *asked,
                              const struct axvm_machine *machine)
{
    struct vm_file *files = xalloc(count * sizeof(*files));
    bool wrong;

    for (unsigned i = 0; i < count; i++) {
        vmfile_read(&files[i], paths[i], i);
        if (files[i].root) {
            read_images(&files[i]);
        }
    }
    find_targets(files, count, asked);
    for (unsigned i = 0; i < count; i++) {
        if (files[i].root) {
            check_file(&files[i], machine);
        }
        for (unsigned j = 0; j < i; j++) {
            check_pair(&files[j], &files[i]);
        }
    }
    for (unsigned i = 0; i < count && !diag_errors(); i++) {
        for (unsigned j = 0; j < i; j++) {
            check_pair_memory(&files[j], &files[i]);
        }
    }
    if (!diag_errors()) {
        check_memory(files, count, machine);
    }
    wrong = diag_errors() != 0;
    diag_print();
    return wrong ? NULL : files;
}
