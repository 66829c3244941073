/* SPDX-License-Identifier: MIT */
#include "bench/peer.h"

#include "base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static uint64_t timeval_ns(struct timeval tv)
{
	return (uint64_t)tv.tv_sec * NSEC_PER_SEC + (uint64_t)tv.tv_usec * NSEC_PER_USEC;
}

void cpu_use_thread(struct cpu_use *u)
{
	struct timespec ts = {0};
	struct rusage r = {0};

	getrusage(RUSAGE_THREAD, &r);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	*u = (struct cpu_use){
		.user_ns = timeval_ns(r.ru_utime),
		.system_ns = timeval_ns(r.ru_stime),
		.total_ns = (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec,
		.voluntary = (uint64_t)r.ru_nvcsw,
		.involuntary = (uint64_t)r.ru_nivcsw,
	};
}

/* Bytes read, the text ends in NUL; -errno. */
static ssize_t read_at(int dir, const char *thread, const char *name, char *buf, size_t size)
{
	char path[300];
	ssize_t n;
	int fd, rc;

	snprintf(path, sizeof(path), "%s/%s", thread, name);
	fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, buf, size - 1);
	rc = -errno;
	close(fd);
	if (n < 0)
		return rc;
	buf[n] = '\0';
	return n;
}

static uint64_t field(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

static void add_thread(int dir, const char *thread, struct cpu_use *u)
{
	const uint64_t tick = NSEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK);
	unsigned long long user = 0, system = 0, ran = 0;
	const char *at;
	char buf[4096];

	if (read_at(dir, thread, "stat", buf, sizeof(buf)) > 0) {
		at = strrchr(buf, ')'); /* the name before it can hold anything */
		if (at && sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu",
				 &user, &system) != 2)
			user = system = 0;
	}
	u->user_ns += user * tick;
	u->system_ns += system * tick;
	if (read_at(dir, thread, "schedstat", buf, sizeof(buf)) > 0 &&
	    sscanf(buf, "%llu", &ran) == 1)
		u->total_ns += ran;
	else
		u->total_ns += (user + system) * tick;
	if (read_at(dir, thread, "status", buf, sizeof(buf)) > 0) {
		u->voluntary += field(buf, "\nvoluntary_ctxt_switches:");
		u->involuntary += field(buf, "\nnonvoluntary_ctxt_switches:");
	}
}

int cpu_use_process(pid_t pid, struct cpu_use *u, struct error *err)
{
	struct dirent *entry;
	char path[64];
	DIR *dir;

	*u = (struct cpu_use){0};
	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	if (!dir)
		return error_set(err, -errno, "cannot look at process %d", (int)pid);
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] != '.')
			add_thread(dirfd(dir), entry->d_name, u);
	}
	closedir(dir);
	return 0;
}

static uint64_t minus(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

struct cpu_use cpu_use_since(const struct cpu_use *end, const struct cpu_use *begin)
{
	return (struct cpu_use){
		.user_ns = minus(end->user_ns, begin->user_ns),
		.system_ns = minus(end->system_ns, begin->system_ns),
		.total_ns = minus(end->total_ns, begin->total_ns),
		.voluntary = minus(end->voluntary, begin->voluntary),
		.involuntary = minus(end->involuntary, begin->involuntary),
	};
}

void cpu_use_add(struct cpu_use *sum, const struct cpu_use *u)
{
	sum->user_ns += u->user_ns;
	sum->system_ns += u->system_ns;
	sum->total_ns += u->total_ns;
	sum->voluntary += u->voluntary;
	sum->involuntary += u->involuntary;
}
