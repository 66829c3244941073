/* SPDX-License-Identifier: MIT */
#include "storage/nbd_lib.h"

#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>

int nbd_lib_load(struct nbd_lib *lib, struct error *err)
{
	void *library = dlopen("libnbd.so.0", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	const char *missing = NULL;

	if (!library)
		return error_set(err, -ENOENT, "NBD needs libnbd.so.0; install libnbd0 (%s)",
				 dlerror());
#define NBD_LOAD(call)                                       \
	if (!(*(void **)&lib->call = dlsym(library, #call))) \
		missing = #call;
	NBD_CALLS(NBD_LOAD)
	if (missing)
		return error_set(err, -ENOENT, "libnbd here is too old: it has no %s", missing);
	return 0;
}
