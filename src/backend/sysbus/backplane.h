/* SPDX-License-Identifier: MIT */
/*
 * The backplane: what every machine has, whatever it runs on and whatever is in it.
 *
 *      the main system bus     what it stands on is its host: KVM, a socket, this process, nobody
 *      the machine lock        one access to a device at a time
 *      the home reactor        of the control thread, and its turn
 *      the cards               in their slots, in the order in which they were put in
 *
 *      pc            = backplane + KVM as host + chipset + cards
 *      local-pci:    = backplane + a host in this process + one card
 *      a plan        = backplane + chipset + cards, and nobody as host
 *      board tests   = backplane + a host that notes everything
 *
 * Whoever takes memory back from a card (a machine reset that loads memory anew, a front end that
 * unmaps it, the end) has to know that nothing is in flight.  Here is the one place that waits:
 *
 *      works --quiesce--> quieting --the card's answer--> quiet --reset--> works
 *                                                               --destroy--> gone
 *
 * backplane_reset() and backplane_remove_cards() do this for all cards and take turns meanwhile;
 * card_quiesce() does it for one and answers from the home reactor.  What a card still wrote to
 * its storage is there before it is quiet, with the data of before: nothing of it can overtake
 * what the machine writes after the reset.
 *
 * Threads: all on the control thread, but for what says otherwise.  Processors and the control
 * thread, while it processes the home reactor, hold the lock.
 */
#ifndef BACKEND_SYSBUS_BACKPLANE_H
#define BACKEND_SYSBUS_BACKPLANE_H

#include "backend/sysbus/sysbus.h"
#include "base/fair_lock.h"
#include "base/reactor.h"

struct card;

/* The first three come with the lock held. */
struct card_ops {
	/*
	 * Begins nothing new, and calls card_is_quiet() when no request, no order and no message is
	 * under way any more; at once if that is so already.  Nobody accesses the card until its
	 * reset.
	 */
	void (*quiesce)(struct card *card);
	/* Looks whether what it stands on has another size.  Optional. */
	void (*refresh)(struct card *card);
	/* Quiet: power-on state. */
	void (*reset)(struct card *card);
	/* Quiet, and off the list; without the lock. */
	void (*destroy)(struct card *card);
};

enum card_state {
	CARD_WORKS,
	CARD_QUIETING,
	CARD_QUIET,
};

/* Embedded by the card. */
struct card {
	const struct card_ops *ops;
	const char *path;	 /* for messages; the card's */
	struct backplane *plane; /* NULL: not put in */
	struct list link;
	enum card_state state;
	void (*quieted)(struct card *card); /* who asked; NULL: nobody waits for the answer */
};

struct backplane {
	struct sysbus bus;
	struct fair_lock lock;
	struct reactor *home;
	bool home_is_ours;
	struct list cards;
	struct reactor_msg wake;
	bool waking;
	bool ticking;
	struct reactor_timer tick; /* for looks at sizes */
	struct reactor_timer late; /* a card lets others wait */
};

/* @home: of the control thread, of the epoll kind; NULL: one of our own. */
int backplane_init(struct backplane *bp, struct reactor *home, struct error *err);
/* The bus is empty, and the cards are removed.  Harmless when zeroed. */
void backplane_fini(struct backplane *bp);

/* Any thread. */
static inline void backplane_lock(struct backplane *bp)
{
	fair_lock_take(&bp->lock);
}
static inline void backplane_unlock(struct backplane *bp)
{
	fair_lock_give(&bp->lock);
}

/* One turn of the home reactor, which may sleep.  Not from inside the reactor. */
void backplane_turn(struct backplane *bp);
/* With the lock, any thread: ends a turn that sleeps. */
void backplane_wake(struct backplane *bp);

/* ---- cards ---- */

/* @card works from now on. */
void backplane_add(struct backplane *bp, struct card *card, const struct card_ops *ops,
		   const char *path);
/* For a card that is given up before it was made complete.  Harmless when it was not added. */
void backplane_forget(struct card *card);

/* Looks at the cards' sizes now; each second from now on. */
void backplane_refresh(struct backplane *bp);
void backplane_refresh_regularly(struct backplane *bp);

/* With the lock: @quieted comes later, from the home reactor, when the card is quiet. */
void card_quiesce(struct card *card, void (*quieted)(struct card *card));
/* With the lock, when it is quiet: it works again. */
void card_reset(struct card *card);
/* The card's answer.  With the lock, any thread. */
void card_is_quiet(struct card *card);

/* Without the lock.  Takes turns until every card is quiet. */
void backplane_quiesce(struct backplane *bp);
/* Then resets them. */
void backplane_reset(struct backplane *bp);
/* Or destroys them. */
void backplane_remove_cards(struct backplane *bp);

#endif
