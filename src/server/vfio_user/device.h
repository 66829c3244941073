/* SPDX-License-Identifier: MIT */
/*
 * One card out of its machine: a backplane with a single card on it, whose host is a client at the
 * other end of a socket.
 *
 *      struct vfio_user_device
 *        host       what the card knows of the machine: vectors' eventfds, kicks, no lines
 *        plane      the card's bus, and who waits until it is quiet
 *        bus        a PCI bus with one function; its pin leads to the client
 *        irqs       the client's eventfds
 *        dma        the client's memory
 *        migration  whether it stands still, and its state
 *        kicks      eventfds that stand for a write to a place of a BAR
 *
 * The client reaches BARs by their number and an offset, whether they are mapped or not.
 *
 * Threads: the control thread, whose reactor is the card's home; nobody else accesses the card, so
 * the backplane's lock is not needed.
 */
#ifndef SERVER_VFIO_USER_DEVICE_H
#define SERVER_VFIO_USER_DEVICE_H

#include "backend/board/virtio_card.h"
#include "backend/pci/bus.h"
#include "server/vfio_user/dma.h"
#include "server/vfio_user/irq.h"
#include "server/vfio_user/migration.h"

/* Two for each queue at most: the modern and the legacy one. */
#define VFIO_USER_KICKS_MAX 512

/* A write of @size bytes (0: any) there is a signal of @fd, which is the board's. */
struct vfio_user_kick {
	uint32_t region;
	uint32_t size;
	uint64_t offset;
	bool match;
	uint64_t value;
	int fd;
};

struct vfio_user_device {
	struct sysbus_host host;
	struct backplane plane;
	struct pci_bus bus;
	struct pci_function *fn;
	struct virtio_card *card;
	struct vfio_user_irqs irqs;
	struct vfio_user_dma dma;
	struct vfio_user_migration migration;
	struct vfio_user_kick kicks[VFIO_USER_KICKS_MAX];
	unsigned n_kicks;

	struct virtio_waiter moving; /* queues that have not left the old memory yet */
	void (*moved)(struct vfio_user_device *d);
	void (*was_reset)(struct vfio_user_device *d);
};

/* Takes over @vdev, whose home is @home, on failure too.  @remote: for memory without an fd. */
int vfio_user_device_init(struct vfio_user_device *d, struct virtio_device *vdev,
			  const struct virtio_pci_options *board, struct reactor *home,
			  struct gmem_remote *remote, struct error *err);
/* Reset, with no client.  Destroys the device. */
void vfio_user_device_fini(struct vfio_user_device *d);

/* 0: there is no such region, or it is empty. */
uint64_t vfio_user_device_region(const struct vfio_user_device *d, uint32_t index, uint32_t *flags);
/* Inside the region. */
void vfio_user_device_read(struct vfio_user_device *d, uint32_t index, uint64_t offset, void *data,
			   uint32_t count);
void vfio_user_device_write(struct vfio_user_device *d, uint32_t index, uint64_t offset,
			    const void *data, uint32_t count);
/*
 * The guest wrote 0 to the status of a legacy device, or switched bus mastering off, and takes its
 * memory back as soon as that write is done: it is not done while this is so.
 */
bool vfio_user_device_write_waits(const struct vfio_user_device *d);
/* The first of the two. */
bool vfio_user_device_is_resetting(const struct vfio_user_device *d);

/*
 * The card works in dma->map from now on.  true: @moved comes, later, from the reactor, when no
 * queue works in the map of before; false: no queue runs, it does so already.
 */
bool vfio_user_device_move(struct vfio_user_device *d, void (*moved)(struct vfio_user_device *d));

/*
 * As at power-on.  @was_reset comes, later, from the reactor: nothing is in flight, no fd and no
 * byte of the client's is used any more, but for its interrupts, which stay.
 */
void vfio_user_device_reset(struct vfio_user_device *d,
			    void (*was_reset)(struct vfio_user_device *d));

#endif
