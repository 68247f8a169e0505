/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Harts, PLIC, APLIC and IMSICs (RISC-V AIA 1.0, chapters 3 and 4). Whatever interrupts harts lists in
 * "interrupts-extended" a pair for each of its outputs: the phandle of a hart's own interrupt controller, and which of
 * its inputs.
 */
#include "machine_scan.h"
#include <string.h>

#define S_EXTERNAL 9U /* the input of supervisor external interrupts: their cause */

#define PLIC_CONTEXTS UINT64_C(0x200000)
#define PLIC_CONTEXT_SIZE UINT64_C(0x1000)
#define APLIC_DOMAIN_SIZE UINT64_C(0x4000)
#define APLIC_IDC_SIZE UINT64_C(32)
#define MAX_SOURCES 1023U /* of a PLIC or an APLIC */
#define IMSIC_MIN_IDS 63U
#define IMSIC_MAX_IDS 2047U

/* ---- Nodes ----------------------------------------------------------------------------------------------------- */

/* Whether a "riscv,isa" has the hypervisor extension: among its letters, which an underscore or a long name ends. */
static bool has_hypervisor(const char *isa)
{
    if (strncmp(isa, "rv64", 4) != 0) {
        return false;
    }
    for (isa += 4; *isa && *isa != '_' && *isa != 'z' && *isa != 'x'; isa++) {
        if (*isa == 'h') {
            return true;
        }
    }
    return false;
}

/*
 * What the hart can do: "riscv,isa"; or the list of extensions that has taken its place, whose names are whole strings.
 * No data: neither is there.
 */
static struct property isa_of(const struct node *node)
{
    const char *base = property_string(node->isa_base);

    if (property_string(node->isa)) {
        return node->isa;
    }
    return base && strcmp(base, "rv64i") == 0 ? node->isa_extensions : (struct property){0};
}

/* The string that says the same: underscores may separate letters, too. What it has no room for isn't told. */
static const char *isa_join(char isa[MACHINE_ISA_MAX], struct property list)
{
    const char *names = list.data;
    size_t used = (size_t)list.length < MACHINE_ISA_MAX - 5 ? (size_t)list.length : MACHINE_ISA_MAX - 5;

    while (used > 0 && names[used - 1] != '\0') {
        used--;
    }
    memcpy(isa, "rv64_", 5);
    for (size_t i = 0; i < used; i++) {
        isa[5 + i] = names[i] != '\0' ? names[i] : i + 1 < used ? '_' : '\0';
    }
    return isa;
}

/* All harts that are used are alike: like the first that fits. */
static bool hart_fits(struct scan *scan)
{
    struct machine *machine = scan->machine;
    struct property isa = isa_of(&scan->node), *all = &scan->riscv64.isa;
    bool is_list = isa.data && isa.data == scan->node.isa_extensions.data;

    if (!isa.data || !(is_list ? property_lists(isa, "h") : has_hypervisor(isa.data)) ||
        (all->data && (all->length != isa.length || memcmp(all->data, isa.data, (size_t)isa.length) != 0))) {
        return false;
    }
    if (!all->data) {
        machine->isa = is_list ? isa_join(machine->riscv64.isa, isa) : isa.data;
        *all = isa;
    }
    if (machine->timer_hz == 0) {
        machine->timer_hz = number_or_0(scan->node.timebase_frequency);
    }
    return true;
}

static void found_hart_intc(struct scan *scan)
{
    unsigned cpu = scan->path[scan->depth - 1].cpu;

    if (cpu != NO_CPU) {
        scan->riscv64.hart_intc[cpu] = cell_or(scan->node.phandle, 0);
    }
}

static void found_intc(struct scan *scan, struct found_intcs *list)
{
    struct found_intc *found = &list->intc[list->count];

    if (list->count == MAX_INTCS || !device_range(scan, 0, &found->regs[0])) {
        return;
    }
    found->regs_count = 1;
    while (found->regs_count < MACHINE_MAX_IMSIC_REGS &&
           device_range(scan, found->regs_count, &found->regs[found->regs_count])) {
        found->regs_count++;
    }
    found->phandle = cell_or(scan->node.phandle, 0);
    found->msi_parent = cell_or(scan->node.msi_parent, 0);
    found->outputs = scan->node.interrupts_extended;
    found->sources = cell_or(scan->node.ndev, cell_or(scan->node.num_sources, 0));
    found->ids = cell_or(scan->node.num_ids, 0);
    found->guest_ids = cell_or(scan->node.num_guest_ids, found->ids);
    found->guest_bits = cell_or(scan->node.guest_index_bits, 0);
    found->hart_bits = cell_or(scan->node.hart_index_bits, UINT32_MAX);
    found->group_bits = cell_or(scan->node.group_index_bits, 0);
    found->group_shift = cell_or(scan->node.group_index_shift, 24);
    list->count++;
}

static void found_plic(struct scan *scan)
{
    found_intc(scan, &scan->riscv64.plics);
}

static void found_aplic(struct scan *scan)
{
    found_intc(scan, &scan->riscv64.aplics);
}

static void found_imsics(struct scan *scan)
{
    found_intc(scan, &scan->riscv64.imsics);
}

static const struct machine_device devices[] = {
    {"riscv,cpu-intc", found_hart_intc},
    {"sifive,plic-1.0.0", found_plic},
    {"riscv,plic0", found_plic},
    {"riscv,aplic", found_aplic},
    {"riscv,imsics", found_imsics},
};

/* ---- Which of them are ours -------------------------------------------------------------------------------------- */

static unsigned output_count(const struct found_intc *intc)
{
    return intc->outputs.data ? (unsigned)intc->outputs.length / 8 : 0;
}

/* The pCPU whose S mode the output interrupts, or NO_CPU. */
static unsigned output_to(const struct scan *scan, const struct found_intc *intc, unsigned output)
{
    const fdt32_t *pair = (const fdt32_t *)intc->outputs.data + 2 * output;
    uint32_t phandle = fdt32_ld(&pair[0]);

    for (unsigned cpu = 0; phandle != 0 && fdt32_ld(&pair[1]) == S_EXTERNAL && cpu < scan->machine->cpu_count; cpu++) {
        if (scan->riscv64.hart_intc[cpu] == phandle) {
            return cpu;
        }
    }
    return NO_CPU;
}

static bool serves_s_mode(const struct scan *scan, const struct found_intc *intc)
{
    for (unsigned output = 0; output < output_count(intc); output++) {
        if (output_to(scan, intc, output) != NO_CPU) {
            return true;
        }
    }
    return false;
}

static bool is_consoles(const struct scan *scan, const struct found_intc *intc)
{
    return scan->console && intc->phandle != 0 && intc->phandle == scan->console->interrupt_parent;
}

/* One that serves S mode, directly or by the IMSICs with that phandle; the console's rather than another. */
static const struct found_intc *pick(const struct scan *scan, const struct found_intcs *list, uint32_t imsics)
{
    const struct found_intc *picked = NULL;

    for (unsigned i = 0; i < list->count; i++) {
        const struct found_intc *intc = &list->intc[i];

        if ((serves_s_mode(scan, intc) || (imsics != 0 && intc->msi_parent == imsics)) &&
            (!picked || is_consoles(scan, intc))) {
            picked = intc;
        }
    }
    return picked;
}

static uint64_t size_of(struct range range)
{
    return range.end - range.base;
}

static uint32_t sources_of(const struct found_intc *intc)
{
    return intc->sources < MAX_SOURCES ? intc->sources : MAX_SOURCES;
}

/* By pCPU: the number of its output, as far as there are registers for that; or MACHINE_NONE. */
static void number_outputs(const struct scan *scan, const struct found_intc *intc, uint64_t first, uint64_t each,
                           uint32_t numbers[AXVM_MAX_PCPUS])
{
    uint64_t size = size_of(intc->regs[0]);

    memset(numbers, 0xff, AXVM_MAX_PCPUS * sizeof(numbers[0]));
    for (unsigned output = 0; output < output_count(intc); output++) {
        unsigned cpu = output_to(scan, intc, output);

        if (cpu != NO_CPU && first + (output + 1) * each <= size) {
            numbers[cpu] = output;
        }
    }
}

static void settle_plic(struct scan *scan, const struct found_intc *intc)
{
    struct machine_riscv64 *rv = &scan->machine->riscv64;

    rv->plic.regs = intc->regs[0];
    rv->plic.sources = sources_of(intc);
    number_outputs(scan, intc, PLIC_CONTEXTS, PLIC_CONTEXT_SIZE, rv->plic.context);
    machine_add_device(scan->machine, rv->plic.regs);
}

static void settle_aplic(struct scan *scan, const struct found_intc *intc, bool msi)
{
    struct machine_riscv64 *rv = &scan->machine->riscv64;

    if (size_of(intc->regs[0]) < APLIC_DOMAIN_SIZE) {
        return;
    }
    rv->aplic.regs = intc->regs[0];
    rv->aplic.sources = sources_of(intc);
    rv->aplic.msi = msi;
    number_outputs(scan, intc, APLIC_DOMAIN_SIZE, APLIC_IDC_SIZE, rv->aplic.idc);
    machine_add_device(scan->machine, rv->aplic.regs);
}

/* ---- IMSICs ---------------------------------------------------------------------------------------------------- */

static unsigned bits_for(unsigned count)
{
    return count <= 1 ? 0 : 32 - (unsigned)__builtin_clz(count - 1);
}

/* Where the index'th output's files are: the sets of registers continue one another. 0: beyond them. */
static uint64_t imsic_file(const struct found_intc *intc, unsigned index)
{
    uint64_t offset = (uint64_t)index << intc->guest_bits << AXVM_PAGE_SHIFT;
    uint64_t size = AXVM_PAGE_SIZE << intc->guest_bits;

    for (unsigned i = 0; i < intc->regs_count; i++) {
        if (offset < size_of(intc->regs[i])) {
            return size <= size_of(intc->regs[i]) - offset ? intc->regs[i].base + offset : 0;
        }
        offset -= size_of(intc->regs[i]);
    }
    return 0;
}

static bool imsics_are_sound(const struct found_intc *intc)
{
    return intc->ids >= IMSIC_MIN_IDS && intc->ids <= IMSIC_MAX_IDS && intc->guest_ids >= IMSIC_MIN_IDS &&
           intc->guest_ids <= IMSIC_MAX_IDS && intc->guest_bits <= 7 && intc->group_bits <= 7 &&
           intc->group_shift >= AXVM_PAGE_SHIFT && intc->group_shift <= 55 && output_count(intc) <= 1U << 14;
}

static bool settle_imsics(struct scan *scan, const struct found_intc *intc)
{
    struct machine_riscv64 *rv = &scan->machine->riscv64;

    if (!imsics_are_sound(intc)) {
        return false;
    }
    rv->imsic.regs_count = intc->regs_count;
    memcpy(rv->imsic.regs, intc->regs, sizeof(rv->imsic.regs));
    rv->imsic.ids = intc->ids;
    rv->imsic.guest_ids = intc->guest_ids;
    rv->imsic.guest_bits = intc->guest_bits;
    rv->imsic.hart_bits = intc->hart_bits <= 15 ? intc->hart_bits : bits_for(output_count(intc));
    rv->imsic.group_bits = intc->group_bits;
    rv->imsic.group_shift = intc->group_shift;
    for (unsigned output = 0; output < output_count(intc); output++) {
        unsigned cpu = output_to(scan, intc, output);

        if (cpu != NO_CPU) {
            rv->imsic.file[cpu] = imsic_file(intc, output);
        }
    }
    for (unsigned i = 0; i < intc->regs_count; i++) {
        machine_add_device(scan->machine, intc->regs[i]);
    }
    return true;
}

/* ---- All of it ----------------------------------------------------------------------------------------------- */

/* The first cell of an interrupt is its source, be it of a PLIC or of an APLIC. */
static uint32_t console_irq(const struct scan *scan, const struct found_intc *intc)
{
    struct property interrupts = scan->console->interrupts;
    uint32_t source = interrupts.data && interrupts.length >= 4 ? fdt32_ld(interrupts.data) : 0;

    return is_consoles(scan, intc) && source <= sources_of(intc) ? source : 0;
}

static void settle_intcs(struct scan *scan)
{
    struct machine_riscv64 *rv = &scan->machine->riscv64;
    const struct found_intc *imsics = pick(scan, &scan->riscv64.imsics, 0), *plic, *aplic;
    bool msi;

    if (imsics && !settle_imsics(scan, imsics)) {
        imsics = NULL;
    }
    plic = pick(scan, &scan->riscv64.plics, 0);
    aplic = pick(scan, &scan->riscv64.aplics, imsics ? imsics->phandle : 0);
    msi = imsics && aplic && aplic->msi_parent != 0 && aplic->msi_parent == imsics->phandle;
    if (aplic && (!plic || is_consoles(scan, aplic))) {
        settle_aplic(scan, aplic, msi);
    } else if (plic) {
        settle_plic(scan, plic);
    }
    if (scan->console && rv->plic.regs.end != 0) {
        scan->machine->uart.irq = console_irq(scan, plic);
    } else if (scan->console && rv->aplic.regs.end != 0) {
        scan->machine->uart.irq = console_irq(scan, aplic);
    }
}

/* Without wired interrupts a machine is of use nevertheless: its console only takes no input. */
static int settle(struct scan *scan)
{
    if (scan->machine->timer_hz == 0) {
        return machine_problem(scan->machine, AXVM_EUNSUPPORTED, "the device tree has no timebase-frequency");
    }
    settle_intcs(scan);
    return scan->machine->problem ? AXVM_EUNSUPPORTED : AXVM_OK;
}

/* OpenSBI may reserve its own memory without saying `no-map`, and yet let nobody touch it. */
const struct machine_kind machine_riscv64 = {
    .devices = devices,
    .devices_count = sizeof(devices) / sizeof(devices[0]),
    .cpu_id_mask = UINT64_MAX,
    .no_cpu = "the device tree names no hart with the hypervisor extension",
    .firmware_memory = "mmode_resv",
    .cpu_fits = hart_fits,
    .settle = settle,
};
