/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that measures what operations cost, in instructions. It runs under `-icount shift=0,sleep=off`, where every
 * instruction of every CPU takes 1 ns of virtual time and waiting takes none, so that elapsed time is the number of
 * instructions that guest and hypervisor executed together. tests/bench/bench.py runs it, docs/specification.md says
 * how the numbers are to be read.
 *
 * The command line, all of it optional: rounds=N, only=NAME. Output: a line "bench NAME HUNDREDTHS" for each operation,
 * the mean of its rounds in hundredths of an instruction, with all that the guest itself does for a round.
 */
#include "bench.h"
#include "bench_arch.h"

#define ROUNDS 4000U
#define WARM_UP 200U
#define TIMER_NS 8000U

uint64_t tick_ns;

/* ---- Calls in a loop --------------------------------------------------------------------------------------------- */

void bench_nothing(uint64_t argument)
{
    __asm__ volatile("" ::"r"(argument));
}

void bench_read32(uint64_t addr)
{
    (void)mmio_read32(addr);
}

/* The compiler can't know what is called: so the loop is the same for all. */
uint64_t bench_calls(const struct operation *operation, unsigned rounds)
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

uint64_t bench_readings(const struct operation *operation, unsigned rounds)
{
    uint64_t sum = 0;

    (void)operation;
    for (unsigned i = 0; i < rounds; i++) {
        uint64_t start = now();

        sum += now() - start;
    }
    return sum;
}

/* ---- First touch of pages that are populated lazily -------------------------------------------------------------- */

uint64_t bench_fresh_memory(void)
{
    extern char __image_start[];

    return ((uint64_t)(uintptr_t)__image_start & ~UINT64_C(0xfff)) + TOUCH_OFFSET;
}

uint64_t bench_touches(const struct operation *operation, unsigned rounds)
{
    static uint64_t next;
    uint64_t start;

    next = next != 0 ? next : operation->argument;
    start = now();
    for (unsigned i = 0; i < rounds; i++) {
        (void)mmio_read32(next);
        next += 4096;
    }
    return now() - start;
}

/* ---- Interrupts: from the cause to the handler's first instruction ----------------------------------------------- */

static volatile uint64_t handled_at;

static void ipi_stamp(void)
{
    handled_at = now();
}

static void timer_stamp(const struct guest_timer *timer)
{
    handled_at = now();
    timer->stop();
}

#define ALWAYS_INLINE inline __attribute__((always_inline))

static const struct bench_messages ipis = {ipi_enable, ipi_send};

static ALWAYS_INLINE uint64_t send_to_self(struct bench_messages by, unsigned rounds)
{
    uint64_t sum = 0;

    by.enable(ipi_stamp);
    irq_enable();
    for (unsigned i = 0; i < rounds; i++) {
        uint64_t start;

        handled_at = 0;
        start = now();
        by.send(0);
        while (handled_at == 0) {
        }
        sum += handled_at - start;
    }
    irq_disable();
    return sum;
}

uint64_t bench_ipi_self(const struct operation *operation, unsigned rounds)
{
    (void)operation;
    return send_to_self(ipis, rounds);
}

static struct bench_messages messages(const struct operation *operation)
{
    return *(const struct bench_messages *)(uintptr_t)operation->argument;
}

uint64_t bench_message_self(const struct operation *operation, unsigned rounds)
{
    return send_to_self(messages(operation), rounds);
}

/* The loop that spins has a few instructions, at whose end an interrupt is taken: begin it at each once. */
static void shift_phase(unsigned i)
{
    if ((i & 1) != 0) {
        barrier("nop");
    }
    if ((i & 2) != 0) {
        barrier("nop\n\tnop");
    }
    if ((i & 4) != 0) {
        barrier("nop\n\tnop\n\tnop\n\tnop");
    }
}

/* From the deadline on. */
static uint64_t timer_round(bool wait, unsigned i)
{
    uint64_t due;

    begin_tick();
    due = ticks() + TIMER_NS / tick_ns;
    handled_at = 0;
    guest_timers->set(due);
    if (wait) {
        wait_irq();
    }
    irq_enable();
    shift_phase(i);
    while (handled_at == 0) {
    }
    irq_disable();
    return handled_at - due * tick_ns;
}

uint64_t bench_timer_spin(const struct operation *operation, unsigned rounds)
{
    uint64_t sum = 0;

    (void)operation;
    timer_enable(guest_timers, timer_stamp);
    for (unsigned i = 0; i < rounds; i++) {
        sum += timer_round(false, i);
    }
    return sum;
}

/*
 * What more than half of the rounds take, for all of them: they take the same but for a few. QEMU lets its clock jump
 * to the deadline once all CPUs are in WFI, and when that one's last instructions aren't counted yet, which is a race
 * within QEMU, it jumps that much too far.
 */
uint64_t bench_timer_wfi(const struct operation *operation, unsigned rounds)
{
    uint64_t usual = 0;
    unsigned majority = 0; /* of the rounds that took so long, over all others (Boyer and Moore) */

    (void)operation;
    timer_enable(guest_timers, timer_stamp);
    for (unsigned i = 0; i < rounds; i++) {
        uint64_t took = timer_round(true, 0);

        usual = majority == 0 ? took : usual;
        majority += took == usual ? 1U : -1U;
    }
    check_equal(majority > rounds / 2, true);
    return usual * rounds;
}

/* ---- Two CPUs: each waits in WFI for the other's interrupt, so that only what a hand-over costs is executed ------ */

static volatile unsigned peer_turns;
static volatile bool peer_ready; /* what is sent to a CPU that is starting may be lost: the peer's first says so */

static void peer_handler(void)
{
    if (peer_ready) {
        peer_turns = peer_turns + 1;
    }
    peer_ready = true;
}

static void wait_turn(unsigned turn)
{
    while (!peer_ready || peer_turns < turn) {
        irq_disable();
        if (!peer_ready || peer_turns < turn) {
            wait_irq();
        }
        irq_enable();
    }
}

static ALWAYS_INLINE void answer(struct bench_messages by)
{
    by.enable(peer_handler);
    irq_enable();
    by.send(0);
    for (unsigned turn = 1;; turn += 2) {
        wait_turn(turn);
        by.send(0);
    }
}

/* A round is one way: two of them go there and back. The peer answers the same way for ever. */
static ALWAYS_INLINE uint64_t send_to_peer(struct bench_messages by, void (*peer)(void), unsigned rounds)
{
    static unsigned turn;
    uint64_t start;

    by.enable(peer_handler);
    irq_enable();
    if (turn == 0) {
        check_equal(cpu_start(1, peer), 0);
        wait_turn(0);
    }
    start = now();
    for (unsigned i = 0; i < rounds; i += 2) {
        turn += 2;
        by.send(1);
        wait_turn(turn);
    }
    irq_disable();
    return now() - start;
}

static void ipi_peer(void)
{
    answer(ipis);
}

uint64_t bench_ipi_peer(const struct operation *operation, unsigned rounds)
{
    (void)operation;
    return send_to_peer(ipis, ipi_peer, rounds);
}

static struct bench_messages peer_messages;

static void message_peer(void)
{
    answer(peer_messages);
}

uint64_t bench_message_peer(const struct operation *operation, unsigned rounds)
{
    peer_messages = messages(operation);
    return send_to_peer(peer_messages, message_peer, rounds);
}

/* ---- All of them ------------------------------------------------------------------------------------------------- */

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

void test_main(void)
{
    const char *only = option("only=");
    unsigned rounds = (unsigned)option_number("rounds=", ROUNDS);

    tick_ns = 1000000000U / ticks_per_second();
    report("entry", entered_at * tick_ns * 100);
    for (const struct operation *operation = bench_operations(); operation->name != NULL; operation++) {
        if (only == NULL || word_is(only, operation->name)) {
            measure(operation, rounds);
        }
    }
}
