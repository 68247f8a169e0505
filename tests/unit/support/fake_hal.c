/* SPDX-License-Identifier: Apache-2.0 */
#include "support/fake_hal.h"

#include <axvm/axvm.h>
#include <pthread.h>
#include <sanitizer/asan_interface.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/host.h"

#define RAM_MAX GIB(4)
#define MAX_KICKS 4096U
#define MAX_IRQS 256U
#define MAX_CONSOLES 16U
#define MAX_LOG_LINES 4096U
#define PCPUS 8U

enum frame_state {
    FRAME_FREE,
    FRAME_ALLOCATED,
    FRAME_CLAIMED,
    FRAME_RESERVED,
};

struct console {
    uint32_t vm_id;
    char *text;
    size_t size;
};

struct log_entry {
    enum axvm_log_level level;
    char *line;
};

struct pending_irq {
    enum axvm_irq_result result;
    uint32_t irq;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local unsigned current_pcpu;

static uint8_t *ram;        /* RAM_MAX bytes of address space, of which the first ram_size are the host's RAM */
static uint64_t ram_size;
static uint8_t *frame_states; /* enum frame_state, one a frame of RAM_MAX */

static struct {
    unsigned misuses;
    size_t used, claimed, allocations;
    unsigned max_order;
    size_t fail_in; /* the n-th allocation from now fails; 0: none */
    bool failed;
    unsigned fail_orders_from;
    size_t next_frame; /* where the next search begins: a freed frame isn't reused at once */
    uint64_t ticks;
    struct axvm_timer *timers[PCPUS];
    struct fake_kick kicks[MAX_KICKS];
    size_t kick_count;
    void (*on_kick)(uint32_t vm_id, uint32_t vcpu_id);
    struct pending_irq irqs[MAX_IRQS];
    size_t irq_first, irq_last;
    uint32_t active[PCPUS];
    struct console consoles[MAX_CONSOLES];
    struct log_entry logs[MAX_LOG_LINES];
    size_t log_count;
} fake;

__attribute__((format(printf, 1, 2))) static void misuse(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fprintf(stderr, "fake host misused: ");
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n");
    va_end(args);
    fake.misuses++;
}

/* ---- Memory ------------------------------------------------------------------------------------------------------ */

static size_t frame_count(void)
{
    return (size_t)(ram_size >> AXVM_PAGE_SHIFT);
}

static uint8_t *frame_memory(size_t frame)
{
    return ram + (frame << AXVM_PAGE_SHIFT);
}

static bool in_ram(hpa_t base, uint64_t size)
{
    return base.v >= FAKE_RAM_BASE && base.v - FAKE_RAM_BASE < ram_size && size <= ram_size - (base.v - FAKE_RAM_BASE);
}

static size_t frame_of(hpa_t base)
{
    return (size_t)((base.v - FAKE_RAM_BASE) >> AXVM_PAGE_SHIFT);
}

static bool frames_are(size_t first, size_t count, enum frame_state state)
{
    for (size_t i = first; i < first + count; i++) {
        if (frame_states[i] != state) {
            return false;
        }
    }
    return true;
}

/* Frames that change hands are filled with garbage both ways: whoever kept a pointer, or forgot to zero, shows. */
static void frames_take(size_t first, size_t count, enum frame_state state)
{
    ASAN_UNPOISON_MEMORY_REGION(frame_memory(first), count << AXVM_PAGE_SHIFT);
    memset(frame_memory(first), FAKE_GARBAGE, count << AXVM_PAGE_SHIFT);
    memset(frame_states + first, (int)state, count);
}

static void frames_give(size_t first, size_t count)
{
    memset(frame_states + first, FRAME_FREE, count);
    if (count > 1024) {
        madvise(frame_memory(first), count << AXVM_PAGE_SHIFT, MADV_DONTNEED);
    } else {
        ASAN_UNPOISON_MEMORY_REGION(frame_memory(first), count << AXVM_PAGE_SHIFT);
        memset(frame_memory(first), FAKE_GARBAGE ^ 0xff, count << AXVM_PAGE_SHIFT);
    }
    ASAN_POISON_MEMORY_REGION(frame_memory(first), count << AXVM_PAGE_SHIFT);
}

/* The first free run of `count` frames, aligned to its size, from `from` on; frame_count(): none. */
static size_t frames_search(size_t from, size_t count)
{
    size_t total = frame_count();

    for (size_t first = (from + count - 1) / count * count; first + count <= total; first += count) {
        if (frames_are(first, count, FRAME_FREE)) {
            return first;
        }
    }
    return total;
}

static bool should_fail(unsigned order)
{
    if (order >= fake.fail_orders_from) {
        return true;
    }
    if (fake.fail_in != 0 && --fake.fail_in == 0) {
        fake.failed = true;
        return true;
    }
    return false;
}

static int frames_alloc_locked(unsigned order, hpa_t *frames)
{
    size_t count, first;

    if (order > 20) {
        misuse("frames_alloc of order %u", order);
        return AXVM_ENOMEM;
    }
    count = (size_t)1 << order;
    if (should_fail(order)) {
        return AXVM_ENOMEM;
    }
    first = frames_search(fake.next_frame, count);
    if (first == frame_count()) {
        first = frames_search(0, count);
    }
    if (first == frame_count()) {
        return AXVM_ENOMEM;
    }
    frames_take(first, count, FRAME_ALLOCATED);
    fake.next_frame = first + count;
    fake.used += count;
    fake.allocations++;
    fake.max_order = order > fake.max_order ? order : fake.max_order;
    *frames = hpa(FAKE_RAM_BASE + ((uint64_t)first << AXVM_PAGE_SHIFT));
    return AXVM_OK;
}

static int host_frames_alloc(unsigned order, hpa_t *frames)
{
    int error;

    pthread_mutex_lock(&lock);
    error = frames_alloc_locked(order, frames);
    pthread_mutex_unlock(&lock);
    return error;
}

static void host_frames_free(hpa_t frames, unsigned order)
{
    uint64_t size = order > 20 ? UINT64_MAX : AXVM_PAGE_SIZE << order;

    pthread_mutex_lock(&lock);
    if (order > 20 || !in_ram(frames, size) || (frames.v & (size - 1)) != 0) {
        misuse("frames_free(%#llx, order %u): misaligned or not RAM", (unsigned long long)frames.v, order);
    } else if (!frames_are(frame_of(frames), (size_t)1 << order, FRAME_ALLOCATED)) {
        misuse("frames_free(%#llx, order %u): not allocated, or freed before", (unsigned long long)frames.v, order);
    } else {
        frames_give(frame_of(frames), (size_t)1 << order);
        fake.used -= (size_t)1 << order;
    }
    pthread_mutex_unlock(&lock);
}

static bool region_ok(hpa_t base, uint64_t size, const char *who)
{
    if (size == 0 || ((base.v | size) & (AXVM_PAGE_SIZE - 1)) != 0) {
        misuse("%s(%#llx, %#llx): misaligned or empty", who, (unsigned long long)base.v, (unsigned long long)size);
        return false;
    }
    return true;
}

static bool frame_is_claimable(hpa_t base)
{
    return in_ram(base, AXVM_PAGE_SIZE) && frame_states[frame_of(base)] == FRAME_FREE;
}

static bool frame_is_unknown(hpa_t base)
{
    return !in_ram(base, AXVM_PAGE_SIZE) || frame_states[frame_of(base)] == FRAME_RESERVED;
}

static int region_claim_locked(hpa_t base, uint64_t size)
{
    size_t claimable = 0, unknown = 0, count = (size_t)(size >> AXVM_PAGE_SHIFT);

    if (!region_ok(base, size, "region_claim")) {
        return AXVM_ENOENT;
    }
    for (uint64_t offset = 0; offset < size; offset += AXVM_PAGE_SIZE) {
        claimable += frame_is_claimable(hpa(base.v + offset));
        unknown += frame_is_unknown(hpa(base.v + offset));
    }
    if (claimable < count) {
        return unknown == count ? AXVM_ENOENT : AXVM_EBUSY;
    }
    frames_take(frame_of(base), count, FRAME_CLAIMED);
    fake.claimed += count;
    return AXVM_OK;
}

static int host_region_claim(hpa_t base, uint64_t size)
{
    int error;

    pthread_mutex_lock(&lock);
    error = region_claim_locked(base, size);
    pthread_mutex_unlock(&lock);
    return error;
}

static void host_region_release(hpa_t base, uint64_t size)
{
    pthread_mutex_lock(&lock);
    if (!region_ok(base, size, "region_release")) {
    } else if (!in_ram(base, size) || !frames_are(frame_of(base), (size_t)(size >> AXVM_PAGE_SHIFT), FRAME_CLAIMED)) {
        misuse("region_release(%#llx, %#llx): not claimed", (unsigned long long)base.v, (unsigned long long)size);
    } else {
        frames_give(frame_of(base), (size_t)(size >> AXVM_PAGE_SHIFT));
        fake.claimed -= (size_t)(size >> AXVM_PAGE_SHIFT);
    }
    pthread_mutex_unlock(&lock);
}

static void *host_hpa_to_hva(hpa_t addr)
{
    if (!in_ram(addr, 1)) {
        return NULL;
    }
    if (frame_states[frame_of(addr)] == FRAME_FREE) {
        misuse("hpa_to_hva(%#llx): a free frame", (unsigned long long)addr.v);
    }
    return ram + (addr.v - FAKE_RAM_BASE);
}

static hpa_t host_hva_to_hpa(const void *addr)
{
    uintptr_t offset = (uintptr_t)addr - (uintptr_t)ram;

    if (offset >= ram_size || frame_states[offset >> AXVM_PAGE_SHIFT] == FRAME_FREE) {
        misuse("hva_to_hpa(%p): no memory of the host's", addr);
    }
    return hpa(FAKE_RAM_BASE + offset);
}

void fake_hal_set_ram(uint64_t size)
{
    if (size > RAM_MAX || (size & (AXVM_PAGE_SIZE - 1)) != 0 || fake.used + fake.claimed != 0) {
        misuse("fake_hal_set_ram(%#llx)", (unsigned long long)size);
        return;
    }
    if (size > ram_size) {
        ASAN_POISON_MEMORY_REGION(ram + ram_size, size - ram_size);
    }
    ram_size = size;
}

size_t fake_hal_frames_used(void)
{
    return fake.used;
}

size_t fake_hal_frames_claimed(void)
{
    return fake.claimed;
}

size_t fake_hal_allocations(void)
{
    return fake.allocations;
}

unsigned fake_hal_max_order(void)
{
    return fake.max_order;
}

void fake_hal_fail_allocation(size_t n)
{
    fake.fail_in = n;
    fake.failed = false;
}

bool fake_hal_allocation_failed(void)
{
    return fake.failed;
}

void fake_hal_fail_orders_from(unsigned order)
{
    fake.fail_orders_from = order;
}

void fake_hal_reserve(hpa_t base, uint64_t size)
{
    if (!region_ok(base, size, "fake_hal_reserve") || !in_ram(base, size) ||
        !frames_are(frame_of(base), (size_t)(size >> AXVM_PAGE_SHIFT), FRAME_FREE)) {
        misuse("fake_hal_reserve(%#llx, %#llx)", (unsigned long long)base.v, (unsigned long long)size);
        return;
    }
    frames_take(frame_of(base), (size_t)(size >> AXVM_PAGE_SHIFT), FRAME_RESERVED);
}

void *fake_hal_peek(hpa_t addr)
{
    return in_ram(addr, 1) ? ram + (addr.v - FAKE_RAM_BASE) : NULL;
}

/* ---- Time and pCPUs ---------------------------------------------------------------------------------------------- */

static uint64_t host_ticks(void)
{
    return fake.ticks;
}

static bool timer_unlink(struct axvm_timer *timer)
{
    for (unsigned pcpu = 0; pcpu < PCPUS; pcpu++) {
        for (struct axvm_timer **link = &fake.timers[pcpu]; *link != NULL; link = &(*link)->next) {
            if (*link == timer) {
                *link = timer->next;
                timer->next = NULL;
                timer->armed = false;
                return true;
            }
        }
    }
    return false;
}

static void host_timer_arm(struct axvm_timer *timer)
{
    struct axvm_timer **link = &fake.timers[current_pcpu];

    pthread_mutex_lock(&lock);
    if (timer->armed && !timer_unlink(timer)) {
        misuse("timer_arm: `armed` is set, but it isn't");
    }
    while (*link != NULL && (*link)->deadline <= timer->deadline) {
        link = &(*link)->next;
    }
    timer->next = *link;
    timer->armed = true;
    *link = timer;
    pthread_mutex_unlock(&lock);
}

static void host_timer_cancel(struct axvm_timer *timer)
{
    pthread_mutex_lock(&lock);
    if (timer->armed && !timer_unlink(timer)) {
        misuse("timer_cancel: `armed` is set, but it isn't");
    }
    pthread_mutex_unlock(&lock);
}

void fake_hal_set_pcpu(unsigned pcpu)
{
    if (pcpu >= PCPUS) {
        misuse("fake_hal_set_pcpu(%u)", pcpu);
        return;
    }
    current_pcpu = pcpu;
}

void fake_hal_set_ticks(uint64_t ticks)
{
    fake.ticks = ticks;
}

/* The pCPU whose first timer is due first, by `until`; PCPUS: none. */
static unsigned next_due(uint64_t until)
{
    unsigned first = PCPUS;

    for (unsigned pcpu = 0; pcpu < PCPUS; pcpu++) {
        uint64_t deadline = fake_hal_next_deadline(pcpu);

        if (fake.timers[pcpu] != NULL && deadline <= until) {
            first = pcpu;
            until = deadline == 0 ? 0 : deadline - 1;
        }
    }
    return first;
}

void fake_hal_advance(uint64_t ticks)
{
    uint64_t until = fake.ticks + ticks;
    unsigned before = current_pcpu;

    for (unsigned pcpu = next_due(until); pcpu < PCPUS; pcpu = next_due(until)) {
        struct axvm_timer *timer = fake.timers[pcpu];

        fake.ticks = timer->deadline > fake.ticks ? timer->deadline : fake.ticks;
        timer_unlink(timer);
        current_pcpu = pcpu;
        timer->fire(timer);
    }
    current_pcpu = before;
    fake.ticks = until;
}

unsigned fake_hal_timers(unsigned pcpu)
{
    unsigned count = 0;

    for (const struct axvm_timer *timer = fake.timers[pcpu]; timer != NULL; timer = timer->next) {
        count++;
    }
    return count;
}

uint64_t fake_hal_next_deadline(unsigned pcpu)
{
    return fake.timers[pcpu] != NULL ? fake.timers[pcpu]->deadline : UINT64_MAX;
}

static unsigned host_pcpu_id(void)
{
    return current_pcpu;
}

/* ---- What the library tells the host ----------------------------------------------------------------------------- */

static void host_vcpu_kick(uint32_t vm_id, uint32_t vcpu_id)
{
    pthread_mutex_lock(&lock);
    if (fake.kick_count == MAX_KICKS) {
        misuse("more than %u kicks", MAX_KICKS);
    } else {
        fake.kicks[fake.kick_count++] = (struct fake_kick){vm_id, vcpu_id};
    }
    pthread_mutex_unlock(&lock);
    if (fake.on_kick != NULL) {
        fake.on_kick(vm_id, vcpu_id);
    }
}

size_t fake_hal_kicks(void)
{
    return fake.kick_count;
}

struct fake_kick fake_hal_kick(size_t index)
{
    if (index >= fake.kick_count) {
        misuse("fake_hal_kick(%zu) of %zu", index, fake.kick_count);
        return (struct fake_kick){UINT32_MAX, UINT32_MAX};
    }
    return fake.kicks[index];
}

size_t fake_hal_kicks_of(uint32_t vm_id, uint32_t vcpu_id)
{
    size_t count = 0;

    for (size_t i = 0; i < fake.kick_count; i++) {
        count += fake.kicks[i].vm_id == vm_id && fake.kicks[i].vcpu_id == vcpu_id;
    }
    return count;
}

void fake_hal_on_kick(void (*callback)(uint32_t vm_id, uint32_t vcpu_id))
{
    fake.on_kick = callback;
}

void fake_hal_push_irq(enum axvm_irq_result result, uint32_t irq)
{
    if (fake.irq_last == MAX_IRQS) {
        misuse("more than %u interrupts pushed", MAX_IRQS);
        return;
    }
    fake.irqs[fake.irq_last++] = (struct pending_irq){result, irq};
}

static enum axvm_irq_result host_irq_handle(uint32_t *irq)
{
    if (fake.irq_first == fake.irq_last) {
        return AXVM_IRQ_NONE;
    }
    *irq = fake.irqs[fake.irq_first].irq;
    return fake.irqs[fake.irq_first++].result;
}

static void host_irq_set_active(uint32_t irq, bool active)
{
    if (irq >= 32) {
        misuse("irq_set_active(%u): not a private interrupt", irq);
    } else if (active) {
        fake.active[current_pcpu] |= UINT32_C(1) << irq;
    } else {
        fake.active[current_pcpu] &= ~(UINT32_C(1) << irq);
    }
}

bool fake_hal_irq_active(unsigned pcpu, uint32_t irq)
{
    return irq < 32 && (fake.active[pcpu] >> irq & 1) != 0;
}

/* That VM's console; with `make`, a new one if it has none yet. */
static struct console *console_of(uint32_t vm_id, bool make)
{
    for (size_t i = 0; i < MAX_CONSOLES; i++) {
        if (fake.consoles[i].text != NULL && fake.consoles[i].vm_id == vm_id) {
            return &fake.consoles[i];
        }
    }
    for (size_t i = 0; make && i < MAX_CONSOLES; i++) {
        if (fake.consoles[i].text == NULL) {
            fake.consoles[i].vm_id = vm_id;
            return &fake.consoles[i];
        }
    }
    return NULL;
}

static void host_console_write(uint32_t vm_id, const char *bytes, size_t size)
{
    struct console *console;

    pthread_mutex_lock(&lock);
    console = console_of(vm_id, true);
    if (console == NULL) {
        misuse("more than %u consoles", MAX_CONSOLES);
    } else {
        console->text = realloc(console->text, console->size + size + 1);
        memcpy(console->text + console->size, bytes, size);
        console->size += size;
        console->text[console->size] = '\0';
    }
    pthread_mutex_unlock(&lock);
}

const char *fake_hal_console(uint32_t vm_id)
{
    const struct console *console = console_of(vm_id, false);

    return console != NULL ? console->text : "";
}

static void host_log(enum axvm_log_level level, const char *line)
{
    const char *echo = getenv("AXVM_LOG");

    pthread_mutex_lock(&lock);
    if (echo != NULL && *echo == '1') {
        fprintf(stderr, "log %d: %s\n", (int)level, line);
    }
    if (strchr(line, '\n') != NULL) {
        misuse("a log line with a newline: %s", line);
    }
    if (fake.log_count < MAX_LOG_LINES) {
        fake.logs[fake.log_count++] = (struct log_entry){level, strdup(line)};
    }
    pthread_mutex_unlock(&lock);
}

bool fake_hal_logged(const char *text)
{
    for (size_t i = 0; i < fake.log_count; i++) {
        if (strstr(fake.logs[i].line, text) != NULL) {
            return true;
        }
    }
    return false;
}

size_t fake_hal_log_lines(enum axvm_log_level level)
{
    size_t count = 0;

    for (size_t i = 0; i < fake.log_count; i++) {
        count += fake.logs[i].level == level;
    }
    return count;
}

void fake_hal_forget(void)
{
    pthread_mutex_lock(&lock);
    fake.kick_count = 0;
    for (size_t i = 0; i < MAX_CONSOLES; i++) {
        free(fake.consoles[i].text);
        fake.consoles[i] = (struct console){0};
    }
    for (size_t i = 0; i < fake.log_count; i++) {
        free(fake.logs[i].line);
    }
    fake.log_count = 0;
    pthread_mutex_unlock(&lock);
}

/* ---- Beginning and end of a test --------------------------------------------------------------------------------- */

unsigned fake_hal_faults(void)
{
    unsigned faults = fake.misuses;

    if (fake.used != 0 || fake.claimed != 0) {
        fprintf(stderr, "fake host: %zu frames leaked, %zu frames of regions not released\n", fake.used, fake.claimed);
        faults++;
    }
    for (unsigned pcpu = 0; pcpu < PCPUS; pcpu++) {
        if (fake.timers[pcpu] != NULL) {
            fprintf(stderr, "fake host: %u timers still armed on pCPU %u\n", fake_hal_timers(pcpu), pcpu);
            faults++;
        }
    }
    return faults;
}

static void ram_make(void)
{
    ram = mmap(NULL, RAM_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    frame_states = calloc(RAM_MAX >> AXVM_PAGE_SHIFT, 1);
    if (ram == MAP_FAILED || frame_states == NULL) {
        perror("fake host: no memory");
        abort();
    }
    ram_size = FAKE_RAM_SIZE;
    ASAN_POISON_MEMORY_REGION(ram, ram_size);
}

void fake_hal_reset(void)
{
    if (ram == NULL) {
        ram_make();
    }
    for (size_t i = 0; i < frame_count(); i++) {
        if (frame_states[i] != FRAME_FREE) {
            frames_give(i, 1);
        }
    }
    fake_hal_forget();
    memset(&fake, 0, sizeof fake);
    fake.fail_orders_from = UINT32_MAX;
    fake_hal_set_ram(FAKE_RAM_SIZE);
    current_pcpu = 0;
}

int fake_hal_setup(void **state)
{
    (void)state;
    fake_hal_reset();
    hal = &fake_hal;
    return 0;
}

int fake_hal_teardown(void **state)
{
    (void)state;
    return fake_hal_faults() == 0 ? 0 : -1;
}

static uint64_t host_wall_clock(void)
{
    return FAKE_WALL_CLOCK;
}

const struct axvm_hal fake_hal = {
    .frames_alloc = host_frames_alloc,
    .frames_free = host_frames_free,
    .region_claim = host_region_claim,
    .region_release = host_region_release,
    .hpa_to_hva = host_hpa_to_hva,
    .hva_to_hpa = host_hva_to_hpa,
    .ticks = host_ticks,
    .tick_hz = FAKE_TICK_HZ,
    .wall_clock = host_wall_clock,
    .timer_arm = host_timer_arm,
    .timer_cancel = host_timer_cancel,
    .pcpu_id = host_pcpu_id,
    .pcpu_count = PCPUS,
    .vcpu_kick = host_vcpu_kick,
    .irq_handle = host_irq_handle,
    .irq_set_active = host_irq_set_active,
    .console_write = host_console_write,
    .log = host_log,
};
