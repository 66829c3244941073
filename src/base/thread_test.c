/* SPDX-License-Identifier: MIT */
/* Which signals a new thread takes, and what its maker keeps. */
#include "test.h"

#include "base/atomic.h"
#include "base/thread.h"

#include <errno.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

struct seen {
	sigset_t mask;
	size_t stack;
	sem_t there;
};

static void *look(void *arg)
{
	struct seen *s = arg;
	pthread_attr_t attr;

	pthread_sigmask(SIG_SETMASK, NULL, &s->mask);
	pthread_getattr_np(pthread_self(), &attr);
	pthread_attr_getstacksize(&attr, &s->stack);
	pthread_attr_destroy(&attr);
	sem_post(&s->there);
	return s;
}

/* By number: sigset_t has unused bytes. */
static bool same(const sigset_t *a, const sigset_t *b)
{
	for (int i = 1; i < _NSIG; i++)
		if (sigismember(a, i) != sigismember(b, i))
			return false;
	return true;
}

static void assert_mask_of_a_thread(const sigset_t *mask)
{
	static const int sent[] = {SIGINT,  SIGTERM, SIGHUP,  SIGQUIT, SIGUSR1,
				   SIGALRM, SIGCHLD, SIGPIPE, SIGWINCH};
	static const int own[] = {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT};

	for (unsigned i = 0; i < sizeof(sent) / sizeof(*sent); i++)
		assert_int_equal(sigismember(mask, sent[i]), 1);
	assert_int_equal(sigismember(mask, SIGRTMIN), 1);
	for (unsigned i = 0; i < sizeof(own) / sizeof(*own); i++)
		assert_int_equal(sigismember(mask, own[i]), 0);
}

static void what_is_sent_is_blocked_and_what_a_thread_raises_is_not(void **state)
{
	sigset_t odd, before, after;
	struct seen s = {0};
	pthread_t thread;
	void *told;

	(void)state;
	sem_init(&s.there, 0, 0);
	/* Whatever the maker's own mask is, which stays. */
	sigemptyset(&odd);
	sigaddset(&odd, SIGBUS);
	sigaddset(&odd, SIGUSR2);
	pthread_sigmask(SIG_SETMASK, &odd, &before);
	assert_int_equal(thread_start(&thread, look, &s), 0);
	assert_int_equal(pthread_join(thread, &told), 0);
	assert_ptr_equal(told, &s);
	assert_mask_of_a_thread(&s.mask);

	memset(&s.mask, 0, sizeof(s.mask));
	assert_int_equal(sem_wait(&s.there), 0);
	assert_int_equal(thread_start_apart(look, &s), 0);
	assert_int_equal(sem_wait(&s.there), 0);
	assert_mask_of_a_thread(&s.mask);
#ifndef BASE_TSAN /* which gives every thread a larger one */
	assert_true(s.stack <= 2 * THREAD_SMALL_STACK);
#endif

	pthread_sigmask(SIG_SETMASK, &before, &after);
	assert_true(same(&after, &odd));
	sem_destroy(&s.there);
}

static sigjmp_buf back;

static void heard(int number)
{
	siglongjmp(back, number);
}

static void *touch_nothing(void *at)
{
	if (!sigsetjmp(back, 1))
		*(volatile char *)at;
	return NULL;
}

/* What mem/guard.c stands on: the handler is asked, on whichever thread it happens. */
static void a_handler_hears_of_a_touch_on_any_thread(void **state)
{
	const struct sigaction hear = {.sa_handler = heard};
	struct sigaction before;
	pthread_t thread;
	void *at;
	int fd = memfd_create("thread-test", MFD_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	at = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	assert_true(at != MAP_FAILED);
	assert_int_equal(sigaction(SIGBUS, &hear, &before), 0);
	assert_int_equal(thread_start(&thread, touch_nothing, at), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(sigaction(SIGBUS, &before, NULL), 0);
	munmap(at, 4096);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_sent_is_blocked_and_what_a_thread_raises_is_not),
		cmocka_unit_test(a_handler_hears_of_a_touch_on_any_thread),
	};

	return cmocka_run_group_tests_name("base/thread", tests, NULL, NULL);
}
