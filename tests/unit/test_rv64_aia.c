/* SPDX-License-Identifier: Apache-2.0 */
/* Guests with an APLIC and IMSICs: the CSRs that are emulated, on CPUs with Ssaia and without, and what interrupts. */
#include "core/guest_fdt.h"
#include "support/aia_machine.h"
#include "support/aia_model.h"
#include "support/random.h"
#include "support/rv64_machine.h"

#include <libfdt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define STEPS 20000U
#define TRAP_BASE UINT64_C(0x80000400)
#define PC UINT64_C(0x80000100)
#define STOPI(irq) ((uint64_t)(irq) << 16 | 1)

static const struct axvm_emu_config with_imsic = {
    .name = "aplic", .base = {AIA_APLIC_BASE}, .length = VAPLIC_SIZE, .type = AXVM_EMU_INTERRUPT_CONTROLLER,
    .cfg = {AIA_IMSIC_BASE}, .cfg_count = 1,
};

static struct axvm *vm;
static struct rv64_vcpu *v0;

static void change(struct axvm_config *config, bool imsic)
{
    config->emu_devices[0] = with_imsic;
    config->emu_devices[0].cfg_count = imsic ? 1 : 0;
    config->emu_devices_count = 1;
}

static void change_imsic(struct axvm_config *config)
{
    change(config, true);
}

static void change_direct(struct axvm_config *config)
{
    change(config, false);
}

static void start(bool ssaia, void (*with)(struct axvm_config *config))
{
    rv64_model.features &= ~(uint32_t)RV64_AIA;
    rv64_model.features |= ssaia ? (uint32_t)RV64_AIA : 0;
    vm = machine_vm(2, with);
    v0 = rv64_machine_vcpu(vm, 0);
}

static bool has_ssaia(void)
{
    return (rv64_model.features & RV64_AIA) != 0;
}

/* ---- Instructions ---- */

static uint32_t csr_insn(unsigned csr, unsigned funct3, unsigned rd, unsigned rs1)
{
    return 0x73U | csr << 20 | rs1 << 15 | funct3 << 12 | rd << 7;
}

/* As the guest's own CPU, or the hypervisor behind it, does. False: it took an illegal-instruction exception. */
static bool execute(struct rv64_frame *frame, uint32_t insn)
{
    struct rv64_model_cpu *cpu = rv64_model_cpu();

    frame->pc = PC;
    cpu->sys[RV64_VSTVEC] = TRAP_BASE;
    rv64_guest_trap(frame, has_ssaia() ? CAUSE_VIRTUAL_INSTRUCTION : CAUSE_ILLEGAL, random_below(2) != 0 ? insn : 0,
                    insn);
    if (frame->pc == PC + 4) {
        return true;
    }
    assert_int_equal(frame->pc, TRAP_BASE);
    assert_int_equal(cpu->sys[RV64_VSCAUSE], CAUSE_ILLEGAL);
    assert_int_equal(cpu->sys[RV64_VSTVAL], insn);
    return false;
}

static uint64_t csrr(struct rv64_frame *frame, unsigned csr)
{
    assert_true(execute(frame, csr_insn(csr, 2, X_A0, 0)));
    return frame->x[X_A0];
}

static void csrw(struct rv64_frame *frame, unsigned csr, uint64_t value)
{
    frame->x[X_A0] = value;
    assert_true(execute(frame, csr_insn(csr, 1, 0, X_A0)));
}

static void select_reg(struct rv64_frame *frame, uint64_t select)
{
    if (has_ssaia()) {
        rv64_model_cpu()->sys[RV64_VSISELECT] = select;
    } else {
        csrw(frame, CSR_SISELECT, select);
    }
}

static void sireg_write(struct rv64_frame *frame, uint64_t select, uint64_t value)
{
    select_reg(frame, select);
    csrw(frame, CSR_SIREG, value);
}

/* ---- At random, against what the text says of each instruction ---- */

static struct aia_file file;
static uint64_t selected;
static unsigned done, refused, signalled;

static bool ref_access(unsigned csr, bool write, uint64_t mask, uint64_t value, uint64_t *old)
{
    *old = 0;
    if (csr == CSR_SISELECT) {
        *old = selected;
        selected = ((selected & ~mask) | (value & mask)) & 0x1ff;
        return true;
    }
    if (csr == CSR_SIREG && selected >= 0x30 && selected < 0x40) {
        return selected % 2 == 0;
    }
    if (csr == CSR_SIREG) {
        return aia_file_rmw(&file, selected, mask, value, old);
    }
    if (csr == CSR_STOPEI) {
        *old = aia_file_topei(&file);
        file.pending[*old >> 16] = write ? false : file.pending[*old >> 16];
        return true;
    }
    if (csr == CSR_STOPI) { /* nothing is enabled in vsie but the external interrupt */
        *old = file.delivery == 1 && aia_file_topei(&file) != 0 ? STOPI(9) : 0;
        return !write;
    }
    return false;
}

static void random_instruction(struct rv64_frame *frame)
{
    static const uint16_t csrs[] = {CSR_SIREG, CSR_SIREG, CSR_SIREG, CSR_SISELECT, CSR_STOPEI, CSR_STOPI, 0x152, 0xc01};
    unsigned csr = csrs[random_below(8)], funct3 = (unsigned)random_below(8), rd = (unsigned)random_below(32);
    unsigned rs1 = random_below(4) == 0 ? 0 : (unsigned)random_below(32);
    uint64_t operand = funct3 >= 4 ? rs1 : rs1 == 0 ? 0 : frame->x[rs1], before[32], old;
    uint64_t mask = funct3 % 4 == 1 ? UINT64_MAX : operand, value = funct3 % 4 == 3 ? 0 : operand;
    bool write = funct3 % 4 == 1 || rs1 != 0;
    bool legal = funct3 % 4 != 0 && ref_access(csr, write, write ? mask : 0, value, &old);

    memcpy(before, frame->x, sizeof(before));
    assert_int_equal(execute(frame, csr_insn(csr, funct3, rd, rs1)), legal);
    if (legal && rd != 0) {
        before[rd] = old;
    }
    before[0] = 0;
    assert_memory_equal(frame->x, before, sizeof(before));
    done += legal;
    refused += !legal;
}

static void check_pending(void)
{
    bool external = file.delivery == 1 && aia_file_topei(&file) != 0;

    signalled += external;
    assert_int_equal((rv64_model_cpu()->hvip & IRQ_VSE) != 0, external);
    if (has_ssaia()) {
        assert_int_equal(rv64_model_cpu()->sys[RV64_HVICTL], external ? 0x900ff : 0);
    }
}

static void random_guest(struct rv64_frame *frame)
{
    memset(&file, 0, sizeof(file));
    selected = 0;
    done = refused = signalled = 0;
    rv64_model_cpu()->sys[RV64_VSIE] = IRQ_SE;
    for (unsigned i = 0; i < STEPS; i++) {
        static const uint16_t often[] = {VIMSIC_EIDELIVERY, VIMSIC_EITHRESHOLD, VIMSIC_EIE0, VIMSIC_EIE0 + 2};
        uint64_t likely = random_below(3) == 0 ? random_u64() : 0x70 + random_below(0x60);

        likely = random_below(2) == 0 ? often[random_below(4)] : likely;
        for (unsigned r = 1; r < 32 && i % 16 == 0; r++) {
            frame->x[r] = random_below(2) == 0 ? random_below(random_below(2) == 0 ? 2 : 300) : random_u64();
        }
        if (i % 8 == 0) { /* else hardly any register is ever selected */
            selected = likely & 0x1ff;
            select_reg(frame, selected);
        }
        if (random_below(4) == 0) {
            uint32_t id = (uint32_t)random_below(260);

            file.pending[id < AIA_IDS ? id : 0] = id < AIA_IDS && id != 0;
            vimsic_send(&v0->imsic, id);
        }
        random_instruction(frame);
        if (has_ssaia()) {
            assert_int_equal(rv64_model_cpu()->sys[RV64_VSISELECT], selected);
        }
        check_pending();
    }
}

static void each_instruction_does_what_the_text_says(bool ssaia)
{
    start(ssaia, change_imsic);
    rv64_machine_run(vm, 0, random_guest);
    assert_true(done > STEPS / 4 && refused > STEPS / 10 && signalled > STEPS / 100);
}

static void instructions_with_ssaia(void **state)
{
    (void)state;
    random_start("with Ssaia");
    each_instruction_does_what_the_text_says(true);
}

static void instructions_without(void **state)
{
    (void)state;
    random_start("without Ssaia");
    each_instruction_does_what_the_text_says(false);
}

/* ---- One by one ---- */

static void guest_stopi(struct rv64_frame *frame)
{
    struct rv64_model_cpu *cpu = rv64_model_cpu();

    sireg_write(frame, VIMSIC_EIDELIVERY, 1);
    sireg_write(frame, VIMSIC_EIE0, 1U << 5);
    vimsic_send(&v0->imsic, 5);
    cpu->hvip |= IRQ_VSS;
    cpu->timecmp = 0;
    cpu->sys[RV64_VSIE] = 0;
    assert_int_equal(csrr(frame, CSR_STOPI), 0);
    cpu->sys[RV64_VSIE] = IRQ_ST;
    assert_int_equal(csrr(frame, CSR_STOPI), STOPI(5));
    cpu->sys[RV64_VSIE] = IRQ_ST | IRQ_SS;
    assert_int_equal(csrr(frame, CSR_STOPI), STOPI(1));
    cpu->sys[RV64_VSIE] = IRQ_ST | IRQ_SS | IRQ_SE;
    assert_int_equal(csrr(frame, CSR_STOPI), STOPI(9));
    assert_false(execute(frame, csr_insn(CSR_STOPI, 1, X_A0, X_A0)));
}

static void stopi_says_what_comes_first(void **state)
{
    (void)state;
    start(false, change_imsic);
    rv64_machine_run(vm, 0, guest_stopi);
}

static void guest_user(struct rv64_frame *frame)
{
    static const uint16_t csrs[] = {CSR_SISELECT, CSR_SIREG, CSR_STOPEI, CSR_STOPI};

    for (unsigned i = 0; i < 4; i++) {
        rv64_model_set_vs(false);
        assert_false(execute(frame, csr_insn(csrs[i], 2, X_A0, 0)));
    }
}

static void user_mode_has_none_of_them(void **state)
{
    (void)state;
    start(true, change_imsic);
    rv64_machine_run(vm, 0, guest_user);
}

static void guest_refused(struct rv64_frame *frame)
{
    assert_false(execute(frame, csr_insn(CSR_SISELECT, 2, X_A0, 0)));
    assert_false(execute(frame, csr_insn(CSR_STOPEI, 1, X_A0, 0)));
    assert_false(execute(frame, csr_insn(CSR_STOPI, 2, X_A0, 0)));
}

static void without_imsic_there_are_none(void **state)
{
    (void)state;
    start(true, change_direct);
    rv64_machine_run(vm, 0, guest_refused);
    start(true, NULL);
    rv64_machine_run(vm, 0, guest_refused);
}

static void guest_looks(struct rv64_frame *frame)
{
    (void)frame;
}

static bool delegates_illegal(void)
{
    rv64_machine_run(vm, 0, guest_looks);
    return (rv64_model_cpu()->controls.hedeleg & RV_BIT(CAUSE_ILLEGAL)) != 0;
}

static void illegal_instructions_come_here_only_where_a_csr_may_be_one(void **state)
{
    (void)state;
    start(true, change_imsic);
    assert_true(delegates_illegal());
    start(false, change_imsic);
    assert_false(delegates_illegal());
    start(false, change_direct);
    assert_true(delegates_illegal());
    start(false, NULL);
    assert_true(delegates_illegal());
}

static void guest_selects(struct rv64_frame *frame)
{
    if (rv64_model_cpu()->sys[RV64_VSSCRATCH] == 0) {
        select_reg(frame, 0x70);
        rv64_model_cpu()->sys[RV64_VSSCRATCH] = 1;
    } else {
        assert_int_equal(rv64_model_cpu()->sys[RV64_VSISELECT], 0x70);
    }
}

static void guest_sees_zero(struct rv64_frame *frame)
{
    (void)frame;
    assert_int_equal(rv64_model_cpu()->sys[RV64_VSISELECT], 0);
    rv64_model_cpu()->sys[RV64_VSISELECT] = 0x1ff;
}

static void what_one_selects_no_other_sees(void **state)
{
    (void)state;
    start(true, change_imsic);
    rv64_machine_run(vm, 0, guest_selects);
    machine_cpu_on(vm, 1);
    rv64_machine_run(vm, 1, guest_sees_zero);
    rv64_machine_run(vm, 0, guest_selects);
}

/* ---- Interrupts ---- */

static void guest_takes_one(struct rv64_frame *frame)
{
    struct rv64_model_cpu *cpu = rv64_model_cpu();

    sireg_write(frame, VIMSIC_EIDELIVERY, 1);
    sireg_write(frame, VIMSIC_EIE0, 1U << 20);
    assert_int_equal(cpu->hvip & IRQ_VSE, 0);
    assert_int_equal(axvm_signal_msi(vm, AIA_IMSIC_BASE, 0, 20), AXVM_OK);
    rv64_guest_irq(frame, AXVM_IRQ_HANDLED, 5); /* any exit */
    assert_true((cpu->hvip & IRQ_VSE) != 0);
    assert_true(execute(frame, csr_insn(CSR_STOPEI, 1, X_A0, 0)));
    assert_int_equal(frame->x[X_A0], 20 << 16 | 20);
    assert_int_equal(cpu->hvip & IRQ_VSE, 0);
}

static void a_message_is_signalled_until_it_is_claimed(void **state)
{
    (void)state;
    start(true, change_imsic);
    rv64_machine_run(vm, 0, guest_takes_one);
    assert_int_equal(axvm_signal_msi(vm, AIA_IMSIC_BASE + 2 * VIMSIC_PAGE, 0, 20), AXVM_EINVAL);
}

static void guest_waits(struct rv64_frame *frame)
{
    sireg_write(frame, VIMSIC_EIDELIVERY, 1);
    sireg_write(frame, VIMSIC_EIE0, 1U << 20);
    rv64_model_cpu()->sys[RV64_VSIE] = IRQ_SE;
    rv64_guest_wfi(frame);
}

static void a_message_ends_a_wait(void **state)
{
    (void)state;
    start(true, change_imsic);
    assert_int_equal(rv64_machine_run(vm, 0, guest_waits).kind, AXVM_EXIT_HALT);
    assert_false(axvm_vcpu_runnable(vm, 0));
    assert_int_equal(axvm_signal_msi(vm, AIA_IMSIC_BASE, 0, 21), AXVM_OK);
    assert_false(axvm_vcpu_runnable(vm, 0));
    assert_int_equal(axvm_signal_msi(vm, AIA_IMSIC_BASE, 0, 20), AXVM_OK);
    assert_true(axvm_vcpu_runnable(vm, 0));
    assert_int_equal(fake_hal_kicks_of(axvm_id(vm), 0), 1);
}

static void guest_reads_stopei(struct rv64_frame *frame)
{
    assert_int_equal(csrr(frame, CSR_STOPEI), 0);
}

static void reset_takes_the_file_along(void **state)
{
    (void)state;
    start(true, change_imsic);
    rv64_machine_run(vm, 0, guest_waits);
    assert_int_equal(axvm_signal_msi(vm, AIA_IMSIC_BASE, 0, 20), AXVM_OK);
    assert_int_equal(axvm_shutdown(vm), AXVM_OK);
    assert_int_equal(axvm_release_vcpu(vm, 0), AXVM_OK);
    assert_int_equal(axvm_reset(vm), AXVM_OK);
    assert_int_equal(axvm_boot(vm), AXVM_OK);
    rv64_machine_run(vm, 0, guest_reads_stopei);
}

static void guest_serves_the_aplic(struct rv64_frame *frame)
{
    struct axvm_device *aplic = &rv64_vm(vm)->aplic.device;
    struct rv64_model_cpu *cpu = rv64_model_cpu();
    uint64_t claim = 0;

    aplic->ops->write(aplic, vm->vcpus[0], APLIC_DOMAINCFG, 4, DOMAINCFG_ON);
    aplic->ops->write(aplic, vm->vcpus[0], APLIC_SOURCECFG + 4 * 10, 4, SM_LEVEL1);
    aplic->ops->write(aplic, vm->vcpus[0], APLIC_TARGET + 4 * 10, 4, 1);
    aplic->ops->write(aplic, vm->vcpus[0], APLIC_SETIENUM, 4, 10);
    aplic->ops->write(aplic, vm->vcpus[0], APLIC_IDC + IDC_IDELIVERY, 4, 1);
    assert_int_equal(axvm_inject_interrupt(vm, 1, 10), AXVM_OK);
    rv64_guest_irq(frame, AXVM_IRQ_HANDLED, 5);
    assert_true((cpu->hvip & IRQ_VSE) != 0);
    aplic->ops->read(aplic, vm->vcpus[0], APLIC_IDC + IDC_CLAIMI, 4, &claim);
    assert_int_equal(claim, 10 << 16 | 1);
    rv64_guest_irq(frame, AXVM_IRQ_HANDLED, 5);
    assert_int_equal(cpu->hvip & IRQ_VSE, 0);
}

static void without_imsic_the_aplic_has_the_line(void **state)
{
    (void)state;
    start(false, change_direct);
    rv64_machine_run(vm, 0, guest_serves_the_aplic);
    assert_int_equal(axvm_signal_msi(vm, AIA_IMSIC_BASE, 0, 20), AXVM_EINVAL);
}

/* ---- What the guest is told ---- */

/* In both ways there are. */
static bool told_of_ssaia(void)
{
    static _Alignas(8) char fdt[8192];
    const char *isa;
    int cpu;

    assert_int_equal(guest_fdt_build(vm, fdt, sizeof(fdt)), AXVM_OK);
    cpu = fdt_path_offset(fdt, "/cpus/cpu@1");
    isa = fdt_getprop(fdt, cpu, "riscv,isa", NULL);
    assert_non_null(isa);
    assert_string_equal(fdt_getprop(fdt, cpu, "riscv,isa-base", NULL), "rv64i");
    assert_int_equal(fdt_stringlist_search(fdt, cpu, "riscv,isa-extensions", "i"), 0);
    assert_int_equal(fdt_stringlist_search(fdt, cpu, "riscv,isa-extensions", "ssaia") >= 0,
                     strstr(isa, "_ssaia") != NULL);
    return strstr(isa, "_ssaia") != NULL;
}

static void the_tree_tells_of_ssaia_with_the_imsic(void **state)
{
    (void)state;
    start(true, change_imsic);
    assert_true(told_of_ssaia());
    start(false, change_imsic);
    assert_true(told_of_ssaia());
    start(true, change_direct);
    assert_false(told_of_ssaia());
    start(true, NULL);
    assert_false(told_of_ssaia());
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, rv64_machine_setup, machine_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(instructions_with_ssaia),
        TEST(instructions_without),
        TEST(stopi_says_what_comes_first),
        TEST(user_mode_has_none_of_them),
        TEST(without_imsic_there_are_none),
        TEST(illegal_instructions_come_here_only_where_a_csr_may_be_one),
        TEST(what_one_selects_no_other_sees),
        TEST(a_message_is_signalled_until_it_is_claimed),
        TEST(a_message_ends_a_wait),
        TEST(reset_takes_the_file_along),
        TEST(without_imsic_the_aplic_has_the_line),
        TEST(the_tree_tells_of_ssaia_with_the_imsic),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
