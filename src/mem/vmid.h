/* SPDX-License-Identifier: Apache-2.0 */
/* Who has which VMID: what TLBs know an address space by. 0 is nobody's. */
#ifndef AXVM_MEM_VMID_H
#define AXVM_MEM_VMID_H

#include <stdint.h>

/* One of the VMIDs below 2^bits (and 256: no machine has run out of those). AXVM_ENOMEM, logged: all are in use. */
int vmid_alloc(unsigned bits, uint32_t *vmid);

/* 0 is none. TLBs may still know it: whoever gets it next has it flushed, or the caller did. */
void vmid_free(uint32_t vmid);

#endif
