/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hostile guest's parts.
 *
 * Whatever it tries, it tries in a slot: a few instructions in a page of its CPU's own, entered with all registers as
 * chosen and left by an exception: that of the instruction behind them (SLOT_END), or what they bring about
 * (hostile_entry.S of the architecture). So nothing that an instruction does to the registers is the C code's concern,
 * which runs with all interrupts masked.
 *
 * hostile_arch.h has HOSTILE_CPU_ARCH, the fields that hostile_entry.S uses: x[HOSTILE_REGS], the general registers of
 * the slot, going in and coming out, and pc among them; and struct boot_record.
 */
#ifndef HOSTILE_H
#define HOSTILE_H

#define HOSTILE_CPUS 8
#define HOSTILE_CPU_SHIFT 12 /* log2 of sizeof(struct hostile_cpu) */
#define HOSTILE_STACK_SHIFT 14
#define CPU_BOOT 1024 /* offset of struct boot_record */

#include "hostile_arch.h"

#ifndef __ASSEMBLER__
#include "guest.h"

#define SLOT_WORDS 1024

struct hostile_cpu {
    HOSTILE_CPU_ARCH

    unsigned index;
    uint64_t random;         /* state of the generator */
    volatile uint64_t count; /* operations */
    volatile bool off;       /* by its own wish, or never started */
    volatile bool waiting;   /* for something that another CPU may have to bring about */
    volatile bool stopped;   /* at the end */
    volatile bool leashed;   /* the slot's code may loop: an interrupt is to end it */
    volatile unsigned kind;  /* of operation */
    volatile uint64_t starts;
    unsigned slot_used;
    uint32_t *slot;      /* a page */
    uint32_t *arena;     /* a page that other CPUs write instructions to */
    uint64_t *tables[3]; /* of its own translations, levels from the root on */
    uint64_t seen_count[HOSTILE_CPUS], seen_at[HOSTILE_CPUS];
    struct boot_record boot __attribute__((aligned(CPU_BOOT)));
} __attribute__((aligned(1 << HOSTILE_CPU_SHIFT)));

extern struct hostile_cpu hostile_cpus[HOSTILE_CPUS];
extern char hostile_stacks[];

/* ---- hostile_entry.S ---- */

void hostile_enter(struct hostile_cpu *cpu); /* until an exception comes back from the slot */
void hostile_start(void);                    /* for power_on(), with struct hostile_cpu */

/* ---- hostile.c: what the operations share; and what hostile_entry.S calls ---- */

_Noreturn void hostile_started(struct hostile_cpu *cpu);
_Noreturn void hostile_end(void);

uint64_t random64(struct hostile_cpu *cpu);
static inline uint64_t below(struct hostile_cpu *cpu, uint64_t n)
{
    return random64(cpu) % n;
}

__attribute__((format(printf, 2, 3))) void failed(const struct hostile_cpu *cpu, const char *format, ...);

/* At least one CPU stays awake, and looks after the others. False: this is the last one that is. */
bool may_sleep(void);
void has_woken(void);

/* Add SLOT_END to the slot, and run it until it is left for good; but nothing that waits or may loop on the last one. */
void slot_run(struct hostile_cpu *cpu);

struct kind {
    const char *name;
    unsigned weight;
    void (*run)(struct hostile_cpu *cpu);
};

/* What a CPU had before it waited, it still has. */
void check_kept(const struct hostile_cpu *cpu, const char *name, uint64_t got, uint64_t wanted);

void op_alias(struct hostile_cpu *cpu);
void op_lazy(struct hostile_cpu *cpu);
void op_print(struct hostile_cpu *cpu);

/* ---- Of the architecture ---- */

extern const struct kind kinds[]; /* ends with one that has no name */

void tables_init(void);
/* CPU 0, once: take this program's vectors and translation, and mask everything. */
void hostile_adopt(void);
void power_on(const struct hostile_cpu *target);
void wake(const struct hostile_cpu *target); /* a CPU that is waiting, whatever was done to its interrupts */
void calm(void);                             /* at the end */
void rest(void);                             /* let others go on, and come back for sure */
void check_boot(struct hostile_cpu *cpu);    /* what it found when it started */
_Noreturn void hostile_crashed(struct hostile_cpu *cpu);
void put_raw(uint8_t c);    /* to the UART's data register */
void put_anyhow(uint8_t c); /* whatever state the UART is in */

/*
 * By a slot: load the first and the last 8 bytes of the page at `at`, then store `mark` to both. false: it has trapped.
 * LAZY_BASE: where RAM is populated on first touch, 64 MiB, if has_lazy().
 */
bool lazy_access(struct hostile_cpu *cpu, uint64_t at, uint64_t mark, uint64_t *first, uint64_t *last);
bool has_lazy(void);

/* ---- Of the architecture's own parts: building and running a slot ---- */

void slot_begin(struct hostile_cpu *cpu); /* small numbers in all registers, privileged, with everything masked */
void slot_add(struct hostile_cpu *cpu, uint32_t insn);
void slot_enter(struct hostile_cpu *cpu); /* for slot_run() */
bool may_loop(const struct hostile_cpu *cpu);
void code_changed(const void *start, unsigned size);
bool left_by_end(const struct hostile_cpu *cpu);

/*
 * Addresses: devices, RAM of all sorts, holes, and what is beyond: by random_place(), for the others in
 * hostile_random.c.
 */
uint64_t random_place(struct hostile_cpu *cpu);
bool may_try(uint64_t target);
uint64_t random_target(struct hostile_cpu *cpu);
uint64_t random_code_target(struct hostile_cpu *cpu);
uint64_t random_value(struct hostile_cpu *cpu);

/* Any instruction that accesses memory, at that address; and whether it left alone what it shall not touch. */
void try_access(struct hostile_cpu *cpu, uint64_t target);

/*
 * Of the translation that is this CPU's to play with: some page of it, translate `va` to `target` or pretend to, and
 * let it be as it is now.
 */
uint64_t alias_page(uint64_t random);
void alias_to(struct hostile_cpu *cpu, uint64_t va, uint64_t target);
void alias_begin(struct hostile_cpu *cpu);

/* Addresses of the unprivileged window of a CPU: its slot, data, a page that is anything, nothing. */
uint64_t user_page(const struct hostile_cpu *cpu, unsigned page);
enum { USER_SLOT, USER_DATA, USER_ANY, USER_HOLE };
void user_any_set(struct hostile_cpu *cpu, uint64_t target);
uint64_t scratch_page(const struct hostile_cpu *cpu);

#endif
#endif
