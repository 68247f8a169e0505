/* SPDX-License-Identifier: Apache-2.0 */
/* Instructions of HS mode that C has no words for, and the linker's symbols. */
#ifndef METAL_RISCV64_HOST_CPU_H
#define METAL_RISCV64_HOST_CPU_H

#include "arch/riscv64/cpu_csr.h"
#include "arch/riscv64/csr.h"
#include "sbi.h"
#include <stddef.h>

#define CSR_SIE 0x104
#define CSR_SIP 0x144

struct percpu;

/* image.ld: where the image's parts begin, each on a page */
extern char image_start[], image_rodata[], image_data[], image_once[], image_once_end[], image_end[];

/* entry.S */
extern char boot_stack[];
void secondary_entry(void);
_Noreturn void park(void);

static inline uint64_t address_of(const volatile void *pointer)
{
    return (uint64_t)(uintptr_t)pointer;
}

/* The calling pCPU's: tp holds it all the time that no guest runs. */
static inline struct percpu *cpu_this(void)
{
    struct percpu *self;

    __asm__("mv %0, tp" : "=r"(self));
    return self;
}

/* What other pCPUs and devices see before what follows */
static inline void cpu_dsb(void)
{
    __asm__ volatile("fence iorw, iorw" ::: "memory");
}

/* Ends when an interrupt is pending that sie enables, although sstatus.SIE masks them all (Privileged 1.13, 3.3.3). */
static inline void cpu_wfi(void)
{
    __asm__ volatile("fence rw, rw\n\twfi" ::: "memory");
}

/* Wait for another pCPU's cpu_sev(), which is a software interrupt: it stays pending until host_poll(). */
static inline void cpu_wfe(void)
{
    cpu_wfi();
}

static inline void cpu_sev(void)
{
    cpu_dsb();
    sbi_call(SBI_IPI, SBI_IPI_SEND, 0, SBI_ALL_HARTS, 0);
}

/* For a reader with address translation off: that changes nothing about caches here. */
static inline void cpu_clean(const void *data, size_t size)
{
    (void)data;
    (void)size;
    cpu_dsb();
}

#endif
