/* Messages between unix sockets: a text, the descriptors passed with it, and whose it is. */
#ifndef WEFT_KEEPER_CHANNEL_H
#define WEFT_KEEPER_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* A notification of weftd has some hundred bytes at most. */
#define TEXT_MAX 2048
/* The kernel passes no more with one message (SCM_MAX_FD). */
#define PASSED_MAX 253

struct message {
  char text[TEXT_MAX + 1]; /* terminated */
  size_t length;
  uid_t sender; /* (uid_t)-1: the socket does not tell */
  int fds[PASSED_MAX];
  int fd_count;
};

/* A datagram socket that tells whose each message is, bound to `path` with mode 0600. Returns it or -1 with errno. */
int channel_open(const char *path);

/* `fds` may be NULL with a count of 0. `path` is NULL for a connected socket. Never waits. 0 or -1 with errno. */
int channel_send(int socket, const char *path, const char *text, const int *fds, int fd_count);

/*
 * Waits for nothing. Returns 1, 0 at the end of a connection, or -1 with errno: EAGAIN when nothing is there, EMSGSIZE when the text was too
 * long, EMFILE when not every descriptor could be taken; then the message is gone and its descriptors are closed.
 */
int channel_receive(int socket, struct message *message);

void channel_close_fds(const int *fds, int count);

#endif
