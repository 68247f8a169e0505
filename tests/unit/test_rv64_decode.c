/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decoder against two oracles: words that binutils' assembler made, and encoders written here from the manual's
 * tables, which have to agree with the assembler too; they go through all registers and immediates. All 65,536 words of
 * 16 bits are known to be what they are.
 */
#include "arch/riscv64/decode.h"
#include "support/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool has_address(unsigned kind)
{
    return kind >= RV64_INSN_LOAD && kind <= RV64_INSN_AMO;
}

static bool same(const struct rv64_insn *a, const struct rv64_insn *b)
{
    if (a->kind != b->kind || a->length != b->length || !has_address(a->kind)) {
        return a->kind == b->kind && a->length == b->length;
    }
    return a->size == b->size && a->sign == b->sign && a->reg == b->reg && a->base == b->base && a->imm == b->imm;
}

static void check(uint32_t word, const struct rv64_insn *expected, const char *text)
{
    struct rv64_insn insn = rv64_decode(word);

    if (!same(&insn, expected)) {
        print_error("%#x %s: kind %u, %u bytes%s, register %u, %d(x%u), length %u\n", word, text, insn.kind, insn.size,
                    insn.sign ? " signed" : "", insn.reg, insn.imm, insn.base, insn.length);
        fail();
    }
}

/* ---- Words of the assembler -------------------------------------------------------------------------------------- */

static const struct {
    const char *text;
    uint32_t word;
    struct rv64_insn insn;
} assembled[] = {
#define INSN(text, word, kind, length, size, sign, reg, base, imm)                                                     \
    {text, word, {RV64_INSN_##kind, length, size, sign, reg, base, imm}}
#define NONE(text, word, kind, length) {text, word, {RV64_INSN_##kind, length, 0, false, 0, 0, 0}}
    /* binutils 2.40, -march=rv64gcqvh_zfh_zicbom_zicboz_zicbop */
    INSN("lb s4, -2048(s1)", 0x80048a03, LOAD, 4, 1, true, 20, 9, -2048),
    INSN("lb s9, 2047(gp)", 0x7ff18c83, LOAD, 4, 1, true, 25, 3, 2047),
    INSN("lb tp, -1(t1)", 0xfff30203, LOAD, 4, 1, true, 4, 6, -1),
    INSN("lh s7, 1365(gp)", 0x55519b83, LOAD, 4, 2, true, 23, 3, 1365),
    INSN("lh a3, -1366(sp)", 0xaaa11683, LOAD, 4, 2, true, 13, 2, -1366),
    INSN("lh t0, 0(s11)", 0x000d9283, LOAD, 4, 2, true, 5, 27, 0),
    INSN("lw s10, -2048(tp)", 0x80022d03, LOAD, 4, 4, true, 26, 4, -2048),
    INSN("lw a5, 2047(t0)", 0x7ff2a783, LOAD, 4, 4, true, 15, 5, 2047),
    INSN("lw s11, -1(gp)", 0xfff1ad83, LOAD, 4, 4, true, 27, 3, -1),
    INSN("ld t2, 1365(a4)", 0x55573383, LOAD, 4, 8, true, 7, 14, 1365),
    INSN("ld gp, -1366(s9)", 0xaaacb183, LOAD, 4, 8, true, 3, 25, -1366),
    INSN("ld gp, 0(a4)", 0x00073183, LOAD, 4, 8, true, 3, 14, 0),
    INSN("lbu sp, -2048(s0)", 0x80044103, LOAD, 4, 1, false, 2, 8, -2048),
    INSN("lbu s2, 2047(s10)", 0x7ffd4903, LOAD, 4, 1, false, 18, 26, 2047),
    INSN("lbu s1, -1(t2)", 0xfff3c483, LOAD, 4, 1, false, 9, 7, -1),
    INSN("lhu s3, 1365(a1)", 0x5555d983, LOAD, 4, 2, false, 19, 11, 1365),
    INSN("lhu t1, -1366(a2)", 0xaaa65303, LOAD, 4, 2, false, 6, 12, -1366),
    INSN("lhu s7, 0(t1)", 0x00035b83, LOAD, 4, 2, false, 23, 6, 0),
    INSN("lwu tp, -2048(gp)", 0x8001e203, LOAD, 4, 4, false, 4, 3, -2048),
    INSN("lwu a3, 2047(t6)", 0x7fffe683, LOAD, 4, 4, false, 13, 31, 2047),
    INSN("lwu s11, -1(s4)", 0xfffa6d83, LOAD, 4, 4, false, 27, 20, -1),
    INSN("sb t4, 1365(t4)", 0x55de8aa3, STORE, 4, 1, false, 29, 29, 1365),
    INSN("sb s7, -1366(s3)", 0xab798523, STORE, 4, 1, false, 23, 19, -1366),
    INSN("sb a5, 0(a1)", 0x00f58023, STORE, 4, 1, false, 15, 11, 0),
    INSN("sh a5, -2048(t0)", 0x80f29023, STORE, 4, 2, false, 15, 5, -2048),
    INSN("sh s3, 2047(t6)", 0x7f3f9fa3, STORE, 4, 2, false, 19, 31, 2047),
    INSN("sh s5, -1(t3)", 0xff5e1fa3, STORE, 4, 2, false, 21, 28, -1),
    INSN("sw s2, 1365(tp)", 0x55222aa3, STORE, 4, 4, false, 18, 4, 1365),
    INSN("sw t2, -1366(s10)", 0xaa7d2523, STORE, 4, 4, false, 7, 26, -1366),
    INSN("sw a0, 0(s5)", 0x00aaa023, STORE, 4, 4, false, 10, 21, 0),
    INSN("sd s1, -2048(t6)", 0x809fb023, STORE, 4, 8, false, 9, 31, -2048),
    INSN("sd s10, 2047(sp)", 0x7fa13fa3, STORE, 4, 8, false, 26, 2, 2047),
    INSN("sd tp, -1(s4)", 0xfe4a3fa3, STORE, 4, 8, false, 4, 20, -1),
    INSN("flw f21, 1365(s6)", 0x555b2a87, LOAD_F, 4, 4, false, 21, 22, 1365),
    INSN("flw f31, -1366(t4)", 0xaaaeaf87, LOAD_F, 4, 4, false, 31, 29, -1366),
    INSN("flw f4, 0(t0)", 0x0002a207, LOAD_F, 4, 4, false, 4, 5, 0),
    INSN("fld f17, -2048(t5)", 0x800f3887, LOAD_F, 4, 8, false, 17, 30, -2048),
    INSN("fld f4, 2047(gp)", 0x7ff1b207, LOAD_F, 4, 8, false, 4, 3, 2047),
    INSN("fld f19, -1(t3)", 0xfffe3987, LOAD_F, 4, 8, false, 19, 28, -1),
    INSN("fsw f18, 1365(s8)", 0x552c2aa7, STORE_F, 4, 4, false, 18, 24, 1365),
    INSN("fsw f22, -1366(ra)", 0xab60a527, STORE_F, 4, 4, false, 22, 1, -1366),
    INSN("fsw f29, 0(s6)", 0x01db2027, STORE_F, 4, 4, false, 29, 22, 0),
    INSN("fsd f10, -2048(t2)", 0x80a3b027, STORE_F, 4, 8, false, 10, 7, -2048),
    INSN("fsd f31, 2047(gp)", 0x7ff1bfa7, STORE_F, 4, 8, false, 31, 3, 2047),
    INSN("fsd f13, -1(s2)", 0xfed93fa7, STORE_F, 4, 8, false, 13, 18, -1),
    INSN("flh f8, 1365(a5)", 0x55579407, LOAD_F, 4, 2, false, 8, 15, 1365),
    INSN("flh f25, -1366(s9)", 0xaaac9c87, LOAD_F, 4, 2, false, 25, 25, -1366),
    INSN("fsh f31, 0(t0)", 0x01f29027, STORE_F, 4, 2, false, 31, 5, 0),
    INSN("fsh f10, -2048(t3)", 0x80ae1027, STORE_F, 4, 2, false, 10, 28, -2048),
    NONE("flq f4, 16(a0)", 0x01054207, UNKNOWN, 4),
    NONE("fsq f4, 16(a0)", 0x00454827, UNKNOWN, 4),
    INSN("lr.w s9, (a7)", 0x1008acaf, LR, 4, 4, false, 25, 17, 0),
    INSN("lr.w.aq s0, (s11)", 0x140da42f, LR, 4, 4, false, 8, 27, 0),
    INSN("lr.w.rl a7, (s10)", 0x120d28af, LR, 4, 4, false, 17, 26, 0),
    INSN("lr.w.aqrl s6, (s8)", 0x160c2b2f, LR, 4, 4, false, 22, 24, 0),
    INSN("sc.w.aq a4, t0, (s1)", 0x1c54a72f, AMO, 4, 4, false, 14, 9, 0),
    INSN("amoswap.w s1, a4, (a4)", 0x08e724af, AMO, 4, 4, false, 9, 14, 0),
    INSN("amoadd.w.rl t6, a6, (a1)", 0x0305afaf, AMO, 4, 4, false, 31, 11, 0),
    INSN("amoxor.w.rl zero, s10, (s1)", 0x23a4a02f, AMO, 4, 4, false, 0, 9, 0),
    INSN("amoand.w.aqrl s4, gp, (s0)", 0x66342a2f, AMO, 4, 4, false, 20, 8, 0),
    INSN("amoor.w.aqrl s9, s9, (s9)", 0x479cacaf, AMO, 4, 4, false, 25, 25, 0),
    INSN("amomin.w t1, s9, (t5)", 0x819f232f, AMO, 4, 4, false, 6, 30, 0),
    INSN("amomax.w.aqrl a2, a3, (tp)", 0xa6d2262f, AMO, 4, 4, false, 12, 4, 0),
    INSN("amominu.w a0, s5, (t2)", 0xc153a52f, AMO, 4, 4, false, 10, 7, 0),
    INSN("amomaxu.w t1, s1, (zero)", 0xe090232f, AMO, 4, 4, false, 6, 0, 0),
    INSN("lr.d s7, (ra)", 0x1000bbaf, LR, 4, 8, false, 23, 1, 0),
    INSN("lr.d.aq tp, (a3)", 0x1406b22f, LR, 4, 8, false, 4, 13, 0),
    INSN("lr.d.rl s8, (s1)", 0x1204bc2f, LR, 4, 8, false, 24, 9, 0),
    INSN("lr.d.aqrl a6, (s6)", 0x160b382f, LR, 4, 8, false, 16, 22, 0),
    INSN("sc.d s7, t2, (t5)", 0x187f3baf, AMO, 4, 8, false, 23, 30, 0),
    INSN("amoswap.d.aqrl t6, t5, (t4)", 0x0feebfaf, AMO, 4, 8, false, 31, 29, 0),
    INSN("amoadd.d s3, s1, (t0)", 0x0092b9af, AMO, 4, 8, false, 19, 5, 0),
    INSN("amoxor.d.aq s5, t5, (a6)", 0x25e83aaf, AMO, 4, 8, false, 21, 16, 0),
    INSN("amoand.d.aq ra, s7, (a3)", 0x6576b0af, AMO, 4, 8, false, 1, 13, 0),
    INSN("amoor.d.rl ra, t0, (s3)", 0x4259b0af, AMO, 4, 8, false, 1, 19, 0),
    INSN("amomin.d.aq s7, s6, (a0)", 0x85653baf, AMO, 4, 8, false, 23, 10, 0),
    INSN("amomax.d.aq s5, a2, (a4)", 0xa4c73aaf, AMO, 4, 8, false, 21, 14, 0),
    INSN("amominu.d.aqrl s9, a2, (a4)", 0xc6c73caf, AMO, 4, 8, false, 25, 14, 0),
    INSN("amomaxu.d.rl s6, ra, (ra)", 0xe210bb2f, AMO, 4, 8, false, 22, 1, 0),
    NONE("vle8.v v8, (a0)", 0x02050407, LOAD_V, 4),
    NONE("vle16.v v8, (a0)", 0x02055407, LOAD_V, 4),
    NONE("vle32.v v8, (a0), v0.t", 0x00056407, LOAD_V, 4),
    NONE("vle64.v v8, (a0)", 0x02057407, LOAD_V, 4),
    NONE("vlse32.v v4, (a1), a2", 0x0ac5e207, LOAD_V, 4),
    NONE("vluxei8.v v4, (a1), v2", 0x06258207, LOAD_V, 4),
    NONE("vl8re8.v v0, (a0)", 0xe2850007, LOAD_V, 4),
    NONE("vlm.v v0, (a0)", 0x02b50007, LOAD_V, 4),
    NONE("vse8.v v8, (a0)", 0x02050427, STORE_V, 4),
    NONE("vse64.v v8, (a0)", 0x02057427, STORE_V, 4),
    NONE("vsse16.v v4, (a1), a2", 0x0ac5d227, STORE_V, 4),
    NONE("vsoxei32.v v4, (a1), v2", 0x0e25e227, STORE_V, 4),
    NONE("vs2r.v v0, (a0)", 0x22850027, STORE_V, 4),
    NONE("cbo.zero (a0)", 0x0045200f, CBO, 4),
    NONE("cbo.clean (t0)", 0x0012a00f, CBO, 4),
    NONE("cbo.flush (t6)", 0x002fa00f, CBO, 4),
    NONE("cbo.inval (a0)", 0x0005200f, CBO, 4),
    NONE("hlv.w a0, (a1)", 0x6805c573, UNKNOWN, 4),
    NONE("hlvx.hu a0, (a1)", 0x6435c573, UNKNOWN, 4),
    NONE("hsv.d a0, (a1)", 0x6ea5c073, UNKNOWN, 4),
    NONE("prefetch.r 32(a0)", 0x02156013, OTHER, 4),
    NONE("addi a0, a1, -5", 0xffb58513, OTHER, 4),
    NONE("slli a0, a1, 63", 0x03f59513, OTHER, 4),
    NONE("addiw a0, a1, 1", 0x0015851b, OTHER, 4),
    NONE("add a0, a1, a2", 0x00c58533, OTHER, 4),
    NONE("mulhu a0, a1, a2", 0x02c5b533, OTHER, 4),
    NONE("subw a0, a1, a2", 0x40c5853b, OTHER, 4),
    NONE("lui a0, 0xfffff", 0xfffff537, OTHER, 4),
    NONE("auipc a0, 1", 0x00001517, OTHER, 4),
    NONE("beq a0, a1, .", 0x00b50063, OTHER, 4),
    NONE("bgeu a0, a1, .", 0x00b57063, OTHER, 4),
    NONE("jal ra, .", 0x000000ef, OTHER, 4),
    NONE("jalr ra, 8(a0)", 0x008500e7, OTHER, 4),
    NONE("fence", 0x0ff0000f, OTHER, 4),
    NONE("fence.i", 0x0000100f, OTHER, 4),
    NONE("ecall", 0x00000073, OTHER, 4),
    NONE("ebreak", 0x00100073, OTHER, 4),
    NONE("csrrw a0, sscratch, a1", 0x14059573, OTHER, 4),
    NONE("csrrci a0, sstatus, 2", 0x10017573, OTHER, 4),
    NONE("wfi", 0x10500073, OTHER, 4),
    NONE("sfence.vma a0, a1", 0x12b50073, OTHER, 4),
    NONE("fadd.d f1, f2, f3", 0x023170d3, OTHER, 4),
    NONE("fmadd.s f1, f2, f3, f4", 0x203170c3, OTHER, 4),
    NONE("fmsub.d f1, f2, f3, f4", 0x223170c7, OTHER, 4),
    NONE("fnmsub.d f1, f2, f3, f4", 0x223170cb, OTHER, 4),
    NONE("fnmadd.d f1, f2, f3, f4", 0x223170cf, OTHER, 4),
    NONE("fcvt.d.l f1, a0", 0xd22570d3, OTHER, 4),
    NONE("vadd.vv v1, v2, v3", 0x022180d7, OTHER, 4),
    NONE("vsetvli a0, a1, e8, m1, ta, ma", 0x0c05f557, OTHER, 4),
    INSN("c.lw a5, 0(a2)", 0x421c, LOAD, 2, 4, true, 15, 12, 0),
    INSN("c.lw a1, 4(a3)", 0x42cc, LOAD, 2, 4, true, 11, 13, 4),
    INSN("c.lw a5, 8(a3)", 0x469c, LOAD, 2, 4, true, 15, 13, 8),
    INSN("c.lw a3, 16(s1)", 0x4894, LOAD, 2, 4, true, 13, 9, 16),
    INSN("c.lw a1, 32(s1)", 0x508c, LOAD, 2, 4, true, 11, 9, 32),
    INSN("c.lw a1, 64(a5)", 0x43ac, LOAD, 2, 4, true, 11, 15, 64),
    INSN("c.lw a1, 124(a3)", 0x5eec, LOAD, 2, 4, true, 11, 13, 124),
    INSN("c.ld a1, 0(a5)", 0x638c, LOAD, 2, 8, true, 11, 15, 0),
    INSN("c.ld s0, 8(a5)", 0x6780, LOAD, 2, 8, true, 8, 15, 8),
    INSN("c.ld a3, 16(s1)", 0x6894, LOAD, 2, 8, true, 13, 9, 16),
    INSN("c.ld s1, 32(a4)", 0x7304, LOAD, 2, 8, true, 9, 14, 32),
    INSN("c.ld a1, 64(a5)", 0x63ac, LOAD, 2, 8, true, 11, 15, 64),
    INSN("c.ld a0, 128(a4)", 0x6348, LOAD, 2, 8, true, 10, 14, 128),
    INSN("c.ld a3, 248(s1)", 0x7cf4, LOAD, 2, 8, true, 13, 9, 248),
    INSN("c.sw a4, 0(a5)", 0xc398, STORE, 2, 4, false, 14, 15, 0),
    INSN("c.sw a4, 4(s1)", 0xc0d8, STORE, 2, 4, false, 14, 9, 4),
    INSN("c.sw a0, 8(a0)", 0xc508, STORE, 2, 4, false, 10, 10, 8),
    INSN("c.sw a0, 16(s0)", 0xc808, STORE, 2, 4, false, 10, 8, 16),
    INSN("c.sw a0, 32(a5)", 0xd388, STORE, 2, 4, false, 10, 15, 32),
    INSN("c.sw a0, 64(a5)", 0xc3a8, STORE, 2, 4, false, 10, 15, 64),
    INSN("c.sw a3, 124(a0)", 0xdd74, STORE, 2, 4, false, 13, 10, 124),
    INSN("c.sd a0, 0(s0)", 0xe008, STORE, 2, 8, false, 10, 8, 0),
    INSN("c.sd s0, 8(s1)", 0xe480, STORE, 2, 8, false, 8, 9, 8),
    INSN("c.sd a0, 16(a4)", 0xeb08, STORE, 2, 8, false, 10, 14, 16),
    INSN("c.sd a1, 32(a1)", 0xf18c, STORE, 2, 8, false, 11, 11, 32),
    INSN("c.sd s0, 64(a2)", 0xe220, STORE, 2, 8, false, 8, 12, 64),
    INSN("c.sd a1, 128(a2)", 0xe24c, STORE, 2, 8, false, 11, 12, 128),
    INSN("c.sd a1, 248(a3)", 0xfeec, STORE, 2, 8, false, 11, 13, 248),
    INSN("c.fld f12, 0(a4)", 0x2310, LOAD_F, 2, 8, false, 12, 14, 0),
    INSN("c.fld f10, 8(s0)", 0x2408, LOAD_F, 2, 8, false, 10, 8, 8),
    INSN("c.fld f13, 16(a5)", 0x2b94, LOAD_F, 2, 8, false, 13, 15, 16),
    INSN("c.fld f14, 32(a0)", 0x3118, LOAD_F, 2, 8, false, 14, 10, 32),
    INSN("c.fld f10, 64(s0)", 0x2028, LOAD_F, 2, 8, false, 10, 8, 64),
    INSN("c.fld f15, 128(a0)", 0x215c, LOAD_F, 2, 8, false, 15, 10, 128),
    INSN("c.fld f8, 248(a0)", 0x3d60, LOAD_F, 2, 8, false, 8, 10, 248),
    INSN("c.fsd f10, 0(a0)", 0xa108, STORE_F, 2, 8, false, 10, 10, 0),
    INSN("c.fsd f15, 8(s1)", 0xa49c, STORE_F, 2, 8, false, 15, 9, 8),
    INSN("c.fsd f8, 16(a3)", 0xaa80, STORE_F, 2, 8, false, 8, 13, 16),
    INSN("c.fsd f15, 32(s1)", 0xb09c, STORE_F, 2, 8, false, 15, 9, 32),
    INSN("c.fsd f8, 64(a1)", 0xa1a0, STORE_F, 2, 8, false, 8, 11, 64),
    INSN("c.fsd f11, 128(a2)", 0xa24c, STORE_F, 2, 8, false, 11, 12, 128),
    INSN("c.fsd f8, 248(s1)", 0xbce0, STORE_F, 2, 8, false, 8, 9, 248),
    INSN("c.lwsp a7, 0(sp)", 0x4882, LOAD, 2, 4, true, 17, 2, 0),
    INSN("c.lwsp a5, 4(sp)", 0x4792, LOAD, 2, 4, true, 15, 2, 4),
    INSN("c.lwsp s2, 8(sp)", 0x4922, LOAD, 2, 4, true, 18, 2, 8),
    INSN("c.lwsp ra, 16(sp)", 0x40c2, LOAD, 2, 4, true, 1, 2, 16),
    INSN("c.lwsp s9, 32(sp)", 0x5c82, LOAD, 2, 4, true, 25, 2, 32),
    INSN("c.lwsp t4, 64(sp)", 0x4e86, LOAD, 2, 4, true, 29, 2, 64),
    INSN("c.lwsp t5, 128(sp)", 0x4f0a, LOAD, 2, 4, true, 30, 2, 128),
    INSN("c.lwsp gp, 252(sp)", 0x51fe, LOAD, 2, 4, true, 3, 2, 252),
    INSN("c.ldsp a5, 0(sp)", 0x6782, LOAD, 2, 8, true, 15, 2, 0),
    INSN("c.ldsp a1, 8(sp)", 0x65a2, LOAD, 2, 8, true, 11, 2, 8),
    INSN("c.ldsp s4, 16(sp)", 0x6a42, LOAD, 2, 8, true, 20, 2, 16),
    INSN("c.ldsp a7, 32(sp)", 0x7882, LOAD, 2, 8, true, 17, 2, 32),
    INSN("c.ldsp s4, 64(sp)", 0x6a06, LOAD, 2, 8, true, 20, 2, 64),
    INSN("c.ldsp a7, 128(sp)", 0x688a, LOAD, 2, 8, true, 17, 2, 128),
    INSN("c.ldsp t2, 256(sp)", 0x6392, LOAD, 2, 8, true, 7, 2, 256),
    INSN("c.ldsp s7, 504(sp)", 0x7bfe, LOAD, 2, 8, true, 23, 2, 504),
    INSN("c.swsp s1, 0(sp)", 0xc026, STORE, 2, 4, false, 9, 2, 0),
    INSN("c.swsp a5, 4(sp)", 0xc23e, STORE, 2, 4, false, 15, 2, 4),
    INSN("c.swsp a7, 8(sp)", 0xc446, STORE, 2, 4, false, 17, 2, 8),
    INSN("c.swsp s2, 16(sp)", 0xc84a, STORE, 2, 4, false, 18, 2, 16),
    INSN("c.swsp s10, 32(sp)", 0xd06a, STORE, 2, 4, false, 26, 2, 32),
    INSN("c.swsp a6, 64(sp)", 0xc0c2, STORE, 2, 4, false, 16, 2, 64),
    INSN("c.swsp a7, 128(sp)", 0xc146, STORE, 2, 4, false, 17, 2, 128),
    INSN("c.swsp t6, 252(sp)", 0xdffe, STORE, 2, 4, false, 31, 2, 252),
    INSN("c.sdsp s0, 0(sp)", 0xe022, STORE, 2, 8, false, 8, 2, 0),
    INSN("c.sdsp s7, 8(sp)", 0xe45e, STORE, 2, 8, false, 23, 2, 8),
    INSN("c.sdsp a7, 16(sp)", 0xe846, STORE, 2, 8, false, 17, 2, 16),
    INSN("c.sdsp t4, 32(sp)", 0xf076, STORE, 2, 8, false, 29, 2, 32),
    INSN("c.sdsp t4, 64(sp)", 0xe0f6, STORE, 2, 8, false, 29, 2, 64),
    INSN("c.sdsp t6, 128(sp)", 0xe17e, STORE, 2, 8, false, 31, 2, 128),
    INSN("c.sdsp t5, 256(sp)", 0xe27a, STORE, 2, 8, false, 30, 2, 256),
    INSN("c.sdsp s1, 504(sp)", 0xffa6, STORE, 2, 8, false, 9, 2, 504),
    INSN("c.fldsp f30, 0(sp)", 0x2f02, LOAD_F, 2, 8, false, 30, 2, 0),
    INSN("c.fldsp f18, 8(sp)", 0x2922, LOAD_F, 2, 8, false, 18, 2, 8),
    INSN("c.fldsp f29, 16(sp)", 0x2ec2, LOAD_F, 2, 8, false, 29, 2, 16),
    INSN("c.fldsp f31, 32(sp)", 0x3f82, LOAD_F, 2, 8, false, 31, 2, 32),
    INSN("c.fldsp f7, 64(sp)", 0x2386, LOAD_F, 2, 8, false, 7, 2, 64),
    INSN("c.fldsp f27, 128(sp)", 0x2d8a, LOAD_F, 2, 8, false, 27, 2, 128),
    INSN("c.fldsp f15, 256(sp)", 0x2792, LOAD_F, 2, 8, false, 15, 2, 256),
    INSN("c.fldsp f5, 504(sp)", 0x32fe, LOAD_F, 2, 8, false, 5, 2, 504),
    INSN("c.fsdsp f14, 0(sp)", 0xa03a, STORE_F, 2, 8, false, 14, 2, 0),
    INSN("c.fsdsp f4, 8(sp)", 0xa412, STORE_F, 2, 8, false, 4, 2, 8),
    INSN("c.fsdsp f13, 16(sp)", 0xa836, STORE_F, 2, 8, false, 13, 2, 16),
    INSN("c.fsdsp f15, 32(sp)", 0xb03e, STORE_F, 2, 8, false, 15, 2, 32),
    INSN("c.fsdsp f11, 64(sp)", 0xa0ae, STORE_F, 2, 8, false, 11, 2, 64),
    INSN("c.fsdsp f3, 128(sp)", 0xa10e, STORE_F, 2, 8, false, 3, 2, 128),
    INSN("c.fsdsp f22, 256(sp)", 0xa25a, STORE_F, 2, 8, false, 22, 2, 256),
    INSN("c.fsdsp f8, 504(sp)", 0xbfa2, STORE_F, 2, 8, false, 8, 2, 504),
    INSN("c.swsp zero, 8(sp)", 0xc402, STORE, 2, 4, false, 0, 2, 8),
    INSN("c.fldsp f0, 8(sp)", 0x2022, LOAD_F, 2, 8, false, 0, 2, 8),
    NONE("c.nop", 0x0001, OTHER, 2),
    NONE("c.addi4spn s0, sp, 16", 0x0800, OTHER, 2),
    NONE("c.addi a0, 1", 0x0505, OTHER, 2),
    NONE("c.addiw a0, 1", 0x2505, OTHER, 2),
    NONE("c.li a0, 1", 0x4505, OTHER, 2),
    NONE("c.lui a0, 1", 0x6505, OTHER, 2),
    NONE("c.addi16sp sp, 16", 0x6141, OTHER, 2),
    NONE("c.srli a0, 1", 0x8105, OTHER, 2),
    NONE("c.and a0, a1", 0x8d6d, OTHER, 2),
    NONE("c.addw a0, a1", 0x9d2d, OTHER, 2),
    NONE("c.j .", 0xa001, OTHER, 2),
    NONE("c.beqz a0, .", 0xc101, OTHER, 2),
    NONE("c.bnez a0, .", 0xe101, OTHER, 2),
    NONE("c.slli a0, 3", 0x050e, OTHER, 2),
    NONE("c.mv a0, a1", 0x852e, OTHER, 2),
    NONE("c.add a0, a1", 0x952e, OTHER, 2),
    NONE("c.jr a0", 0x8502, OTHER, 2),
    NONE("c.jalr a0", 0x9502, OTHER, 2),
    NONE("c.ebreak", 0x9002, OTHER, 2),
    /* what it doesn't know yet: chapters "Zcb", "Zacas" and "Zabha" of the manual */
    INSN("c.lbu a5, 2(a4)", 0x833c, LOAD, 2, 1, false, 15, 14, 2),
    INSN("c.lbu s0, 1(s1)", 0x80c0, LOAD, 2, 1, false, 8, 9, 1),
    INSN("c.lhu a5, 2(a4)", 0x873c, LOAD, 2, 2, false, 15, 14, 2),
    INSN("c.lh a5, 2(a4)", 0x877c, LOAD, 2, 2, true, 15, 14, 2),
    INSN("c.sb a5, 2(a4)", 0x8b3c, STORE, 2, 1, false, 15, 14, 2),
    INSN("c.sh a5, 2(a4)", 0x8f3c, STORE, 2, 2, false, 15, 14, 2),
    INSN("amocas.w a0, a1, (a2)", 0x28b6252f, AMO, 4, 4, false, 10, 12, 0),
    INSN("amocas.d a0, a1, (a2)", 0x28b6352f, AMO, 4, 8, false, 10, 12, 0),
    INSN("amocas.q a0, a2, (a4)", 0x28c7452f, AMO, 4, 16, false, 10, 14, 0),
    INSN("amoadd.b a0, a1, (a2)", 0x00b6052f, AMO, 4, 1, false, 10, 12, 0),
    INSN("amocas.h a0, a1, (a2)", 0x28b6152f, AMO, 4, 2, false, 10, 12, 0),
    /* reserved */
    NONE("a load of width 7", 0x00057503, UNKNOWN, 4),
    NONE("a store of width 4", 0x00a54023, UNKNOWN, 4),
    NONE("a store of width 7", 0x00a57023, UNKNOWN, 4),
    NONE("an atomic of width 5", 0x00b6552f, UNKNOWN, 4),
    NONE("lr.q", 0x100545af, UNKNOWN, 4),
    NONE("lr.h", 0x100515af, UNKNOWN, 4),
    NONE("MISC-MEM 3", 0x0000300f, UNKNOWN, 4),
    NONE("custom-0", 0x0000000b, UNKNOWN, 4),
    NONE("48 bits", 0x0000001f, UNKNOWN, 4),
    NONE("c.lwsp zero, 0(sp)", 0x4002, UNKNOWN, 2),
    NONE("c.ldsp zero, 0(sp)", 0x6002, UNKNOWN, 2),
    NONE("c.sh with bit 6", 0x8f7c, UNKNOWN, 2),
    NONE("nothing", 0x0000, OTHER, 2),
};

static void test_decodes_what_the_assembler_encodes(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(assembled); i++) {
        check(assembled[i].word, &assembled[i].insn, assembled[i].text);
    }
}

/* ---- Encoders ---------------------------------------------------------------------------------------------------- */

static uint32_t i_type(unsigned opcode, unsigned funct3, unsigned rd, unsigned rs1, int imm)
{
    return ((uint32_t)imm & 0xfff) << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | opcode;
}

static uint32_t s_type(unsigned opcode, unsigned funct3, unsigned rs2, unsigned rs1, int imm)
{
    uint32_t field = (uint32_t)imm & 0xfff;

    return field >> 5 << 25 | rs2 << 20 | rs1 << 15 | funct3 << 12 | (field & 31) << 7 | opcode;
}

static const struct full {
    unsigned opcode, funct3, kind, size;
    bool sign;
} full[] = {
    {0x03, 0, RV64_INSN_LOAD, 1, true},   {0x03, 1, RV64_INSN_LOAD, 2, true},   {0x03, 2, RV64_INSN_LOAD, 4, true},
    {0x03, 3, RV64_INSN_LOAD, 8, true},   {0x03, 4, RV64_INSN_LOAD, 1, false},  {0x03, 5, RV64_INSN_LOAD, 2, false},
    {0x03, 6, RV64_INSN_LOAD, 4, false},  {0x23, 0, RV64_INSN_STORE, 1, false}, {0x23, 1, RV64_INSN_STORE, 2, false},
    {0x23, 2, RV64_INSN_STORE, 4, false}, {0x23, 3, RV64_INSN_STORE, 8, false}, {0x07, 1, RV64_INSN_LOAD_F, 2, false},
    {0x07, 2, RV64_INSN_LOAD_F, 4, false},  {0x07, 3, RV64_INSN_LOAD_F, 8, false},
    {0x27, 1, RV64_INSN_STORE_F, 2, false}, {0x27, 2, RV64_INSN_STORE_F, 4, false},
    {0x27, 3, RV64_INSN_STORE_F, 8, false},
};

static uint32_t encode_full(const struct full *f, unsigned reg, unsigned base, int imm)
{
    return (f->opcode & 0x20) != 0 ? s_type(f->opcode, f->funct3, reg, base, imm)
                                   : i_type(f->opcode, f->funct3, reg, base, imm);
}

/* Bits `from` up of `value`, `width` of them, as they lie from bit `to` up of an instruction. */
static uint32_t put(unsigned value, unsigned from, unsigned width, unsigned to)
{
    return (value >> from & ((1U << width) - 1)) << to;
}

static uint32_t imm_word(unsigned imm)
{
    return put(imm, 3, 3, 10) | put(imm, 2, 1, 6) | put(imm, 6, 1, 5);
}

static uint32_t imm_double(unsigned imm)
{
    return put(imm, 3, 3, 10) | put(imm, 6, 2, 5);
}

static uint32_t imm_word_load_sp(unsigned imm)
{
    return put(imm, 5, 1, 12) | put(imm, 2, 3, 4) | put(imm, 6, 2, 2);
}

static uint32_t imm_double_load_sp(unsigned imm)
{
    return put(imm, 5, 1, 12) | put(imm, 3, 2, 5) | put(imm, 6, 3, 2);
}

static uint32_t imm_word_store_sp(unsigned imm)
{
    return put(imm, 2, 4, 9) | put(imm, 6, 2, 7);
}

static uint32_t imm_double_store_sp(unsigned imm)
{
    return put(imm, 3, 3, 10) | put(imm, 6, 3, 7);
}

static uint32_t imm_byte(unsigned imm)
{
    return put(imm, 0, 1, 6) | put(imm, 1, 1, 5);
}

static uint32_t imm_half(unsigned imm)
{
    return put(imm, 1, 1, 5);
}

/* Immediates are the multiples of `size` below `limit`. By SP: any register at bit `at`; else x8 to x15, base at 7. */
static const struct compact {
    uint32_t opcode;
    uint32_t (*imm)(unsigned imm);
    unsigned limit, kind, size;
    bool sign, sp;
    unsigned at;
    unsigned first; /* register */
} compact[] = {
    {0x4000, imm_word, 128, RV64_INSN_LOAD, 4, true, false, 2, 8},
    {0x6000, imm_double, 256, RV64_INSN_LOAD, 8, true, false, 2, 8},
    {0xc000, imm_word, 128, RV64_INSN_STORE, 4, false, false, 2, 8},
    {0xe000, imm_double, 256, RV64_INSN_STORE, 8, false, false, 2, 8},
    {0x2000, imm_double, 256, RV64_INSN_LOAD_F, 8, false, false, 2, 8},
    {0xa000, imm_double, 256, RV64_INSN_STORE_F, 8, false, false, 2, 8},
    {0x4002, imm_word_load_sp, 256, RV64_INSN_LOAD, 4, true, true, 7, 1},
    {0x6002, imm_double_load_sp, 512, RV64_INSN_LOAD, 8, true, true, 7, 1},
    {0x2002, imm_double_load_sp, 512, RV64_INSN_LOAD_F, 8, false, true, 7, 0},
    {0xc002, imm_word_store_sp, 256, RV64_INSN_STORE, 4, false, true, 2, 0},
    {0xe002, imm_double_store_sp, 512, RV64_INSN_STORE, 8, false, true, 2, 0},
    {0xa002, imm_double_store_sp, 512, RV64_INSN_STORE_F, 8, false, true, 2, 0},
    {0x8000, imm_byte, 4, RV64_INSN_LOAD, 1, false, false, 2, 8},
    {0x8400, imm_half, 4, RV64_INSN_LOAD, 2, false, false, 2, 8},
    {0x8440, imm_half, 4, RV64_INSN_LOAD, 2, true, false, 2, 8},
    {0x8800, imm_byte, 4, RV64_INSN_STORE, 1, false, false, 2, 8},
    {0x8c00, imm_half, 4, RV64_INSN_STORE, 2, false, false, 2, 8},
};

static uint32_t encode_compact(const struct compact *c, unsigned reg, unsigned base, unsigned imm)
{
    return c->opcode | c->imm(imm) | (c->sp ? reg << c->at : (reg - 8) << 2 | (base - 8) << 7);
}

static bool encoded_full(const struct rv64_insn *insn, uint32_t word)
{
    for (size_t i = 0; i < COUNT(full); i++) {
        if (full[i].kind == insn->kind && full[i].size == insn->size && full[i].sign == insn->sign) {
            return encode_full(&full[i], insn->reg, insn->base, insn->imm) == word;
        }
    }
    return false;
}

static bool encoded_compact(const struct rv64_insn *insn, uint32_t word)
{
    for (size_t i = 0; i < COUNT(compact); i++) {
        if (compact[i].kind == insn->kind && compact[i].size == insn->size && compact[i].sign == insn->sign &&
            compact[i].sp == ((word & 3) == 2)) {
            return encode_compact(&compact[i], insn->reg, insn->base, (unsigned)insn->imm) == word;
        }
    }
    return false;
}

static void test_encoders_agree_with_the_assembler(void **state)
{
    unsigned checked = 0;

    (void)state;
    for (size_t i = 0; i < COUNT(assembled); i++) {
        const struct rv64_insn *insn = &assembled[i].insn;

        if (insn->kind >= RV64_INSN_LOAD && insn->kind <= RV64_INSN_STORE_F) {
            assert_true((insn->length == 2 ? encoded_compact : encoded_full)(insn, assembled[i].word));
            checked++;
        }
    }
    assert_in_range(checked, 130, COUNT(assembled));
}

static void test_all_registers_and_immediates(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(full); i++) {
        const struct full *f = &full[i];

        for (unsigned registers = 0; registers < 1024; registers++) {
            unsigned reg = registers % 32, base = registers / 32;

            for (int imm = -2048; imm < 2048; imm += registers == 0 || registers == 1023 ? 1 : 117) {
                struct rv64_insn expected = {(uint8_t)f->kind, 4, (uint8_t)f->size, f->sign, (uint8_t)reg,
                                             (uint8_t)base, (int16_t)imm};

                check(encode_full(f, reg, base, imm), &expected, "of 32 bits");
            }
        }
    }
}

/* The upper half of a fetched word says nothing about 16 bits. */
static void test_every_word_of_16_bits(void **state)
{
    static struct rv64_insn expected[65536];
    unsigned accesses = 0;

    (void)state;
    for (unsigned word = 0; word < 65536; word++) {
        bool reserved = (word & 0xe003) == 0x8000 || (word & 0xcf83) == 0x4002;

        expected[word] = (struct rv64_insn){.kind = reserved ? RV64_INSN_UNKNOWN : RV64_INSN_OTHER, .length = 2};
    }
    for (size_t i = 0; i < COUNT(compact); i++) {
        const struct compact *c = &compact[i];

        for (unsigned reg = c->first; reg < (c->sp ? 32 : 16); reg++) {
            for (unsigned base = c->sp ? 2 : 8; base < (c->sp ? 3 : 16); base++) {
                for (unsigned imm = 0; imm < c->limit; imm += c->size) {
                    expected[encode_compact(c, reg, base, imm)] = (struct rv64_insn){
                        (uint8_t)c->kind, 2, (uint8_t)c->size, c->sign, (uint8_t)reg, (uint8_t)base, (int16_t)imm};
                    accesses++;
                }
            }
        }
    }
    assert_int_equal(accesses, 6 * 2048 + 3 * 2048 + 2048 - 64 + 2048 - 64 + 2048 + 2 * 256 + 3 * 128);
    for (unsigned word = 0; word < 65536; word++) {
        if ((word & 3) != 3) {
            check(word, &expected[word], "of 16 bits");
            check(word | 0xffff0000, &expected[word], "of 16 bits, with more above");
        }
    }
}

static bool is_full(uint32_t word)
{
    for (size_t i = 0; i < COUNT(full); i++) {
        if ((word & 0x707f) == (full[i].opcode | full[i].funct3 << 12)) {
            return true;
        }
    }
    return false;
}

static void test_no_other_word_is_a_load_or_a_store(void **state)
{
    (void)state;
    random_start("others");
    for (unsigned i = 0; i < 2000000; i++) {
        uint32_t word = (uint32_t)random_u64() | 3;
        struct rv64_insn insn = rv64_decode(word);
        unsigned funct3 = word >> 12 & 7;
        bool lr = word >> 27 == 2, atomic = (word & 0x7f) == 0x2f && (lr ? funct3 >> 1 == 1 : funct3 <= 4);

        assert_int_equal(insn.kind >= RV64_INSN_LOAD && insn.kind <= RV64_INSN_STORE_F, is_full(word));
        assert_int_equal(insn.kind == RV64_INSN_LR || insn.kind == RV64_INSN_AMO, atomic);
        assert_int_equal(insn.length, 4);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decodes_what_the_assembler_encodes),
        cmocka_unit_test(test_encoders_agree_with_the_assembler),
        cmocka_unit_test(test_all_registers_and_immediates),
        cmocka_unit_test(test_every_word_of_16_bits),
        cmocka_unit_test(test_no_other_word_is_a_load_or_a_store),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
