/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "support/fake_vm.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_vm_setup, fake_vm_teardown)

/* ---- Transitions ---- */

static void transitions_are_exactly_those_of_the_design(void **state)
{
    static const char *const legal[AXVM_STATE_COUNT] = {
        /* to:                  loading loaded running suspended stopping stopped failed */
        [AXVM_STATE_LOADING] = "-+----+",
        [AXVM_STATE_LOADED] = "--+-+-+",
        [AXVM_STATE_RUNNING] = "---++-+",
        [AXVM_STATE_SUSPENDED] = "--+-+-+",
        [AXVM_STATE_STOPPING] = "-----++",
        [AXVM_STATE_STOPPED] = "-+----+",
        [AXVM_STATE_FAILED] = "-+-----",
    };
    struct axvm *vm = fake_vm_load(1);

    (void)state;
    for (unsigned from = 0; from < AXVM_STATE_COUNT; from++) {
        for (unsigned to = 0; to < AXVM_STATE_COUNT; to++) {
            bool allowed = legal[from][to] == '+';

            vm->state = from;
            assert_int_equal(vm_transition(vm, (enum axvm_state)from, (enum axvm_state)to),
                             allowed ? AXVM_OK : AXVM_EBADSTATE);
            assert_int_equal(vm->state, allowed ? to : from);
        }
    }
    vm->state = AXVM_STATE_STOPPED;
    fake_vm_end(vm);
}

static void a_transition_from_another_state_than_the_present_is_refused(void **state)
{
    struct axvm *vm = fake_vm_load(1);

    (void)state;
    assert_int_equal(vm_transition(vm, AXVM_STATE_RUNNING, AXVM_STATE_SUSPENDED), AXVM_EBADSTATE);
    assert_int_equal(axvm_state(vm), AXVM_STATE_LOADED);
    fake_vm_end(vm);
}

/* A VM in that state. Stopping: as if a vCPU were inside. */
static struct axvm *vm_in(enum axvm_state state)
{
    struct axvm_config config = fake_config(2);
    struct axvm *vm;

    if (state == AXVM_STATE_LOADING) {
        return fake_vm_create(&config);
    }
    vm = fake_vm_load(2);
    switch (state) {
    case AXVM_STATE_RUNNING:
        assert_int_equal(axvm_boot(vm), AXVM_OK);
        break;
    case AXVM_STATE_SUSPENDED:
        assert_int_equal(axvm_boot(vm), AXVM_OK);
        assert_int_equal(axvm_suspend(vm), AXVM_OK);
        break;
    case AXVM_STATE_STOPPING:
        assert_int_equal(axvm_boot(vm), AXVM_OK);
        assert_true(vm_enter(vm));
        assert_int_equal(axvm_shutdown(vm), AXVM_OK);
        break;
    case AXVM_STATE_STOPPED:
        assert_int_equal(axvm_shutdown(vm), AXVM_OK);
        break;
    case AXVM_STATE_FAILED:
        axvm_fail(vm, "for the test");
        break;
    default:
        break;
    }
    assert_int_equal(axvm_state(vm), state);
    return vm;
}

static void end_of(struct axvm *vm)
{
    if (axvm_state(vm) == AXVM_STATE_STOPPING) {
        vm_leave(vm);
    }
    fake_vm_end(vm);
}

static void operations_are_refused_in_all_states_but_their_own(void **state)
{
    static const struct operation {
        const char *name;
        int (*run)(struct axvm *vm);
        int to[AXVM_STATE_COUNT]; /* the state it leads to; -1: refused */
    } operations[] = {
        /* from:             loading loaded running suspended stopping stopped failed */
        {"init", axvm_init, {AXVM_STATE_LOADED, -1, -1, -1, -1, -1, -1}},
        {"boot", axvm_boot, {-1, AXVM_STATE_RUNNING, -1, -1, -1, -1, -1}},
        {"suspend", axvm_suspend, {-1, -1, AXVM_STATE_SUSPENDED, -1, -1, -1, -1}},
        {"resume", axvm_resume, {-1, -1, -1, AXVM_STATE_RUNNING, -1, -1, -1}},
        {"shutdown", axvm_shutdown, {-1, AXVM_STATE_STOPPED, AXVM_STATE_STOPPED, AXVM_STATE_STOPPED, -1, -1, -1}},
        {"reset", axvm_reset, {-1, -1, -1, -1, -1, AXVM_STATE_LOADED, AXVM_STATE_LOADED}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
        for (unsigned from = 0; from < AXVM_STATE_COUNT; from++) {
            struct axvm *vm = vm_in((enum axvm_state)from);
            int to = operations[i].to[from];

            assert_int_equal(operations[i].run(vm), to < 0 ? AXVM_EBADSTATE : AXVM_OK);
            assert_int_equal(axvm_state(vm), to < 0 ? (int)from : to);
            end_of(vm);
        }
    }
}

static void destroy_is_refused_while_running_suspended_or_stopping(void **state)
{
    static const enum axvm_state refused[] = {AXVM_STATE_RUNNING, AXVM_STATE_SUSPENDED, AXVM_STATE_STOPPING};

    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        struct axvm *vm = vm_in(refused[i]);

        assert_int_equal(axvm_destroy(vm), AXVM_EBADSTATE);
        assert_int_equal(axvm_state(vm), refused[i]);
        end_of(vm);
    }
}

static void images_are_taken_while_loading_only(void **state)
{
    (void)state;
    for (unsigned from = 0; from < AXVM_STATE_COUNT; from++) {
        struct axvm *vm = vm_in((enum axvm_state)from);

        assert_int_equal(axvm_set_image(vm, AXVM_IMAGE_RAMDISK, fake_kernel, 100),
                         from == AXVM_STATE_LOADING ? AXVM_OK : AXVM_EBADSTATE);
        end_of(vm);
    }
}

static void an_image_must_be_of_a_known_kind_and_have_both_data_and_size(void **state)
{
    struct axvm *vm = vm_in(AXVM_STATE_LOADING);

    (void)state;
    assert_int_equal(axvm_set_image(vm, AXVM_IMAGE_COUNT, fake_kernel, 1), AXVM_EINVAL);
    assert_int_equal(axvm_set_image(vm, (enum axvm_image_kind)-1, fake_kernel, 1), AXVM_EINVAL);
    assert_int_equal(axvm_set_image(vm, AXVM_IMAGE_KERNEL, NULL, 1), AXVM_EINVAL);
    assert_int_equal(axvm_set_image(vm, AXVM_IMAGE_KERNEL, fake_kernel, 0), AXVM_EINVAL);
    assert_int_equal(axvm_set_image(vm, AXVM_IMAGE_KERNEL, NULL, 0), AXVM_OK);
    end_of(vm);
}

static void any_state_can_fail_and_the_reason_is_logged_once(void **state)
{
    (void)state;
    for (unsigned from = 0; from < AXVM_STATE_COUNT; from++) {
        struct axvm *vm = vm_in((enum axvm_state)from);
        bool inside = from == AXVM_STATE_STOPPING;

        fake_hal_forget();
        axvm_fail(vm, "the moon is full");
        assert_int_equal(axvm_state(vm), AXVM_STATE_FAILED);
        assert_int_equal(fake_hal_logged("the moon is full"), from != AXVM_STATE_FAILED);
        axvm_fail(vm, "and once more");
        assert_false(fake_hal_logged("and once more"));
        if (inside) {
            vm_leave(vm);
            assert_int_equal(axvm_state(vm), AXVM_STATE_FAILED);
        }
        fake_vm_end(vm);
    }
}

/* ---- Boot ---- */

static void boot_powers_vcpu_0_on_and_no_other(void **state)
{
    struct axvm *vm = fake_vm_load(2);

    (void)state;
    assert_false(axvm_vcpu_runnable(vm, 0));
    assert_int_equal(axvm_boot(vm), AXVM_OK);
    assert_int_equal(fake_vm(vm)->boots, 1);
    assert_true(axvm_vcpu_runnable(vm, 0));
    assert_false(axvm_vcpu_runnable(vm, 1));
    fake_run_on(0, vm, 0);
    assert_int_equal(fake_vcpu(vm, 0)->starts, 1);
    assert_int_equal(fake_vcpu(vm, 0)->entry.v, vm->layout.entry.v);
    assert_int_equal(fake_vcpu(vm, 0)->arg, vm->layout.dtb.v);
    assert_int_not_equal(fake_vcpu(vm, 0)->arg, 0);
    assert_int_equal(fake_run_on(1, vm, 1), AXVM_EXIT_CPU_DOWN);
    assert_int_equal(fake_vcpu(vm, 1)->runs, 0);
    fake_vm_end(vm);
}

struct booter {
    pthread_t thread;
    pthread_barrier_t *start;
    struct axvm *vm;
    int result;
};

static void *boot_thread(void *argument)
{
    struct booter *booter = argument;

    pthread_barrier_wait(booter->start);
    booter->result = axvm_boot(booter->vm);
    return NULL;
}

static void of_two_racing_boots_one_wins(void **state)
{
    struct axvm *vm = fake_vm_load(1);

    (void)state;
    for (unsigned round = 0; round < 100; round++) {
        pthread_barrier_t start;
        struct booter booters[2] = {{.start = &start, .vm = vm}, {.start = &start, .vm = vm}};

        pthread_barrier_init(&start, NULL, 2);
        for (unsigned i = 0; i < 2; i++) {
            assert_int_equal(pthread_create(&booters[i].thread, NULL, boot_thread, &booters[i]), 0);
        }
        for (unsigned i = 0; i < 2; i++) {
            pthread_join(booters[i].thread, NULL);
        }
        pthread_barrier_destroy(&start);
        assert_int_equal(booters[0].result + booters[1].result, AXVM_OK + AXVM_EBADSTATE);
        assert_int_equal(fake_vm(vm)->boots, round + 1);
        assert_int_equal(axvm_shutdown(vm), AXVM_OK);
        assert_int_equal(axvm_reset(vm), AXVM_OK);
    }
    fake_vm_end(vm);
}

/* ---- Stopping and suspending with vCPUs inside ---- */

#define RUNNERS 3U

/* A host's thread for one vCPU: runs it on its own pCPU until the VM isn't running, or until told to quit. */
struct runner {
    pthread_t thread;
    struct axvm *vm;
    uint32_t vcpu;
    atomic_bool *quit; /* NULL: ends with the first STOPPED */
    int error;
    unsigned stops;
};

static void *runner_thread(void *argument)
{
    struct runner *runner = argument;
    struct axvm_exit exit = {.kind = AXVM_EXIT_NOTHING};

    fake_hal_set_pcpu(runner->vcpu);
    while (runner->error == AXVM_OK && (runner->quit != NULL ? !*runner->quit : exit.kind != AXVM_EXIT_STOPPED)) {
        runner->error = axvm_run_vcpu(runner->vm, runner->vcpu, &exit);
        runner->stops += exit.kind == AXVM_EXIT_STOPPED;
        sched_yield();
    }
    return NULL;
}

/* All its vCPUs powered on, in guests that stay until they are asked to leave. */
static struct axvm *spinning_vm(void)
{
    struct axvm *vm = fake_vm_boot(RUNNERS);

    for (uint32_t id = 0; id < RUNNERS; id++) {
        fake_vcpu(vm, id)->guest = fake_guest_spin;
        if (id > 0) {
            assert_int_equal(vcpu_power_on(vm->vcpus[id], gpa(0x1000), id), AXVM_OK);
        }
    }
    return vm;
}

static void runners_start(struct runner runners[RUNNERS], struct axvm *vm, atomic_bool *quit)
{
    for (uint32_t id = 0; id < RUNNERS; id++) {
        runners[id] = (struct runner){.vm = vm, .vcpu = id, .quit = quit};
        assert_int_equal(pthread_create(&runners[id].thread, NULL, runner_thread, &runners[id]), 0);
    }
}

static void wait_until_all_run(struct axvm *vm)
{
    for (uint32_t id = 0; id < RUNNERS; id++) {
        while (axvm_vcpu_state(vm, id) != AXVM_VCPU_RUNNING) {
            sched_yield();
        }
    }
}

static void runners_join(struct runner runners[RUNNERS])
{
    for (uint32_t id = 0; id < RUNNERS; id++) {
        pthread_join(runners[id].thread, NULL);
        assert_int_equal(runners[id].error, AXVM_OK);
    }
}

static void shutdown_gets_all_vcpus_out_and_the_last_one_completes_it(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 20; round++) {
        struct axvm *vm = spinning_vm();
        struct runner runners[RUNNERS];

        runners_start(runners, vm, NULL);
        wait_until_all_run(vm);
        assert_int_equal(axvm_shutdown(vm), AXVM_OK);
        runners_join(runners);
        assert_int_equal(axvm_state(vm), AXVM_STATE_STOPPED);
        for (uint32_t id = 0; id < RUNNERS; id++) {
            assert_int_equal(axvm_vcpu_state(vm, id), AXVM_VCPU_FREE);
            assert_int_equal(axvm_vcpu_resides_on(vm, id), AXVM_ENOENT);
        }
        assert_int_equal(axvm_destroy(vm), AXVM_OK);
    }
}

static void shutdown_of_a_vm_with_a_vcpu_inside_is_stopping_until_it_leaves(void **state)
{
    struct axvm *vm = fake_vm_boot(1);

    (void)state;
    assert_true(vm_enter(vm));
    assert_int_equal(axvm_shutdown(vm), AXVM_OK);
    assert_int_equal(axvm_state(vm), AXVM_STATE_STOPPING);
    assert_int_equal(fake_run_on(0, vm, 0), AXVM_EXIT_STOPPED);
    assert_int_equal(axvm_state(vm), AXVM_STATE_STOPPING);
    vm_leave(vm);
    assert_int_equal(axvm_state(vm), AXVM_STATE_STOPPED);
    fake_vm_end(vm);
}

static void shutdown_kicks_every_vcpu(void **state)
{
    struct axvm *vm = fake_vm_boot(2);

    (void)state;
    fake_hal_forget();
    assert_int_equal(axvm_shutdown(vm), AXVM_OK);
    assert_int_equal(fake_hal_kicks_of(axvm_id(vm), 0), 1);
    assert_int_equal(fake_hal_kicks_of(axvm_id(vm), 1), 1);
    fake_vm_end(vm);
}

static void a_failing_vm_leaves_its_neighbour_running(void **state)
{
    struct axvm *neighbour = fake_vm_boot(1);
    struct axvm *vm = fake_vm_boot(1);

    (void)state;
    fake_push(fake_vcpu(vm, 0), (struct axvm_exit){.kind = AXVM_EXIT_FAIL_ENTRY, .fail_entry.reason = 7});
    fake_push(fake_vcpu(neighbour, 0), (struct axvm_exit){.kind = AXVM_EXIT_HYPERCALL});
    assert_int_equal(fake_run_on(0, vm, 0), AXVM_EXIT_FAIL_ENTRY);
    assert_int_equal(axvm_state(vm), AXVM_STATE_FAILED);
    assert_int_equal(fake_run_on(0, neighbour, 0), AXVM_EXIT_HYPERCALL);
    assert_int_equal(axvm_state(neighbour), AXVM_STATE_RUNNING);
    assert_int_equal(axvm_destroy(vm), AXVM_OK);
    assert_int_equal(fake_run_on(0, neighbour, 0), AXVM_EXIT_HALT);
    fake_vm_end(neighbour);
}

static void fail_gets_vcpus_out_of_the_guest(void **state)
{
    struct axvm *vm = spinning_vm();
    struct runner runners[RUNNERS];

    (void)state;
    runners_start(runners, vm, NULL);
    wait_until_all_run(vm);
    axvm_fail(vm, "for the test");
    runners_join(runners);
    assert_int_equal(axvm_state(vm), AXVM_STATE_FAILED);
    fake_vm_end(vm);
}

/* Hosts' threads that never rest, while the VM goes through its life over and over. */
static void lifecycle_and_running_vcpus_can_race(void **state)
{
    struct axvm *vm = spinning_vm();
    struct runner runners[RUNNERS];
    atomic_bool quit = false;

    (void)state;
    runners_start(runners, vm, &quit);
    for (unsigned round = 0; round < 60; round++) {
        int error;

        assert_int_equal(axvm_suspend(vm), AXVM_OK);
        assert_int_equal(axvm_resume(vm), AXVM_OK);
        assert_int_equal(vcpu_power_on(vm->vcpus[1 + round % 2], gpa(0), 0) <= 0, true);
        if (round % 3 == 0) {
            axvm_fail(vm, "for the test");
        } else {
            assert_int_equal(axvm_shutdown(vm), AXVM_OK);
        }
        do {
            sched_yield();
            fake_hal_forget();
            error = axvm_state(vm) == AXVM_STATE_STOPPING ? AXVM_EBUSY : axvm_reset(vm);
        } while (error == AXVM_EBUSY);
        assert_int_equal(error, AXVM_OK);
        assert_int_equal(axvm_boot(vm), AXVM_OK);
    }
    assert_int_equal(axvm_shutdown(vm), AXVM_OK);
    quit = true;
    runners_join(runners);
    assert_int_equal(axvm_state(vm), AXVM_STATE_STOPPED);
    fake_vm_end(vm);
}

/* ---- Suspending ---- */

static void a_suspended_vm_runs_no_further_and_time_stands_still(void **state)
{
    struct axvm *vm = fake_vm_boot(1);

    (void)state;
    fake_run_on(0, vm, 0);
    fake_hal_advance(1000);
    assert_int_equal(axvm_suspend(vm), AXVM_OK);
    assert_false(axvm_vcpu_runnable(vm, 0));
    assert_int_equal(fake_run_on(0, vm, 0), AXVM_EXIT_STOPPED);
    assert_int_equal(axvm_vcpu_resides_on(vm, 0), AXVM_ENOENT);
    fake_hal_advance(500);
    assert_int_equal(fake_run_on(0, vm, 0), AXVM_EXIT_STOPPED);
    assert_int_equal(fake_vm(vm)->shifted, 0);
    assert_int_equal(axvm_resume(vm), AXVM_OK);
    assert_int_equal(fake_vm(vm)->shifted, 500);
    assert_int_equal(fake_run_on(0, vm, 0), AXVM_EXIT_HALT);
    assert_int_equal(axvm_suspend(vm), AXVM_OK);
    fake_hal_advance(30);
    assert_int_equal(axvm_resume(vm), AXVM_OK);
    assert_int_equal(fake_vm(vm)->shifted, 530);
    fake_vm_end(vm);
}

static void time_goes_on_until_the_last_vcpu_has_left(void **state)
{
    struct axvm *vm = fake_vm_boot(1);

    (void)state;
    assert_true(vm_enter(vm));
    assert_int_equal(axvm_suspend(vm), AXVM_OK);
    fake_hal_advance(100); /* it is in the guest still */
    vm_leave(vm);
    fake_hal_advance(7);
    assert_int_equal(axvm_resume(vm), AXVM_OK);
    assert_int_equal(fake_vm(vm)->shifted, 7);

    assert_true(vm_enter(vm));
    assert_int_equal(axvm_suspend(vm), AXVM_OK);
    fake_hal_advance(100);
    assert_int_equal(axvm_resume(vm), AXVM_OK); /* it never left: time never stood still */
    assert_int_equal(fake_vm(vm)->shifted, 7);
    vm_leave(vm);
    fake_vm_end(vm);
}

static void resume_kicks_every_vcpu_and_has_it_loaded_anew(void **state)
{
    struct axvm *vm = fake_vm_boot(2);

    (void)state;
    fake_run_on(0, vm, 0); /* stays resident: nobody runs it while it is suspended */
    assert_int_equal(axvm_suspend(vm), AXVM_OK);
    fake_hal_forget();
    assert_int_equal(axvm_resume(vm), AXVM_OK);
    assert_int_equal(fake_hal_kicks_of(axvm_id(vm), 0), 1);
    assert_int_equal(fake_hal_kicks_of(axvm_id(vm), 1), 1);
    assert_int_equal(fake_vcpu(vm, 0)->loads, 1);
    assert_int_equal(fake_run_on(0, vm, 0), AXVM_EXIT_HALT);
    assert_int_equal(fake_vcpu(vm, 0)->loads, 2);
    fake_vm_end(vm);
}

static void a_request_to_leave_that_came_late_does_not_stop_a_resumed_vm(void **state)
{
    struct axvm *vm = fake_vm_boot(1);

    (void)state;
    assert_int_equal(axvm_suspend(vm), AXVM_OK);
    assert_int_equal(axvm_resume(vm), AXVM_OK);
    assert_true(vm->vcpus[0]->requests & VCPU_REQ_LEAVE);
    assert_int_equal(fake_run_on(0, vm, 0), AXVM_EXIT_HALT);
    assert_false(vm->vcpus[0]->requests & VCPU_REQ_LEAVE);
    fake_vm_end(vm);
}

/* ---- The guest's own power-off ---- */

static void the_first_vcpu_to_ask_for_power_off_gets_it_and_the_vm_stops(void **state)
{
    struct axvm *vm = fake_vm_boot(2);

    (void)state;
    assert_true(vm_enter(vm));
    assert_true(vm_system_down(vm->vcpus[0], AXVM_SYSTEM_OFF));
    assert_false(vm_system_down(vm->vcpus[1], AXVM_SYSTEM_OFF));
    assert_int_equal(axvm_state(vm), AXVM_STATE_STOPPING);
    assert_int_equal(fake_hal_kicks_of(axvm_id(vm), 1), 1);
    vm_leave(vm);
    assert_int_equal(axvm_state(vm), AXVM_STATE_STOPPED);
    fake_vm_end(vm);
}

static void down_guest(struct fake_vcpu *vcpu, struct axvm_exit *exit)
{
    exit->kind = vm_system_down(&vcpu->base, AXVM_SYSTEM_RESET) ? AXVM_EXIT_SYSTEM_DOWN : AXVM_EXIT_STOPPED;
    exit->system_down.event = AXVM_SYSTEM_RESET;
}

static void system_down_comes_back_with_the_vcpu_out_of_the_hardware(void **state)
{
    struct axvm *vm = fake_vm_boot(1);

    (void)state;
    fake_vcpu(vm, 0)->guest = down_guest;
    assert_int_equal(fake_run_on(0, vm, 0), AXVM_EXIT_SYSTEM_DOWN);
    assert_int_equal(axvm_state(vm), AXVM_STATE_STOPPED);
    assert_int_equal(axvm_vcpu_resides_on(vm, 0), AXVM_ENOENT);
    assert_int_equal(axvm_reset(vm), AXVM_OK);
    fake_vm_end(vm);
}

/* ---- Reset and destroy against residents ---- */

static void reset_and_destroy_wait_for_vcpus_that_are_resident_elsewhere(void **state)
{
    struct axvm *vm = fake_vm_boot(1);

    (void)state;
    fake_run_on(1, vm, 0);
    assert_int_equal(axvm_shutdown(vm), AXVM_OK);
    assert_int_equal(axvm_state(vm), AXVM_STATE_STOPPED);
    assert_int_equal(axvm_reset(vm), AXVM_EBUSY);
    assert_int_equal(axvm_destroy(vm), AXVM_EBUSY);
    assert_int_equal(axvm_state(vm), AXVM_STATE_STOPPED);
    assert_int_equal(fake_run_on(1, vm, 0), AXVM_EXIT_STOPPED);
    assert_int_equal(axvm_reset(vm), AXVM_OK);
    assert_int_equal(axvm_destroy(vm), AXVM_OK);
}

static void reset_and_destroy_save_what_is_resident_here(void **state)
{
    struct axvm *vm = fake_vm_boot(1);

    (void)state;
    fake_run_on(0, vm, 0);
    assert_int_equal(axvm_shutdown(vm), AXVM_OK);
    assert_int_equal(axvm_vcpu_resides_on(vm, 0), 0);
    assert_int_equal(axvm_reset(vm), AXVM_OK);
    assert_int_equal(axvm_boot(vm), AXVM_OK);
    fake_run_on(0, vm, 0);
    assert_int_equal(axvm_shutdown(vm), AXVM_OK);
    assert_int_equal(axvm_destroy(vm), AXVM_OK);
}

static void reset_and_destroy_are_busy_while_a_vcpu_is_claimed(void **state)
{
    struct axvm *vm = vm_in(AXVM_STATE_STOPPED);
    uint32_t was;

    (void)state;
    assert_int_equal(vcpu_claim(vm->vcpus[1], &was), AXVM_OK);
    assert_int_equal(axvm_reset(vm), AXVM_EBUSY);
    assert_int_equal(axvm_destroy(vm), AXVM_EBUSY);
    assert_int_equal(axvm_vcpu_state(vm, 0), AXVM_VCPU_FREE);
    vcpu_unclaim(vm->vcpus[1], was);
    assert_int_equal(axvm_reset(vm), AXVM_OK);
    fake_vm_end(vm);
}

/* ---- Identity and references ---- */

static void ids_are_given_from_1_and_used_again(void **state)
{
    struct axvm *a = fake_vm_load(1), *b = fake_vm_load(1), *c = fake_vm_load(1);

    (void)state;
    assert_int_equal(axvm_id(a), 1);
    assert_int_equal(axvm_id(b), 2);
    assert_int_equal(axvm_id(c), 3);
    fake_vm_end(b);
    b = fake_vm_load(1);
    assert_int_equal(axvm_id(b), 2);
    assert_int_equal(axvm_config(b)->id.value, 2);
    fake_vm_end(a);
    fake_vm_end(b);
    fake_vm_end(c);
}

static void an_id_that_is_taken_is_refused(void **state)
{
    struct axvm_config config = fake_config(1);
    struct axvm *vm, *other = NULL;

    (void)state;
    config.id = (struct axvm_opt_u64){.value = 2, .given = true};
    vm = fake_vm_create(&config);
    assert_int_equal(axvm_create(&config, &other), AXVM_EEXIST);
    assert_null(other);
    config.id.given = false;
    other = fake_vm_create(&config);
    assert_int_equal(axvm_id(other), 1);
    fake_vm_end(other);
    fake_vm_end(vm);
}

static void id_0_can_be_given(void **state)
{
    struct axvm_config config = fake_config(1);
    struct axvm *vm;

    (void)state;
    config.id = (struct axvm_opt_u64){.value = 0, .given = true};
    vm = fake_vm_create(&config);
    assert_ptr_equal(axvm_find(0), vm);
    axvm_put(vm);
    fake_vm_end(vm);
}

static void find_takes_a_reference_that_keeps_the_vm(void **state)
{
    struct axvm *vm = fake_vm_load(1);
    uint32_t id = axvm_id(vm);
    size_t frames = fake_hal_frames_used();

    (void)state;
    assert_null(axvm_find(id + 1));
    assert_ptr_equal(axvm_find(id), vm);
    assert_int_equal(axvm_destroy(vm), AXVM_OK);
    assert_null(axvm_find(id));
    assert_int_equal(fake_hal_frames_used(), frames);
    assert_string_equal(axvm_name(vm), "fake");
    axvm_put(vm);
    assert_int_equal(fake_hal_frames_used(), 0);
}

static void a_destroyed_vm_can_do_nothing_more(void **state)
{
    static const enum axvm_state from[] = {AXVM_STATE_LOADING, AXVM_STATE_LOADED, AXVM_STATE_STOPPED,
                                           AXVM_STATE_FAILED};

    (void)state;
    for (size_t i = 0; i < sizeof(from) / sizeof(from[0]); i++) {
        struct axvm *vm = axvm_get(vm_in(from[i]));
        struct axvm_exit exit;

        assert_int_equal(axvm_destroy(vm), AXVM_OK);
        assert_int_not_equal(axvm_init(vm), AXVM_OK);
        assert_int_not_equal(axvm_boot(vm), AXVM_OK);
        assert_int_not_equal(axvm_reset(vm), AXVM_OK);
        assert_int_not_equal(axvm_destroy(vm), AXVM_OK);
        assert_int_not_equal(axvm_set_image(vm, AXVM_IMAGE_KERNEL, fake_kernel, 1), AXVM_OK);
        if (axvm_vcpu_count(vm) > 0) {
            assert_int_equal(axvm_run_vcpu(vm, 0, &exit), AXVM_OK);
            assert_int_equal(exit.kind, AXVM_EXIT_STOPPED);
            assert_int_equal(axvm_set_gpr(vm, 0, 1, 1), AXVM_EBUSY);
        }
        axvm_put(vm);
        assert_int_equal(fake_hal_frames_used(), 0);
    }
}

/* ---- The library ---- */

static void a_host_that_lacks_a_callback_is_refused(void **state)
{
    struct axvm_hal host = fake_hal;

    (void)state;
    assert_int_equal(axvm_library_init(NULL, &axvm_arch_fake), AXVM_EINVAL);
    assert_int_equal(axvm_library_init(&fake_hal, NULL), AXVM_EINVAL);
    for (size_t offset = 0; offset < sizeof(host); offset += sizeof(void *)) {
        if (offset == offsetof(struct axvm_hal, pcpu_hart) || offset == offsetof(struct axvm_hal, isa) ||
            offset == offsetof(struct axvm_hal, guest_file) || offset == offsetof(struct axvm_hal, irq_set_active)) {
            continue; /* for some architectures alone */
        }
        host = fake_hal;
        memset((char *)&host + offset, 0, sizeof(void *));
        assert_int_equal(axvm_library_init(&host, &axvm_arch_fake), AXVM_EINVAL);
    }
    host = fake_hal;
    host.pcpu_count = AXVM_MAX_PCPUS + 1;
    assert_int_equal(axvm_library_init(&host, &axvm_arch_fake), AXVM_EINVAL);
    assert_ptr_equal(hal, &fake_hal);
}

static void the_library_is_not_told_another_host_while_there_are_vms(void **state)
{
    struct axvm *vm = fake_vm_load(1);

    (void)state;
    assert_int_equal(axvm_library_init(&fake_hal, &axvm_arch_fake), AXVM_EBADSTATE);
    fake_vm_end(vm);
    assert_int_equal(axvm_library_init(&fake_hal, &axvm_arch_fake), AXVM_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(transitions_are_exactly_those_of_the_design),
        TEST(a_transition_from_another_state_than_the_present_is_refused),
        TEST(operations_are_refused_in_all_states_but_their_own),
        TEST(destroy_is_refused_while_running_suspended_or_stopping),
        TEST(images_are_taken_while_loading_only),
        TEST(an_image_must_be_of_a_known_kind_and_have_both_data_and_size),
        TEST(any_state_can_fail_and_the_reason_is_logged_once),
        TEST(boot_powers_vcpu_0_on_and_no_other),
        TEST(of_two_racing_boots_one_wins),
        TEST(shutdown_gets_all_vcpus_out_and_the_last_one_completes_it),
        TEST(shutdown_of_a_vm_with_a_vcpu_inside_is_stopping_until_it_leaves),
        TEST(shutdown_kicks_every_vcpu),
        TEST(a_failing_vm_leaves_its_neighbour_running),
        TEST(fail_gets_vcpus_out_of_the_guest),
        TEST(lifecycle_and_running_vcpus_can_race),
        TEST(a_suspended_vm_runs_no_further_and_time_stands_still),
        TEST(time_goes_on_until_the_last_vcpu_has_left),
        TEST(resume_kicks_every_vcpu_and_has_it_loaded_anew),
        TEST(a_request_to_leave_that_came_late_does_not_stop_a_resumed_vm),
        TEST(the_first_vcpu_to_ask_for_power_off_gets_it_and_the_vm_stops),
        TEST(system_down_comes_back_with_the_vcpu_out_of_the_hardware),
        TEST(reset_and_destroy_wait_for_vcpus_that_are_resident_elsewhere),
        TEST(reset_and_destroy_save_what_is_resident_here),
        TEST(reset_and_destroy_are_busy_while_a_vcpu_is_claimed),
        TEST(ids_are_given_from_1_and_used_again),
        TEST(an_id_that_is_taken_is_refused),
        TEST(id_0_can_be_given),
        TEST(find_takes_a_reference_that_keeps_the_vm),
        TEST(a_destroyed_vm_can_do_nothing_more),
        TEST(a_host_that_lacks_a_callback_is_refused),
        TEST(the_library_is_not_told_another_host_while_there_are_vms),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
