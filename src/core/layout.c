/* SPDX-License-Identifier: Apache-2.0 */
#include "core/layout.h"
#include "core/config_schema.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Linux's Documentation/arch/arm64/booting.rst, sections 2 and 4; RISC-V's boot.rst asks for the same alignment. */
#define KERNEL_ALIGN MIB(2)
#define DTB_ALIGN 8U
#define DTB_MAX MIB(2)
#define DTB_WINDOW MIB(512)
#define RAMDISK_WINDOW GIB(32)
#define RAMDISK_WINDOW_ALIGN GIB(1)

#define DTB_ROOM KIB(64)  /* a generated tree of 64 vCPUs takes 14 KiB */
#define DTB_SLACK KIB(16) /* what guest_fdt_patch() may add to a user's tree */

/* No architecture has guest-physical addresses beyond; sums below it don't overflow. */
#define ADDRESS_LIMIT (UINT64_C(1) << 60)

/* [start, end) */
struct span {
    uint64_t start, end;
};

struct spans {
    size_t count;
    struct span span[AXVM_MAX_MEMORY_REGIONS]; /* ascending, disjoint, not adjacent, below ADDRESS_LIMIT */
};

/* What speaks of an image: offsets in struct axvm_config. */
static const struct image_fields {
    const char *name;
    size_t address, path;
} image_fields[AXVM_IMAGE_COUNT] = {
#define IMAGE_FIELDS(name)                                                                                             \
    {                                                                                                                  \
        #name, offsetof(struct axvm_config, name##_load_addr), offsetof(struct axvm_config, name##_path)               \
    }
    [AXVM_IMAGE_KERNEL] = IMAGE_FIELDS(kernel),
    [AXVM_IMAGE_BIOS] = IMAGE_FIELDS(bios),
    [AXVM_IMAGE_DTB] = IMAGE_FIELDS(dtb),
    [AXVM_IMAGE_RAMDISK] = IMAGE_FIELDS(ramdisk),
#undef IMAGE_FIELDS
};

/* Files that are no kernels yet, though people name them so. */
static const struct packing {
    const char *name;
    uint8_t at, length;
    uint8_t magic[6];
} packings[] = {
    {"gzip", 0, 3, {0x1f, 0x8b, 0x08}},
    {"xz", 0, 6, {0xfd, '7', 'z', 'X', 'Z', 0}},
    {"zstd", 0, 4, {0x28, 0xb5, 0x2f, 0xfd}},
    {"lz4", 0, 4, {0x02, 0x21, 0x4c, 0x18}},
    {"EFI zboot", 4, 4, {'z', 'i', 'm', 'g'}},
};

struct plan {
    const struct axvm_config *config;
    const struct axvm_platform *platform;
    const struct image *images;
    struct axvm_config_report *report;
    bool faulty;
    struct spans ram;    /* where an image may be */
    struct spans usable; /* where one is put that has no address */
    uint64_t room[AXVM_IMAGE_COUNT];  /* bytes it takes, 0: absent */
    struct span at[AXVM_IMAGE_COUNT]; /* empty: not placed */
};

static uint64_t round_down(uint64_t value, uint64_t align)
{
    return value & ~(align - 1);
}

static uint64_t round_up(uint64_t value, uint64_t align)
{
    return round_down(value + align - 1, align);
}

static uint64_t add_saturating(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static bool span_empty(struct span s)
{
    return s.start >= s.end;
}

static struct span span_intersect(struct span a, struct span b)
{
    return (struct span){a.start > b.start ? a.start : b.start, a.end < b.end ? a.end : b.end};
}

static bool span_overlaps(struct span a, struct span b)
{
    return !span_empty(span_intersect(a, b));
}

static unsigned long long kib(uint64_t bytes)
{
    return (bytes >> 10) + (bytes % KIB(1) != 0);
}

/* ---- Reporting --------------------------------------------------------------------------------------------------- */

#define RANGE "0x%llx-0x%llx"
#define RANGE_ARGS(s) (unsigned long long)(s).start, (unsigned long long)((s).end - 1)

static void vfault(struct plan *plan, const void *field, const char *format, va_list args)
{
    char path[48];
    char text[224];

    schema_path(plan->config, field, path, sizeof(path));
    vsnprintf(text, sizeof(text), format, args);
    plan->report->error(plan->report, field, path, text);
    plan->faulty = true;
}

__attribute__((format(printf, 3, 4))) static void fault(struct plan *plan, const void *field, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vfault(plan, field, format, args);
    va_end(args);
}

static const struct axvm_opt_u64 *given_address(const struct plan *plan, enum axvm_image_kind kind)
{
    const void *field = (const char *)plan->config + image_fields[kind].address;

    return field;
}

/* What the configuration says of this image: its address if that is given, or if there is no file to name. */
static const void *image_field(const struct plan *plan, enum axvm_image_kind kind)
{
    bool address = given_address(plan, kind)->given || plan->images[kind].data == NULL;

    return (const char *)plan->config + (address ? image_fields[kind].address : image_fields[kind].path);
}

__attribute__((format(printf, 3, 4)))
static void image_fault(struct plan *plan, enum axvm_image_kind kind, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vfault(plan, image_field(plan, kind), format, args);
    va_end(args);
}

static void warn(struct plan *plan, const void *field, const char *text)
{
    char path[48];

    schema_path(plan->config, field, path, sizeof(path));
    plan->report->warn(plan->report, field, path, text);
}

/* ---- RAM --------------------------------------------------------------------------------------------------------- */

static void spans_insert(struct spans *spans, struct span s)
{
    size_t at = spans->count++;

    for (; at > 0 && spans->span[at - 1].start > s.start; at--) {
        spans->span[at] = spans->span[at - 1];
    }
    spans->span[at] = s;
}

static void spans_merge(struct spans *spans)
{
    size_t kept = 0;

    for (size_t i = 0; i < spans->count; i++) {
        struct span s = spans->span[i];

        if (kept > 0 && s.start <= spans->span[kept - 1].end) {
            struct span *before = &spans->span[kept - 1];

            before->end = s.end > before->end ? s.end : before->end;
        } else {
            spans->span[kept++] = s;
        }
    }
    spans->count = kept;
}

/* RAM whose flags have all of `need`. What is no range at all is the validator's business and is left out here. */
static void find_ram(const struct axvm_config *config, uint32_t need, struct spans *spans)
{
    spans->count = 0;
    for (size_t i = 0; i < config->memory_regions_count; i++) {
        const struct axvm_mem_config *region = &config->memory_regions[i];

        if ((region->flags & AXVM_MEM_DEVICE) == 0 && (region->flags & need) == need &&
            region->size < ADDRESS_LIMIT && region->gpa.v < ADDRESS_LIMIT - region->size) {
            spans_insert(spans, (struct span){region->gpa.v, region->gpa.v + region->size});
        }
    }
    spans_merge(spans);
}

static bool in_ram(const struct spans *ram, struct span s)
{
    for (size_t i = 0; i < ram->count; i++) {
        if (s.start >= ram->span[i].start && s.end <= ram->span[i].end) {
            return true;
        }
    }
    return false;
}

/* ---- Free RAM ---------------------------------------------------------------------------------------------------- */

/* The first free piece of `ram` that ends beyond `from`. Walk them: for (from = 0; next_gap(...); from = gap.end). */
static bool next_gap(const struct plan *plan, struct span ram, uint64_t from, struct span *gap)
{
    bool moved = true;

    *gap = ram;
    gap->start = from > ram.start ? from : ram.start;
    while (moved) { /* past each placed image at most once */
        moved = false;
        for (unsigned i = 0; i < AXVM_IMAGE_COUNT; i++) {
            if (plan->at[i].start <= gap->start && gap->start < plan->at[i].end) {
                gap->start = plan->at[i].end;
                moved = true;
            }
        }
    }
    for (unsigned i = 0; i < AXVM_IMAGE_COUNT; i++) {
        if (!span_empty(plan->at[i]) && plan->at[i].start > gap->start && plan->at[i].start < gap->end) {
            gap->end = plan->at[i].start;
        }
    }
    return !span_empty(*gap);
}

static uint64_t largest_gap(const struct plan *plan)
{
    uint64_t largest = 0;
    struct span gap;

    for (size_t i = 0; i < plan->usable.count; i++) {
        for (uint64_t from = 0; next_gap(plan, plan->usable.span[i], from, &gap); from = gap.end) {
            largest = gap.end - gap.start > largest ? gap.end - gap.start : largest;
        }
    }
    return largest;
}

static void no_room(struct plan *plan, enum axvm_image_kind kind)
{
    uint64_t room = plan->room[kind];
    uint64_t largest = largest_gap(plan);
    const char *name = image_fields[kind].name;

    if (room > largest) {
        image_fault(plan, kind, "no room for the %s: it takes %llu KiB, the largest free piece of RAM has %llu KiB,"
                    " %llu KiB are missing", name, kib(room), kib(largest), kib(room - largest));
    } else {
        image_fault(plan, kind, "no room for the %s: it takes %llu KiB, and no free piece of RAM (the largest has %llu"
                    " KiB) has them at an aligned address", name, kib(room), kib(largest));
    }
}

/* Put the kernel text_offset above a 2 MiB boundary of `ram`, as low as it fits. */
static bool place_kernel_in(struct plan *plan, struct span ram)
{
    uint64_t offset = plan->images[AXVM_IMAGE_KERNEL].text_offset;
    uint64_t room = plan->room[AXVM_IMAGE_KERNEL];
    uint64_t lowest = round_up(ram.start, KERNEL_ALIGN) + offset;
    struct span gap;

    for (uint64_t from = 0; next_gap(plan, ram, from, &gap); from = gap.end) {
        uint64_t start = gap.start > lowest ? round_up(gap.start - offset, KERNEL_ALIGN) + offset : lowest;

        if (start < gap.end && gap.end - start >= room) {
            plan->at[AXVM_IMAGE_KERNEL] = (struct span){start, start + room};
            return true;
        }
    }
    return false;
}

static void place_kernel(struct plan *plan)
{
    const struct spans *usable = &plan->usable;

    for (size_t i = 0; i < usable->count; i++) {
        if (plan->platform->ram_base.v >= usable->span[i].start && plan->platform->ram_base.v < usable->span[i].end &&
            place_kernel_in(plan, usable->span[i])) {
            return;
        }
    }
    for (size_t i = 0; i < usable->count; i++) {
        if (place_kernel_in(plan, usable->span[i])) {
            return;
        }
    }
    no_room(plan, AXVM_IMAGE_KERNEL);
}

/* Put an image as high as it fits within `window`. */
static bool place_high(struct plan *plan, enum axvm_image_kind kind, struct span window, uint64_t align)
{
    uint64_t room = plan->room[kind];
    struct span best = {0, 0};
    struct span gap;

    for (size_t i = 0; i < plan->usable.count; i++) {
        for (uint64_t from = 0; next_gap(plan, plan->usable.span[i], from, &gap); from = gap.end) {
            struct span free = span_intersect(gap, window);
            uint64_t start = round_down(free.end - room, align);

            if (!span_empty(free) && free.end - free.start >= room && start >= free.start) {
                best = (struct span){start, start + room};
            }
        }
    }
    plan->at[kind] = best;
    return !span_empty(best);
}

/* The kernel, or what stands for it: device tree and ramdisk are put in relation to it. */
static struct span anchor(const struct plan *plan)
{
    uint64_t base = plan->platform->ram_base.v;

    if (!span_empty(plan->at[AXVM_IMAGE_KERNEL])) {
        return plan->at[AXVM_IMAGE_KERNEL];
    }
    return span_empty(plan->at[AXVM_IMAGE_BIOS]) ? (struct span){base, base} : plan->at[AXVM_IMAGE_BIOS];
}

static struct span near_kernel(const struct plan *plan)
{
    struct span kernel = anchor(plan);

    return (struct span){kernel.end, add_saturating(round_down(kernel.start, KERNEL_ALIGN), DTB_WINDOW)};
}

static const struct span everywhere = {0, UINT64_MAX};

static void place_dtb(struct plan *plan)
{
    const struct span windows[] = {near_kernel(plan), everywhere};
    static const uint64_t aligns[] = {MIB(2), AXVM_PAGE_SIZE};

    for (unsigned w = 0; w < 2; w++) {
        for (unsigned a = 0; a < 2; a++) {
            if (place_high(plan, AXVM_IMAGE_DTB, windows[w], aligns[a])) {
                return;
            }
        }
    }
    no_room(plan, AXVM_IMAGE_DTB);
}

static void place_ramdisk(struct plan *plan)
{
    uint64_t base = round_down(anchor(plan).start, RAMDISK_WINDOW_ALIGN);
    const struct span windows[] = {near_kernel(plan), {base, add_saturating(base, RAMDISK_WINDOW)}, everywhere};

    for (unsigned w = 0; w < 3; w++) {
        if (place_high(plan, AXVM_IMAGE_RAMDISK, windows[w], AXVM_PAGE_SIZE)) {
            return;
        }
    }
    no_room(plan, AXVM_IMAGE_RAMDISK);
}

/* ---- The images -------------------------------------------------------------------------------------------------- */

static const char *machine_name(uint16_t elf_machine)
{
    static const struct {
        uint16_t machine;
        const char *name;
    } names[] = {{183, "aarch64"}, {243, "riscv64"}, {62, "x86_64"}, {40, "arm"}, {3, "i386"}};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (names[i].machine == elf_machine) {
            return names[i].name;
        }
    }
    return "an unknown architecture";
}

static const char *packing_of(const struct image *image)
{
    for (size_t i = 0; i < sizeof(packings) / sizeof(packings[0]); i++) {
        const struct packing *p = &packings[i];

        if (image->size >= (size_t)p->at + p->length && memcmp(image->data + p->at, p->magic, p->length) == 0) {
            return p->name;
        }
    }
    return NULL;
}

static void check_kernel_format(struct plan *plan)
{
    const struct image *kernel = &plan->images[AXVM_IMAGE_KERNEL];
    const char *packing;

    if (kernel->data == NULL) {
        if (plan->images[AXVM_IMAGE_BIOS].data == NULL) {
            fault(plan, &plan->config->kernel_path, "there is no kernel image, and no BIOS image either");
        }
        return;
    }
    if (kernel->format != IMAGE_FLAT && kernel->elf_machine != plan->platform->elf_machine) {
        fault(plan, &plan->config->kernel_path, "the kernel is for %s (ELF machine %u), the VM is %s",
              machine_name(kernel->elf_machine), kernel->elf_machine, plan->platform->arch);
    }
    packing = kernel->format == IMAGE_FLAT ? packing_of(kernel) : NULL;
    if (packing != NULL) {
        fault(plan, &plan->config->kernel_path, "the kernel is compressed (%s): unpack it first", packing);
    }
}

static void measure_dtb(struct plan *plan)
{
    const struct image *dtb = &plan->images[AXVM_IMAGE_DTB];
    uint64_t cmdline = plan->config->cmdline != NULL ? strlen(plan->config->cmdline) : 0;
    uint64_t room = round_up((dtb->data != NULL ? dtb->size + DTB_SLACK : DTB_ROOM) + cmdline, AXVM_PAGE_SIZE);

    if (room > DTB_MAX) {
        image_fault(plan, AXVM_IMAGE_DTB, "the device tree would take %llu KiB; Linux accepts %llu KiB", kib(room),
                    kib(DTB_MAX));
    }
    plan->room[AXVM_IMAGE_DTB] = room;
}

static void measure(struct plan *plan)
{
    static const enum axvm_image_kind whole[] = {AXVM_IMAGE_BIOS, AXVM_IMAGE_RAMDISK};

    plan->room[AXVM_IMAGE_KERNEL] = plan->images[AXVM_IMAGE_KERNEL].data != NULL ?
                                    plan->images[AXVM_IMAGE_KERNEL].memory_size : 0;
    for (unsigned i = 0; i < 2; i++) {
        plan->room[whole[i]] = plan->images[whole[i]].data != NULL ? plan->images[whole[i]].size : 0;
    }
    measure_dtb(plan);
}

static bool kernel_is_elf(const struct plan *plan)
{
    return plan->images[AXVM_IMAGE_KERNEL].data != NULL && plan->images[AXVM_IMAGE_KERNEL].format == IMAGE_ELF64;
}

static bool kernel_is_linux(const struct plan *plan, enum image_format format)
{
    return !span_empty(plan->at[AXVM_IMAGE_KERNEL]) && plan->images[AXVM_IMAGE_KERNEL].format == format;
}

static void place_elf(struct plan *plan)
{
    const struct image *kernel = &plan->images[AXVM_IMAGE_KERNEL];
    const struct axvm_opt_u64 *address = &plan->config->kernel_load_addr;

    plan->at[AXVM_IMAGE_KERNEL] = (struct span){kernel->first, kernel->last + 1};
    if (address->given && address->value != kernel->first) {
        fault(plan, address, "0x%llx, but an ELF file is loaded at its own addresses, here " RANGE,
              (unsigned long long)address->value, RANGE_ARGS(plan->at[AXVM_IMAGE_KERNEL]));
    }
}

/* Where the configuration, or the file itself, says. */
static void place_given(struct plan *plan)
{
    for (unsigned kind = 0; kind < AXVM_IMAGE_COUNT; kind++) {
        const struct axvm_opt_u64 *address = given_address(plan, kind);

        if (plan->room[kind] == 0) {
            continue;
        }
        if (kind == AXVM_IMAGE_KERNEL && kernel_is_elf(plan)) {
            place_elf(plan);
        } else if (!address->given && kind == AXVM_IMAGE_BIOS) {
            fault(plan, &plan->config->bios_path, "a BIOS image needs bios_load_addr");
        } else if (address->given && address->value > UINT64_MAX - plan->room[kind]) {
            image_fault(plan, kind, "the %s at 0x%llx would reach beyond the last address", image_fields[kind].name,
                        (unsigned long long)address->value);
        } else if (address->given) {
            plan->at[kind] = (struct span){address->value, address->value + plan->room[kind]};
        }
    }
}

static void place_computed(struct plan *plan)
{
    static const struct {
        enum axvm_image_kind kind;
        void (*place)(struct plan *plan);
    } rows[] = {
        {AXVM_IMAGE_KERNEL, place_kernel},
        {AXVM_IMAGE_DTB, place_dtb},
        {AXVM_IMAGE_RAMDISK, place_ramdisk},
    };

    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        enum axvm_image_kind kind = rows[i].kind;

        if (plan->room[kind] != 0 && span_empty(plan->at[kind])) {
            rows[i].place(plan);
        }
    }
}

/* ---- Checks ------------------------------------------------------------------------------------------------------ */

struct ram_check {
    const struct plan *plan;
    struct span piece;
};

static int piece_in_ram(void *context, gpa_t to, const void *from, uint64_t size)
{
    struct ram_check *check = context;

    (void)from;
    check->piece = (struct span){to.v, to.v + size};
    return in_ram(&check->plan->ram, check->piece) ? AXVM_OK : AXVM_EFAULT;
}

static void check_in_ram(struct plan *plan, enum axvm_image_kind kind)
{
    struct ram_check check = {plan, plan->at[kind]};

    if (span_empty(plan->at[kind])) {
        return;
    }
    if (kind == AXVM_IMAGE_KERNEL && kernel_is_elf(plan)) { /* what lies between its segments need not be RAM */
        if (image_load(&plan->images[kind], gpa(0), piece_in_ram, &check) == AXVM_OK) {
            return;
        }
    } else if (in_ram(&plan->ram, check.piece)) {
        return;
    }
    image_fault(plan, kind, "the %s at " RANGE " lies outside RAM", image_fields[kind].name, RANGE_ARGS(check.piece));
}

static void check_disjoint(struct plan *plan)
{
    for (unsigned b = 1; b < AXVM_IMAGE_COUNT; b++) {
        for (unsigned a = 0; a < b; a++) {
            if (span_overlaps(plan->at[a], plan->at[b])) {
                image_fault(plan, b, "the %s at " RANGE " overlaps the %s at " RANGE, image_fields[b].name,
                            RANGE_ARGS(plan->at[b]), image_fields[a].name, RANGE_ARGS(plan->at[a]));
            }
        }
    }
}

static void check_dtb(struct plan *plan)
{
    const struct axvm_opt_u64 *address = &plan->config->dtb_load_addr;

    if (address->given && address->value % DTB_ALIGN != 0) {
        fault(plan, address, "0x%llx is not a multiple of %u", (unsigned long long)address->value, DTB_ALIGN);
    }
}

/* booting.rst: the ramdisk lies in a window of 32 GiB, aligned to 1 GiB, that covers the kernel as well. */
static void check_ramdisk_window(struct plan *plan)
{
    struct span kernel = plan->at[AXVM_IMAGE_KERNEL];
    struct span ramdisk = plan->at[AXVM_IMAGE_RAMDISK];
    uint64_t start = kernel.start < ramdisk.start ? kernel.start : ramdisk.start;
    uint64_t end = kernel.end > ramdisk.end ? kernel.end : ramdisk.end;

    if (kernel_is_linux(plan, IMAGE_LINUX_ARM64) && !span_empty(ramdisk) &&
        end - round_down(start, RAMDISK_WINDOW_ALIGN) > RAMDISK_WINDOW) {
        image_fault(plan, AXVM_IMAGE_RAMDISK, "the ramdisk at " RANGE " is too far from the kernel at " RANGE
                    ": Linux wants both within 32 GiB", RANGE_ARGS(ramdisk), RANGE_ARGS(kernel));
    }
}

static bool entry_executable(const struct axvm_config *config, uint64_t entry)
{
    struct spans executable;

    find_ram(config, (uint32_t)AXVM_MEM_READ | (uint32_t)AXVM_MEM_EXEC, &executable);
    return entry < ADDRESS_LIMIT && in_ram(&executable, (struct span){entry, entry + 1});
}

/* What Linux's own early code finds fault with, and says nothing or hangs. */
static void check_linux(struct plan *plan, uint64_t entry)
{
    const struct image *kernel = &plan->images[AXVM_IMAGE_KERNEL];
    struct span at = plan->at[AXVM_IMAGE_KERNEL];
    struct span bios = plan->at[AXVM_IMAGE_BIOS];

    if (!kernel_is_linux(plan, IMAGE_LINUX_ARM64) && !kernel_is_linux(plan, IMAGE_LINUX_RISCV)) {
        return;
    }
    if ((at.start - kernel->text_offset) % KERNEL_ALIGN != 0) {
        warn(plan, &plan->config->kernel_load_addr,
             "not at the kernel's own offset from a multiple of 2 MiB: it may not start");
    }
    if (entry != at.start && (entry < bios.start || entry >= bios.end)) {
        warn(plan, &plan->config->entry_point, "a Linux image is entered at its first byte, and this is not it");
    }
}

/* *entry: where vCPU 0 starts. false: nowhere, as there is no image; that has been reported. */
static bool find_entry(const struct plan *plan, uint64_t *entry)
{
    struct span first = anchor(plan);

    *entry = kernel_is_elf(plan) ? plan->images[AXVM_IMAGE_KERNEL].entry : first.start;
    if (plan->config->entry_point.given) {
        *entry = plan->config->entry_point.value;
    }
    return plan->config->entry_point.given || !span_empty(first);
}

static void check_entry(struct plan *plan, uint64_t entry)
{
    const void *field = &plan->config->entry_point;
    unsigned align = plan->platform->entry_align;
    bool executable = entry_executable(plan->config, entry);

    if (executable && (align == 0 || entry % align == 0)) {
        return;
    }
    if (!plan->config->entry_point.given) {
        field = image_field(plan, plan->room[AXVM_IMAGE_KERNEL] != 0 ? AXVM_IMAGE_KERNEL : AXVM_IMAGE_BIOS);
    }
    if (executable) {
        fault(plan, field, "the entry point 0x%llx is not a multiple of %u", (unsigned long long)entry, align);
    } else {
        fault(plan, field, "the entry point 0x%llx is not in executable RAM", (unsigned long long)entry);
    }
}

static void fill(const struct plan *plan, uint64_t entry, struct layout *layout)
{
    const struct span *at = plan->at;

    *layout = (struct layout){
        .entry = gpa(entry),
        .kernel = gpa(at[AXVM_IMAGE_KERNEL].start),
        .bios = gpa(at[AXVM_IMAGE_BIOS].start),
        .dtb = gpa(at[AXVM_IMAGE_DTB].start),
        .ramdisk = gpa(at[AXVM_IMAGE_RAMDISK].start),
        .kernel_size = at[AXVM_IMAGE_KERNEL].end - at[AXVM_IMAGE_KERNEL].start,
        .dtb_size = at[AXVM_IMAGE_DTB].end - at[AXVM_IMAGE_DTB].start,
        .ramdisk_size = at[AXVM_IMAGE_RAMDISK].end - at[AXVM_IMAGE_RAMDISK].start,
        .bios_size = at[AXVM_IMAGE_BIOS].end - at[AXVM_IMAGE_BIOS].start,
    };
}

int layout_plan(const struct axvm_config *config, const struct axvm_platform *platform,
                const struct image images[AXVM_IMAGE_COUNT], struct axvm_config_report *report, struct layout *layout)
{
    struct plan plan = {.config = config, .platform = platform, .images = images, .report = report};
    uint64_t entry;

    find_ram(config, 0, &plan.ram);
    find_ram(config, AXVM_MEM_RWX, &plan.usable);
    check_kernel_format(&plan);
    measure(&plan);
    place_given(&plan);
    place_computed(&plan);
    for (unsigned kind = 0; kind < AXVM_IMAGE_COUNT; kind++) {
        check_in_ram(&plan, kind);
    }
    check_disjoint(&plan);
    check_dtb(&plan);
    check_ramdisk_window(&plan);
    if (find_entry(&plan, &entry)) {
        check_entry(&plan, entry);
        check_linux(&plan, entry);
    }
    fill(&plan, entry, layout);
    return plan.faulty ? AXVM_EINVAL : AXVM_OK;
}
