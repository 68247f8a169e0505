/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why axvm_run_vcpu() came back. Exits that the library can answer never get here; see axvm_run_vcpu().
 */
#ifndef AXVM_EXIT_H
#define AXVM_EXIT_H

#include <axvm/types.h>

enum axvm_exit_kind {
    AXVM_EXIT_NOTHING,            /* no work for the host; call again */
    AXVM_EXIT_HYPERCALL,          /* an unknown hypercall: answer with axvm_set_return_value() */
    AXVM_EXIT_MMIO_READ,          /* the MMIO, port and register kinds are answered by the library; */
    AXVM_EXIT_MMIO_WRITE,         /* they stand here as the vocabulary between it and its back ends */
    AXVM_EXIT_SYSREG_READ,
    AXVM_EXIT_SYSREG_WRITE,
    AXVM_EXIT_IO_READ,
    AXVM_EXIT_IO_WRITE,
    AXVM_EXIT_EXTERNAL_INTERRUPT, /* the host handled an interrupt and asked for the pCPU back */
    AXVM_EXIT_NESTED_PAGE_FAULT,  /* likewise answered by the library */
    /*
     * After HALT and CPU_DOWN the host puts the vCPU to sleep until vcpu_kick(). Something may have woken it already,
     * so look at axvm_vcpu_runnable() after it has been marked as asleep.
     */
    AXVM_EXIT_HALT,               /* the vCPU waits for an interrupt (WFI/HLT); run it again once it is runnable */
    AXVM_EXIT_CPU_UP,             /* the guest started vCPU `cpu_up.target`: schedule it */
    AXVM_EXIT_CPU_DOWN,           /* this vCPU is powered off; run it again once another vCPU started it */
    AXVM_EXIT_SYSTEM_DOWN,        /* the guest asked for power-off or reset; the VM is stopping */
    AXVM_EXIT_FAIL_ENTRY,         /* the hardware refused to enter the guest; the VM is failed */
    AXVM_EXIT_SEND_IPI,           /* a back end's IPI that it can't deliver itself */
    AXVM_EXIT_STOPPED,            /* the VM is no longer running (suspended, stopping, stopped, failed) */
    AXVM_EXIT_KIND_COUNT
};

enum axvm_system_event {
    AXVM_SYSTEM_OFF,
    AXVM_SYSTEM_RESET,
};

struct axvm_exit {
    enum axvm_exit_kind kind;
    union {
        struct {
            uint64_t nr;
            uint64_t args[6];
        } hypercall;
        struct {
            gpa_t addr;
            enum axvm_width width;     /* of the memory access */
            enum axvm_width reg_width; /* of the destination register: 4 or 8 */
            bool signed_ext;           /* sign-extend to reg_width */
            uint8_t reg;               /* destination register */
            uint64_t data;             /* of a write */
        } mmio;
        struct {
            uint64_t addr; /* the architecture's encoding of the register */
            uint8_t reg;
            uint64_t value; /* of a write */
        } sysreg;
        struct {
            uint16_t port;
            enum axvm_width width;
            uint64_t data;
        } io;
        struct {
            uint32_t vector;
        } external_interrupt;
        struct {
            gpa_t addr;
            uint32_t access; /* AXVM_MEM_READ, _WRITE or _EXEC */
        } nested_page_fault;
        struct {
            uint32_t target; /* vCPU id */
        } cpu_up;
        struct {
            enum axvm_system_event event;
        } system_down;
        struct {
            uint64_t reason; /* the hardware's own code */
        } fail_entry;
        struct {
            uint64_t target; /* mask of vCPU ids */
            bool to_all;     /* all but the sender */
            bool to_self;
            uint32_t vector;
        } send_ipi;
    };
};

/* "Hypercall", "MmioRead", ...: the kind's name, "?" for a number that is none. */
const char *axvm_exit_name(enum axvm_exit_kind kind);

#endif
