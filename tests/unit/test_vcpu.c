/* SPDX-License-Identifier: Apache-2.0 */
/* axvm_run_vcpu() and what vCPUs are asked from outside: residency, power, requests, registers, interrupts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>

#include "support/fake_vm.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_vm_setup, fake_vm_teardown)

/* ---- Exits that the library answers ---- */

/* Have vCPU 0 meet `exit`, and then halt; what vcpu_complete() was told. */
static struct fake_completion answer(struct axvm *vm, struct axvm_exit exit)
{
    unsigned before = fake_vcpu(vm, 0)->completion_count;

    fake_push(fake_vcpu(vm, 0), exit);
    assert_int_equal(fake_run_on(0, vm, 0), AXVM_EXIT_HALT);
    assert_int_equal(fake_vcpu(vm, 0)->completion_count, before + 1);
    return *fake_completed(fake_vcpu(vm, 0), 0);
}

static void an_mmio_read_is_extended_as_the_instruction_says(void **state)
{
    static const struct {
        enum axvm_width width, reg_width;
        bool signed_ext;
        uint64_t device, expected;
    } cases[] = {
        {AXVM_BYTE, AXVM_DWORD, false, 0x80, 0x80},
        {AXVM_BYTE, AXVM_DWORD, true, 0x80, 0xffffff80},
        {AXVM_BYTE, AXVM_DWORD, true, 0x7f, 0x7f},
        {AXVM_BYTE, AXVM_QWORD, false, 0xff, 0xff},
        {AXVM_BYTE, AXVM_QWORD, true, 0xff, UINT64_MAX},
        {AXVM_WORD, AXVM_DWORD, false, 0x8001, 0x8001},
        {AXVM_WORD, AXVM_DWORD, true, 0x8001, 0xffff8001},
        {AXVM_WORD, AXVM_QWORD, true, 0x8001, 0xffffffffffff8001},
        {AXVM_DWORD, AXVM_DWORD, false, 0x80000001, 0x80000001},
        {AXVM_DWORD, AXVM_DWORD, true, 0x80000001, 0x80000001},
        {AXVM_DWORD, AXVM_QWORD, false, 0x80000001, 0x80000001},
        {AXVM_DWORD, AXVM_QWORD, true, 0x80000001, 0xffffffff80000001},
        {AXVM_QWORD, AXVM_QWORD, false, 0x8000000000000001, 0x8000000000000001},
        {AXVM_QWORD, AXVM_QWORD, true, 0x8000000000000001, 0x8000000000000001},
        /* What a device says beyond its width is not the guest's to see. */
        {AXVM_BYTE, AXVM_QWORD, false, 0x12345678, 0x78},
        {AXVM_WORD, AXVM_DWORD, true, 0xf12345678, 0x5678},
    };
    struct axvm *vm = fake_vm_boot(1);

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fake_completion done;

        fake_console(vm)->value = cases[i].device;
        done = answer(vm, (struct axvm_exit){.kind = AXVM_EXIT_MMIO_READ,
                                             .mmio = {.addr = gpa(FAKE_CONSOLE_BASE + 8),
                                                      .width = cases[i].width,
                                                      .reg_width = cases[i].reg_width,
                                                      .signed_ext = cases[i].signed_ext,
                                                      .reg = 5}});
        assert_int_equal(done.error, AXVM_OK);
        assert_int_equal(done.value, cases[i].expected);
        assert_int_equal(done.exit.mmio.reg, 5);
        assert_int_equal(fake_console(vm)->last_size, cases[i].width);
    }
    fake_vm_end(vm);
}

static void an_mmio_write_reaches_the_device_in_its_width(void **state)
{
    struct axvm *vm = fake_vm_boot(1);
    struct fake_completion done;

    (void)state;
    done = answer(vm, (struct axvm_exit){.kind = AXVM_EXIT_MMIO_WRITE,
                                         .mmio = {.addr = gpa(FAKE_CONSOLE_BASE),
                                                  .width = AXVM_WORD,
                                                  .data = 0x123456789abcdef0}});
    assert_int_equal(done.error, AXVM_OK);
    assert_int_equal(fake_console(vm)->value, 0xdef0);
    assert_int_equal(fake_console(vm)->last_size, 2);
    assert_int_equal(vm->vcpus[0]->stats.mmio, 1);
    fake_vm_end(vm);
}

static void an_access_that_nothing_answers_is_the_guests_own_bus_error(void **state)
{
    static const enum axvm_exit_kind kinds[] = {AXVM_EXIT_MMIO_READ, AXVM_EXIT_MMIO_WRITE};
    static const uint64_t addresses[] = {0, FAKE_CONSOLE_BASE - 1, FAKE_CONSOLE_BASE + AXVM_PAGE_SIZE - 2, UINT64_MAX};
    struct axvm *vm = fake_vm_boot(1);

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        for (size_t j = 0; j < sizeof(addresses) / sizeof(addresses[0]); j++) {
            struct axvm_exit exit = {.kind = kinds[i],
                                     .mmio = {.addr = gpa(addresses[j]), .width = AXVM_DWORD, .reg_width = AXVM_DWORD}};

            assert_int_equal(answer(vm, exit).error, AXVM_ENOENT);
        }
    }
    assert_int_equal(fake_hal_log_lines(AXVM_LOG_ERROR), 0); /* a guest must not fill the host's log */
    fake_vm_end(vm);
}

static void a_devices_error_is_the_guests_own_bus_error(void **state)
{
    struct axvm *vm = fake_vm_boot(1);
    struct axvm_exit exit = {.kind = AXVM_EXIT_MMIO_READ,
                             .mmio = {.addr = gpa(FAKE_CONSOLE_BASE), .width = AXVM_DWORD, .reg_width = AXVM_DWORD}};

    (void)state;
    fake_console(vm)->error = AXVM_EFAULT;
    assert_int_equal(answer(vm, exit).error, AXVM_EFAULT);
    exit.kind = AXVM_EXIT_MMIO_WRITE;
    assert_int_equal(answer(vm, exit).error, AXVM_EFAULT);
    fake_vm_end(vm);
}

static int note_read(struct axvm_device *device, struct axvm_vcpu *vcpu, uint64_t offset, unsigned size,
                     uint64_t *value)
{
    (void)device;
    (void)vcpu;
    *value = offset << 32 | size << 16 | 0xff77;
    return AXVM_OK;
}

static uint64_t noted;

static int note_write(struct axvm_device *device, struct axvm_vcpu *vcpu, uint64_t offset, unsigned size,
                      uint64_t value)
{
    (void)device;
    (void)vcpu;
    noted = offset << 32 | size << 16 | value;
    return AXVM_OK;
}

static const struct axvm_device_ops note_ops = {.name = "note", .read = note_read, .write = note_write};

static void port_accesses_go_to_the_port_bus_in_their_width(void **state)
{
    struct axvm_device device = {.ops = &note_ops, .space = AXVM_SPACE_PORT, .base = 0x60, .size = 8};
    struct axvm *vm = fake_vm_load(1);
    struct fake_completion done;

    (void)state;
    assert_int_equal(axvm_add_device(vm, &device), AXVM_OK);
    assert_int_equal(axvm_boot(vm), AXVM_OK);
    done = answer(vm, (struct axvm_exit){.kind = AXVM_EXIT_IO_READ, .io = {.port = 0x64, .width = AXVM_BYTE}});
    assert_int_equal(done.error, AXVM_OK);
    assert_int_equal(done.value, 0x77);
    done = answer(vm, (struct axvm_exit){.kind = AXVM_EXIT_IO_WRITE,
                                         .io = {.port = 0x66, .width = AXVM_WORD, .data = 0xabcd1234}});
    assert_int_equal(done.error, AXVM_OK);
    assert_int_equal(noted, UINT64_C(6) << 32 | (2 << 16) | 0x1234);
    done = answer(vm, (struct axvm_exit){.kind = AXVM_EXIT_IO_READ, .io = {.port = 0x70, .width = AXVM_BYTE}});
    assert_int_equal(done.error, AXVM_ENOENT);
    done = answer(vm, (struct axvm_exit){.kind = AXVM_EXIT_IO_WRITE, .io = {.port = 0x67, .width = AXVM_WORD}});
    assert_int_equal(done.error, AXVM_ENOENT);
    fake_vm_end(vm);
}

static void each_address_of_the_register_bus_is_one_register_of_8_bytes(void **state)
{
    struct axvm_device device = {.ops = &note_ops, .space = AXVM_SPACE_SYSREG, .base = 0x1000, .size = 2};
    struct axvm *vm = fake_vm_load(1);
    struct fake_completion done;

    (void)state;
    assert_int_equal(axvm_add_device(vm, &device), AXVM_OK);
    assert_int_equal(axvm_boot(vm), AXVM_OK);
    done = answer(vm, (struct axvm_exit){.kind = AXVM_EXIT_SYSREG_READ, .sysreg = {.addr = 0x1001, .reg = 3}});
    assert_int_equal(done.error, AXVM_OK);
    assert_int_equal(done.value, UINT64_C(1) << 32 | (8 << 16) | 0xff77);
    done = answer(vm, (struct axvm_exit){.kind = AXVM_EXIT_SYSREG_WRITE, .sysreg = {.addr = 0x1000, .value = 5}});
    assert_int_equal(done.error, AXVM_OK);
    assert_int_equal(noted, (8 << 16) | 5);
    done = answer(vm, (struct axvm_exit){.kind = AXVM_EXIT_SYSREG_READ, .sysreg = {.addr = 0x1002}});
    assert_int_equal(done.error, AXVM_ENOENT);
    done = answer(vm, (struct axvm_exit){.kind = AXVM_EXIT_SYSREG_WRITE, .sysreg = {.addr = 0xfff}});
    assert_int_equal(done.error, AXVM_ENOENT);
    fake_vm_end(vm);
}

static struct axvm *lazy_vm(void)
{
    struct axvm_config config = fake_config(1);
    struct axvm *vm;

    config.lazy = true;
    vm = fake_vm_create(&config);
    assert_int_equal(axvm_init(vm), AXVM_OK);
    assert_int_equal(axvm_boot(vm), AXVM_OK);
    return vm;
}

static struct axvm_exit page_fault(uint64_t addr, uint32_t access)
{
    return (struct axvm_exit){.kind = AXVM_EXIT_NESTED_PAGE_FAULT,
                              .nested_page_fault = {.addr = gpa(addr), .access = access}};
}

static void a_lazy_page_is_populated_and_the_guest_goes_on(void **state)
{
    struct axvm *vm = lazy_vm();
    hpa_t target;

    (void)state;
    assert_int_equal(axvm_translate(vm, gpa(FAKE_RAM_START + MIB(1)), &target, NULL), AXVM_ENOENT);
    fake_push(fake_vcpu(vm, 0), page_fault(FAKE_RAM_START + MIB(1), AXVM_MEM_WRITE));
    assert_int_equal(fake_run_on(0, vm, 0), AXVM_EXIT_HALT);
    assert_int_equal(axvm_translate(vm, gpa(FAKE_RAM_START + MIB(1)), &target, NULL), AXVM_OK);
    assert_int_equal(fake_vcpu(vm, 0)->completion_count, 0);
    assert_int_equal(vm->vcpus[0]->stats.faults, 1);
    fake_vm_end(vm);
}

static void a_fault_outside_memory_or_against_its_permissions_is_the_guests_own(void **state)
{
    struct axvm *vm = lazy_vm();

    (void)state;
    assert_int_equal(answer(vm, page_fault(FAKE_RAM_START + FAKE_VM_RAM, AXVM_MEM_READ)).error, AXVM_ENOENT);
    assert_int_equal(axvm_protect_region(vm, gpa(FAKE_RAM_START), AXVM_PAGE_SIZE, AXVM_MEM_READ), AXVM_OK);
    assert_int_equal(answer(vm, page_fault(FAKE_RAM_START, AXVM_MEM_WRITE)).error, AXVM_EFAULT);
    assert_int_equal(axvm_state(vm), AXVM_STATE_RUNNING);
    fake_vm_end(vm);
}

static void a_host_out_of_memory_fails_the_vm(void **state)
{
    struct axvm *vm = lazy_vm();

    (void)state;
    fake_hal_fail_orders_from(0);
    fake_push(fake_vcpu(vm, 0), page_fault(FAKE_RAM_START + MIB(3), AXVM_MEM_WRITE));
    assert_int_equal(fake_run_on(0, vm, 0), AXVM_EXIT_STOPPED);
    assert_int_equal(axvm_state(vm), AXVM_STATE_FAILED);
    assert_int_equal(axvm_vcpu_resides_on(vm, 0), AXVM_ENOENT);
    fake_vm_end(vm);
}

/* ---- Exits that are the host's ---- */

static void other_exits_come_back_as_they_are(void **state)
{
    static const enum axvm_exit_kind kinds[] = {AXVM_EXIT_NOTHING, AXVM_EXIT_HYPERCALL, AXVM_EXIT_EXTERNAL_INTERRUPT,
                                                AXVM_EXIT_CPU_UP, AXVM_EXIT_SEND_IPI};
    struct axvm *vm = fake_vm_boot(1);

    (void)state;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct axvm_exit exit = {.kind = kinds[i], .hypercall = {.nr = 0x1234, .args = {1, 2, 3, 4, 5, 6}}};

        fake_push(fake_vcpu(vm, 0), exit);
        exit = (struct axvm_exit){.kind = AXVM_EXIT_STOPPED};
        assert_int_equal(axvm_run_vcpu(vm, 0, &exit), AXVM_OK);
        assert_int_equal(exit.kind, kinds[i]);
        assert_int_equal(exit.hypercall.nr, 0x1234);
        assert_int_equal(exit.hypercall.args[5], 6);
        assert_int_equal(axvm_vcpu_state(vm, 0), AXVM_VCPU_FREE);
        assert_int_equal(axvm_vcpu_resides_on(vm, 0), 0);
    }
    assert_int_equal(fake_vcpu(vm, 0)->loads, 1);
    fake_vm_end(vm);
}

static void an_entry_that_the_hardware_refuses_fails_the_vm(void **state)
{
    struct axvm *vm = fake_vm_boot(1);
    struct axvm_exit exit;

    (void)state;
    fake_push(fake_vcpu(vm, 0), (struct axvm_exit){.kind = AXVM_EXIT_FAIL_ENTRY, .fail_entry.reason = 0xbad});
    assert_int_equal(axvm_run_vcpu(vm, 0, &exit), AXVM_OK);
    assert_int_equal(exit.kind, AXVM_EXIT_FAIL_ENTRY);
    assert_int_equal(exit.fail_entry.reason, 0xbad);
    assert_int_equal(axvm_state(vm), AXVM_STATE_FAILED);
    assert_true(fake_hal_logged("0xbad"));
    assert_int_equal(axvm_vcpu_resides_on(vm, 0), AXVM_ENOENT);
    assert_int_equal(fake_run_on(0, vm, 0), AXVM_EXIT_STOPPED);
    fake_vm_end(vm);
}

/* ---- Waiting for an interrupt ---- */

static void a_halted_vcpu_is_blocked_until_an_interrupt_is_pending(void **state)
{
    struct axvm *vm = fake_vm_boot(1);

    (void)state;
    assert_int_equal(fake_run_on(0, vm, 0), AXVM_EXIT_HALT);
    assert_int_equal(axvm_vcpu_state(vm, 0), AXVM_VCPU_BLOCKED);
    assert_false(axvm_vcpu_runnable(vm, 0));
    assert_int_equal(vm->vcpus[0]->stats.halts, 1);
    fake_hal_forget();
    assert_int_equal(axvm_inject_interrupt(vm, 1, 3), AXVM_OK);
    assert_int_equal(fake_hal_kicks_of(axvm_id(vm), 0), 1);
    assert_true(axvm_vcpu_runnable(vm, 0));
    fake_vm_end(vm);
}

static void a_vcpu_with_a_pending_interrupt_does_not_wait(void **state)
{
    struct axvm *vm = fake_vm_boot(1);

    (void)state;
    fake_vcpu(vm, 0)->pending = 1;
    fake_push(fake_vcpu(vm, 0), (struct axvm_exit){.kind = AXVM_EXIT_HALT});
    fake_push(fake_vcpu(vm, 0), (struct axvm_exit){.kind = AXVM_EXIT_HYPERCALL});
    assert_int_equal(fake_run_on(0, vm, 0), AXVM_EXIT_HYPERCALL);
    assert_int_equal(vm->vcpus[0]->stats.halts, 0);
    fake_vm_end(vm);
}

static void a_blocked_vcpu_is_kicked_even_for_a_request_that_it_has_already(void **state)
{
    struct axvm *vm = fake_vm_boot(1);

    (void)state;
    assert_int_equal(fake_run_on(0, vm, 0), AXVM_EXIT_HALT);
    vm->vcpus[0]->requests = VCPU_REQ_IRQ; /* came as it went to sleep, for an interrupt that doesn't wake it */
    fake_hal_forget();
    vcpu_request(vm->vcpus[0], VCPU_REQ_IRQ);
    assert_int_equal(fake_hal_kicks(), 1);
    fake_vm_end(vm);
}

static void an_interrupt_during_a_claim_from_outside_wakes_a_blocked_vcpu_after_it(void **state)
{
    struct axvm *vm = fake_vm_boot(1);
    uint32_t was;

    (void)state;
    assert_int_equal(fake_run_on(0, vm, 0), AXVM_EXIT_HALT);
    vm->vcpus[0]->requests = VCPU_REQ_IRQ;
    assert_int_equal(vcpu_claim(vm->vcpus[0], &was), AXVM_OK);
    assert_int_equal(was, AXVM_VCPU_BLOCKED);
    fake_hal_forget();
    assert_int_equal(axvm_inject_interrupt(vm, 1, 1), AXVM_OK); /* finds the request set, and the vCPU not blocked */
    assert_int_equal(fake_hal_kicks(), 0);
    vcpu_unclaim(vm->vcpus[0], was);
    assert_int_equal(fake_hal_kicks(), 1);
    assert_int_equal(axvm_vcpu_state(vm, 0), AXVM_VCPU_BLOCKED);
    fake_vm_end(vm);
}

/* ---- Requests ---- */

static void a_request_kicks_once_until_it_is_served(void **state)
{
    struct axvm *vm = fake_vm_boot(2);

    (void)state;
    fake_hal_forget();
    vcpu_request(vm->vcpus[1], VCPU_REQ_IRQ);
    vcpu_request(vm->vcpus[1], VCPU_REQ_IRQ);
    assert_int_equal(fake_hal_kicks(), 1);
    vcpu_request(vm->vcpus[1], VCPU_REQ_IRQ | VCPU_REQ_RELOAD);
    assert_int_equal(fake_hal_kicks(), 2);
    fake_vm_end(vm);
}

static size_t kicks_seen;

static void request_itself(struct fake_vcpu *vcpu, struct axvm_exit *exit)
{
    fake_hal_forget();
    vcpu_request(&vcpu->base, VCPU_REQ_IRQ);
    kicks_seen = fake_hal_kicks();
    exit->kind = AXVM_EXIT_NOTHING;
}

static void a_vcpu_that_this_pcpu_runs_needs_no_kick(void **state)
{
    struct axvm *vm = fake_vm_boot(1);

    (void)state;
    fake_vcpu(vm, 0)->guest = request_itself;
    assert_int_equal(fake_run_on(0, vm, 0), AXVM_EXIT_NOTHING);
    assert_int_equal(kicks_seen, 0);
    assert_true(vm->vcpus[0]->requests & VCPU_REQ_IRQ);
    fake_vm_end(vm);
}

static void reload_saves_and_loads_the_registers(void **state)
{
    struct axvm *vm = fake_vm_boot(1);

    (void)state;
    fake_run_on(0, vm, 0);
    vcpu_request(vm->vcpus[0], VCPU_REQ_RELOAD);
    fake_run_on(0, vm, 0);
    assert_int_equal(fake_vcpu(vm, 0)->loads, 2);
    assert_int_equal(fake_vcpu(vm, 0)->saves, 1);
    assert_false(vm->vcpus[0]->requests & VCPU_REQ_RELOAD);
    fake_vm_end(vm);
}

static void being_alone_or_not_is_taken_up_at_the_next_entry(void **state)
{
    struct axvm *vm = fake_vm_boot(1);

    (void)state;
    fake_run_on(0, vm, 0);
    fake_hal_forget();
    assert_int_equal(axvm_vcpu_set_alone(vm, 0, true), AXVM_OK);
    assert_true(vm->vcpus[0]->alone);
    assert_int_equal(axvm_vcpu_set_alone(vm, 0, true), AXVM_OK);
    assert_int_equal(fake_hal_kicks(), 0);
    fake_run_on(0, vm, 0);
    assert_int_equal(fake_vcpu(vm, 0)->loads, 2);
    assert_int_equal(axvm_vcpu_set_alone(vm, 0, true), AXVM_OK);
    fake_run_on(0, vm, 0);
    assert_int_equal(fake_vcpu(vm, 0)->loads, 2);
    assert_int_equal(axvm_vcpu_set_alone(vm, 1, true), AXVM_EINVAL);
    fake_vm_end(vm);
}

/* ---- Residency ---- */

static void a_vcpu_stays_resident_until_another_needs_the_pcpu(void **state)
{
    struct axvm *a = fake_vm_boot(1), *b = fake_vm_boot(1);

    (void)state;
    fake_run_on(0, a, 0);
    fake_run_on(0, a, 0);
    assert_int_equal(fake_vcpu(a, 0)->loads, 1);
    assert_int_equal(fake_vcpu(a, 0)->saves, 0);
    fake_run_on(0, b, 0);
    assert_int_equal(fake_vcpu(a, 0)->saves, 1);
    assert_int_equal(axvm_vcpu_resides_on(a, 0), AXVM_ENOENT);
    assert_int_equal(axvm_vcpu_resides_on(b, 0), 0);
    fake_run_on(0, a, 0);
    assert_int_equal(fake_vcpu(a, 0)->loads, 2);
    fake_vm_end(a);
    fake_vm_end(b);
}

static void a_vcpu_that_is_resident_elsewhere_is_busy_until_released_there(void **state)
{
    struct axvm *vm = fake_vm_boot(1);
    struct axvm_exit exit;

    (void)state;
    fake_run_on(1, vm, 0);
    assert_int_equal(axvm_run_vcpu(vm, 0, &exit), AXVM_EBUSY);
    assert_int_equal(axvm_vcpu_state(vm, 0), AXVM_VCPU_BLOCKED); /* as it was */
    assert_int_equal(axvm_vcpu_resides_on(vm, 0), 1);
    assert_int_equal(axvm_release_vcpu(vm, 0), AXVM_EBUSY);
    assert_int_equal(axvm_set_gpr(vm, 0, 1, 1), AXVM_EBUSY);
    assert_int_equal(axvm_set_return_value(vm, 0, 1), AXVM_EBUSY);
    fake_hal_set_pcpu(1);
    assert_int_equal(axvm_release_vcpu(vm, 0), AXVM_OK);
    assert_int_equal(axvm_release_vcpu(vm, 0), AXVM_OK); /* nothing to do is no error */
    fake_hal_set_pcpu(0);
    assert_int_equal(axvm_vcpu_resides_on(vm, 0), AXVM_ENOENT);
    assert_int_equal(fake_run_on(0, vm, 0), AXVM_EXIT_HALT);
    assert_int_equal(axvm_vcpu_resides_on(vm, 0), 0);
    fake_vm_end(vm);
}

static void a_busy_vcpu_leaves_the_pcpus_resident_alone(void **state)
{
    struct axvm *a = fake_vm_boot(1), *b = fake_vm_boot(1);
    struct axvm_exit exit;

    (void)state;
    fake_run_on(1, a, 0);
    fake_run_on(0, b, 0);
    assert_int_equal(axvm_run_vcpu(a, 0, &exit), AXVM_EBUSY);
    assert_int_equal(axvm_vcpu_resides_on(b, 0), 0);
    assert_int_equal(fake_vcpu(b, 0)->saves, 0);
    fake_vm_end(a);
    fake_vm_end(b);
}

static void a_vcpu_runs_on_one_pcpu_only(void **state)
{
    struct axvm *vm = fake_vm_boot(1);
    struct axvm_exit exit;
    uint32_t was;

    (void)state;
    assert_int_equal(vcpu_claim(vm->vcpus[0], &was), AXVM_OK);
    assert_int_equal(axvm_run_vcpu(vm, 0, &exit), AXVM_EBUSY);
    assert_int_equal(axvm_vcpu_state(vm, 0), AXVM_VCPU_READY);
    vcpu_unclaim(vm->vcpus[0], was);
    assert_int_equal(fake_run_on(0, vm, 0), AXVM_EXIT_HALT);
    fake_vm_end(vm);
}

static void a_vcpu_that_does_not_exist_is_refused(void **state)
{
    struct axvm *vm = fake_vm_boot(1);
    struct axvm_exit exit;

    (void)state;
    assert_int_equal(axvm_run_vcpu(vm, 1, &exit), AXVM_EINVAL);
    assert_int_equal(axvm_run_vcpu(vm, UINT32_MAX, &exit), AXVM_EINVAL);
    assert_int_equal(axvm_release_vcpu(vm, 1), AXVM_EINVAL);
    assert_int_equal(axvm_vcpu_resides_on(vm, 1), AXVM_EINVAL);
    assert_int_equal(axvm_set_gpr(vm, 1, 0, 0), AXVM_EINVAL);
    assert_int_equal(axvm_vcpu_state(vm, 1), AXVM_VCPU_CREATED);
    assert_false(axvm_vcpu_runnable(vm, 1));
    fake_vm_end(vm);
}

/* ---- pCPUs ---- */

static void a_pcpu_must_be_enabled_to_run_guests(void **state)
{
    struct axvm *vm = fake_vm_boot(1);
    struct axvm_exit exit;

    (void)state;
    fake_hal_set_pcpu(FAKE_VM_PCPUS);
    assert_int_equal(axvm_run_vcpu(vm, 0, &exit), AXVM_EBADSTATE);
    assert_int_equal(axvm_cpu_disable(), AXVM_EBADSTATE);
    assert_int_equal(axvm_cpu_enable(), AXVM_OK);
    assert_int_equal(axvm_cpu_enable(), AXVM_EBADSTATE);
    assert_int_equal(axvm_run_vcpu(vm, 0, &exit), AXVM_OK);
    assert_int_equal(axvm_cpu_disable(), AXVM_EBUSY);
    assert_int_equal(axvm_release_vcpu(vm, 0), AXVM_OK);
    assert_int_equal(axvm_cpu_disable(), AXVM_OK);
    assert_int_equal(axvm_run_vcpu(vm, 0, &exit), AXVM_EBADSTATE);
    fake_hal_set_pcpu(0);
    fake_vm_end(vm);
}

static void a_pcpu_that_cannot_virtualize_is_not_enabled(void **state)
{
    (void)state;
    fake_hal_set_pcpu(FAKE_VM_PCPUS);
    fake_arch.unsupported = true;
    assert_false(axvm_has_hardware_support());
    assert_int_equal(axvm_cpu_enable(), AXVM_EUNSUPPORTED);
    fake_arch.unsupported = false;
    assert_true(axvm_has_hardware_support());
    fake_arch.cpu_enable_error = AXVM_EBUSY;
    assert_int_equal(axvm_cpu_enable(), AXVM_EBUSY);
    fake_arch.cpu_enable_error = AXVM_OK;
    assert_int_equal(axvm_cpu_enable(), AXVM_OK);
}

/* ---- Power ---- */

static void a_vcpu_starts_where_it_was_told_to(void **state)
{
    struct axvm *vm = fake_vm_boot(2);

    (void)state;
    fake_hal_forget();
    assert_int_equal(vcpu_power_on(vm->vcpus[1], gpa(0x4000), 0x77), AXVM_OK);
    assert_int_equal(fake_hal_kicks_of(axvm_id(vm), 1), 1);
    assert_true(axvm_vcpu_runnable(vm, 1));
    assert_int_equal(fake_run_on(1, vm, 1), AXVM_EXIT_HALT);
    assert_int_equal(fake_vcpu(vm, 1)->starts, 1);
    assert_int_equal(fake_vcpu(vm, 1)->entry.v, 0x4000);
    assert_int_equal(fake_vcpu(vm, 1)->arg, 0x77);
    fake_run_on(1, vm, 1);
    assert_int_equal(fake_vcpu(vm, 1)->starts, 1);
    fake_vm_end(vm);
}

static void powering_on_what_is_on_or_starting_is_refused_without_a_word(void **state)
{
    struct axvm *vm = fake_vm_boot(2);

    (void)state;
    assert_int_equal(vcpu_power_on(vm->vcpus[1], gpa(0x4000), 1), AXVM_OK);
    assert_int_equal(vcpu_power_on(vm->vcpus[1], gpa(0x5000), 2), AXVM_EBUSY);
    fake_run_on(1, vm, 1);
    assert_int_equal(fake_vcpu(vm, 1)->entry.v, 0x4000);
    assert_int_equal(vcpu_power_on(vm->vcpus[1], gpa(0x5000), 2), AXVM_EEXIST);
    assert_int_equal(fake_hal_log_lines(AXVM_LOG_ERROR), 0);
    assert_int_equal(axvm_shutdown(vm), AXVM_OK);
    vcpu_power_off(vm->vcpus[1]);
    assert_int_equal(vcpu_power_on(vm->vcpus[1], gpa(0x5000), 2), AXVM_EBADSTATE);
    fake_vm_end(vm);
}

static void turn_off(struct fake_vcpu *vcpu, struct axvm_exit *exit)
{
    vcpu_power_off(&vcpu->base);
    vcpu->guest = NULL;
    exit->kind = AXVM_EXIT_CPU_DOWN;
}

static void a_vcpu_that_turns_itself_off_leaves_the_hardware(void **state)
{
    struct axvm *vm = fake_vm_boot(1);

    (void)state;
    fake_vcpu(vm, 0)->guest = turn_off;
    assert_int_equal(fake_run_on(0, vm, 0), AXVM_EXIT_CPU_DOWN);
    assert_int_equal(axvm_vcpu_resides_on(vm, 0), AXVM_ENOENT);
    assert_int_equal(axvm_vcpu_state(vm, 0), AXVM_VCPU_FREE);
    assert_false(axvm_vcpu_runnable(vm, 0));
    assert_int_equal(fake_run_on(2, vm, 0), AXVM_EXIT_CPU_DOWN);
    assert_int_equal(vcpu_power_on(vm->vcpus[0], gpa(0x8000), 3), AXVM_OK);
    assert_int_equal(fake_run_on(2, vm, 0), AXVM_EXIT_HALT);
    assert_int_equal(fake_vcpu(vm, 0)->entry.v, 0x8000);
    fake_vm_end(vm);
}

/* Another vCPU's CPU_ON comes between power-off and the exit. */
static void turn_off_and_on(struct fake_vcpu *vcpu, struct axvm_exit *exit)
{
    turn_off(vcpu, exit);
    assert_int_equal(vcpu_power_on(&vcpu->base, gpa(0x9000), 4), AXVM_OK);
}

static void a_vcpu_powered_on_while_it_turns_off_starts_anew_at_once(void **state)
{
    struct axvm *vm = fake_vm_boot(1);

    (void)state;
    fake_vcpu(vm, 0)->guest = turn_off_and_on;
    assert_int_equal(fake_run_on(0, vm, 0), AXVM_EXIT_HALT);
    assert_int_equal(fake_vcpu(vm, 0)->starts, 2);
    assert_int_equal(fake_vcpu(vm, 0)->entry.v, 0x9000);
    assert_int_equal(fake_vcpu(vm, 0)->loads, 2);
    fake_vm_end(vm);
}

static void a_start_waits_while_the_vcpu_is_resident_elsewhere(void **state)
{
    struct axvm *vm = fake_vm_boot(1);
    struct axvm_exit exit;

    (void)state;
    fake_run_on(1, vm, 0);
    vcpu_power_off(vm->vcpus[0]);
    assert_int_equal(vcpu_power_on(vm->vcpus[0], gpa(0x9000), 4), AXVM_OK);
    assert_int_equal(axvm_run_vcpu(vm, 0, &exit), AXVM_EBUSY);
    assert_int_equal(fake_vcpu(vm, 0)->starts, 1);
    assert_int_equal(fake_run_on(1, vm, 0), AXVM_EXIT_HALT);
    assert_int_equal(fake_vcpu(vm, 0)->starts, 2);
    fake_vm_end(vm);
}

struct starter {
    pthread_t thread;
    pthread_barrier_t *go;
    struct axvm_vcpu *target;
    uint64_t entry;
    int result;
};

static void *starter_thread(void *argument)
{
    struct starter *starter = argument;

    pthread_barrier_wait(starter->go);
    starter->result = vcpu_power_on(starter->target, gpa(starter->entry), starter->entry);
    return NULL;
}

static void of_two_that_power_on_one_vcpu_exactly_one_wins(void **state)
{
    struct axvm *vm = fake_vm_boot(2);

    (void)state;
    for (unsigned round = 0; round < 200; round++) {
        pthread_barrier_t go;
        struct starter starters[2] = {{.go = &go, .target = vm->vcpus[1], .entry = 0x1000},
                                      {.go = &go, .target = vm->vcpus[1], .entry = 0x2000}};
        unsigned winner;

        pthread_barrier_init(&go, NULL, 2);
        for (unsigned i = 0; i < 2; i++) {
            assert_int_equal(pthread_create(&starters[i].thread, NULL, starter_thread, &starters[i]), 0);
        }
        for (unsigned i = 0; i < 2; i++) {
            pthread_join(starters[i].thread, NULL);
        }
        pthread_barrier_destroy(&go);
        assert_int_equal(starters[0].result + starters[1].result, AXVM_OK + AXVM_EBUSY);
        winner = starters[0].result == AXVM_OK ? 0 : 1;
        fake_vcpu(vm, 1)->guest = turn_off;
        assert_int_equal(fake_run_on(1, vm, 1), AXVM_EXIT_CPU_DOWN);
        assert_int_equal(fake_vcpu(vm, 1)->entry.v, starters[winner].entry);
        assert_int_equal(fake_vcpu(vm, 1)->arg, starters[winner].entry);
    }
    assert_int_equal(fake_vcpu(vm, 1)->starts, 200);
    fake_vm_end(vm);
}

static void vcpus_are_found_by_their_physical_id(void **state)
{
    struct axvm_config config = fake_config(2);
    struct axvm *vm = fake_vm_load(3);

    (void)state;
    assert_ptr_equal(vcpu_by_phys_id(vm, FAKE_PHYS_ID(2)), vm->vcpus[2]);
    assert_null(vcpu_by_phys_id(vm, 2));
    fake_vm_end(vm);

    config.phys_cpu_ids_count = 2;
    config.phys_cpu_ids[0] = 0x100;
    config.phys_cpu_ids[1] = 0x7;
    vm = fake_vm_create(&config);
    assert_int_equal(axvm_init(vm), AXVM_OK);
    assert_ptr_equal(vcpu_by_phys_id(vm, 7), vm->vcpus[1]);
    assert_int_equal(vm->vcpus[0]->phys_id, 0x100);
    fake_vm_end(vm);
}

/* ---- Registers ---- */

static void registers_are_set_while_the_vcpu_does_not_run(void **state)
{
    struct axvm *vm = fake_vm_boot(1);
    uint32_t was;

    (void)state;
    fake_push(fake_vcpu(vm, 0), (struct axvm_exit){.kind = AXVM_EXIT_HYPERCALL});
    assert_int_equal(fake_run_on(0, vm, 0), AXVM_EXIT_HYPERCALL);
    assert_int_equal(axvm_set_return_value(vm, 0, 42), AXVM_OK);
    assert_int_equal(axvm_set_gpr(vm, 0, 3, 43), AXVM_OK);
    assert_int_equal(fake_vcpu(vm, 0)->gpr[0], 42);
    assert_int_equal(fake_vcpu(vm, 0)->gpr[3], 43);
    assert_int_equal(axvm_vcpu_state(vm, 0), AXVM_VCPU_FREE);
    fake_run_on(0, vm, 0);
    assert_int_equal(axvm_set_gpr(vm, 0, 4, 44), AXVM_OK);
    assert_int_equal(axvm_vcpu_state(vm, 0), AXVM_VCPU_BLOCKED);
    assert_int_equal(vcpu_claim(vm->vcpus[0], &was), AXVM_OK);
    assert_int_equal(axvm_set_gpr(vm, 0, 4, 45), AXVM_EBUSY);
    vcpu_unclaim(vm->vcpus[0], was);
    assert_int_equal(fake_vcpu(vm, 0)->gpr[4], 44);
    fake_vm_end(vm);
}

/* ---- Interrupts from outside ---- */

static void a_private_interrupt_goes_to_each_vcpu_of_the_mask_and_a_wired_one_once(void **state)
{
    struct axvm *vm = fake_vm_boot(3);

    (void)state;
    assert_int_equal(axvm_inject_interrupt(vm, 5, 7), AXVM_OK);
    assert_int_equal(fake_vcpu(vm, 0)->pending, 1 << 7);
    assert_int_equal(fake_vcpu(vm, 1)->pending, 0);
    assert_int_equal(fake_vcpu(vm, 2)->pending, 1 << 7);
    assert_int_equal(fake_vm(vm)->pulses, 2);
    assert_int_equal(axvm_inject_interrupt(vm, 7, FAKE_IRQ_MIN), AXVM_OK);
    assert_int_equal(fake_vm(vm)->pulses, 3);
    assert_int_equal(fake_vm(vm)->wired, 1);
    fake_vm_end(vm);
}

static void an_interrupt_for_nobody_or_without_a_number_is_refused(void **state)
{
    struct axvm *vm = fake_vm_load(2);

    (void)state;
    assert_int_equal(axvm_inject_interrupt(vm, 1, 7), AXVM_EBADSTATE);
    assert_int_equal(axvm_boot(vm), AXVM_OK);
    assert_int_equal(axvm_inject_interrupt(vm, 0, 7), AXVM_EINVAL);
    assert_int_equal(axvm_inject_interrupt(vm, 4, 7), AXVM_EINVAL);
    assert_int_equal(axvm_inject_interrupt(vm, UINT64_MAX, 7), AXVM_EINVAL);
    assert_int_equal(axvm_inject_interrupt(vm, 1, FAKE_IRQ_MAX + 1), AXVM_EINVAL);
    assert_int_equal(fake_vm(vm)->pulses, 0);
    assert_int_equal(axvm_suspend(vm), AXVM_OK);
    assert_int_equal(axvm_inject_interrupt(vm, 3, 7), AXVM_OK);
    fake_vm_end(vm);
}

static void sixty_four_vcpus_have_a_bit_each(void **state)
{
    struct axvm *vm = fake_vm_boot(AXVM_MAX_VCPUS);

    (void)state;
    assert_int_equal(axvm_inject_interrupt(vm, UINT64_MAX, 2), AXVM_OK);
    assert_int_equal(fake_vm(vm)->pulses, 64);
    assert_int_equal(fake_vcpu(vm, 63)->pending, 4);
    fake_vm_end(vm);
}

/* ---- A vCPU that waits, and interrupts from another thread ---- */

static pthread_mutex_t host_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t host_kicked = PTHREAD_COND_INITIALIZER;

static void host_wake(uint32_t vm_id, uint32_t vcpu_id)
{
    (void)vm_id;
    (void)vcpu_id;
    pthread_mutex_lock(&host_lock);
    pthread_cond_broadcast(&host_kicked);
    pthread_mutex_unlock(&host_lock);
}

static atomic_uint interrupts_taken;

/* Takes an interrupt if there is one, else waits for one. */
static void interrupted_guest(struct fake_vcpu *vcpu, struct axvm_exit *exit)
{
    if (atomic_exchange(&vcpu->pending, 0) != 0) {
        atomic_fetch_add(&interrupts_taken, 1);
        exit->kind = AXVM_EXIT_NOTHING;
    } else {
        exit->kind = AXVM_EXIT_HALT;
    }
}

/* A host's loop as it should be: sleeps only after it has looked, with what a kick takes held. */
static void *sleeping_host(void *argument)
{
    struct axvm *vm = argument;
    struct axvm_exit exit = {.kind = AXVM_EXIT_NOTHING};

    fake_hal_set_pcpu(1);
    while (exit.kind != AXVM_EXIT_STOPPED) {
        assert_int_equal(axvm_run_vcpu(vm, 0, &exit), AXVM_OK);
        pthread_mutex_lock(&host_lock);
        while (exit.kind == AXVM_EXIT_HALT && axvm_state(vm) == AXVM_STATE_RUNNING && !axvm_vcpu_runnable(vm, 0)) {
            pthread_cond_wait(&host_kicked, &host_lock);
        }
        pthread_mutex_unlock(&host_lock);
    }
    return NULL;
}

static void no_wakeup_is_lost(void **state)
{
    struct axvm *vm = fake_vm_boot(1);
    pthread_t thread;

    (void)state;
    interrupts_taken = 0;
    fake_vcpu(vm, 0)->guest = interrupted_guest;
    fake_hal_on_kick(host_wake);
    assert_int_equal(pthread_create(&thread, NULL, sleeping_host, vm), 0);
    for (unsigned i = 0; i < 2000; i++) {
        assert_int_equal(axvm_inject_interrupt(vm, 1, 1), AXVM_OK);
        while (atomic_load(&interrupts_taken) == i) { /* for ever, if the wakeup was lost */
            sched_yield();
        }
        fake_hal_forget();
    }
    assert_int_equal(axvm_shutdown(vm), AXVM_OK);
    pthread_join(thread, NULL);
    assert_int_equal(axvm_state(vm), AXVM_STATE_STOPPED);
    fake_vm_end(vm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_mmio_read_is_extended_as_the_instruction_says),
        TEST(an_mmio_write_reaches_the_device_in_its_width),
        TEST(an_access_that_nothing_answers_is_the_guests_own_bus_error),
        TEST(a_devices_error_is_the_guests_own_bus_error),
        TEST(port_accesses_go_to_the_port_bus_in_their_width),
        TEST(each_address_of_the_register_bus_is_one_register_of_8_bytes),
        TEST(a_lazy_page_is_populated_and_the_guest_goes_on),
        TEST(a_fault_outside_memory_or_against_its_permissions_is_the_guests_own),
        TEST(a_host_out_of_memory_fails_the_vm),
        TEST(other_exits_come_back_as_they_are),
        TEST(an_entry_that_the_hardware_refuses_fails_the_vm),
        TEST(a_halted_vcpu_is_blocked_until_an_interrupt_is_pending),
        TEST(a_vcpu_with_a_pending_interrupt_does_not_wait),
        TEST(a_blocked_vcpu_is_kicked_even_for_a_request_that_it_has_already),
        TEST(an_interrupt_during_a_claim_from_outside_wakes_a_blocked_vcpu_after_it),
        TEST(a_request_kicks_once_until_it_is_served),
        TEST(a_vcpu_that_this_pcpu_runs_needs_no_kick),
        TEST(reload_saves_and_loads_the_registers),
        TEST(being_alone_or_not_is_taken_up_at_the_next_entry),
        TEST(a_vcpu_stays_resident_until_another_needs_the_pcpu),
        TEST(a_vcpu_that_is_resident_elsewhere_is_busy_until_released_there),
        TEST(a_busy_vcpu_leaves_the_pcpus_resident_alone),
        TEST(a_vcpu_runs_on_one_pcpu_only),
        TEST(a_vcpu_that_does_not_exist_is_refused),
        TEST(a_pcpu_must_be_enabled_to_run_guests),
        TEST(a_pcpu_that_cannot_virtualize_is_not_enabled),
        TEST(a_vcpu_starts_where_it_was_told_to),
        TEST(powering_on_what_is_on_or_starting_is_refused_without_a_word),
        TEST(a_vcpu_that_turns_itself_off_leaves_the_hardware),
        TEST(a_vcpu_powered_on_while_it_turns_off_starts_anew_at_once),
        TEST(a_start_waits_while_the_vcpu_is_resident_elsewhere),
        TEST(of_two_that_power_on_one_vcpu_exactly_one_wins),
        TEST(vcpus_are_found_by_their_physical_id),
        TEST(registers_are_set_while_the_vcpu_does_not_run),
        TEST(a_private_interrupt_goes_to_each_vcpu_of_the_mask_and_a_wired_one_once),
        TEST(an_interrupt_for_nobody_or_without_a_number_is_refused),
        TEST(sixty_four_vcpus_have_a_bit_each),
        TEST(no_wakeup_is_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
