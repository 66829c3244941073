/* SPDX-License-Identifier: MIT */
/*
 * One case being run: its connection, its rings, its evidence.  The helpers here bring the back end
 * up as a well-behaved front end would; each ends the case when the back end does not play along
 * (trial_fail), so that a case says only what is particular to it.
 */
#ifndef CONFORM_TRIAL_H
#define CONFORM_TRIAL_H

#include "base/bits.h"
#include "base/limits.h"
#include "conform/case.h"
#include "conform/pci_target.h"
#include "conform/peer.h"
#include "conform/ring.h"
#include "wire/virtio.h"
#include "wire/virtio_blk.h"

#include <setjmp.h>

#define TRIAL_RINGS   8
#define TRIAL_VECTORS 16
#define TRIAL_ZONES   16

struct conform_options {
	const char *path;	/* of the socket */
	struct pci_target *pci; /* instead: a board */
	bool allow_writes;
	int timeout_ms;		   /* what must happen happens within this */
	int quiet_ms;		   /* what must not happen has not happened after this */
	uint64_t offset, size;	   /* where the disk may be written, bytes */
	const char *only, *skip;   /* globs, separated by commas; NULL */
	const char *respawn;	   /* starts the back end again; NULL */
	struct limits_files files; /* as conform was started, for what it starts */
};

enum outcome {
	OUTCOME_OK,
	OUTCOME_FAILED,
	OUTCOME_SKIPPED,
};

/* What overwritten sectors held before. */
struct saved {
	struct saved *next;
	uint64_t sector;
	uint32_t len;
	uint8_t bytes[];
};

/* The board of a trial on PCI. */
struct board {
	struct pcidev dev;
	struct vpci v;
	uint8_t status; /* as last written */
	struct vpci_kick kicks[TRIAL_RINGS];
	int vectors[TRIAL_VECTORS]; /* eventfd + 1 of vectors that are connected by themselves */
	bool open;
};

struct trial {
	const struct conform_options *o;
	const struct conform_case *c;
	struct peer peer;
	struct board board;
	struct ring rings[TRIAL_RINGS];
	unsigned n_rings;
	uint64_t next_gpa;	/* where mem() goes on */
	uint64_t protos_wanted; /* protocol features to take if offered; set before dial() */
	bool no_msix;		/* PCI: interrupts by the pin; set before dial() */
	uint32_t queues;	/* the back end has */
	struct virtio_blk_config config;
	uint32_t config_len; /* bytes of it the back end knows */
	bool dialled;
	struct saved *saved;
	uint64_t
		zones[TRIAL_ZONES]; /* sectors of those that were empty before the case took them */
	unsigned n_zones;

	/* Evidence */
	enum outcome outcome;
	char sent[256], expected[256], got[512];
	jmp_buf end;
};

/* The set-up of a disk; zero is what a plain driver does. */
struct setup {
	uint64_t want;	  /* feature bits; the case is skipped if one is not offered */
	uint64_t wish;	  /* taken if offered */
	uint64_t without; /* not taken, although they usually are */
	uint16_t num;	  /* ring entries, 0: 64 */
	unsigned queues;  /* 0: one */
	bool idle;	  /* rings are told but not enabled */
	bool stopped;	  /* features and memory only, no rings */
};

#define PROTO(x)      BIT64(VHOST_USER_PROTOCOL_F_##x)
#define FEAT(x)	      BIT64(VIRTIO_F_##x)
#define BLK(x)	      BIT64(VIRTIO_BLK_F_##x)
#define FEAT_PROTOCOL BIT64(VHOST_USER_F_PROTOCOL_FEATURES)
/* Without these no disk works that offers them: host-managed zones refuse a driver that does not know
 * them. */
#define FEAT_LEAST (FEAT(VERSION_1) | FEAT_PROTOCOL | BLK(ZONED))

/* Messages. */
void send_msg(struct trial *t, uint32_t request, const void *payload, uint32_t size, int fd);
/*
 * ... and is carried out when this returns.  Returns what the back end said of it, 0
 * where it says nothing.
 */
uint64_t tell(struct trial *t, uint32_t request, const void *payload, uint32_t size, int fd);
/* ... and a refusal fails the case. */
void must_tell(struct trial *t, uint32_t request, const void *payload, uint32_t size, int fd);
uint64_t ask_u64(struct trial *t, uint32_t request);
void ask(struct trial *t, uint32_t request, const void *payload, uint32_t size,
	 struct message *answer);
/* Returns when the back end has read all that was sent. */
void sync_messages(struct trial *t);
void set_vring(struct trial *t, uint32_t request, uint32_t index, uint32_t num);

/* Bring-up, in this order. */
void reach(struct trial *t);	    /* somebody is there */
void dial(struct trial *t);	    /* connect, owner, features, protocol features */
void read_config(struct trial *t);  /* into t->config; skips without CONFIG */
void share_memory(struct trial *t); /* one area, by SET_MEM_TABLE */
void accept_features(struct trial *t, uint64_t bits);
struct ring *ring_new(struct trial *t, unsigned index, uint16_t num); /* memory only */
struct ring *ring_tell(struct trial *t, unsigned index,
		       uint16_t num); /* and told, from the start; not enabled */
/* Size, base, addresses, call and kick fd; once more after ring_stop(). */
void ring_start(struct ring *r, uint32_t base);
/* Split: stops, empties the ring and goes on as if @index requests had been done. */
void ring_restart_at(struct ring *r, uint16_t index);
void ring_addresses(struct ring *r);
void ring_kick_fd(struct ring *r);
void ring_enable(struct ring *r, bool on);
/* GET_VRING_BASE; returns what it answers. */
uint32_t ring_stop(struct ring *r);
/* The case is skipped if it is not vhost-user that carries the bus. */
void need_vhost_user(struct trial *t);
/* The device has gone away. */
bool gone(struct trial *t);
/* All of it. Returns the first ring. */
struct ring *disk_up(struct trial *t, struct setup s);
/* As a driver ends: rings stopped, connection closed.  Never fails. */
void hang_up(struct trial *t);
/* hang_up(), and everything is as at the beginning of the case. */
void redial(struct trial *t);

/* Features the back end offers, once dialled. */
static inline bool offered(const struct trial *t, unsigned bit)
{
	return t->peer.offered & BIT64(bit);
}
void need_feature(struct trial *t, unsigned bit);
const char *feature_name(unsigned bit);

/* Memory. */
uint64_t mem(struct trial *t, uint32_t len); /* aligned to 64 */
uint64_t mem_aligned(struct trial *t, uint32_t len, uint32_t align);
void *at(struct trial *t, uint64_t gpa, uint64_t len);
void fill(struct trial *t, uint64_t gpa, uint8_t value, uint32_t len);
/* Whether all of it has that value. */
bool filled(struct trial *t, uint64_t gpa, uint8_t value, uint32_t len);
uint8_t byte_at(struct trial *t, uint64_t gpa);

/* What an eventfd has counted since the last look; waits up to @ms for the first. */
uint64_t eventfd_wait(int fd, int ms);
/* Lets time pass in which nothing should happen. */
void quiet(struct trial *t);

#endif
