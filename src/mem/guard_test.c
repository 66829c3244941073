/* SPDX-License-Identifier: MIT */
/* Memory that is taken away under those who use it: which page is replaced, and who is told. */
#include "test.h"

#include "base/bits.h"
#include "mem/gmem.h"

#include <fcntl.h>
#include <linux/memfd.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE  4096u
#define PAGES 16u

static int memfd(size_t size, unsigned flags)
{
	int fd = memfd_create("guard-test", MFD_CLOEXEC | flags);

	if (fd >= 0 && ftruncate(fd, (off_t)size)) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Memory that somebody works with: one region of the whole file, at 0. */
struct guarded {
	int fd;
	struct gmem *m;
	struct gmem_guard guard;
	uint8_t *p;
};

/* false: such a file cannot be mapped here. */
static bool guarded_map(struct guarded *g, int fd, size_t size)
{
	g->fd = fd;
	if (gmem_with_fd(NULL, 0, size, 0, fd, 0, &g->m, NULL)) {
		close(fd);
		return false;
	}
	g->p = gmem_at(g->m, &(struct gmem_hint){0}, gpa(0), size);
	/* Here, because cmocka has a handler of its own for each test. */
	assert_int_equal(gmem_guard_install(NULL), 0);
	gmem_guard_enter(&g->guard, g->m);
	return true;
}

/* With its page's number in each page's first byte. */
static void guarded_number(struct guarded *g)
{
	assert_true(guarded_map(g, memfd(PAGES * PAGE, 0), PAGES * PAGE));
	for (unsigned i = 0; i < PAGES; i++)
		g->p[i * PAGE] = (uint8_t)(i + 1);
}

static void guarded_end(struct guarded *g)
{
	gmem_guard_leave(&g->guard);
	gmem_put(g->m);
	close(g->fd);
}

/* The page may be replaced while another thread looks: that is what is tested, and no race of ours. */
__attribute__((noinline, no_sanitize("thread"))) static uint8_t touch(const uint8_t *at)
{
	return *(const volatile uint8_t *)at;
}

/* A hole may be anywhere: the pages behind it are still the guest's. */
static void one_page_is_replaced_and_not_the_rest(void **state)
{
	struct guarded g;

	(void)state;
	guarded_number(&g);
	assert_int_equal(ftruncate(g.fd, 4 * PAGE), 0);
	assert_int_equal(touch(g.p + 5 * PAGE), 0);
	assert_true(gmem_lost(g.m));
	/* Longer again: what was not touched meanwhile is the file's. */
	assert_int_equal(ftruncate(g.fd, PAGES * PAGE), 0);
	assert_int_equal(pwrite(g.fd, "x", 1, 9 * PAGE), 1);
	assert_int_equal(touch(g.p + 9 * PAGE), 'x');
	assert_int_equal(touch(g.p + 3 * PAGE), 4);
	/* And the one that was replaced stays so: the map does not become right again. */
	assert_int_equal(pwrite(g.fd, "x", 1, 5 * PAGE), 1);
	assert_int_equal(touch(g.p + 5 * PAGE), 0);
	assert_true(gmem_lost(g.m));
	guarded_end(&g);
}

/* As /dev/shm may be: room for some of a sparse file's pages only. */
static void a_hole_in_a_full_file_system(void **state)
{
	char dir[] = "/tmp/ringside-guard.XXXXXX", path[64];
	uint8_t full[PAGE];
	struct guarded g;
	int fd, fill;

	(void)state;
	assert_non_null(mkdtemp(dir));
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", dir, "tmpfs", 0, "size=64k")) {
		rmdir(dir);
		skip();
	}
	snprintf(path, sizeof(path), "%s/mem", dir);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, PAGES * PAGE), 0);
	assert_true(guarded_map(&g, fd, PAGES * PAGE));
	*(volatile uint8_t *)(g.p + 7 * PAGE) = 7;
	snprintf(path, sizeof(path), "%s/fill", dir);
	fill = open(path, O_RDWR | O_CREAT, 0600);
	memset(full, 1, sizeof(full));
	while (write(fill, full, sizeof(full)) > 0)
		;
	assert_false(gmem_lost(g.m));
	*(volatile uint8_t *)(g.p + 2 * PAGE) = 2;
	assert_true(gmem_lost(g.m));
	assert_int_equal(touch(g.p + 7 * PAGE), 7);
	guarded_end(&g);
	close(fill);
	umount(dir);
	rmdir(dir);
}

/* In a mapping of huge pages none smaller can be replaced. */
static void a_huge_page_goes_as_a_whole(void **state)
{
	const size_t huge = (size_t)2 << 20;
	int fd = memfd(2 * huge, MFD_HUGETLB | MFD_HUGE_2MB);
	struct guarded g;

	(void)state;
	if (fd < 0 || !guarded_map(&g, fd, 2 * huge))
		skip();
	*(volatile uint8_t *)g.p = 1;
	if (gmem_lost(g.m)) { /* no huge page is free here */
		guarded_end(&g);
		skip();
	}
	assert_int_equal(ftruncate(fd, (off_t)huge), 0);
	assert_int_equal(touch(g.p + huge + 5 * PAGE), 0);
	assert_true(gmem_lost(g.m));
	assert_int_equal(touch(g.p), 1);
	guarded_end(&g);
}

/*
 * Workers move from one map to the next one after the other: a page that goes away under the old
 * one is lost in the new one, too, and the other way round; a map without it is whole.
 */
static void every_map_that_holds_the_page_is_told(void **state)
{
	struct gmem *more, *less;
	int other = memfd(PAGE, 0);
	struct guarded g;

	(void)state;
	guarded_number(&g);
	assert_int_equal(gmem_with_fd(g.m, 1 << 20, PAGE, 0, other, 0, &more, NULL), 0);
	assert_int_equal(ftruncate(g.fd, PAGE), 0);
	assert_int_equal(touch(g.p + PAGE), 0);
	assert_true(gmem_lost(g.m));
	assert_true(gmem_lost(more));
	/* One that is made later inherits it. */
	assert_int_equal(gmem_without(more, 1 << 20, PAGE, 0, &less), 0);
	assert_true(gmem_lost(less));
	gmem_put(less);
	assert_int_equal(gmem_without(more, 0, PAGES * PAGE, 0, &less), 0);
	assert_false(gmem_lost(less));
	gmem_put(less);
	gmem_put(more);
	guarded_end(&g);
	close(other);
}

struct witness {
	struct gmem *mem;
	const uint8_t *page;
	bool believed; /* zeroes were seen, and the map said to be whole */
};

static void *look_until_zero(void *arg)
{
	struct witness *w = arg;
	struct gmem_guard guard;

	gmem_guard_enter(&guard, w->mem);
	while (touch(w->page))
		sched_yield();
	w->believed = !gmem_lost(w->mem);
	gmem_guard_leave(&guard);
	return NULL;
}

/* The mark is there before the page is: whichever thread sees the page sees the mark. */
static void who_sees_the_page_sees_the_mark(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 50; i++) {
		struct witness w[2] = {0};
		pthread_t thread;
		struct guarded g;

		guarded_number(&g);
		gmem_guard_leave(&g.guard);
		w[0].mem = w[1].mem = g.m;
		w[0].page = w[1].page = g.p + 2 * PAGE;
		assert_int_equal(pthread_create(&thread, NULL, look_until_zero, &w[1]), 0);
		assert_int_equal(ftruncate(g.fd, 2 * PAGE), 0);
		look_until_zero(&w[0]);
		pthread_join(thread, NULL);
		assert_false(w[0].believed);
		assert_false(w[1].believed);
		gmem_put(g.m);
		close(g.fd);
	}
}

/* A peer that takes away every other page loses the mapping; the process does not end. */
static void more_holes_than_mappings_may_have(void **state)
{
	const size_t pages = 140000;
	struct guarded g;

	(void)state;
	assert_true(guarded_map(&g, memfd(pages * PAGE, 0), pages * PAGE));
	assert_int_equal(ftruncate(g.fd, 0), 0);
	for (size_t i = 0; i < pages; i += 2)
		(void)touch(g.p + i * PAGE);
	assert_true(gmem_lost(g.m));
	guarded_end(&g);
}

/* How a child ends that does @what: its signal, or 0. */
static int ends_by(void (*what)(void))
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		gmem_guard_install(NULL);
		what();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void touch_what_is_not_guest_memory(void)
{
	int fd = memfd(PAGE, 0);
	uint8_t *p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);

	if (!ftruncate(fd, 0))
		(void)touch(p);
}

static void be_sent_one(void)
{
	raise(SIGBUS);
}

/* A signal as the kernel sends it for memory that went bad. */
static void send_code(int code, void *at)
{
	siginfo_t info = {0};

	info.si_signo = SIGBUS;
	info.si_code = code;
	info.si_addr = at;
	info.si_addr_lsb = 12;
	syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), SIGBUS, &info);
}

static void hear_of_bad_memory(void)
{
	send_code(BUS_MCEERR_AO, NULL);
}

static void touch_bad_memory_of_our_own(void)
{
	send_code(BUS_MCEERR_AR, NULL);
	touch_what_is_not_guest_memory();
}

static void what_is_not_ours_ends_the_process(void **state)
{
	(void)state;
	assert_int_equal(ends_by(touch_what_is_not_guest_memory), SIGBUS);
	assert_int_equal(ends_by(be_sent_one), SIGBUS);
	assert_int_equal(ends_by(touch_bad_memory_of_our_own), SIGBUS);
	/* Nobody has touched it: nothing is lost yet. */
	assert_int_equal(ends_by(hear_of_bad_memory), 0);
}

/* Only a touch (AR) loses the page; the notice before (AO) does not. */
static void memory_errors_are_told_apart(void **state)
{
	struct guarded g;

	(void)state;
	guarded_number(&g);
	send_code(BUS_MCEERR_AO, g.p + 3 * PAGE);
	assert_false(gmem_lost(g.m));
	assert_int_equal(touch(g.p + 3 * PAGE), 4);
	send_code(BUS_MCEERR_AR, g.p + 3 * PAGE + 8);
	assert_true(gmem_lost(g.m));
	assert_int_equal(touch(g.p + 3 * PAGE), 0);
	assert_int_equal(touch(g.p + 4 * PAGE), 5);
	guarded_end(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_page_is_replaced_and_not_the_rest),
		cmocka_unit_test(a_hole_in_a_full_file_system),
		cmocka_unit_test(a_huge_page_goes_as_a_whole),
		cmocka_unit_test(every_map_that_holds_the_page_is_told),
		cmocka_unit_test(who_sees_the_page_sees_the_mark),
		cmocka_unit_test(more_holes_than_mappings_may_have),
		cmocka_unit_test(what_is_not_ours_ends_the_process),
		cmocka_unit_test(memory_errors_are_told_apart),
	};

	return cmocka_run_group_tests_name("mem/guard", tests, NULL, NULL);
}
