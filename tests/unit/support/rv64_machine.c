/* SPDX-License-Identifier: Apache-2.0 */
#include "support/rv64_machine.h"

#include "lib/host.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define SBI_BASE 0x10U
#define BASE_GET_SPEC_VERSION 0
#define SPEC_VERSION_2_0 0x02000000U
#define SBI_HSM 0x48534dU
#define HSM_HART_START 0

static struct rv64_frame *frame_now(void)
{
    return rv64_model_cpu()->frame;
}

static uint64_t pcpu_hart(unsigned pcpu)
{
    return MACHINE_HART(pcpu);
}

static void reset(struct axvm_hal *host)
{
    host->irq_handle = rv64_model_irq_handle;
    host->pcpu_hart = pcpu_hart;
    host->guest_file = rv64_model_guest_file; /* of use with RV64_GUEST_FILE */
    host->isa = "rv64imafdch_zicsr_zifencei_zicbom_sstc_svpbmt";
    rv64_model_reset();
}

static void configure(struct axvm_config *config)
{
    config->default_devices = false;
    config->emu_devices[0] = (struct axvm_emu_config){
        .name = "plic", .base = gpa(MACHINE_PLIC), .length = 0x600000, .type = AXVM_EMU_INTERRUPT_CONTROLLER};
    config->emu_devices_count = 1;
}

static void guest(struct rv64_frame *frame)
{
    (void)frame;
    machine_be_guest();
}

static void enters(void)
{
    rv64_model_guest(guest);
}

static void call(void)
{
    assert_int_equal(rv64_guest_sbi(frame_now(), SBI_BASE, BASE_GET_SPEC_VERSION, 0, 0, 0), 0);
}

static void check_answer(void)
{
    assert_int_equal(frame_now()->x[X_A1], SPEC_VERSION_2_0);
}

static void wfi(void)
{
    rv64_guest_wfi(frame_now());
}

static void irq(enum axvm_irq_result result, uint32_t number)
{
    rv64_guest_irq(frame_now(), result, number);
}

static void start(uint64_t cpu)
{
    rv64_guest_sbi(frame_now(), SBI_HSM, HSM_HART_START, cpu, RV64_RAM, 0);
}

const struct machine_arch machine_rv64 = {
    .arch = &axvm_arch_riscv64,
    .kernel = 0x0000006f, /* j . */
    .reset = reset,
    .configure = configure,
    .enters = enters,
    .call = call,
    .check_answer = check_answer,
    .wfi = wfi,
    .irq = irq,
    .start = start,
};

int rv64_machine_setup(void **state)
{
    (void)state;
    return machine_setup(&machine_rv64);
}

struct axvm_exit rv64_machine_run(struct axvm *vm, uint32_t vcpu, rv64_guest *its_guest)
{
    rv64_model_guest(its_guest);
    return machine_enter(vm, vcpu);
}

struct rv64_vcpu *rv64_machine_vcpu(struct axvm *vm, uint32_t vcpu)
{
    return rv64_vcpu(vm->vcpus[vcpu]);
}
