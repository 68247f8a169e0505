/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any instruction that aborts at an emulated device, with any registers, PSTATE and stage 1. The guest goes on after
 * it, or with an exception of its own, or tries again, in these two cases with all registers as they were; and a device
 * never sees an access that it doesn't have.
 */
#include "any_device.h"
#include "arch/aarch64/decode.h"
#include "support/a64_machine.h"

#define CODE (A64_RAM + 0x1000)
#define VBAR UINT64_C(0x40010000)
#define VBAR_END (VBAR + 0x800)

static uint8_t stage1; /* what a64_cpu_at() answers */

static uint64_t at(uint64_t va, unsigned access)
{
    if (va - CODE < 4) {
        return (stage1 & 0x80) == 0 ? CODE : PAR_F | 7U << 1;
    }
    if ((stage1 >> access & 1U) != 0) {
        return PAR_F | ((stage1 & 0x40) != 0 ? PAR_S : 0) | 0x0fU << 1;
    }
    return (stage1 & 0x20) != 0 ? A64_RAM : va & PAR_PA & UINT64_C(0xffffffff);
}

static uint64_t any_address(void)
{
    uint64_t near = DEVICE - 0x40 + take(&in, 2) % 0x4000;

    return (take(&in, 1) & 0xf) != 0 ? near : take(&in, 8);
}

static uint32_t any_word(void)
{
    uint32_t word = (uint32_t)take(&in, 4);

    return (take(&in, 1) & 3) != 0 ? (word & ~0x0a000000U) | 0x08000000U : word;
}

static void check_decode(uint32_t word)
{
    struct a64_insn insn = a64_decode(word);

    if (insn.kind == A64_INSN_LOAD || insn.kind == A64_INSN_STORE) {
        require(insn.elements != 0 && (unsigned)insn.elements << insn.size <= A64_INSN_MAX_BYTES);
        require(insn.size <= (insn.vector ? 4 : 3));
        for (unsigned i = 0; i < insn.elements; i++) {
            require(a64_insn_register(&insn, i) < 32);
            require((a64_insn_lane(&insn, i) + 1) << insn.size <= 16);
        }
    }
}

/* Everything that the instruction could have changed. */
struct registers {
    struct a64_frame frame;
    uint64_t sp[2];
    struct a64_fp fp;
};

static void save(struct registers *to, const struct a64_frame *frame)
{
    const struct a64_model_cpu *cpu = a64_model_cpu();

    to->frame = *frame;
    to->sp[0] = cpu->sys[A64_SP_EL0];
    to->sp[1] = cpu->sys[A64_SP_EL1];
    to->fp = cpu->fp;
}

static bool same(const struct registers *a, const struct registers *b)
{
    return memcmp(a->frame.x, b->frame.x, sizeof(a->frame.x)) == 0 && memcmp(a->sp, b->sp, sizeof(a->sp)) == 0 &&
           memcmp(a->fp.v, b->fp.v, sizeof(a->fp.v)) == 0;
}

static void prepare(struct a64_frame *frame, uint32_t word)
{
    static const uint64_t modes[] = {PSTATE_EL0T, PSTATE_EL1T, PSTATE_EL1H, PSTATE_NRW};
    struct a64_model_cpu *cpu = a64_model_cpu();
    uint64_t base = any_address();

    frame->x[word >> 5 & 31 & 15] = base;
    frame->x[16 + (word >> 5 & 15) % 15] = base;
    cpu->sys[A64_SP_EL0] = cpu->sys[A64_SP_EL1] = base;
    frame->x[word >> 16 & 15] = take(&in, 1);
    frame->pc = CODE;
    frame->pstate = modes[take(&in, 1) & 3] | (take(&in, 4) & ~UINT64_C(0x1f));
    cpu->sys[A64_SCTLR_EL1] = (take(&in, 1) & 3) << 24;
    cpu->sys[A64_VBAR_EL1] = VBAR;
    cpu->far = (take(&in, 1) & 3) != 0 ? base : any_address();
    cpu->hpfar = (cpu->far & UINT64_C(0xffffffff)) >> 12 << 4;
    stage1 = (uint8_t)take(&in, 1);
}

static uint64_t any_syndrome(void)
{
    uint64_t iss = take(&in, 4);

    if ((iss & 7) != 0) { /* one that isn't valid */
        iss &= ISS_WNR;
    }
    return a64_esr(EC_DABT_LOWER, (iss & (ESR_ISS_MASK & ~UINT64_C(0x3f))) | FSC_TRANSLATION | 3);
}

static void execute(void)
{
    static struct registers before, after;
    struct a64_frame *frame = a64_model_cpu()->frame;
    uint32_t word = any_word();

    check_decode(word);
    require(addrspace_write(&any_vm->as, gpa(CODE), &word, sizeof(word)) == AXVM_OK);
    prepare(frame, word);
    save(&before, frame);
    a64_guest_sync(frame, any_syndrome());
    save(&after, frame);
    if (after.frame.pc == CODE || (after.frame.pc >= VBAR && after.frame.pc < VBAR_END)) {
        require(same(&before, &after));
    } else {
        require(after.frame.pc == CODE + 4 || ((before.frame.pstate & PSTATE_NRW) != 0 && after.frame.pc == CODE + 2));
    }
}

static int setup(void **state)
{
    int error = a64_machine_setup(state);

    a64_model.at = at;
    return error;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    in = (struct input){data, size};
    any_device_run(setup, execute);
    return 0;
}
