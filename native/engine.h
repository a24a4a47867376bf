/*
 * The engine: what one thread moves packets with. Policy is not here: C never knows what a subnet or a lease is.
 * Files, in packet order: tun.c (read, raw write), segment.c (rows -> messages), udp.c (messages out, datagrams in),
 * coalesce.c (rows -> super-packets -> TUN). wait.c sleeps, checksum.c sums, sys.c is the rest, addon.c registers.
 *
 * Nothing here allocates after engine_attach_link. Every function runs on the thread that owns the engine.
 */
#ifndef WEFT_ENGINE_H
#define WEFT_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "layout.h"

struct segmenter; /* segment.c: open messages, header and iovec arenas */
struct coalescer; /* coalesce.c: open groups, header and iovec arenas */
struct receiver;  /* udp.c: mmsghdr array of the receive side */

struct link {
  int family; /* AF_INET or AF_INET6: of the underlay */
  int tun_fd;
  int udp_fd; /* receiving socket */
  int tap_fd; /* helper TAP for FEATURE_TUNNEL_GSO, or -1 */
  int send_fds[SEND_SOCKETS_MAX];
  int send_fd_count;
  uint32_t features; /* FEATURE_* */
};

struct engine {
  uint8_t *pool;
  size_t pool_bytes;
  int32_t *tun_in;  /* TUN_IN_ROWS rows */
  int32_t *udp_in;  /* UDP_IN_ROWS rows */
  int32_t *tun_out; /* TUN_OUT_ROWS rows */
  double *stats;    /* STAT_COUNT doubles */
  int32_t *clock;   /* two words: CLOCK_MONOTONIC in ms, and the ns within; written by engine_wait */
  int64_t spin_again_ns; /* CLOCK_MONOTONIC before which a wait does not spin */
  int32_t drops_counted_ms; /* clock when the sockets were last asked for their drops */
  struct link links[LINKS_MAX];
  int link_count;
  int epoll_fd;
  int wake_fd;
  struct segmenter *segmenter;
  struct coalescer *coalescer;
  struct receiver *receiver;
};

static inline int32_t *row_at(int32_t *rows, int index) { return rows + (size_t)index * ROW_INTS; }

/* True when the row's bytes lie in the pool and its length is in 1..SLOT_HEADROOM + SLOT_PAYLOAD. */
static inline bool row_in_pool(const struct engine *e, const int32_t *row) {
  int64_t offset = row[ROW_OFFSET], length = row[ROW_LENGTH];
  return offset >= 0 && length > 0 && length <= SLOT_HEADROOM + SLOT_PAYLOAD &&
         offset + length <= (int64_t)e->pool_bytes;
}

/* ---- engine.c ---- */
/* Takes the views and wake_fd of `memory`; the caller keeps them alive until engine_destroy. 0 or -errno. */
int engine_create(const struct engine *memory, struct engine **created);
/* Adds the link's TUN queue and receiving socket to the epoll set. The link's index, or -errno (ENOSPC: LINKS_MAX). */
int engine_attach_link(struct engine *e, const struct link *link);
/* Closes the epoll descriptor and frees what create allocated; other descriptors stay open. */
void engine_destroy(struct engine *e);

/* ---- checksum.c (RFC 1071) ---- */
/* One's complement sum of bytes, folded to 16 bits, not complemented, in network byte order as a host number
 * (that is: sum of big-endian 16-bit words); an odd last byte counts as the high half. `seed` is added. */
uint16_t checksum_fold(const void *bytes, size_t length, uint32_t seed);
/* Sum of the pseudo header, not folded: addresses (4 or 16 bytes each), protocol, transport length. */
uint32_t checksum_pseudo(const uint8_t *ip, int version, uint8_t protocol, uint32_t transport_bytes);
/* Which implementation runs: "avx2", "sse2", "neon" or "portable"; checksum_select(name) forces one (tests), false if absent. */
const char *checksum_name(void);
bool checksum_select(const char *name);

/* ---- tun.c ---- */
/* Opens one queue: IFF_TUN|IFF_NO_PI|IFF_VNET_HDR|IFF_MULTI_QUEUE, O_NONBLOCK|O_CLOEXEC, then TUNSETOFFLOAD with what
 * `wanted` (FEATURE_TUN_*) asks for and the kernel grants. *granted gets the FEATURE_TUN_* bits. fd or -errno. */
int tun_open(const char *name, uint32_t wanted, uint32_t *granted);
/* Takes over an attached queue of the device `name` as tun_open would have opened it. 0 or -errno (EINVAL: another device or kind,
 * EBADFD: its device is gone); the descriptor stays the caller's either way. */
int tun_adopt(int fd, const char *name, uint32_t wanted, uint32_t *granted);
/* The device of an attached queue, 16 bytes. 0 or -errno. */
int tun_device(int fd, char *name);
/* Whether the device outlives its last queue. 0 or -errno. */
int tun_persist(int fd, bool on);
/* Reads up to TUN_IN_ROWS packets (1 without FEATURE_BATCH) into slots 0.., at SLOT_HEADROOM, and fills their tun_in rows
 * (offset, length, gso, gso_size, csum_start, csum_offset from the vnet header; result 0; the rest untouched).
 * Stops early after about 128 KiB so that a batch stays in the cache. Number of rows, or -errno. */
int tun_receive(struct engine *e, int link);

/* ---- tunnel.c ---- */
/* Bytes of Ethernet, IP and UDP header in front of the encapsulation header of a ROW_GSO_TUNNEL row. */
int tunnel_outer_bytes(int family);
/* Opens one queue of a TAP that takes tunnel GSO (Linux 6.17). fd or -errno (EINVAL: the kernel can't). */
int tunnel_open(const char *name);
struct tunnel_packet {
  uint8_t *bytes; /* from the outer Ethernet header */
  int length;
  int gso_type;  /* inner: TCP or UDP, with the ECN flag */
  int gso_size;
  int inner_ip, inner_transport, header_bytes; /* offsets from bytes; header_bytes up to the payload */
  int checksum_offset;
};
/* Hands an encapsulated super-packet to the host, which routes it out unsegmented. 0 or errno. */
int tunnel_write(const struct link *link, const struct tunnel_packet *packet);
/* A packet socket that sees what leaves through an interface with this mark: the IPv4 identification or the IPv6 flow label. */
int tunnel_probe_open(int family, int interface_index, uint16_t mark);
/* True once a marked packet has left. */
bool tunnel_probe_seen(int fd);

/* ---- coalesce.c ---- */
int coalescer_create(struct engine *e);
void coalescer_destroy(struct engine *e);
/* Writes rows 0..count-1 of tun_out to the TUN: merges what may be merged (reference: Linux GRO rules), order kept within a
 * flow, everything flushed before it returns. Rows of length 0 are skipped. Failed rows get ROW_RESULT.
 * Rows with a gso type go out alone with that vnet header; NEEDS_CSUM rows without gso type keep their partial checksum.
 * Returns the number of failed rows. */
int tun_send(struct engine *e, int link, int count);

/* ---- segment.c ---- */
int segmenter_create(struct engine *e);
void segmenter_destroy(struct engine *e);
/* Sends rows 0..count-1 of tun_in to the UDP sockets: completes checksums, cuts super-packets, packs equal sizes.
 * Order kept within (peer, socket). Everything flushed before it returns. Returns the number of failed rows. */
int udp_send(struct engine *e, int link, int count);

/* ---- udp.c ---- */
struct udp_options {
  int family;
  const uint8_t *address; /* 4 or 16 bytes, network order */
  uint16_t port;          /* 0 = ephemeral */
  bool reuse_port;
  bool gro;
  bool dont_fragment; /* false: IP_PMTUDISC_DONT, outer DF clear as kernel VXLAN; true: the kernel's default (DF set) */
  int buffer_bytes;   /* SO_RCVBUF/SO_SNDBUF, FORCE variants first; 0 = leave */
};
/* Non-blocking, close-on-exec, IPV6_V6ONLY, TOS/TCLASS reported on receive. fd or -errno.
 * *gro_granted tells whether UDP_GRO was set and read back; *failed_call names the system call behind a -errno. */
int udp_open(const struct udp_options *options, bool *gro_granted, const char **failed_call);
/* Takes over a bound socket and sets its options as udp_open would have. 0 or -errno (EINVAL: it is not such a socket); the
 * descriptor stays the caller's either way. */
int udp_adopt(int fd, const struct udp_options *options, bool *gro_granted);
/* Room for datagrams that wait. */
void udp_receive_buffer(int fd, int bytes);
/* The port a socket is bound to, or -errno. */
int udp_port(int fd);
int receiver_create(struct engine *e);
void receiver_destroy(struct engine *e);
/* Receives up to UDP_IN_ROWS messages (1 without FEATURE_BATCH) into slots TUN_IN_ROWS.., at SLOT_HEADROOM, and fills their
 * udp_in rows: offset, length, gso_size (UDP_GRO control message, else 0), tos, port, address, result (EMSGSIZE if
 * truncated). Stops early after about 256 KiB when it can. Number of rows, or -errno. */
int udp_receive(struct engine *e, int link);
/* Writes STAT_UDP_SOCKET_DROPS; one system call per link, so not for every batch. */
void udp_count_drops(struct engine *e);
/* Messages out, with their partial results and fallbacks: message.h, used by segment.c only. */

/* ---- wait.c ---- */
/* Waits until a descriptor is readable or timeout_ms passed (0 = look only). Bits of layout.h, or -errno. EINTR = 0.
 * With FEATURE_SPIN on a link it looks again and again for some microseconds before it sleeps, unless others need the CPU.
 * Writes the clock words and STAT_WAIT_NS; drains the eventfd when it fired. */
int engine_wait(struct engine *e, int timeout_ms);

/* ---- echo.c ---- */
struct echo_request {
  const uint8_t *address; /* 4 or 16 bytes, network order, of the socket's family */
  uint16_t identifier;
  uint16_t sequence;
  size_t payload_bytes; /* ECHO_TOKEN_BYTES..ECHO_PAYLOAD_MAX */
  const uint8_t *token; /* ECHO_TOKEN_BYTES */
};
/* A non-blocking ICMP or ICMPv6 socket bound to an address of this node. fd or -errno; *raw: false for a ping socket. */
int echo_open(int family, const uint8_t *address, bool *raw);
/* Sends one request that is never fragmented here. CLOCK_MONOTONIC in ns when it left, or -errno (EMSGSIZE: larger than the device's MTU). */
double echo_send(int fd, const struct echo_request *request);
/* Rows (enum weft_echo) of answers with this token and of ICMP errors about our requests, without waiting. Count, or -errno. */
int echo_receive(int fd, const uint8_t *token, double *rows, int row_count);

/* ---- sys.c ---- */
/* sd_notify over $NOTIFY_SOCKET ("@" = abstract), with a descriptor unless it is -1. 1 sent, 0 no socket, -errno */
int sys_notify(const char *state, int passed_fd);
int sys_pin(int cpu);                      /* sched_setaffinity of the calling thread; 0 or -errno */
int sys_wake_open(void);                   /* eventfd, non-blocking: fd or -errno */
int sys_wake(int fd);                      /* 0 or -errno */
int sys_pair_open(int fds[2]);             /* tests: a SEQPACKET socketpair that stands for a TUN queue; 0 or -errno */

#endif
