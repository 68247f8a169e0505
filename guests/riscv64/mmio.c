/* SPDX-License-Identifier: Apache-2.0 */
/* The accesses of riscv64, in S mode and U mode. */
#include "mmio.h"

/* An instruction with another register than those that are compared: it is moved from or to a2. */
#define LOAD_TO(reg) "mv t0, " reg "; lw " reg ", (a1); mv a2, " reg "; mv " reg ", t0"
#define STORE_OF(reg) "mv t0, " reg "; mv " reg ", a2; sw " reg ", (a1); mv " reg ", t0"
#define BY_SP(text) "mv t0, sp; mv sp, a1; " text "; mv sp, t0"

#define LIST_OF_INSTRUCTIONS(X)                                                                                        \
    /* four bytes: enable bits of the PLIC */                                                                          \
    X(lw, WORDS, 0, "lw a2, (a1)")                                                                                     \
    X(lw_next, WORDS, 0, "lw a2, 4(a1); lw a3, (a1)")                                                                  \
    X(lw_minus, WORDS, 8, "lw a2, -4(a1)")                                                                             \
    X(lw_far, WORDS, -2040, "lw a2, 2044(a1)")                                                                         \
    X(lw_far_minus, WORDS, 2048, "lw a2, -2048(a1)")                                                                   \
    X(lwu, WORDS, 0, "lwu a2, (a1)")                                                                                   \
    X(lw_zero, WORDS, 0, "lw zero, (a1)")                                                                              \
    X(lw_base, WORDS, 0, "mv a6, a1; lw a6, 4(a6)")                                                                    \
    X(lw_ra, WORDS, 0, LOAD_TO("ra"))                                                                                  \
    X(lw_sp, WORDS, 0, LOAD_TO("sp"))                                                                                  \
    X(lw_gp, WORDS, 0, LOAD_TO("gp"))                                                                                  \
    X(lw_tp, WORDS, 0, LOAD_TO("tp"))                                                                                  \
    X(lw_t1, WORDS, 0, LOAD_TO("t1"))                                                                                  \
    X(lw_s0, WORDS, 0, LOAD_TO("s0"))                                                                                  \
    X(lw_s1, WORDS, 4, LOAD_TO("s1"))                                                                                  \
    X(lw_s11, WORDS, 0, LOAD_TO("s11"))                                                                                \
    X(lw_t6, WORDS, 4, LOAD_TO("t6"))                                                                                  \
    X(c_lw, WORDS, 0, "c.lw a2, 0(a1)")                                                                                \
    X(c_lw_next, WORDS, 0, "c.lw a5, 4(a1)")                                                                           \
    X(c_lw_8, WORDS, -8, "c.lw a2, 8(a1)")                                                                             \
    X(c_lw_16, WORDS, -16, "c.lw a2, 16(a1)")                                                                          \
    X(c_lw_32, WORDS, -32, "c.lw a2, 32(a1)")                                                                          \
    X(c_lw_far, WORDS, -120, "c.lw a2, 124(a1)")                                                                       \
    X(c_lw_s1, WORDS, 0, "mv t0, s1; c.lw s1, 0(a1); mv a2, s1; mv s1, t0")                                            \
    X(c_lwsp, WORDS, 0, BY_SP("c.lwsp a2, 0(sp)"))                                                                     \
    X(c_lwsp_next, WORDS, -4, BY_SP("c.lwsp a7, 4(sp)"))                                                               \
    X(c_lwsp_32, WORDS, -32, BY_SP("c.lwsp a2, 32(sp)"))                                                               \
    X(c_lwsp_far, WORDS, -248, BY_SP("c.lwsp a2, 252(sp)"))                                                            \
    X(flw, WORDS, 0, "flw fa2, (a1)")                                                                                  \
    X(flw_minus, WORDS, 8, "flw fa7, -4(a1)")                                                                          \
    X(flw_ft11, WORDS, 0, "flw ft11, 4(a1); fmv.d fa2, ft11")                                                          \
    X(flw_ft0, WORDS, 0, "flw ft0, (a1); fmv.d fa2, ft0")                                                              \
    X(sw, WORDS, 0, "sw a2, (a1)")                                                                                     \
    X(sw_next, WORDS, 0, "sw a2, 4(a1); sw a3, (a1)")                                                                  \
    X(sw_minus, WORDS, 8, "sw a2, -8(a1)")                                                                             \
    X(sw_far, WORDS, -2044, "sw a2, 2044(a1)")                                                                         \
    X(sw_far_minus, WORDS, 2048, "sw a2, -2048(a1)")                                                                   \
    X(sw_zero, WORDS, 0, "sw zero, (a1)")                                                                              \
    X(sw_base, WORDS, 0, "mv a6, a1; mv a1, a2; sw a1, (a6); mv a1, a6; li a6, 0")                                     \
    X(sw_ra, WORDS, 0, STORE_OF("ra"))                                                                                 \
    X(sw_sp, WORDS, 0, STORE_OF("sp"))                                                                                 \
    X(sw_gp, WORDS, 0, STORE_OF("gp"))                                                                                 \
    X(sw_tp, WORDS, 4, STORE_OF("tp"))                                                                                 \
    X(sw_s0, WORDS, 0, STORE_OF("s0"))                                                                                 \
    X(sw_t6, WORDS, 0, STORE_OF("t6"))                                                                                 \
    X(c_sw, WORDS, 0, "c.sw a2, 0(a1)")                                                                                \
    X(c_sw_next, WORDS, 0, "c.sw a3, 4(a1)")                                                                           \
    X(c_sw_64, WORDS, -64, "c.sw a2, 64(a1)")                                                                          \
    X(c_sw_far, WORDS, -124, "c.sw a2, 124(a1)")                                                                       \
    X(c_swsp, WORDS, 0, BY_SP("c.swsp a2, 0(sp)"))                                                                     \
    X(c_swsp_64, WORDS, -64, BY_SP("c.swsp a2, 64(sp)"))                                                               \
    X(c_swsp_far, WORDS, -252, BY_SP("c.swsp a7, 252(sp)"))                                                            \
    X(fsw, WORDS, 0, "fsw fa2, (a1)")                                                                                  \
    X(fsw_far, WORDS, -2044, "fsw fa7, 2044(a1)")                                                                      \
    X(fsw_ft11, WORDS, 0, "fmv.d ft11, fa2; fsw ft11, 4(a1)")                                                          \
    /* one byte: the UART's scratch register */                                                                        \
    X(lb, BYTES, 0, "lb a2, (a1)")                                                                                     \
    X(lb_minus, BYTES, 5, "lb a2, -5(a1)")                                                                             \
    X(lb_far, BYTES, -2047, "lb a2, 2047(a1)")                                                                         \
    X(lb_zero, BYTES, 0, "lb zero, (a1)")                                                                              \
    X(lbu, BYTES, 0, "lbu a2, (a1)")                                                                                   \
    X(lbu_s1, BYTES, 0, "mv t0, s1; lbu s1, (a1); mv a2, s1; mv s1, t0")                                               \
    X(sb, BYTES, 0, "sb a2, (a1)")                                                                                     \
    X(sb_zero, BYTES, 0, "sb zero, (a1)")                                                                              \
    X(sb_minus, BYTES, 1, "sb a2, -1(a1)")                                                                             \
    /* two and eight bytes: its divisor */                                                                             \
    X(lh, HALF, 0, "lh a2, (a1)")                                                                                      \
    X(lhu, HALF, 0, "lhu a2, (a1)")                                                                                    \
    X(lh_minus, HALF, 6, "lh a2, -6(a1)")                                                                              \
    X(sh, HALF, 0, "sh a2, (a1)")                                                                                      \
    X(sh_far, HALF, -2046, "sh a2, 2046(a1)")                                                                          \
    /* from here on only where a device takes eight bytes */                                                           \
    X(ld, DOUBLES, 0, "ld a2, (a1)")                                                                                   \
    X(ld_minus, DOUBLES, 8, "ld a2, -8(a1)")                                                                           \
    X(ld_far, DOUBLES, -2040, "ld a2, 2040(a1)")                                                                       \
    X(c_ld, DOUBLES, 0, "c.ld a2, 0(a1)")                                                                              \
    X(c_ld_64, DOUBLES, -64, "c.ld a2, 64(a1)")                                                                        \
    X(c_ld_far, DOUBLES, -248, "c.ld a5, 248(a1)")                                                                     \
    X(c_ldsp, DOUBLES, 0, BY_SP("c.ldsp a2, 0(sp)"))                                                                   \
    X(c_ldsp_64, DOUBLES, -64, BY_SP("c.ldsp a2, 64(sp)"))                                                             \
    X(c_ldsp_far, DOUBLES, -504, BY_SP("c.ldsp a7, 504(sp)"))                                                          \
    X(fld, DOUBLES, 0, "fld fa2, (a1)")                                                                                \
    X(c_fld, DOUBLES, 0, "c.fld fa2, 0(a1)")                                                                           \
    X(c_fld_far, DOUBLES, -248, "c.fld fa5, 248(a1)")                                                                  \
    X(c_fld_fs0, DOUBLES, 0, "c.fld fs0, 0(a1); fmv.d fa2, fs0")                                                       \
    X(c_fldsp, DOUBLES, 0, BY_SP("c.fldsp fa2, 0(sp)"))                                                                \
    X(c_fldsp_far, DOUBLES, -504, BY_SP("c.fldsp fa7, 504(sp)"))                                                       \
    X(sd, DOUBLES, 0, "sd a2, (a1)")                                                                                   \
    X(sd_zero, DOUBLES, 0, "sd zero, (a1)")                                                                            \
    X(sd_minus, DOUBLES, 8, "sd a2, -8(a1)")                                                                           \
    X(c_sd, DOUBLES, 0, "c.sd a2, 0(a1)")                                                                              \
    X(c_sd_far, DOUBLES, -248, "c.sd a3, 248(a1)")                                                                     \
    X(c_sdsp, DOUBLES, 0, BY_SP("c.sdsp a2, 0(sp)"))                                                                   \
    X(c_sdsp_far, DOUBLES, -504, BY_SP("c.sdsp a7, 504(sp)"))                                                          \
    X(fsd, DOUBLES, 0, "fsd fa2, (a1)")                                                                                \
    X(c_fsd, DOUBLES, 0, "c.fsd fa2, 0(a1)")                                                                           \
    X(c_fsd_far, DOUBLES, -248, "c.fsd fa5, 248(a1)")                                                                  \
    X(c_fsdsp, DOUBLES, 0, BY_SP("c.fsdsp fa2, 0(sp)"))                                                                \
    X(c_fsdsp_far, DOUBLES, -504, BY_SP("c.fsdsp fa7, 504(sp)"))

__asm__(".text");
#define DEFINE(name, window, offset, text)                                                                             \
    extern const char insn_##name[];                                                                                   \
    __asm__("insn_" #name ": " text "; ret");
LIST_OF_INSTRUCTIONS(DEFINE)

enum window_name { WORDS, BYTES, HALF, DOUBLES };

struct instruction instructions[] = {
#define ROW(name, window, offset, text) {text, insn_##name, window, offset},
    LIST_OF_INSTRUCTIONS(ROW)
#undef ROW
    {0},
};

/* As test.c's: OpenSBI stands for the bare machine, whose devices are of another kind. */
static bool is_strict(void)
{
    return sbi(SBI_BASE, SBI_BASE_IMPL_ID, 0).value != 1;
}

/* ---- Windows ---- */

#define LCR_DLAB 0x80U
#define LCR_8N1 0x03U

/* QEMU's UART takes eight bytes for eight registers. */
static void drop_doubles(void)
{
    struct instruction *insn = instructions;

    while (insn->window != DOUBLES) {
        insn++;
    }
    *insn = (struct instruction){0};
}

/* A divisor's upper half is the next register's. */
struct window window_get(unsigned window)
{
    const struct window windows[] = {
        [WORDS] = {4, 8, 0xffffffff, machine.arch.plic + PLIC_ENABLE(machine.arch.context[0], 32)},
        [BYTES] = {1, 1, 0xff, machine.uart + UART_SCR},
        [HALF] = {2, 2, 0xff, machine.uart},
        [DOUBLES] = {8, 8, 0xff, machine.uart},
    };

    return windows[window];
}

void window_open(unsigned window)
{
    if (window == HALF || window == DOUBLES) {
        mmio_write8(machine.uart + UART_LCR, LCR_DLAB | LCR_8N1);
    }
}

void window_close(unsigned window)
{
    (void)window;
    mmio_write8(machine.uart + UART_LCR, LCR_8N1);
}

void unit_write(uint64_t at, unsigned unit, uint64_t value)
{
    switch (unit) {
    case 1:
        __asm__ volatile("sb %0, (%1)" ::"r"(value), "r"(at) : "memory");
        break;
    case 2:
        __asm__ volatile("sh %0, (%1)" ::"r"(value), "r"(at) : "memory");
        break;
    case 4:
        __asm__ volatile("sw %0, (%1)" ::"r"(value), "r"(at) : "memory");
        break;
    default:
        __asm__ volatile("sd %0, (%1)" ::"r"(value), "r"(at) : "memory");
        break;
    }
}

uint64_t unit_read(uint64_t at, unsigned unit)
{
    uint64_t value;

    switch (unit) {
    case 1:
        __asm__ volatile("lbu %0, (%1)" : "=r"(value) : "r"(at) : "memory");
        break;
    case 2:
        __asm__ volatile("lhu %0, (%1)" : "=r"(value) : "r"(at) : "memory");
        break;
    case 4:
        __asm__ volatile("lwu %0, (%1)" : "=r"(value) : "r"(at) : "memory");
        break;
    default:
        __asm__ volatile("ld %0, (%1)" : "=r"(value) : "r"(at) : "memory");
        break;
    }
    return value;
}

/* ---- Levels: everything is mapped twice more, for S mode and for U mode ---- */

#define ALIAS (UINT64_C(64) << 30)
#define USER_ALIAS (UINT64_C(128) << 30)
#define PTE_U (1U << 4)

extern volatile uint64_t guest_tables[];

static void map_aliases(void)
{
    for (unsigned gib = 0; gib < 4; gib++) {
        guest_tables[(ALIAS >> 30) + gib] = guest_tables[gib];
        guest_tables[(USER_ALIAS >> 30) + gib] = guest_tables[gib] | PTE_U;
    }
    barrier("sfence.vma");
}

struct user {
    uint64_t x[8];
    uint64_t pc, cause, tval, sp;
};

extern const char mmio_run_user[];
void mmio_user(struct user *user); /* mmio_entry.S */

static uint64_t user_address(const void *at)
{
    return (uint64_t)(uintptr_t)at + USER_ALIAS;
}

static bool run_supervisor(struct registers *registers, const void *code)
{
    catch_begin();
    mmio_run(registers, code);
    return !catch_end().happened;
}

static bool run_user(struct registers *registers, const void *code)
{
    struct user user = {
        .x = {user_address(registers), user_address(code)},
        .pc = user_address(mmio_run_user),
    };

    mmio_user(&user);
    return user.cause == CAUSE_ECALL_U;
}

const struct level levels[] = {
    {"S", 0, 0, run_supervisor},
    {"S-elsewhere", ALIAS, ALIAS, run_supervisor},
    {"U", USER_ALIAS, USER_ALIAS, run_user},
    {0},
};

/* ---- What a device doesn't take: access faults, and nothing has changed ---- */

static void check_fault(const char *what, struct caught caught, uint64_t cause, uint64_t low, uint64_t high)
{
    if (!caught.happened || caught.cause != cause) {
        check_failed(what, 0, "cause", caught.happened ? caught.cause : UINT64_MAX, cause);
    } else if (caught.tval < low || caught.tval > high) {
        check_failed(what, 0, "stval", caught.tval, low);
    }
}

#define CHECK_LOAD(cause, text, at)                                                                                    \
    do {                                                                                                               \
        uint64_t value_ = 0x5a5a, at_ = (at);                                                                          \
        catch_begin();                                                                                                 \
        __asm__ volatile(text : "+r"(value_) : "r"(at_) : "memory");                                                   \
        check_fault(text, catch_end(), (cause), at_, at_);                                                             \
        check_equal(value_, 0x5a5a);                                                                                   \
    } while (0)

static void test_answers(void)
{
    const struct window window = window_get(WORDS);
    uint64_t at = window.device, doubles = at & ~UINT64_C(7);

    window_fill(&window, at);
    CHECK_LOAD(CAUSE_LOAD_ACCESS, "lr.w %0, (%1)", at);
    CHECK_LOAD(CAUSE_LOAD_ACCESS, "lr.d %0, (%1)", doubles);
    CHECK_LOAD(CAUSE_STORE_ACCESS, "amoswap.w %0, %0, (%1)", at);
    CHECK_LOAD(CAUSE_STORE_ACCESS, "amoadd.w %0, %0, (%1)", at + 4);
    CHECK_LOAD(CAUSE_STORE_ACCESS, "amoor.d %0, %0, (%1)", doubles);
    CHECK_LOAD(CAUSE_STORE_ACCESS, "amomaxu.w %0, %0, (%1)", at);
    CHECK_LOAD(CAUSE_LOAD_ACCESS, "lh %0, (%1)", at); /* a PLIC's registers have four bytes */
    CHECK_LOAD(CAUSE_LOAD_ACCESS, "ld %0, (%1)", doubles);
    CHECK_LOAD(CAUSE_STORE_ACCESS, "sb %0, (%1)", at);
    CHECK_LOAD(CAUSE_STORE_ACCESS, "sd %0, (%1)", doubles);
    CHECK_LOAD(CAUSE_LOAD_ACCESS, "lw %0, (%1)", machine.uart + 2); /* isn't aligned */
    CHECK_LOAD(CAUSE_STORE_ACCESS, "sw %0, (%1)", machine.uart + 1);
    CHECK_LOAD(CAUSE_LOAD_ACCESS, "lhu %0, (%1)", machine.uart + 1);
    CHECK_LOAD(CAUSE_LOAD_ACCESS, "lw %0, (%1)", at + 1 + ALIAS);
    for (unsigned i = 0; i < window.size; i += window.unit) {
        check_equal(unit_read(at + i, window.unit), pattern(i) & window.mask);
    }
}

/* A device's last bytes and what is behind them. */
static void test_two_pages(void)
{
    uint64_t at = machine.arch.rtc + 0x1000 - 3;
    uint64_t value = 0;

    catch_begin();
    __asm__ volatile("lw %0, (%1)" : "=r"(value) : "r"(at) : "memory");
    check_fault("lw across pages", catch_end(), CAUSE_LOAD_ACCESS, at, at + 3);
    catch_begin();
    __asm__ volatile("sd %0, (%1)" ::"r"(value), "r"(at) : "memory");
    check_fault("sd across pages", catch_end(), CAUSE_STORE_ACCESS, at, at + 3);
}

static void test_fetch(uint64_t at)
{
    catch_begin();
    __asm__ volatile("jalr %0" ::"r"(at) : "ra", "memory");
    check_fault("fetch", catch_end(), CAUSE_FETCH_ACCESS, at, at);
}

static void test_user_fault(void)
{
    static const uint32_t amo __attribute__((aligned(4))) = 0x00c5a62f; /* amoadd.w a2, a2, (a1) */
    uint64_t at = window_get(WORDS).device + USER_ALIAS;
    struct user user = {.x = {0, at, 5}, .pc = user_address(&amo)};

    mmio_user(&user);
    check_equal(user.cause, CAUSE_STORE_ACCESS);
    check_equal(user.tval, at);
    check_equal(user.pc, user_address(&amo));
    check_equal(user.x[2], 5);
    user = (struct user){.x = {0, at - USER_ALIAS}, .pc = user_address(&amo)}; /* isn't U mode's */
    mmio_user(&user);
    check_equal(user.cause, CAUSE_STORE_PAGE);
    check_equal(user.tval, at - USER_ALIAS);
}

/* FP accesses while FP is off are illegal, and leave the device alone. */
static void test_float_off(void)
{
    uint64_t at = window_get(WORDS).device;
    struct caught caught;

    csr_clear(sstatus, SSTATUS_FS);
    catch_begin();
    __asm__ volatile("fsw fa0, (%0)" ::"r"(at) : "memory");
    caught = catch_end();
    csr_set(sstatus, SSTATUS_FS & ~(SSTATUS_FS << 1));
    check(caught.happened);
    check_equal(caught.cause, CAUSE_ILLEGAL);
    check_equal(csr_read(sstatus) & SSTATUS_FS, UINT64_C(1) << 13);
    __asm__ volatile("flw fa0, (%0)" ::"r"(at) : "memory");
    check_equal(csr_read(sstatus) & SSTATUS_FS, SSTATUS_FS); /* dirty */
}

/* Vector registers aren't for devices. */
static void test_vector(void)
{
    register uint64_t a0 __asm__("a0");
    uint64_t at = window_get(WORDS).device;

    if (!machine.arch.vector) {
        return;
    }
    catch_begin();
    a0 = at; /* which calls spoil */
    __asm__ volatile(".word 0xcd027057\n\t" /* vsetivli zero, 4, e32, m1 */
                     ".word 0x02056007"     /* vle32.v v0, (a0) */
                     ::"r"(a0)
                     : "memory");
    check_fault("vle32", catch_end(), CAUSE_LOAD_ACCESS, at, at);
    catch_begin();
    a0 = at;
    __asm__ volatile(".word 0x02056027" /* vse32.v v0, (a0) */ ::"r"(a0) : "memory");
    check_fault("vse32", catch_end(), CAUSE_STORE_ACCESS, at, at);
    csr_write(0x8 /* vstart */, 0);
}

void test_main(void)
{
    csr_write(sie, 0);
    map_aliases();
    if (!is_strict()) {
        drop_doubles();
    }
    test_instructions();
    if (is_strict()) {
        test_fetch(machine.uart);
        test_fetch(machine.arch.plic + 0x1000);
        test_fetch(machine.arch.rtc + ALIAS);
        test_answers();
        test_two_pages();
        test_user_fault();
        test_vector();
    }
    test_float_off();
}
