/* SPDX-License-Identifier: Apache-2.0 */
/* irqchip/ich.h on hardware (IHI 0069 chapter 12.4). */
#include "arch/aarch64/cpu_insn.h"
#include "irqchip/ich.h"

unsigned ich_lr_count(void)
{
    return (unsigned)(sysreg_read(ICH_VTR_EL2) & 0x1fU) + 1;
}

unsigned ich_ap_count(void)
{
    unsigned preemption_bits = (unsigned)(sysreg_read(ICH_VTR_EL2) >> 26 & 7U) + 1;

    return preemption_bits <= 5 ? 1 : preemption_bits == 6 ? 2 : 4;
}

/* List register n is S3_4_C12_C12_<n>, from 8 on S3_4_C12_C13_<n-8>. */
#define EACH_LR(X)                                                                                                     \
    X(0, S3_4_C12_C12_0) X(1, S3_4_C12_C12_1) X(2, S3_4_C12_C12_2) X(3, S3_4_C12_C12_3)                                \
    X(4, S3_4_C12_C12_4) X(5, S3_4_C12_C12_5) X(6, S3_4_C12_C12_6) X(7, S3_4_C12_C12_7)                                \
    X(8, S3_4_C12_C13_0) X(9, S3_4_C12_C13_1) X(10, S3_4_C12_C13_2) X(11, S3_4_C12_C13_3)                              \
    X(12, S3_4_C12_C13_4) X(13, S3_4_C12_C13_5) X(14, S3_4_C12_C13_6) X(15, S3_4_C12_C13_7)

#define READ(n, reg)                                                                                                   \
    case n:                                                                                                            \
        return sysreg_read(reg);
#define WRITE(n, reg)                                                                                                  \
    case n:                                                                                                            \
        sysreg_write(reg, value);                                                                                      \
        break;

uint64_t ich_lr_read(unsigned n)
{
    switch (n) {
        EACH_LR(READ)
    default:
        return 0;
    }
}

void ich_lr_write(unsigned n, uint64_t value)
{
    switch (n) {
        EACH_LR(WRITE)
    default:
        break;
    }
}

uint32_t ich_elrsr_read(void)
{
    return (uint32_t)sysreg_read(ICH_ELRSR_EL2);
}

uint32_t ich_misr_read(void)
{
    return (uint32_t)sysreg_read(ICH_MISR_EL2);
}

uint32_t ich_hcr_read(void)
{
    return (uint32_t)sysreg_read(ICH_HCR_EL2);
}

void ich_hcr_write(uint32_t value)
{
    sysreg_write(ICH_HCR_EL2, value);
}

uint32_t ich_vmcr_read(void)
{
    return (uint32_t)sysreg_read(ICH_VMCR_EL2);
}

void ich_vmcr_write(uint32_t value)
{
    sysreg_write(ICH_VMCR_EL2, value);
}

/* Only ich_ap_count() of them exist; the others would be undefined. */
#define EACH_AP0R(X) X(0, S3_4_C12_C8_0) X(1, S3_4_C12_C8_1) X(2, S3_4_C12_C8_2) X(3, S3_4_C12_C8_3)
#define EACH_AP1R(X) X(0, S3_4_C12_C9_0) X(1, S3_4_C12_C9_1) X(2, S3_4_C12_C9_2) X(3, S3_4_C12_C9_3)
#define READ32(n, reg)                                                                                                 \
    case n:                                                                                                            \
        return (uint32_t)sysreg_read(reg);

uint32_t ich_ap0r_read(unsigned n)
{
    switch (n) {
        EACH_AP0R(READ32)
    default:
        return 0;
    }
}

void ich_ap0r_write(unsigned n, uint32_t value)
{
    switch (n) {
        EACH_AP0R(WRITE)
    default:
        break;
    }
}

uint32_t ich_ap1r_read(unsigned n)
{
    switch (n) {
        EACH_AP1R(READ32)
    default:
        return 0;
    }
}

void ich_ap1r_write(unsigned n, uint32_t value)
{
    switch (n) {
        EACH_AP1R(WRITE)
    default:
        break;
    }
}
