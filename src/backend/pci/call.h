/* SPDX-License-Identifier: MIT */
/*
 * A call of a PCI function: an eventfd that the device's worker signals, and where that leads.  It
 * is decided here, anew with every change of a mask, a table entry, a control bit or the pin's
 * line:
 *
 *      MSI-X on:   no vector       nobody listens; what came is thrown away when somebody does
 *                  masked          the home reactor watches it  -> pending bit
 *                  host: vectors   the worker signals the host's own eventfd
 *                  host: irqfds    an irqfd that sends the message: no exit, no thread of ours
 *                  else            watched                      -> sysbus_host_ops.msi_send()
 *      MSI-X off:  the host can    an irqfd that raises the pin's line; the guest's end of
 *                                  interrupt lowers it
 *                  else            watched                      -> the device's pin()
 *
 * For vectors the number of the fd that the worker signals comes to stand for the host's eventfd
 * (dup3): so the worker need not be told.  A write that was under way at that moment may still reach
 * the eventfd of before: ours is watched all the time, so a signal is never lost; the host's may get
 * one signal more just after its vector was masked, which drivers have to expect of any device.
 *
 * Without bus mastering a function sends no messages: that counts as masked.  The irqfd of a pin
 * needs a resample fd (see struct pci_function); it is there only while the call is started, the
 * guest has not disabled the pin, and the pin leads to a line.
 *
 * What an irqfd raised stays up until the end of interrupt, not until the device has nothing left to tell, and
 * comes down then whether it has or not.  So pin() comes after each change of the
 * way, and the device calls it as well after each end of interrupt: it looks whether there is
 * something left to tell, and raises the pin by hand, which stays up until the device has nothing left to tell.
 *
 * Threads: the system bus's.
 */
#ifndef BACKEND_PCI_CALL_H
#define BACKEND_PCI_CALL_H

#include "base/list.h"
#include "base/reactor.h"

#include <stdbool.h>
#include <stdint.h>

struct pci_function;
struct pci_msix_entry;

enum pci_call_way {
	PCI_CALL_NOWHERE,
	PCI_CALL_WATCHED,
	PCI_CALL_IRQFD,	 /* of a message        */
	PCI_CALL_LINE,	 /* of the pin's line   */
	PCI_CALL_VECTOR, /* the host's eventfd */
};

struct pci_call {
	struct pci_function *fn;
	struct reactor *home;
	int fd; /* the caller's; in non-blocking mode */
	int signal_fd;
	unsigned vector;
	bool started;
	/*
	 * MSI-X is off, and the call, which is started, may have been signalled.  Without harm when
	 * it was not.
	 */
	void (*pin)(struct pci_call *call);
	enum pci_call_way way;
	int irqfd;	  /* IRQFD: the host's handle; LINE: the line */
	uint32_t sent[4]; /* IRQFD: the table's entry */
	bool stale;	  /* what came while nobody listened is still in the fd */
	struct reactor_watch watch;
	struct list link;
};

/*
 * @signal_fd: a copy of @fd, which whoever signals holds as long as the call is there.  0, or
 * -errno when the fd cannot be watched.
 */
int pci_call_init(struct pci_call *call, struct pci_function *fn, struct reactor *home, int fd,
		  int signal_fd, void (*pin)(struct pci_call *call));
/* The fd may be closed then. */
void pci_call_fini(struct pci_call *call);
/* The device may signal it from now on; or does not any more, and pin() has nothing to say. */
void pci_call_start(struct pci_call *call);
void pci_call_stop(struct pci_call *call);
/* PCI_MSIX_NO_VECTOR: to none. */
void pci_call_set_vector(struct pci_call *call, unsigned vector);

/* ---- for pci/ ---- */

/* Leads all calls of @fn, or only those of one vector, to where they belong now. */
void pci_calls_route(struct pci_function *fn, const struct pci_msix_entry *only);
/* Looks now at what the watches would come for. */
void pci_calls_look(struct pci_function *fn);
/* The function is being reset: none is started any more, each is led anew by what follows. */
void pci_calls_stop(struct pci_function *fn);

#endif
