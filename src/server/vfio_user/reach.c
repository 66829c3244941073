/* SPDX-License-Identifier: MIT */
#include "server/vfio_user/reach.h"

#include "base/bits.h"

#include <errno.h>
#include <string.h>

/* How little a first read need be, to see how the client answers. */
#define PROBE_BYTES 1u

/* ---- who asked ---- */

static void reach_io_back(struct reactor_msg *msg)
{
	struct gmem_io *io = container_of(msg, struct gmem_io, msg);

	io->done(io);
}

static void reach_io_over(struct gmem_io *io, int rc)
{
	io->rc = rc;
	io->msg.run = reach_io_back;
	reactor_post(io->reactor, &io->msg);
}

static struct gmem_io *reach_first(const struct vfio_user_reach *reach)
{
	return list_entry(reach->waiting.next, struct gmem_io, link);
}

static void reach_first_over(struct vfio_user_reach *reach, int rc)
{
	struct gmem_io *io = reach_first(reach);

	reach->asked = false;
	list_del(&io->link);
	reach_io_over(io, rc);
}

static void reach_io_arrives(struct reactor_msg *msg)
{
	struct gmem_io *io = container_of(msg, struct gmem_io, msg);
	struct vfio_user_reach *reach = container_of(io->remote, struct vfio_user_reach, remote);

	io->did = 0;
	if (!reach->open) {
		reach_io_over(io, -ENOTCONN);
		return;
	}
	list_add_tail(&reach->waiting, &io->link);
	reach->sent(reach);
}

static void reach_submit(struct gmem_remote *remote, struct gmem_io *io)
{
	struct vfio_user_reach *reach = container_of(remote, struct vfio_user_reach, remote);

	list_init(&io->link);
	io->msg = (struct reactor_msg){.run = reach_io_arrives};
	reactor_post(reach->home, &io->msg);
}

static const struct gmem_remote_ops reach_ops = {.submit = reach_submit};

/* ---- asking ---- */

/* The fixed part of a command and its answer, in front of the data. */
static uint32_t reach_head(const struct vfio_user_reach *reach)
{
	return reach->narrow ? (uint32_t)sizeof(struct vfio_user_dma_access_narrow)
			     : (uint32_t)sizeof(struct vfio_user_dma_access);
}

static void reach_put_head(const struct vfio_user_reach *reach, uint8_t *body)
{
	struct vfio_user_dma_access wide = {.address = reach->address, .count = reach->count};
	struct vfio_user_dma_access_narrow narrow = {.address = reach->address,
						     .count = reach->count};

	if (reach->narrow)
		memcpy(body, &narrow, sizeof(narrow));
	else
		memcpy(body, &wide, sizeof(wide));
}

int vfio_user_reach_go_on(struct vfio_user_reach *reach)
{
	struct vfio_user_message *m = reach->ch->ask;
	struct gmem_io *io;
	bool write;

	if (reach->out || !reach->open || list_empty(&reach->waiting))
		return 0;
	io = reach_first(reach);
	reach->out = reach->asked = true;
	reach->probing = io->write && !reach->proven && !reach->tried;
	write = io->write && !reach->probing;
	reach->id++;
	reach->command = write ? VFIO_USER_DMA_WRITE : VFIO_USER_DMA_READ;
	reach->address = io->gpa + io->did;
	reach->count = (uint32_t)min_u64(io->len - io->did,
					 reach->probing ? PROBE_BYTES : reach->transfer_max);
	m->header = (struct vfio_user_header){
		.id = reach->id,
		.command = reach->command,
		.size = (uint32_t)sizeof(m->header) + reach_head(reach) +
			(write ? reach->count : 0),
		.flags = VFIO_USER_TYPE_COMMAND,
	};
	reach_put_head(reach, m->body);
	if (write)
		memcpy(m->body + reach_head(reach), io->buf + io->did, reach->count);
	return vfio_user_channel_ask(reach->ch);
}

/* ---- answers ---- */

/* The fixed part, as it has to be. */
static bool reach_head_is(const struct vfio_user_reach *reach, const uint8_t *body)
{
	uint8_t want[sizeof(struct vfio_user_dma_access)];

	reach_put_head(reach, want);
	return !memcmp(body, want, reach_head(reach));
}

static void reach_failed(struct vfio_user_reach *reach, uint32_t error)
{
	log_limited(&reach->complaints, LOG_LEVEL_WARN, reach->name,
		    "the client cannot %s %u bytes of its memory at 0x%llx: %s",
		    reach->command == VFIO_USER_DMA_READ ? "read" : "write", reach->count,
		    (unsigned long long)reach->address,
		    error && error < 4096 ? strerror((int)error) : "no reason given");
	if (reach->asked)
		reach_first_over(reach, -EIO);
}

static int reach_wrong(const char **why, const char *what)
{
	*why = what;
	return -EPROTO;
}

int vfio_user_reach_answer(struct vfio_user_reach *reach, const struct vfio_user_message *m,
			   const char **why)
{
	uint32_t size = vfio_user_body_size(m), data;
	bool read = reach->command == VFIO_USER_DMA_READ;
	struct gmem_io *io;

	if (!reach->out || m->header.id != reach->id || m->header.command != reach->command)
		return reach_wrong(why, "it answers what was not asked");
	reach->out = false;
	if (m->header.flags & VFIO_USER_ERROR) {
		/* Memory that the device may only write to cannot be read for a probe. */
		if (reach->probing)
			reach->tried = true;
		else
			reach_failed(reach, m->header.error);
		return 0;
	}
	data = read ? reach->count : 0;
	if (read && !reach->proven)
		reach->narrow = size == sizeof(struct vfio_user_dma_access_narrow) + data;
	/* A narrow client says of a write only that it is done. */
	if (size != reach_head(reach) + data && (read || !reach->narrow || size))
		return reach_wrong(why,
				   "an answer about its memory has not the size that it should");
	if (size && !reach_head_is(reach, m->body))
		return reach_wrong(why, "an answer about its memory is of other memory");
	if (read)
		reach->proven = true;
	if (!reach->asked)
		return 0; /* nobody waits for it any more */
	if (reach->probing)
		return 0; /* now what it was for */
	io = reach_first(reach);
	if (read)
		memcpy(io->buf + io->did, m->body + reach_head(reach), reach->count);
	io->did += reach->count;
	if (io->did == io->len)
		reach_first_over(reach, 0);
	return 0;
}

/* ---- life ---- */

void vfio_user_reach_init(struct vfio_user_reach *reach, struct reactor *home, const char *name,
			  struct vfio_user_channel *ch, void (*sent)(struct vfio_user_reach *reach))
{
	*reach = (struct vfio_user_reach){
		.remote = {&reach_ops},
		.home = home,
		.name = name,
		.ch = ch,
		.sent = sent,
	};
	list_init(&reach->waiting);
}

void vfio_user_reach_open(struct vfio_user_reach *reach)
{
	reach->open = true;
	reach->out = reach->proven = reach->tried = reach->narrow = false;
	reach->transfer_max = VFIO_USER_TRANSFER;
}

void vfio_user_reach_close(struct vfio_user_reach *reach)
{
	reach->open = reach->asked = false;
	while (!list_empty(&reach->waiting))
		reach_first_over(reach, -ENOTCONN);
}

void vfio_user_reach_reopen(struct vfio_user_reach *reach)
{
	reach->open = true;
}
