/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel images: whatever the header says, loading stays within the image and within what image_probe() announced. */
#include "fuzz.h"
#include "core/image.h"

struct loading {
    const struct image *image;
    const uint8_t *data;
    uint64_t at, pieces;
};

static int load(void *context, gpa_t to, const void *from, uint64_t size)
{
    struct loading *loading = context;
    const struct image *image = loading->image;
    uint64_t first = image->format == IMAGE_ELF64 ? image->first : loading->at;

    require(size != 0 && to.v >= first && size - 1 <= UINT64_MAX - to.v);
    require(image->format != IMAGE_ELF64 || to.v + (size - 1) <= image->last);
    if (from != NULL) {
        const uint8_t *bytes = from;

        require(bytes >= loading->data && size <= image->size && bytes + size <= loading->data + image->size);
    }
    require(++loading->pieces <= 1024);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = exact_copy(data, size);
    struct image image;
    const char *why = NULL;

    if (image_probe(copy, size, &image, &why) == AXVM_OK) {
        struct loading loading = {.image = &image, .data = copy, .at = UINT64_C(0x40200000)};

        (void)image_load(&image, gpa(loading.at), load, &loading);
    } else {
        require(why != NULL);
    }
    free(copy);
    return 0;
}
