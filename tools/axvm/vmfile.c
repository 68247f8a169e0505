/* SPDX-License-Identifier: Apache-2.0 */
#include "vmfile.h"

#include "core/config_schema.h"
#include "files.h"
#include "util.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX MIB(1)
#define MEMBER_NAME_MAX 64U

/* ---- Places ------------------------------------------------------------------------------------------------------ */

static void note_place(struct vm_file *file, const void *member, struct toml_place at)
{
    struct vm_place place = {(size_t)((uintptr_t)member - (uintptr_t)&file->config), at};

    file->places = xrealloc(file->places, (file->place_count + 1) * sizeof(place));
    file->places[file->place_count++] = place;
}

static bool find_place(const struct vm_file *file, size_t offset, struct toml_place *at)
{
    for (size_t i = 0; i < file->place_count; i++) {
        if (file->places[i].offset == offset) {
            *at = file->places[i].at;
            return true;
        }
    }
    return false;
}

const struct schema_key *vmfile_key(const struct axvm_config *config, const void *member)
{
    size_t offset = (size_t)((uintptr_t)member - (uintptr_t)config);

    for (size_t i = 0; member && i < schema_key_count; i++) {
        const struct schema_field *field = &schema_keys[i].field;
        bool list = field->type == SCHEMA_LIST;
        size_t extent = list ? (size_t)field->size * field->max : field->size;

        if (field->type == SCHEMA_UNSERVED) {
            continue;
        }
        if ((offset >= field->offset && offset - field->offset < extent) || (list && offset == field->count_offset)) {
            return &schema_keys[i];
        }
    }
    return NULL;
}

/* An absent key is looked for at its section's head; an absent section, at the file's first line. */
static struct toml_place section_place(const struct vm_file *file, const char *section)
{
    for (size_t i = 0; file->root && i < file->root->count; i++) {
        if (!strcmp(file->root->items[i].key, section)) {
            return file->root->items[i].key_at;
        }
    }
    return (struct toml_place){1, 1};
}

struct toml_place vmfile_place(const struct vm_file *file, const struct axvm_config *config, const void *member)
{
    size_t offset = (size_t)((uintptr_t)member - (uintptr_t)config);
    const struct schema_key *key = vmfile_key(config, member);
    struct toml_place at;

    if (!key) {
        return (struct toml_place){1, 1};
    }
    if (find_place(file, offset, &at) ||
        find_place(file, key->field.type == SCHEMA_LIST ? key->field.count_offset : key->field.offset, &at)) {
        return at;
    }
    return section_place(file, key->section);
}

/* ---- Values ------------------------------------------------------------------------------------------------------ */

static const char *const kind_names[] = {
    [TOML_KIND_TABLE] = "a table",
    [TOML_KIND_ARRAY] = "an array",
    [TOML_KIND_STRING] = "a string",
    [TOML_KIND_INTEGER] = "an integer",
    [TOML_KIND_BOOLEAN] = "a boolean",
    [TOML_KIND_FLOAT] = "a float",
    [TOML_KIND_DATE] = "a date or time",
};

/* What is being read: for messages, and to remember that it went wrong. */
struct reading {
    struct vm_file *file;
    const struct schema_key *key;
};

static void fault(struct reading *reading, const void *member, struct toml_place at, const char *text)
{
    char name[MEMBER_NAME_MAX];

    schema_path(&reading->file->config, member, name, sizeof(name));
    diag(DIAG_ERROR, &reading->file->source, at, "%s: %s", name, text);
    reading->file->bad[reading->key - schema_keys] = true;
}

/* A row's first column is at the same address as the row: name the row. */
static void row_fault(struct reading *reading, const void *row, struct toml_place at, const char *text)
{
    char name[MEMBER_NAME_MAX];

    schema_path(&reading->file->config, row, name, sizeof(name));
    *strrchr(name, '.') = '\0';
    diag(DIAG_ERROR, &reading->file->source, at, "%s: %s", name, text);
    reading->file->bad[reading->key - schema_keys] = true;
}

static void wrong_kind(struct reading *reading, const void *member, const struct toml_node *node, const char *expected)
{
    char text[128];

    snprintf(text, sizeof(text), "expected %s, found %s", expected, kind_names[node->kind]);
    fault(reading, member, node->at, text);
}

static void *member_of(const struct schema_field *field, void *object)
{
    return (uint8_t *)object + field->offset;
}

static void read_integer(struct reading *reading, const struct schema_field *field, void *object,
                         const struct toml_node *node)
{
    char text[96];

    if (node->integer < 0) {
        snprintf(text, sizeof(text), "%lld is negative", (long long)node->integer);
        fault(reading, member_of(field, object), node->at, text);
    } else if (!schema_set(field, object, (uint64_t)node->integer)) {
        snprintf(text, sizeof(text), "%lld doesn't fit into 32 bits", (long long)node->integer);
        fault(reading, member_of(field, object), node->at, text);
    }
}

static void read_size(struct reading *reading, const struct schema_field *field, void *object,
                      const struct toml_node *node)
{
    char text[96];
    uint64_t bytes;

    if (node->kind == TOML_KIND_INTEGER) {
        read_integer(reading, field, object, node);
    } else if (node->kind != TOML_KIND_STRING) {
        wrong_kind(reading, member_of(field, object), node, "an integer, or a size like \"256M\"");
    } else if (node->length != strlen(node->string) || !parse_size(node->string, &bytes)) {
        snprintf(text, sizeof(text), "\"%.32s\" is no size; one is written 0x10000000 or \"256M\"", node->string);
        fault(reading, member_of(field, object), node->at, text);
    } else {
        schema_set(field, object, bytes);
    }
}

static void read_string(struct reading *reading, const struct schema_field *field, void *object,
                        const struct toml_node *node)
{
    if (node->kind != TOML_KIND_STRING) {
        wrong_kind(reading, member_of(field, object), node, "a string");
    } else if (node->length != strlen(node->string)) {
        fault(reading, member_of(field, object), node->at, "the string has a NUL in it");
    } else {
        schema_set_string(field, object, node->string);
    }
}

static void read_choice(struct reading *reading, const struct schema_field *field, void *object,
                        const struct toml_node *node)
{
    const struct schema_choice *choice = field->choices;
    struct suggestion near = {node->kind == TOML_KIND_STRING ? node->string : "", NULL, 0};
    char text[160];

    if (node->kind != TOML_KIND_STRING) {
        wrong_kind(reading, member_of(field, object), node, "a string");
        return;
    }
    while (choice->word && strcmp(choice->word, node->string)) {
        suggest(&near, choice->word);
        choice++;
    }
    if (choice->word) {
        schema_set(field, object, choice->value);
        return;
    }
    snprintf(text, sizeof(text), "there is no \"%.40s\"; %s \"%s\"%s", node->string,
             near.best ? "did you mean" : "one is", near.best ? near.best : field->choices->word, near.best ? "?" : "");
    fault(reading, member_of(field, object), node->at, text);
}

static void read_value(struct reading *reading, const struct schema_field *field, void *object,
                       const struct toml_node *node);

/* "expected [gpa, size, flags, map_type, lazy?], found 2 values" */
static void wrong_length(const struct schema_field *field, size_t found, char *text, size_t size)
{
    size_t used = (size_t)snprintf(text, size, "expected [");

    for (unsigned c = 0; c < field->column_count && used < size; c++) {
        used += (size_t)snprintf(text + used, size - used, "%s%s%s", c ? ", " : "", field->columns[c].name,
                                 field->columns[c].optional ? "?" : "");
    }
    if (used < size) {
        snprintf(text + used, size - used, "], found %zu value%s", found, found == 1 ? "" : "s");
    }
}

static void read_row(struct reading *reading, const struct schema_field *field, void *element,
                     const struct toml_node *row)
{
    unsigned needed = 0;
    char text[128];

    if (row->kind != TOML_KIND_ARRAY) {
        snprintf(text, sizeof(text), "expected an array, found %s", kind_names[row->kind]);
        row_fault(reading, element, row->at, text);
        return;
    }
    while (needed < field->column_count && !field->columns[needed].optional) {
        needed++;
    }
    if (row->count < needed || row->count > field->column_count) {
        wrong_length(field, row->count, text, sizeof(text));
        row_fault(reading, element, row->at, text);
        return;
    }
    for (size_t c = 0; c < row->count; c++) {
        read_value(reading, &field->columns[c], element, &row->items[c]);
    }
}

/* The elements of `node` become elements of the list, from the `from`th on; returns how many there are then. */
static size_t read_elements(struct reading *reading, const struct schema_field *field, void *object,
                            const struct toml_node *node, size_t from)
{
    char text[48];

    for (size_t i = 0; i < node->count; i++) {
        void *element = schema_element(field, object, from);

        if (from == field->max) {
            snprintf(text, sizeof(text), "more than %u", field->max);
            fault(reading, (uint8_t *)object + field->count_offset, node->items[i].at, text);
            break;
        }
        if (field->shape == SCHEMA_ROWS) {
            read_row(reading, field, element, &node->items[i]);
        } else {
            read_value(reading, field->columns, element, &node->items[i]);
        }
        from++;
    }
    return from;
}

static size_t read_groups(struct reading *reading, const struct schema_field *field, void *object,
                          const struct toml_node *node)
{
    size_t count = 0;

    for (size_t i = 0; i < node->count; i++) {
        if (node->items[i].kind != TOML_KIND_ARRAY) {
            wrong_kind(reading, (uint8_t *)object + field->count_offset, &node->items[i], "an array");
        } else {
            count = read_elements(reading, field, object, &node->items[i], count);
        }
    }
    return count;
}

static void read_list(struct reading *reading, const struct schema_field *field, void *object,
                      const struct toml_node *node)
{
    void *list = (uint8_t *)object + field->count_offset;

    if (node->kind != TOML_KIND_ARRAY) {
        wrong_kind(reading, list, node, "an array");
        return;
    }
    note_place(reading->file, list, node->at);
    schema_set_count(field, object,
                     field->shape == SCHEMA_GROUPS ? read_groups(reading, field, object, node)
                                                   : read_elements(reading, field, object, node, 0));
}

static void read_value(struct reading *reading, const struct schema_field *field, void *object,
                       const struct toml_node *node)
{
    void *member = member_of(field, object);

    if (field->type == SCHEMA_LIST) {
        read_list(reading, field, object, node);
        return;
    }
    note_place(reading->file, member, node->at);
    switch (field->type) {
    case SCHEMA_SIZE:
        read_size(reading, field, object, node);
        break;
    case SCHEMA_STRING:
        read_string(reading, field, object, node);
        break;
    case SCHEMA_CHOICE:
        read_choice(reading, field, object, node);
        break;
    case SCHEMA_BOOL:
        if (node->kind == TOML_KIND_BOOLEAN) {
            schema_set(field, object, node->boolean);
        } else {
            wrong_kind(reading, member, node, "true or false");
        }
        break;
    default:
        if (node->kind == TOML_KIND_INTEGER) {
            read_integer(reading, field, object, node);
        } else {
            wrong_kind(reading, member, node, "an integer");
        }
        break;
    }
}

/* ---- Keys and sections ------------------------------------------------------------------------------------------- */

/* Whether the value is the key's neutral one, as the schema writes it. */
static bool is_neutral(const struct toml_node *node, const char *neutral)
{
    if (!neutral) {
        return false;
    }
    switch (node->kind) {
    case TOML_KIND_STRING:
        return *neutral == '"' && strlen(neutral) == node->length + 2 &&
               !memcmp(neutral + 1, node->string, node->length);
    case TOML_KIND_BOOLEAN:
        return !strcmp(neutral, node->boolean ? "true" : "false");
    case TOML_KIND_ARRAY:
        return !strcmp(neutral, "[]") && !node->count;
    default:
        return false;
    }
}

static void unknown_key(struct vm_file *file, const char *section, const struct toml_node *node)
{
    struct suggestion near = {node->key, NULL, 0};

    for (size_t i = 0; i < schema_key_count; i++) {
        const struct schema_key *key = &schema_keys[i];

        if (!strcmp(key->field.name, node->key)) {
            diag(DIAG_ERROR, &file->source, node->key_at, "%s belongs to [%s], not to [%s]", node->key, key->section,
                 section);
            return;
        }
        if (!strcmp(key->section, section)) {
            suggest(&near, key->field.name);
        }
    }
    diag(DIAG_ERROR, &file->source, node->key_at, "unknown key %.40s in [%s]%s%s%s", node->key, section,
         near.best ? "; did you mean " : "", near.best ? near.best : "", near.best ? "?" : "");
}

static void read_key(struct vm_file *file, const char *section, const struct toml_node *node)
{
    const struct schema_key *key = schema_find(section, node->key);
    struct reading reading = {file, key};

    if (!key) {
        unknown_key(file, section, node);
    } else if (key->field.type != SCHEMA_UNSERVED) {
        schema_mark_given(key, &file->config);
        read_value(&reading, &key->field, &file->config, node);
    } else if (!is_neutral(node, key->neutral)) {
        diag(DIAG_ERROR, &file->source, node->at, "%s (%s) is not served yet%s%s", node->key, key->doc,
             key->neutral ? "; only " : "", key->neutral ? key->neutral : "");
    }
}

static bool is_section(const char *name)
{
    for (size_t i = 0; i < schema_key_count; i++) {
        if (!strcmp(schema_keys[i].section, name)) {
            return true;
        }
    }
    return false;
}

static void unknown_section(struct vm_file *file, const struct toml_node *node)
{
    struct suggestion near = {node->key, NULL, 0};

    for (size_t i = 0; i < schema_key_count; i++) {
        if (node->kind != TOML_KIND_TABLE && !strcmp(schema_keys[i].field.name, node->key)) {
            diag(DIAG_ERROR, &file->source, node->key_at, "%s belongs to [%s]", node->key, schema_keys[i].section);
            return;
        }
        suggest(&near, schema_keys[i].section);
    }
    if (near.best) {
        diag(DIAG_ERROR, &file->source, node->key_at, "unknown section [%.40s]; did you mean [%s]?", node->key,
             near.best);
    } else {
        diag(DIAG_ERROR, &file->source, node->key_at,
             "unknown section [%.40s]; there are [base], [kernel] and [devices]", node->key);
    }
}

static void read_section(struct vm_file *file, const struct toml_node *node)
{
    if (!is_section(node->key)) {
        unknown_section(file, node);
    } else if (node->kind != TOML_KIND_TABLE) {
        diag(DIAG_ERROR, &file->source, node->at, "[%s]: expected a section, found %s", node->key,
             kind_names[node->kind]);
        for (size_t i = 0; i < schema_key_count; i++) {
            file->bad[i] |= !strcmp(schema_keys[i].section, node->key);
        }
    } else {
        for (size_t i = 0; i < node->count; i++) {
            read_key(file, node->key, &node->items[i]);
        }
    }
}

void vmfile_read(struct vm_file *file, const char *path, unsigned order)
{
    const struct toml_place whole = {0, 0};
    struct toml_error error;
    char *why;

    *file = (struct vm_file){.source = {.path = path, .order = order}};
    axvm_config_init(&file->config);
    file->bad = xalloc(schema_key_count * sizeof(*file->bad));
    file->source.text = file_read(path, FILE_MAX, &file->source.size, &why);
    if (!file->source.text) {
        diag(DIAG_ERROR, &file->source, whole, "%s", why);
        return;
    }
    file->root = toml_read(file->source.text, file->source.size, &error);
    if (!file->root) {
        diag(DIAG_ERROR, &file->source, error.at, "%s", error.text);
        return;
    }
    for (size_t i = 0; i < file->root->count; i++) {
        read_section(file, &file->root->items[i]);
    }
}

const char *vmfile_image_path(const struct axvm_config *config, enum axvm_image_kind kind)
{
    const char *const paths[AXVM_IMAGE_COUNT] = {
        [AXVM_IMAGE_KERNEL] = config->kernel_path,
        [AXVM_IMAGE_BIOS] = config->bios_path,
        [AXVM_IMAGE_DTB] = config->dtb_path,
        [AXVM_IMAGE_RAMDISK] = config->ramdisk_path,
    };

    return paths[kind];
}
