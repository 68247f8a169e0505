/* SPDX-License-Identifier: Apache-2.0 */
/*
 * C17 7.24, what the library and libfdt use of it, for the hypervisor image. Native builds use the C library's.
 *
 * The macros hand calls to the compiler, which expands short constant sizes in place; -ffreestanding alone would make
 * each of them a call. memcpy, memset, memmove and memcmp keep to naturally aligned accesses, so they also work with
 * the MMU off; they are not for device memory.
 */
#ifndef AXVM_FREESTANDING_STRING_H
#define AXVM_FREESTANDING_STRING_H

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);
int memcmp(const void *a, const void *b, size_t size);
void *memchr(const void *in, int byte, size_t size);

size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t max);
char *strchr(const char *s, int c);
char *strrchr(const char *s, int c);

#define memcpy(to, from, size) __builtin_memcpy(to, from, size)
#define memmove(to, from, size) __builtin_memmove(to, from, size)
#define memset(to, byte, size) __builtin_memset(to, byte, size)
#define memcmp(a, b, size) __builtin_memcmp(a, b, size)
#define strlen(s) __builtin_strlen(s)
#define strcmp(a, b) __builtin_strcmp(a, b)

#endif
