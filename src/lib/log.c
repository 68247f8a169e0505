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

int fail(int error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    log_line_va(AXVM_LOG_ERROR, format, args);
    va_end(args);
    return error;
}
