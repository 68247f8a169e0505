/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The riscv64 vCPU: what VS and VU mode can hold, and how it gets in and out of the hardware (RISC-V Privileged
 * Architecture 1.13, chapter 18 "H" extension).
 *
 * How an exit travels: cpu_entry.S saves the general registers into the frame and calls rv64_exit() on the host stack
 * that entered the guest. What the library can answer is answered there, and the guest goes on; only RV64_LEAVE unwinds
 * to rv64_cpu_enter()'s caller, with v->exit filled in. While the vCPU is resident sstatus.SPP, hstatus.SPV and SPVP
 * hold the guest's privilege: HS mode takes no trap of its own.
 */
#ifndef AXVM_RISCV64_RV64_H
#define AXVM_RISCV64_RV64_H

#include "arch/riscv64/csr.h"
#include "core/vm.h"
#include "irqchip/vaplic.h"
#include "irqchip/vimsic.h"
#include "irqchip/vplic.h"

/* What was typed for a VM that has no UART, and waits for SBI's console_read. */
struct rv64_typed {
    struct spinlock lock;
    unsigned count;
    char bytes[32];
};

/* Registers that every exit saves. cpu_entry.S knows the offsets; the assertions in arch.c hold them together. */
struct rv64_frame {
    uint64_t x[32]; /* x[0] is always 0 */
    uint64_t pc;    /* sepc */
    uint64_t host_sp;
} __attribute__((aligned(16)));

struct rv64_fp {
    uint64_t f[32];
    uint64_t fcsr;
};

/* Vector registers: `data` has 32 * vlenb bytes, from the VM's arena; NULL: the CPU has none. */
struct rv64_vector {
    uint8_t *data;
    uint64_t vstart, vcsr, vl, vtype;
};

/*
 * VS-level registers that only a switch of vCPUs moves, with their values at power-on. Those of extensions that a pCPU
 * may lack (rv64_cpu_features()) aren't touched there.
 */
#define RV64_SYS_REGS(X)                                                                                               \
    X(VSSTATUS, SSTATUS_UXL_64)                                                                                        \
    X(VSIE, 0)                                                                                                         \
    X(VSTVEC, 0)                                                                                                       \
    X(VSSCRATCH, 0)                                                                                                    \
    X(VSEPC, 0)                                                                                                        \
    X(VSCAUSE, 0)                                                                                                      \
    X(VSTVAL, 0)                                                                                                       \
    X(VSATP, 0)                                                                                                        \
    X(SCOUNTEREN, HCOUNTEREN_TM)                                                                                       \
    X(SENVCFG, 0)                                                                                                      \
    X(VSISELECT, 0)                                                                                                    \
    X(HVICTL, 0)

enum rv64_sys {
#define RV64_SYS_NAME(name, reset) RV64_##name,
    RV64_SYS_REGS(RV64_SYS_NAME)
#undef RV64_SYS_NAME
    RV64_SYS_COUNT
};

/* HS-level registers that say how the guest runs. */
struct rv64_controls {
    uint64_t hstatus; /* SPV is set; SPVP and VGEIN with the rest */
    uint64_t sstatus; /* SPP: the guest's privilege; FS and VS as it starts with them */
    uint64_t hedeleg, hideleg, hcounteren, henvcfg, htimedelta, hgatp;
};

/*
 * The timer of the guest. With Sstc it is the hardware's vstimecmp while `loaded`; without, and while the vCPU waits,
 * `wake` stands in for it. compare: in the guest's time, valid while not loaded (without Sstc: always).
 */
struct rv64_timer {
    bool loaded;
    uint64_t compare;
    struct axvm_timer wake;
};

/* What the calling pCPU can do. */
enum rv64_feature {
    RV64_SSTC = 1U << 0,    /* vstimecmp */
    RV64_ENVCFG = 1U << 1,  /* henvcfg, senvcfg (privileged architecture 1.12) */
    RV64_FLOAT = 1U << 2,   /* F and D */
    RV64_VECTOR = 1U << 3,  /* V */
    RV64_PBMT = 1U << 4,    /* Svpbmt */
    RV64_AIA = 1U << 5,     /* Ssaia: vsiselect, vstopei, hvictl, ... */
    RV64_GUEST_FILE = 1U << 6, /* GEILEN isn't 0: guest interrupt files */
};

/*
 * A plain load or store of a device that was decoded before: what a driver does, it does by few instructions, over and
 * over. abort.c keeps some, each where its word says. All zeroes is none.
 */
#define RV64_PLAIN 8U

struct rv64_plain {
    uint64_t not_key;  /* ~ of the word; of what htinst had, with RV64_PLAIN_TINST */
    uint8_t last;      /* of its bytes: 0, 1, 3 or 7 */
    uint8_t shift;     /* left and back: narrows what is stored; extends the sign of what is loaded, or is 0 */
    uint8_t length;    /* of the instruction, in bytes */
    uint8_t reg, base; /* in bytes from frame.x on */
    int16_t imm;
};

#define RV64_PLAIN_TINST RV_BIT(63)

struct rv64_vcpu {
    struct axvm_vcpu base;
    struct rv64_frame frame;
    struct axvm_exit *exit; /* where RV64_LEAVE describes itself */
    const struct bus_entry *mmio_hint; /* bus_find_near() */
    struct rv64_plain loads[RV64_PLAIN], stores[RV64_PLAIN];
    struct rv64_controls controls;
    struct rv64_timer timer;
    struct vplic_cpu plic;
    struct vaplic_cpu aplic;
    struct vimsic_cpu imsic;
    bool has_file;             /* a guest interrupt file, where it is resident */
    _Atomic bool ipi;          /* software interrupt that hvip.VSSIP doesn't have yet */
    _Atomic bool fence_wanted; /* forget stage-1 translations, and fetch instructions anew, when it is loaded */
    _Atomic bool suspended;    /* it waits by SBI's suspend; false from the next run on */
    unsigned last_pcpu;        /* where it was resident last; 0 if nowhere */
    uint64_t hvip;             /* valid while not resident, and while it waits */
    uint64_t wait_sie;         /* vsie when it began to wait */
    struct {
        uint64_t pc, mmio;
        unsigned count;
    } retry; /* of an instruction that wasn't there any more: where, after how many accesses, how often in a row */
    uint64_t sys[RV64_SYS_COUNT]; /* valid while not resident */
    struct rv64_fp fp;            /* valid while not resident */
    struct rv64_vector vector;    /* valid while not resident */
};

struct rv64_vm {
    struct axvm base;
    bool has_plic, has_aplic, has_imsic; /* a PLIC or an APLIC; IMSICs beside the latter */
    uint32_t vmid;
    uint64_t hgatp;
    _Atomic uint64_t time_offset; /* guest time = time - time_offset */
    _Atomic uint64_t ran_on;    /* pCPUs whose TLB may know the VMID */
    uint8_t last_vcpu[AXVM_MAX_PCPUS]; /* per pCPU: id + 1 of the vCPU that ran there last; that pCPU's to write */
    struct vplic plic;
    struct vaplic aplic;
    struct vimsic imsic;
    struct rv64_typed typed;
};

static inline struct rv64_vcpu *rv64_vcpu(struct axvm_vcpu *vcpu)
{
    return (struct rv64_vcpu *)(void *)vcpu;
}

static inline struct rv64_vm *rv64_vm(struct axvm *vm)
{
    return (struct rv64_vm *)(void *)vm;
}

/* The line of the external interrupt, whichever controller has it: the others never assert it. */
static inline bool rv64_external(const struct rv64_vcpu *v)
{
    return vplic_output(&v->plic) || vaplic_output(&v->aplic) || vimsic_output(&v->imsic);
}

/* What an exit handler says. */
enum rv64_verdict {
    RV64_RESUME = 0, /* back into the guest */
    RV64_LEAVE = 1,  /* v->exit says why */
};

/*
 * exit.c: called by cpu_entry.S, on the stack that entered the guest: first what the exit was, then, if its verdict
 * isn't RV64_RESUME or something is requested, rv64_exit_finish(), whose verdict counts.
 */
int rv64_exit(struct rv64_frame *frame, uint64_t scause);
int rv64_exit_finish(struct rv64_frame *frame, int verdict);
/* Act on v->base.requests; those of VCPU_REQ_CORE are the core's, and end the run. */
int rv64_serve_requests(struct rv64_vcpu *v);

/* exit.c: the vCPU waits for an interrupt (WFI, SBI's suspend). The instruction is done. RV64_RESUME: there is one. */
int rv64_wait(struct rv64_vcpu *v);

/*
 * guest_file.c: the resident vCPU gets the pCPU's guest interrupt file for its IMSIC, if it may have it; gives it back;
 * and messages that came past it are moved there.
 */
void rv64_file_take(struct rv64_vcpu *v);
void rv64_file_put(struct rv64_vcpu *v);
void rv64_file_collect(struct rv64_vcpu *v);

/* abort.c: guest page faults (causes 20, 21 and 23): memory to populate, emulated devices, or the guest's own fault. */
int rv64_guest_page_fault(struct rv64_vcpu *v, uint64_t cause);
/* The same of a load on behalf of the guest, by no instruction of its own: to be tried again, or an access fault. */
int rv64_data_fault(struct rv64_vcpu *v);

/*
 * abort.c: what is at v->frame.pc isn't what trapped: the guest has changed its code or its tables meanwhile. It tries
 * again; and if that happens again and again, it has the access fault that goes with a guest page fault of that cause.
 */
int rv64_retry(struct rv64_vcpu *v, uint64_t cause, uint64_t tval);

/* inject.c: the resident vCPU takes this exception, at v->frame.pc, when it goes on. */
void rv64_inject(struct rv64_vcpu *v, enum rv64_cause cause, uint64_t tval);

/* sbi.c: an SBI call (ecall from VS mode); arguments and results in the frame's registers. Steps over the ecall. */
int rv64_sbi(struct rv64_vcpu *v);

/* ipi.c: a software interrupt for a vCPU of the same VM, which may be the caller `self`, resident here. */
void rv64_send_ipi(struct rv64_vcpu *self, struct rv64_vcpu *to);

/*
 * ipi.c: a fence for a set of the VM's vCPUs (a mask of ids), done when it returns. Addresses are guest-virtual; `size`
 * UINT64_MAX: all of them. `asid` only with RV64_FENCE_VMA_ASID.
 */
enum rv64_fence { RV64_FENCE_I, RV64_FENCE_VMA, RV64_FENCE_VMA_ASID };
void rv64_fence_vcpus(struct rv64_vcpu *self, uint64_t vcpus, enum rv64_fence kind, uint64_t start, uint64_t size,
                      uint64_t asid);

/* timer.c */
void rv64_timer_init(struct rv64_vcpu *v);
void rv64_timer_fini(struct rv64_vcpu *v);
void rv64_timer_reset(struct rv64_vcpu *v);
void rv64_timer_load(struct rv64_vcpu *v);  /* the vCPU is going to run here */
void rv64_timer_save(struct rv64_vcpu *v);  /* it loses the pCPU */
void rv64_timer_wait(struct rv64_vcpu *v);  /* it waits, for what v->wait_sie has: `wake` takes over */
void rv64_timer_shift(struct rv64_vcpu *v); /* time_offset has changed, while it doesn't run */
bool rv64_timer_pending(const struct rv64_vcpu *v);
void rv64_timer_set(struct rv64_vcpu *v, uint64_t compare); /* SBI set_timer by the resident vCPU; in its own time */

/* General register `n` as an instruction names it. */
static inline uint64_t rv64_reg_read(const struct rv64_vcpu *v, unsigned n)
{
    return v->frame.x[n];
}

static inline void rv64_reg_write(struct rv64_vcpu *v, unsigned n, uint64_t value)
{
    if (n != 0) {
        v->frame.x[n] = value;
    }
}

#endif
