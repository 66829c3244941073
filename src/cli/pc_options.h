/* SPDX-License-Identifier: MIT */
/*
 * The command line that describes a machine: for `ringside pc`, which runs it, and `ringside
 * tree`, which shows it.
 */
#ifndef CLI_PC_OPTIONS_H
#define CLI_PC_OPTIONS_H

#include "backend/machine/pc.h"
#include "cli/disk_words.h"
#include "cli/net_words.h"
#include "control/control.h"

#define PC_SCSI_MAX 15 /* IDs of a wide bus but the card's own */

struct pc_options {
	const char *command; /* the subcommand's name */
	struct pc_config config;
	/* As many as are given; the bus says when it has no empty slot. */
	struct disk_words *disks;
	unsigned n_disks;
	struct disk_spec ide[PIIX3_IDE_DISKS_MAX];
	unsigned n_ide;
	struct disk_spec scsi[PC_SCSI_MAX];
	unsigned n_scsi;
	struct net_words *nets;
	unsigned n_nets;
	const char *stats;	       /* file for the counters, NULL: none */
	struct control_places control; /* sockets that answer questions */
	const char *of;		       /* tree only: the control socket to ask, NULL: none */
	bool json;		       /* tree only */
	bool done;		       /* an option has already done all there is to do */
};

/*
 * Returns an exit status; EXIT_OK: go on, unless done.  To be followed by
 * pc_options_fini() in either case.
 */
int pc_options_parse(struct pc_options *o, const char *command, int argc, char **argv);
void pc_options_fini(struct pc_options *o);

/*
 * Before the cards: opens the storages of all disks side by side.  -ECANCELED: @stopped said so; -errno
 * and the sentence of the first that failed.
 */
int pc_options_open(const struct pc_options *o, struct pc *pc, bool (*stopped)(void *opaque),
		    void *opaque, struct error *err);
/* Puts all the cards in.  @plan: the machine is only looked at, and the host stays as it is. */
int pc_options_plug(const struct pc_options *o, struct pc *pc, bool plan, struct error *err);

#endif
