#include "keep.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "channel.h"
#include "lock.h"
#include "say.h"
#include "store.h"

/* Descriptors besides those that are kept: standard ones, socket, lock, signals, and what one message brings. */
#define OTHER_FDS (16 + PASSED_MAX)
/* So many in one part of an answer: it fits the socket's room, and the text its bound. */
#define ANSWER_FDS 16
/* How often it is looked whether somebody uses what is kept. */
#define LOOKS_PER_HOLD 10
#define LOOK_MIN_MS 20
#define LOOK_MAX_MS 5000

struct keeper {
  const struct keep_options *options;
  struct store store;
  int socket, lock, signals;
  long long unused_since_ms; /* -1: in use */
};

/* ---- what is asked ---- */

static void answer_end(int to, int count) {
  char text[32];
  snprintf(text, sizeof text, ANSWER_END "%d", count);
  channel_send(to, NULL, text, NULL, 0);
}

static int send_part(const struct store *store, int from, int count, int to) {
  char text[ANSWER_FDS * (NAME_BYTES + 1) + 1];
  int fds[ANSWER_FDS];
  size_t length = 0;
  for (int i = 0; i < count; i++) {
    const struct kept *item = &store->items[from + i];
    fds[i] = item->fd;
    length += (size_t)snprintf(text + length, sizeof text - length, "%s\n", item->name);
  }
  return channel_send(to, NULL, text, fds, count);
}

/* Parts of names with their descriptors, then the end. Whoever does not read gets no end. */
static void answer_fetch(const struct store *store, int to) {
  for (int from = 0; from < store->count; from += ANSWER_FDS) {
    int left = store->count - from;
    if (send_part(store, from, left < ANSWER_FDS ? left : ANSWER_FDS, to) < 0) {
      say("cannot hand over what is kept: %s", strerror(errno));
      return;
    }
  }
  answer_end(to, store->count);
  say("handed over %d", store->count);
}

static bool is_used(const struct keeper *keeper) { return lock_is_taken(keeper->lock, LOCK_USER); }

/* A device stays with a process that runs, whatever we hold. */
static int let_go(struct keeper *keeper) { return store_empty(&keeper->store, !is_used(keeper)); }

static void answer_drop(struct keeper *keeper, int to) {
  int count = let_go(keeper);
  say("let go of %d: asked to", count);
  answer_end(to, count);
}

/* ---- messages ---- */

static void store_fds(struct keeper *keeper, const char *name, struct message *message) {
  for (int i = 0; i < message->fd_count; i++) {
    if (store_add(&keeper->store, name, message->fds[i])) {
      say("keeps %s", name);
    } else {
      close(message->fds[i]);
      say_seldom("full: a descriptor is not kept (see --max)");
    }
  }
  message->fd_count = 0;
}

static void obey(struct keeper *keeper, const struct notification *wish, struct message *message) {
  if (wish->stores) store_fds(keeper, wish->name, message);
  if (wish->removes) say("let go of %s: %d", wish->name, store_remove(&keeper->store, wish->name));
  if (message->fd_count != 1) return;
  if (wish->fetches) answer_fetch(&keeper->store, message->fds[0]);
  else if (wish->drops) answer_drop(keeper, message->fds[0]);
}

static void print_message(const char *text) {
  fputs("message ", stdout);
  for (const char *c = text; *c; c++) putchar(*c == '\n' ? ' ' : (*c < ' ' || *c > '~') ? '?' : *c);
  putchar('\n');
}

static bool may_send(uid_t sender) { return sender == 0 || sender == geteuid(); }

static void take_message(struct keeper *keeper, struct message *message) {
  struct notification wish;
  if (!may_send(message->sender)) {
    say_seldom("refused a message of another user");
  } else if (!notification_read(message->text, message->length, &wish)) {
    say_seldom("refused a message: not what sd_notify sends");
  } else {
    if (keeper->options->is_verbose) print_message(message->text);
    obey(keeper, &wish, message);
  }
  channel_close_fds(message->fds, message->fd_count);
}

static void receive_all(struct keeper *keeper) {
  static struct message message;
  for (;;) {
    if (channel_receive(keeper->socket, &message) >= 0) take_message(keeper, &message);
    else if (errno == EMSGSIZE) say_seldom("refused a message: too long");
    else if (errno == EMFILE) say_seldom("refused a message: not all of its descriptors can be taken");
    else return;
  }
}

/* ---- how long it keeps ---- */

/* Milliseconds until the next look; -1 where nothing is kept. */
static int look_interval(const struct keeper *keeper) {
  if (keeper->store.count == 0) return -1;
  long long ms = keeper->options->hold_ms / LOOKS_PER_HOLD;
  return ms < LOOK_MIN_MS ? LOOK_MIN_MS : ms > LOOK_MAX_MS ? LOOK_MAX_MS : (int)ms;
}

/* A sign of life counts as use: whoever was started without `run` has no lock. */
static void look_at_use(struct keeper *keeper, bool was_heard) {
  if (was_heard || keeper->store.count == 0 || is_used(keeper)) {
    keeper->unused_since_ms = -1;
    return;
  }
  long long now = now_ms();
  if (keeper->unused_since_ms < 0) keeper->unused_since_ms = now;
  if (now - keeper->unused_since_ms < keeper->options->hold_ms) return;
  say("let go of %d: nobody came for them in time (see --hold)", let_go(keeper));
}

/* ---- life ---- */

static int open_signals(void) {
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  sigprocmask(SIG_BLOCK, &ends, NULL);
  return signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Nobody of the same user reads our memory or takes our descriptors, and nothing that we could run would have more rights. */
static void harden(void) {
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

/* Makes room for so many descriptors, 0 for as many as may be, and returns how many that is, or -1 with errno. */
static int make_room(int max) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return -1;
  rlim_t wanted = (rlim_t)(max ? max : STORE_MAX) + OTHER_FDS;
  if (max == 0 && wanted > limit.rlim_max && limit.rlim_max > OTHER_FDS) wanted = limit.rlim_max;
  if (limit.rlim_max < wanted) return errno = EMFILE, -1;
  if (limit.rlim_cur < wanted) limit.rlim_cur = wanted;
  return setrlimit(RLIMIT_NOFILE, &limit) < 0 ? -1 : (int)wanted - OTHER_FDS;
}

static int complain(const char *what) {
  say("cannot %s: %s", what, strerror(errno));
  return EXIT_CODE_FAILURE;
}

/* Of a keeper that was killed: we have its lock. What is no socket is not ours, and then the path can't be bound. */
static void remove_old_socket(const char *path) {
  struct stat about;
  if (lstat(path, &about) == 0 && S_ISSOCK(about.st_mode)) unlink(path);
}

/* 0 or the exit code. */
static int open_keeper(struct keeper *keeper) {
  const char *path = keeper->options->socket_path;
  keeper->store.max = make_room(keeper->options->max);
  if (keeper->store.max < 0) return complain("have that many descriptors (see --max and ulimit -n)");
  keeper->lock = lock_open(path);
  if (keeper->lock < 0) {
    say("cannot open %s.lock: %s", path, strerror(errno));
    return EXIT_CODE_FAILURE;
  }
  if (lock_take(keeper->lock, LOCK_KEEPER) < 0) {
    say("another keeper has %s", path);
    return EXIT_CODE_FAILURE;
  }
  remove_old_socket(path);
  keeper->socket = channel_open(path);
  if (keeper->socket < 0) {
    say("cannot listen at %s: %s", path, strerror(errno));
    return EXIT_CODE_FAILURE;
  }
  keeper->signals = open_signals();
  return keeper->signals < 0 ? complain("hear signals") : 0;
}

int keep(const struct keep_options *options) {
  static struct keeper keeper;
  keeper = (struct keeper){.options = options, .unused_since_ms = -1};
  harden();
  setvbuf(stdout, NULL, _IOLBF, 0);
  int failed = open_keeper(&keeper);
  if (failed) return failed;
  say("listens at %s, keeps up to %d descriptors", options->socket_path, keeper.store.max);
  struct pollfd waits[] = {{.fd = keeper.socket, .events = POLLIN}, {.fd = keeper.signals, .events = POLLIN}};
  while (waits[1].revents == 0) {
    if (poll(waits, 2, look_interval(&keeper)) < 0 && errno != EINTR) return complain("wait");
    if (waits[0].revents) receive_all(&keeper);
    look_at_use(&keeper, waits[0].revents != 0);
  }
  unlink(options->socket_path);
  say("ends, let go of %d", let_go(&keeper));
  return 0;
}
