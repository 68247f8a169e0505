/* SPDX-License-Identifier: Apache-2.0 */
/* The table of this architecture: VM and vCPU, from creation to the switch; devices; the guest's device tree. */
#include "arch/riscv64/cpu.h"
#include "arch/riscv64/isa.h"
#include "arch/riscv64/sbi.h"
#include "core/config_schema.h"
#include "core/guest_fdt.h"
#include "device/goldfish_rtc.h"
#include "device/ns16550.h"
#include "lib/host.h"
#include "lib/log.h"
#include "mem/vmid.h"
#include <libfdt.h>
#include <string.h>

/* What cpu_entry.S knows of struct rv64_frame. */
_Static_assert(offsetof(struct rv64_frame, x) == 0, "frame: x0");
_Static_assert(offsetof(struct rv64_frame, pc) == 256, "frame: pc");
_Static_assert(offsetof(struct rv64_frame, host_sp) == 264, "frame: host_sp");
_Static_assert((int)offsetof(struct axvm_vcpu, requests) - (int)offsetof(struct rv64_vcpu, frame) == -116, "requests");
_Static_assert(offsetof(struct rv64_fp, fcsr) == 256, "fp: fcsr");

/*
 * What a kernel takes itself: all exceptions but those of the hypervisor extension and calls from VS mode (18.2.2). An
 * illegal instruction of the guest is its own; what the hypervisor forbids comes as a virtual instruction.
 */
#define HEDELEG                                                                                                        \
    (RV_BIT(CAUSE_FETCH_MISALIGNED) | RV_BIT(CAUSE_FETCH_ACCESS) | RV_BIT(CAUSE_ILLEGAL) | RV_BIT(CAUSE_BREAKPOINT) |  \
     RV_BIT(CAUSE_LOAD_MISALIGNED) | RV_BIT(CAUSE_LOAD_ACCESS) | RV_BIT(CAUSE_STORE_MISALIGNED) |                      \
     RV_BIT(CAUSE_STORE_ACCESS) | RV_BIT(CAUSE_ECALL_U) | RV_BIT(CAUSE_FETCH_PAGE) | RV_BIT(CAUSE_LOAD_PAGE) |         \
     RV_BIT(CAUSE_STORE_PAGE))

/* CBO.INVAL flushes (01): what the host wrote into a cache and not yet to memory must not get lost. */
#define ENVCFG_CBIE_FLUSH (UINT64_C(1) << 4)

/* ---- G-stage ----------------------------------------------------------------------------------------------------- */

static uint64_t pcpus_of(const struct addrspace *as)
{
    const struct axvm *vm = (const struct axvm *)(const void *)((const char *)as - offsetof(struct axvm, as));

    return atomic_load(&((const struct rv64_vm *)(const void *)vm)->ran_on);
}

static void tlb_flush_range(struct addrspace *as, gpa_t start, uint64_t size)
{
    rv64_cpu_gstage_flush(pcpus_of(as), as->vmid, start.v, size);
}

static void tlb_flush_all(struct addrspace *as)
{
    rv64_cpu_gstage_flush(pcpus_of(as), as->vmid, 0, UINT64_MAX);
}

/* Harts fetch images anew when a vCPU starts there; of what is written later, as by DMA, the guest knows. */
static void written(const void *start, uint64_t size)
{
    (void)start;
    (void)size;
    rv64_cpu_table_publish();
}

static const struct addrspace_tlb tlb = {
    .flush_range = tlb_flush_range,
    .flush_all = tlb_flush_all,
    .publish = rv64_cpu_table_publish,
    .zero = rv64_cpu_zero,
    .written = written,
};

/* The highest guest-physical address that the configuration names. */
static uint64_t highest_address(const struct axvm_config *config)
{
    uint64_t highest = 0;

    for (size_t i = 0; i < config->memory_regions_count; i++) {
        highest |= config->memory_regions[i].gpa.v + (config->memory_regions[i].size - 1);
    }
    for (size_t i = 0; i < config->emu_devices_count; i++) {
        highest |= config->emu_devices[i].base.v + (config->emu_devices[i].length - 1);
        if (config->emu_devices[i].cfg_count != 0) { /* IMSICs */
            highest |= config->emu_devices[i].cfg[0] + (config->cpu_num * VIMSIC_PAGE - 1);
        }
    }
    return highest;
}

/*
 * The fewest levels that reach everything: a TLB miss costs one access less for each. Not by the upper half of a mode's
 * addresses, if a wider one is there: QEMU 7.2 takes them for signed, and says for ever that nothing is mapped there.
 */
static unsigned gpa_bits(const struct axvm_config *config)
{
    static const uint8_t modes[] = {41, 50, 59};
    unsigned bits = rv64_cpu_gpa_bits();

    for (unsigned i = 0; i < sizeof(modes); i++) {
        if (modes[i] <= bits && highest_address(config) >> (modes[i] - 1) == 0) {
            return modes[i];
        }
    }
    return bits;
}

/* The bit in henvcfg says that menvcfg lets it be used; but QEMU 7.2 has it in any case. */
static bool has_svpbmt(void)
{
    return (rv64_cpu_features() & RV64_PBMT) != 0 && rv64_isa_has(hal->isa, "svpbmt");
}

static uint64_t hgatp_of(const struct addrspace *as, unsigned bits)
{
    uint64_t mode = bits == 41 ? HGATP_SV39X4 : bits == 50 ? HGATP_SV48X4 : HGATP_SV57X4;

    return mode << HGATP_MODE_SHIFT | (uint64_t)as->vmid << HGATP_VMID_SHIFT | as->table.root.v >> AXVM_PAGE_SHIFT;
}

/* ---- The VM ------------------------------------------------------------------------------------------------------ */

static int vm_init(struct axvm *base)
{
    struct rv64_vm *vm = rv64_vm(base);
    unsigned bits = gpa_bits(&base->config);
    const struct pt_format *format = has_svpbmt() ? &pt_riscv64_gstage_svpbmt : &pt_riscv64_gstage;
    int error = vmid_alloc(rv64_cpu_vmid_bits(), &vm->vmid);

    error = error != AXVM_OK ? error : addrspace_init(&base->as, format, bits, &tlb, vm->vmid);
    if (error != AXVM_OK) {
        return error;
    }
    vm->hgatp = hgatp_of(&base->as, bits);
    vplic_init(&vm->plic, base);
    vaplic_init(&vm->aplic, base);
    vimsic_init(&vm->imsic, base);
    return AXVM_OK;
}

/* What TLBs know of the VMID is forgotten before somebody else gets it. */
static void vm_fini(struct axvm *base)
{
    struct rv64_vm *vm = rv64_vm(base);

    for (uint32_t i = 0; i < base->vcpu_count; i++) {
        rv64_timer_fini(rv64_vcpu(base->vcpus[i]));
    }
    if (vm->vmid != 0) {
        rv64_cpu_gstage_flush(atomic_load(&vm->ran_on), vm->vmid, 0, UINT64_MAX);
        vmid_free(vm->vmid);
        vm->vmid = 0;
    }
}

static void vm_reset(struct axvm *base)
{
    struct rv64_vm *vm = rv64_vm(base);

    vplic_reset(&vm->plic);
    vaplic_reset(&vm->aplic);
    vimsic_reset(&vm->imsic);
    sbi_console_reset(vm);
    for (uint32_t i = 0; i < base->vcpu_count; i++) {
        rv64_timer_reset(rv64_vcpu(base->vcpus[i]));
    }
}

/* The guest's time starts at zero. */
static void vm_boot(struct axvm *base)
{
    rv64_vm(base)->time_offset = hal->ticks();
}

static void vm_time_shift(struct axvm *base, uint64_t ticks)
{
    rv64_vm(base)->time_offset += ticks;
    for (uint32_t i = 0; i < base->vcpu_count; i++) {
        rv64_timer_shift(rv64_vcpu(base->vcpus[i]));
    }
}

/* ---- The vCPU ---------------------------------------------------------------------------------------------------- */

static void controls_init(struct rv64_vcpu *v)
{
    uint32_t features = rv64_cpu_features();
    struct rv64_controls *c = &v->controls;

    c->hedeleg = HEDELEG;
    c->hideleg = IRQ_VS_ALL;
    c->hcounteren = HCOUNTEREN_TM; /* cycles and instructions retired would tell of others' work */
    c->henvcfg = ENVCFG_CBIE_FLUSH | ENVCFG_CBCFE | ENVCFG_CBZE | ENVCFG_FIOM; /* emulated devices are in memory */
    c->henvcfg |= (features & RV64_SSTC) != 0 ? ENVCFG_STCE : 0;
    c->henvcfg |= has_svpbmt() ? ENVCFG_PBMTE : 0;
    c->hgatp = rv64_vm(v->base.vm)->hgatp;
}

static int vector_init(struct rv64_vcpu *v)
{
    if ((rv64_cpu_features() & RV64_VECTOR) == 0) {
        return AXVM_OK;
    }
    v->vector.data = arena_alloc(&v->base.vm->arena, 32 * rv64_cpu_vlenb());
    return v->vector.data != NULL ? AXVM_OK : fail(AXVM_ENOMEM, "VM %u: no memory for vectors", v->base.vm->id);
}

static int vcpu_init(struct axvm_vcpu *base)
{
    struct rv64_vcpu *v = rv64_vcpu(base);

    v->mmio_hint = &bus_nothing;
    controls_init(v);
    rv64_timer_init(v);
    vplic_attach(&rv64_vm(base->vm)->plic, &v->plic, base);
    vaplic_attach(&rv64_vm(base->vm)->aplic, &v->aplic, base);
    vimsic_attach(&rv64_vm(base->vm)->imsic, &v->imsic, base);
    return vector_init(v);
}

static void vector_reset(struct rv64_vector *vector)
{
    if (vector->data != NULL) {
        memset(vector->data, 0, 32 * rv64_cpu_vlenb());
        vector->vstart = vector->vcsr = vector->vl = 0;
        vector->vtype = UINT64_C(1) << 63; /* vill */
    }
}

/* A CPU without Ssaia takes its CSRs for illegal instructions: a guest's that is to have them come here first. */
static uint64_t hedeleg(const struct rv64_vcpu *v)
{
    bool lacks = rv64_vm(v->base.vm)->has_imsic && (rv64_cpu_features() & RV64_AIA) == 0;

    return lacks ? HEDELEG & ~RV_BIT(CAUSE_ILLEGAL) : HEDELEG;
}

/* Entry state of SBI's hart_start (SBI 2.0, 9.1) and of Linux's boot protocol: VS mode, satp 0, interrupts off. */
static void vcpu_start(struct axvm_vcpu *base, gpa_t entry, uint64_t arg)
{
    static const uint64_t reset[RV64_SYS_COUNT] = {
#define RV64_SYS_RESET(name, value) [RV64_##name] = (value),
        RV64_SYS_REGS(RV64_SYS_RESET)
#undef RV64_SYS_RESET
    };
    struct rv64_vcpu *v = rv64_vcpu(base);

    memset(&v->frame, 0, sizeof(v->frame));
    memset(&v->fp, 0, sizeof(v->fp));
    vector_reset(&v->vector);
    memcpy(v->sys, reset, sizeof(v->sys));
    v->frame.pc = entry.v;
    v->frame.x[10] = base->phys_id;
    v->frame.x[11] = arg;
    v->controls.hstatus = HSTATUS_VSXL_64 | HSTATUS_SPV | HSTATUS_SPVP;
    v->controls.sstatus = SSTATUS_SPP;
    v->controls.hedeleg = hedeleg(v);
    v->hvip = 0;
    atomic_store_explicit(&v->ipi, false, memory_order_relaxed);
    atomic_store_explicit(&v->fence_wanted, true, memory_order_relaxed); /* the images are new */
    rv64_timer_reset(v);
}

/* What follows from things that change: VCPU_REQ_RELOAD brings the vCPU here. */
static void controls_update(struct rv64_vcpu *v)
{
    bool alone = atomic_load_explicit(&v->base.alone, memory_order_relaxed);

    v->controls.hstatus &= ~HSTATUS_VTW;
    v->controls.hstatus |= alone ? 0 : HSTATUS_VTW;
    v->controls.htimedelta = 0 - atomic_load(&rv64_vm(v->base.vm)->time_offset);
    rv64_cpu_controls_load(&v->controls);
}

/* From here on, changes of the VM's tables are for this pCPU's TLB, too: hgatp may be walked as soon as it is there. */
static void tlb_join(struct rv64_vcpu *v)
{
    atomic_fetch_or(&rv64_vm(v->base.vm)->ran_on, RV_BIT(hal->pcpu_id()));
    atomic_thread_fence(memory_order_seq_cst);
}

/*
 * A hart's stage-1 TLB entries and what it has fetched are its own, and a guest counts on it: what another vCPU of the
 * VM left on this pCPU, or this one before it was elsewhere, must not be found. resident_on is set already: see ipi.c.
 */
static void tlb_take_over(struct rv64_vcpu *v)
{
    struct rv64_vm *vm = rv64_vm(v->base.vm);
    unsigned self = hal->pcpu_id();
    bool wanted = atomic_exchange(&v->fence_wanted, false);

    if (wanted || vm->last_vcpu[self] != v->base.id + 1 || v->last_pcpu != self) {
        rv64_cpu_vstage_flush(RV_BIT(self), 0, UINT64_MAX);
        rv64_cpu_fence_i(RV_BIT(self));
    }
    vm->last_vcpu[self] = (uint8_t)(v->base.id + 1);
    v->last_pcpu = self;
}

static void vcpu_load(struct axvm_vcpu *base)
{
    struct rv64_vcpu *v = rv64_vcpu(base);

    tlb_join(v);
    controls_update(v);
    tlb_take_over(v);
    rv64_cpu_sys_load(v->sys);
    if ((rv64_cpu_features() & RV64_FLOAT) != 0) {
        rv64_cpu_fp_load(&v->fp);
    }
    if (v->vector.data != NULL) {
        rv64_cpu_vector_load(&v->vector);
    }
    rv64_cpu_hvip_write(v->hvip);
    atomic_fetch_or(&base->requests, VCPU_REQ_IRQ); /* what came while it was away */
}

static void vcpu_save(struct axvm_vcpu *base)
{
    struct rv64_vcpu *v = rv64_vcpu(base);

    rv64_timer_save(v);
    rv64_file_put(v);
    v->hvip = rv64_cpu_hvip_read();
    if (v->vector.data != NULL) {
        rv64_cpu_vector_save(&v->vector);
    }
    if ((rv64_cpu_features() & RV64_FLOAT) != 0) {
        rv64_cpu_fp_save(&v->fp);
    }
    rv64_cpu_sys_save(v->sys);
    rv64_cpu_controls_save(&v->controls);
}

static void vcpu_run(struct axvm_vcpu *base, struct axvm_exit *exit)
{
    struct rv64_vcpu *v = rv64_vcpu(base);

    v->exit = exit;
    atomic_store_explicit(&v->suspended, false, memory_order_relaxed);
    if (!v->timer.loaded) {
        rv64_timer_load(v);
        rv64_file_take(v);
    }
    if (atomic_load_explicit(&base->requests, memory_order_relaxed) != 0 && rv64_serve_requests(v) == RV64_LEAVE) {
        return;
    }
    rv64_cpu_enter(&v->frame);
}

/* Interrupts that would end the wait, as vsie has them (18.2.3: one bit lower than hvip). */
static bool vcpu_pending(struct axvm_vcpu *base)
{
    struct rv64_vcpu *v = rv64_vcpu(base);
    uint64_t pending = v->hvip & ~IRQ_VSE;

    pending |= atomic_load_explicit(&v->ipi, memory_order_acquire) ? IRQ_VSS : 0;
    pending |= rv64_external(v) ? IRQ_VSE : 0;
    pending |= rv64_timer_pending(v) ? IRQ_VST : 0;
    return (pending >> 1 & v->wait_sie) != 0;
}

static void set_return_value(struct axvm_vcpu *base, uint64_t value)
{
    rv64_vcpu(base)->frame.x[10] = value;
}

static void set_gpr(struct axvm_vcpu *base, unsigned reg, uint64_t value)
{
    rv64_reg_write(rv64_vcpu(base), reg % 32, value);
}

/* ---- Interrupts and devices -------------------------------------------------------------------------------------- */

static int irq_pulse(struct axvm_vcpu *base, uint32_t irq)
{
    struct rv64_vm *vm = rv64_vm(base->vm);

    return vm->has_aplic ? vaplic_pulse(&vm->aplic, irq) : vplic_pulse(&vm->plic, irq);
}

static void irq_line(struct axvm *base, uint32_t irq, bool level)
{
    struct rv64_vm *vm = rv64_vm(base);

    (void)(vm->has_aplic ? vaplic_set_line(&vm->aplic, irq, level) : vplic_set_line(&vm->plic, irq, level));
}

static int msi(struct axvm *base, uint64_t address, uint32_t device_id, uint32_t data)
{
    (void)device_id;
    if (!rv64_vm(base)->has_imsic) {
        return fail(AXVM_EINVAL, "VM %u: it has no IMSICs to take interrupts", base->id);
    }
    return vimsic_signal_msi(&rv64_vm(base)->imsic, address, data);
}

static int aplic_create(struct rv64_vm *vm, const struct axvm_emu_config *config)
{
    int error = AXVM_OK;

    vm->has_aplic = true;
    vm->has_imsic = config->cfg_count != 0;
    if (vm->has_imsic) {
        error = vimsic_add_device(&vm->imsic, gpa(config->cfg[0]));
    }
    return error != AXVM_OK ? error : vaplic_add_device(&vm->aplic, config->base, vm->has_imsic ? &vm->imsic : NULL);
}

static int intc_create(struct axvm *base, const struct axvm_emu_config *config)
{
    struct rv64_vm *vm = rv64_vm(base);

    if (vm->has_plic || vm->has_aplic) {
        return fail(AXVM_EEXIST, "VM %u: a second interrupt controller, \"%s\"", base->id, config->name);
    }
    if (config->length == VAPLIC_SIZE) {
        return aplic_create(vm, config);
    }
    vm->has_plic = true;
    return vplic_add_device(&vm->plic, config->base);
}

static const struct arch_device_type devices[] = {
    {AXVM_EMU_INTERRUPT_CONTROLLER, intc_create},
    {AXVM_EMU_CONSOLE, ns16550_create},
    {AXVM_EMU_RTC, goldfish_rtc_create},
};

/* ---- The guest's device tree ------------------------------------------------------------------------------------- */

static int fdt_root(struct axvm *base, void *fdt)
{
    (void)base;
    return fdt_property_string(fdt, "compatible", "riscv-virtio");
}

/* Linux wants it here, and not in the nodes of the harts. */
static int fdt_cpus(struct axvm *base, void *fdt)
{
    (void)base;
    return fdt_property_u32(fdt, "timebase-frequency", (uint32_t)hal->tick_hz);
}

static int fdt_hart_intc(const struct axvm_vcpu *base, void *fdt)
{
    int error = fdt_begin_node(fdt, "interrupt-controller");

    error = error != 0 ? error : fdt_property_string(fdt, "compatible", "riscv,cpu-intc");
    error = error != 0 ? error : fdt_property_u32(fdt, "#interrupt-cells", 1);
    error = error != 0 ? error : fdt_property(fdt, "interrupt-controller", NULL, 0);
    error = error != 0 ? error : fdt_property_u32(fdt, "phandle", GUEST_FDT_CPU_INTC0 + base->id);
    return error != 0 ? error : fdt_end_node(fdt);
}

/* Ssaia, be it emulated, comes with the IMSIC. */
static uint32_t guest_features(struct axvm *base)
{
    uint32_t features = rv64_cpu_features() & ~(uint32_t)RV64_AIA;

    return features | (rv64_vm(base)->has_imsic ? (uint32_t)RV64_AIA : 0);
}

/* Binding riscv/extensions.yaml: "riscv,isa" is of old, and read where the others aren't. */
static int fdt_isa(struct axvm *base, void *fdt)
{
    char isa[RV64_ISA_SIZE], list[RV64_ISA_LIST_SIZE];
    int error;

    rv64_isa(isa, hal->isa, guest_features(base));
    error = fdt_property(fdt, "riscv,isa", isa, (int)strlen(isa) + 1);
    error = error != 0 ? error : fdt_property_string(fdt, "riscv,isa-base", "rv64i");
    return error != 0 ? error : fdt_property(fdt, "riscv,isa-extensions", list, (int)rv64_isa_list(list, isa));
}

/* A kernel may take it for the widest mode: one that reaches its RAM, with no more levels than that needs. */
static const char *mmu_type(const struct rv64_vm *vm)
{
    static const char *const types[] = {"riscv,sv39", "riscv,sv48", "riscv,sv57"};

    return types[(vm->hgatp >> HGATP_MODE_SHIFT) - HGATP_SV39X4];
}

static int fdt_cpu(struct axvm_vcpu *base, void *fdt)
{
    fdt64_t reg = cpu_to_fdt64(base->phys_id);
    const char *mmu = mmu_type(rv64_vm(base->vm));
    int error = fdt_property_string(fdt, "compatible", "riscv");

    error = error != 0 ? error : fdt_property(fdt, "reg", &reg, sizeof(reg));
    error = error != 0 ? error : fdt_property_string(fdt, "status", "okay");
    error = error != 0 ? error : fdt_isa(base->vm, fdt);
    error = error != 0 ? error : fdt_property(fdt, "mmu-type", mmu, (int)sizeof("riscv,sv39"));
    return error != 0 ? error : fdt_hart_intc(base, fdt);
}

static int fdt_nodes(struct axvm *base, void *fdt)
{
    (void)base;
    (void)fdt;
    return 0;
}

/* The root has no interrupt-parent: the harts' own interrupt controllers would inherit it. */
static int fdt_irq(struct axvm *base, void *fdt, uint32_t irq)
{
    int error = fdt_property_u32(fdt, "interrupt-parent", GUEST_FDT_INTC);

    if (error != 0) {
        return error;
    }
    return rv64_vm(base)->has_aplic ? vaplic_fdt_irq(fdt, irq) : fdt_property_u32(fdt, "interrupts", irq);
}

/* ---- The table --------------------------------------------------------------------------------------------------- */

static bool host_is_complete(const struct axvm_hal *host)
{
    return host->pcpu_hart != NULL;
}

static int cpu_enable(void)
{
    return rv64_cpu_enable() ? AXVM_OK : fail(AXVM_EUNSUPPORTED, "pCPU %u lacks what others have", hal->pcpu_id());
}

const struct axvm_arch axvm_arch_riscv64 = {
    .name = "riscv64",
    .platform = &axvm_platform_riscv64,
    .vm_size = sizeof(struct rv64_vm),
    .vcpu_size = sizeof(struct rv64_vcpu),
    .devices = devices,
    .devices_count = sizeof(devices) / sizeof(devices[0]),
    .host_is_complete = host_is_complete,
    .supported = rv64_cpu_supported,
    .cpu_enable = cpu_enable,
    .cpu_disable = rv64_cpu_disable,
    .vm_init = vm_init,
    .vm_fini = vm_fini,
    .vm_reset = vm_reset,
    .vm_boot = vm_boot,
    .vm_time_shift = vm_time_shift,
    .vcpu_init = vcpu_init,
    .vcpu_start = vcpu_start,
    .vcpu_load = vcpu_load,
    .vcpu_save = vcpu_save,
    .vcpu_run = vcpu_run,
    .vcpu_pending = vcpu_pending,
    .set_return_value = set_return_value,
    .set_gpr = set_gpr,
    .irq_pulse = irq_pulse,
    .irq_line = irq_line,
    .msi = msi,
    .console_input = sbi_console_input,
    .fdt_root = fdt_root,
    .fdt_cpus = fdt_cpus,
    .fdt_cpu = fdt_cpu,
    .fdt_nodes = fdt_nodes,
    .fdt_irq = fdt_irq,
};
