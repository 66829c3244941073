/* SPDX-License-Identifier: MIT */
#include "backend/net/spec.h"

#include "base/bits.h"
#include "base/size.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char net_spec_help[] =
	"  user                 TCP and UDP through this process; the host is 10.0.2.2\n"
	"  tap=NAME             a TAP interface of the host\n"
	"  socket=PATH          another machine that is given the same path, or @NAME\n"
	"  fd=N                 an open TAP interface, or one end of a SOCK_SEQPACKET pair\n"
	"  mac=XX:XX:XX:XX:XX:XX  default: a local one, always the same\n"
	"  hostfwd=tcp|udp:[HOST]:PORT-[GUEST]:PORT  user: a port of the host leads to the guest;\n"
	"                       PORT of the host 0: a free one, which is told\n"
	"  restrict=on          user: no way out but the forwarded ports\n"
	"  queues=N             tap: pairs of queues, 1 to 64; default: 1\n"
	"  queue-size=N         the largest ring to take, a power of two, 2 to 1024; default 256\n"
	"  mtu=N, speed=MBIT    told to the guest; default of mtu with tap: the interface's\n"
	"  packed=off, event-idx=off, mrg-rxbuf=off  not offered to the guest\n";

static int bad(const char *key, const char *value, const char *allowed, struct error *err)
{
	return error_set(err, -EINVAL, "%s=%s: give %s.", key, value, allowed);
}

/* ---- values ---- */

static int take_number(const char *key, const char *value, uint64_t min, uint64_t max,
		       uint64_t *out, struct error *err)
{
	char allowed[64];

	if (!number_parse(value, min, max, out))
		return 0;
	snprintf(allowed, sizeof(allowed), "%llu to %llu", (unsigned long long)min,
		 (unsigned long long)max);
	return bad(key, value, allowed, err);
}

static int take_mac(struct net_spec *spec, const char *value, struct error *err)
{
	unsigned b[VIRTIO_NET_MAC_BYTES];
	int end = 0;

	if (strlen(value) != 17 || strspn(value, "0123456789abcdefABCDEF:") != 17 ||
	    sscanf(value, "%2x:%2x:%2x:%2x:%2x:%2x%n", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5],
		   &end) != VIRTIO_NET_MAC_BYTES ||
	    end != 17)
		return bad("mac", value, "six bytes as 02:00:00:12:34:56", err);
	for (unsigned i = 0; i < VIRTIO_NET_MAC_BYTES; i++)
		spec->mac[i] = (uint8_t)b[i];
	if (spec->mac[0] & 1)
		return bad("mac", value, "a single card's address, no group's", err);
	spec->has_mac = true;
	return 0;
}

/* "[ADDRESS]:PORT" */
static int take_end(char *text, struct in_addr *address, uint16_t *port, uint16_t first)
{
	char *colon = strrchr(text, ':');
	uint64_t n;

	if (!colon)
		return -EINVAL;
	*colon = '\0';
	address->s_addr = INADDR_ANY;
	if (!strcmp(text, "localhost"))
		text = "127.0.0.1";
	if (*text && inet_pton(AF_INET, text, address) != 1)
		return -EINVAL;
	if (number_parse(colon + 1, first, UINT16_MAX, &n))
		return -EINVAL;
	*port = (uint16_t)n;
	return 0;
}

static int take_forward(struct net_spec *spec, const char *value, struct error *err)
{
	static const char allowed[] = "tcp:[ADDRESS]:PORT-[ADDRESS]:PORT, or udp:...";
	struct net_forward f = {0};
	char text[96], *dash;

	if (spec->n_forwards == NET_FORWARDS_MAX)
		return error_set(err, -EINVAL, "more than %d ports are forwarded.",
				 NET_FORWARDS_MAX);
	if (strlen(value) >= sizeof(text) ||
	    (strncmp(value, "tcp:", 4) && strncmp(value, "udp:", 4)))
		return bad("hostfwd", value, allowed, err);
	f.udp = *value == 'u';
	strcpy(text, value + 4);
	dash = strchr(text, '-');
	if (!dash)
		return bad("hostfwd", value, allowed, err);
	*dash = '\0';
	if (strchr(text, '[') || strchr(dash + 1, '['))
		return error_set(
			err, -EINVAL,
			"hostfwd=%s: user-mode networking is IPv4 only: give 127.0.0.1, or no "
			"address.",
			value);
	if (take_end(text, &f.host, &f.host_port, 0) ||
	    take_end(dash + 1, &f.guest, &f.guest_port, 1))
		return bad("hostfwd", value, allowed, err);
	spec->forwards[spec->n_forwards++] = f;
	return 0;
}

static int take_switch(const char *key, const char *value, bool *out, struct error *err)
{
	if (strcmp(value, "on") && strcmp(value, "off"))
		return bad(key, value, "on or off", err);
	*out = !strcmp(value, "on");
	return 0;
}

static int take_option(struct net_spec *spec, const char *key, const char *value, struct error *err)
{
	const struct {
		const char *key;
		bool *out;
	} switches[] = {
		{"packed", &spec->packed},
		{"event-idx", &spec->event_idx},
		{"mrg-rxbuf", &spec->mrg_rxbuf},
		{"restrict", &spec->restricted},
	};
	uint64_t n = 0;
	int rc;

	for (size_t i = 0; i < ARRAY_SIZE(switches); i++)
		if (!strcmp(key, switches[i].key))
			return take_switch(key, value, switches[i].out, err);
	if (!strcmp(key, "mac"))
		return take_mac(spec, value, err);
	if (!strcmp(key, "hostfwd"))
		return take_forward(spec, value, err);
	if (!strcmp(key, "queues")) {
		rc = take_number(key, value, 1, NET_PAIRS_MAX, &n, err);
		spec->queues = (uint16_t)n;
		return rc;
	}
	if (!strcmp(key, "queue-size")) {
		rc = take_number(key, value, 2, NET_QUEUE_SIZE_MAX, &n, err);
		spec->queue_size = (uint16_t)n;
		return rc || is_pow2(n) ? rc : bad(key, value, "a power of two", err);
	}
	if (!strcmp(key, "mtu")) {
		rc = take_number(key, value, VIRTIO_NET_MTU_MIN, UINT16_MAX, &n, err);
		spec->mtu = (uint16_t)n;
		return rc;
	}
	if (!strcmp(key, "speed")) {
		rc = take_number(key, value, 1, VIRTIO_NET_SPEED_MAX, &n, err);
		spec->speed = (uint32_t)n;
		return rc;
	}
	return error_set(err, -EINVAL,
			 "a network card has no option \"%s\"; it has mac, hostfwd, restrict, "
			 "queues, queue-size, mtu, speed, packed, event-idx, mrg-rxbuf.",
			 key);
}

/* ---- words ---- */

/* What the card is connected to: the first word. */
static int take_target(struct net_spec *spec, const char *word, const char *value,
		       struct error *err)
{
	uint64_t n;

	if (!value && !strcmp(word, "user")) {
		spec->kind = NET_USER;
		return 0;
	}
	if (value && !strcmp(word, "fd")) {
		spec->kind = NET_FD;
		if (take_number(word, value, 0, INT32_MAX, &n, err))
			return -EINVAL;
		spec->fd = (int)n;
	} else if (value && !strcmp(word, "tap")) {
		spec->kind = NET_TAP;
	} else if (value && !strcmp(word, "socket")) {
		spec->kind = NET_SOCKET;
	} else {
		return error_set(err, -EINVAL,
				 "\"%s\": begin with user, tap=NAME, socket=PATH or fd=N.", word);
	}
	if (!*value || strlen(value) >= sizeof(spec->target))
		return bad(word, value, "a name of 1 to 108 bytes", err);
	strcpy(spec->target, value);
	return 0;
}

static int check(const struct net_spec *spec, struct error *err)
{
	if (spec->kind != NET_USER && (spec->n_forwards || spec->restricted))
		return error_set(err, -EINVAL,
				 "hostfwd and restrict are for user-mode networking.");
	if (spec->kind != NET_TAP && spec->queues > 1)
		return error_set(err, -EINVAL,
				 "queues=%u: only a TAP interface has more than one pair.",
				 spec->queues);
	return 0;
}

int net_spec_parse(const char *text, struct net_spec *spec, struct error *err)
{
	char *copy = strdup(text), *rest = copy, *word;
	bool first = true;
	int rc = 0;

	*spec = (struct net_spec){
		.fd = -1, .queues = 1, .packed = true, .event_idx = true, .mrg_rxbuf = true};
	if (!copy)
		return error_set(err, -ENOMEM, "cannot read the network card %s", text);
	while (!rc && (word = strsep(&rest, ","))) {
		char *value = strchr(word, '=');

		if (value)
			*value++ = '\0';
		if (first)
			rc = take_target(spec, word, value, err);
		else if (value)
			rc = take_option(spec, word, value, err);
		else
			rc = error_set(err, -EINVAL, "\"%s\" needs a value.", word);
		first = false;
	}
	free(copy);
	return rc ? rc : check(spec, err);
}

/* ---- the card ---- */

/* FNV-1a */
static uint64_t mix(uint64_t h, const char *text)
{
	for (; *text; text++)
		h = (h ^ (uint8_t)*text) * UINT64_C(0x100000001b3);
	return h;
}

/* Locally administered, a single card's. */
static void default_mac(const struct net_spec *spec, const char *path, uint8_t *mac)
{
	uint64_t h = mix(UINT64_C(0xcbf29ce484222325) + spec->kind, spec->target);

	h = mix(h, path);
	mac[0] = 0x02;
	for (unsigned i = 1; i < VIRTIO_NET_MAC_BYTES; i++)
		mac[i] = (uint8_t)(h >> 8 * i);
}

struct virtio_net_options net_spec_options(const struct net_spec *spec, const char *path)
{
	struct virtio_net_options o = {
		.path = path,
		.pairs = spec->queues,
		.queue_size = spec->queue_size,
		.mtu = spec->mtu,
		.speed = spec->speed,
		.no_packed = !spec->packed,
		.no_event_idx = !spec->event_idx,
		.no_mrg_rxbuf = !spec->mrg_rxbuf,
	};

	if (spec->has_mac)
		memcpy(o.mac, spec->mac, sizeof(o.mac));
	else
		default_mac(spec, path, o.mac);
	return o;
}
