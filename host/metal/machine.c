/* SPDX-License-Identifier: Apache-2.0 */
#include "machine_scan.h"

#include <stdio.h>
#include <string.h>

int machine_problem(struct machine *machine, int error, const char *text)
{
    if (!machine->problem) {
        machine->problem = text;
    }
    return error;
}

/* ---- Properties ------------------------------------------------------------------------------------------------ */

uint64_t cells_read(const fdt32_t *cell, uint32_t count)
{
    uint64_t value = 0;

    for (uint32_t i = 0; i < count; i++) {
        value = value << 32 | fdt32_ld(&cell[i]);
    }
    return value;
}

uint32_t cell_or(struct property property, uint32_t otherwise)
{
    return property.data && property.length == 4 ? fdt32_ld(property.data) : otherwise;
}

uint64_t number_or_0(struct property property)
{
    bool sound = property.data && (property.length == 4 || property.length == 8);

    return sound ? cells_read(property.data, (uint32_t)property.length / 4) : 0;
}

const char *property_string(struct property property)
{
    size_t length = (size_t)property.length;

    return property.data && strnlen(property.data, length) + 1 == length ? property.data : NULL;
}

bool property_lists(struct property property, const char *text)
{
    return property.data && fdt_stringlist_contains(property.data, property.length, text);
}

static bool is_available(const struct node *node)
{
    return !node->status.data || property_lists(node->status, "okay") || property_lists(node->status, "ok");
}

/* Address and size cells as this code can read them. */
static bool are_cells(uint32_t a, uint32_t b)
{
    return a >= 1 && a <= 2 && b >= 1 && b <= 2;
}

/* ---- Addresses ------------------------------------------------------------------------------------------------- */

/* The index'th (address, size) of the node's `reg`, in the address space of its parent. */
static bool reg_read(const struct scan *scan, uint32_t index, struct range *range)
{
    const struct parent *parent = &scan->path[scan->depth - 1];
    const fdt32_t *reg = scan->node.reg.data;
    uint32_t entry = parent->address_cells + parent->size_cells;
    uint64_t size;

    if (!reg || !are_cells(parent->address_cells, parent->size_cells) ||
        index >= (uint32_t)scan->node.reg.length / (entry * 4)) {
        return false;
    }
    range->base = cells_read(reg + index * entry, parent->address_cells);
    size = cells_read(reg + index * entry + parent->address_cells, parent->size_cells);
    range->end = range->base + size;
    return range->end > range->base;
}

/* Translate a range from the children's address space of a bus to that of the bus's own parent. */
static bool bus_translate(const struct parent *bus, const struct parent *parent, struct range *range)
{
    const fdt32_t *row = bus->ranges.data;
    uint32_t child = bus->address_cells, cpu = parent->address_cells, size = bus->size_cells;
    int entry = (int)(child + cpu + size);

    if (!row || bus->ranges.length == 0) {
        return row != NULL; /* an empty `ranges`: nothing to translate; none at all: no way through */
    }
    if (!are_cells(child, size) || !are_cells(cpu, 1)) {
        return false;
    }
    for (int left = bus->ranges.length; left >= entry * 4; left -= entry * 4, row += entry) {
        uint64_t from = cells_read(row, child), to = cells_read(row + child, cpu);
        uint64_t extent = cells_read(row + child + cpu, size);

        if (range->base >= from && range->end - from <= extent && to + (range->end - from) > to) {
            *range = (struct range){to + (range->base - from), to + (range->end - from)};
            return true;
        }
    }
    return false;
}

bool device_range(const struct scan *scan, uint32_t index, struct range *range)
{
    struct range at;

    if (!reg_read(scan, index, &at)) {
        return false;
    }
    for (int depth = scan->depth - 1; depth > 0; depth--) {
        if (!bus_translate(&scan->path[depth], &scan->path[depth - 1], &at)) {
            return false;
        }
    }
    *range = at;
    return true;
}

/* ---- Devices that all machines may have ---------------------------------------------------------------------- */

void machine_add_device(struct machine *machine, struct range regs)
{
    if (machine->device_count == MACHINE_MAX_DEVICES) {
        machine_problem(machine, AXVM_EUNSUPPORTED, "the machine's interrupt controller is in too many pieces");
    } else if (regs.base != regs.end) {
        machine->device[machine->device_count++] = regs;
    }
}

static void found_uart(struct scan *scan, const struct uart_driver *driver)
{
    struct found_uart *found = &scan->uarts[scan->uart_count];

    if (scan->uart_count == MAX_UARTS || !device_range(scan, 0, &found->uart.regs)) {
        return;
    }
    found->uart.driver = driver;
    found->uart.reg_shift = cell_or(scan->node.reg_shift, 0);
    found->uart.reg_width = cell_or(scan->node.reg_io_width, 1);
    found->interrupts = scan->node.interrupts;
    found->interrupt_parent = cell_or(scan->node.interrupt_parent, scan->path[scan->depth - 1].interrupt_parent);
    found->depth = scan->depth;
    for (int depth = 1; depth < scan->depth; depth++) {
        found->path[depth] = scan->path[depth].name;
    }
    found->path[scan->depth] = scan->name;
    scan->uart_count++;
}

static void found_pl011(struct scan *scan)
{
    found_uart(scan, &uart_pl011);
}

/* Registers that don't lie within `reg`, or can't be accessed as it is said, are nobody's. */
static void found_ns16550(struct scan *scan)
{
    uint32_t shift = cell_or(scan->node.reg_shift, 0), width = cell_or(scan->node.reg_io_width, 1);
    struct range regs;

    if (shift <= 8 && (width == 1 || width == 2 || width == 4) && device_range(scan, 0, &regs) &&
        regs.end - regs.base >= (UINT64_C(7) << shift) + width && (regs.base | UINT64_C(1) << shift) % width == 0) {
        found_uart(scan, &uart_ns16550);
    }
}

/* The first of several; its 8 bytes of registers that matter are enough for either. */
static void found_rtc(struct scan *scan, uint64_t (*read)(const struct rtc *rtc))
{
    struct rtc *rtc = &scan->machine->rtc;
    struct range regs;

    if (!rtc->read && device_range(scan, 0, &regs) && regs.end - regs.base >= 8 && regs.base % 4 == 0) {
        *rtc = (struct rtc){.read = read, .regs = regs};
        machine_add_device(scan->machine, regs);
    }
}

static void found_pl031(struct scan *scan)
{
    found_rtc(scan, rtc_pl031_read);
}

static void found_goldfish_rtc(struct scan *scan)
{
    found_rtc(scan, rtc_goldfish_read);
}

static const struct machine_device common_devices[] = {
    {"arm,pl011", found_pl011},
    {"ns16550a", found_ns16550},
    {"ns16550", found_ns16550},
    {"snps,dw-apb-uart", found_ns16550},
    {"arm,pl031", found_pl031},
    {"google,goldfish-rtc", found_goldfish_rtc},
};

static bool look_for(struct scan *scan, const char *compatible, const struct machine_device *devices, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (compatible[0] == devices[i].compatible[0] && strcmp(compatible, devices[i].compatible) == 0) {
            devices[i].found(scan);
            return true;
        }
    }
    return false;
}

static void look_at_device(struct scan *scan)
{
    const char *at = scan->node.compatible.data;
    const char *end = at ? at + scan->node.compatible.length : NULL, *stop;

    for (; at != end && (stop = memchr(at, '\0', (size_t)(end - at))) != NULL; at = stop + 1) {
        if (look_for(scan, at, scan->kind->devices, scan->kind->devices_count) ||
            look_for(scan, at, common_devices, sizeof(common_devices) / sizeof(common_devices[0]))) {
            return;
        }
    }
}

/* ---- Memory -------------------------------------------------------------------------------------------------- */

static uint64_t page_down(uint64_t addr)
{
    return addr & ~(AXVM_PAGE_SIZE - 1);
}

/* Saturates at the last page boundary. */
static uint64_t page_up(uint64_t addr)
{
    return addr > page_down(UINT64_MAX) ? page_down(UINT64_MAX) : page_down(addr + AXVM_PAGE_SIZE - 1);
}

static void look_at_memory(struct scan *scan)
{
    struct range range;

    for (uint32_t i = 0; device_range(scan, i, &range); i++) {
        if (!ranges_add(&scan->machine->memory, page_up(range.base), page_down(range.end))) {
            machine_problem(scan->machine, AXVM_EUNSUPPORTED, "the device tree has too many ranges of memory");
        }
    }
}

static void reserve(struct scan *scan, struct ranges *list, struct range range)
{
    if (!ranges_add(list, page_down(range.base), page_up(range.end))) {
        machine_problem(scan->machine, AXVM_EUNSUPPORTED, "the device tree reserves too many ranges of memory");
    }
}

static bool is_firmwares(const struct scan *scan)
{
    const char *prefix = scan->kind->firmware_memory;

    return prefix && strncmp(scan->name, prefix, strlen(prefix)) == 0;
}

/* A child of /reserved-memory. One without `reg` has no place yet, and the host gives it none. */
static void look_at_reservation(struct scan *scan)
{
    struct range range;

    for (uint32_t i = 0; device_range(scan, i, &range); i++) {
        reserve(scan, &scan->reserved, range);
        if (scan->node.no_map.data || is_firmwares(scan)) {
            reserve(scan, &scan->no_map, range);
        }
    }
}

static void look_at_reserve_map(struct scan *scan)
{
    for (int i = 0; i < fdt_num_mem_rsv(scan->fdt); i++) {
        uint64_t base, size;

        if (fdt_get_mem_rsv(scan->fdt, i, &base, &size) == 0 && size != 0 && base + size > base) {
            reserve(scan, &scan->reserved, (struct range){base, base + size});
            reserve(scan, &scan->memreserve, (struct range){base, base + size});
        }
    }
}

static void remove_all(struct ranges *from, const struct ranges *list)
{
    for (unsigned i = 0; i < list->count; i++) {
        ranges_remove(from, list->range[i].base, list->range[i].end);
    }
}

static void settle_memory(struct scan *scan)
{
    struct machine *machine = scan->machine;

    ranges_remove(&machine->memory, 0, AXVM_PAGE_SIZE);
    remove_all(&machine->memory, &scan->no_map);
    machine->mapped = machine->memory;
    remove_all(&machine->memory, &scan->reserved);
    machine->aside = machine->mapped;
    remove_all(&machine->aside, &machine->memory);
    remove_all(&machine->aside, &scan->memreserve);
}

/* ---- CPUs ---------------------------------------------------------------------------------------------------- */

static void look_at_cpu(struct scan *scan)
{
    struct machine *machine = scan->machine;
    uint32_t cells = scan->path[scan->depth - 1].address_cells;
    uint64_t id;

    if (!scan->node.reg.data || !are_cells(cells, 1) || (uint32_t)scan->node.reg.length < cells * 4) {
        return;
    }
    id = cells_read(scan->node.reg.data, cells) & scan->kind->cpu_id_mask;
    for (unsigned i = 0; i < machine->cpu_count; i++) {
        if (machine->cpu_id[i] == id) {
            return;
        }
    }
    if (!is_available(&scan->node) || machine->cpu_count == AXVM_MAX_PCPUS ||
        (scan->kind->cpu_fits && !scan->kind->cpu_fits(scan))) {
        machine->cpu_ignored++;
    } else {
        scan->cpu = machine->cpu_count;
        machine->cpu_id[machine->cpu_count++] = id;
    }
}

/* ---- Root and /chosen ---------------------------------------------------------------------------------------- */

static void look_at_root(struct scan *scan)
{
    struct property model = scan->node.model;

    snprintf(scan->machine->model, sizeof(scan->machine->model), "%.*s", model.data ? model.length : 0,
             model.data ? (const char *)model.data : "");
}

static void look_at_chosen(struct scan *scan)
{
    struct range initrd = {number_or_0(scan->node.initrd_start), number_or_0(scan->node.initrd_end)};

    scan->stdout_path = scan->node.stdout_path;
    if (initrd.base != 0 && initrd.base < initrd.end) {
        scan->machine->initrd = initrd;
    }
}

/* Whether a path of `length` characters leads to the UART. Its components may lack their unit addresses. */
static bool leads_to(const char *path, size_t length, const struct found_uart *uart)
{
    const char *end = path + length;

    for (int depth = 1; depth <= uart->depth; depth++) {
        const char *name = uart->path[depth], *next;
        size_t part;

        if (path == end || *path++ != '/') {
            return false;
        }
        next = memchr(path, '/', (size_t)(end - path));
        part = (size_t)((next ? next : end) - path);
        if (strncmp(name, path, part) != 0 || (name[part] != '\0' && name[part] != '@')) {
            return false;
        }
        path += part;
    }
    return path == end;
}

/* stdout-path is a path or an alias, perhaps followed by ":options". */
static const char *console_path(const struct scan *scan, size_t *length)
{
    const char *path = scan->stdout_path.data, *colon;
    int size, aliases;

    if (!path || scan->stdout_path.length < 2 || path[scan->stdout_path.length - 1] != '\0') {
        return NULL;
    }
    colon = strchr(path, ':');
    *length = colon ? (size_t)(colon - path) : strlen(path);
    if (path[0] != '/') {
        aliases = fdt_path_offset(scan->fdt, "/aliases");
        path = aliases >= 0 ? fdt_getprop_namelen(scan->fdt, aliases, path, (int)*length, &size) : NULL;
        *length = path && size > 0 ? strnlen(path, (size_t)size) : 0;
    }
    return path;
}

static void settle_console(struct scan *scan)
{
    struct machine *machine = scan->machine;
    size_t length = 0;
    const char *path = console_path(scan, &length);

    for (unsigned i = 0; path && i < scan->uart_count; i++) {
        if (leads_to(path, length, &scan->uarts[i])) {
            scan->console = &scan->uarts[i];
            machine->uart = scan->console->uart;
        }
    }
    machine_add_device(machine, machine->uart.regs);
}

/* ---- All of it ----------------------------------------------------------------------------------------------- */

static void look_at_top_node(struct scan *scan)
{
    if (property_lists(scan->node.device_type, "memory")) {
        look_at_memory(scan);
    } else if (strcmp(scan->name, "chosen") == 0) {
        look_at_chosen(scan);
    } else if (strcmp(scan->name, "cpus") == 0 && scan->node.timebase_frequency.data) {
        scan->machine->timer_hz = number_or_0(scan->node.timebase_frequency);
    }
}

static bool is_child_of(const struct scan *scan, const char *name)
{
    return scan->depth == 2 && strcmp(scan->path[1].name, name) == 0;
}

static void look_at_node(struct scan *scan)
{
    const struct node *node = &scan->node;

    if (scan->depth == 0) {
        look_at_root(scan);
    } else if (property_lists(node->device_type, "cpu")) {
        look_at_cpu(scan);
    } else if (is_available(node)) {
        if (scan->depth == 1) {
            look_at_top_node(scan);
        } else if (is_child_of(scan, "reserved-memory")) {
            look_at_reservation(scan);
        }
        look_at_device(scan);
    }
}

/* The node's properties are complete. */
static void node_complete(struct scan *scan)
{
    if (scan->looked_at || scan->depth < 0 || scan->depth >= MAX_DEPTH) {
        return;
    }
    scan->looked_at = true;
    look_at_node(scan);
    scan->path[scan->depth] = (struct parent){
        .name = scan->name,
        .interrupt_parent =
            cell_or(scan->node.interrupt_parent, scan->depth > 0 ? scan->path[scan->depth - 1].interrupt_parent : 0),
        .cpu = scan->cpu,
        .address_cells = cell_or(scan->node.address_cells, 2),
        .size_cells = cell_or(scan->node.size_cells, 1),
        .ranges = scan->node.ranges,
    };
}

static void node_begin(struct scan *scan, const char *name)
{
    node_complete(scan);
    scan->depth++;
    scan->name = name;
    scan->looked_at = false;
    scan->cpu = NO_CPU;
    memset(&scan->node, 0, sizeof(scan->node));
}

/* Its parent may have more children, but no more properties. */
static void node_end(struct scan *scan)
{
    node_complete(scan);
    scan->depth--;
    scan->looked_at = true;
}

/* Which of the node's properties that is, from 1 on; WANTED + 1: none of them. */
static unsigned property_find(const char *name)
{
    static const char *const names[WANTED] = {
#define PROPERTY_NAME(field, name) name,
        PROPERTIES(PROPERTY_NAME)
#undef PROPERTY_NAME
    };
    unsigned i = 0;

    while (i < WANTED && (name[0] != names[i][0] || strcmp(name, names[i]) != 0)) {
        i++;
    }
    return i + 1;
}

/* Nodes share the strings that name their properties: each is looked for once, when it is among the first. */
static void note_property(struct scan *scan, uint32_t name_offset, struct property property)
{
    const char *name = scan->strings + name_offset;
    unsigned found = name_offset < FIRST_NAMES ? scan->found[name_offset] : property_find(name);

    if (found == 0) {
        found = property_find(name);
        scan->found[name_offset] = (uint8_t)found;
    }
    if (found <= WANTED) {
        ((struct property *)(void *)&scan->node)[found - 1] = property;
    }
}

/*
 * ---- The structure block (Devicetree Specification 5.4) ----------------------------------------------------------
 *
 * libfdt's own iterators take 1000 instructions for each property, mostly to check again what they checked before; and
 * booting is to take a million in all.
 */

/* `size` bytes and what pads them to a multiple of 4, or NULL: there is not as much. */
static const char *take(struct scan *scan, size_t size)
{
    const char *taken = scan->at;
    size_t left = (size_t)(scan->end - taken);

    if (size > left || (size + 3) / 4 * 4 > left) {
        return NULL;
    }
    scan->at += (size + 3) / 4 * 4;
    return taken;
}

static bool take_node(struct scan *scan)
{
    size_t left = (size_t)(scan->end - scan->at), length = strnlen(scan->at, left);
    const char *name = take(scan, length + 1);

    if (name) {
        node_begin(scan, name);
    }
    return name != NULL;
}

static bool take_property(struct scan *scan)
{
    const char *head = take(scan, 8);
    struct property property;
    uint32_t length, name_offset;

    if (!head || scan->depth < 0) {
        return false;
    }
    length = fdt32_ld((const fdt32_t *)(const void *)head);
    name_offset = fdt32_ld((const fdt32_t *)(const void *)(head + 4));
    property = (struct property){.data = take(scan, length), .length = (int)length};
    if (!property.data || length > INT32_MAX || name_offset >= scan->strings_size) {
        return false;
    }
    if (!scan->looked_at) {
        note_property(scan, name_offset, property);
    }
    return true;
}

/* Look at all nodes. False: the tree is damaged. */
static bool look_at_all(struct scan *scan)
{
    const char *tag;
    bool sound = true;

    while (sound && (tag = take(scan, 4)) != NULL) {
        switch (fdt32_ld((const fdt32_t *)(const void *)tag)) {
        case FDT_BEGIN_NODE:
            sound = take_node(scan);
            break;
        case FDT_END_NODE:
            node_end(scan);
            sound = scan->depth >= -1;
            break;
        case FDT_PROP:
            sound = take_property(scan);
            break;
        case FDT_NOP:
            break;
        case FDT_END:
            return scan->depth == -1;
        default:
            return false;
        }
    }
    return false;
}

/* The blocks lie within the tree, are aligned, and the last string ends. */
static bool open_tree(struct scan *scan, const void *fdt, size_t size)
{
    const char *bytes = fdt;

    if (size < sizeof(struct fdt_header) || fdt_check_header(fdt) != 0 || fdt_totalsize(fdt) > size ||
        fdt_version(fdt) < 17 || fdt_off_dt_struct(fdt) % 4 != 0 || fdt_size_dt_strings(fdt) == 0) {
        return false;
    }
    scan->fdt = fdt;
    scan->at = bytes + fdt_off_dt_struct(fdt);
    scan->end = scan->at + fdt_size_dt_struct(fdt);
    scan->strings = bytes + fdt_off_dt_strings(fdt);
    scan->strings_size = fdt_size_dt_strings(fdt);
    return scan->strings[scan->strings_size - 1] == '\0';
}

static int judge(struct scan *scan)
{
    struct machine *machine = scan->machine;

    if (machine->problem) {
        return AXVM_EUNSUPPORTED;
    }
    if (machine->memory.count == 0) {
        return machine_problem(machine, AXVM_EINVAL, "the device tree names no memory");
    }
    if (machine->cpu_count == 0) {
        return machine_problem(machine, AXVM_EINVAL, scan->kind->no_cpu);
    }
    return scan->kind->settle(scan);
}

int machine_discover(struct machine *machine, const struct machine_kind *kind, const void *fdt, size_t size)
{
    /* Too large for the stack, and of no use afterwards. */
    static struct scan scan __attribute__((section(".bss.once")));

    memset(machine, 0, sizeof(*machine));
    memset(&scan, 0, sizeof(scan));
    scan.machine = machine;
    scan.kind = kind;
    scan.depth = -1;
    scan.looked_at = true;
    if (!open_tree(&scan, fdt, size)) {
        return machine_problem(machine, AXVM_EINVAL, "there is no sound device tree");
    }
    look_at_reserve_map(&scan);
    if (!look_at_all(&scan)) {
        machine_problem(machine, AXVM_EINVAL, "the device tree is damaged");
    }
    settle_console(&scan);
    settle_memory(&scan);
    return judge(&scan);
}
