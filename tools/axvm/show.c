/* SPDX-License-Identifier: Apache-2.0 */
/* What is in a bundle: each VM's configuration as it would stand in a file, its images as comments. */
#include "command.h"
#include "core/bundle.h"
#include "core/config_schema.h"
#include "diag.h"
#include "files.h"
#include "util.h"

#include <stdio.h>
#include <string.h>

#define BUNDLE_FILE_MAX GIB(16)

/* A TOML basic string. */
static void print_string(const char *text)
{
    putchar('"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') {
            printf("\\%c", *text);
        } else if ((unsigned char)*text < ' ' || *text == 0x7f) {
            printf("\\u%04x", (unsigned char)*text);
        } else {
            putchar(*text);
        }
    }
    putchar('"');
}

/* Counts in decimal, what looks like an address or a mask in hexadecimal. */
static void print_number(uint64_t value)
{
    printf(value < 4096 ? "%llu" : "%#llx", (unsigned long long)value);
}

static void print_choice(const struct schema_field *field, uint64_t value)
{
    for (const struct schema_choice *choice = field->choices; choice->word; choice++) {
        if (choice->value == value) {
            print_string(choice->word);
            return;
        }
    }
}

static void print_value(const struct schema_field *field, const void *object);

static void print_element(const struct schema_field *field, const void *element)
{
    bool bare = field->shape == SCHEMA_VALUES;

    fputs(bare ? "" : "[", stdout);
    for (unsigned c = 0; c < field->column_count; c++) {
        fputs(c ? ", " : "", stdout);
        print_value(&field->columns[c], element);
    }
    fputs(bare ? "" : "]", stdout);
}

static void print_value(const struct schema_field *field, const void *object)
{
    char text[24];

    switch (field->type) {
    case SCHEMA_STRING:
        print_string(schema_get_string(field, object));
        break;
    case SCHEMA_BOOL:
        fputs(schema_get(field, object) ? "true" : "false", stdout);
        break;
    case SCHEMA_CHOICE:
        print_choice(field, schema_get(field, object));
        break;
    case SCHEMA_SIZE:
        printf(schema_get(field, object) % KIB(1) ? "%s" : "\"%s\"", format_size(schema_get(field, object), text));
        break;
    case SCHEMA_LIST:
        putchar('[');
        for (size_t i = 0; i < schema_count(field, object); i++) {
            fputs(i ? ", " : "", stdout);
            print_element(field, schema_const_element(field, object, i));
        }
        putchar(']');
        break;
    default:
        print_number(schema_get(field, object));
        break;
    }
}

static void print_config(const struct axvm_config *config)
{
    const char *section = "";

    for (size_t i = 0; i < schema_key_count; i++) {
        const struct schema_key *key = &schema_keys[i];

        if (!schema_is_given(key, config)) {
            continue;
        }
        if (strcmp(section, key->section)) {
            section = key->section;
            printf("[%s]\n", section);
        }
        printf("%s = ", key->field.name);
        print_value(&key->field, config);
        putchar('\n');
    }
}

static bool print_images(const struct bundle_image images[AXVM_IMAGE_COUNT])
{
    bool good = true;

    for (unsigned kind = 0; kind < AXVM_IMAGE_COUNT; kind++) {
        const struct bundle_image *image = &images[kind];
        bool ok;

        if (!image->data) {
            continue;
        }
        ok = bundle_crc32(0, image->data, image->size) == image->crc32;
        good &= ok;
        printf("# %-7s %10zu bytes, crc32 %08x %s: ", bundle_image_names[kind], image->size, image->crc32,
               ok ? "ok" : "BAD");
        print_string(image->file);
        putchar('\n');
    }
    return good;
}

static bool show(const struct bundle *bundle)
{
    bool good = true;

    printf("# bundle of %u VM%s for ", bundle->vm_count, bundle->vm_count == 1 ? "" : "s");
    print_clean(stdout, bundle->arch, strlen(bundle->arch));
    printf(", %zu bytes\n", bundle->size);
    for (unsigned i = 0; i < bundle->vm_count; i++) {
        struct bundle_image images[AXVM_IMAGE_COUNT];
        struct axvm_config config;

        printf("\n# ---- VM %u ----\n", i);
        if (bundle_vm(bundle, i, &config, images)) {
            good = false;
            continue;
        }
        print_config(&config);
        good &= print_images(images);
    }
    return good;
}

int command_show(const struct options *options)
{
    struct bundle bundle;
    size_t size;
    char *why;
    char *data = file_read(options->files[0], BUNDLE_FILE_MAX, &size, &why);

    if (!data) {
        complain("%s", why);
        return STATUS_WRONG;
    }
    if (bundle_open(&bundle, data, size)) {
        return STATUS_WRONG;
    }
    return show(&bundle) ? STATUS_OK : STATUS_WRONG;
}

int command_keys(const struct options *options)
{
    (void)options;
    for (size_t i = 0; i < schema_key_count; i++) {
        const struct schema_key *key = &schema_keys[i];

        printf("%s.%-24s %s%s\n", key->section, key->field.name, key->doc,
               key->field.type == SCHEMA_UNSERVED ? " (not served yet)" : "");
    }
    return STATUS_OK;
}
