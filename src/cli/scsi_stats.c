/* SPDX-License-Identifier: MIT */
#include "cli/scsi_stats.h"

#include "backend/lsi/lsi.h"

struct count {
	const char *name;
	uint64_t n;
};

static json_t *counts(const struct count *c, size_t n)
{
	json_t *all = json_object();

	for (size_t i = 0; i < n; i++)
		json_object_set_new(all, c[i].name, json_integer((json_int_t)c[i].n));
	return all;
}

static json_t *disk_stats(const struct scsi_disk *disk)
{
	const struct scsi_disk_stats *s = &disk->stats;
	const struct count c[] = {
		{"commands", s->commands},
		{"check-conditions", s->checks},
		{"reads", s->reads},
		{"writes", s->writes},
		{"flushes", s->flushes},
		{"bytes-read", s->read_bytes},
		{"bytes-written", s->written_bytes},
	};
	json_t *all = counts(c, ARRAY_SIZE(c));

	json_object_set_new(all, "path", json_string(disk->path));
	return all;
}

json_t *scsi_stats(const struct lsi *lsi)
{
	const struct lsi_stats *s = lsi ? &lsi->stats : NULL;
	json_t *all, *disks;

	if (!lsi)
		return json_null();
	const struct count c[] = {
		{"register-reads", s->reads},	      {"register-writes", s->writes},
		{"instructions", s->instructions},    {"turns", s->turns},
		{"resumptions", s->resumptions},      {"interrupts", s->interrupts},
		{"interrupts-on-the-fly", s->flying}, {"selections", s->selections},
		{"reselections", s->reselections},    {"phase-mismatches", s->mismatches},
		{"bytes-copied-in", s->bytes_in},     {"bytes-copied-out", s->bytes_out},
		{"bytes-moved", s->bytes_moved},
	};
	all = counts(c, ARRAY_SIZE(c));
	disks = json_array();
	for (unsigned i = 0; i < SPI_IDS; i++)
		if (lsi->bus.disks[i])
			json_array_append_new(disks, disk_stats(lsi->bus.disks[i]));
	json_object_set_new(all, "disks", disks);
	return all;
}
