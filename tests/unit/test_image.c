/* SPDX-License-Identifier: Apache-2.0 */
#include "core/image.h"

#include "support/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>


#define AARCH64 183U
#define RISCV 243U

static void put(uint8_t *at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        at[i] = (uint8_t)(value >> (8 * i));
    }
}

/* ---- A small ELF: header, program headers from 64 on, file data from 512 on -------------------------------------- */

#define ELF_FILE_SIZE 2048U

struct phdr {
    uint64_t offset, vaddr, paddr, filesz, memsz;
};

static void elf_header(uint8_t file[ELF_FILE_SIZE], uint64_t entry, unsigned phnum)
{
    static const uint8_t ident[7] = {0x7f, 'E', 'L', 'F', 2, 1, 1};

    for (size_t i = 0; i < ELF_FILE_SIZE; i++) {
        file[i] = (uint8_t)i;
    }
    memset(file, 0, 512);
    memcpy(file, ident, sizeof(ident));
    put(file + 16, 2, 2);
    put(file + 18, AARCH64, 2);
    put(file + 24, entry, 8);
    put(file + 32, 64, 8);
    put(file + 54, 56, 2);
    put(file + 56, phnum, 2);
}

static void elf_phdr(uint8_t file[ELF_FILE_SIZE], unsigned index, uint32_t type, struct phdr p)
{
    uint8_t *header = file + 64 + index * 56U;

    put(header, type, 4);
    put(header + 8, p.offset, 8);
    put(header + 16, p.vaddr, 8);
    put(header + 24, p.paddr, 8);
    put(header + 32, p.filesz, 8);
    put(header + 40, p.memsz, 8);
}

/* Two segments linked high and loaded low, in the wrong order, with BSS in one, and a note between them. */
static void good_elf(uint8_t file[ELF_FILE_SIZE])
{
    elf_header(file, 0xffff000000001010, 3);
    elf_phdr(file, 0, 1, (struct phdr){1024, 0xffff000000003000, 0x40003000, 256, 0x1000});
    elf_phdr(file, 1, 4, (struct phdr){UINT64_MAX, 1, 1, UINT64_MAX, 1});
    elf_phdr(file, 2, 1, (struct phdr){512, 0xffff000000001000, 0x40001000, 300, 300});
}

static void assert_refused(const void *data, size_t size)
{
    const char *why = NULL;
    struct image image;

    assert_int_equal(image_probe(data, size, &image, &why), AXVM_EINVAL);
    assert_non_null(why);
}

static struct image probed(const void *data, size_t size)
{
    const char *why = "";
    struct image image;

    if (image_probe(data, size, &image, &why) != AXVM_OK) {
        fail_msg("refused: %s", why);
    }
    return image;
}

static void elf_is_loaded_at_physical_addresses(void **state)
{
    uint8_t file[ELF_FILE_SIZE];
    struct image image;

    (void)state;
    good_elf(file);
    image = probed(file, sizeof(file));
    assert_int_equal(image.format, IMAGE_ELF64);
    assert_int_equal(image.elf_machine, AARCH64);
    assert_int_equal(image.first, 0x40001000);
    assert_int_equal(image.last, 0x40003fff);
    assert_int_equal(image.memory_size, 0x3000);
}

static void elf_entry_goes_through_its_segment(void **state)
{
    uint8_t file[ELF_FILE_SIZE];

    (void)state;
    good_elf(file);
    assert_int_equal(probed(file, sizeof(file)).entry, 0x40001010);
}

static void elf_entry_may_be_physical_already(void **state)
{
    uint8_t file[ELF_FILE_SIZE];

    (void)state;
    good_elf(file);
    put(file + 24, 0x40003004, 8);
    assert_int_equal(probed(file, sizeof(file)).entry, 0x40003004);
}

static void elf_entry_outside_all_segments_is_refused(void **state)
{
    uint8_t file[ELF_FILE_SIZE];

    (void)state;
    good_elf(file);
    put(file + 24, 0xffff000000003100, 8); /* in the BSS */
    assert_refused(file, sizeof(file));
    put(file + 24, 0, 8);
    assert_refused(file, sizeof(file));
}

static void elf_header_that_lies_is_refused(void **state)
{
    static const struct {
        size_t at;
        unsigned bytes;
        uint64_t value;
    } lies[] = {
        {4, 1, 1},                                /* 32-bit */
        {5, 1, 2},                                /* big-endian */
        {16, 2, 1},                               /* relocatable */
        {32, 8, ELF_FILE_SIZE - 100},             /* program headers beyond the end */
        {32, 8, UINT64_MAX - 60},                 /* ... wrapping */
        {54, 2, 32},                              /* size of a program header */
        {56, 2, 0},                               /* none */
        {56, 2, 0xffff},                          /* more than the file has */
        {64 + 8, 8, ELF_FILE_SIZE - 255},         /* segment 0: file part beyond the end */
        {64 + 8, 8, UINT64_MAX - 10},             /* ... wrapping */
        {64 + 24, 8, UINT64_MAX - 0x800},         /* ... physical range wraps */
        {64 + 24, 8, 0x40001100},                 /* ... on top of segment 2 */
        {64 + 24, 8, 0x40000fff},                 /* ... on top of it from below */
        {64 + 24, 8, UINT64_C(0x40001000) << 20}, /* ... absurdly far away */
        {64 + 32, 8, 0x1001},                     /* ... more in the file than in memory */
        {64 + 32, 8, UINT64_MAX},
        {64 + 40, 8, UINT64_MAX},                 /* ... memory without end */
        {64 + 40, 8, (UINT64_C(1) << 40) + 1},
    };
    uint8_t file[ELF_FILE_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        good_elf(file);
        probed(file, sizeof(file));
        put(file + lies[i].at, lies[i].value, lies[i].bytes);
        assert_refused(file, sizeof(file));
    }
}

static void elf_without_segments_is_refused(void **state)
{
    uint8_t file[ELF_FILE_SIZE];
    const char *why = "";
    struct image image;

    (void)state;
    elf_header(file, 0, 1);
    elf_phdr(file, 0, 1, (struct phdr){512, 0, 0, 0, 0});
    assert_int_equal(image_probe(file, sizeof(file), &image, &why), AXVM_EINVAL);
    assert_non_null(strstr(why, "nothing to load"));
}

static void elf_with_too_many_program_headers_is_refused(void **state)
{
    static uint8_t file[64 + 257 * 56];
    uint8_t small[ELF_FILE_SIZE];

    (void)state;
    good_elf(small);
    memcpy(file, small, 64 + 3 * 56); /* the others are zero: PT_NULL */
    put(file + 56, 256, 2);
    assert_int_equal(probed(file, sizeof(file)).memory_size, 0x3000);
    put(file + 56, 257, 2);
    assert_refused(file, sizeof(file));
}

static void elf_cut_off_anywhere_is_refused(void **state)
{
    uint8_t file[ELF_FILE_SIZE];

    (void)state;
    good_elf(file);
    for (size_t size = 4; size < 1024 + 256; size++) {
        uint8_t *cut = malloc(size);

        assert_non_null(cut);
        memcpy(cut, file, size);
        assert_refused(cut, size);
        free(cut);
    }
}

/* ---- Linux's headers --------------------------------------------------------------------------------------------- */

#define LINUX_FILE_SIZE 4096U

static uint8_t linux_file[LINUX_FILE_SIZE];

static void linux_header(uint8_t file[LINUX_FILE_SIZE], const char magic[4], uint64_t text_offset, uint64_t image_size,
                         uint64_t flags)
{
    memset(file, 0xa5, LINUX_FILE_SIZE);
    put(file + 8, text_offset, 8);
    put(file + 16, image_size, 8);
    put(file + 24, flags, 8);
    memcpy(file + 56, magic, 4);
}

static struct image probed_linux(const char magic[4], uint64_t text_offset, uint64_t image_size, uint64_t flags)
{
    linux_header(linux_file, magic, text_offset, image_size, flags);
    return probed(linux_file, LINUX_FILE_SIZE);
}

static void assert_linux_refused(const char magic[4], uint64_t text_offset, uint64_t image_size, uint64_t flags)
{
    linux_header(linux_file, magic, text_offset, image_size, flags);
    assert_refused(linux_file, LINUX_FILE_SIZE);
}

static void linux_arm64_says_its_size_and_offset(void **state)
{
    struct image image = probed_linux("ARM\x64", 0, 0x1a50000, 0xa);

    (void)state;
    assert_int_equal(image.format, IMAGE_LINUX_ARM64);
    assert_int_equal(image.text_offset, 0);
    assert_int_equal(image.memory_size, 0x1a50000);
    assert_int_equal(image.elf_machine, AARCH64);
}

static void linux_arm64_before_3_17_has_no_size(void **state)
{
    struct image image = probed_linux("ARM\x64", 0x1234567, 0, 0);

    (void)state;
    assert_int_equal(image.text_offset, 0x80000);
    assert_int_equal(image.memory_size, LINUX_FILE_SIZE);
}

static void linux_riscv_says_its_size_and_offset(void **state)
{
    struct image image = probed_linux("RSC\x05", 0x200000, 0x1600000, 0);

    (void)state;
    assert_int_equal(image.format, IMAGE_LINUX_RISCV);
    assert_int_equal(image.text_offset, 0x200000);
    assert_int_equal(image.memory_size, 0x1600000);
    assert_int_equal(image.elf_machine, RISCV);
    assert_linux_refused("RSC\x05", 0x200000, 0, 0);
}

static void linux_image_needs_at_least_the_file(void **state)
{
    (void)state;
    assert_int_equal(probed_linux("ARM\x64", 0, 1, 0).memory_size, LINUX_FILE_SIZE);
    assert_int_equal(probed_linux("RSC\x05", 0, 1, 0).memory_size, LINUX_FILE_SIZE);
}

static void linux_header_that_lies_is_refused(void **state)
{
    (void)state;
    assert_linux_refused("ARM\x64", 0, 0x100000, 1); /* big-endian */
    assert_linux_refused("RSC\x05", 0, 0x100000, 1);
    assert_linux_refused("ARM\x64", 0, UINT64_MAX, 0);
    assert_linux_refused("ARM\x64", UINT64_MAX, 0x100000, 0);
    assert_linux_refused("RSC\x05", 0, UINT64_MAX, 0);
    assert_linux_refused("RSC\x05", UINT64_MAX, 0x100000, 0);
}

/* ---- Anything else ----------------------------------------------------------------------------------------------- */

static void anything_else_is_flat(void **state)
{
    static const uint8_t file[63] = {0x7f, 'E', 'L', 'G', [56] = 'A', 'R', 'M', 0x64};
    struct image image;

    (void)state;
    image = probed(file, sizeof(file)); /* too short for Linux's header */
    assert_int_equal(image.format, IMAGE_FLAT);
    assert_int_equal(image.memory_size, 63);
    assert_int_equal(image.elf_machine, 0);
    assert_int_equal(probed(file, 1).memory_size, 1);
}

static void empty_file_is_refused_and_no_file_is_none(void **state)
{
    (void)state;
    assert_refused("", 0);
    assert_null(probed(NULL, 0).data);
}

/* ---- Loading ----------------------------------------------------------------------------------------------------- */

struct loads {
    unsigned count;
    struct {
        uint64_t to, size;
        const void *from;
    } piece[8];
    unsigned fail_at; /* 1: at the first */
};

static int note_load(void *context, gpa_t to, const void *from, uint64_t size)
{
    struct loads *loads = context;

    assert_true(loads->count < 8);
    loads->piece[loads->count].to = to.v;
    loads->piece[loads->count].size = size;
    loads->piece[loads->count].from = from;
    return ++loads->count == loads->fail_at ? AXVM_EFAULT : AXVM_OK;
}

static void assert_piece(const struct loads *loads, unsigned n, uint64_t to, uint64_t size, const void *from)
{
    assert_true(n < loads->count);
    assert_int_equal(loads->piece[n].to, to);
    assert_int_equal(loads->piece[n].size, size);
    assert_ptr_equal(loads->piece[n].from, from);
}

/* `file` becomes the good one. */
static int load_elf(uint8_t file[ELF_FILE_SIZE], struct loads *loads)
{
    struct image image;

    good_elf(file);
    image = probed(file, ELF_FILE_SIZE);
    return image_load(&image, gpa(0), note_load, loads);
}

static void elf_loads_file_parts_and_zeroes(void **state)
{
    uint8_t file[ELF_FILE_SIZE];
    struct loads loads = {0};

    (void)state;
    assert_int_equal(load_elf(file, &loads), AXVM_OK);
    assert_int_equal(loads.count, 3);
    assert_piece(&loads, 0, 0x40003000, 256, file + 1024);
    assert_piece(&loads, 1, 0x40003100, 0xf00, NULL);
    assert_piece(&loads, 2, 0x40001000, 300, file + 512);
}

static void flat_loads_whole_where_it_is_told(void **state)
{
    static const uint8_t file[100] = {1};
    struct image image = probed(file, sizeof(file));
    struct loads loads = {0};

    (void)state;
    assert_int_equal(image_load(&image, gpa(0x80200000), note_load, &loads), AXVM_OK);
    assert_int_equal(loads.count, 1);
    assert_piece(&loads, 0, 0x80200000, sizeof(file), file);
}

static void loading_stops_at_the_first_error(void **state)
{
    uint8_t file[ELF_FILE_SIZE];
    struct loads loads = {.fail_at = 1};

    (void)state;
    assert_int_equal(load_elf(file, &loads), AXVM_EFAULT);
    assert_int_equal(loads.count, 1);
}

static void image_that_changed_after_the_probe_is_not_trusted(void **state)
{
    uint8_t file[ELF_FILE_SIZE];
    struct loads loads = {0};
    struct image image;

    (void)state;
    good_elf(file);
    image = probed(file, sizeof(file));
    put(file + 64 + 8, UINT64_MAX - 10, 8);
    assert_int_equal(image_load(&image, gpa(0), note_load, &loads), AXVM_EINVAL);
    assert_int_equal(loads.count, 0);
}

/* ---- Hostile images ---------------------------------------------------------------------------------------------- */

struct bounds {
    const struct image *image;
    uint64_t total;
};

static int check_load(void *context, gpa_t to, const void *from, uint64_t size)
{
    struct bounds *bounds = context;
    const struct image *image = bounds->image;
    const uint8_t *bytes = from;

    assert_true(size > 0);
    if (image->format == IMAGE_ELF64) {
        assert_true(to.v >= image->first && to.v <= image->last && size - 1 <= image->last - to.v);
    }
    if (bytes != NULL) {
        assert_true(bytes >= image->data && (size_t)(bytes - image->data) <= image->size);
        assert_true(size <= image->size - (size_t)(bytes - image->data));
    }
    bounds->total += size;
    return AXVM_OK;
}

static void probe_hostile(const uint8_t *data, size_t size, unsigned *accepted)
{
    const char *why = NULL;
    struct image image;
    struct bounds bounds = {&image, 0};

    if (image_probe(data, size, &image, &why) != AXVM_OK) {
        assert_non_null(why);
        return;
    }
    (*accepted)++;
    assert_true(image.memory_size != 0 && image.memory_size <= IMAGE_MAX_SIZE && image.text_offset <= IMAGE_MAX_SIZE);
    if (image.format == IMAGE_ELF64) {
        assert_true(image.first <= image.last && image.entry >= image.first && image.entry <= image.last);
    } else {
        assert_true(image.memory_size >= image.size);
    }
    assert_int_equal(image_load(&image, gpa(0), check_load, &bounds), AXVM_OK);
    assert_true(bounds.total <= image.memory_size);
}

static void mutate(uint8_t *data, size_t size)
{
    static const uint64_t nasty[] = {0, 1, 0x7f, 0x80, 0xff, 0x7fffffff, 0x80000000, 0xffffffff, INT64_MAX, UINT64_MAX};

    for (uint64_t n = 1 + random_below(4); n > 0; n--) {
        size_t at = random_below(size);
        uint64_t value = random_below(2) != 0 ? nasty[random_below(10)] : random_u64();
        unsigned bytes = 1U << random_below(4);

        put(data + at, value, bytes <= size - at ? bytes : 1);
    }
}

static void mutated_images_are_harmless(void **state)
{
    unsigned accepted = 0;

    (void)state;
    random_start("mutated images");
    for (unsigned round = 0; round < 60000; round++) {
        uint8_t file[4096];
        size_t size;
        uint8_t *data;

        if (round % 3 == 0) {
            linux_header(file, round % 2 != 0 ? "ARM\x64" : "RSC\x05", 0, 0x100000, 0);
        } else {
            good_elf(file);
        }
        mutate(file, 64 + 3 * 56);
        size = round % 4 == 0 ? 1 + random_below(ELF_FILE_SIZE) : ELF_FILE_SIZE;
        data = malloc(size);
        assert_non_null(data);
        memcpy(data, file, size);
        probe_hostile(data, size, &accepted);
        free(data);
    }
    assert_in_range(accepted, 1000, 59000); /* the mutations reach both outcomes */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elf_is_loaded_at_physical_addresses),
        cmocka_unit_test(elf_entry_goes_through_its_segment),
        cmocka_unit_test(elf_entry_may_be_physical_already),
        cmocka_unit_test(elf_entry_outside_all_segments_is_refused),
        cmocka_unit_test(elf_header_that_lies_is_refused),
        cmocka_unit_test(elf_without_segments_is_refused),
        cmocka_unit_test(elf_with_too_many_program_headers_is_refused),
        cmocka_unit_test(elf_cut_off_anywhere_is_refused),
        cmocka_unit_test(linux_arm64_says_its_size_and_offset),
        cmocka_unit_test(linux_arm64_before_3_17_has_no_size),
        cmocka_unit_test(linux_riscv_says_its_size_and_offset),
        cmocka_unit_test(linux_image_needs_at_least_the_file),
        cmocka_unit_test(linux_header_that_lies_is_refused),
        cmocka_unit_test(anything_else_is_flat),
        cmocka_unit_test(empty_file_is_refused_and_no_file_is_none),
        cmocka_unit_test(elf_loads_file_parts_and_zeroes),
        cmocka_unit_test(flat_loads_whole_where_it_is_told),
        cmocka_unit_test(loading_stops_at_the_first_error),
        cmocka_unit_test(image_that_changed_after_the_probe_is_not_trusted),
        cmocka_unit_test(mutated_images_are_harmless),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
