#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "ask.h"
#include "lock.h"
#include "say.h"
#include "store.h"

/* The first of the descriptors that are handed over: sd_listen_fds(3). */
#define FIRST_FD 3
#define TRY_MS 50

/* Returns the lock, to be held for as long as what is kept is used, or -1 with errno: EAGAIN when somebody uses it. */
static int take_turn(const struct run_options *options) {
  int lock = lock_open(options->socket_path);
  if (lock < 0) return -1;
  long long deadline = now_ms() + options->wait_ms;
  while (lock_take(lock, LOCK_USER) < 0) {
    int error = errno;
    if (error != EAGAIN || now_ms() >= deadline) {
      close(lock);
      errno = error;
      return -1;
    }
    nanosleep(&(struct timespec){.tv_nsec = TRY_MS * 1000000L}, NULL);
  }
  return lock;
}

/* Each descriptor has two numbers for a moment. The command has the higher limit as well, as Node takes it anyway. */
static void raise_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

/* Puts the descriptors at FIRST_FD and the following numbers, the lock behind them. They outlive exec. */
static int arrange(struct store *store, int lock) {
  int behind = FIRST_FD + store->count;
  int high[STORE_MAX];
  for (int i = 0; i < store->count; i++) {
    high[i] = fcntl(store->items[i].fd, F_DUPFD_CLOEXEC, behind + 1);
    if (high[i] < 0) return -1;
  }
  int high_lock = fcntl(lock, F_DUPFD_CLOEXEC, behind + 1);
  if (high_lock < 0) return -1;
  for (int i = 0; i < store->count; i++)
    if (dup2(high[i], FIRST_FD + i) < 0) return -1;
  return dup2(high_lock, behind) < 0 ? -1 : 0;
}

static bool set_number(const char *name, long number) {
  char text[24];
  snprintf(text, sizeof text, "%ld", number);
  return setenv(name, text, 1) == 0;
}

/* WEFT_KEEPER: we only keep, and start nothing again. */
static bool set_environment(const struct store *store, const char *socket_path) {
  char names[STORE_MAX * NAME_BYTES + 1] = "";
  size_t length = 0;
  for (int i = 0; i < store->count; i++)
    length += (size_t)snprintf(names + length, sizeof names - length, "%s%s", i > 0 ? ":" : "", store->items[i].name);
  return setenv("NOTIFY_SOCKET", socket_path, 1) == 0 && setenv("WEFT_KEEPER", "1", 1) == 0 &&
         set_number("LISTEN_PID", getpid()) && set_number("LISTEN_FDS", store->count) &&
         setenv("LISTEN_FDNAMES", names, 1) == 0;
}

/* Without a keeper too: weftd gives all to one that comes later. */
static bool prepare(int lock, const char *socket_path) {
  static struct store store = {.max = STORE_MAX};
  raise_limit();
  if (ask(socket_path, ASK_FETCH, &store) < 0)
    say("no keeper at %s (%s): until there is one a restart loses packets", socket_path, strerror(errno));
  return arrange(&store, lock) == 0 && set_environment(&store, socket_path);
}

int run(const struct run_options *options) {
  const char *path = options->socket_path;
  int lock = take_turn(options);
  if (lock < 0 && errno == EAGAIN) {
    say("what the keeper at %s holds is in use by another process", path);
    return EXIT_CODE_AGAIN;
  }
  if (lock < 0) say("there can be no keeper at %s (%s): a restart loses packets", path, strerror(errno));
  else if (!prepare(lock, path)) {
    say("cannot hand over what is kept: %s", strerror(errno));
    return EXIT_CODE_FAILURE;
  }
  execvp(options->command[0], options->command);
  say("cannot run %s: %s", options->command[0], strerror(errno));
  return EXIT_CODE_COMMAND;
}
