/* SPDX-License-Identifier: Apache-2.0 */
#include "files.h"

#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

static bool read_whole(int fd, char *data, size_t size)
{
    size_t done = 0;

    while (done < size) {
        ssize_t got = read(fd, data + done, size - done);

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            errno = got ? errno : EIO; /* it has become shorter */
            return false;
        }
        done += (size_t)got;
    }
    return true;
}

static char *read_open(int fd, const char *path, uint64_t max, size_t *size, char **why)
{
    struct stat status;
    char *data;

    if (fstat(fd, &status)) {
        *why = xprintf("cannot read %s: %s", path, strerror(errno));
        return NULL;
    }
    if (!S_ISREG(status.st_mode)) {
        *why = xprintf("cannot read %s: not a regular file", path);
        return NULL;
    }
    if ((uint64_t)status.st_size > max) {
        *why = xprintf("cannot read %s: its %lld bytes are more than %llu", path, (long long)status.st_size,
                       (unsigned long long)max);
        return NULL;
    }
    *size = (size_t)status.st_size;
    data = xalloc(*size);
    if (!read_whole(fd, data, *size)) {
        *why = xprintf("cannot read %s: %s", path, strerror(errno));
        free(data);
        return NULL;
    }
    return data;
}

char *file_read(const char *path, uint64_t max, size_t *size, char **why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* NONBLOCK: a FIFO must not keep us waiting */
    char *data;

    if (fd < 0) {
        *why = xprintf("cannot open %s: %s", path, strerror(errno));
        return NULL;
    }
    data = read_open(fd, path, max, size, why);
    close(fd);
    return data;
}

bool fd_write(int fd, const void *data, size_t size)
{
    const char *at = data;

    while (size) {
        ssize_t put = write(fd, at, size);

        if (put < 0 && errno != EINTR) {
            return false;
        }
        if (put > 0) {
            at += put;
            size -= (size_t)put;
        }
    }
    return true;
}

char *path_beside(const char *from, const char *path)
{
    const char *slash = strrchr(from, '/');

    if (*path == '/' || !slash) {
        return xprintf("%s", path);
    }
    return xprintf("%.*s/%s", (int)(slash - from), from, path);
}

bool is_gzip(const void *data, size_t size)
{
    return size > 18 && !memcmp(data, "\x1f\x8b\x08", 3);
}

/* One call's worth of input and output: zlib counts both in 32 bits. */
static uInt portion(uint64_t left)
{
    return (uInt)(left < (1U << 30) ? left : 1U << 30);
}

/* *done: bytes that there are. A file may have several members, one behind the other (RFC 1952, 2.2). */
static int inflate_some(z_stream *stream, const uint8_t *end, char **to, size_t *done, size_t *room, uint64_t max)
{
    int result;

    if (*done == *room) {
        if (*room >= max) {
            return Z_MEM_ERROR;
        }
        *room = *room * 2 < max ? *room * 2 : (size_t)max;
        *to = xrealloc(*to, *room);
    }
    stream->next_out = (Bytef *)*to + *done;
    stream->avail_out = portion(*room - *done);
    stream->avail_in = portion((uint64_t)(end - stream->next_in));
    result = inflate(stream, Z_NO_FLUSH);
    *done = (size_t)(stream->next_out - (Bytef *)*to);
    return result == Z_STREAM_END && is_gzip(stream->next_in, (size_t)(end - stream->next_in)) ? inflateReset(stream)
                                                                                               : result;
}

char *gunzip(const void *data, size_t size, uint64_t max, size_t *unpacked, char **why)
{
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)data};
    const uint8_t *end = (const uint8_t *)data + size;
    size_t room = (size_t)(max < (1U << 20) ? max : 1U << 20);
    char *to = xalloc(room);
    int result = inflateInit2(&stream, 16 + MAX_WBITS);

    *unpacked = 0;
    while (result == Z_OK) {
        result = inflate_some(&stream, end, &to, unpacked, &room, max);
    }
    if (result != Z_STREAM_END) {
        *why = result == Z_MEM_ERROR   ? xprintf("it unpacks to more than %llu bytes", (unsigned long long)max)
               : result == Z_BUF_ERROR ? xprintf("its gzip data is truncated")
                                       : xprintf("its gzip data is damaged: %s", stream.msg ? stream.msg : "no gzip");
        free(to);
        to = NULL;
    }
    inflateEnd(&stream);
    return to;
}
