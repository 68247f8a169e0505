/* SPDX-License-Identifier: Apache-2.0 */
#include "support/a64_machine.h"

#include "lib/host.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define PSCI_VERSION 0x84000000U
#define PSCI_CPU_ON64 0xc4000003U
#define VERSION_1_1 0x10001U

static struct a64_frame *frame_now(void)
{
    return a64_model_cpu()->frame;
}

static void deactivated(unsigned pcpu, uint32_t irq)
{
    (void)pcpu; /* the calling one: it is where the guest runs */
    hal->irq_set_active(irq, false);
}

static void reset(struct axvm_hal *host)
{
    host->irq_handle = a64_model_irq_handle;
    a64_model_reset();
    ich_model_reset(4);
    ich_model_on_deactivate(deactivated);
}

static void guest(struct a64_frame *frame)
{
    (void)frame;
    machine_be_guest();
}

static void enters(void)
{
    a64_model_guest(guest);
}

static void call(void)
{
    a64_guest_hvc(frame_now(), PSCI_VERSION, 0, 0, 0);
}

static void check_answer(void)
{
    assert_int_equal(frame_now()->x[0], VERSION_1_1);
}

static void wfi(void)
{
    a64_guest_wfi(frame_now());
}

static void irq(enum axvm_irq_result result, uint32_t number)
{
    a64_guest_irq(frame_now(), result, number);
}

static void start(uint64_t cpu)
{
    a64_guest_hvc(frame_now(), PSCI_CPU_ON64, cpu, A64_RAM, 0);
}

const struct machine_arch machine_a64 = {
    .arch = &axvm_arch_aarch64,
    .kernel = 0x14000000, /* b . */
    .reset = reset,
    .select = ich_model_select,
    .faults = ich_model_faults,
    .enters = enters,
    .call = call,
    .check_answer = check_answer,
    .wfi = wfi,
    .irq = irq,
    .start = start,
};

int a64_machine_setup(void **state)
{
    (void)state;
    return machine_setup(&machine_a64);
}

struct axvm_exit a64_machine_run(struct axvm *vm, uint32_t vcpu, a64_guest *its_guest)
{
    a64_model_guest(its_guest);
    return machine_enter(vm, vcpu);
}

struct a64_vcpu *a64_machine_vcpu(struct axvm *vm, uint32_t vcpu)
{
    return a64_vcpu(vm->vcpus[vcpu]);
}
