/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entry of our own aarch64 guests: a Linux Image header (so that QEMU and axvm both put the device tree's address into
 * x0), an identity map with the caches on, a stack for each CPU, and exception vectors that call guest_exception().
 */
#define STACK_SHIFT 13

    .section .text.start, "ax"
    .global _start
_start:
    b       primary
    .word   0
    .quad   0x80000             /* text_offset: linked for 2 MiB-aligned RAM + this */
    .quad   __image_size
    .quad   0xa                 /* little-endian, 4 KiB pages, anywhere */
    .quad   0, 0, 0
    .ascii  "ARM\x64"
    .word   0

primary:
    mrs     x21, cntpct_el0
    mov     x20, x0
    ldr     x0, =__bss_start
    ldr     x1, =__bss_end
1:  cmp     x0, x1
    b.hs    2f
    str     xzr, [x0], #8
    b       1b
2:  bl      mmu_on
    ldr     x0, =entered_at
    str     x21, [x0]
    mov     x0, #0
    bl      cpu_setup
    mov     x0, x20
    bl      guest_main
    b       .

/* PSCI CPU_ON comes here with the CPU's number in x0. */
    .global secondary_start
secondary_start:
    mov     x20, x0
    bl      mmu_on
    mov     x0, x20
    bl      cpu_setup
    mov     x0, x20
    bl      guest_secondary
    b       .

/* x0: CPU number, kept in TPIDR_EL1. Stack, vectors, FP on. */
cpu_setup:
    msr     tpidr_el1, x0
    ldr     x1, =stacks
    add     x0, x0, #1
    add     x1, x1, x0, lsl #STACK_SHIFT
    mov     sp, x1
    ldr     x1, =vectors
    msr     vbar_el1, x1
    mov     x1, #(3 << 20)
    msr     cpacr_el1, x1
    isb
    ret

/* 39-bit identity map of 1 GiB blocks: the first is devices, the others memory. */
mmu_on:
    ldr     x1, =tables
    mov     x2, #0
    mov     x3, #0x401          /* block, AF; AttrIndx 0: device */
    str     x3, [x1]
    mov     x3, #0x705          /* block, AF, inner-shareable; AttrIndx 1: normal */
1:  add     x2, x2, #1
    orr     x4, x3, x2, lsl #30
    str     x4, [x1, x2, lsl #3]
    cmp     x2, #511
    b.ne    1b
    dsb     sy
    mov     x2, #0xff00         /* MAIR: 0 device-nGnRnE, 1 normal write-back */
    msr     mair_el1, x2
    ldr     x2, =0x200803519    /* T0SZ 25, write-back inner-shareable walks, EPD1, IPS 40 bits */
    msr     tcr_el1, x2
    msr     ttbr0_el1, x1
    tlbi    vmalle1
    dsb     sy
    isb
    mrs     x2, sctlr_el1
    ldr     x3, =0x1005         /* I, C, M */
    orr     x2, x2, x3
    msr     sctlr_el1, x2
    isb
    ret

.macro exception kind
    .balign 0x80
    stp     x0, x1, [sp, #-272]!
    mov     x0, #\kind
    b       exception_common
.endm

    .balign 0x800
vectors:
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    exception \n
    .endr

/* struct guest_frame: x0..x30, pc, pstate */
exception_common:
    stp     x2, x3, [sp, #16]
    stp     x4, x5, [sp, #32]
    stp     x6, x7, [sp, #48]
    stp     x8, x9, [sp, #64]
    stp     x10, x11, [sp, #80]
    stp     x12, x13, [sp, #96]
    stp     x14, x15, [sp, #112]
    stp     x16, x17, [sp, #128]
    stp     x18, x19, [sp, #144]
    stp     x20, x21, [sp, #160]
    stp     x22, x23, [sp, #176]
    stp     x24, x25, [sp, #192]
    stp     x26, x27, [sp, #208]
    stp     x28, x29, [sp, #224]
    mrs     x2, elr_el1
    mrs     x3, spsr_el1
    stp     x30, x2, [sp, #240]
    str     x3, [sp, #256]
    mov     x1, sp
    bl      guest_exception
    ldp     x30, x2, [sp, #240]
    ldr     x3, [sp, #256]
    msr     elr_el1, x2
    msr     spsr_el1, x3
    ldp     x28, x29, [sp, #224]
    ldp     x26, x27, [sp, #208]
    ldp     x24, x25, [sp, #192]
    ldp     x22, x23, [sp, #176]
    ldp     x20, x21, [sp, #160]
    ldp     x18, x19, [sp, #144]
    ldp     x16, x17, [sp, #128]
    ldp     x14, x15, [sp, #112]
    ldp     x12, x13, [sp, #96]
    ldp     x10, x11, [sp, #80]
    ldp     x8, x9, [sp, #64]
    ldp     x6, x7, [sp, #48]
    ldp     x4, x5, [sp, #32]
    ldp     x2, x3, [sp, #16]
    ldp     x0, x1, [sp], #272
    eret

    .bss
    .global entered_at
entered_at:                     /* CNTPCT_EL0 at the program's first instruction */
    .skip   8
    .balign 4096
tables:
    .skip   4096
stacks:
    .skip   64 << STACK_SHIFT
