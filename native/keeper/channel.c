#include "channel.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

/* 0 where the path is too long for a socket. */
static socklen_t address_of(const char *path, struct sockaddr_un *at) {
  size_t length = strlen(path);
  *at = (struct sockaddr_un){.sun_family = AF_UNIX};
  if (length == 0 || length >= sizeof at->sun_path) return 0;
  memcpy(at->sun_path, path, length);
  return (socklen_t)sizeof *at;
}

static int close_after(int fd) {
  int error = errno;
  close(fd);
  errno = error;
  return -1;
}

int channel_open(const char *path) {
  struct sockaddr_un at;
  socklen_t bytes = address_of(path, &at);
  if (bytes == 0) return errno = ENAMETOOLONG, -1;
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  int yes = 1;
  if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes) < 0) return close_after(fd);
  mode_t before = umask(0177); /* there is no moment in which others may send */
  int result = bind(fd, (struct sockaddr *)&at, bytes);
  umask(before);
  return result < 0 ? close_after(fd) : fd;
}

int channel_send(int socket, const char *path, const char *text, const int *fds, int fd_count) {
  struct sockaddr_un to;
  struct iovec part = {(void *)text, strlen(text)};
  struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
  if (path) {
    header.msg_name = &to;
    header.msg_namelen = address_of(path, &to);
    if (header.msg_namelen == 0) return errno = ENAMETOOLONG, -1;
  }
  _Alignas(struct cmsghdr) char control[CMSG_SPACE(PASSED_MAX * sizeof(int))] = {0};
  if (fd_count > 0) {
    size_t bytes = (size_t)fd_count * sizeof(int);
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(bytes);
    struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
    *rights = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(bytes)};
    memcpy(CMSG_DATA(rights), fds, bytes);
  }
  return sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -1 : 0;
}

void channel_close_fds(const int *fds, int count) {
  for (int i = 0; i < count; i++) close(fds[i]);
}

static void read_control(struct msghdr *header, struct message *message) {
  for (struct cmsghdr *part = CMSG_FIRSTHDR(header); part; part = CMSG_NXTHDR(header, part)) {
    if (part->cmsg_level != SOL_SOCKET) continue;
    size_t bytes = part->cmsg_len - CMSG_LEN(0);
    if (part->cmsg_type == SCM_RIGHTS) {
      memcpy(message->fds, CMSG_DATA(part), bytes);
      message->fd_count = (int)(bytes / sizeof(int));
    } else if (part->cmsg_type == SCM_CREDENTIALS && bytes >= sizeof(struct ucred)) {
      struct ucred who;
      memcpy(&who, CMSG_DATA(part), sizeof who);
      message->sender = who.uid;
    }
  }
}

int channel_receive(int socket, struct message *message) {
  _Alignas(struct cmsghdr) char control[CMSG_SPACE(PASSED_MAX * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
  struct iovec part = {message->text, TEXT_MAX};
  struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  message->sender = (uid_t)-1;
  message->fd_count = 0;
  ssize_t bytes = recvmsg(socket, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (bytes < 0) return -1;
  message->length = (size_t)bytes;
  message->text[bytes] = 0;
  read_control(&header, message);
  if ((header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    channel_close_fds(message->fds, message->fd_count);
    errno = header.msg_flags & MSG_TRUNC ? EMSGSIZE : EMFILE;
    return -1;
  }
  return bytes == 0 && message->sender == (uid_t)-1 && message->fd_count == 0 ? 0 : 1;
}
