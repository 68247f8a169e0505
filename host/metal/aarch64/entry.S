/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where each pCPU begins: the boot pCPU by the arm64 Linux boot protocol (Documentation/arch/arm64/booting.rst: MMU and
 * data cache off, the image clean to the point of coherency, x0 the device tree), the others by PSCI CPU_ON.
 */
#include "host_layout.h"

#define SCTLR_MMU_OFF 0x30c50830 /* RES1 bits of SCTLR_EL2 (Arm ARM D19.2.118); MMU and caches off */
#define MPIDR_AFFINITY 0xff00ffffff
#define HCR_HOST 0x80000038      /* RW, AMO, IMO, FMO: interrupts belong to EL2. E2H = 0 */

    .section .head.first, "ax"
    b       entry
    .long   0
    .quad   0           /* text_offset: from a 2 MiB boundary */
    /* image.ld puts image_size here */
    .section .head.second, "ax"
    .quad   0xa         /* little-endian, 4 KiB pages, anywhere in memory */
    .quad   0, 0, 0
    .ascii  "ARM\x64"
    .long   0

    .section .text.entry, "ax"
/* EL2 with the MMU off, or for ever here. */
.macro begin
    msr     daifset, #0xf
    mrs     x9, CurrentEL
    cmp     x9, #(2 << 2)
    b.ne    park
    ldr     x9, =HCR_HOST
    msr     hcr_el2, x9
    ldr     x9, =SCTLR_MMU_OFF
    msr     sctlr_el2, x9
    adrp    x9, a64_vectors /* the library's table: what EL2 itself raises comes to host_exception */
    add     x9, x9, :lo12:a64_vectors
    msr     vbar_el2, x9
    isb
.endm

entry:
    begin
    mov     x19, x0
    adrp    x0, image_start

    /* R_AARCH64_RELATIVE, the only kind that a static PIE needs: *(base + offset) = base + addend. */
    adrp    x1, image_rela
    add     x1, x1, :lo12:image_rela
    adrp    x2, image_rela_end
    add     x2, x2, :lo12:image_rela_end
1:  cmp     x1, x2
    b.hs    2f
    ldp     x3, x4, [x1], #16
    ldr     x5, [x1], #8
    cmp     w4, #1027
    b.ne    park
    add     x5, x5, x0
    str     x5, [x0, x3]
    b       1b

2:  adrp    x1, image_bss
    add     x1, x1, :lo12:image_bss
    adrp    x2, image_end
3:  stp     xzr, xzr, [x1], #16
    cmp     x1, x2
    b.lo    3b

    adrp    x9, boot_stack + STACK_AREA - PERCPU_SIZE
    add     x9, x9, :lo12:(boot_stack + STACK_AREA - PERCPU_SIZE)
    mov     sp, x9
    msr     tpidr_el2, x9
    mov     x0, x19
    bl      mmu_early
    cbz     x0, park

    /*
     * The caches may hold what memory had before it was written with them off. Nothing dirty: the boot protocol says
     * so. (Arm ARM D7.5.5, "Behavior of caches at reset", and K13.5.)
     */
    dmb     sy
    mrs     x9, ctr_el0
    ubfx    x9, x9, #16, #4
    mov     x10, #4
    lsl     x9, x10, x9
    adrp    x1, image_rodata
    adrp    x2, image_end
4:  dc      ivac, x1
    add     x1, x1, x9
    cmp     x1, x2
    b.lo    4b
    dsb     sy

    adrp    x9, mmu_boot
    add     x9, x9, :lo12:mmu_boot
    bl      mmu_load
    mov     x0, x19
    mrs     x1, mpidr_el1
    ldr     x2, =MPIDR_AFFINITY
    and     x1, x1, x2
    bl      metal_main
    b       park

/* x0: the pCPU's struct percpu, on top of its stack. mmu_boot has been cleaned to the point of coherency. */
    .global secondary_entry
secondary_entry:
    begin
    mov     sp, x0
    msr     tpidr_el2, x0
    adrp    x9, mmu_boot
    add     x9, x9, :lo12:mmu_boot
    bl      mmu_load
    bl      metal_secondary
    /* falls through */

    .global park
park:
    msr     daifset, #0xf
5:  wfe
    b       5b

/* void mmu_switch(const struct mmu_regs *regs): take another translation table for the same addresses. */
    .global mmu_switch
mmu_switch:
    mov     x9, x0
    /* falls through */

/*
 * x9: struct mmu_regs. Between two tables that map the same memory with blocks of different sizes the MMU goes off,
 * else the TLB might hold both (Arm ARM D8.14.1). Nothing is read or written meanwhile.
 */
mmu_load:
    ldp     x10, x11, [x9]      /* TTBR0, TCR */
    ldp     x12, x13, [x9, #16] /* MAIR, SCTLR */
    ldr     x14, =SCTLR_MMU_OFF
    dsb     sy
    msr     sctlr_el2, x14
    isb
    msr     mair_el2, x12
    msr     tcr_el2, x11
    msr     ttbr0_el2, x10
    tlbi    alle2
    ic      iallu
    dsb     nsh
    isb
    msr     sctlr_el2, x13
    isb
    ret

/*
 * An exception of EL2's own, from the library's vector table. Never returns, so it may spoil SP_EL0, which
 * was the guest's. The registers go into struct percpu.
 */
    .global host_exception
host_exception:
    msr     sp_el0, x0
    mrs     x0, tpidr_el2
    stp     x1, x2, [x0, #PERCPU_REGS + 8]
    ldr     w1, [x0, #PERCPU_FAULTED]
    cbnz    w1, park            /* while reporting another one */
    mov     w1, #1
    str     w1, [x0, #PERCPU_FAULTED]
    add     x0, x0, #PERCPU_REGS
    stp     x3, x4, [x0, #24]
    stp     x5, x6, [x0, #40]
    stp     x7, x8, [x0, #56]
    stp     x9, x10, [x0, #72]
    stp     x11, x12, [x0, #88]
    stp     x13, x14, [x0, #104]
    stp     x15, x16, [x0, #120]
    stp     x17, x18, [x0, #136]
    stp     x19, x20, [x0, #152]
    stp     x21, x22, [x0, #168]
    stp     x23, x24, [x0, #184]
    stp     x25, x26, [x0, #200]
    stp     x27, x28, [x0, #216]
    stp     x29, x30, [x0, #232]
    mrs     x1, sp_el0
    str     x1, [x0]
    mov     x1, sp
    mrs     x2, elr_el2
    stp     x1, x2, [x0, #248]
    mrs     x2, spsr_el2
    mrs     x3, esr_el2
    stp     x2, x3, [x0, #264]
    mrs     x2, far_el2
    str     x2, [x0, #280]

    /* Go on below what is on the stack, if SP is sound and there is room; else start the stack afresh. */
    mrs     x2, tpidr_el2
    sub     x3, x2, x1
    mov     x4, #(STACK_AREA - STACK_GUARD - PERCPU_SIZE - 2048)
    cmp     x3, x4
    csel    x1, x1, x2, ls
    and     sp, x1, #~15
    b       fault_report

    .ltorg

/* The boot pCPU's stack, laid out as layout.h says. */
    .section .stack, "aw", %nobits
    .balign STACK_AREA
    .global boot_stack
boot_stack:
    .skip   STACK_AREA
