/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any instruction, or any htinst, that faults at an emulated device, with any registers. The guest goes on after it,
 * having made one access and changed one register at most; or with an exception of its own, or tries again, with all
 * registers as they were. A device never sees an access that it doesn't have.
 */
#include "any_device.h"
#include "arch/riscv64/decode.h"
#include "support/rv64_machine.h"

#define LAZY (RV64_RAM + MIB(1))
#define CODE (RV64_RAM + 0x1000)
#define STVEC UINT64_C(0xffffffff80000000)

static void check_decode(uint32_t word)
{
    struct rv64_insn insn = rv64_decode(word);

    require(insn.length == ((word & 3) == 3 ? 4 : 2) && insn.kind <= RV64_INSN_CBO);
    require(insn.reg < 32 && insn.base < 32 && insn.imm >= -2048 && insn.imm < 2048);
    require((insn.size & (insn.size - 1)) == 0 && insn.size <= (insn.kind == RV64_INSN_AMO ? 16 : 8));
    if (insn.kind >= RV64_INSN_LOAD && insn.kind <= RV64_INSN_AMO) {
        require(insn.size != 0 && (!insn.sign || insn.kind == RV64_INSN_LOAD));
    }
}

/* Everything that the instruction could have changed. */
struct registers {
    uint64_t x[32];
    uint64_t f[32];
};

static void save(struct registers *to, const struct rv64_frame *frame)
{
    memcpy(to->x, frame->x, sizeof(to->x));
    memcpy(to->f, rv64_model_cpu()->fp.f, sizeof(to->f));
}

static unsigned changed(const struct registers *a, const struct registers *b)
{
    unsigned count = 0;

    for (unsigned i = 0; i < 32; i++) {
        count += (a->x[i] != b->x[i]) + (a->f[i] != b->f[i]);
    }
    return count;
}

static uint32_t any_word(void)
{
    static const uint32_t opcodes[] = {0x03, 0x23, 0x07, 0x27, 0x2f, 0x0f, 0x4000, 0xc002};
    uint32_t word = (uint32_t)take(&in, 4);
    unsigned kind = (unsigned)take(&in, 1);

    if ((kind & 3) == 0) {
        return word;
    }
    return kind % 8 < 6 ? (word & ~0x7fU) | opcodes[kind % 6] : (word & 0x1ffc) | opcodes[kind % 8];
}

static uint64_t any_address(void)
{
    uint64_t near = DEVICE - 0x40 + take(&in, 2) % 0x4000;
    unsigned kind = (unsigned)take(&in, 1);

    if ((kind & 0xf) == 0) {
        return take(&in, 8);
    }
    return (kind & 0x30) == 0 ? LAZY + (near & 0xffff) : near;
}

static void execute(void)
{
    static const enum rv64_cause causes[] = {CAUSE_LOAD_GUEST_PAGE, CAUSE_STORE_GUEST_PAGE, CAUSE_LOAD_GUEST_PAGE,
                                             CAUSE_FETCH_GUEST_PAGE};
    static struct registers before, after;
    struct rv64_frame *frame = rv64_model_cpu()->frame;
    uint32_t word = any_word();
    unsigned how = (unsigned)take(&in, 1);
    uint64_t tinst = (how & 0x0c) != 0 ? 0 : take(&in, 4) & ((how & 0x30) != 0 ? UINT32_MAX : 0x3020);
    uint64_t addr = any_address(), va = addr + (how >> 6) * GIB(64), part = (how & 0x10) != 0 ? take(&in, 1) & 7 : 0;
    struct rv64_insn insn = rv64_decode(word);

    check_decode(word);
    frame->x[insn.base] = insn.base != 0 ? va - (uint64_t)(int64_t)insn.imm - part : 0;
    frame->x[insn.reg] += insn.reg != 0 && insn.reg != insn.base ? take(&in, 2) << 20 : 0;
    frame->pc = CODE;
    rv64_model_cpu()->sys[RV64_VSTVEC] = STVEC;
    rv64_model_cpu()->sys[RV64_VSSTATUS] = (uint64_t)(how & 3) << 13;
    save(&before, frame);
    accesses = 0;
    rv64_guest_fault_at(frame, causes[how & 3], addr, va, tinst, (how & 0x20) != 0 ? 0 : word);
    save(&after, frame);
    require(after.x[0] == 0);
    if (frame->pc == CODE || frame->pc == STVEC) {
        require(changed(&before, &after) == 0 && (accesses == 0 || (accesses == 1 && frame->pc == STVEC)));
    } else {
        require(frame->pc == CODE + 4 || frame->pc == CODE + 2);
        require(changed(&before, &after) <= 1 && accesses == 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    in = (struct input){data, size};
    any_device_run(rv64_machine_setup, execute);
    return 0;
}
