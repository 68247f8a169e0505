/* SPDX-License-Identifier: Apache-2.0 */
/* The other direction of bundle.c. No hypervisor needs it; the command line and the tests do. */
#include "core/bundle.h"
#include "core/config_schema.h"

#include <libfdt.h>
#include <stdio.h>
#include <string.h>

/* Where an encoded value goes: written if `at` is not NULL, and counted. */
struct sink {
    uint8_t *at;
    size_t used;
};

static void put_bytes(struct sink *sink, const void *bytes, size_t size)
{
    if (sink->at) {
        memcpy(sink->at + sink->used, bytes, size);
    }
    sink->used += size;
}

static void put_number(struct sink *sink, uint64_t value)
{
    uint8_t bytes[8];

    for (unsigned i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)(value >> (56 - 8 * i));
    }
    put_bytes(sink, bytes, sizeof(bytes));
}

static void put_string(struct sink *sink, const char *text)
{
    const char *given = text ? text : "";

    put_bytes(sink, given, strlen(given) + 1);
}

static void put_field(struct sink *sink, const struct schema_field *field, const void *object)
{
    size_t count;

    switch (field->type) {
    case SCHEMA_UNSERVED:
        break;
    case SCHEMA_STRING:
        put_string(sink, schema_get_string(field, object));
        break;
    case SCHEMA_LIST:
        count = schema_count(field, object);
        put_number(sink, count);
        for (size_t i = 0; i < count; i++) {
            for (unsigned c = 0; c < field->column_count; c++) {
                put_field(sink, &field->columns[c], schema_const_element(field, object, i));
            }
        }
        break;
    default:
        put_number(sink, schema_get(field, object));
        break;
    }
}

static int write_key(void *fdt, const struct schema_field *field, const struct axvm_config *config)
{
    struct sink sink = {NULL, 0};
    void *data;
    int error;

    put_field(&sink, field, config);
    if (sink.used > INT32_MAX) {
        return -FDT_ERR_NOSPACE;
    }
    error = fdt_property_placeholder(fdt, field->name, (int)sink.used, &data);
    if (error) {
        return error;
    }
    sink = (struct sink){data, 0};
    put_field(&sink, field, config);
    return 0;
}

/* The schema has the keys of a section together. */
static int write_config(void *fdt, const struct axvm_config *config)
{
    const char *section = NULL;
    int error = 0;

    for (size_t i = 0; i < schema_key_count && !error; i++) {
        const struct schema_key *key = &schema_keys[i];

        if (!section || strcmp(section, key->section)) {
            error = section ? fdt_end_node(fdt) : 0;
            error = error ? error : fdt_begin_node(fdt, key->section);
            section = key->section;
        }
        if (!error && schema_is_given(key, config)) {
            error = write_key(fdt, &key->field, config);
        }
    }
    return error ? error : fdt_end_node(fdt);
}

static uint64_t page_up(uint64_t value)
{
    return (value + (AXVM_PAGE_SIZE - 1)) & ~(AXVM_PAGE_SIZE - 1);
}

static int write_text(void *fdt, const char *name, const char *text)
{
    return fdt_property(fdt, name, text, (int)strlen(text) + 1);
}

static int write_image(void *fdt, const char *name, const struct bundle_image *image, uint64_t offset)
{
    int error = fdt_begin_node(fdt, name);

    error = error ? error : fdt_property_u64(fdt, "data-offset", offset);
    error = error ? error : fdt_property_u64(fdt, "data-size", image->size);
    error = error ? error : fdt_property_u32(fdt, "crc32", image->crc32);
    error = error ? error : write_text(fdt, "file", image->file);
    return error ? error : fdt_end_node(fdt);
}

/* *end: where the last image ended, and where this VM's last one does. */
static int write_vm(void *fdt, unsigned index, const struct bundle_source *vm, uint64_t *end)
{
    char name[16];
    int error;

    snprintf(name, sizeof(name), "vm@%u", index);
    error = fdt_begin_node(fdt, name);
    error = error ? error : write_config(fdt, vm->config);
    error = error ? error : fdt_begin_node(fdt, "images");
    for (unsigned kind = 0; kind < AXVM_IMAGE_COUNT && !error; kind++) {
        if (!vm->images[kind].data) {
            continue;
        }
        error = write_image(fdt, bundle_image_names[kind], &vm->images[kind], page_up(*end));
        *end = page_up(*end) + vm->images[kind].size;
    }
    error = error ? error : fdt_end_node(fdt);
    return error ? error : fdt_end_node(fdt);
}

static uint64_t total_size(uint64_t head, const struct bundle_source *vms, unsigned count)
{
    uint64_t end = head;

    for (unsigned i = 0; i < count; i++) {
        for (unsigned kind = 0; kind < AXVM_IMAGE_COUNT; kind++) {
            if (vms[i].images[kind].data) {
                end = page_up(end) + vms[i].images[kind].size;
            }
        }
    }
    return end;
}

static int write_tree(void *fdt, size_t size, const char *arch, const struct bundle_source *vms, unsigned count,
                      uint64_t total)
{
    uint64_t end = size;
    int error = fdt_create(fdt, (int)size);

    error = error ? error : fdt_finish_reservemap(fdt);
    error = error ? error : fdt_begin_node(fdt, "");
    error = error ? error : write_text(fdt, "compatible", "axvm,bundle");
    error = error ? error : fdt_property_u32(fdt, "version", BUNDLE_VERSION);
    error = error ? error : write_text(fdt, "arch", arch);
    error = error ? error : fdt_property_u64(fdt, "total-size", total);
    error = error ? error : fdt_property_u32(fdt, "header-crc32", 0);
    for (unsigned i = 0; i < count && !error; i++) {
        error = write_vm(fdt, i, &vms[i], &end);
    }
    error = error ? error : fdt_end_node(fdt);
    return error ? error : fdt_finish(fdt);
}

int bundle_write_head(void *head, size_t size, const char *arch, const struct bundle_source *vms, unsigned count,
                      uint64_t *total)
{
    uint8_t *bytes = head;
    size_t used;
    uint32_t crc;

    if (!size || size > INT32_MAX || size % AXVM_PAGE_SIZE || count > BUNDLE_MAX_VMS) {
        return AXVM_EINVAL;
    }
    *total = total_size(size, vms, count);
    if (write_tree(head, size, arch, vms, count, *total)) {
        return AXVM_ENOMEM;
    }
    used = fdt_totalsize(head);
    memset(bytes + used, 0, size - used);
    crc = bundle_crc32(0, head, used);
    return fdt_setprop_inplace_u32(head, 0, "header-crc32", crc) ? AXVM_EINVAL : AXVM_OK;
}
