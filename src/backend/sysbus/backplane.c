/* SPDX-License-Identifier: MIT */
#include "backend/sysbus/backplane.h"

#include "base/clock.h"
#include "base/log.h"

#include <poll.h>
#include <string.h>

#define TICK_NS NSEC_PER_SEC
/* A card that takes longer than this to become quiet is named. */
#define LATE_NS (5 * NSEC_PER_SEC)

/* ---- turns ---- */

void backplane_turn(struct backplane *bp)
{
	struct pollfd fd = {.fd = reactor_fd(bp->home), .events = POLLIN};

	poll(&fd, 1, reactor_timeout_ms(bp->home));
	backplane_lock(bp);
	reactor_process(bp->home);
	backplane_unlock(bp);
}

void backplane_wake(struct backplane *bp)
{
	if (bp->waking)
		return;
	bp->waking = true;
	reactor_post(bp->home, &bp->wake);
}

static struct card *first_to_tell(const struct backplane *bp)
{
	list_for_each (l, &bp->cards) {
		struct card *card = list_entry(l, struct card, link);

		if (card->state == CARD_QUIET && card->quieted)
			return card;
	}
	return NULL;
}

/* Answers of cards, which may have come on any thread. */
static void backplane_woken(struct reactor_msg *msg)
{
	struct backplane *bp = container_of(msg, struct backplane, wake);
	struct card *card;

	bp->waking = false;
	/* From the beginning each time: who is told may take cards away. */
	while ((card = first_to_tell(bp))) {
		void (*quieted)(struct card * card) = card->quieted;

		card->quieted = NULL;
		quieted(card);
	}
}

/* ---- cards ---- */

void backplane_add(struct backplane *bp, struct card *card, const struct card_ops *ops,
		   const char *path)
{
	*card = (struct card){.ops = ops, .path = path, .plane = bp, .state = CARD_WORKS};
	list_add_tail(&bp->cards, &card->link);
}

void backplane_forget(struct card *card)
{
	if (card->plane)
		list_del(&card->link);
	card->plane = NULL;
}

void card_is_quiet(struct card *card)
{
	card->state = CARD_QUIET;
	backplane_wake(card->plane);
}

static void card_begin_quiesce(struct card *card)
{
	if (card->state == CARD_WORKS) {
		card->state = CARD_QUIETING;
		card->ops->quiesce(card);
	}
}

void card_quiesce(struct card *card, void (*quieted)(struct card *card))
{
	card->quieted = quieted;
	if (card->state == CARD_QUIET)
		backplane_wake(card->plane);
	card_begin_quiesce(card);
}

void card_reset(struct card *card)
{
	card->state = CARD_WORKS;
	card->ops->reset(card);
}

void backplane_refresh(struct backplane *bp)
{
	list_for_each (l, &bp->cards) {
		struct card *card = list_entry(l, struct card, link);

		if (card->ops->refresh)
			card->ops->refresh(card);
	}
}

static void tick_expired(struct reactor_timer *t)
{
	struct backplane *bp = container_of(t, struct backplane, tick);

	backplane_refresh(bp);
	reactor_timer_start(bp->home, &bp->tick, TICK_NS);
}

void backplane_refresh_regularly(struct backplane *bp)
{
	if (bp->ticking || list_empty(&bp->cards))
		return;
	bp->ticking = true;
	reactor_timer_start(bp->home, &bp->tick, TICK_NS);
}

/* ---- all of them ---- */

static struct card *first_that_is_not_quiet(const struct backplane *bp)
{
	list_for_each (l, &bp->cards) {
		struct card *card = list_entry(l, struct card, link);

		if (card->state != CARD_QUIET)
			return card;
	}
	return NULL;
}

static void late_expired(struct reactor_timer *t)
{
	struct backplane *bp = container_of(t, struct backplane, late);
	const struct card *card = first_that_is_not_quiet(bp);

	if (card)
		log_warn(card->path,
			 "what it has in flight has not come back yet: the machine waits");
}

void backplane_quiesce(struct backplane *bp)
{
	bool quiet;

	backplane_lock(bp);
	list_for_each (l, &bp->cards)
		card_begin_quiesce(list_entry(l, struct card, link));
	quiet = !first_that_is_not_quiet(bp);
	if (!quiet)
		reactor_timer_start(bp->home, &bp->late, LATE_NS);
	backplane_unlock(bp);
	while (!quiet) {
		backplane_turn(bp);
		backplane_lock(bp);
		quiet = !first_that_is_not_quiet(bp);
		backplane_unlock(bp);
	}
	reactor_timer_stop(bp->home, &bp->late);
}

void backplane_reset(struct backplane *bp)
{
	backplane_quiesce(bp);
	backplane_lock(bp);
	list_for_each (l, &bp->cards)
		card_reset(list_entry(l, struct card, link));
	backplane_unlock(bp);
}

void backplane_remove_cards(struct backplane *bp)
{
	if (!bp->home)
		return;
	reactor_timer_stop(bp->home, &bp->tick);
	bp->ticking = false;
	backplane_quiesce(bp);
	while (!list_empty(&bp->cards)) {
		struct card *card = list_entry(bp->cards.next, struct card, link);

		backplane_lock(bp);
		backplane_forget(card);
		backplane_unlock(bp);
		card->ops->destroy(card);
	}
}

/* ---- life ---- */

int backplane_init(struct backplane *bp, struct reactor *home, struct error *err)
{
	const struct reactor_config control = {.uring = false};

	*bp = (struct backplane){.home = home};
	if (!home) {
		int rc = reactor_create(&bp->home, &control, err);

		if (rc)
			return rc;
		bp->home_is_ours = true;
	}
	fair_lock_init(&bp->lock);
	sysbus_init(&bp->bus, NULL);
	list_init(&bp->cards);
	bp->wake.run = backplane_woken;
	reactor_timer_init(&bp->tick, tick_expired);
	reactor_timer_init(&bp->late, late_expired);
	return 0;
}

void backplane_fini(struct backplane *bp)
{
	if (!bp->home)
		return;
	/* A message that is on its way comes from us, or from a card's thread that is gone by now. */
	while (bp->waking)
		backplane_turn(bp);
	if (bp->home_is_ours)
		reactor_destroy(&bp->home);
	fair_lock_fini(&bp->lock);
	*bp = (struct backplane){0};
}
