/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The aarch64 vCPU: what EL1 and EL0 can hold, and how it gets in and out of the hardware.
 *
 * How an exit travels: cpu_entry.S saves the general registers into the frame and calls a64_exit_sync() or
 * a64_exit_irq() on the host stack that entered the guest. What the library can answer is answered there, and the guest
 * goes on; only A64_LEAVE unwinds to a64_cpu_enter()'s caller, with v->exit filled in.
 */
#ifndef AXVM_AARCH64_A64_H
#define AXVM_AARCH64_A64_H

#include "arch/aarch64/decode.h"
#include "arch/aarch64/esr.h"
#include "arch/aarch64/sysregs.h"
#include "core/vm.h"
#include "irqchip/vgicv3.h"

/* Registers that every exit saves. cpu_entry.S knows the offsets; the assertions in arch.c hold them together. */
struct a64_frame {
    uint64_t x[31];
    uint64_t pc;     /* ELR_EL2 */
    uint64_t pstate; /* SPSR_EL2 */
    uint64_t host_sp;
} __attribute__((aligned(16)));

struct a64_fp {
    uint64_t v[64]; /* Q0..Q31 */
    uint64_t fpcr, fpsr;
} __attribute__((aligned(16)));

#define A64_MAX_BREAKPOINTS 16U

/*
 * What the guest wrote; all accesses trap. While the OS lock is locked, no breakpoint, watchpoint or software step
 * exception may come (Arm ARM D2.2), so the hardware's MDSCR_EL1 enables none; and only while it has MDE set, the
 * breakpoints and watchpoints are in the hardware.
 */
struct a64_debug {
    bool os_lock;
    uint64_t mdscr;
    uint64_t bvr[A64_MAX_BREAKPOINTS], bcr[A64_MAX_BREAKPOINTS];
    uint64_t wvr[A64_MAX_BREAKPOINTS], wcr[A64_MAX_BREAKPOINTS];
};

/* EL2 registers that say how the guest runs. */
struct a64_controls {
    uint64_t hcr, mdcr, cptr, vtcr, vttbr, vpidr, vmpidr, cntvoff;
};

/*
 * The two timers of EL1. The virtual one is the hardware's while `loaded`; `wake` stands in for it while the vCPU
 * waits. The physical one is always emulated: `phys` fires when it is due.
 */
struct a64_timers {
    bool loaded;
    bool line; /* the virtual one's is up in the emulated GIC; never while loaded */
    uint64_t cntv_ctl, cntv_cval; /* valid while not loaded */
    uint64_t cntp_ctl, cntp_cval; /* CTL without ISTATUS */
    struct axvm_timer wake, phys;
};

/* An access to emulated devices the long way: mmio.c's. It is under way while VCPU_REQ_ACCESS is set. */
struct a64_access {
    uint64_t esr, far;
    struct a64_insn insn;
    uint64_t va;
    uint64_t page[2];           /* IPAs of the first and of the last page that it touches */
    uint64_t base;              /* what the base register becomes */
    struct axvm_device *device; /* of the element at hand */
    unsigned size;              /* in all, at most a page */
    unsigned done;              /* so many bytes of it */
    bool writeback;
    uint8_t data[A64_INSN_MAX_BYTES]; /* as at ascending addresses */
};

struct a64_vcpu {
    struct axvm_vcpu base;
    struct a64_frame frame;
    struct axvm_exit *exit; /* where A64_LEAVE describes itself */
    const struct bus *plain_bus; /* devices whose accesses abort.c may answer at once: those of the VM, or none */
    const struct bus_entry *mmio_hint; /* bus_find_near() */
    struct a64_controls controls;
    struct a64_timers timers;
    struct vgicv3_cpu gic;
    uint64_t sys[A64_SYS_COUNT]; /* valid while not resident */
    struct a64_debug debug;
    struct a64_fp fp; /* valid while not resident */
    struct a64_access access;
};

struct a64_vm {
    struct axvm base;
    bool has_gic;
    uint32_t vmid;
    unsigned gpa_bits;
    uint64_t vtcr, vttbr;
    _Atomic uint64_t cntvoff; /* CNTVCT = CNTPCT - cntvoff */
    uint8_t last_vcpu[AXVM_MAX_PCPUS]; /* per pCPU: id + 1 of the vCPU that ran there last; that pCPU's to write */
    struct vgicv3 gic;
};

static inline struct a64_vcpu *a64_vcpu(struct axvm_vcpu *vcpu)
{
    return (struct a64_vcpu *)(void *)vcpu;
}

static inline struct a64_vm *a64_vm(struct axvm *vm)
{
    return (struct a64_vm *)(void *)vm;
}

/*
 * With the entry point of a CPU_ON, where no RAM has a bit: the vCPU begins big-endian, as the caller is (SCTLR_EL1.EE;
 * DEN 0022, 6.4).
 */
#define A64_START_BIG_ENDIAN BIT64(63)

/* PPIs of the guest (Base System Architecture's assignment); the host's are the same for the virtual timer. */
enum {
    A64_PPI_CNTV = 27,
    A64_PPI_CNTP = 30,
};

/* What an exit handler says. */
enum a64_verdict {
    A64_RESUME = 0, /* back into the guest */
    A64_LEAVE = 1,  /* v->exit says why */
};

/*
 * exit.c: called by cpu_entry.S, on the stack that entered the guest: first what the exit was, then, if its verdict
 * isn't A64_RESUME or something is requested, a64_exit_finish(), whose verdict counts.
 */
int a64_exit_sync(struct a64_frame *frame, uint64_t esr);
int a64_exit_irq(struct a64_frame *frame);
int a64_exit_serror(struct a64_frame *frame);
int a64_exit_finish(struct a64_frame *frame, int verdict);

/* exit.c: an SError of what this vCPU, which is resident, has done. */
void a64_serror(struct a64_vcpu *v);

/*
 * Act on v->base.requests; those of VCPU_REQ_CORE are the core's, and end the run, as does an access of which there is
 * no end yet.
 */
int a64_serve_requests(struct a64_vcpu *v);

/* State that ends with an instruction; and AArch32, where there is more of it. */
#define PSTATE_SPECIAL (PSTATE_NRW | PSTATE_SS | PSTATE_BTYPE)

/* exit.c: a64_step_over() with any of those. */
void a64_step_over_special(struct a64_vcpu *v, uint64_t esr);

/* The instruction that trapped with this syndrome is done: go on after it as if the CPU had executed it. */
static inline void a64_step_over(struct a64_vcpu *v, uint64_t esr)
{
    if ((v->frame.pstate & PSTATE_SPECIAL) != 0) {
        a64_step_over_special(v, esr);
    } else {
        v->frame.pc += 4;
    }
}

/* abort.c */
int a64_data_abort(struct a64_vcpu *v, uint64_t esr);
int a64_instruction_abort(struct a64_vcpu *v, uint64_t esr);

/*
 * mmio.c: accesses to emulated devices, the long way; `ipa` is where it faulted. They end in the access, in the guest's
 * own exception, in another try, or in VCPU_REQ_ACCESS: then a64_mmio_go_on() is due before the guest goes on.
 * a64_mmio_instruction: whatever instruction it is. a64_mmio_syndrome: ISV = 1.
 */
void a64_mmio_instruction(struct a64_vcpu *v, uint64_t esr, uint64_t far, uint64_t ipa);
void a64_mmio_syndrome(struct a64_vcpu *v, uint64_t esr, uint64_t far, uint64_t ipa);
void a64_mmio_go_on(struct a64_vcpu *v);

/*
 * watch.c. The access at hand, which the MMU lets pass: true: the guest gets a watchpoint exception for it. The same
 * after the guest has changed what decides whether there are any at all.
 */
bool a64_watch_access(struct a64_vcpu *v, bool privileged);
void a64_watch_update(struct a64_vcpu *v);

/*
 * stage1.c: the level, -1 to 3, at which the guest's own walk for `va` has its descriptor in the page of `ipa`;
 * `otherwise`, where it doesn't come there. The vCPU is resident.
 */
int a64_stage1_level(struct a64_vcpu *v, uint64_t va, uint64_t ipa, int otherwise);

/* inject.c: the vCPU is resident; it takes the exception when it goes on. */
void a64_inject_undefined(struct a64_vcpu *v);
/* The same of a system register access, with its syndrome. */
void a64_inject_sysreg(struct a64_vcpu *v, uint64_t esr);
/* A synchronous external abort at the guest's virtual address `far`; `esr` is the trapped abort's syndrome. */
void a64_inject_abort(struct a64_vcpu *v, uint64_t esr, uint64_t far);
/* The same for a data access, with a fault status code of its own. */
void a64_inject_data_abort(struct a64_vcpu *v, uint64_t esr, unsigned fsc, uint64_t far);
/* `esr` is that of the data abort which stands for the access. */
void a64_inject_watchpoint(struct a64_vcpu *v, uint64_t esr, uint64_t far);
void a64_inject_serror(struct a64_vcpu *v);

/* sysreg.c */
int a64_sysreg(struct a64_vcpu *v, uint64_t esr);

/*
 * sysreg32.c: EC_CP15_32 and EC_CP15_64; and whether the trapped AArch32 instruction passes its condition: if not, it
 * does nothing.
 */
int a64_sysreg_aarch32(struct a64_vcpu *v, uint64_t esr);
bool a64_aarch32_condition_holds(uint64_t pstate, uint64_t esr);

/* idregs.c: the ID register with these CRm and op2 (op0 3, op1 0, CRn 0) as the guest sees it. */
uint64_t a64_id_register(const struct a64_vcpu *v, unsigned crm, unsigned op2);

/* Have trap what this CPU has and the guest is not told of. */
void a64_hide(struct a64_controls *controls);

/* psci.c: an SMCCC call by HVC or SMC; arguments and result in the frame's registers. */
int a64_smccc(struct a64_vcpu *v);

/* timer.c */
void a64_timer_init(struct a64_vcpu *v);
void a64_timer_fini(struct a64_vcpu *v);
void a64_timer_reset(struct a64_vcpu *v);
void a64_timer_load(struct a64_vcpu *v);  /* the vCPU is going to run here */
void a64_timer_save(struct a64_vcpu *v);  /* it loses the pCPU */
void a64_timer_wait(struct a64_vcpu *v);  /* it waits: `wake` takes over */
void a64_timer_shift(struct a64_vcpu *v); /* cntvoff has changed, while it doesn't run */
bool a64_timer_output(struct axvm_vcpu *vcpu, uint32_t irq); /* a private interrupt of the hardware: its level */
uint64_t a64_cntp_read(struct a64_vcpu *v, unsigned reg); /* op2 of CNTP_*: 0 TVAL, 1 CTL, 2 CVAL */
void a64_cntp_write(struct a64_vcpu *v, unsigned reg, uint64_t value);

static inline bool a64_at_el1(const struct a64_vcpu *v)
{
    return (v->frame.pstate & (PSTATE_NRW | PSTATE_EL_MASK)) == PSTATE_EL1T;
}

/* General register `n` as an instruction names it: 31 is XZR. */
static inline uint64_t a64_reg_read(const struct a64_vcpu *v, unsigned n)
{
    return n < 31 ? v->frame.x[n] : 0;
}

static inline void a64_reg_write(struct a64_vcpu *v, unsigned n, uint64_t value)
{
    if (n < 31) {
        v->frame.x[n] = value;
    }
}

#endif
