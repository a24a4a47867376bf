/*
 * ICMP errors of a worker. They leave through a raw socket, as the kernel's own do: routed and filtered as the host's output. Written
 * into the TUN they would come from outside with the host's own address as their source, which is what the kernel drops as martian.
 */
#include "icmp.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "packet.h"

/* Protocol "raw": the caller's bytes are the whole packet, and nothing that arrives is ever queued here. */
int icmp_open(int family) {
  int fd = socket(family, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_RAW);
  return fd < 0 ? -errno : fd;
}

/* Where the packet goes. 0: it is no whole IP header. */
static socklen_t destination_of(const uint8_t *packet, int32_t length, struct sockaddr_storage *to) {
  memset(to, 0, sizeof *to);
  if (length >= IP4_HEADER && packet[0] >> 4 == 4) {
    struct sockaddr_in *in = (struct sockaddr_in *)to;
    in->sin_family = AF_INET;
    memcpy(&in->sin_addr, packet + IP4_ADDRESSES_AT + 4, 4);
    return sizeof *in;
  }
  if (length >= IP6_HEADER && packet[0] >> 4 == 6) {
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)to;
    in6->sin6_family = AF_INET6;
    memcpy(&in6->sin6_addr, packet + IP6_ADDRESSES_AT + 16, 16);
    return sizeof *in6;
  }
  return 0;
}

int icmp_send(const struct engine *e, int fd, int32_t offset, int32_t length) {
  if (offset < 0 || length <= 0 || (int64_t)offset + length > (int64_t)e->pool_bytes) return -EINVAL;
  struct sockaddr_storage to;
  socklen_t to_bytes = destination_of(e->pool + offset, length, &to);
  if (to_bytes == 0) return -EINVAL;
  ssize_t sent = sendto(fd, e->pool + offset, (size_t)length, MSG_NOSIGNAL, (struct sockaddr *)&to, to_bytes);
  return sent < 0 ? -errno : 0;
}
