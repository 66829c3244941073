/* SPDX-License-Identifier: MIT */
/* Answers of a control socket for people: tables, and lines of "name: value".  Standard output. */
#ifndef CLI_CTL_TEXT_H
#define CLI_CTL_TEXT_H

#include <jansson.h>

void ctl_text_print(const json_t *result);
/* As it came, and a new line. */
void ctl_text_json(const json_t *result, int indent);
/* One line: the event, then name=value. */
void ctl_text_event(const json_t *params);

#endif
