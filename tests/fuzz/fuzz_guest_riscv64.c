/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that does anything: the input is a program of exits, run by two vCPUs on the modelled machine, through the
 * whole of the library. Whatever it does, the library comes back with an exit that its interface knows, and nothing
 * leaks. The first byte says which interrupt controllers it has, and what of them and of timers is the hardware's.
 */
#include "fuzz.h"
#include "support/aia_machine.h"
#include "support/rv64_machine.h"

#define RUNS_MAX 2000U /* exits to the host, for one input */
#define UART UINT64_C(0x10000000)

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct input in;
static struct axvm *vm;

/* ---- The machine ---- */

static const struct axvm_emu_config plic = {
    .name = "plic", .base = {MACHINE_PLIC}, .length = 0x600000, .type = AXVM_EMU_INTERRUPT_CONTROLLER};
static const struct axvm_emu_config aplic = {
    .name = "aplic", .base = {AIA_APLIC_BASE}, .length = VAPLIC_SIZE, .type = AXVM_EMU_INTERRUPT_CONTROLLER};
static const struct axvm_emu_config uart = {
    .name = "uart", .base = {UART}, .length = 0x100, .irq = 10, .type = AXVM_EMU_CONSOLE};

static unsigned kind;

static void configure(struct axvm_config *config)
{
    config->emu_devices[0] = (kind & 3) == 0 ? plic : aplic;
    if ((kind & 3) > 1) {
        config->emu_devices[0].cfg[0] = AIA_IMSIC_BASE;
        config->emu_devices[0].cfg_count = 1;
    }
    config->emu_devices[1] = uart;
    config->emu_devices_count = 2;
    config->lazy = (kind & 0x20) != 0;
}

static void start(void)
{
    kind = (unsigned)take(&in, 1);
    rv64_model.features |= (kind & 4) != 0 ? RV64_GUEST_FILE : 0;
    rv64_model.features &= (kind & 8) != 0 ? ~(uint32_t)RV64_AIA : UINT32_MAX;
    rv64_model.features &= (kind & 0x10) != 0 ? ~(uint32_t)RV64_SSTC : UINT32_MAX;
    vm = machine_vm(2, configure);
    for (uint32_t i = 0; i < 2 && (kind & 0x40) != 0; i++) {
        require(axvm_vcpu_set_alone(vm, i, true) == AXVM_OK);
    }
}

/* ---- What a guest does ---- */

/* Anywhere near, or at a register of 32 bits in one of some pages. */
static uint64_t address(void)
{
    static const uint64_t bases[] = {
        MACHINE_PLIC, MACHINE_PLIC + 0x200000, UART, AIA_APLIC_BASE, AIA_IMSIC_BASE, AIA_IMSIC_BASE + VIMSIC_PAGE,
        RV64_RAM, RV64_RAM + MACHINE_RAM_SIZE - 0x8000, MACHINE_NOTHING + 0x10000, UINT64_C(0x3fffffffff0000),
    };

    uint64_t base = take(&in, 1), offset = take(&in, 2);

    offset = base < 0x80 ? offset : (offset & 0x1f00) << 4 | (offset & 0xff) * 4;
    return bases[base % COUNT(bases)] + offset;
}

static void do_load(struct rv64_frame *frame)
{
    uint64_t how = take(&in, 1);

    rv64_guest_load(frame, address(), 1U << (how & 3), (unsigned)(how >> 3), (how & 7) < 7 && (how & 4) != 0);
}

static void do_store(struct rv64_frame *frame)
{
    uint64_t how = take(&in, 1);
    unsigned reg = (unsigned)(how >> 3);

    frame->x[reg] = take(&in, 4);
    rv64_guest_store(frame, address(), 1U << (how & 3), reg);
}

/* By any instruction: at an address that is the instruction's, or isn't. */
static void do_access(struct rv64_frame *frame)
{
    static const enum rv64_cause causes[] = {CAUSE_LOAD_GUEST_PAGE, CAUSE_STORE_GUEST_PAGE, CAUSE_FETCH_GUEST_PAGE};
    enum rv64_cause cause = causes[take(&in, 1) % COUNT(causes)];
    uint64_t where = address(), how = take(&in, 1);
    uint64_t tval = (how & 1) != 0 ? take(&in, 8) : where;
    uint64_t tinst = (how & 2) != 0 ? take(&in, 4) : 0;
    uint32_t insn = (uint32_t)take(&in, 4);

    frame->x[insn >> 15 & 31] = where;
    rv64_guest_fault_at(frame, cause, (how & 4) != 0 ? 0 : where, tval, tinst, insn);
}

static void do_virtual(struct rv64_frame *frame)
{
    rv64_guest_virtual(frame, (uint32_t)take(&in, 4));
}

static void do_known_csr(struct rv64_frame *frame)
{
    static const unsigned csrs[] = {CSR_SISELECT, CSR_SIREG, CSR_SIREG, CSR_STOPEI, CSR_STOPI};
    static const uint8_t registers[] = {0x70, 0x72, 0x80, 0x82, 0x86, 0xc0, 0xc6, 0x30, 0x71, 0xff};
    unsigned csr = csrs[take(&in, 1) % COUNT(csrs)];
    uint32_t how = (uint32_t)take(&in, 1); /* funct3, rd and the low bits of rs1 */

    frame->x[5] = csr == CSR_SISELECT ? registers[take(&in, 1) % COUNT(registers)] : take(&in, 8);
    rv64_guest_virtual(frame, 0x73U | csr << 20 | ((how & 0x80) != 0 ? 5U : how >> 3 & 1) << 15 | (how & 7) << 12 |
                                  6U << 7);
}

static uint64_t argument(uint64_t how, size_t bytes)
{
    switch (how & 3) {
    case 0:
        return take(&in, bytes);
    case 1:
        return address();
    case 2:
        return take(&in, 8);
    default:
        return UINT64_MAX;
    }
}

static void do_call(struct rv64_frame *frame)
{
    static const uint32_t eids[] = {0x10, 0x54494d45, 0x735049, 0x52464e43, 0x48534d, 0x53525354, 0x53555350,
                                    0x4442434e, 0x485643, 0, 1, 2, 3, 4, 5, 6, 7, 8};
    uint8_t choice = (uint8_t)take(&in, 1);
    uint64_t eid = choice < 250 ? eids[choice % COUNT(eids)] : take(&in, 4);
    uint64_t fid = take(&in, 1) & 7, how = take(&in, 1);
    size_t bytes = how < 0x80 ? 1 : 2;
    uint64_t args[3];

    for (unsigned i = 0; i < COUNT(args); i++, how >>= 2) {
        args[i] = argument(how, bytes);
    }
    frame->x[X_A3] = take(&in, 2);
    (void)rv64_guest_sbi(frame, eid, fid, args[0], args[1], args[2]);
}

/* Any cause at all, with any addresses and registers. */
static void do_anything(struct rv64_frame *frame)
{
    uint64_t cause = take(&in, 1), gpa = take(&in, 7), tval = take(&in, 8), tinst = take(&in, 4);

    frame->pc = take(&in, 8);
    frame->x[take(&in, 1) & 31] = take(&in, 8);
    rv64_guest_fault_at(frame, (enum rv64_cause)(cause & 63), gpa, tval, tinst, (uint32_t)take(&in, 4));
}

static void do_interrupt(struct rv64_frame *frame)
{
    static const enum axvm_irq_result results[] = {AXVM_IRQ_NONE, AXVM_IRQ_HANDLED, AXVM_IRQ_MAINTENANCE,
                                                   AXVM_IRQ_RESCHED};
    uint64_t how = take(&in, 1);

    rv64_guest_irq(frame, results[how & 3], how >> 2 & 15);
}

/* What needs no exit: memory, with page tables in it; registers; messages by a store to a page that is mapped. */
static void do_without_exit(struct rv64_frame *frame)
{
    static const enum rv64_sys regs[] = {RV64_VSSTATUS, RV64_VSIE, RV64_VSTVEC, RV64_VSATP};
    struct rv64_model_cpu *cpu = rv64_model_cpu();
    uint64_t how = take(&in, 1), value = take(&in, 8);

    (void)frame;
    if (how < 0x40) {
        (void)addrspace_write(&vm->as, gpa(address()), &value, sizeof(value));
    } else if (how < 0x80) {
        cpu->sys[regs[how & 3]] = value;
    } else if (how < 0xa0) {
        rv64_model_set_vs((how & 1) != 0);
    } else if (how < 0xc0) {
        cpu->hvip &= ~((uint64_t)IRQ_VSS & value);
    } else if (how < 0xe0 && (rv64_model.features & RV64_SSTC) != 0) {
        cpu->timecmp = value;
    } else if ((cpu->controls.hstatus & HSTATUS_VGEIN) != 0) {
        rv64_model_message((unsigned)(cpu - rv64_model.cpus), (uint32_t)value % VIMSIC_IDS + 1);
    }
}

static void do_wait(struct rv64_frame *frame)
{
    if ((rv64_model_cpu()->controls.hstatus & HSTATUS_VTW) != 0) {
        rv64_guest_wfi(frame);
    }
}

static void (*const deeds[])(struct rv64_frame *frame) = {
    do_load, do_store, do_store, do_access, do_virtual, do_known_csr, do_known_csr, do_call, do_call, do_anything,
    do_interrupt, do_without_exit, do_without_exit, do_wait,
};

static void guest(struct rv64_frame *frame)
{
    while (in.size > 0) {
        deeds[take(&in, 1) % COUNT(deeds)](frame);
        require(frame->x[0] == 0);
    }
    rv64_model_set_vs(true);
    (void)rv64_guest_sbi(frame, 8, 0, 0, 0, 0);
}

/* ---- What the host does ---- */

static void type(void)
{
    char typed = (char)take(&in, 1);

    (void)axvm_console_input(vm, &typed, 1);
}

static void message(void)
{
    uint64_t to = take(&in, 1);

    (void)axvm_signal_msi(vm, AIA_IMSIC_BASE + (to & 3) * VIMSIC_PAGE, 0, (uint32_t)take(&in, 1));
}

static void host(void)
{
    uint32_t vcpu = 0;

    for (unsigned runs = 0; runs < RUNS_MAX && axvm_state(vm) == AXVM_STATE_RUNNING; runs++) {
        struct axvm_exit exit = {.kind = AXVM_EXIT_KIND_COUNT};
        uint64_t what;

        machine_pcpu(vcpu);
        rv64_model_guest(guest);
        require(axvm_run_vcpu(vm, vcpu, &exit) == AXVM_OK && exit.kind < AXVM_EXIT_KIND_COUNT);
        if (exit.kind == AXVM_EXIT_HYPERCALL) {
            require(axvm_set_return_value(vm, vcpu, UINT64_MAX) == AXVM_OK);
        }
        fake_hal_advance(take(&in, 1) * 100);
        what = take(&in, 1);
        if ((what & 1) != 0) {
            type();
        }
        if ((what & 2) != 0) {
            message();
        }
        vcpu = (uint32_t)what >> 2 & 1;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    void *state = NULL;

    in = (struct input){data, size};
    require(rv64_machine_setup(&state) == 0);
    start();
    host();
    require(machine_teardown(&state) == 0);
    return 0;
}
