/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that tries whatever a guest can try against its hypervisor, on all its CPUs at once, and goes on.
 *
 * Each operation follows from the seed, the CPU and the operation's number. On its way the guest looks for what it must
 * never see: registers of others when a CPU starts, memory that isn't zero at first, registers that change on their
 * own.
 *
 * The command line, all of it optional: seed=N, ops=N (of all CPUs together), only=KIND, reset (end with SYSTEM_RESET,
 * not with SYSTEM_OFF). Its last line but one is "hostile: seed N, N operations, N failed".
 */
#include "hostile.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MARK_HIGH 0x4d41524bU /* what marker.c's registers and memory have in their upper halves */
#define MAX_KINDS 32U
#define BATCH 64U
#define RESCUE_NS UINT64_C(2000000)
#define LOST_NS UINT64_C(2000000000)

struct hostile_cpu hostile_cpus[HOSTILE_CPUS];

_Static_assert(sizeof(struct hostile_cpu) == 1 << HOSTILE_CPU_SHIFT, "hostile.h: HOSTILE_CPU_SHIFT");
_Static_assert(offsetof(struct hostile_cpu, boot) == CPU_BOOT, "hostile.h");

char hostile_stacks[];
char hostile_stacks[HOSTILE_CPUS << HOSTILE_STACK_SHIFT] __attribute__((aligned(16)));

static struct {
    uint64_t seed, operations;
    const struct kind *only;
    bool reset;
} options = {.seed = 1, .operations = 100000};

static uint64_t operations, failures, ending;
static uint64_t kind_counts[MAX_KINDS];
static int64_t awake = 1;

/* ---- Random numbers: splitmix64 ---------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t z)
{
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint64_t random64(struct hostile_cpu *cpu)
{
    cpu->random += UINT64_C(0x9e3779b97f4a7c15);
    return mix(cpu->random);
}

/* ---- Telling ----------------------------------------------------------------------------------------------------- */

static uint64_t telling;

/* The UART may have been left in any state, and may be thrown into any other meanwhile. */
__attribute__((format(printf, 1, 2))) static void tell(const char *format, ...)
{
    char text[256];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    while (__atomic_exchange_n(&telling, 1, __ATOMIC_ACQUIRE) != 0) {
        cpu_relax();
    }
    for (const char *c = text; *c != '\0'; c++) {
        put_anyhow((uint8_t)*c);
    }
    __atomic_store_n(&telling, 0, __ATOMIC_RELEASE);
}

void failed(const struct hostile_cpu *cpu, const char *format, ...)
{
    char text[192];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (__atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED) < 20) {
        tell("hostile: FAIL cpu %u, operation %llu (%s): %s\n", cpu->index, (unsigned long long)cpu->count,
             kinds[cpu->kind].name, text);
    }
}

_Noreturn static void end(void)
{
    if (options.reset) {
        system_reset();
    }
    power_off();
}

static uint64_t now_ns(void);

static bool has_ended(const struct hostile_cpu *cpu)
{
    return cpu->stopped || cpu->off;
}

static void report(void)
{
    for (unsigned i = 0; kinds[i].name != NULL; i++) {
        tell("hostile: %s %llu\n", kinds[i].name, (unsigned long long)kind_counts[i]);
    }
    for (unsigned i = 0; i < machine.cpu_count; i++) {
        const struct hostile_cpu *cpu = &hostile_cpus[i];

        tell("hostile: cpu %u: %llu operations, started %llu times", i, (unsigned long long)cpu->count,
             (unsigned long long)cpu->starts);
        if (has_ended(cpu)) {
            tell("\n");
        } else {
            tell(", lost in %s%s%s\n", kinds[cpu->kind].name, cpu->in_slot != 0 ? ", in its slot" : "",
                 cpu->waiting ? ", waiting" : "");
        }
    }
    tell("hostile: %llu ms\n", (unsigned long long)(now_ns() / 1000000));
    tell("hostile: seed %llu, %llu operations, %llu failed\n", (unsigned long long)options.seed,
         (unsigned long long)operations, (unsigned long long)failures);
}

_Noreturn void hostile_end(void)
{
    report();
    end();
}

/* ---- Staying alive ----------------------------------------------------------------------------------------------- */

bool may_sleep(void)
{
    int64_t now = __atomic_load_n(&awake, __ATOMIC_RELAXED);

    while (now > 1) {
        if (__atomic_compare_exchange_n(&awake, &now, now - 1, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
            return true;
        }
    }
    return false;
}

void has_woken(void)
{
    __atomic_fetch_add(&awake, 1, __ATOMIC_SEQ_CST);
}

/* Interrupts of a CPU that waits or loops may have been turned off; and a CPU that is off only others can turn on. */
static void rescue(const struct hostile_cpu *cpu)
{
    if (cpu->off) {
        power_on(cpu);
    } else {
        wake(cpu);
    }
}

/* Others may turn off what was to end a wait, or a loop: one counts as sleep as much as the other. */
void slot_run(struct hostile_cpu *cpu)
{
    bool sleeps = cpu->waiting || may_loop(cpu);

    if (sleeps && !may_sleep()) {
        return;
    }
    slot_add(cpu, SLOT_END);
    code_changed(cpu->slot, cpu->slot_used * 4);
    slot_enter(cpu);
    if (sleeps) {
        has_woken();
    }
}

static uint64_t now_ns(void)
{
    return ticks() * (UINT64_C(1000000000) / ticks_per_second());
}

/* Look after the others. */
static void watch(struct hostile_cpu *self)
{
    uint64_t now = now_ns();

    for (unsigned i = 0; i < machine.cpu_count; i++) {
        const struct hostile_cpu *cpu = &hostile_cpus[i];

        if (cpu->count != self->seen_count[i] || self->seen_at[i] == 0) {
            self->seen_count[i] = cpu->count;
            self->seen_at[i] = now;
        } else if (cpu != self && now - self->seen_at[i] > RESCUE_NS) {
            rescue(cpu);
        }
    }
}

/* ---- What must never be seen ------------------------------------------------------------------------------------- */

/* All RAM but the program, the device tree, and the firmware. */
static void check_memory(struct hostile_cpu *cpu)
{
    uint64_t end_of_memory = machine.memory_base + machine.memory_size;

    for (uint64_t at = machine.memory_base; at < end_of_memory; at += 64) {
        if (page_is_free(at & ~UINT64_C(4095)) && *(volatile uint64_t *)at != 0) {
            failed(cpu, "fresh memory at %#llx has %#llx", (unsigned long long)at,
                   (unsigned long long)*(volatile uint64_t *)at);
            return;
        }
    }
}

static void check_marks(struct hostile_cpu *cpu)
{
    for (unsigned i = 0; i < HOSTILE_REGS; i++) {
        if (cpu->x[i] >> 32 == MARK_HIGH) {
            failed(cpu, "x%u has another guest's %#llx", i, (unsigned long long)cpu->x[i]);
            cpu->x[i] = 0;
        }
    }
}

void check_kept(const struct hostile_cpu *cpu, const char *name, uint64_t got, uint64_t wanted)
{
    if (got != wanted) {
        failed(cpu, "%s is %#llx, not %#llx, after waiting", name, (unsigned long long)got, (unsigned long long)wanted);
    }
}

/* ---- The operations ---------------------------------------------------------------------------------------------- */

static unsigned choose_kind(struct hostile_cpu *cpu)
{
    unsigned sum = 0;
    unsigned at;

    for (unsigned i = 0; kinds[i].name != NULL; i++) {
        sum += kinds[i].weight;
    }
    at = (unsigned)below(cpu, sum);
    for (unsigned i = 0;; i++) {
        if (at < kinds[i].weight) {
            return i;
        }
        at -= kinds[i].weight;
    }
}

static void operate(struct hostile_cpu *cpu)
{
    cpu->random = mix(options.seed ^ (uint64_t)cpu->index << 56) + cpu->count * UINT64_C(0xd1342543de82ef95);
    cpu->kind = options.only != NULL ? (unsigned)(options.only - kinds) : choose_kind(cpu);
    cpu->count++;
    __atomic_fetch_add(&kind_counts[cpu->kind], 1, __ATOMIC_RELAXED);
    kinds[cpu->kind].run(cpu);
    check_marks(cpu);
}

/* ---- Memory that is populated on first touch: zero, then what was written ---------------------------------------- */

#define LAZY_FIRST 64U
#define LAZY_PAGES 16000U /* others of the region are anybody's */
#define LAZY_MARK(at) ((at) ^ UINT64_C(0x6c617a79))

static uint32_t lazy_touched[LAZY_PAGES / 32];

void op_lazy(struct hostile_cpu *cpu)
{
    unsigned page = LAZY_FIRST + (unsigned)below(cpu, LAZY_PAGES - LAZY_FIRST);
    uint64_t at = LAZY_BASE + page * UINT64_C(4096);
    uint32_t bit = 1U << page % 32;
    bool fresh = (__atomic_load_n(&lazy_touched[page / 32], __ATOMIC_RELAXED) & bit) == 0;
    uint64_t wanted = fresh ? 0 : LAZY_MARK(at);
    uint64_t first, last;
    bool done;

    if (!has_lazy() || page % machine.cpu_count != cpu->index) {
        return; /* another's */
    }
    done = lazy_access(cpu, at, LAZY_MARK(at), &first, &last);
    if (done && (first != wanted || last != wanted)) {
        failed(cpu, "page %#llx has %#llx and %#llx, not %#llx", (unsigned long long)at, (unsigned long long)first,
               (unsigned long long)last, (unsigned long long)wanted);
    }
    if (done) {
        __atomic_fetch_or(&lazy_touched[page / 32], bit, __ATOMIC_RELAXED);
    }
}

/* ---- Output ------------------------------------------------------------------------------------------------------ */

/* Output that means nothing, without an end to its lines or with nothing but ends. */
void op_print(struct hostile_cpu *cpu)
{
    static const char alphabet[] = "hostile \n\r\b\t\033[]#0123456789";
    uint64_t range = 1 + below(cpu, sizeof(alphabet));

    for (uint64_t i = below(cpu, 64); i > 0; i--) {
        put_raw((uint8_t)alphabet[below(cpu, range)]);
    }
}

/* ---- All of it --------------------------------------------------------------------------------------------------- */

static void await_others(void)
{
    uint64_t since = now_ns();

    while (now_ns() - since < LOST_NS) {
        unsigned started = 0;

        rest();
        for (unsigned i = 0; i < machine.cpu_count; i++) {
            started += hostile_cpus[i].starts != 0;
        }
        if (started == machine.cpu_count) {
            return;
        }
    }
}

static bool all_ended(void)
{
    for (unsigned i = 0; i < machine.cpu_count; i++) {
        if (!has_ended(&hostile_cpus[i])) {
            return false;
        }
    }
    return true;
}

/* The first CPU here waits for the others, and ends it. */
_Noreturn static void finish(struct hostile_cpu *cpu)
{
    uint64_t since = now_ns();

    cpu->stopped = true;
    calm();
    if (__atomic_exchange_n(&ending, 1, __ATOMIC_SEQ_CST) != 0) {
        for (;;) {
            wait_irq();
        }
    }
    while (!all_ended() && now_ns() - since < LOST_NS) {
        rest();
        for (unsigned i = 0; i < machine.cpu_count; i++) {
            if (!has_ended(&hostile_cpus[i])) {
                rescue(&hostile_cpus[i]);
            }
        }
    }
    hostile_end();
}

/* After another batch: it is the one that completes a percent, or several. */
static void tell_progress(uint64_t before)
{
    uint64_t percent = (before + BATCH) * 100 / options.operations;

    if (percent != before * 100 / options.operations) {
        tell("hostile: %llu %%\n", (unsigned long long)percent);
    }
}

_Noreturn static void run(struct hostile_cpu *cpu)
{
    for (unsigned i = 1; __atomic_load_n(&operations, __ATOMIC_RELAXED) < options.operations; i++) {
        operate(cpu);
        if (i % BATCH == 0) {
            tell_progress(__atomic_fetch_add(&operations, BATCH, __ATOMIC_RELAXED));
            watch(cpu);
        }
    }
    finish(cpu);
}

_Noreturn void hostile_started(struct hostile_cpu *cpu)
{
    cpu->in_slot = 0;
    cpu->off = cpu->waiting = cpu->leashed = false;
    cpu->starts++;
    has_woken();
    check_boot(cpu);
    run(cpu);
}

/* ---- The command line -------------------------------------------------------------------------------------------- */

static void take_options(void)
{
    const char *only = option("only=");

    options.seed = option_number("seed=", options.seed);
    options.operations = option_number("ops=", options.operations);
    options.reset = option("reset") != NULL;
    for (unsigned i = 0; only != NULL && kinds[i].name != NULL; i++) {
        if (word_is(only, kinds[i].name)) {
            options.only = &kinds[i];
        }
    }
}

void test_main(void)
{
    struct hostile_cpu *self = &hostile_cpus[0];

    irq_disable();
    take_options();
    machine.cpu_count = machine.cpu_count < HOSTILE_CPUS ? machine.cpu_count : HOSTILE_CPUS;
    tell("hostile: seed %llu, %u CPUs, %llu operations of %s kind\n", (unsigned long long)options.seed,
         machine.cpu_count, (unsigned long long)options.operations, options.only != NULL ? options.only->name : "any");
    tables_init();
    check_memory(self);
    for (unsigned i = 1; i < machine.cpu_count; i++) {
        hostile_cpus[i].off = true;
    }
    self->starts = 1;
    hostile_adopt();
    for (unsigned i = 1; i < machine.cpu_count; i++) {
        power_on(&hostile_cpus[i]);
    }
    await_others();
    run(self);
}
