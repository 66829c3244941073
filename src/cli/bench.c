/* SPDX-License-Identifier: MIT */
/* `ringside bench`: the load generator's command line, progress line and exit status. */
#include "base/bits.h"
#include "base/log.h"
#include "bench/run.h"
#include "cli/bench_report.h"
#include "cli/commands.h"
#include "cli/local.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
	"Usage: ringside bench [OPTION...] TARGET\n"
	"\n"
	"Puts load on a virtio-blk back end and tells what it took.  TARGET is one of:\n"
	"  vhost-user:SOCKET      a disk that a server offers\n"
	"  vfio-user:SOCKET       the same with its PCI board\n"
	"  pci:ADDRESS            a PCI device bound to vfio-pci, as pci:0000:00:04.0\n"
	"  local:DISK             our own device in this process, DISK as in ringside serve "
	"--disk\n"
	"The first three may have options behind a question mark: '?packed=on&queues=4'.\n"
	"\n"
	"What to do:\n"
	"  --rw=read|randread|write|randwrite|rw|randrw   the default is read; the words with a\n"
	"                         write in them overwrite the disk, no other word is needed\n"
	"  --rw=zonewrite|append  fill the zones of a zoned disk: writes at their write pointers,\n"
	"                         or appends; full zones are reset when their turn comes\n"
	"  --rwmixread=PERCENT    reads among the requests of rw and randrw (50)\n"
	"  --discard=PERCENT      discards among the requests that change the disk (0)\n"
	"  --flush-every=N        a flush after N writes of a queue\n"
	"  --bs=SIZE[,SIZE...]    block size (4K); several: each as likely as the others\n"
	"  --bs=SIZE-SIZE         any multiple of the first up to the second\n"
	"  --offset=SIZE --size=SIZE   the part of the disk that is used (all of it)\n"
	"  --seed=N               of the random numbers (1)\n"
	"  --verify               writes carry stamps that are checked when read, at the end all "
	"of\n"
	"                         them; with --rw=read or randread: what an earlier run has "
	"written\n"
	"How hard and how long:\n"
	"  --depth=N              requests under way per queue (1)\n"
	"  --queues=N             queues, each with a thread of its own (1)\n"
	"  --poll | --sleep       look for completions all the time, or sleep until called "
	"(sleep)\n"
	"  --cpu=LIST             CPUs of the queues' threads, in turn\n"
	"  --rate=N               requests a second, of all queues together, at most; 0.5 goes, "
	"too\n"
	"  --ios=N                end after N requests\n"
	"  --runtime=TIME         end after that time: 10, 0.5, 500ms, 2m\n"
	"  --ramp=TIME            run so long before measuring\n"
	"                         without --ios and --runtime: the size once\n"
	"  --reconnect[=TIME]     when the back end goes away wait for it (60), and go on\n"
	"  --timeout=TIME         so long without any completion is a failure (30)\n"
	"Results:\n"
	"  --backend-pid=PID      also tell what CPU time that process took\n"
	"  --format=text|json\n"
	"  --quiet                no progress line\n"
	"\n"
	"Exit status: 0 done, 1 something failed or read back wrong, 2 usage, 130 or 143 ended\n"
	"early by SIGINT or SIGTERM (the report is printed all the same).\n"
	"\n"
	"More: ringside-bench(1)\n";

static void progress(void *opaque, const struct progress *p)
{
	static const char *const names[] = {"setup", "ramp", "run", "drain", "verify", "", ""};
	char done[16] = "";

	(void)opaque;
	if (p->done >= 0)
		snprintf(done, sizeof(done), " %3.0f%%", p->done * 100);
	fprintf(stderr, "\r\033[K%s%s: %.0fs, %.0f IOPS, %.1f MiB/s",
		p->reconnecting ? "reconnecting" : names[p->phase], done, p->seconds, p->iops,
		p->bytes / (1 << 20));
	fflush(stderr);
}

static int bench_report(const struct job *job, const struct result *r)
{
	int rc = 0;

	if (job->json)
		rc = bench_json(stdout, job, r);
	else
		bench_text(stdout, job, r);
	if (rc || fflush(stdout) || ferror(stdout))
		return failure("the results cannot be written.");
	return EXIT_OK;
}

static bool is_target(const char *target)
{
	static const char *const schemes[] = {"vhost-user:", "vfio-user:", "pci:"};

	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++)
		if (!strncmp(target, schemes[i], strlen(schemes[i])))
			return true;
	return local_is(target);
}

static int bench_main(int argc, char **argv)
{
	struct result result;
	struct error err = {""};
	struct local *local = NULL;
	struct job job;
	bool line;
	int rc, status;

	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
			fputs(help, stdout);
			return fflush(stdout) || ferror(stdout) ? EXIT_FAILED : EXIT_OK;
		}
	}
	if (job_parse(&job, argc, argv, &err))
		return usage_error("bench", "%s.", err.text);
	if (!is_target(job.target))
		return usage_error("bench",
				   "'%s' is no target; vhost-user:SOCKET, vfio-user:SOCKET, "
				   "pci:ADDRESS and local:DISK are.",
				   job.target);
	if (local_is(job.target)) {
		log_setup(LOG_LEVEL_WARN, NULL, NULL);
		if (local_start(job.target, &local, &job.uri, &err))
			return failure("%s", err.text);
	}
	line = !job.quiet && isatty(STDERR_FILENO);
	rc = bench_run(&job, line ? progress : NULL, NULL, &result, &err);
	if (line)
		fputs("\r\033[K", stderr);
	if (result.ran) {
		status = bench_report(&job, &result);
		if (rc)
			status = failure("%s", result.why.text);
		else if (!status && result.signal)
			status = 128 + result.signal;
	} else if (rc == -EINVAL) {
		status = usage_error("bench", "%s.", err.text);
	} else {
		status = failure("%s", err.text);
	}
	bench_result_fini(&result);
	local_stop(&local);
	return status;
}

const struct command command_bench = {
	.name = "bench",
	.summary = "put load on a back end and measure it",
	.run = bench_main,
};
