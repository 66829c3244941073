/* SPDX-License-Identifier: MIT */
#include "bench/gate.h"

#include "base/clock.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

int gate_init(struct gate *g)
{
	*g = (struct gate){.news_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	if (g->news_fd < 0)
		return -errno;
	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->changed, NULL);
	return 0;
}

void gate_fini(struct gate *g)
{
	pthread_cond_destroy(&g->changed);
	pthread_mutex_destroy(&g->lock);
	close(g->news_fd);
}

static void go_locked(struct gate *g, enum phase phase)
{
	if (phase > gate_phase(g)) {
		write_once(&g->since_ns, clock_ns());
		store_release(&g->orders, (g->orders & GATE_HOLD) | (unsigned)phase);
	}
	pthread_cond_broadcast(&g->changed);
}

void gate_go(struct gate *g, enum phase phase)
{
	pthread_mutex_lock(&g->lock);
	go_locked(g, phase);
	pthread_mutex_unlock(&g->lock);
}

void gate_hold(struct gate *g, bool on)
{
	pthread_mutex_lock(&g->lock);
	write_once(&g->orders, on ? g->orders | GATE_HOLD : g->orders & ~GATE_HOLD);
	if (on)
		write_once(&g->holds, g->holds + 1);
	else
		g->gone = false;
	pthread_cond_broadcast(&g->changed);
	pthread_mutex_unlock(&g->lock);
}

static void tell(struct gate *g)
{
	(void)eventfd_write(g->news_fd, 1);
}

enum phase gate_pass(struct gate *g, enum phase phase)
{
	enum phase now;

	pthread_mutex_lock(&g->lock);
	g->waiting++;
	tell(g);
	while ((g->orders & GATE_HOLD || g->gone || gate_phase(g) < phase) &&
	       gate_phase(g) != PHASE_ABANDON)
		pthread_cond_wait(&g->changed, &g->lock);
	g->waiting--;
	now = gate_phase(g);
	pthread_mutex_unlock(&g->lock);
	return now;
}

enum phase gate_stranded(struct gate *g)
{
	pthread_mutex_lock(&g->lock);
	g->gone = true;
	pthread_mutex_unlock(&g->lock);
	return gate_pass(g, PHASE_SETUP);
}

void gate_arrive(struct gate *g)
{
	pthread_mutex_lock(&g->lock);
	g->arrived++;
	tell(g);
	pthread_mutex_unlock(&g->lock);
}

void gate_stop(struct gate *g)
{
	pthread_mutex_lock(&g->lock);
	go_locked(g, PHASE_STOP);
	pthread_mutex_unlock(&g->lock);
}
