/* SPDX-License-Identifier: Apache-2.0 */
/* What our own aarch64 guests share: registers, firmware calls, the GICv3, the timer, the console. */
#ifndef GUEST_H
#define GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct guest_frame {
    uint64_t x[31];
    uint64_t pc;
    uint64_t pstate;
};

/* As the device tree has them. */
struct guest_machine {
    uint64_t memory_base, memory_size;
    uint64_t fdt_base, fdt_size;
    unsigned cpu_count;
    uint64_t mpidr[64];
    uint64_t gicd, gicr;
    uint64_t uart;
    const char *args; /* /chosen bootargs */
};

extern struct guest_machine machine;

#define reg_read(name)                                                                                                 \
    __extension__({                                                                                                    \
        uint64_t value_;                                                                                               \
        __asm__ volatile("mrs %0, " #name : "=r"(value_));                                                             \
        value_;                                                                                                        \
    })
#define reg_write(name, value) __asm__ volatile("msr " #name ", %0" ::"r"((uint64_t)(value)) : "memory")
#define barrier(text) __asm__ volatile(text ::: "memory")

/* ICC_* by their encodings: not every assembler has the names. */
#define ICC_PMR_EL1 S3_0_C4_C6_0
#define ICC_IAR1_EL1 S3_0_C12_C12_0
#define ICC_EOIR1_EL1 S3_0_C12_C12_1
#define ICC_SRE_EL1 S3_0_C12_C12_5
#define ICC_IGRPEN1_EL1 S3_0_C12_C12_7
#define ICC_SGI1R_EL1 S3_0_C12_C11_5

static inline uint32_t mmio_read32(uint64_t addr)
{
    uint32_t value;

    __asm__ volatile("ldr %w0, [%1]" : "=r"(value) : "r"(addr) : "memory");
    return value;
}

static inline void mmio_write32(uint64_t addr, uint32_t value)
{
    __asm__ volatile("str %w0, [%1]" ::"r"(value), "r"(addr) : "memory");
}

static inline unsigned cpu_id(void)
{
    return (unsigned)reg_read(tpidr_el1);
}

static inline uint64_t ticks(void)
{
    barrier("isb");
    return reg_read(cntvct_el0);
}

static inline void irq_enable(void)
{
    barrier("msr daifclr, #2");
}

static inline void irq_disable(void)
{
    barrier("msr daifset, #2");
}

/* SMCCC by HVC; result in x0. */
uint64_t hvc(uint64_t id, uint64_t a1, uint64_t a2, uint64_t a3);
uint64_t smc(uint64_t id, uint64_t a1, uint64_t a2, uint64_t a3);

#define PSCI_VERSION 0x84000000U
#define PSCI_CPU_SUSPEND 0xc4000001U
#define PSCI_CPU_OFF 0x84000002U
#define PSCI_CPU_ON 0xc4000003U
#define PSCI_AFFINITY_INFO 0xc4000004U
#define PSCI_MIGRATE_INFO_TYPE 0x84000006U
#define PSCI_SYSTEM_OFF 0x84000008U
#define PSCI_SYSTEM_RESET 0x84000009U
#define PSCI_FEATURES 0x8400000aU

/* Console */
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Interrupts: one handler an INTID; called with the interrupt acknowledged, ended afterwards. */
void gic_init_cpu(void);
void gic_enable(unsigned intid);
void gic_disable(unsigned intid);
void gic_handler(unsigned intid, void (*handler)(unsigned intid));
void gic_lpi_handler(void (*handler)(unsigned intid)); /* for all of them */
void gic_send_sgi(unsigned intid, unsigned target_cpu);

/* Start CPU `cpu` (an index): it initialises its GIC part and calls `function`. Returns PSCI's answer. */
int64_t cpu_start(unsigned cpu, void (*function)(void));

/*
 * Synchronous exceptions: while `expected` is set, one is recorded and the instruction skipped; else it is reported and
 * the guest ends. Per CPU.
 */
struct caught {
    bool happened;
    uint64_t esr, far, pc, pstate;
};
void catch_begin(void);
struct caught catch_end(void);

/* Called by start.S; lib.c has them. */
void guest_main(const void *fdt);
void guest_secondary(unsigned cpu);
void guest_exception(unsigned kind, struct guest_frame *frame);

/* Tests. The program's own is test_main(), called on CPU 0; when it returns, the verdict is printed and the guest ends. */
void test_main(void);
void check_failed(const char *file, int line, const char *what, uint64_t got, uint64_t wanted);
#define check_equal(got, wanted)                                                                                       \
    do {                                                                                                               \
        uint64_t got_ = (uint64_t)(got), wanted_ = (uint64_t)(wanted);                                                 \
        if (got_ != wanted_) {                                                                                         \
            check_failed(__FILE__, __LINE__, #got " == " #wanted, got_, wanted_);                                      \
        }                                                                                                              \
    } while (0)
#define check(condition) check_equal(!!(condition), 1)

_Noreturn void power_off(void);

#endif
