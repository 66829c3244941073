/* SPDX-License-Identifier: MIT */
/*
 * As in a machine: a virtual CPU's thread touches registers, the control thread turns the reactor,
 * and a lock lets one of them in at a time. For ThreadSanitizer above all.
 */
#include "test.h"

#include "backend/lsi/rig_test.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COMMANDS 200u
#define END	 7u

struct machine {
	struct lsi_rig rig;
	bool off;
	unsigned good;
};

static uint8_t in8(struct machine *m, unsigned reg)
{
	uint8_t v;

	backplane_lock(&m->rig.plane);
	v = lr_in8(&m->rig, reg);
	backplane_unlock(&m->rig.plane);
	return v;
}

static void out32(struct machine *m, unsigned reg, uint32_t v)
{
	backplane_lock(&m->rig.plane);
	lr_out32(&m->rig, reg, v);
	backplane_unlock(&m->rig.plane);
}

/* Writes a block, reads it back, and so on; now and then it aborts what it has begun. */
static void *cpu(void *arg)
{
	struct machine *m = arg;
	struct lsi_rig *r = &m->rig;

	for (unsigned i = 0; i < COMMANDS; i++) {
		uint8_t cdb[16] = {i & 1 ? SCSI_READ_10 : SCSI_WRITE_10,
				   0,
				   0,
				   0,
				   0,
				   (uint8_t)(i / 2),
				   0,
				   0,
				   8};
		struct lr_command c = {.message = {i & 2 ? 0x80 : 0xc0},
				       .message_n = 1,
				       .cdb = cdb,
				       .len = 4096,
				       .out = !(i & 1),
				       .slot = i & 1};
		bool abandon = i % 16 == 15;

		backplane_lock(&m->rig.plane);
		memset(r->ram + LR_DATA_OF(i & 1), i & 1 ? 0 : (int)i, 4096);
		lr_begin(r);
		lr_driver(r, &c);
		backplane_unlock(&m->rig.plane);
		out32(m, LSI_DSA, LR_TABLE + 0x100 * c.slot);
		out32(m, LSI_DSP, LR_CODE);
		if (abandon) {
			backplane_lock(&m->rig.plane);
			lr_out8(r, LSI_ISTAT, ISTAT_ABRT);
			lr_out8(r, LSI_ISTAT, 0);
			lr_out8(r, LSI_SCNTL1, SCNTL1_RST);
			lr_out8(r, LSI_SCNTL1, 0);
			r->lsi->bus.disks[0]->attention = 0;
			lr_in8(r, LSI_SIST);
			lr_in8(r, LSI_DSTAT);
			backplane_unlock(&m->rig.plane);
			continue;
		}
		while (!(in8(m, LSI_ISTAT) & (ISTAT_SIP | ISTAT_DIP)))
			sched_yield();
		if (in8(m, LSI_DSTAT) != (DSTAT_DFE | DSTAT_SIR))
			break;
		backplane_lock(&m->rig.plane);
		m->good += *lr_status(r, c.slot) == SCSI_GOOD &&
			   (c.out || r->ram[LR_DATA_OF(1) + 4095] == i - 1);
		backplane_unlock(&m->rig.plane);
	}
	backplane_lock(&m->rig.plane);
	m->off = true;
	backplane_unlock(&m->rig.plane);
	return NULL;
}

static void run(const char *target, bool worker)
{
	struct machine *m = calloc(1, sizeof(*m));
	pthread_t thread;
	bool off = false;

	assert_non_null(m);
	lr_init_threads(&m->rig, target, worker);
	assert_int_equal(pthread_create(&thread, NULL, cpu, m), 0);
	while (!off) { /* long programs, and I/O without a worker */
		struct pollfd fd = {.fd = reactor_fd(m->rig.home), .events = POLLIN};

		poll(&fd, 1, 1);
		backplane_lock(&m->rig.plane);
		reactor_process(m->rig.home);
		off = m->off;
		backplane_unlock(&m->rig.plane);
	}
	pthread_join(thread, NULL);
	assert_int_equal(m->good, COMMANDS - COMMANDS / 16);
	lr_fini(&m->rig);
	free(m);
}

static void lsi_from_two_threads_on_memory(void **state)
{
	(void)state;
	run(NULL, false);
	run(NULL, true);
}

static void lsi_from_two_threads_on_a_file(void **state)
{
	char path[] = "/tmp/ringside-lsi-XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	close(fd);
	run(path, false);
	run(path, true);
	unlink(path);
}

/* ---- a machine's reset with a write on its way ---- */

struct gate {
	struct lsi_rig *rig;
	struct reactor_msg stand, look;
	sem_t reached, open;
	unsigned looks;
};

static void stand(struct reactor_msg *msg)
{
	struct gate *g = container_of(msg, struct gate, stand);

	sem_post(&g->reached);
	while (sem_wait(&g->open))
		;
}

/* The control thread, while the reset waits. */
static void look(struct reactor_msg *msg)
{
	struct gate *g = container_of(msg, struct gate, look);

	assert_int_equal(g->rig->lsi->card.state, CARD_QUIETING);
	if (++g->looks < 5)
		reactor_post(g->rig->home, msg);
	else
		sem_post(&g->open);
}

static void lsi_reset_waits_for_its_disks(void **state)
{
	static const uint8_t cdb[16] = {SCSI_WRITE_10, 0, 0, 0, 0, 0, 0, 0, 8};
	const struct lr_command c = {
		.message = {0xc0}, .message_n = 1, .cdb = cdb, .len = 4096, .out = true};
	struct gate g = {.stand.run = stand, .look.run = look};
	struct machine *m = calloc(1, sizeof(*m));
	struct lsi_rig *r = &m->rig;
	uint8_t *before = malloc(LR_RAM);

	(void)state;
	assert_true(m && before);
	lr_init_threads(r, NULL, true);
	g.rig = r;
	sem_init(&g.reached, 0, 0);
	sem_init(&g.open, 0, 0);
	reactor_post(worker_reactor(r->lsi->io), &g.stand);
	while (sem_wait(&g.reached))
		;
	backplane_lock(&r->plane);
	lr_begin(r);
	lr_driver(r, &c);
	backplane_unlock(&r->plane);
	out32(m, LSI_DSA, LR_TABLE);
	out32(m, LSI_DSP, LR_CODE);
	assert_false(scsi_disk_quiet(r->lsi->bus.disks[0]));
	reactor_post(r->home, &g.look);
	backplane_reset(&r->plane);
	assert_int_equal(g.looks, 5);
	assert_true(scsi_disk_quiet(r->lsi->bus.disks[0]));
	/* Memory is somebody else's now. */
	memset(r->ram, 0x5a, LR_RAM);
	memset(before, 0x5a, LR_RAM);
	for (unsigned i = 0; i < 5; i++)
		reactor_process(r->home);
	assert_memory_equal(r->ram, before, LR_RAM);
	lr_fini(r);
	sem_destroy(&g.reached);
	sem_destroy(&g.open);
	free(before);
	free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lsi_reset_waits_for_its_disks),
		cmocka_unit_test(lsi_from_two_threads_on_memory),
		cmocka_unit_test(lsi_from_two_threads_on_a_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
