/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that tries whatever a guest can try against its hypervisor, on all its CPUs at once, and goes on.
 *
 * Each operation follows from the seed, the CPU and the operation's number. On its way the guest looks for what it must
 * never see: registers of others when a CPU starts, memory that isn't zero at first, registers that change on their own.
 *
 * The command line, all of it optional: seed=N, ops=N (of all CPUs together), only=KIND, reset (end with SYSTEM_RESET, not
 * with SYSTEM_OFF). Its last line but one is "hostile: seed N, N operations, N failed".
 */
#include "hostile.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MARK_HIGH 0x4d41524bU /* what marker.c's registers and memory have in their upper halves */
#define BATCH 64U
#define RESCUE_NS UINT64_C(2000000)
#define LOST_NS UINT64_C(2000000000)

static const struct kind {
    const char *name;
    unsigned weight;
    void (*run)(struct hostile_cpu *cpu);
} kinds[] = {
    {"mmio", 24, op_mmio}, {"alias", 10, op_alias}, {"sysreg", 16, op_sysreg}, {"wild", 5, op_wild},
    {"insn", 5, op_insn},  {"user", 10, op_user},   {"eret", 4, op_eret},      {"race", 4, op_race},
    {"call", 6, op_call},  {"power", 4, op_power},  {"sgi", 6, op_sgi},        {"gic", 12, op_gic},
    {"timer", 8, op_timer}, {"line", 4, op_line},   {"debug", 4, op_debug},    {"wait", 4, op_wait},
    {"lazy", 4, op_lazy},  {"keep", 2, op_keep},    {"print", 1, op_print},
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

struct hostile_cpu hostile_cpus[HOSTILE_CPUS];

_Static_assert(sizeof(struct hostile_cpu) == 1 << HOSTILE_CPU_SHIFT, "hostile.h: HOSTILE_CPU_SHIFT");
_Static_assert(offsetof(struct hostile_cpu, sp) == CPU_SP, "hostile.h");
_Static_assert(offsetof(struct hostile_cpu, in_slot) == CPU_IN_SLOT, "hostile.h");
_Static_assert(offsetof(struct hostile_cpu, boot) == CPU_BOOT, "hostile.h");
_Static_assert(offsetof(struct boot_record, regs) == BOOT_REGS_AT, "hostile.h");
_Static_assert(offsetof(struct boot_record, fp) == BOOT_FP_AT, "hostile.h");

extern char hostile_stacks[];
char hostile_stacks[HOSTILE_CPUS << HOSTILE_STACK_SHIFT] __attribute__((aligned(16)));

static struct {
    uint64_t seed, operations;
    const struct kind *only;
    bool reset;
} options = {.seed = 1, .operations = 100000};

static uint64_t operations, failures, ending;
static uint64_t kind_counts[KINDS];
static int64_t awake = 1;

/* ---- Random numbers: splitmix64 --------------------------------------------------------------------------------------- */

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

/* ---- Telling ------------------------------------------------------------------------------------------------------------ */

#define UART_CR 0x30
#define UART_IMSC 0x38
#define UART_CR_ON 0x301

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
        barrier("yield");
    }
    for (const char *c = text; *c != '\0'; c++) {
        mmio_write32(machine.uart + UART_CR, UART_CR_ON);
        mmio_write32(machine.uart, (uint8_t)*c);
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
    hvc(options.reset ? PSCI_SYSTEM_RESET : PSCI_SYSTEM_OFF, 0, 0, 0);
    for (;;) {
        barrier("wfi");
    }
}

static void report(void)
{
    for (unsigned i = 0; i < KINDS; i++) {
        tell("hostile: %s %llu\n", kinds[i].name, (unsigned long long)kind_counts[i]);
    }
    for (unsigned i = 0; i < machine.cpu_count; i++) {
        const struct hostile_cpu *cpu = &hostile_cpus[i];

        tell("hostile: cpu %u: %llu operations, started %llu times%s\n", i, (unsigned long long)cpu->count,
             (unsigned long long)cpu->starts, cpu->stopped || cpu->off ? "" : ", lost");
    }
    tell("hostile: seed %llu, %llu operations, %llu failed\n", (unsigned long long)options.seed,
         (unsigned long long)operations, (unsigned long long)failures);
}

/* The C code itself met an exception: that is an interrupt or an abort where there can be none. */
_Noreturn void hostile_crashed(struct hostile_cpu *cpu)
{
    failed(cpu, "vector %llu in C code: esr %#llx far %#llx pc %#llx sp %#llx", (unsigned long long)cpu->vector,
           (unsigned long long)cpu->esr, (unsigned long long)cpu->far, (unsigned long long)cpu->pc,
           (unsigned long long)cpu->sp);
    report();
    end();
}

/* ---- Staying alive -------------------------------------------------------------------------------------------------------- */

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

/* Interrupts of a CPU that waits may have been turned off; and a CPU that is off only others can turn on. */
static void rescue(const struct hostile_cpu *cpu)
{
    if (cpu->off) {
        power_on(cpu);
    } else if (cpu->waiting) {
        open_redistributor(cpu->index);
        gic_send_sgi(15, cpu->index);
        barrier("sev");
    }
}

static uint64_t now_ns(void)
{
    return ticks() * (UINT64_C(1000000000) / reg_read(cntfrq_el0));
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

/* ---- What a CPU finds when it starts ---------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    uint64_t value, mask;
} boot_regs[] = {
#define BOOT_REG(name, value, mask) {#name, value, mask},
    BOOT_REGS(BOOT_REG) BOOT_FP_REGS(BOOT_REG)
};

_Static_assert(sizeof(boot_regs) / sizeof(boot_regs[0]) <= (BOOT_FP_AT - BOOT_REGS_AT) / 8, "hostile.h: BOOT_FP_AT");

static void check_boot(struct hostile_cpu *cpu)
{
    const struct boot_record *boot = &cpu->boot;

    for (unsigned i = 1; i < 31; i++) {
        if (boot->x[i] != 0) {
            failed(cpu, "started with x%u %#llx", i, (unsigned long long)boot->x[i]);
        }
    }
    for (unsigned i = 0; i < sizeof(boot_regs) / sizeof(boot_regs[0]); i++) {
        if ((boot->regs[i] & boot_regs[i].mask) != boot_regs[i].value) {
            failed(cpu, "started with %s %#llx", boot_regs[i].name, (unsigned long long)boot->regs[i]);
        }
    }
    for (unsigned i = 0; i < 64; i++) {
        if (boot->fp[i] != 0) {
            failed(cpu, "started with q%u.d[%u] %#llx", i / 2, i % 2, (unsigned long long)boot->fp[i]);
        }
    }
}

/* All RAM but the program and the device tree. */
static void check_memory(struct hostile_cpu *cpu)
{
    extern char __image_start[], __bss_end[];
    uint64_t end_of_memory = machine.memory_base + machine.memory_size;

    for (uint64_t at = machine.memory_base; at < end_of_memory; at += 64) {
        bool image = at >= (uint64_t)(uintptr_t)__image_start && at < (uint64_t)(uintptr_t)__bss_end;
        bool fdt = at + 64 > machine.fdt_base && at < machine.fdt_base + machine.fdt_size;

        if (!image && !fdt && *(volatile uint64_t *)at != 0) {
            failed(cpu, "fresh memory at %#llx has %#llx", (unsigned long long)at,
                   (unsigned long long)*(volatile uint64_t *)at);
            return;
        }
    }
}

static void check_marks(struct hostile_cpu *cpu)
{
    for (unsigned i = 0; i < 31; i++) {
        if (cpu->x[i] >> 32 == MARK_HIGH) {
            failed(cpu, "x%u has another guest's %#llx", i, (unsigned long long)cpu->x[i]);
            cpu->x[i] = 0;
        }
    }
}

/* ---- The operations ------------------------------------------------------------------------------------------------------------- */

static unsigned choose_kind(struct hostile_cpu *cpu)
{
    unsigned sum = 0;
    unsigned at;

    for (unsigned i = 0; i < KINDS; i++) {
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

static void await_others(void)
{
    uint64_t since = now_ns();

    while (now_ns() - since < LOST_NS) {
        unsigned started = 0;

        barrier("yield");
        for (unsigned i = 0; i < machine.cpu_count; i++) {
            started += hostile_cpus[i].starts != 0;
        }
        if (started == machine.cpu_count) {
            return;
        }
    }
}

static bool all_stopped(void)
{
    for (unsigned i = 0; i < machine.cpu_count; i++) {
        if (!hostile_cpus[i].stopped && !hostile_cpus[i].off) {
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
    reg_write(mdscr_el1, 0);
    if (__atomic_exchange_n(&ending, 1, __ATOMIC_SEQ_CST) != 0) {
        for (;;) {
            barrier("wfi");
        }
    }
    while (!all_stopped() && now_ns() - since < LOST_NS) {
        for (unsigned i = 0; i < machine.cpu_count; i++) {
            if (hostile_cpus[i].waiting) {
                rescue(&hostile_cpus[i]);
            }
        }
    }
    report();
    end();
}

_Noreturn static void run(struct hostile_cpu *cpu)
{
    for (unsigned i = 1; __atomic_load_n(&operations, __ATOMIC_RELAXED) < options.operations; i++) {
        operate(cpu);
        if (i % BATCH == 0) {
            __atomic_fetch_add(&operations, BATCH, __ATOMIC_RELAXED);
            watch(cpu);
        }
    }
    finish(cpu);
}

_Noreturn void hostile_started(struct hostile_cpu *cpu)
{
    cpu->in_slot = 0;
    cpu->off = false;
    cpu->starts++;
    has_woken();
    check_boot(cpu);
    run(cpu);
}

/* ---- The command line -------------------------------------------------------------------------------------------------------------- */

static uint64_t number(const char *text)
{
    uint64_t value = 0;

    while (*text >= '0' && *text <= '9') {
        value = value * 10 + (uint64_t)(*text++ - '0');
    }
    return value;
}

static void take_option(const char *word, size_t length)
{
    if (strncmp(word, "seed=", 5) == 0) {
        options.seed = number(word + 5);
    } else if (strncmp(word, "ops=", 4) == 0) {
        options.operations = number(word + 4);
    } else if (strncmp(word, "reset", length) == 0) {
        options.reset = true;
    }
    for (unsigned i = 0; i < KINDS; i++) {
        if (strncmp(word, "only=", 5) == 0 && strlen(kinds[i].name) == length - 5 &&
            strncmp(word + 5, kinds[i].name, length - 5) == 0) {
            options.only = &kinds[i];
        }
    }
}

static void take_options(void)
{
    const char *at = machine.args;

    while (*at != '\0') {
        const char *space = strchr(at, ' ');
        size_t length = space != NULL ? (size_t)(space - at) : strlen(at);

        if (length > 0) {
            take_option(at, length);
        }
        at += length + (space != NULL);
    }
}

void test_main(void)
{
    struct hostile_cpu *self = &hostile_cpus[0];

    irq_disable();
    take_options();
    machine.cpu_count = machine.cpu_count < HOSTILE_CPUS ? machine.cpu_count : HOSTILE_CPUS;
    tell("hostile: seed %llu, %u CPUs, %llu operations of %s kind\n", (unsigned long long)options.seed, machine.cpu_count,
         (unsigned long long)options.operations, options.only != NULL ? options.only->name : "any");
    tables_init();
    check_memory(self);
    for (unsigned i = 1; i < machine.cpu_count; i++) {
        hostile_cpus[i].off = true;
    }
    self->starts = 1;
    hostile_adopt();
    barrier("msr daifset, #0xf");
    for (unsigned i = 1; i < machine.cpu_count; i++) {
        power_on(&hostile_cpus[i]);
    }
    await_others();
    run(self);
}
