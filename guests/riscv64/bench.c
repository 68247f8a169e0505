/* SPDX-License-Identifier: Apache-2.0 */
/* What the bench guest measures on riscv64. */
#include "bench.h"
#include "bench_aia.h"
#include "bench_arch.h"
#include <string.h>

#define IRQ_TEST 20U /* a source that nothing is wired to */

static void sbi_version(uint64_t argument)
{
    register uint64_t a6 __asm__("a6") = SBI_BASE_VERSION;
    register uint64_t a7 __asm__("a7") = argument;

    __asm__ volatile("ecall" ::"r"(a6), "r"(a7) : "a0", "a1", "memory");
}

static void sbi_set_timer(uint64_t argument)
{
    register uint64_t a0 __asm__("a0") = argument;
    register uint64_t a6 __asm__("a6") = 0;
    register uint64_t a7 __asm__("a7") = SBI_TIME;

    __asm__ volatile("ecall" : "+r"(a0) : "r"(a6), "r"(a7) : "a1", "memory");
}

static void write_zero32(uint64_t addr)
{
    __asm__ volatile("sw zero, (%0)" ::"r"(addr) : "memory");
}

static void read8(uint64_t addr)
{
    (void)mmio_read8(addr);
}

static const struct operation *kept(const struct operation *operations, size_t size)
{
    static struct operation all[16];

    check_equal(size <= sizeof(all), true);
    return memcpy(all, operations, size);
}

/* A machine with an APLIC has no PLIC; all that isn't of these is measured on one that has. */
static const struct operation *aia_operations(const struct bench_aia *aia)
{
    const struct operation all[] = {
        {"empty-loop", bench_calls, bench_nothing, 0},
        {"aplic-read", bench_calls, bench_read32, aia->source},
        {"aplic-write", bench_calls, write_zero32, aia->source},
        {"imsic-self", bench_message_self, NULL, aia->messages},
        {"imsic-peer", bench_message_peer, NULL, aia->messages},
        {0},
    };

    return kept(all, sizeof(all));
}

const struct operation *bench_operations(void)
{
    const struct operation all[] = {
        {"empty-loop", bench_calls, bench_nothing, 0},
        {"sbi-version", bench_calls, sbi_version, SBI_BASE},
        {"sbi-set-timer", bench_calls, sbi_set_timer, UINT64_MAX},
        {"plic-read", bench_calls, bench_read32, machine.arch.plic + PLIC_PRIORITY(IRQ_TEST)},
        {"plic-write", bench_calls, write_zero32, machine.arch.plic + PLIC_PRIORITY(IRQ_TEST)},
        {"ns16550-lsr", bench_calls, read8, machine.uart + UART_LSR},
        {"two-readings", bench_readings, NULL, 0},
        {"ipi-self", bench_ipi_self, NULL, 0},
        {"timer-spin", bench_timer_spin, NULL, 0},
        {"timer-wfi", bench_timer_wfi, NULL, 0},
        {"first-touch", bench_touches, NULL, bench_fresh_memory()},
        {"ipi-peer", bench_ipi_peer, NULL, 0},
        {0},
    };
    struct bench_aia aia;

    check_equal(tick_ns, 100); /* now() */
    return bench_aia_find(&aia) ? aia_operations(&aia) : kept(all, sizeof(all));
}
