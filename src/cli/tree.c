/* SPDX-License-Identifier: MIT */
/*
 * `ringside tree`: the buses and devices of a machine, as text or as JSON.  The text is
 * made of the same nodes.
 */
#include "cli/tree.h"

#include "backend/blk/virtio_blk.h"
#include "backend/lsi/lsi.h"
#include "backend/net/virtio_net.h"
#include "base/atomic.h"
#include "cli/commands.h"
#include "cli/tree_text.h"
#include "control/control.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- nodes ---- */

json_t *tree_node(json_t *parent, const char *at, const char *name)
{
	json_t *n = json_object(), *children = json_object_get(parent, "children");

	json_object_set_new(n, "name", json_string(name));
	if (at)
		json_object_set_new(n, "at", json_string(at));
	if (!parent)
		return n;
	if (!children) {
		children = json_array();
		json_object_set_new(parent, "children", children);
	}
	json_array_append_new(children, n);
	return n;
}

void tree_property(json_t *n, const char *key, const char *fmt, ...)
{
	json_t *all = json_object_get(n, "properties");
	char text[320];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!all) {
		all = json_object();
		json_object_set_new(n, "properties", all);
	}
	/* A file's name need not be text. */
	json_object_set_new(all, key, json_string(text) ?: json_string("?"));
}

static void region_node(json_t *parent, const struct sysbus_region *r)
{
	tree_property(tree_node(parent, NULL, r->name),
		      r->space == SYSBUS_PORT ? "ports" : "memory", "0x%" PRIx64 "-0x%" PRIx64,
		      r->base, r->base + r->size - 1);
}

/* ---- the machine ---- */

static void add_isa(json_t *bridge, const struct pc *pc)
{
	const struct sysbus_region *const regions[] = {
		&pc->serial.region,    &pc->rtc.region,	   &pc->keyboard.data,
		&pc->keyboard.command, &pc->power.port92,  &pc->power.exit,
		&pc->power.debug,      &pc->power.control, &pc->fw_cfg.region,
	};
	json_t *isa = tree_node(bridge, NULL, "isa.0");

	for (size_t i = 0; i < ARRAY_SIZE(regions); i++)
		if (regions[i]->name)
			region_node(isa, regions[i]);
}

static void add_disk(json_t *function, const struct virtio_card *card, const char *file)
{
	json_t *device = tree_virtio(function, &card->board);
	const struct virtio_blk *blk = virtio_blk_of(card->vdev);

	tree_property(device, "file", "%s", file);
	tree_property(device, "serial", "%.*s", VIRTIO_BLK_ID_BYTES, blk->serial);
	tree_property(device, "sectors", "%" PRIu64, le64_get(blk->config.capacity));
}

static void add_bar(json_t *n, unsigned i, const struct pci_bar *bar)
{
	char key[8], where[32] = "";

	if (!bar->region.size)
		return;
	snprintf(key, sizeof(key), "bar%u", i);
	if (bar->mapped)
		snprintf(where, sizeof(where), " at 0x%" PRIx64, bar->region.base);
	tree_property(n, key, "%s, %" PRIu64 " bytes%s%s", bar->region.name, bar->region.size,
		      bar->flags & PCI_BAR_IO ? " of ports" : "", where);
}

static void add_interrupts(json_t *n, const struct pci_function *fn)
{
	if (fn->msix.n)
		tree_property(n, "msix-vectors", "%u%s%s", fn->msix.n,
			      fn->msix.enabled ? ", on" : "",
			      fn->msix.enabled && fn->msix.silent ? ", silent" : "");
	/* The line is what firmware noted. */
	if (fn->config[PCI_INTERRUPT_PIN] && fn->config[PCI_INTERRUPT_LINE])
		tree_property(n, "pin", "%c, line %u%s", 'A' - 1 + fn->config[PCI_INTERRUPT_PIN],
			      fn->config[PCI_INTERRUPT_LINE], fn->intx ? ", asserted" : "");
}

static void add_net(json_t *function, const struct virtio_card *card)
{
	json_t *device = tree_virtio(function, &card->board);
	const struct virtio_net *net = virtio_net_of(card->vdev);
	uint64_t mac = read_once(&net->mac);

	tree_property(device, "mac", "%02x:%02x:%02x:%02x:%02x:%02x", (unsigned)(mac & 0xff),
		      (unsigned)(mac >> 8 & 0xff), (unsigned)(mac >> 16 & 0xff),
		      (unsigned)(mac >> 24 & 0xff), (unsigned)(mac >> 32 & 0xff),
		      (unsigned)(mac >> 40 & 0xff));
	tree_property(device, "pairs", "%u", net->n_pairs);
	if (net->vdev.status)
		tree_property(device, "link", "%s", read_once(&net->link->up) ? "up" : "down");
}

/* Disks come in the order of the command line. */
static void add_virtio(json_t *function, const struct pc *pc, const struct pc_options *o,
		       const struct pci_function *fn)
{
	const struct virtio_card *card;

	for (unsigned i = 0; (card = pc_virtio_card(pc, VIRTIO_ID_BLOCK, i)); i++)
		if (&card->board.fn == fn)
			add_disk(function, card, o->disks[i].disk.file);
	for (unsigned i = 0; (card = pc_virtio_card(pc, VIRTIO_ID_NET, i)); i++)
		if (&card->board.fn == fn)
			add_net(function, card);
}

static void add_function(json_t *bus, const struct pc *pc, const struct pc_options *o,
			 const struct pci_function *fn)
{
	char at[16];
	json_t *n;

	snprintf(at, sizeof(at), "00:%02x.%x", PCI_SLOT(fn->devfn), PCI_FUNC(fn->devfn));
	n = tree_node(bus, at, fn->name);
	tree_property(n, "id", "%04x:%04x", pci_function_get16(fn, PCI_VENDOR_ID),
		      pci_function_get16(fn, PCI_DEVICE_ID));
	for (unsigned i = 0; i < PCI_BARS; i++)
		add_bar(n, i, &fn->bars[i]);
	add_interrupts(n, fn);
	if (fn == &pc->isa.fn)
		add_isa(n, pc);
	if (fn == &pc->pm.fn)
		region_node(n, &pc->power.pm);
	if (pc->ide && fn == &pc->ide->fn)
		tree_ide(n, pc->ide, o->ide);
	if (pc->scsi && fn == &pc->scsi->fn)
		tree_scsi(n, pc->scsi, o);
	add_virtio(n, pc, o, fn);
}

json_t *tree_machine(const struct pc *pc, const struct pc_options *o)
{
	json_t *root = tree_node(NULL, NULL, "main-system-bus"), *host, *bus;

	tree_property(root, "cpus", "%u", o->config.cpus);
	tree_property(root, "memory", "%" PRIu64 " MiB", pc->memory.size >> 20);
	host = tree_node(root, NULL, "i440FX-pcihost");
	tree_property(host, "ports", "0x%x-0x%x", PCI_CONFIG_ADDRESS_PORT,
		      PCI_CONFIG_DATA_PORT + 3);
	bus = tree_node(host, NULL, pc->host.bus.name);
	for (unsigned devfn = 0; devfn < PCI_DEVFNS; devfn++)
		if (pc->host.bus.functions[devfn])
			add_function(bus, pc, o, pc->host.bus.functions[devfn]);
	return root;
}

/* ---- printing ---- */

static int tree_print(json_t *root, bool json)
{
	if (json) {
		json_dumpf(root, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		tree_text_print(root);
	}
	json_decref(root);
	return fflush(stdout) || ferror(stdout) ? EXIT_FAILED : EXIT_OK;
}

static int tree_ask(const struct pc_options *o)
{
	const struct control_question q = {.method = "tree"};
	struct error err = {""};
	json_t *root = NULL;

	if (control_ask(o->of, &q, &root, &err))
		return failure("%s", err.text);
	if (!tree_text_is(root)) {
		json_decref(root);
		return failure("%s answers with something that is no tree", o->of);
	}
	return tree_print(root, o->json);
}

static int tree_plan(struct pc_options *o)
{
	struct pc *pc = NULL;
	struct error err = {""};
	int rc;

	/* A machine may have the images open at this moment. */
	for (unsigned i = 0; i < o->n_disks; i++)
		o->disks[i].disk.storage.no_lock = true;
	for (unsigned i = 0; i < o->n_ide; i++)
		o->ide[i].storage.no_lock = true;
	for (unsigned i = 0; i < o->n_scsi; i++)
		o->scsi[i].storage.no_lock = true;
	if (pc_create(&pc, &o->config, &err))
		return failure("%s", err.text);
	rc = pc_options_plug(o, pc, true, &err) ? failure("%s", err.text)
						: tree_print(tree_machine(pc, o), o->json);
	pc_destroy(&pc);
	return rc;
}

static int tree_main(int argc, char **argv)
{
	struct pc_options *o = calloc(1, sizeof(*o));
	int rc;

	if (!o)
		return failure("out of memory");
	rc = pc_options_parse(o, argv[0], argc, argv);
	if (!rc && !o->done)
		rc = o->of ? tree_ask(o) : tree_plan(o);
	pc_options_fini(o);
	free(o);
	return rc;
}

const struct command command_tree = {
	.name = "tree",
	.summary = "show the buses and devices of a machine",
	.run = tree_main,
};
