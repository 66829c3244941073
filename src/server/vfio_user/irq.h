/* SPDX-License-Identifier: MIT */
/*
 * The device's interrupts, as the client has them: an eventfd for the pin and one for each MSI-X
 * vector (SET_IRQS).
 *
 * The pin is a level: its eventfd is signalled when it rises while unmasked, which masks it; when
 * it is unmasked and still up, it is signalled again.  A vector is signalled by whoever has an
 * interrupt, queues' workers included, through the host's vector_fd().
 *
 * All fds are eventfds; the client holds them, too, and is not trusted: signalling one never waits.
 *
 * Threads: the control thread.
 */
#ifndef SERVER_VFIO_USER_IRQ_H
#define SERVER_VFIO_USER_IRQ_H

#include "base/reactor.h"
#include "wire/vfio_user.h"

#include <stdbool.h>

struct vfio_user_irqs {
	struct reactor *home;
	unsigned n_vectors;
	int *vectors; /* -1: none */

	bool has_pin;
	int pin_fd; /* -1: none */
	bool pin_up, pin_masked;
	int unmask_fd; /* signalled by the client: unmask; -1: none */
	struct reactor_watch unmask;

	/* The vector's fd has changed; comes before the old one is closed. */
	void (*changed)(struct vfio_user_irqs *irqs, unsigned vector);
	/* The client has an interrupt of that vector without us: MSI-X by its number. */
	void (*trigger)(struct vfio_user_irqs *irqs, unsigned vector);
};

/* -ENOMEM */
int vfio_user_irqs_init(struct vfio_user_irqs *irqs, struct reactor *home, bool has_pin,
			unsigned n_vectors);
void vfio_user_irqs_fini(struct vfio_user_irqs *irqs);

/* -EINVAL: there are no such interrupts. */
int vfio_user_irqs_info(const struct vfio_user_irqs *irqs, struct vfio_user_irq_info *info);
/*
 * @data: what follows the fixed part, @len bytes; @fds, @n_fds: what came along: those that are
 * taken over become -1.  0; -EINVAL: it cannot be; -errno.
 */
int vfio_user_irqs_set(struct vfio_user_irqs *irqs, const struct vfio_user_irq_set *set,
		       const uint8_t *data, uint32_t len, int *fds, unsigned n_fds);
/* Signals a vector, if it has an eventfd. */
void vfio_user_irqs_signal(struct vfio_user_irqs *irqs, unsigned vector);
/* The device's pin goes up or down. */
void vfio_user_irqs_pin(struct vfio_user_irqs *irqs, bool level);
/* All fds are let go: the client has left. */
void vfio_user_irqs_reset(struct vfio_user_irqs *irqs);

#endif
