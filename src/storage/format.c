/* SPDX-License-Identifier: MIT */
/*
 * file=PATH,format=qcow2: a disk in an image format, by a qemu-nbd of our own.
 *
 * It is started with one socket that nobody else has, and ends with the connection.  The format is
 * always told, never guessed: a guest writes what a guess looks at.  The path goes absolute, since
 * QEMU takes "nbd:..." and "json:..." for more than a file.
 */
#include "storage/nbd.h"
#include "storage/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROGRAM "qemu-nbd"

struct format {
	const char *name; /* ours and QEMU's          */
	const char *magic;
	size_t n, at; /* of the magic; 0: none told */
};

static const struct format formats[] = {
	[STORAGE_FORMAT_QCOW2] = {"qcow2", "QFI\xfb", 4, 0},
	[STORAGE_FORMAT_VMDK] = {"vmdk", NULL, 0, 0},
	[STORAGE_FORMAT_VDI] = {"vdi", "\x7f\x10\xda\xbe", 4, 0x40},
	[STORAGE_FORMAT_VHDX] = {"vhdx", "vhdxfile", 8, 0},
	[STORAGE_FORMAT_VPC] = {"vpc", NULL, 0, 0},
	[STORAGE_FORMAT_PARALLELS] = {"parallels", NULL, 0, 0},
	[STORAGE_FORMAT_LUKS] = {"luks", "LUKS\xba\xbe", 6, 0},
};

/* Whether execvp() would find it. */
static bool program_is_there(void)
{
	const char *path = getenv("PATH");
	char *dirs = strdup(path ? path : "/usr/bin:/bin"), *rest = dirs, *dir;
	bool found = false;

	while (dirs && !found && (dir = strsep(&rest, ":"))) {
		char file[4096];

		found = snprintf(file, sizeof(file), "%s/" PROGRAM, *dir ? dir : ".") <
				(int)sizeof(file) &&
			!access(file, X_OK);
	}
	free(dirs);
	return found;
}

/* Not to choose a format, but to say what is wrong in a sentence of our own. */
static int check_image(const struct storage_options *o, const struct format *f, struct error *err)
{
	char bytes[16];
	struct stat st;
	int fd, rc = 0;

	if (stat(o->target, &st))
		return error_set(err, -errno, "cannot open %s", o->target);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return error_set(err, -EINVAL, "%s is neither a regular file nor a block device.",
				 o->target);
	fd = open(o->target, (o->readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return error_set(err, -errno, "cannot open %s for %s", o->target,
				 o->readonly ? "reading" : "writing (readonly=on only reads)");
	if (f->n && (pread(fd, bytes, f->n, (off_t)f->at) != (ssize_t)f->n ||
		     memcmp(bytes, f->magic, f->n) != 0))
		rc = error_set(err, -EINVAL,
			       "%s is not a %s image; formats are not guessed: say format= as it "
			       "is (raw: without format=).",
			       o->target, f->name);
	close(fd);
	return rc;
}

/* What follows goes to @way->argv, or the memory was short: then nothing more does. */
struct argv_maker {
	struct nbd_way *way;
	size_t n;
	bool failed;
};

#define ARGV_MAX 15

static void argv_add(struct argv_maker *m, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static void argv_add(struct argv_maker *m, const char *fmt, ...)
{
	char *word = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (m->failed || m->n == ARGV_MAX || vasprintf(&word, fmt, ap) < 0)
		m->failed = true;
	else
		m->way->argv[m->n++] = word;
	va_end(ap);
}

/* As QEMU takes it inside a list of options: a comma is written twice.  NULL: no memory. */
static char *double_commas(const char *from)
{
	char *text = malloc(2 * strlen(from) + 1), *to = text;

	for (; text && *from; from++) {
		*to++ = *from;
		if (*from == ',')
			*to++ = ',';
	}
	if (text)
		*to = '\0';
	return text;
}

static bool is_device(const char *path)
{
	struct stat st;

	return path && !stat(path, &st) && S_ISBLK(st.st_mode);
}

static int make_argv(const struct storage_options *o, const struct format *f, struct nbd_way *way)
{
	struct argv_maker m = {.way = way};
	char *path = realpath(o->target, NULL);
	char *inside = path ? double_commas(path) : NULL;
	char *key = o->key_file ? double_commas(o->key_file) : NULL;

	way->name = strdup(o->target);
	way->argv = calloc(ARGV_MAX + 1, sizeof(way->argv[0]));
	m.failed = !way->argv || !way->name || !inside || (o->key_file && !key);
	argv_add(&m, PROGRAM);
	argv_add(&m, "--cache=%s", o->direct ? "none" : "writeback");
	/* io_uring of QEMU 7.2 hangs where a file's end is no multiple of 512 bytes. */
	argv_add(&m, "--aio=threads");
	argv_add(&m, "--discard=%s", o->no_discard ? "ignore" : "unmap");
	if (o->readonly)
		argv_add(&m, "--read-only");
	if (key) {
		argv_add(&m, "--object");
		argv_add(&m, "secret,id=key,file=%s", key);
		argv_add(&m, "--image-opts");
		/* With options QEMU does not look what the file is. */
		argv_add(&m, "driver=%s,%s=key,file.driver=%s,file.filename=%s", f->name,
			 o->format == STORAGE_FORMAT_LUKS ? "key-secret" : "encrypt.key-secret",
			 is_device(path) ? "host_device" : "file", inside);
	} else {
		argv_add(&m, "-f");
		argv_add(&m, "%s", f->name);
		argv_add(&m, "%s", path ? path : "");
	}
	free(path);
	free(inside);
	free(key);
	if (!m.failed)
		return 0;
	nbd_way_fini(way);
	return -ENOMEM;
}

static int format_judge(const struct storage_options *o, struct error *err)
{
	const struct format *f = &formats[o->format];

	if (o->no_lock)
		return error_set(err, -EINVAL, "locking=off is not for format=%s.", f->name);
	if (o->format == STORAGE_FORMAT_LUKS && !o->key_file)
		return error_set(
			err, -EINVAL,
			"%s is encrypted: key-file=FILE names the file with its passphrase.",
			o->target);
	if (o->key_file && o->format != STORAGE_FORMAT_LUKS && o->format != STORAGE_FORMAT_QCOW2)
		return error_set(err, -EINVAL,
				 "format=%s has no key; key-file= is for format=luks and "
				 "format=qcow2.",
				 f->name);
	return 0;
}

static int format_open(const struct storage_options *asked, struct storage **out, struct error *err)
{
	struct storage_options own = *asked, *o = &own;
	const struct format *f = &formats[o->format];
	struct nbd_way way = {.reconnect = 30};
	struct error inner = {""};
	int rc;

	if (o->no_lock)
		return error_set(err, -EINVAL, "locking=off is not for format=%s.", f->name);
	if (o->erase == STORAGE_ERASE_OVERWRITE)
		return error_set(err, -EINVAL,
				 "secure-erase=overwrite is not for format=%s: what is written to "
				 "such an image may go to another place in it.",
				 f->name);
	if (o->life == STORAGE_LIFE_MEDIUM)
		return error_set(err, -EINVAL, "lifetime=medium is not for format=%s.", f->name);
	if (!program_is_there())
		return error_set(err, -ENOENT,
				 "format=%s needs the program " PROGRAM
				 ", and it is not in PATH; install qemu-utils.",
				 f->name);
	if (o->readonly == STORAGE_AUTO)
		o->readonly = access(o->target, W_OK) ? STORAGE_READONLY : STORAGE_WRITABLE;
	rc = check_image(o, f, err);
	if (!rc && o->key_file)
		rc = secret_check(o->key_file, "the file of the passphrase", err);
	if (rc)
		return rc;
	rc = make_argv(o, f, &way);
	if (rc)
		return error_set(err, rc, "cannot set up %s", o->target);
	rc = nbd_open_way(o, &way, out, &inner);
	if (rc == -ECONNREFUSED && strstr(inner.text, "Is another process using"))
		return error_set(err, -EBUSY,
				 "%s is in use by another program; one image is one disk, unless "
				 "readonly=on on both.",
				 o->target);
	if (rc == -ECONNREFUSED)
		return error_set(err, -EINVAL, "%s is broken or no %s image: %s.", o->target,
				 f->name, inner.text);
	if (rc)
		return error_set(err, rc, "%s.", inner.text);
	(*out)->ident = storage_ident_of(o->target);
	return 0;
}

/* Its words are those of a file. */
const struct storage_engine_ops format_engine_ops = {
	.kind = "format",
	.judge = format_judge,
	.open = format_open,
	.close = nbd_storage_close,
	.has_threads = true,
	.spoiled = nbd_spoiled,
	.channel_open = nbd_channel_open,
	.channel_close = nbd_channel_close,
	.submit = nbd_submit,
	.drain = nbd_drain,
};
