/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Basic types of the axvm library: addresses that can't be mixed up, errors, access widths and permissions.
 */
#ifndef AXVM_TYPES_H
#define AXVM_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Guest-physical address (Arm: IPA). */
typedef struct {
    uint64_t v;
} gpa_t;

/* Host-physical address. A host-virtual address is an ordinary C pointer. */
typedef struct {
    uint64_t v;
} hpa_t;

static inline gpa_t gpa(uint64_t v)
{
    return (gpa_t){v};
}

static inline hpa_t hpa(uint64_t v)
{
    return (hpa_t){v};
}

#define AXVM_PAGE_SHIFT 12U
#define AXVM_PAGE_SIZE (UINT64_C(1) << AXVM_PAGE_SHIFT)

#define KIB(n) ((uint64_t)(n) << 10)
#define MIB(n) ((uint64_t)(n) << 20)
#define GIB(n) ((uint64_t)(n) << 30)

/* The most vCPUs a VM may have, and the most pCPUs a machine may have: one bit each in a 64-bit mask. */
#define AXVM_MAX_VCPUS 64U
#define AXVM_MAX_PCPUS 64U

/* What every function of the library returns: 0, or one of these. */
enum axvm_error {
    AXVM_OK = 0,
    AXVM_EINVAL = -1,       /* an argument, a key or an address is wrong */
    AXVM_EUNSUPPORTED = -2, /* the machine or this version can't do it */
    AXVM_EBADSTATE = -3,    /* not legal in the object's present state */
    AXVM_EEXIST = -4,       /* it is there already, or overlaps what is there */
    AXVM_ENOMEM = -5,       /* out of frames, table slots or identifiers */
    AXVM_ENOENT = -6,       /* nothing is there */
    AXVM_EFAULT = -7,       /* guest memory can't be accessed there, or not that way */
    AXVM_EBUSY = -8,        /* in use by someone else; try again later */
};

/* The error's name without its prefix ("EINVAL"); "?" for a number that is none. */
const char *axvm_error_name(int error);

/* Width of one access, in bytes. */
enum axvm_width {
    AXVM_BYTE = 1,
    AXVM_WORD = 2,
    AXVM_DWORD = 4,
    AXVM_QWORD = 8,
};

/*
 * Mapping flags, with the values of the configuration files (`memory_regions`, third number).
 * USER is accepted for the files' sake and means nothing in a second-stage table.
 */
enum axvm_mem_flags {
    AXVM_MEM_READ = 1U << 0,
    AXVM_MEM_WRITE = 1U << 1,
    AXVM_MEM_EXEC = 1U << 2,
    AXVM_MEM_USER = 1U << 3,
    AXVM_MEM_DEVICE = 1U << 4,
    AXVM_MEM_UNCACHED = 1U << 5,
};

#define AXVM_MEM_RW ((uint32_t)AXVM_MEM_READ | (uint32_t)AXVM_MEM_WRITE)
#define AXVM_MEM_RWX (AXVM_MEM_RW | (uint32_t)AXVM_MEM_EXEC)
#define AXVM_MEM_PERMS AXVM_MEM_RWX
#define AXVM_MEM_ALL_FLAGS 0x3fU

#endif
