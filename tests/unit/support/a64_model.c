/* SPDX-License-Identifier: Apache-2.0 */
#include "support/a64_model.h"

#include "arch/aarch64/hcr.h"
#include "lib/host.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct a64_model a64_model;

/* Cortex-A72 r0p3 (TRM 100095, chapter 4), GIC CPU interface enabled. */
static const struct {
    uint8_t crm, op2;
    uint64_t value;
} a72[] = {
    {1, 0, 0x00000131}, {1, 1, 0x10011011}, {1, 2, 0x03010066}, {1, 4, 0x10201105}, {1, 5, 0x40000000},
    {1, 6, 0x01260000}, {1, 7, 0x02102211}, {2, 0, 0x02101110}, {2, 1, 0x13112111}, {2, 2, 0x21232042},
    {2, 3, 0x01112131}, {2, 4, 0x00011142}, {2, 5, 0x00011121}, {3, 0, 0x10110222}, {3, 1, 0x12111111},
    {3, 2, 0x00000043}, {4, 0, 0x01002222}, {5, 0, 0x10305106}, {6, 0, 0x00011120}, {7, 0, 0x00001124},
};

void a64_model_reset(void)
{
    memset(&a64_model, 0, sizeof(a64_model));
    a64_model.supported = true;
    a64_model.midr = 0x410fd083;
    for (size_t i = 0; i < sizeof(a72) / sizeof(a72[0]); i++) {
        a64_model.id[a72[i].crm][a72[i].op2] = a72[i].value;
    }
    for (unsigned i = 0; i < A64_MODEL_PCPUS; i++) { /* nothing is known of a pCPU's registers at first */
        memset(a64_model.cpus[i].sys, 0x5a, sizeof(a64_model.cpus[i].sys));
        memset(&a64_model.cpus[i].fp, 0x5a, sizeof(a64_model.cpus[i].fp));
        memset(&a64_model.cpus[i].debug, 0x5a, sizeof(a64_model.cpus[i].debug));
    }
}

struct a64_model_cpu *a64_model_cpu(void)
{
    return &a64_model.cpus[hal->pcpu_id()];
}

void a64_model_guest(a64_guest *guest)
{
    a64_model_cpu()->guest = guest;
}

enum axvm_irq_result a64_model_irq_handle(uint32_t *irq)
{
    *irq = a64_model_cpu()->irq;
    return a64_model_cpu()->irq_result;
}

static void broken(const char *what)
{
    fprintf(stderr, "aarch64 model: %s\n", what);
    abort();
}

/* ---- cpu.h ------------------------------------------------------------------------------------------------------- */

void a64_cpu_enter(struct a64_frame *frame)
{
    struct a64_model_cpu *cpu = a64_model_cpu();

    if (!cpu->enabled) {
        broken("entered on a pCPU that isn't enabled");
    }
    if (((uintptr_t)frame & 15) != 0) {
        broken("SP_EL2 isn't aligned");
    }
    cpu->entries++;
    cpu->frame = frame;
    if (setjmp(cpu->leave) == 0) {
        for (;;) {
            if (a64_cpu_serror_take()) {
                a64_guest_serror(frame);
            }
            if (cpu->guest != NULL) {
                cpu->guest(frame);
            }
            a64_guest_irq(frame, AXVM_IRQ_RESCHED, 0);
        }
    }
    cpu->frame = NULL;
}

bool a64_cpu_supported(void)
{
    return a64_model.supported;
}

void a64_cpu_enable(void)
{
    a64_model_cpu()->enabled = true;
}

void a64_cpu_disable(void)
{
    a64_model_cpu()->enabled = false;
}

unsigned a64_cpu_pa_bits(void)
{
    static const uint8_t bits[16] = {32, 36, 40, 42, 44, 48, 52};

    return bits[a64_model.id[7][0] & 0xf];
}

uint64_t a64_cpu_id_register(unsigned crm, unsigned op2)
{
    return a64_model.id[crm][op2];
}

uint64_t a64_cpu_midr(void)
{
    return a64_model.midr;
}

void a64_cpu_controls_load(const struct a64_controls *controls)
{
    a64_model_cpu()->controls = *controls;
    a64_model_cpu()->controls_loads++;
}

void a64_cpu_sys_load(const uint64_t sys[A64_SYS_COUNT])
{
    memcpy(a64_model_cpu()->sys, sys, sizeof(a64_model_cpu()->sys));
    a64_model_cpu()->sys_loads++;
}

void a64_cpu_sys_save(uint64_t sys[A64_SYS_COUNT])
{
    memcpy(sys, a64_model_cpu()->sys, sizeof(a64_model_cpu()->sys));
    a64_model_cpu()->sys_saves++;
}

uint64_t a64_cpu_sys_read(enum a64_sys reg)
{
    return a64_model_cpu()->sys[reg];
}

void a64_cpu_sys_write(enum a64_sys reg, uint64_t value)
{
    a64_model_cpu()->sys[reg] = value;
}

bool a64_cpu_serror_take(void)
{
    bool pending = a64_model_cpu()->serror;

    a64_model_cpu()->serror = false;
    return pending;
}

uint64_t a64_cpu_hcr_read(void)
{
    return a64_model_cpu()->controls.hcr;
}

void a64_cpu_hcr_write(uint64_t hcr)
{
    a64_model_cpu()->controls.hcr = hcr;
}

void a64_cpu_fp_load(const struct a64_fp *fp)
{
    a64_model_cpu()->fp = *fp;
}

void a64_cpu_fp_save(struct a64_fp *fp)
{
    *fp = a64_model_cpu()->fp;
}

static void debug_copy(struct a64_debug *to, const struct a64_debug *from)
{
    memcpy(to->bvr, from->bvr, sizeof(to->bvr));
    memcpy(to->bcr, from->bcr, sizeof(to->bcr));
    memcpy(to->wvr, from->wvr, sizeof(to->wvr));
    memcpy(to->wcr, from->wcr, sizeof(to->wcr));
}

void a64_cpu_debug_load(const struct a64_debug *debug)
{
    debug_copy(&a64_model_cpu()->debug, debug);
    a64_model_cpu()->debug_loads++;
}

void a64_cpu_cntv_load(uint64_t ctl, uint64_t cval)
{
    a64_model_cpu()->cntv_ctl = ctl;
    a64_model_cpu()->cntv_cval = cval;
}

/* Arm ARM D12.2.4: count - CVAL >= 0, unsigned. */
static bool cntv_met(const struct a64_model_cpu *cpu)
{
    return hal->ticks() - cpu->controls.cntvoff >= cpu->cntv_cval;
}

bool a64_model_cntv_up(const struct a64_model_cpu *cpu)
{
    return (cpu->cntv_ctl & (CNT_CTL_ENABLE | CNT_CTL_IMASK)) == CNT_CTL_ENABLE && cntv_met(cpu);
}

uint64_t a64_cpu_cntv_ctl(void)
{
    const struct a64_model_cpu *cpu = a64_model_cpu();

    return cpu->cntv_ctl | (cntv_met(cpu) ? CNT_CTL_ISTATUS : 0);
}

void a64_cpu_cntv_save(uint64_t *ctl, uint64_t *cval)
{
    struct a64_model_cpu *cpu = a64_model_cpu();

    *ctl = cpu->cntv_ctl | (cntv_met(cpu) ? CNT_CTL_ISTATUS : 0);
    *cval = cpu->cntv_cval;
    cpu->cntv_ctl = 0;
}

uint64_t a64_cpu_far(void)
{
    return a64_model_cpu()->far;
}

struct a64_fault a64_cpu_fault(void)
{
    const struct a64_model_cpu *cpu = a64_model_cpu();

    return (struct a64_fault){
        .ipa = (cpu->hpfar & UINT64_C(0xfffffffff0)) << 8 | (cpu->far & 0xfff),
        .sctlr = cpu->sys[A64_SCTLR_EL1],
    };
}

uint64_t a64_cpu_at(uint64_t va, unsigned access)
{
    uint64_t ipa = va;

    if (a64_model.at != NULL) {
        return a64_model.at(va, access);
    }
    if (a64_model.translate != NULL && !a64_model.translate(va, &ipa)) {
        return PAR_F | (FSC_TRANSLATION | 3U) << 1;
    }
    return ipa & PAR_PA;
}

void a64_cpu_q_read(unsigned n, uint8_t q[16])
{
    memcpy(q, &a64_model_cpu()->fp.v[n * 2], 16);
}

void a64_cpu_q_write(unsigned n, const uint8_t q[16])
{
    memcpy(&a64_model_cpu()->fp.v[n * 2], q, 16);
}

void a64_cpu_tlb_flush_range(uint64_t vttbr, uint64_t start, uint64_t size)
{
    a64_model.flushed.vttbr = vttbr;
    a64_model.flushed.start = start;
    a64_model.flushed.size = size;
    a64_model.flushes_range++;
}

void a64_cpu_tlb_flush_vmid(uint64_t vttbr)
{
    a64_model.flushed.vttbr = vttbr;
    a64_model.flushed.size = 0;
    a64_model.flushes_vmid++;
}

void a64_cpu_tlb_flush_local(void)
{
    a64_model_cpu()->flushes_local++;
    a64_model_cpu()->flushed_vttbr = a64_model_cpu()->controls.vttbr;
}

void a64_cpu_table_publish(void)
{
    a64_model.publishes++;
}

void a64_cpu_zero(void *start, uint64_t size)
{
    memset(start, 0, size);
}

void a64_cpu_clean_code(const void *start, uint64_t size)
{
    (void)start;
    (void)size;
    a64_model.cleans++;
}

/* ---- What a guest does ------------------------------------------------------------------------------------------- */

/* As cpu_entry.S does after each handler. */
static void act(struct a64_frame *frame, int verdict)
{
    if (a64_exit_finish(frame, verdict) == A64_LEAVE) {
        longjmp(a64_model_cpu()->leave, 1);
    }
}

void a64_guest_sync(struct a64_frame *frame, uint64_t esr)
{
    act(frame, a64_exit_sync(frame, esr));
}

void a64_guest_serror(struct a64_frame *frame)
{
    act(frame, a64_exit_serror(frame));
}

void a64_guest_irq(struct a64_frame *frame, enum axvm_irq_result result, uint32_t irq)
{
    a64_model_cpu()->irq_result = result;
    a64_model_cpu()->irq = irq;
    if (result == AXVM_IRQ_GUEST) {
        hal->irq_set_active(irq, true); /* acknowledged */
    }
    act(frame, a64_exit_irq(frame));
}

static void set_arguments(struct a64_frame *frame, uint64_t x0, uint64_t x1, uint64_t x2, uint64_t x3)
{
    frame->x[0] = x0;
    frame->x[1] = x1;
    frame->x[2] = x2;
    frame->x[3] = x3;
}

/* HVC's preferred return address is the next instruction, a trapped SMC's is the SMC (Arm ARM D1.3.6). */
uint64_t a64_guest_hvc(struct a64_frame *frame, uint64_t x0, uint64_t x1, uint64_t x2, uint64_t x3)
{
    set_arguments(frame, x0, x1, x2, x3);
    frame->pc += 4;
    a64_guest_sync(frame, a64_esr(EC_HVC64, 0));
    return frame->x[0];
}

uint64_t a64_guest_smc(struct a64_frame *frame, uint64_t x0, uint64_t x1, uint64_t x2, uint64_t x3)
{
    set_arguments(frame, x0, x1, x2, x3);
    a64_guest_sync(frame, a64_esr(EC_SMC64, 0));
    return frame->x[0];
}

void a64_guest_wfi(struct a64_frame *frame)
{
    a64_guest_sync(frame, a64_esr(EC_WFX, WFX_WFI));
}

static void mmio(struct a64_frame *frame, uint64_t ipa, unsigned size, unsigned reg, uint64_t flags)
{
    uint64_t sas = (uint64_t)__builtin_ctz(size) << 22;

    a64_model_cpu()->far = ipa;
    a64_model_cpu()->hpfar = ipa >> 12 << 4;
    a64_guest_sync(frame, a64_esr(EC_DABT_LOWER, ISS_ISV | sas | (uint64_t)reg << 16 | flags | FSC_TRANSLATION | 3));
}

void a64_guest_load(struct a64_frame *frame, uint64_t ipa, unsigned size, unsigned reg, uint64_t flags)
{
    mmio(frame, ipa, size, reg, flags);
}

void a64_guest_store(struct a64_frame *frame, uint64_t ipa, unsigned size, unsigned reg)
{
    mmio(frame, ipa, size, reg, ISS_WNR);
}

uint64_t a64_guest_mrs(struct a64_frame *frame, unsigned op0, unsigned op1, unsigned crn, unsigned crm, unsigned op2)
{
    a64_guest_sync(frame, a64_esr_sysreg(op0, op1, crn, crm, op2, 0) | ISS_SYS_READ);
    return frame->x[0];
}

void a64_guest_msr(struct a64_frame *frame, unsigned op0, unsigned op1, unsigned crn, unsigned crm, unsigned op2,
                   uint64_t value)
{
    frame->x[0] = value;
    a64_guest_sync(frame, a64_esr_sysreg(op0, op1, crn, crm, op2, 0));
}
