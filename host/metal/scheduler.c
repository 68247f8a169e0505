/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler.h"

#include "host.h"
#include "lib/host.h"
#include "lib/log.h"

/*
 * Shares of CPU time, in ticks: a turn ends when its task is so far ahead of another that is ready; one that wakes up
 * is let in at once if it is so far behind the one that runs, and no wait brings it further behind. So while a ready
 * task waits for its next turn, none of the others gets more than three times this: a slice.
 */
#define LEAD (hal->tick_hz / (SCHED_SLICES_PER_SECOND * 3))

_Static_assert(sizeof(struct sched_vm) <= AXVM_PAGE_SIZE, "a VM's tasks have one frame");

static struct runqueue *queues[AXVM_MAX_PCPUS];
static uint64_t online; /* mask of pCPUs that have a queue */
static struct sched_vm *vms[SCHED_MAX_VMS];
static unsigned vm_count;
static _Atomic unsigned alive;   /* VMs that run or may yet */
static _Atomic unsigned awaited; /* VMs that are being created: none runs before all are there */

/* ---- Placement ------------------------------------------------------------------------------------------------- */

static void slice_over(struct axvm_timer *timer)
{
    struct runqueue *queue = (struct runqueue *)(void *)((char *)timer - offsetof(struct runqueue, slice));

    atomic_store(&queue->preempt, true);
}

void sched_forget(void)
{
    online = 0;
    vm_count = 0;
    atomic_store(&alive, 0);
    atomic_store(&awaited, 0);
}

void sched_add_cpu(unsigned pcpu, struct runqueue *queue)
{
    queues[pcpu] = queue;
    queue->slice.fire = slice_over;
    online |= UINT64_C(1) << pcpu;
}

int sched_add(struct sched_vm *vm, const struct axvm_config *config)
{
    if (vm_count == SCHED_MAX_VMS) {
        return fail(AXVM_ENOMEM, "vm %s: there are %u VMs already", vm->name, vm_count);
    }
    if (sched_find(vm->id)) {
        return fail(AXVM_EEXIST, "vm %s: its id %u is %s's already", vm->name, vm->id, sched_find(vm->id)->name);
    }
    if (config->cpu_num == 0) { /* no pCPU would be the one that creates it, and all others wait for it */
        return fail(AXVM_EINVAL, "vm %s: it has no vCPU", vm->name);
    }
    vm->task_count = config->cpu_num < AXVM_MAX_VCPUS ? config->cpu_num : AXVM_MAX_VCPUS;
    for (uint32_t i = 0; i < vm->task_count; i++) {
        uint64_t allowed = i < config->phys_cpu_sets_count ? config->phys_cpu_sets[i] : UINT64_MAX;

        vm->tasks[i] = (struct task){.vm = vm, .vcpu = i, .allowed = allowed & online};
        if (vm->tasks[i].allowed == 0) {
            return fail(AXVM_EINVAL, "vm %s: none of vCPU %u's pCPUs (phys_cpu_sets 0x%llx) is there", vm->name, i,
                        (unsigned long long)allowed);
        }
    }
    vms[vm_count++] = vm;
    atomic_fetch_add(&alive, 1);
    atomic_fetch_add(&awaited, 1);
    atomic_store(&vm->awaited, true);
    return AXVM_OK;
}

static void place(struct task *task)
{
    struct runqueue *least = NULL;

    for (unsigned i = 0; i < AXVM_MAX_PCPUS; i++) {
        if ((task->allowed >> i & 1) != 0 && (!least || queues[i]->task_count < least->task_count)) {
            least = queues[i];
            task->pcpu = i;
        }
    }
    task->next = least->first;
    least->first = task;
    least->task_count++;
}

void sched_place(void)
{
    for (unsigned pass = 0; pass < 2; pass++) {
        for (unsigned i = 0; i < vm_count; i++) {
            for (unsigned k = 0; k < vms[i]->task_count; k++) {
                if ((vms[i]->tasks[k].allowed == online) == (pass == 1)) {
                    place(&vms[i]->tasks[k]);
                }
            }
        }
    }
}

struct sched_vm *sched_vm(unsigned index)
{
    return index < vm_count ? vms[index] : NULL;
}

struct sched_vm *sched_find(uint32_t vm_id)
{
    for (unsigned i = 0; i < vm_count; i++) {
        if (vms[i]->id == vm_id) {
            return vms[i];
        }
    }
    return NULL;
}

/* ---- Waking ---------------------------------------------------------------------------------------------------- */

static void end_turn(struct runqueue *queue, uint64_t deadline)
{
    queue->slice.deadline = deadline;
    hal->timer_arm(&queue->slice);
}

/*
 * On its own pCPU, whose task goes on if the one that wakes up isn't far enough behind; but its turn ends earlier now.
 * (`floor` may make the other seem further behind than it will be: then sched_step() knows better.)
 */
static bool goes_on(struct runqueue *queue, const struct task *woken)
{
    const struct task *current = atomic_load(&queue->current);
    uint64_t now, used, deadline;

    if (!current || woken->pcpu != hal->pcpu_id()) {
        return false;
    }
    now = hal->ticks();
    used = current->used + (now - queue->since);
    if (woken->used + LEAD <= used) {
        return false;
    }
    deadline = now + (woken->used + LEAD - used);
    if (!queue->slice.armed || deadline < queue->slice.deadline) {
        end_turn(queue, deadline);
    }
    return true;
}

/*
 * Sequentially consistent with sched_step(): it sets `current` before the library looks for what a kick is about, and
 * clears `ready` before task_settle() asks whether there is anything. So a kick is never lost, and interrupts a pCPU
 * only for news.
 */
static void task_kick(struct task *task)
{
    struct runqueue *queue = queues[task->pcpu];
    bool was_ready = atomic_exchange(&task->ready, true);

    if (!was_ready && !goes_on(queue, task)) {
        atomic_store(&queue->preempt, true);
        host_kick(task->pcpu);
    } else if (atomic_load(&queue->current) == task) {
        host_kick(task->pcpu);
    }
}

/* A VM that is only being created is woken by sched_start(), unless that fails: until then nobody is to touch it. */
void sched_kick(uint32_t vm_id, uint32_t vcpu_id)
{
    struct sched_vm *vm = sched_find(vm_id);

    if (vm && vm->vm && vcpu_id < vm->task_count) {
        task_kick(&vm->tasks[vcpu_id]);
    }
}

/* Have every task look at its vCPU, whatever its pCPU thinks of it: one that was parked may count as ready. */
static void wake_all(struct sched_vm *vm)
{
    for (unsigned i = 0; i < vm->task_count; i++) {
        atomic_store(&vm->tasks[i].ready, true);
        atomic_store(&queues[vm->tasks[i].pcpu]->preempt, true);
        host_kick(vm->tasks[i].pcpu);
    }
}

/* ---- Beginning and end of VMs ------------------------------------------------------------------------------------ */

static void count_out(void)
{
    if (atomic_fetch_sub(&alive, 1) == 1) {
        host_all_ended();
    }
}

/* It has been created, or never will be. After the last all pCPUs may begin. */
static void await_no_more(struct sched_vm *vm)
{
    if (!atomic_exchange(&vm->awaited, false) || atomic_fetch_sub(&awaited, 1) > 1) {
        return;
    }
    for (unsigned i = 0; i < AXVM_MAX_PCPUS; i++) {
        if ((online >> i & 1) != 0) {
            host_kick(i);
        }
    }
}

void sched_give_up(struct sched_vm *vm)
{
    await_no_more(vm);
    for (unsigned i = 0; i < vm->task_count; i++) {
        atomic_store(&vm->tasks[i].parked, true);
    }
    host_console_gone(vm);
    count_out();
}

static void begin(struct sched_vm *vm)
{
    for (unsigned i = 0; i < vm->task_count; i++) {
        axvm_vcpu_set_alone(vm->vm, i, queues[vm->tasks[i].pcpu]->task_count == 1);
    }
    wake_all(vm);
}

void sched_start(struct sched_vm *vm)
{
    begin(vm);
    await_no_more(vm);
}

/* It is reset, and all its tasks are parked. False: it can't be booted. */
static bool start_again(struct sched_vm *vm)
{
    atomic_store(&vm->parked, 0);
    for (unsigned i = 0; i < vm->task_count; i++) {
        atomic_store(&vm->tasks[i].parked, false);
    }
    if (axvm_boot(vm->vm) != AXVM_OK) {
        return false;
    }
    log_limited(&vm->log, AXVM_LOG_INFO, "vm %s: starts again", vm->name);
    begin(vm);
    return true;
}

static void vm_ended(struct sched_vm *vm, enum axvm_state state)
{
    log_info("vm %s: %s", vm->name, state == AXVM_STATE_STOPPED ? "powered off" : axvm_state_name(state));
    host_console_gone(vm);
    count_out();
}

/*
 * A part of a reset, in the turn of the task that does it. Nobody is in a guest here, so look for interrupts; none of
 * them is the guest's whose registers were in the hardware last, for they no longer are.
 */
static void reset_step(struct task *task)
{
    struct sched_vm *vm = task->vm;
    int error = axvm_reset_step(vm->vm);

    if (error == AXVM_MORE) {
        host_poll();
        return;
    }
    task->resets = false;
    if (error != AXVM_OK || !start_again(vm)) {
        vm_ended(vm, AXVM_STATE_FAILED);
    }
}

/* The last of its tasks is parked. */
static void all_parked(struct task *last)
{
    struct sched_vm *vm = last->vm;
    enum axvm_state state = axvm_state(vm->vm);

    host_console_end(vm);
    last->resets = atomic_exchange(&vm->reset_wanted, false) && state == AXVM_STATE_STOPPED;
    if (!last->resets) {
        vm_ended(vm, state);
    }
}

/*
 * The VM has stopped for good, or to be reset. The first of its tasks to see that fetches the others, the last one ends
 * it.
 */
static void task_park(struct task *task)
{
    struct sched_vm *vm = task->vm;
    unsigned parked;

    atomic_store(&task->parked, true);
    parked = atomic_fetch_add(&vm->parked, 1) + 1;
    if (parked == vm->task_count) {
        all_parked(task);
    } else if (parked == 1) {
        wake_all(vm);
    }
}

/* ---- Running ----------------------------------------------------------------------------------------------------- */

static bool is_at_its_end(const struct sched_vm *vm)
{
    enum axvm_state state = axvm_state(vm->vm);

    return state == AXVM_STATE_STOPPING || state == AXVM_STATE_STOPPED || state == AXVM_STATE_FAILED;
}

/*
 * The task has nothing to do: it isn't ready until somebody kicks it, unless that has happened meanwhile; or
 * wake_all(), to have it parked.
 */
static void task_wait(struct task *task)
{
    atomic_store(&task->ready, false);
    if (axvm_vcpu_runnable(task->vm->vm, task->vcpu) || is_at_its_end(task->vm)) {
        atomic_store(&task->ready, true);
    }
}

/* It came back, or can't be entered: what next depends on its VM. */
static void task_settle(struct task *task)
{
    if (is_at_its_end(task->vm)) {
        axvm_release_vcpu(task->vm->vm, task->vcpu);
        task_park(task);
    } else {
        task_wait(task);
    }
}

static void on_ready(struct task *task, const struct axvm_exit *exit)
{
    (void)task;
    (void)exit;
}

static void on_nothing(struct task *task, const struct axvm_exit *exit)
{
    (void)exit;
    task->yields = true;
}

static void on_hypercall(struct task *task, const struct axvm_exit *exit)
{
    (void)exit;
    axvm_set_return_value(task->vm->vm, task->vcpu, UINT64_MAX);
}

static void on_settle(struct task *task, const struct axvm_exit *exit)
{
    (void)exit;
    task_settle(task);
}

static void on_system_down(struct task *task, const struct axvm_exit *exit)
{
    atomic_store(&task->vm->reset_wanted, exit->system_down.event == AXVM_SYSTEM_RESET);
    task_settle(task);
}

/* The library answers what isn't here. CPU_UP: it has kicked the vCPU. */
static void (*const on_exit[AXVM_EXIT_KIND_COUNT])(struct task *task, const struct axvm_exit *exit) = {
    [AXVM_EXIT_NOTHING] = on_nothing,
    [AXVM_EXIT_EXTERNAL_INTERRUPT] = on_ready,
    [AXVM_EXIT_CPU_UP] = on_ready,
    [AXVM_EXIT_HYPERCALL] = on_hypercall,
    [AXVM_EXIT_HALT] = on_settle,
    [AXVM_EXIT_CPU_DOWN] = on_settle,
    [AXVM_EXIT_STOPPED] = on_settle,
    [AXVM_EXIT_FAIL_ENTRY] = on_settle,
    [AXVM_EXIT_SYSTEM_DOWN] = on_system_down,
};

static void run_task(struct task *task)
{
    struct axvm_exit exit = {.kind = AXVM_EXIT_NOTHING};
    struct sched_vm *vm = task->vm;

    if (axvm_run_vcpu(vm->vm, task->vcpu, &exit) != AXVM_OK) {
        axvm_fail(vm->vm, "a vCPU can't be run");
        task_settle(task);
    } else if (on_exit[exit.kind]) {
        on_exit[exit.kind](task, &exit);
    } else {
        axvm_fail(vm->vm, axvm_exit_name(exit.kind));
        task_settle(task);
    }
}

/* A kick says that something has changed. If that is nothing to end the vCPU's wait with, it goes on. */
static bool is_ready(struct task *task)
{
    if (task->resets) {
        return true;
    }
    if (!atomic_load(&task->ready) || atomic_load(&task->parked)) {
        return false;
    }
    if (!task->in_turn && axvm_state(task->vm->vm) == AXVM_STATE_RUNNING) {
        task_wait(task);
    }
    return atomic_load(&task->ready);
}

/* Nobody in turn has used less than `floor`; it never falls. */
static void raise_floor(struct runqueue *queue)
{
    uint64_t least = UINT64_MAX;

    for (const struct task *task = queue->first; task; task = task->next) {
        if (task->in_turn && task->used < least) {
            least = task->used;
        }
    }
    if (least != UINT64_MAX && least > queue->floor) {
        queue->floor = least;
    }
}

/* Bring `in_turn` up to date. Who waited saves nothing up but a small lead. */
static void gather(struct runqueue *queue)
{
    raise_floor(queue);
    for (struct task *task = queue->first; task; task = task->next) {
        bool ready = is_ready(task);

        if (ready && !task->in_turn && task->used + LEAD < queue->floor) {
            task->used = queue->floor - LEAD;
        }
        task->in_turn = ready;
    }
}

/* Of those in turn but `but`, the one that has used least; of equals, the first after the one that ran last. */
static struct task *least_used(const struct runqueue *queue, const struct task *but)
{
    struct task *task = queue->last, *least = NULL;

    for (unsigned i = 0; i < queue->task_count; i++) {
        task = task && task->next ? task->next : queue->first;
        if (task->in_turn && task != but && (!least || task->used < least->used)) {
            least = task;
        }
    }
    return least;
}

/* Who gives way has used as much as all the others: they all come first. */
static void give_way(const struct runqueue *queue, struct task *task)
{
    for (const struct task *other = queue->first; other; other = other->next) {
        if (other->in_turn && other->used > task->used) {
            task->used = other->used;
        }
    }
}

/* The task whose turn it is, or still is; *other: the one whose turn it would be else, NULL: none. */
static struct task *choose(struct runqueue *queue, struct task **other)
{
    struct task *last = queue->last, *task;

    gather(queue);
    if (last && last->yields) {
        give_way(queue, last);
    }
    task = least_used(queue, NULL);
    if (last && last->in_turn && !last->yields && last->used < task->used + LEAD) {
        task = last;
    }
    *other = task ? least_used(queue, task) : NULL;
    return task;
}

bool sched_step(struct runqueue *queue)
{
    struct task *task, *other = NULL;

    atomic_store(&queue->preempt, false);
    task = atomic_load(&awaited) == 0 ? choose(queue, &other) : NULL;
    if (!task) {
        return false;
    }
    queue->since = hal->ticks();
    if (other) {
        end_turn(queue, queue->since + (other->used + LEAD - task->used));
    } else if (queue->slice.armed) {
        hal->timer_cancel(&queue->slice);
    }
    if (task->resets && queue->last != task) {
        axvm_release_vcpu(queue->last->vm->vm, queue->last->vcpu);
    }
    queue->last = task;
    task->yields = false;
    if (task->resets) {
        reset_step(task);
    } else {
        atomic_store(&queue->current, task);
        run_task(task);
        atomic_store(&queue->current, NULL);
    }
    task->used += hal->ticks() - queue->since;
    return true;
}

void sched_lost(struct runqueue *queue)
{
    for (struct task *task = queue->first; task; task = task->next) {
        if (task->resets) { /* with which nobody goes on */
            axvm_fail(task->vm->vm, "a pCPU that it runs on is lost");
            vm_ended(task->vm, AXVM_STATE_FAILED);
        } else if (atomic_load(&task->parked)) {
            continue;
        } else if (task->vm->vm) {
            await_no_more(task->vm);
            axvm_fail(task->vm->vm, "a pCPU that it runs on is lost");
            task_park(task);
        } else if (task->vcpu == 0) {
            sched_give_up(task->vm); /* nobody else was to create it */
        }
    }
}
