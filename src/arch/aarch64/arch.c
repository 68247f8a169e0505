/* SPDX-License-Identifier: Apache-2.0 */
/* aarch64 for the core: the table of operations, and what makes a VM and a vCPU of this architecture. */
#include "arch/aarch64/cpu.h"
#include "arch/aarch64/hcr.h"
#include "arch/aarch64/stage2.h"
#include "core/guest_fdt.h"
#include "device/pl011.h"
#include "device/pl031.h"
#include "irqchip/vits.h"
#include "lib/host.h"
#include "lib/log.h"
#include "mem/vmid.h"
#include <libfdt.h>

/* What cpu_entry.S knows of struct a64_frame. */
_Static_assert(offsetof(struct a64_frame, x) == 0, "frame: x0");
_Static_assert(offsetof(struct a64_frame, pc) == 248, "frame: pc");
_Static_assert(offsetof(struct a64_frame, pstate) == 256, "frame: pstate");
_Static_assert(offsetof(struct a64_frame, host_sp) == 264, "frame: host_sp");
_Static_assert(offsetof(struct a64_vcpu, frame) % 16 == 0, "SP_EL2 points at the frame: AAPCS64 wants 16 bytes");
_Static_assert((int)offsetof(struct axvm_vcpu, requests) - (int)offsetof(struct a64_vcpu, frame) == -116, "requests");
_Static_assert(offsetof(struct a64_fp, fpcr) == 512, "fp: fpcr");

#define VTTBR_VMID_SHIFT 48U
#define VMID_BITS 8U /* as every implementation has them (VTCR_EL2.VS = 0) */
#define MPIDR_RES1 BIT64(31)

/* ---- Second stage ------------------------------------------------------------------------------------------------ */

static uint64_t as_vttbr(const struct addrspace *as)
{
    return (uint64_t)as->vmid << VTTBR_VMID_SHIFT | as->table.root.v;
}

static void tlb_flush_range(struct addrspace *as, gpa_t start, uint64_t size)
{
    a64_cpu_tlb_flush_range(as_vttbr(as), start.v, size);
}

static void tlb_flush_all(struct addrspace *as)
{
    a64_cpu_tlb_flush_vmid(as_vttbr(as));
}

static const struct addrspace_tlb tlb = {
    .flush_range = tlb_flush_range,
    .flush_all = tlb_flush_all,
    .publish = a64_cpu_table_publish,
    .zero = a64_cpu_zero,
    .written = a64_cpu_clean_code,
};

/* ---- The VM ------------------------------------------------------------------------------------------------------ */

static int vm_init(struct axvm *base)
{
    struct a64_vm *vm = a64_vm(base);
    int error = vmid_alloc(VMID_BITS, &vm->vmid);

    if (error != AXVM_OK) {
        return error;
    }
    vm->gpa_bits = stage2_gpa_bits(a64_cpu_pa_bits());
    error = addrspace_init(&base->as, &pt_aarch64_stage2, vm->gpa_bits, &tlb, vm->vmid);
    if (error != AXVM_OK) {
        return error;
    }
    vm->vtcr = stage2_vtcr(&base->as.table, a64_cpu_pa_bits());
    vm->vttbr = as_vttbr(&base->as);
    a64_cpu_tlb_flush_vmid(vm->vttbr); /* what a former owner of the VMID left */
    vgicv3_init(&vm->gic, base);
    vm->gic.wire = a64_timer_output;
    return AXVM_OK;
}

static void vm_fini(struct axvm *base)
{
    struct a64_vm *vm = a64_vm(base);

    for (uint32_t i = 0; i < base->vcpu_count; i++) {
        a64_timer_fini(a64_vcpu(base->vcpus[i]));
    }
    vmid_free(vm->vmid);
    vm->vmid = 0;
}

static void vm_reset(struct axvm *base)
{
    struct a64_vm *vm = a64_vm(base);

    vgicv3_reset(&vm->gic);
    for (uint32_t i = 0; i < base->vcpu_count; i++) {
        a64_timer_reset(a64_vcpu(base->vcpus[i]));
    }
}

/* The guest's virtual count starts at zero. */
static void vm_boot(struct axvm *base)
{
    a64_vm(base)->cntvoff = hal->ticks();
}

static void vm_time_shift(struct axvm *base, uint64_t ticks)
{
    a64_vm(base)->cntvoff += ticks;
    for (uint32_t i = 0; i < base->vcpu_count; i++) {
        a64_timer_shift(a64_vcpu(base->vcpus[i]));
    }
}

/* ---- The vCPU ---------------------------------------------------------------------------------------------------- */

/* What traps, beside what is hidden. */
static void controls_init(struct a64_vcpu *v)
{
    struct a64_controls *c = &v->controls;

    c->hcr = HCR_VM | HCR_SWIO | HCR_FMO | HCR_IMO | HCR_AMO | HCR_FB | HCR_BSU_IS | HCR_TID3 | HCR_TSC | HCR_TIDCP |
             HCR_TACR | HCR_RW;
    c->mdcr = MDCR_TDA | MDCR_TDOSA | MDCR_TDRA;
    c->cptr = CPTR_RES1;
    a64_hide(c);
    c->vtcr = a64_vm(v->base.vm)->vtcr;
    c->vttbr = a64_vm(v->base.vm)->vttbr;
    c->vpidr = a64_cpu_midr();
    c->vmpidr = MPIDR_RES1 | v->base.phys_id;
}

static int vcpu_init(struct axvm_vcpu *base)
{
    struct a64_vcpu *v = a64_vcpu(base);

    a64_watch_update(v);
    controls_init(v);
    a64_timer_init(v);
    vgicv3_attach(&a64_vm(base->vm)->gic, &v->gic, base);
    return AXVM_OK;
}

/*
 * Entry state of PSCI CPU_ON (DEN 0022, 6.4) and of a boot loader: EL1, MMU and caches off, all exceptions masked.
 * A64_START_BIG_ENDIAN may come with the entry.
 */
static void vcpu_start(struct axvm_vcpu *base, gpa_t entry, uint64_t arg)
{
    static const uint64_t reset[A64_SYS_COUNT] = {
#define A64_SYS_RESET(name, value) [A64_##name] = (value),
        A64_SYS_REGS(A64_SYS_RESET)
#undef A64_SYS_RESET
    };
    struct a64_vcpu *v = a64_vcpu(base);

    memset(&v->frame, 0, sizeof(v->frame));
    memset(&v->fp, 0, sizeof(v->fp));
    memset(&v->debug, 0, sizeof(v->debug));
    memcpy(v->sys, reset, sizeof(v->sys));
    v->debug.os_lock = true;
    a64_watch_update(v);
    v->sys[A64_SCTLR_EL1] |= (entry.v & A64_START_BIG_ENDIAN) != 0 ? SCTLR_EE : 0;
    v->frame.pc = entry.v & ~A64_START_BIG_ENDIAN;
    v->frame.x[0] = arg;
    v->frame.pstate = PSTATE_DAIF | PSTATE_EL1H;
    v->controls.hcr &= ~HCR_VSE;
    a64_timer_reset(v);
    vgicv3_cpu_reset(&v->gic);
}

/* What follows from things that change: VCPU_REQ_RELOAD brings the vCPU here. */
static void controls_update(struct a64_vcpu *v)
{
    bool alone = atomic_load_explicit(&v->base.alone, memory_order_relaxed);

    v->controls.hcr &= ~(HCR_TWI | HCR_TWE);
    v->controls.hcr |= alone ? 0 : HCR_TWI | HCR_TWE;
    v->controls.cntvoff = a64_vm(v->base.vm)->cntvoff;
    a64_cpu_controls_load(&v->controls);
}

/*
 * Without CnP, a PE's stage-1 TLB entries are its own (Arm ARM D8.14.3), and a guest may count on it: when another vCPU
 * of the same VM ran on this pCPU last, its entries must not be found by this one.
 */
static void tlb_take_over(struct a64_vcpu *v)
{
    uint8_t *last = &a64_vm(v->base.vm)->last_vcpu[hal->pcpu_id()];

    if (*last != v->base.id + 1) {
        if (*last != 0) {
            a64_cpu_tlb_flush_local();
        }
        *last = (uint8_t)(v->base.id + 1);
    }
}

static void vcpu_load(struct axvm_vcpu *base)
{
    struct a64_vcpu *v = a64_vcpu(base);

    if ((v->sys[A64_MDSCR_EL1] & MDSCR_MDE) != 0) {
        a64_cpu_debug_load(&v->debug);
    }
    controls_update(v);
    tlb_take_over(v);
    a64_cpu_sys_load(v->sys);
    a64_cpu_fp_load(&v->fp);
    hal->irq_set_active(A64_PPI_CNTV, vgicv3_hardware_active(&v->gic, A64_PPI_CNTV));
    vgicv3_load(&v->gic);
}

/* SErrors are masked at EL2: one that is due for what this vCPU has done must not wait until another one is entered. */
static void vcpu_save(struct axvm_vcpu *base)
{
    struct a64_vcpu *v = a64_vcpu(base);

    if (a64_cpu_serror_take()) {
        a64_serror(v);
        vcpu_request(base, VCPU_REQ_IRQ); /* it may be waiting */
    }
    a64_timer_save(v);
    vgicv3_save(&v->gic);
    hal->irq_set_active(A64_PPI_CNTV, false);
    a64_cpu_fp_save(&v->fp);
    a64_cpu_sys_save(v->sys);
    v->controls.hcr &= ~HCR_VSE;
    v->controls.hcr |= a64_cpu_hcr_read() & HCR_VSE; /* not delivered yet */
}

static void vcpu_run(struct axvm_vcpu *base, struct axvm_exit *exit)
{
    struct a64_vcpu *v = a64_vcpu(base);

    v->exit = exit;
    if (!v->timers.loaded) {
        a64_timer_load(v);
    }
    if (atomic_load_explicit(&base->requests, memory_order_relaxed) != 0 && a64_serve_requests(v) == A64_LEAVE) {
        return;
    }
    a64_cpu_enter(&v->frame);
}

/*
 * A virtual SError ends a wait, too, masked or not (Arm ARM D1.6.2). While the vCPU is resident, only the hardware
 * knows whether the guest has taken it.
 */
static bool serror_pending(struct a64_vcpu *v)
{
    if ((v->controls.hcr & HCR_VSE) != 0 &&
        atomic_load_explicit(&v->base.resident_on, memory_order_relaxed) == (int32_t)hal->pcpu_id()) {
        v->controls.hcr &= a64_cpu_hcr_read() | ~HCR_VSE;
    }
    return (v->controls.hcr & HCR_VSE) != 0;
}

static bool vcpu_pending(struct axvm_vcpu *base)
{
    struct a64_vcpu *v = a64_vcpu(base);

    return vgicv3_pending(&v->gic) || serror_pending(v);
}

static void set_return_value(struct axvm_vcpu *base, uint64_t value)
{
    a64_vcpu(base)->frame.x[0] = value;
}

static void set_gpr(struct axvm_vcpu *base, unsigned reg, uint64_t value)
{
    a64_reg_write(a64_vcpu(base), reg, value);
}

/* ---- Interrupts and devices -------------------------------------------------------------------------------------- */

static int irq_pulse(struct axvm_vcpu *base, uint32_t irq)
{
    return vgicv3_pulse(&a64_vcpu(base)->gic, irq);
}

static void irq_line(struct axvm *base, uint32_t irq, bool level)
{
    (void)vgicv3_set_line(&a64_vm(base)->gic, irq, level);
}

static int msi(struct axvm *base, uint64_t address, uint32_t device_id, uint32_t data)
{
    struct vits *its = a64_vm(base)->gic.its;

    if (its == NULL || address != vits_doorbell(its).v) {
        return fail(AXVM_EINVAL, "VM %u: no ITS takes interrupts at 0x%llx", base->id, (unsigned long long)address);
    }
    return vits_signal_msi(its, device_id, data);
}

static int its_create(struct axvm *base, gpa_t at)
{
    struct vits *its = arena_alloc(&base->arena, sizeof(*its));

    if (its == NULL) {
        return fail(AXVM_ENOMEM, "VM %u: no memory for its ITS", base->id);
    }
    vits_init(its, &a64_vm(base)->gic, at);
    return axvm_add_device(base, &its->device);
}

static int gic_create(struct axvm *base, const struct axvm_emu_config *config)
{
    struct a64_vm *vm = a64_vm(base);
    int error;

    if (vm->has_gic) {
        return fail(AXVM_EEXIST, "vm %u: a second interrupt controller, \"%s\"", base->id, config->name);
    }
    vm->has_gic = true;
    error = vgicv3_add_devices(&vm->gic, config->base, gpa(config->cfg[0]));
    return error == AXVM_OK && config->cfg_count > 1 ? its_create(base, gpa(config->cfg[1])) : error;
}

static const struct arch_device_type devices[] = {
    {AXVM_EMU_INTERRUPT_CONTROLLER, gic_create},
    {AXVM_EMU_CONSOLE, pl011_create},
    {AXVM_EMU_RTC, pl031_create},
};

/* ---- The guest's device tree ------------------------------------------------------------------------------------- */

#define CLOCK_HZ 24000000U
#define GIC_PPI(n) ((n)-16)
#define GIC_SPI(n) ((n)-32)
#define GIC_FDT_SPI 0
#define GIC_FDT_PPI 1
#define GIC_FDT_LEVEL_HIGH 4

static int fdt_root(struct axvm *base, void *fdt)
{
    int error = fdt_property_string(fdt, "compatible", "linux,dummy-virt");

    if (error == 0 && a64_vm(base)->has_gic) {
        error = fdt_property_u32(fdt, "interrupt-parent", GUEST_FDT_INTC);
    }
    return error;
}

static int fdt_cpu(struct axvm_vcpu *base, void *fdt)
{
    fdt64_t reg = cpu_to_fdt64(base->phys_id);
    int error = fdt_property_string(fdt, "compatible", "arm,armv8");

    error = error != 0 ? error : fdt_property(fdt, "reg", &reg, sizeof(reg));
    return error != 0 ? error : fdt_property_string(fdt, "enable-method", "psci");
}

static int fdt_psci(void *fdt)
{
    static const char compatible[] = "arm,psci-1.0\0arm,psci-0.2";
    int error = fdt_begin_node(fdt, "psci");

    error = error != 0 ? error : fdt_property(fdt, "compatible", compatible, sizeof(compatible));
    error = error != 0 ? error : fdt_property_string(fdt, "method", "hvc");
    return error != 0 ? error : fdt_end_node(fdt);
}

static int fdt_timer(void *fdt)
{
    static const uint8_t ppis[] = {29, A64_PPI_CNTP, A64_PPI_CNTV, 26}; /* secure, physical, virtual, hypervisor */
    fdt32_t interrupts[12];
    int error = fdt_begin_node(fdt, "timer");

    for (unsigned i = 0; i < 4; i++) {
        interrupts[3 * i] = cpu_to_fdt32(GIC_FDT_PPI);
        interrupts[3 * i + 1] = cpu_to_fdt32(GIC_PPI((uint32_t)ppis[i]));
        interrupts[3 * i + 2] = cpu_to_fdt32(GIC_FDT_LEVEL_HIGH);
    }
    error = error != 0 ? error : fdt_property_string(fdt, "compatible", "arm,armv8-timer");
    error = error != 0 ? error : fdt_property(fdt, "interrupts", interrupts, sizeof(interrupts));
    error = error != 0 ? error : fdt_property(fdt, "always-on", NULL, 0);
    return error != 0 ? error : fdt_end_node(fdt);
}

/* The clock that PrimeCell devices must name. */
static int fdt_clock(void *fdt)
{
    int error = fdt_begin_node(fdt, "apb-pclk");

    error = error != 0 ? error : fdt_property_string(fdt, "compatible", "fixed-clock");
    error = error != 0 ? error : fdt_property_u32(fdt, "#clock-cells", 0);
    error = error != 0 ? error : fdt_property_u32(fdt, "clock-frequency", CLOCK_HZ);
    error = error != 0 ? error : fdt_property_u32(fdt, "phandle", GUEST_FDT_CLOCK);
    return error != 0 ? error : fdt_end_node(fdt);
}

static int fdt_nodes(struct axvm *base, void *fdt)
{
    int error = fdt_psci(fdt);

    if (error == 0 && a64_vm(base)->has_gic) {
        error = fdt_timer(fdt);
    }
    return error != 0 ? error : fdt_clock(fdt);
}

static int fdt_irq(struct axvm *base, void *fdt, uint32_t irq)
{
    const fdt32_t cells[] = {cpu_to_fdt32(GIC_FDT_SPI), cpu_to_fdt32(GIC_SPI(irq)), cpu_to_fdt32(GIC_FDT_LEVEL_HIGH)};

    (void)base;
    return fdt_property(fdt, "interrupts", cells, sizeof(cells));
}

/* ---- The table --------------------------------------------------------------------------------------------------- */

static bool host_is_complete(const struct axvm_hal *host)
{
    return host->irq_set_active != NULL;
}

static int cpu_enable(void)
{
    a64_cpu_enable();
    return AXVM_OK;
}

const struct axvm_arch axvm_arch_aarch64 = {
    .name = "aarch64",
    .platform = &axvm_platform_aarch64,
    .vm_size = sizeof(struct a64_vm),
    .vcpu_size = sizeof(struct a64_vcpu),
    .devices = devices,
    .devices_count = sizeof(devices) / sizeof(devices[0]),
    .host_is_complete = host_is_complete,
    .supported = a64_cpu_supported,
    .cpu_enable = cpu_enable,
    .cpu_disable = a64_cpu_disable,
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
    .fdt_root = fdt_root,
    .fdt_cpu = fdt_cpu,
    .fdt_nodes = fdt_nodes,
    .fdt_irq = fdt_irq,
};
