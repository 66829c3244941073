/* SPDX-License-Identifier: MIT */
#include "cli/local_pci.h"

#include "backend/board/virtio_card.h"
#include "base/atomic.h"
#include "base/thread.h"
#include "cli/disk_words.h"
#include "disk/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PREFIX "local-pci:"

/* Memory that the board reaches; nothing is behind it. */
#define MEMORY_AT   (UINT64_C(1) << 30)
#define MEMORY_SIZE (UINT64_C(16) << 20)
#define BARS_AT	    UINT64_C(0xc0000000)
#define BARS_END    UINT64_C(0xfec00000)
#define MESSAGE_AT  UINT64_C(0xfee00000)

struct local_pci {
	struct backplane plane;
	struct sysbus_host host;
	struct pci_bus bus;
	struct virtio_card *card;
	struct disk_room room;
	void *memory;
	struct gmem *map;
	pthread_t thread;
	bool stop;
	/* With the lock: */
	bool pin;
	int vectors[PCI_MSIX_VECTORS_MAX]; /* copy of an eventfd, + 1; 0: none */
	struct pci_access access;
	struct vpci_platform platform;
	struct pci_target target;
};

bool local_pci_is(const char *target)
{
	return !strncmp(target, PREFIX, strlen(PREFIX));
}

/* ---- the host of its bus ---- */

static void host_irq_set(struct sysbus_host *host, unsigned gsi, bool level)
{
	(void)gsi;
	container_of(host, struct local_pci, host)->pin = level;
}

static int host_vector_fd(struct sysbus_host *host, unsigned devfn, unsigned vector)
{
	(void)devfn;
	return container_of(host, struct local_pci, host)->vectors[vector] - 1;
}

static const struct sysbus_host_ops host_ops = {
	.irq_set = host_irq_set,
	.vector_fd = host_vector_fd,
};

/* ---- register access ---- */

static struct local_pci *lock(struct pci_access *a)
{
	struct local_pci *l = container_of(a, struct local_pci, access);

	backplane_lock(&l->plane);
	return l;
}

static void unlock(struct local_pci *l)
{
	backplane_unlock(&l->plane);
}

static uint32_t config_read(struct pci_access *a, unsigned bdf, unsigned offset, unsigned size)
{
	struct local_pci *l = lock(a);
	uint32_t value = pci_bus_config_read(&l->bus, bdf, offset, size);

	unlock(l);
	return value;
}

static void config_write(struct pci_access *a, unsigned bdf, unsigned offset, uint32_t value,
			 unsigned size)
{
	struct local_pci *l = lock(a);

	pci_bus_config_write(&l->bus, bdf, offset, value, size);
	unlock(l);
}

static uint32_t bar_read(struct pci_access *a, bool io, uint64_t address, unsigned size)
{
	struct local_pci *l = lock(a);
	uint32_t value = (uint32_t)sysbus_read(&l->plane.bus, io ? SYSBUS_PORT : SYSBUS_MEMORY,
					       address, size);

	unlock(l);
	return value;
}

static void bar_write(struct pci_access *a, bool io, uint64_t address, uint32_t value,
		      unsigned size)
{
	struct local_pci *l = lock(a);

	sysbus_write(&l->plane.bus, io ? SYSBUS_PORT : SYSBUS_MEMORY, address, value, size);
	unlock(l);
}

static const struct pci_access_ops access_ops = {
	.config_read = config_read,
	.config_write = config_write,
	.read = bar_read,
	.write = bar_write,
};

/* ---- interrupts, and what only we can do ---- */

static int connect_vector(struct vpci_platform *p, uint16_t vector, int call_fd, uint64_t *address,
			  uint32_t *data)
{
	struct local_pci *l = container_of(p, struct local_pci, platform);
	int fd = fcntl(call_fd, F_DUPFD_CLOEXEC, 0), old;

	if (fd < 0)
		return -errno;
	vector %= PCI_MSIX_VECTORS_MAX;
	lock(&l->access);
	old = l->vectors[vector] - 1;
	l->vectors[vector] = fd + 1;
	pci_vector_changed(&l->card->board.fn, vector);
	unlock(l);
	if (old >= 0)
		close(old);
	/* What the message says is for hosts that know messages, but it has to be one. */
	*address = MESSAGE_AT;
	*data = vector;
	return 0;
}

static const struct vpci_platform_ops platform_ops = {.vector = connect_vector};

static struct local_pci *of(struct pci_target *t)
{
	return container_of(t, struct local_pci, target);
}

static bool pin(struct pci_target *t)
{
	struct local_pci *l = lock(of(t)->target.access);
	bool level = l->pin;

	unlock(l);
	return level;
}

static void change(struct pci_target *t)
{
	struct local_pci *l = lock(of(t)->target.access);

	virtio_device_config_changed(l->card->vdev);
	unlock(l);
}

static const struct pci_target_ops target_ops = {.pin = pin, .change = change};

/* ---- life ---- */

static void *control_main(void *arg)
{
	struct local_pci *l = arg;

	while (!load_acquire(&l->stop))
		backplane_turn(&l->plane);
	return NULL;
}

static int make_memory(struct local_pci *l, struct error *err)
{
	void *memory = mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		return error_set(err, -errno, "cannot get memory");
	l->memory = memory;
	return gmem_with_host(NULL, MEMORY_AT, MEMORY_SIZE, 0, memory, &l->map, err);
}

static int make_card(struct local_pci *l, const struct disk_words *words, struct error *err)
{
	const struct virtio_card_place place = {
		.plane = &l->plane,
		.bus = &l->bus,
		.devfn = -1,
		.mem = l->map,
	};
	struct virtio_blk *blk;
	int rc = disk_from_spec(&l->room, &words->disk, "disk0", &blk, err);

	if (rc)
		return rc;
	return virtio_card_create(&l->card, &blk->vdev, &words->board, &place, err);
}

static int make_board(struct local_pci *l, const char *disk, struct error *err)
{
	const struct worker_pool_config pool = {
		.n = 1, .reactor = {.uring = true, .poll_us = REACTOR_POLL_US}};
	struct disk_words words;
	int rc = disk_words_parse(disk, &words, err);

	if (rc)
		return rc;
	rc = backplane_init(&l->plane, NULL, err);
	if (!rc)
		rc = disk_room_init(&l->room, l->plane.home, &pool, err);
	if (!rc)
		rc = make_memory(l, err);
	if (!rc) {
		l->host.ops = &host_ops;
		l->plane.bus.host = &l->host;
		pci_bus_init(&l->bus, "pci.0", &l->plane.bus);
		pci_bus_wire_straight(&l->bus);
		rc = make_card(l, &words, err);
	}
	disk_words_fini(&words);
	return rc;
}

static void destroy(struct local_pci *l)
{
	backplane_remove_cards(&l->plane);
	disk_room_fini(&l->room);
	backplane_fini(&l->plane);
	gmem_put(l->map);
	if (l->memory)
		munmap(l->memory, MEMORY_SIZE);
	for (unsigned i = 0; i < PCI_MSIX_VECTORS_MAX; i++)
		if (l->vectors[i])
			close(l->vectors[i] - 1);
	free(l);
}

int local_pci_start(const char *target, struct local_pci **out, struct pci_target **board,
		    struct error *err)
{
	struct local_pci *l = calloc(1, sizeof(*l));
	int rc;

	if (!l)
		return error_set(err, -ENOMEM, "cannot make a board for %s", target);
	rc = make_board(l, target + strlen(PREFIX), err);
	if (rc)
		goto destroy;
	l->access.ops = &access_ops;
	l->platform.ops = &platform_ops;
	l->target = (struct pci_target){
		.ops = &target_ops,
		.access = &l->access,
		.bdf = l->card->board.fn.devfn,
		.platform = &l->platform,
		.memory = l->memory,
		.memory_at = MEMORY_AT,
		.memory_size = MEMORY_SIZE,
		.masks = true,
		.ports = {0xc000, 0x10000},
		.bars = {BARS_AT, BARS_END},
	};
	rc = thread_start(&l->thread, control_main, l);
	if (rc) {
		error_set(err, rc, "cannot run a board for %s", target);
		goto destroy;
	}
	*out = l;
	*board = &l->target;
	return 0;
destroy:
	destroy(l);
	return rc;
}

void local_pci_stop(struct local_pci **lp)
{
	struct local_pci *l = *lp;

	if (!l)
		return;
	lock(&l->access);
	store_release(&l->stop, true);
	backplane_wake(&l->plane);
	unlock(l);
	pthread_join(l->thread, NULL);
	destroy(l);
	*lp = NULL;
}
