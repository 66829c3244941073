/* SPDX-License-Identifier: MIT */
/*
 * The first message of a session: both sides say which version of the protocol they speak and, in
 * JSON, what they can do.
 *
 * Threads: any.
 */
#ifndef SERVER_VFIO_USER_VERSION_H
#define SERVER_VFIO_USER_VERSION_H

#include "base/error.h"

#include <stdint.h>

struct vfio_user_terms {
	uint16_t minor;	       /* what both speak */
	unsigned fds_max;      /* in a message to the client */
	uint32_t transfer_max; /* bytes of its memory in a message of ours */
};

/*
 * What the client says: version numbers, and @text of @len bytes with its NUL, or without any
 * text.  -EINVAL and a sentence for what cannot be understood; members that are not known are
 * passed over.
 */
int vfio_user_version_read(uint16_t major, uint16_t minor, const char *text, uint32_t len,
			   struct vfio_user_terms *terms, struct error *err);

/* What we say, with its NUL: bytes, at most @size. */
uint32_t vfio_user_version_write(char *text, uint32_t size);

#endif
