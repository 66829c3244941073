/* SPDX-License-Identifier: MIT */
/*
 * Writes a block to a disk behind a vhost-user socket, flushes it, reads it back.
 *
 *	driver vhost-user:/path/to/socket
 */
#include <ringside/driver.h>

#include <stdio.h>
#include <string.h>

enum { BLOCK = 4096 };

struct outcome {
	int done, result;
};

static void on_done(struct ringside_request *req)
{
	struct outcome *o = req->opaque;

	o->result = req->result;
	o->done = 1;
}

/* Shows the device what was submitted, and sleeps until it is done. */
static int await(struct ringside_queue *q, struct outcome *o)
{
	ringside_commit(q);
	while (!o->done) {
		int n = ringside_wait(q, -1);

		if (n < 0)
			return n;
	}
	o->done = 0;
	return o->result;
}

int main(int argc, char **argv)
{
	struct ringside_options options = {0};
	struct outcome outcome = {0};
	struct ringside_request req = {0};
	struct ringside_disk *disk = NULL;
	struct ringside_queue *q;
	struct ringside_info info;
	struct ringside_error err;
	void *memory;
	char *block, id[21];
	int rc = 1;

	if (argc != 2) {
		fprintf(stderr, "usage: driver vhost-user:PATH\n");
		return 2;
	}
	if (ringside_open(argv[1], &options, &disk, &err) ||
	    ringside_mem_alloc(disk, BLOCK, &memory, &err) || ringside_start(disk, &err)) {
		fprintf(stderr, "driver: %s\n", err.text);
		goto out;
	}
	ringside_get_info(disk, &info);
	q = ringside_queue(disk, 0);
	block = memory;
	req.done = on_done;
	req.opaque = &outcome;

	ringside_get_id(q, &req, id);
	if (await(q, &outcome))
		strcpy(id, "nameless");
	printf("%s: %llu bytes\n", id, (unsigned long long)info.capacity);

	strcpy(block, "hello, ring");
	ringside_write(q, &req, 0, block, BLOCK);
	if (await(q, &outcome))
		goto failed;
	ringside_flush(q, &req);
	if (await(q, &outcome))
		goto failed;
	memset(block, 0, BLOCK);
	ringside_read(q, &req, 0, block, BLOCK);
	if (await(q, &outcome))
		goto failed;
	printf("read back: %s\n", block);
	rc = 0;
	goto out;
failed:
	fprintf(stderr, "driver: the disk failed a request: %s\n", strerror(-outcome.result));
out:
	ringside_close(&disk);
	return rc;
}
