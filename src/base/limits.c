/* SPDX-License-Identifier: MIT */
#include "base/limits.h"

#include "base/bits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define WHAT_MAX 200

/* ---- the limit ---- */

int limits_raise_files(struct limits_files *before)
{
	struct rlimit l;

	if (before)
		*before = (struct limits_files){0};
	if (getrlimit(RLIMIT_NOFILE, &l))
		return -errno;
	if (before)
		*before = (struct limits_files){.soft = l.rlim_cur, .hard = l.rlim_max};
	l.rlim_cur = l.rlim_max;
	return setrlimit(RLIMIT_NOFILE, &l) ? -errno : 0;
}

void limits_restore_files(const struct limits_files *before)
{
	const struct rlimit l = {.rlim_cur = before->soft, .rlim_max = before->hard};

	/* Who has no limit noted was not able to raise it either. */
	if (before->hard)
		(void)setrlimit(RLIMIT_NOFILE, &l);
}

uint64_t limits_files(void)
{
	struct rlimit l;

	return getrlimit(RLIMIT_NOFILE, &l) ? UINT64_MAX : l.rlim_cur;
}

bool limits_fd_is_reserve(int fd)
{
	uint64_t limit = limits_files();

	return fd >= 0 && (uint64_t)fd + min_u64(LIMITS_RESERVE, limit / 8) >= limit;
}

int limits_keep_standard_files(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		/* All below are open, so this is the number that open() gives. */
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0)
			return -errno;
	}
	return 0;
}

/* ---- what is said ---- */

bool limits_is_ours(int rc)
{
	return rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM || rc == -ENOBUFS ||
	       rc == -ETOOMANYREFS;
}

int limits_files_enough(uint64_t need, struct error *err, const char *what, ...)
{
	uint64_t limit = limits_files();
	char text[WHAT_MAX];
	va_list ap;

	if (need <= limit)
		return 0;
	va_start(ap, what);
	vsnprintf(text, sizeof(text), what, ap);
	va_end(ap);
	return error_set(err, -EMFILE,
			 "%s need %llu files; the limit is %llu (ulimit -n, LimitNOFILE=).", text,
			 (unsigned long long)need, (unsigned long long)limit);
}

const char *limits_reason(int rc, char *text, size_t size)
{
	switch (rc) {
	case -EMFILE:
		snprintf(text, size,
			 "too many open files: the limit is %llu (ulimit -n, LimitNOFILE=)",
			 (unsigned long long)limits_files());
		break;
	case -ENFILE:
		snprintf(text, size, "too many open files in the whole system (fs.file-max)");
		break;
	default:
		snprintf(text, size, "%s", strerror(-rc));
	}
	return text;
}
