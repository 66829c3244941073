/* SPDX-License-Identifier: MIT */
/*
 * The client's memory: what it has mapped for the device (DMA_MAP), as a map of guest memory.
 *
 * Each change makes a new map; whoever works in the old one keeps it until it lets go.  Entries are
 * sorted by address and do not overlap.  Memory that comes without an fd is remote in the map: its
 * bytes go by messages (reach.h).
 *
 * Threads: the control thread.
 */
#ifndef SERVER_VFIO_USER_DMA_H
#define SERVER_VFIO_USER_DMA_H

#include "mem/gmem.h"
#include "wire/vfio_user.h"

/* As many as a map has regions; clients are told. */
#define VFIO_USER_DMA_MAX GMEM_REGIONS_MAX

struct vfio_user_dma_entry {
	uint64_t iova, size;
};

struct vfio_user_dma {
	struct vfio_user_dma_entry *entries;
	unsigned n, room;
	struct gmem_remote *remote; /* reaches what comes without an fd */
	struct gmem *map;	    /* what is reached at present; never NULL */
	struct gmem *empty;   /* is there from the start: taking everything back needs no memory */
	struct gmem_log *log; /* what the device writes to; NULL: nobody wants to know */
	struct gmem *empty_logged;
};

/* -ENOMEM */
int vfio_user_dma_init(struct vfio_user_dma *dma, struct gmem_remote *remote);
void vfio_user_dma_fini(struct vfio_user_dma *dma);

/*
 * @fd: of the memory, which stays the caller's; -1: none.  On success dma->map is a new one.
 *
 * 0; -EEXIST: it overlaps what is there; -EINVAL: it is empty, wraps, is not in pages or can
 * neither be read nor written; -ENOSPC: too many; -EACCES, ...: the fd cannot be mapped.
 */
int vfio_user_dma_add(struct vfio_user_dma *dma, const struct vfio_user_dma_map *m, int fd,
		      struct error *err);

/*
 * Takes out exactly one entry.  There is a new map; the old one lives on while somebody works in it.
 * -ENOENT: no entry has that address and size; -EINVAL; -ENOMEM.
 */
int vfio_user_dma_remove(struct vfio_user_dma *dma, uint64_t iova, uint64_t size);
/* Cannot fail: one client's memory never stays for the next. */
void vfio_user_dma_clear(struct vfio_user_dma *dma);

/*
 * The log of what the device writes to, also of memory that is mapped later, and of memory that has
 * been taken out since.  On success dma->map is a new one; what the device has in flight in the old
 * one is not logged (start), or still is (stop).
 */
/* -EALREADY; -ENOMEM; -ENOSPC. */
int vfio_user_dma_log_start(struct vfio_user_dma *dma);
/* -EALREADY: there is no log; -ENOMEM: it goes on. */
int vfio_user_dma_log_stop(struct vfio_user_dma *dma);
/* Without a word, where no queue runs any more: the client has left. */
void vfio_user_dma_log_drop(struct vfio_user_dma *dma);

#endif
