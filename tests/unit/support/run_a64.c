/* SPDX-License-Identifier: Apache-2.0 */
#include "support/run.h"

#include "arch/aarch64/hcr.h"
#include "lib/host.h"
#include "support/a64_machine.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define ADDRESS_48 UINT64_C(0xffffffffffff)

static struct a64_frame *frame_now(void)
{
    return a64_model_cpu()->frame;
}

/* ---- Registers ---- */

/* MDSCR_EL1 isn't written but by a trap. */
static uint64_t sys_pattern(uint64_t seed, unsigned reg)
{
    uint64_t pattern = run_pattern(seed, 100 + reg);

    return reg == A64_MDSCR_EL1 ? (pattern & MDSCR_KDE) | MDSCR_MDE : pattern;
}

static uint64_t pstate_pattern(uint64_t seed)
{
    return (run_pattern(seed, 32) & PSTATE_NZCV) | PSTATE_EL1H;
}

/* 5 priority bits; the least binary points there are */
static uint32_t vmcr_pattern(uint64_t seed)
{
    return ICH_VMCR_VFIQEN | 3U << ICH_VMCR_VBPR1_SHIFT | 2U << ICH_VMCR_VBPR0_SHIFT |
           (uint32_t)(seed << 3 & 0xf8) << ICH_VMCR_VPMR_SHIFT;
}

static void debug_pattern(uint64_t seed, struct a64_debug *debug)
{
    for (unsigned n = 0; n < A64_MAX_BREAKPOINTS; n++) {
        debug->bvr[n] = run_pattern(seed, 300 + n);
        debug->bcr[n] = run_pattern(seed, 320 + n);
        debug->wvr[n] = run_pattern(seed, 340 + n);
        debug->wcr[n] = run_pattern(seed, 360 + n);
    }
}

static void debug_fill(struct a64_frame *frame, uint64_t seed)
{
    struct a64_debug debug;

    debug_pattern(seed, &debug);
    for (unsigned n = 0; n < A64_MAX_BREAKPOINTS; n++) {
        a64_guest_msr(frame, 2, 0, 0, n, 4, debug.bvr[n]);
        a64_guest_msr(frame, 2, 0, 0, n, 5, debug.bcr[n]);
        a64_guest_msr(frame, 2, 0, 0, n, 6, debug.wvr[n]);
        a64_guest_msr(frame, 2, 0, 0, n, 7, debug.wcr[n]);
    }
    a64_guest_msr(frame, 2, 0, 1, 0, 4, 0); /* OSLAR_EL1 */
    a64_guest_msr(frame, 2, 0, 0, 2, 2, sys_pattern(seed, A64_MDSCR_EL1));
}

static void fill(uint64_t seed)
{
    struct a64_model_cpu *cpu = a64_model_cpu();
    struct a64_frame *frame = frame_now();

    debug_fill(frame, seed);
    for (unsigned i = 0; i < 31; i++) {
        frame->x[i] = run_pattern(seed, i);
    }
    frame->pc = run_pattern(seed, 31);
    frame->pstate = pstate_pattern(seed);
    for (unsigned i = 0; i < A64_SYS_COUNT; i++) {
        cpu->sys[i] = i == A64_MDSCR_EL1 ? cpu->sys[i] : sys_pattern(seed, i);
    }
    for (unsigned i = 0; i < 64; i++) {
        cpu->fp.v[i] = run_pattern(seed, 200 + i);
    }
    cpu->fp.fpcr = run_pattern(seed, 264);
    cpu->fp.fpsr = run_pattern(seed, 265);
    cpu->cntv_ctl = CNT_CTL_IMASK | CNT_CTL_ENABLE;
    cpu->cntv_cval = run_pattern(seed, 400);
    ich_vmcr_write(vmcr_pattern(seed));
    ich_ap1r_write(0, (uint32_t)seed);
}

static void debug_check(const struct a64_debug *debug, uint64_t seed)
{
    struct a64_debug expected;

    debug_pattern(seed, &expected);
    assert_memory_equal(debug->bvr, expected.bvr, sizeof(expected.bvr));
    assert_memory_equal(debug->bcr, expected.bcr, sizeof(expected.bcr));
    assert_memory_equal(debug->wvr, expected.wvr, sizeof(expected.wvr));
    assert_memory_equal(debug->wcr, expected.wcr, sizeof(expected.wcr));
}

static void check(uint64_t seed)
{
    const struct a64_model_cpu *cpu = a64_model_cpu();
    const struct a64_frame *frame = frame_now();

    for (unsigned i = 0; i < 31; i++) {
        assert_int_equal(frame->x[i], run_pattern(seed, i));
    }
    assert_int_equal(frame->pc, run_pattern(seed, 31));
    assert_int_equal(frame->pstate, pstate_pattern(seed));
    for (unsigned i = 0; i < A64_SYS_COUNT; i++) {
        assert_int_equal(cpu->sys[i], sys_pattern(seed, i));
    }
    for (unsigned i = 0; i < 64; i++) {
        assert_int_equal(cpu->fp.v[i], run_pattern(seed, 200 + i));
    }
    assert_int_equal(cpu->fp.fpcr, run_pattern(seed, 264));
    assert_int_equal(cpu->fp.fpsr, run_pattern(seed, 265));
    debug_check(&cpu->debug, seed);
    assert_int_equal(cpu->cntv_ctl & 3, CNT_CTL_IMASK | CNT_CTL_ENABLE);
    assert_int_equal(cpu->cntv_cval, run_pattern(seed, 400));
    assert_int_equal(ich_vmcr_read(), vmcr_pattern(seed));
    assert_int_equal(ich_ap1r_read(0), seed);
}

static void check_fresh(void)
{
    static const uint64_t reset[A64_SYS_COUNT] = {
#define RESET(name, value) [A64_##name] = (value),
        A64_SYS_REGS(RESET)
#undef RESET
    };
    const struct a64_model_cpu *cpu = a64_model_cpu();
    struct a64_frame *frame = frame_now();

    assert_memory_equal(cpu->sys, reset, sizeof(reset));
    for (unsigned i = 0; i < 64; i++) {
        assert_int_equal(cpu->fp.v[i], 0);
    }
    assert_int_equal(cpu->fp.fpcr | cpu->fp.fpsr, 0);
    assert_int_equal(cpu->cntv_ctl, 0);
    assert_int_equal(cpu->cntv_cval, 0);
    assert_true((cpu->controls.mdcr & MDCR_TDA) != 0);
    assert_int_equal(a64_guest_mrs(frame, 2, 0, 0, 0, 4), 0); /* DBGBVR0_EL1 */
    assert_int_equal(a64_guest_mrs(frame, 2, 0, 0, 2, 2), 0); /* MDSCR_EL1 */
    assert_int_equal(ich_ap1r_read(0), 0);
    for (unsigned i = 1; i < 31; i++) {
        assert_int_equal(frame->x[i], 0);
    }
}

static void set_pc(uint64_t pc)
{
    frame_now()->pc = pc;
}

static uint64_t pc_of(const struct axvm *vm, uint32_t vcpu)
{
    return a64_vcpu(vm->vcpus[vcpu])->frame.pc;
}

/* ---- The hardware ---- */

static unsigned entries(void)
{
    return a64_model_cpu()->entries;
}

static unsigned loads(void)
{
    return a64_model_cpu()->sys_loads;
}

static unsigned saves(void)
{
    return a64_model_cpu()->sys_saves;
}

static uint64_t vmid_of(struct axvm *vm)
{
    return a64_vm(vm)->vmid;
}

static uint64_t vmid(void)
{
    return a64_model_cpu()->controls.vttbr >> 48;
}

static uint64_t root(void)
{
    return a64_model_cpu()->controls.vttbr & ADDRESS_48;
}

static unsigned forgotten(void)
{
    struct a64_model_cpu *cpu = a64_model_cpu();
    unsigned flushes = cpu->flushes_local;

    if (flushes != 0) {
        assert_int_equal(cpu->flushed_vttbr, cpu->controls.vttbr);
    }
    cpu->flushes_local = 0;
    return flushes;
}

static void enable_irq(void)
{
    struct a64_frame *frame = frame_now();

    frame->x[1] = 2; /* GICD_CTLR: group 1 */
    a64_guest_store(frame, 0x08000000, 4, 1);
    frame->x[1] = 1; /* GICR_ISENABLER0: SGI 0 */
    a64_guest_store(frame, 0x080b0100, 4, 1);
    ich_model_set_pmr(0xf8);
    ich_model_set_group(1, true);
}

static bool signalled(void)
{
    return ich_model_signalled(1);
}

static void take_irq(void)
{
    assert_int_equal(ich_model_ack(1), 0);
    ich_model_eoi(1, 0);
}

static bool waits_trap(void)
{
    uint64_t traps = a64_model_cpu()->controls.hcr & (HCR_TWI | HCR_TWE);

    assert_true(traps == 0 || traps == (HCR_TWI | HCR_TWE));
    return traps != 0;
}

static void take_away(void)
{
    a64_model.supported = false;
}

static bool enabled(unsigned pcpu)
{
    return a64_model.cpus[pcpu].enabled;
}

const struct run_arch run_a64 = {
    .fill = fill,
    .check = check,
    .check_fresh = check_fresh,
    .set_pc = set_pc,
    .pc = pc_of,
    .entries = entries,
    .loads = loads,
    .saves = saves,
    .vmids = 255,
    .vmid_of = vmid_of,
    .vmid = vmid,
    .root = root,
    .forgotten = forgotten,
    .enable_irq = enable_irq,
    .take_irq = take_irq,
    .signalled = signalled,
    .waits_trap = waits_trap,
    .take_away = take_away,
    .enabled = enabled,
};
