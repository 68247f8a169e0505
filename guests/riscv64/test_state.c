/* SPDX-License-Identifier: Apache-2.0 */
/* FP and vector registers: a CPU's own, whoever ran there before it and runs there in between. */
#include "test_parts.h"

#define CSR_VSTART 0x008
#define CSR_VCSR 0x00f
#define CSR_VL 0xc20
#define CSR_VTYPE 0xc21

#define VTYPE_VILL (UINT64_C(1) << 63)
#define SSTATUS_UNITS (SSTATUS_FS | SSTATUS_VS)

/* As a number that the assembler is given, not as a name. */
#define csr_read_n(csr)                                                                                                \
    __extension__({                                                                                                    \
        uint64_t value_;                                                                                               \
        __asm__ volatile("csrr %0, %1" : "=r"(value_) : "i"(csr) : "memory");                                          \
        value_;                                                                                                        \
    })
#define csr_write_n(csr, value) __asm__ volatile("csrw %0, %1" ::"i"(csr), "r"((uint64_t)(value)) : "memory")

/* ---- FP ---- */

#define EACH_F                                                                                                         \
    "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31"

/* f<n> gets seed + n. */
static void floats_fill(uint64_t seed)
{
    __asm__ volatile(".irp n," EACH_F "\n\t"
                     "fmv.d.x f\\n, %0\n\taddi %0, %0, 1\n\t"
                     ".endr"
                     : "+r"(seed));
}

/* The bits in which any of them differs from seed + n * step. */
static uint64_t floats_differ(uint64_t seed, uint64_t step)
{
    uint64_t differ = 0, value;

    __asm__ volatile(".irp n," EACH_F "\n\t"
                     "fmv.x.d %2, f\\n\n\txor %2, %2, %0\n\tor %1, %1, %2\n\tadd %0, %0, %3\n\t"
                     ".endr"
                     : "+r"(seed), "+r"(differ), "=&r"(value)
                     : "r"(step));
    return differ;
}

/* ---- V ---- */

static uint64_t image[VECTOR_WORDS];

/* vl, of `wanted` elements or as many as there are. */
static uint64_t vsetvl(uint64_t wanted, uint64_t vtype)
{
    __asm__ volatile(".insn r 0x57, 7, 0x40, %0, %0, %1" : "+r"(wanted) : "r"(vtype) : "memory");
    return wanted;
}

/* e8 m1; e16 m2; e64 m8; e8 mf8; e32 m4, ta, ma; and one that there isn't: m8 of fractions */
static uint64_t vtype_by(uint64_t seed)
{
    static const uint8_t types[] = {0x00, 0x09, 0x1b, 0x05, 0xd2, 0x04};

    return types[(seed >> 8) % COUNT(types)];
}

struct vector_csrs {
    uint64_t vcsr, vtype, vl, vstart;
};

/* What they are to be; vl's and vstart's range is known only when vtype is set. */
static struct vector_csrs vectors_set(uint64_t seed)
{
    uint64_t most = vsetvl(UINT64_MAX, vtype_by(seed));
    struct vector_csrs csrs = {.vcsr = seed & 7, .vtype = most == 0 ? VTYPE_VILL : vtype_by(seed)};

    if (most != 0) {
        csrs.vl = vsetvl((seed >> 16) % (most + 1), vtype_by(seed));
        csrs.vstart = (seed >> 32) % most;
        check_equal(csrs.vl, (seed >> 16) % (most + 1));
    }
    csr_write_n(CSR_VCSR, csrs.vcsr);
    csr_write_n(CSR_VSTART, csrs.vstart); /* last: it is cleared by vsetvl */
    return csrs;
}

static void vectors_fill(uint64_t seed)
{
    for (unsigned i = 0; i < vector_words(); i++) {
        image[i] = seed * (2 * i + 1);
    }
    csr_write_n(CSR_VSTART, 0);
    vectors_load(image);
    (void)vectors_set(seed);
}

static struct vector_csrs vectors_read(void)
{
    struct vector_csrs csrs = {csr_read_n(CSR_VCSR), csr_read_n(CSR_VTYPE), csr_read_n(CSR_VL), csr_read_n(CSR_VSTART)};

    csr_write_n(CSR_VSTART, 0);
    vectors_store(image);
    return csrs;
}

static void csrs_check(struct vector_csrs is, struct vector_csrs was)
{
    check_equal(is.vcsr, was.vcsr);
    check_equal(is.vtype, was.vtype);
    check_equal(is.vl, was.vl);
    check_equal(is.vstart, was.vstart);
}

/* The words are seed * 1, seed * 3, ... */
static void words_check(uint64_t seed)
{
    unsigned i = 0;

    while (i < vector_words() && image[i] == seed * (2 * i + 1)) {
        i++;
    }
    check_equal(i, vector_words());
}

static void vectors_check(uint64_t seed)
{
    struct vector_csrs csrs = vectors_read();

    csrs_check(csrs, vectors_set(seed));
    words_check(seed);
}

/* ---- state: see common/test.c ---- */

/* sstatus.FS and VS: off, initial, clean or dirty, whatever the registers hold. */
static uint64_t units_by(uint64_t seed)
{
    uint64_t off = machine.arch.vector ? 0 : SSTATUS_VS;

    return seed << 6 & SSTATUS_UNITS & ~off;
}

void state_fill(uint64_t seed)
{
    csr_set(sstatus, SSTATUS_UNITS);
    floats_fill(seed);
    csr_write(fcsr, seed & 0x1f);
    csr_write(scounteren, seed & 7);
    if (machine.arch.vector) {
        vectors_fill(seed);
    }
    csr_clear(sstatus, SSTATUS_UNITS);
    csr_set(sstatus, units_by(seed));
}

void state_check(uint64_t seed)
{
    check_equal(csr_read(sstatus) & SSTATUS_UNITS, units_by(seed));
    csr_set(sstatus, SSTATUS_UNITS);
    check_equal(floats_differ(seed, 1), 0);
    check_equal(csr_read(fcsr), seed & 0x1f);
    check_equal(csr_read(scounteren), seed & 7);
    if (machine.arch.vector) {
        vectors_check(seed);
    }
}

/* ---- vectors: none is found that another has left, and those that are off can't be used ---- */

#define VECTOR_ROUNDS 8U
#define STARTS 3U

static void fresh_check(void)
{
    if (is_strict()) {
        check_equal(floats_differ(0, 0), 0);
        check_equal(csr_read(fcsr), 0);
        csrs_check(vectors_read(), (struct vector_csrs){.vtype = VTYPE_VILL});
        words_check(0);
    }
}

static uint64_t seed_now(void)
{
    return ticks() * 0x9e3779b97f4a7c15U;
}

/* The other CPU, which has one physical CPU with all others: each time it is started its registers are new. */
static void vectors_cpu(void)
{
    uint64_t pause = ticks_per_second() / 1000;

    fresh_check();
    timer_prepare(&guest_timers[0]);
    for (unsigned round = 0; round < VECTOR_ROUNDS; round++) {
        uint64_t seed = seed_now();

        state_fill(seed);
        (void)timer_round(&guest_timers[0], pause, round % 2 == 0);
        state_check(seed);
    }
}

/* CSRs that change while all else stays as it was. */
static void csrs_alone_check(void)
{
    timer_prepare(&guest_timers[0]);
    for (unsigned round = 0; round < 8; round++) {
        csr_write(fcsr, round);
        csr_write_n(CSR_VCSR, round % 8);
        csr_write_n(CSR_VSTART, round);
        (void)timer_round(&guest_timers[0], ticks_per_second() / 1000, true);
        check_equal(csr_read(fcsr), round);
        check_equal(csr_read_n(CSR_VCSR), round % 8);
        check_equal(csr_read_n(CSR_VSTART), round);
    }
}

static void off_check(void)
{
    static const uint32_t insns[] = {
        0x5e003057 /* vmv.v.i v0, 0 */, 0x0dd07057 /* vsetvli zero, zero, ... */, 0xe2850027 /* vs8r.v v0, (a0) */,
        0xc2002573 /* csrr a0, vl */, 0x00805073 /* csrwi vstart, 0 */,
    };

    csr_clear(sstatus, SSTATUS_VS);
    for (unsigned i = 0; i < COUNT(insns); i++) {
        struct caught caught;

        (void)run_words(insns[i], INSN_NOP, (uintptr_t)image, &caught);
        check(caught.happened);
        check_equal(caught.cause, CAUSE_ILLEGAL);
    }
    csr_set(sstatus, SSTATUS_VS);
}

void test_vectors(void)
{
    if (!machine.arch.vector) {
        check_failed(__FILE__, __LINE__, "vector registers", 0, 1);
        return;
    }
    fresh_check();
    for (unsigned i = 0; i < STARTS && machine.cpu_count > 1; i++) {
        uint64_t seed = seed_now();

        state_fill(seed);
        check_equal(cpu_start(1, vectors_cpu), 0);
        while (!cpu_is_off(1)) {
        }
        state_check(seed);
    }
    off_check();
    csrs_alone_check();
    print("vectors: of %u bits\n", vector_words() * 2);
}
