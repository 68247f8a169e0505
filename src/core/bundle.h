/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bundle: VM configurations and their images in one file, which rides behind the hypervisor image. One flattened
 * device tree (a node per VM with its configuration, as src/core/config_schema.c describes it), then the images as
 * external data at offsets from the bundle's start, each 4 KiB aligned. Everything read from it is checked: a bundle
 * may be anything.
 *
 *     / { compatible = "axvm,bundle"; version = <1>; arch = "aarch64"; total-size = <..>; header-crc32 = <..>;
 *         vm@0 { base { .. }; kernel { .. }; devices { .. };
 *                images { kernel { data-offset; data-size; crc32; file = "vmlinuz"; }; dtb { .. }; }; }; };
 *
 * A key is a property of its section's node: numbers are 64 bits, strings end with NUL, a list is the number of its
 * elements and then their columns one after the other. header-crc32 is of the device tree with that value as 0.
 */
#ifndef AXVM_CORE_BUNDLE_H
#define AXVM_CORE_BUNDLE_H

#include <axvm/axvm.h>

#define BUNDLE_VERSION 1U
#define BUNDLE_MAX_VMS 64U

struct bundle {
    const uint8_t *data;
    size_t size;
    unsigned vm_count;
    const char *arch;
};

struct bundle_image {
    const void *data; /* NULL: none */
    size_t size;
    const char *file; /* what it was called, for messages */
    uint32_t crc32;   /* as it should be: the caller may compare it with the data's */
};

/* The names of their nodes ("kernel"), by enum axvm_image_kind. */
extern const char *const bundle_image_names[AXVM_IMAGE_COUNT];

/* Check the header, the version and the device tree's structure. AXVM_EINVAL says what is wrong in the log. */
int bundle_open(struct bundle *bundle, const void *data, size_t size);

/*
 * The index'th VM: its configuration (strings point into the bundle) and its images (likewise), which lie in the
 * bundle. AXVM_ENOENT: no such VM; AXVM_EINVAL: damaged. The configuration is not validated here.
 */
int bundle_vm(const struct bundle *bundle, unsigned index, struct axvm_config *config,
              struct bundle_image images[AXVM_IMAGE_COUNT]);

/* IEEE 802.3's, as gzip has it. `crc`: of what came before; 0 at first. */
uint32_t bundle_crc32(uint32_t crc, const void *data, size_t size);

/* ---- Making one -------------------------------------------------------------------------------------------------- */

struct bundle_source {
    const struct axvm_config *config;
    struct bundle_image images[AXVM_IMAGE_COUNT]; /* data NULL: none; crc32 is that of the data */
};

/*
 * Write the head of a bundle: `size` bytes, a multiple of 4 KiB, in `head` (8-byte aligned). The images follow, first
 * VM first and in the order of enum axvm_image_kind, each at the next multiple of 4 KiB; *total is where the last one
 * ends. AXVM_ENOMEM: `size` is too small.
 */
int bundle_write_head(void *head, size_t size, const char *arch, const struct bundle_source *vms, unsigned count,
                      uint64_t *total);

#endif
