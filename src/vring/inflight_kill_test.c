/* SPDX-License-Identifier: MIT */
/*
 * The device half is ended between any two of its stores, and another one takes over.
 *
 * Ring, record and driver lie in memory that the device may only read.  Each of its stores traps;
 * it is let through alone, and then the device counts as killed: from the very same memory another
 * device half must hand out again exactly what the driver has not been shown as used, oldest first,
 * and complete it.  Then the memory is put back and the first one goes on.
 */
#include "test.h"

#include "base/atomic.h"
#include "base/bits.h"
#include "vring/driver.h"
#include "vring/inflight.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#define STEP_FLAG 0x100 /* of the flags register: trap behind the next instruction */

#define NUM_MAX	  8
#define REQUESTS  32
#define AT	  UINT64_C(0x10000)

/* What outlives the device. */
struct world {
	struct vqdrv drv;
	uint64_t state[NUM_MAX * sizeof(struct vqdrv_slot) / 8];
	uint8_t desc[NUM_MAX * 16] __attribute__((aligned(64)));
	uint8_t driver[64] __attribute__((aligned(64)));
	uint8_t device[128] __attribute__((aligned(64)));
	uint8_t record[1024] __attribute__((aligned(64)));
	uint8_t data[REQUESTS * 64];
};

struct kind {
	uint16_t num;
	uint16_t entries;
	bool packed, in_order;
	unsigned rounds;
};

struct scene {
	const struct kind *kind;
	struct world *w;
	struct world before; /* as the child left it */
	struct gmem *mem;
	struct vring_config config;
	struct vqdev_record record;
	uint64_t seq_of[REQUESTS]; /* order of making available; 0: the driver has it */
	uint64_t seq;
	uint64_t random;
	unsigned kills;
};

/* The signal handlers are told nothing else. */
static struct scene *playing;

static uint32_t pick(uint64_t *random, uint32_t below)
{
	*random = *random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*random >> 33) % below;
}

static uint64_t at(const struct scene *s, const void *p)
{
	return AT + (uint64_t)((const uint8_t *)p - (const uint8_t *)s->w);
}

static void scene_open(struct scene *s, const struct kind *kind)
{
	struct vqdrv_config dc;

	memset(s, 0, sizeof(*s));
	s->kind = kind;
	s->random = kind->num * 3u + kind->packed;
	s->w = mmap(NULL, sizeof(*s->w), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0);
	assert_true(s->w != MAP_FAILED);
	assert_int_equal(gmem_with_host(NULL, AT, sizeof(*s->w), 0, s->w, &s->mem, NULL), 0);
	dc = (struct vqdrv_config){
		.num = kind->num,
		.packed = kind->packed,
		.in_order = kind->in_order,
		.desc = s->w->desc,
		.driver = s->w->driver,
		.device = s->w->device,
		.state = s->w->state,
	};
	assert_int_equal(vqdrv_init(&s->w->drv, &dc), 0);
	s->config = (struct vring_config){
		.num = kind->num,
		.packed = kind->packed,
		.in_order = kind->in_order,
		.desc = gpa(at(s, s->w->desc)),
		.driver = gpa(at(s, s->w->driver)),
		.device = gpa(at(s, s->w->device)),
		.base = vring_base_initial(kind->packed),
	};
	s->record = (struct vqdev_record){s->w->record, kind->entries};
	assert_true(inflight_bytes(kind->entries, kind->packed) <= sizeof(s->w->record));
}

static void scene_close(struct scene *s)
{
	gmem_put(s->mem);
	munmap(s->w, sizeof(*s->w));
}

/* ---- the device: never knows that it is a test ---- */

struct taken {
	struct vq_ticket ticket;
	unsigned request;
	bool again;
};

/* 1, 0 or negative as vqdev_pop(). */
static int pop(struct scene *s, struct vqdev *dev, struct taken *t)
{
	struct iovec iov[4];
	struct vq_chain chain = {.iov = iov, .iov_max = 4};
	int rc = vqdev_pop(dev, &chain);

	if (rc == 1) {
		t->ticket = chain.ticket;
		t->again = chain.again;
		t->request = (unsigned)((uint8_t *)iov[0].iov_base - s->w->data) / 64;
	}
	return rc;
}

static int start(struct scene *s, struct vqdev *dev)
{
	return vqdev_init_recorded(dev, &s->config, s->mem, &s->record, NULL);
}

static void drivers_turn(struct scene *s);

static void device(struct scene *s)
{
	uint64_t random = s->random;
	struct taken taken[NUM_MAX];
	struct vqdev dev;
	unsigned n = 0;

	drivers_turn(s);
	assert_int_equal(start(s, &dev), 0);
	for (unsigned round = 0; round < s->kind->rounds; round++) {
		uint32_t what = pick(&random, 64);

		drivers_turn(s);
		if (what == 0) {
			/* To die and come back is walked through too. */
			vqdev_fini(&dev);
			assert_int_equal(start(s, &dev), 0);
			n = 0;
		} else if (what < 30 || !n) {
			int rc = pop(s, &dev, &taken[n]);

			assert_true(rc >= 0);
			n += (unsigned)rc;
			if (!n)
				vqdev_publish(&dev);
		} else if (what < 54) {
			uint32_t i = pick(&random, n);

			vqdev_push(&dev, &taken[i].ticket, 8);
			taken[i] = taken[--n];
		} else {
			vqdev_publish(&dev);
		}
	}
	vqdev_fini(&dev);
}

/* ---- the driver, and the device that takes over ---- */

static void make_available(struct scene *s)
{
	struct vqdrv *drv = &s->w->drv;

	for (uint32_t n = pick(&s->random, 3); n; n--) {
		unsigned request = 0, parts = 1 + pick(&s->random, 2);
		struct vqdrv_buf bufs[3];
		uint64_t data;

		while (s->seq_of[request])
			request++;
		data = at(s, &s->w->data[request * 64]);
		for (unsigned i = 0; i <= parts; i++)
			bufs[i] = (struct vqdrv_buf){data + 8 * i, 8};
		if (vqdrv_add(drv, bufs, parts, 1, (void *)(uintptr_t)request))
			break;
		s->seq_of[request] = ++s->seq;
	}
	vqdrv_publish(drv);
}

/* Takes back what is used, each of which must be out. Returns how many. */
static unsigned take_back(struct scene *s, uint64_t *seq_of)
{
	unsigned n = 0;
	uint32_t len;
	void *cookie;

	while (vqdrv_reap(&s->w->drv, &cookie, &len) == 1) {
		assert_true(seq_of[(uintptr_t)cookie]);
		seq_of[(uintptr_t)cookie] = 0;
		n++;
	}
	if (vqdrv_why(&s->w->drv))
		fail_msg("%s", vqdrv_why(&s->w->drv));
	return n;
}

static void somebody_takes_over(struct scene *s)
{
	uint64_t seq_of[REQUESTS], last = 0;
	struct taken taken[NUM_MAX];
	struct error err = {""};
	unsigned n = 0, out, again;
	struct vqdev dev;

	memcpy(seq_of, s->seq_of, sizeof(seq_of));
	if (vqdev_init_recorded(&dev, &s->config, s->mem, &s->record, &err))
		fail_msg("%s", err.text);
	assert_int_equal(vqdev_in_flight(&dev), vqdev_again(&dev));
	/* What the driver was shown by the one that died is done; all else is handed out. */
	take_back(s, seq_of);
	again = vqdev_again(&dev);
	while (pop(s, &dev, &taken[n]) == 1) {
		uint64_t seq = seq_of[taken[n].request];

		/* Those that were in flight are known as such, and no others. */
		assert_int_equal(taken[n].again, n < again);
		if (!seq)
			fail_msg("request %u was shown as used", taken[n].request);
		assert_true(seq > last);
		last = seq;
		n++;
	}
	assert_false(vqdev_broken(&dev));
	out = vqdrv_outstanding(&s->w->drv);
	assert_int_equal(n, out);
	/* Each comes back by itself: no used entry of the one that died shines through. */
	for (unsigned i = 0; i < n; i++) {
		const struct taken *t = &taken[s->kind->in_order ? i : n - 1 - i];

		assert_true(seq_of[t->request]);
		vqdev_push(&dev, &t->ticket, 8);
		assert_int_equal(take_back(s, seq_of), 0);
		vqdev_publish(&dev);
		assert_int_equal(take_back(s, seq_of), 1);
		assert_false(seq_of[t->request]);
	}
	vqdev_fini(&dev);
	assert_int_equal(vqdrv_outstanding(&s->w->drv), 0);
	/* And the record says that nothing is in flight. */
	assert_int_equal(vqdev_init_recorded(&dev, &s->config, s->mem, &s->record, NULL), 0);
	assert_int_equal(vqdev_in_flight(&dev), 0);
	vqdev_fini(&dev);
	s->kills++;
}

static void protect(const struct scene *s, bool readonly)
{
	if (mprotect(s->w, align_up(sizeof(*s->w), 4096),
		     readonly ? PROT_READ : PROT_READ | PROT_WRITE))
		abort();
}

static void drivers_turn(struct scene *s)
{
	protect(s, false);
	take_back(s, s->seq_of);
	make_available(s);
	protect(s, true);
}

/* A store of the device: this once, and a trap behind it. */
static void store_begins(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	uintptr_t where = (uintptr_t)info->si_addr, w = (uintptr_t)playing->w;

	if (where < w || where - w >= sizeof(*playing->w)) {
		signal(sig, SIG_DFL);
		return;
	}
	protect(playing, false);
	uc->uc_mcontext.gregs[REG_EFL] |= STEP_FLAG;
}

static void store_done(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	struct scene *s = playing;

	(void)sig;
	(void)info;
	uc->uc_mcontext.gregs[REG_EFL] &= ~STEP_FLAG;
	memcpy(&s->before, s->w, sizeof(s->before));
	somebody_takes_over(s);
	memcpy(s->w, &s->before, sizeof(s->before));
	protect(s, true);
}

static void play(const struct kind *kind)
{
	struct sigaction begins = {.sa_sigaction = store_begins, .sa_flags = SA_SIGINFO};
	struct sigaction done = {.sa_sigaction = store_done, .sa_flags = SA_SIGINFO};
	struct sigaction old_segv, old_trap;
	struct scene s;

	scene_open(&s, kind);
	playing = &s;
	assert_false(sigaction(SIGSEGV, &begins, &old_segv));
	assert_false(sigaction(SIGTRAP, &done, &old_trap));
	device(&s);
	assert_false(sigaction(SIGSEGV, &old_segv, NULL));
	assert_false(sigaction(SIGTRAP, &old_trap, NULL));
	protect(&s, false);
	somebody_takes_over(&s);
	assert_true(s.seq > 2u * kind->num);
	assert_true(s.kills > s.seq);
	print_message("# %u requests, killed %u times\n", (unsigned)s.seq, s.kills);
	scene_close(&s);
}

#define ROUNDS 2000

static void killed_anywhere_split(void **state)
{
	static const struct kind kind = {.num = 8, .entries = 8, .rounds = ROUNDS};

	(void)state;
	play(&kind);
}

static void killed_anywhere_split_in_order(void **state)
{
	static const struct kind kind = {
		.num = 4, .entries = 8, .in_order = true, .rounds = ROUNDS};

	(void)state;
	play(&kind);
}

static void killed_anywhere_packed(void **state)
{
	static const struct kind kind = {.num = 7, .entries = 7, .packed = true, .rounds = ROUNDS};

	(void)state;
	play(&kind);
}

static void killed_anywhere_packed_in_order(void **state)
{
	static const struct kind kind = {
		.num = 5, .entries = 9, .packed = true, .in_order = true, .rounds = ROUNDS};

	(void)state;
	play(&kind);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(killed_anywhere_split),
		cmocka_unit_test(killed_anywhere_split_in_order),
		cmocka_unit_test(killed_anywhere_packed),
		cmocka_unit_test(killed_anywhere_packed_in_order),
	};

	return cmocka_run_group_tests_name("vring/inflight_kill", tests, NULL, NULL);
}
