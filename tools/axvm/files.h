/* SPDX-License-Identifier: Apache-2.0 */
/* Files as a whole. */
#ifndef AXVM_TOOL_FILES_H
#define AXVM_TOOL_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The content of a regular file of at most `max` bytes, 8-byte aligned; NULL: *why says what is wrong. */
char *file_read(const char *path, uint64_t max, size_t *size, char **why);

/* Write all of it. false: errno says why. */
bool fd_write(int fd, const void *data, size_t size);

/* `path` as seen from the directory that `from` is in. */
char *path_beside(const char *from, const char *path);

/* Whether the data is what gzip writes, and what it unpacks to (at most `max` bytes; NULL: *why). */
bool is_gzip(const void *data, size_t size);
char *gunzip(const void *data, size_t size, uint64_t max, size_t *unpacked, char **why);

#endif
