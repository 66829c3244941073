/* SPDX-License-Identifier: MIT */
/* Cards that answer at once, later, and from another thread. */
#include "test.h"

#include "backend/sysbus/backplane.h"
#include "base/worker.h"

#include <stdio.h>
#include <string.h>

struct fake {
	struct card card;
	char name;
	bool later; /* it answers when it is told */
	struct worker *worker;
	struct reactor_msg msg;
	unsigned refreshes;
};

static char said[32]; /* what was asked of whom, in its order */

static struct fake *of(struct card *card)
{
	return container_of(card, struct fake, card);
}

static void say(char what, const struct fake *f)
{
	size_t n = strlen(said);

	snprintf(said + n, sizeof(said) - n, "%c%c ", what, f->name);
}

static void answer(struct reactor_msg *msg)
{
	struct fake *f = container_of(msg, struct fake, msg);

	backplane_lock(f->card.plane);
	card_is_quiet(&f->card);
	backplane_unlock(f->card.plane);
}

static void fake_quiesce(struct card *card)
{
	struct fake *f = of(card);

	say('q', f);
	if (f->worker)
		reactor_post(worker_reactor(f->worker), &f->msg);
	else if (!f->later)
		card_is_quiet(card);
}

static void fake_refresh(struct card *card)
{
	of(card)->refreshes++;
}

static void fake_reset(struct card *card)
{
	say('r', of(card));
}

static void fake_destroy(struct card *card)
{
	say('d', of(card));
}

static const struct card_ops fake_ops = {
	.quiesce = fake_quiesce,
	.refresh = fake_refresh,
	.reset = fake_reset,
	.destroy = fake_destroy,
};

static void add(struct backplane *bp, struct fake *f, char name)
{
	f->name = name;
	f->msg.run = answer;
	backplane_add(bp, &f->card, &fake_ops, "fake");
}

struct later {
	struct reactor_msg msg;
	struct fake *f;
	unsigned turns;
};

static void answer_later(struct reactor_msg *msg)
{
	struct later *l = container_of(msg, struct later, msg);

	/* Nobody is reset as long as one is not quiet. */
	assert_null(strchr(said, 'r'));
	assert_null(strchr(said, 'd'));
	if (l->turns--)
		reactor_post(l->f->card.plane->home, msg);
	else
		card_is_quiet(&l->f->card);
}

static void nobody_is_reset_before_all_are_quiet(void **state)
{
	const struct worker_config config = {.name = "fake", .cpu = -1};
	struct fake a = {0}, b = {.later = true}, c = {0};
	struct later later = {.msg.run = answer_later, .f = &b, .turns = 5};
	struct backplane bp;

	(void)state;
	said[0] = '\0';
	assert_int_equal(backplane_init(&bp, NULL, NULL), 0);
	assert_int_equal(worker_create(&c.worker, &config, NULL), 0);
	add(&bp, &a, 'a');
	add(&bp, &b, 'b');
	add(&bp, &c, 'c');
	reactor_post(bp.home, &later.msg);
	backplane_reset(&bp);
	assert_string_equal(said, "qa qb qc ra rb rc ");
	said[0] = '\0';
	later.turns = 5;
	reactor_post(bp.home, &later.msg);
	backplane_remove_cards(&bp);
	assert_string_equal(said, "qa qb qc da db dc ");
	worker_destroy(&c.worker);
	backplane_fini(&bp);
}

static unsigned told;

static void quieted(struct card *card)
{
	told++;
	backplane_forget(card);
}

static void whoever_asks_is_told_from_the_home_reactor(void **state)
{
	struct fake a = {0}, b = {.later = true};
	struct reactor *home;
	struct backplane bp;
	const struct reactor_config epoll = {.uring = false};

	(void)state;
	said[0] = '\0';
	told = 0;
	assert_int_equal(reactor_create(&home, &epoll, NULL), 0);
	assert_int_equal(backplane_init(&bp, home, NULL), 0);
	add(&bp, &a, 'a');
	add(&bp, &b, 'b');
	backplane_lock(&bp);
	card_quiesce(&a.card, quieted);
	card_quiesce(&b.card, quieted);
	assert_int_equal(told, 0);
	backplane_unlock(&bp);
	backplane_turn(&bp);
	assert_int_equal(told, 1);
	backplane_lock(&bp);
	card_is_quiet(&b.card);
	backplane_unlock(&bp);
	backplane_turn(&bp);
	assert_int_equal(told, 2);
	assert_string_equal(said, "qa qb ");
	/* Both were taken away by whoever was told. */
	backplane_remove_cards(&bp);
	assert_string_equal(said, "qa qb ");
	backplane_fini(&bp);
	reactor_destroy(&home);
}

static void sizes_are_looked_at_where_there_are_any(void **state)
{
	static const struct card_ops no_size = {
		.quiesce = fake_quiesce, .reset = fake_reset, .destroy = fake_destroy};
	struct fake a = {0}, b = {0};
	struct backplane bp;

	(void)state;
	assert_int_equal(backplane_init(&bp, NULL, NULL), 0);
	backplane_refresh_regularly(&bp);
	assert_false(bp.ticking);
	add(&bp, &a, 'a');
	backplane_add(&bp, &b.card, &no_size, "fake");
	backplane_refresh(&bp);
	assert_int_equal(a.refreshes, 1);
	backplane_refresh_regularly(&bp);
	assert_true(bp.ticking);
	backplane_remove_cards(&bp);
	assert_false(bp.ticking);
	backplane_fini(&bp);
}

static void without_a_host_nobody_hears(void **state)
{
	const bool busy = true;
	struct backplane bp;

	(void)state;
	assert_int_equal(backplane_init(&bp, NULL, NULL), 0);
	assert_null(sysbus_host_of(&bp.bus));
	sysbus_irq_set(&bp.bus, 3, true);
	sysbus_wait_while(&bp.bus, &busy);
	backplane_fini(&bp);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_is_reset_before_all_are_quiet),
		cmocka_unit_test(whoever_asks_is_told_from_the_home_reactor),
		cmocka_unit_test(sizes_are_looked_at_where_there_are_any),
		cmocka_unit_test(without_a_host_nobody_hears),
	};

	return cmocka_run_group_tests_name("backplane", tests, NULL, NULL);
}
