/* SPDX-License-Identifier: Apache-2.0 */
/* The accesses of aarch64, at EL1 and EL0. */
#include "mmio.h"

#define LIST_OF_INSTRUCTIONS(X)                                                                                        \
    /* eight bytes: GICD_IROUTER */                                                                                    \
    X(ldr, DOUBLES, 0, "ldr x2, [x1]")                                                                                 \
    X(ldr_post, DOUBLES, 0, "ldr x2, [x1], #8")                                                                        \
    X(ldr_pre, DOUBLES, 16, "ldr x2, [x1, #-8]!")                                                                      \
    X(ldr_w_post, DOUBLES, 0, "ldr w2, [x1], #-4")                                                                     \
    X(ldur, DOUBLES, 16, "ldur x2, [x1, #-8]")                                                                         \
    X(ldr_index, DOUBLES, 0, "ldr x2, [x1, x4]")                                                                       \
    X(ldr_sxtw, DOUBLES, 8, "ldr x2, [x1, w5, sxtw #3]")                                                               \
    X(ldr_sp, DOUBLES, 0, "mov x12, sp; mov sp, x1; ldr x2, [sp], #16; mov x1, sp; mov sp, x12")                       \
    X(ldrsw_post, DOUBLES, 0, "ldrsw x2, [x1], #4")                                                                    \
    X(ldr_xzr_post, DOUBLES, 0, "ldr xzr, [x1], #8")                                                                   \
    X(ldtr, DOUBLES, 8, "ldtr x2, [x1, #8]")                                                                           \
    X(ldar, DOUBLES, 0, "ldar x2, [x1]")                                                                               \
    X(ldp, DOUBLES, 0, "ldp x2, x3, [x1]")                                                                             \
    X(ldp_post, DOUBLES, 0, "ldp x2, x3, [x1], #16")                                                                   \
    X(ldp_pre, DOUBLES, 32, "ldp x2, x3, [x1, #-16]!")                                                                 \
    X(ldp_w, DOUBLES, 0, "ldp w2, w3, [x1, #8]")                                                                       \
    X(ldp_sp, DOUBLES, 0, "mov x12, sp; mov sp, x1; ldp x2, x3, [sp, #16]!; mov x1, sp; mov sp, x12")                  \
    X(ldpsw, DOUBLES, 0, "ldpsw x2, x3, [x1], #8")                                                                     \
    X(ldnp, DOUBLES, 0, "ldnp x2, x3, [x1, #16]")                                                                      \
    X(ldr_s, DOUBLES, 0, "ldr s2, [x1]")                                                                               \
    X(ldr_d_post, DOUBLES, 0, "ldr d2, [x1], #8")                                                                      \
    X(ldr_q, DOUBLES, 0, "ldr q2, [x1, #16]")                                                                          \
    X(ldp_s, DOUBLES, 0, "ldp s2, s3, [x1]")                                                                           \
    X(ldp_d_pre, DOUBLES, 0, "ldp d2, d3, [x1, #16]!")                                                                 \
    X(ldp_q, DOUBLES, 0, "ldp q2, q3, [x1]")                                                                           \
    X(ldnp_q, DOUBLES, 0, "ldnp q2, q3, [x1, #32]")                                                                    \
    X(ld1_2d_4, DOUBLES, 0, "ld1 {v2.2d-v5.2d}, [x1], #64")                                                            \
    X(ld1_1d, DOUBLES, 0, "ld1 {v2.1d}, [x1], x4")                                                                     \
    X(ld2_2d, DOUBLES, 0, "ld2 {v2.2d, v3.2d}, [x1], #32")                                                             \
    X(ld3_2d, DOUBLES, 0, "ld3 {v2.2d-v4.2d}, [x1]")                                                                   \
    X(ld4_2d, DOUBLES, 0, "ld4 {v2.2d-v5.2d}, [x1], x4")                                                               \
    X(ld2_4s, DOUBLES, 0, "ld2 {v2.4s, v3.4s}, [x1]")                                                                  \
    X(ld3_2s, DOUBLES, 0, "ld3 {v2.2s-v4.2s}, [x1], #24")                                                              \
    X(ld4_4s, DOUBLES, 0, "ld4 {v2.4s-v5.4s}, [x1]")                                                                   \
    X(ld1_lane_d, DOUBLES, 0, "ld1 {v2.d}[1], [x1], #8")                                                               \
    X(ld2_lane_s, DOUBLES, 0, "ld2 {v2.s, v3.s}[2], [x1]")                                                             \
    X(ld1r_2d, DOUBLES, 0, "ld1r {v2.2d}, [x1]")                                                                       \
    X(ld3r_4s, DOUBLES, 0, "ld3r {v2.4s-v4.4s}, [x1], #12")                                                            \
    X(str, DOUBLES, 0, "str x2, [x1]")                                                                                 \
    X(str_post, DOUBLES, 0, "str x2, [x1], #8")                                                                        \
    X(str_pre, DOUBLES, 16, "str x2, [x1, #-8]!")                                                                      \
    X(str_w_pre, DOUBLES, 0, "str w2, [x1, #4]!")                                                                      \
    X(str_base, DOUBLES, 0, "mov x6, x1; mov x1, x2; str x2, [x6], #8; mov x1, x6; mov x6, xzr")                       \
    X(str_xzr_post, DOUBLES, 0, "str xzr, [x1], #8")                                                                   \
    X(sttr, DOUBLES, 0, "sttr x2, [x1]")                                                                               \
    X(stlr, DOUBLES, 0, "stlr x2, [x1]")                                                                               \
    X(stp, DOUBLES, 0, "stp x2, x3, [x1]")                                                                             \
    X(stp_post, DOUBLES, 0, "stp x2, x3, [x1], #16")                                                                   \
    X(stp_pre, DOUBLES, 32, "stp x2, x3, [x1, #-16]!")                                                                 \
    X(stp_w, DOUBLES, 0, "stp w2, wzr, [x1, #4]")                                                                      \
    X(stp_sp, DOUBLES, 32, "mov x12, sp; mov sp, x1; stp x2, x3, [sp, #-16]!; mov x1, sp; mov sp, x12")                \
    X(stnp, DOUBLES, 0, "stnp x2, x3, [x1]")                                                                           \
    X(str_s_post, DOUBLES, 0, "str s2, [x1], #4")                                                                      \
    X(str_d_pre, DOUBLES, 0, "str d2, [x1, #8]!")                                                                      \
    X(str_q_pre, DOUBLES, 32, "str q2, [x1, #-16]!")                                                                   \
    X(stp_s, DOUBLES, 0, "stp s2, s3, [x1, #8]")                                                                       \
    X(stp_d, DOUBLES, 0, "stp d2, d3, [x1], #16")                                                                      \
    X(stp_q, DOUBLES, 0, "stp q2, q3, [x1], #32")                                                                      \
    X(st1_2d_3, DOUBLES, 0, "st1 {v2.2d-v4.2d}, [x1], #48")                                                            \
    X(st2_2d, DOUBLES, 0, "st2 {v2.2d, v3.2d}, [x1]")                                                                  \
    X(st3_2d, DOUBLES, 0, "st3 {v2.2d-v4.2d}, [x1], x4")                                                               \
    X(st4_4s, DOUBLES, 0, "st4 {v2.4s-v5.4s}, [x1], #64")                                                              \
    X(st1_lane_d, DOUBLES, 0, "st1 {v2.d}[1], [x1]")                                                                   \
    X(st3_lane_s, DOUBLES, 0, "st3 {v2.s-v4.s}[3], [x1], #12")                                                         \
    /* one byte: GICD_IPRIORITYR */                                                                                    \
    X(ldrb_post, BYTES, 0, "ldrb w2, [x1], #1")                                                                        \
    X(ldrsb_w_pre, BYTES, 0, "ldrsb w2, [x1, #3]!")                                                                    \
    X(ldrsb_x_post, BYTES, 1, "ldrsb x2, [x1], #-1")                                                                   \
    X(ldrb_index, BYTES, 0, "ldrb w2, [x1, x4]")                                                                       \
    X(ldtrsb, BYTES, 0, "ldtrsb x2, [x1, #5]")                                                                         \
    X(ldr_b_post, BYTES, 0, "ldr b2, [x1], #1")                                                                        \
    X(ld1_8b, BYTES, 1, "ld1 {v2.8b}, [x1], #8")                                                                       \
    X(ld1_16b_4, BYTES, 0, "ld1 {v2.16b-v5.16b}, [x1]")                                                                \
    X(ld2_16b, BYTES, 3, "ld2 {v2.16b, v3.16b}, [x1]")                                                                 \
    X(ld3_8b, BYTES, 0, "ld3 {v2.8b-v4.8b}, [x1], #24")                                                                \
    X(ld4_16b, BYTES, 0, "ld4 {v2.16b-v5.16b}, [x1], #64")                                                             \
    X(ld1_lane_b, BYTES, 0, "ld1 {v2.b}[9], [x1]")                                                                     \
    X(ld4_lane_b, BYTES, 0, "ld4 {v2.b-v5.b}[15], [x1], x4")                                                           \
    X(ld4r_8b, BYTES, 0, "ld4r {v2.8b-v5.8b}, [x1], #4")                                                               \
    X(strb_post, BYTES, 0, "strb w2, [x1], #1")                                                                        \
    X(strb_pre, BYTES, 4, "strb w2, [x1, #-1]!")                                                                       \
    X(sttrb, BYTES, 0, "sttrb w2, [x1]")                                                                               \
    X(str_b_post, BYTES, 0, "str b2, [x1], #1")                                                                        \
    X(st1_16b_2, BYTES, 1, "st1 {v2.16b, v3.16b}, [x1]")                                                               \
    X(st4_16b, BYTES, 0, "st4 {v2.16b-v5.16b}, [x1], #64")                                                             \
    X(st3_lane_b, BYTES, 0, "st3 {v2.b-v4.b}[5], [x1], #3")                                                            \
    /* two bytes: UARTIBRD */                                                                                          \
    X(ldrh_post, HALF, 0, "ldrh w2, [x1], #2")                                                                         \
    X(ldrsh_x_pre, HALF, -2, "ldrsh x2, [x1, #2]!")                                                                    \
    X(ldrsh_w_post, HALF, 0, "ldrsh w2, [x1], #-2")                                                                    \
    X(ldr_h, HALF, 0, "ldr h2, [x1]")                                                                                  \
    X(ld1_lane_h, HALF, 0, "ld1 {v2.h}[3], [x1]")                                                                      \
    X(ld1r_4h, HALF, 0, "ld1r {v2.4h}, [x1], #2")                                                                      \
    X(strh_pre, HALF, 2, "strh w2, [x1, #-2]!")                                                                        \
    X(str_h_post, HALF, 0, "str h2, [x1], #2")                                                                         \
    X(st1_lane_h, HALF, 0, "st1 {v2.h}[6], [x1], x4")

__asm__(".arch_extension fp\n\t.arch_extension simd\n\t.text");
#define DEFINE(name, window, offset, text)                                                                             \
    extern const char insn_##name[];                                                                                   \
    __asm__("insn_" #name ": " text "; ret");
LIST_OF_INSTRUCTIONS(DEFINE)

enum window_name { DOUBLES, BYTES, HALF };

struct instruction instructions[] = {
#define ROW(name, window, offset, text) {text, insn_##name, window, offset},
    LIST_OF_INSTRUCTIONS(ROW)
#undef ROW
    {0},
};

/* mmio_entry.S */
struct user {
    uint64_t x[8];
    uint64_t pc, pstate, esr, far;
};

extern const char mmio_run_user[];
void mmio_run_sp0(struct registers *registers, const void *instruction);
void mmio_user(struct user *user);

#define PSTATE_DAIF UINT64_C(0x3c0)
#define PSTATE_SS (UINT64_C(1) << 21)
#define EC(esr) ((unsigned)((esr) >> 26))
#define EC_SVC32 0x11U
#define EC_SVC64 0x15U
#define EC_STEP_LOWER 0x32U

/* ---- What EL0 sees: devices where they are, and memory, code too, once more above ---- */

#define BLOCK (UINT64_C(1) << 30)
#define BLOCK_DEVICE UINT64_C(0x441) /* block, AF, EL0 too; AttrIndx 0: device */
#define BLOCK_NORMAL UINT64_C(0x745) /* inner-shareable; AttrIndx 1: normal */
#define USER_ALIAS (2 * BLOCK)       /* from memory at 1 GiB to 3 GiB */
#define NORMAL_ALIAS (2 * BLOCK)     /* from devices at 0 to 2 GiB, as if they were memory */

static void map_for_user(void)
{
    volatile uint64_t *table = (volatile uint64_t *)(uintptr_t)(reg_read(ttbr0_el1) & ~UINT64_C(0xfff));

    table[0] = table[2] = table[3] = 0;
    barrier("dsb sy; tlbi vmalle1; dsb sy; isb");
    table[0] = BLOCK_DEVICE;
    table[2] = BLOCK_NORMAL;
    table[3] = BLOCK | BLOCK_NORMAL;
    barrier("dsb sy; isb");
}

static uint64_t user_address(const void *at)
{
    return (uint64_t)(uintptr_t)at + USER_ALIAS;
}

/* ---- Windows ---- */

static uint64_t window_device(enum window_name name)
{
    static const uint64_t offsets[] = {[DOUBLES] = 0x6000 + 8 * 64, [BYTES] = 0x400 + 64, [HALF] = 0x24};

    return (name == HALF ? machine.uart : machine.arch.gicd) + offsets[name];
}

struct window window_get(unsigned window)
{
    static const struct window windows[] = {
        [DOUBLES] = {8, 64, UINT64_C(0xff80ffffff), 0},
        [BYTES] = {1, 64, 0xf8, 0},
        [HALF] = {2, 2, 0xffff, 0},
    };
    struct window got = windows[window];

    got.device = window_device(window);
    return got;
}

void window_open(unsigned window)
{
    (void)window;
}

void window_close(unsigned window)
{
    (void)window;
}

static void fill(enum window_name name)
{
    const struct window window = window_get(name);

    window_fill(&window, window.device);
}

void unit_write(uint64_t at, unsigned unit, uint64_t value)
{
    switch (unit) {
    case 1:
        __asm__ volatile("strb %w0, [%1]" ::"r"(value), "r"(at) : "memory");
        break;
    case 2:
        __asm__ volatile("strh %w0, [%1]" ::"r"(value), "r"(at) : "memory");
        break;
    default:
        __asm__ volatile("str %0, [%1]" ::"r"(value), "r"(at) : "memory");
        break;
    }
}

uint64_t unit_read(uint64_t at, unsigned unit)
{
    uint64_t value;

    switch (unit) {
    case 1:
        __asm__ volatile("ldrb %w0, [%1]" : "=r"(value) : "r"(at) : "memory");
        break;
    case 2:
        __asm__ volatile("ldrh %w0, [%1]" : "=r"(value) : "r"(at) : "memory");
        break;
    default:
        __asm__ volatile("ldr %0, [%1]" : "=r"(value) : "r"(at) : "memory");
        break;
    }
    return value;
}

/* ---- Levels ---- */

static bool run_el1h(struct registers *registers, const void *code)
{
    catch_begin();
    mmio_run(registers, code);
    return !catch_end().happened;
}

static bool run_el1t(struct registers *registers, const void *code)
{
    catch_begin();
    mmio_run_sp0(registers, code);
    return !catch_end().happened;
}

static bool run_user(struct registers *registers, const void *code)
{
    struct user user = {
        .x = {user_address(registers), user_address(code)},
        .pc = user_address(mmio_run_user),
        .pstate = PSTATE_DAIF,
    };

    mmio_user(&user);
    return EC(user.esr) == EC_SVC64;
}

const struct level levels[] = {
    {"EL1h", USER_ALIAS, 0, run_el1h}, {"EL1t", USER_ALIAS, 0, run_el1t}, {"EL0", USER_ALIAS, 0, run_user}, {0},
};

/* ---- Where they aren't aligned, or on two pages ---- */

static void test_unaligned(void)
{
    uint64_t at = window_device(DOUBLES) + 4;
    uint64_t low, high, both, next;

    fill(DOUBLES);
    low = mmio_read32(at);
    high = mmio_read32(at + 4);
    at += NORMAL_ALIAS;
    __asm__ volatile("ldr %0, [%1]" : "=r"(both) : "r"(at) : "memory");
    check_equal(both, high << 32 | low);
    next = at;
    __asm__ volatile("ldr %0, [%1], #8" : "=r"(both), "+r"(next)::"memory");
    check_equal(both, high << 32 | low);
    check_equal(next, at + 8);
    both = UINT64_C(0x00123456000000ab);
    __asm__ volatile("str %0, [%1]" ::"r"(both), "r"(at) : "memory");
    check_equal(mmio_read32(at - NORMAL_ALIAS), 0xab);
    check_equal(mmio_read32(at - NORMAL_ALIAS + 4), 0x123456);
}

static void test_two_pages(void)
{
    uint64_t at = machine.arch.gicd + 0xff8; /* reserved, on both sides */
    uint64_t first = 1, second = 1;

    catch_begin();
    __asm__ volatile("ldp %0, %1, [%2], #16" : "=&r"(first), "=&r"(second), "+r"(at)::"memory");
    check(!catch_end().happened);
    check_equal(first, 0);
    check_equal(second, 0);
    check_equal(at, machine.arch.gicd + 0x1008);
}

/* ---- What a device doesn't take ---- */

#define FSC(esr) ((unsigned)(esr)&0x3fU)
#define WNR (1U << 6)

static void check_abort(struct caught caught, unsigned fsc, bool write, uint64_t far)
{
    check(caught.happened);
    check_equal(EC(caught.esr), 0x25);
    check_equal(FSC(caught.esr), fsc);
    check_equal((caught.esr & WNR) != 0, write);
    check_equal(caught.far, far);
}

static void test_answers(void)
{
    uint64_t at = window_device(DOUBLES) + NORMAL_ALIAS;
    uint64_t end = machine.uart + NORMAL_ALIAS + 0xff8;
    uint64_t value = 0;
    struct caught caught;

    catch_begin();
    __asm__ volatile("ldxr %0, [%1]" : "+r"(value) : "r"(at) : "memory");
    check_abort(catch_end(), 0x35, false, at);
    catch_begin();
    __asm__ volatile("ldaxp %0, xzr, [%1]" : "+r"(value) : "r"(at) : "memory");
    check_abort(catch_end(), 0x35, false, at);
    if (((reg_read(id_aa64isar0_el1) >> 20) & 0xf) != 0) {
        catch_begin();
        __asm__ volatile("mov x1, %0; .inst 0xf8210020 /* ldadd x1, x0, [x1] */" ::"r"(at) : "x0", "x1", "memory");
        caught = catch_end();
        check(caught.happened);
        check_equal(FSC(caught.esr), 0x35);
    }
    catch_begin();
    __asm__ volatile("dc zva, %0" ::"r"(at) : "memory");
    check_abort(catch_end(), 0x21, true, at);
    catch_begin();
    __asm__ volatile("dc civac, %0; prfm pldl1keep, [%0]" ::"r"(at) : "memory");
    check(!catch_end().happened);
    catch_begin(); /* the UART's last bytes, then nothing */
    __asm__ volatile("stp %0, %0, [%1], #16" ::"r"(value), "r"(end) : "memory");
    check_abort(catch_end(), 0x10, true, end);
    catch_begin();
    __asm__ volatile("stp %0, %0, [%1, #-16]!" ::"r"(value), "r"(end + 24) : "memory");
    check_abort(catch_end(), 0x10, true, end + 8);
}

/* ---- A device access is one step ---- */

extern const char step_code[];
__asm__("step_code: ldp x2, x3, [x1], #16; ldr w4, [x1]; str x4, [x1]; mov x5, #1; svc #0");

static void test_step(void)
{
    struct user user = {
        .x = {0, window_device(DOUBLES), 0, 0, 0, 0},
        .pc = user_address(step_code),
        .pstate = PSTATE_DAIF | PSTATE_SS,
    };

    reg_write(oslar_el1, 0);
    reg_write(mdscr_el1, 1);
    barrier("isb");
    for (unsigned step = 1; step <= 4; step++) {
        mmio_user(&user);
        check_equal(EC(user.esr), EC_STEP_LOWER);
        check_equal(user.pc, user_address(step_code) + 4 * step);
        check_equal(user.x[5], step == 4);
        user.pstate |= PSTATE_SS;
    }
    reg_write(mdscr_el1, 0);
    barrier("isb");
}

/* ---- AArch32 at EL0 ---- */

#define PSTATE_T32_USER UINT64_C(0x1f0) /* interrupts masked */
#define PSTATE_BIG (UINT64_C(1) << 9)

/* r1: priorities of four interrupts, r7: of four others. Only what is right in the blocks' conditions is executed. */
static const uint16_t t32_code[] __attribute__((aligned(4))) = {
    0x4280,         /* cmp r0, r0 */
    0xbf0c,         /* ite eq */
    0x680a,         /*   ldreq r2, [r1] */
    0x2301,         /*   movne r3, #1 */
    0xbf06,         /* itte eq */
    0xf8d1, 0x4004, /*   ldreq.w r4, [r1, #4] */
    0x710a,         /*   strbeq r2, [r1, #4] */
    0x2302,         /*   movne r3, #2 */
    0x798d,         /* ldrb r5, [r1, #6] */
    0x798e,         /* ldrb r6, [r1, #6] */
    0xdf00,         /* svc #0 */
};

static void run_t32(uint64_t pstate, struct user *user)
{
    fill(BYTES);
    *user = (struct user){
        .x = {0, window_device(BYTES)},
        .pc = user_address(t32_code),
        .pstate = PSTATE_T32_USER | pstate,
    };
    mmio_user(user);
    check_equal(EC(user->esr), EC_SVC32);
    check_equal(user->pc, user_address(t32_code) + sizeof(t32_code));
    check_equal(user->x[3], 0);
    check_equal(user->x[5], pattern(6) & 0xf8);
    check_equal(user->x[6], pattern(6) & 0xf8);
}

static void test_aarch32(void)
{
    struct user user;
    uint32_t first, second;

    if ((reg_read(id_aa64pfr0_el1) & 0xf) < 2) {
        return;
    }
    barrier("dsb sy; ic iallu; dsb sy; isb");
    fill(BYTES);
    first = mmio_read32(window_device(BYTES));
    second = mmio_read32(window_device(BYTES) + 4);
    run_t32(0, &user);
    check_equal(user.x[2], first);
    check_equal(user.x[4], second);
    check_equal(unit_read(window_device(BYTES) + 4, 1), first & 0xf8);
    run_t32(PSTATE_BIG, &user);
    check_equal(user.x[2], __builtin_bswap32(first));
    check_equal(user.x[4], __builtin_bswap32(second));
    print("mmio: AArch32 goes on after its accesses\n");
}

/* ---- Big-endian data ---- */

#define SCTLR_E0E (UINT64_C(1) << 24)

extern const char big_code[];
__asm__("big_code: ldr w2, [x1]; ldr w3, [x1], #8; ldr q0, [x1]; str q0, [x1, #-8]!; svc #0");

/* At EL0: EL1's own tables and stack stay as they are. */
static void test_big_endian(void)
{
    uint64_t doubles = window_device(DOUBLES);
    struct user user = {.x = {0, doubles}, .pc = user_address(big_code), .pstate = PSTATE_DAIF};
    uint64_t before[3];

    fill(DOUBLES);
    for (unsigned i = 0; i < 3; i++) {
        before[i] = unit_read(doubles + 8 * i, 8);
    }
    reg_write(sctlr_el1, reg_read(sctlr_el1) | SCTLR_E0E);
    barrier("isb");
    mmio_user(&user);
    reg_write(sctlr_el1, reg_read(sctlr_el1) & ~SCTLR_E0E);
    barrier("isb");
    check_equal(EC(user.esr), EC_SVC64);
    check_equal(user.x[2], __builtin_bswap32((uint32_t)before[0]));
    check_equal(user.x[3], __builtin_bswap32((uint32_t)before[0]));
    check_equal(user.x[1], doubles);
    check_equal(unit_read(doubles, 8), before[1]);
    check_equal(unit_read(doubles + 8, 8), before[2]);
}

void test_main(void)
{
    map_for_user();
    test_instructions();
    test_unaligned();
    test_two_pages();
    test_step();
    test_aarch32();
    test_big_endian();
    test_answers();
}
