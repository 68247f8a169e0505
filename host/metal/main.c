/* SPDX-License-Identifier: Apache-2.0 */
/* The metal host from its first C function to the loop that each pCPU ends in. */
#include "core/arch.h"
#include "core/bundle.h"
#include "crc32.h"
#include "host.h"
#include "lib/host.h"
#include "lib/log.h"
#include "mapping.h"
#include "memory.h"
#include "mmu.h"
#include "percpu.h"
#include "power.h"
#include "timer.h"
#include <string.h>

#ifndef AXVM_VERSION
#define AXVM_VERSION "development"
#endif

/* Seconds for all pCPUs together to start */
#define CPU_START_PATIENCE 5U

_Noreturn void metal_main(const void *fdt, uint64_t boot_cpu);
_Noreturn void metal_secondary(void);

struct percpu *percpus[AXVM_MAX_PCPUS];

static struct machine machine;
static struct bundle bundle;
static struct percpu *starter; /* the boot pCPU, which waits for the others */
static uint64_t guards[AXVM_MAX_PCPUS];
static unsigned guard_count;
static _Atomic bool vms_placed; /* the pCPUs may create the VMs and begin */

/* ---- pCPUs ----------------------------------------------------------------------------------------------------- */

static void percpu_set(unsigned id, uint64_t area)
{
    struct percpu *cpu = (struct percpu *)(uintptr_t)(area + STACK_AREA - PERCPU_SIZE);

    memset(cpu, 0, sizeof(*cpu));
    cpu->id = id;
    cpu->cpu_id = machine.cpu_id[id];
    percpus[id] = cpu;
    guards[guard_count++] = area;
}

/* Give each pCPU its memory: the boot pCPU has its own, in the image. */
static int percpus_alloc(uint64_t self)
{
    bool found = false;

    for (unsigned i = 0; i < machine.cpu_count; i++) {
        hpa_t area = hpa(address_of(boot_stack));

        if (machine.cpu_id[i] == self) {
            found = true;
        } else if (frames_alloc(&memory, (unsigned)__builtin_ctz(STACK_AREA >> AXVM_PAGE_SHIFT), &area) != AXVM_OK) {
            return fail(AXVM_ENOMEM, "there is no memory for pCPU %u", i);
        }
        percpu_set(i, area.v);
    }
    return found ? AXVM_OK
                 : fail(AXVM_ENOENT, "the boot CPU, 0x%llx, isn't in the device tree", (unsigned long long)self);
}

static bool all_online(void)
{
    for (unsigned i = 0; i < machine.cpu_count; i++) {
        if (percpus[i] && !atomic_load_explicit(&percpus[i]->online, memory_order_acquire)) {
            return false;
        }
    }
    return true;
}

static int cpu_begin(void)
{
    int error = host_cpu_init(&machine);

    error = error ? error : axvm_cpu_enable();
    if (!error) {
        atomic_store_explicit(&this_cpu()->online, true, memory_order_release);
    }
    return error;
}

static void cpus_start(void)
{
    uint64_t deadline = timer_now() + CPU_START_PATIENCE * hal->tick_hz;

    starter = this_cpu();
    for (unsigned i = 0; i < machine.cpu_count; i++) {
        if (percpus[i] != this_cpu() &&
            (!power_can_start(&machine) ||
             power_cpu_on(percpus[i]->cpu_id, address_of((void *)(uintptr_t)secondary_entry),
                          address_of(percpus[i])) != AXVM_OK)) {
            percpus[i] = NULL;
        }
    }
    timer_set(deadline);
    while (!all_online() && timer_now() < deadline) {
        cpu_wfi(); /* each that is online kicks */
        host_poll();
    }
    timer_set(UINT64_MAX);
    for (unsigned i = 0; i < machine.cpu_count; i++) {
        if (percpus[i] && atomic_load(&percpus[i]->online)) {
            sched_add_cpu(i, &percpus[i]->queue);
        } else {
            log_warn("pCPU %u (0x%llx) doesn't start", i, (unsigned long long)machine.cpu_id[i]);
        }
    }
}

/* ---- VMs --------------------------------------------------------------------------------------------------------- */

/* What a VM is made from; only until it is. Two frames. */
struct vm_boot {
    struct axvm_config config;
    struct bundle_image images[AXVM_IMAGE_COUNT];
};

#define VM_BOOT_ORDER 1U
_Static_assert(sizeof(struct vm_boot) <= AXVM_PAGE_SIZE << VM_BOOT_ORDER, "VM_BOOT_ORDER");

static void *zeroed_frames(unsigned order)
{
    hpa_t run;

    if (frames_alloc(&memory, order, &run) != AXVM_OK) {
        return NULL;
    }
    return memset((void *)(uintptr_t)run.v, 0, AXVM_PAGE_SIZE << order);
}

static void free_frames(void *frames, unsigned order)
{
    if (frames) {
        frames_free(&memory, hpa(address_of(frames)), order);
    }
}

/* Read the bundle's index'th VM. */
static int vm_read(struct vm_boot *boot, unsigned index)
{
    int error = bundle_vm(&bundle, index, &boot->config, boot->images);

    if (error == AXVM_OK && boot->config.id.given && boot->config.id.value > UINT32_MAX) {
        error = fail(AXVM_EINVAL, "its id is 0x%llx: wider than 32 bits", (unsigned long long)boot->config.id.value);
    }
    if (error != AXVM_OK) {
        log_error("the bundle's VM %u is damaged and won't start", index);
    }
    return error;
}

/* Read all VMs first: those without an id take the lowest that none has. */
static unsigned vms_read(struct vm_boot **boots)
{
    unsigned count = 0;

    for (unsigned i = 0; i < bundle.vm_count && i < SCHED_MAX_VMS; i++) {
        boots[count] = zeroed_frames(VM_BOOT_ORDER);
        if (!boots[count]) {
            log_error("there is no memory for VM %u of the bundle", i);
        } else if (vm_read(boots[count], i) == AXVM_OK) {
            count++;
        } else {
            free_frames(boots[count], VM_BOOT_ORDER);
        }
    }
    return count;
}

static bool id_taken(struct vm_boot *const *boots, unsigned count, uint64_t id)
{
    for (unsigned i = 0; i < count; i++) {
        if (boots[i]->config.id.given && boots[i]->config.id.value == id) {
            return true;
        }
    }
    return false;
}

static uint64_t free_id(struct vm_boot *const *boots, unsigned count)
{
    uint64_t id = 1;

    while (id_taken(boots, count, id)) {
        id++;
    }
    return id;
}

static void vm_add(struct vm_boot *boot)
{
    struct sched_vm *vm = zeroed_frames(0);

    if (!vm) {
        log_error("vm %s: there is no memory for it", boot->config.name);
        return;
    }
    vm->name = boot->config.name ? boot->config.name : "?";
    vm->id = (uint32_t)boot->config.id.value;
    vm->boot = boot;
    if (sched_add(vm, &boot->config) == AXVM_OK) {
        host_console_add(vm);
    } else {
        free_frames(boot, VM_BOOT_ORDER);
        free_frames(vm, 0);
    }
}

static void vms_add(void)
{
    struct vm_boot *boots[SCHED_MAX_VMS];
    unsigned count;

    if (machine.initrd.base == machine.initrd.end) {
        log_error("there is no bundle of VMs: it is expected where a kernel has its initrd");
        return;
    }
    if (bundle_open(&bundle, (const void *)(uintptr_t)machine.initrd.base, machine.initrd.end - machine.initrd.base) !=
        AXVM_OK) {
        return;
    }
    if (strcmp(bundle.arch, host_arch->name) != 0) {
        log_error("the bundle is for %s, this machine is %s", bundle.arch, host_arch->name);
        return;
    }
    count = vms_read(boots);
    for (unsigned i = 0; i < count; i++) {
        if (!boots[i]->config.id.given) {
            boots[i]->config.id = (struct axvm_opt_u64){free_id(boots, count), true};
        }
    }
    for (unsigned i = 0; i < count; i++) {
        vm_add(boots[i]);
    }
    sched_place();
}

/* A loader that puts something over a part of the bundle is a likely mistake, and a guest of such an image a riddle. */
static int image_set(struct axvm *vm, unsigned kind, const struct bundle_image *image)
{
    if (crc32(image->data, image->size) != image->crc32) {
        return fail(AXVM_EINVAL, "vm %s: the %s image, %s, is damaged: wrong checksum", axvm_name(vm),
                    bundle_image_names[kind], image->file);
    }
    return axvm_set_image(vm, (enum axvm_image_kind)kind, image->data, image->size);
}

static int vm_create(struct sched_vm *vm, const struct vm_boot *boot)
{
    struct axvm *created;
    int error = axvm_create(&boot->config, &created);

    if (error) {
        return error;
    }
    for (unsigned i = 0; i < AXVM_IMAGE_COUNT && !error; i++) {
        if (boot->images[i].data) {
            error = image_set(created, i, &boot->images[i]);
        }
    }
    error = error ? error : axvm_init(created);
    error = error ? error : axvm_boot(created);
    if (error) {
        axvm_destroy(created);
    } else {
        vm->vm = created;
    }
    return error;
}

static void vm_start(struct sched_vm *vm)
{
    int error = vm_create(vm, vm->boot);

    free_frames(vm->boot, VM_BOOT_ORDER);
    vm->boot = NULL;
    if (error) {
        log_error("vm %s: it doesn't start", vm->name);
        sched_give_up(vm);
    } else {
        sched_start(vm);
    }
}

/* Each pCPU makes the VMs whose first vCPU it runs. */
static void vms_start(void)
{
    struct sched_vm *vm;

    for (unsigned i = 0; (vm = sched_vm(i)) != NULL; i++) {
        if (vm->tasks[0].pcpu == this_cpu()->id) {
            vm_start(vm);
        }
    }
}

/* ---- The way through --------------------------------------------------------------------------------------------- */

static _Noreturn void run(void)
{
    vms_start();
    for (;;) {
        if (!sched_step(&this_cpu()->queue)) {
            cpu_wfi();
            host_poll();
        }
    }
}

_Noreturn void metal_secondary(void)
{
    if (cpu_begin() != AXVM_OK) {
        park();
    }
    intc_kick(starter);
    while (!atomic_load_explicit(&vms_placed, memory_order_acquire)) {
        cpu_wfe();
    }
    run();
}

static void banner(void)
{
    unsigned vms = 0, cpus = 0;

    while (sched_vm(vms)) {
        vms++;
    }
    for (unsigned i = 0; i < machine.cpu_count; i++) {
        cpus += percpus[i] && atomic_load(&percpus[i]->online);
    }
    log_info("%s on %s: %u pCPU%s, %llu MiB, %u VM%s; keeps %llu KiB", AXVM_VERSION, machine.model, cpus,
             cpus == 1 ? "" : "s", (unsigned long long)(memory.free >> 8), vms, vms == 1 ? "" : "s",
             (unsigned long long)(memory_kept() >> 10));
}

/*
 * Memory, mapping and console, as far as the machine has them: also of one that can't be used. What is wrong is in the
 * log, which the console then shows.
 */
static int foundations(const void *fdt, uint64_t boot_cpu)
{
    int error, unfit = machine_discover(&machine, host_machine, fdt, MACHINE_FDT_MAX);

    memory_init(&machine, fdt, mapping_early_window());
    error = host_init(&machine);
    if (error) {
        return error;
    }
    unfit = unfit ? fail(unfit, "this machine can't be used: %s", machine.problem) : percpus_alloc(boot_cpu);
    error = mmu_start(&machine, &memory_mapped, guards, guard_count);
    if (error) {
        return error;
    }
    memory_open();
    if (machine.uart.regs.base != machine.uart.regs.end) {
        host_console_start(&machine);
    }
    return unfit;
}

/* With the MMU on, but no more mapped than the image and the device tree (entry.S). */
_Noreturn void metal_main(const void *fdt, uint64_t boot_cpu)
{
    if (foundations(fdt, boot_cpu) != AXVM_OK) {
        park();
    }
    intc_init(&machine);
    if (cpu_begin() != AXVM_OK) {
        park();
    }
    cpus_start();
    vms_add();
    banner();
    host_console_take_input(&machine);
    if (!sched_vm(0)) {
        host_all_ended();
    }
    atomic_store_explicit(&vms_placed, true, memory_order_release);
    cpu_sev();
    run();
}
