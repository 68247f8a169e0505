/* SPDX-License-Identifier: Apache-2.0 */
#include <axvm/axvm.h>

const char *axvm_exit_name(enum axvm_exit_kind kind)
{
    static const char *const names[AXVM_EXIT_KIND_COUNT] = {
        [AXVM_EXIT_NOTHING] = "Nothing",
        [AXVM_EXIT_HYPERCALL] = "Hypercall",
        [AXVM_EXIT_MMIO_READ] = "MmioRead",
        [AXVM_EXIT_MMIO_WRITE] = "MmioWrite",
        [AXVM_EXIT_SYSREG_READ] = "SysRegRead",
        [AXVM_EXIT_SYSREG_WRITE] = "SysRegWrite",
        [AXVM_EXIT_IO_READ] = "IoRead",
        [AXVM_EXIT_IO_WRITE] = "IoWrite",
        [AXVM_EXIT_EXTERNAL_INTERRUPT] = "ExternalInterrupt",
        [AXVM_EXIT_NESTED_PAGE_FAULT] = "NestedPageFault",
        [AXVM_EXIT_HALT] = "Halt",
        [AXVM_EXIT_CPU_UP] = "CpuUp",
        [AXVM_EXIT_CPU_DOWN] = "CpuDown",
        [AXVM_EXIT_SYSTEM_DOWN] = "SystemDown",
        [AXVM_EXIT_FAIL_ENTRY] = "FailEntry",
        [AXVM_EXIT_SEND_IPI] = "SendIPI",
        [AXVM_EXIT_STOPPED] = "Stopped",
    };

    return (unsigned)kind < AXVM_EXIT_KIND_COUNT ? names[kind] : "?";
}

const char *axvm_state_name(enum axvm_state state)
{
    static const char *const names[AXVM_STATE_COUNT] = {
        [AXVM_STATE_LOADING] = "loading",
        [AXVM_STATE_LOADED] = "loaded",
        [AXVM_STATE_RUNNING] = "running",
        [AXVM_STATE_SUSPENDED] = "suspended",
        [AXVM_STATE_STOPPING] = "stopping",
        [AXVM_STATE_STOPPED] = "stopped",
        [AXVM_STATE_FAILED] = "failed",
    };

    return (unsigned)state < AXVM_STATE_COUNT ? names[state] : "?";
}

const char *axvm_vcpu_state_name(enum axvm_vcpu_state state)
{
    static const char *const names[AXVM_VCPU_STATE_COUNT] = {
        [AXVM_VCPU_CREATED] = "created",
        [AXVM_VCPU_FREE] = "free",
        [AXVM_VCPU_READY] = "ready",
        [AXVM_VCPU_RUNNING] = "running",
        [AXVM_VCPU_BLOCKED] = "blocked",
    };

    return (unsigned)state < AXVM_VCPU_STATE_COUNT ? names[state] : "?";
}
