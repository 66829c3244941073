/* SPDX-License-Identifier: MIT */
/* nbd://HOST:PORT/EXPORT and the like: the engine, and what the server told of the disk. */
#include "storage/nbd.h"

#include "base/atomic.h"
#include "base/bits.h"
#include "base/log.h"
#include "storage/nbd_words.h"
#include "storage/secret.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NBD_MAX_RUN	(UINT64_C(1) << 30)
#define NBD_END_SECONDS 2

struct nbd_disk {
	struct storage base;
	struct nbd_way way;
	struct nbd_facts facts;
	pthread_mutex_t lock; /* protects @first_taken; taken alone */
	struct nbd_link *first;
	bool first_taken; /* by a channel; only if each has its own */
};

static struct nbd_disk *to_disk(struct storage *s)
{
	return container_of(s, struct nbd_disk, base);
}

static int check_facts(const struct storage_options *o, const struct nbd_facts *f,
		       struct error *err)
{
	uint32_t block = o->geometry.block_size ? o->geometry.block_size : 512;

	if (f->readonly && o->readonly == STORAGE_WRITABLE)
		return error_set(err, -EROFS, "%s is read-only at the server; use readonly=on.",
				 o->target);
	if (!f->size || f->size % block)
		return error_set(err, -EINVAL,
				 "the size of %s, %llu bytes, is no multiple of %s%u; it has to be "
				 "extended at the server.",
				 o->target, (unsigned long long)f->size,
				 block > 512 ? "blk-size=" : "", block);
	if (f->size % f->min_block)
		return error_set(err, -EINVAL,
				 "the size of %s, %llu bytes, is no multiple of the %u bytes that "
				 "its server takes at once; it has to be extended there.",
				 o->target, (unsigned long long)f->size, f->min_block);
	return 0;
}

static void set_limits(struct nbd_disk *d, const struct storage_options *o)
{
	const struct nbd_facts *f = &d->facts;
	const bool readonly = o->readonly == STORAGE_READONLY || f->readonly;
	const uint32_t block = o->geometry.block_size ? o->geometry.block_size : 512;
	const bool zero = !readonly && f->zero && f->min_block <= block;

	if (f->readonly && o->readonly == STORAGE_AUTO)
		log_info(o->target, "cannot be written: served read-only");
	d->base.size = f->size;
	d->base.size_unit = f->min_block > 512 ? f->min_block : 0;
	d->base.readonly = readonly;
	d->base.limits = (struct storage_limits){
		.max_discard = readonly || o->no_discard || !f->trim ? 0 : NBD_MAX_RUN,
		.discard_alignment = (uint32_t)max_u64(512, f->min_block),
		.max_write_zeroes = zero ? NBD_MAX_RUN : 0,
		.write_zeroes_unmaps = zero && !o->no_discard,
	};
}

int nbd_open_way(const struct storage_options *o, const struct nbd_way *way, struct storage **out,
		 struct error *err)
{
	struct nbd_disk *d = calloc(1, sizeof(*d));
	int rc;

	if (!d) {
		struct nbd_way gone = *way;

		nbd_way_fini(&gone);
		return error_set(err, -ENOMEM, "cannot set up %s", o->target);
	}
	pthread_mutex_init(&d->lock, NULL);
	d->way = *way;
	d->base.name = d->way.name;
	rc = nbd_link_create(&d->first, &d->way, NULL, err);
	if (!rc)
		rc = nbd_link_wait(d->first, NBD_OPEN_SECONDS, err);
	if (!rc) {
		/* Not changed any more once they are there. */
		d->facts = d->first->facts;
		/*
		 * Requests that edit one block have to meet (nbd_io.c); and each further connection
		 * to a server of our own would start another one on the same image.
		 */
		if (d->facts.min_block > 512 || d->way.argv)
			d->facts.multi = false;
		rc = check_facts(o, &d->facts, err);
	}
	if (rc) {
		nbd_storage_close(&d->base);
		return rc;
	}
	set_limits(d, o);
	*out = &d->base;
	return 0;
}

void nbd_storage_close(struct storage *s)
{
	struct nbd_disk *d = to_disk(s);

	nbd_link_release(&d->first, NBD_END_SECONDS);
	nbd_way_fini(&d->way);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

/* A client that shows no certificate has no key. */
static int check_key_in(const char *dir, struct error *err)
{
	char *key = NULL;
	int rc = 0;

	if (asprintf(&key, "%s/client-key.pem", dir) < 0)
		return error_set(err, -ENOMEM, "cannot look at the client's key");
	if (!access(key, F_OK))
		rc = secret_check(key, "the client's key", err);
	free(key);
	return rc;
}

int nbd_check_default_key(const char *home, const char *host, struct error *err)
{
	static const char *const below[] = {".pki/libnbd", ".config/pki/libnbd"};
	int rc = 0;

	/* Where libnbd looks; whichever it takes. */
	for (size_t i = 0; !rc && home && i < ARRAY_SIZE(below); i++) {
		char *dir = NULL;

		if (asprintf(&dir, "%s/%s", home, below[i]) < 0)
			return error_set(err, -ENOMEM, "cannot look at the client's key");
		rc = check_key_in(dir, err);
		free(dir);
	}
	return rc ? rc : check_key_in(host, err);
}

/* What TLS takes from files that the URI names, or from where it has them by default. */
static int check_secrets(const char *uri, struct error *err)
{
	char *psk = uri_query(uri, "tls-psk-file"), *dir = uri_query(uri, "tls-certificates");
	const bool tls = !strncmp(uri, "nbds", 4);
	int rc = 0;

	if (psk)
		rc = secret_check(psk, "the file of pre-shared keys", err);
	if (!rc && dir)
		rc = check_key_in(dir, err);
	else if (!rc && tls && !psk)
		rc = nbd_check_default_key(geteuid() ? getenv("HOME") : NULL, "/etc/pki/libnbd",
					   err);
	free(psk);
	free(dir);
	return rc;
}

bool nbd_spoiled(const struct storage *s)
{
	return load_acquire(&container_of(s, const struct nbd_disk, base)->first->sync.lost) != 0;
}

static int nbd_open(const struct storage_options *o, struct storage **out, struct error *err)
{
	struct nbd_way way = {.reconnect = o->nbd_reconnect, .timeout = o->nbd_timeout};
	int rc = check_secrets(o->target, err);

	if (rc)
		return rc;
	way.uri = strdup(o->target);
	way.name = strdup(o->target);
	if (!way.uri || !way.name) {
		nbd_way_fini(&way);
		return error_set(err, -ENOMEM, "cannot set up %s", o->target);
	}
	return nbd_open_way(o, &way, out, err);
}

/* ---- channels ---- */

static struct nbd_channel *to_channel(struct storage_channel *ch)
{
	return container_of(ch, struct nbd_channel, base);
}

/*
 * The channel may be closed by the last request: nothing of it is touched after that.  No message
 * is queued then, as it is posted only when the list was empty, and all of the list is taken.
 */
static void channel_deliver(struct reactor_msg *msg)
{
	struct nbd_channel *ch = container_of(msg, struct nbd_channel, msg);
	struct io_fifo done;
	struct storage_io *io;

	pthread_mutex_lock(&ch->lock);
	done = ch->done;
	ch->done.head = NULL;
	pthread_mutex_unlock(&ch->lock);
	while ((io = io_fifo_pop(&done))) {
		if (!--ch->in_flight)
			store_release(&ch->draining, false);
		io->done(io, io->result);
	}
}

void nbd_channel_give_back(struct storage_io *io)
{
	struct nbd_channel *ch = to_channel(io->channel);
	bool first;

	/* Posted under the lock, so that the channel is still there. */
	pthread_mutex_lock(&ch->lock);
	first = !ch->done.head;
	io_fifo_push(&ch->done, io);
	if (first)
		reactor_post(ch->base.reactor, &ch->msg);
	pthread_mutex_unlock(&ch->lock);
}

/* A connection of its own, if the server allows that; the first one is there already. */
static int channel_get_link(struct nbd_disk *d, struct nbd_channel *ch, struct error *err)
{
	bool own;

	pthread_mutex_lock(&d->lock);
	own = d->facts.multi && d->first_taken;
	d->first_taken = true;
	pthread_mutex_unlock(&d->lock);
	if (own)
		return nbd_link_create(&ch->link, &d->way, d->first, err);
	ch->link = d->first;
	return 0;
}

int nbd_channel_open(struct storage *s, struct reactor *r, struct storage_channel **out,
		     struct error *err)
{
	struct nbd_channel *ch = calloc(1, sizeof(*ch));
	int rc;

	if (!ch)
		return error_set(err, -ENOMEM, "cannot set up a channel");
	ch->base = (struct storage_channel){.storage = s, .reactor = r};
	ch->msg.run = channel_deliver;
	rc = channel_get_link(to_disk(s), ch, err);
	if (rc) {
		free(ch);
		return rc;
	}
	pthread_mutex_init(&ch->lock, NULL);
	*out = &ch->base;
	return 0;
}

void nbd_channel_close(struct storage_channel *base)
{
	struct nbd_disk *d = to_disk(base->storage);
	struct nbd_channel *ch = to_channel(base);

	if (ch->link != d->first) {
		nbd_link_release(&ch->link, 0);
	} else if (d->facts.multi) {
		pthread_mutex_lock(&d->lock);
		d->first_taken = false;
		pthread_mutex_unlock(&d->lock);
	}
	pthread_mutex_destroy(&ch->lock);
	free(ch);
}

void nbd_submit(struct storage_channel *base, struct storage_io *io)
{
	to_channel(base)->in_flight++;
	nbd_link_submit(to_channel(base)->link, io);
}

bool nbd_channel_drains(const struct storage_io *io)
{
	return load_acquire(&to_channel(io->channel)->draining);
}

/* Also for what comes until nothing is in flight: a layer above may send it once more. */
void nbd_drain(struct storage_channel *base, struct storage_drain *d)
{
	struct nbd_channel *ch = to_channel(base);

	if (ch->in_flight && !load_acquire(&ch->draining)) {
		store_release(&ch->draining, true);
		nbd_link_wake(ch->link);
		if (ch->link->main)
			nbd_link_wake(ch->link->main);
	}
	if (d)
		d->done(d);
}

const struct storage_engine_ops nbd_engine_ops = {
	.kind = "nbd",
	.prefix = "nbd:",
	.claims = nbd_claims,
	.words = NBD_WORDS,
	.open = nbd_open,
	.close = nbd_storage_close,
	.has_threads = true,
	.spoiled = nbd_spoiled,
	.channel_open = nbd_channel_open,
	.channel_close = nbd_channel_close,
	.submit = nbd_submit,
	.drain = nbd_drain,
};
