/* SPDX-License-Identifier: Apache-2.0 */
#include "support/a64_access.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define VBAR UINT64_C(0x40010000)
#define IL BIT64(25)

struct a64_access_state before, after;
char accesses[4096];
unsigned access_slow;
struct axvm *vm;

/* ---- Devices that write down what they see ---- */

static struct axvm_device devices[2];

static uint8_t byte_at(uint64_t offset)
{
    return (uint8_t)(0x80 + offset);
}

__attribute__((format(printf, 1, 2))) static void note(const char *format, ...)
{
    size_t used = strlen(accesses);
    va_list args;

    va_start(args, format);
    vsnprintf(accesses + used, sizeof(accesses) - used, format, args);
    va_end(args);
}

static int answer(uint64_t offset)
{
    if (offset == ACCESS_SLOW && access_slow > 0) {
        access_slow--;
        note("~");
        return BUS_AGAIN;
    }
    note(" ");
    return offset == ACCESS_REFUSED ? AXVM_EINVAL : AXVM_OK;
}

static int device_read(struct axvm_device *device, struct axvm_vcpu *vcpu, uint64_t offset, unsigned size,
                       uint64_t *value)
{
    assert_non_null(vcpu);
    assert_true(offset + size <= device->size);
    note("%cR%u+%03llx", device == &devices[0] ? 'A' : 'B', size, (unsigned long long)offset);
    *value = 0;
    for (unsigned i = 0; i < size; i++) {
        *value |= (uint64_t)byte_at(offset + i) << (8 * i);
    }
    return answer(offset);
}

static int device_write(struct axvm_device *device, struct axvm_vcpu *vcpu, uint64_t offset, unsigned size,
                        uint64_t value)
{
    assert_non_null(vcpu);
    assert_true(offset + size <= device->size);
    assert_true(size == 8 || value >> (8 * size) == 0);
    note("%cW%u+%03llx=%llx", device == &devices[0] ? 'A' : 'B', size, (unsigned long long)offset,
         (unsigned long long)value);
    return answer(offset);
}

static const struct axvm_device_ops ops = {.name = "test", .read = device_read, .write = device_write};

/* ---- One instruction ---- */

static uint64_t trap_esr, trap_far, trap_ipa;

static void guest(struct a64_frame *frame)
{
    struct a64_model_cpu *cpu = a64_model_cpu();

    memcpy(frame->x, before.x, sizeof(frame->x));
    frame->pc = before.pc;
    frame->pstate = before.pstate;
    cpu->sys[A64_SP_EL0] = before.sp_el0;
    cpu->sys[A64_SP_EL1] = before.sp_el1;
    cpu->sys[A64_SCTLR_EL1] = before.sctlr;
    cpu->sys[A64_VBAR_EL1] = VBAR;
    memcpy(cpu->fp.v, before.q, sizeof(before.q));
    cpu->far = trap_far;
    cpu->hpfar = trap_ipa >> 12 << 4;
    a64_guest_sync(frame, trap_esr);
    memcpy(after.x, frame->x, sizeof(after.x));
    after.pc = frame->pc;
    after.pstate = frame->pstate;
    after.sp_el0 = cpu->sys[A64_SP_EL0];
    after.sp_el1 = cpu->sys[A64_SP_EL1];
    after.sctlr = cpu->sys[A64_SCTLR_EL1];
    memcpy(after.q, cpu->fp.v, sizeof(after.q));
}

void access_trap(uint64_t esr, uint64_t far)
{
    trap_esr = esr;
    trap_far = far;
    trap_ipa = far;
    if (a64_model.translate != NULL) {
        assert_true(a64_model.translate(far, &trap_ipa));
    }
    accesses[0] = '\0';
    assert_int_equal(a64_machine_run(vm, 0, guest).kind, AXVM_EXIT_EXTERNAL_INTERRUPT);
}

static void code(uint32_t word)
{
    assert_int_equal(addrspace_write(&vm->as, gpa(ACCESS_CODE), &word, sizeof(word)), 0);
}

void access_load(uint32_t word, uint64_t far)
{
    code(word);
    access_trap(a64_esr(EC_DABT_LOWER, FSC_TRANSLATION | 3), far);
}

void access_store(uint32_t word, uint64_t far)
{
    code(word);
    access_trap(a64_esr(EC_DABT_LOWER, ISS_WNR | FSC_TRANSLATION | 3), far);
}

uint64_t access_esr(unsigned size, unsigned reg, uint64_t flags)
{
    return a64_esr(EC_DABT_LOWER,
                   ISS_ISV | (uint64_t)__builtin_ctz(size) << 22 | (uint64_t)reg << 16 | flags | FSC_TRANSLATION | 3);
}

void assert_done(const char *what)
{
    assert_string_equal(accesses, what);
    assert_int_equal(after.pc, before.pc + 4);
    assert_int_equal(after.pstate, before.pstate);
}

void assert_untouched(void)
{
    assert_memory_equal(&before, &after, sizeof(before));
    assert_string_equal(accesses, "");
}

void assert_abort(unsigned fsc, bool write, uint64_t far, const char *what)
{
    uint64_t *sys = a64_model_cpu()->sys;
    bool from_el1 = before.pstate == EL1T || before.pstate == EL1H;

    assert_string_equal(accesses, what);
    assert_int_equal(sys[A64_ESR_EL1], (uint64_t)(from_el1 ? 0x25 : 0x24) << 26 | IL | (write ? BIT64(6) : 0) | fsc);
    assert_int_equal(sys[A64_FAR_EL1], far);
    assert_int_equal(sys[A64_ELR_EL1], before.pc);
    assert_int_equal(sys[A64_SPSR_EL1], before.pstate);
    assert_memory_equal(before.x, after.x, sizeof(before.x));
    assert_memory_equal(before.q, after.q, sizeof(before.q));
}

int a64_access_setup(void **state)
{
    int error = a64_machine_setup(state);

    vm = machine_loaded_vm(1, NULL);
    devices[0] = (struct axvm_device){.ops = &ops, .base = ACCESS_A, .size = ACCESS_A_SIZE};
    devices[1] = (struct axvm_device){.ops = &ops, .base = ACCESS_B, .size = ACCESS_B_SIZE};
    assert_int_equal(axvm_add_device(vm, &devices[0]), 0);
    assert_int_equal(axvm_add_device(vm, &devices[1]), 0);
    assert_int_equal(axvm_boot(vm), 0);
    access_slow = 0;
    memset(&before, 0, sizeof(before));
    for (unsigned i = 0; i < 31; i++) {
        before.x[i] = UINT64_C(0x1111111111111111) * (i % 16);
    }
    for (unsigned i = 0; i < 64; i++) {
        before.q[i] = UINT64_C(0x0706050403020100) + UINT64_C(0x0808080808080808) * i;
    }
    before.pc = ACCESS_CODE;
    before.pstate = EL1H;
    before.sp_el0 = UINT64_C(0x5500);
    before.sp_el1 = UINT64_C(0x5510);
    before.sctlr = UINT64_C(0x30d00800);
    before.x[1] = ACCESS_A + 0x10;
    return error;
}
