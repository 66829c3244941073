/* SPDX-License-Identifier: MIT */
/*
 * Kernels in wrappings: a file that was compressed as a whole (vmlinuz.zst, vmlinux.gz), or an EFI
 * program that carries a compressed kernel (Linux' "zboot").
 *
 * Each library that unpacks is optional; without it its kernels are refused, with the name of what
 * is missing.  What comes out is bounded, as is the memory that unpacking takes.
 *
 * For the command; the library that is installed has none of it (struct pc_config, unpack).
 *
 * Threads: any.
 */
#ifndef BACKEND_MACHINE_UNPACK_H
#define BACKEND_MACHINE_UNPACK_H

#include "backend/machine/boot.h"

/* More than any kernel with its symbols. */
#define UNPACK_MAX (UINT64_C(512) << 20)

/*
 * Replaces what is packed by what is in it; leaves anything else alone.  -ENOEXEC: it is damaged or
 * cut off, or nothing here unpacks it; -EFBIG; -ENOMEM.
 */
int boot_unpack(struct boot_file *f, struct error *err);

/* ---- between the files: one for each library ---- */

/* What was unpacked so far. */
struct unpack_sink {
	uint8_t *data;
	size_t size, room;
	size_t max; /* it does not grow beyond */
};

/* Room for some more bytes: at sink->data + sink->size, up to sink->room.  -ENOMEM, -EFBIG. */
int unpack_grow(struct unpack_sink *sink);

/*
 * All of the @n bytes at @from, but for what stands behind the end of the packed data.  0, or
 * -EBADMSG: damaged; -ENODATA: cut off; or an error of unpack_grow().
 */
int unpack_zstd(struct unpack_sink *sink, const uint8_t *from, size_t n);
int unpack_gzip(struct unpack_sink *sink, const uint8_t *from, size_t n);
int unpack_lzma(struct unpack_sink *sink, const uint8_t *from, size_t n);
int unpack_lz4(struct unpack_sink *sink, const uint8_t *from, size_t n);

#endif
