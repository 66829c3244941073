/* SPDX-License-Identifier: MIT */
/*
 * Layers when memory is short: each allocation of setting a stack up fails once, the first, the
 * second, and so on, until there are no more.  And once it stands none is made for a request.
 */
#include "storage/storage_test.h"

#include <errno.h>
#include <stdarg.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OURS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define OURS 0
#endif
#endif
#if !defined(OURS) && defined(__GLIBC__)
#define OURS 1
#endif

/* Allocations until one fails, and how many there were; this thread's alone. */
static __thread unsigned countdown, counted;
static unsigned long live; /* atomic: blocks that are not free, of all threads */

#if OURS
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void *malloc(size_t size);
void *calloc(size_t n, size_t size);
void *realloc(void *p, size_t size);
void *reallocarray(void *p, size_t n, size_t size);
void *aligned_alloc(size_t align, size_t size);
void *__libc_memalign(size_t align, size_t size);
void free(void *p);
void __libc_free(void *p);

static void *lives(void *p)
{
	if (p)
		__atomic_add_fetch(&live, 1, __ATOMIC_RELAXED);
	return p;
}

void free(void *p)
{
	if (p)
		__atomic_sub_fetch(&live, 1, __ATOMIC_RELAXED);
	__libc_free(p);
}

static bool fails(void)
{
	counted++;
	return countdown && !--countdown;
}

void *malloc(size_t size)
{
	return fails() ? NULL : lives(__libc_malloc(size));
}

void *calloc(size_t n, size_t size)
{
	return fails() ? NULL : lives(__libc_calloc(n, size));
}

void *realloc(void *p, size_t size)
{
	void *moved = fails() ? NULL : __libc_realloc(p, size);

	return p ? moved : lives(moved);
}

/* The C library's own would call its own malloc. */
char *strdup(const char *text)
{
	size_t n = strlen(text) + 1;
	char *copy = malloc(n);

	return copy ? memcpy(copy, text, n) : NULL;
}

int asprintf(char **text, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	*text = malloc((size_t)n + 1);
	if (!*text)
		return -1;
	va_start(ap, fmt);
	vsnprintf(*text, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return n;
}

void *reallocarray(void *p, size_t n, size_t size)
{
	return realloc(p, n * size);
}

void *aligned_alloc(size_t align, size_t size)
{
	return fails() ? NULL : lives(__libc_memalign(align, size));
}
#endif

static char *dir, *image, *record, *overlay;
static char rules[] = "delay:op=flush:ms=1", group[] = "g";

static struct storage_options everything(struct storage_set *set)
{
	storage_set_init(set);
	return (struct storage_options){
		.target = image,
		.disk = "disk0",
		.set = set,
		.layers = {.cow = overlay,
			   .faulty.rules = rules,
			   .record = record,
			   .throttle = {.iops = 1000000, .group = group},
			   .errors = {.rerror = STORAGE_RETRY, .werror = STORAGE_HOLD}}};
}

static int set_up(void **state)
{
	(void)state;
	dir = scratch_make("/tmp");
	image = image_make(dir, "disk", 1 << 20);
	return asprintf(&record, "%s/log", dir) > 0 && asprintf(&overlay, "%s/overlay", dir) > 0
		       ? 0
		       : -1;
}

static int tear_down(void **state)
{
	(void)state;
	free(image);
	free(record);
	free(overlay);
	scratch_remove(dir);
	return 0;
}

/* How many there are. */
static unsigned fail_each(struct reactor *r)
{
	struct storage_channel *ch;
	struct storage_set set;
	struct storage *s;
	unsigned n = 0;
	int rc;

	do {
		struct storage_options o = everything(&set);

		n++;
		unlink(record);
		/* Of every other round it is there already. */
		if (n % 2)
			unlink(overlay);
		countdown = n;
		rc = storage_open(&o, &s, NULL);
		if (!rc) {
			rc = storage_channel_open(s, r, &ch, NULL);
			if (!rc)
				storage_channel_close(&ch);
			storage_close(&s);
		}
		if (!countdown)
			assert_true(rc < 0);
		assert_true(list_empty(&set.all) && list_empty(&set.throttle_groups));
	} while (!countdown);
	countdown = 0;
	assert_int_equal(rc, 0);
	return n;
}

static void describe_all(const struct storage *s, char text[1024])
{
	size_t n = 0;

	for (; storage_below(s); s = storage_below(s)) {
		storage_describe(s, text + n, 1024 - n);
		n += strlen(text + n);
	}
}

/* Options of several layers: all of them change, or none. */
static void a_change_that_fails_changes_nothing(void **state)
{
	char before[1024], after[1024];
	struct storage_set set;
	struct storage_options o = everything(&set);
	struct storage *s;
	unsigned n = 0;
	int rc;

	(void)state;
	if (!OURS)
		skip();
	unlink(record);
	assert_int_equal(storage_open(&o, &s, NULL), 0);
	describe_all(s, before);
	do {
		countdown = ++n;
		rc = storage_set_options(
			s, "throttle.iops=77,rerror=report,faulty.rules=delay:op=read:ms=7", NULL);
		if (countdown)
			break;
		assert_int_equal(rc, -ENOMEM);
		describe_all(s, after);
		assert_string_equal(before, after);
	} while (true);
	countdown = 0;
	assert_in_range(n, 3, 100);
	assert_int_equal(rc, 0);
	describe_all(s, after);
	assert_non_null(strstr(after, "iops=77"));
	assert_non_null(strstr(after, "rerror=report"));
	assert_non_null(strstr(after, "op=read"));
	storage_close(&s);
}

static void no_allocation_that_fails_does_harm(void **state)
{
	struct reactor_config c = {.uring = false};
	struct reactor *r;
	unsigned long before;

	(void)state;
	if (!OURS)
		skip();
	assert_int_equal(reactor_create(&r, &c, NULL), 0);
	/* Once for what the C library keeps from the first time on. */
	fail_each(r);
	before = __atomic_load_n(&live, __ATOMIC_RELAXED);
	assert_in_range(fail_each(r), 15, 200);
	assert_int_equal(__atomic_load_n(&live, __ATOMIC_RELAXED), before);
	reactor_destroy(&r);
}

static void no_memory_is_taken_for_a_request(void **state)
{
	struct storage_set set;
	struct storage_options o = everything(&set);
	uint8_t buf[4096] = {1};
	struct rig rig;

	(void)state;
	if (!OURS)
		skip();
	/* The test's own way of doing requests allocates nothing. */
	o.threads = true;
	unlink(record);
	assert_int_equal(rig_open(&rig, &o, false, NULL), 0);
	for (unsigned round = 0; round < 2; round++) {
		counted = 0;
		for (unsigned i = 0; i < 20; i++) {
			assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, i * 4096, buf, sizeof(buf)),
					 0);
			assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, buf, sizeof(buf)), 0);
			assert_int_equal(rig_do(&rig, STORAGE_DISCARD, 0, 0, 4096), 0);
			assert_int_equal(rig_do(&rig, STORAGE_FLUSH, 0, 0, 0), 0);
		}
	}
	assert_int_equal(counted, 0);
	rig_close(&rig);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_allocation_that_fails_does_harm),
		cmocka_unit_test(a_change_that_fails_changes_nothing),
		cmocka_unit_test(no_memory_is_taken_for_a_request),
	};

	return cmocka_run_group_tests_name("storage/layer/memory", tests, set_up, tear_down);
}
