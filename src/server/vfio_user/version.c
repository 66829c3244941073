/* SPDX-License-Identifier: MIT */
#include "server/vfio_user/version.h"

#include "base/bits.h"
#include "server/vfio_user/channel.h"
#include "server/vfio_user/dma.h"
#include "wire/vfio_user.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

/* A client's text is some hundred bytes long. */
#define TEXT_MAX 4096

static int read_capabilities(const json_t *root, struct vfio_user_terms *terms, struct error *err)
{
	const json_t *capabilities = json_object_get(root, "capabilities"), *fds, *transfer;

	if (!json_is_object(root) || (capabilities && !json_is_object(capabilities)))
		return error_set(err, -EINVAL, "its capabilities are no JSON object.");
	fds = json_object_get(capabilities, "max_msg_fds");
	if (fds && (!json_is_integer(fds) || json_integer_value(fds) < 0))
		return error_set(err, -EINVAL, "its \"max_msg_fds\" is no number.");
	if (fds)
		terms->fds_max = (unsigned)min_u64((uint64_t)json_integer_value(fds),
						   VFIO_USER_FDS_MAX);
	transfer = json_object_get(capabilities, "max_data_xfer_size");
	if (transfer && (!json_is_integer(transfer) || json_integer_value(transfer) < 1))
		return error_set(err, -EINVAL, "its \"max_data_xfer_size\" is no number of bytes.");
	if (transfer)
		terms->transfer_max = (uint32_t)min_u64((uint64_t)json_integer_value(transfer),
							VFIO_USER_TRANSFER);
	return 0;
}

int vfio_user_version_read(uint16_t major, uint16_t minor, const char *text, uint32_t len,
			   struct vfio_user_terms *terms, struct error *err)
{
	json_error_t why;
	json_t *root;
	int rc;

	if (major != VFIO_USER_MAJOR)
		return error_set(err, -EINVAL, "it speaks version %u.%u of the protocol, not %u.",
				 major, minor, VFIO_USER_MAJOR);
	/* The protocol's own value for who says nothing. */
	*terms = (struct vfio_user_terms){
		.minor = minor, .fds_max = 1, .transfer_max = VFIO_USER_TRANSFER};
	if (terms->minor > VFIO_USER_MINOR)
		terms->minor = VFIO_USER_MINOR;
	if (!len)
		return 0;
	if (len > TEXT_MAX || text[len - 1] || strlen(text) != len - 1)
		return error_set(err, -EINVAL, "its capabilities are no text of at most %u bytes.",
				 TEXT_MAX);
	root = json_loads(text, JSON_REJECT_DUPLICATES, &why);
	if (!root)
		return error_set(err, -EINVAL, "its capabilities are no JSON.");
	rc = read_capabilities(root, terms, err);
	json_decref(root);
	return rc;
}

uint32_t vfio_user_version_write(char *text, uint32_t size)
{
	/* Clients take no longer answer than what they have said themselves: keep it short. */
	int n = snprintf(text, size,
			 "{\"capabilities\":{\"max_msg_fds\":%u,\"max_data_xfer_size\":%u,"
			 "\"pgsizes\":4096,\"max_dma_maps\":%u}}",
			 VFIO_USER_FDS_MAX, VFIO_USER_TRANSFER, VFIO_USER_DMA_MAX);

	return (uint32_t)n + 1;
}
