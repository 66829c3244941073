/* SPDX-License-Identifier: MIT */
#include "server/vfio_user/irq.h"

#include "base/notifier.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

static void irq_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int irq_take(int *fds, unsigned i)
{
	int fd = fds[i];

	fds[i] = -1;
	return fd;
}

void vfio_user_irqs_signal(struct vfio_user_irqs *irqs, unsigned vector)
{
	if (irqs->vectors[vector] >= 0)
		notifier_signal_foreign(irqs->home, irqs->vectors[vector]);
}

/* ---- the pin ---- */

static void pin_tell(struct vfio_user_irqs *irqs)
{
	if (!irqs->pin_up || irqs->pin_masked || irqs->pin_fd < 0)
		return;
	irqs->pin_masked = true;
	notifier_signal_foreign(irqs->home, irqs->pin_fd);
}

void vfio_user_irqs_pin(struct vfio_user_irqs *irqs, bool level)
{
	irqs->pin_up = level;
	pin_tell(irqs);
}

static void pin_unmask(struct vfio_user_irqs *irqs)
{
	irqs->pin_masked = false;
	pin_tell(irqs);
}

static void unmask_ready(struct reactor_watch *w, uint32_t events)
{
	(void)events;
	pin_unmask(container_of(w, struct vfio_user_irqs, unmask));
}

static void unmask_drop(struct vfio_user_irqs *irqs)
{
	reactor_watch_stop(irqs->home, &irqs->unmask);
	irq_close(&irqs->unmask_fd);
}

static int unmask_set(struct vfio_user_irqs *irqs, int fd)
{
	int rc;

	unmask_drop(irqs);
	if (fd < 0)
		return 0;
	irqs->unmask_fd = fd;
	rc = reactor_watch_start(irqs->home, &irqs->unmask, fd, EPOLLIN);
	if (rc)
		irq_close(&irqs->unmask_fd);
	return rc;
}

static int pin_trigger(struct vfio_user_irqs *irqs, const struct vfio_user_irq_set *set,
		       const uint8_t *data, int *fds, unsigned n_fds)
{
	if (set->flags & VFIO_USER_IRQ_DATA_FD) {
		irq_close(&irqs->pin_fd);
		irqs->pin_masked = false;
		if (n_fds)
			irqs->pin_fd = irq_take(fds, 0);
		pin_tell(irqs);
	} else if (!set->count) {
		irq_close(&irqs->pin_fd);
		unmask_drop(irqs);
		irqs->pin_masked = false;
	} else if (irqs->pin_fd >= 0 && (set->flags & VFIO_USER_IRQ_DATA_NONE || data[0])) {
		notifier_signal_foreign(irqs->home, irqs->pin_fd);
	}
	return 0;
}

static int pin_set(struct vfio_user_irqs *irqs, const struct vfio_user_irq_set *set,
		   const uint8_t *data, int *fds, unsigned n_fds)
{
	bool meant = set->flags & VFIO_USER_IRQ_DATA_NONE ||
		     (set->flags & VFIO_USER_IRQ_DATA_BOOL && set->count && data[0]);

	switch (set->flags & VFIO_USER_IRQ_ACTIONS) {
	case VFIO_USER_IRQ_ACTION_TRIGGER:
		return pin_trigger(irqs, set, data, fds, n_fds);
	case VFIO_USER_IRQ_ACTION_MASK:
		if (set->flags & VFIO_USER_IRQ_DATA_FD)
			return -EINVAL;
		irqs->pin_masked |= meant;
		return 0;
	default:
		if (set->flags & VFIO_USER_IRQ_DATA_FD)
			return unmask_set(irqs, n_fds ? irq_take(fds, 0) : -1);
		if (meant)
			pin_unmask(irqs);
		return 0;
	}
}

/* ---- vectors ---- */

static void vector_set(struct vfio_user_irqs *irqs, unsigned vector, int fd)
{
	int before = irqs->vectors[vector];

	if (before < 0 && fd < 0)
		return;
	irqs->vectors[vector] = fd;
	irqs->changed(irqs, vector);
	irq_close(&before);
}

static int vectors_set(struct vfio_user_irqs *irqs, const struct vfio_user_irq_set *set,
		       const uint8_t *data, int *fds, unsigned n_fds)
{
	if ((set->flags & VFIO_USER_IRQ_ACTIONS) != VFIO_USER_IRQ_ACTION_TRIGGER)
		return -EINVAL;
	if (!set->count)
		for (unsigned i = 0; i < irqs->n_vectors; i++)
			vector_set(irqs, i, -1);
	for (uint32_t i = 0; i < set->count; i++) {
		unsigned vector = set->start + i;

		if (set->flags & VFIO_USER_IRQ_DATA_FD)
			vector_set(irqs, vector, n_fds ? irq_take(fds, i) : -1);
		else if (set->flags & VFIO_USER_IRQ_DATA_NONE || data[i])
			irqs->trigger(irqs, vector);
	}
	return 0;
}

/* ---- both ---- */

int vfio_user_irqs_info(const struct vfio_user_irqs *irqs, struct vfio_user_irq_info *info)
{
	info->flags = info->count = 0;
	switch (info->index) {
	case VFIO_USER_IRQ_INTX:
		if (irqs->has_pin) {
			info->count = 1;
			info->flags = VFIO_USER_IRQ_EVENTFD | VFIO_USER_IRQ_MASKABLE |
				      VFIO_USER_IRQ_AUTOMASKED;
		}
		return 0;
	case VFIO_USER_IRQ_MSI:
		return 0;
	case VFIO_USER_IRQ_MSIX:
		info->count = irqs->n_vectors;
		if (irqs->n_vectors)
			info->flags = VFIO_USER_IRQ_EVENTFD;
		return 0;
	default:
		return -EINVAL;
	}
}

static bool one_of(uint32_t flags, uint32_t mask)
{
	flags &= mask;
	return flags && !(flags & (flags - 1));
}

int vfio_user_irqs_set(struct vfio_user_irqs *irqs, const struct vfio_user_irq_set *set,
		       const uint8_t *data, uint32_t len, int *fds, unsigned n_fds)
{
	struct vfio_user_irq_info info = {.index = set->index};
	int rc = vfio_user_irqs_info(irqs, &info);

	if (rc)
		return rc;
	if (set->flags & ~(VFIO_USER_IRQ_DATA_MASK | VFIO_USER_IRQ_ACTIONS) ||
	    !one_of(set->flags, VFIO_USER_IRQ_DATA_MASK) ||
	    !one_of(set->flags, VFIO_USER_IRQ_ACTIONS))
		return -EINVAL;
	if (set->start > info.count || set->count > info.count - set->start)
		return -EINVAL;
	/* "None of them" means all, and is said in one way only. */
	if (!set->count && (set->start || !(set->flags & VFIO_USER_IRQ_DATA_NONE) ||
			    !(set->flags & VFIO_USER_IRQ_ACTION_TRIGGER)))
		return -EINVAL;
	if (set->flags & VFIO_USER_IRQ_DATA_BOOL && len < set->count)
		return -EINVAL;
	if (set->flags & VFIO_USER_IRQ_DATA_FD ? n_fds && n_fds != set->count : n_fds)
		return -EINVAL;
	if (set->index == VFIO_USER_IRQ_INTX)
		return pin_set(irqs, set, data, fds, n_fds);
	/* Of the other kinds there are none, and none of them to be taken away. */
	return set->index == VFIO_USER_IRQ_MSIX ? vectors_set(irqs, set, data, fds, n_fds) : 0;
}

void vfio_user_irqs_reset(struct vfio_user_irqs *irqs)
{
	for (unsigned i = 0; i < irqs->n_vectors; i++)
		vector_set(irqs, i, -1);
	irq_close(&irqs->pin_fd);
	unmask_drop(irqs);
	irqs->pin_masked = false;
}

int vfio_user_irqs_init(struct vfio_user_irqs *irqs, struct reactor *home, bool has_pin,
			unsigned n_vectors)
{
	*irqs = (struct vfio_user_irqs){
		.home = home,
		.n_vectors = n_vectors,
		.has_pin = has_pin,
		.pin_fd = -1,
		.unmask_fd = -1,
		.unmask.ready = unmask_ready,
	};
	if (!n_vectors)
		return 0;
	irqs->vectors = malloc(n_vectors * sizeof(*irqs->vectors));
	if (!irqs->vectors)
		return -ENOMEM;
	for (unsigned i = 0; i < n_vectors; i++)
		irqs->vectors[i] = -1;
	return 0;
}

void vfio_user_irqs_fini(struct vfio_user_irqs *irqs)
{
	free(irqs->vectors);
	irqs->vectors = NULL;
	irqs->n_vectors = 0;
}
