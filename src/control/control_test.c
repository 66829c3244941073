/* SPDX-License-Identifier: MIT */
/* Both sides of the control socket in one process. */
#include "test.h"

#include "base/aside.h"
#include "base/bits.h"
#include "base/sock.h"
#include "control/peer.h"
#include "lingering.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct place {
	char dir[40], path[64], reads[64];
	struct reactor *home;
	struct control control;
	unsigned asked;
	struct control_call *kept; /* not answered yet */
};

static struct place *place_of(const struct control_call *call)
{
	return container_of(call->control, struct place, control);
}

static void run_count(struct control_call *call)
{
	control_reply(call, json_integer(++place_of(call)->asked));
}

static void run_echo(struct control_call *call)
{
	control_reply(call, json_pack("{ss}", "you", "said echo"));
}

static void run_say(struct control_call *call)
{
	struct error err;

	if (control_flag(call, "shout")) {
		error_set(&err, -EINVAL, "nobody shouts here.");
		control_refuse(call, &err);
		return;
	}
	control_reply(call, json_pack("{ss sO*}", "first", control_string(call, "first"), "rest",
				      json_object_get(call->params, "rest")));
}

static void run_keep(struct control_call *call)
{
	place_of(call)->kept = call;
}

static void run_no_memory(struct control_call *call)
{
	control_reply(call, NULL);
}

static const struct control_param say_params[] = {
	{.name = "first", .type = CONTROL_STRING, .text = "a word"},
	{.name = "times", .type = CONTROL_NUMBER, .optional = true, .option = true, .text = "n"},
	{.name = "shout", .type = CONTROL_BOOL, .optional = true, .option = true, .text = "loud"},
	{.name = "rest", .type = CONTROL_STRINGS, .optional = true, .text = "more words"},
	{0},
};
static const struct control_verb verb_count = {.name = "count", .text = "", .run = run_count};
static const struct control_verb verb_echo = {.name = "echo", .text = "", .run = run_echo};
static const struct control_verb verb_say = {
	.name = "say", .text = "", .changes = true, .params = say_params, .run = run_say};
static const struct control_verb verb_keep = {
	.name = "keep", .text = "", .slow = true, .run = run_keep};
static const struct control_verb verb_no_memory = {
	.name = "no-memory", .text = "", .run = run_no_memory};
static const struct control_verb *const verbs[] = {
	&verb_count, &verb_echo, &verb_say, &verb_keep, &verb_no_memory, NULL,
};

static int place_open(struct place *p)
{
	const struct control_places places = {.all = p->path, .reads = p->reads};

	return control_open(&p->control, verbs, &places, p->home, NULL);
}

static int set_up(void **state)
{
	const struct reactor_config config = {.uring = false};
	struct place *p = calloc(1, sizeof(*p));

	strcpy(p->dir, "/tmp/control-test-XXXXXX");
	if (!mkdtemp(p->dir) || reactor_create(&p->home, &config, NULL))
		return -1;
	snprintf(p->path, sizeof(p->path), "%s/sock", p->dir);
	snprintf(p->reads, sizeof(p->reads), "%s/reads", p->dir);
	*state = p;
	return 0;
}

static void poll_home(struct place *p, int ms)
{
	poll(&(struct pollfd){.fd = reactor_fd(p->home), .events = POLLIN}, 1, ms);
	reactor_process(p->home);
}

static int tear_down(void **state)
{
	struct place *p = *state;

	/* Connections that are being closed: the next test may count files. */
	while (p->control.home &&
	       (!list_empty(&p->control.peers) || aside_waiting(p->control.all.acceptor.aside)))
		poll_home(p, 1);
	control_close(&p->control);
	control_close(&p->control);
	reactor_destroy(&p->home);
	assert_int_equal(rmdir(p->dir), 0);
	free(p);
	return 0;
}

static int new_client(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	return fd;
}

static void dial(int fd, const char *path)
{
	struct sock_address at;

	assert_int_equal(sock_address(&at, path, NULL), 0);
	assert_int_equal(connect(fd, sock_address_of(&at), at.len), 0);
}

static void ask(int fd, const char *line)
{
	assert_int_equal(send(fd, line, strlen(line), MSG_NOSIGNAL), strlen(line));
}

static void turn(struct place *p)
{
	poll_home(p, reactor_timeout_ms(p->home));
}

/* What comes back, up to the end of a line; the other side runs meanwhile.  NULL: it hung up. */
static const char *hear(struct place *p, int fd)
{
	static char line[4096];
	size_t n = 0;

	for (;;) {
		ssize_t got = recv(fd, line + n, sizeof(line) - 1 - n, MSG_DONTWAIT);

		if (got > 0)
			n += (size_t)got;
		line[n] = '\0';
		if (strchr(line, '\n'))
			return line;
		if (!got || (got < 0 && errno != EAGAIN))
			return NULL;
		if (got < 0)
			turn(p);
	}
}

static struct control_peer *only_peer(struct place *p)
{
	while (list_empty(&p->control.peers))
		turn(p);
	return list_entry(p->control.peers.next, struct control_peer, link);
}

#define ASK(method, params, id) \
	"{\"jsonrpc\": \"2.0\", \"method\": \"" method "\"" params ", \"id\": " id "}\n"
#define COUNT  ASK("count", "", "1")
#define ECHO   ASK("echo", "", "1")
#define ECHOED "{\"jsonrpc\":\"2.0\",\"result\":{\"you\":\"said echo\"},\"id\":1}\n"

static void counted(struct place *p, int fd, int n)
{
	char text[64];

	snprintf(text, sizeof(text), "{\"jsonrpc\":\"2.0\",\"result\":%d,\"id\":1}\n", n);
	assert_string_equal(hear(p, fd), text);
}

static void requests_are_answered_in_turn(void **state)
{
	struct place *p = *state;
	int fd = new_client();

	assert_int_equal(place_open(p), 0);
	dial(fd, p->path);
	ask(fd, COUNT "{\"jsonrpc\": ");
	counted(p, fd, 1);
	ask(fd, "\"2.0\", \"id\": 1, \"method\": \"count\"}\n");
	counted(p, fd, 2);
	/* Nobody wants to know. */
	ask(fd, "{\"jsonrpc\": \"2.0\", \"method\": \"count\"}\n");
	ask(fd, "{\"jsonrpc\": \"2.0\", \"method\": \"nonsense\"}\n");
	ask(fd, COUNT);
	counted(p, fd, 4);
	for (int i = 0; i < 300; i++) {
		char filler[65] = "";

		memset(filler, ' ', 64);
		ask(fd, filler);
		turn(p);
	}
	ask(fd, "\n");
	assert_non_null(strstr(hear(p, fd), "this line is too long"));
	ask(fd, COUNT);
	counted(p, fd, 5);
	close(fd);
}

/* JSON-RPC 2.0, 4 and 5. */
static void what_is_wrong_is_said(void **state)
{
	static const struct {
		const char *line, *code, *id, *sentence;
	} list[] = {
		{"nonsense\n", "-32700", "null", "this line is no JSON"},
		{"\n", "-32700", "null", ""},
		{"{\"a\": 1, \"a\": 2}\n", "-32700", "null", "duplicate"},
		{"1\n", "-32700", "null", ""},
		{"[" COUNT, "-32700", "null", ""},
		{"[]\n", "-32600", "null", "batches are not taken"},
		{"{}\n", "-32600", "null", "jsonrpc"},
		{"{\"jsonrpc\": \"1.0\", \"method\": \"count\", \"id\": 1}\n", "-32600", "1",
		 "jsonrpc"},
		{"{\"jsonrpc\": \"2.0\", \"method\": 1, \"id\": \"x\"}\n", "-32600", "\"x\"",
		 "method"},
		{"{\"jsonrpc\": \"2.0\", \"method\": \"count\", \"id\": {}}\n", "-32600", "null",
		 "id"},
		{"{\"jsonrpc\": \"2.0\", \"method\": \"count\", \"id\": 1, \"x\": 1}\n", "-32600",
		 "1", "no others"},
		{ASK("nonsense", "", "7"), "-32601", "7",
		 "there is count, echo, say, keep, no-memory, events, schema"},
		{ASK("say", "", "7"), "-32602", "7", "say needs first, a word"},
		{ASK("say", ", \"params\": 3", "7"), "-32602", "7", "object or an array"},
		{ASK("say", ", \"params\": {\"first\": 1}", "7"), "-32602", "7", "a string"},
		{ASK("say", ", \"params\": {\"first\": \"a\", \"last\": \"b\"}", "7"), "-32602",
		 "7", "no parameter \\\"last\\\""},
		{ASK("say", ", \"params\": [\"a\", -1]", "7"), "-32602", "7", "not negative"},
		{ASK("say", ", \"params\": [\"a\", 1.5]", "7"), "-32602", "7", "not negative"},
		{ASK("say", ", \"params\": [\"a\", 1, 1]", "7"), "-32602", "7", "true or false"},
		{ASK("say", ", \"params\": [\"a\", 1, true, []]", "7"), "-32602", "7",
		 "array of strings"},
		{ASK("say", ", \"params\": [\"a\", 1, true, [2]]", "7"), "-32602", "7",
		 "array of strings"},
		{ASK("say", ", \"params\": [\"a\", 1, true, [\"b\"], 5]", "7"), "-32602", "7",
		 "fewer parameters"},
		{ASK("count", ", \"params\": [1]", "7"), "-32602", "7", "fewer parameters"},
		{ASK("say", ", \"params\": [\"a\", 1, true]", "7"), "-32000", "7",
		 "nobody shouts here"},
	};
	struct place *p = *state;
	int fd = new_client();

	assert_int_equal(place_open(p), 0);
	dial(fd, p->path);
	for (size_t i = 0; i < ARRAY_SIZE(list); i++) {
		char code[40], id[40];
		const char *told;

		ask(fd, list[i].line);
		told = hear(p, fd);
		snprintf(code, sizeof(code), "\"code\":%s,", list[i].code);
		snprintf(id, sizeof(id), "\"id\":%s}", list[i].id);
		if (!told || !strstr(told, code) || !strstr(told, id) ||
		    !strstr(told, list[i].sentence))
			fail_msg("%s gave %s", list[i].line, told ? told : "nothing");
	}
	ask(fd,
	    ASK("say", ", \"params\": {\"rest\": [\"b\", \"c \\\"d\"], \"first\": \"a\"}", "7"));
	assert_string_equal(hear(p, fd), "{\"jsonrpc\":\"2.0\",\"result\":{\"first\":\"a\","
					 "\"rest\":[\"b\",\"c \\\"d\"]},\"id\":7}\n");
	ask(fd, ASK("say", ", \"params\": [\"a\", 1, false, [\"b\"]]", "\"x\""));
	assert_string_equal(hear(p, fd), "{\"jsonrpc\":\"2.0\",\"result\":{\"first\":\"a\","
					 "\"rest\":[\"b\"]},\"id\":\"x\"}\n");
	close(fd);
}

/* As deep as a line is long. */
static void depth_harms_nobody(void **state)
{
	struct place *p = *state;
	char deep[CONTROL_LINE_MAX];
	int fd = new_client();

	assert_int_equal(place_open(p), 0);
	dial(fd, p->path);
	memset(deep, '[', sizeof(deep));
	deep[sizeof(deep) - 2] = '\n';
	deep[sizeof(deep) - 1] = '\0';
	ask(fd, deep);
	assert_non_null(strstr(hear(p, fd), "-32700"));
	ask(fd, ECHO);
	assert_string_equal(hear(p, fd), ECHOED);
	close(fd);
}

static void nothing_is_changed_over_a_socket_for_reading(void **state)
{
	struct place *p = *state;
	int fd = new_client();

	assert_int_equal(place_open(p), 0);
	dial(fd, p->reads);
	ask(fd, ASK("say", ", \"params\": [\"a\"]", "7"));
	assert_non_null(strstr(hear(p, fd), "this socket is for reading"));
	ask(fd, ECHO);
	assert_string_equal(hear(p, fd), ECHOED);
	close(fd);
}

/* ---- answers that come later ---- */

static void nothing_is_read_before_the_answer_is_known(void **state)
{
	struct place *p = *state;
	int fd = new_client(), other = new_client();

	assert_int_equal(place_open(p), 0);
	dial(fd, p->path);
	dial(other, p->path);
	ask(fd, ASK("keep", "", "5") COUNT);
	while (!p->kept)
		turn(p);
	/* Others are answered meanwhile. */
	ask(other, COUNT);
	counted(p, other, 1);
	control_reply(p->kept, json_string("late"));
	assert_string_equal(hear(p, fd), "{\"jsonrpc\":\"2.0\",\"result\":\"late\",\"id\":5}\n"
					 "{\"jsonrpc\":\"2.0\",\"result\":2,\"id\":1}\n");
	close(fd);
	close(other);
}

static void who_waits_for_an_answer_may_go(void **state)
{
	struct place *p = *state;
	int fd = new_client();

	assert_int_equal(place_open(p), 0);
	dial(fd, p->path);
	ask(fd, ASK("keep", "", "5"));
	while (!p->kept)
		turn(p);
	close(fd);
	while (!list_empty(&p->control.peers))
		turn(p);
	control_reply(p->kept, json_string("late"));
	/* And so may the socket. */
	p->kept = NULL;
	fd = new_client();
	dial(fd, p->path);
	ask(fd, ASK("keep", "", "5"));
	while (!p->kept)
		turn(p);
	control_close(&p->control);
	control_refuse(p->kept, &(struct error){"late"});
	close(fd);
}

static void no_memory_for_an_answer_ends_the_connection(void **state)
{
	struct place *p = *state;
	int fd = new_client();

	assert_int_equal(place_open(p), 0);
	dial(fd, p->path);
	ask(fd, ASK("no-memory", "", "5"));
	assert_null(hear(p, fd));
	close(fd);
}

/* ---- events ---- */

static void who_subscribed_is_told(void **state)
{
	struct place *p = *state;
	int fd = new_client(), other = new_client();

	control_event(&p->control, "nobody listens yet", json_object());
	assert_int_equal(place_open(p), 0);
	dial(fd, p->reads);
	dial(other, p->path);
	control_event(&p->control, "nobody subscribed yet", NULL);
	ask(fd, ASK("events", "", "1"));
	assert_string_equal(hear(p, fd), "{\"jsonrpc\":\"2.0\",\"result\":true,\"id\":1}\n");
	control_event(&p->control, "fire", json_pack("{ss}", "where", "disk0"));
	assert_string_equal(hear(p, fd), "{\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":"
					 "{\"event\":\"fire\",\"where\":\"disk0\"}}\n");
	ask(fd, COUNT);
	counted(p, fd, 1);
	ask(other, COUNT);
	counted(p, other, 2);
	close(fd);
	close(other);
}

static void events_that_nobody_reads_are_counted(void **state)
{
	struct place *p = *state;
	char filler[1001] = "", *text = calloc(1, 8 << 20);
	int fd = new_client();
	unsigned sent = 0, told = 0, lost = 0;
	size_t n = 0;

	assert_int_equal(place_open(p), 0);
	dial(fd, p->path);
	ask(fd, ASK("events", "", "1"));
	assert_non_null(hear(p, fd));
	memset(filler, 'x', sizeof(filler) - 1);
	for (unsigned i = 0; i < 2000; i++, sent++) {
		control_event(&p->control, "fire", json_pack("{ss}", "what", filler));
		poll_home(p, 0);
	}
	/* A bounded number waits. */
	assert_true(only_peer(p)->out_n - only_peer(p)->sent < 2 * CONTROL_EVENTS_MAX);
	while (!strstr(text, "events-lost")) {
		ssize_t got = recv(fd, text + n, (8 << 20) - 1 - n, MSG_DONTWAIT);

		if (got > 0)
			n += (size_t)got;
		else
			turn(p);
	}
	for (const char *at = text; (at = strstr(at, "\"fire\"")); at++)
		told++;
	lost = (unsigned)atoi(strstr(text, "\"count\":") + 8);
	assert_int_equal(told + lost, sent);
	assert_true(told && lost);
	free(text);
	close(fd);
}

static void the_schema_has_all_verbs(void **state)
{
	struct place *p = *state;
	int fd = new_client();
	json_t *told, *list, *say;

	assert_int_equal(place_open(p), 0);
	dial(fd, p->reads);
	ask(fd, ASK("schema", "", "1"));
	told = json_loads(hear(p, fd), 0, NULL);
	list = json_object_get(json_object_get(told, "result"), "verbs");
	assert_int_equal(json_array_size(list), 7);
	say = json_array_get(list, 2);
	assert_string_equal(json_string_value(json_object_get(say, "name")), "say");
	assert_true(json_is_true(json_object_get(say, "changes")));
	assert_int_equal(json_array_size(json_object_get(say, "params")), 4);
	json_decref(told);
	close(fd);
}

/* No table that could be full: every one of them is answered while all are there. */
static void as_many_clients_as_there_are_files_for(void **state)
{
	struct place *p = *state;
	int fds[300];

	assert_int_equal(place_open(p), 0);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = new_client();
		dial(fds[i], p->path);
		ask(fds[i], ECHO);
		assert_string_equal(hear(p, fds[i]), ECHOED);
	}
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		ask(fds[i], ECHO);
		assert_non_null(hear(p, fds[i]));
		close(fds[i]);
	}
	while (!list_empty(&p->control.peers))
		turn(p);
}

#define FILES 64

/* Takes all files that may be open; returns how many. */
static unsigned take_files(int *fds)
{
	unsigned n = 0;

	while ((fds[n] = dup(STDERR_FILENO)) >= 0)
		n++;
	assert_int_equal(errno, EMFILE);
	return n;
}

static void a_client_is_served_when_files_have_run_out(void **state)
{
	struct place *p = *state;
	struct rlimit before, few;
	int fds[FILES], a = new_client(), b = new_client(), c = new_client();
	unsigned n;

	assert_int_equal(place_open(p), 0);
	getrlimit(RLIMIT_NOFILE, &before);
	few = (struct rlimit){.rlim_cur = FILES, .rlim_max = before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	n = take_files(fds);

	dial(a, p->path);
	ask(a, COUNT);
	counted(p, a, 1);
	/* Two more wait until he has gone, without knocking again. */
	dial(b, p->path);
	dial(c, p->path);
	ask(b, COUNT);
	ask(c, COUNT);
	/* His end stays open: the one file of his connection is all that there is. */
	shutdown(a, SHUT_RDWR);
	counted(p, b, 2);
	shutdown(b, SHUT_RDWR);
	counted(p, c, 3);
	/* Who stays for nothing does not keep the next one out for ever. */
	assert_null(hear(p, c));
	close(c);
	close(b);
	close(a);

	while (n)
		close(fds[--n]);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	while (!list_empty(&p->control.peers) || p->control.all.acceptor.spare < 0)
		turn(p);
}

/* Whoever else the thread serves has its turn, though the line never ends. */
static void a_line_without_end_is_read_a_piece_at_a_time(void **state)
{
	struct place *p = *state;
	static const char piece[4096] = {'x'};
	int fd = new_client(), size = 1 << 20, before, after;
	const struct control_peer *peer;

	assert_int_equal(place_open(p), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	dial(fd, p->path);
	peer = only_peer(p);
	while (send(fd, piece, sizeof(piece), MSG_NOSIGNAL) > 0)
		;
	assert_int_equal(ioctl(peer->fd, FIONREAD, &before), 0);
	assert_true(before > 32 * CONTROL_LINE_MAX);
	reactor_process(p->home);
	assert_int_equal(ioctl(peer->fd, FIONREAD, &after), 0);
	assert_in_range(before - after, 1, 16 * CONTROL_LINE_MAX);
	/* And gets on. */
	while (after > 0) {
		turn(p);
		assert_int_equal(ioctl(peer->fd, FIONREAD, &after), 0);
	}
	ask(fd, "\n");
	assert_non_null(strstr(hear(p, fd), "this line is too long"));
	close(fd);
}

/* Files that a client sends along, read or not: nobody waits until they are closed. */
static void a_client_whose_files_take_long_to_be_closed_keeps_up_nobody(void **state)
{
	struct place *p = *state;
	int other[2], fds[2];

	assert_int_equal(place_open(p), 0);
	alarm(20);
	for (unsigned i = 0; i < 2; i++) {
		const struct iovec text = {"x", 1};
		int fd = new_client();

		fds[i] = test_lingering(&other[i]);
		dial(fd, p->path);
		(void)only_peer(p);
		assert_int_equal(sock_send_some(fd, &text, 1, &fds[i], 1), 1);
		close(fds[i]); /* another one is on its way */
		if (i)	       /* it goes before anything of it is read */
			control_peer_destroy(only_peer(p));
		close(fd);
		while (!list_empty(&p->control.peers))
			turn(p);
		fd = new_client();
		dial(fd, p->path);
		ask(fd, ECHO);
		assert_string_equal(hear(p, fd), ECHOED);
		close(fd);
		while (!list_empty(&p->control.peers))
			turn(p);
	}
	alarm(0);
	close(other[0]);
	close(other[1]);
}

/* ---- the other side ---- */

static void *run_home(void *arg)
{
	reactor_run(((struct place *)arg)->home);
	return NULL;
}

static const struct control_question echo = {.method = "echo"}, frob = {.method = "frob"},
				     tree = {.method = "tree"};

static void the_client_asks_and_is_told(void **state)
{
	struct place *p = *state;
	struct error err = {""};
	pthread_t thread;
	json_t *told;

	assert_int_equal(place_open(p), 0);
	assert_int_equal(pthread_create(&thread, NULL, run_home, p), 0);
	assert_int_equal(control_ask(p->path, &echo, &told, &err), 0);
	assert_string_equal(json_string_value(json_object_get(told, "you")), "said echo");
	json_decref(told);
	assert_int_equal(control_ask(p->path, &frob, &told, &err), -EPROTO);
	assert_non_null(strstr(err.text, "refuses: there is no \"frob\" here"));
	assert_null(told);
	reactor_stop(p->home);
	pthread_join(thread, NULL);
}

/* Somebody who listens, and answers whoever comes with the same words. */
struct stranger {
	int fd;
	const char *says;
};

static void *run_stranger(void *arg)
{
	struct stranger *s = arg;
	int fd = accept(s->fd, NULL, NULL);
	char buf[128];

	/* Reads the request first, or the answer may be thrown away with the connection. */
	if (recv(fd, buf, sizeof(buf), 0) > 0)
		(void)!write(fd, s->says, strlen(s->says));
	close(fd);
	return NULL;
}

static void a_socket_of_another_kind_is_said_to_be_one(void **state)
{
	static const struct {
		const char *says, *must_say;
	} list[] = {
		{"", "it hung up at the first request"}, /* as a vhost-user back end */
		{"HTTP/1.1 400 Bad Request\r\n", "it answers something else"},
		{"{\"result\"", "it broke off in the middle"},
		{"{\"result\": 1}\n", "it answers something else"},
		{"\n", "it answers something else"},
	};
	struct place *p = *state;
	struct error err = {""};
	json_t *told;

	for (size_t i = 0; i < ARRAY_SIZE(list); i++) {
		struct stranger s = {.fd = socket(AF_UNIX, SOCK_STREAM, 0), .says = list[i].says};
		struct sock_address at;
		pthread_t thread;

		assert_int_equal(sock_address(&at, p->path, NULL), 0);
		assert_int_equal(bind(s.fd, sock_address_of(&at), at.len), 0);
		assert_int_equal(listen(s.fd, 1), 0);
		assert_int_equal(pthread_create(&thread, NULL, run_stranger, &s), 0);
		assert_int_equal(control_ask(p->path, &tree, &told, &err), -EPROTO);
		if (!strstr(err.text, list[i].must_say))
			fail_msg("\"%s\" gave: %s", list[i].says, err.text);
		assert_non_null(strstr(err.text, "is no control socket"));
		assert_non_null(strstr(err.text, p->path));
		pthread_join(thread, NULL);
		close(s.fd);
		unlink(p->path);
	}
	assert_int_equal(control_ask(p->path, &tree, &told, &err), -ENOENT);
	assert_non_null(strstr(err.text, "nobody answers"));
	assert_int_equal(control_ask("", &tree, &told, &err), -EINVAL);
}

/* An abstract socket has no mode; its owner alone is let in all the same. */
static void an_abstract_socket_lets_only_its_owner_in(void **state)
{
	struct place *p = *state;
	char name[64];
	const struct control_places places = {.all = name};
	int fd = new_client(), status;
	pid_t other;

	snprintf(name, sizeof(name), "@control-test-%d", getpid());
	assert_int_equal(control_open(&p->control, verbs, &places, p->home, NULL), 0);
	assert_int_equal(access(name, F_OK), -1);
	dial(fd, name);
	ask(fd, COUNT);
	counted(p, fd, 1);
	close(fd);
	while (!list_empty(&p->control.peers))
		turn(p);
	if (geteuid() != 0)
		return;
	other = fork();
	if (!other) {
		char c;

		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		if (setuid(65534))
			_exit(2);
		dial(fd, name);
		_exit(recv(fd, &c, 1, 0) > 0);
	}
	while (!waitpid(other, &status, WNOHANG)) {
		poll_home(p, 20);
	}
	assert_int_equal(status, 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(requests_are_answered_in_turn, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_wrong_is_said, set_up, tear_down),
		cmocka_unit_test_setup_teardown(depth_harms_nobody, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nothing_is_changed_over_a_socket_for_reading,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(nothing_is_read_before_the_answer_is_known, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(who_waits_for_an_answer_may_go, set_up, tear_down),
		cmocka_unit_test_setup_teardown(no_memory_for_an_answer_ends_the_connection, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(who_subscribed_is_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(events_that_nobody_reads_are_counted, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(the_schema_has_all_verbs, set_up, tear_down),
		cmocka_unit_test_setup_teardown(as_many_clients_as_there_are_files_for, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_client_is_served_when_files_have_run_out, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_line_without_end_is_read_a_piece_at_a_time,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_client_whose_files_take_long_to_be_closed_keeps_up_nobody, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(the_client_asks_and_is_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_socket_of_another_kind_is_said_to_be_one, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(an_abstract_socket_lets_only_its_owner_in, set_up,
						tear_down),
	};

	return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
