/* SPDX-License-Identifier: MIT */
/*
 * A strict device for tests of the driver: a transport that records all that the driver does, does
 * what the test wants, and notes every breach of the driver's rules.  Its side of a split ring is
 * worked by hand, so that it can also cheat.
 */
#ifndef FRONTEND_BLK_MOCK_TEST_H
#define FRONTEND_BLK_MOCK_TEST_H

#include "test.h"

#include "frontend/blk/disk.h"

enum act {
	ACT_GET_FEATURES,
	ACT_SET_FEATURES,
	ACT_GET_STATUS,
	ACT_SET_STATUS,
	ACT_CONFIG_READ,
	ACT_CONFIG_WRITE,
	ACT_QUEUE_SETUP,
	ACT_QUEUE_ENABLE,
	ACT_QUEUE_RESET,
	ACT_KICK,
	ACT_MEM_ADD,
	ACT_MEM_REMOVE,
	ACT_DISCONNECT,
	ACT_RECONNECT,
};

struct mock_act {
	enum act act;
	uint64_t value;
};

#define MOCK_ACTS   4096
#define MOCK_QUEUES 4

/* One chain as the device sees it. */
struct mock_chain {
	uint16_t head;
	unsigned n, readable;
	struct {
		uint8_t *p;
		uint32_t len;
	} bufs[64];
	bool indirect;
};

struct mock {
	struct transport base;
	/* What the test wants. */
	uint64_t offered;
	uint8_t config[4096];
	uint32_t config_size;
	uint16_t queue_size, last_queue_size; /* of the last one; 0: as the others */
	unsigned n_queues;
	bool refuse_features;	   /* FEATURES_OK does not stick */
	unsigned reset_lags;	   /* so many reads until the status is 0 after a reset */
	bool reset_never;	   /* ... or for ever */
	uint8_t status_noise;	   /* shown with every status */
	unsigned generation_bumps; /* config changes under so many reads */
	void (*on_bump)(struct mock *m);
	bool mute_suspend;
	unsigned next_events;
	/* What is. */
	uint8_t status;
	uint64_t accepted;
	uint32_t generation;
	unsigned lag;
	struct transport_queue q[MOCK_QUEUES];
	bool enabled[MOCK_QUEUES];
	uint16_t next_avail[MOCK_QUEUES], next_used[MOCK_QUEUES];
	unsigned kicks[MOCK_QUEUES];
	bool gone, suspended;
	/* What the driver did. */
	struct mock_act acts[MOCK_ACTS];
	unsigned n_acts;
	const char *breach; /* the first one */
	bool destroyed;
};

/*
 * A well-behaved disk of 1 MiB with one queue of 16, on the caller's memory.  A legacy_align in its
 * base makes it a legacy one.
 */
void mock_init(struct mock *m);
int mock_open(struct mock *m, const struct ringside_options *o, struct ringside_disk **d);
/* Opens, allocates and starts, all of which must work. */
struct ringside_disk *mock_run(struct mock *m, const struct ringside_options *o, size_t bytes,
			       uint8_t **memory);
/* No breach, and all taken down. */
void mock_close(struct mock *m, struct ringside_disk **d);

void mock_config32(struct mock *m, size_t at, uint32_t v);
void mock_config64(struct mock *m, size_t at, uint64_t v);
#define MOCK_FIELD(name) offsetof(struct virtio_blk_config, name)

/* The number of acts of a kind, and the first one's place (or -1). */
unsigned mock_count(const struct mock *m, enum act act);
int mock_find(const struct mock *m, enum act act, uint64_t value);

/* Split ring, device side. */
bool mock_pop(struct mock *m, unsigned queue, struct mock_chain *c);
void mock_push(struct mock *m, unsigned queue, uint32_t id, uint32_t len);
/* Answers a chain: fills what is to be read with @fill, sets the status. */
void mock_answer(struct mock *m, unsigned queue, const struct mock_chain *c, uint8_t fill,
		 uint8_t status);
/* Pops and answers all there is; how many. */
unsigned mock_serve(struct mock *m, unsigned queue);
uint16_t mock_avail_idx(const struct mock *m, unsigned queue);
uint16_t mock_avail_flags(const struct mock *m, unsigned queue);
void mock_used_flags(struct mock *m, unsigned queue, uint16_t flags);
void mock_avail_event(struct mock *m, unsigned queue, uint16_t event);

/* A request whose completions are counted. */
struct tried {
	struct ringside_request req;
	unsigned times;
	int result;
};
void tried_init(struct tried *t);

#endif
