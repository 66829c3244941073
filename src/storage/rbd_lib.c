/* SPDX-License-Identifier: MIT */
#include "storage/rbd_lib.h"

#include <dlfcn.h>
#include <errno.h>

static void *open_library(const char *name, const char *package, struct error *err)
{
	void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);

	if (!library)
		error_set(err, -ENOENT, "Ceph images need %s; install %s (%s).", name, package,
			  dlerror());
	return library;
}

int rbd_lib_load(struct rbd_lib *lib, struct error *err)
{
	void *rados = open_library("librados.so.2", "librados2", err);
	void *rbd = rados ? open_library("librbd.so.1", "librbd1", err) : NULL;
	const char *missing = NULL;

	if (!rbd)
		return -ENOENT;
#define RADOS_LOAD(call)                                   \
	if (!(*(void **)&lib->call = dlsym(rados, #call))) \
		missing = #call;
#define RBD_LOAD(call)                                   \
	if (!(*(void **)&lib->call = dlsym(rbd, #call))) \
		missing = #call;
	RADOS_CALLS(RADOS_LOAD)
	RBD_CALLS(RBD_LOAD)
	if (missing)
		return error_set(err, -ENOENT, "librbd here is too old: it has no %s.", missing);
	return 0;
}
