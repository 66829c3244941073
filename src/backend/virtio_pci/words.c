/* SPDX-License-Identifier: MIT */
#include "backend/virtio_pci/words.h"

#include <errno.h>

#define VECTORS_MAX	 2048
#define VECTORS_NOT_SAID (VECTORS_MAX + 1)

static const struct word card_words[] = {
	{"disable-legacy", .help = "on: the card has no legacy interface; default off",
	 WORD_SWITCH(struct virtio_pci_options, no_legacy)},
	{"disable-modern", .help = "on: the card has nothing else; default off",
	 WORD_SWITCH(struct virtio_pci_options, no_modern)},
	{"ioeventfd", .help = "off: a guest's kick leaves to user space; default on",
	 WORD_NO_SWITCH(struct virtio_pci_options, no_ioeventfd)},
	{"irqfd", .help = "off: an interrupt is sent by a system call; default on",
	 WORD_NO_SWITCH(struct virtio_pci_options, no_irqfd)},
	{"vectors", .kind = WORD_NUMBER, .max = VECTORS_MAX,
	 .help = "of MSI-X, 0: no MSI-X; default one per queue and one more",
	 WORD_FIELD(struct virtio_pci_options, vectors)},
};

const struct words_table virtio_pci_words = WORDS_TABLE("a virtio-pci card", card_words);

void virtio_pci_words_begin(struct virtio_pci_options *o)
{
	*o = (struct virtio_pci_options){.vectors = VECTORS_NOT_SAID};
}

int virtio_pci_words_end(struct virtio_pci_options *o, struct error *err)
{
	o->no_msix = !o->vectors;
	if (o->vectors == VECTORS_NOT_SAID)
		o->vectors = 0;
	if (o->no_legacy && o->no_modern)
		return error_set(err, -EINVAL,
				 "disable-legacy=on,disable-modern=on: nothing is left.");
	return 0;
}
