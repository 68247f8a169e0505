/* SPDX-License-Identifier: Apache-2.0 */
/* Instructions of EL2 that C has no words for, and the linker's symbols. */
#ifndef METAL_AARCH64_HOST_CPU_H
#define METAL_AARCH64_HOST_CPU_H

#include "arch/aarch64/cpu_insn.h"
#include <stddef.h>

/* image.ld: where the image's parts begin, each on a page */
extern char image_start[], image_rodata[], image_data[], image_once[], image_once_end[], image_end[];

/* entry.S */
extern char boot_stack[];
void secondary_entry(void);
_Noreturn void park(void);

/* The calling pCPU's struct percpu */
static inline void *cpu_this(void)
{
    void *self;

    __asm__("mrs %0, tpidr_el2" : "=r"(self));
    return self;
}

static inline uint64_t address_of(const volatile void *pointer)
{
    return (uint64_t)(uintptr_t)pointer;
}

/* What other pCPUs and devices see before what follows */
static inline void cpu_dsb(void)
{
    __asm__ volatile("dsb sy" ::: "memory");
}

static inline void cpu_wfi(void)
{
    __asm__ volatile("dsb sy\n\twfi" ::: "memory");
}

/* Wait for another pCPU's cpu_sev(). */
static inline void cpu_wfe(void)
{
    __asm__ volatile("wfe" ::: "memory");
}

static inline void cpu_sev(void)
{
    __asm__ volatile("dsb ish\n\tsev" ::: "memory");
}

/* Clean to the point of coherency, for a reader whose caches are off. */
static inline void cpu_clean(const void *data, size_t size)
{
    uint64_t line = UINT64_C(4) << (sysreg_read(ctr_el0) >> 16 & 0xfU);

    for (uint64_t at = address_of(data) & ~(line - 1); at < address_of(data) + size; at += line) {
        __asm__ volatile("dc cvac, %0" ::"r"(at) : "memory");
    }
    cpu_dsb();
}

/* An SMC64 call to firmware (SMCCC 1.0: x4..x17 may be lost). */
static inline uint64_t cpu_smc(uint64_t function, uint64_t arg1, uint64_t arg2, uint64_t arg3)
{
    register uint64_t x0 __asm__("x0") = function;
    register uint64_t x1 __asm__("x1") = arg1;
    register uint64_t x2 __asm__("x2") = arg2;
    register uint64_t x3 __asm__("x3") = arg3;

    __asm__ volatile("smc #0"
                     : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)
                     :
                     : "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17",
                       "memory", "cc");
    return x0;
}

#endif
