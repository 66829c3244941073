/* SPDX-License-Identifier: MIT */
#include "base/library.h"

#include <dlfcn.h>
#include <errno.h>

int library_load(const struct library *l, const struct library_call *list, size_t n, void *calls,
		 struct error *err)
{
	void *library = dlopen(l->file, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);

	if (!library)
		return error_set(err, -ENOENT, "%s %s; install %s (%s).", l->needs, l->file,
				 l->package, dlerror());
	for (size_t i = 0; i < n; i++) {
		void **at = (void **)(void *)((char *)calls + list[i].at);

		*at = dlsym(library, list[i].name);
		if (!*at)
			return error_set(err, -ENOENT, "%s here is too old: it has no %s.", l->file,
					 list[i].name);
	}
	return 0;
}
