#include "ask.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "channel.h"
#include "say.h"

/* A keeper answers at once; a machine that is far too busy gets some time. */
#define ANSWER_MS 5000

static int fail_with(int error, struct store *store) {
  store_empty(store, false);
  errno = error;
  return -1;
}

/* The descriptors of one part, each with a line of the text. */
static bool take_part(struct message *message, struct store *store) {
  const char *line = message->text;
  int taken = 0;
  for (; taken < message->fd_count; taken++) {
    const char *end = strchr(line, '\n');
    if (!end || !is_name(line, (size_t)(end - line))) break;
    char name[NAME_BYTES] = "";
    memcpy(name, line, (size_t)(end - line));
    if (!store_add(store, name, message->fds[taken])) break;
    line = end + 1;
  }
  channel_close_fds(message->fds + taken, message->fd_count - taken);
  return message->fd_count > 0 && taken == message->fd_count;
}

/* -1: text that is not the end of an answer. */
static int end_of(const char *text) {
  static const char end[] = ANSWER_END;
  if (strncmp(text, end, sizeof end - 1) != 0) return -1;
  char *rest;
  long count = strtol(text + sizeof end - 1, &rest, 10);
  return *rest == 0 && count >= 0 && count <= STORE_MAX ? (int)count : -1;
}

static int take_answer(int from, struct store *store) {
  static struct message message;
  long long deadline = now_ms() + ANSWER_MS;
  for (;;) {
    long long left = deadline - now_ms();
    struct pollfd wait = {.fd = from, .events = POLLIN};
    if (left <= 0 || (poll(&wait, 1, (int)left) < 0 && errno != EINTR)) return fail_with(ETIMEDOUT, store);
    int result = channel_receive(from, &message);
    if (result < 0 && errno == EAGAIN) continue;
    if (result <= 0) return fail_with(result == 0 ? EPROTO : errno, store);
    int count = end_of(message.text);
    if (count >= 0) return channel_close_fds(message.fds, message.fd_count), count;
    if (!take_part(&message, store)) return fail_with(EPROTO, store);
  }
}

static int send_request(const char *socket_path, const char *request, int answer_to) {
  int from = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (from < 0) return -1;
  int result = channel_send(from, socket_path, request, &answer_to, 1);
  int error = errno == EAGAIN ? ETIMEDOUT : errno; /* its queue is full */
  close(from);
  errno = error;
  return result;
}

int ask(const char *socket_path, const char *request, struct store *store) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) return -1;
  int sent = send_request(socket_path, request, pair[1]);
  int error = errno;
  close(pair[1]);
  int result = sent < 0 ? fail_with(error, store) : take_answer(pair[0], store);
  error = errno;
  close(pair[0]);
  errno = error;
  return result;
}
