/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that measures what operations cost, in instructions. It runs under `-icount shift=0,sleep=off`, where every
 * instruction of every CPU takes 1 ns of virtual time and waiting takes none, so that elapsed time is the number of
 * instructions that guest and hypervisor executed together. tests/bench/bench.py runs it, docs/specification.md says how the
 * numbers are to be read.
 *
 * The command line, all of it optional: rounds=N, only=NAME. Output: a line "bench NAME HUNDREDTHS" for each operation, the
 * mean of its rounds in hundredths of an instruction, with all that the guest itself does for a round.
 */
#include "guest.h"
#include <string.h>

#define ROUNDS 4000U
#define WARM_UP 200U

#define PPI_CNTV 27U
#define SGI_SELF 2U
#define SGI_PEER 3U
#define SPI_TEST 40U

#define GICD_TYPER 0x0004
#define GICD_ISENABLER(n) (0x0100 + 4 * (uint64_t)(n))
#define GICD_IPRIORITYR(n) (0x0400 + (uint64_t)(n))
#define UART_FR 0x18

#define TIMER_NS 8000U
#define TOUCH_OFFSET 0x1200000U /* from the program: memory that nothing has used */

struct operation {
    const char *name;
    uint64_t (*total)(const struct operation *operation, unsigned rounds); /* ns that all rounds took */
    void (*call)(uint64_t argument);
    uint64_t argument;
};

void bench_begin(void);
void bench_end(void);

/* ---- Time to the instruction, though the counter's ticks may be of 16 ns ------------------------------------------- */

static uint64_t tick_ns;

/*
 * 16 readings, each one instruction after the last: the sum of floor((t + k) / P) for k = 0 .. P - 1 is t (Hermite), for any
 * period P that divides 16. From the first reading on, the time that this takes is always the same.
 */
static inline uint64_t now(void)
{
    uint64_t sum, sums = 16 / tick_ns;

    __asm__ volatile("isb\n\t"
                     ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n\t"
                     "mrs x\\n, cntvct_el0\n\t"
                     ".endr\n\t"
                     ".irp n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n\t"
                     "add x0, x0, x\\n\n\t"
                     ".endr\n\t"
                     "mov %0, x0"
                     : "=r"(sum)
                     :
                     : "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15",
                       "memory");
    return (sum - tick_ns * sums * (sums - 1) / 2) / sums;
}

/* ---- Single instructions, called in a loop ------------------------------------------------------------------------- */

static void nothing(uint64_t argument)
{
    __asm__ volatile("" ::"r"(argument));
}

static void psci_version(uint64_t argument)
{
    register uint64_t x0 __asm__("x0") = argument;

    __asm__ volatile("hvc #0" : "+r"(x0) : : "x1", "x2", "x3", "memory");
}

static void read32(uint64_t addr)
{
    __asm__ volatile("ldr w1, [%0]" ::"r"(addr) : "x1", "memory");
}

static void write32(uint64_t addr)
{
    __asm__ volatile("str %w0, [%0]" ::"r"(addr) : "memory");
}

static void write_zero32(uint64_t addr)
{
    __asm__ volatile("str wzr, [%0]" ::"r"(addr) : "memory");
}

/* The compiler can't know what is called: so the loop is the same for all. */
static uint64_t calls(const struct operation *operation, unsigned rounds)
{
    void (*call)(uint64_t) = operation->call;
    uint64_t argument = operation->argument;
    uint64_t start = now();

    __asm__ volatile("" : "+r"(call), "+r"(argument));
    for (unsigned i = 0; i < rounds; i++) {
        call(argument);
    }
    return now() - start;
}

/* ---- First touch of pages that are populated lazily ------------------------------------------------------------------ */

static uint64_t touches(const struct operation *operation, unsigned rounds)
{
    static uint64_t next;
    uint64_t start;

    next = next != 0 ? next : operation->argument;
    start = now();
    for (unsigned i = 0; i < rounds; i++) {
        read32(next);
        next += 4096;
    }
    return now() - start;
}

/* ---- Interrupts: from the cause to the handler's first instruction ---------------------------------------------------- */

static volatile uint64_t handled_at;

static void stamp(unsigned intid)
{
    handled_at = now();
    if (intid == PPI_CNTV) {
        reg_write(cntv_ctl_el0, 0);
        barrier("isb");
    }
}

static uint64_t sgi_self(const struct operation *operation, unsigned rounds)
{
    uint64_t sum = 0;

    (void)operation;
    irq_enable();
    for (unsigned i = 0; i < rounds; i++) {
        uint64_t start;

        handled_at = 0;
        start = now();
        gic_send_sgi(SGI_SELF, 0);
        while (handled_at == 0) {
        }
        sum += handled_at - start;
    }
    irq_disable();
    return sum;
}

/* From the deadline on. operation->argument: whether to wait in WFI. */
static uint64_t timer(const struct operation *operation, unsigned rounds)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < rounds; i++) {
        uint64_t due = ticks() + TIMER_NS / tick_ns;

        handled_at = 0;
        reg_write(cntv_cval_el0, due);
        reg_write(cntv_ctl_el0, 1);
        if (operation->argument) {
            barrier("wfi");
        }
        irq_enable();
        while (handled_at == 0) {
        }
        irq_disable();
        sum += handled_at - due * tick_ns;
    }
    return sum;
}

/* ---- Two CPUs: each waits in WFI for the other's SGI, so that only what a hand-over costs is executed --------------- */

static volatile unsigned peer_turns;

static void peer_handler(unsigned intid)
{
    (void)intid;
    peer_turns = peer_turns + 1;
}

static void wait_turn(unsigned turn)
{
    while (peer_turns < turn) {
        irq_disable();
        if (peer_turns < turn) {
            barrier("wfi");
        }
        irq_enable();
    }
}

static void peer_cpu(void)
{
    gic_enable(SGI_PEER);
    irq_enable();
    for (unsigned turn = 1;; turn += 2) {
        wait_turn(turn);
        gic_send_sgi(SGI_PEER, 0);
    }
}

/* A round is one way: two of them go there and back. */
static uint64_t sgi_peer(const struct operation *operation, unsigned rounds)
{
    static unsigned turn;
    uint64_t start;

    (void)operation;
    if (turn == 0) {
        check_equal(cpu_start(1, peer_cpu), 0);
    }
    irq_enable();
    start = now();
    for (unsigned i = 0; i < rounds; i += 2) {
        turn += 2;
        gic_send_sgi(SGI_PEER, 1);
        wait_turn(turn);
    }
    irq_disable();
    return now() - start;
}

/* ---- All of them ------------------------------------------------------------------------------------------------------ */

/* tests/bench/profile.py finds an operation's rounds in a trace by the calls of these two. */
__attribute__((noinline)) void bench_begin(void)
{
    barrier("");
}

__attribute__((noinline)) void bench_end(void)
{
    barrier("");
}

static void report(const char *name, uint64_t hundredths)
{
    print("bench %s %llu\n", name, (unsigned long long)hundredths);
}

static void measure(const struct operation *operation, unsigned rounds)
{
    uint64_t total;

    (void)operation->total(operation, rounds < WARM_UP ? rounds : WARM_UP);
    bench_begin();
    total = operation->total(operation, rounds);
    bench_end();
    report(operation->name, total * 100 / rounds);
}

/* What stands behind `key` in the command line; NULL: it isn't there. */
static const char *argument(const char *key)
{
    for (const char *at = machine.args; *at != '\0'; at++) {
        if ((at == machine.args || at[-1] == ' ') && strncmp(at, key, strlen(key)) == 0) {
            return at + strlen(key);
        }
    }
    return NULL;
}

static bool is_wanted(const char *name)
{
    const char *only = argument("only=");

    return only == NULL || (strncmp(only, name, strlen(name)) == 0 && (only[strlen(name)] & ~' ') == 0);
}

static unsigned wanted_rounds(void)
{
    const char *text = argument("rounds=");
    unsigned rounds = 0;

    for (; text != NULL && *text >= '0' && *text <= '9'; text++) {
        rounds = rounds * 10 + (unsigned)(*text - '0');
    }
    return rounds != 0 ? rounds : ROUNDS;
}

void test_main(void)
{
    extern char __image_start[];
    extern uint64_t entered_at;
    uint64_t program = (uint64_t)(uintptr_t)__image_start & ~UINT64_C(0xfff);
    const struct operation operations[] = {
        {"empty-loop", calls, nothing, 0},
        {"psci-version", calls, psci_version, PSCI_VERSION},
        {"gicd-typer", calls, read32, machine.arch.gicd + GICD_TYPER},
        {"gicd-isenabler", calls, write_zero32, machine.arch.gicd + GICD_ISENABLER(SPI_TEST / 32)},
        {"gicd-ipriorityr", calls, write32, machine.arch.gicd + GICD_IPRIORITYR(SPI_TEST)},
        {"pl011-fr", calls, read32, machine.uart + UART_FR},
        {"sgi-self", sgi_self, NULL, 0},
        {"timer-spin", timer, NULL, false},
        {"timer-wfi", timer, NULL, true},
        {"first-touch", touches, NULL, program + TOUCH_OFFSET},
        {"sgi-peer", sgi_peer, NULL, 0},
    };

    tick_ns = 1000000000U / reg_read(cntfrq_el0);
    check_equal(16 % tick_ns, 0);
    gic_handler(SGI_SELF, stamp);
    gic_handler(PPI_CNTV, stamp);
    gic_handler(SGI_PEER, peer_handler);
    gic_enable(SGI_SELF);
    gic_enable(PPI_CNTV);
    gic_enable(SGI_PEER);
    report("entry", entered_at * tick_ns * 100);
    for (unsigned i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
        if (is_wanted(operations[i].name)) {
            measure(&operations[i], wanted_rounds());
        }
    }
}
