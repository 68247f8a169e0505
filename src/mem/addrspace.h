/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest-physical address space: areas (what should be there) over one second-stage table (what is mapped now).
 *
 * Invariants: areas are sorted, disjoint, multiples of 4 KiB, inside the table's input range; every mapped leaf lies in
 * exactly one area and has its flags, less WRITE while a page is logged clean; leaves of ALLOC and LAZY areas are
 * frames of the host's allocator that belong to this address space; ALLOC and LINEAR areas are mapped wholly. While
 * logging, each area of RAM has `dirty`, and leaves that the guest may write are pages noted there.
 * `lock` guards all of it, the table included; the hardware walks the table without it.
 *
 * RAM is every area that isn't DEVICE. Flags are those of pagetable_flags_ok(). What a guest can cause, again and
 * again (any error of fault, read, write, translate), isn't logged.
 */
#ifndef AXVM_MEM_ADDRSPACE_H
#define AXVM_MEM_ADDRSPACE_H

#include "lib/spinlock.h"
#include "mem/pagetable.h"
#include <axvm/types.h>

#define ADDRSPACE_MAX_AREAS 64U

enum area_backing {
    AREA_LINEAR, /* hpa = gpa - area.gpa + area.hpa; frames are not ours */
    AREA_ALLOC,  /* frames of the host's, mapped when the area was made */
    AREA_LAZY,   /* frames of the host's, mapped on first touch */
};

struct area {
    gpa_t gpa;
    uint64_t size;
    hpa_t hpa; /* AREA_LINEAR */
    uint32_t flags;
    enum area_backing backing;
    uint8_t *dirty; /* one bit a page while logging, else NULL */
};

struct addrspace;

/*
 * What the hardware must be told; with the lock held, after the table has changed. publish, zero and written may be
 * NULL. flush_range and flush_all do what publish does, too, and also forget what a TLB has cached of tables.
 */
struct addrspace_tlb {
    void (*flush_range)(struct addrspace *as, gpa_t start, uint64_t size);
    void (*flush_all)(struct addrspace *as);
    /* Entries became valid: let table walks see them (Arm: DSB ISHST; the ERET that follows does the rest). */
    void (*publish)(void);
    /*
     * Zero guest memory (multiples of 4 KiB; NULL: memset), and: the host wrote guest memory by its own, cached
     * mapping. After both, a guest whose caches are off must see it, and its instruction fetch (Arm: clean to the point
     * of coherency, invalidate the instruction cache; unless stage 2 forces write-back).
     */
    void (*zero)(void *start, uint64_t size);
    void (*written)(const void *start, uint64_t size);
};

struct addrspace {
    struct spinlock lock;
    struct pagetable table;
    const struct addrspace_tlb *tlb;
    uint32_t vmid;
    bool logging;
    unsigned area_count;
    unsigned recent; /* what area_find() found last: it looks there first */
    struct area areas[ADDRSPACE_MAX_AREAS]; /* zero from area_count on */
};

/* `gpa_bits`: width of the input range. AXVM_EUNSUPPORTED: the format has no geometry for it; AXVM_ENOMEM. */
int addrspace_init(struct addrspace *as, const struct pt_format *format, unsigned gpa_bits,
                   const struct addrspace_tlb *tlb, uint32_t vmid);

/* Free the table and all frames of ALLOC and LAZY areas. */
void addrspace_destroy(struct addrspace *as);

/*
 * Make an area. AXVM_EINVAL (alignment, empty, overflow, outside the range, flags), AXVM_EEXIST (overlap, logged with
 * both sides), AXVM_ENOMEM (all undone). Frames are zeroed; the largest leaves that fit are used.
 */
int addrspace_map_linear(struct addrspace *as, gpa_t start, hpa_t target, uint64_t size, uint32_t flags);
int addrspace_map_alloc(struct addrspace *as, gpa_t start, uint64_t size, uint32_t flags, bool lazy);

/*
 * Parts of areas, or several: areas are split as needed. AXVM_EINVAL, AXVM_ENOENT if any page of the range is in no
 * area, AXVM_ENOMEM; an error changes nothing that is mapped. RAM stays RAM: protect doesn't change DEVICE
 * (AXVM_EINVAL).
 */
int addrspace_unmap(struct addrspace *as, gpa_t start, uint64_t size);
int addrspace_protect(struct addrspace *as, gpa_t start, uint64_t size, uint32_t flags);

/*
 * What is mapped at `addr` now (AXVM_ENOENT: nothing); *flags: its area's, *run: bytes to the leaf's end. Each may be
 * NULL.
 */
int addrspace_translate(struct addrspace *as, gpa_t addr, hpa_t *target, uint32_t *flags, uint64_t *run);

/*
 * The hardware faulted at `addr` on `access` (one of AXVM_MEM_READ, _WRITE, _EXEC). 0: populated or logged, enter again
 * (also when another vCPU was first). AXVM_ENOENT: no area there: a device access, or nothing. AXVM_EFAULT: the area
 * does not allow it. AXVM_ENOMEM.
 */
int addrspace_fault(struct addrspace *as, gpa_t addr, uint32_t access);

/*
 * Guest RAM by copying; populates lazy pages; AXVM_EFAULT outside RAM, for DEVICE areas, without the permission, and
 * for memory that the host can't reach. On an error nothing beyond the faulting page has been copied.
 */
int addrspace_read(struct addrspace *as, gpa_t from, void *to, uint64_t size);
int addrspace_write(struct addrspace *as, gpa_t to, const void *from, uint64_t size);

/* The same without regard to the area's permissions, for loading images into read-only regions. from NULL: zeroes. */
int addrspace_load(struct addrspace *as, gpa_t to, const void *from, uint64_t size);

/* A host pointer to the byte of RAM at `addr`, populated, and how much is contiguous in host memory from there on.
 * AXVM_EFAULT, AXVM_ENOMEM. Good until it is unmapped; what is written by it isn't in the dirty log. */
int addrspace_buffer(struct addrspace *as, gpa_t addr, void **data, uint64_t *run);

/*
 * RAM back to zeroes: lazy areas are emptied, others zeroed as far as the host can reach them. No vCPU runs. A call
 * does a small part of it, the first there is from *at on, and moves *at behind that; false: there is none.
 */
bool addrspace_zero(struct addrspace *as, gpa_t *at);

/* Whether [start, start+size) is covered by areas of RAM without gaps. */
bool addrspace_is_ram(struct addrspace *as, gpa_t start, uint64_t size);

/*
 * The dirty log: writes to RAM by the guest, addrspace_write(), _load() and _zero() since log_start() or the page's
 * last fetch. AXVM_EBADSTATE: logging already, or not. AXVM_ENOMEM (all undone). fetch: the range is a multiple of 4
 * KiB; one bit a page, bit 0 of byte 0 first; what is no RAM is clean.
 */
int addrspace_log_start(struct addrspace *as);
int addrspace_log_fetch(struct addrspace *as, gpa_t start, uint64_t size, uint8_t *bitmap);
int addrspace_log_stop(struct addrspace *as); /* merges back into large leaves where it can */

#endif
