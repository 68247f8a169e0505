/* SPDX-License-Identifier: Apache-2.0 */
#include "support/rv64_model.h"

#include "lib/host.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct rv64_model rv64_model;

void rv64_model_reset(void)
{
    memset(&rv64_model, 0, sizeof(rv64_model));
    rv64_model.supported = true;
    rv64_model.features = RV64_SSTC | RV64_ENVCFG | RV64_FLOAT | RV64_PBMT | RV64_AIA;
    rv64_model.gpa_bits = 59;
    rv64_model.vmid_bits = 14;
    rv64_model.vlenb = 16;
    for (unsigned i = 0; i < RV64_MODEL_PCPUS; i++) { /* nothing is known of a pCPU's registers at first */
        struct rv64_model_cpu *cpu = &rv64_model.cpus[i];

        memset(cpu->sys, 0x5a, sizeof(cpu->sys));
        memset(&cpu->fp, 0x5a, sizeof(cpu->fp));
        memset(cpu->vector_data, 0x5a, sizeof(cpu->vector_data));
        cpu->hvip = IRQ_VS_ALL;
        cpu->timecmp = UINT64_C(0x5a5a5a5a);
        cpu->vector.data = cpu->vector_data;
    }
}

struct rv64_model_cpu *rv64_model_cpu(void)
{
    return &rv64_model.cpus[hal->pcpu_id()];
}

void rv64_model_guest(rv64_guest *guest)
{
    rv64_model_cpu()->guest = guest;
}

enum axvm_irq_result rv64_model_irq_handle(uint32_t *irq)
{
    *irq = rv64_model_cpu()->irq;
    return rv64_model_cpu()->irq_result;
}

static void broken(const char *what)
{
    fprintf(stderr, "riscv64 model: %s\n", what);
    abort();
}

static void once(void (**what)(void))
{
    void (*call)(void) = *what;

    *what = NULL;
    if (call != NULL) {
        call();
    }
}

static bool has(enum rv64_feature feature)
{
    return (rv64_model.features & feature) != 0;
}

static void set_bit(uint64_t *word, uint64_t bit, bool value)
{
    *word = value ? *word | bit : *word & ~bit;
}

void rv64_model_set_vs(bool vs)
{
    set_bit(&rv64_model_cpu()->controls.sstatus, SSTATUS_SPP, vs);
}

/* AIA 3.8 and 6.1: hip.VSEIP is also up while the file that VGEIN selects asserts its interrupt. */
static bool file_output(const struct rv64_model_cpu *cpu)
{
    bool ready = false;

    for (uint32_t id = 1; id <= VIMSIC_IDS; id++) {
        bool below = cpu->file.threshold == 0 || id < cpu->file.threshold;

        ready |= below && (cpu->file.eip[id / 64] & cpu->file.eie[id / 64]) >> id % 64 & 1;
    }
    return ready && cpu->file.delivery == 1 && (cpu->controls.hstatus & HSTATUS_VGEIN) == UINT64_C(1) << 12;
}

/* The Sstc extension, chapter 2: VSTIP is up while time + htimedelta >= vstimecmp, unsigned, if henvcfg.STCE. */
uint64_t rv64_model_hip(const struct rv64_model_cpu *cpu)
{
    bool due = has(RV64_SSTC) && (cpu->controls.henvcfg & ENVCFG_STCE) != 0 &&
               hal->ticks() + cpu->controls.htimedelta >= cpu->timecmp;

    return cpu->hvip | (due ? IRQ_VST : 0) | (file_output(cpu) ? IRQ_VSE : 0);
}

uint64_t rv64_model_signalled(const struct rv64_model_cpu *cpu)
{
    return rv64_model_hip(cpu) & cpu->controls.hideleg & cpu->sys[RV64_VSIE] << 1;
}

/* ---- cpu.h ------------------------------------------------------------------------------------------------------- */

static struct rv64_vcpu *vcpu_of(struct rv64_frame *frame)
{
    return (struct rv64_vcpu *)(void *)((char *)frame - offsetof(struct rv64_vcpu, frame));
}

/* SRET takes V from hstatus.SPV and the privilege from sstatus.SPP (18.6.3). */
static void check_entry(const struct rv64_model_cpu *cpu, const struct rv64_frame *frame)
{
    if (!cpu->enabled) {
        broken("entered on a pCPU that isn't enabled");
    }
    if (((uintptr_t)frame & 15) != 0) {
        broken("the frame isn't aligned");
    }
    if ((cpu->controls.hstatus & HSTATUS_SPV) == 0) {
        broken("SRET would enter HS or U mode");
    }
    if (cpu->controls.hgatp >> HGATP_MODE_SHIFT == 0) {
        broken("entered without G-stage translation");
    }
}

void rv64_cpu_enter(struct rv64_frame *frame)
{
    struct rv64_model_cpu *cpu = rv64_model_cpu();

    check_entry(cpu, frame);
    cpu->entries++;
    cpu->frame = frame;
    if (setjmp(cpu->leave) == 0) {
        for (;;) {
            if (cpu->guest != NULL) {
                cpu->guest(frame);
            }
            rv64_guest_irq(frame, AXVM_IRQ_RESCHED, 9);
        }
    }
    cpu->frame = NULL;
}

bool rv64_cpu_supported(void)
{
    return rv64_model.supported;
}

bool rv64_cpu_enable(void)
{
    rv64_model_cpu()->enabled = true;
    return true;
}

void rv64_cpu_disable(void)
{
    rv64_model_cpu()->enabled = false;
}

uint32_t rv64_cpu_features(void)
{
    return rv64_model.features;
}

unsigned rv64_cpu_gpa_bits(void)
{
    return rv64_model.gpa_bits;
}

unsigned rv64_cpu_vmid_bits(void)
{
    return rv64_model.vmid_bits;
}

uint64_t rv64_cpu_vlenb(void)
{
    return has(RV64_VECTOR) ? rv64_model.vlenb : 0;
}

void rv64_cpu_controls_load(const struct rv64_controls *controls)
{
    rv64_model_cpu()->controls = *controls;
    rv64_model_cpu()->controls_loads++;
    once(&rv64_model.at_controls_load);
}

void rv64_cpu_controls_save(struct rv64_controls *controls)
{
    const struct rv64_model_cpu *cpu = rv64_model_cpu();

    set_bit(&controls->hstatus, HSTATUS_SPVP, (cpu->controls.hstatus & HSTATUS_SPVP) != 0);
    set_bit(&controls->sstatus, SSTATUS_SPP, (cpu->controls.sstatus & SSTATUS_SPP) != 0);
}

void rv64_cpu_hstatus_write(uint64_t hstatus)
{
    struct rv64_model_cpu *cpu = rv64_model_cpu();

    set_bit(&hstatus, HSTATUS_SPVP, (cpu->controls.hstatus & HSTATUS_SPVP) != 0);
    cpu->controls.hstatus = hstatus;
}

static bool sys_exists(unsigned reg)
{
    bool aia = reg == RV64_VSISELECT || reg == RV64_HVICTL;

    return (!aia || has(RV64_AIA)) && (reg != RV64_SENVCFG || has(RV64_ENVCFG));
}

void rv64_cpu_sys_load(const uint64_t sys[RV64_SYS_COUNT])
{
    for (unsigned i = 0; i < RV64_SYS_COUNT; i++) {
        if (sys_exists(i)) {
            rv64_model_cpu()->sys[i] = sys[i];
        }
    }
    rv64_model_cpu()->sys_loads++;
}

void rv64_cpu_sys_save(uint64_t sys[RV64_SYS_COUNT])
{
    for (unsigned i = 0; i < RV64_SYS_COUNT; i++) {
        if (sys_exists(i)) {
            sys[i] = rv64_model_cpu()->sys[i];
        }
    }
    rv64_model_cpu()->sys_saves++;
}

uint64_t rv64_cpu_sys_read(enum rv64_sys reg)
{
    return rv64_model_cpu()->sys[reg];
}

void rv64_cpu_sys_write(enum rv64_sys reg, uint64_t value)
{
    rv64_model_cpu()->sys[reg] = value;
}

bool rv64_cpu_is_vs(void)
{
    return (rv64_model_cpu()->controls.hstatus & HSTATUS_SPVP) != 0;
}

void rv64_cpu_set_vs(void)
{
    rv64_model_cpu()->controls.hstatus |= HSTATUS_SPVP;
    rv64_model_cpu()->controls.sstatus |= SSTATUS_SPP;
}

uint64_t rv64_cpu_hvip_read(void)
{
    once(&rv64_model.at_hvip_read);
    return rv64_model_cpu()->hvip;
}

void rv64_cpu_hvip_set(uint64_t bits)
{
    rv64_model_cpu()->hvip |= bits & IRQ_VS_ALL;
}

void rv64_cpu_hvip_clear(uint64_t bits)
{
    rv64_model_cpu()->hvip &= ~bits;
    once(&rv64_model.at_hvip_clear);
}

void rv64_cpu_hvip_write(uint64_t hvip)
{
    rv64_model_cpu()->hvip = hvip & IRQ_VS_ALL;
}

uint64_t rv64_cpu_hip_read(void)
{
    return rv64_model_hip(rv64_model_cpu());
}

static void need(enum rv64_feature feature, const char *what)
{
    if (!has(feature)) {
        broken(what);
    }
}

void rv64_cpu_fp_load(const struct rv64_fp *fp)
{
    need(RV64_FLOAT, "no F");
    rv64_model_cpu()->fp = *fp;
    rv64_model_cpu()->fp_loads++;
}

void rv64_cpu_fp_save(struct rv64_fp *fp)
{
    need(RV64_FLOAT, "no F");
    *fp = rv64_model_cpu()->fp;
    rv64_model_cpu()->fp_saves++;
}

static void vector_copy(struct rv64_vector *to, const struct rv64_vector *from)
{
    need(RV64_VECTOR, "no V");
    if (to->data == NULL || from->data == NULL) {
        broken("no memory for the vector registers");
    }
    memcpy(to->data, from->data, (size_t)(32 * rv64_model.vlenb));
    to->vstart = from->vstart;
    to->vcsr = from->vcsr;
    to->vl = from->vl;
    to->vtype = from->vtype;
}

void rv64_cpu_vector_load(const struct rv64_vector *vector)
{
    vector_copy(&rv64_model_cpu()->vector, vector);
    rv64_model_cpu()->vector_loads++;
}

void rv64_cpu_vector_save(struct rv64_vector *vector)
{
    vector_copy(vector, &rv64_model_cpu()->vector);
    rv64_model_cpu()->vector_saves++;
}

uint64_t rv64_cpu_f_read(unsigned n)
{
    need(RV64_FLOAT, "no F");
    return rv64_model_cpu()->fp.f[n];
}

void rv64_cpu_f_write(unsigned n, uint64_t value)
{
    need(RV64_FLOAT, "no F");
    rv64_model_cpu()->fp.f[n] = value;
}

uint64_t rv64_cpu_timecmp_read(void)
{
    need(RV64_SSTC, "no vstimecmp");
    return rv64_model_cpu()->timecmp;
}

void rv64_cpu_timecmp_write(uint64_t compare)
{
    need(RV64_SSTC, "no vstimecmp");
    rv64_model_cpu()->timecmp = compare;
}

struct rv64_fault rv64_cpu_fault(void)
{
    return rv64_model_cpu()->fault;
}

bool rv64_cpu_fetch(uint64_t pc, uint32_t *insn)
{
    struct rv64_model_cpu *cpu = rv64_model_cpu();

    cpu->fetch_count++;
    if (!cpu->fetches || cpu->unreadable || cpu->frame == NULL || pc != cpu->frame->pc) {
        cpu->fault = (struct rv64_fault){.tval = pc};
        return false;
    }
    *insn = (cpu->insn & 3) == 3 ? cpu->insn : cpu->insn & 0xffff;
    return true;
}

bool rv64_cpu_fetch_again(uint64_t pc, const struct rv64_fault *fault, uint32_t *insn)
{
    struct rv64_model_cpu *cpu = rv64_model_cpu();
    bool unreadable = cpu->unreadable, ok;

    cpu->unreadable = false;
    ok = rv64_cpu_fetch(pc, insn);
    cpu->unreadable = unreadable;
    cpu->fault = *fault;
    return ok;
}

/* HLV.D: what the guest could load itself, now: pages that G-stage doesn't map yet fault. */
bool rv64_cpu_read_u64(uint64_t va, uint64_t *value, uint64_t *cause)
{
    struct rv64_model_cpu *cpu = rv64_model_cpu();
    struct addrspace *as = &vcpu_of(cpu->frame)->base.vm->as;
    uint64_t addr = va;

    if (rv64_model.translate != NULL && !rv64_model.translate(va, &addr)) {
        *cause = CAUSE_LOAD_PAGE;
        return false;
    }
    if (addrspace_translate(as, gpa(addr), NULL, NULL, NULL) != AXVM_OK) {
        *cause = CAUSE_LOAD_GUEST_PAGE;
        cpu->fault = (struct rv64_fault){.gpa = addr, .tval = va};
        return false;
    }
    return addrspace_read(as, gpa(addr), value, sizeof(*value)) == AXVM_OK;
}

/* ---- The guest interrupt file ---- */

static struct rv64_model_cpu *with_file(void)
{
    struct rv64_model_cpu *cpu = rv64_model_cpu();

    if (!has(RV64_GUEST_FILE) || (cpu->controls.hstatus & HSTATUS_VGEIN) != UINT64_C(1) << 12) {
        broken("hstatus.VGEIN selects no guest interrupt file");
    }
    return cpu;
}

void rv64_cpu_file_load(const struct vimsic_state *state, uint32_t ids)
{
    if (ids != VIMSIC_IDS) {
        broken("the guest interrupt file has 255 identities");
    }
    with_file()->file = *state;
}

void rv64_cpu_file_save(struct vimsic_state *state)
{
    *state = with_file()->file;
    with_file()->file.delivery = 0;
}

void rv64_cpu_file_pend(unsigned word, uint64_t messages)
{
    with_file()->file.eip[word] |= messages;
}

bool rv64_model_guest_file(hpa_t *page, uint32_t *ids)
{
    *page = hpa(RV64_MODEL_FILE(hal->pcpu_id()));
    *ids = VIMSIC_IDS;
    return true;
}

void rv64_model_message(unsigned pcpu, uint32_t id)
{
    rv64_model.cpus[pcpu].file.eip[id / 64] |= UINT64_C(1) << id % 64;
}

/* ---- TLBs ---- */

static void flush(struct rv64_model_flush f)
{
    unsigned n = rv64_model.flush_count++;

    if (f.pcpus >> RV64_MODEL_PCPUS != 0) {
        broken("a flush of pCPUs that aren't there");
    }
    f.by = hal->pcpu_id();
    rv64_model.flush_counts[f.kind]++;
    if (n < RV64_MODEL_FLUSHES) {
        rv64_model.flushes[n] = f;
    }
    if (rv64_model.on_flush != NULL) {
        rv64_model.on_flush(&f);
    }
}

static uint32_t current_vmid(void)
{
    return (uint32_t)(rv64_model_cpu()->controls.hgatp >> HGATP_VMID_SHIFT & HGATP_VMID_MAX);
}

void rv64_cpu_gstage_flush(uint64_t pcpus, uint32_t vmid, uint64_t start, uint64_t size)
{
    flush((struct rv64_model_flush){RV64_FLUSH_GSTAGE, 0, pcpus, vmid, start, size, 0});
}

void rv64_cpu_vstage_flush(uint64_t pcpus, uint64_t start, uint64_t size)
{
    flush((struct rv64_model_flush){RV64_FLUSH_VSTAGE, 0, pcpus, current_vmid(), start, size, 0});
}

void rv64_cpu_vstage_flush_asid(uint64_t pcpus, uint64_t asid, uint64_t start, uint64_t size)
{
    flush((struct rv64_model_flush){RV64_FLUSH_VSTAGE_ASID, 0, pcpus, current_vmid(), start, size, asid});
}

void rv64_cpu_fence_i(uint64_t pcpus)
{
    flush((struct rv64_model_flush){RV64_FLUSH_FENCE_I, 0, pcpus, current_vmid(), 0, 0, 0});
}

void rv64_cpu_gstage_flush_local(uint64_t addr)
{
    uint64_t self = UINT64_C(1) << hal->pcpu_id();

    flush((struct rv64_model_flush){RV64_FLUSH_GSTAGE_LOCAL, 0, self, current_vmid(), addr, AXVM_PAGE_SIZE, 0});
}

void rv64_cpu_zero(void *start, uint64_t size)
{
    memset(start, 0, size);
}

void rv64_cpu_table_publish(void)
{
    rv64_model.publishes++;
}

void rv64_model_forget_flushes(void)
{
    rv64_model.flush_count = 0;
    for (unsigned i = 0; i < RV64_FLUSH_KINDS; i++) {
        rv64_model.flush_counts[i] = 0;
    }
    memset(rv64_model.flushes, 0, sizeof(rv64_model.flushes));
}

const struct rv64_model_flush *rv64_model_last_flush(void)
{
    unsigned count = rv64_model.flush_count;

    if (count == 0 || count > RV64_MODEL_FLUSHES) {
        broken("no flush, or too many");
    }
    return &rv64_model.flushes[count - 1];
}

/* ---- What a guest does ------------------------------------------------------------------------------------------- */

/* As hardware (18.6.2) and cpu_entry.S do. */
static void trap(struct rv64_frame *frame, uint64_t scause)
{
    struct rv64_model_cpu *cpu = rv64_model_cpu();
    int verdict;

    set_bit(&cpu->controls.hstatus, HSTATUS_SPVP, (cpu->controls.sstatus & SSTATUS_SPP) != 0);
    frame->x[0] = 0;
    verdict = rv64_exit(frame, scause);
    if (verdict != RV64_RESUME || atomic_load(&vcpu_of(frame)->base.requests) != 0) {
        verdict = rv64_exit_finish(frame, verdict);
    }
    if (verdict == RV64_LEAVE) {
        longjmp(cpu->leave, 1);
    }
    check_entry(cpu, frame);
}

static void set_fault(uint64_t addr, uint64_t tval, uint64_t tinst, uint32_t insn)
{
    struct rv64_model_cpu *cpu = rv64_model_cpu();

    cpu->fault = (struct rv64_fault){(addr & ~UINT64_C(3)) | (tval & 3), tval, tinst};
    cpu->fetches = insn != 0;
    cpu->insn = insn;
}

void rv64_guest_trap(struct rv64_frame *frame, enum rv64_cause cause, uint64_t tval, uint32_t insn)
{
    set_fault(0, tval, 0, insn);
    trap(frame, (uint64_t)cause);
}

void rv64_guest_fault_at(struct rv64_frame *frame, enum rv64_cause cause, uint64_t gpa, uint64_t tval, uint64_t tinst,
                         uint32_t insn)
{
    set_fault(gpa, tval, tinst, insn);
    trap(frame, (uint64_t)cause);
}

void rv64_guest_fault(struct rv64_frame *frame, enum rv64_cause cause, uint64_t gpa, uint32_t insn)
{
    rv64_guest_fault_at(frame, cause, gpa, gpa, 0, insn);
}

/* LB to LD: funct3 is log2 of the size, and bit 2 for zero extension. The address goes into x31, or x30. */
static uint32_t base_for(struct rv64_frame *frame, uint64_t gpa, unsigned reg)
{
    uint32_t base = reg == 31 ? 30 : 31;

    frame->x[base] = gpa;
    return base << 15;
}

void rv64_guest_load(struct rv64_frame *frame, uint64_t gpa, unsigned size, unsigned reg, bool zero_extend)
{
    uint32_t funct3 = (uint32_t)__builtin_ctz(size) | (zero_extend ? 4U : 0U);

    rv64_guest_fault(frame, CAUSE_LOAD_GUEST_PAGE, gpa,
                     0x03U | (uint32_t)reg << 7 | funct3 << 12 | base_for(frame, gpa, reg));
}

void rv64_guest_store(struct rv64_frame *frame, uint64_t gpa, unsigned size, unsigned reg)
{
    uint32_t funct3 = (uint32_t)__builtin_ctz(size);

    rv64_guest_fault(frame, CAUSE_STORE_GUEST_PAGE, gpa,
                     0x23U | funct3 << 12 | base_for(frame, gpa, reg) | (uint32_t)reg << 20);
}

void rv64_guest_virtual(struct rv64_frame *frame, uint32_t insn)
{
    rv64_guest_trap(frame, CAUSE_VIRTUAL_INSTRUCTION, insn, insn);
}

void rv64_guest_wfi(struct rv64_frame *frame)
{
    if ((rv64_model_cpu()->controls.hstatus & HSTATUS_VTW) == 0) {
        broken("WFI doesn't trap");
    }
    rv64_guest_virtual(frame, RV64_INSN_WFI);
}

void rv64_guest_irq(struct rv64_frame *frame, enum axvm_irq_result result, uint32_t irq)
{
    rv64_model_cpu()->irq_result = result;
    rv64_model_cpu()->irq = irq;
    trap(frame, CAUSE_INTERRUPT | irq);
}

void rv64_guest_ecall(struct rv64_frame *frame)
{
    bool vs = (rv64_model_cpu()->controls.sstatus & SSTATUS_SPP) != 0;

    rv64_guest_trap(frame, vs ? CAUSE_ECALL_VS : CAUSE_ECALL_U, 0, RV64_INSN_ECALL);
}

uint64_t rv64_guest_sbi(struct rv64_frame *frame, uint64_t eid, uint64_t fid, uint64_t a0, uint64_t a1, uint64_t a2)
{
    frame->x[X_A0] = a0;
    frame->x[X_A1] = a1;
    frame->x[X_A2] = a2;
    frame->x[X_A6] = fid;
    frame->x[X_A7] = eid;
    rv64_guest_ecall(frame);
    return frame->x[X_A0];
}
