/* SPDX-License-Identifier: MIT */
/*
 * The control queue, the filters, features and config space of the network device (virtio
 * 1.4, 5.1.3 to 5.1.6.5).
 */
#include "test.h"

#include "net_rig.h"

#include "base/atomic.h"

#include <errno.h>
#include <string.h>

static struct net_rig R;

static int rx_mode(uint8_t mode, uint8_t on)
{
	return nr_command(&R, VIRTIO_NET_CTRL_RX, mode, &on, 1);
}

static bool passes(const char *to)
{
	uint8_t frame[100];

	nr_frame(frame, sizeof(frame), 1);
	memcpy(frame, to, 6);
	return nr_passes(&R, frame, sizeof(frame));
}

static bool vlan_passes(unsigned id)
{
	uint8_t frame[100];

	nr_frame(frame, sizeof(frame), 1);
	frame[12] = 0x81;
	frame[13] = 0x00;
	frame[14] = (uint8_t)(0x60 | id >> 8);
	frame[15] = (uint8_t)id;
	return nr_passes(&R, frame, sizeof(frame));
}

#define OURS	  "\x02\x11\x22\x33\x44\x55"
#define OTHER	  "\x02\x11\x22\x33\x44\x56"
#define MULTI	  "\x01\x00\x5e\x01\x02\x03"
#define MULTI2	  "\x01\x00\x5e\x01\x02\x04"
#define BROADCAST "\xff\xff\xff\xff\xff\xff"

static void net_d_04_rx_modes(void **state)
{
	(void)state;
	nr_init(&R, &(struct nr_options){0});
	assert_true(passes(OURS));
	assert_true(passes(BROADCAST));
	assert_false(passes(OTHER));
	assert_false(passes(MULTI));
	assert_int_equal(R.net->pairs[0].received.filtered, 2);
	assert_int_equal(R.net->pairs[0].received.lost, 0);
	assert_int_equal(rx_mode(VIRTIO_NET_CTRL_RX_PROMISC, 1), VIRTIO_NET_OK);
	assert_true(passes(OTHER) && passes(MULTI));
	assert_int_equal(rx_mode(VIRTIO_NET_CTRL_RX_PROMISC, 0), VIRTIO_NET_OK);
	assert_int_equal(rx_mode(VIRTIO_NET_CTRL_RX_ALLMULTI, 1), VIRTIO_NET_OK);
	assert_true(!passes(OTHER) && passes(MULTI));
	assert_int_equal(rx_mode(VIRTIO_NET_CTRL_RX_NOMULTI, 1), VIRTIO_NET_OK);
	assert_true(!passes(MULTI) && passes(BROADCAST));
	assert_int_equal(rx_mode(VIRTIO_NET_CTRL_RX_NOBCAST, 1), VIRTIO_NET_OK);
	assert_false(passes(BROADCAST));
	assert_int_equal(rx_mode(VIRTIO_NET_CTRL_RX_NOBCAST, 0), VIRTIO_NET_OK);
	assert_int_equal(rx_mode(VIRTIO_NET_CTRL_RX_ALLUNI, 1), VIRTIO_NET_OK);
	assert_true(passes(OTHER));
	assert_int_equal(rx_mode(VIRTIO_NET_CTRL_RX_NOUNI, 1), VIRTIO_NET_OK);
	R.mark_all = true;
	assert_true(!passes(OTHER) && !passes(OURS) && passes(BROADCAST));
	R.mark_all = false;
	assert_int_equal(rx_mode(VIRTIO_NET_CTRL_RX_NOUNI, 0), VIRTIO_NET_OK);
	assert_int_equal(rx_mode(VIRTIO_NET_CTRL_RX_NOBCAST + 1, 1), VIRTIO_NET_ERR);
	/* A reset forgets it all. */
	nr_restart(&R, &(struct nr_options){0});
	assert_true(!passes(OTHER) && passes(BROADCAST));
	nr_fini(&R);
}

static void net_d_04_without_ctrl_rx_everything_passes(void **state)
{
	struct nr_options o = {.without = BIT64(VIRTIO_NET_F_CTRL_RX) |
					  BIT64(VIRTIO_NET_F_CTRL_RX_EXTRA)};

	(void)state;
	nr_init(&R, &o);
	assert_true(passes(OTHER) && passes(MULTI));
	assert_int_equal(rx_mode(VIRTIO_NET_CTRL_RX_PROMISC, 0), VIRTIO_NET_ERR);
	assert_true(passes(OTHER));
	nr_fini(&R);
}

struct table {
	uint8_t bytes[4000];
	uint32_t n;
};

static void table_add(struct table *t, uint32_t entries, const char *mac)
{
	le32 n = le32_make(entries);

	memcpy(t->bytes + t->n, &n, sizeof(n));
	t->n += (uint32_t)sizeof(n);
	for (uint32_t i = 0; i < entries && t->n + 6 <= sizeof(t->bytes); i++, t->n += 6) {
		memcpy(t->bytes + t->n, mac, 6);
		if (i)
			t->bytes[t->n + 4] = (uint8_t)i;
	}
}

static int table_set(const struct table *t)
{
	return nr_command(&R, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, t->bytes, t->n);
}

static void net_d_04_mac_table(void **state)
{
	struct table t = {.n = 0};

	(void)state;
	nr_init(&R, &(struct nr_options){0});
	table_add(&t, 2, OTHER);
	table_add(&t, 1, MULTI);
	assert_int_equal(table_set(&t), VIRTIO_NET_OK);
	assert_true(passes(OTHER) && passes(OURS) && passes(MULTI) && !passes(MULTI2));
	/* More than it holds: best effort is to let that kind through. */
	t.n = 0;
	table_add(&t, 0, OTHER);
	table_add(&t, NET_FILTER_MACS + 1, MULTI);
	assert_int_equal(table_set(&t), VIRTIO_NET_OK);
	assert_true(!passes(OTHER) && passes(MULTI2));
	t.n = 0;
	table_add(&t, NET_FILTER_MACS, OTHER);
	table_add(&t, NET_FILTER_MACS, MULTI);
	assert_int_equal(table_set(&t), VIRTIO_NET_OK);
	assert_true(passes(OTHER) && passes(MULTI) && !passes(MULTI2));
	nr_fini(&R);
}

static void net_d_04_malformed_tables_change_nothing(void **state)
{
	struct table t = {.n = 0}, good = {.n = 0};
	le32 huge = le32_make(UINT32_MAX);

	(void)state;
	nr_init(&R, &(struct nr_options){0});
	table_add(&good, 1, OTHER);
	table_add(&good, 0, MULTI);
	assert_int_equal(table_set(&good), VIRTIO_NET_OK);
	/* Cut at every byte. */
	table_add(&t, 2, MULTI);
	table_add(&t, 2, MULTI);
	for (uint32_t whole = t.n, n = 0; n < whole; n++) {
		t.n = n;
		assert_int_equal(table_set(&t), VIRTIO_NET_ERR);
	}
	t.n = 0;
	table_add(&t, 1, MULTI);
	table_add(&t, 1, MULTI);
	t.n++;
	assert_int_equal(table_set(&t), VIRTIO_NET_ERR);
	memcpy(t.bytes, &huge, sizeof(huge));
	assert_int_equal(table_set(&t), VIRTIO_NET_ERR);
	assert_true(passes(OTHER) && !passes(MULTI));
	assert_int_equal(R.dev.broken, 0);
	nr_fini(&R);
}

static uint64_t config_mac(void)
{
	uint8_t mac[6];

	assert_int_equal(virtio_device_config_read(&R.net->vdev, 0, mac, 6), 0);
	return net_mac_number(mac);
}

static void net_d_04_mac_address_is_set(void **state)
{
	(void)state;
	nr_init(&R, &(struct nr_options){0});
	assert_int_equal(
		nr_command(&R, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, OTHER, 6),
		VIRTIO_NET_OK);
	assert_int_equal(config_mac(), net_mac_number((const uint8_t *)OTHER));
	assert_true(passes(OTHER));
	assert_int_equal(
		nr_command(&R, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, OTHER, 5),
		VIRTIO_NET_ERR);
	assert_int_equal(nr_command(&R, VIRTIO_NET_CTRL_MAC, 2, OTHER, 6), VIRTIO_NET_ERR);
	/* 5.1.4.3: modern drivers do not write the configuration. */
	assert_int_equal(virtio_device_config_write(&R.net->vdev, 0, OURS, 6), -1);
	nr_restart(&R, &(struct nr_options){0});
	assert_int_equal(config_mac(), net_mac_number(nr_mac));
	nr_fini(&R);
}

static void net_g_01_legacy_mac_is_writable(void **state)
{
	(void)state;
	nr_init(&R, &(struct nr_options){.legacy = true});
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(virtio_device_config_write(&R.net->vdev, i, &OTHER[i], 1), 0);
	assert_int_equal(config_mac(), net_mac_number((const uint8_t *)OTHER));
	assert_true(passes(OTHER));
	assert_true(virtio_device_config_write(&R.net->vdev, 4, OTHER, 4) < 0);
	nr_fini(&R);
}

static void net_d_04_vlans(void **state)
{
	le16 id = le16_make(100), far = le16_make(4096);

	(void)state;
	nr_init(&R, &(struct nr_options){0});
	assert_true(!vlan_passes(100) && vlan_passes(0) && passes(OURS));
	assert_int_equal(nr_command(&R, VIRTIO_NET_CTRL_VLAN, 0, &id, 2), VIRTIO_NET_OK);
	assert_true(vlan_passes(100) && !vlan_passes(101));
	assert_int_equal(nr_command(&R, VIRTIO_NET_CTRL_VLAN, 1, &id, 2), VIRTIO_NET_OK);
	assert_false(vlan_passes(100));
	assert_int_equal(nr_command(&R, VIRTIO_NET_CTRL_VLAN, 0, &far, 2), VIRTIO_NET_ERR);
	assert_int_equal(nr_command(&R, VIRTIO_NET_CTRL_VLAN, 2, &id, 2), VIRTIO_NET_ERR);
	assert_int_equal(nr_command(&R, VIRTIO_NET_CTRL_VLAN, 0, &id, 1), VIRTIO_NET_ERR);
	nr_restart(&R, &(struct nr_options){.without = BIT64(VIRTIO_NET_F_CTRL_VLAN)});
	assert_true(vlan_passes(100));
	nr_fini(&R);
}

static void net_d_04_unknown_commands_are_refused(void **state)
{
	uint8_t data[64] = {0};

	(void)state;
	nr_init(&R, &(struct nr_options){.pairs = 2});
	for (unsigned class = 0; class < 256; class ++)
		for (unsigned command = class < 6 ? 6 : 0; command < 256; command += 25)
			assert_int_equal(nr_command(&R, (uint8_t) class, (uint8_t)command, data,
						    sizeof(data)),
					 VIRTIO_NET_ERR);
	assert_int_equal(nr_command(&R, VIRTIO_NET_CTRL_RX, 0, data, 0), VIRTIO_NET_ERR);
	assert_int_equal(R.dev.broken, 0);
	nr_fini(&R);
}

/* Too short, too long, not agreed on: refused, each of them; as it should be: done. */
static void net_d_04_commands_of_the_right_length_and_feature(void **state)
{
	static const struct {
		uint8_t class, command;
		unsigned feature;
		uint32_t len;
	} commands[] = {
		{VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, VIRTIO_NET_F_CTRL_RX, 1},
		{VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_ALLMULTI, VIRTIO_NET_F_CTRL_RX, 1},
		{VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_ALLUNI, VIRTIO_NET_F_CTRL_RX_EXTRA, 1},
		{VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_NOMULTI, VIRTIO_NET_F_CTRL_RX_EXTRA, 1},
		{VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_NOUNI, VIRTIO_NET_F_CTRL_RX_EXTRA, 1},
		{VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_NOBCAST, VIRTIO_NET_F_CTRL_RX_EXTRA, 1},
		{VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, VIRTIO_NET_F_CTRL_RX, 8},
		{VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, VIRTIO_NET_F_CTRL_MAC_ADDR, 6},
		{VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_ADD, VIRTIO_NET_F_CTRL_VLAN, 2},
		{VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_DEL, VIRTIO_NET_F_CTRL_VLAN, 2},
		{VIRTIO_NET_CTRL_ANNOUNCE, VIRTIO_NET_CTRL_ANNOUNCE_ACK,
		 VIRTIO_NET_F_GUEST_ANNOUNCE, 0},
		{VIRTIO_NET_CTRL_GUEST_OFFLOADS, VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET,
		 VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, 8},
	};
	static const uint8_t zeros[16];

	(void)state;
	nr_init(&R, &(struct nr_options){0});
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		uint8_t class = commands[i].class, command = commands[i].command;
		uint32_t len = commands[i].len;

		assert_int_equal(nr_command(&R, class, command, zeros, len), VIRTIO_NET_OK);
		assert_int_equal(nr_command(&R, class, command, zeros, len + 1), VIRTIO_NET_ERR);
		if (len)
			assert_int_equal(nr_command(&R, class, command, zeros, len - 1),
					 VIRTIO_NET_ERR);
		nr_restart(&R, &(struct nr_options){.without = BIT64(commands[i].feature)});
		assert_int_equal(nr_command(&R, class, command, zeros, len), VIRTIO_NET_ERR);
		nr_restart(&R, &(struct nr_options){0});
	}
	nr_fini(&R);
}

static void net_d_04_pairs_out_of_range(void **state)
{
	static const uint16_t bad[] = {0, 3, 4, 0x8000, 0x8001, 0xffff};
	le16 n;

	(void)state;
	nr_init(&R, &(struct nr_options){.pairs = 2});
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		n = le16_make(bad[i]);
		assert_int_equal(nr_command(&R, VIRTIO_NET_CTRL_MQ, 0, &n, 2), VIRTIO_NET_ERR);
	}
	assert_int_equal(R.wire->pairs, 1);
	n = le16_make(2);
	write_once(&R.wire->refuses, true);
	assert_int_equal(nr_command(&R, VIRTIO_NET_CTRL_MQ, 0, &n, 2), VIRTIO_NET_ERR);
	write_once(&R.wire->refuses, false);
	assert_int_equal(nr_command(&R, VIRTIO_NET_CTRL_MQ, 0, &n, 2), VIRTIO_NET_OK);
	nr_fini(&R);
}

static void net_d_04_guest_offloads(void **state)
{
	uint64_t bits = BIT64(VIRTIO_NET_F_GUEST_CSUM) | BIT64(VIRTIO_NET_F_GUEST_TSO4);
	le64 raw = le64_make(bits);

	(void)state;
	nr_init(&R, &(struct nr_options){.without = BIT64(VIRTIO_NET_F_GUEST_TSO6)});
	assert_int_equal(nr_command(&R, VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, &raw, 8), VIRTIO_NET_OK);
	assert_int_equal(R.wire->offloads, bits);
	/* One that was not agreed on; one without what it stands on; one that is no offload. */
	raw = le64_make(bits | BIT64(VIRTIO_NET_F_GUEST_TSO6));
	assert_int_equal(nr_command(&R, VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, &raw, 8),
			 VIRTIO_NET_ERR);
	raw = le64_make(BIT64(VIRTIO_NET_F_GUEST_TSO4));
	assert_int_equal(nr_command(&R, VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, &raw, 8),
			 VIRTIO_NET_ERR);
	raw = le64_make(BIT64(VIRTIO_NET_F_CSUM));
	assert_int_equal(nr_command(&R, VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, &raw, 8),
			 VIRTIO_NET_ERR);
	assert_int_equal(R.wire->offloads, bits);
	raw = le64_make(0);
	assert_int_equal(nr_command(&R, VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, &raw, 8), VIRTIO_NET_OK);
	nr_fini(&R);
}

static void net_d_05_features_stand_on_others(void **state)
{
	static const struct {
		unsigned feature, ground;
	} on[] = {
		{VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_CSUM},
		{VIRTIO_NET_F_GUEST_USO6, VIRTIO_NET_F_GUEST_CSUM},
		{VIRTIO_NET_F_HOST_TSO6, VIRTIO_NET_F_CSUM},
		{VIRTIO_NET_F_HOST_USO, VIRTIO_NET_F_CSUM},
		{VIRTIO_NET_F_CTRL_RX, VIRTIO_NET_F_CTRL_VQ},
		{VIRTIO_NET_F_MQ, VIRTIO_NET_F_CTRL_VQ},
		{VIRTIO_NET_F_CTRL_MAC_ADDR, VIRTIO_NET_F_CTRL_VQ},
	};
	struct virtio_device *vdev;

	(void)state;
	nr_init(&R, &(struct nr_options){.pairs = 2});
	vdev = &R.net->vdev;
	virtio_device_reset(vdev, nr_waiter(&R));
	assert_int_equal(nr_wait(&R), 0);
	for (size_t i = 0; i < ARRAY_SIZE(on); i++) {
		uint64_t both = BIT64(VIRTIO_F_VERSION_1) | BIT64(on[i].feature) |
				BIT64(on[i].ground);

		assert_true(vdev->offered & BIT64(on[i].feature));
		assert_int_equal(virtio_device_set_features(vdev, both), 0);
		assert_true(virtio_device_set_features(vdev, both & ~BIT64(on[i].ground)) < 0);
	}
	/* A driver of before version 1 is not refused; it gets what stands. */
	assert_int_equal(virtio_device_set_features(vdev, BIT64(VIRTIO_NET_F_HOST_TSO4)), 0);
	assert_int_equal(vdev->features, 0);
	nr_fini(&R);
}

static void net_d_01_config_space(void **state)
{
	struct virtio_net_config c;

	(void)state;
	nr_init(&R, &(struct nr_options){.pairs = 3, .mtu = 1400, .speed = 2500});
	assert_int_equal(virtio_device_config_read(&R.net->vdev, 0, &c, sizeof(c)), 0);
	assert_memory_equal(c.mac, nr_mac, 6);
	assert_int_equal(le16_get(c.status), VIRTIO_NET_S_LINK_UP);
	assert_int_equal(le16_get(c.max_virtqueue_pairs), 3);
	assert_int_equal(le16_get(c.mtu), 1400);
	assert_int_equal(le32_get(c.speed), 2500);
	assert_int_equal(c.duplex, VIRTIO_NET_DUPLEX_FULL);
	assert_true(R.net->vdev.offered & BIT64(VIRTIO_NET_F_MTU));
	assert_true(R.net->vdev.offered & BIT64(VIRTIO_NET_F_SPEED_DUPLEX));
	nr_fini(&R);
	nr_init(&R, &(struct nr_options){.mtu = VIRTIO_NET_MTU_MIN});
	assert_int_equal(virtio_device_config_read(&R.net->vdev, 0, &c, sizeof(c)), 0);
	assert_int_equal(le16_get(c.mtu), 68);
	nr_fini(&R);
	nr_init(&R, &(struct nr_options){0});
	assert_false(R.net->vdev.offered & (BIT64(VIRTIO_NET_F_MTU) | BIT64(VIRTIO_NET_F_MQ) |
					    BIT64(VIRTIO_NET_F_SPEED_DUPLEX)));
	nr_fini(&R);
}

/* What was asked to be left out, and nothing else. */
static void net_d_01_features_left_out(void **state)
{
	static const struct {
		struct nr_options o;
		unsigned feature;
	} cases[] = {{{.no_packed = true}, VIRTIO_F_RING_PACKED},
		     {{.no_event_idx = true}, VIRTIO_F_EVENT_IDX},
		     {{.no_mrg_rxbuf = true}, VIRTIO_NET_F_MRG_RXBUF}};
	uint64_t offered;

	(void)state;
	nr_init(&R, &(struct nr_options){0});
	offered = R.net->vdev.offered;
	nr_fini(&R);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		nr_init(&R, &cases[i].o);
		assert_true((R.net->vdev.offered ^ offered) == BIT64(cases[i].feature));
		nr_fini(&R);
	}
}

static unsigned status(void)
{
	le16 s;

	assert_int_equal(virtio_device_config_read(&R.net->vdev, 6, &s, 2), 0);
	return le16_get(s);
}

/*
 * The link goes and comes: status, a config interrupt each time, and the driver is
 * asked to announce itself.
 */
static void net_d_carrier_is_told(void **state)
{
	struct net_link_client *client;

	(void)state;
	nr_init(&R, &(struct nr_options){0});
	client = R.wire->link.client;
	client->carrier(client, false);
	while (R.dev.config_changes < 1)
		nr_pump(&R);
	assert_int_equal(status(), 0);
	client->carrier(client, true);
	while (R.dev.config_changes < 2)
		nr_pump(&R);
	assert_int_equal(status(), VIRTIO_NET_S_LINK_UP | VIRTIO_NET_S_ANNOUNCE);
	assert_int_equal(nr_command(&R, VIRTIO_NET_CTRL_ANNOUNCE, 0, "", 1), VIRTIO_NET_ERR);
	assert_int_equal(status(), VIRTIO_NET_S_LINK_UP | VIRTIO_NET_S_ANNOUNCE);
	assert_int_equal(nr_command(&R, VIRTIO_NET_CTRL_ANNOUNCE, 0, "", 0), VIRTIO_NET_OK);
	assert_int_equal(status(), VIRTIO_NET_S_LINK_UP);
	assert_int_equal(nr_command(&R, VIRTIO_NET_CTRL_ANNOUNCE, 1, "", 0), VIRTIO_NET_ERR);
	/* Down and up at once is no change. */
	client->carrier(client, false);
	client->carrier(client, true);
	nr_pump(&R);
	assert_int_equal(R.dev.config_changes, 2);
	/* A driver that did not agree to be asked is not. */
	nr_restart(&R, &(struct nr_options){.without = BIT64(VIRTIO_NET_F_GUEST_ANNOUNCE)});
	client->carrier(client, false);
	while (R.dev.config_changes < 3)
		nr_pump(&R);
	client->carrier(client, true);
	while (R.dev.config_changes < 4)
		nr_pump(&R);
	assert_int_equal(status(), VIRTIO_NET_S_LINK_UP);
	assert_int_equal(nr_command(&R, VIRTIO_NET_CTRL_ANNOUNCE, 0, "", 0), VIRTIO_NET_ERR);
	nr_fini(&R);
}

/* ---- another program ---- */

/* A card of the same kind that nobody drives. */
static struct virtio_net *another(struct nr_wire **wire, uint8_t last, uint16_t mtu)
{
	struct virtio_net_options o = {
		.path = "net1", .pairs = 2, .mtu = mtu, .queue_size = NET_QUEUE_SIZE_MAX};
	struct virtio_net *net;

	memcpy(o.mac, nr_mac, sizeof(nr_mac));
	o.mac[5] = (uint8_t)(o.mac[5] ^ last);
	*wire = nr_wire_new();
	assert_int_equal(virtio_net_create(&net, &o, &(*wire)->link, R.dev.home, R.dev.workers,
					   R.dev.n_workers, 0, NULL),
			 0);
	assert_int_equal(virtio_device_set_features(&net->vdev, R.net->vdev.features), 0);
	return net;
}

static size_t save(struct virtio_net *net, uint8_t *to, size_t size)
{
	struct pack p = {.to = to, .room = size};

	net->vdev.cls->save(&net->vdev, &p);
	assert_false(p.full);
	return p.n;
}

static int load(struct virtio_net *net, const uint8_t *from, size_t n, bool *changed)
{
	struct unpack u = {.from = from, .left = n};
	struct error err;
	int rc = net->vdev.cls->load(&net->vdev, &u, changed, &err);

	if (!rc)
		assert_false(u.bad || u.left);
	return rc;
}

static void a_card_takes_its_settings_along(void **state)
{
	uint8_t vlan[2] = {5, 0}, pairs[2] = {2, 0}, offloads[8] = {0}, was[4096], is[4096];
	struct table t = {.n = 0};
	struct virtio_net *net;
	struct nr_wire *wire;
	bool changed = false;
	size_t n;

	(void)state;
	nr_init(&R, &(struct nr_options){.pairs = 2, .mtu = 1500});
	table_add(&t, 2, OTHER);
	table_add(&t, NET_FILTER_MACS + 1, MULTI);
	assert_int_equal(table_set(&t), VIRTIO_NET_OK);
	assert_int_equal(rx_mode(VIRTIO_NET_CTRL_RX_NOBCAST, 1), VIRTIO_NET_OK);
	assert_int_equal(nr_command(&R, VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_ADD, vlan, 2),
			 VIRTIO_NET_OK);
	assert_int_equal(
		nr_command(&R, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, OTHER, 6),
		VIRTIO_NET_OK);
	assert_int_equal(
		nr_command(&R, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, pairs, 2),
		VIRTIO_NET_OK);
	offloads[0] = 1u << VIRTIO_NET_F_GUEST_CSUM;
	assert_int_equal(nr_command(&R, VIRTIO_NET_CTRL_GUEST_OFFLOADS,
				    VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, offloads, 8),
			 VIRTIO_NET_OK);
	n = save(R.net, was, sizeof(was));
	net = another(&wire, 0, 1500);
	assert_int_equal(load(net, was, n, &changed), 0);
	assert_int_equal(save(net, is, sizeof(is)), n);
	assert_memory_equal(is, was, n);
	assert_int_equal(wire->offloads, BIT64(VIRTIO_NET_F_GUEST_CSUM));
	assert_int_equal(wire->pairs, 2);
	/* The driver is to make itself known at the new place. */
	assert_true(changed && net->announce);
	for (unsigned i = 0; i < 2; i++) {
		const struct net_filter *f = &net->pairs[i].settings.filter;

		assert_true(f->nobcast && f->multicast.overflow && f->vlans[0] == 32);
		assert_int_equal(f->unicast.n, 2);
		assert_int_equal(net->pairs[i].settings.pairs, 2);
		assert_true(net->pairs[i].settings.may.csum && !net->pairs[i].settings.may.tso4);
	}
	/* Whatever else stands there is refused or harmless; a link that cannot do it, too. */
	for (size_t i = 0; i < n; i++) {
		memcpy(is, was, n);
		is[i] ^= 0xff;
		(void)load(net, is, n, &changed);
		assert_int_equal(load(net, was, i, &changed), -EINVAL);
		assert_true(net->pairs[0].settings.filter.unicast.n <= NET_FILTER_MACS);
		assert_true(net->wanted.pairs && net->wanted.pairs <= 2);
	}
	wire->refuses = true;
	assert_int_equal(load(net, was, n, &changed), -EINVAL);
	virtio_net_destroy(&net);
	/* Another card's. */
	net = another(&wire, 1, 1500);
	assert_int_equal(load(net, was, n, &changed), -EINVAL);
	virtio_net_destroy(&net);
	net = another(&wire, 0, 1400);
	assert_int_equal(load(net, was, n, &changed), -EINVAL);
	virtio_net_destroy(&net);
	nr_fini(&R);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(net_d_01_config_space),
		cmocka_unit_test(net_d_01_features_left_out),
		cmocka_unit_test(net_d_04_rx_modes),
		cmocka_unit_test(net_d_04_without_ctrl_rx_everything_passes),
		cmocka_unit_test(net_d_04_mac_table),
		cmocka_unit_test(a_card_takes_its_settings_along),
		cmocka_unit_test(net_d_04_malformed_tables_change_nothing),
		cmocka_unit_test(net_d_04_mac_address_is_set),
		cmocka_unit_test(net_d_04_vlans),
		cmocka_unit_test(net_d_04_unknown_commands_are_refused),
		cmocka_unit_test(net_d_04_commands_of_the_right_length_and_feature),
		cmocka_unit_test(net_d_04_pairs_out_of_range),
		cmocka_unit_test(net_d_04_guest_offloads),
		cmocka_unit_test(net_d_05_features_stand_on_others),
		cmocka_unit_test(net_g_01_legacy_mac_is_writable),
		cmocka_unit_test(net_d_carrier_is_told),
	};

	return cmocka_run_group_tests_name("net_control", tests, NULL, NULL);
}
