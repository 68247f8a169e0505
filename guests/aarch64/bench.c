/* SPDX-License-Identifier: Apache-2.0 */
/* What the bench guest measures on aarch64. */
#include "bench.h"
#include "bench_arch.h"
#include <string.h>

#define SPI_TEST 40U

#define GICD_TYPER 0x0004
#define GICD_ISENABLER(n) (0x0100 + 4 * (uint64_t)(n))
#define GICD_IPRIORITYR(n) (0x0400 + (uint64_t)(n))
#define UART_FR 0x18

static void psci_version(uint64_t argument)
{
    register uint64_t x0 __asm__("x0") = argument;

    __asm__ volatile("hvc #0" : "+r"(x0) : : "x1", "x2", "x3", "memory");
}

static void write32(uint64_t addr)
{
    __asm__ volatile("str %w0, [%0]" ::"r"(addr) : "memory");
}

static void write_zero32(uint64_t addr)
{
    __asm__ volatile("str wzr, [%0]" ::"r"(addr) : "memory");
}

const struct operation *bench_operations(void)
{
    const struct operation all[] = {
        {"empty-loop", bench_calls, bench_nothing, 0},
        {"psci-version", bench_calls, psci_version, PSCI_VERSION},
        {"gicd-typer", bench_calls, bench_read32, machine.arch.gicd + GICD_TYPER},
        {"gicd-isenabler", bench_calls, write_zero32, machine.arch.gicd + GICD_ISENABLER(SPI_TEST / 32)},
        {"gicd-ipriorityr", bench_calls, write32, machine.arch.gicd + GICD_IPRIORITYR(SPI_TEST)},
        {"pl011-fr", bench_calls, bench_read32, machine.uart + UART_FR},
        {"sgi-self", bench_ipi_self, NULL, 0},
        {"timer-spin", bench_timer_spin, NULL, 0},
        {"timer-wfi", bench_timer_wfi, NULL, 0},
        {"first-touch", bench_touches, NULL, bench_fresh_memory()},
        {"sgi-peer", bench_ipi_peer, NULL, 0},
        {0},
    };
    static struct operation operations[COUNT(all)];

    check_equal(16 % tick_ns, 0); /* now() */
    return memcpy(operations, all, sizeof(all));
}
