/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that does anything: the input is a program of exits, run by two vCPUs on the modelled machine, through the
 * whole of the library. Whatever it does, the library comes back with an exit that its interface knows, and nothing
 * leaks.
 */
#include "fuzz.h"
#include "support/a64_machine.h"

#define RUNS_MAX 2000U /* exits to the host, for one input */

static struct input in;

static uint64_t device_address(void)
{
    static const uint64_t bases[] = {
        0x08000000, 0x08080000, 0x08090000, 0x080a0000, 0x080b0000,  0x080c0000,
        0x080d0000, 0x09000000, 0x09010000, A64_RAM, 0x0fffffff000,
    };

    return bases[take(&in, 1) % (sizeof(bases) / sizeof(bases[0]))] + take(&in, 2);
}

static void do_load(struct a64_frame *frame)
{
    a64_guest_load(frame, device_address(), 1U << (take(&in, 1) & 3), (unsigned)take(&in, 1) & 31,
                   (take(&in, 1) & 3) << 15 & (ISS_SF | ISS_SSE));
}

static void do_store(struct a64_frame *frame)
{
    unsigned reg = (unsigned)take(&in, 1) & 31;

    if (reg < 31) {
        frame->x[reg] = take(&in, 4);
    }
    a64_guest_store(frame, device_address(), 1U << (take(&in, 1) & 3), reg);
}

static void do_sysreg(struct a64_frame *frame)
{
    frame->x[0] = take(&in, 8);
    a64_guest_sync(frame, a64_esr(EC_SYSREG, take(&in, 4) & ESR_ISS_MASK));
}

static void do_known_sysreg(struct a64_frame *frame)
{
    static const uint8_t regs[][5] = {
        {3, 0, 12, 11, 1}, {3, 0, 12, 11, 5}, {3, 0, 12, 11, 6}, {3, 0, 12, 11, 7}, {3, 3, 14, 2, 0},
        {3, 3, 14, 2, 1},  {3, 3, 14, 2, 2},  {2, 0, 0, 2, 2},   {2, 0, 0, 1, 4},   {2, 0, 0, 1, 5},
    };
    const uint8_t *reg = regs[take(&in, 1) % (sizeof(regs) / sizeof(regs[0]))];
    uint64_t direction = take(&in, 1) & ISS_SYS_READ;

    frame->x[0] = take(&in, 8);
    a64_guest_sync(frame, a64_esr_sysreg(reg[0], reg[1], reg[2], reg[3], reg[4], 0) | direction);
}

static void do_call(struct a64_frame *frame)
{
    static const uint32_t ids[] = {0x84000000, 0x84000001, 0xc4000003, 0xc4000004, 0x84000006, 0x8400000a, 0x84000012,
                                   0x80000000, 0x80000001, 0,          3};
    uint8_t choice = (uint8_t)take(&in, 1);
    uint64_t id = choice < 200 ? ids[choice % (sizeof(ids) / sizeof(ids[0]))] : take(&in, 4);
    uint64_t arg1 = take(&in, 1), arg2 = A64_RAM + take(&in, 2), arg3 = take(&in, 8);

    if ((choice & 1) != 0) {
        (void)a64_guest_hvc(frame, id, arg1, arg2, arg3);
    } else {
        (void)a64_guest_smc(frame, id, arg1, arg2, arg3);
    }
}

/* Any syndrome at all, with any addresses and any mode. */
static void do_anything(struct a64_frame *frame)
{
    struct a64_model_cpu *cpu = a64_model_cpu();

    cpu->far = take(&in, 8);
    cpu->hpfar = take(&in, 5);
    frame->pstate = take(&in, 4);
    a64_guest_sync(frame, take(&in, 4));
}

static void do_interrupt(struct a64_frame *frame)
{
    static const enum axvm_irq_result results[] = {AXVM_IRQ_NONE, AXVM_IRQ_HANDLED, AXVM_IRQ_MAINTENANCE,
                                                   AXVM_IRQ_RESCHED};

    a64_guest_irq(frame, results[take(&in, 1) & 3], 0);
}

static void do_timer_interrupt(struct a64_frame *frame)
{
    if (!fake_hal_irq_active(a64_model_cpu() == &a64_model.cpus[0] ? 0 : 1, A64_PPI_CNTV)) {
        a64_guest_irq(frame, AXVM_IRQ_GUEST, A64_PPI_CNTV);
    }
}

static void do_cpu_interface(struct a64_frame *frame)
{
    uint8_t what = (uint8_t)take(&in, 1);
    uint32_t intid;

    (void)frame;
    switch (what % 6) {
    case 0:
        intid = ich_model_ack(what >> 7);
        if (intid != ICH_MODEL_SPURIOUS && (what & 0x40) != 0) {
            ich_model_eoi(what >> 7, intid);
        }
        break;
    case 1:
        ich_model_eoi(what >> 7, (uint32_t)take(&in, 2));
        break;
    case 2:
        ich_model_set_group(what >> 7, (what & 0x40) != 0);
        break;
    case 3:
        ich_model_set_pmr((uint32_t)take(&in, 1));
        break;
    case 4:
        ich_model_set_eoi_mode((what & 0x40) != 0);
        break;
    default:
        ich_model_set_bpr(what >> 7, (uint32_t)take(&in, 1) & 7);
        break;
    }
}

static void do_wait(struct a64_frame *frame)
{
    a64_guest_wfi(frame);
}

static void (*const deeds[])(struct a64_frame *frame) = {
    do_load, do_store, do_store, do_sysreg, do_known_sysreg, do_call, do_anything,
    do_interrupt, do_timer_interrupt, do_cpu_interface, do_cpu_interface, do_wait,
};

static void guest(struct a64_frame *frame)
{
    while (in.size > 0) {
        deeds[take(&in, 1) % (sizeof(deeds) / sizeof(deeds[0]))](frame);
    }
    a64_guest_hvc(frame, 0x84000008, 0, 0, 0);
}

static void host(struct axvm *vm)
{
    uint32_t vcpu = 0;

    for (unsigned runs = 0; runs < RUNS_MAX && axvm_state(vm) == AXVM_STATE_RUNNING; runs++) {
        struct axvm_exit exit = {.kind = AXVM_EXIT_KIND_COUNT};

        machine_pcpu(vcpu);
        a64_model_guest(guest);
        require(axvm_run_vcpu(vm, vcpu, &exit) == AXVM_OK && exit.kind < AXVM_EXIT_KIND_COUNT);
        if (exit.kind == AXVM_EXIT_HYPERCALL) {
            require(axvm_set_return_value(vm, vcpu, UINT64_MAX) == AXVM_OK);
        }
        fake_hal_advance(take(&in, 1) * 100);
        if ((take(&in, 1) & 1) != 0) {
            char typed = (char)take(&in, 1);

            (void)axvm_console_input(vm, &typed, 1);
        }
        vcpu = (uint32_t)take(&in, 1) & 1;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    void *state = NULL;

    in = (struct input){data, size};
    require(a64_machine_setup(&state) == 0);
    host(machine_vm(2, NULL));
    require(machine_teardown(&state) == 0);
    return 0;
}
