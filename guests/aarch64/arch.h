/* SPDX-License-Identifier: Apache-2.0 */
/* aarch64 for our own guests: registers, firmware calls, the GICv3. */
#ifndef GUEST_ARCH_H
#define GUEST_ARCH_H

#include <stdbool.h>
#include <stdint.h>

struct guest_frame {
    uint64_t x[31];
    uint64_t pc;
    uint64_t pstate;
};

struct caught {
    bool happened;
    uint64_t esr, far, pc, pstate;
};

struct machine_arch {
    uint64_t gicd, gicr;
};

#define reg_read(name)                                                                                                 \
    __extension__({                                                                                                    \
        uint64_t value_;                                                                                               \
        __asm__ volatile("mrs %0, " #name : "=r"(value_));                                                             \
        value_;                                                                                                        \
    })
#define reg_write(name, value) __asm__ volatile("msr " #name ", %0" ::"r"((uint64_t)(value)) : "memory")
#define barrier(text) __asm__ volatile(text ::: "memory")
#define INSN_BARRIER "isb"

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

static inline uint64_t mmio_read64(uint64_t addr)
{
    uint64_t value;

    __asm__ volatile("ldr %0, [%1]" : "=r"(value) : "r"(addr) : "memory");
    return value;
}

static inline void mmio_write64(uint64_t addr, uint64_t value)
{
    __asm__ volatile("str %0, [%1]" ::"r"(value), "r"(addr) : "memory");
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

static inline uint64_t ticks_per_second(void)
{
    return reg_read(cntfrq_el0);
}

static inline void irq_enable(void)
{
    barrier("msr daifclr, #2");
}

static inline void irq_disable(void)
{
    barrier("msr daifset, #2");
}

/* Also with interrupts disabled. */
static inline void wait_irq(void)
{
    barrier("wfi");
}

static inline void wait_event(void)
{
    barrier("wfe");
}

static inline void send_event(void)
{
    barrier("dsb sy\n\tsev");
}

static inline void cpu_relax(void)
{
    barrier("yield");
}

/* SMCCC; result in x0. */
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

/* Interrupts: one handler an INTID; called with the interrupt acknowledged, ended afterwards. */
void gic_enable(unsigned intid);
void gic_disable(unsigned intid);
void gic_handler(unsigned intid, void (*handler)(unsigned intid));
void gic_lpi_handler(void (*handler)(unsigned intid)); /* for all of them */
void gic_send_sgi(unsigned intid, unsigned target_cpu);

/* Called by start.S. */
void guest_exception(unsigned kind, struct guest_frame *frame);

#endif
