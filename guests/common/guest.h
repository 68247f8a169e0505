/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What our own guests share. guests/common/ holds what is the same for every architecture; guests/<architecture>/ has
 * its registers (arch.h), the entry code (start.S), the interrupt controller and the firmware calls (lib.c). A program
 * NAME is NAME.c and NAME_*, if any, of both.
 */
#ifndef GUEST_H
#define GUEST_H

#include "arch.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAX_CPUS 64

/* As the device tree has them. */
struct guest_machine {
    uint64_t memory_base, memory_size;
    uint64_t fdt_base, fdt_size;
    unsigned cpu_count;
    uint64_t cpu_ids[MAX_CPUS]; /* as firmware calls name them; CPU 0 is the one that this program began on */
    struct {
        uint64_t base, size;
    } reserved[8];
    unsigned reserved_count;
    uint64_t uart;
    const char *args; /* /chosen bootargs */
    struct machine_arch arch;
};

extern struct guest_machine machine;

/* ---- lib.c of guests/common/ ------------------------------------------------------------------------------------- */

void print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The word of the command line that begins with `name`: what stands behind that; NULL: there is none. */
const char *option(const char *name);
uint64_t option_number(const char *name, uint64_t otherwise);
/* Whether a word is exactly this. */
bool word_is(const char *text, const char *word);

/* A page of RAM that holds nothing of this program, the device tree or the firmware. */
bool page_is_free(uint64_t page);

/* Device tree: the n'th entry of a node's reg; and a big-endian number of so many cells. */
bool fdt_reg(const void *fdt, int node, int n, uint64_t *base, uint64_t *size);
uint64_t fdt_number(const void *cells, int count);

/* Start CPU `cpu` (an index): it takes interrupts as CPU 0 does and calls `function`. Returns the firmware's answer. */
int64_t cpu_start(unsigned cpu, void (*function)(void));
/* Only say what it will call, when somebody starts it. */
void cpu_begins_with(unsigned cpu, void (*function)(void));

/*
 * Synchronous exceptions: while one is expected it is recorded and the instruction skipped; else it is reported and
 * the guest ends. Per CPU.
 */
void catch_begin(void);
struct caught catch_end(void);
/* For the exception handler; false: it isn't expected. */
bool catch_take(struct caught caught);

/*
 * Tests. The program's own is test_main(), called on CPU 0; when it returns, the verdict is printed and the guest ends.
 */
void test_main(void);
_Noreturn void guest_end(void); /* with the verdict */
void check_failed(const char *file, int line, const char *what, uint64_t got, uint64_t wanted);
#define check_equal(got, wanted)                                                                                       \
    do {                                                                                                               \
        uint64_t got_ = (uint64_t)(got), wanted_ = (uint64_t)(wanted);                                                 \
        if (got_ != wanted_) {                                                                                         \
            check_failed(__FILE__, __LINE__, #got " == " #wanted, got_, wanted_);                                      \
        }                                                                                                              \
    } while (0)
#define check(condition) check_equal(!!(condition), 1)

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Called by start.S. */
void guest_main(const void *fdt);
void guest_secondary(unsigned cpu);

/* ---- lib.c and arch.h of the architecture ------------------------------------------------------------------------ */

/*
 * Of arch.h: cpu_id(), ticks(), ticks_per_second(), irq_enable(), irq_disable(), wait_irq(), wait_event(),
 * send_event().
 */

/* Between CPUs: count up, and wait until another has. */
static inline void advance(volatile unsigned *word)
{
    __atomic_fetch_add(word, 1, __ATOMIC_SEQ_CST);
    send_event();
}

static inline void wait_for(volatile unsigned *word, unsigned value)
{
    while (__atomic_load_n(word, __ATOMIC_ACQUIRE) < value) {
        wait_event();
    }
}

void discover_arch(const void *fdt); /* machine.uart and machine.arch */
uint64_t boot_cpu_id(void);
void console_put(uint8_t c);
void irq_init_cpu(void);

int64_t cpu_on(unsigned cpu); /* it comes to guest_secondary() */
void cpu_off(void);
bool cpu_is_off(unsigned cpu);
_Noreturn void power_off(void);
void system_reset(void);

/* The interrupt from CPU to CPU. */
void ipi_enable(void (*handler)(void)); /* the handler is the same for all CPUs; enabled on this one */
void ipi_send(unsigned cpu);

struct guest_timer {
    const char *name;
    uint64_t (*now)(void);
    void (*set)(uint64_t due);
    void (*stop)(void); /* its interrupt, too */
    unsigned irq;
};

extern const struct guest_timer *guest_timers; /* ends with one that has no name; the first keeps ticks()'s time */
void timer_enable(const struct guest_timer *timer, void (*handler)(const struct guest_timer *timer));

#endif
