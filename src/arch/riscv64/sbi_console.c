/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SBI's debug console (DBCN). What the guest writes goes to its console; what is typed there goes to the emulated UART,
 * and there is nothing to read here.
 */
#include "arch/riscv64/sbi.h"
#include "lib/host.h"

/* A write does so much at once, that it doesn't keep the host's interrupts off: the guest asks again for the rest. */
#define CHUNK 256U

/* "Shared memory physical address range parameter": a0 bytes from a1 (low half) and a2 on. */
static bool is_shared_memory(struct rv64_vcpu *v)
{
    uint64_t size = sbi_arg(v, 0), low = sbi_arg(v, 1), high = sbi_arg(v, 2);

    return size == 0 || (high == 0 && addrspace_is_ram(&v->base.vm->as, gpa(low), size));
}

static int console_write(struct rv64_vcpu *v)
{
    uint64_t size = sbi_arg(v, 0) < CHUNK ? sbi_arg(v, 0) : CHUNK;
    char bytes[CHUNK];

    if (!is_shared_memory(v)) {
        return sbi_error(v, SBI_ERR_INVALID_PARAM);
    }
    if (size != 0) {
        if (addrspace_read(&v->base.vm->as, gpa(sbi_arg(v, 1)), bytes, size) != AXVM_OK) {
            return sbi_error(v, SBI_ERR_INVALID_PARAM);
        }
        hal->console_write(v->base.vm->id, bytes, size);
    }
    return sbi_return(v, SBI_SUCCESS, size);
}

static int console_read(struct rv64_vcpu *v)
{
    return sbi_error(v, is_shared_memory(v) ? SBI_SUCCESS : SBI_ERR_INVALID_PARAM);
}

static int console_write_byte(struct rv64_vcpu *v)
{
    char byte = (char)sbi_arg(v, 0);

    hal->console_write(v->base.vm->id, &byte, 1);
    return sbi_error(v, SBI_SUCCESS);
}

static sbi_function *const functions[] = {
    [DBCN_WRITE] = console_write,
    [DBCN_READ] = console_read,
    [DBCN_WRITE_BYTE] = console_write_byte,
};

const struct sbi_extension sbi_dbcn = {SBI_DBCN, functions, sizeof(functions) / sizeof(functions[0])};
