/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hostile guest's parts.
 *
 * Whatever it tries, it tries in a slot: a few instructions in a page of its CPU's own, entered by ERET with all registers
 * as chosen and left by an exception: the SVC behind them, or what they bring about (hostile_entry.S). So nothing that
 * an instruction does to the registers is the C code's concern, which runs with all exceptions masked.
 */
#ifndef HOSTILE_H
#define HOSTILE_H

#define HOSTILE_CPUS 8
#define HOSTILE_CPU_SHIFT 12 /* log2 of sizeof(struct hostile_cpu) */

/* Offsets in struct hostile_cpu that hostile_entry.S uses. */
#define CPU_SP 248
#define CPU_PC 256
#define CPU_PSTATE 264
#define CPU_ESR 272
#define CPU_FAR 280
#define CPU_VECTOR 288
#define CPU_STACK 296
#define CPU_IN_SLOT 304
#define CPU_BOOT 1024

#define HOSTILE_STACK_SHIFT 14

/* The registers that must be as they are while C code runs. Those of the second translation range are free for all. */
#define SANE_SCTLR 0x34d5d805 /* RES1, M, C, I; UCI, nTWE, nTWI, UCT, DZE; no SA, no SA0 */
#define SANE_TCR_LOW 0x803519 /* T0SZ 25, write-back inner-shareable walks, 4 KiB; EPD1 */
#define SANE_TCR_HIGH 0x5 /* IPS: 48 bits */
#define SANE_MAIR 0xff00 /* 0: device, 1: normal; the others are free for all */

/*
 * What a CPU finds when it starts: X(register, its value, mask of the bits that must have it). A CPU's registers are
 * mostly UNKNOWN at reset; that they are zero is this hypervisor's way of not showing what others left there.
 */
#define BOOT_REGS(X)                                                                                                   \
    X(sctlr_el1, 0, 0x1005) X(cpacr_el1, 0, ALL) X(ttbr0_el1, 0, ALL) X(ttbr1_el1, 0, ALL) X(tcr_el1, 0, ALL)           \
    X(esr_el1, 0, ALL) X(afsr0_el1, 0, ALL) X(afsr1_el1, 0, ALL) X(far_el1, 0, ALL) X(mair_el1, 0, ALL)                 \
    X(amair_el1, 0, ALL) X(vbar_el1, 0, ALL) X(contextidr_el1, 0, ALL) X(par_el1, 0, ALL) X(csselr_el1, 0, ALL)         \
    X(cntkctl_el1, 0, ALL) X(mdscr_el1, 0, ALL) X(tpidr_el0, 0, ALL) X(tpidrro_el0, 0, ALL) X(tpidr_el1, 0, ALL)        \
    X(sp_el0, 0, ALL) X(elr_el1, 0, ALL) X(spsr_el1, 0, ALL) X(cntv_ctl_el0, 0, 3) X(cntv_cval_el0, 0, ALL)             \
    X(cntp_ctl_el0, 0, 3) X(cntp_cval_el0, 0, ALL) X(CurrentEL, 4, ALL) X(daif, 0x3c0, ALL) X(spsel, 1, ALL)            \
    X(oslsr_el1, 0xa, 0xa) X(mdccint_el1, 0, ALL)                                                                        \
    X(dbgbvr0_el1, 0, ALL) X(dbgbcr0_el1, 0, ALL) X(dbgbvr5_el1, 0, ALL) X(dbgbcr5_el1, 0, ALL)                         \
    X(dbgwvr0_el1, 0, ALL) X(dbgwcr0_el1, 0, ALL) X(dbgwvr3_el1, 0, ALL) X(dbgwcr3_el1, 0, ALL)                         \
    X(S3_0_C4_C6_0 /* ICC_PMR */, 0, ALL) X(S3_0_C12_C8_3 /* ICC_BPR0 */, 0, 4) X(S3_0_C12_C12_3 /* ICC_BPR1 */, 0, 4)  \
    X(S3_0_C12_C12_4 /* ICC_CTLR */, 0, 3) X(S3_0_C12_C12_6 /* ICC_IGRPEN0 */, 0, ALL)                                  \
    X(S3_0_C12_C12_7 /* ICC_IGRPEN1 */, 0, ALL) X(S3_0_C12_C8_4 /* ICC_AP0R0 */, 0, ALL)                                \
    X(S3_0_C12_C9_0 /* ICC_AP1R0 */, 0, ALL) X(S3_0_C12_C11_3 /* ICC_RPR */, 0xff, ALL)
/* The same, of those that CPACR_EL1 must allow first. */
#define BOOT_FP_REGS(X) X(fpcr, 0, ALL) X(fpsr, 0, ALL)

/* In struct boot_record: x0..x30, SP, then BOOT_REGS and BOOT_FP_REGS in their order, then Q0..Q31. */
#define BOOT_REGS_AT 256
#define BOOT_FP_AT 1024

#ifndef __ASSEMBLER__
#include "guest.h"

#define ALL UINT64_MAX

/* ---- A CPU: a page ---- */

#define SLOT_WORDS 1024
#define SLOT_SVC 0xd4000001U

struct boot_record {
    uint64_t x[31], sp;
    uint64_t regs[(BOOT_FP_AT - BOOT_REGS_AT) / 8];
    uint64_t fp[64];
};

struct hostile_cpu {
    uint64_t x[31]; /* of the slot, going in and coming out */
    uint64_t sp;
    uint64_t pc;
    uint64_t pstate;
    uint64_t esr, far;
    uint64_t vector; /* by which the slot was left: 0..15 */
    uint64_t stack;  /* the C code's meanwhile */
    uint64_t in_slot;

    unsigned index;
    uint64_t random;     /* state of the generator */
    volatile uint64_t count; /* operations */
    volatile bool off;       /* by CPU_OFF, or never started */
    volatile bool waiting;   /* in a WFI that another CPU may have to end */
    volatile bool stopped;   /* at the end */
    volatile unsigned kind;  /* of operation */
    volatile uint64_t starts;
    unsigned slot_used;
    uint32_t *slot;          /* a page */
    uint32_t *arena;         /* a page that other CPUs write instructions to */
    uint64_t *tables[3];     /* of its second translation range, levels 1 to 3 */
    uint64_t seen_count[HOSTILE_CPUS], seen_at[HOSTILE_CPUS];
    struct boot_record boot __attribute__((aligned(CPU_BOOT)));
} __attribute__((aligned(1 << HOSTILE_CPU_SHIFT)));

extern struct hostile_cpu hostile_cpus[HOSTILE_CPUS];

/* hostile_entry.S */
void hostile_enter(struct hostile_cpu *cpu); /* until an exception comes back from the slot */
void hostile_start(void);                    /* for CPU_ON; x0: struct hostile_cpu */
void hostile_adopt(void);                    /* CPU 0, once: take this program's vectors and translation */
void hostile_fp_fill(uint64_t mark);
uint64_t hostile_fp_differ(uint64_t mark);

/* hostile.c: called by hostile_entry.S */
_Noreturn void hostile_started(struct hostile_cpu *cpu);
_Noreturn void hostile_crashed(struct hostile_cpu *cpu);

/* ---- hostile.c: what the operations share ---- */

uint64_t random64(struct hostile_cpu *cpu);
static inline uint64_t below(struct hostile_cpu *cpu, uint64_t n)
{
    return random64(cpu) % n;
}

__attribute__((format(printf, 2, 3))) void failed(const struct hostile_cpu *cpu, const char *format, ...);

/* At least one CPU stays awake. False: this is the last one that is. */
bool may_sleep(void);
void has_woken(void);

/* A CPU whose CPU interface and redistributor let interrupt 27 and SGIs of group 1 through, whatever was done to them. */
void open_interrupts(struct hostile_cpu *cpu);
void open_redistributor(unsigned cpu);
void power_on(const struct hostile_cpu *target);

/* ---- hostile_slot.c: building and running a slot ---- */

/* Addresses: devices, register frames, RAM of all sorts, holes, and what is beyond. */
uint64_t random_target(struct hostile_cpu *cpu);
uint64_t random_code_target(struct hostile_cpu *cpu);
uint64_t random_value(struct hostile_cpu *cpu);

/* Addresses of the EL0 window of a CPU: its slot, data, a page that is anything, nothing. */
uint64_t user_page(const struct hostile_cpu *cpu, unsigned page);
enum { USER_SLOT, USER_DATA, USER_ANY, USER_HOLE };
uint64_t scratch_page(const struct hostile_cpu *cpu);

void tables_init(void);
void user_any_set(struct hostile_cpu *cpu, uint64_t target);

void slot_begin(struct hostile_cpu *cpu); /* small numbers in all registers, EL1h with everything masked */
void slot_add(struct hostile_cpu *cpu, uint32_t insn);
void slot_run(struct hostile_cpu *cpu); /* add the SVC, and run it until it is left for good */
void code_changed(const void *start, unsigned size);
bool left_by_svc(const struct hostile_cpu *cpu);

static inline uint32_t insn_msr(uint32_t reg, unsigned rt)
{
    return 0xd5000000U | reg << 5 | rt;
}

static inline uint32_t insn_mrs(uint32_t reg, unsigned rt)
{
    return 0xd5200000U | reg << 5 | rt;
}

#define SYSREG(op0, op1, crn, crm, op2)                                                                                \
    ((uint32_t)(op0) << 14 | (uint32_t)(op1) << 11 | (uint32_t)(crn) << 7 | (uint32_t)(crm) << 3 | (uint32_t)(op2))
#define INSN_ISB 0xd5033fdfU
#define INSN_NOP 0xd503201fU
#define INSN_HVC 0xd4000002U
#define INSN_SMC 0xd4000003U
#define INSN_WFE 0xd503205fU
#define INSN_WFI 0xd503207fU

/* ---- Kinds of operations ---- */

void op_mmio(struct hostile_cpu *cpu);
void op_alias(struct hostile_cpu *cpu);
void op_sysreg(struct hostile_cpu *cpu);
void op_wild(struct hostile_cpu *cpu);
void op_insn(struct hostile_cpu *cpu);
void op_user(struct hostile_cpu *cpu);
void op_eret(struct hostile_cpu *cpu);
void op_race(struct hostile_cpu *cpu);
void op_call(struct hostile_cpu *cpu);
void op_power(struct hostile_cpu *cpu);
void op_sgi(struct hostile_cpu *cpu);
void op_gic(struct hostile_cpu *cpu);
void op_timer(struct hostile_cpu *cpu);
void op_line(struct hostile_cpu *cpu);
void op_print(struct hostile_cpu *cpu);
void op_debug(struct hostile_cpu *cpu);
void op_wait(struct hostile_cpu *cpu);
void op_lazy(struct hostile_cpu *cpu);
void op_keep(struct hostile_cpu *cpu);

#endif
#endif
