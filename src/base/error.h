/* SPDX-License-Identifier: MIT */
/*
 * Errors of set-up calls: the function returns 0 or -errno and, where the caller gave a struct
 * error, leaves one sentence for a person in it: what could not be done, to what, why, and where it
 * helps, the remedy.  The hot path returns -errno only.
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

struct error {
	char text[512];
};

/**
 * error_set() - say what went wrong
 * @err: where to, may be NULL
 * @rc:  the negative errno that the caller is about to return
 * @fmt: the sentence, without full stop and without the errno's own words
 *
 * The errno's words (of limits_reason()) are added behind a colon, unless @fmt ends in a full stop (then the sentence
 * already says it all and the full stop is taken away).
 *
 * Return: @rc, so that it can stand in a return statement.
 */
int error_set(struct error *err, int rc, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
