/* SPDX-License-Identifier: Apache-2.0 */
/*
 * C17 7.21.6 for the hypervisor image, as far as integers and text go: conversions d i u o x X c s p %, flags - 0 # +
 * space, width and precision (also *), lengths hh h l ll j z t. Any other directive is printed as it stands.
 * Both return the length that the whole text has, as C says; -1 when that exceeds INT_MAX.
 */
#ifndef AXVM_FREESTANDING_STDIO_H
#define AXVM_FREESTANDING_STDIO_H

#include <stdarg.h>
#include <stddef.h>

__attribute__((format(printf, 3, 4))) int snprintf(char *restrict to, size_t size, const char *restrict format, ...);
__attribute__((format(printf, 3, 0))) int vsnprintf(char *restrict to, size_t size, const char *restrict format,
                                                    va_list args);

#endif
