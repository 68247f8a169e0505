/* SPDX-License-Identifier: Apache-2.0 */
/* Bundles, and all that the hypervisor does with what it finds in one before a VM is made. The head's checksum is made
 * right first: it guards against damage, not against malice. */
#include "fuzz.h"
#include "core/bundle.h"
#include "core/layout.h"
#include "lib/fdt_check.h"
#include "target.h"
#include <libfdt.h>

static void report(struct axvm_config_report *self, const void *field, const char *path, const char *text)
{
    (void)self;
    (void)field;
    require(path != NULL && text != NULL && strlen(text) < 4096);
}

static void plan(const struct axvm_config *config, const struct axvm_platform *platform,
                 const struct bundle_image given[AXVM_IMAGE_COUNT], struct axvm_config_report *to)
{
    struct image images[AXVM_IMAGE_COUNT] = {0};
    struct layout layout;
    const char *why;

    for (unsigned kind = 0; kind < AXVM_IMAGE_COUNT; kind++) {
        if (given[kind].data != NULL &&
            image_probe(given[kind].data, given[kind].size, &images[kind], &why) != AXVM_OK) {
            return;
        }
    }
    (void)layout_plan(config, platform, images, to, &layout);
}

static void make_right(void *data, size_t size)
{
    uint8_t *stored;
    uint32_t crc;
    int length;

    if (fdt_check_sound(data, size) != 0) {
        return;
    }
    stored = fdt_getprop_w(data, 0, "header-crc32", &length);
    if (stored != NULL && length == sizeof(crc)) {
        memset(stored, 0, sizeof(crc));
        crc = cpu_to_fdt32(bundle_crc32(0, data, fdt_totalsize(data)));
        memcpy(stored, &crc, sizeof(crc));
    }
}

static void look_at_vms(const struct bundle *bundle, const struct axvm_platform *platform)
{
    static struct axvm_config config;
    const struct axvm_machine machine = {.pcpu_count = 4, .memory = GIB(1)};
    struct axvm_config_report to = {report, report};
    struct bundle_image images[AXVM_IMAGE_COUNT];

    for (unsigned i = 0; i < bundle->vm_count; i++) {
        if (bundle_vm(bundle, i, &config, images) == AXVM_OK) {
            axvm_config_complete(&config, platform);
            if (axvm_config_validate(&config, platform, &machine, &to) == AXVM_OK) {
                plan(&config, platform, images, &to);
            }
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = exact_copy(data, size);
    struct bundle bundle;

    make_right(copy, size);
    if (bundle_open(&bundle, copy, size) == AXVM_OK) {
        for (unsigned i = 0; i < target_count; i++) {
            look_at_vms(&bundle, targets[i].platform);
        }
    }
    free(copy);
    return 0;
}
