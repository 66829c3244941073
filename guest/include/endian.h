/* SPDX-License-Identifier: MIT */
/* This guest is little-endian. */
#ifndef GUEST_ENDIAN_H
#define GUEST_ENDIAN_H

#define htole16(v) (v)
#define htole32(v) (v)
#define htole64(v) (v)
#define le16toh(v) (v)
#define le32toh(v) (v)
#define le64toh(v) (v)

#endif
