/* SPDX-License-Identifier: Apache-2.0 */
/* What the library asks of its host (axvm/hal.h), answered with this machine. */
#include "console.h"
#include "frames.h"
#include "host.h"
#include "memory.h"
#include "percpu.h"
#include "power.h"
#include "timer.h"
#include "timerqueue.h"
#include "uart.h"

#define CONSOLE_PATIENCE 50U /* looked at again after 1/50 s: lines that wait, characters that found no room */

static struct axvm_hal hal_metal;
static struct timerqueue timers[AXVM_MAX_PCPUS];
static struct console console;
static const struct uart_driver *uart;
static struct rtc rtc;

/* ---- Memory: memory.c has it ---------------------------------------------------------------------------------- */

static int hal_frames_alloc(unsigned order, hpa_t *frames)
{
    return frames_alloc(&memory, order, frames);
}

static void hal_frames_free(hpa_t frames, unsigned order)
{
    frames_free(&memory, frames, order);
}

static int hal_region_claim(hpa_t base, uint64_t size)
{
    return claims_take(&claims, base.v, size);
}

static void hal_region_release(hpa_t base, uint64_t size)
{
    claims_release(&claims, base.v, size);
}

static bool is_in(const struct range *range, uint64_t addr)
{
    return addr - range->base < range->end - range->base;
}

static __attribute__((noinline)) void *mapped_find(uint64_t addr)
{
    for (unsigned i = 1; i < memory_mapped.count; i++) {
        if (is_in(&memory_mapped.range[i], addr)) {
            return (void *)(uintptr_t)addr;
        }
    }
    return NULL;
}

/* RAM that is mapped; the first range is all of it, as a rule. A range that isn't there is empty. */
static void *hal_hpa_to_hva(hpa_t addr)
{
    return is_in(&memory_mapped.range[0], addr.v) ? (void *)(uintptr_t)addr.v : mapped_find(addr.v);
}

static hpa_t hal_hva_to_hpa(const void *addr)
{
    return hpa(address_of(addr));
}

/* ---- Time ------------------------------------------------------------------------------------------------------ */

static uint64_t hal_wall_clock(void)
{
    return rtc.read ? rtc.read(&rtc) : 0;
}

static void hal_timer_arm(struct axvm_timer *timer)
{
    if (timerqueue_arm(timers, this_cpu()->id, timer)) {
        timer_set(timer->deadline);
    }
}

static void hal_timer_cancel(struct axvm_timer *timer)
{
    unsigned self = this_cpu()->id;

    if (timerqueue_cancel(timers, self, timer)) {
        timer_set(timerqueue_deadline(&timers[self]));
    }
}

/* ---- pCPUs ----------------------------------------------------------------------------------------------------- */

static unsigned hal_pcpu_id(void)
{
    return this_cpu()->id;
}

static uint64_t hal_pcpu_hart(unsigned pcpu)
{
    return percpus[pcpu]->cpu_id;
}

void host_kick(unsigned pcpu)
{
    intc_kick(percpus[pcpu]);
}

void host_all_ended(void)
{
    hal_metal.log(AXVM_LOG_INFO, "no VM is left: the machine powers off");
    host_flush();
    power_off();
}

/* ---- The console ----------------------------------------------------------------------------------------------- */

/*
 * Each use of the console is between these two, so that a fault in between can tell. `waiting`: there is something to
 * look at again in a while.
 */
static void console_begin(void)
{
    this_cpu()->in_console = true;
}

static void console_done(bool waiting)
{
    struct axvm_timer *timer = &this_cpu()->console_timer;

    this_cpu()->in_console = false;
    if (waiting && !timer->armed) {
        timer->deadline = timer_now() + hal_metal.tick_hz / CONSOLE_PATIENCE;
        hal_timer_arm(timer);
    }
}

static struct sched_vm *vm_of(struct console_port *port)
{
    return (struct sched_vm *)(void *)((char *)port - offsetof(struct sched_vm, port));
}

/*
 * On the pCPU that takes input: give what was typed to the VM that has the focus. False: it didn't take all of it.
 * Without the console's lock, since the VM's device may want to write.
 */
static bool console_offer(void)
{
    struct console_port *port;
    char bytes[32];
    size_t count;

    while ((count = console_peek(&console, &port, bytes, sizeof(bytes))) > 0 && port && vm_of(port)->vm) {
        int taken = axvm_console_input(vm_of(port)->vm, bytes, count);

        console_consume(&console, taken < 0 ? count : (size_t)taken);
        if (taken >= 0 && (size_t)taken < count) {
            return false;
        }
    }
    return true;
}

static void console_look(struct axvm_timer *timer)
{
    (void)timer;
    host_flush();
    if (this_cpu()->takes_input) {
        console_done(!console_offer());
    }
}

void host_uart_input(void)
{
    int c;

    this_cpu()->takes_input = true;
    console_begin();
    while ((c = uart->read()) >= 0) {
        console_typed(&console, (char)c);
    }
    console_done(false);
    console_done(!console_offer());
}

static void hal_console_write(uint32_t vm_id, const char *bytes, size_t size)
{
    struct sched_vm *vm = sched_find(vm_id);

    if (vm) {
        console_begin();
        console_done(console_write(&console, &vm->port, bytes, size));
    }
}

/* Of a fault inside the console, which holds its lock */
static void log_past_console(const char *line)
{
    uart->write("\r\n", 2);
    while (*line) {
        uart->write(line++, 1);
    }
}

static void hal_log(enum axvm_log_level level, const char *line)
{
    static const char *const labels[] = {"error: ", "warning: ", ""};

    if (level > AXVM_LOG_INFO) {
        return;
    }
    if (this_cpu()->in_console) {
        log_past_console(line);
        return;
    }
    console_begin();
    console_done(console_log(&console, labels[level], line));
}

void host_console_start(const struct machine *machine)
{
    uart = machine->uart.driver;
    uart->init(&machine->uart);
    console_attach(&console, uart->write);
}

void host_console_take_input(const struct machine *machine)
{
    if (machine->uart.irq != 0) {
        uart->enable_input();
        intc_enable_uart(machine->uart.irq);
    }
}

void host_console_add(struct sched_vm *vm)
{
    vm->port.name = vm->name;
    console_add(&console, &vm->port);
}

void host_console_end(struct sched_vm *vm)
{
    console_begin();
    console_end_line(&console, &vm->port);
    console_done(false);
}

void host_console_gone(struct sched_vm *vm)
{
    console_begin();
    console_gone(&console, &vm->port);
    console_done(false);
}

void host_flush(void)
{
    if (!this_cpu()->in_console) {
        console_begin();
        console_flush(&console);
        console_done(false);
    }
}

/* ---- Interrupts ------------------------------------------------------------------------------------------------ */

void host_timer_due(void)
{
    timer_set(timerqueue_run(&timers[this_cpu()->id], timer_now()));
}

void host_poll(void)
{
    uint32_t irq;
    enum axvm_irq_result result;

    while ((result = host_irq_handle(&irq)) != AXVM_IRQ_NONE) {
        if (result == AXVM_IRQ_GUEST) {
            intc_complete(irq);
        }
    }
}

/* ---- All together ---------------------------------------------------------------------------------------------- */

static struct axvm_hal hal_metal = {
    .frames_alloc = hal_frames_alloc,
    .frames_free = hal_frames_free,
    .region_claim = hal_region_claim,
    .region_release = hal_region_release,
    .hpa_to_hva = hal_hpa_to_hva,
    .hva_to_hpa = hal_hva_to_hpa,
    .ticks = timer_now,
    .wall_clock = hal_wall_clock,
    .timer_arm = hal_timer_arm,
    .timer_cancel = hal_timer_cancel,
    .pcpu_id = hal_pcpu_id,
    .vcpu_kick = sched_kick,
    .pcpu_hart = hal_pcpu_hart,
    .irq_handle = host_irq_handle,
    .irq_set_active = intc_set_active,
    .console_write = hal_console_write,
    .log = hal_log,
};

int host_cpu_init(const struct machine *machine)
{
    struct percpu *self = this_cpu();

    self->console_timer.fire = console_look;
    timer_cpu_init();
    return intc_cpu_init(machine, self);
}

int host_init(const struct machine *machine)
{
    hal_metal.tick_hz = machine->timer_hz ? machine->timer_hz : timer_frequency();
    hal_metal.pcpu_count = machine->cpu_count;
    if (machine->problem) { /* which is to be said, though the library may lack something */
        hal_metal.tick_hz = hal_metal.tick_hz ? hal_metal.tick_hz : 1;
        hal_metal.pcpu_count = hal_metal.pcpu_count ? hal_metal.pcpu_count : 1;
    }
    hal_metal.isa = machine->isa;
    rtc = machine->rtc;
    hal_metal.guest_file = host_guest_file;
    return axvm_library_init(&hal_metal, host_arch);
}
