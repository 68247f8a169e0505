/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SBI's debug console (DBCN). What the guest writes goes to its console; what is typed there can be read here if it has
 * no UART.
 */
#include "arch/riscv64/sbi.h"
#include "lib/host.h"
#include <string.h>

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

size_t sbi_console_input(struct axvm *vm, const char *bytes, size_t count)
{
    struct rv64_typed *typed = &rv64_vm(vm)->typed;

    spin_lock(&typed->lock);
    count = count < sizeof(typed->bytes) - typed->count ? count : sizeof(typed->bytes) - typed->count;
    memcpy(typed->bytes + typed->count, bytes, count);
    typed->count += (unsigned)count;
    spin_unlock(&typed->lock);
    return count;
}

void sbi_console_reset(struct rv64_vm *vm)
{
    spin_lock(&vm->typed.lock);
    vm->typed.count = 0;
    spin_unlock(&vm->typed.lock);
}

static void consume(struct rv64_typed *typed, unsigned count)
{
    typed->count -= count;
    memmove(typed->bytes, typed->bytes + count, typed->count);
}

int sbi_console_getchar(struct rv64_vm *vm)
{
    struct rv64_typed *typed = &vm->typed;
    int c = -1;

    spin_lock(&typed->lock);
    if (typed->count != 0) {
        c = (uint8_t)typed->bytes[0];
        consume(typed, 1);
    }
    spin_unlock(&typed->lock);
    return c;
}

/* It doesn't wait. Bytes that couldn't be written stay. */
static int console_read(struct rv64_vcpu *v)
{
    struct rv64_typed *typed = &rv64_vm(v->base.vm)->typed;
    unsigned count;
    int error;

    if (!is_shared_memory(v)) {
        return sbi_error(v, SBI_ERR_INVALID_PARAM);
    }
    spin_lock(&typed->lock);
    count = sbi_arg(v, 0) < typed->count ? (unsigned)sbi_arg(v, 0) : typed->count;
    error = count == 0 ? AXVM_OK : addrspace_write(&v->base.vm->as, gpa(sbi_arg(v, 1)), typed->bytes, count);
    if (error == AXVM_OK) {
        consume(typed, count);
    }
    spin_unlock(&typed->lock);
    return error == AXVM_OK ? sbi_return(v, SBI_SUCCESS, count) : sbi_error(v, SBI_ERR_INVALID_PARAM);
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
