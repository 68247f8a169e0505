/* SPDX-License-Identifier: Apache-2.0 */
#include "core/config_schema.h"

#include <stdio.h>
#include <string.h>

#define MEMBER(type_, member_) .offset = offsetof(type_, member_), .size = sizeof(((type_ *)0)->member_)
#define LIST(type_, member_, columns_)                                                                                 \
    .type = SCHEMA_LIST, .offset = offsetof(type_, member_), .size = sizeof(((type_ *)0)->member_[0]),                 \
    .max = sizeof(((type_ *)0)->member_) / sizeof(((type_ *)0)->member_[0]),                                           \
    .count_offset = offsetof(type_, member_##_count), .columns = (columns_),                                           \
    .column_count = sizeof(columns_) / sizeof((columns_)[0])

static const struct schema_choice image_locations[] = {
    {"memory", AXVM_IMAGES_IN_MEMORY},
    {"fs", AXVM_IMAGES_IN_FS},
    {NULL, 0},
};

static const struct schema_choice interrupt_modes[] = {
    {"no_irq", AXVM_IRQ_MODE_NONE},
    {"no", AXVM_IRQ_MODE_NONE},
    {"none", AXVM_IRQ_MODE_NONE},
    {"emulated", AXVM_IRQ_MODE_EMULATED},
    {"emu", AXVM_IRQ_MODE_EMULATED},
    {"passthrough", AXVM_IRQ_MODE_PASSTHROUGH},
    {"pt", AXVM_IRQ_MODE_PASSTHROUGH},
    {NULL, 0},
};

static const struct schema_field number_column[] = {
    {.type = SCHEMA_INT, .offset = 0, .size = sizeof(uint64_t)},
};

static const struct schema_field string_column[] = {
    {.type = SCHEMA_STRING, .offset = 0, .size = sizeof(char *)},
};

#define REGION(member_) MEMBER(struct axvm_mem_config, member_)
static const struct schema_field region_columns[] = {
    {.name = "gpa", .type = SCHEMA_INT, REGION(gpa)},
    {.name = "size", .type = SCHEMA_SIZE, REGION(size)},
    {.name = "flags", .type = SCHEMA_INT, REGION(flags)},
    {.name = "map_type", .type = SCHEMA_INT, REGION(map_type)},
    {.name = "lazy", .type = SCHEMA_BOOL, REGION(lazy), .optional = true},
};

#define EMU(member_) MEMBER(struct axvm_emu_config, member_)
static const struct schema_field emu_columns[] = {
    {.name = "name", .type = SCHEMA_STRING, EMU(name)},
    {.name = "base", .type = SCHEMA_INT, EMU(base)},
    {.name = "length", .type = SCHEMA_SIZE, EMU(length)},
    {.name = "irq", .type = SCHEMA_INT, EMU(irq)},
    {.name = "type", .type = SCHEMA_INT, EMU(type)},
    {.name = "cfg", .optional = true, LIST(struct axvm_emu_config, cfg, number_column)},
};

#define PASSTHROUGH(member_) MEMBER(struct axvm_passthrough_config, member_)
static const struct schema_field passthrough_columns[] = {
    {.name = "name", .type = SCHEMA_STRING, PASSTHROUGH(name)},
    {.name = "base_gpa", .type = SCHEMA_INT, PASSTHROUGH(base_gpa), .optional = true},
    {.name = "base_hpa", .type = SCHEMA_INT, PASSTHROUGH(base_hpa), .optional = true},
    {.name = "length", .type = SCHEMA_SIZE, PASSTHROUGH(length), .optional = true},
    {.name = "irq", .type = SCHEMA_INT, PASSTHROUGH(irq), .optional = true},
};

#define RANGE(member_) MEMBER(struct axvm_range_config, member_)
static const struct schema_field range_columns[] = {
    {.name = "gpa", .type = SCHEMA_INT, RANGE(gpa)},
    {.name = "length", .type = SCHEMA_SIZE, RANGE(length)},
};

#define CONFIG(member_) MEMBER(struct axvm_config, member_)
#define CONFIG_LIST(member_, columns_) LIST(struct axvm_config, member_, columns_)
#define UNSERVED(name_) {.name = (name_), .type = SCHEMA_UNSERVED}

const struct schema_key schema_keys[] = {
    {"base", {.name = "id", .type = SCHEMA_OPTIONAL, CONFIG(id)}, .doc = "number of the VM; the lowest free one"},
    {"base", {.name = "name", .type = SCHEMA_STRING, CONFIG(name)}, .doc = "what the VM is called"},
    {"base", {.name = "vm_type", .type = SCHEMA_INT, CONFIG(vm_type)}, .doc = "0 host, 1 RTOS, 2 Linux; informative"},
    {"base", {.name = "cpu_num", .type = SCHEMA_INT, CONFIG(cpu_num)}, .doc = "how many vCPUs"},
    {"base", {.name = "phys_cpu_ids", CONFIG_LIST(phys_cpu_ids, number_column)},
     .doc = "per vCPU: the id that the guest sees"},
    {"base", {.name = "phys_cpu_sets", CONFIG_LIST(phys_cpu_sets, number_column)},
     .doc = "per vCPU: mask of the CPUs it may run on"},
    {"base", UNSERVED("guest_type"), .neutral = "\"virtualized\"", .doc = "kind of guest"},

    {"kernel", {.name = "kernel_path", .type = SCHEMA_STRING, CONFIG(kernel_path)}, .doc = "the image to boot"},
    {"kernel", {.name = "kernel_load_addr", .type = SCHEMA_OPTIONAL, CONFIG(kernel_load_addr)},
     .doc = "where it goes; found from its header"},
    {"kernel", {.name = "entry_point", .type = SCHEMA_OPTIONAL, CONFIG(entry_point)},
     .doc = "where vCPU 0 starts; the image's own"},
    {"kernel", {.name = "ramdisk_path", .type = SCHEMA_STRING, CONFIG(ramdisk_path)}, .doc = "initial RAM disk"},
    {"kernel", {.name = "ramdisk_load_addr", .type = SCHEMA_OPTIONAL, CONFIG(ramdisk_load_addr)},
     .doc = "where it goes; found"},
    {"kernel", {.name = "dtb_path", .type = SCHEMA_STRING, CONFIG(dtb_path)},
     .doc = "device tree for the guest; made from this configuration"},
    {"kernel", {.name = "dtb_load_addr", .type = SCHEMA_OPTIONAL, CONFIG(dtb_load_addr)},
     .doc = "where it goes; found"},
    {"kernel", {.name = "bios_path", .type = SCHEMA_STRING, CONFIG(bios_path)}, .doc = "a second, flat image"},
    {"kernel", {.name = "bios_load_addr", .type = SCHEMA_OPTIONAL, CONFIG(bios_load_addr)}, .doc = "where it goes"},
    {"kernel", {.name = "image_location", .type = SCHEMA_CHOICE, CONFIG(image_location), .choices = image_locations},
     .doc = "memory or fs: both mean that the images are packed into the bundle"},
    {"kernel", {.name = "cmdline", .type = SCHEMA_STRING, CONFIG(cmdline)}, .doc = "the kernel's command line"},
    {"kernel", {.name = "memory", .type = SCHEMA_SIZE, CONFIG(memory)}, .doc = "RAM at the platform's usual place"},
    {"kernel", {.name = "lazy", .type = SCHEMA_BOOL, CONFIG(lazy)}, .doc = "populate `memory` on first touch"},
    {"kernel", {.name = "memory_regions", .shape = SCHEMA_ROWS, CONFIG_LIST(memory_regions, region_columns)},
     .doc = "RAM, place by place"},
    {"kernel", {.name = "disk_path", .type = SCHEMA_STRING, CONFIG(disk_path)}, .doc = "disk image"},
    {"kernel", UNSERVED("enable_bios"), .neutral = "false", .doc = "start in firmware"},
    {"kernel", UNSERVED("boot_protocol"), .neutral = "\"direct\"", .doc = "how the guest is started"},
    {"kernel", UNSERVED("uefi_firmware_path"), .doc = "UEFI firmware"},

    {"devices", {.name = "emu_devices", .shape = SCHEMA_ROWS, CONFIG_LIST(emu_devices, emu_columns)},
     .absent = offsetof(struct axvm_config, default_devices), .doc = "emulated devices; the platform's usual set"},
    {"devices",
     {.name = "passthrough_devices", .shape = SCHEMA_ROWS, CONFIG_LIST(passthrough_devices, passthrough_columns)},
     .doc = "the host's devices that the guest gets"},
    {"devices",
     {.name = "passthrough_addresses", .shape = SCHEMA_ROWS, CONFIG_LIST(passthrough_addresses, range_columns)},
     .doc = "host addresses that the guest gets as they are"},
    {"devices", {.name = "excluded_devices", .shape = SCHEMA_GROUPS, CONFIG_LIST(excluded_devices, string_column)},
     .doc = "device tree paths that the guest doesn't get"},
    {"devices", {.name = "interrupt_mode", .type = SCHEMA_CHOICE, CONFIG(interrupt_mode), .choices = interrupt_modes},
     .doc = "no_irq, emulated or passthrough"},
    {"devices", UNSERVED("address_space_policy"), .neutral = "\"virtualized\"",
     .doc = "what undescribed addresses are"},
    {"devices", UNSERVED("passthrough_ports"), .neutral = "[]", .doc = "host I/O ports that the guest gets"},
};

const size_t schema_key_count = sizeof(schema_keys) / sizeof(schema_keys[0]);

static const struct {
    enum axvm_emu_type type;
    const char *name;
} emu_types[] = {
    {AXVM_EMU_DUMMY, "dummy"},
    {AXVM_EMU_INTERRUPT_CONTROLLER, "interrupt controller"},
    {AXVM_EMU_CONSOLE, "console"},
    {AXVM_EMU_FW_CFG, "fw_cfg"},
    {AXVM_EMU_IVC_CHANNEL, "IVC channel"},
    {AXVM_EMU_GPPT_REDISTRIBUTOR, "partial passthrough GICv3 redistributor"},
    {AXVM_EMU_GPPT_DISTRIBUTOR, "partial passthrough GICv3 distributor"},
    {AXVM_EMU_GPPT_ITS, "partial passthrough GICv3 ITS"},
    {AXVM_EMU_X86_IOAPIC, "x86 I/O APIC"},
    {AXVM_EMU_X86_PIT, "x86 PIT"},
    {AXVM_EMU_LOONGARCH_PCH_PIC, "LoongArch PCH-PIC"},
    {AXVM_EMU_PPPT_GLOBAL, "partial passthrough PLIC"},
    {AXVM_EMU_VIRTIO_BLK, "virtio block"},
    {AXVM_EMU_VIRTIO_NET, "virtio network"},
    {AXVM_EMU_VIRTIO_CONSOLE, "virtio console"},
    {AXVM_EMU_RTC, "real-time clock"},
};

const char *config_emu_type_name(enum axvm_emu_type type)
{
    for (size_t i = 0; i < sizeof(emu_types) / sizeof(emu_types[0]); i++) {
        if (emu_types[i].type == type) {
            return emu_types[i].name;
        }
    }
    return NULL;
}

const struct schema_key *schema_find(const char *section, const char *name)
{
    for (size_t i = 0; i < schema_key_count; i++) {
        if (!strcmp(schema_keys[i].section, section) && !strcmp(schema_keys[i].field.name, name)) {
            return &schema_keys[i];
        }
    }
    return NULL;
}

static void *at(void *object, size_t offset)
{
    return (uint8_t *)object + offset;
}

static const void *const_at(const void *object, size_t offset)
{
    return (const uint8_t *)object + offset;
}

/* By memcpy: an enum, a bool and a gpa_t are not uint32_t, uint8_t and uint64_t to the compiler's aliasing rules. */
uint64_t schema_get(const struct schema_field *field, const void *object)
{
    const void *member = const_at(object, field->offset);
    uint64_t wide = 0;
    uint32_t narrow = 0;
    bool flag = false;

    if (field->type == SCHEMA_BOOL) {
        memcpy(&flag, member, sizeof(flag));
        return flag;
    }
    if (field->size == sizeof(narrow)) {
        memcpy(&narrow, member, sizeof(narrow));
        return narrow;
    }
    memcpy(&wide, member, sizeof(wide));
    return wide;
}

bool schema_set(const struct schema_field *field, void *object, uint64_t value)
{
    void *member = at(object, field->offset);
    uint32_t narrow = (uint32_t)value;
    bool flag = value != 0;

    if (field->type == SCHEMA_BOOL) {
        memcpy(member, &flag, sizeof(flag));
        return value <= 1;
    }
    if (field->type == SCHEMA_OPTIONAL) {
        struct axvm_opt_u64 given = {value, true};

        memcpy(member, &given, sizeof(given));
        return true;
    }
    if (field->size == sizeof(narrow)) {
        memcpy(member, &narrow, sizeof(narrow));
        return value <= UINT32_MAX;
    }
    memcpy(member, &value, sizeof(value));
    return true;
}

const char *schema_get_string(const struct schema_field *field, const void *object)
{
    const char *text;

    memcpy(&text, const_at(object, field->offset), sizeof(text));
    return text;
}

void schema_set_string(const struct schema_field *field, void *object, const char *text)
{
    memcpy(at(object, field->offset), &text, sizeof(text));
}

size_t schema_count(const struct schema_field *field, const void *object)
{
    size_t count;

    memcpy(&count, const_at(object, field->count_offset), sizeof(count));
    return count < field->max ? count : field->max;
}

void schema_set_count(const struct schema_field *field, void *object, size_t count)
{
    memcpy(at(object, field->count_offset), &count, sizeof(count));
}

void *schema_element(const struct schema_field *field, void *object, size_t index)
{
    return at(object, field->offset + index * field->size);
}

const void *schema_const_element(const struct schema_field *field, const void *object, size_t index)
{
    return const_at(object, field->offset + index * field->size);
}

void schema_mark_given(const struct schema_key *key, struct axvm_config *config)
{
    bool absent = false;

    if (key->absent) {
        memcpy(at(config, key->absent), &absent, sizeof(absent));
    }
}

static bool is_optional_given(const struct schema_field *field, const void *object)
{
    struct axvm_opt_u64 value;

    memcpy(&value, const_at(object, field->offset), sizeof(value));
    return value.given;
}

bool schema_is_given(const struct schema_key *key, const struct axvm_config *config)
{
    const struct schema_field *field = &key->field;
    bool absent = false;

    switch (field->type) {
    case SCHEMA_UNSERVED:
        return false;
    case SCHEMA_STRING:
        return schema_get_string(field, config) != NULL;
    case SCHEMA_OPTIONAL:
        return is_optional_given(field, config);
    case SCHEMA_LIST:
        if (!key->absent) {
            return schema_count(field, config) != 0;
        }
        memcpy(&absent, const_at(config, key->absent), sizeof(absent));
        return !absent;
    case SCHEMA_CHOICE:
        for (const struct schema_choice *choice = field->choices; choice->word; choice++) {
            if (choice->value == schema_get(field, config)) {
                return true;
            }
        }
        return false; /* the value that stands for "not given" has no word */
    default:
        return field->type != SCHEMA_SIZE || schema_get(field, config) != 0;
    }
}

/* ---- Names of members -------------------------------------------------------------------------------------------- */

static size_t field_extent(const struct schema_field *field)
{
    return field->type == SCHEMA_LIST ? (size_t)field->size * field->max : field->size;
}

static bool field_holds(const struct schema_field *field, size_t offset)
{
    return field->type != SCHEMA_UNSERVED && offset >= field->offset && offset - field->offset < field_extent(field);
}

static void append(char *path, size_t size, const char *separator, const char *name)
{
    size_t length = strlen(path);

    snprintf(path + length, size - length, "%s%s", separator, name);
}

/* Append the field's name and, for a list, the element and column that `offset` (from the field's object) is in. */
static void append_field(const struct schema_field *field, const char *separator, size_t offset, char *path,
                         size_t size)
{
    char index[24];
    size_t inside = offset - field->offset;

    append(path, size, separator, field->name);
    if (field->type != SCHEMA_LIST || offset == field->count_offset) {
        return;
    }
    snprintf(index, sizeof(index), "[%zu]", inside / field->size);
    append(path, size, "", index);
    inside %= field->size;
    for (unsigned i = 0; field->shape == SCHEMA_ROWS && i < field->column_count; i++) {
        const struct schema_field *column = &field->columns[i];

        if (field_holds(column, inside) || (column->type == SCHEMA_LIST && inside == column->count_offset)) {
            append_field(column, ".", inside, path, size);
            return;
        }
    }
}

void schema_path(const struct axvm_config *config, const void *member, char *path, size_t size)
{
    size_t offset = (size_t)((uintptr_t)member - (uintptr_t)config);

    if (!size) {
        return;
    }
    path[0] = '\0';
    for (size_t i = 0; member && offset < sizeof(*config) && i < schema_key_count; i++) {
        const struct schema_field *field = &schema_keys[i].field;

        if (field_holds(field, offset) || (field->type == SCHEMA_LIST && offset == field->count_offset)) {
            append_field(field, "", offset, path, size);
            return;
        }
    }
}

/* ---- Copying ----------------------------------------------------------------------------------------------------- */

static int copy_string(const struct schema_field *field, void *object, void *(*alloc)(void *, size_t), void *context)
{
    const char *text = schema_get_string(field, object);
    size_t size;
    char *copy;

    if (!text) {
        return AXVM_OK;
    }
    size = strlen(text) + 1;
    copy = alloc(context, size);
    if (!copy) {
        return AXVM_ENOMEM;
    }
    memcpy(copy, text, size);
    schema_set_string(field, object, copy);
    return AXVM_OK;
}

static int copy_strings(const struct schema_field *field, void *object, void *(*alloc)(void *, size_t), void *context)
{
    if (field->type == SCHEMA_STRING) {
        return copy_string(field, object, alloc, context);
    }
    if (field->type != SCHEMA_LIST) {
        return AXVM_OK;
    }
    for (size_t i = 0; i < schema_count(field, object); i++) {
        for (unsigned c = 0; c < field->column_count; c++) {
            int error = copy_strings(&field->columns[c], schema_element(field, object, i), alloc, context);

            if (error) {
                return error;
            }
        }
    }
    return AXVM_OK;
}

int config_copy(struct axvm_config *to, const struct axvm_config *from, void *(*alloc)(void *context, size_t size),
                void *context)
{
    *to = *from;
    for (size_t i = 0; i < schema_key_count; i++) {
        int error = copy_strings(&schema_keys[i].field, to, alloc, context);

        if (error) {
            return error;
        }
    }
    return AXVM_OK;
}
