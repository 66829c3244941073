/* SPDX-License-Identifier: MIT */
/* One connection to an NBD server and its thread: connect, serve, lose, connect again. */
#include "storage/nbd.h"

#include "base/bits.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BACKOFF_MIN_NS	 (50 * NSEC_PER_MSEC)
#define BACKOFF_MAX_NS	 (1000 * NSEC_PER_MSEC)
#define BACKOFF_EXTRA_NS (10 * NSEC_PER_SEC)
#define PROOF_NS	 (10 * NSEC_PER_SEC) /* of a connection that is asked nothing */
#define LOOK_NS		 (5 * NSEC_PER_SEC)
#define CONNECT_SECONDS	 NBD_OPEN_SECONDS

/* ---- its life ---- */

static char **argv_copy(char **argv)
{
	size_t n = 0;
	char **copy;

	while (argv[n])
		n++;
	copy = calloc(n + 1, sizeof(copy[0]));
	for (size_t i = 0; copy && i < n; i++)
		if (!(copy[i] = strdup(argv[i]))) {
			while (i--)
				free(copy[i]);
			free(copy);
			return NULL;
		}
	return copy;
}

void nbd_way_fini(struct nbd_way *w)
{
	for (size_t i = 0; w->argv && w->argv[i]; i++)
		free(w->argv[i]);
	free(w->argv);
	free(w->uri);
	free(w->name);
	*w = (struct nbd_way){0};
}

static int way_copy(struct nbd_way *to, const struct nbd_way *from)
{
	*to = (struct nbd_way){.reconnect = from->reconnect, .timeout = from->timeout};
	to->name = strdup(from->name);
	to->uri = from->uri ? strdup(from->uri) : NULL;
	to->argv = from->argv ? argv_copy(from->argv) : NULL;
	if (to->name && !from->uri == !to->uri && !from->argv == !to->argv)
		return 0;
	nbd_way_fini(to);
	return -ENOMEM;
}

void nbd_link_ref(struct nbd_link *l)
{
	pthread_mutex_lock(&l->lock);
	l->refs++;
	pthread_mutex_unlock(&l->lock);
}

void nbd_link_unref(struct nbd_link *l)
{
	struct nbd_link *main = l->main;
	bool last;

	pthread_mutex_lock(&l->lock);
	last = !--l->refs;
	pthread_mutex_unlock(&l->lock);
	if (!last)
		return;
	nbd_io_fini(l);
	file_sync_fini(&l->sync);
	far_copy_fini(&l->copy);
	close(l->wake);
	pthread_cond_destroy(&l->changed);
	pthread_mutex_destroy(&l->lock);
	nbd_way_fini(&l->way);
	free(l);
	if (main)
		nbd_link_unref(main);
}

void nbd_link_wake(struct nbd_link *l)
{
	const uint64_t one = 1;

	if (write(l->wake, &one, sizeof(one)) < 0)
		return; /* its counter is full: it is awake */
}

static void link_take_in(struct nbd_link *l, struct io_fifo *more)
{
	bool first;

	if (!more->head)
		return;
	pthread_mutex_lock(&l->lock);
	first = !l->inbox.head;
	io_fifo_append(&l->inbox, more);
	pthread_mutex_unlock(&l->lock);
	if (first)
		nbd_link_wake(l);
}

/* ---- the server ---- */

/* Without a name that cannot be told apart. */
static void note_failure(struct nbd_link *l, const char *what)
{
	pthread_mutex_lock(&l->lock);
	snprintf(l->why.text, sizeof(l->why.text), "%s", what);
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->lock);
}

/*
 * A host that is gone without a word is noticed: while nothing is under way by the kernel's probes,
 * else by a look at what has come back.  Not by TCP_USER_TIMEOUT: that ends the connection to a
 * server that hangs, too, once it reads no more, though its kernel answers each probe; what lies
 * there unread would be carried out behind what was written later.
 */
static void keep_alive(struct nbd_link *l)
{
	const int on = 1, idle = 10, interval = 5, count = 4, fd = l->lib.nbd_aio_get_fd(l->nbd);
	socklen_t size = sizeof(int);
	int protocol = 0;

	l->tcp = !getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) &&
		 protocol == IPPROTO_TCP;
	if (!l->tcp || setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)))
		return;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
}

/* With a closed window probes are up to two minutes apart, and nothing is unacknowledged. */
bool nbd_host_is_gone(const struct tcp_info *t)
{
	return t->tcpi_last_ack_recv >= NBD_GONE_MS &&
	       ((t->tcpi_unacked && t->tcpi_retransmits >= 3) || t->tcpi_probes >= 4);
}

static bool link_host_is_gone(struct nbd_link *l, uint64_t now)
{
	struct tcp_info info = {0};
	socklen_t size = sizeof(info);

	l->look_ns = now + LOOK_NS;
	return !getsockopt(l->lib.nbd_aio_get_fd(l->nbd), IPPROTO_TCP, TCP_INFO, &info, &size) &&
	       nbd_host_is_gone(&info);
}

/* A further connection may be one more than the server takes; nobody waits for it. */
static uint64_t longest_pause(const struct nbd_link *l)
{
	return l->main ? BACKOFF_EXTRA_NS : BACKOFF_MAX_NS;
}

static void link_lost(struct nbd_link *l, const char *why)
{
	const uint64_t now = clock_ns();

	if (l->up) {
		log_limited(&l->log, LOG_LEVEL_WARN, l->way.name,
			    "the connection to the server is lost (%s); %u commands were in flight",
			    why, l->in_flight);
		l->was_lost = true;
	}
	/* One that lets us in and goes at once is as one that is away. */
	if (l->up && (l->proven || now - l->connected_ns >= PROOF_NS)) {
		l->absent_ns = now;
		l->backoff_ns = 0;
	} else {
		l->backoff_ns = min_u64(max_u64(2 * l->backoff_ns, BACKOFF_MIN_NS),
					longest_pause(l));
	}
	l->lib.nbd_close(l->nbd);
	l->nbd = NULL;
	nbd_server_leave(&l->server, !l->up);
	if (nbd_server_is_leaving(&l->server) && !l->up)
		snprintf(l->lost_why, sizeof(l->lost_why), "%s", why);
	else if (!l->up)
		note_failure(l, why);
	if (l->way.argv && l->changes != l->stable) {
		l->over = true;
		log_err(l->way.name, "its server ended with changes that were not flushed: all "
				     "requests fail from now on; check the image");
	}
	l->up = false;
	l->next_try_ns = now + l->backoff_ns;
	nbd_io_lost(l);
}

/* A server of our own. */
static int link_start_server(struct nbd_link *l)
{
	int fd, rc;

	l->nbd = l->lib.nbd_create();
	if (!l->nbd)
		return -ENOMEM;
	fd = nbd_server_start(&l->server, l->way.argv);
	if (fd < 0)
		return fd;
	/* The socket is libnbd's, unless it fails at once. */
	rc = l->lib.nbd_aio_connect_socket(l->nbd, fd);
	l->failed = rc < 0;
	return rc;
}

static int link_begin(struct nbd_link *l)
{
	int rc;

	l->failed = false;
	if (!l->way.uri)
		return link_start_server(l);
	rc = nbd_dial(l);
	l->dialling = !rc;
	return rc;
}

/* What the dial came to: the link has a handle, or has lost it. */
static void link_dialled(struct nbd_link *l, uint64_t now)
{
	struct nbd_dialled got;

	pthread_mutex_lock(&l->lock);
	got = l->dialled;
	l->dialled = (struct nbd_dialled){0};
	pthread_mutex_unlock(&l->lock);
	if (!got.over)
		return;
	l->dialling = false;
	l->nbd = got.nbd;
	l->next_try_ns = now + CONNECT_SECONDS * NSEC_PER_SEC;
	if (got.failed)
		link_lost(l, got.why);
}

/* Its server is to end before another one is started on the same image. */
static bool link_has_server(struct nbd_link *l, uint64_t now)
{
	if (!nbd_server_is_leaving(&l->server))
		return false;
	if (!nbd_server_has_ended(&l->server, l->way.name, now))
		return true;
	/* Of one that did not start its own words are the reason. */
	if (l->lost_why[0])
		note_failure(l, l->server.said[0] ? l->server.said : l->lost_why);
	l->lost_why[0] = '\0';
	return false;
}

static uint32_t block_size(const struct nbd_link *l, int which)
{
	int64_t n = l->lib.nbd_get_block_size(l->nbd, which);

	return n > 0 ? (uint32_t)min_u64((uint64_t)n, UINT32_MAX) : 0;
}

/* NULL, or what is wrong with the server. */
static const char *ask_facts(const struct nbd_link *l, struct nbd_facts *f)
{
	int64_t size = l->lib.nbd_get_size(l->nbd);
	uint32_t max;

	if (size < 0)
		return "it tells no size";
	*f = (struct nbd_facts){
		.size = (uint64_t)size,
		.readonly = l->lib.nbd_is_read_only(l->nbd) != 0,
		.flush = l->lib.nbd_can_flush(l->nbd) > 0,
		.fua = l->lib.nbd_can_fua(l->nbd) > 0,
		.trim = l->lib.nbd_can_trim(l->nbd) > 0,
		.zero = l->lib.nbd_can_zero(l->nbd) > 0,
		.multi = l->lib.nbd_can_multi_conn(l->nbd) > 0,
		.min_block = (uint32_t)max_u64(block_size(l, LIBNBD_SIZE_MINIMUM), 1),
	};
	max = block_size(l, LIBNBD_SIZE_MAXIMUM);
	f->max_payload = (uint32_t)min_u64(max ? max : NBD_PAYLOAD, NBD_PAYLOAD);
	if (!is_pow2(f->min_block) || f->min_block > STORAGE_BLOCK_MAX)
		return "its smallest block is no power of two up to 64 KiB";
	f->max_payload = (uint32_t)align_down(f->max_payload, f->min_block);
	if (!f->max_payload)
		return "its largest request is smaller than its smallest block";
	return NULL;
}

/* The disk was promised to a guest as it was: NULL, or what the server cannot do any more. */
static const char *compare(const struct nbd_facts *was, const struct nbd_facts *is)
{
	if (is->size < was->size)
		return "it came back with a smaller disk";
	if (is->readonly && !was->readonly)
		return "it came back read-only";
	if (is->min_block > was->min_block || is->max_payload < was->max_payload)
		return "it came back with other block sizes";
	if (is->flush < was->flush || is->fua < was->fua || is->trim < was->trim ||
	    is->zero < was->zero)
		return "it came back without a command that it had";
	return NULL;
}

static void link_connected(struct nbd_link *l)
{
	struct nbd_facts now;
	const char *wrong = ask_facts(l, &now);

	if (!wrong && l->met)
		wrong = compare(&l->facts, &now);
	/* What this one wrote, a flush of another one would not cover. */
	if (!wrong && l->main && !now.multi)
		wrong = "it takes several connections no more";
	if (wrong) {
		link_lost(l, wrong);
		return;
	}
	pthread_mutex_lock(&l->lock);
	if (!l->met)
		l->facts = now;
	l->met = true;
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->lock);
	if (l->was_lost)
		log_limited(&l->log, LOG_LEVEL_INFO, l->way.name, "connected to the server again");
	l->was_lost = false;
	keep_alive(l);
	l->up = true;
	l->proven = false;
	l->given_up = false;
	l->since_ns = l->connected_ns = clock_ns();
}

/* ---- its thread ---- */

/* With the server that is there, or that is not. */
static uint64_t patience_ends(const struct nbd_link *l)
{
	if (l->up)
		return l->since_ns + l->way.timeout * NSEC_PER_SEC;
	return l->absent_ns + l->way.reconnect * NSEC_PER_SEC;
}

static void look_after_handle(struct nbd_link *l, uint64_t now)
{
	if (link_has_server(l, now) || l->over)
		return;
	if (l->dialling)
		link_dialled(l, now);
	if (!l->nbd && !l->dialling) {
		int rc = now >= l->next_try_ns ? link_begin(l) : 0;

		if (rc) {
			/* A server of our own that cannot be started is no error of libnbd's. */
			const char *why = l->failed ? l->lib.nbd_get_error() : strerror(-rc);
			char text[256];

			snprintf(text, sizeof(text), "%s", why ? why : "out of memory");
			if (l->nbd) {
				link_lost(l, text);
				return;
			}
			note_failure(l, text);
			l->next_try_ns = now + BACKOFF_MAX_NS;
			return;
		}
		if (!l->nbd)
			return;
		l->next_try_ns = now + CONNECT_SECONDS * NSEC_PER_SEC; /* the limit, now */
	}
	if (!l->nbd)
		return;
	if (l->lib.nbd_aio_is_dead(l->nbd) || l->lib.nbd_aio_is_closed(l->nbd)) {
		const char *why = l->failed ? l->lib.nbd_get_error() : NULL;
		char text[256];

		snprintf(text, sizeof(text), "%s", why ? why : "it closed the connection");
		link_lost(l, text);
	} else if (!l->up && l->lib.nbd_aio_is_ready(l->nbd)) {
		link_connected(l);
	} else if (!l->up && now >= l->next_try_ns) {
		link_lost(l, "it does not answer");
	} else if (l->up && l->in_flight && l->way.timeout && now >= patience_ends(l)) {
		link_lost(l, "it does not answer any more");
	} else if (l->up && l->in_flight && l->tcp && now >= l->look_ns &&
		   link_host_is_gone(l, now)) {
		link_lost(l, "its host does not answer any more");
	}
}

static void look_after_patience(struct nbd_link *l, uint64_t now)
{
	if (l->up)
		return;
	/* Also what was in flight: whatever was answered stays answered, by whichever it is. */
	if (l->main) {
		link_take_in(l->main, &l->pending);
		return;
	}
	if (!l->given_up && now >= patience_ends(l) && l->met) {
		l->given_up = true;
		if (l->pending.head)
			log_err(l->way.name,
				"the server has been away for %u seconds: requests fail until it "
				"is back",
				l->way.reconnect);
	}
	nbd_io_fail(l, l->given_up || l->over ? NULL : nbd_channel_drains, -EIO);
}

/* Milliseconds until something has to be looked at, -1: never. */
static int link_patience_ms(const struct nbd_link *l, uint64_t now)
{
	uint64_t at = UINT64_MAX;

	if (nbd_server_is_leaving(&l->server))
		at = nbd_server_due(&l->server, now);
	else if (l->over)
		return -1;
	else if (!l->up && !l->dialling)
		at = l->next_try_ns;
	if (!l->up && !l->given_up && l->met && !l->main)
		at = min_u64(at, patience_ends(l));
	if (l->up && l->in_flight && l->way.timeout)
		at = patience_ends(l);
	if (l->up && l->in_flight && l->tcp)
		at = min_u64(at, l->look_ns);
	if (at == UINT64_MAX)
		return -1;
	return at <= now ? 0 : (int)min_u64((at - now) / NSEC_PER_MSEC + 1, 60000);
}

static void link_sleep(struct nbd_link *l)
{
	struct pollfd fds[4] = {{.fd = l->wake, .events = POLLIN},
				{.fd = -1},
				{.fd = l->server.words, .events = POLLIN},
				{.fd = l->server.pidfd, .events = POLLIN}};
	uint64_t count;

	if (l->nbd) {
		unsigned way = l->lib.nbd_aio_get_direction(l->nbd);

		fds[1].fd = l->lib.nbd_aio_get_fd(l->nbd);
		fds[1].events = (short)((way & LIBNBD_AIO_DIRECTION_READ ? POLLIN : 0) |
					(way & LIBNBD_AIO_DIRECTION_WRITE ? POLLOUT : 0));
	}
	if (poll(fds, 4, link_patience_ms(l, clock_ns())) <= 0)
		return;
	if (fds[0].revents && read(l->wake, &count, sizeof(count)) < 0)
		return;
	if (fds[2].revents)
		nbd_server_listen(&l->server, l->way.name);
	if (!fds[1].revents)
		return;
	/* The state may change with the first call: one of the two. */
	if ((fds[1].revents & (POLLIN | POLLHUP | POLLERR)) && (fds[1].events & POLLIN)) {
		l->failed = l->lib.nbd_aio_notify_read(l->nbd) < 0;
		l->since_ns = l->up ? clock_ns() : l->since_ns;
	} else if (fds[1].events & POLLOUT) {
		l->failed = l->lib.nbd_aio_notify_write(l->nbd) < 0;
	} else if (fds[1].revents & (POLLHUP | POLLERR)) {
		l->failed = l->lib.nbd_aio_notify_read(l->nbd) < 0;
	}
}

static bool link_take_inbox(struct nbd_link *l)
{
	bool stop;

	pthread_mutex_lock(&l->lock);
	stop = l->stop;
	io_fifo_append(&l->pending, &l->inbox);
	pthread_mutex_unlock(&l->lock);
	return !stop;
}

static void *link_thread(void *arg)
{
	struct nbd_link *l = arg;

	l->absent_ns = clock_ns();
	while (link_take_inbox(l)) {
		uint64_t now = clock_ns();

		look_after_handle(l, now);
		if (l->up) {
			if (!l->in_flight)
				l->since_ns = now;
			if (!nbd_io_take_answers(l)) {
				link_lost(l, "the server shuts down");
				continue;
			}
			nbd_io_issue(l);
			/* Issuing may bring answers, or the end. */
			if (!l->answered && !l->lib.nbd_aio_is_dead(l->nbd))
				link_sleep(l);
		} else {
			look_after_patience(l, now);
			link_sleep(l);
		}
	}
	if (l->up && !l->in_flight)
		l->lib.nbd_aio_disconnect(l->nbd, 0);
	l->lib.nbd_close(l->nbd);
	nbd_server_end(&l->server, l->way.name, !l->up);
	pthread_mutex_lock(&l->lock);
	l->ended = true;
	l->nbd = l->dialled.nbd;
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->lock);
	l->lib.nbd_close(l->nbd);
	l->nbd = NULL;
	nbd_link_unref(l);
	return NULL;
}

static int link_start(struct nbd_link *l)
{
	pthread_t thread;
	int rc;

	l->refs++;
	rc = thread_start(&thread, link_thread, l);
	if (rc) {
		l->refs--;
		return rc;
	}
	pthread_setname_np(thread, "nbd");
	pthread_detach(thread);
	return 0;
}

/* ---- for the others ---- */

int nbd_link_create(struct nbd_link **out, const struct nbd_way *way, struct nbd_link *main,
		    struct error *err)
{
	struct nbd_link *l = calloc(1, sizeof(*l));
	pthread_condattr_t attr;
	int rc;

	if (!l)
		return error_set(err, -ENOMEM, "cannot set up %s", way->name);
	rc = nbd_lib_load(&l->lib, err);
	if (rc) {
		free(l);
		return rc;
	}
	rc = way_copy(&l->way, way);
	if (rc) {
		free(l);
		return error_set(err, rc, "cannot set up %s", way->name);
	}
	l->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->wake < 0) {
		rc = error_set(err, -errno, "cannot set up %s", way->name);
		nbd_way_fini(&l->way);
		free(l);
		return rc;
	}
	pthread_mutex_init(&l->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&l->changed, &attr);
	pthread_condattr_destroy(&attr);
	l->refs = 1;
	if (main) {
		nbd_link_ref(main);
		l->main = main;
		l->facts = main->facts;
		l->met = true;
	}
	l->server.words = l->server.pidfd = -1;
	nbd_io_init(l);
	file_sync_init(&l->sync);
	rc = far_copy_init(&l->copy);
	if (!rc)
		rc = link_start(l);
	if (rc) {
		error_set(err, rc, "cannot set up a connection for %s", way->name);
		nbd_link_unref(l);
		return rc;
	}
	*out = l;
	return 0;
}

static struct timespec in_seconds(unsigned seconds)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += seconds;
	return t;
}

int nbd_link_wait(struct nbd_link *l, unsigned seconds, struct error *err)
{
	struct timespec until = in_seconds(seconds);
	int rc = 0;

	pthread_mutex_lock(&l->lock);
	/* The first refusal is an answer, too. */
	while (!l->met && !l->why.text[0] && !rc)
		rc = pthread_cond_timedwait(&l->changed, &l->lock, &until);
	if (l->met)
		rc = 0;
	else if (l->why.text[0])
		rc = error_set(err, -ECONNREFUSED, "cannot reach %s: %s.", l->way.name,
			       l->why.text);
	else
		rc = error_set(err, -ETIMEDOUT,
			       "%s does not answer within %u seconds; is the server there?",
			       l->way.name, seconds);
	pthread_mutex_unlock(&l->lock);
	return rc;
}

void nbd_link_release(struct nbd_link **lp, unsigned seconds)
{
	struct timespec until = in_seconds(seconds);
	struct nbd_link *l = *lp;
	int rc = 0;

	if (!l)
		return;
	*lp = NULL;
	pthread_mutex_lock(&l->lock);
	l->stop = true;
	nbd_link_wake(l);
	while (seconds && !l->ended && !rc)
		rc = pthread_cond_timedwait(&l->changed, &l->lock, &until);
	pthread_mutex_unlock(&l->lock);
	nbd_link_unref(l);
}

void nbd_link_pass(struct nbd_link *l, struct storage_io *io)
{
	struct io_fifo one = {NULL, NULL};

	io_fifo_push(&one, io);
	link_take_in(l, &one);
}

void nbd_link_submit(struct nbd_link *l, struct storage_io *io)
{
	io->state = 0;
	io->progress = 0;
	io->result = 0;
	nbd_link_pass(l, io);
}
