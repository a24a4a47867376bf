/*
 * What a worker or the daemon needs from the system besides packets: readiness messages to systemd, CPU pinning, the
 * eventfd that ends a wait, and (for tests) a socket pair that stands for a TUN queue.
 */
#include "sys.h"

#include <errno.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A service manager that does not read must not hold us up for longer. */
#define NOTIFY_WAIT_MS 1000

static socklen_t notify_address(struct sockaddr_un *to, const char *path) {
  size_t length = strlen(path);
  *to = (struct sockaddr_un){.sun_family = AF_UNIX};
  if ((path[0] != '/' && path[0] != '@') || length >= sizeof to->sun_path) return 0;
  memcpy(to->sun_path, path, length);
  if (path[0] == '@') to->sun_path[0] = 0; /* abstract names start with a zero byte and end with the address */
  return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
}

int sys_notify(const char *state, int passed_fd) {
  const char *path = getenv("NOTIFY_SOCKET");
  if (!path || !path[0]) return 0;
  struct sockaddr_un to;
  socklen_t to_bytes = notify_address(&to, path);
  if (to_bytes == 0) return -EINVAL;

  struct iovec text = {(void *)state, strlen(state)};
  struct msghdr message = {.msg_name = &to, .msg_namelen = to_bytes, .msg_iov = &text, .msg_iovlen = 1};
  _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof passed_fd)] = {0};
  if (passed_fd >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    *rights =
        (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof passed_fd)};
    memcpy(CMSG_DATA(rights), &passed_fd, sizeof passed_fd);
  }
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  struct timeval wait = {.tv_sec = NOTIFY_WAIT_MS / 1000};
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
  int result = sendmsg(fd, &message, MSG_NOSIGNAL) < 0 ? -errno : 1;
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
