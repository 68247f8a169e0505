/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest interrupt files: who has one and when, what is in it, and that no message gets lost on its way there or back.
 */
#include "lib/host.h"
#include "support/aia_machine.h"
#include "support/random.h"
#include "support/rv64_machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define PAGE(vcpu) gpa(AIA_IMSIC_BASE + (vcpu) * VIMSIC_PAGE)
#define STEPS 20000U

static struct axvm *vm;

static void change(struct axvm_config *config)
{
    config->emu_devices[0] = (struct axvm_emu_config){
        .name = "aplic", .base = {AIA_APLIC_BASE}, .length = VAPLIC_SIZE, .type = AXVM_EMU_INTERRUPT_CONTROLLER,
        .cfg = {AIA_IMSIC_BASE}, .cfg_count = 1,
    };
    config->emu_devices_count = 1;
}

static void start(uint32_t vcpus)
{
    rv64_model.features |= RV64_GUEST_FILE;
    vm = machine_vm(vcpus, change);
    for (uint32_t i = 0; i < vcpus; i++) {
        assert_int_equal(axvm_vcpu_set_alone(vm, i, true), AXVM_OK);
    }
}

static struct vimsic_state *file_here(void)
{
    return &rv64_model_cpu()->file;
}

/* The host page that the guest's stores to a vCPU's IMSIC go to; 0: they trap. */
static uint64_t mapped(uint32_t vcpu)
{
    hpa_t page;

    return addrspace_translate(&vm->as, PAGE(vcpu), &page, NULL, NULL) == AXVM_OK ? page.v : 0;
}

static unsigned selected(void)
{
    return (unsigned)(rv64_model_cpu()->controls.hstatus >> HSTATUS_VGEIN_SHIFT & 0x3f);
}

/* A message by a store of the guest, or of an emulated device: to the file's page if that is mapped, else it traps. */
static void guest_message(uint32_t vcpu, uint32_t id)
{
    uint64_t page = mapped(vcpu);

    if (page != 0) {
        rv64_model_message((unsigned)((page - RV64_MODEL_FILE(0)) / 0x4000), id);
    } else {
        struct axvm_device *imsic = &rv64_vm(vm)->imsic.device;

        assert_int_equal(imsic->ops->write(imsic, vm->vcpus[0], vcpu * VIMSIC_PAGE, 4, id), AXVM_OK);
    }
}

static void send(uint32_t vcpu, uint32_t id)
{
    assert_int_equal(axvm_signal_msi(vm, PAGE(vcpu).v, 0, id), AXVM_OK);
}

static void guest_sets_up(struct rv64_frame *frame)
{
    (void)frame;
    file_here()->eie[0] = 1U << 7 | 1U << 9;
    file_here()->threshold = 9;
    file_here()->delivery = 1;
}

static void guest_nothing(struct rv64_frame *frame)
{
    (void)frame;
}

static void guest_any_exit(struct rv64_frame *frame)
{
    rv64_guest_irq(frame, AXVM_IRQ_HANDLED, 5);
}

/* ---- Who has one ---- */

static void a_vcpu_alone_has_the_file_of_its_pcpu(void **state)
{
    (void)state;
    start(1);
    rv64_machine_run(vm, 0, guest_nothing);
    assert_int_equal(selected(), 1);
    assert_int_equal(mapped(0), RV64_MODEL_FILE(0));
    assert_int_equal(axvm_release_vcpu(vm, 0), AXVM_OK);
    assert_int_equal(mapped(0), 0);
    machine_pcpu(1);
    rv64_machine_run(vm, 0, guest_nothing);
    assert_int_equal(mapped(0), RV64_MODEL_FILE(1));
}

static void no_other_has(void **state)
{
    (void)state;
    start(1);
    assert_int_equal(axvm_vcpu_set_alone(vm, 0, false), AXVM_OK);
    rv64_machine_run(vm, 0, guest_nothing);
    assert_int_equal(selected(), 0);
    assert_int_equal(mapped(0), 0);
    assert_int_equal(axvm_vcpu_set_alone(vm, 0, true), AXVM_OK);
    rv64_machine_run(vm, 0, guest_nothing);
    assert_int_equal(selected(), 1);
    assert_int_equal(axvm_vcpu_set_alone(vm, 0, false), AXVM_OK);
    rv64_machine_run(vm, 0, guest_nothing);
    assert_int_equal(selected(), 0);
    assert_int_equal(mapped(0), 0);
}

static void nor_a_guest_without_imsic(void **state)
{
    (void)state;
    rv64_model.features |= RV64_GUEST_FILE;
    vm = machine_vm(1, NULL);
    assert_int_equal(axvm_vcpu_set_alone(vm, 0, true), AXVM_OK);
    rv64_machine_run(vm, 0, guest_nothing);
    assert_int_equal(selected(), 0);
}

static void nor_where_the_cpu_has_none(void **state)
{
    (void)state;
    start(1);
    rv64_model.features &= ~(uint32_t)RV64_GUEST_FILE;
    rv64_machine_run(vm, 0, guest_nothing);
    assert_int_equal(selected(), 0);
    assert_int_equal(mapped(0), 0);
}

static void when_the_page_goes_every_pcpu_forgets_it(void **state)
{
    const struct rv64_model_flush *flush = NULL;

    (void)state;
    start(1);
    rv64_machine_run(vm, 0, guest_nothing);
    rv64_model_forget_flushes();
    assert_int_equal(axvm_release_vcpu(vm, 0), AXVM_OK);
    for (unsigned i = 0; i < rv64_model.flush_count; i++) {
        flush = rv64_model.flushes[i].kind == RV64_FLUSH_GSTAGE ? &rv64_model.flushes[i] : flush;
    }
    assert_non_null(flush);
    assert_int_equal(flush->start, AIA_IMSIC_BASE);
    assert_int_equal(flush->pcpus, 1);
}

/* ---- What is in it ---- */

static void its_state_comes_along(void **state)
{
    (void)state;
    start(1);
    rv64_machine_run(vm, 0, guest_sets_up);
    guest_message(0, 200);
    assert_int_equal(axvm_release_vcpu(vm, 0), AXVM_OK);
    assert_int_equal(file_here()->delivery, 0);
    machine_pcpu(1);
    rv64_machine_run(vm, 0, guest_nothing);
    assert_int_equal(file_here()->eie[0], 1U << 7 | 1U << 9);
    assert_int_equal(file_here()->threshold, 9);
    assert_int_equal(file_here()->delivery, 1);
    assert_int_equal(file_here()->eip[3], UINT64_C(1) << (200 - 192));
}

static void guest_sees_an_empty_file(struct rv64_frame *frame)
{
    static const struct vimsic_state empty;

    (void)frame;
    assert_memory_equal(file_here(), &empty, sizeof(empty));
}

static void another_guest_finds_nothing_in_it(void **state)
{
    (void)state;
    start(1);
    rv64_machine_run(vm, 0, guest_sets_up);
    guest_message(0, 200);
    assert_int_equal(axvm_shutdown(vm), AXVM_OK);
    assert_int_equal(axvm_release_vcpu(vm, 0), AXVM_OK);
    start(1);
    rv64_machine_run(vm, 0, guest_sees_an_empty_file);
}

static void guest_gets_a_message(struct rv64_frame *frame)
{
    guest_sets_up(frame);
    send(0, 7);
    assert_int_equal(file_here()->eip[0], 0);
    rv64_guest_irq(frame, AXVM_IRQ_HANDLED, 5);
    assert_int_equal(file_here()->eip[0], 1U << 7);
    assert_int_equal(rv64_model_cpu()->hvip & IRQ_VSE, 0); /* the file asserts it itself */
    assert_int_equal(rv64_model_cpu()->sys[RV64_HVICTL], 0);
    assert_true((rv64_cpu_hip_read() & IRQ_VSE) != 0);
}

static void messages_of_emulated_devices_are_moved_there(void **state)
{
    (void)state;
    start(1);
    rv64_machine_run(vm, 0, guest_gets_a_message);
}

/* ---- Waiting ---- */

static void guest_suspends(struct rv64_frame *frame)
{
    guest_sets_up(frame);
    rv64_model_cpu()->sys[RV64_VSIE] = IRQ_SE;
    rv64_guest_sbi(frame, 0x48534d, 3, 0, 0, 0); /* HSM, retentive suspend */
}

static void who_waits_in_the_host_has_none_and_is_woken(void **state)
{
    (void)state;
    start(1);
    assert_int_equal(rv64_machine_run(vm, 0, guest_suspends).kind, AXVM_EXIT_HALT);
    assert_int_equal(mapped(0), 0);
    assert_false(axvm_vcpu_runnable(vm, 0));
    guest_message(0, 9); /* not below the threshold */
    assert_false(axvm_vcpu_runnable(vm, 0));
    guest_message(0, 7);
    assert_true(axvm_vcpu_runnable(vm, 0));
    rv64_machine_run(vm, 0, guest_any_exit);
    assert_int_equal(mapped(0), RV64_MODEL_FILE(0));
    assert_int_equal(file_here()->eip[0], 1U << 7 | 1U << 9);
}

/* ---- Coming and going, at random ---- */

static struct vimsic_state expected;

static void take(uint32_t id)
{
    expected.eip[id / 64] &= ~(UINT64_C(1) << id % 64);
    file_here()->eip[id / 64] &= ~(UINT64_C(1) << id % 64);
}

static void random_guest(struct rv64_frame *frame)
{
    rv64_guest_irq(frame, AXVM_IRQ_HANDLED, 5); /* messages of devices arrive at an exit */
    assert_int_equal(selected(), 1);
    assert_memory_equal(&expected, file_here(), sizeof(expected));
    expected.eie[random_below(4)] = random_u64() & ~UINT64_C(1);
    expected.threshold = (uint32_t)random_below(256);
    expected.delivery = random_below(2) & 1;
    file_here()->threshold = expected.threshold;
    file_here()->delivery = expected.delivery;
    memcpy(file_here()->eie, expected.eie, sizeof(expected.eie));
    take(1 + (uint32_t)random_below(255));
}

static void nothing_is_lost_at_random(void **state)
{
    (void)state;
    random_start("coming and going");
    start(2);
    memset(&expected, 0, sizeof(expected));
    for (unsigned i = 0; i < STEPS; i++) {
        uint32_t id = 1 + (uint32_t)random_below(255);

        machine_pcpu((unsigned)random_below(2));
        switch (random_below(4)) {
        case 0:
            guest_message(0, id);
            expected.eip[id / 64] |= UINT64_C(1) << id % 64;
            break;
        case 1:
            send(0, id);
            expected.eip[id / 64] |= UINT64_C(1) << id % 64;
            break;
        case 2:
            (void)axvm_release_vcpu(vm, 0);
            break;
        default:
            if (axvm_vcpu_resides_on(vm, 0) != 1 - (int)hal->pcpu_id()) {
                rv64_machine_run(vm, 0, random_guest);
            }
            break;
        }
    }
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, rv64_machine_setup, machine_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_vcpu_alone_has_the_file_of_its_pcpu),
        TEST(no_other_has),
        TEST(nor_a_guest_without_imsic),
        TEST(nor_where_the_cpu_has_none),
        TEST(when_the_page_goes_every_pcpu_forgets_it),
        TEST(its_state_comes_along),
        TEST(another_guest_finds_nothing_in_it),
        TEST(messages_of_emulated_devices_are_moved_there),
        TEST(who_waits_in_the_host_has_none_and_is_woken),
        TEST(nothing_is_lost_at_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
