/*
 * What a worker or the daemon needs from the system besides packets: readiness messages to systemd, CPU pinning, the
 * eventfd that ends a wait, and (for tests) a socket pair that stands for a TUN queue.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "engine.h"

int sys_notify(const char *state) {
  const char *path = getenv("NOTIFY_SOCKET");
  if (!path || !path[0]) return 0;
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  size_t length = strlen(path);
  if ((path[0] != '/' && path[0] != '@') || length >= sizeof to.sun_path) return -EINVAL;
  memcpy(to.sun_path, path, length);
  if (path[0] == '@') to.sun_path[0] = 0; /* abstract names start with a zero byte and end with the address */

  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  socklen_t to_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
  ssize_t sent = sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to, to_bytes);
  int result = sent < 0 ? -errno : 1;
  close(fd);
  return result;
}

int sys_pin(int cpu) {
  if (cpu < 0 || cpu >= CPU_SETSIZE) return -EINVAL;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  return sched_setaffinity(0, sizeof set, &set) < 0 ? -errno : 0;
}

int sys_wake_open(void) {
  int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

int sys_wake(int fd) {
  uint64_t one = 1;
  if (write(fd, &one, sizeof one) == sizeof one) return 0;
  return errno == EAGAIN ? 0 : -errno; /* a full counter wakes as well */
}

int sys_pair_open(int fds[2]) {
  return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0 ? -errno : 0;
}
