/* SPDX-License-Identifier: Apache-2.0 */
#include "mem/pagetable.h"

#include <stdatomic.h>
#include <string.h>

#include "lib/host.h"
#include "lib/log.h"

#define TABLE_BITS 9U /* log2 of the entries of every table but the root */
#define TABLE_ENTRIES (1U << TABLE_BITS)

/* ---- Entries ----------------------------------------------------------------------------------------------------- */

static uint64_t level_size(unsigned level)
{
    return AXVM_PAGE_SIZE << (TABLE_BITS * level);
}

/* Of the 2 MiB that a last-level table maps; not 0. */
static uint64_t recent_tag(uint64_t addr)
{
    return (addr >> (AXVM_PAGE_SHIFT + TABLE_BITS)) + 1;
}

static unsigned table_entries(const struct pagetable *table, unsigned level)
{
    return level == table->levels - 1 ? 1U << table->root_bits : TABLE_ENTRIES;
}

static unsigned entry_index(const struct pagetable *table, uint64_t addr, unsigned level)
{
    return (unsigned)(addr >> (AXVM_PAGE_SHIFT + TABLE_BITS * level)) & (table_entries(table, level) - 1);
}

/* What the entry refers to (a table's frame, a leaf's memory) is written before the entry is. */
static void entry_write(_Atomic uint64_t *entry, uint64_t value)
{
    atomic_store_explicit(entry, value, memory_order_release);
}

static uint64_t entry_read(const _Atomic uint64_t *entry)
{
    return atomic_load_explicit(entry, memory_order_relaxed); /* nobody else writes */
}

static uint64_t pa_encode(const struct pt_format *format, uint64_t addr)
{
    return (addr >> format->pa_shift) & format->pa_mask;
}

static hpa_t pa_decode(const struct pt_format *format, uint64_t value)
{
    return hpa((value & format->pa_mask) << format->pa_shift);
}

static bool is_present(const struct pagetable *table, uint64_t value)
{
    return (value & table->format->present_mask) != 0;
}

static bool is_table(const struct pagetable *table, uint64_t value, unsigned level)
{
    return level > 0 && is_present(table, value) &&
           (value & table->format->kind_mask) == table->format->table_kind;
}

static _Atomic uint64_t *table_of(const struct pagetable *table, uint64_t value)
{
    return hal->hpa_to_hva(pa_decode(table->format, value));
}

static uint64_t flags_encode(const struct pt_format *format, uint32_t flags)
{
    enum pt_memory memory = (flags & AXVM_MEM_DEVICE) != 0     ? PT_DEVICE
                            : (flags & AXVM_MEM_UNCACHED) != 0 ? PT_UNCACHED
                                                               : PT_NORMAL;

    return format->perm_bits[flags & AXVM_MEM_PERMS] | format->memory_bits[memory];
}

static uint32_t perms_decode(const struct pt_format *format, uint64_t value)
{
    uint32_t perms = AXVM_MEM_RWX;

    while (perms > AXVM_MEM_READ && format->perm_bits[perms] != (value & format->perm_mask)) {
        perms -= 2; /* all combinations with READ */
    }
    return perms;
}

static void leaf_decode(const struct pagetable *table, const struct pt_slot *slot, struct pt_leaf *leaf)
{
    *leaf = (struct pt_leaf){
        .gpa = gpa(slot->addr),
        .hpa = pa_decode(table->format, slot->value),
        .size = level_size(slot->level),
        .level = slot->level,
        .perms = perms_decode(table->format, slot->value),
    };
}

/* ---- The hardware ------------------------------------------------------------------------------------------------ */

static void publish(struct pagetable *table)
{
    if (table->sync != NULL) {
        table->sync->publish(table);
    }
}

static void flush(struct pagetable *table, uint64_t start, uint64_t size)
{
    if (table->sync != NULL) {
        table->sync->flush(table, gpa(start), size);
    }
}

/*
 * Put a different entry, table or leaf, in the place of a live one. On return no translation by the old one is cached.
 * "Break-before-make", Arm ARM D8.14.1: else a TLB may hold both and mix them up. Permissions alone may change in
 * place.
 */
static void entry_replace(struct pagetable *table, const struct pt_slot *slot, uint64_t value)
{
    const struct pt_format *format = table->format;

    if (format->break_before_make && ((slot->value ^ value) & ~format->perm_mask) != 0) {
        entry_write(slot->entry, 0);
        flush(table, slot->addr, level_size(slot->level));
        entry_write(slot->entry, value);
        publish(table);
    } else {
        entry_write(slot->entry, value);
        flush(table, slot->addr, level_size(slot->level));
    }
}

/* ---- Tables ------------------------------------------------------------------------------------------------------ */

static int table_alloc(struct pagetable *table, unsigned order, hpa_t *frames)
{
    if (hal->frames_alloc(order, frames) != AXVM_OK) {
        return AXVM_ENOMEM;
    }
    memset(hal->hpa_to_hva(*frames), 0, AXVM_PAGE_SIZE << order);
    table->frames += (size_t)1 << order;
    return AXVM_OK;
}

static void table_free(struct pagetable *table, hpa_t frames, unsigned order)
{
    hal->frames_free(frames, order);
    table->frames -= (size_t)1 << order;
    table->recent_tag = 0; /* it may have been this one */
}

static bool table_is_empty(const _Atomic uint64_t *entries)
{
    for (unsigned i = 0; i < TABLE_ENTRIES; i++) {
        if (entry_read(&entries[i]) != 0) {
            return false;
        }
    }
    return true;
}

static unsigned root_order(unsigned root_bits)
{
    return root_bits > TABLE_BITS ? root_bits - TABLE_BITS : 0;
}

/* The root's width with that many levels; 0: more is needed than the format has. */
static unsigned geometry_root_bits(const struct pt_format *format, unsigned input_bits, unsigned levels)
{
    unsigned below = AXVM_PAGE_SHIFT + TABLE_BITS * (levels - 1);

    if (input_bits > below + format->max_root_bits) {
        return 0;
    }
    return format->fixed_root || input_bits <= below ? format->max_root_bits : input_bits - below;
}

int pagetable_init(struct pagetable *table, const struct pt_format *format, unsigned input_bits,
                   const struct pt_sync *sync)
{
    unsigned levels = format->min_levels;
    unsigned root_bits = 0;

    *table = (struct pagetable){0};
    if (input_bits >= format->min_input_bits && input_bits <= format->max_input_bits) {
        root_bits = geometry_root_bits(format, input_bits, levels);
        while (root_bits == 0 && levels < format->max_levels) {
            root_bits = geometry_root_bits(format, input_bits, ++levels);
        }
    }
    if (root_bits == 0) {
        return fail(AXVM_EUNSUPPORTED, "page table: %s has no geometry for %u bits", format->name, input_bits);
    }
    if (table_alloc(table, root_order(root_bits), &table->root) != AXVM_OK) {
        return fail(AXVM_ENOMEM, "page table: no %u frames for a root", 1U << root_order(root_bits));
    }
    table->format = format;
    table->sync = sync;
    table->levels = levels;
    table->root_bits = root_bits;
    table->input_bits = input_bits;
    table->root_entries = hal->hpa_to_hva(table->root);
    return AXVM_OK;
}

bool pagetable_range_ok(const struct pagetable *table, gpa_t start, uint64_t size)
{
    uint64_t limit = UINT64_C(1) << table->input_bits;

    return size != 0 && ((start.v | size) & (AXVM_PAGE_SIZE - 1)) == 0 && start.v < limit && size <= limit - start.v;
}

/* ---- Walking ----------------------------------------------------------------------------------------------------- */

/*
 * The walk for `addr`, to a leaf or to nothing; whether it is a leaf. What the loop needs of the format is read once,
 * for the call in it hides from the compiler that it doesn't change.
 */
static bool walk(const struct pagetable *table, uint64_t addr, struct pt_slot *slot)
{
    const struct pt_format *format = table->format;
    const uint64_t present = format->present_mask, kind_mask = format->kind_mask, kind = format->table_kind;
    const uint64_t pa_mask = format->pa_mask;
    const unsigned pa_shift = format->pa_shift;
    unsigned level = table->levels - 1;
    unsigned shift = AXVM_PAGE_SHIFT + TABLE_BITS * level;
    _Atomic uint64_t *entry = &table->root_entries[addr >> shift];
    uint64_t value = entry_read(entry);

    while (level > 0 && (value & present) != 0 && (value & kind_mask) == kind) {
        _Atomic uint64_t *entries = hal->hpa_to_hva(hpa((value & pa_mask) << pa_shift));

        level--;
        shift -= TABLE_BITS;
        entry = &entries[(addr >> shift) & (TABLE_ENTRIES - 1)];
        value = entry_read(entry);
    }
    *slot = (struct pt_slot){.entry = entry, .value = value, .addr = addr >> shift << shift, .level = level};
    return (value & present) != 0;
}

static __attribute__((noinline)) bool probe_afresh(struct pagetable *table, uint64_t addr, struct pt_slot *slot)
{
    bool found = walk(table, addr, slot);

    if (slot->level == 0) {
        table->recent_tag = recent_tag(addr);
        table->recent = slot->entry - entry_index(table, addr, 0);
    }
    return found;
}

/* Faults of neighbouring pages need no walk. */
bool pagetable_probe(struct pagetable *table, gpa_t addr, struct pt_slot *slot)
{
    if (table->recent_tag != recent_tag(addr.v)) {
        return probe_afresh(table, addr.v, slot);
    }
    slot->entry = &table->recent[(addr.v >> AXVM_PAGE_SHIFT) & (TABLE_ENTRIES - 1)];
    slot->value = entry_read(slot->entry);
    slot->addr = addr.v & ~(AXVM_PAGE_SIZE - 1);
    slot->level = 0;
    return is_present(table, slot->value);
}

/*
 * From where the walk for `addr` ended, at nothing, go on to `level`; tables are made on the way there. AXVM_EEXIST:
 * the walk went below it, so something is mapped there; AXVM_ENOMEM: some tables may have been made. No log.
 */
static int slot_reach(struct pagetable *table, struct pt_slot *slot, uint64_t addr, unsigned level)
{
    if (slot->level < level) {
        return AXVM_EEXIST;
    }
    while (slot->level > level) {
        hpa_t frame;

        if (table_alloc(table, 0, &frame) != AXVM_OK) {
            return AXVM_ENOMEM;
        }
        entry_write(slot->entry, pa_encode(table->format, frame.v) | table->format->table_bits);
        slot->level--;
        slot->entry = (_Atomic uint64_t *)hal->hpa_to_hva(frame) + entry_index(table, addr, slot->level);
    }
    return AXVM_OK;
}

/* An operation on all entries of a range: what to do at each, and its own state. */
struct visit {
    struct pagetable *table;
    uint64_t start, last; /* inclusive */
    void (*entry)(struct visit *visit, const struct pt_slot *slot); /* no table, and not 0; NULL: nothing to do */
    void (*after)(struct visit *visit, const struct pt_slot *slot); /* a table, after its entries; or a part of one */
    bool changed;                                                /* there is something to flush */
    uint64_t bits;                                               /* protect: permissions and memory type */
    void (*release)(void *context, const struct pt_leaf *leaf);  /* unmap: this and the rest */
    void *context;
    hpa_t dead; /* tables taken out, linked by their first entry */
    size_t dead_count;
};

/* Recursion is as deep as the table: at most PT_MAX_LEVELS. `base` is the first address that `entries` translate. */
static void visit_table(struct visit *visit, _Atomic uint64_t *entries, unsigned level, uint64_t base)
{
    uint64_t size = level_size(level);
    unsigned index = visit->start > base ? entry_index(visit->table, visit->start, level) : 0;
    uint64_t addr = base + index * size;

    for (; index < table_entries(visit->table, level) && addr <= visit->last; index++, addr += size) {
        struct pt_slot slot = {&entries[index], entry_read(&entries[index]), addr, level};

        if (is_table(visit->table, slot.value, level)) {
            visit_table(visit, table_of(visit->table, slot.value), level - 1, addr);
            if (visit->after != NULL) {
                visit->after(visit, &slot);
            }
        } else if (slot.value != 0 && visit->entry != NULL) {
            visit->entry(visit, &slot);
        }
    }
}

static void visit_all(struct visit *visit)
{
    visit_table(visit, visit->table->root_entries, visit->table->levels - 1, 0);
}

bool pagetable_find(const struct pagetable *table, gpa_t addr, struct pt_leaf *leaf)
{
    struct pt_slot slot;

    if (addr.v >> table->input_bits != 0 || !walk(table, addr.v, &slot)) {
        return false;
    }
    leaf_decode(table, &slot, leaf);
    return true;
}

bool pagetable_next(const struct pagetable *table, gpa_t start, uint64_t size, struct pt_leaf *leaf)
{
    uint64_t limit = UINT64_C(1) << table->input_bits;
    uint64_t end = start.v >= limit || size > limit - start.v ? limit : start.v + size;

    for (uint64_t addr = start.v; addr < end;) {
        struct pt_slot slot;

        if (walk(table, addr, &slot)) {
            leaf_decode(table, &slot, leaf);
            return true;
        }
        addr = slot.addr + level_size(slot.level);
    }
    return false;
}

/* ---- Splitting and merging --------------------------------------------------------------------------------------- */

/* The entry, one level below `level`, that maps the first part of what the leaf `value` at `level` maps. */
static uint64_t leaf_lower(const struct pt_format *format, uint64_t value, unsigned level)
{
    return (value & ~format->leaf_bits[level]) | format->leaf_bits[level - 1];
}

static uint64_t leaf_raise(const struct pt_format *format, uint64_t value, unsigned level)
{
    return (value & ~format->leaf_bits[level]) | format->leaf_bits[level + 1];
}

/* What to add to an entry to have it map the next `level_size(level)` bytes. */
static uint64_t leaf_stride(const struct pt_format *format, unsigned level)
{
    return level_size(level) >> format->pa_shift;
}

static int leaf_split(struct pagetable *table, const struct pt_slot *slot)
{
    const struct pt_format *format = table->format;
    uint64_t child = leaf_lower(format, slot->value, slot->level);
    _Atomic uint64_t *entries;
    hpa_t frame;

    if (table_alloc(table, 0, &frame) != AXVM_OK) {
        return fail(AXVM_ENOMEM, "page table: no frame to split %#llx", (unsigned long long)slot->addr);
    }
    entries = hal->hpa_to_hva(frame);
    for (unsigned i = 0; i < TABLE_ENTRIES; i++) {
        entry_write(&entries[i], child + i * leaf_stride(format, slot->level - 1));
    }
    entry_replace(table, slot, pa_encode(format, frame.v) | format->table_bits);
    return AXVM_OK;
}

int pagetable_split(struct pagetable *table, gpa_t addr)
{
    if (addr.v >> table->input_bits != 0) {
        return AXVM_OK; /* the end of the range */
    }
    for (;;) {
        struct pt_slot slot;
        int error;

        if (!walk(table, addr.v, &slot) || slot.addr == addr.v) {
            return AXVM_OK;
        }
        error = leaf_split(table, &slot);
        if (error != AXVM_OK) {
            return error;
        }
    }
}

/* Have no leaf reach out of the range. */
static int range_isolate(struct pagetable *table, gpa_t start, uint64_t size)
{
    int error;

    if (!pagetable_range_ok(table, start, size)) {
        return fail(AXVM_EINVAL, "page table: bad range %#llx, size %#llx", (unsigned long long)start.v,
                    (unsigned long long)size);
    }
    error = pagetable_split(table, start);
    return error != AXVM_OK ? error : pagetable_split(table, gpa(start.v + size));
}

/* Whether the table's entries are leaves that one leaf a level up would say as well. */
static bool table_is_uniform(const struct pagetable *table, const _Atomic uint64_t *entries, unsigned level)
{
    uint64_t first = entry_read(&entries[0]);

    if (!is_present(table, first) || is_table(table, first, level) ||
        (pa_decode(table->format, first).v & (level_size(level + 1) - 1)) != 0) {
        return false;
    }
    for (unsigned i = 1; i < TABLE_ENTRIES; i++) {
        if (entry_read(&entries[i]) != first + i * leaf_stride(table->format, level)) {
            return false;
        }
    }
    return true;
}

static void merge_after(struct visit *visit, const struct pt_slot *slot)
{
    struct pagetable *table = visit->table;
    const struct pt_format *format = table->format;
    _Atomic uint64_t *entries = table_of(table, slot->value);

    if (slot->level > format->max_leaf_level || slot->addr < visit->start ||
        slot->addr + (level_size(slot->level) - 1) > visit->last ||
        !table_is_uniform(table, entries, slot->level - 1)) {
        return;
    }
    entry_replace(table, slot, leaf_raise(format, entry_read(&entries[0]), slot->level - 1));
    table_free(table, pa_decode(format, slot->value), 0);
}

void pagetable_merge(struct pagetable *table, gpa_t start, uint64_t size)
{
    struct visit visit = {.table = table, .start = start.v, .last = start.v + size - 1, .after = merge_after};

    if (pagetable_range_ok(table, start, size)) {
        visit_all(&visit);
    }
}

/* ---- Taking away ------------------------------------------------------------------------------------------------- */

static void destroy_after(struct visit *visit, const struct pt_slot *slot)
{
    table_free(visit->table, pa_decode(visit->table->format, slot->value), 0);
}

void pagetable_destroy(struct pagetable *table)
{
    struct visit visit = {.table = table, .last = UINT64_MAX, .after = destroy_after};

    if (table->format == NULL) {
        return;
    }
    visit.last = (UINT64_C(1) << table->input_bits) - 1;
    visit_all(&visit);
    table_free(table, table->root, root_order(table->root_bits));
    *table = (struct pagetable){0};
}

/*
 * Unmapping takes two passes, because nothing that a TLB may still know can be given away: the first parks the leaves
 * (not present, but with their address), then the range is flushed, the second releases what is parked.
 */
static void unmap_park(struct visit *visit, const struct pt_slot *slot)
{
    entry_write(slot->entry, slot->value & ~visit->table->format->present_mask);
    visit->changed = true;
}

static void unmap_release(struct visit *visit, const struct pt_slot *slot)
{
    struct pt_leaf leaf;

    leaf_decode(visit->table, slot, &leaf);
    entry_write(slot->entry, 0);
    if (visit->release != NULL) {
        visit->release(visit->context, &leaf);
    }
}

/* Take out a table that has become empty. A walker may be in it yet: a bare address, the link, isn't present to it. */
static void unmap_prune(struct visit *visit, const struct pt_slot *slot)
{
    _Atomic uint64_t *entries = table_of(visit->table, slot->value);

    if (table_is_empty(entries)) {
        entry_write(slot->entry, 0);
        entry_write(entries, visit->dead.v);
        visit->dead = pa_decode(visit->table->format, slot->value);
        visit->dead_count++;
    }
}

static void unmap_free_dead(struct visit *visit)
{
    if (visit->dead_count != 0) {
        flush(visit->table, visit->start, visit->last - visit->start + 1);
    }
    for (; visit->dead_count != 0; visit->dead_count--) {
        hpa_t frame = visit->dead;

        visit->dead = hpa(entry_read(hal->hpa_to_hva(frame)));
        table_free(visit->table, frame, 0);
    }
}

/* Give back the empty tables on the path to `addr`. */
static void prune(struct pagetable *table, uint64_t addr)
{
    struct visit visit = {
        .table = table, .start = addr, .last = addr + (AXVM_PAGE_SIZE - 1), .after = unmap_prune};

    visit_all(&visit);
    unmap_free_dead(&visit);
}

/* The range's bounds are bounds of leaves already. */
static void unmap_range(struct pagetable *table, uint64_t start, uint64_t size,
                        void (*release)(void *context, const struct pt_leaf *leaf), void *context)
{
    struct visit visit = {.table = table, .start = start, .last = start + size - 1, .entry = unmap_park};

    visit_all(&visit);
    if (visit.changed) {
        flush(table, start, size);
    }
    visit.entry = unmap_release;
    visit.after = unmap_prune;
    visit.release = release;
    visit.context = context;
    visit_all(&visit);
    unmap_free_dead(&visit);
}

int pagetable_unmap(struct pagetable *table, gpa_t start, uint64_t size,
                    void (*release)(void *context, const struct pt_leaf *leaf), void *context)
{
    int error = range_isolate(table, start, size);

    if (error == AXVM_OK) {
        unmap_range(table, start.v, size, release, context);
    }
    return error;
}

/* ---- Mapping ----------------------------------------------------------------------------------------------------- */

bool pagetable_flags_ok(uint32_t flags)
{
    const uint32_t both = AXVM_MEM_DEVICE | AXVM_MEM_UNCACHED;

    return (flags & ~AXVM_MEM_ALL_FLAGS) == 0 && (flags & AXVM_MEM_READ) != 0 && (flags & both) != both;
}

static bool target_ok(const struct pt_format *format, hpa_t target, uint64_t size)
{
    uint64_t last = target.v + (size - AXVM_PAGE_SIZE); /* where it wraps, `target` is too wide by itself */

    return (target.v & (AXVM_PAGE_SIZE - 1)) == 0 &&
           pa_decode(format, pa_encode(format, target.v)).v == target.v &&
           pa_decode(format, pa_encode(format, last)).v == last;
}

static int map_check(const struct pagetable *table, gpa_t start, hpa_t target, uint64_t size, uint32_t flags)
{
    if (!pagetable_range_ok(table, start, size) || !target_ok(table->format, target, size) ||
        !pagetable_flags_ok(flags)) {
        return fail(AXVM_EINVAL, "page table: can't map %#llx, size %#llx, to %#llx with flags %#x",
                    (unsigned long long)start.v, (unsigned long long)size, (unsigned long long)target.v, flags);
    }
    return AXVM_OK;
}

/* The level of the largest leaf for both addresses. */
static unsigned leaf_level(const struct pagetable *table, uint64_t start, uint64_t target, uint64_t size,
                           unsigned max_level)
{
    unsigned level = table->format->max_leaf_level;

    level = level < max_level ? level : max_level;
    level = level < table->levels ? level : table->levels - 1;
    while (level > 0 && (((start | target) & (level_size(level) - 1)) != 0 || size < level_size(level))) {
        level--;
    }
    return level;
}

/* Write leaves from the slot to the end of its table, or until `size` is used up or something is there; how much. */
static uint64_t slot_map(struct pagetable *table, const struct pt_slot *slot, uint64_t addr, uint64_t leaf,
                         uint64_t size)
{
    uint64_t room = table_entries(table, slot->level) - entry_index(table, addr, slot->level);
    uint64_t count = size / level_size(slot->level);
    uint64_t stride = leaf_stride(table->format, slot->level);
    uint64_t done = 0;

    for (; done < count && done < room && !is_present(table, entry_read(&slot->entry[done])); done++) {
        entry_write(&slot->entry[done], leaf);
        leaf += stride;
    }
    return done * level_size(slot->level);
}

/*
 * `*done`: how much is mapped, also when there is an error. Where a leaf of some level is the largest that fits, it is
 * so for the rest of its table, too: beyond is the next address that a larger one may begin at.
 */
static int map_leaves(struct pagetable *table, uint64_t start, uint64_t target, uint64_t size, uint32_t flags,
                      unsigned max_level, uint64_t *done)
{
    const struct pt_format *format = table->format;
    uint64_t bits = flags_encode(format, flags);

    for (*done = 0; *done < size;) {
        unsigned level = leaf_level(table, start + *done, target + *done, size - *done, max_level);
        struct pt_slot slot;
        int error = AXVM_EEXIST;

        if (!walk(table, start + *done, &slot)) {
            error = slot_reach(table, &slot, start + *done, level);
        }
        if (error != AXVM_OK) {
            return fail(error, "page table: can't map %#llx: %s", (unsigned long long)(start + *done),
                        error == AXVM_EEXIST ? "mapped already" : "no frame for a table");
        }
        *done += slot_map(table, &slot, start + *done,
                          pa_encode(format, target + *done) | bits | format->leaf_bits[level], size - *done);
    }
    return AXVM_OK;
}

int pagetable_map(struct pagetable *table, gpa_t start, hpa_t target, uint64_t size, uint32_t flags,
                  unsigned max_level)
{
    uint64_t done;
    int error = map_check(table, start, target, size, flags);

    if (error != AXVM_OK) {
        return error;
    }
    error = map_leaves(table, start.v, target.v, size, flags, max_level, &done);
    if (error == AXVM_OK) {
        publish(table);
        return AXVM_OK;
    }
    if (done != 0) {
        unmap_range(table, start.v, done, NULL, NULL);
    }
    prune(table, start.v + done); /* tables made on the way to the entry that couldn't be written */
    return error;
}

/* The entry of the first of the 2^order pages around that of `slot`. */
static _Atomic uint64_t *first_entry(const struct pt_slot *slot, unsigned order)
{
    return slot->entry - (slot->addr >> AXVM_PAGE_SHIFT & ((1U << order) - 1));
}

bool pagetable_is_free(const struct pagetable *table, const struct pt_slot *slot, unsigned order)
{
    const _Atomic uint64_t *entry = first_entry(slot, order);
    uint64_t present = 0;

    if (slot->level > 0) {
        return true; /* there is no table yet */
    }
    for (unsigned i = 0; i < 1U << order; i++) {
        present |= entry_read(&entry[i]);
    }
    return !is_present(table, present);
}

/* Make the tables that the way down to the page lacks. */
static __attribute__((noinline)) int reach_and_fill(struct pagetable *table, struct pt_slot *slot, gpa_t addr,
                                                    unsigned order, hpa_t frames, uint32_t flags)
{
    int error = slot_reach(table, slot, addr.v, 0);

    if (error != AXVM_OK) {
        prune(table, addr.v);
        return error;
    }
    slot->addr = addr.v;
    return pagetable_fill(table, slot, addr, order, frames, flags);
}

int pagetable_fill(struct pagetable *table, struct pt_slot *slot, gpa_t addr, unsigned order, hpa_t frames,
                   uint32_t flags)
{
    const struct pt_format *format = table->format;
    uint64_t bits = flags_encode(format, flags) | format->leaf_bits[0];
    _Atomic uint64_t *entry;

    if (slot->level > 0) {
        return reach_and_fill(table, slot, addr, order, frames, flags);
    }
    entry = first_entry(slot, order);
    for (uint64_t i = 0; i < UINT64_C(1) << order; i++) {
        entry_write(&entry[i], pa_encode(format, frames.v + (i << AXVM_PAGE_SHIFT)) | bits);
    }
    publish(table);
    return AXVM_OK;
}

static void protect_leaf(struct visit *visit, const struct pt_slot *slot)
{
    const struct pt_format *format = visit->table->format;
    uint64_t value = (slot->value & ~(format->perm_mask | format->memory_mask)) | visit->bits;

    if (((slot->value ^ value) & format->memory_mask) != 0) {
        entry_replace(visit->table, slot, value);
    } else if (slot->value != value) {
        entry_write(slot->entry, value);
        visit->changed = true;
    }
}

int pagetable_protect(struct pagetable *table, gpa_t start, uint64_t size, uint32_t flags)
{
    struct visit visit = {.table = table, .start = start.v, .last = start.v + (size - 1), .entry = protect_leaf};
    int error;

    if (!pagetable_flags_ok(flags)) {
        return fail(AXVM_EINVAL, "page table: bad flags %#x", flags);
    }
    error = range_isolate(table, start, size);
    if (error != AXVM_OK) {
        return error;
    }
    visit.bits = flags_encode(table->format, flags);
    visit_all(&visit);
    if (visit.changed) {
        flush(table, start.v, size);
    }
    return AXVM_OK;
}
