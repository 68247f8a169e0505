/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one table of configuration keys: what a key is called, of which type it is, and where its value goes in struct
 * axvm_config. Everything that reads, writes, copies or names configuration goes through it; a new key is a new row.
 */
#ifndef AXVM_CORE_CONFIG_SCHEMA_H
#define AXVM_CORE_CONFIG_SCHEMA_H

#include <axvm/config.h>

enum schema_type {
    SCHEMA_INT,      /* unsigned integer of 4 or 8 bytes */
    SCHEMA_SIZE,     /* the same, counting bytes: a file may also write "256M" */
    SCHEMA_OPTIONAL, /* struct axvm_opt_u64 */
    SCHEMA_BOOL,
    SCHEMA_STRING,
    SCHEMA_CHOICE, /* an enum, written as one of a few words */
    SCHEMA_LIST,
    SCHEMA_UNSERVED, /* known, but has no field: only its neutral value is accepted */
};

/* How a list is written. */
enum schema_shape {
    SCHEMA_VALUES, /* [a, b, ...] */
    SCHEMA_ROWS,   /* [[a1, a2, ...], [b1, ...], ...] */
    SCHEMA_GROUPS, /* [[a, b], [c], ...]: the groups mean nothing */
};

/* A word of a SCHEMA_CHOICE. Several may have the same value: the first is the one to write. Ends with word == NULL. */
struct schema_choice {
    const char *word;
    uint32_t value;
};

/* A value: a member of struct axvm_config, or of a list's element. */
struct schema_field {
    const char *name;
    enum schema_type type;
    uint16_t offset;
    uint16_t size; /* of the member; for a list, of one element */
    bool optional; /* of a row: it may end before this column */
    const struct schema_choice *choices; /* SCHEMA_CHOICE */
    /* SCHEMA_LIST */
    enum schema_shape shape;
    uint16_t max;
    uint16_t count_offset; /* the size_t beside the list */
    uint8_t column_count;
    const struct schema_field *columns; /* VALUES and GROUPS have one, at offset 0 */
};

struct schema_key {
    const char *section;
    struct schema_field field;
    const char *neutral; /* SCHEMA_UNSERVED: the value that asks for nothing, as a file writes it ("false", "[]") */
    uint16_t absent;     /* not 0: offset of a bool that is true exactly if the key is absent */
    const char *doc;
};

extern const struct schema_key schema_keys[];
extern const size_t schema_key_count;

/* The key, or NULL. */
const struct schema_key *schema_find(const char *section, const char *name);

/* Integers, booleans and choices, whatever their width. schema_set: false if the value doesn't fit. */
uint64_t schema_get(const struct schema_field *field, const void *object);
bool schema_set(const struct schema_field *field, void *object, uint64_t value);

const char *schema_get_string(const struct schema_field *field, const void *object);
void schema_set_string(const struct schema_field *field, void *object, const char *text);

/* A list's length (schema_set_count: at most field->max), and its index'th element. */
size_t schema_count(const struct schema_field *field, const void *object);
void schema_set_count(const struct schema_field *field, void *object, size_t count);
void *schema_element(const struct schema_field *field, void *object, size_t index);
const void *schema_const_element(const struct schema_field *field, const void *object, size_t index);

/* The key is there, even if its list is empty. */
void schema_mark_given(const struct schema_key *key, struct axvm_config *config);

/* Whether the key has a value that is worth writing down. */
bool schema_is_given(const struct schema_key *key, const struct axvm_config *config);

/*
 * Name what `member` of `config` is, as a person would: "memory_regions[1].size". A list's count stands for the whole
 * list. "" if it is NULL or no member.
 */
void schema_path(const struct axvm_config *config, const void *member, char *path, size_t size);

/*
 * Copy a configuration with all its strings, which `alloc` gives memory for. AXVM_ENOMEM: alloc returned NULL; what was
 * allocated until then is the caller's to free.
 */
int config_copy(struct axvm_config *to, const struct axvm_config *from, void *(*alloc)(void *context, size_t size),
                void *context);

/* The name of a device type ("interrupt controller"), or NULL for a code that is none. */
const char *config_emu_type_name(enum axvm_emu_type type);

#endif
