/* SPDX-License-Identifier: Apache-2.0 */
#include "core/image.h"

#include <string.h>

/* ELF64 (System V gABI, chapter 4 and 5): offsets of what is needed of the file and program headers. */
#define ELF_HEADER_SIZE 64U
#define ELF_PHDR_SIZE 56U
#define ELF_MAX_PHDRS 256U
#define ELF_CLASS_64 2U
#define ELF_DATA_LITTLE 1U
#define ELF_TYPE_EXEC 2U
#define ELF_TYPE_DYN 3U
#define ELF_PT_LOAD 1U
#define ELF_MACHINE_AARCH64 183U
#define ELF_MACHINE_RISCV 243U

/* Linux's arm64 and RISC-V headers have these fields in common. */
#define LINUX_HEADER_SIZE 64U
#define LINUX_TEXT_OFFSET 8U
#define LINUX_IMAGE_SIZE 16U
#define LINUX_FLAGS 24U
#define LINUX_MAGIC 56U
#define LINUX_FLAG_BIG_ENDIAN 1U

/* What to take for text_offset when image_size is 0: kernels before 3.17 (booting.rst, "Call the kernel image"). */
#define LINUX_ARM64_OLD_TEXT_OFFSET UINT64_C(0x80000)

static const struct linux_format {
    enum image_format format;
    uint8_t magic[4];
    uint16_t elf_machine;
} linux_formats[] = {
    {IMAGE_LINUX_ARM64, {'A', 'R', 'M', 0x64}, ELF_MACHINE_AARCH64},
    {IMAGE_LINUX_RISCV, {'R', 'S', 'C', 0x05}, ELF_MACHINE_RISCV},
};

struct elf {
    const uint8_t *data;
    size_t size;
    uint64_t phoff; /* phnum program headers there are inside the file */
    unsigned phnum;
};

/* A PT_LOAD program header; memory_size is 0 for all others. The file part is inside the file and the memory part. */
struct segment {
    uint64_t offset, file_size;
    uint64_t vaddr, paddr, memory_size;
};

static int damaged(const char **why, const char *text)
{
    *why = text;
    return AXVM_EINVAL;
}

static uint64_t read_le(const uint8_t *from, unsigned bytes)
{
    uint64_t value = 0;

    while (bytes-- > 0) {
        value = value << 8 | from[bytes];
    }
    return value;
}

static bool is_elf(const uint8_t *data, size_t size)
{
    static const uint8_t magic[4] = {0x7f, 'E', 'L', 'F'};

    return size >= sizeof(magic) && memcmp(data, magic, sizeof(magic)) == 0;
}

static int elf_open(const uint8_t *data, size_t size, struct elf *elf, const char **why)
{
    uint64_t type;

    if (size < ELF_HEADER_SIZE) {
        return damaged(why, "the ELF header is cut off");
    }
    if (data[4] != ELF_CLASS_64 || data[5] != ELF_DATA_LITTLE) {
        return damaged(why, "the ELF file is not a 64-bit little-endian one");
    }
    type = read_le(data + 16, 2);
    if (type != ELF_TYPE_EXEC && type != ELF_TYPE_DYN) {
        return damaged(why, "the ELF file is not an executable");
    }
    *elf = (struct elf){.data = data, .size = size, .phoff = read_le(data + 32, 8)};
    elf->phnum = (unsigned)read_le(data + 56, 2);
    if (read_le(data + 54, 2) != ELF_PHDR_SIZE || elf->phnum == 0 || elf->phnum > ELF_MAX_PHDRS) {
        return damaged(why, "the ELF file has no program headers, too many, or such of a wrong size");
    }
    if (elf->phoff > size || size - elf->phoff < elf->phnum * ELF_PHDR_SIZE) {
        return damaged(why, "the ELF program headers lie outside the file");
    }
    return AXVM_OK;
}

static int elf_segment(const struct elf *elf, unsigned index, struct segment *segment, const char **why)
{
    const uint8_t *header = elf->data + elf->phoff + index * ELF_PHDR_SIZE;

    *segment = (struct segment){0};
    if (read_le(header, 4) != ELF_PT_LOAD) {
        return AXVM_OK;
    }
    *segment = (struct segment){
        .offset = read_le(header + 8, 8),
        .vaddr = read_le(header + 16, 8),
        .paddr = read_le(header + 24, 8),
        .file_size = read_le(header + 32, 8),
        .memory_size = read_le(header + 40, 8),
    };
    if (segment->file_size > segment->memory_size) {
        return damaged(why, "an ELF segment is larger in the file than in memory");
    }
    if (segment->offset > elf->size || elf->size - segment->offset < segment->file_size) {
        return damaged(why, "an ELF segment lies outside the file");
    }
    if (segment->paddr > UINT64_MAX - segment->memory_size) {
        return damaged(why, "an ELF segment's physical addresses wrap");
    }
    return AXVM_OK;
}

static bool segments_overlap(const struct segment *a, const struct segment *b)
{
    return a->paddr < b->paddr + b->memory_size && b->paddr < a->paddr + a->memory_size;
}

/* Check all segments, singly and against those before them, and find the range that they span. */
static int elf_span(const struct elf *elf, struct image *image, const char **why)
{
    struct segment a, b;

    image->first = UINT64_MAX;
    image->last = 0;
    for (unsigned i = 0; i < elf->phnum; i++) {
        int error = elf_segment(elf, i, &a, why);

        if (error != AXVM_OK) {
            return error;
        }
        if (a.memory_size == 0) {
            continue;
        }
        for (unsigned j = 0; j < i; j++) {
            if (elf_segment(elf, j, &b, why) == AXVM_OK && b.memory_size != 0 && segments_overlap(&a, &b)) {
                return damaged(why, "ELF segments overlap in physical memory");
            }
        }
        image->first = a.paddr < image->first ? a.paddr : image->first;
        image->last = a.paddr + a.memory_size - 1 > image->last ? a.paddr + a.memory_size - 1 : image->last;
    }
    if (image->first > image->last) {
        return damaged(why, "the ELF file has nothing to load");
    }
    if (image->last - image->first >= IMAGE_MAX_SIZE) {
        return damaged(why, "the ELF segments lie absurdly far apart");
    }
    image->memory_size = image->last - image->first + 1;
    return AXVM_OK;
}

/*
 * e_entry is a virtual address: go through the segment that has it in its file part. Some files (Linux's x86 vmlinux)
 * have the physical address there already.
 */
static int elf_entry(const struct elf *elf, struct image *image, const char **why)
{
    uint64_t entry = read_le(elf->data + 24, 8);
    struct segment segment;
    bool physical = false;

    for (unsigned i = 0; i < elf->phnum; i++) {
        int error = elf_segment(elf, i, &segment, why);

        if (error != AXVM_OK) {
            return error;
        }
        if (entry >= segment.vaddr && entry - segment.vaddr < segment.file_size) {
            image->entry = segment.paddr + (entry - segment.vaddr);
            return AXVM_OK;
        }
        physical = physical || (entry >= segment.paddr && entry - segment.paddr < segment.file_size);
    }
    image->entry = entry;
    return physical ? AXVM_OK : damaged(why, "the ELF entry point lies in no segment");
}

static int elf_probe(struct image *image, const char **why)
{
    struct elf elf;
    int error = elf_open(image->data, image->size, &elf, why);

    if (error == AXVM_OK) {
        error = elf_span(&elf, image, why);
    }
    if (error == AXVM_OK) {
        error = elf_entry(&elf, image, why);
    }
    if (error == AXVM_OK) {
        image->format = IMAGE_ELF64;
        image->elf_machine = (uint16_t)read_le(image->data + 18, 2);
    }
    return error;
}

static int linux_probe(struct image *image, const struct linux_format *format, const char **why)
{
    uint64_t image_size = read_le(image->data + LINUX_IMAGE_SIZE, 8);

    image->text_offset = read_le(image->data + LINUX_TEXT_OFFSET, 8);
    if ((read_le(image->data + LINUX_FLAGS, 8) & LINUX_FLAG_BIG_ENDIAN) != 0) {
        return damaged(why, "the Linux kernel is a big-endian one");
    }
    if (image_size == 0 && format->format == IMAGE_LINUX_ARM64) {
        image->text_offset = LINUX_ARM64_OLD_TEXT_OFFSET;
    } else if (image_size == 0) {
        return damaged(why, "the Linux header has no image size");
    }
    if (image_size > IMAGE_MAX_SIZE || image->text_offset > IMAGE_MAX_SIZE) {
        return damaged(why, "the Linux header's image size or text offset is absurd");
    }
    image->memory_size = image_size > image->size ? image_size : image->size;
    image->format = format->format;
    image->elf_machine = format->elf_machine;
    return AXVM_OK;
}

static const struct linux_format *linux_format_of(const uint8_t *data, size_t size)
{
    if (size < LINUX_HEADER_SIZE) {
        return NULL;
    }
    for (size_t i = 0; i < sizeof(linux_formats) / sizeof(linux_formats[0]); i++) {
        if (memcmp(data + LINUX_MAGIC, linux_formats[i].magic, sizeof(linux_formats[i].magic)) == 0) {
            return &linux_formats[i];
        }
    }
    return NULL;
}

int image_probe(const void *data, size_t size, struct image *image, const char **why)
{
    const struct linux_format *format;

    *image = (struct image){0};
    if (data == NULL) {
        return AXVM_OK;
    }
    *image = (struct image){.data = data, .size = size, .format = IMAGE_FLAT, .memory_size = size};
    if (size == 0 || size > IMAGE_MAX_SIZE) {
        return damaged(why, size == 0 ? "the file is empty" : "the file is absurdly large");
    }
    if (is_elf(data, size)) {
        return elf_probe(image, why);
    }
    format = linux_format_of(data, size);
    return format != NULL ? linux_probe(image, format, why) : AXVM_OK;
}

static int load_segment(const struct elf *elf, const struct segment *segment,
                        int (*load)(void *context, gpa_t to, const void *from, uint64_t size), void *context)
{
    uint64_t bss = segment->memory_size - segment->file_size;
    int error = AXVM_OK;

    if (segment->file_size != 0) {
        error = load(context, gpa(segment->paddr), elf->data + segment->offset, segment->file_size);
    }
    if (error == AXVM_OK && bss != 0) {
        error = load(context, gpa(segment->paddr + segment->file_size), NULL, bss);
    }
    return error;
}

int image_load(const struct image *image, gpa_t at,
               int (*load)(void *context, gpa_t to, const void *from, uint64_t size), void *context)
{
    const char *why;
    struct segment segment;
    struct elf elf;
    int error;

    if (image->data == NULL) {
        return AXVM_OK;
    }
    if (image->format != IMAGE_ELF64) {
        return load(context, at, image->data, image->size);
    }
    error = elf_open(image->data, image->size, &elf, &why);
    for (unsigned i = 0; error == AXVM_OK && i < elf.phnum; i++) {
        error = elf_segment(&elf, i, &segment, &why);
        if (error == AXVM_OK) {
            error = load_segment(&elf, &segment, load, context);
        }
    }
    return error;
}
