/* SPDX-License-Identifier: MIT */
/*
 * librbd and librados, loaded when the first Ceph image is opened: they bring some fifty megabytes
 * of libraries, which a program without such a disk does not want at its start.  The build needs
 * their headers alone.  Once loaded they stay, as they have threads.
 *
 * Threads: any.
 */
#ifndef STORAGE_RBD_LIB_H
#define STORAGE_RBD_LIB_H

#include "base/error.h"

#include <rados/librados.h>
#include <rbd/librbd.h>

#define RADOS_CALLS(X)                  \
	X(rados_create2)                \
	X(rados_conf_read_file)         \
	X(rados_conf_set)               \
	X(rados_connect)                \
	X(rados_shutdown)               \
	X(rados_ioctx_create)           \
	X(rados_ioctx_destroy)          \
	X(rados_aio_create_completion2) \
	X(rados_aio_get_return_value)   \
	X(rados_aio_release)            \
	X(rados_aio_stat)               \
	X(rados_ioctx_set_namespace)

#define RBD_CALLS(X)                     \
	X(rbd_open)                      \
	X(rbd_open_read_only)            \
	X(rbd_close)                     \
	X(rbd_get_size)                  \
	X(rbd_get_features)              \
	X(rbd_update_watch)              \
	X(rbd_update_unwatch)            \
	X(rbd_lock_acquire)              \
	X(rbd_lock_get_owners)           \
	X(rbd_lock_get_owners_cleanup)   \
	X(rbd_config_image_list)         \
	X(rbd_config_image_list_cleanup) \
	X(rbd_aio_create_completion)     \
	X(rbd_aio_get_return_value)      \
	X(rbd_aio_release)               \
	X(rbd_aio_read)                  \
	X(rbd_aio_write)                 \
	X(rbd_aio_discard)               \
	X(rbd_aio_write_zeroes)          \
	X(rbd_aio_flush)

struct rbd_lib {
#define RBD_LIB_FIELD(call) __typeof__(call) *call;
	RADOS_CALLS(RBD_LIB_FIELD)
	RBD_CALLS(RBD_LIB_FIELD)
#undef RBD_LIB_FIELD
};

int rbd_lib_load(struct rbd_lib *lib, struct error *err);

#endif
