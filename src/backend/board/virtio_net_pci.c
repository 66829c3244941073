/* SPDX-License-Identifier: MIT */
#include "backend/board/virtio_net_pci.h"

#include <errno.h>
#include <stdlib.h>

#define CLASS_ETHERNET 0x020000

int virtio_net_pci_create(struct virtio_net_pci **out, const struct virtio_net_pci_options *o,
			  struct net_link *link, struct pci_bus *bus, struct gmem *mem,
			  struct error *err)
{
	struct virtio_pci_options board = o->board;
	struct virtio_net_pci *card = calloc(1, sizeof(*card));
	int rc;

	if (!card) {
		net_link_close(&link);
		return error_set(err, -ENOMEM, "%s: cannot set up the card", o->net.path);
	}
	if (!board.name)
		board.name = "virtio-net-pci";
	if (!board.class_code)
		board.class_code = CLASS_ETHERNET;
	rc = virtio_net_create(&card->net, &o->net, link, o->home, o->workers, o->n_workers,
			       o->first_worker, err);
	if (rc) {
		net_link_close(&link);
		free(card);
		return rc;
	}
	virtio_pci_init(&card->board, &board, o->home);
	rc = virtio_bus_attach(&card->board.bus, &card->net->vdev, err);
	if (rc)
		goto destroy;
	virtio_pci_set_mem(&card->board, mem);
	rc = pci_bus_attach(bus, &card->board.fn, o->devfn, err);
	if (rc)
		goto destroy;
	*out = card;
	return 0;
destroy:
	virtio_net_pci_destroy(&card);
	return rc;
}

static void board_stopped(struct virtio_pci *board)
{
	struct virtio_net_pci *card = container_of(board, struct virtio_net_pci, board);

	card->stopped(card);
}

void virtio_net_pci_stop(struct virtio_net_pci *card, void (*stopped)(struct virtio_net_pci *card))
{
	card->stopped = stopped;
	virtio_pci_stop(&card->board, board_stopped);
}

void virtio_net_pci_destroy(struct virtio_net_pci **cardp)
{
	struct virtio_net_pci *card = *cardp;

	if (!card)
		return;
	virtio_pci_fini(&card->board);
	virtio_net_destroy(&card->net);
	free(card);
	*cardp = NULL;
}
