/* SPDX-License-Identifier: MIT */
/* Runs the conformance suite on the mutant board, in this process; the report is JSON. */
#include "conformance/catalogue.h"
#include "conformance/mutant_pci.h"

#include "conform/peer.h"
#include "conform/run.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

static const struct mutation_words mutations[] = {[PM_NONE] = {"none", "", ""},
#define X(id, name, where, what) [PM_##id] = {name, where, what},
						  PCI_MUTATIONS(X)
#undef X
};
#define N_MUTATIONS (sizeof(mutations) / sizeof(mutations[0]))

static int usage(void)
{
	fputs("Usage: mutant-pci [--modern] [--readonly] [--mutation=NAME] [--only=GLOB,...] "
	      "[--timeout-ms=N]\n"
	      "       mutant-pci --list | --table\n",
	      stderr);
	return 2;
}

static unsigned cases(const struct conform_options *o)
{
	unsigned n = 0;

	for (const struct case_table *const *table = case_tables; *table; table++)
		for (size_t i = 0; i < (*table)->n; i++)
			n += conform_selected(o, *table, &(*table)->cases[i]);
	return n;
}

int main(int argc, char **argv)
{
	static struct mutant_pci b;
	struct conform_options o = {.pci = &b.target,
				    .allow_writes = true,
				    .timeout_ms = 2000,
				    .quiet_ms = 50,
				    .size = 1 << 20};
	struct report report;
	struct error err;
	void *memory;
	int rc;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--list") || !strcmp(argv[i], "--table"))
			return catalogue_print(mutations, N_MUTATIONS, argv[i][2] == 't', "board");
		if (!strcmp(argv[i], "--modern")) {
			b.modern_only = true;
		} else if (!strcmp(argv[i], "--readonly")) {
			b.m.readonly = true;
		} else if (!strncmp(argv[i], "--only=", 7)) {
			o.only = argv[i] + 7;
		} else if (sscanf(argv[i], "--timeout-ms=%d", &o.timeout_ms) == 1) {
			continue;
		} else if (!strncmp(argv[i], "--mutation=", 11)) {
			b.fault = (enum pci_mutation)catalogue_find(mutations, N_MUTATIONS,
								    argv[i] + 11);
			if (!b.fault)
				return usage();
		} else {
			return usage();
		}
	}
	memory = mmap(NULL, PEER_MEM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return 2;
	mutant_init(&b.m);
	board_init(&b, memory, PEER_GPA, PEER_MEM);
	report_begin(&report, REPORT_JSON, stdout, "mutant-pci", cases(&o));
	rc = conform_run(&o, &report, &err);
	report_end(&report, rc);
	if (rc)
		fprintf(stderr, "mutant-pci: %s\n", err.text);
	return report.failed[LEVEL_MUST] ? 1 : rc ? 2 : 0;
}
