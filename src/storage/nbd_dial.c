/* SPDX-License-Identifier: MIT */
/*
 * A connection that is begun on a thread of its own: libnbd asks for the server's name there, and a
 * resolver may not answer for as long as it likes.  The link's thread goes on meanwhile: it answers
 * those whose patience is over, and ends.  One attempt of a link is under way at a time; one whose
 * link has ended closes what it got.
 */
#include "storage/nbd.h"

#include "base/thread.h"

#include <stdio.h>

static void dial_begin(struct nbd_link *l, struct nbd_dialled *got)
{
	const char *why = NULL;
	bool failed = true;

	got->nbd = l->lib.nbd_create();
	if (got->nbd) {
		l->lib.nbd_set_uri_allow_local_file(got->nbd, true);
		failed = l->lib.nbd_aio_connect_uri(got->nbd, l->way.uri) < 0;
		/* The reason is this thread's. */
		why = failed ? l->lib.nbd_get_error() : NULL;
	}
	got->failed = failed;
	snprintf(got->why, sizeof(got->why), "%s", why ? why : "out of memory");
}

static void *dial_thread(void *arg)
{
	struct nbd_link *l = arg;
	struct nbd_dialled got = {.over = true};
	bool ended;

	pthread_setname_np(pthread_self(), "nbd-dial");
	dial_begin(l, &got);
	pthread_mutex_lock(&l->lock);
	ended = l->ended;
	if (!ended)
		l->dialled = got;
	pthread_mutex_unlock(&l->lock);
	if (ended)
		l->lib.nbd_close(got.nbd);
	else
		nbd_link_wake(l);
	nbd_link_unref(l);
	return NULL;
}

int nbd_dial(struct nbd_link *l)
{
	pthread_t thread;
	int rc;

	nbd_link_ref(l);
	rc = thread_start(&thread, dial_thread, l);
	if (rc)
		nbd_link_unref(l);
	else
		pthread_detach(thread);
	return rc;
}
