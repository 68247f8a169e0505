/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host/metal/scheduler.c, over a library that does what a script says: struct vm_script stands for struct axvm, and
 * each axvm_run_vcpu() takes the next step of the vCPU's script.
 */
#include "scheduler.h"

#include "host.h"
#include "lib/host.h"
#include "lib/log.h"
#include "support/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MAX_VCPUS 4
#define TICK_HZ 1000000
#define SLICE (TICK_HZ / SCHED_SLICES_PER_SECOND)

struct step {
    enum axvm_exit_kind kind;
    int error;
    void (*during)(void); /* what happens while it runs */
};

struct vm_script {
    enum axvm_state state;
    bool blocked[MAX_VCPUS], pending[MAX_VCPUS]; /* waits; has something to end a wait with */
    bool alone[MAX_VCPUS];
    unsigned released, resets, boots;
    unsigned reset_parts, reset_part; /* how many come before the last; which is next */
    uint64_t reset_time;              /* for a part */
    int reset_error;
    enum axvm_system_event event;
    struct step steps[MAX_VCPUS][8];
    unsigned at[MAX_VCPUS];
    uint64_t returned;
    enum axvm_exit_kind (*behave)(unsigned vm); /* instead of steps; time goes on meanwhile */
};

static struct vm_script scripts[4];
static struct vm_script *resident; /* where there is one pCPU: whose vCPU's registers its hardware has */
static union {
    struct sched_vm vm;
    char frame[4096];
} vms[4];
static struct runqueue queues_[4];
static unsigned kicks[AXVM_MAX_PCPUS];
static bool awake[AXVM_MAX_PCPUS];
static unsigned ended;
static char trace[256], logged[1024];
static struct axvm_timer *armed;
static uint64_t now;
static struct sched_vm *vm_a, *vm_b;

#define NEVER UINT64_MAX
static uint64_t wake_at[4]; /* when VMs that wait have an interrupt */

static struct vm_script *script(const struct axvm *vm)
{
    return (struct vm_script *)(uintptr_t)vm;
}

/* ---- The host that the scheduler asks ---- */

static uint64_t ticks(void)
{
    return now;
}

static void timer_arm(struct axvm_timer *timer)
{
    armed = timer;
    timer->armed = true;
}

static void timer_cancel(struct axvm_timer *timer)
{
    armed = NULL;
    timer->armed = false;
}

static unsigned pcpu_id(void)
{
    return 0;
}

static const struct axvm_hal test_hal = {
    .pcpu_id = pcpu_id,
    .ticks = ticks,
    .tick_hz = TICK_HZ,
    .timer_arm = timer_arm,
    .timer_cancel = timer_cancel,
};
const struct axvm_hal *hal = &test_hal;

void host_kick(unsigned pcpu)
{
    kicks[pcpu]++;
    awake[pcpu] = true;
}

static void poll(void);

void host_poll(void)
{
    poll();
}

void host_all_ended(void)
{
    ended++;
}

void host_console_gone(struct sched_vm *vm)
{
    (void)vm;
}

void host_console_end(struct sched_vm *vm)
{
    (void)vm;
}

static void note(const char *format, va_list list)
{
    size_t used = strlen(logged);

    vsnprintf(logged + used, sizeof(logged) - used, format, list);
    used = strlen(logged);
    snprintf(logged + used, sizeof(logged) - used, "\n");
}

void log_line(enum axvm_log_level level, const char *format, ...)
{
    va_list list;

    (void)level;
    va_start(list, format);
    note(format, list);
    va_end(list);
}

void log_limited(struct log_limit *limit, enum axvm_log_level level, const char *format, ...)
{
    (void)limit;
    (void)level;
    (void)format;
}

int(fail)(int error, const char *format, ...) /* cmocka has a macro of that name */
{
    va_list list;

    va_start(list, format);
    note(format, list);
    va_end(list);
    return error;
}

/* ---- The library ---- */

static void (*once_state_was_read)(void); /* what another pCPU does just then */

enum axvm_state axvm_state(const struct axvm *vm)
{
    enum axvm_state state = script(vm)->state;
    void (*then)(void) = once_state_was_read;

    once_state_was_read = NULL;
    if (then) {
        then();
    }
    return state;
}

const char *axvm_state_name(enum axvm_state state)
{
    return state == AXVM_STATE_FAILED ? "failed" : "?";
}

const char *axvm_exit_name(enum axvm_exit_kind kind)
{
    return kind == AXVM_EXIT_MMIO_READ ? "MmioRead" : "?";
}

bool axvm_vcpu_runnable(const struct axvm *vm, uint32_t vcpu)
{
    return script(vm)->state == AXVM_STATE_RUNNING && (!script(vm)->blocked[vcpu] || script(vm)->pending[vcpu]);
}

int axvm_vcpu_set_alone(struct axvm *vm, uint32_t vcpu, bool alone)
{
    script(vm)->alone[vcpu] = alone;
    return AXVM_OK;
}

int axvm_set_return_value(struct axvm *vm, uint32_t vcpu, uint64_t value)
{
    (void)vcpu;
    script(vm)->returned = value;
    return AXVM_OK;
}

int axvm_release_vcpu(struct axvm *vm, uint32_t vcpu)
{
    script(vm)->released |= 1U << vcpu;
    resident = resident == script(vm) ? NULL : resident;
    return AXVM_OK;
}

int axvm_reset_step(struct axvm *vm)
{
    now += script(vm)->reset_time;
    if (script(vm)->reset_part++ < script(vm)->reset_parts) {
        assert_null(resident);
        return AXVM_MORE;
    }
    script(vm)->reset_part = 0;
    script(vm)->resets++;
    if (script(vm)->reset_error == AXVM_OK) {
        script(vm)->state = AXVM_STATE_LOADED;
    }
    return script(vm)->reset_error;
}

int axvm_boot(struct axvm *vm)
{
    script(vm)->boots++;
    script(vm)->state = AXVM_STATE_RUNNING;
    return AXVM_OK;
}

void axvm_fail(struct axvm *vm, const char *reason)
{
    script(vm)->state = AXVM_STATE_FAILED;
    log_line(AXVM_LOG_ERROR, "fail: %s", reason);
}

static int run_step(struct vm_script *s, uint32_t vcpu, struct axvm_exit *exit)
{
    struct step step = s->steps[vcpu][s->at[vcpu]];
    size_t used = strlen(trace);

    snprintf(trace + used, sizeof(trace) - used, "%c%u ", (char)('a' + (s - scripts)), vcpu);
    if (s->state != AXVM_STATE_RUNNING) {
        exit->kind = AXVM_EXIT_STOPPED;
        return AXVM_OK;
    }
    s->at[vcpu]++;
    s->blocked[vcpu] = s->pending[vcpu] = false;
    exit->kind = step.kind == AXVM_EXIT_NOTHING && !step.during ? AXVM_EXIT_HALT : step.kind;
    exit->system_down.event = s->event;
    if (step.during) {
        step.during();
    }
    s->blocked[vcpu] = exit->kind == AXVM_EXIT_HALT;
    if (exit->kind == AXVM_EXIT_SYSTEM_DOWN) {
        s->state = AXVM_STATE_STOPPED;
    }
    return step.error;
}

/* One step of the script; after its end the vCPU waits. */
int axvm_run_vcpu(struct axvm *vm, uint32_t vcpu, struct axvm_exit *exit)
{
    struct vm_script *s = script(vm);

    resident = s;
    if (s->behave) {
        exit->kind = s->behave((unsigned)(s - scripts));
        if (exit->kind == AXVM_EXIT_SYSTEM_DOWN) {
            s->state = AXVM_STATE_STOPPED;
            exit->system_down.event = s->event;
        }
        return AXVM_OK;
    }
    return run_step(s, vcpu, exit);
}

/* ---- Helpers ---- */

static struct sched_vm *make(unsigned index, const char *name, uint32_t vcpus, const uint64_t *sets, size_t set_count)
{
    struct axvm_config config = {.cpu_num = vcpus, .phys_cpu_sets_count = set_count};
    struct sched_vm *vm = &vms[index].vm;

    memset(&vms[index], 0, sizeof(vms[index]));
    memset(&scripts[index], 0, sizeof(scripts[index]));
    for (size_t i = 0; i < set_count; i++) {
        config.phys_cpu_sets[i] = sets[i];
    }
    vm->name = name;
    vm->id = index + 1;
    vm->vm = (struct axvm *)(void *)&scripts[index];
    return sched_add(vm, &config) == AXVM_OK ? vm : NULL;
}

#define SETS(...) (const uint64_t[]){__VA_ARGS__}, sizeof((const uint64_t[]){__VA_ARGS__}) / 8

static void boot(struct sched_vm *vm)
{
    script(vm->vm)->state = AXVM_STATE_RUNNING;
    sched_start(vm);
}

/* An interrupt for its first vCPU. */
static void interrupt(struct sched_vm *vm)
{
    script(vm->vm)->pending[0] = true;
    sched_kick(vm->id, 0);
}

static void traced(const char *expected)
{
    assert_string_equal(trace, expected);
    trace[0] = '\0';
}

/* Until all pCPUs are idle. An idle one does nothing until it is kicked. */
static void run_all(void)
{
    for (unsigned rounds = 0; rounds < 100; rounds++) {
        for (unsigned i = 0; i < 4; i++) {
            awake[i] = awake[i] && sched_step(&queues_[i]);
        }
    }
}

static void begin(unsigned pcpus)
{
    sched_forget();
    memset(queues_, 0, sizeof(queues_));
    memset(kicks, 0, sizeof(kicks));
    memset(awake, 0, sizeof(awake));
    trace[0] = logged[0] = '\0';
    ended = 0;
    now = 1000;
    memset(wake_at, 0xff, sizeof(wake_at));
    armed = NULL;
    for (unsigned i = 0; i < pcpus; i++) {
        sched_add_cpu(i, &queues_[i]);
    }
}

/* One VM of one vCPU. */
static int one_alone(void **state)
{
    (void)state;
    begin(1);
    vm_a = make(0, "a", 1, NULL, 0);
    sched_place();
    return 0;
}

/* Two VMs of one vCPU each on the same pCPU. */
static int two_on_one(void **state)
{
    (void)state;
    begin(1);
    vm_a = make(0, "a", 1, NULL, 0);
    vm_b = make(1, "b", 1, NULL, 0);
    sched_place();
    return 0;
}

/* One VM, two vCPUs, a pCPU each. */
static int one_on_two(void **state)
{
    (void)state;
    begin(2);
    vm_a = make(0, "a", 2, NULL, 0);
    sched_place();
    return 0;
}

/* ---- Placement ---- */

static void free_vcpus_spread_and_pinned_ones_go_first(void **state)
{
    struct sched_vm *spread, *pinned;

    (void)state;
    begin(4);
    spread = make(0, "spread", 3, NULL, 0);
    pinned = make(1, "pinned", 3, SETS(0x2, 0x6));
    assert_non_null(spread);
    assert_non_null(pinned);
    sched_place();
    assert_int_equal(pinned->tasks[0].pcpu, 1);
    assert_int_equal(pinned->tasks[1].pcpu, 2); /* the less loaded of two */
    assert_int_equal(spread->tasks[0].pcpu, 0);
    assert_int_equal(spread->tasks[1].pcpu, 3);
    assert_int_equal(queues_[0].task_count + queues_[1].task_count + queues_[2].task_count + queues_[3].task_count, 6);
    for (unsigned i = 0; i < 4; i++) {
        assert_in_range(queues_[i].task_count, 1, 2);
    }
}

static void a_vm_that_fits_nowhere_is_refused_by_name(void **state)
{
    (void)state;
    begin(2);
    assert_non_null(make(0, "good", 2, SETS(0xff, 0x1)));
    assert_null(make(1, "bad", 2, SETS(0x1, 0x4)));
    assert_non_null(strstr(logged, "vm bad: none of vCPU 1's pCPUs (phys_cpu_sets 0x4) is there"));
    sched_place();
    assert_int_equal(queues_[0].task_count + queues_[1].task_count, 2);
    assert_ptr_equal(sched_vm(0), &vms[0].vm);
    assert_null(sched_vm(1));
}

static void a_vm_without_vcpus_is_not_waited_for(void **state)
{
    (void)state;
    begin(1);
    assert_null(make(0, "none", 0, NULL, 0));
    assert_non_null(strstr(logged, "vm none: it has no vCPU"));
    assert_non_null(make(1, "good", 1, NULL, 0));
    sched_place();
    boot(&vms[1].vm);
    assert_true(sched_step(&queues_[0]));
}

static void an_id_is_taken_once(void **state)
{
    struct axvm_config config = {.cpu_num = 1};

    (void)state;
    begin(1);
    assert_non_null(make(0, "first", 1, NULL, 0));
    memset(&vms[1], 0, sizeof(vms[1]));
    vms[1].vm.name = "second";
    vms[1].vm.id = 1;
    assert_int_equal(sched_add(&vms[1].vm, &config), AXVM_EEXIST);
    assert_non_null(strstr(logged, "vm second: its id 1 is first's already"));
    assert_ptr_equal(sched_find(1), &vms[0].vm);
    assert_null(sched_find(2));
}

/* ---- Turns ---- */

static void a_lone_vcpu_has_no_tick_and_is_told_so(void **state)
{
    (void)state;
    one_on_two(NULL);
    boot(vm_a);
    assert_true(scripts[0].alone[0]);
    assert_true(scripts[0].alone[1]);
    assert_true(sched_step(&queues_[0]));
    assert_null(armed);
    two_on_one(NULL);
    boot(vm_a);
    assert_false(scripts[0].alone[0]);
}

/* What time is for: until `end`, or something asks for the pCPU. */
static enum axvm_exit_kind time_passes(uint64_t end, enum axvm_exit_kind then);

static enum axvm_exit_kind spins(unsigned vm)
{
    (void)vm;
    return time_passes(UINT64_MAX, AXVM_EXIT_NOTHING);
}

static void ready_vcpus_take_turns_by_slices(void **state)
{
    (void)state;
    scripts[0].behave = scripts[1].behave = spins;
    boot(vm_a);
    boot(vm_b);
    for (unsigned i = 0; i < 6; i++) {
        uint64_t since = now;

        assert_true(sched_step(&queues_[0]));
        assert_true(atomic_load(&queues_[0].preempt));
        assert_int_equal(now - since, i == 0 ? SLICE / 3 : SLICE / 3 * 2);
    }
    scripts[0].behave = NULL; /* it waits: the last one left has no slice */
    while (!scripts[0].blocked[0]) {
        sched_step(&queues_[0]);
    }
    scripts[1].behave = NULL;
    sched_step(&queues_[0]);
    assert_null(armed);
}

static void nothing_ready_means_idle(void **state)
{
    (void)state;
    assert_false(sched_step(&queues_[0]));
    boot(vm_a);
    assert_true(sched_step(&queues_[0])); /* it waits at once */
    assert_false(sched_step(&queues_[0]));
    traced("a0 ");
}

/* Two VMs of one vCPU each, a pCPU each. */
static int two_on_two(void **state)
{
    (void)state;
    begin(2);
    vm_a = make(0, "a", 1, SETS(1));
    vm_b = make(1, "b", 1, SETS(2));
    sched_place();
    return 0;
}

static void no_vm_runs_before_all_are_created(void **state)
{
    (void)state;
    boot(vm_a);
    run_all();
    traced("");
    boot(vm_b);
    run_all();
    traced("a0 b0 ");
}

static void a_vm_that_could_not_be_created_isnt_awaited(void **state)
{
    (void)state;
    vm_b->vm = NULL;
    boot(vm_a);
    run_all();
    traced("");
    sched_give_up(vm_b);
    run_all();
    traced("a0 ");
}

static void the_vm_of_a_lost_pcpu_isnt_awaited(void **state)
{
    (void)state;
    vm_b->vm = NULL;
    boot(vm_a);
    run_all();
    traced("");
    sched_lost(&queues_[1]);
    run_all();
    traced("a0 ");
}

/* ---- Waking ---- */

static void a_kick_wakes_a_waiting_vcpu_and_preempts(void **state)
{
    (void)state;
    boot(vm_a);
    run_all();
    traced("a0 ");
    kicks[0] = 0;
    interrupt(vm_a);
    assert_int_equal(kicks[0], 1);
    assert_true(atomic_load(&queues_[0].preempt));
    interrupt(vm_a); /* it is ready already, and not running: nothing to interrupt */
    assert_int_equal(kicks[0], 1);
    run_all();
    traced("a0 ");
    sched_kick(1, 7);
    sched_kick(9, 0);
    assert_int_equal(kicks[0], 1);
}

static void a_kick_of_a_vm_that_is_being_created_wakes_nobody(void **state)
{
    struct axvm *vm = vm_a->vm;

    (void)state;
    vm_a->vm = NULL;
    sched_kick(1, 0);
    assert_int_equal(kicks[0], 0);
    run_all();
    traced("");
    vm_a->vm = vm;
    boot(vm_a);
    run_all();
    traced("a0 ");
}

static void kick_a(void)
{
    sched_kick(1, 0);
}

static void a_kick_interrupts_a_running_vcpu_without_taking_its_turn(void **state)
{
    (void)state;
    scripts[0].steps[0][0] = (struct step){.kind = AXVM_EXIT_NOTHING, .during = kick_a};
    boot(vm_a);
    kicks[0] = 0;
    sched_step(&queues_[0]);
    assert_int_equal(kicks[0], 1);
    assert_false(atomic_load(&queues_[0].preempt));
}

static void make_runnable(void)
{
    scripts[0].pending[0] = true; /* without a kick that counts: the vCPU seemed to run */
}

static void a_wait_that_is_over_already_is_none(void **state)
{
    (void)state;
    scripts[0].steps[0][0] = (struct step){.kind = AXVM_EXIT_HALT, .during = make_runnable};
    boot(vm_a);
    assert_true(sched_step(&queues_[0]));
    assert_true(sched_step(&queues_[0]));
    traced("a0 a0 ");
}

static void unknown_hypercalls_are_answered_with_minus_one(void **state)
{
    (void)state;
    scripts[0].steps[0][0].kind = AXVM_EXIT_HYPERCALL;
    boot(vm_a);
    run_all();
    assert_int_equal(scripts[0].returned, UINT64_MAX);
    traced("a0 a0 ");
}

/* ---- Ends ---- */

static void power_off_ends_a_vm_when_all_its_vcpus_have_left(void **state)
{
    (void)state;
    scripts[0].steps[0][0].kind = AXVM_EXIT_SYSTEM_DOWN;
    scripts[0].event = AXVM_SYSTEM_OFF;
    boot(vm_a);
    assert_true(sched_step(&queues_[0]));
    assert_int_equal(ended, 0);
    assert_true(sched_step(&queues_[1])); /* vCPU 1 never ran, and is fetched nevertheless */
    assert_int_equal(ended, 1);
    assert_int_equal(scripts[0].released, 3);
    assert_non_null(strstr(logged, "vm a: powered off"));
    sched_kick(1, 0);
    assert_false(sched_step(&queues_[0]));
}

/* On the first pCPU, while the second one looks at another vCPU of the VM. */
static void step_first(void)
{
    assert_true(sched_step(&queues_[0]));
}

static void watch_next_state(void)
{
    once_state_was_read = step_first;
}

static void power_off_isnt_missed_by_a_vcpu_that_begins_to_wait(void **state)
{
    (void)state;
    scripts[0].steps[0][0].kind = AXVM_EXIT_SYSTEM_DOWN;
    scripts[0].steps[1][0] = (struct step){.kind = AXVM_EXIT_HALT, .during = watch_next_state};
    boot(vm_a);
    assert_true(sched_step(&queues_[1]));
    run_all();
    assert_null(once_state_was_read);
    assert_int_equal(ended, 1);
}

static void power_off_isnt_missed_by_a_vcpu_that_was_kicked_for_nothing(void **state)
{
    (void)state;
    scripts[0].steps[0][0].kind = AXVM_EXIT_SYSTEM_DOWN;
    boot(vm_a);
    assert_true(sched_step(&queues_[1]));
    assert_false(sched_step(&queues_[1])); /* it waits */
    sched_kick(vm_a->id, 1);
    watch_next_state();
    (void)sched_step(&queues_[1]);
    run_all();
    assert_null(once_state_was_read);
    assert_int_equal(ended, 1);
}

static void the_machine_ends_with_its_last_vm(void **state)
{
    (void)state;
    scripts[0].steps[0][0].kind = AXVM_EXIT_SYSTEM_DOWN;
    scripts[1].steps[0][1].kind = AXVM_EXIT_SYSTEM_DOWN;
    boot(vm_a);
    boot(vm_b);
    run_all();
    assert_int_equal(ended, 0);
    interrupt(vm_b);
    run_all();
    assert_int_equal(ended, 1);
}

static void a_vm_that_could_not_start_counts_as_ended(void **state)
{
    (void)state;
    boot(vm_a);
    sched_give_up(vm_b);
    assert_int_equal(ended, 0);
    sched_kick(2, 0);
    run_all();
    traced("a0 ");
    scripts[0].steps[0][1].kind = AXVM_EXIT_SYSTEM_DOWN;
    interrupt(vm_a);
    run_all();
    assert_int_equal(ended, 1);
}

/* The first vCPU to stop, and the last one, which starts the VM again, are on pCPUs that go idle afterwards. */
static void reset_starts_a_vm_again(void **state)
{
    (void)state;
    scripts[0].steps[1][0].kind = AXVM_EXIT_SYSTEM_DOWN;
    scripts[0].event = AXVM_SYSTEM_RESET;
    boot(vm_a);
    run_all();
    assert_int_equal(scripts[0].resets, 1);
    assert_int_equal(scripts[0].boots, 1);
    assert_int_equal(ended, 0);
    trace[0] = '\0';
    scripts[0].pending[1] = true;
    interrupt(vm_a);
    sched_kick(1, 1);
    run_all();
    traced("a0 a1 ");
    /* It ends as it would have the first time. */
    scripts[0].event = AXVM_SYSTEM_OFF;
    scripts[0].steps[0][scripts[0].at[0]].kind = AXVM_EXIT_SYSTEM_DOWN;
    interrupt(vm_a);
    run_all();
    traced("a0 a1 ");
    assert_int_equal(ended, 1);
}

static void a_reset_that_fails_ends_the_vm(void **state)
{
    (void)state;
    scripts[0].steps[0][0].kind = AXVM_EXIT_SYSTEM_DOWN;
    scripts[0].event = AXVM_SYSTEM_RESET;
    scripts[0].reset_error = AXVM_ENOMEM;
    boot(vm_a);
    run_all();
    assert_int_equal(ended, 1);
    assert_non_null(strstr(logged, "vm a: failed"));
}

static void the_vm_of_a_lost_pcpu_is_reset_no_further(void **state)
{
    (void)state;
    scripts[0].steps[0][0].kind = AXVM_EXIT_SYSTEM_DOWN;
    scripts[0].event = AXVM_SYSTEM_RESET;
    scripts[0].reset_parts = 1000;
    boot(vm_a);
    run_all();
    assert_int_equal(scripts[0].resets, 0);
    assert_int_equal(ended, 0);
    sched_lost(&queues_[0]);
    assert_int_equal(scripts[0].state, AXVM_STATE_FAILED);
    assert_int_equal(ended, 1);
}

static void a_vcpu_that_cannot_run_fails_its_vm_alone(void **state)
{
    (void)state;
    scripts[0].steps[0][0] = (struct step){.kind = AXVM_EXIT_HALT, .error = AXVM_EBUSY};
    scripts[1].steps[0][0].kind = AXVM_EXIT_MMIO_READ; /* nothing that a host could answer */
    boot(vm_a);
    boot(vm_b);
    sched_step(&queues_[0]);
    assert_int_equal((scripts[0].state == AXVM_STATE_FAILED) + (scripts[1].state == AXVM_STATE_FAILED), 1);
    assert_int_equal(ended, 0);
    run_all();
    assert_int_equal(scripts[0].state, AXVM_STATE_FAILED);
    assert_int_equal(scripts[1].state, AXVM_STATE_FAILED);
    assert_non_null(strstr(logged, "fail: MmioRead"));
    assert_int_equal(ended, 1);
}

static void a_lost_pcpu_fails_its_vms_alone(void **state)
{
    (void)state;
    begin(2);
    vm_a = make(0, "a", 2, SETS(1, 2));
    vm_b = make(1, "b", 1, SETS(1));
    sched_place();
    boot(vm_a);
    boot(vm_b);
    run_all();
    sched_lost(&queues_[1]);
    run_all();
    assert_int_equal(scripts[0].state, AXVM_STATE_FAILED);
    assert_non_null(strstr(logged, "vm a: failed"));
    assert_int_equal(scripts[1].state, AXVM_STATE_RUNNING);
    assert_int_equal(ended, 0);
}

static void suspend_a(void)
{
    scripts[0].state = AXVM_STATE_SUSPENDED;
}

static void a_suspended_vm_waits_to_be_resumed(void **state)
{
    (void)state;
    scripts[0].steps[0][0] = (struct step){.kind = AXVM_EXIT_STOPPED, .during = suspend_a};
    boot(vm_a);
    run_all();
    traced("a0 ");
    assert_int_equal(ended, 0);
    scripts[0].state = AXVM_STATE_RUNNING;
    interrupt(vm_a);
    run_all();
    traced("a0 ");
}

/* ---- Shares of CPU time, whatever guests do ---- */

static struct {
    uint64_t ran;             /* in all */
    uint64_t stopped;         /* when it stopped running */
    uint64_t gap;             /* the longest time that it was ready and didn't run */
} shares[4];

static void wake_the_due(void)
{
    for (unsigned i = 0; i < 4; i++) {
        if (wake_at[i] <= now) {
            wake_at[i] = NEVER;
            shares[i].stopped = now;
            interrupt(&vms[i].vm);
        }
    }
}

static uint64_t next_event(uint64_t end)
{
    uint64_t next = armed && armed->deadline < end ? armed->deadline : end;

    for (unsigned i = 0; i < 4; i++) {
        next = wake_at[i] < next ? wake_at[i] : next;
    }
    return next;
}

static enum axvm_exit_kind time_passes(uint64_t end, enum axvm_exit_kind then)
{
    for (;;) {
        uint64_t next = next_event(end);

        now = next > now ? next : now;
        if (armed && armed->deadline <= now) {
            struct axvm_timer *timer = armed;

            armed = NULL;
            timer->armed = false;
            timer->fire(timer);
        }
        wake_the_due();
        if (atomic_load(&queues_[0].preempt)) {
            return AXVM_EXIT_EXTERNAL_INTERRUPT;
        }
        if (now >= end) {
            return then;
        }
    }
}

static void poll(void)
{
    (void)time_passes(now, AXVM_EXIT_NOTHING);
}

/* Run for so long, then leave like this; if that is to wait, for so long. */
static enum axvm_exit_kind act(unsigned vm, uint64_t work, enum axvm_exit_kind then, uint64_t rest)
{
    uint64_t since = now;
    enum axvm_exit_kind kind;

    scripts[vm].blocked[0] = scripts[vm].pending[0] = false;
    if (now - shares[vm].stopped > shares[vm].gap) {
        shares[vm].gap = now - shares[vm].stopped;
    }
    kind = time_passes(work == NEVER ? NEVER : now + work, then);
    shares[vm].ran += now - since;
    shares[vm].stopped = now;
    if (kind == AXVM_EXIT_HALT) {
        scripts[vm].blocked[0] = true;
        scripts[vm].pending[0] = rest == 0;
        wake_at[vm] = rest == 0 ? NEVER : now + rest;
    }
    return kind;
}

static enum axvm_exit_kind works(unsigned vm)
{
    return act(vm, NEVER, AXVM_EXIT_NOTHING, 0);
}

static enum axvm_exit_kind yields(unsigned vm)
{
    return act(vm, 1, AXVM_EXIT_NOTHING, 0);
}

static enum axvm_exit_kind exits(unsigned vm)
{
    return act(vm, 1, AXVM_EXIT_CPU_UP, 0);
}

static enum axvm_exit_kind dozes(unsigned vm)
{
    return act(vm, 1, AXVM_EXIT_HALT, 0);
}

/* It works as long as it may, and waits when its slice is nearly over, until the neighbour has just begun. */
static enum axvm_exit_kind dodges(unsigned vm)
{
    return act(vm, armed ? armed->deadline - now - 1 : 100, AXVM_EXIT_HALT, 1);
}

static enum axvm_exit_kind naps(unsigned vm)
{
    return act(vm, 300, AXVM_EXIT_HALT, 200);
}

static enum axvm_exit_kind (*const vices[])(unsigned) = {works, yields, exits, dozes, dodges, naps};

#define VICES (sizeof(vices) / sizeof(vices[0]))

/* Does something else all the time. */
static enum axvm_exit_kind is_erratic(unsigned vm)
{
    static const enum axvm_exit_kind kinds[] = {AXVM_EXIT_NOTHING, AXVM_EXIT_CPU_UP, AXVM_EXIT_HALT, AXVM_EXIT_HALT};
    uint64_t work = random_below(4) == 0 ? random_below(2 * SLICE) : random_below(100);

    if (random_below(4) == 0) {
        return vices[random_below(VICES)](vm);
    }
    return act(vm, work, kinds[random_below(4)], random_below(3) * random_below(random_below(8) == 0 ? 50000 : 500));
}

/* So many VMs of a vCPU each on one pCPU: the first one works, the others do that, for so many slices. */
static void share(unsigned count, enum axvm_exit_kind (*others)(unsigned), unsigned slices)
{
    begin(1);
    memset(shares, 0, sizeof(shares));
    for (unsigned i = 0; i < 4; i++) {
        shares[i].stopped = now;
    }
    for (unsigned i = 0; i < count; i++) {
        assert_non_null(make(i, "v", 1, NULL, 0));
        scripts[i].behave = i == 0 ? works : others;
    }
    sched_place();
    for (unsigned i = 0; i < count; i++) {
        boot(&vms[i].vm);
    }
    while (now < slices * SLICE) {
        assert_true(sched_step(&queues_[0])); /* the first one is always ready */
    }
}

static void nobody_takes_more_than_an_equal_share(void **state)
{
    (void)state;
    for (unsigned count = 2; count <= 4; count++) {
        for (unsigned i = 0; i < VICES; i++) {
            share(count, vices[i], 200);
            assert_in_range(shares[0].ran * count, 198 * SLICE, UINT64_MAX);
            assert_in_range(shares[0].gap, 0, (count - 1) * SLICE);
        }
    }
}

/* ... and who wants one has it, but for who gives way. */
static void all_that_want_an_equal_share_have_it(void **state)
{
    static enum axvm_exit_kind (*const wanting[])(unsigned) = {works, exits, dozes};

    (void)state;
    for (unsigned count = 2; count <= 4; count++) {
        for (unsigned i = 0; i < 3; i++) {
            share(count, wanting[i], 200);
            for (unsigned k = 0; k < count; k++) {
                assert_in_range(shares[k].ran * count, 198 * SLICE, 202 * SLICE);
                assert_in_range(shares[k].gap, 0, (count - 1) * SLICE);
            }
        }
    }
}

/* They are let in as soon as the other has had as much. */
static void short_waits_cost_no_share(void **state)
{
    (void)state;
    share(2, naps, 200);
    assert_in_range(shares[1].ran * 2, 195 * SLICE, 200 * SLICE);
    assert_in_range(shares[1].gap, 0, SLICE / 3 * 2);
}

static void no_ready_vcpu_waits_longer_than_a_slice_for_each_other(void **state)
{
    (void)state;
    random_start("shares");
    for (unsigned i = 0; i < 100; i++) {
        unsigned count = 2 + i % 3;

        share(count, is_erratic, 500);
        assert_in_range(shares[0].ran * count, 498 * SLICE, UINT64_MAX);
        assert_in_range(shares[0].gap, 0, (count - 1) * SLICE);
    }
}

/* Each takes several slices. */
static enum axvm_exit_kind asks_for_resets(unsigned vm)
{
    scripts[vm].event = AXVM_SYSTEM_RESET;
    scripts[vm].reset_parts = 99;
    scripts[vm].reset_time = SLICE / 20;
    return act(vm, 1, AXVM_EXIT_SYSTEM_DOWN, 0);
}

static void resets_take_turns_like_all_else(void **state)
{
    (void)state;
    for (unsigned count = 2; count <= 4; count++) {
        share(count, asks_for_resets, 200);
        assert_in_range(shares[0].ran * count, 198 * SLICE, 210 * SLICE);
        assert_in_range(shares[0].gap, 0, (count - 1) * (SLICE + SLICE / 20));
        assert_in_range(scripts[1].resets, 200 / 5 / count - 1, 200 / 5 / count + 1);
    }
}

static enum axvm_exit_kind rests(unsigned vm)
{
    return act(vm, 50, AXVM_EXIT_HALT, 5 * SLICE);
}

static void who_has_rested_is_let_in_at_once(void **state)
{
    (void)state;
    share(3, rests, 200);
    assert_in_range(shares[1].gap, 0, 50);
    assert_in_range(shares[2].gap, 0, 50);
}

static void a_kick_without_an_interrupt_ends_no_wait(void **state)
{
    (void)state;
    boot(vm_a);
    run_all();
    traced("a0 ");
    sched_kick(1, 0);
    run_all();
    traced("");
    interrupt(vm_a);
    run_all();
    traced("a0 ");
}

static void pass_a_while(void)
{
    now += random_below(2) != 0 ? 1 : 300;
}

static void who_gives_way_comes_after_all_others(void **state)
{
    (void)state;
    begin(1);
    for (unsigned i = 0; i < 3; i++) {
        assert_non_null(make(i, "v", 1, NULL, 0));
        for (unsigned k = 0; k < 3; k++) {
            scripts[i].steps[0][k] = (struct step){.kind = AXVM_EXIT_NOTHING, .during = pass_a_while};
        }
    }
    sched_place();
    for (unsigned i = 0; i < 3; i++) {
        boot(&vms[i].vm);
    }
    for (unsigned i = 0; i < 9; i++) {
        sched_step(&queues_[0]);
    }
    traced("c0 b0 a0 c0 b0 a0 c0 b0 a0 ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(free_vcpus_spread_and_pinned_ones_go_first),
        cmocka_unit_test(a_vm_that_fits_nowhere_is_refused_by_name),
        cmocka_unit_test(a_vm_without_vcpus_is_not_waited_for),
        cmocka_unit_test(an_id_is_taken_once),
        cmocka_unit_test(a_lone_vcpu_has_no_tick_and_is_told_so),
        cmocka_unit_test_setup(ready_vcpus_take_turns_by_slices, two_on_one),
        cmocka_unit_test_setup(nothing_ready_means_idle, one_alone),
        cmocka_unit_test_setup(no_vm_runs_before_all_are_created, two_on_two),
        cmocka_unit_test_setup(a_vm_that_could_not_be_created_isnt_awaited, two_on_two),
        cmocka_unit_test_setup(the_vm_of_a_lost_pcpu_isnt_awaited, two_on_two),
        cmocka_unit_test_setup(a_kick_wakes_a_waiting_vcpu_and_preempts, one_alone),
        cmocka_unit_test_setup(a_kick_of_a_vm_that_is_being_created_wakes_nobody, one_alone),
        cmocka_unit_test_setup(a_kick_interrupts_a_running_vcpu_without_taking_its_turn, one_alone),
        cmocka_unit_test_setup(a_wait_that_is_over_already_is_none, one_alone),
        cmocka_unit_test_setup(unknown_hypercalls_are_answered_with_minus_one, one_alone),
        cmocka_unit_test_setup(power_off_ends_a_vm_when_all_its_vcpus_have_left, one_on_two),
        cmocka_unit_test_setup(power_off_isnt_missed_by_a_vcpu_that_begins_to_wait, one_on_two),
        cmocka_unit_test_setup(power_off_isnt_missed_by_a_vcpu_that_was_kicked_for_nothing, one_on_two),
        cmocka_unit_test_setup(the_machine_ends_with_its_last_vm, two_on_one),
        cmocka_unit_test_setup(a_vm_that_could_not_start_counts_as_ended, two_on_one),
        cmocka_unit_test_setup(reset_starts_a_vm_again, one_on_two),
        cmocka_unit_test_setup(a_reset_that_fails_ends_the_vm, one_on_two),
        cmocka_unit_test_setup(the_vm_of_a_lost_pcpu_is_reset_no_further, one_alone),
        cmocka_unit_test_setup(a_vcpu_that_cannot_run_fails_its_vm_alone, two_on_one),
        cmocka_unit_test(a_lost_pcpu_fails_its_vms_alone),
        cmocka_unit_test_setup(a_suspended_vm_waits_to_be_resumed, one_alone),
        cmocka_unit_test(nobody_takes_more_than_an_equal_share),
        cmocka_unit_test(all_that_want_an_equal_share_have_it),
        cmocka_unit_test(short_waits_cost_no_share),
        cmocka_unit_test(no_ready_vcpu_waits_longer_than_a_slice_for_each_other),
        cmocka_unit_test(resets_take_turns_like_all_else),
        cmocka_unit_test(who_has_rested_is_let_in_at_once),
        cmocka_unit_test_setup(a_kick_without_an_interrupt_ends_no_wait, one_alone),
        cmocka_unit_test(who_gives_way_comes_after_all_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
