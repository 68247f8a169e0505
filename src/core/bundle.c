/* SPDX-License-Identifier: Apache-2.0 */
#include "core/bundle.h"

#include "core/config_schema.h"
#include "lib/fdt_check.h"
#include "lib/log.h"

#include <libfdt.h>
#include <string.h>

const char *const bundle_image_names[AXVM_IMAGE_COUNT] = {
    [AXVM_IMAGE_KERNEL] = "kernel",
    [AXVM_IMAGE_BIOS] = "bios",
    [AXVM_IMAGE_DTB] = "dtb",
    [AXVM_IMAGE_RAMDISK] = "ramdisk",
};

uint32_t bundle_crc32(uint32_t crc, const void *data, size_t size)
{
    /* Four bits a step, polynomial 0xedb88320: a table of a whole byte would be 1 KiB. */
    static const uint32_t table[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
        0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    const uint8_t *byte = data;

    crc = ~crc;
    for (size_t i = 0; i < size; i++) {
        crc = crc >> 4 ^ table[(crc ^ byte[i]) & 0xf];
        crc = crc >> 4 ^ table[(crc ^ byte[i] >> 4) & 0xf];
    }
    return ~crc;
}

/* ---- Properties -------------------------------------------------------------------------------------------------- */

static bool read_number(const void *fdt, int node, const char *name, size_t size, uint64_t *value)
{
    int length;
    const uint8_t *data = fdt_getprop(fdt, node, name, &length);

    if (!data || (size_t)length != size) {
        return false;
    }
    *value = 0;
    for (size_t i = 0; i < size; i++) {
        *value = *value << 8 | data[i];
    }
    return true;
}

static const char *read_string(const void *fdt, int node, const char *name)
{
    int length;
    const char *text = fdt_getprop(fdt, node, name, &length);

    return text && length > 0 && text[length - 1] == '\0' ? text : NULL;
}

/* ---- The head ---------------------------------------------------------------------------------------------------- */

static int check_crc(const void *fdt)
{
    static const uint8_t zero[4];
    const uint8_t *bytes = fdt;
    size_t total = fdt_totalsize(fdt);
    const uint8_t *stored = fdt_getprop(fdt, 0, "header-crc32", NULL);
    uint64_t expected;
    size_t before;
    uint32_t crc;

    if (!read_number(fdt, 0, "header-crc32", sizeof(zero), &expected)) {
        return fail(AXVM_EINVAL, "bundle: header-crc32 is missing");
    }
    before = (size_t)(stored - bytes);
    crc = bundle_crc32(0, bytes, before);
    crc = bundle_crc32(crc, zero, sizeof(zero));
    crc = bundle_crc32(crc, stored + sizeof(zero), total - before - sizeof(zero));
    if (crc != expected) {
        return fail(AXVM_EINVAL, "bundle: damaged: the head's checksum is %#x, should be %#x", crc, (uint32_t)expected);
    }
    return AXVM_OK;
}

static bool is_vm(const void *fdt, int node)
{
    return !strncmp(fdt_get_name(fdt, node, NULL), "vm@", 3);
}

static int count_vms(struct bundle *bundle)
{
    int node;

    bundle->vm_count = 0;
    fdt_for_each_subnode(node, bundle->data, 0) {
        if (is_vm(bundle->data, node)) {
            bundle->vm_count++;
        }
    }
    if (bundle->vm_count > BUNDLE_MAX_VMS) {
        return fail(AXVM_EINVAL, "bundle: %u VMs are more than %u", bundle->vm_count, BUNDLE_MAX_VMS);
    }
    return AXVM_OK;
}

int bundle_open(struct bundle *bundle, const void *data, size_t size)
{
    const char *compatible;
    uint64_t version, total;
    int error;

    *bundle = (struct bundle){.data = data, .size = size};
    if ((uintptr_t)data % 8) {
        return fail(AXVM_EINVAL, "bundle: not aligned to 8 bytes");
    }
    error = fdt_check_sound(data, size);
    if (error) {
        return fail(AXVM_EINVAL, "bundle: no sound device tree in %zu bytes: %s", size, fdt_strerror(error));
    }
    compatible = read_string(data, 0, "compatible");
    if (!compatible || strcmp(compatible, "axvm,bundle")) {
        return fail(AXVM_EINVAL, "bundle: not a bundle: compatible is \"%s\"", compatible ? compatible : "");
    }
    if (!read_number(data, 0, "version", 4, &version) || version != BUNDLE_VERSION) {
        return fail(AXVM_EINVAL, "bundle: not of version %u", BUNDLE_VERSION);
    }
    bundle->arch = read_string(data, 0, "arch");
    if (!bundle->arch || !read_number(data, 0, "total-size", 8, &total)) {
        return fail(AXVM_EINVAL, "bundle: arch or total-size is missing");
    }
    if (total > size) {
        return fail(AXVM_EINVAL, "bundle: truncated: %zu bytes of %llu", size, (unsigned long long)total);
    }
    error = check_crc(data);
    return error ? error : count_vms(bundle);
}

/* ---- Configuration ----------------------------------------------------------------------------------------------- */

/* What is left of a property. */
struct cursor {
    const uint8_t *at;
    size_t left;
};

static bool take_number(struct cursor *cursor, uint64_t *value)
{
    if (cursor->left < sizeof(*value)) {
        return false;
    }
    *value = 0;
    for (size_t i = 0; i < sizeof(*value); i++) {
        *value = *value << 8 | cursor->at[i];
    }
    cursor->at += sizeof(*value);
    cursor->left -= sizeof(*value);
    return true;
}

static bool take_string(struct cursor *cursor, const char **text)
{
    size_t length = strnlen((const char *)cursor->at, cursor->left);

    if (length == cursor->left) {
        return false;
    }
    *text = (const char *)cursor->at;
    cursor->at += length + 1;
    cursor->left -= length + 1;
    return true;
}

static bool is_choice(const struct schema_field *field, uint64_t value)
{
    for (const struct schema_choice *choice = field->choices; choice->word; choice++) {
        if (choice->value == value) {
            return true;
        }
    }
    return false;
}

static bool take_field(struct cursor *cursor, const struct schema_field *field, void *object);

static bool take_list(struct cursor *cursor, const struct schema_field *field, void *object)
{
    uint64_t count;

    if (!take_number(cursor, &count) || count > field->max) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        for (unsigned c = 0; c < field->column_count; c++) {
            if (!take_field(cursor, &field->columns[c], schema_element(field, object, i))) {
                return false;
            }
        }
    }
    schema_set_count(field, object, (size_t)count);
    return true;
}

/* Recursion ends with the schema's tables: a list of rows with a list in them. */
static bool take_field(struct cursor *cursor, const struct schema_field *field, void *object)
{
    const char *text;
    uint64_t value;

    switch (field->type) {
    case SCHEMA_UNSERVED:
        return false;
    case SCHEMA_LIST:
        return take_list(cursor, field, object);
    case SCHEMA_STRING:
        if (!take_string(cursor, &text)) {
            return false;
        }
        schema_set_string(field, object, text);
        return true;
    default:
        return take_number(cursor, &value) && (field->type != SCHEMA_CHOICE || is_choice(field, value)) &&
               schema_set(field, object, value);
    }
}

static int read_section(const struct bundle *bundle, int node, const char *section, struct axvm_config *config)
{
    int property;

    fdt_for_each_property_offset(property, bundle->data, node) {
        const char *name;
        int length;
        const void *data = fdt_getprop_by_offset(bundle->data, property, &name, &length);
        const struct schema_key *key = data ? schema_find(section, name) : NULL;
        struct cursor cursor = {data, data ? (size_t)length : 0};

        if (!key) {
            return fail(AXVM_EINVAL, "bundle: unknown key in [%s]: %s", section, data ? name : "");
        }
        if (!take_field(&cursor, &key->field, config) || cursor.left) {
            return fail(AXVM_EINVAL, "bundle: %s.%s is damaged", section, name);
        }
        schema_mark_given(key, config);
    }
    return AXVM_OK;
}

/* ---- Images ------------------------------------------------------------------------------------------------------ */

static int read_image(const struct bundle *bundle, int node, const char *name, struct bundle_image *image)
{
    const void *fdt = bundle->data;
    uint64_t offset, size, crc;

    image->file = read_string(fdt, node, "file");
    if (!image->file || !read_number(fdt, node, "data-offset", 8, &offset) ||
        !read_number(fdt, node, "data-size", 8, &size) || !read_number(fdt, node, "crc32", 4, &crc)) {
        return fail(AXVM_EINVAL, "bundle: the description of the %s image is damaged", name);
    }
    if (!size || offset % AXVM_PAGE_SIZE || offset < fdt_totalsize(fdt) || offset > bundle->size ||
        size > bundle->size - offset) {
        return fail(AXVM_EINVAL, "bundle: %s image: no %llu bytes at %#llx", name, (unsigned long long)size,
                    (unsigned long long)offset);
    }
    image->data = bundle->data + offset;
    image->size = (size_t)size;
    image->crc32 = (uint32_t)crc;
    return AXVM_OK;
}

static int read_images(const struct bundle *bundle, int node, struct bundle_image images[AXVM_IMAGE_COUNT])
{
    int error = AXVM_OK;

    for (unsigned kind = 0; kind < AXVM_IMAGE_COUNT && !error; kind++) {
        int image = fdt_subnode_offset(bundle->data, node, bundle_image_names[kind]);

        if (image >= 0) {
            error = read_image(bundle, image, bundle_image_names[kind], &images[kind]);
        }
    }
    return error;
}

/* What the configuration names must be there: otherwise the guest would silently start without. */
static int check_complete(const struct axvm_config *config, const struct bundle_image images[AXVM_IMAGE_COUNT])
{
    const char *const paths[AXVM_IMAGE_COUNT] = {
        [AXVM_IMAGE_KERNEL] = config->kernel_path,
        [AXVM_IMAGE_BIOS] = config->bios_path,
        [AXVM_IMAGE_DTB] = config->dtb_path,
        [AXVM_IMAGE_RAMDISK] = config->ramdisk_path,
    };

    for (unsigned kind = 0; kind < AXVM_IMAGE_COUNT; kind++) {
        if (paths[kind] && !images[kind].data) {
            return fail(AXVM_EINVAL, "bundle: %s has no data", paths[kind]);
        }
    }
    return AXVM_OK;
}

/* ---- A VM -------------------------------------------------------------------------------------------------------- */

static int find_vm(const struct bundle *bundle, unsigned index)
{
    int node;

    fdt_for_each_subnode(node, bundle->data, 0) {
        if (is_vm(bundle->data, node) && !index--) {
            return node;
        }
    }
    return -FDT_ERR_NOTFOUND;
}

int bundle_vm(const struct bundle *bundle, unsigned index, struct axvm_config *config,
              struct bundle_image images[AXVM_IMAGE_COUNT])
{
    int vm = find_vm(bundle, index);
    int error = AXVM_OK;
    int node;

    axvm_config_init(config);
    memset(images, 0, AXVM_IMAGE_COUNT * sizeof(images[0]));
    if (vm < 0) {
        return AXVM_ENOENT;
    }
    fdt_for_each_subnode(node, bundle->data, vm) {
        const char *name = fdt_get_name(bundle->data, node, NULL);

        error = strcmp(name, "images") ? read_section(bundle, node, name, config) : read_images(bundle, node, images);
        if (error) {
            return error;
        }
    }
    return check_complete(config, images);
}
