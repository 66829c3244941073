/* SPDX-License-Identifier: MIT */
#include "cli/pc_stats.h"

#include "backend/blk/virtio_blk.h"
#include "backend/net/virtio_net.h"
#include "base/atomic.h"
#include "cli/instance.h"
#include "cli/scsi_stats.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

static const char *const end_names[] = {
	[PC_RUNNING] = "running", [PC_OFF] = "power-off", [PC_EXIT] = "exit-port",
	[PC_RESET] = "reset",	  [PC_CRASHED] = "crash", [PC_FAILED] = "failure",
	[PC_STOPPED] = "stopped",
};

static json_t *cpus(const struct pc *pc)
{
	json_t *all = json_array();

	for (unsigned i = 0; i < pc->vm.n_cpus; i++) {
		json_t *exits = json_object();

		for (unsigned why = 0; why < KVM_EXIT_COUNTS; why++)
			json_object_set_new(
				exits, kvm_exit_names[why],
				json_integer((json_int_t)read_once(&pc->vm.cpus[i]->exits[why])));
		json_array_append_new(all, exits);
	}
	return all;
}

static json_t *queues(const struct virtio_device *vdev)
{
	json_t *all = json_array();

	for (unsigned i = 0; i < vdev->n_queues; i++) {
		const struct virtio_queue *q = &vdev->queues[i];

		json_array_append_new(all, json_pack("{sI sI sI}", "kicks",
						     (json_int_t)read_once(&q->kicks), "requests",
						     (json_int_t)read_once(&q->requests), "calls",
						     (json_int_t)read_once(&q->calls)));
	}
	return all;
}

static json_t *disks(const struct pc *pc)
{
	json_t *all = json_array();
	const struct virtio_card *card;

	for (unsigned i = 0; (card = pc_virtio_card(pc, VIRTIO_ID_BLOCK, i)); i++)
		json_array_append_new(
			all,
			json_pack("{ss sI sI so so}", "path", card->vdev->path, "messages-sent",
				  (json_int_t)card->board.fn.msix.sent, "pin-rises",
				  (json_int_t)card->board.fn.rises, "queues", queues(card->vdev),
				  "layers", instance_layers(virtio_blk_of(card->vdev)->storage)));
	return all;
}

static json_t *ide(const struct pc *pc)
{
	json_t *all = json_array();

	for (unsigned i = 0; pc->ide && i < PIIX3_IDE_CHANNELS; i++) {
		const struct ide_channel *ch = &pc->ide->channels[i];
		const struct ide_counters c = ch->counters;

		json_array_append_new(
			all,
			json_pack("{ss sI sI sI sI sI sI sI sI sI}", "channel", ch->name,
				  "register-accesses", (json_int_t)c.registers, "data-accesses",
				  (json_int_t)c.data, "bytes-copied", (json_int_t)c.copied,
				  "bytes-direct", (json_int_t)c.direct, "commands",
				  (json_int_t)c.commands, "requests", (json_int_t)c.requests,
				  "interrupts", (json_int_t)c.interrupts, "soft-resets",
				  (json_int_t)c.resets, "errors", (json_int_t)c.errors));
	}
	return all;
}

static json_t *counters(const struct net_counters *c, bool received)
{
	json_t *all = json_pack("{sI sI sI sI}", "frames", (json_int_t)read_once(&c->frames),
				"bytes", (json_int_t)read_once(&c->bytes), "lost",
				(json_int_t)read_once(&c->lost), "bad",
				(json_int_t)read_once(&c->bad));

	if (received)
		json_object_set_new(all, "filtered",
				    json_integer((json_int_t)read_once(&c->filtered)));
	return all;
}

static json_t *nets(const struct pc *pc)
{
	json_t *all = json_array();
	const struct virtio_card *card;

	for (unsigned n = 0; (card = pc_virtio_card(pc, VIRTIO_ID_NET, n)); n++) {
		const struct virtio_net *net = virtio_net_of(card->vdev);
		json_t *pairs = json_array();

		for (unsigned i = 0; i < net->n_pairs; i++)
			json_array_append_new(
				pairs, json_pack("{so so}", "received",
						 counters(&net->pairs[i].received, true), "sent",
						 counters(&net->pairs[i].sent, false)));
		json_array_append_new(
			all, json_pack("{ss sI sI sI sI so so}", "path", net->vdev.path,
				       "messages-sent", (json_int_t)card->board.fn.msix.sent,
				       "commands", (json_int_t)read_once(&net->commands),
				       "commands-refused", (json_int_t)read_once(&net->refused),
				       "lost-by-link", (json_int_t)read_once(&net->link->lost),
				       "pairs", pairs, "queues", queues(&net->vdev)));
	}
	return all;
}

json_t *pc_stats(const struct pc *pc)
{
	return json_pack("{ss sI so s{sI sI} so so so so}", "end", end_names[pc->end], "resets",
			 (json_int_t)pc->resets, "exits", cpus(pc), "interrupts", "lines",
			 (json_int_t)read_once(&pc->vm.irq_stats.lines), "messages",
			 (json_int_t)read_once(&pc->vm.irq_stats.msis), "disks", disks(pc), "ide",
			 ide(pc), "scsi", scsi_stats(pc->scsi), "nets", nets(pc));
}

int pc_stats_write(struct pc *pc, const char *file, struct error *err)
{
	FILE *to = strcmp(file, "-") ? fopen(file, "we") : stderr;
	json_t *all;
	int rc = 0;

	if (!to)
		return error_set(err, -errno, "cannot write %s", file);
	/* Requests may still come back from the storage. */
	backplane_lock(&pc->plane);
	all = pc_stats(pc);
	backplane_unlock(&pc->plane);
	if (!all || json_dumpf(all, to, JSON_INDENT(1)) || fputc('\n', to) == EOF)
		rc = error_set(err, -EIO, "cannot write %s", file);
	json_decref(all);
	if (to != stderr && fclose(to) && !rc)
		rc = error_set(err, -errno, "cannot write %s", file);
	return rc;
}
