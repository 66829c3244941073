/* SPDX-License-Identifier: MIT */
#include "backend/machine/pc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

int pc_add_net(struct pc *pc, struct net_link *link, const struct net_spec *spec,
	       const struct virtio_pci_options *board, struct error *err)
{
	struct pc_net *net = calloc(1, sizeof(*net));
	struct virtio_net_pci_options o = {
		.board = *board,
		.devfn = -1,
		.home = pc->home,
		.workers = pc->workers,
		.n_workers = pc->n_workers,
		.first_worker = pc->disk_queues % pc->n_workers,
	};
	unsigned n = 0;
	char path[32];
	int rc;

	if (!net) {
		net_link_close(&link);
		return error_set(err, -ENOMEM, "cannot add a network card");
	}
	list_for_each (l, &pc->nets)
		n++;
	snprintf(path, sizeof(path), "pc/pci.0/net%u", n);
	o.net = net_spec_options(spec, path);
	rc = virtio_net_pci_create(&net->card, &o, link, &pc->host.bus, pc->memory.map, err);
	if (rc) {
		free(net);
		return rc;
	}
	pc->disk_queues += 2u * spec->queues;
	list_add_tail(&pc->nets, &net->link);
	return 0;
}

/* The card knows its PCI bus, and the host bridge with that bus is part of the machine. */
static void card_stopped(struct virtio_net_pci *card)
{
	struct pci_host *host = container_of(card->board.fn.bus, struct pci_host, bus);

	container_of(host, struct pc, host)->stopping--;
}

void pc_nets_destroy(struct pc *pc)
{
	list_for_each (l, &pc->nets) {
		pc->stopping++;
		virtio_net_pci_stop(list_entry(l, struct pc_net, link)->card, card_stopped);
	}
	while (pc->stopping)
		pc_turn(pc);
	list_for_each_safe (l, &pc->nets) {
		struct pc_net *net = list_entry(l, struct pc_net, link);

		list_del(&net->link);
		virtio_net_pci_destroy(&net->card);
		free(net);
	}
}
