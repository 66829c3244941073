/* SPDX-License-Identifier: MIT */
/*
 * A program that runs and can be asked over its control socket: what `ringside serve` and `ringside
 * pc` have in common.  Control thread.
 */
#ifndef CLI_INSTANCE_H
#define CLI_INSTANCE_H

#include "control/control.h"
#include "storage/storage.h"

struct instance {
	struct control control;
	const struct storage_set *storages;
	void (*stop)(struct instance *in); /* as SIGTERM */
};

static inline struct instance *instance_of(const struct control_call *call)
{
	return container_of(call->control, struct instance, control);
}

/* The parameter of every verb that is about one disk. */
#define INSTANCE_DISK                                                             \
	{                                                                         \
		.name = "name", .type = CONTROL_STRING, .text = "the disk's name" \
	}

/* Of every program:  set NAME KEY=VALUE...   resume NAME   stop */
extern const struct control_verb instance_set, instance_resume, instance_stop;

/* The state of each of a disk's layers, by its name; the caller's. */
json_t *instance_layers(const struct storage *s);

/* Answers with @result, or, if that is NULL, refuses with @err. */
void instance_answer(struct control_call *call, json_t *result, const struct error *err);

#endif
