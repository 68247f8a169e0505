/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that tests the machine it runs on, from inside. The test to run is the first word of its command line; each
 * prints what it measured, and the library ends with GUEST PASS or GUEST FAIL. It also runs on the bare machine
 * (qemu-system-aarch64 -M virt,gic-version=3 -append psci).
 */
#include "guest.h"
#include <string.h>

#define PPI_CNTV 27U
#define PPI_CNTP 30U
#define SGI_PING 1U
#define NOTHING UINT64_C(0x700000000) /* normal memory to our own page tables; no machine of ours has any there */

/* ---- timer: the virtual and the physical timer fire when they are due, never before ---- */

#define TIMER_ROUNDS 500U

struct timer {
    const char *name;
    unsigned ppi;
    uint64_t (*now)(void);
    void (*set)(uint64_t due);
    void (*stop)(void);
};

static volatile uint64_t timer_fired_at;

static void virtual_set(uint64_t due)
{
    reg_write(cntv_cval_el0, due);
    reg_write(cntv_ctl_el0, 1);
}

static void virtual_stop(void)
{
    reg_write(cntv_ctl_el0, 0);
}

static uint64_t physical_now(void)
{
    barrier("isb");
    return reg_read(cntpct_el0);
}

static void physical_set(uint64_t due)
{
    reg_write(cntp_cval_el0, due);
    reg_write(cntp_ctl_el0, 1);
}

static void physical_stop(void)
{
    reg_write(cntp_ctl_el0, 0);
}

static const struct timer virtual_timer = {"virtual", PPI_CNTV, ticks, virtual_set, virtual_stop};
static const struct timer physical_timer = {"physical", PPI_CNTP, physical_now, physical_set, physical_stop};

static void timer_handler(unsigned intid)
{
    const struct timer *timer = intid == PPI_CNTV ? &virtual_timer : &physical_timer;

    timer_fired_at = timer->now();
    timer->stop();
    barrier("isb");
}

static void timer_enable(const struct timer *timer)
{
    gic_handler(timer->ppi, timer_handler);
    gic_enable(timer->ppi);
}

static uint64_t timer_round(const struct timer *timer, uint64_t delta, bool wait)
{
    uint64_t due = timer->now() + delta;

    timer_fired_at = 0;
    timer->set(due);
    irq_enable();
    while (timer_fired_at == 0) {
        if (wait) {
            irq_disable();
            if (timer_fired_at == 0) {
                barrier("wfi");
            }
            irq_enable();
        }
    }
    irq_disable();
    check(timer_fired_at >= due);
    return timer_fired_at - due;
}

static void timer_rounds(const struct timer *timer)
{
    uint64_t worst[2] = {0, 0};

    timer_enable(timer);
    for (unsigned wait = 0; wait < 2; wait++) {
        for (unsigned i = 0; i < TIMER_ROUNDS; i++) {
            uint64_t late = timer_round(timer, 2000 + 37 * i, wait != 0);

            worst[wait] = late > worst[wait] ? late : worst[wait];
        }
    }
    print("%s timer: %u rounds each, at most %llu ns late spinning, %llu ns late in WFI\n", timer->name, TIMER_ROUNDS,
          (unsigned long long)(worst[0] * 1000000000U / reg_read(cntfrq_el0)),
          (unsigned long long)(worst[1] * 1000000000U / reg_read(cntfrq_el0)));
}

static void test_timer(void)
{
    timer_rounds(&virtual_timer);
    timer_rounds(&physical_timer);
}

/* ---- smp: every CPU starts, counts under one lock, and answers interrupts from every other ---- */

#define SMP_ROUNDS 20000U
#define SMP_PINGS 200U

static volatile unsigned smp_lock;
static volatile uint64_t smp_counter;
static volatile unsigned smp_started, smp_counted, smp_done;
static volatile unsigned smp_pings[64];

static void ping_handler(unsigned intid)
{
    (void)intid;
    __atomic_fetch_add(&smp_pings[cpu_id()], 1, __ATOMIC_SEQ_CST);
}

static void wait_for(volatile unsigned *word, unsigned value)
{
    while (__atomic_load_n(word, __ATOMIC_ACQUIRE) < value) {
        barrier("wfe");
    }
}

static void advance(volatile unsigned *word)
{
    __atomic_fetch_add(word, 1, __ATOMIC_SEQ_CST);
    barrier("dsb sy\n\tsev");
}

static void smp_cpu(void)
{
    unsigned self = cpu_id();

    gic_enable(SGI_PING);
    irq_enable();
    advance(&smp_started);
    wait_for(&smp_started, machine.cpu_count);
    for (unsigned i = 0; i < SMP_ROUNDS; i++) {
        while (__atomic_exchange_n(&smp_lock, 1, __ATOMIC_ACQUIRE) != 0) {
        }
        smp_counter = smp_counter + 1;
        __atomic_store_n(&smp_lock, 0, __ATOMIC_RELEASE);
    }
    advance(&smp_counted);
    wait_for(&smp_counted, machine.cpu_count);
    for (unsigned round = 0; round < SMP_PINGS; round++) {
        for (unsigned target = 0; target < machine.cpu_count; target++) {
            unsigned before = smp_pings[target];

            if (target != self) {
                gic_send_sgi(SGI_PING, target);
                while (__atomic_load_n(&smp_pings[target], __ATOMIC_ACQUIRE) == before) {
                    barrier("yield");
                }
            }
        }
    }
    advance(&smp_done);
    wait_for(&smp_done, machine.cpu_count);
    irq_disable();
}

static void test_smp(void)
{
    gic_handler(SGI_PING, ping_handler);
    for (unsigned cpu = 1; cpu < machine.cpu_count; cpu++) {
        check_equal(cpu_start(cpu, smp_cpu), 0);
    }
    smp_cpu();
    check_equal(smp_counter, (uint64_t)SMP_ROUNDS * machine.cpu_count);
    for (unsigned cpu = 1; cpu < machine.cpu_count; cpu++) {
        while (hvc(PSCI_AFFINITY_INFO, machine.mpidr[cpu], 0, 0) != 1) {
        }
    }
    print("smp: %u CPUs counted to %llu and answered each other\n", machine.cpu_count, (unsigned long long)smp_counter);
}

/* ---- memory: all of it is there, zero at first, and keeps what is written ---- */

/* The first page from `at` on that neither this program nor the device tree is in. */
static uint64_t free_page(uint64_t at)
{
    extern char __image_start[], __bss_end[];
    uint64_t image = (uint64_t)(uintptr_t)__image_start;
    uint64_t image_end = (uint64_t)(uintptr_t)__bss_end;
    uint64_t fdt_end = machine.fdt_base + machine.fdt_size;

    if (at + 4096 > image && at < image_end) {
        at = (image_end + 4095) & ~UINT64_C(4095);
    }
    if (at + 4096 > machine.fdt_base && at < fdt_end) {
        at = (fdt_end + 4095) & ~UINT64_C(4095);
    }
    return at;
}

static void test_memory(void)
{
    uint64_t first = machine.memory_base;
    uint64_t end = machine.memory_base + machine.memory_size;
    uint64_t pages = 0;

    for (uint64_t at = free_page(first); at + 4096 <= end; at = free_page(at + 4096), pages++) {
        volatile uint64_t *word = (volatile uint64_t *)at;

        if (word[0] != 0 || word[511] != 0) {
            check_failed(__FILE__, __LINE__, "fresh page reads zero", at, 0);
            return;
        }
        word[0] = at;
        word[511] = ~at;
    }
    for (uint64_t at = free_page(first); at + 4096 <= end; at = free_page(at + 4096)) {
        volatile uint64_t *word = (volatile uint64_t *)at;

        if (word[0] != at || word[511] != ~at) {
            check_failed(__FILE__, __LINE__, "page keeps its words", word[0], at);
            return;
        }
    }
    print("memory: %llu pages are as they should be\n", (unsigned long long)pages);
}

/* ---- psci: the answers of the specification ---- */

static void psci_nothing(void)
{
}

static void psci_suspend(void)
{
    uint64_t due = ticks() + reg_read(cntfrq_el0) / 1000;

    gic_enable(PPI_CNTV);
    virtual_set(due);
    check_equal(hvc(PSCI_CPU_SUSPEND, 0, 0, 0), 0);
    check(ticks() >= due);
    virtual_stop();
    check_equal((int64_t)hvc(PSCI_CPU_SUSPEND, 0x80000000, 0, 0), -2);
}

static void test_psci(void)
{
    check_equal(hvc(PSCI_VERSION, 0, 0, 0), 0x10001);
    check_equal(smc(PSCI_VERSION, 0, 0, 0), 0x10001);
    check_equal(hvc(PSCI_MIGRATE_INFO_TYPE, 0, 0, 0), 2);
    check_equal(hvc(PSCI_FEATURES, PSCI_CPU_ON, 0, 0), 0);
    check_equal((int64_t)hvc(PSCI_FEATURES, 0x84000005, 0, 0), -1);
    check_equal((int64_t)hvc(0x8400ffff, 0, 0, 0), -1);
    check_equal((int64_t)smc(0xc200ffff, 0, 0, 0), -1);
    check_equal((int64_t)hvc(PSCI_CPU_ON, machine.mpidr[0], (uint64_t)(uintptr_t)psci_nothing, 0), -4);
    check_equal((int64_t)hvc(PSCI_CPU_ON, 0xff0000, (uint64_t)(uintptr_t)psci_nothing, 0), -2);
    check_equal(hvc(PSCI_AFFINITY_INFO, machine.mpidr[0], 0, 0), 0);
    psci_suspend();
    if (machine.cpu_count > 1) {
        check_equal(hvc(PSCI_AFFINITY_INFO, machine.mpidr[1], 0, 0), 1);
        check_equal((int64_t)hvc(PSCI_CPU_ON, machine.mpidr[1], 1, 0), -9);
        for (unsigned round = 0; round < 20; round++) {
            check_equal(cpu_start(1, psci_nothing), 0);
            while (hvc(PSCI_AFFINITY_INFO, machine.mpidr[1], 0, 0) != 1) {
            }
        }
    }
}

/* ---- faults: what is not there answers with the architecture's own exceptions ---- */

static void test_faults(void)
{
    struct caught caught;

    catch_begin();
    (void)mmio_read32(0x30000000);
    caught = catch_end();
    check(caught.happened);
    check_equal(caught.esr >> 26, 0x25);
    check_equal(caught.esr & 0x3f, 0x10);
    check_equal(caught.far, 0x30000000);

    catch_begin();
    mmio_write32(0x30000ffc, 1);
    caught = catch_end();
    check_equal(caught.esr & 0x7f, 0x50); /* WnR */
    check_equal(caught.far, 0x30000ffc);

    catch_begin();
    (void)reg_read(pmcr_el0);
    caught = catch_end();
    check(caught.happened);
    check_equal(caught.esr >> 26, 0);

    catch_begin();
    barrier("hvc #7");
    check(!catch_end().happened);
    check_equal((reg_read(id_aa64dfr0_el1) >> 8) & 0xf, 0);
}

/* ---- state: registers are the guest's own, whoever else runs on the same CPU meanwhile ---- */

#define STATE_ROUNDS 100U
#define ALL_VECTORS                                                                                                    \
    "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31"

/* Vector register n gets seed + 2n and seed + 2n + 1. */
static void vectors_fill(uint64_t seed)
{
    __asm__ volatile(".arch_extension simd\n\t"
                     ".irp n," ALL_VECTORS "\n\t"
                     "ins v\\n\\().d[0], %0\n\tadd %0, %0, #1\n\t"
                     "ins v\\n\\().d[1], %0\n\tadd %0, %0, #1\n\t"
                     ".endr"
                     : "+r"(seed));
}

/* The bits in which any of them differs from that. */
static uint64_t vectors_differ(uint64_t seed)
{
    uint64_t differ = 0, value;

    __asm__ volatile(".arch_extension simd\n\t"
                     ".irp n," ALL_VECTORS "\n\t"
                     "umov %2, v\\n\\().d[0]\n\teor %2, %2, %0\n\torr %1, %1, %2\n\tadd %0, %0, #1\n\t"
                     "umov %2, v\\n\\().d[1]\n\teor %2, %2, %0\n\torr %1, %1, %2\n\tadd %0, %0, #1\n\t"
                     ".endr"
                     : "+r"(seed), "+r"(differ), "=&r"(value));
    return differ;
}

static void state_fill(uint64_t seed)
{
    vectors_fill(seed);
    reg_write(fpcr, (seed & 3) << 22);
    reg_write(fpsr, seed & 0x1f);
    reg_write(tpidr_el0, seed);
    reg_write(tpidrro_el0, ~seed);
    reg_write(contextidr_el1, (uint32_t)seed);
    reg_write(par_el1, seed & 0xffffff000);
    reg_write(sp_el0, seed * 3);
}

static void state_check(uint64_t seed)
{
    check_equal(vectors_differ(seed), 0);
    check_equal(reg_read(fpcr), (seed & 3) << 22);
    check_equal(reg_read(fpsr), seed & 0x1f);
    check_equal(reg_read(tpidr_el0), seed);
    check_equal(reg_read(tpidrro_el0), ~seed);
    check_equal(reg_read(contextidr_el1), (uint32_t)seed);
    check_equal(reg_read(par_el1), seed & 0xffffff000);
    check_equal(reg_read(sp_el0), seed * 3);
}

/* Wait in WFI, then as long without giving the CPU away. */
static void test_state(void)
{
    timer_enable(&virtual_timer);
    for (unsigned round = 0; round < STATE_ROUNDS; round++) {
        uint64_t seed = ticks() * 0x9e3779b97f4a7c15U;
        uint64_t pause = reg_read(cntfrq_el0) / 1000;

        state_fill(seed);
        (void)timer_round(&virtual_timer, pause, true);
        (void)timer_round(&virtual_timer, pause, false);
        state_check(seed);
    }
}

/* ---- sysregs: every system register can be tried, and what isn't there is undefined ---- */

static uint32_t sysreg_code[2] __attribute__((aligned(8)));

static uint64_t sysreg_run(uint32_t instruction, uint64_t value, struct caught *caught)
{
    register uint64_t x0 __asm__("x0");

    sysreg_code[0] = instruction;
    sysreg_code[1] = 0xd65f03c0; /* ret */
    __asm__ volatile("dc cvau, %0\n\tdsb sy\n\tic ivau, %0\n\tdsb sy\n\tisb" ::"r"(sysreg_code) : "memory");
    catch_begin();
    x0 = value;
    __asm__ volatile("blr %1" : "+r"(x0) : "r"(sysreg_code) : "x30", "memory");
    value = x0; /* the register lasts no longer */
    *caught = catch_end();
    return value;
}

/* Each is read, and what was read is written back. */
static void test_sysregs(void)
{
    unsigned readable = 0, writable = 0;

    for (uint32_t reg = 0; reg < 1U << 15; reg++) {
        struct caught caught;
        uint64_t value = sysreg_run(0xd5300000 | reg << 5, 0, &caught); /* mrs x0, op0 2 and 3 */

        if (caught.happened) {
            check_equal(caught.esr >> 26, 0);
            continue;
        }
        readable++;
        (void)sysreg_run(0xd5100000 | reg << 5, value, &caught); /* msr */
        if (!caught.happened) {
            writable++;
        }
    }
    print("sysregs: %u can be read, %u of them written\n", readable, writable);
}

/* ---- noise: random accesses to all devices, and random firmware calls ---- */

#define NOISE_ROUNDS 20000U

static uint64_t noise(void)
{
    static uint64_t state = 0x853c49e6748fea9b;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static void noise_access(uint64_t addr, uint64_t value, unsigned kind)
{
    switch (kind) {
    case 0:
        __asm__ volatile("strb %w0, [%1]" ::"r"(value), "r"(addr) : "memory");
        break;
    case 1:
        __asm__ volatile("strh %w0, [%1]" ::"r"(value), "r"(addr) : "memory");
        break;
    case 2:
        __asm__ volatile("str %w0, [%1]" ::"r"(value), "r"(addr) : "memory");
        break;
    case 3:
        __asm__ volatile("str %0, [%1]" ::"r"(value), "r"(addr) : "memory");
        break;
    case 4:
        __asm__ volatile("ldrsb %0, [%1]" : "=r"(value) : "r"(addr) : "memory");
        break;
    case 5:
        __asm__ volatile("ldrsh %w0, [%1]" : "=r"(value) : "r"(addr) : "memory");
        break;
    case 6:
        __asm__ volatile("ldr %w0, [%1]" : "=r"(value) : "r"(addr) : "memory");
        break;
    case 7:
        __asm__ volatile("ldr %0, [%1]" : "=r"(value) : "r"(addr) : "memory");
        break;
    case 8:
        __asm__ volatile("ldp %0, %1, [%1]" : "+r"(value), "+r"(addr) : : "memory");
        break;
    default:
        __asm__ volatile("str %0, [%1], #8" : "+r"(value), "+r"(addr) : : "memory");
        break;
    }
}

/* Calls that end or start CPUs, or the VM, aren't noise. */
static bool is_power_call(uint64_t id)
{
    uint64_t number = id & 0x1f;

    return (id & 0xbfffffe0) == 0x84000000 && (number < 4 || number == 8 || number == 9 || number == 0x12);
}

static void test_noise(void)
{
    const struct {
        uint64_t base, size;
        bool quiet; /* only read: this is what the verdict is printed with */
    } places[] = {
        {machine.gicd, 0x10000, false},
        {machine.gicr, 0x20000 * machine.cpu_count, false},
        {machine.uart, 0x1000, true},
        {machine.uart + 0x10000, 0x1000, false},
        {0x30000000, 0x10000, false},
    };

    for (unsigned i = 0; i < NOISE_ROUNDS; i++) {
        unsigned place = (unsigned)(noise() % (sizeof(places) / sizeof(places[0])));
        unsigned kind = places[place].quiet ? 4 + (unsigned)(noise() % 4) : (unsigned)(noise() % 10);
        uint64_t id = (noise() & 0xc700001f) | (noise() & 1) << 31;

        catch_begin();
        noise_access(places[place].base + noise() % places[place].size, noise(), kind);
        (void)catch_end();
        if (!is_power_call(id)) {
            (void)hvc(id, noise(), noise(), noise());
        }
    }
    print("noise: %u accesses and calls later\n", NOISE_ROUNDS);
}

/* ---- reboot: comes back once, told by a mark in memory that reset must wipe out ---- */

static void test_reset(void)
{
    extern char __image_start[];
    volatile uint64_t *mark = (volatile uint64_t *)((uintptr_t)__image_start + 0x1400000);

    check_equal(*mark, 0);
    *mark = 0x5a5a5a5a;
    barrier("dsb sy");
    print("reset: marked, asking for a reset\n");
    hvc(PSCI_SYSTEM_RESET, 0, 0, 0);
}

/* ---- chatter: lines that must arrive whole, whoever else writes to the same terminal ---- */

static void test_chatter(void)
{
    for (unsigned i = 0; i < 300; i++) {
        print("chatter %03u abcdefghijklmnopqrstuvwxyz\n", i);
    }
}

/* ---- hang: a CPU that never gives itself back ---- */

static void test_hang(void)
{
    print("hang: no interrupt will be taken any more\n");
    irq_disable();
    for (;;) {
        barrier("");
    }
}

/* ---- storm: jump to where there is nothing, with the exception vectors there too; each fetch aborts, forever ---- */

static void test_storm(void)
{
    print("storm: jumping into nothing\n");
    reg_write(vbar_el1, NOTHING);
    barrier("isb");
    ((void (*)(void))(uintptr_t)NOTHING)();
}

static const struct {
    const char *name;
    void (*run)(void);
} tests[] = {
    {"timer", test_timer},   {"smp", test_smp},         {"memory", test_memory}, {"psci", test_psci},
    {"faults", test_faults}, {"state", test_state},     {"sysregs", test_sysregs}, {"noise", test_noise},
    {"reset", test_reset},   {"chatter", test_chatter}, {"hang", test_hang},     {"storm", test_storm},
};

void test_main(void)
{
    for (unsigned i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        if (strcmp(machine.args, tests[i].name) == 0) {
            print("test guest: %s, %u CPUs, %llu MiB at %#llx\n", tests[i].name, machine.cpu_count,
                  (unsigned long long)(machine.memory_size >> 20), (unsigned long long)machine.memory_base);
            tests[i].run();
            return;
        }
    }
    check_failed(__FILE__, __LINE__, machine.args, 0, 0);
}
