/* SPDX-License-Identifier: MIT */
/*
 * A device that moves from one server to another while its driver goes on: nothing is lost, nothing
 * is done twice.
 */
#include "vfio_user_move.h"

#include "backend/virtio_pci/state.h"
#include "held_disk.h"
#include "net_wire.h"
#include "wire/virtio.h"
#include "wire/virtio_blk.h"
#include "wire/virtio_pci.h"

#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* ---- states ---- */

static void go(struct rig *r, uint32_t state)
{
	uint8_t rubbish = 0;

	if (state != ERROR) {
		assert_int_equal(move_set_state(r, state), 0);
	} else {
		assert_int_equal(move_set_state(r, LOADING), 0);
		assert_int_equal(move_write(r, &rubbish, 1), 0);
		assert_int_equal(move_set_state(r, STOP), EINVAL);
	}
	assert_int_equal(move_state_of(r), state);
}

static void from_each_state_to_each(void **state)
{
	uint8_t byte = 0;
	struct rig r;

	(void)state;
	rig_init(&r, "memory:1M");
	for (uint32_t from = 0; from <= LOADING; from++)
		for (uint32_t to = 0; to < 10; to++) {
			bool real = to >= STOP && to <= LOADING;
			/* What was written so far is nothing. */
			bool ok = real && from != ERROR && (from != LOADING || to == LOADING);

			go(&r, from);
			assert_int_equal(move_set_state(&r, to), ok ? 0 : EINVAL);
			assert_int_equal(move_state_of(&r), ok			      ? to
							    : real && from == LOADING ? ERROR
										      : from);
			move_reset(&r);
		}
	/* Data, only where there are or may be some. */
	for (uint32_t at = 0; at <= LOADING; at++) {
		go(&r, at);
		assert_int_equal(move_read(&r, &byte, 1), at == SAVING ? 1 : -EINVAL);
		assert_int_equal(move_write(&r, &byte, 1), at == LOADING ? 0 : EINVAL);
		/* Registers are left alone while their state is on its way. */
		assert_int_equal(rig_write(&r, CONFIG, PCI_CACHE_LINE, &byte, 1),
				 at == SAVING || at == ERROR ? EINVAL : 0);
		assert_int_equal(rig_get(&r, CONFIG, PCI_VENDOR_ID, 2), 0x1af4);
		move_reset(&r);
	}
	/* A client that goes leaves nothing of it to the next. */
	for (uint32_t at = 0; at <= LOADING; at++) {
		go(&r, at);
		rig_hang_up(&r);
		rig_connect(&r);
		assert_int_equal(rig_version(&r, 0, 1, NULL), 0);
		assert_int_equal(move_state_of(&r), RUNNING);
	}
	rig_fini(&r);
}

static void messages_that_cannot_be(void **state)
{
	struct vfio_user_mig_data m = {8, 0};
	struct move_command set = move_command(SET, STOP);
	uint8_t *much = calloc(1, VFIO_USER_BODY_MAX);
	uint32_t left = VIRTIO_PCI_STATE_MAX;
	uint64_t flags;
	struct rig r;

	(void)state;
	rig_init(&r, "memory:1M");
	for (uint32_t n = 0; n < sizeof(set); n++)
		assert_int_equal(rig_ask(&r, VFIO_USER_DEVICE_FEATURE, &set, n), EINVAL);
	set = move_command(GET, 0);
	set.head.argsz--;
	assert_int_equal(rig_ask(&r, VFIO_USER_DEVICE_FEATURE, &set, 8), EINVAL);
	set = (struct move_command){{16, VFIO_USER_FEATURE_MIGRATION | GET}, {0, 0}};
	assert_int_equal(rig_ask(&r, VFIO_USER_DEVICE_FEATURE, &set, 8), 0);
	memcpy(&flags, r.body + 8, sizeof(flags));
	assert_int_equal(flags, VFIO_USER_MIGRATION_STOP_COPY);
	go(&r, SAVING);
	for (uint32_t n = 0; n < sizeof(m); n++)
		assert_int_equal(rig_ask(&r, VFIO_USER_MIG_DATA_READ, &m, n), EINVAL);
	m = (struct vfio_user_mig_data){8, 1};
	assert_int_equal(rig_ask(&r, VFIO_USER_MIG_DATA_READ, &m, sizeof(m)), EINVAL);
	m = (struct vfio_user_mig_data){7, 0};
	assert_int_equal(rig_ask(&r, VFIO_USER_MIG_DATA_READ, &m, sizeof(m)), EINVAL);
	m = (struct vfio_user_mig_data){UINT32_MAX, VFIO_USER_TRANSFER + 1};
	assert_int_equal(rig_ask(&r, VFIO_USER_MIG_DATA_READ, &m, sizeof(m)), EINVAL);
	go(&r, STOP);
	go(&r, LOADING);
	m = (struct vfio_user_mig_data){8, 1};
	assert_int_equal(rig_ask(&r, VFIO_USER_MIG_DATA_WRITE, &m, sizeof(m)), EINVAL);
	m.size = UINT32_MAX;
	assert_int_equal(rig_ask(&r, VFIO_USER_MIG_DATA_WRITE, &m, sizeof(m)), EINVAL);
	/* More than any state has. */
	for (; left >= VFIO_USER_TRANSFER; left -= VFIO_USER_TRANSFER)
		assert_int_equal(move_write(&r, much, VFIO_USER_TRANSFER), 0);
	assert_int_equal(move_write(&r, much, left + 1), E2BIG);
	assert_int_equal(move_write(&r, much, left), 0);
	assert_int_equal(move_set_state(&r, STOP), EINVAL);
	rig_fini(&r);
	free(much);
}

/* ---- standing still ---- */

#define HELD 10u

static void offer_one(struct drv *d, uint32_t type, unsigned q, unsigned i, uint64_t sector)
{
	struct drv_request what = move_request(type, q, i, sector);

	drv_offer(d, q, i, &what);
}

static void two_servers(struct rig *a, struct rig *b, const char *disk)
{
	rig_init(a, disk);
	rig_init(b, disk);
	move_share(a, b);
}

static void stop_waits_for_what_is_in_flight(void **state)
{
	(void)state;
	for (int packed = 0; packed < 2; packed++) {
		struct held_disk *disk = held_disk_new(1 << 20);
		struct move_command stop = move_command(SET, STOP);
		uint32_t len;
		struct rig r;
		struct drv d;

		disk->hold = true;
		rig_init_storage(&r, &disk->storage, 1);
		move_map_all(&r);
		drv_up(&d, &r, 1, packed, 0);
		for (unsigned i = 0; i < HELD; i++)
			offer_one(&d, VIRTIO_BLK_T_OUT, 0, i, 8 * i);
		drv_kick(&d, 0);
		held_disk_wait(disk, HELD);
		rig_say(&r, VFIO_USER_DEVICE_FEATURE, 0, &stop, sizeof(stop), NULL, 0);
		assert_true(rig_silent(&r));
		assert_int_equal(drv_take(&d, 0, &len), -1);
		disk->hold = false;
		held_disk_release(disk, r.room.pool.workers[0], 0);
		assert_int_equal(rig_hear(&r), 0);
		for (unsigned i = 0; i < HELD; i++)
			assert_true(drv_take(&d, 0, &len) >= 0);
		/* What comes now waits. */
		offer_one(&d, VIRTIO_BLK_T_IN, 0, 0, 0);
		drv_kick(&d, 0);
		assert_true(rig_silent(&r));
		assert_int_equal(move_set_state(&r, RUNNING), 0);
		assert_int_equal(drv_wait(&d, 0, &len), 0);
		rig_fini(&r);
	}
}

/* What a driver does to a board that stands still holds when it goes on. */
static void registers_of_a_board_that_stands_still(void **state)
{
	struct rig r;
	struct drv d;

	(void)state;
	rig_init(&r, "memory:1M");
	move_map_all(&r);
	assert_int_equal(move_set_state(&r, STOP), 0);
	drv_up(&d, &r, 1, false, 0);
	offer_one(&d, VIRTIO_BLK_T_IN, 0, 0, 0);
	drv_kick(&d, 0);
	assert_true(rig_silent(&r));
	assert_int_equal(d.q[0].out, 1);
	assert_int_equal(move_set_state(&r, RUNNING), 0);
	assert_int_equal(drv_wait(&d, 0, &(uint32_t){0}), 0);
	/* Reset while it stands, and driven again. */
	assert_int_equal(move_set_state(&r, STOP), 0);
	drv_set_status(&d, 0);
	while (drv_status(&d))
		rig_turn(&r, 1);
	drv_up(&d, &r, 1, true, 0);
	/* Memory that goes and comes. */
	assert_int_equal(rig_unmap(&r, RIG_MEM_AT, RIG_MEM_SIZE, 0), 0);
	move_map_all(&r);
	assert_int_equal(move_set_state(&r, RUNNING), 0);
	move_read_one(&d);
	rig_fini(&r);
}

/* ---- moving ---- */

/* All that a driver can read, but for the generation. */
static void same_registers(struct rig *a, struct rig *b, unsigned queues)
{
	for (unsigned at = 0; at < 256; at += 4) {
		uint32_t was = rig_get(a, CONFIG, at, 4);

		assert_int_equal(rig_get(b, CONFIG, at, 4), was);
	}
	for (unsigned at = 0; at < 16 * (queues + 1); at += 4) {
		uint32_t was = rig_get(a, 1, at, 4);

		assert_int_equal(rig_get(b, 1, at, 4), was);
	}
	for (unsigned at = 0x2000; at < 0x2000 + 60; at += 4) {
		uint32_t was = rig_get(a, BAR, at, 4);

		assert_int_equal(rig_get(b, BAR, at, 4), was);
	}
	for (unsigned at = 0; at < 62; at += 2)
		if (at != 20) {
			uint32_t was = rig_get(a, BAR, at, 2);

			assert_int_equal(rig_get(b, BAR, at, 2), was);
		}
	assert_int_equal(rig_get(b, BAR, 20, 1), rig_get(a, BAR, 20, 1));
}

/* A disk of our own beside its source's: both have the image open, as two hosts have. */
static void disk_words(char *words, size_t size, char *path)
{
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	close(fd);
	snprintf(words, size, "file=%s,locking=off,queues=2,serial=moves", path);
}

struct load_state {
	unsigned seed;
	uint32_t number;
	uint32_t there[128]; /* what each block of 4 KiB was last filled with */
	unsigned block[DRV_QUEUES_MAX][DRV_REQUESTS_MAX];
	bool used[128]; /* some request in flight has it */
	uint32_t type[DRV_QUEUES_MAX][DRV_REQUESTS_MAX];
	unsigned long done;
};

static void fill(uint32_t *at, uint32_t number)
{
	for (unsigned i = 0; i < 1024; i++)
		at[i] = number ^ i;
}

/* Offers what there is room for. */
static void load_offer(struct load_state *l, struct drv *d)
{
	for (unsigned q = 0; q < d->n_queues; q++) {
		for (unsigned i = 0; i < DRV_REQUESTS_MAX; i++) {
			bool out = rand_r(&l->seed) % 2;
			unsigned block = (unsigned)rand_r(&l->seed) % 128;
			struct drv_request what;

			if (d->q[q].busy[i] || l->used[block])
				continue;
			what = move_request(out ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN, q, i,
					    8 * block);
			l->used[block] = true;
			l->block[q][i] = block;
			l->type[q][i] = what.type;
			if (out)
				fill(drv_at(d, what.data), l->there[block] = ++l->number);
			else
				memset(drv_at(d, what.data), 0xee, 4096);
			*(uint8_t *)drv_at(d, what.status) = 0xff;
			drv_offer(d, q, i, &what);
		}
		drv_kick(d, q);
	}
}

static void load_check(struct load_state *l, struct drv *d, unsigned q, int i, uint32_t len)
{
	struct drv_request what = move_request(l->type[q][i], q, (unsigned)i, 0);
	unsigned block = l->block[q][i];
	uint32_t want[1024];

	assert_int_equal(*(uint8_t *)drv_at(d, what.status), VIRTIO_BLK_S_OK);
	assert_int_equal(len, what.type == VIRTIO_BLK_T_IN ? 4097 : 1);
	if (l->there[block])
		fill(want, l->there[block]);
	else
		memset(want, 0, sizeof(want));
	if (what.type == VIRTIO_BLK_T_IN)
		assert_memory_equal(drv_at(d, what.data), want, sizeof(want));
	l->used[block] = false;
	l->done++;
}

static void load_take(struct load_state *l, struct drv *d, bool all)
{
	uint32_t len;
	int i;

	for (unsigned q = 0; q < d->n_queues; q++)
		while (d->q[q].out && (i = all ? drv_wait(d, q, &len) : drv_take(d, q, &len)) >= 0)
			load_check(l, d, q, i, len);
}

/* Two servers, one memory, one image: the device goes back and forth under load. */
static void back_and_forth(bool packed, uint64_t features)
{
	struct load_state *l = calloc(1, sizeof(*l));
	char path[] = "/tmp/ringside-move-XXXXXX", words[128];
	struct rig r[2];
	struct drv d;

	l->seed = 3;
	disk_words(words, sizeof(words), path);
	two_servers(&r[0], &r[1], words);
	drv_up(&d, &r[0], 2, packed, features);
	for (unsigned round = 0; round < 20; round++) {
		struct rig *from = &r[round % 2], *to = &r[1 - round % 2];
		struct move_state s;

		load_offer(l, &d);
		load_take(l, &d, false);
		load_offer(l, &d);
		s = move_save(from, round % 3 ? 65536 : 7);
		/* Some came back, and the others have not begun. */
		load_take(l, &d, false);
		assert_int_equal(move_load(to, s.at, s.n, round % 2 ? 65536 : 11), 0);
		same_registers(from, to, 2);
		free(s.at);
		d.r = to;
		assert_int_equal(move_set_state(to, RUNNING), 0);
		move_reset(from);
	}
	load_take(l, &d, true);
	assert_true(l->done > 20 * 10);
	for (unsigned block = 0; block < 128; block++) {
		struct drv_request what = move_request(VIRTIO_BLK_T_IN, 0, 0, 8 * block);

		assert_int_equal(drv_do(&d, &what), VIRTIO_BLK_S_OK);
		l->type[0][0] = VIRTIO_BLK_T_IN;
		l->block[0][0] = block;
		load_check(l, &d, 0, 0, 4097);
	}
	rig_fini(&r[0]);
	rig_fini(&r[1]);
	unlink(path);
	free(l);
}

static void back_and_forth_split(void **state)
{
	(void)state;
	back_and_forth(false, 0);
	back_and_forth(false, BIT64(VIRTIO_F_EVENT_IDX));
	back_and_forth(false, BIT64(VIRTIO_F_IN_ORDER));
}

static void back_and_forth_packed(void **state)
{
	(void)state;
	back_and_forth(true, 0);
	back_and_forth(true, BIT64(VIRTIO_F_EVENT_IDX) | BIT64(VIRTIO_F_INDIRECT_DESC));
}

static unsigned msix_cap(struct rig *r)
{
	uint32_t cap = rig_get(r, CONFIG, PCI_CAP_POINTER, 1);

	while (rig_get(r, CONFIG, cap, 1) != PCI_CAP_MSIX)
		cap = rig_get(r, CONFIG, cap + 1, 1);
	return cap;
}

/* A call that the client of before has not passed on any more comes again. */
static void the_driver_is_called_once(void **state)
{
	(void)state;
	for (int msix = 0; msix < 2; msix++) {
		int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		struct rig a, b;
		struct move_state s;
		struct drv d;
		eventfd_t n;

		two_servers(&a, &b, "memory:1M");
		if (msix)
			rig_put(&a, CONFIG, msix_cap(&a) + PCI_MSIX_CONTROL,
				PCI_MSIX_CONTROL_ENABLE, 2);
		drv_up(&d, &a, 1, false, 0);
		move_read_one(&d);
		s = move_save(&a, 65536);
		assert_int_equal(move_load(&b, s.at, s.n, 65536), 0);
		free(s.at);
		assert_int_equal(rig_irqs(&b, VFIO_USER_IRQ_DATA_FD | VFIO_USER_IRQ_ACTION_TRIGGER,
					  msix ? 2 : 0, 0, 1, &fd, 1),
				 0);
		assert_int_equal(move_set_state(&b, RUNNING), 0);
		assert_true(rig_silent(&b));
		assert_int_equal(eventfd_read(fd, &n), 0);
		if (!msix) {
			assert_int_equal(rig_get(&b, CONFIG, PCI_STATUS, 1) & PCI_STATUS_INTERRUPT,
					 PCI_STATUS_INTERRUPT);
			assert_int_equal(rig_get(&b, BAR, 0x1000, 1), 1);
			assert_int_equal(rig_get(&b, BAR, 0x1000, 1), 0);
		}
		close(fd);
		rig_fini(&a);
		rig_fini(&b);
	}
}

/* A driver with MSI-X on, and the state of its device: queue 0 in use, queue 1 as @set_up leaves it. */
static struct move_state state_with_msix(void (*set_up)(struct rig *r))
{
	struct move_state s;
	struct rig r;
	struct drv d;

	rig_init(&r, "memory:1M,queues=2");
	move_map_all(&r);
	rig_put(&r, CONFIG, msix_cap(&r) + PCI_MSIX_CONTROL, PCI_MSIX_CONTROL_ENABLE, 2);
	drv_up(&d, &r, 1, false, 0);
	rig_put(&r, BAR, COMMON(config_msix_vector), 2, 2);
	assert_int_equal(move_set_state(&r, STOP), 0);
	set_up(&r);
	s = move_save(&r, 65536);
	rig_fini(&r);
	return s;
}

static bool signalled(struct rig *r, int fd)
{
	eventfd_t n;

	assert_true(rig_silent(r));
	return !eventfd_read(fd, &n);
}

static int take_vector(struct rig *r, uint32_t vector)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	assert_int_equal(rig_irqs(r, VFIO_USER_IRQ_DATA_FD | VFIO_USER_IRQ_ACTION_TRIGGER, 2,
				  vector, 1, &fd, 1),
			 0);
	return fd;
}

static void interrupt_that_nobody_took(struct rig *r)
{
	assert_int_equal(rig_irqs(r, VFIO_USER_IRQ_DATA_NONE | VFIO_USER_IRQ_ACTION_TRIGGER, 2, 1,
				  1, NULL, 0),
			 0);
}

/* Into a board that was as it is, too: whoever loads a second time. */
static void an_interrupt_that_waits_goes_along(void **state)
{
	struct move_state s = state_with_msix(interrupt_that_nobody_took);
	struct rig r;
	int fd;

	(void)state;
	rig_init(&r, "memory:1M,queues=2");
	move_map_all(&r);
	fd = take_vector(&r, 1);
	for (unsigned times = 0; times < 3; times++) {
		assert_int_equal(move_load(&r, s.at, s.n, 65536), 0);
		assert_true(signalled(&r, fd));
	}
	close(fd);
	free(s.at);
	rig_fini(&r);
}

static void nonsense_while_it_stands(struct rig *r)
{
	rig_put(r, BAR, COMMON(queue_select), 1, 2);
	rig_put(r, BAR, COMMON(queue_desc), 1, 4);
	rig_put(r, BAR, COMMON(queue_enable), 1, 2);
	assert_true(rig_get(r, BAR, COMMON(device_status), 1) & VIRTIO_STATUS_NEEDS_RESET);
}

/* What a driver has not been told, since its board stood still, it is told where it goes on. */
static void a_change_that_was_not_told_goes_along(void **state)
{
	struct move_state s = state_with_msix(nonsense_while_it_stands);
	struct rig r;
	int fd;

	(void)state;
	rig_init(&r, "memory:1M,queues=2");
	move_map_all(&r);
	fd = take_vector(&r, 2);
	assert_int_equal(move_load(&r, s.at, s.n, 65536), 0);
	assert_false(signalled(&r, fd));
	assert_int_equal(move_set_state(&r, RUNNING), 0);
	assert_true(signalled(&r, fd));
	assert_int_equal(rig_get(&r, BAR, 0x1000, 1) & VIRTIO_PCI_ISR_CONFIG,
			 VIRTIO_PCI_ISR_CONFIG);
	close(fd);
	free(s.at);
	rig_fini(&r);
}

/* A worker that does nothing until it is let go. */
struct asleep {
	struct reactor_msg msg;
	sem_t go;
};

static void sleep_here(struct reactor_msg *msg)
{
	struct asleep *a = container_of(msg, struct asleep, msg);

	sem_wait(&a->go);
}

static void put_to_sleep(struct asleep *a, struct rig *r)
{
	*a = (struct asleep){.msg.run = sleep_here};
	sem_init(&a->go, 0, 0);
	reactor_post(worker_reactor(r->room.pool.workers[0]), &a->msg);
}

/* A reset that was begun while it stood still: neither saved half way nor carried out on what is loaded. */
static void no_state_is_taken_in_the_middle_of_a_reset(void **state)
{
	struct drv_request some = move_request(VIRTIO_BLK_T_IN, 0, 0, 0);
	struct move_state s = move_state_of_disk("memory:1M", &some);

	(void)state;
	for (int loads = 0; loads < 2; loads++) {
		struct move_command next = move_command(SET, loads ? STOP : SAVING);
		struct asleep a;
		struct rig r;
		struct drv d;

		rig_init(&r, "memory:1M");
		move_map_all(&r);
		drv_up(&d, &r, 1, true, 0);
		assert_int_equal(move_set_state(&r, STOP), 0);
		if (loads) {
			assert_int_equal(move_set_state(&r, LOADING), 0);
			assert_int_equal(move_write(&r, s.at, s.n), 0);
		}
		put_to_sleep(&a, &r);
		drv_set_status(&d, 0);
		assert_true(drv_status(&d));
		rig_say(&r, VFIO_USER_DEVICE_FEATURE, 0, &next, sizeof(next), NULL, 0);
		assert_true(rig_silent(&r));
		sem_post(&a.go);
		assert_int_equal(rig_hear(&r), 0);
		assert_int_equal(drv_status(&d) & VIRTIO_STATUS_DRIVER_OK,
				 loads ? VIRTIO_STATUS_DRIVER_OK : 0);
		rig_fini(&r);
		sem_destroy(&a.go);
	}
	free(s.at);
}

static void a_broken_queue_stays_broken(void **state)
{
	struct rig a, b;
	struct move_state s;
	struct drv d;
	uint32_t len;

	(void)state;
	two_servers(&a, &b, "memory:1M,queues=2");
	drv_up(&d, &a, 2, false, 0);
	drv_offer(&d, 0, 0,
		  &(struct drv_request){.type = VIRTIO_BLK_T_IN, .header = 1, .status = 2});
	drv_kick(&d, 0);
	while (!(drv_status(&d) & VIRTIO_STATUS_NEEDS_RESET))
		rig_turn(&a, 1);
	s = move_save(&a, 65536);
	assert_int_equal(move_load(&b, s.at, s.n, 65536), 0);
	assert_int_equal(move_set_state(&b, RUNNING), 0);
	d.r = &b;
	assert_true(drv_status(&d) & VIRTIO_STATUS_NEEDS_RESET);
	/* The other one goes on. */
	offer_one(&d, VIRTIO_BLK_T_IN, 1, 0, 0);
	drv_kick(&d, 0);
	drv_kick(&d, 1);
	while (drv_take(&d, 1, &len) < 0)
		rig_turn(&b, 1);
	assert_int_equal(drv_take(&d, 0, &len), -1);
	free(s.at);
	rig_fini(&a);
	rig_fini(&b);
}

static void a_network_card_moves(void **state)
{
	struct rig a, b;
	struct move_state s;
	struct drv d;

	(void)state;
	rig_init_net(&a, &nr_wire_new()->link);
	rig_init_net(&b, &nr_wire_new()->link);
	move_share(&a, &b);
	drv_up(&d, &a, 2, false, 0);
	s = move_save(&a, 100);
	assert_int_equal(move_load(&b, s.at, s.n, 100), 0);
	same_registers(&a, &b, 3);
	assert_int_equal(move_set_state(&b, RUNNING), 0);
	/* Its queues run there: going back they have to stop. */
	move_reset(&a);
	free(s.at);
	s = move_save(&b, 65536);
	assert_int_equal(move_load(&a, s.at, s.n, 65536), 0);
	same_registers(&b, &a, 3);
	assert_int_equal(move_set_state(&a, RUNNING), 0);
	d.r = &a;
	assert_false(drv_status(&d) & VIRTIO_STATUS_NEEDS_RESET);
	free(s.at);
	/* A disk's state is nothing for it. */
	rig_fini(&b);
	rig_init(&b, "memory:1M");
	s = move_save(&b, 65536);
	assert_int_equal(move_load(&a, s.at, s.n, 65536), EINVAL);
	free(s.at);
	rig_fini(&a);
	rig_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(from_each_state_to_each),
		cmocka_unit_test(messages_that_cannot_be),
		cmocka_unit_test(stop_waits_for_what_is_in_flight),
		cmocka_unit_test(registers_of_a_board_that_stands_still),
		cmocka_unit_test(back_and_forth_split),
		cmocka_unit_test(back_and_forth_packed),
		cmocka_unit_test(the_driver_is_called_once),
		cmocka_unit_test(an_interrupt_that_waits_goes_along),
		cmocka_unit_test(a_change_that_was_not_told_goes_along),
		cmocka_unit_test(no_state_is_taken_in_the_middle_of_a_reset),
		cmocka_unit_test(a_broken_queue_stays_broken),
		cmocka_unit_test(a_network_card_moves),
	};

	return cmocka_run_group_tests_name("pair/vfio_user_move", tests, NULL, NULL);
}
