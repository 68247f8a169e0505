/* SPDX-License-Identifier: Apache-2.0 */
/* What the test guest has for aarch64. */
#include "test.h"
#include "test_parts.h"

/* ---- psci: the answers of the specification ---- */

static void psci_nothing(void)
{
}

static void psci_suspend(void)
{
    const struct guest_timer *timer = &guest_timers[0];
    uint64_t due = ticks() + reg_read(cntfrq_el0) / 1000;

    gic_enable(timer->irq);
    timer->set(due);
    check_equal(hvc(PSCI_CPU_SUSPEND, 0, 0, 0), 0);
    check(ticks() >= due);
    timer->stop();
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
    check_equal((int64_t)hvc(PSCI_CPU_ON, machine.cpu_ids[0], (uint64_t)(uintptr_t)psci_nothing, 0), -4);
    check_equal((int64_t)hvc(PSCI_CPU_ON, 0xff0000, (uint64_t)(uintptr_t)psci_nothing, 0), -2);
    check_equal(hvc(PSCI_AFFINITY_INFO, machine.cpu_ids[0], 0, 0), 0);
    psci_suspend();
    if (machine.cpu_count > 1) {
        check_equal(hvc(PSCI_AFFINITY_INFO, machine.cpu_ids[1], 0, 0), 1);
        check_equal((int64_t)hvc(PSCI_CPU_ON, machine.cpu_ids[1], 1, 0), -9);
        for (unsigned round = 0; round < 20; round++) {
            check_equal(cpu_start(1, psci_nothing), 0);
            while (hvc(PSCI_AFFINITY_INFO, machine.cpu_ids[1], 0, 0) != 1) {
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

/* ---- walks: a table of the guest's own that isn't there is an external abort of its level ---- */

static void test_walks(void)
{
    static uint64_t table[512] __attribute__((aligned(4096)));
    uint64_t va[2];

    walks_into_nothing(table, va);
    for (unsigned i = 0; i < 2; i++) {
        struct caught caught;

        catch_begin();
        (void)mmio_read32(va[i]);
        caught = catch_end();
        check_equal(caught.esr >> 26, 0x25);
        check_equal(caught.esr & 0x3f, 0x16 + i);
        check_equal(caught.far, va[i]);
        caught = run_once(1, va[i], 0, 0);
        check_equal(caught.esr >> 26, 0x21);
        check_equal(caught.esr & 0x3f, 0x16 + i);
    }
}

/* ---- fetches: so does what isn't there to be executed ---- */

static void test_fetches(void)
{
    user_map();
    for (unsigned el = 0; el < 2; el++) {
        uint64_t pc = (el == 1 ? NOTHING : user_alias(NOTHING)) + 0x1238;
        struct caught caught = run_once(el, pc, 0, 0);

        check_equal(caught.esr >> 26, 0x20 + el);
        check_equal(caught.esr & 0x3f, 0x10);
        check_equal(caught.far, pc);
        check_equal(caught.pc, pc);
    }
}

/* ---- aarch32: the physical timer, as a program of that kind may use it ---- */

#define CNTKCTL_EL0PTEN (1U << 9)
#define EC_SVC32 0x11U

static void run_aarch32(const uint32_t *code, uint64_t r0)
{
    check_equal(run_once(0, user_alias32((uint64_t)(uintptr_t)code), PSTATE_AARCH32, r0).esr >> 26, EC_SVC32);
}

static void test_aarch32(void)
{
    static const uint32_t writes[] = {
        0xec400f2e, /* mcrr p15, 2, r0, r0, c14: CNTP_CVAL */
        0xef000000, /* svc #0 */
    };
    static const uint32_t copies[] = {
        0xee1e0f32, /* mrc p15, 0, r0, c14, c2, 1: CNTP_CTL */
        0x0e1e0f12, /* mrceq p15, 0, r0, c14, c2, 0: CNTP_TVAL, if it were so */
        0xec400f2e, /* mcrr */
        0xef000000, /* svc #0 */
    };

    if ((reg_read(id_aa64pfr0_el1) & 0xf) != 2) {
        print("aarch32: not on this CPU\n");
        return;
    }
    user_map();
    reg_write(cntkctl_el1, CNTKCTL_EL0PTEN);
    reg_write(cntp_ctl_el0, 2); /* masked, off */
    run_aarch32(writes, 0x789abcde);
    check_equal(reg_read(cntp_cval_el0), UINT64_C(0x789abcde789abcde));
    run_aarch32(copies, 0);
    check_equal(reg_read(cntp_cval_el0), UINT64_C(0x0000000200000002));
    reg_write(cntkctl_el1, 0);
    check_equal(run_once(0, user_alias32((uint64_t)(uintptr_t)writes), PSTATE_AARCH32, 0).esr >> 26, 4);
}

/* ---- state: registers are the guest's own, whoever else runs on the same CPU meanwhile ---- */

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

void state_fill(uint64_t seed)
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

void state_check(uint64_t seed)
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

/* ---- hidden: of extensions that no guest is given, nothing is to be seen, whatever the CPU has ---- */

#define HIDDEN(reg, ...) {#reg, reg_read(reg), {__VA_ARGS__}}

static void test_hidden_fields(void)
{
    const struct {
        const char *name;
        uint64_t value;
        int8_t fields[9]; /* where they begin; 0: no more */
    } registers[] = {
        HIDDEN(id_aa64pfr0_el1, 28, 32, 36, 40, 44),    /* RAS, SVE, SEL2, MPAM, AMU */
        HIDDEN(id_aa64pfr1_el1, 8, 12, 16, 24, 32, 36), /* MTE, RAS_frac, MPAM_frac, SME, CSV2_frac, NMI */
        HIDDEN(id_aa64dfr0_el1, 4, 8, 32, 40, 44, 52),  /* TraceVer, PMUVer, PMSVer, TraceFilt, TraceBuffer, BRBE */
        HIDDEN(id_aa64isar1_el1, 4, 8, 24, 28),         /* APA, API, GPA, GPI */
        HIDDEN(S3_0_C0_C6_2, 8, 12, 16),                /* ID_AA64ISAR2_EL1: GPA3, APA3, MOPS */
    };

    for (unsigned i = 0; i < COUNT(registers); i++) {
        for (unsigned f = 0; registers[i].fields[f] != 0; f++) {
            if ((registers[i].value >> registers[i].fields[f] & 0xf) != 0) {
                check_failed(__FILE__, __LINE__, registers[i].name, registers[i].value, 0);
            }
        }
    }
    check_equal(reg_read(S3_0_C0_C4_4), 0); /* ID_AA64ZFR0_EL1 */
    check_equal(reg_read(S3_0_C0_C4_5), 0); /* ID_AA64SMFR0_EL1 */
}

#define MRS(op0, op1, crn, crm, op2)                                                                                   \
    (0xd5200000U | (op0) << 19 | (op1) << 16 | (crn) << 12 | (crm) << 8 | (op2) << 5)

#define EC_UNKNOWN 0U
#define EC_SYSREG 0x18U

/* With FEAT_IDST (ID_AA64MMFR2_EL1.IDS), a read where the ID registers are is said to be one. */
static unsigned undefined_class(uint32_t instruction)
{
    bool id_space = (instruction & 0xfff8f800U) == MRS(3U, 0U, 0U, 0U, 0U) && (instruction >> 16 & 7) != 2;

    return id_space && (reg_read(id_aa64mmfr2_el1) >> 36 & 0xf) != 0 ? EC_SYSREG : EC_UNKNOWN;
}

#define CPACR_ZEN (3U << 16)
#define CPACR_SMEN (3U << 24)

static void test_hidden(void)
{
    static const uint32_t instructions[] = {
        MRS(3U, 0U, 1U, 2U, 0U),  /* ZCR_EL1 */
        MRS(3U, 0U, 1U, 2U, 6U),  /* SMCR_EL1 */
        MRS(3U, 3U, 4U, 2U, 2U),  /* SVCR */
        MRS(3U, 0U, 2U, 1U, 0U),  /* APIAKeyLo_EL1 */
        MRS(3U, 0U, 2U, 3U, 1U),  /* APGAKeyHi_EL1 */
        MRS(3U, 0U, 1U, 0U, 6U),  /* GCR_EL1 */
        MRS(3U, 0U, 5U, 6U, 0U),  /* TFSR_EL1 */
        MRS(3U, 1U, 0U, 0U, 4U),  /* GMID_EL1 */
        MRS(3U, 1U, 0U, 0U, 6U),  /* SMIDR_EL1 */
        MRS(3U, 0U, 5U, 3U, 0U),  /* ERRIDR_EL1 */
        MRS(3U, 0U, 5U, 3U, 1U),  /* ERRSELR_EL1 */
        MRS(3U, 3U, 13U, 2U, 0U), /* AMCR_EL0 */
        MRS(3U, 0U, 9U, 9U, 0U),  /* PMSCR_EL1 */
        MRS(3U, 0U, 1U, 2U, 1U),  /* TRFCR_EL1 */
        MRS(3U, 0U, 10U, 4U, 3U), /* LORC_EL1 */
        MRS(3U, 0U, 10U, 5U, 0U), /* MPAM1_EL1 */
        MRS(3U, 0U, 10U, 5U, 1U), /* MPAM0_EL1 */
        MRS(3U, 0U, 13U, 0U, 7U), /* SCXTNUM_EL1 */
        0x04bf5020,               /* RDVL x0, #1 */
        0x2518e3e0,               /* PTRUE p0.b */
        0xd503477f,               /* SMSTART */
    };

    test_hidden_fields();
    reg_write(cpacr_el1, reg_read(cpacr_el1) | CPACR_ZEN | CPACR_SMEN); /* it isn't this program that traps them */
    barrier("isb");
    for (unsigned i = 0; i < COUNT(instructions); i++) {
        struct caught caught;

        (void)sysreg_run(instructions[i], 0, &caught);
        if (!caught.happened || caught.esr >> 26 != undefined_class(instructions[i])) {
            check_failed(__FILE__, __LINE__, "undefined", instructions[i], caught.esr >> 26);
        }
    }
}

/* ---- noise: what makes it ---- */

static void access_by(uint64_t addr, uint64_t value, unsigned kind)
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

void noise_access(void)
{
    const struct {
        uint64_t base, size;
        bool quiet; /* only read: this is what the verdict is printed with */
    } places[] = {
        {machine.arch.gicd, 0x10000, false},
        {machine.arch.gicr, 0x20000 * machine.cpu_count, false},
        {machine.uart, 0x1000, true},
        {machine.uart + 0x10000, 0x1000, false},
        {0x30000000, 0x10000, false},
    };
    unsigned place = (unsigned)(noise() % COUNT(places));
    unsigned kind = places[place].quiet ? 4 + (unsigned)(noise() % 4) : (unsigned)(noise() % 10);

    access_by(places[place].base + noise() % places[place].size, noise(), kind);
}

void noise_call(void)
{
    uint64_t id = (noise() & 0xc700001f) | (noise() & 1) << 31;

    if (!is_power_call(id)) {
        (void)hvc(id, noise(), noise(), noise());
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

/* ---- doze: a CPU that waits, again and again, while a timer is due whose interrupt is off ---- */

static void test_doze(void)
{
    print("doze: waiting for what is off\n");
    gic_disable(guest_timers[0].irq);
    guest_timers[0].set(0);
    for (;;) {
        wait_irq();
    }
}

const struct guest_test arch_tests[] = {
    {"psci", test_psci},   {"faults", test_faults}, {"fetches", test_fetches}, {"sysregs", test_sysregs},
    {"storm", test_storm}, {"gic", test_gic},       {"hidden", test_hidden},   {"debug", test_debug},
    {"races", test_races}, {"interface", test_interface}, {"aarch32", test_aarch32}, {"doze", test_doze},
    {"levels", test_levels}, {"sgis", test_sgis}, {"routes", test_routes}, {"walks", test_walks},
    {0},
};
