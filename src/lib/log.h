/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line of the host's log. Text without newline; longer than LOG_LINE_MAX is cut. printf's format language as far as
 * src/lib/printf.c has it (all integer conversions with width, precision, - 0 # + space, ll l h hh z j t; s c p %).
 */
#ifndef AXVM_LIB_LOG_H
#define AXVM_LIB_LOG_H

#include "lib/log_limit.h"
#include <axvm/hal.h>

#define LOG_LINE_MAX 256

__attribute__((format(printf, 2, 3))) void log_line(enum axvm_log_level level, const char *format, ...);

#define log_error(...) log_line(AXVM_LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_line(AXVM_LOG_WARN, __VA_ARGS__)
#define log_info(...) log_line(AXVM_LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(AXVM_LOG_DEBUG, __VA_ARGS__)

/* The same for lines that a guest can cause again and again. */
__attribute__((format(printf, 3, 4))) void log_limited(struct log_limit *limit, enum axvm_log_level level,
                                                       const char *format, ...);

/*
 * Log why, where an error begins, and return it: `return fail(AXVM_EINVAL, "...")`. Callers up the stack just pass it
 * on.
 */
__attribute__((format(printf, 2, 3))) int fail(int error, const char *format, ...);

#endif
