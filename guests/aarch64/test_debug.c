/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Debug exceptions (Arm ARM D2) of debug_code, at EL0 and at EL1: each at its instruction, and none while the OS lock
 * is locked. Before each run other guests may have the CPU.
 */
#include "test.h"
#include "test_parts.h"

extern const char debug_code[];  /* nop, nop, ldr [x0], str [x0], svc: 4 bytes each */
extern const char debug_pairs[]; /* the same with ldp and stp */

#define AT_BREAKPOINT 4U
#define AT_LOAD 8U
#define AT_STORE 12U
#define AT_END 20U /* SVC's preferred return address */

#define MDSCR_SS 1U
#define MDSCR_KDE (1U << 13)
#define MDSCR_MDE (1U << 15)
#define OSLSR_OSLK 2U

#define CONTROL_ENABLE 1U
#define CONTROL_EL(el) ((el) == 1 ? 1U << 1 : 2U << 1) /* PMC, PAC */
#define BCR_BAS (0xfU << 5)
#define WCR_LOAD (1U << 3)
#define WCR_STORE (2U << 3)
#define WCR_BAS (0xffU << 5)
#define WCR_WORD (0xfU << 5)

#define EC_SVC 0x15U
#define EC_BREAKPOINT 0x30U /* from a lower level; from the same: 1 more */
#define EC_STEP 0x32U
#define EC_WATCHPOINT 0x34U
#define EC_BRK 0x3cU

static uint64_t word;

/* What is armed, and where it shows. */
struct event {
    uint32_t mdscr, bcr, wcr;
    unsigned ec, at;
};

static const struct event events[] = {
    {MDSCR_MDE, CONTROL_ENABLE | BCR_BAS, 0, EC_BREAKPOINT, AT_BREAKPOINT},
    {MDSCR_MDE, 0, CONTROL_ENABLE | WCR_LOAD | WCR_BAS, EC_WATCHPOINT, AT_LOAD},
    {MDSCR_MDE, 0, CONTROL_ENABLE | WCR_STORE | WCR_BAS, EC_WATCHPOINT, AT_STORE},
    {MDSCR_SS, 0, 0, EC_STEP, 4},
};

static uint64_t seen_by(unsigned el, const void *address)
{
    return el == 1 ? (uint64_t)(uintptr_t)address : user_alias((uint64_t)(uintptr_t)address);
}

static void lock(bool locked)
{
    reg_write(oslar_el1, locked);
    barrier("isb");
    check_equal(reg_read(oslsr_el1) & OSLSR_OSLK, locked ? OSLSR_OSLK : 0);
}

static void arm(const struct event *event, unsigned el)
{
    reg_write(dbgbvr1_el1, seen_by(el, debug_code) + AT_BREAKPOINT);
    reg_write(dbgbcr1_el1, event->bcr != 0 ? event->bcr | CONTROL_EL(el) : 0);
    reg_write(dbgwvr1_el1, seen_by(el, &word));
    reg_write(dbgwcr1_el1, event->wcr != 0 ? event->wcr | CONTROL_EL(el) : 0);
    reg_write(mdscr_el1, event->mdscr | MDSCR_KDE);
    barrier("isb");
}

/* Give the CPU away. */
static void pause(void)
{
    (void)timer_round(&guest_timers[0], ticks_per_second() / 10000, true);
}

static void run(const struct event *event, unsigned el, unsigned ec, unsigned at)
{
    uint64_t step = (event->mdscr & MDSCR_SS) != 0 ? PSTATE_SS : 0;
    struct caught caught = run_once(el, seen_by(el, debug_code), step, seen_by(el, &word));

    check_equal(caught.esr >> 26, ec);
    check_equal(caught.pc, seen_by(el, debug_code) + at);
    if (ec == EC_WATCHPOINT + el) {
        check_equal(caught.far, seen_by(el, &word));
    }
    check_equal(reg_read(mdscr_el1) & (MDSCR_MDE | MDSCR_KDE | MDSCR_SS), event->mdscr | MDSCR_KDE);
    check_equal(reg_read(dbgbvr1_el1), seen_by(el, debug_code) + AT_BREAKPOINT);
    check_equal(reg_read(dbgwvr1_el1), seen_by(el, &word));
}

/* The lock is set and cleared with everything armed, and everything is armed with the lock set. */
static void try_event(const struct event *event, unsigned el)
{
    arm(event, el);
    pause();
    run(event, el, event->ec + el, event->at);
    lock(true);
    pause();
    run(event, el, EC_SVC, AT_END);
    arm(event, el);
    run(event, el, EC_SVC, AT_END);
    lock(false);
    run(event, el, event->ec + el, event->at);
    pause();
    run(event, el, event->ec + el, event->at);
}

static void nothing_armed(unsigned el)
{
    const struct event armed = {0, CONTROL_ENABLE | BCR_BAS, CONTROL_ENABLE | WCR_LOAD | WCR_STORE | WCR_BAS, 0, 0};

    arm(&armed, el); /* but MDE is off */
    run(&armed, el, EC_SVC, AT_END);
}

/* ---- Of an emulated device, where the hypervisor makes the accesses ---- */

#define UART_FR 0x18U /* writes have no effect here, and behind it */
#define PSTATE_D (1U << 9)

struct access {
    const char *code;
    unsigned offset; /* of the watched word in what is accessed */
};

static void watch(const struct access *access, unsigned el, uint32_t direction)
{
    uint64_t fr = seen_by(el, (const void *)(machine.uart + UART_FR));

    reg_write(dbgwvr1_el1, fr + access->offset);
    reg_write(dbgwcr1_el1, CONTROL_ENABLE | CONTROL_EL(el) | direction | WCR_WORD);
    reg_write(dbgbcr1_el1, 0);
    reg_write(mdscr_el1, MDSCR_MDE | MDSCR_KDE);
    barrier("isb");
}

static void expect(const struct access *access, unsigned el, uint64_t pstate, unsigned ec, unsigned at)
{
    uint64_t fr = seen_by(el, (const void *)(machine.uart + UART_FR));
    struct caught caught = run_once(el, seen_by(el, access->code), pstate, fr);

    check_equal(caught.esr >> 26, ec);
    check_equal(caught.pc, seen_by(el, access->code) + at);
    if (ec == EC_WATCHPOINT + el) {
        check_equal(caught.esr & 0x1ffffff, at == AT_STORE ? 0x62 : 0x22);
        check_equal(caught.far, fr + access->offset);
    }
}

static void watch_device(const struct access *access, unsigned el)
{
    expect(access, el, 0, EC_SVC, AT_END);
    watch(access, el, WCR_LOAD);
    expect(access, el, 0, EC_WATCHPOINT + el, AT_LOAD);
    watch(access, el, WCR_STORE);
    expect(access, el, 0, EC_WATCHPOINT + el, AT_STORE);
    expect(access, el, PSTATE_D, el == 1 ? EC_SVC : EC_WATCHPOINT, el == 1 ? AT_END : AT_STORE);
    watch(access, 1 - el, WCR_LOAD | WCR_STORE);
    expect(access, el, 0, EC_SVC, AT_END);
    lock(true);
    watch(access, el, WCR_LOAD);
    expect(access, el, 0, EC_SVC, AT_END);
    lock(false);
    expect(access, el, 0, EC_WATCHPOINT + el, AT_LOAD);
    reg_write(mdscr_el1, MDSCR_KDE);
}

static void test_device(void)
{
    const struct access accesses[] = {{debug_code, 0}, {debug_pairs, 0}, {debug_pairs, 4}};

    for (unsigned i = 0; i < COUNT(accesses); i++) {
        watch_device(&accesses[i], 0);
        watch_device(&accesses[i], 1);
    }
}

/* BRK asks for no permission. */
static void test_brk(void)
{
    lock(true);
    catch_begin();
    barrier("brk #0");
    check_equal(catch_end().esr >> 26, EC_BRK);
    lock(false);
}

void test_debug(void)
{
    user_map();
    timer_prepare(&guest_timers[0]);
    check_equal(reg_read(oslsr_el1) & OSLSR_OSLK, OSLSR_OSLK);
    lock(false);
    test_brk();
    for (unsigned round = 0; round < 20; round++) {
        for (unsigned el = 0; el < 2; el++) {
            for (unsigned i = 0; i < COUNT(events); i++) {
                try_event(&events[i], el);
            }
            nothing_armed(el);
        }
        test_device();
    }
    print("debug: breakpoints, watchpoints and steps came where they should\n");
}
