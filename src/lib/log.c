/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/log.h"

#include "lib/host.h"
#include <stdarg.h>
#include <stdio.h>

__attribute__((format(printf, 2, 0)))
static void log_line_va(enum axvm_log_level level, const char *format, va_list args)
{
    char line[LOG_LINE_MAX];

    if (hal == NULL) {
        return;
    }
    vsnprintf(line, sizeof(line), format, args);
    hal->log(level, line);
}

void log_line(enum axvm_log_level level, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    log_line_va(level, format, args);
    va_end(args);
}

/* Each line takes its part of a second, and they may come so much ahead of time as all of a burst take. */
static bool may_log(struct log_limit *limit)
{
    uint64_t line = hal->tick_hz / LOG_A_SECOND, now = hal->ticks(), used = atomic_load(&limit->used), from;

    do {
        from = used > now ? used : now;
        if (from - now > line * (LOG_BURST - 1)) {
            atomic_fetch_add(&limit->left_out, 1);
            return false;
        }
    } while (!atomic_compare_exchange_weak(&limit->used, &used, from + line));
    return true;
}

void log_limited(struct log_limit *limit, enum axvm_log_level level, const char *format, ...)
{
    uint32_t left_out;
    va_list args;

    if (hal == NULL || !may_log(limit)) {
        return;
    }
    left_out = atomic_exchange(&limit->left_out, 0);
    if (left_out != 0) {
        log_line(level, "%u lines like the next are left out", left_out);
    }
    va_start(args, format);
    log_line_va(level, format, args);
    va_end(args);
}

int fail(int error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    log_line_va(AXVM_LOG_ERROR, format, args);
    va_end(args);
    return error;
}
