/* SPDX-License-Identifier: MIT */
#include "storage/rbd_lib.h"

#include "base/bits.h"
#include "base/library.h"

#define RBD_LIB_CALL(call) LIBRARY_CALL(struct rbd_lib, call)

int rbd_lib_load(struct rbd_lib *lib, struct error *err)
{
	static const struct library librados = {"librados.so.2", "librados2", "Ceph images need"};
	static const struct library librbd = {"librbd.so.1", "librbd1", "Ceph images need"};
	static const struct library_call rados_calls[] = {RADOS_CALLS(RBD_LIB_CALL)};
	static const struct library_call rbd_calls[] = {RBD_CALLS(RBD_LIB_CALL)};
	int rc = library_load(&librados, rados_calls, ARRAY_SIZE(rados_calls), lib, err);

	return rc ? rc : library_load(&librbd, rbd_calls, ARRAY_SIZE(rbd_calls), lib, err);
}
