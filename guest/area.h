/* SPDX-License-Identifier: MIT */
/*
 * Stretches of the disk, written and read in requests of many lengths and shapes, as deep as the
 * options say.
 */
#ifndef GUEST_AREA_H
#define GUEST_AREA_H

#include "guest/io.h"

/*
 * What went wrong.  @result not 0: a request failed, at @byte of the disk or behind it.  Else @byte
 * is the first one that is not as it should be.
 */
struct area_fault {
	int result;
	uint64_t byte;
};

/* Writes the pattern. */
int area_write(struct io *io, uint64_t sector, uint32_t n_sectors, struct area_fault *fault);
/* Reads, and compares with the pattern. */
int area_check(struct io *io, uint64_t sector, uint32_t n_sectors, struct area_fault *fault);
/* Reads, and looks whether all is zero. */
int area_check_zero(struct io *io, uint64_t sector, uint32_t n_sectors, struct area_fault *fault);

/* Says it under @name. */
void area_report(const char *name, int rc, const struct area_fault *fault);

#endif
