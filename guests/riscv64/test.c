/* SPDX-License-Identifier: Apache-2.0 */
/* What the test guest has for riscv64: exceptions, CSRs, noise. */
#include "test_parts.h"

bool is_strict(void)
{
    return sbi(SBI_BASE, SBI_BASE_IMPL_ID, 0).value != 1;
}

/* ---- Exceptions on demand ---- */

struct caught run_at(uint64_t address)
{
    catch_begin();
    __asm__ volatile("jalr %0" ::"r"(address) : "ra", "memory");
    return catch_end();
}

static uint32_t code[3] __attribute__((aligned(16)));

uint64_t run_words(uint32_t first, uint32_t second, uint64_t a0, struct caught *caught)
{
    register uint64_t r0 __asm__("a0");

    code[0] = first;
    code[1] = second;
    code[2] = 0x00008067; /* ret */
    barrier("fence.i");
    catch_begin();
    r0 = a0;
    __asm__ volatile("jalr %1" : "+r"(r0) : "r"(code) : "ra", "memory");
    a0 = r0; /* the register lasts no longer */
    *caught = catch_end();
    return a0;
}

void check_caught(const char *what, struct caught caught, uint64_t cause, uint64_t tval)
{
    if (!caught.happened) {
        check_failed(what, 0, "trapped", 0, 1);
    } else if (caught.cause != cause || caught.tval != tval) {
        check_failed(what, 0, "cause", caught.cause, cause);
        check_failed(what, 0, "tval", caught.tval, tval);
    }
}

/* ---- faults: what is not there answers with the architecture's own exceptions ---- */

static struct caught load_at(uint64_t address)
{
    catch_begin();
    __asm__ volatile("ld t0, (%0)" ::"r"(address) : "t0", "memory");
    return catch_end();
}

static struct caught store_at(uint64_t address)
{
    register uint64_t a5 __asm__("a5");

    catch_begin();
    a5 = address;
    __asm__ volatile("c.sw a4, (%0)" ::"r"(a5) : "memory");
    return catch_end();
}

static struct caught swap_at(uint64_t address)
{
    catch_begin();
    __asm__ volatile("amoswap.w t0, t0, (%0)" ::"r"(address) : "t0", "memory");
    return catch_end();
}

void faults_at(uint64_t address, uint64_t load, uint64_t store, uint64_t fetch)
{
    check_caught("load", load_at(address), load, address);
    check_caught("store", store_at(address + 4), store, address + 4);
    if (is_strict() || store == CAUSE_STORE_PAGE) {
        check_caught("amoswap", swap_at(address), store, address);
    }
    check_caught("fetch", run_at(address), fetch, address);
}

/* stval may be zero, or the instruction. */
static void check_illegal(const char *what, uint32_t insn)
{
    struct caught caught;

    (void)run_words(insn, INSN_NOP, 0, &caught);
    if (!caught.happened || caught.cause != CAUSE_ILLEGAL) {
        check_failed(what, 0, "illegal", caught.happened ? caught.cause : UINT64_MAX, CAUSE_ILLEGAL);
    } else if (caught.tval != 0 && caught.tval != insn) {
        check_failed(what, 0, "stval", caught.tval, insn);
    }
    check_equal(caught.pc, (uintptr_t)code + (insn == 0 ? 2 : 0)); /* the last of two short ones */
}

static void test_faults(void)
{
    struct caught caught;

    faults_at(HOLE, CAUSE_LOAD_ACCESS, CAUSE_STORE_ACCESS, CAUSE_FETCH_ACCESS);
    faults_at(FAR_HOLE, CAUSE_LOAD_ACCESS, CAUSE_STORE_ACCESS, CAUSE_FETCH_ACCESS);
    faults_at(UNMAPPED, CAUSE_LOAD_PAGE, CAUSE_STORE_PAGE, CAUSE_FETCH_PAGE);
    faults_at(UINT64_C(1) << 45, CAUSE_LOAD_PAGE, CAUSE_STORE_PAGE, CAUSE_FETCH_PAGE); /* isn't canonical */
    (void)run_words(0x00100073 /* ebreak */, INSN_NOP, 0, &caught);
    check_equal(caught.cause, CAUSE_BREAKPOINT);
    check(caught.tval == 0 || caught.tval == caught.pc);
    check_illegal("zeros", 0);
    check_illegal("ones", 0xffffffff);
}

/* ---- privileged: what belongs to firmware and hypervisors is illegal ---- */

static const struct {
    const char *name;
    uint32_t insn;
} privileged[] = {
    {"mret", 0x30200073},
    {"hfence.vvma", 0x22000073},
    {"hfence.gvma", 0x62000073},
    {"hfence.gvma a0, a1", 0x62b50073},
    {"hinval.vvma", 0x26000073},
    {"hinval.gvma", 0x66000073},
    {"hlv.b a0, (a0)", 0x60054573},
    {"hlv.bu a0, (a0)", 0x60154573},
    {"hlv.h a0, (a0)", 0x64054573},
    {"hlv.w a0, (a0)", 0x68054573},
    {"hlv.wu a0, (a0)", 0x68154573},
    {"hlv.d a0, (a0)", 0x6c054573},
    {"hlvx.hu a0, (a0)", 0x64354573},
    {"hlvx.wu a0, (a0)", 0x68354573},
    {"hsv.b a0, (a0)", 0x62a54073},
    {"hsv.d a0, (a0)", 0x6ea54073},
    {"vsstatus", 0x20002573},
    {"vsie", 0x20402573},
    {"vsatp", 0x28002573},
    {"vstimecmp", 0x24d02573},
    {"hstatus", 0x60002573},
    {"hedeleg", 0x60202573},
    {"hgatp", 0x68002573},
    {"hgatp, written", 0x68051073},
    {"hvip", 0x64502573},
    {"htval", 0x64302573},
    {"hgeip", 0xe1202573},
    {"mstatus", 0x30002573},
    {"mhartid", 0xf1402573},
    {"mcycle", 0xb0002573},
    {"pmpcfg0", 0x3a002573},
    {"dcsr", 0x7b002573},
    {"time, written", 0xc0151073},
    {"csr 0x5ff", 0x5ff02573},
};

static void test_privileged(void)
{
    struct caught caught;

    for (unsigned i = 0; i < COUNT(privileged); i++) {
        check_illegal(privileged[i].name, privileged[i].insn);
    }
    (void)run_words(0xc0102573 /* rdtime a0 */, INSN_NOP, 0, &caught);
    check(!caught.happened);
    (void)run_words(0xc0002573 /* rdcycle a0 */, INSN_NOP, 0, &caught);
    check(!caught.happened || caught.cause == CAUSE_ILLEGAL);
    (void)run_words(0xc0202573 /* rdinstret a0 */, INSN_NOP, 0, &caught);
    check(!caught.happened || caught.cause == CAUSE_ILLEGAL);
}

/* ---- csrs: every CSR can be tried, and what isn't there is illegal ---- */

#define CSR_SSCRATCH 0x140U /* cpu_id() */

static void test_csrs(void)
{
    unsigned readable = 0, writable = 0;

    for (uint32_t csr = 0; csr < 4096; csr++) {
        struct caught caught;
        uint64_t value = run_words(csr << 20 | 0x2573 /* csrr a0 */, INSN_NOP, 0, &caught);

        if (caught.happened) {
            check_equal(caught.cause, CAUSE_ILLEGAL);
            continue;
        }
        readable++;
        (void)run_words(csr << 20 | 0x51073 /* csrw a0 */, INSN_NOP, value, &caught);
        if (caught.happened) {
            check_equal(caught.cause, CAUSE_ILLEGAL);
        } else {
            writable++;
        }
    }
    check_equal(csr_read(sscratch), 0);
    print("csrs: %u can be read, %u of them written\n", readable, writable);
}

/* ---- noise ---- */

static void access_by(uint64_t addr, uint64_t value, unsigned kind)
{
    switch (kind) {
    case 0:
        __asm__ volatile("sb %0, (%1)" ::"r"(value), "r"(addr) : "memory");
        break;
    case 1:
        __asm__ volatile("sh %0, (%1)" ::"r"(value), "r"(addr) : "memory");
        break;
    case 2:
        __asm__ volatile("sw %0, (%1)" ::"r"(value), "r"(addr) : "memory");
        break;
    case 3:
        __asm__ volatile("sd %0, (%1)" ::"r"(value), "r"(addr) : "memory");
        break;
    case 4:
        __asm__ volatile("lb %0, (%1)" : "=r"(value) : "r"(addr) : "memory");
        break;
    case 5:
        __asm__ volatile("lhu %0, (%1)" : "=r"(value) : "r"(addr) : "memory");
        break;
    case 6:
        __asm__ volatile("lw %0, (%1)" : "=r"(value) : "r"(addr) : "memory");
        break;
    case 7:
        __asm__ volatile("ld %0, (%1)" : "=r"(value) : "r"(addr) : "memory");
        break;
    case 8:
        __asm__ volatile("amoadd.w %0, %0, (%1)" : "+r"(value) : "r"(addr) : "memory");
        break;
    default:
        __asm__ volatile("lr.w %0, (%1)" : "=r"(value) : "r"(addr) : "memory");
        break;
    }
}

void noise_access(void)
{
    const struct {
        uint64_t base, size;
        bool quiet; /* only read: this is what the verdict is printed with */
    } places[] = {
        {machine.arch.plic, 0x600000, false},
        {machine.arch.plic, 0x400, false},
        {machine.arch.plic + 0x200000, 0x1000 * 2 * machine.cpu_count, false},
        {machine.uart, 0x100, true},
        {machine.arch.rtc, 0x1000, false},
        {HOLE, 0x10000, false},
    };
    unsigned place = (unsigned)(noise() % COUNT(places));
    unsigned kind = places[place].quiet ? 4 + (unsigned)(noise() % 4) : (unsigned)(noise() % 10);

    access_by(places[place].base + noise() % places[place].size, noise(), kind);
}

static uint64_t wild_value(void)
{
    static const uint64_t values[] = {0, 1, UINT64_MAX, HOLE, 0x80000000, 0x8fffffff};

    return noise() % 2 != 0 ? values[noise() % COUNT(values)] : noise();
}

void noise_call(void)
{
    static const uint32_t extensions[] = {SBI_BASE, SBI_TIME, SBI_IPI, SBI_RFENCE, 0, 3, 5, 6, 7, 9, 0x434f, SBI_PMU};
    unsigned count = COUNT(extensions) - !is_strict(); /* OpenSBI 1.1 doesn't survive what we ask of its PMU */
    uint64_t extension = noise() % 16 != 0 ? extensions[noise() % count] : noise() | UINT64_C(1) << 40;

    (void)sbi_call(extension, noise() % 8 != 0 ? noise() % 8 : noise(), wild_value(), wild_value(), wild_value(),
                   wild_value(), wild_value());
}

/* ---- storm: jump to where there is nothing, with the trap vector there too; each fetch faults, forever ---- */

static void test_storm(void)
{
    print("storm: jumping into nothing\n");
    csr_write(stvec, FAR_HOLE);
    ((void (*)(void))(uintptr_t)FAR_HOLE)();
}

/* ---- doze: a CPU that waits, again and again, while a timer that it has masked is due ---- */

static void test_doze(void)
{
    print("doze: waiting for what is masked\n");
    csr_write(sie, 0);
    (void)sbi(SBI_TIME, 0, 0);
    for (;;) {
        wait_irq();
    }
}

const struct guest_test arch_tests[] = {
    {"alarms", test_alarms},   {"sbi", test_sbi},         {"hsm", test_hsm},         {"fences", test_fences},
    {"console", test_console}, {"legacy", test_legacy},   {"suspend", test_suspend},
    {"plic", test_plic},       {"faults", test_faults},   {"privileged", test_privileged},
    {"csrs", test_csrs},       {"vectors", test_vectors}, {"storm", test_storm},
    {"doze", test_doze},       {"far", test_far},
    {"typed", test_typed},     {"unreadable", test_unreadable},
    {0},
};
