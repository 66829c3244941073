/* SPDX-License-Identifier: MIT */
#include "backend/net/links.h"

#include <errno.h>
#include <stdlib.h>

static int none_receive_start(struct net_link *l, unsigned pair, struct reactor *r,
			      struct error *err)
{
	(void)l;
	(void)pair;
	(void)r;
	(void)err;
	return 0;
}

static void none_receive_stop(struct net_link *l, unsigned pair, struct reactor *r)
{
	(void)l;
	(void)pair;
	(void)r;
}

static ssize_t none_receive(struct net_link *l, unsigned pair, struct virtio_net_hdr *hdr,
			    void *buf, size_t size)
{
	(void)l;
	(void)pair;
	(void)hdr;
	(void)buf;
	(void)size;
	return 0;
}

static int none_send(struct net_link *l, unsigned pair, const struct virtio_net_hdr *hdr,
		     const struct iovec *iov, int n, size_t len)
{
	(void)l;
	(void)pair;
	(void)hdr;
	(void)iov;
	(void)n;
	(void)len;
	return -ENOLINK;
}

static void none_close(struct net_link *l)
{
	free(l);
}

static const struct net_link_ops none_ops = {
	.name = "a card without a cable",
	.receive_start = none_receive_start,
	.receive_stop = none_receive_stop,
	.receive = none_receive,
	.send = none_send,
	.close = none_close,
};

int net_none_open(struct net_link **out, unsigned pairs, struct error *err)
{
	struct net_link *l = calloc(1, sizeof(*l));

	if (!l)
		return error_set(err, -ENOMEM, "cannot add a network card");
	l->ops = &none_ops;
	l->pairs = pairs;
	*out = l;
	return 0;
}
