/* SPDX-License-Identifier: Apache-2.0 */
/* machine.c's pass over the device tree, for machine_<architecture>.c. */
#ifndef METAL_MACHINE_SCAN_H
#define METAL_MACHINE_SCAN_H

#include "machine.h"
#include <libfdt.h>

#define MAX_DEPTH 16
#define MAX_UARTS 8U

/* The properties that are of interest, of whatever node. */
#define PROPERTIES(X)                                                                                                  \
    X(address_cells, "#address-cells")                                                                                 \
    X(size_cells, "#size-cells")                                                                                       \
    X(interrupt_cells, "#interrupt-cells")                                                                             \
    X(compatible, "compatible")                                                                                        \
    X(device_type, "device_type")                                                                                      \
    X(status, "status")                                                                                                \
    X(reg, "reg")                                                                                                      \
    X(reg_shift, "reg-shift")                                                                                          \
    X(reg_io_width, "reg-io-width")                                                                                    \
    X(ranges, "ranges")                                                                                                \
    X(phandle, "phandle")                                                                                              \
    X(interrupts, "interrupts")                                                                                        \
    X(interrupt_parent, "interrupt-parent")                                                                            \
    X(interrupts_extended, "interrupts-extended")                                                                      \
    X(msi_parent, "msi-parent")                                                                                        \
    X(no_map, "no-map")                                                                                                \
    X(redistributor_stride, "redistributor-stride")                                                                    \
    X(clock_frequency, "clock-frequency")                                                                              \
    X(timebase_frequency, "timebase-frequency")                                                                        \
    X(method, "method")                                                                                                \
    X(isa, "riscv,isa")                                                                                                \
    X(isa_base, "riscv,isa-base")                                                                                      \
    X(isa_extensions, "riscv,isa-extensions")                                                                          \
    X(ndev, "riscv,ndev")                                                                                              \
    X(num_sources, "riscv,num-sources")                                                                                \
    X(num_ids, "riscv,num-ids")                                                                                        \
    X(num_guest_ids, "riscv,num-guest-ids")                                                                            \
    X(guest_index_bits, "riscv,guest-index-bits")                                                                      \
    X(hart_index_bits, "riscv,hart-index-bits")                                                                        \
    X(group_index_bits, "riscv,group-index-bits")                                                                      \
    X(group_index_shift, "riscv,group-index-shift")                                                                    \
    X(model, "model")                                                                                                  \
    X(stdout_path, "stdout-path")                                                                                      \
    X(initrd_start, "linux,initrd-start")                                                                              \
    X(initrd_end, "linux,initrd-end")

struct property {
    const void *data; /* NULL: the node doesn't have it */
    int length;
};

struct node {
#define PROPERTY_FIELD(field, name) struct property field;
    PROPERTIES(PROPERTY_FIELD)
#undef PROPERTY_FIELD
};

#define WANTED (sizeof(struct node) / sizeof(struct property))
#define FIRST_NAMES 1024U /* bytes of the strings block: more than what QEMU's trees have */

#define NO_CPU AXVM_MAX_PCPUS

/* What must be known of a node while its children are looked at. */
struct parent {
    const char *name;
    uint32_t address_cells, size_cells; /* how its children's addresses are written */
    uint32_t interrupt_parent;          /* phandle; 0: none is named */
    unsigned cpu;                       /* the node is that pCPU; or NO_CPU */
    struct property ranges;
};

/* A UART that may turn out to be the console. */
struct found_uart {
    struct uart uart; /* its irq isn't known before all is */
    struct property interrupts;
    uint32_t interrupt_parent;
    int depth;
    const char *path[MAX_DEPTH]; /* nodes' names, from depth 1 on */
};

struct scan_aarch64 {
    uint32_t irq_cells; /* of the GIC; 0: no GIC yet */
    bool gicv2;
    struct property timer_interrupts;
};

#define MAX_INTCS 8U

/* An interrupt controller of riscv64: PLIC, APLIC or IMSICs. */
struct found_intc {
    unsigned regs_count; /* 0: there is none */
    struct range regs[MACHINE_MAX_IMSIC_REGS];
    uint32_t phandle, msi_parent;
    struct property outputs; /* interrupts-extended */
    uint32_t sources, ids, guest_ids, guest_bits, hart_bits, group_bits, group_shift;
};

struct found_intcs {
    unsigned count;
    struct found_intc intc[MAX_INTCS];
};

struct scan_riscv64 {
    uint32_t hart_intc[AXVM_MAX_PCPUS]; /* phandle of each pCPU's own interrupt controller; 0: none */
    struct found_intcs plics, aplics, imsics;
    struct property isa; /* of all harts, as the first has it: a string, or a list of extensions */
};

/* One pass over the tree. A node is looked at when its properties are complete: they come before its children. */
struct scan {
    struct machine *machine;
    const struct machine_kind *kind;
    const void *fdt;
    const char *at, *end; /* what of the structure block hasn't been read */
    const char *strings;
    uint32_t strings_size;
    uint8_t found[FIRST_NAMES]; /* by a name's place among the strings: property_find() of it, once asked; else 0 */
    int depth;        /* of `node`; the root's is 0 */
    bool looked_at;   /* `node` was */
    const char *name; /* of `node` */
    unsigned cpu;     /* `node` is that pCPU; or NO_CPU */
    struct node node;
    struct parent path[MAX_DEPTH];
    struct property stdout_path;
    unsigned uart_count;
    struct found_uart uarts[MAX_UARTS];
    struct found_uart *console; /* one of them, when all have been looked at; NULL: none is it */
    struct ranges reserved, no_map, memreserve;
    union {
        struct scan_aarch64 aarch64;
        struct scan_riscv64 riscv64;
    };
};

struct machine_device {
    const char *compatible;
    void (*found)(struct scan *scan); /* such a node: it is available */
};

struct machine_kind {
    const struct machine_device *devices;
    size_t devices_count;
    uint64_t cpu_id_mask; /* of a CPU's `reg` */
    const char *no_cpu;   /* the problem of a machine without one */
    const char *firmware_memory; /* how the names of reservations begin that are `no-map` in any case; NULL: none */
    /* Whether the node, an available CPU, is of use. NULL: all are. */
    bool (*cpu_fits)(struct scan *scan);
    /* The rest, when all nodes have been looked at; the console's irq, too. Else machine->problem. */
    int (*settle)(struct scan *scan);
};

/* The first problem is the one that is told. Returns `error`. */
int machine_problem(struct machine *machine, int error, const char *text);

/* `count` cells, at most two, as a number. */
uint64_t cells_read(const fdt32_t *cell, uint32_t count);

/* A number of one cell, or `otherwise`; of one or two cells, or 0. */
uint32_t cell_or(struct property property, uint32_t otherwise);
uint64_t number_or_0(struct property property);

/* A property that is one string; NULL: it isn't. */
const char *property_string(struct property property);

/* Whether `text` is among the property's strings. */
bool property_lists(struct property property, const char *text);

/* The index'th range of the node's registers, in the CPU's address space. */
bool device_range(const struct scan *scan, uint32_t index, struct range *range);

/* The host uses these registers. */
void machine_add_device(struct machine *machine, struct range regs);

#endif
