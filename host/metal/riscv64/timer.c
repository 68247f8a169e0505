/* SPDX-License-Identifier: Apache-2.0 */
#include "timer.h"

#include "host_cpu.h"
#include "lib/host.h"
#include "percpu.h"

/* How often a pCPU whose guest's interrupts may get lost is interrupted */
#define RESCUES_PER_SECOND 50U

/* QEMU's marchid and mimpid, while it had any: its version, as 0xMMmmpp. */
#define QEMU_7 UINT64_C(0x070000)
#define QEMU_9 UINT64_C(0x090000)

uint64_t timer_frequency(void)
{
    return 0;
}

uint64_t timer_now(void)
{
    return csr_read(CSR_TIME);
}

/*
 * QEMU before 8.2 decides from what it read before it took the lock whether a hart has anything pending: a guest's
 * timer interrupt (vstimecmp), or one of its interrupt file, that comes in between gets lost, until the hart gets
 * another of any kind (target/riscv/cpu_helper.c, riscv_cpu_update_mip()). A guest that waits for just that one hangs;
 * so another comes.
 */
static bool interrupts_get_lost(void)
{
    uint64_t version = sbi_call(SBI_BASE, SBI_BASE_MARCHID, 0, 0, 0).value;

    return sbi_call(SBI_BASE, SBI_BASE_MVENDORID, 0, 0, 0).value == 0 &&
           sbi_call(SBI_BASE, SBI_BASE_MIMPID, 0, 0, 0).value == version && version >= QEMU_7 && version < QEMU_9;
}

void timer_cpu_init(void)
{
    struct percpu_intc *self = &this_cpu()->intc;

    self->sstc = csr_exists(CSR_STIMECMP);
    self->rescue = interrupts_get_lost() ? hal->tick_hz / RESCUES_PER_SECOND : 0;
    timer_set(UINT64_MAX);
}

void timer_set(uint64_t deadline)
{
    uint64_t rescue = this_cpu()->intc.rescue;
    uint64_t latest = rescue != 0 ? timer_now() + rescue : UINT64_MAX;

    deadline = deadline < latest ? deadline : latest;
    if (this_cpu()->intc.sstc) {
        csr_write(CSR_STIMECMP, deadline);
    } else {
        sbi_call(SBI_TIME, SBI_TIME_SET, deadline, 0, 0);
    }
}
