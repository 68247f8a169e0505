/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VM's configuration. docs/configuration.md describes every key; src/core/config_schema.c is the one table that ties
 * keys to these fields.
 *
 * Strings belong to whoever filled the structure in; axvm_create() copies structure and strings into the VM.
 * A string that isn't given is NULL.
 */
#ifndef AXVM_CONFIG_H
#define AXVM_CONFIG_H

#include <axvm/types.h>

enum axvm_vm_type {
    AXVM_TYPE_HOST = 0,
    AXVM_TYPE_RTOS = 1,
    AXVM_TYPE_LINUX = 2,
};

enum axvm_map_type {
    AXVM_MAP_ALLOC = 0,     /* frames from the host's allocator */
    AXVM_MAP_IDENTICAL = 1, /* GPA = HPA, claimed from the host */
    AXVM_MAP_RESERVED = 2,  /* GPA = HPA, memory that the host keeps out of its allocator */
};

enum axvm_image_location {
    AXVM_IMAGES_IN_MEMORY = 0,
    AXVM_IMAGES_IN_FS = 1,
};

enum axvm_interrupt_mode {
    AXVM_IRQ_MODE_DEFAULT = 0, /* the key is absent: emulated if the VM has an interrupt controller, else none */
    AXVM_IRQ_MODE_NONE,
    AXVM_IRQ_MODE_EMULATED,
    AXVM_IRQ_MODE_PASSTHROUGH,
};

/* Codes of the emulated device types, as in the configuration files. */
enum axvm_emu_type {
    AXVM_EMU_DUMMY = 0x0,
    AXVM_EMU_INTERRUPT_CONTROLLER = 0x1,
    AXVM_EMU_CONSOLE = 0x2,
    AXVM_EMU_FW_CFG = 0x3,
    AXVM_EMU_IVC_CHANNEL = 0xa,
    AXVM_EMU_GPPT_REDISTRIBUTOR = 0x20,
    AXVM_EMU_GPPT_DISTRIBUTOR = 0x21,
    AXVM_EMU_GPPT_ITS = 0x22,
    AXVM_EMU_X86_IOAPIC = 0x23,
    AXVM_EMU_X86_PIT = 0x24,
    AXVM_EMU_LOONGARCH_PCH_PIC = 0x25,
    AXVM_EMU_PPPT_GLOBAL = 0x30,
    AXVM_EMU_VIRTIO_BLK = 0xe1,
    AXVM_EMU_VIRTIO_NET = 0xe2,
    AXVM_EMU_VIRTIO_CONSOLE = 0xe3,
    AXVM_EMU_RTC = 0xf0, /* ours: a real-time clock (PL031 on aarch64) */
};

#define AXVM_MAX_MEMORY_REGIONS 16U
#define AXVM_MAX_EMU_DEVICES 16U
#define AXVM_MAX_EMU_CFG 8U
#define AXVM_MAX_PASSTHROUGH_DEVICES 32U
#define AXVM_MAX_PASSTHROUGH_ADDRESSES 32U
#define AXVM_MAX_EXCLUDED_DEVICES 32U

/* An address that the file may leave open: `given` tells. */
struct axvm_opt_u64 {
    uint64_t value;
    bool given;
};

struct axvm_mem_config {
    gpa_t gpa;
    uint64_t size;
    uint32_t flags; /* enum axvm_mem_flags */
    enum axvm_map_type map_type;
    bool lazy; /* ours: populate on first touch (map type 0 only) */
};

struct axvm_emu_config {
    const char *name;
    gpa_t base;
    uint64_t length;
    uint32_t irq; /* the architecture's number (aarch64: INTID); 0 = none */
    enum axvm_emu_type type;
    uint64_t cfg[AXVM_MAX_EMU_CFG];
    size_t cfg_count;
};

struct axvm_passthrough_config {
    const char *name; /* one that begins with '/' is a path in the host's device tree */
    gpa_t base_gpa;
    hpa_t base_hpa;
    uint64_t length;
    uint32_t irq;
};

struct axvm_range_config {
    gpa_t gpa;
    uint64_t length;
};

struct axvm_config {
    /* [base] */
    struct axvm_opt_u64 id; /* not given: the lowest free one, from 1 */
    const char *name;
    enum axvm_vm_type vm_type;
    uint32_t cpu_num;
    uint64_t phys_cpu_ids[AXVM_MAX_VCPUS]; /* per vCPU: MPIDR affinity / hart id that the guest sees */
    size_t phys_cpu_ids_count;             /* 0: the platform's usual numbering */
    uint64_t phys_cpu_sets[AXVM_MAX_VCPUS]; /* per vCPU: mask of pCPUs it may run on */
    size_t phys_cpu_sets_count;             /* 0: any */

    /* [kernel] */
    struct axvm_opt_u64 entry_point;
    const char *kernel_path;
    struct axvm_opt_u64 kernel_load_addr;
    const char *bios_path;
    struct axvm_opt_u64 bios_load_addr;
    const char *dtb_path;
    struct axvm_opt_u64 dtb_load_addr;
    const char *ramdisk_path;
    struct axvm_opt_u64 ramdisk_load_addr;
    enum axvm_image_location image_location;
    const char *cmdline;
    const char *disk_path;
    uint64_t memory; /* ours: bytes of RAM at the platform's usual place; 0 = memory_regions says it all */
    bool lazy;       /* ours: populate `memory` on first touch */
    struct axvm_mem_config memory_regions[AXVM_MAX_MEMORY_REGIONS];
    size_t memory_regions_count;

    /* [devices] */
    bool default_devices; /* emu_devices is absent: the platform's usual set */
    struct axvm_emu_config emu_devices[AXVM_MAX_EMU_DEVICES];
    size_t emu_devices_count;
    struct axvm_passthrough_config passthrough_devices[AXVM_MAX_PASSTHROUGH_DEVICES];
    size_t passthrough_devices_count;
    struct axvm_range_config passthrough_addresses[AXVM_MAX_PASSTHROUGH_ADDRESSES];
    size_t passthrough_addresses_count;
    const char *excluded_devices[AXVM_MAX_EXCLUDED_DEVICES];
    size_t excluded_devices_count;
    enum axvm_interrupt_mode interrupt_mode;
};

/* One vCPU's place on the machine, as axvm_config_get_vcpu_affinities() lists it. */
struct axvm_vcpu_affinity {
    uint32_t vcpu_id;
    uint64_t pcpu_set; /* mask; all ones when not restricted */
    uint64_t phys_id;
};

/*
 * Receives each thing that is wrong with a configuration. `field` points at the member or array element at fault (the
 * command line turns it into file:line:col) or is NULL; `path` names it as a person would ("memory_regions[1].size");
 * `text` says what is wrong and with what.
 */
struct axvm_config_report {
    void (*error)(struct axvm_config_report *report, const void *field, const char *path, const char *text);
    void (*warn)(struct axvm_config_report *report, const void *field, const char *path, const char *text);
};

/* What the validator knows of the machine; 0 means unknown, and then isn't checked. */
struct axvm_machine {
    unsigned pcpu_count;
    uint64_t memory; /* bytes that VMs can have */
};

/* What a guest of one architecture looks like by default: where things are when the file doesn't say. */
struct axvm_platform {
    const char *arch; /* "aarch64" */
    uint16_t elf_machine;
    gpa_t ram_base;
    unsigned entry_align;    /* of an instruction's address; 0: none */
    unsigned gpa_bits;       /* the widest guest-physical address the architecture allows */
    uint32_t irq_min;        /* wired interrupts a device may have: [irq_min, irq_max] */
    uint32_t irq_max;
    uint32_t max_vcpus;
    uint64_t (*phys_id)(uint32_t vcpu_id); /* the usual numbering of CPUs */
    const struct axvm_emu_config *devices; /* the usual set */
    size_t devices_count;
    const enum axvm_emu_type *served; /* the types it has a model of */
    size_t served_count;
    uint64_t phys_id_mask; /* bits that a phys_cpu_ids entry may have; 0: any */
    /*
     * What a device of a served type needs beyond what holds for all: NULL, or what is wrong with its row. extra[i]:
     * where its further registers are that cfg[i] tells (length 0: none). NULL: nothing to check, no further registers.
     */
    const char *(*device_check)(const struct axvm_config *config, const struct axvm_emu_config *device,
                                struct axvm_range_config extra[AXVM_MAX_EMU_CFG]);
};

extern const struct axvm_platform axvm_platform_aarch64, axvm_platform_riscv64;

/* An empty configuration: one vCPU, default devices. */
void axvm_config_init(struct axvm_config *config);

/*
 * Fill in what the short forms leave open and the platform knows: RAM from `memory`, the usual devices. Idempotent.
 * Load addresses are computed later, from the images (axvm_init(), and the same code in `axvm check`).
 */
void axvm_config_complete(struct axvm_config *config, const struct axvm_platform *platform);

/*
 * The one validator. Reports every error (not only the first) and returns their number as 0 or AXVM_EINVAL.
 * Expects a completed configuration.
 */
int axvm_config_validate(const struct axvm_config *config, const struct axvm_platform *platform,
                         const struct axvm_machine *machine, struct axvm_config_report *report);

/*
 * Getters and setters. The add_* functions return AXVM_ENOMEM when the list is full; strings stay the caller's. An
 * emulated device that is added to a configuration that isn't completed takes the place of the platform's usual set.
 */
size_t axvm_config_get_vcpu_affinities(const struct axvm_config *config, const struct axvm_platform *platform,
                                       struct axvm_vcpu_affinity affinities[AXVM_MAX_VCPUS]);
void axvm_config_set_guest_cpu_sets(struct axvm_config *config, const uint64_t *sets, size_t count);
int axvm_config_add_memory_region(struct axvm_config *config, const struct axvm_mem_config *region);
bool axvm_config_contains_memory_range(const struct axvm_config *config, gpa_t start, uint64_t size);
int axvm_config_add_emu_device(struct axvm_config *config, const struct axvm_emu_config *device);
int axvm_config_add_passthrough_device(struct axvm_config *config, const struct axvm_passthrough_config *device);
int axvm_config_remove_passthrough_device(struct axvm_config *config, const char *name); /* AXVM_ENOENT */
void axvm_config_clear_passthrough_devices(struct axvm_config *config);
int axvm_config_add_passthrough_address(struct axvm_config *config, gpa_t start, uint64_t length);
int axvm_config_add_excluded_device(struct axvm_config *config, const char *path);

#endif
