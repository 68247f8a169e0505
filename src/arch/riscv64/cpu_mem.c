/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's memory through its own translation, and TLB maintenance. */
#include "arch/riscv64/cpu.h"
#include "arch/riscv64/cpu_csr.h"
#include "lib/host.h"

/* Beyond this many pages, forgetting everything is cheaper than page by page. */
#define FLUSH_MAX_PAGES 256U

/* ---- The trap, and the guest's memory ---------------------------------------------------------------------------- */

struct rv64_fault rv64_cpu_fault(void)
{
    uint64_t tval = csr_read(CSR_STVAL);

    return (struct rv64_fault){
        .gpa = csr_read(CSR_HTVAL) << 2 | (tval & 3),
        .tval = tval,
        .tinst = csr_read(CSR_HTINST),
    };
}

/* What a trap of HLV or HLVX itself has changed of what tells the guest's privilege: SPVP stays (18.6.1). */
static void restore_privilege(void)
{
    uint64_t hstatus = csr_read(CSR_HSTATUS);

    csr_write(CSR_HSTATUS, hstatus | HSTATUS_SPV);
    if ((hstatus & HSTATUS_SPVP) != 0) {
        csr_set(CSR_SSTATUS, SSTATUS_SPP);
    } else {
        csr_clear(CSR_SSTATUS, SSTATUS_SPP);
    }
}

#define HLVX_HU ".insn r 0x73, 4, 0x32, %[value], %[at], x3\n\t"
#define HLVX_WU ".insn r 0x73, 4, 0x34, %[value], %[at], x3\n\t"
#define HLV_D ".insn r 0x73, 4, 0x36, %[value], %[at], x0\n\t"

/* The load `insn` from `at`; false: it traps. */
#define guest_load(insn, at_, value_)                                                                                  \
    __extension__({                                                                                                    \
        uint64_t vec_, loaded_, ok_ = 0;                                                                               \
        __asm__ volatile(GUARD_BEGIN insn "li %[ok], 1\n\t" GUARD_END                                                  \
                         : [vec] "=&r"(vec_), [ok] "+&r"(ok_), [value] "=&r"(loaded_)                                  \
                         : [at] "r"(at_)                                                                               \
                         : "memory");                                                                                  \
        *(value_) = loaded_;                                                                                           \
        if (ok_ == 0) {                                                                                                \
            restore_privilege();                                                                                       \
        }                                                                                                              \
        ok_ != 0;                                                                                                      \
    })

/* By aligned words: what crosses into the next page is only read if the instruction does. */
static inline bool fetch(uint64_t pc, uint32_t *insn)
{
    uint64_t word, high;

    if (!guest_load(HLVX_WU, pc & ~UINT64_C(3), &word)) {
        return false;
    }
    if ((pc & 2) != 0) {
        word >>= 16;
    }
    if ((word & 3) != 3) {
        word &= 0xffff;
    } else if ((pc & 2) != 0) {
        if (!guest_load(HLVX_HU, pc + 2, &high)) {
            return false;
        }
        word |= high << 16;
    }
    *insn = (uint32_t)word;
    return true;
}

bool rv64_cpu_fetch(uint64_t pc, uint32_t *insn)
{
    return fetch(pc, insn);
}

__attribute__((noinline)) bool rv64_cpu_fetch_again(uint64_t pc, const struct rv64_fault *fault, uint32_t *insn)
{
    bool ok;

    csr_set(CSR_SSTATUS, SSTATUS_MXR);
    ok = fetch(pc, insn);
    csr_clear(CSR_SSTATUS, SSTATUS_MXR);
    csr_write(CSR_STVAL, fault->tval);
    csr_write(CSR_HTVAL, fault->gpa >> 2);
    csr_write(CSR_HTINST, fault->tinst);
    return ok;
}

bool rv64_cpu_read_u64(uint64_t va, uint64_t *value, uint64_t *cause)
{
    bool ok = guest_load(HLV_D, va, value);

    *cause = csr_read(CSR_SCAUSE);
    return ok;
}

/* ---- Fences ------------------------------------------------------------------------------------------------------ */

/* SBI BASE and RFENCE (SBI 2.0, chapters 4 and 8) */
#define SBI_EID_BASE UINT64_C(0x10)
#define SBI_BASE_PROBE 3U
#define SBI_EID_RFENCE UINT64_C(0x52464e43)
enum rfence {
    RFENCE_FENCE_I = 0,
    RFENCE_HFENCE_GVMA_VMID = 3,
    RFENCE_HFENCE_VVMA_ASID = 5,
    RFENCE_HFENCE_VVMA = 6,
};

/* *value: a1 as it comes back. Returns SBI's error. */
static uint64_t sbi_call(uint64_t eid, uint64_t fid, const uint64_t args[5], uint64_t *value)
{
    register uint64_t a0 __asm__("a0") = args[0];
    register uint64_t a1 __asm__("a1") = args[1];
    register uint64_t a2 __asm__("a2") = args[2];
    register uint64_t a3 __asm__("a3") = args[3];
    register uint64_t a4 __asm__("a4") = args[4];
    register uint64_t a6 __asm__("a6") = fid;
    register uint64_t a7 __asm__("a7") = eid;

    __asm__ volatile("ecall" : "+r"(a0), "+r"(a1) : "r"(a2), "r"(a3), "r"(a4), "r"(a6), "r"(a7) : "memory");
    *value = a1;
    return a0;
}

bool rv64_cpu_has_fences(void)
{
    uint64_t there;

    return sbi_call(SBI_EID_BASE, SBI_BASE_PROBE, (const uint64_t[5]){SBI_EID_RFENCE}, &there) == 0 && there != 0;
}

/* Of the pCPUs but the calling one; true if that is among them. */
static bool rfence(uint64_t pcpus, enum rfence function, uint64_t start, uint64_t size, uint64_t id)
{
    unsigned self = hal->pcpu_id();
    uint64_t value;

    for (uint64_t left = pcpus & ~(UINT64_C(1) << self); left != 0; left &= left - 1) {
        uint64_t hart = hal->pcpu_hart((unsigned)__builtin_ctzll(left));

        /* A hart that has run a guest is there, and the firmware has the call (rv64_cpu_has_fences()): no error. */
        (void)sbi_call(SBI_EID_RFENCE, function, (const uint64_t[5]){1, hart, start, size, id}, &value);
    }
    return (pcpus >> self & 1) != 0;
}

static bool is_all(uint64_t start, uint64_t size)
{
    return size / AXVM_PAGE_SIZE > FLUSH_MAX_PAGES || start > UINT64_MAX - size;
}

/* A guest may have chosen them: start + size doesn't wrap, but the end of the last page may. */
static uint64_t pages_of(uint64_t start, uint64_t size)
{
    return ((start & (AXVM_PAGE_SIZE - 1)) + size + (AXVM_PAGE_SIZE - 1)) >> AXVM_PAGE_SHIFT;
}

/* Firmware may take steps of a page from where it is told to begin: whole pages. 0 bytes from 0 on are all. */
static bool rfence_pages(uint64_t pcpus, enum rfence function, uint64_t start, uint64_t size, uint64_t id)
{
    bool all = is_all(start, size);

    return rfence(pcpus, function, all ? 0 : start & ~(AXVM_PAGE_SIZE - 1),
                  all ? 0 : pages_of(start, size) << AXVM_PAGE_SHIFT, id);
}

#define EACH_PAGE(at, start, size)                                                                                     \
    for (uint64_t at = (start) & ~(AXVM_PAGE_SIZE - 1), left_ = pages_of(start, size); left_ > 0;                      \
         at += AXVM_PAGE_SIZE, left_--)

/* HFENCE.GVMA takes an address >> 2 (18.3.2); what an address space translates there is forgotten with it. */
void rv64_cpu_gstage_flush(uint64_t pcpus, uint32_t vmid, uint64_t start, uint64_t size)
{
    bool all = is_all(start, size);

    __asm__ volatile("fence rw, rw" ::: "memory"); /* the table's changes come first */
    if (rfence_pages(pcpus, RFENCE_HFENCE_GVMA_VMID, start, size, vmid)) {
        if (all) {
            __asm__ volatile(".insn r 0x73, 0, 0x31, x0, x0, %0" ::"r"((uint64_t)vmid) : "memory");
        } else {
            EACH_PAGE (at, start, size) {
                __asm__ volatile(".insn r 0x73, 0, 0x31, x0, %0, %1" ::"r"(at >> 2), "r"((uint64_t)vmid) : "memory");
            }
        }
    }
    /* The frames' next owner may fetch from there what it hasn't written: instruction caches forget them, too. */
    rv64_cpu_fence_i(pcpus);
}

void rv64_cpu_vstage_flush(uint64_t pcpus, uint64_t start, uint64_t size)
{
    bool all = is_all(start, size);

    if (!rfence_pages(pcpus, RFENCE_HFENCE_VVMA, start, size, 0)) {
        return;
    }
    if (all) {
        __asm__ volatile(".insn r 0x73, 0, 0x11, x0, x0, x0" ::: "memory");
        return;
    }
    EACH_PAGE (at, start, size) {
        __asm__ volatile(".insn r 0x73, 0, 0x11, x0, %0, x0" ::"r"(at) : "memory");
    }
}

void rv64_cpu_vstage_flush_asid(uint64_t pcpus, uint64_t asid, uint64_t start, uint64_t size)
{
    bool all = is_all(start, size);

    if (!rfence_pages(pcpus, RFENCE_HFENCE_VVMA_ASID, start, size, asid)) {
        return;
    }
    if (all) {
        __asm__ volatile(".insn r 0x73, 0, 0x11, x0, x0, %0" ::"r"(asid) : "memory");
        return;
    }
    EACH_PAGE (at, start, size) {
        __asm__ volatile(".insn r 0x73, 0, 0x11, x0, %0, %1" ::"r"(at), "r"(asid) : "memory");
    }
}

void rv64_cpu_fence_i(uint64_t pcpus)
{
    if (rfence(pcpus, RFENCE_FENCE_I, 0, 0, 0)) {
        __asm__ volatile("fence.i" ::: "memory");
    }
}

void rv64_cpu_gstage_flush_local(uint64_t gpa)
{
    __asm__ volatile("fence rw, rw\n\t.insn r 0x73, 0, 0x31, x0, %0, x0" ::"r"(gpa >> 2) : "memory");
}

#define ZERO_BLOCK 256U

void rv64_cpu_zero(void *start, uint64_t size)
{
    char *end = (char *)start + size;

    for (char *at = start; at != end; at += ZERO_BLOCK) {
        __asm__ volatile(".set n, 0\n\t.rept 32\n\tsd zero, n(%0)\n\t.set n, n + 8\n\t.endr" ::"r"(at) : "memory");
    }
}

void rv64_cpu_table_publish(void)
{
    __asm__ volatile("fence rw, rw" ::: "memory");
}
