/* SPDX-License-Identifier: Apache-2.0 */
/* Calls to the machine's firmware (RISC-V SBI 2.0): ecall from HS mode reaches M mode. */
#ifndef METAL_RISCV64_SBI_H
#define METAL_RISCV64_SBI_H

#include <stdbool.h>
#include <stdint.h>

/* Extensions and their functions */
#define SBI_LEGACY_SHUTDOWN UINT64_C(0x08)
#define SBI_BASE UINT64_C(0x10)
#define SBI_BASE_PROBE UINT64_C(3)
#define SBI_BASE_MVENDORID UINT64_C(4)
#define SBI_BASE_MARCHID UINT64_C(5)
#define SBI_BASE_MIMPID UINT64_C(6)
#define SBI_TIME UINT64_C(0x54494d45)
#define SBI_TIME_SET UINT64_C(0)
#define SBI_IPI UINT64_C(0x735049)
#define SBI_IPI_SEND UINT64_C(0)
#define SBI_HSM UINT64_C(0x48534d)
#define SBI_HSM_START UINT64_C(0)
#define SBI_SRST UINT64_C(0x53525354)
#define SBI_SRST_RESET UINT64_C(0)
#define SBI_SRST_SHUTDOWN UINT64_C(0)

/* As the first hart of a mask: all there are */
#define SBI_ALL_HARTS UINT64_MAX

struct sbi_result {
    int64_t error; /* 0, or one that sbi_error_name() knows */
    uint64_t value;
};

/* All registers but a0 and a1 keep their values (chapter 3, "Binary Encoding"). */
static inline struct sbi_result sbi_call(uint64_t extension, uint64_t function, uint64_t arg0, uint64_t arg1,
                                         uint64_t arg2)
{
    register uint64_t a0 __asm__("a0") = arg0;
    register uint64_t a1 __asm__("a1") = arg1;
    register uint64_t a2 __asm__("a2") = arg2;
    register uint64_t a6 __asm__("a6") = function;
    register uint64_t a7 __asm__("a7") = extension;

    __asm__ volatile("ecall" : "+r"(a0), "+r"(a1) : "r"(a2), "r"(a6), "r"(a7) : "memory");
    return (struct sbi_result){(int64_t)a0, a1};
}

bool sbi_has(uint64_t extension);
const char *sbi_error_name(int64_t error);

#endif
