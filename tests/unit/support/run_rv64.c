/* SPDX-License-Identifier: Apache-2.0 */
#include "support/run.h"

#include "lib/host.h"
#include "support/rv64_machine.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define SOURCE 10U /* of the PLIC */
#define HSTATUS_VTW_BIT (UINT64_C(1) << 21)

static struct rv64_frame *frame_now(void)
{
    return rv64_model_cpu()->frame;
}

/* ---- Registers ---- */

static uint64_t hvip_pattern(uint64_t seed)
{
    return seed % 2 != 0 ? IRQ_VSS : 0;
}

static uint64_t timecmp_pattern(uint64_t seed)
{
    return run_pattern(seed, 300) | UINT64_C(1) << 63;
}

static bool has_vector(void)
{
    return (rv64_model.features & RV64_VECTOR) != 0;
}

static uint8_t vector_pattern(uint64_t seed, unsigned byte)
{
    return (uint8_t)(run_pattern(seed, 400 + byte) >> 50);
}

static void fill(uint64_t seed)
{
    struct rv64_model_cpu *cpu = rv64_model_cpu();
    struct rv64_frame *frame = frame_now();

    for (unsigned i = 1; i < 32; i++) {
        frame->x[i] = run_pattern(seed, i);
        cpu->fp.f[i] = run_pattern(seed, 100 + i);
    }
    cpu->fp.f[0] = run_pattern(seed, 100);
    cpu->fp.fcsr = run_pattern(seed, 132);
    frame->pc = run_pattern(seed, 33);
    for (unsigned i = 0; i < RV64_SYS_COUNT; i++) {
        cpu->sys[i] = run_pattern(seed, 200 + i);
    }
    cpu->hvip = hvip_pattern(seed);
    cpu->timecmp = timecmp_pattern(seed);
    rv64_model_set_vs(seed % 3 != 0);
    for (unsigned i = 0; has_vector() && i < 32 * rv64_model.vlenb; i++) {
        cpu->vector_data[i] = vector_pattern(seed, i);
    }
    cpu->vector.vstart = run_pattern(seed, 301);
    cpu->vector.vcsr = run_pattern(seed, 302);
    cpu->vector.vl = run_pattern(seed, 303);
    cpu->vector.vtype = run_pattern(seed, 304);
}

static void vector_check(const struct rv64_model_cpu *cpu, uint64_t seed)
{
    for (unsigned i = 0; i < 32 * rv64_model.vlenb; i++) {
        assert_int_equal(cpu->vector_data[i], vector_pattern(seed, i));
    }
    assert_int_equal(cpu->vector.vstart, run_pattern(seed, 301));
    assert_int_equal(cpu->vector.vcsr, run_pattern(seed, 302));
    assert_int_equal(cpu->vector.vl, run_pattern(seed, 303));
    assert_int_equal(cpu->vector.vtype, run_pattern(seed, 304));
}

static void check(uint64_t seed)
{
    const struct rv64_model_cpu *cpu = rv64_model_cpu();
    const struct rv64_frame *frame = frame_now();

    for (unsigned i = 1; i < 32; i++) {
        assert_int_equal(frame->x[i], run_pattern(seed, i));
        assert_int_equal(cpu->fp.f[i], run_pattern(seed, 100 + i));
    }
    assert_int_equal(cpu->fp.f[0], run_pattern(seed, 100));
    assert_int_equal(cpu->fp.fcsr, run_pattern(seed, 132));
    assert_int_equal(frame->pc, run_pattern(seed, 33));
    for (unsigned i = 0; i < RV64_SYS_COUNT; i++) {
        assert_int_equal(cpu->sys[i], run_pattern(seed, 200 + i));
    }
    assert_int_equal(cpu->hvip, hvip_pattern(seed));
    assert_int_equal(cpu->timecmp, timecmp_pattern(seed));
    assert_int_equal((cpu->controls.sstatus & SSTATUS_SPP) != 0, seed % 3 != 0);
    if (has_vector()) {
        vector_check(cpu, seed);
    }
}

static void check_fresh(void)
{
    static const uint64_t reset[RV64_SYS_COUNT] = {
#define RESET(name, value) [RV64_##name] = (value),
        RV64_SYS_REGS(RESET)
#undef RESET
    };
    static const uint8_t zeroes[32 * RV64_MODEL_MAX_VLENB];
    const struct rv64_model_cpu *cpu = rv64_model_cpu();

    assert_memory_equal(cpu->sys, reset, sizeof(reset));
    for (unsigned i = 0; i < 32; i++) {
        assert_int_equal(cpu->fp.f[i], 0);
        assert_int_equal(i == X_A0 || i == X_A1 ? 0 : frame_now()->x[i], 0);
    }
    assert_int_equal(cpu->fp.fcsr, 0);
    assert_int_equal(cpu->hvip, 0);
    assert_int_equal(cpu->timecmp, UINT64_MAX);
    assert_true((cpu->controls.sstatus & SSTATUS_SPP) != 0);
    if (has_vector()) {
        assert_memory_equal(cpu->vector_data, zeroes, (size_t)(32 * rv64_model.vlenb));
        assert_int_equal(cpu->vector.vstart | cpu->vector.vcsr | cpu->vector.vl, 0);
        assert_int_equal(cpu->vector.vtype, UINT64_C(1) << 63); /* vill */
    }
}

static void set_pc(uint64_t pc)
{
    frame_now()->pc = pc;
}

static uint64_t pc_of(const struct axvm *vm, uint32_t vcpu)
{
    return rv64_vcpu(vm->vcpus[vcpu])->frame.pc;
}

/* ---- The hardware ---- */

static unsigned entries(void)
{
    return rv64_model_cpu()->entries;
}

static unsigned loads(void)
{
    return rv64_model_cpu()->sys_loads;
}

static unsigned saves(void)
{
    return rv64_model_cpu()->sys_saves + rv64_model_cpu()->fp_saves;
}

static void few_vmids(void)
{
    rv64_model.vmid_bits = 3;
}

static uint64_t vmid_of(struct axvm *vm)
{
    return rv64_vm(vm)->vmid;
}

static uint64_t vmid(void)
{
    return rv64_model_cpu()->controls.hgatp >> 44 & 0x3fff;
}

static uint64_t root(void)
{
    return (rv64_model_cpu()->controls.hgatp & UINT64_C(0xfffffffffff)) << 12;
}

/* Of first-stage translations, and what was fetched with them. */
static unsigned forgotten(void)
{
    unsigned flushes = 0, fences = 0;

    for (unsigned i = 0; i < rv64_model.flush_count; i++) {
        const struct rv64_model_flush *f = &rv64_model.flushes[i];

        if (f->by == hal->pcpu_id() && f->pcpus == UINT64_C(1) << f->by) {
            flushes += f->kind == RV64_FLUSH_VSTAGE && f->size == UINT64_MAX;
            fences += f->kind == RV64_FLUSH_FENCE_I;
        }
    }
    assert_int_equal(flushes, fences);
    rv64_model_forget_flushes();
    return flushes;
}

static void plic_write(uint64_t offset, uint32_t value)
{
    frame_now()->x[X_A0] = value;
    rv64_guest_store(frame_now(), MACHINE_PLIC + offset, 4, X_A0);
}

#define PLIC_CLAIM 0x201004U /* of hart 0's S mode */

static void enable_irq(void)
{
    plic_write(4 * SOURCE, 1);
    plic_write(0x2080, 1U << SOURCE);
    rv64_model_cpu()->sys[RV64_VSIE] = UINT64_C(1) << 9; /* SEIE */
}

static bool signalled(void)
{
    return rv64_model_signalled(rv64_model_cpu()) == IRQ_VSE;
}

static void take_irq(void)
{
    rv64_guest_load(frame_now(), MACHINE_PLIC + PLIC_CLAIM, 4, X_A0, false);
    assert_int_equal(frame_now()->x[X_A0], SOURCE);
    assert_int_equal(rv64_model_cpu()->hvip, 0);
    plic_write(PLIC_CLAIM, SOURCE);
}

static bool waits_trap(void)
{
    return (rv64_model_cpu()->controls.hstatus & HSTATUS_VTW_BIT) != 0;
}

static void take_away(void)
{
    rv64_model.supported = false;
}

static bool enabled(unsigned pcpu)
{
    return rv64_model.cpus[pcpu].enabled;
}

const struct run_arch run_rv64 = {
    .fill = fill,
    .check = check,
    .check_fresh = check_fresh,
    .set_pc = set_pc,
    .pc = pc_of,
    .entries = entries,
    .loads = loads,
    .saves = saves,
    .vmids = 7,
    .few_vmids = few_vmids,
    .vmid_of = vmid_of,
    .vmid = vmid,
    .root = root,
    .forgotten = forgotten,
    .irq = SOURCE,
    .enable_irq = enable_irq,
    .take_irq = take_irq,
    .signalled = signalled,
    .waits_trap = waits_trap,
    .take_away = take_away,
    .enabled = enabled,
};
