/*
 * ICMP echo from one address of this node, IPv4 and IPv6: opens a socket, sends one request, reads what came back. Whether an
 * answer or an error is ours is proved by the token at the head of the payload; when it came is the kernel's own time stamp.
 * Runs in the control thread, never in a worker.
 */
#include "echo.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/errqueue.h>
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "checksum.h"
#include "packet.h"

/* netinet/icmp6.h clashes with linux/icmpv6.h; its filter is one bit per type, set = blocked. */
#define ICMP6_FILTER_OPTION 1
#define ECHO_HEADER 8
#define SEQUENCE_AT 6
#define NO_TTL (-1)
#define SEND_TRIES 3

static double monotonic_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static socklen_t make_address(int family, const uint8_t *address, struct sockaddr_storage *out) {
  memset(out, 0, sizeof *out);
  if (family == AF_INET) {
    struct sockaddr_in *in = (struct sockaddr_in *)out;
    in->sin_family = AF_INET;
    memcpy(&in->sin_addr, address, 4);
    return sizeof *in;
  }
  struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
  in6->sin6_family = AF_INET6;
  memcpy(&in6->sin6_addr, address, 16);
  return sizeof *in6;
}

/* ---- opening ---- */

static int set_option(int fd, int level, int name, int value) {
  return setsockopt(fd, level, name, &value, sizeof value) < 0 ? -errno : 0;
}

/* Only answers wake a raw socket; a ping socket gets nothing else anyway. */
static int filter_replies(int fd, int family) {
  if (family == AF_INET) return set_option(fd, SOL_RAW, ICMP_FILTER, ~(1 << ICMP_ECHOREPLY));
  uint32_t blocked[8];
  memset(blocked, 0xff, sizeof blocked);
  blocked[ICMPV6_ECHO_REPLY >> 5] &= ~(1u << (ICMPV6_ECHO_REPLY & 31));
  return setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER_OPTION, blocked, sizeof blocked) < 0 ? -errno : 0;
}

/* Never in fragments, whatever path MTU the kernel believes in; errors of the way come to the socket's error queue. */
static int set_options(int fd, int family, bool raw) {
  int error = set_option(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1);
  if (!error && raw) error = filter_replies(fd, family);
  if (family == AF_INET) {
    if (!error) error = set_option(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
    if (!error) error = set_option(fd, IPPROTO_IP, IP_RECVTTL, 1);
    return error ? error : set_option(fd, IPPROTO_IP, IP_RECVERR, 1);
  }
  if (!error) error = set_option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
  if (!error) error = set_option(fd, IPPROTO_IPV6, IPV6_DONTFRAG, 1);
  if (!error) error = set_option(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
  return error ? error : set_option(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
}

int echo_open(int family, const uint8_t *address, bool *raw) {
  const int flags = SOCK_NONBLOCK | SOCK_CLOEXEC;
  const int protocol = family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6;
  int fd = socket(family, SOCK_RAW | flags, protocol);
  *raw = fd >= 0;
  /* Without CAP_NET_RAW: a ping socket, where net.ipv4.ping_group_range allows it. */
  if (fd < 0 && (errno == EPERM || errno == EACCES)) fd = socket(family, SOCK_DGRAM | flags, protocol);
  if (fd < 0) return -errno;
  struct sockaddr_storage local;
  socklen_t bytes = make_address(family, address, &local);
  int error = set_options(fd, family, *raw);
  if (error == 0 && bind(fd, (struct sockaddr *)&local, bytes) < 0) error = -errno;
  if (error == 0) return fd;
  close(fd);
  return error;
}

/* The option's number, or -errno. */
static int option_of(int fd, int option) {
  int value = 0;
  socklen_t bytes = sizeof value;
  return getsockopt(fd, SOL_SOCKET, option, &value, &bytes) < 0 ? -errno : value;
}

/* ---- sending ---- */

int echo_send(int fd, const struct echo_request *request, double *sent_at_ns) {
  int family = option_of(fd, SO_DOMAIN);
  if (family < 0) return family;
  static _Thread_local uint8_t packet[ECHO_HEADER + ECHO_PAYLOAD_MAX];
  const size_t length = ECHO_HEADER + request->payload_bytes;
  memset(packet, 0, ECHO_HEADER);
  packet[0] = family == AF_INET ? ICMP_ECHO : ICMPV6_ECHO_REQUEST;
  store_be16(packet + 4, request->identifier); /* the kernel writes its own into a ping socket's request */
  store_be16(packet + SEQUENCE_AT, request->sequence);
  memcpy(packet + ECHO_HEADER, request->token, ECHO_TOKEN_BYTES);
  for (size_t i = ECHO_TOKEN_BYTES; i < request->payload_bytes; i++) packet[ECHO_HEADER + i] = (uint8_t)i;
  /* The sum of ICMPv6 needs the source address: the kernel completes it. */
  if (family == AF_INET) store_be16(packet + 2, (uint16_t)~checksum_fold(packet, length, 0));
  struct sockaddr_storage to;
  socklen_t to_bytes = make_address(family, request->address, &to);
  /* What an earlier request met, or a stranger made up, is in the queue too and ends one call: none of this request's business. */
  option_of(fd, SO_ERROR);
  int error = 0;
  for (int tries = 0; tries < SEND_TRIES; tries++) {
    *sent_at_ns = monotonic_ns();
    if (sendto(fd, packet, length, 0, (struct sockaddr *)&to, to_bytes) >= 0) return 0;
    error = -errno;
  }
  return error;
}

/* ---- receiving ---- */

struct arrival {
  int ttl;
  double stamp_ns; /* CLOCK_REALTIME; 0 = none */
  struct sock_extended_err error;
  bool has_error;
};

static struct arrival read_controls(struct msghdr *message) {
  struct arrival found = {.ttl = NO_TTL};
  for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
    const bool ip = c->cmsg_level == IPPROTO_IP, ip6 = c->cmsg_level == IPPROTO_IPV6;
    if ((ip && c->cmsg_type == IP_TTL) || (ip6 && c->cmsg_type == IPV6_HOPLIMIT)) {
      memcpy(&found.ttl, CMSG_DATA(c), sizeof found.ttl);
    } else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
      struct timespec stamp;
      memcpy(&stamp, CMSG_DATA(c), sizeof stamp);
      found.stamp_ns = (double)stamp.tv_sec * 1e9 + (double)stamp.tv_nsec;
    } else if ((ip && c->cmsg_type == IP_RECVERR) || (ip6 && c->cmsg_type == IPV6_RECVERR)) {
      memcpy(&found.error, CMSG_DATA(c), sizeof found.error);
      found.has_error = true;
    }
  }
  return found;
}

/* The stamp on the monotonic clock: a step of the wall clock between sending and receiving then does no harm. */
static double arrived_at(double stamp_ns) {
  struct timespec wall;
  clock_gettime(CLOCK_REALTIME, &wall);
  double now = monotonic_ns();
  double age = stamp_ns == 0 ? 0 : (double)wall.tv_sec * 1e9 + (double)wall.tv_nsec - stamp_ns;
  return age > 0 && age < 1e9 ? now - age : now;
}

static void write_address(double *row, const struct sockaddr_storage *from) {
  uint8_t bytes[16] = {[10] = 0xff, [11] = 0xff};
  if (from->ss_family == AF_INET) {
    memcpy(bytes + 12, &((const struct sockaddr_in *)from)->sin_addr, 4);
  } else {
    memcpy(bytes, &((const struct sockaddr_in6 *)from)->sin6_addr, 16);
  }
  for (int i = 0; i < 4; i++) row[ECHO_ADDRESS + i] = (double)(int32_t)load_be32(bytes + 4 * i);
}

struct reader {
  int fd, family;
  bool raw;
  const uint8_t *token;
};

/* One answer of any kind, or one error of the way. 1 row filled, 0 not ours, -errno. */
static int read_one(const struct reader *reader, int flags, double *row) {
  static _Thread_local uint8_t packet[UINT16_MAX];
  union {
    char bytes[512];
    struct cmsghdr align;
  } controls;
  struct sockaddr_storage from = {0};
  struct iovec part = {packet, sizeof packet};
  struct msghdr message = {.msg_name = &from,
                           .msg_namelen = sizeof from,
                           .msg_iov = &part,
                           .msg_iovlen = 1,
                           .msg_control = &controls,
                           .msg_controllen = sizeof controls};
  ssize_t length = recvmsg(reader->fd, &message, flags);
  if (length < 0) return -errno;
  struct arrival arrival = read_controls(&message);
  const bool is_error = (flags & MSG_ERRQUEUE) != 0;
  /* Of the families only IPv4's raw sockets hand out the IP header, and not in front of what an error quotes. */
  size_t at = reader->raw && reader->family == AF_INET && !is_error && length > 0 ? (size_t)(packet[0] & 15) * 4 : 0;
  if ((size_t)length < at + ECHO_HEADER) return 0;
  const uint8_t *icmp = packet + at;
  const size_t payload = (size_t)length - at - ECHO_HEADER;
  /* Everybody can write an error that quotes our header; a router that quotes no more of the packet is not heard. */
  if (payload < ECHO_TOKEN_BYTES || memcmp(icmp + ECHO_HEADER, reader->token, ECHO_TOKEN_BYTES) != 0) return 0;
  if (is_error) {
    const uint8_t origin = arrival.error.ee_origin;
    if (!arrival.has_error || (origin != SO_EE_ORIGIN_ICMP && origin != SO_EE_ORIGIN_ICMP6)) return 0;
    if (icmp[0] != (reader->family == AF_INET ? ICMP_ECHO : ICMPV6_ECHO_REQUEST)) return 0;
    row[ECHO_ERRNO] = (double)arrival.error.ee_errno;
    row[ECHO_MTU] = arrival.error.ee_errno == EMSGSIZE ? (double)arrival.error.ee_info : 0;
  } else {
    if (icmp[0] != (reader->family == AF_INET ? ICMP_ECHOREPLY : ICMPV6_ECHO_REPLY)) return 0;
    row[ECHO_ERRNO] = row[ECHO_MTU] = 0;
  }
  row[ECHO_SEQUENCE] = load_be16(icmp + SEQUENCE_AT);
  row[ECHO_TTL] = arrival.ttl;
  row[ECHO_PAYLOAD_BYTES] = (double)payload;
  row[ECHO_AT_NS] = arrived_at(arrival.stamp_ns);
  write_address(row, &from);
  return 1;
}

int echo_receive(int fd, const uint8_t *token, double *rows, int row_count) {
  struct reader reader = {fd, option_of(fd, SO_DOMAIN), option_of(fd, SO_TYPE) == SOCK_RAW, token};
  if (reader.family < 0) return reader.family;
  int filled = 0;
  /* What is not ours costs its turn too: strangers can't keep us here. */
  for (int turn = 0, flags = MSG_ERRQUEUE; turn < 4 * row_count && filled < row_count; turn++) {
    int result = read_one(&reader, flags, rows + (size_t)filled * ECHO_ROW_DOUBLES);
    if (result > 0) filled++;
    if (result == -EAGAIN && flags == 0) break;
    if (result == -EAGAIN) flags = 0;
    else if (result == -EBADF || result == -ENOTSOCK) return result;
    else if (result < 0) option_of(fd, SO_ERROR);
  }
  return filled;
}
