/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Address spaces against plain arrays: one says what should be at each page of a window of guest memory, one what its
 * bytes are. After every operation each page translates as the array says, and what was refused has changed nothing;
 * reads and writes of guest memory go as far as the pages allow, and find what was written before.
 */
#include "fuzz.h"
#include "arch/fake/fake.h"
#include "mem/addrspace.h"
#include "lib/host.h"
#include "support/a64_machine.h"

#define PAGES 1200U /* a little over 4 MiB, so that large leaves come and go */
#define WINDOW GIB(1)
#define TARGET (FAKE_RAM_BASE + MIB(128)) /* of linear areas */

enum { ABSENT, LINEAR, ALLOC, LAZY };

static struct {
    uint8_t kind;
    uint8_t flags;
    bool touched; /* LAZY: populated */
    uint64_t linear; /* LINEAR: where to */
} model[PAGES];

static uint8_t shadow[PAGES * AXVM_PAGE_SIZE]; /* contents; those of linear pages aren't known */

static struct addrspace space;

/* Four pages may be populated together: whether one of those around this one was touched. */
static bool touched_around(unsigned page)
{
    bool touched = false;

    for (unsigned i = page / 4 * 4; i < page / 4 * 4 + 4 && i < PAGES; i++) {
        touched |= model[i].kind == LAZY && model[i].touched;
    }
    return touched;
}

static void check_page(unsigned page)
{
    hpa_t target;
    uint32_t flags;
    int error = addrspace_translate(&space, gpa(WINDOW + page * AXVM_PAGE_SIZE), &target, &flags, NULL);
    bool mapped;

    if (model[page].kind == LAZY && !model[page].touched && error == AXVM_OK) {
        require(touched_around(page));
        model[page].touched = true;
    }
    mapped = model[page].kind == LINEAR || model[page].kind == ALLOC ||
             (model[page].kind == LAZY && model[page].touched);
    require((error == AXVM_OK) == mapped);
    if (mapped) {
        require((flags & AXVM_MEM_PERMS) == model[page].flags);
        require(model[page].kind != LINEAR || target.v == model[page].linear);
    }
}

static bool all_of(unsigned first, unsigned count, bool absent)
{
    for (unsigned i = first; i < first + count; i++) {
        if ((model[i].kind == ABSENT) != absent) {
            return false;
        }
    }
    return true;
}

static void set_pages(unsigned first, unsigned count, uint8_t kind, uint8_t flags)
{
    for (unsigned i = first; i < first + count; i++) {
        model[i].kind = kind;
        model[i].flags = flags;
        model[i].touched = false;
        model[i].linear = TARGET + i * AXVM_PAGE_SIZE;
        memset(&shadow[i * AXVM_PAGE_SIZE], 0, AXVM_PAGE_SIZE);
    }
}

/* How many bytes of [at, at + size), offsets in the window, an access may go before a page forbids it. */
static uint64_t allowed(uint64_t at, uint64_t size, uint8_t access)
{
    uint64_t done = 0;

    while (done < size) {
        unsigned page = (unsigned)((at + done) / AXVM_PAGE_SIZE);

        if (page >= PAGES || model[page].kind == ABSENT || (model[page].flags & access) == 0) {
            break;
        }
        done += AXVM_PAGE_SIZE - (at + done) % AXVM_PAGE_SIZE;
    }
    return done < size ? done : size;
}

/* The pages that were come by are populated now. */
static void touch(uint64_t at, uint64_t size)
{
    for (uint64_t page = at / AXVM_PAGE_SIZE; size != 0 && page <= (at + size - 1) / AXVM_PAGE_SIZE; page++) {
        model[page].touched = true;
    }
}

static void write_memory(uint64_t at, uint64_t size, uint8_t value)
{
    static uint8_t bytes[4 * AXVM_PAGE_SIZE];
    uint64_t good = allowed(at, size, AXVM_MEM_WRITE);

    memset(bytes, value, size);
    require(addrspace_write(&space, gpa(WINDOW + at), bytes, size) == (good == size ? AXVM_OK : AXVM_EFAULT));
    memset(&shadow[at], value, good);
    touch(at, good);
}

static void read_memory(uint64_t at, uint64_t size)
{
    static uint8_t bytes[4 * AXVM_PAGE_SIZE];
    uint64_t good = allowed(at, size, AXVM_MEM_READ);

    require(addrspace_read(&space, gpa(WINDOW + at), bytes, size) == (good == size ? AXVM_OK : AXVM_EFAULT));
    touch(at, good);
    for (uint64_t i = 0; i < good; i++) {
        require(bytes[i] == shadow[at + i] || model[(at + i) / AXVM_PAGE_SIZE].kind == LINEAR);
    }
}

static void operate(struct input *in)
{
    uint8_t what = (uint8_t)take(in, 1);
    unsigned first = (unsigned)take(in, 2) % PAGES;
    unsigned count = (unsigned)take(in, 2) % (PAGES - first) + 1;
    uint8_t flags = (uint8_t)(AXVM_MEM_READ | (take(in, 1) & AXVM_MEM_PERMS));
    gpa_t start = gpa(WINDOW + first * AXVM_PAGE_SIZE);
    uint64_t size = count * AXVM_PAGE_SIZE;
    int error;

    switch (what % 8) {
    case 0:
        error = addrspace_map_linear(&space, start, hpa(TARGET + first * AXVM_PAGE_SIZE), size, flags);
        require(error != AXVM_OK || all_of(first, count, true));
        if (error == AXVM_OK) {
            set_pages(first, count, LINEAR, flags);
        }
        break;
    case 1:
    case 2:
        error = addrspace_map_alloc(&space, start, size, flags, what % 8 == 2);
        require(error != AXVM_OK || all_of(first, count, true));
        if (error == AXVM_OK) {
            set_pages(first, count, what % 8 == 2 ? LAZY : ALLOC, flags);
        }
        break;
    case 3:
        error = addrspace_unmap(&space, start, size);
        require(error != AXVM_OK || all_of(first, count, false));
        if (error == AXVM_OK) {
            set_pages(first, count, ABSENT, 0);
        }
        break;
    case 4:
        error = addrspace_protect(&space, start, size, flags);
        require(error != AXVM_OK || all_of(first, count, false));
        for (unsigned i = first; error == AXVM_OK && i < first + count; i++) {
            model[i].flags = flags;
        }
        break;
    case 5:
        write_memory(first * AXVM_PAGE_SIZE + take(in, 2) % AXVM_PAGE_SIZE, 1 + take(in, 2) % (3 * AXVM_PAGE_SIZE),
                     (uint8_t)take(in, 1));
        break;
    case 6:
        read_memory(first * AXVM_PAGE_SIZE + take(in, 2) % AXVM_PAGE_SIZE, 1 + take(in, 2) % (3 * AXVM_PAGE_SIZE));
        break;
    default:
        error = addrspace_fault(&space, start, flags & AXVM_MEM_WRITE ? AXVM_MEM_WRITE : AXVM_MEM_READ);
        require((error == AXVM_ENOENT) == (model[first].kind == ABSENT));
        if (model[first].kind == LAZY && error == AXVM_OK) {
            model[first].touched = true;
        }
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct pt_format *const formats[] = {&pt_aarch64_stage2, &pt_riscv64_gstage, &pt_x86_ept,
                                                     &pt_riscv64_gstage_svpbmt};
    static const unsigned bits[] = {40, 41, 48, 41};
    struct input in = {data, size};
    unsigned format = (unsigned)take(&in, 1) % 4;
    void *state = NULL;

    require(fake_hal_setup(&state) == 0);
    hal = &fake_hal;
    fake_hal_reserve(hpa(TARGET), sizeof(shadow));
    memset(model, 0, sizeof(model));
    require(addrspace_init(&space, formats[format], bits[format], &fake_tlb, 1) == AXVM_OK);
    while (in.size > 0) {
        operate(&in);
        for (unsigned page = 0; page < PAGES; page++) {
            check_page(page);
        }
    }
    addrspace_destroy(&space);
    require(fake_hal_teardown(&state) == 0);
    return 0;
}
