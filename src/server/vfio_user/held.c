/* SPDX-License-Identifier: MIT */
#include "server/vfio_user/held.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct held_command {
	struct list link;
	struct vfio_user_message m;
};

static uint32_t held_size(const struct vfio_user_message *m)
{
	return (uint32_t)sizeof(struct held_command) + vfio_user_body_size(m) + 1;
}

void vfio_user_held_init(struct vfio_user_held *held)
{
	*held = (struct vfio_user_held){.n = 0};
	list_init(&held->commands);
}

int vfio_user_held_add(struct vfio_user_held *held, struct vfio_user_channel *ch)
{
	struct vfio_user_message *m = ch->in;
	uint32_t body = vfio_user_body_size(m), size = held_size(m);
	struct held_command *h;

	if (held->n == VFIO_USER_HELD_MAX || held->bytes + size > VFIO_USER_HELD_BYTES_MAX ||
	    held->fds + m->n_fds > VFIO_USER_HELD_FDS_MAX)
		return -ENOBUFS;
	h = malloc(size);
	if (!h)
		return -ENOMEM;
	list_init(&h->link);
	h->m.header = m->header;
	h->m.n_fds = m->n_fds;
	memcpy(h->m.fds, m->fds, sizeof(h->m.fds));
	memcpy(h->m.body, m->body, body + 1);
	/* They are its own now. */
	m->n_fds = 0;
	vfio_user_channel_next(ch);
	list_add_tail(&held->commands, &h->link);
	held->n++;
	held->bytes += size;
	held->fds += h->m.n_fds;
	return 0;
}

struct vfio_user_message *vfio_user_held_take(struct vfio_user_held *held)
{
	struct held_command *h;

	if (list_empty(&held->commands))
		return NULL;
	h = list_entry(held->commands.next, struct held_command, link);
	list_del(&h->link);
	held->n--;
	held->bytes -= held_size(&h->m);
	held->fds -= h->m.n_fds;
	return &h->m;
}

void vfio_user_held_free(struct vfio_user_message *m, struct aside *aside)
{
	vfio_user_message_drop_fds(m, aside);
	free(container_of(m, struct held_command, m));
}

void vfio_user_held_drop(struct vfio_user_held *held, struct aside *aside)
{
	struct vfio_user_message *m;

	while ((m = vfio_user_held_take(held)))
		vfio_user_held_free(m, aside);
}
