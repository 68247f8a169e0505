/* SPDX-License-Identifier: Apache-2.0 */
/* What the CPU has, and the registers of HS and VS mode. */
#include "arch/riscv64/cpu.h"
#include "arch/riscv64/cpu_csr.h"

#define CSR_FCSR 0x003
#define CSR_VSTART 0x008
#define CSR_VCSR 0x00f
#define CSR_VL 0xc20
#define CSR_VTYPE 0xc21
#define CSR_VLENB 0xc22

extern const char rv64_vectors[];
void rv64_fp_store(struct rv64_fp *fp);
void rv64_fp_load(const struct rv64_fp *fp);
uint64_t rv64_f_get(unsigned n);
void rv64_f_set(unsigned n, uint64_t value);
void rv64_vector_store(void *data, uint64_t eight);
void rv64_vector_load(const void *data, uint64_t eight);
void rv64_vector_type(uint64_t vl, uint64_t vtype);

/*
 * Of the pCPU that was enabled first; all others must have as much, and vector registers of the same size. Written
 * while booting.
 */
static uint32_t features;
static uint64_t vlenb;
static unsigned gpa_bits, vmid_bits; /* of hgatp */

/* ---- What there is ----------------------------------------------------------------------------------------------- */

/* A field that a CSR keeps when it is written: WARL and legal. */
#define csr_keeps(csr, bits)                                                                                           \
    __extension__({                                                                                                    \
        csr_write(csr, bits);                                                                                          \
        (csr_read(csr) & (bits)) == (bits);                                                                            \
    })

/*
 * vsatp may be walked by speculation at any time, also from HS mode (18.2.17): it is off while hgatp changes, so that
 * nothing of one VM is remembered as another's; and what isn't resident isn't walked.
 */
static void walks_stop(void)
{
    csr_write(CSR_VSATP, 0);
    csr_write(CSR_HGATP, 0);
}

/* The widest mode that hgatp takes, in bits, or 0, and its bits for VMIDs (18.2.10). No vCPU is resident. */
static unsigned find_gstage(unsigned *vmids)
{
    static const uint8_t bits[] = {[HGATP_SV39X4] = 41, [HGATP_SV48X4] = 50, [HGATP_SV57X4] = 59};
    uint64_t mode = HGATP_SV57X4;

    walks_stop();
    do {
        csr_write(CSR_HGATP, mode << HGATP_MODE_SHIFT | HGATP_VMID_MAX << HGATP_VMID_SHIFT);
    } while (csr_read(CSR_HGATP) >> HGATP_MODE_SHIFT != mode && mode-- != HGATP_SV39X4);
    *vmids = (unsigned)__builtin_popcountll(csr_read(CSR_HGATP) >> HGATP_VMID_SHIFT & HGATP_VMID_MAX);
    csr_write(CSR_HGATP, 0);
    return bits[mode];
}

bool rv64_cpu_supported(void)
{
    unsigned vmids;

    return csr_exists(CSR_HSTATUS) && find_gstage(&vmids) != 0 && vmids != 0 && rv64_cpu_has_fences();
}

/*
 * sstatus.FS and VS are read-only zero where there is nothing they could be about (10.1.1.5); QEMU 7.2 keeps VS without
 * vector registers, too.
 */
static uint32_t find_features(uint64_t *bytes)
{
    uint32_t found = 0;

    csr_set(CSR_SSTATUS, SSTATUS_FS_INITIAL | SSTATUS_VS_CLEAN);
    found |= (csr_read(CSR_SSTATUS) & SSTATUS_FS) != 0 ? RV64_FLOAT : 0;
    if ((csr_read(CSR_SSTATUS) & SSTATUS_VS) != 0 && csr_exists(CSR_VLENB)) {
        found |= RV64_VECTOR;
        *bytes = csr_read(CSR_VLENB);
    }
    csr_clear(CSR_SSTATUS, SSTATUS_FS | SSTATUS_VS);
    if (csr_exists(CSR_STOPI)) {
        found |= RV64_AIA | (csr_keeps(CSR_HGEIE, RV_BIT(1)) ? (uint32_t)RV64_GUEST_FILE : 0);
        csr_write(CSR_HGEIE, 0);
    }
    if (csr_exists(CSR_HENVCFG)) {
        found |= RV64_ENVCFG;
        found |= csr_keeps(CSR_HENVCFG, ENVCFG_PBMTE) ? RV64_PBMT : 0;
        found |= csr_keeps(CSR_HENVCFG, ENVCFG_STCE) && csr_exists(CSR_VSTIMECMP) ? RV64_SSTC : 0;
        csr_write(CSR_HENVCFG, 0);
    }
    return found;
}

/* AIA, chapter 6: VS-level interrupts as without it, by hvip alone, in their default order. */
static void aia_enable(void)
{
    csr_write(CSR_HVIEN, 0);
    csr_write(CSR_HVIPRIO1, 0);
    csr_write(CSR_HVIPRIO2, 0);
}

bool rv64_cpu_enable(void)
{
    unsigned vmids, bits = find_gstage(&vmids);
    uint64_t bytes = 0;
    uint32_t found;

    csr_write(CSR_STVEC, (uintptr_t)rv64_vectors);
    found = find_features(&bytes);
    if (gpa_bits == 0) {
        features = found;
        vlenb = bytes;
        gpa_bits = bits;
        vmid_bits = vmids;
    }
    csr_write(CSR_HVIP, 0);
    csr_write(CSR_HIE, 0); /* VS-level interrupts are delegated: none is for HS mode */
    if (csr_exists(CSR_HSTATEEN0)) { /* Smstateen: what the world switch moves, and nothing else */
        csr_write(CSR_HSTATEEN0, HSTATEEN_SWITCHED);
        csr_write(CSR_HSTATEEN1, 0);
        csr_write(CSR_HSTATEEN2, 0);
        csr_write(CSR_HSTATEEN3, 0);
    }
    if ((found & RV64_AIA) != 0) {
        aia_enable();
    }
    /* Nothing is known of what the TLB holds from before. hfence.gvma, hfence.vvma */
    __asm__ volatile(".insn r 0x73, 0, 0x31, x0, x0, x0\n\t.insn r 0x73, 0, 0x11, x0, x0, x0\n\tfence.i" ::: "memory");
    return (features & ~found) == 0 && (vlenb == 0 || vlenb == bytes) && bits >= gpa_bits && vmids >= vmid_bits;
}

void rv64_cpu_disable(void)
{
    csr_write(CSR_HIDELEG, 0);
    csr_write(CSR_HEDELEG, 0);
    walks_stop();
}

uint32_t rv64_cpu_features(void)
{
    return features;
}

unsigned rv64_cpu_gpa_bits(void)
{
    return gpa_bits;
}

unsigned rv64_cpu_vmid_bits(void)
{
    return vmid_bits;
}

uint64_t rv64_cpu_vlenb(void)
{
    return vlenb;
}

/* ---- How the guest runs ------------------------------------------------------------------------------------------ */

void rv64_cpu_controls_load(const struct rv64_controls *c)
{
    walks_stop();
    csr_clear(CSR_SSTATUS, SSTATUS_SPP | SSTATUS_SPIE);
    csr_set(CSR_SSTATUS, c->sstatus & SSTATUS_SPP);
    csr_write(CSR_HSTATUS, c->hstatus);
    csr_write(CSR_HEDELEG, c->hedeleg);
    csr_write(CSR_HIDELEG, c->hideleg);
    csr_write(CSR_HCOUNTEREN, c->hcounteren);
    if ((features & RV64_ENVCFG) != 0) {
        csr_write(CSR_HENVCFG, c->henvcfg);
    }
    csr_write(CSR_HTIMEDELTA, c->htimedelta);
    csr_write(CSR_HGATP, c->hgatp);
}

void rv64_cpu_controls_save(struct rv64_controls *c)
{
    c->hstatus = (c->hstatus & ~HSTATUS_SPVP) | (csr_read(CSR_HSTATUS) & HSTATUS_SPVP);
    c->sstatus = csr_read(CSR_SSTATUS) & SSTATUS_SPP;
    walks_stop(); /* the VS-level registers were saved before */
}

void rv64_cpu_hstatus_write(uint64_t hstatus)
{
    csr_write(CSR_HSTATUS, (hstatus & ~HSTATUS_SPVP) | (csr_read(CSR_HSTATUS) & HSTATUS_SPVP));
}

bool rv64_cpu_is_vs(void)
{
    return (csr_read(CSR_SSTATUS) & SSTATUS_SPP) != 0;
}

void rv64_cpu_set_vs(void)
{
    csr_set(CSR_SSTATUS, SSTATUS_SPP);
    csr_set(CSR_HSTATUS, HSTATUS_SPVP);
}

/* senvcfg came with version 1.12; vsiselect and hvictl with Ssaia. */
#define SYS_IS_AIA(name) (RV64_##name == RV64_VSISELECT || RV64_##name == RV64_HVICTL)
#define SYS_NEEDS(name)                                                                                                \
    (RV64_##name == RV64_SENVCFG ? (uint32_t)RV64_ENVCFG : SYS_IS_AIA(name) ? (uint32_t)RV64_AIA : 0U)
#define SYS_THERE(name) ((features & SYS_NEEDS(name)) == SYS_NEEDS(name))

void rv64_cpu_sys_load(const uint64_t sys[RV64_SYS_COUNT])
{
#define LOAD(name, reset)                                                                                              \
    if (SYS_THERE(name)) {                                                                                             \
        csr_write(CSR_##name, sys[RV64_##name]);                                                                       \
    }
    RV64_SYS_REGS(LOAD)
#undef LOAD
}

void rv64_cpu_sys_save(uint64_t sys[RV64_SYS_COUNT])
{
#define SAVE(name, reset)                                                                                              \
    if (SYS_THERE(name)) {                                                                                             \
        sys[RV64_##name] = csr_read(CSR_##name);                                                                       \
    }
    RV64_SYS_REGS(SAVE)
#undef SAVE
}

uint64_t rv64_cpu_sys_read(enum rv64_sys reg)
{
    switch (reg) {
#define READ(name, reset)                                                                                              \
    case RV64_##name:                                                                                                  \
        return SYS_THERE(name) ? csr_read(CSR_##name) : 0;
        RV64_SYS_REGS(READ)
#undef READ
    case RV64_SYS_COUNT:
        break;
    }
    return 0;
}

void rv64_cpu_sys_write(enum rv64_sys reg, uint64_t value)
{
    switch (reg) {
#define WRITE(name, reset)                                                                                             \
    case RV64_##name:                                                                                                  \
        if (SYS_THERE(name)) {                                                                                         \
            csr_write(CSR_##name, value);                                                                              \
        }                                                                                                              \
        break;
        RV64_SYS_REGS(WRITE)
#undef WRITE
    case RV64_SYS_COUNT:
        break;
    }
}

/* ---- Interrupts and time ----------------------------------------------------------------------------------------- */

uint64_t rv64_cpu_hvip_read(void)
{
    return csr_read(CSR_HVIP);
}

void rv64_cpu_hvip_set(uint64_t bits)
{
    csr_set(CSR_HVIP, bits);
}

void rv64_cpu_hvip_clear(uint64_t bits)
{
    csr_clear(CSR_HVIP, bits);
}

void rv64_cpu_hvip_write(uint64_t hvip)
{
    csr_write(CSR_HVIP, hvip);
}

uint64_t rv64_cpu_hip_read(void)
{
    return csr_read(CSR_HIP);
}

uint64_t rv64_cpu_timecmp_read(void)
{
    return csr_read(CSR_VSTIMECMP);
}

void rv64_cpu_timecmp_write(uint64_t compare)
{
    csr_write(CSR_VSTIMECMP, compare);
}

/* ---- FP and vector registers ------------------------------------------------------------------------------------- */

/*
 * The guest runs with sstatus.FS and VS Clean; what it changes makes them Dirty, as well as vsstatus's (18.2.11), even
 * if it then says in vsstatus that they are clean. In QEMU 7.2 a write to a CSR makes only vsstatus's Dirty: the CSRs
 * are saved in any case.
 */
void rv64_cpu_fp_load(const struct rv64_fp *fp)
{
    csr_set(CSR_SSTATUS, SSTATUS_FS);
    rv64_fp_load(fp);
    csr_clear(CSR_SSTATUS, SSTATUS_FS);
    csr_set(CSR_SSTATUS, SSTATUS_FS_CLEAN);
}

void rv64_cpu_fp_save(struct rv64_fp *fp)
{
    fp->fcsr = csr_read(CSR_FCSR);
    if ((csr_read(CSR_SSTATUS) & SSTATUS_FS) == SSTATUS_FS) {
        rv64_fp_store(fp);
    }
}

void rv64_cpu_vector_load(const struct rv64_vector *v)
{
    csr_set(CSR_SSTATUS, SSTATUS_VS);
    csr_write(CSR_VSTART, 0);
    rv64_vector_load(v->data, 8 * csr_read(CSR_VLENB));
    rv64_vector_type(v->vl, v->vtype);
    csr_write(CSR_VCSR, v->vcsr);
    csr_write(CSR_VSTART, v->vstart);
    csr_clear(CSR_SSTATUS, SSTATUS_VS);
    csr_set(CSR_SSTATUS, SSTATUS_VS_CLEAN);
}

void rv64_cpu_vector_save(struct rv64_vector *v)
{
    v->vstart = csr_read(CSR_VSTART);
    v->vcsr = csr_read(CSR_VCSR);
    v->vl = csr_read(CSR_VL);
    v->vtype = csr_read(CSR_VTYPE);
    if ((csr_read(CSR_SSTATUS) & SSTATUS_VS) == SSTATUS_VS) {
        csr_write(CSR_VSTART, 0);
        rv64_vector_store(v->data, 8 * csr_read(CSR_VLENB));
    }
}

uint64_t rv64_cpu_f_read(unsigned n)
{
    return rv64_f_get(n);
}

/* sstatus.FS becomes Dirty by itself. */
void rv64_cpu_f_write(unsigned n, uint64_t value)
{
    rv64_f_set(n, value);
}
