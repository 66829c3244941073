/* SPDX-License-Identifier: MIT */
/*
 * A doubly linked ring of members; an element knows whether it is on a list (list_is_linked).
 *
 * Both loops below keep a pointer into the list while their body runs.  A body that calls out, to
 * code that may take other elements off (a callback, a completion), uses neither: it moves the
 * list to a head of its own with list_take_all() and takes the first element until there is none.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include "base/bits.h"

struct list {
	struct list *prev, *next;
};

static inline void list_init(struct list *l)
{
	l->prev = l->next = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

/* An element that was initialised and is on no list points at itself, as an empty list does. */
static inline bool list_is_linked(const struct list *l)
{
	return l->next != l;
}

static inline void list_add_tail(struct list *head, struct list *item)
{
	item->prev = head->prev;
	item->next = head;
	head->prev->next = item;
	head->prev = item;
}

static inline void list_del(struct list *item)
{
	item->prev->next = item->next;
	item->next->prev = item->prev;
	list_init(item);
}

/* Moves all of @from's elements, in their order, to @to, which is empty. */
static inline void list_take_all(struct list *to, struct list *from)
{
	if (list_empty(from)) {
		list_init(to);
		return;
	}
	*to = *from;
	to->prev->next = to->next->prev = to;
	list_init(from);
}

#define list_entry(ptr, type, member) container_of(ptr, type, member)

#define list_for_each(pos, head) \
	for (struct list *pos = (head)->next; pos != (head); pos = pos->next)

/* The present element may be taken off, and no other. */
#define list_for_each_safe(pos, head)                                                 \
	for (struct list *pos = (head)->next, *pos##_next = pos->next; pos != (head); \
	     pos = pos##_next, pos##_next = pos->next)

#endif
