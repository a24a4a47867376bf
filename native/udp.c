/*
 * The underlay sockets. Stages: open a socket, or take one over; messages out (group by socket, sendmmsg, fall back datagram by datagram);
 * datagrams in (recvmmsg into the slots, control messages into the rows, opened where the link has a seal).
 */
#include "udp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "seal.h"

/* Linux values, spelled out for C libraries with older headers. */
#ifndef SOL_UDP
#define SOL_UDP 17
#endif
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

#ifndef SO_ATTACH_REUSEPORT_CBPF
#define SO_ATTACH_REUSEPORT_CBPF 51
#endif
#ifndef SO_DETACH_REUSEPORT_BPF
#define SO_DETACH_REUSEPORT_BPF 68
#endif

#define IPV6_HEADER_BYTES 40

/* ---- open ---- */

static int set_option(int fd, int level, int name, int value) {
  return setsockopt(fd, level, name, &value, sizeof value) < 0 ? -errno : 0;
}

static void set_buffer(int fd, int force_name, int name, int bytes) {
  if (set_option(fd, SOL_SOCKET, force_name, bytes) == 0) return;
  set_option(fd, SOL_SOCKET, name, bytes); /* without CAP_NET_ADMIN: capped by rmem_max, never an error */
}

/* What a bound socket can't change any more. */
static int set_before_bind(int fd, const struct udp_options *o) {
  int error = o->reuse_port ? set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1) : 0;
  return error || o->family == AF_INET ? error : set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
}

static int set_required(int fd, const struct udp_options *o) {
  if (o->family == AF_INET) {
    int error = set_option(fd, IPPROTO_IP, IP_RECVTOS, 1);
    return error || o->dont_fragment ? error : set_option(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
  }
  int error = set_option(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
  return error || o->dont_fragment ? error : set_option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT);
}

/* The option's number, or -errno. */
static int option_of(int fd, int level, int name) {
  int value = 0;
  socklen_t bytes = sizeof value;
  return getsockopt(fd, level, name, &value, &bytes) < 0 ? -errno : value;
}

static bool grant_gro(int fd) {
  return set_option(fd, SOL_UDP, UDP_GRO, 1) == 0 && option_of(fd, SOL_UDP, UDP_GRO) > 0;
}

static void set_buffers(int fd, int bytes) {
  if (bytes == 0) return;
  set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, bytes);
  set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, bytes);
}

static socklen_t address_of(const struct udp_options *o, struct sockaddr_storage *to) {
  memset(to, 0, sizeof *to);
  if (o->family == AF_INET) {
    struct sockaddr_in *at = (struct sockaddr_in *)to;
    *at = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(o->port)};
    memcpy(&at->sin_addr, o->address, 4);
    return sizeof *at;
  }
  struct sockaddr_in6 *at = (struct sockaddr_in6 *)to;
  *at = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(o->port)};
  memcpy(&at->sin6_addr, o->address, 16);
  return sizeof *at;
}

static int bind_to(int fd, const struct udp_options *o) {
  struct sockaddr_storage at;
  socklen_t bytes = address_of(o, &at);
  return bind(fd, (struct sockaddr *)&at, bytes) < 0 ? -errno : 0;
}

int udp_open(const struct udp_options *o, bool *gro_granted, const char **failed_call) {
  *failed_call = "socket";
  int fd = socket(o->family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  set_buffers(fd, o->buffer_bytes);
  *failed_call = "setsockopt";
  int error = set_before_bind(fd, o);
  if (!error) error = set_required(fd, o);
  if (!error) {
    *gro_granted = o->gro && grant_gro(fd);
    *failed_call = "bind";
    error = bind_to(fd, o);
  }
  if (!error) return fd;
  close(fd);
  return error;
}

_Static_assert(offsetof(struct sockaddr_in, sin_port) == offsetof(struct sockaddr_in6, sin6_port),
               "one place for both");

int udp_port(int fd) {
  struct sockaddr_in6 at = {0};
  socklen_t bytes = sizeof at;
  if (getsockname(fd, (struct sockaddr *)&at, &bytes) < 0) return -errno;
  return ntohs(at.sin6_port);
}

/* ---- a socket of the process before ---- */

static bool is_bound_as(int fd, const struct udp_options *o) {
  struct sockaddr_storage want, have;
  memset(&have, 0, sizeof have);
  socklen_t want_bytes = address_of(o, &want), bytes = sizeof have;
  if (getsockname(fd, (struct sockaddr *)&have, &bytes) < 0 || bytes != want_bytes) return false;
  return memcmp(&want, &have, want_bytes) == 0;
}

static bool fits(int fd, const struct udp_options *o) {
  if (option_of(fd, SOL_SOCKET, SO_TYPE) != SOCK_DGRAM || option_of(fd, SOL_SOCKET, SO_PROTOCOL) != IPPROTO_UDP)
    return false;
  if (!is_bound_as(fd, o) || option_of(fd, SOL_SOCKET, SO_REUSEPORT) != o->reuse_port) return false;
  return o->family == AF_INET || option_of(fd, IPPROTO_IPV6, IPV6_V6ONLY) == 1;
}

int udp_adopt(int fd, const struct udp_options *o, bool *gro_granted) {
  if (!fits(fd, o)) return -EINVAL;
  if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0) return -errno;
  set_buffers(fd, o->buffer_bytes);
  int error = set_required(fd, o);
  if (error) return error;
  *gro_granted = o->gro && grant_gro(fd);
  if (!*gro_granted) set_option(fd, SOL_UDP, UDP_GRO, 0); /* not there: never on */
  return 0;
}

void udp_receive_buffer(int fd, int bytes) { set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, bytes); }

static int attach_reuseport(int fd, const struct sock_filter *code, size_t count) {
  const struct sock_fprog program = {.len = (unsigned short)count, .filter = (struct sock_filter *)code};
  return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program) < 0 ? -errno : 0;
}

int udp_spread_by_port(int fd, int family, int workers) {
  /* A datagram's headers lie in front of what the program is shown. Both families have the source port first behind the IP header. */
  struct sock_filter code[] = {
      {BPF_LDX | BPF_B | BPF_MSH, 0, 0, (uint32_t)SKF_NET_OFF},
      {BPF_LD | BPF_H | BPF_IND, 0, 0, (uint32_t)SKF_NET_OFF},
      {BPF_ST, 0, 0, 0},
      {BPF_ALU | BPF_RSH | BPF_K, 0, 0, 1},
      {BPF_ALU | BPF_MOD | BPF_K, 0, 0, (uint32_t)workers},
      {BPF_MISC | BPF_TAX, 0, 0, 0},
      {BPF_LD | BPF_MEM, 0, 0, 0},
      {BPF_ALU | BPF_AND | BPF_K, 0, 0, 1},
      {BPF_ALU | BPF_MUL | BPF_K, 0, 0, (uint32_t)workers},
      {BPF_ALU | BPF_ADD | BPF_X, 0, 0, 0},
      {BPF_RET | BPF_A, 0, 0, 0},
  };
  if (family == AF_INET6) code[0] = (struct sock_filter){BPF_LDX | BPF_IMM, 0, 0, IPV6_HEADER_BYTES};
  return attach_reuseport(fd, code, sizeof code / sizeof code[0]);
}

int udp_spread_by_hash(int fd) {
  int error = set_option(fd, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, 0);
  if (error == 0 || error == -ENOENT) return 0;
  /* Before Linux 5.3: a number that no socket has. */
  const struct sock_filter none = {BPF_RET | BPF_K, 0, 0, UINT32_MAX};
  return attach_reuseport(fd, &none, 1);
}

/* ---- messages out ---- */

/* A full send buffer is worth a short wait, but all waits of one flush together stay near 20 ms. */
#define SEND_WAIT_MS 5
#define SEND_WAITS_MAX 4

struct flush {
  struct engine *engine;
  struct link *link;
  int fd;
  int waits_left;
};

static void add_control(struct msghdr *header, int level, int type, const void *value, size_t bytes) {
  struct cmsghdr *control = (struct cmsghdr *)((char *)header->msg_control + header->msg_controllen);
  *control = (struct cmsghdr){.cmsg_level = level, .cmsg_type = type, .cmsg_len = CMSG_LEN(bytes)};
  memcpy(CMSG_DATA(control), value, bytes);
  header->msg_controllen += CMSG_SPACE(bytes);
}

static void fill_header(struct message *m, struct msghdr *header, bool segmented) {
  *header = (struct msghdr){
      .msg_name = &m->to,
      .msg_namelen = m->to_bytes,
      .msg_iov = m->parts,
      .msg_iovlen = (size_t)m->part_count,
      .msg_control = m->control,
  };
  if (segmented) {
    uint16_t datagram_bytes = (uint16_t)m->datagram_bytes;
    add_control(header, SOL_UDP, UDP_SEGMENT, &datagram_bytes, sizeof datagram_bytes);
  }
  if (m->tos) {
    bool v4 = m->to.any.sa_family == AF_INET;
    add_control(header, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_TOS : IPV6_TCLASS, &m->tos, sizeof m->tos);
  }
  if (header->msg_controllen == 0) header->msg_control = NULL;
}

/* True when the send is worth another try. */
static bool may_retry(struct flush *f, int error) {
  if (error == EINTR) return true;
  if ((error != EAGAIN && error != ENOBUFS) || f->waits_left == 0) return false;
  f->waits_left--;
  struct pollfd writable = {.fd = f->fd, .events = POLLOUT};
  poll(&writable, 1, SEND_WAIT_MS);
  return true;
}

static void count_sent(struct flush *f, int messages, int datagrams) {
  f->engine->stats[STAT_UDP_MESSAGES_OUT] += messages;
  f->engine->stats[STAT_UDP_DATAGRAMS_OUT] += datagrams;
}

static void fail_row(struct flush *f, int row, int error) { row_at(f->engine->tun_in, row)[ROW_RESULT] = error; }

static void send_one(struct flush *f, const struct msghdr *header, int row) {
  ssize_t sent;
  do {
    f->engine->stats[STAT_UDP_SEND_CALLS]++;
    sent = sendmsg(f->fd, header, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && may_retry(f, errno));
  if (sent < 0) fail_row(f, row, errno);
  else count_sent(f, 1, 1);
}

/* The kernel would not cut this message (path MTU, driver): plain datagrams, which it may fragment. */
static void send_singly(struct flush *f, struct message *m) {
  f->engine->stats[STAT_GSO_FALLBACKS]++;
  struct msghdr header;
  fill_header(m, &header, false);
  int part = 0;
  for (int i = 0; i < m->datagram_count; i++) {
    int first = part, bytes = 0;
    while (part < m->part_count && bytes < m->datagram_bytes) bytes += (int)m->parts[part++].iov_len;
    header.msg_iov = m->parts + first;
    header.msg_iovlen = (size_t)(part - first);
    send_one(f, &header, m->rows[i]);
  }
}

static void handle_refused(struct flush *f, struct message *m, int error) {
  bool cut_refused = error == EMSGSIZE || error == EINVAL || error == EIO;
  if (m->datagram_count > 1 && cut_refused) {
    if (error == EIO) f->link->features &= ~(uint32_t)FEATURE_UDP_GSO; /* the device has no checksum offload */
    send_singly(f, m);
    return;
  }
  for (int i = 0; i < m->datagram_count; i++) fail_row(f, m->rows[i], error);
}

/* After a partial result the next call starts at the message that stopped it and so learns its errno. */
static void send_group(struct flush *f, struct outbox *out, int count) {
  unsigned at_once = f->link->features & FEATURE_BATCH ? MESSAGES_MAX : 1;
  for (int i = 0; i < count; i++) {
    fill_header(out->messages[i], &out->headers[i].msg_hdr, out->messages[i]->datagram_count > 1);
  }
  int at = 0;
  while (at < count) {
    unsigned left = (unsigned)(count - at);
    f->engine->stats[STAT_UDP_SEND_CALLS]++;
    int sent = sendmmsg(f->fd, out->headers + at, left < at_once ? left : at_once, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0) {
      for (int i = 0; i < sent; i++) count_sent(f, 1, out->messages[at + i]->datagram_count);
      at += sent;
    } else if (!may_retry(f, errno)) {
      handle_refused(f, out->messages[at], errno);
      at++;
    }
  }
}

void udp_flush(struct engine *e, struct link *link, struct outbox *out, struct message *messages, int count) {
  for (int socket = 0; socket < link->send_fd_count; socket++) {
    int group = 0;
    for (int i = 0; i < count; i++) {
      if (messages[i].socket == socket) out->messages[group++] = &messages[i];
    }
    if (group == 0) continue;
    struct flush f = {.engine = e, .link = link, .fd = link->send_fds[socket], .waits_left = SEND_WAITS_MAX};
    send_group(&f, out, group);
  }
}

/* ---- what the kernel dropped ---- */

/*
 * Asked of the socket, not taken from each message (SO_RXQ_OVFL): that option copies the count out of the packet's own buffer head,
 * and for a head that TCP allocated (a kernel VXLAN peer on a virtual link) a kernel with hardened usercopy (seen: 6.18) kills the
 * receiving thread once there is a drop to report.
 */
void udp_count_drops(struct engine *e) {
  double drops = 0;
  for (int i = 0; i < e->link_count; i++) {
    uint32_t info[SK_MEMINFO_VARS] = {0};
    socklen_t bytes = sizeof info;
    if (getsockopt(e->links[i].udp_fd, SOL_SOCKET, SO_MEMINFO, info, &bytes) == 0) drops += info[SK_MEMINFO_DROPS];
  }
  e->stats[STAT_UDP_SOCKET_DROPS] = drops;
}

/* ---- datagrams in ---- */

#define RECEIVE_FIRST 4      /* messages of the first call: 4 full UDP_GRO messages are the budget */
#define RECEIVE_ERRORS_MAX 8 /* queued ICMP errors skipped per batch */
#define RECEIVE_CONTROL 64   /* TOS and UDP_GRO take 48 */

struct receiver {
  struct mmsghdr headers[UDP_IN_ROWS];
  struct iovec parts[UDP_IN_ROWS];
  struct sockaddr_in6 from[UDP_IN_ROWS]; /* sockaddr_in fits */
  _Alignas(struct cmsghdr) char control[UDP_IN_ROWS][RECEIVE_CONTROL];
};

_Static_assert(RECEIVE_CONTROL >= 2 * CMSG_SPACE(sizeof(int)), "TOS and UDP_GRO");
_Static_assert(sizeof(struct sockaddr_in) <= sizeof(struct sockaddr_in6), "either family's source");

static int32_t udp_slot(int row) { return slot_offset(TUN_IN_ROWS + row); }

int receiver_create(struct engine *e) {
  struct receiver *r = calloc(1, sizeof *r);
  if (!r) return -ENOMEM;
  for (int i = 0; i < UDP_IN_ROWS; i++) {
    r->parts[i] = (struct iovec){e->pool + udp_slot(i), SLOT_PAYLOAD};
    r->headers[i].msg_hdr = (struct msghdr){
        .msg_name = &r->from[i], .msg_iov = &r->parts[i], .msg_iovlen = 1, .msg_control = r->control[i]};
  }
  e->receiver = r;
  return 0;
}

void receiver_destroy(struct engine *e) {
  free(e->receiver);
  e->receiver = NULL;
}

static void read_source(const struct sockaddr_in6 *from, int32_t *row) {
  uint32_t words[4] = {0, 0, htonl(0xffff), 0};
  if (from->sin6_family == AF_INET) {
    memcpy(&words[3], &((const struct sockaddr_in *)from)->sin_addr, 4);
  } else {
    memcpy(words, &from->sin6_addr, sizeof words);
  }
  row[ROW_PORT] = ntohs(from->sin6_port);
  for (int i = 0; i < 4; i++) row[ROW_ADDRESS + i] = (int32_t)ntohl(words[i]);
}

static void read_controls(struct msghdr *header, int32_t *row) {
  for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
    int value = 0;
    size_t bytes = c->cmsg_len - CMSG_LEN(0);
    if (bytes > sizeof value) continue;
    memcpy(&value, CMSG_DATA(c), bytes);
    if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) row[ROW_GSO_SIZE] = value;
    /* One byte for IPv4, an int for IPv6: byte access gets both right on either byte order. */
    if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) row[ROW_TOS] = *CMSG_DATA(c);
    if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS) row[ROW_TOS] = value & 0xff;
  }
}

static void fill_row(struct engine *e, int index) {
  struct mmsghdr *message = &e->receiver->headers[index];
  int32_t *row = row_at(e->udp_in, index);
  memset(row, 0, ROW_INTS * sizeof *row);
  row[ROW_OFFSET] = udp_slot(index);
  row[ROW_LENGTH] = (int32_t)message->msg_len;
  if (message->msg_hdr.msg_flags & MSG_TRUNC) row[ROW_RESULT] = EMSGSIZE;
  read_source(&e->receiver->from[index], row);
  read_controls(&message->msg_hdr, row);
}

static void open_row(struct engine *e, struct seal *seal, const int32_t *row) {
  if (row[ROW_RESULT] == 0) seal_open_message(seal, e->pool + row[ROW_OFFSET], row[ROW_LENGTH], row[ROW_GSO_SIZE]);
}

static int receive_chunk(struct engine *e, int link, int first, int want) {
  struct mmsghdr *headers = e->receiver->headers + first;
  for (int i = 0; i < want; i++) {
    headers[i].msg_hdr.msg_namelen = sizeof e->receiver->from[0];
    headers[i].msg_hdr.msg_controllen = RECEIVE_CONTROL;
  }
  e->stats[STAT_UDP_RECEIVE_CALLS]++;
  int got = recvmmsg(e->links[link].udp_fd, headers, (unsigned)want, MSG_DONTWAIT, NULL);
  return got < 0 ? -errno : got;
}

int udp_receive(struct engine *e, int link) {
  int limit = e->links[link].features & FEATURE_BATCH ? UDP_IN_ROWS : 1;
  struct seal *seal = e->links[link].seal;
  const int bytes_max = e->links[link].batch_bytes;
  const int first = 1 + (RECEIVE_FIRST - 1) * bytes_max / BATCH_BYTES; /* they may be as long as can be */
  int filled = 0, bytes = 0, errors = 0, error = 0;
  while (filled < limit && bytes < bytes_max && errors < RECEIVE_ERRORS_MAX) {
    /* As many as the budget holds if they are as long as the ones so far. */
    int want = filled ? (bytes_max - bytes) / (bytes / filled + 1) + 1 : first;
    if (want > limit - filled) want = limit - filled;
    int got = receive_chunk(e, link, filled, want);
    if (got == -EAGAIN) break;
    if (got < 0) { /* an ICMP answer to an earlier send (ECONNREFUSED, …) or a signal: the queue may hold more */
      error = got;
      errors++;
      continue;
    }
    for (int end = filled + got; filled < end; filled++) {
      fill_row(e, filled);
      if (seal) open_row(e, seal, row_at(e->udp_in, filled));
      bytes += row_at(e->udp_in, filled)[ROW_LENGTH];
    }
    if (got < want) break;
  }
  e->stats[STAT_UDP_MESSAGES_IN] += filled;
  return filled == 0 && errors == RECEIVE_ERRORS_MAX ? error : filled;
}
