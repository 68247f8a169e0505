/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trapped system registers: one table, the hottest first. A register without a row, or without the direction, is
 * undefined to the guest; the ID registers are in idregs.c. Which accesses trap at all is set in arch.c.
 */
#include "arch/aarch64/cpu.h"
#include "arch/aarch64/hcr.h"

/* A register as the syndrome of its trap has it. */
#define KEY(op0, op1, crn, crm, op2)                                                                                   \
    ((uint32_t)(op0) << 20 | (uint32_t)(op2) << 17 | (uint32_t)(op1) << 14 | (uint32_t)(crn) << 10 |                   \
     (uint32_t)(crm) << 1)
#define KEY_MASK KEY(3, 7, 15, 15, 7)

/* Breakpoint and watchpoint registers: CRm is the number, op2 the kind. */
enum { DEBUG_BVR = 4, DEBUG_BCR = 5, DEBUG_WVR = 6, DEBUG_WCR = 7 };

#define OSLSR_OSLM BIT64(3) /* the OS lock is implemented */
#define OSLSR_OSLK BIT64(1)

static uint64_t read_zero(struct a64_vcpu *v, uint32_t key)
{
    (void)v;
    (void)key;
    return 0;
}

static void write_ignored(struct a64_vcpu *v, uint32_t key, uint64_t value)
{
    (void)v;
    (void)key;
    (void)value;
}

static uint64_t *debug_register(struct a64_vcpu *v, uint32_t key)
{
    switch (ISS_SYS_OP2(key)) {
    case DEBUG_BVR:
        return &v->debug.bvr[ISS_SYS_CRM(key)];
    case DEBUG_BCR:
        return &v->debug.bcr[ISS_SYS_CRM(key)];
    case DEBUG_WVR:
        return &v->debug.wvr[ISS_SYS_CRM(key)];
    default:
        return &v->debug.wcr[ISS_SYS_CRM(key)];
    }
}

static uint64_t debug_read(struct a64_vcpu *v, uint32_t key)
{
    return *debug_register(v, key);
}

/* See struct a64_debug. */
static void debug_update(struct a64_vcpu *v)
{
    uint64_t mdscr = v->debug.mdscr & ~(v->debug.os_lock ? MDSCR_SS | MDSCR_MDE : 0);

    if ((mdscr & MDSCR_MDE) != 0) {
        a64_cpu_debug_load(&v->debug);
    }
    a64_cpu_sys_write(A64_MDSCR_EL1, mdscr);
    a64_watch_update(v);
}

static void debug_write(struct a64_vcpu *v, uint32_t key, uint64_t value)
{
    *debug_register(v, key) = value;
    debug_update(v);
}

static uint64_t mdscr_read(struct a64_vcpu *v, uint32_t key)
{
    (void)key;
    return v->debug.mdscr;
}

static void mdscr_write(struct a64_vcpu *v, uint32_t key, uint64_t value)
{
    (void)key;
    v->debug.mdscr = value & (MDSCR_SS | MDSCR_TDCC | MDSCR_KDE | MDSCR_MDE);
    debug_update(v);
}

static void oslar_write(struct a64_vcpu *v, uint32_t key, uint64_t value)
{
    (void)key;
    v->debug.os_lock = (value & 1U) != 0;
    debug_update(v);
}

static uint64_t oslsr_read(struct a64_vcpu *v, uint32_t key)
{
    (void)key;
    return OSLSR_OSLM | (v->debug.os_lock ? OSLSR_OSLK : 0);
}

static void sgi1r_write(struct a64_vcpu *v, uint32_t key, uint64_t value)
{
    (void)key;
    vgicv3_send_sgi(&v->gic, value, VGICV3_SGI1);
}

static void asgi1r_write(struct a64_vcpu *v, uint32_t key, uint64_t value)
{
    (void)key;
    vgicv3_send_sgi(&v->gic, value, VGICV3_ASGI1);
}

static void sgi0r_write(struct a64_vcpu *v, uint32_t key, uint64_t value)
{
    (void)key;
    vgicv3_send_sgi(&v->gic, value, VGICV3_SGI0);
}

static void dir_write(struct a64_vcpu *v, uint32_t key, uint64_t value)
{
    (void)key;
    vgicv3_deactivate(&v->gic, value);
}

/* SRE, DFB and DIB are read-as-one (IHI 0069 12.2.22): there is no other access to the CPU interface. */
static uint64_t sre_read(struct a64_vcpu *v, uint32_t key)
{
    (void)v;
    (void)key;
    return 7;
}

static uint64_t cntp_read(struct a64_vcpu *v, uint32_t key)
{
    return a64_cntp_read(v, ISS_SYS_OP2(key));
}

static void cntp_write(struct a64_vcpu *v, uint32_t key, uint64_t value)
{
    a64_cntp_write(v, ISS_SYS_OP2(key), value);
}

static const struct sysreg {
    uint32_t key;
    uint64_t (*read)(struct a64_vcpu *v, uint32_t key);
    void (*write)(struct a64_vcpu *v, uint32_t key, uint64_t value);
} sysregs[] = {
    {KEY(3, 0, 12, 11, 5), NULL, sgi1r_write},         /* ICC_SGI1R_EL1 */
    {KEY(3, 3, 14, 2, 0), cntp_read, cntp_write},      /* CNTP_TVAL_EL0 */
    {KEY(3, 3, 14, 2, 1), cntp_read, cntp_write},      /* CNTP_CTL_EL0 */
    {KEY(3, 3, 14, 2, 2), cntp_read, cntp_write},      /* CNTP_CVAL_EL0 */
    {KEY(2, 0, 0, 0, 2), read_zero, write_ignored},    /* OSDTRRX_EL1 */
    {KEY(2, 0, 0, 2, 0), read_zero, write_ignored},    /* MDCCINT_EL1 */
    {KEY(2, 0, 0, 2, 2), mdscr_read, mdscr_write},     /* MDSCR_EL1 */
    {KEY(2, 0, 0, 3, 2), read_zero, write_ignored},    /* OSDTRTX_EL1 */
    {KEY(2, 0, 0, 6, 2), read_zero, write_ignored},    /* OSECCR_EL1 */
    {KEY(2, 0, 1, 0, 0), read_zero, NULL},             /* MDRAR_EL1 */
    {KEY(2, 0, 1, 0, 4), NULL, oslar_write},           /* OSLAR_EL1 */
    {KEY(2, 0, 1, 1, 4), oslsr_read, NULL},            /* OSLSR_EL1 */
    {KEY(2, 0, 1, 3, 4), read_zero, write_ignored},    /* OSDLR_EL1 */
    {KEY(2, 0, 1, 4, 4), read_zero, write_ignored},    /* DBGPRCR_EL1 */
    {KEY(2, 0, 7, 8, 6), read_zero, write_ignored},    /* DBGCLAIMSET_EL1: no claim bits */
    {KEY(2, 0, 7, 9, 6), read_zero, write_ignored},    /* DBGCLAIMCLR_EL1 */
    {KEY(2, 0, 7, 14, 6), read_zero, NULL},            /* DBGAUTHSTATUS_EL1: no external debug */
    {KEY(2, 3, 0, 1, 0), read_zero, NULL},             /* MDCCSR_EL0 */
    {KEY(2, 3, 0, 4, 0), read_zero, write_ignored},    /* DBGDTR_EL0 */
    {KEY(2, 3, 0, 5, 0), read_zero, write_ignored},    /* DBGDTRRX_EL0, DBGDTRTX_EL0 */
    {KEY(3, 0, 0, 0, 6), read_zero, NULL},             /* REVIDR_EL1 */
    {KEY(3, 1, 0, 0, 7), read_zero, NULL},             /* AIDR_EL1 */
    {KEY(3, 0, 1, 0, 1), read_zero, write_ignored},    /* ACTLR_EL1 */
    {KEY(3, 0, 12, 11, 1), NULL, dir_write},           /* ICC_DIR_EL1 */
    {KEY(3, 0, 12, 11, 6), NULL, asgi1r_write},        /* ICC_ASGI1R_EL1 */
    {KEY(3, 0, 12, 11, 7), NULL, sgi0r_write},         /* ICC_SGI0R_EL1 */
    {KEY(3, 0, 12, 12, 5), sre_read, write_ignored},   /* ICC_SRE_EL1 */
};

static uint64_t id_read(struct a64_vcpu *v, uint32_t key)
{
    return a64_id_register(v, ISS_SYS_CRM(key), ISS_SYS_OP2(key));
}

/* Registers that come by the dozen: which numbers exist is the ID registers' business (BRPs, WRPs), so all do here. */
static const struct sysreg debug_registers = {0, debug_read, debug_write};
static const struct sysreg id_registers = {0, id_read, NULL};

static const struct sysreg *sysreg_find(uint32_t key)
{
    uint32_t group = key & KEY(3, 7, 15, 0, 0);

    for (size_t i = 0; i < sizeof(sysregs) / sizeof(sysregs[0]); i++) {
        if (sysregs[i].key == key) {
            return &sysregs[i];
        }
    }
    if (group == KEY(3, 0, 0, 0, 0) && ISS_SYS_CRM(key) >= 1 && ISS_SYS_CRM(key) <= 7) {
        return &id_registers;
    }
    if (group == KEY(2, 0, 0, 0, 0) && ISS_SYS_OP2(key) >= DEBUG_BVR) {
        return &debug_registers;
    }
    return NULL;
}

/* Where the ID registers are: with FEAT_IDST, the syndrome of a read of what isn't there says what was read. */
static bool is_id_space(uint32_t key)
{
    unsigned op1 = ISS_SYS_OP1(key);

    return ISS_SYS_OP0(key) == 3 && op1 <= 3 && op1 != 2 && ISS_SYS_CRN(key) == 0 && ISS_SYS_CRM(key) <= 7;
}

static void no_such_register(struct a64_vcpu *v, uint64_t esr)
{
    bool idst = (a64_id_register(v, 7, 2) >> 36 & 0xfU) != 0; /* ID_AA64MMFR2_EL1.IDS */

    if (idst && (esr & ISS_SYS_READ) != 0 && is_id_space((uint32_t)esr)) {
        a64_inject_sysreg(v, esr);
    } else {
        a64_inject_undefined(v);
    }
}

int a64_sysreg(struct a64_vcpu *v, uint64_t esr)
{
    uint32_t key = (uint32_t)esr & KEY_MASK;
    const struct sysreg *reg = sysreg_find(key);
    bool read = (esr & ISS_SYS_READ) != 0;

    v->base.stats.sysregs++;
    if (reg == NULL || (read ? reg->read == NULL : reg->write == NULL)) {
        no_such_register(v, esr);
        return A64_RESUME;
    }
    if (read) {
        a64_reg_write(v, ISS_SYS_RT(esr), reg->read(v, key));
    } else {
        reg->write(v, key, a64_reg_read(v, ISS_SYS_RT(esr)));
    }
    a64_step_over(v, esr);
    return A64_RESUME;
}
