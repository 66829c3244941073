/* SPDX-License-Identifier: MIT */
#include "storage/nbd_lib.h"

#include "base/bits.h"
#include "base/library.h"

int nbd_lib_load(struct nbd_lib *lib, struct error *err)
{
	static const struct library libnbd = {"libnbd.so.0", "libnbd0", "NBD needs"};
	static const struct library_call calls[] = {
#define NBD_CALL(call) LIBRARY_CALL(struct nbd_lib, call)
		NBD_CALLS(NBD_CALL)};

	return library_load(&libnbd, calls, ARRAY_SIZE(calls), lib, err);
}
