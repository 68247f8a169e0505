/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a VM.
 *
 * Why nobody is left in the guest, or lost on the way out. All accesses to `state` and `inside` are sequentially
 * consistent, that is, they happen in one order that everybody agrees on.
 *
 *  - Entry counts itself in `inside` (vm_enter), then reads `state` (run_loop). Stopping (shutdown, the guest's own
 *    power-off) writes `state`, then reads `inside`. So either the entry sees the new state and turns back, or the
 *    stopper sees it.
 *  - Leaving (vm_leave) counts itself out, then reads `state`: if the stopper saw the count, the leaver sees STOPPING.
 *    So the last one of the two completes the stop. That step takes `lock` and looks at both once more, since between
 *    the look and the step the VM could have been stopped, reset and booted by others; all that goes on under `lock`.
 *  - A vCPU that is in the guest gets VCPU_REQ_LEAVE after `state` was written. It clears the request, then reads
 *    `state` (run.c): a request that it clears makes it see the state; one that comes later ends its run.
 *  - Reset and destroy need more than `inside` 0, as vCPUs' registers can also be set from outside: they claim every
 *    vCPU, which nobody can do who is inside, and check that none is resident. Since the VM isn't running, none gets
 *    resident.
 */
#include "core/vm.h"

#include "core/build.h"
#include "core/pcpu.h"
#include "core/registry.h"
#include "lib/log.h"

/* ---- States ---- */

#define TO(state) (1U << AXVM_STATE_##state)

static const uint8_t legal_transitions[AXVM_STATE_COUNT] = {
    [AXVM_STATE_LOADING] = TO(LOADED) | TO(FAILED),
    [AXVM_STATE_LOADED] = TO(RUNNING) | TO(STOPPING) | TO(FAILED),
    [AXVM_STATE_RUNNING] = TO(SUSPENDED) | TO(STOPPING) | TO(FAILED),
    [AXVM_STATE_SUSPENDED] = TO(RUNNING) | TO(STOPPING) | TO(FAILED),
    [AXVM_STATE_STOPPING] = TO(STOPPED) | TO(FAILED),
    [AXVM_STATE_STOPPED] = TO(LOADED) | TO(FAILED),
    [AXVM_STATE_FAILED] = TO(LOADED),
};

int vm_transition(struct axvm *vm, enum axvm_state from, enum axvm_state to)
{
    uint32_t expected = from;

    if (!(legal_transitions[from] >> to & 1) || !atomic_compare_exchange_strong(&vm->state, &expected, to)) {
        return AXVM_EBADSTATE;
    }
    return AXVM_OK;
}

static int refused(const struct axvm *vm, const char *what)
{
    return fail(AXVM_EBADSTATE, "VM %u: it can't be %s while %s", vm->id, what, axvm_state_name(axvm_state(vm)));
}

enum axvm_state axvm_state(const struct axvm *vm)
{
    return (enum axvm_state)atomic_load(&vm->state);
}

bool vm_is_quiet(struct axvm *vm)
{
    return axvm_state(vm) != AXVM_STATE_RUNNING && atomic_load(&vm->inside) == 0;
}

void vm_request(struct axvm *vm, uint32_t requests)
{
    for (uint32_t i = 0; i < vm->vcpu_count; i++) {
        vcpu_request(vm->vcpus[i], requests);
    }
}

/* ---- vCPUs that come and go ---- */

/*
 * Looking first keeps those away who come while it is suspended, so that resume finds `inside` 0 when time stood still.
 */
bool vm_enter(struct axvm *vm)
{
    if (axvm_state(vm) != AXVM_STATE_RUNNING) {
        return false;
    }
    atomic_fetch_add(&vm->inside, 1);
    return true;
}

/* The guest's time stands still from the moment its last vCPU left the guest. */
static void note_suspension(struct axvm *vm)
{
    uint64_t now = hal->ticks();
    uint64_t noted = atomic_load(&vm->suspended_at);

    while (noted < now && !atomic_compare_exchange_weak(&vm->suspended_at, &noted, now)) {
    }
}

static void stop_if_empty(struct axvm *vm)
{
    bool stopped = false;

    spin_lock(&vm->lock);
    if (atomic_load(&vm->inside) == 0) {
        stopped = vm_transition(vm, AXVM_STATE_STOPPING, AXVM_STATE_STOPPED) == AXVM_OK;
    }
    spin_unlock(&vm->lock);
    if (stopped) {
        log_limited(&vm->log, AXVM_LOG_INFO, "VM %u: stopped", vm->id);
    }
}

void vm_leave(struct axvm *vm)
{
    if (axvm_state(vm) == AXVM_STATE_SUSPENDED) {
        note_suspension(vm);
    }
    if (atomic_fetch_sub(&vm->inside, 1) == 1 && axvm_state(vm) == AXVM_STATE_STOPPING) {
        stop_if_empty(vm);
    }
}

/* ---- Boot, stop, suspend ---- */

static int boot_locked(struct axvm *vm)
{
    struct axvm_vcpu *first = vm->vcpus[0];

    if (axvm_state(vm) != AXVM_STATE_LOADED) {
        return AXVM_EBADSTATE;
    }
    arch->vm_boot(vm);
    first->start_entry = vm->layout.entry;
    first->start_arg = vm->layout.dtb.v;
    atomic_store_explicit(&first->power, VCPU_ON_PENDING, memory_order_release);
    return vm_transition(vm, AXVM_STATE_LOADED, AXVM_STATE_RUNNING);
}

int axvm_boot(struct axvm *vm)
{
    int error;

    spin_lock(&vm->lock);
    error = boot_locked(vm);
    spin_unlock(&vm->lock);
    if (error != AXVM_OK) {
        return refused(vm, "booted");
    }
    log_limited(&vm->log, AXVM_LOG_INFO, "VM %u \"%s\": running; keeps %zu KiB beside its RAM", vm->id, axvm_name(vm),
                (vm->arena.bytes + vm->as.table.frames * AXVM_PAGE_SIZE) >> 10);
    return AXVM_OK;
}

/* From any state that may be left for `to`. */
static int leave_for(struct axvm *vm, enum axvm_state to)
{
    enum axvm_state from = axvm_state(vm);

    while (legal_transitions[from] >> to & 1) {
        if (vm_transition(vm, from, to) == AXVM_OK) {
            return AXVM_OK;
        }
        from = axvm_state(vm);
    }
    return AXVM_EBADSTATE;
}

int axvm_shutdown(struct axvm *vm)
{
    int error;

    spin_lock(&vm->lock);
    error = leave_for(vm, AXVM_STATE_STOPPING);
    spin_unlock(&vm->lock);
    if (error != AXVM_OK) {
        return refused(vm, "shut down");
    }
    vm_request(vm, VCPU_REQ_LEAVE);
    stop_if_empty(vm);
    return AXVM_OK;
}

bool vm_system_down(struct axvm_vcpu *vcpu, enum axvm_system_event event)
{
    struct axvm *vm = vcpu->vm;

    if (leave_for(vm, AXVM_STATE_STOPPING) != AXVM_OK) {
        return false;
    }
    log_limited(&vm->log, AXVM_LOG_INFO, "VM %u: the guest asks for %s", vm->id,
                event == AXVM_SYSTEM_RESET ? "a reset" : "power-off");
    vm_request(vm, VCPU_REQ_LEAVE);
    return true;
}

int axvm_suspend(struct axvm *vm)
{
    int error;

    spin_lock(&vm->lock);
    error = vm_transition(vm, AXVM_STATE_RUNNING, AXVM_STATE_SUSPENDED);
    if (error == AXVM_OK) {
        note_suspension(vm);
    }
    spin_unlock(&vm->lock);
    if (error != AXVM_OK) {
        return refused(vm, "suspended");
    }
    vm_request(vm, VCPU_REQ_LEAVE);
    return AXVM_OK;
}

/*
 * Time is shifted before the VM runs again, so that no vCPU sees it jump. If one hasn't left the guest yet, its time
 * has gone on and there is nothing to shift.
 */
static int resume_locked(struct axvm *vm)
{
    if (axvm_state(vm) != AXVM_STATE_SUSPENDED) {
        return AXVM_EBADSTATE;
    }
    if (atomic_load(&vm->inside) == 0) {
        arch->vm_time_shift(vm, hal->ticks() - atomic_load(&vm->suspended_at));
    }
    for (uint32_t i = 0; i < vm->vcpu_count; i++) {
        atomic_fetch_or(&vm->vcpus[i]->requests, VCPU_REQ_RELOAD);
    }
    return vm_transition(vm, AXVM_STATE_SUSPENDED, AXVM_STATE_RUNNING);
}

int axvm_resume(struct axvm *vm)
{
    int error;

    spin_lock(&vm->lock);
    error = resume_locked(vm);
    spin_unlock(&vm->lock);
    if (error != AXVM_OK) {
        return refused(vm, "resumed");
    }
    /* The requests were set without a kick, while nobody was to run; now the host may. */
    for (uint32_t i = 0; i < vm->vcpu_count; i++) {
        hal->vcpu_kick(vm->id, i);
    }
    return AXVM_OK;
}

void axvm_fail(struct axvm *vm, const char *reason)
{
    if (leave_for(vm, AXVM_STATE_FAILED) == AXVM_OK) {
        log_error("VM %u \"%s\": failed: %s", vm->id, axvm_name(vm), reason);
        vm_request(vm, VCPU_REQ_LEAVE);
    }
}

/* ---- Beginning, beginning again, and end ---- */

int axvm_create(const struct axvm_config *config, struct axvm **result)
{
    struct axvm *vm;
    int error;

    if (arch == NULL) {
        return AXVM_EBADSTATE;
    }
    vm = build_alloc();
    if (vm == NULL) {
        return fail(AXVM_ENOMEM, "VM \"%s\": no memory for it", config->name != NULL ? config->name : "");
    }
    error = build_configure(vm, config);
    if (error == AXVM_OK) {
        error = registry_add(vm);
    }
    if (error != AXVM_OK) {
        build_free(vm);
        return error;
    }
    *result = vm;
    return AXVM_OK;
}

int axvm_set_image(struct axvm *vm, enum axvm_image_kind kind, const void *data, size_t size)
{
    bool settable;

    if ((unsigned)kind >= AXVM_IMAGE_COUNT || (data == NULL) != (size == 0)) {
        return fail(AXVM_EINVAL, "VM %u: image %u with %zu bytes", vm->id, (unsigned)kind, size);
    }
    spin_lock(&vm->lock);
    settable = !vm->busy && axvm_state(vm) == AXVM_STATE_LOADING;
    if (settable) {
        vm->images[kind] = (struct axvm_image){data, size};
    }
    spin_unlock(&vm->lock);
    return settable ? AXVM_OK : refused(vm, "given an image");
}

/* Begin an operation that changes what the VM is made of. `from`: mask of the states that it is legal in. */
static int begin(struct axvm *vm, uint32_t from, const char *what)
{
    bool busy, legal;

    spin_lock(&vm->lock);
    busy = vm->busy;
    legal = from >> axvm_state(vm) & 1;
    vm->busy = busy || legal;
    spin_unlock(&vm->lock);
    if (!legal) {
        return refused(vm, what);
    }
    return busy ? fail(AXVM_EBUSY, "VM %u: it can't be %s while it is initialized, reset or destroyed", vm->id, what)
                : AXVM_OK;
}

static void end(struct axvm *vm)
{
    spin_lock(&vm->lock);
    vm->busy = false;
    spin_unlock(&vm->lock);
}

int axvm_init(struct axvm *vm)
{
    int error = begin(vm, TO(LOADING), "initialized");

    if (error != AXVM_OK) {
        return error;
    }
    error = build_all(vm);
    if (error == AXVM_OK) {
        atomic_store(&vm->built, true);
        error = vm_transition(vm, AXVM_STATE_LOADING, AXVM_STATE_LOADED);
    } else {
        axvm_fail(vm, "it can't be initialized");
    }
    end(vm);
    return error;
}

static void unclaim_all(struct axvm *vm, uint32_t count, const uint32_t *was)
{
    for (uint32_t i = 0; i < count; i++) {
        vcpu_unclaim(vm->vcpus[i], was[i]);
    }
}

/* Claim every vCPU, and have none resident. AXVM_EBUSY: all as it was, but for what was resident on this pCPU. */
static int claim_all(struct axvm *vm, uint32_t was[AXVM_MAX_VCPUS], const char *what)
{
    for (uint32_t i = 0; i < vm->vcpu_count; i++) {
        if (vcpu_claim(vm->vcpus[i], &was[i]) != AXVM_OK) {
            unclaim_all(vm, i, was);
            return fail(AXVM_EBUSY, "VM %u: it can't be %s while vCPU %u is running", vm->id, what, i);
        }
        if (axvm_release_vcpu(vm, i) != AXVM_OK) {
            unclaim_all(vm, i + 1, was);
            return fail(AXVM_EBUSY, "VM %u: it can't be %s while vCPU %u is resident on pCPU %d", vm->id, what, i,
                        axvm_vcpu_resides_on(vm, i));
        }
    }
    return AXVM_OK;
}

static int reset_begin(struct axvm *vm)
{
    uint32_t was[AXVM_MAX_VCPUS];
    int error = begin(vm, TO(STOPPED) | TO(FAILED), "reset");

    if (error != AXVM_OK) {
        return error;
    }
    if (!atomic_load(&vm->built)) {
        error = fail(AXVM_EBADSTATE, "VM %u: it can't be reset, since it never was initialized", vm->id);
    } else {
        error = claim_all(vm, was, "reset");
    }
    if (error != AXVM_OK) {
        end(vm);
        return error;
    }
    vm->reset = (struct vm_reset){.under_way = true, .from = axvm_state(vm)};
    return AXVM_OK;
}

static int reset_go_on(struct axvm *vm)
{
    int error = build_reset(vm);

    if (error == AXVM_MORE) {
        return error;
    }
    if (error == AXVM_OK) {
        error = vm_transition(vm, vm->reset.from, AXVM_STATE_LOADED);
    } else {
        axvm_fail(vm, "it can't be reset");
    }
    vm->reset.under_way = false;
    for (uint32_t i = 0; i < vm->vcpu_count; i++) {
        vcpu_unclaim(vm->vcpus[i], AXVM_VCPU_FREE);
    }
    end(vm);
    return error;
}

int axvm_reset_step(struct axvm *vm)
{
    int error = vm->reset.under_way ? AXVM_OK : reset_begin(vm);

    return error == AXVM_OK ? reset_go_on(vm) : error;
}

int axvm_reset(struct axvm *vm)
{
    int error = reset_begin(vm);

    if (error == AXVM_OK) {
        do {
            error = reset_go_on(vm);
        } while (error == AXVM_MORE);
    }
    return error;
}

/* Leave no way for the VM to run: `busy` keeps init and reset away, another state than loaded keeps boot away. */
static int retire(struct axvm *vm)
{
    enum axvm_state state;

    if (vm_transition(vm, AXVM_STATE_LOADED, AXVM_STATE_STOPPING) == AXVM_OK) {
        stop_if_empty(vm);
    }
    state = axvm_state(vm);
    return state == AXVM_STATE_RUNNING || state == AXVM_STATE_SUSPENDED ? refused(vm, "destroyed") : AXVM_OK;
}

/* `busy` and the claims are never given back: whoever still has a reference can do nothing any more with the VM. */
int axvm_destroy(struct axvm *vm)
{
    uint32_t was[AXVM_MAX_VCPUS];
    int error = begin(vm, TO(LOADING) | TO(LOADED) | TO(STOPPED) | TO(FAILED), "destroyed");

    if (error != AXVM_OK) {
        return error;
    }
    error = claim_all(vm, was, "destroyed");
    if (error == AXVM_OK) {
        error = retire(vm);
        if (error != AXVM_OK) {
            unclaim_all(vm, vm->vcpu_count, was);
        }
    }
    if (error != AXVM_OK) {
        end(vm);
        return error;
    }
    registry_remove(vm);
    axvm_put(vm);
    return AXVM_OK;
}

struct axvm *axvm_get(struct axvm *vm)
{
    atomic_fetch_add_explicit(&vm->refs, 1, memory_order_relaxed);
    return vm;
}

void axvm_put(struct axvm *vm)
{
    if (atomic_fetch_sub_explicit(&vm->refs, 1, memory_order_release) == 1) {
        atomic_thread_fence(memory_order_acquire);
        build_free(vm);
    }
}

/* ---- What it is ---- */

uint32_t axvm_id(const struct axvm *vm)
{
    return vm->id;
}

const char *axvm_name(const struct axvm *vm)
{
    return vm->config.name != NULL ? vm->config.name : "";
}

const struct axvm_config *axvm_config(const struct axvm *vm)
{
    return &vm->config;
}

unsigned axvm_vcpu_count(const struct axvm *vm)
{
    return vm->vcpu_count;
}

struct axvm_vcpu *vm_vcpu(const struct axvm *vm, uint32_t id)
{
    return id < vm->vcpu_count ? vm->vcpus[id] : NULL;
}
