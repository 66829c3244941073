/* SPDX-License-Identifier: MIT */
#include "conform/cases.h"

const struct case_table *const case_tables[] = {
	&feature_cases, &ring_split_cases, &notify_cases, &block_cases, NULL,
};
