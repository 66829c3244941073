/* SPDX-License-Identifier: MIT */
/* The numbers that our sources return; Linux' values, so that a printed one can be looked up. */
#ifndef GUEST_ERRNO_H
#define GUEST_ERRNO_H

#define ENOENT	     2
#define EIO	     5
#define ENXIO	     6
#define E2BIG	     7
#define ENOMEM	     12
#define EFAULT	     14
#define EBUSY	     16
#define EEXIST	     17
#define ENODEV	     19
#define EINVAL	     22
#define ENOSPC	     28
#define ESPIPE	     29
#define EROFS	     30
#define EBADRQC	     56
#define EPROTO	     71
#define EOVERFLOW    75
#define ENOTSUP	     95
#define ENOTCONN     107
#define ETOOMANYREFS 109
#define ETIMEDOUT    110
#define ECANCELED    125

#endif
