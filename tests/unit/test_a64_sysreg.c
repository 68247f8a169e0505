/* SPDX-License-Identifier: Apache-2.0 */
/* Trapped system registers. */
#include "support/a64_machine.h"
#include "support/random.h"

#include "arch/aarch64/hcr.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define VBAR UINT64_C(0xffff800008010800)
#define PC UINT64_C(0xffff800008123454)
#define READ 1U
#define WRITE 2U

struct encoding {
    unsigned op0, op1, crn, crm, op2;
};

static struct axvm *vm;

static int setup(void **state)
{
    int error = a64_machine_setup(state);

    vm = machine_vm(1, NULL);
    return error;
}

/* ---- All of them ---- */

/* Registers that trap and are there, by the manual: what a guest of this CPU, without PMU and trace, may touch. */
static unsigned allowed(struct encoding e)
{
    static const struct {
        struct encoding e;
        unsigned access;
    } table[] = {
        {{2, 0, 0, 0, 2}, READ | WRITE},   /* OSDTRRX_EL1 */
        {{2, 0, 0, 2, 0}, READ | WRITE},   /* MDCCINT_EL1 */
        {{2, 0, 0, 2, 2}, READ | WRITE},   /* MDSCR_EL1 */
        {{2, 0, 0, 3, 2}, READ | WRITE},   /* OSDTRTX_EL1 */
        {{2, 0, 0, 6, 2}, READ | WRITE},   /* OSECCR_EL1 */
        {{2, 0, 1, 0, 0}, READ},           /* MDRAR_EL1 */
        {{2, 0, 1, 0, 4}, WRITE},          /* OSLAR_EL1 */
        {{2, 0, 1, 1, 4}, READ},           /* OSLSR_EL1 */
        {{2, 0, 1, 3, 4}, READ | WRITE},   /* OSDLR_EL1 */
        {{2, 0, 1, 4, 4}, READ | WRITE},   /* DBGPRCR_EL1 */
        {{2, 0, 7, 8, 6}, READ | WRITE},   /* DBGCLAIMSET_EL1 */
        {{2, 0, 7, 9, 6}, READ | WRITE},   /* DBGCLAIMCLR_EL1 */
        {{2, 0, 7, 14, 6}, READ},          /* DBGAUTHSTATUS_EL1 */
        {{2, 3, 0, 1, 0}, READ},           /* MDCCSR_EL0 */
        {{2, 3, 0, 4, 0}, READ | WRITE},   /* DBGDTR_EL0 */
        {{2, 3, 0, 5, 0}, READ | WRITE},   /* DBGDTRRX_EL0, DBGDTRTX_EL0 */
        {{3, 0, 0, 0, 6}, READ},           /* REVIDR_EL1 */
        {{3, 1, 0, 0, 7}, READ},           /* AIDR_EL1 */
        {{3, 0, 1, 0, 1}, READ | WRITE},   /* ACTLR_EL1 */
        {{3, 0, 12, 11, 1}, WRITE},        /* ICC_DIR_EL1 */
        {{3, 0, 12, 11, 5}, WRITE},        /* ICC_SGI1R_EL1 */
        {{3, 0, 12, 11, 6}, WRITE},        /* ICC_ASGI1R_EL1 */
        {{3, 0, 12, 11, 7}, WRITE},        /* ICC_SGI0R_EL1 */
        {{3, 0, 12, 12, 5}, READ | WRITE}, /* ICC_SRE_EL1 */
        {{3, 3, 14, 2, 0}, READ | WRITE},  /* CNTP_TVAL_EL0 */
        {{3, 3, 14, 2, 1}, READ | WRITE},  /* CNTP_CTL_EL0 */
        {{3, 3, 14, 2, 2}, READ | WRITE},  /* CNTP_CVAL_EL0 */
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (memcmp(&table[i].e, &e, sizeof(e)) == 0) {
            return table[i].access;
        }
    }
    if (e.op0 == 3 && e.op1 == 0 && e.crn == 0 && e.crm >= 1 && e.crm <= 7) {
        return READ; /* ID registers */
    }
    if (e.op0 == 2 && e.op1 == 0 && e.crn == 0 && e.op2 >= 4) {
        return READ | WRITE; /* DBGBVR<n>_EL1 and so on */
    }
    return 0;
}

static struct encoding encoding_of(unsigned i)
{
    return (struct encoding){i >> 14 & 3, i >> 11 & 7, i >> 7 & 15, i >> 3 & 15, i & 7};
}

static uint64_t esr_of(struct encoding e, unsigned rt)
{
    return a64_esr_sysreg(e.op0, e.op1, e.crn, e.crm, e.op2, rt);
}

static void check_one(struct a64_frame *frame, struct encoding e, unsigned access, unsigned rt)
{
    struct a64_frame before;
    bool done;

    frame->pc = PC;
    frame->pstate = PSTATE_EL1H;
    a64_model_cpu()->sys[A64_VBAR_EL1] = VBAR;
    before = *frame;
    a64_guest_sync(frame, esr_of(e, rt) | (access == READ ? ISS_SYS_READ : 0));
    done = frame->pc == PC + 4;
    if (done != ((allowed(e) & access) != 0)) {
        fail_msg("%s of S%u_%u_C%u_C%u_%u: %s", access == READ ? "MRS" : "MSR", e.op0, e.op1, e.crn, e.crm, e.op2,
                 done ? "done" : "refused");
    }
    if (!done) {
        assert_int_equal(frame->pc, VBAR + 0x200);
        assert_int_equal(a64_model_cpu()->sys[A64_ESR_EL1], 0x02000000);
        assert_int_equal(a64_model_cpu()->sys[A64_ELR_EL1], PC);
    }
    if (access == READ && done && rt < 31) {
        before.x[rt] = frame->x[rt];
    }
    assert_memory_equal(frame->x, before.x, sizeof(before.x));
}

static void guest_sweeps_reads(struct a64_frame *frame)
{
    for (unsigned i = 0; i < 65536; i++) {
        check_one(frame, encoding_of(i), READ, i % 32);
    }
}

static void guest_sweeps_writes(struct a64_frame *frame)
{
    for (unsigned i = 0; i < 65536; i++) {
        for (unsigned n = 0; n < 31; n++) {
            frame->x[n] = random_u64();
        }
        check_one(frame, encoding_of(i), WRITE, i % 32);
    }
}

static void test_every_encoding_is_answered_or_undefined(void **state)
{
    (void)state;
    random_start("system registers");
    assert_int_equal(a64_machine_run(vm, 0, guest_sweeps_reads).kind, AXVM_EXIT_EXTERNAL_INTERRUPT);
    assert_int_equal(a64_machine_run(vm, 0, guest_sweeps_writes).kind, AXVM_EXIT_EXTERNAL_INTERRUPT);
    assert_int_equal(a64_machine_run(vm, 0, guest_sweeps_reads).kind, AXVM_EXIT_EXTERNAL_INTERRUPT);
    assert_int_equal(axvm_state(vm), AXVM_STATE_RUNNING);
}

/* ---- What they do ---- */

static void guest_uses_xzr(struct a64_frame *frame)
{
    memset(frame->x, 0xff, sizeof(frame->x));
    a64_guest_sync(frame, esr_of((struct encoding){2, 0, 0, 1, 4}, 31)); /* DBGBVR1_EL1 = XZR */
    assert_int_equal(a64_guest_mrs(frame, 2, 0, 0, 1, 4), 0);
    a64_guest_sync(frame, esr_of((struct encoding){3, 0, 0, 4, 0}, 31) | ISS_SYS_READ);
    for (unsigned i = 1; i < 31; i++) {
        assert_int_equal(frame->x[i], UINT64_MAX);
    }
}

static void test_register_31_is_xzr(void **state)
{
    (void)state;
    a64_machine_vcpu(vm, 0)->debug.bvr[1] = 5;
    assert_int_equal(a64_machine_run(vm, 0, guest_uses_xzr).kind, AXVM_EXIT_EXTERNAL_INTERRUPT);
}

static void guest_reads_zeros(struct a64_frame *frame)
{
    for (unsigned i = 0; i < 65536; i++) {
        struct encoding e = encoding_of(i);
        bool plain = e.op0 == 2 && !(e.crn == 0 && (e.op2 >= 4 || e.crm == 2)) && !(e.crn == 1 && e.crm == 1);

        if (plain && allowed(e) == (READ | WRITE)) {
            a64_guest_msr(frame, e.op0, e.op1, e.crn, e.crm, e.op2, UINT64_MAX);
        }
        if (plain && (allowed(e) & READ) != 0) {
            assert_int_equal(a64_guest_mrs(frame, e.op0, e.op1, e.crn, e.crm, e.op2), 0);
        }
    }
    a64_guest_msr(frame, 3, 0, 1, 0, 1, UINT64_MAX);
    assert_int_equal(a64_guest_mrs(frame, 3, 0, 1, 0, 1), 0); /* ACTLR_EL1 */
}

static void test_what_is_not_emulated_further_is_read_as_zero_write_ignored(void **state)
{
    (void)state;
    assert_int_equal(a64_machine_run(vm, 0, guest_reads_zeros).kind, AXVM_EXIT_EXTERNAL_INTERRUPT);
}

static void guest_uses_os_lock(struct a64_frame *frame)
{
    assert_int_equal(a64_guest_mrs(frame, 2, 0, 1, 1, 4), 0xa); /* OSLSR_EL1: OSLM = 0b10, locked */
    a64_guest_msr(frame, 2, 0, 1, 0, 4, UINT64_MAX & ~UINT64_C(1));
    assert_int_equal(a64_guest_mrs(frame, 2, 0, 1, 1, 4), 0x8);
    a64_guest_msr(frame, 2, 0, 1, 0, 4, 1);
    assert_int_equal(a64_guest_mrs(frame, 2, 0, 1, 1, 4), 0xa);
}

static void test_os_lock(void **state)
{
    (void)state;
    assert_int_equal(a64_machine_run(vm, 0, guest_uses_os_lock).kind, AXVM_EXIT_EXTERNAL_INTERRUPT);
}

/* SS, TDCC, KDE and MDE are the guest's; HDE, INTdis and what belongs to an external debugger are not. */
static void guest_writes_mdscr(struct a64_frame *frame)
{
    a64_guest_msr(frame, 2, 0, 1, 0, 4, 0); /* OSLAR_EL1 */
    a64_guest_msr(frame, 2, 0, 0, 2, 2, UINT64_MAX);
    assert_int_equal(a64_guest_mrs(frame, 2, 0, 0, 2, 2), 1 | 1 << 12 | 1 << 13 | 1 << 15);
    assert_int_equal(a64_model_cpu()->sys[A64_MDSCR_EL1], 1 | 1 << 12 | 1 << 13 | 1 << 15);
}

static void test_mdscr_has_the_guests_bits_alone(void **state)
{
    (void)state;
    assert_int_equal(a64_machine_run(vm, 0, guest_writes_mdscr).kind, AXVM_EXIT_EXTERNAL_INTERRUPT);
}

/* System registers of the GIC are always on: SRE, DFB and DIB are RAO/WI (IHI 0069 12.2.22). */
static void guest_turns_sre_off(struct a64_frame *frame)
{
    assert_int_equal(a64_guest_mrs(frame, 3, 0, 12, 12, 5), 7);
    a64_guest_msr(frame, 3, 0, 12, 12, 5, 0);
    assert_int_equal(a64_guest_mrs(frame, 3, 0, 12, 12, 5), 7);
}

static void test_sre_can_not_be_turned_off(void **state)
{
    (void)state;
    assert_int_equal(a64_machine_run(vm, 0, guest_turns_sre_off).kind, AXVM_EXIT_EXTERNAL_INTERRUPT);
}

/* ---- AArch32 at EL0: the physical timer, where CNTKCTL_EL1.EL0PTEN lets it through (Arm ARM D19.2.37) ---- */

#define A32_USER 0x10U
#define A32_ALWAYS (UINT64_C(1) << 24 | UINT64_C(14) << 20) /* CV, COND */
#define FLAG_Z (UINT64_C(1) << 30)

/* MCR or MRC p15, 0, Rt, c14, c2, op2 */
static uint64_t cntp_word(unsigned op2, unsigned rt)
{
    return a64_esr(0x03, (uint64_t)op2 << 17 | 14U << 10 | (uint64_t)rt << 5 | 2U << 1);
}

/* MCRR or MRRC p15, 2, Rt, Rt2, c14 */
static uint64_t cntp_doubleword(unsigned rt, unsigned rt2)
{
    return a64_esr(0x04, 2U << 16 | (uint64_t)rt2 << 10 | (uint64_t)rt << 5 | 14U << 1);
}

static void guest_times_in_aarch32(struct a64_frame *frame)
{
    frame->pstate = A32_USER;
    frame->pc = PC;
    frame->x[2] = UINT64_C(0xdead000089abcdef);
    frame->x[3] = UINT64_C(0xdead000001234567);
    a64_guest_sync(frame, cntp_doubleword(2, 3) | A32_ALWAYS);
    assert_int_equal(a64_cntp_read(a64_machine_vcpu(vm, 0), 2), UINT64_C(0x0123456789abcdef));
    a64_guest_sync(frame, cntp_doubleword(4, 5) | A32_ALWAYS | ISS_SYS_READ);
    assert_int_equal(frame->x[4], 0x89abcdef);
    assert_int_equal(frame->x[5], 0x01234567);
    frame->x[6] = UINT64_C(0xffffffff00000003);
    a64_guest_sync(frame, cntp_word(1, 6) | A32_ALWAYS);
    frame->x[6] = UINT64_MAX;
    a64_guest_sync(frame, cntp_word(1, 6) | A32_ALWAYS | ISS_SYS_READ);
    assert_int_equal(frame->x[6], 3);
    frame->x[6] = UINT64_MAX;
    a64_guest_sync(frame, cntp_word(0, 6) | A32_ALWAYS | ISS_SYS_READ);
    assert_int_equal(frame->x[6] >> 32, 0);
    assert_int_equal(frame->pc, PC + 20);
}

/* What doesn't pass its condition does nothing (G1.20): COND is the syndrome's, or with CV = 0 the IT block's. */
static void guest_times_conditionally(struct a64_frame *frame)
{
    const struct {
        uint64_t iss, pstate;
        bool done;
    } cases[] = {
        {UINT64_C(1) << 24 | UINT64_C(0) << 20, FLAG_Z, true},  /* EQ */
        {UINT64_C(1) << 24 | UINT64_C(0) << 20, 0, false},
        {UINT64_C(1) << 24 | UINT64_C(1) << 20, FLAG_Z, false}, /* NE */
        {UINT64_C(1) << 24 | UINT64_C(12) << 20, 0, true},      /* GT */
        {UINT64_C(1) << 24 | UINT64_C(12) << 20, FLAG_Z, false},
        {UINT64_C(1) << 24 | UINT64_C(15) << 20, 0, true},
        {0, 0, true},
        {0, 0x8U << 8, false},          /* IT block: EQ, the last instruction */
        {0, 0x8U << 8 | FLAG_Z, true},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        frame->pstate = A32_USER | cases[i].pstate;
        frame->pc = PC;
        frame->x[6] = UINT64_MAX;
        a64_guest_sync(frame, cntp_word(1, 6) | cases[i].iss | ISS_SYS_READ);
        assert_int_equal(frame->x[6] != UINT64_MAX, cases[i].done);
        assert_int_equal(frame->pc, PC + 4);
    }
}

static void guest_tries_other_coprocessor_registers(struct a64_frame *frame)
{
    const uint64_t others[] = {
        cntp_word(3, 6), cntp_word(1, 6) ^ 1U << 14, cntp_word(1, 6) ^ 1U << 1, cntp_word(1, 6) ^ 1U << 10,
        cntp_doubleword(4, 5) ^ 1U << 16, cntp_doubleword(4, 5) ^ 1U << 1,
    };

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        frame->pstate = A32_USER;
        frame->pc = PC;
        a64_model_cpu()->sys[A64_VBAR_EL1] = VBAR;
        a64_guest_sync(frame, others[i] | A32_ALWAYS | ISS_SYS_READ);
        assert_int_equal(frame->pc, VBAR + 0x600);
        assert_int_equal(a64_model_cpu()->sys[A64_ESR_EL1], 0x02000000);
    }
}

static void test_aarch32_has_the_physical_timer(void **state)
{
    (void)state;
    assert_int_equal(a64_machine_run(vm, 0, guest_times_in_aarch32).kind, AXVM_EXIT_EXTERNAL_INTERRUPT);
    assert_int_equal(a64_machine_run(vm, 0, guest_times_conditionally).kind, AXVM_EXIT_EXTERNAL_INTERRUPT);
    assert_int_equal(a64_machine_run(vm, 0, guest_tries_other_coprocessor_registers).kind,
                     AXVM_EXIT_EXTERNAL_INTERRUPT);
}

/* ---- SGIs ---- */

static void guest_enables_sgis(struct a64_frame *frame)
{
    unsigned self = frame == &a64_machine_vcpu(vm, 0)->frame ? 0 : 1;

    frame->x[1] = 3; /* GICD_CTLR: both groups */
    a64_guest_store(frame, 0x08000000, 4, 1);
    frame->x[1] = 0xffff; /* GICR_ISENABLER0 */
    a64_guest_store(frame, 0x080b0100 + self * 0x20000, 4, 1);
    ich_model_set_pmr(0xf8);
    ich_model_set_group(1, true);
}

static uint64_t sgi_value;
static unsigned sgi_op2;

static void guest_sends_sgi(struct a64_frame *frame)
{
    a64_guest_msr(frame, 3, 0, 12, 11, sgi_op2, sgi_value);
}

static uint32_t received;

static void guest_receives(struct a64_frame *frame)
{
    (void)frame;
    received = ich_model_ack(1);
    if (received < 16) {
        ich_model_eoi(1, received);
    }
}

static uint32_t receive(uint32_t vcpu)
{
    assert_int_equal(a64_machine_run(vm, vcpu, guest_receives).kind, AXVM_EXIT_EXTERNAL_INTERRUPT);
    return received;
}

static void send(uint64_t value)
{
    sgi_op2 = 5;
    sgi_value = value;
    assert_int_equal(a64_machine_run(vm, 0, guest_sends_sgi).kind, AXVM_EXIT_EXTERNAL_INTERRUPT);
}

static void test_sgis_reach_whom_they_name(void **state)
{
    (void)state;
    vm = machine_vm(2, NULL);
    machine_cpu_on(vm, 1);
    a64_machine_run(vm, 0, guest_enables_sgis);
    a64_machine_run(vm, 1, guest_enables_sgis);
    send(UINT64_C(5) << 24 | 1 << 1);
    assert_int_equal(receive(0), ICH_MODEL_SPURIOUS);
    assert_int_equal(receive(1), 5);
    send(UINT64_C(6) << 24 | 1 << 0);
    assert_int_equal(receive(0), 6);
    assert_int_equal(receive(1), ICH_MODEL_SPURIOUS);
    send(UINT64_C(7) << 24 | UINT64_C(1) << 40); /* IRM: all but self */
    assert_int_equal(receive(0), ICH_MODEL_SPURIOUS);
    assert_int_equal(receive(1), 7);
    send(UINT64_C(8) << 24 | UINT64_C(1) << 16 | 3); /* Aff1 1: nobody */
    assert_int_equal(receive(0), ICH_MODEL_SPURIOUS);
    assert_int_equal(receive(1), ICH_MODEL_SPURIOUS);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, machine_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_every_encoding_is_answered_or_undefined),
        TEST(test_register_31_is_xzr),
        TEST(test_what_is_not_emulated_further_is_read_as_zero_write_ignored),
        TEST(test_os_lock),
        TEST(test_mdscr_has_the_guests_bits_alone),
        TEST(test_sre_can_not_be_turned_off),
        TEST(test_aarch32_has_the_physical_timer),
        TEST(test_sgis_reach_whom_they_name),
    };

    return cmocka_run_group_tests_name("a64_sysreg", tests, NULL, NULL);
}
