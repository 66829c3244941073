/* SPDX-License-Identifier: MIT */
#include "server/vfio_user/reach.h"

#include "base/bits.h"

#include <errno.h>
#include <string.h>

#define HEAD ((uint32_t)sizeof(struct vfio_user_dma_access))

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
	if (!reach->open || reach->strange) {
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

/* The fixed part of a command, and of its answer. */
static struct vfio_user_dma_access reach_head(const struct vfio_user_reach *reach)
{
	return (struct vfio_user_dma_access){.address = reach->address, .count = reach->count};
}

int vfio_user_reach_go_on(struct vfio_user_reach *reach)
{
	struct vfio_user_message *m = reach->ch->ask;
	struct vfio_user_dma_access head;
	struct gmem_io *io;
	uint32_t data;

	if (reach->out || !reach->open || list_empty(&reach->waiting))
		return 0;
	io = reach_first(reach);
	reach->out = reach->asked = true;
	reach->probing = !reach->probed;
	reach->id++;
	reach->command = io->write || reach->probing ? VFIO_USER_DMA_WRITE : VFIO_USER_DMA_READ;
	reach->address = io->gpa + io->did;
	reach->count = reach->probing ? 0
				      : (uint32_t)min_u64(io->len - io->did, reach->transfer_max);
	data = reach->command == VFIO_USER_DMA_WRITE ? reach->count : 0;
	m->header = (struct vfio_user_header){
		.id = reach->id,
		.command = reach->command,
		.size = (uint32_t)sizeof(m->header) + HEAD + data,
		.flags = VFIO_USER_TYPE_COMMAND,
	};
	head = reach_head(reach);
	memcpy(m->body, &head, HEAD);
	if (data)
		memcpy(m->body + HEAD, io->buf + io->did, data);
	return vfio_user_channel_ask(reach->ch);
}

/* ---- answers ---- */

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

static void reach_all_over(struct vfio_user_reach *reach, int rc)
{
	reach->asked = false;
	while (!list_empty(&reach->waiting))
		reach_first_over(reach, rc);
}

/* The first question is answered, if only by an error: memory may be for reading only. */
static void reach_probed(struct vfio_user_reach *reach, bool error, uint32_t size)
{
	reach->probed = true;
	reach->strange = !error && !size;
	if (!reach->strange)
		return;
	log_limited(
		&reach->complaints, LOG_LEVEL_WARN, reach->name,
		"the client's messages about its memory are not those of the document (QEMU has "
		"the right ones since 11.1), so memory without a file descriptor is out of reach");
	reach_all_over(reach, -EPROTO);
}

static int reach_wrong(const char **why, const char *what)
{
	*why = what;
	return -EPROTO;
}

/* What was read goes where it is wanted. */
static void reach_progress(struct vfio_user_reach *reach, const uint8_t *data)
{
	struct gmem_io *io = reach_first(reach);

	if (reach->command == VFIO_USER_DMA_READ)
		memcpy(io->buf + io->did, data, reach->count);
	io->did += reach->count;
	if (io->did == io->len)
		reach_first_over(reach, 0);
}

int vfio_user_reach_answer(struct vfio_user_reach *reach, const struct vfio_user_message *m,
			   const char **why)
{
	const struct vfio_user_dma_access head = reach_head(reach);
	bool error = m->header.flags & VFIO_USER_ERROR;
	uint32_t size = vfio_user_body_size(m);

	if (!reach->out || m->header.id != reach->id || m->header.command != reach->command)
		return reach_wrong(why, "it answers what was not asked");
	reach->out = false;
	reach->heard++;
	if (reach->probing)
		reach_probed(reach, error, size);
	if (reach->probing && (error || !size))
		return 0;
	if (error) {
		reach_failed(reach, m->header.error);
		return 0;
	}
	if (size != HEAD + (reach->command == VFIO_USER_DMA_READ ? reach->count : 0))
		return reach_wrong(why,
				   "an answer about its memory has not the size that it should");
	if (memcmp(m->body, &head, HEAD) != 0)
		return reach_wrong(why, "an answer about its memory is of other memory");
	/* Else nobody waits for it any more. */
	if (reach->asked && !reach->probing)
		reach_progress(reach, m->body + HEAD);
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
	reach->out = reach->probed = reach->strange = false;
	reach->transfer_max = VFIO_USER_TRANSFER;
}

void vfio_user_reach_close(struct vfio_user_reach *reach)
{
	reach->open = false;
	reach_all_over(reach, -ENOTCONN);
}

void vfio_user_reach_reopen(struct vfio_user_reach *reach)
{
	reach->open = true;
}
