/*
 * Keeps descriptors while the process that uses them ends and the next one starts, where no service manager does: in Kubernetes.
 * It speaks systemd's protocol, sd_notify(3) and sd_listen_fds(3). Why, and what it promises: docs/adr/0016-keeper.md.
 */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ask.h"
#include "keep.h"
#include "run.h"
#include "say.h"

static const char usage[] =
    "usage: weft-keeper keep [--socket=PATH] [--max=NUMBER] [--hold=TIME] [--verbose]\n"
    "       weft-keeper run [--socket=PATH] [--wait=TIME] -- COMMAND [ARGUMENT...]\n"
    "       weft-keeper drop [--socket=PATH]\n"
    "Keeps descriptors of weftd while it is started again; starts a command with what is kept; lets go of it.\n"
    "  --socket=PATH   of the keeper, absolute (/run/weft/keeper.sock)\n"
    "  --max=NUMBER    of descriptors, 1 to 512 (as many as the limit of open files allows)\n"
    "  --hold=TIME     how long it keeps what nobody uses, 1ms to 24h (10m)\n"
    "  --wait=TIME     for the end of the process that uses what is kept, 0s to 24h (5s)\n"
    "  --verbose       prints every message\n"
    "TIME is a number with ms, s, m or h.\n";

#define DAY_MS (24 * 3600 * 1000LL)

struct words {
  const char *socket_path, *max, *hold, *wait;
  bool is_verbose;
  char **rest; /* behind the options; ends with NULL */
};

static int wrong(const char *what) {
  say("%s", what);
  fputs(usage, stderr);
  return EXIT_CODE_USAGE;
}

/* -1: no number of this range. */
static long long number_of(const char *text, long long min, long long max, char **rest) {
  if (*text < '0' || *text > '9') return -1;
  long long number = strtoll(text, rest, 10);
  return number >= min && number <= max ? number : -1;
}

/* Milliseconds; -1: no time of this range. */
static long long time_of(const char *text, long long min) {
  static const struct {
    const char *name;
    long long ms;
  } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 3600 * 1000}};
  char *unit;
  long long number = number_of(text, 0, DAY_MS, &unit);
  for (size_t i = 0; number >= 0 && i < sizeof units / sizeof units[0]; i++) {
    if (strcmp(unit, units[i].name) != 0) continue;
    long long ms = number * units[i].ms;
    return ms >= min && ms <= DAY_MS ? ms : -1;
  }
  return -1;
}

static bool read_words(int count, char **words, struct words *result) {
  enum { SOCKET = 1, MAX, HOLD, WAIT, VERBOSE };
  static const struct option known[] = {
      {"socket", required_argument, NULL, SOCKET}, {"max", required_argument, NULL, MAX},
      {"hold", required_argument, NULL, HOLD},     {"wait", required_argument, NULL, WAIT},
      {"verbose", no_argument, NULL, VERBOSE},     {0}};
  *result = (struct words){.socket_path = "/run/weft/keeper.sock"};
  for (;;) {
    switch (getopt_long(count, words, "+", known, NULL)) {
      case -1:
        result->rest = words + optind;
        return true;
      case SOCKET:
        result->socket_path = optarg;
        break;
      case MAX:
        result->max = optarg;
        break;
      case HOLD:
        result->hold = optarg;
        break;
      case WAIT:
        result->wait = optarg;
        break;
      case VERBOSE:
        result->is_verbose = true;
        break;
      default:
        return false;
    }
  }
}

static int keep_command(const struct words *words) {
  char *rest = "";
  long long max = words->max ? number_of(words->max, 1, STORE_MAX, &rest) : 0;
  long long hold_ms = time_of(words->hold ? words->hold : "10m", 1);
  if (words->wait || words->rest[0]) return wrong("keep takes no --wait and no words");
  if (max < 0 || *rest) return wrong("--max is a number from 1 to 512");
  if (hold_ms < 0) return wrong("--hold is a time from 1ms to 24h, such as 10m");
  return keep(&(struct keep_options){words->socket_path, (int)max, hold_ms, words->is_verbose});
}

static int run_command(const struct words *words) {
  long long wait_ms = time_of(words->wait ? words->wait : "5s", 0);
  if (words->max || words->hold || words->is_verbose) return wrong("run takes --socket and --wait only");
  if (!words->rest[0]) return wrong("run wants a command, behind --");
  if (wait_ms < 0) return wrong("--wait is a time from 0s to 24h, such as 5s");
  return run(&(struct run_options){words->socket_path, wait_ms, words->rest});
}

static int drop_command(const struct words *words) {
  if (words->max || words->hold || words->wait || words->is_verbose || words->rest[0])
    return wrong("drop takes --socket only");
  static struct store nothing;
  int count = ask(words->socket_path, ASK_DROP, &nothing);
  if (count < 0) {
    say("no answer of a keeper at %s: %s", words->socket_path, strerror(errno));
    return EXIT_CODE_FAILURE;
  }
  printf("let go of %d\n", count);
  return 0;
}

int main(int count, char **words) {
  if (count < 2) return wrong("a command is missing");
  const char *command = words[1];
  if (strcmp(command, "--help") == 0) return fputs(usage, stdout), 0;
  struct words rest;
  if (!read_words(count - 1, words + 1, &rest)) return wrong("an option is wrong");
  if (rest.socket_path[0] != '/') return wrong("--socket is an absolute path");
  if (strcmp(command, "keep") == 0) return keep_command(&rest);
  if (strcmp(command, "run") == 0) return run_command(&rest);
  if (strcmp(command, "drop") == 0) return drop_command(&rest);
  return wrong("the commands are keep, run and drop");
}
