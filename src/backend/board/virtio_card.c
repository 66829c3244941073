/* SPDX-License-Identifier: MIT */
#include "backend/board/virtio_card.h"

#include "wire/virtio.h"

#include <errno.h>
#include <stdlib.h>

/* What a board is called, and its class, by the device on it. */
static const struct face {
	uint16_t id;
	const char *name;
	uint32_t class_code;
} faces[] = {
	{VIRTIO_ID_BLOCK, "virtio-blk-pci", 0x010000}, /* mass storage */
	{VIRTIO_ID_NET, "virtio-net-pci", 0x020000},   /* Ethernet     */
};

static struct virtio_pci_options complete(const struct virtio_pci_options *o, uint16_t id)
{
	struct virtio_pci_options board = *o;
	struct face face = {.name = "virtio-pci", .class_code = 0xff0000};

	for (size_t i = 0; i < ARRAY_SIZE(faces); i++)
		if (faces[i].id == id)
			face = faces[i];
	if (!board.name)
		board.name = face.name;
	if (!board.class_code)
		board.class_code = face.class_code;
	return board;
}

/* ---- the card's verbs ---- */

static struct virtio_card *of(struct card *card)
{
	return container_of(card, struct virtio_card, card);
}

static void virtio_card_is_quiet(struct virtio_pci *board)
{
	card_is_quiet(&container_of(board, struct virtio_card, board)->card);
}

static void virtio_card_quiesce(struct card *card)
{
	virtio_pci_quiesce(&of(card)->board, virtio_card_is_quiet);
}

static void virtio_card_refresh(struct card *card)
{
	virtio_device_refresh(of(card)->vdev);
}

static void virtio_card_reset(struct card *card)
{
	pci_function_reset(&of(card)->board.fn);
}

static void virtio_card_destroy(struct card *card)
{
	struct virtio_card *c = of(card);

	virtio_pci_fini(&c->board);
	c->vdev->cls->destroy(c->vdev);
	free(c);
}

static const struct card_ops virtio_card_ops = {
	.quiesce = virtio_card_quiesce,
	.refresh = virtio_card_refresh,
	.reset = virtio_card_reset,
	.destroy = virtio_card_destroy,
};

struct virtio_card *virtio_card_of(struct card *card)
{
	return card->ops == &virtio_card_ops ? of(card) : NULL;
}

/* ---- life ---- */

int virtio_card_create(struct virtio_card **out, struct virtio_device *vdev,
		       const struct virtio_pci_options *board,
		       const struct virtio_card_place *place, struct error *err)
{
	const struct virtio_pci_options options = complete(board, vdev->cls->id);
	struct virtio_card *c = calloc(1, sizeof(*c));
	int rc;

	if (!c) {
		rc = error_set(err, -ENOMEM, "%s: cannot set up the card", vdev->path);
		vdev->cls->destroy(vdev);
		return rc;
	}
	c->vdev = vdev;
	virtio_pci_init(&c->board, &options, place->plane->home);
	rc = virtio_bus_attach(&c->board.bus, vdev, err);
	if (rc)
		goto destroy;
	virtio_pci_set_mem(&c->board, place->mem, NULL);
	rc = pci_bus_attach(place->bus, &c->board.fn, place->devfn, err);
	if (rc)
		goto destroy;
	backplane_add(place->plane, &c->card, &virtio_card_ops, vdev->path);
	*out = c;
	return 0;
destroy:
	virtio_card_destroy(&c->card);
	return rc;
}
