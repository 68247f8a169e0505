/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernel image formats: what an image says of itself. Every field read from it is checked; an image may be anything.
 */
#ifndef AXVM_CORE_IMAGE_H
#define AXVM_CORE_IMAGE_H

#include <axvm/types.h>

/* No image claims more memory than this, nor a greater distance from its base, so that sums of sizes never overflow. */
#define IMAGE_MAX_SIZE (UINT64_C(1) << 40)

enum image_format {
    IMAGE_FLAT,        /* anything else: loaded as it is */
    IMAGE_LINUX_ARM64, /* Documentation/arch/arm64/booting.rst: magic "ARM\x64" at 56 */
    IMAGE_LINUX_RISCV, /* Documentation/arch/riscv/boot-image-header.rst: magic2 "RSC\x05" at 56 */
    IMAGE_ELF64,       /* little-endian, ET_EXEC or ET_DYN; loaded to the physical addresses of its PT_LOAD segments */
};

/* After a successful probe: memory_size and text_offset <= IMAGE_MAX_SIZE; memory_size >= size unless it is an ELF. */
struct image {
    const uint8_t *data; /* NULL: no such image; the rest is 0 then */
    size_t size;
    enum image_format format;
    uint64_t text_offset;  /* Linux: from a 2 MiB boundary of RAM */
    uint64_t memory_size;  /* bytes it needs from its load address on, BSS included */
    uint64_t entry;        /* ELF: physical entry point; others: offset 0 */
    uint64_t first, last;  /* ELF: physical addresses it loads to, last inclusive */
    uint16_t elf_machine;  /* ELF's e_machine; for Linux's formats that of their architecture; flat: 0 */
};

/*
 * Look at an image. AXVM_EINVAL: empty, or damaged (an ELF header that lies, a Linux header of the wrong endianness);
 * *why says it (static storage) and nothing is logged. `image` refers to `data`, which must stay.
 */
int image_probe(const void *data, size_t size, struct image *image, const char **why);

/*
 * Call `load` for every piece of the image: ELF segments at their physical addresses (zeroes for BSS: from == NULL),
 * others whole at `at`. Stops at the first error and returns it; AXVM_EINVAL: not the image that was probed.
 */
int image_load(const struct image *image, gpa_t at,
               int (*load)(void *context, gpa_t to, const void *from, uint64_t size), void *context);

#endif
