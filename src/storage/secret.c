/* SPDX-License-Identifier: MIT */
#include "storage/secret.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int secret_check(const char *path, const char *what, struct error *err)
{
	struct stat st;

	if (stat(path, &st))
		return error_set(err, -errno, "cannot look at %s, %s", what, path);
	if (!S_ISREG(st.st_mode))
		return error_set(err, -EINVAL, "%s, %s, is no regular file.", what, path);
	if (st.st_mode & (S_IRWXG | S_IRWXO))
		return error_set(err, -EACCES,
				 "others may read %s, %s; take that from them with: chmod 600 %s.",
				 what, path, path);
	return 0;
}

static int hex_value(char c)
{
	const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c | 0x20) : NULL;

	return at ? (int)(at - digits) : -1;
}

static char *decode(const char *from, size_t n)
{
	char *text = malloc(n + 1), *to = text;

	for (size_t i = 0; text && i < n; i++) {
		if (from[i] == '%' && i + 2 < n && hex_value(from[i + 1]) >= 0 &&
		    hex_value(from[i + 2]) >= 0) {
			*to++ = (char)(hex_value(from[i + 1]) << 4 | hex_value(from[i + 2]));
			i += 2;
		} else {
			*to++ = from[i];
		}
	}
	if (text)
		*to = '\0';
	return text;
}

char *uri_query(const char *uri, const char *name)
{
	const char *at = strchr(uri, '?');
	size_t n = strlen(name);

	while (at) {
		size_t len;

		at++;
		len = strcspn(at, "&;#");
		if (len > n && !strncmp(at, name, n) && at[n] == '=')
			return decode(at + n + 1, len - n - 1);
		at = at[len] && at[len] != '#' ? at + len : NULL;
	}
	return NULL;
}
