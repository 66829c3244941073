/* SPDX-License-Identifier: MIT */
/*
 * libnbd, loaded when the first disk behind an NBD server is opened: a program without such a disk
 * wants neither it nor the TLS library that it brings, and a program that is linked statically cannot
 * have them.  The build needs its header alone.  Once loaded it stays.
 *
 * Threads: any.
 */
#ifndef STORAGE_NBD_LIB_H
#define STORAGE_NBD_LIB_H

#include "base/error.h"

#include <libnbd.h>

#define NBD_CALLS(X)              \
	X(nbd_aio_connect_socket) \
	X(nbd_aio_connect_uri)    \
	X(nbd_aio_disconnect)     \
	X(nbd_aio_flush)          \
	X(nbd_aio_get_direction)  \
	X(nbd_aio_get_fd)         \
	X(nbd_aio_is_closed)      \
	X(nbd_aio_is_dead)        \
	X(nbd_aio_is_ready)       \
	X(nbd_aio_notify_read)    \
	X(nbd_aio_notify_write)   \
	X(nbd_aio_pread)          \
	X(nbd_aio_pwrite)         \
	X(nbd_aio_trim)           \
	X(nbd_aio_zero)           \
	X(nbd_can_flush)          \
	X(nbd_can_fua)            \
	X(nbd_can_multi_conn)     \
	X(nbd_can_trim)           \
	X(nbd_can_zero)           \
	X(nbd_close)              \
	X(nbd_create)             \
	X(nbd_get_block_size)     \
	X(nbd_get_error)          \
	X(nbd_get_size)           \
	X(nbd_is_read_only)       \
	X(nbd_set_uri_allow_local_file)

struct nbd_lib {
#define NBD_LIB_FIELD(call) __typeof__(call) *call;
	NBD_CALLS(NBD_LIB_FIELD)
#undef NBD_LIB_FIELD
};

int nbd_lib_load(struct nbd_lib *lib, struct error *err);

#endif
