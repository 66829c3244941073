/* SPDX-License-Identifier: MIT */
/*
 * What the installed headers share.  RINGSIDE_API marks what the shared library lets out;
 * everything else is hidden.
 */
#ifndef RINGSIDE_EXPORT_H
#define RINGSIDE_EXPORT_H

#if defined(__GNUC__)
#define RINGSIDE_API __attribute__((visibility("default")))
#else
#define RINGSIDE_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* One sentence for a person: what could not be done, and why. */
struct ringside_error {
	char text[512];
};

/* Of the library that is running: "0.1.0". */
RINGSIDE_API const char *ringside_version(void);

#ifdef __cplusplus
}
#endif

#endif
