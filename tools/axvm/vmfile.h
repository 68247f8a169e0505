/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One VM's file on its way from TOML to a checked configuration with its images. Every member of the configuration
 * knows where in the file it was written.
 */
#ifndef AXVM_TOOL_VMFILE_H
#define AXVM_TOOL_VMFILE_H

#include "core/image.h"
#include "diag.h"
#include "target.h"

#include <axvm/axvm.h>

struct schema_key;

struct vm_place {
    size_t offset; /* in struct axvm_config */
    struct toml_place at;
};

struct vm_file {
    struct source source;
    struct toml_node *root; /* the configuration's strings are in it */
    struct axvm_config config;   /* as written */
    struct axvm_config complete; /* with what the platform adds */
    struct vm_place *places;
    size_t place_count;
    bool *bad;           /* per key of the schema: what was written is no value of it; `config` has the default */
    bool kernel_trouble; /* [kernel] has an error: images can't be laid out */
    struct image images[AXVM_IMAGE_COUNT];
    const struct target *target; /* what it runs on: the same for all files that are right together */
};

/* Read the file into `config`, reporting everything that is not of its right type or unknown. */
void vmfile_read(struct vm_file *file, const char *path, unsigned order);

/* Where `member` of config or complete was written, or the nearest place to it. */
struct toml_place vmfile_place(const struct vm_file *file, const struct axvm_config *config, const void *member);

/* The schema's key that `member` of the configuration belongs to, or NULL. */
const struct schema_key *vmfile_key(const struct axvm_config *config, const void *member);

/* What the configuration calls the image ("../vmlinuz"), or NULL. */
const char *vmfile_image_path(const struct axvm_config *config, enum axvm_image_kind kind);

/*
 * Read and check all files, as they are to run beside each other on this machine, and print what is wrong. NULL:
 * something is. The result has `count` elements. asked: the architecture that they are for; NULL: what their kernels
 * are for.
 */
struct vm_file *vmfiles_check(const char *const *paths, unsigned count, const struct target *asked,
                              const struct axvm_machine *machine);

#endif
