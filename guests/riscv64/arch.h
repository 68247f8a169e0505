/* SPDX-License-Identifier: Apache-2.0 */
/* riscv64 for our own guests, in S mode: registers, SBI calls, the PLIC. */
#ifndef GUEST_ARCH_H
#define GUEST_ARCH_H

#include <stdbool.h>
#include <stdint.h>

struct guest_frame {
    uint64_t x[32]; /* x[0] isn't used */
    uint64_t pc;
    uint64_t sstatus;
};

struct caught {
    bool happened;
    uint64_t cause, tval, pc;
};

struct machine_arch {
    uint64_t plic, rtc;
    unsigned context[64]; /* of each CPU's S mode in the PLIC */
    unsigned uart_irq, rtc_irq;
    uint64_t timebase; /* Hz */
    bool sstc;         /* stimecmp may be used */
    bool vector;
};

#define csr_read(name)                                                                                                 \
    __extension__({                                                                                                    \
        uint64_t value_;                                                                                               \
        __asm__ volatile("csrr %0, " #name : "=r"(value_)::"memory");                                                  \
        value_;                                                                                                        \
    })
#define csr_write(name, value) __asm__ volatile("csrw " #name ", %0" ::"r"((uint64_t)(value)) : "memory")
#define csr_set(name, value) __asm__ volatile("csrs " #name ", %0" ::"r"((uint64_t)(value)) : "memory")
#define csr_clear(name, value) __asm__ volatile("csrc " #name ", %0" ::"r"((uint64_t)(value)) : "memory")
#define barrier(text) __asm__ volatile(text ::: "memory")
#define INSN_BARRIER "fence"

#define CSR_STIMECMP 0x14d

#define SSTATUS_SIE (UINT64_C(1) << 1)
#define SSTATUS_SPIE (UINT64_C(1) << 5)
#define SSTATUS_SPP (UINT64_C(1) << 8)
#define SSTATUS_VS (UINT64_C(3) << 9)
#define SSTATUS_FS (UINT64_C(3) << 13)
#define SSTATUS_SUM (UINT64_C(1) << 18)
#define SSTATUS_MXR (UINT64_C(1) << 19)

#define CAUSE_INTERRUPT (UINT64_C(1) << 63)
enum cause {
    CAUSE_FETCH_MISALIGNED,
    CAUSE_FETCH_ACCESS,
    CAUSE_ILLEGAL,
    CAUSE_BREAKPOINT,
    CAUSE_LOAD_MISALIGNED,
    CAUSE_LOAD_ACCESS,
    CAUSE_STORE_MISALIGNED,
    CAUSE_STORE_ACCESS,
    CAUSE_ECALL_U,
    CAUSE_FETCH_PAGE = 12,
    CAUSE_LOAD_PAGE = 13,
    CAUSE_STORE_PAGE = 15,
};

#define IRQ_SOFT 1U
#define IRQ_TIMER 5U
#define IRQ_EXTERNAL 9U

static inline uint8_t mmio_read8(uint64_t addr)
{
    uint64_t value;

    __asm__ volatile("lbu %0, (%1)" : "=r"(value) : "r"(addr) : "memory");
    return (uint8_t)value;
}

static inline void mmio_write8(uint64_t addr, uint8_t value)
{
    __asm__ volatile("sb %0, (%1)" ::"r"(value), "r"(addr) : "memory");
}

static inline uint32_t mmio_read32(uint64_t addr)
{
    uint64_t value;

    __asm__ volatile("lwu %0, (%1)" : "=r"(value) : "r"(addr) : "memory");
    return (uint32_t)value;
}

static inline void mmio_write32(uint64_t addr, uint32_t value)
{
    __asm__ volatile("sw %0, (%1)" ::"r"(value), "r"(addr) : "memory");
}

static inline unsigned cpu_id(void)
{
    return (unsigned)csr_read(sscratch);
}

static inline uint64_t ticks(void)
{
    return csr_read(time);
}

uint64_t ticks_per_second(void);

static inline void irq_enable(void)
{
    csr_set(sstatus, SSTATUS_SIE);
}

static inline void irq_disable(void)
{
    csr_clear(sstatus, SSTATUS_SIE);
}

/* Also with interrupts disabled. */
static inline void wait_irq(void)
{
    barrier("wfi");
}

static inline void cpu_relax(void)
{
    barrier(".word 0x0100000f /* pause */");
}

static inline void wait_event(void)
{
    cpu_relax();
}

static inline void send_event(void)
{
    barrier("fence");
}

/* ---- SBI (RISC-V Supervisor Binary Interface 2.0) ---- */

#define SBI_BASE 0x10U
#define SBI_TIME 0x54494d45U
#define SBI_IPI 0x735049U
#define SBI_RFENCE 0x52464e43U
#define SBI_HSM 0x48534dU
#define SBI_SRST 0x53525354U
#define SBI_PMU 0x504d55U
#define SBI_DBCN 0x4442434eU
#define SBI_SUSP 0x53555350U

#define SBI_BASE_VERSION 0
#define SBI_BASE_IMPL_ID 1
#define SBI_BASE_IMPL_VERSION 2
#define SBI_BASE_PROBE 3
#define SBI_HSM_START 0
#define SBI_HSM_STOP 1
#define SBI_HSM_STATUS 2
#define SBI_HSM_SUSPEND 3

enum sbi_error {
    SBI_SUCCESS = 0,
    SBI_ERR_FAILED = -1,
    SBI_ERR_NOT_SUPPORTED = -2,
    SBI_ERR_INVALID_PARAM = -3,
    SBI_ERR_DENIED = -4,
    SBI_ERR_INVALID_ADDRESS = -5,
    SBI_ERR_ALREADY_AVAILABLE = -6,
    SBI_ERR_ALREADY_STARTED = -7,
    SBI_ERR_ALREADY_STOPPED = -8,
};

enum hart_state { HART_STARTED, HART_STOPPED, HART_START_PENDING, HART_STOP_PENDING, HART_SUSPENDED };

struct sbi_ret {
    int64_t error;
    uint64_t value;
};

struct sbi_ret sbi_call(uint64_t extension, uint64_t function, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3,
                        uint64_t a4);
#define SBI_ARGS_(extension, function, a0, a1, a2, a3, a4, ...)                                                        \
    (extension), (function), (uint64_t)(a0), (uint64_t)(a1), (uint64_t)(a2), (uint64_t)(a3), (uint64_t)(a4)
#define sbi(extension, ...) sbi_call(SBI_ARGS_(extension, __VA_ARGS__, 0, 0, 0, 0, 0, 0))

static inline bool sbi_has(uint64_t extension)
{
    return sbi(SBI_BASE, SBI_BASE_PROBE, extension).value != 0;
}

/* ---- The PLIC: one handler a source; called with the interrupt claimed, which is completed afterwards ---- */

#define PLIC_PRIORITY(irq) (4 * (uint64_t)(irq))
#define PLIC_PENDING(irq) (0x1000 + (uint64_t)(irq) / 32 * 4)
#define PLIC_ENABLE(context, irq) (0x2000 + 0x80 * (uint64_t)(context) + (uint64_t)(irq) / 32 * 4)
#define PLIC_THRESHOLD(context) (0x200000 + 0x1000 * (uint64_t)(context))
#define PLIC_CLAIM(context) (0x200004 + 0x1000 * (uint64_t)(context))

void plic_enable(unsigned irq); /* on this CPU, with priority 1 */
void plic_disable(unsigned irq);
void plic_handler(unsigned irq, void (*handler)(unsigned irq));
extern void (*external_handler)(void); /* NULL, or what is called instead of claiming anything */

/* ---- ns16550 ---- */

#define UART_THR 0
#define UART_RBR 0
#define UART_IER 1
#define UART_IIR 2
#define UART_FCR 2
#define UART_LCR 3
#define UART_MCR 4
#define UART_LSR 5
#define UART_MSR 6
#define UART_SCR 7
#define UART_LSR_THRE 0x20U

/* ---- Vector registers, as they are in memory: VLEN is at most 1024 here ---- */

#define VECTOR_WORDS (32 * 1024 / 64)

unsigned vector_words(void); /* how many there are */
void vectors_load(const uint64_t *image);
void vectors_store(uint64_t *image);

/* Called by start.S. */
void guest_trap(struct guest_frame *frame);

#endif
