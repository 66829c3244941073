/* SPDX-License-Identifier: MIT */
/*
 * Image formats by a qemu-nbd of our own, and what keeps secrets: encrypted images, NBD servers
 * behind TLS.  What is missing of the programs is skipped with the reason.
 */
#include "storage/nbd_rig_test.h"

#include "storage/loop_test.h"
#include "storage/nbd_server.h"

#include <errno.h>
#include <poll.h>

/* The child of a thread of ours other than the main one: the server of the disk. */
static pid_t own_server(void)
{
	FILE *f = popen("for t in /proc/$PPID/task/*; do [ ${t##*/} = $PPID ] || "
			"cat $t/children; done",
			"r");
	int pid = 0;

	assert_int_equal(fscanf(f, "%d", &pid), 1);
	pclose(f);
	return pid;
}

/* One that dies is started anew if the guest had flushed what it wrote; else the disk fails. */
static void a_server_of_our_own_that_dies(void **state)
{
	struct place *p = *state;
	struct storage_options o = {
		.target = p->image, .format = STORAGE_FORMAT_QCOW2, .nbd_reconnect = 30};
	uint8_t block[4096], back[4096];
	struct rig rig;

	need("qemu-nbd");
	need("qemu-img");
	memset(block, 5, sizeof(block));
	run("qemu-img create -q -f qcow2 %s 8M", p->image);
	assert_int_equal(rig_open(&rig, &o, true, NULL), 0);
	assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, 0, block, 4096), 0);
	assert_int_equal(rig_do(&rig, STORAGE_FLUSH, 0, 0, 0), 0);
	assert_int_equal(rig_rw(&rig, STORAGE_WRITE, STORAGE_FUA, MIB, block, 4096), 0);
	kill(own_server(), SIGKILL);
	for (uint64_t at = 0; at <= MIB; at += MIB) {
		memset(back, 0, sizeof(back));
		assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, at, back, 4096), 0);
		assert_memory_equal(block, back, 4096);
	}
	assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, 2 * MIB, block, 4096), 0);
	kill(own_server(), SIGKILL);
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, back, 4096), -EIO);
	assert_int_equal(rig_do(&rig, STORAGE_FLUSH, 0, 0, 0), -EIO);
	rig_close(&rig);
}

static void a_backing_file_is_read_and_left_alone(void **state)
{
	struct place *p = *state;
	struct storage_options o = {.target = p->image, .format = STORAGE_FORMAT_QCOW2};
	uint8_t block[4096], back[4096];
	struct error err = {""};
	struct rig rig, other;
	int fd;

	need("qemu-nbd");
	need("qemu-img");
	free(image_make(p->dir, "base", DISK));
	run("printf base | dd of=%s/base conv=notrunc status=none", p->dir);
	run("qemu-img create -q -f qcow2 -b %s/base -F raw %s", p->dir, p->image);
	assert_int_equal(rig_open(&rig, &o, true, NULL), 0);
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, back, 4096), 0);
	assert_memory_equal(back, "base", 4);
	memset(block, 9, sizeof(block));
	assert_int_equal(rig_rw(&rig, STORAGE_WRITE, STORAGE_FUA, 0, block, 4096), 0);
	assert_int_equal(rig_open(&other, &o, true, &err), -EBUSY);
	assert_non_null(strstr(err.text, "in use"));
	rig_close(&rig);
	o.readonly = STORAGE_READONLY;
	assert_int_equal(rig_open(&rig, &o, false, NULL), 0);
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, back, 4096), 0);
	assert_memory_equal(block, back, 4096);
	rig_close(&rig);
	run("test $(head -c4 %s/base) = base", p->dir);
	fd = open(p->image, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	close(fd);
}

/* Made by another program: compressed clusters, a snapshot inside, a base of a base. */
static void what_others_made_is_read(void **state)
{
	struct place *p = *state;
	struct storage_options o = {.target = p->image, .format = STORAGE_FORMAT_QCOW2};
	uint8_t block[4096], back[4096];
	struct rig rig;

	need("qemu-nbd");
	need("qemu-img");
	memset(block, 'a', sizeof(block));
	run("head -c %u /dev/zero | tr '\\0' a >%s/raw", (unsigned)DISK, p->dir);
	run("qemu-img convert -q -c -f raw -O qcow2 %s/raw %s", p->dir, p->image);
	run("qemu-img snapshot -c before %s", p->image);
	assert_int_equal(rig_open(&rig, &o, true, NULL), 0);
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 5 * MIB, back, 4096), 0);
	assert_memory_equal(block, back, 4096);
	memset(back, 'b', sizeof(back));
	assert_int_equal(rig_rw(&rig, STORAGE_WRITE, STORAGE_FUA, 5 * MIB, back, 4096), 0);
	rig_close(&rig);
	/* The snapshot has what was there before, the image what we wrote. */
	run("qemu-img convert -q -f qcow2 -O raw %s %s/now; "
	    "test \"$(dd if=%s/now bs=4096 skip=1280 count=1 status=none | head -c1)\" = b",
	    p->image, p->dir, p->dir);
	run("qemu-img snapshot -a before %s && qemu-img check -q %s", p->image, p->image);
	run("qemu-img create -q -f qcow2 -b %s -F qcow2 %s/middle", p->image, p->dir);
	run("qemu-img create -q -f qcow2 -b %s/middle -F qcow2 %s/top", p->dir, p->dir);
	run("mv %s/top %s/top,x", p->dir, p->dir);
	o.target = strcat(strcpy((char[256]){""}, p->dir), "/top,x");
	assert_int_equal(rig_open(&rig, &o, true, NULL), 0);
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 5 * MIB, back, 4096), 0);
	assert_memory_equal(block, back, 4096);
	rig_close(&rig);
}

static void encrypted_images_need_their_key(void **state)
{
	struct place *p = *state;
	struct storage_options o = {.target = p->image, .format = STORAGE_FORMAT_LUKS};
	struct error err = {""};
	char key[256];
	struct rig rig;

	need("qemu-nbd");
	need("qemu-img");
	snprintf(key, sizeof(key), "%s/key,1", p->dir);
	run("umask 077; printf secret >%s/key,1; printf other >%s/wrong", p->dir, p->dir);
	run("qemu-img create -q -f luks --object secret,id=k,file=%s/key,,1 -o "
	    "key-secret=k,iter-time=10 "
	    "%s 8M",
	    p->dir, p->image);
	assert_int_equal(rig_open(&rig, &o, false, &err), -EINVAL);
	assert_non_null(strstr(err.text, "key-file="));
	o.key_file = key;
	mix_on(&o, 100);
	/* Nothing of what was written is there to be read. */
	run("test $(head -c4 %s) = LUKS", p->image);
	run("chmod 640 %s", key);
	assert_int_equal(rig_open(&rig, &o, false, &err), -EACCES);
	assert_non_null(strstr(err.text, "chmod 600"));
	run("mv %s/wrong %s; chmod 600 %s", p->dir, key, key);
	assert_int_equal(rig_open(&rig, &o, false, &err), -EINVAL);
	assert_non_null(strstr(err.text, "assword"));
	unlink(p->image);
	run("qemu-img create -q -f qcow2 --object secret,id=k,file=%s/key,,1 -o "
	    "encrypt.format=luks,encrypt.key-secret=k,encrypt.iter-time=10 %s 8M",
	    p->dir, p->image);
	o.format = STORAGE_FORMAT_QCOW2;
	mix_on(&o, 200);
	o.key_file = NULL;
	assert_int_equal(rig_open(&rig, &o, false, &err), -EINVAL);
}

/* QEMU has another driver for a device, and does not choose it where options are given. */
static void encrypted_devices_need_their_key(void **state)
{
	struct place *p = *state;
	struct storage_options o = {.format = STORAGE_FORMAT_LUKS};
	struct loop loop;
	char key[256];

	need("qemu-nbd");
	need("qemu-img");
	snprintf(key, sizeof(key), "%s/key", p->dir);
	run("umask 077; printf secret >%s", key);
	run("qemu-img create -q -f luks --object secret,id=k,file=%s -o key-secret=k,iter-time=10 "
	    "%s 8M",
	    key, p->image);
	if (!loop_make(&loop, p->image, 0)) {
		print_message("# skipped: no loop devices\n");
		skip();
	}
	o.key_file = key;
	o.target = loop.path;
	mix_on(&o, 50);
	loop_remove(&loop);
}

/* What a server of our own says may quote the image, and is shown on a terminal. */
static void words_of_a_server_are_printed_harmlessly(void **state)
{
	char *argv[] = {"printf", "a\\033[2Jb\\tc\\r\\n", NULL};
	struct nbd_server server;
	int client = nbd_server_start(&server, argv);

	(void)state;
	assert_true(client >= 0);
	while (server.words >= 0) {
		(void)poll(&(struct pollfd){.fd = server.words, .events = POLLIN}, 1, -1);
		(void)nbd_server_listen(&server, "test");
	}
	assert_string_equal(server.said, "a?[2Jb?c?");
	close(client);
	nbd_server_end(&server, "test", false);
}

/* ---- TLS ---- */

static void tls_by_certificates_and_by_keys(void **state)
{
	struct place *p = *state;
	struct storage_options o = options(p);
	char uri[512], key[256];
	struct error err = {""};
	struct rig rig;

	need("nbdkit");
	need("certtool");
	need("psktool");
	run("cd %s; umask 077; psktool -u guest -p psk >/dev/null 2>&1", p->dir);
	run("cd %s; umask 077; exec >/dev/null 2>&1; mkdir pki other; cd pki; "
	    "printf 'cn=ca\\nca\\ncert_signing_key\\n' >../ca.info; "
	    "printf 'cn=localhost\\ndns_name=localhost\\nip_address=127.0.0.1\\n"
	    "tls_www_server\\ntls_www_client\\nsigning_key\\n' >../it.info; "
	    "certtool --generate-privkey --key-type=ecdsa --outfile ca-key.pem && "
	    "certtool --generate-self-signed --load-privkey ca-key.pem --template ../ca.info "
	    "--outfile ca-cert.pem && "
	    "certtool --generate-privkey --key-type=ecdsa --outfile server-key.pem && "
	    "certtool --generate-certificate --load-ca-certificate ca-cert.pem --load-ca-privkey "
	    "ca-key.pem --load-privkey server-key.pem --template ../it.info --outfile "
	    "server-cert.pem && cp server-key.pem client-key.pem && cp server-cert.pem "
	    "client-cert.pem && cd ../other && certtool --generate-privkey --key-type=ecdsa "
	    "--outfile k && certtool --generate-self-signed --load-privkey k --template "
	    "../ca.info --outfile ca-cert.pem",
	    p->dir);
	o.target = uri;

	server_start(p, "nbdkit -f --tls=require --tls-psk=%s/psk -U %s memory 8M", p->dir,
		     p->sock);
	snprintf(uri, sizeof(uri), "nbds+unix://guest@/?socket=%s&tls-psk-file=%s/psk", p->sock,
		 p->dir);
	mix_on(&o, 300);
	/* Others may read it; another key; none at all. */
	run("chmod 644 %s/psk", p->dir);
	assert_int_equal(rig_open(&rig, &o, false, &err), -EACCES);
	assert_non_null(strstr(err.text, "chmod 600"));
	run("cd %s; umask 077; psktool -u guest -p other.psk >/dev/null 2>&1", p->dir);
	snprintf(uri, sizeof(uri), "nbds+unix://guest@/?socket=%s&tls-psk-file=%s/other.psk",
		 p->sock, p->dir);
	assert_int_equal(rig_open(&rig, &o, false, &err), -ECONNREFUSED);
	snprintf(uri, sizeof(uri), "nbd+unix:///?socket=%s", p->sock);
	assert_int_equal(rig_open(&rig, &o, false, &err), -ECONNREFUSED);
	server_end(p);

	server_start(p,
		     "nbdkit -f --tls=require --tls-verify-peer --tls-certificates=%s/pki -U %s "
		     "memory 8M",
		     p->dir, p->sock);
	snprintf(uri, sizeof(uri),
		 "nbds+unix:///?socket=%s&tls-certificates=%s/pki&tls-hostname="
		 "localhost",
		 p->sock, p->dir);
	mix_on(&o, 300);
	snprintf(key, sizeof(key), "%s/pki/client-key.pem", p->dir);
	assert_int_equal(chmod(key, 0604), 0);
	assert_int_equal(rig_open(&rig, &o, false, &err), -EACCES);
	/* A server that another authority vouches for is not the one we want. */
	snprintf(uri, sizeof(uri), "nbds+unix:///?socket=%s&tls-certificates=%s/other", p->sock,
		 p->dir);
	assert_int_equal(rig_open(&rig, &o, false, &err), -ECONNREFUSED);
}

static void wrong_images_are_sentences(void **state)
{
	struct place *p = *state;
	struct storage_options o = {.target = p->image, .format = STORAGE_FORMAT_QCOW2};
	char *path = getenv("PATH") ? strdup(getenv("PATH")) : NULL;
	struct error err = {""};
	struct rig rig;

	need("qemu-nbd");
	need("qemu-img");
	assert_int_equal(rig_open(&rig, &o, false, &err), -ENOENT);
	free(image_make(p->dir, "image", DISK));
	assert_int_equal(rig_open(&rig, &o, false, &err), -EINVAL);
	assert_non_null(strstr(err.text, "is not a qcow2 image"));
	/* No magic is known of that one: the program says it. */
	o.format = STORAGE_FORMAT_VMDK;
	assert_int_equal(rig_open(&rig, &o, false, &err), -EINVAL);
	assert_non_null(strstr(err.text, "no vmdk image"));
	run("printf 'QFI\\373\\377\\377' >%s", p->image);
	o.format = STORAGE_FORMAT_QCOW2;
	assert_int_equal(rig_open(&rig, &o, false, &err), -EINVAL);
	assert_non_null(strstr(err.text, "broken"));
	setenv("PATH", p->dir, 1);
	assert_int_equal(rig_open(&rig, &o, false, &err), -ENOENT);
	assert_non_null(strstr(err.text, "qemu-utils"));
	setenv("PATH", path, 1);
	free(path);
}

/* A key that others can read is refused wherever it lies. */
static void keys_in_default_places_are_for_their_owner(void **state)
{
	static const char *const places[] = {"home/.pki/libnbd", "home/.config/pki/libnbd", "host"};
	struct place *p = *state;
	struct error err = {""};
	char home[128], host[128];

	snprintf(home, sizeof(home), "%s/home", p->dir);
	snprintf(host, sizeof(host), "%s/host", p->dir);
	assert_int_equal(nbd_check_default_key(home, host, &err), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
		run("mkdir -p %s/%s && cd %s/%s && touch client-key.pem && chmod 640 "
		    "client-key.pem",
		    p->dir, places[i], p->dir, places[i]);
		assert_int_equal(nbd_check_default_key(home, host, &err), -EACCES);
		assert_non_null(strstr(err.text, places[i]));
		run("chmod 600 %s/%s/client-key.pem", p->dir, places[i]);
		assert_int_equal(nbd_check_default_key(home, host, &err), 0);
	}
	run("chmod 640 %s/home/.pki/libnbd/client-key.pem", p->dir);
	assert_int_equal(nbd_check_default_key(NULL, host, &err), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		T(a_server_of_our_own_that_dies),
		T(a_backing_file_is_read_and_left_alone),
		T(what_others_made_is_read),
		T(encrypted_images_need_their_key),
		T(encrypted_devices_need_their_key),
		T(words_of_a_server_are_printed_harmlessly),
		T(tls_by_certificates_and_by_keys),
		T(wrong_images_are_sentences),
		T(keys_in_default_places_are_for_their_owner),
	};

	cmocka_set_test_filter(getenv("TEST_ONLY"));
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("storage/format", tests, NULL, NULL);
}
