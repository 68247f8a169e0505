/* SPDX-License-Identifier: Apache-2.0 */
#include "command.h"
#include "core/bundle.h"
#include "files.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#define HEAD_MAX MIB(64)

static struct bundle_source *make_sources(const struct vm_file *files, unsigned count)
{
    struct bundle_source *sources = xalloc(count * sizeof(*sources));

    for (unsigned i = 0; i < count; i++) {
        sources[i].config = &files[i].config;
        for (unsigned kind = 0; kind < AXVM_IMAGE_COUNT; kind++) {
            const struct image *image = &files[i].images[kind];

            sources[i].images[kind] = (struct bundle_image){
                .data = image->data,
                .size = image->size,
                .file = vmfile_image_path(&files[i].config, kind),
                .crc32 = (uint32_t)crc32_z(0, image->data, image->size),
            };
        }
    }
    return sources;
}

/* The head in the smallest buffer that holds it; NULL: the configuration is too large. */
static void *make_head(const char *arch, const struct bundle_source *sources, unsigned count, size_t *size,
                       uint64_t *total)
{
    for (*size = AXVM_PAGE_SIZE; *size <= HEAD_MAX; *size *= 2) {
        void *head = aligned_alloc(AXVM_PAGE_SIZE, *size);

        if (head && !bundle_write_head(head, *size, arch, sources, count, total)) {
            return head;
        }
        free(head);
    }
    return NULL;
}

static bool write_padding(int fd, uint64_t written)
{
    static const char zeroes[AXVM_PAGE_SIZE];

    return fd_write(fd, zeroes, (size_t)(-written % AXVM_PAGE_SIZE));
}

static bool write_images(int fd, const struct bundle_source *source, uint64_t *written)
{
    for (unsigned kind = 0; kind < AXVM_IMAGE_COUNT; kind++) {
        const struct bundle_image *image = &source->images[kind];

        if (image->data) {
            if (!write_padding(fd, *written) || !fd_write(fd, image->data, image->size)) {
                return false;
            }
            *written = (*written + AXVM_PAGE_SIZE - 1) / AXVM_PAGE_SIZE * AXVM_PAGE_SIZE + image->size;
        }
    }
    return true;
}

bool bundle_write(int fd, const struct vm_file *files, unsigned count)
{
    struct bundle_source *sources = make_sources(files, count);
    uint64_t total, written;
    size_t size;
    void *head;
    bool ok;

    if (count > BUNDLE_MAX_VMS) {
        complain("%u VMs are more than %u", count, BUNDLE_MAX_VMS);
        return false;
    }
    head = make_head(files[0].target->platform->arch, sources, count, &size, &total);
    if (!head) {
        complain("the configurations are too large for a bundle");
        return false;
    }
    ok = fd_write(fd, head, size);
    written = size;
    for (unsigned i = 0; i < count && ok; i++) {
        ok = write_images(fd, &sources[i], &written);
    }
    if (!ok) {
        complain("cannot write the bundle: %s", strerror(errno));
    }
    return ok;
}

/* Under another name first: whoever reads BUNDLE finds the old one or the new one, never half of it. */
int command_pack(const struct options *options)
{
    struct vm_file *files =
        vmfiles_check(options->files, options->file_count, options->target, &options->machine);
    char *draft;
    bool ok;
    int fd;

    if (!files) {
        return STATUS_WRONG;
    }
    draft = xprintf("%s.%ld", options->output, (long)getpid());
    fd = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) {
        complain("cannot write %s: %s", draft, strerror(errno));
        return STATUS_WRONG;
    }
    ok = bundle_write(fd, files, options->file_count);
    if (close(fd) || (ok && rename(draft, options->output))) {
        complain("cannot write %s: %s", options->output, strerror(errno));
        ok = false;
    }
    if (!ok) {
        unlink(draft);
    }
    return ok ? STATUS_OK : STATUS_WRONG;
}
