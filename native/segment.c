/*
 * Rows of tun_in become messages of equal-size datagrams. Stages: open messages (one per peer and socket), sealed datagrams, plain
 * rows (finish the checksum, one datagram), super-packets (one header block per segment in front of a slice of the slot: payload is
 * never copied but by a seal), rows (checks), the batch.
 *
 * Headers, messages and the table of open ones have fixed room; when any is used up everything is sent and it goes on.
 */
#include "segment.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "checksum.h"
#include "gso.h"
#include "message.h"
#include "packet.h"
#include "seal.h"
#include "super.h"
#include "tunnel.h"
#include "udp.h"

#define CACHE_LINE 64
#define OPEN_MAX 16 /* peers and sockets filled side by side */
#define ARENA_BYTES (96 * 1024)
#define SEALED_BYTES (512 * 1024)

_Static_assert(SUPER_HEADER_MAX <= ARENA_BYTES, "an empty arena takes any header block");
_Static_assert(SEAL_LEAD_BYTES + SLOT_HEADROOM + SLOT_PAYLOAD + SEAL_TAIL_MAX <= SEALED_BYTES,
               "so does the sealed one");

/* For what not every row needs: the frame and its guard would be every row's. */
#define NOT_INLINE __attribute__((noinline))

struct segmenter {
  struct message messages[MESSAGES_MAX];
  int message_count;
  int open[OPEN_MAX]; /* messages that may still grow, oldest first */
  int open_count;
  size_t arena_used;
  uint8_t arena[ARENA_BYTES];
  size_t sealed_used;
  uint8_t *sealed; /* SEALED_BYTES, or NULL while no link has a seal */
  struct outbox outbox;
};

struct batch {
  struct engine *engine;
  struct link *link;
  struct segmenter *s;
  int32_t *row; /* the row at hand */
  int row_index;
};

int segmenter_create(struct engine *e) {
  e->segmenter = calloc(1, sizeof *e->segmenter);
  return e->segmenter ? 0 : -ENOMEM;
}

int segmenter_make_sealed(struct engine *e) {
  struct segmenter *s = e->segmenter;
  if (!s->sealed) s->sealed = aligned_alloc(CACHE_LINE, SEALED_BYTES);
  return s->sealed ? 0 : -ENOMEM;
}

void segmenter_destroy(struct engine *e) {
  free(e->segmenter->sealed);
  free(e->segmenter);
  e->segmenter = NULL;
}

/* ---- open messages ---- */

static void flush_all(struct batch *b) {
  struct segmenter *s = b->s;
  udp_flush(b->engine, b->link, &s->outbox, s->messages, s->message_count);
  s->message_count = 0;
  s->open_count = 0;
  s->arena_used = 0;
  s->sealed_used = 0;
}

static void close_open(struct segmenter *s, int at) {
  s->open_count--;
  memmove(s->open + at, s->open + at + 1, (size_t)(s->open_count - at) * sizeof s->open[0]);
}

/* Only the newest message of a peer and socket may grow, whatever its TOS: that keeps their order. */
static int find_open(const struct segmenter *s, const int32_t *row) {
  for (int at = s->open_count - 1; at >= 0; at--) {
    const struct message *m = &s->messages[s->open[at]];
    if (m->peer == row[ROW_PEER] && m->socket == row[ROW_SOCKET]) return at;
  }
  return -1;
}

static bool fits(const struct batch *b, const struct message *m, int bytes) {
  uint32_t features = b->link->features;
  bool all_equal = m->bytes == m->datagram_count * m->datagram_bytes; /* nothing may follow a shorter one */
  return (features & FEATURE_UDP_GSO) && all_equal && bytes <= m->datagram_bytes &&
         m->datagram_count < MESSAGE_DATAGRAMS && m->bytes + bytes <= MESSAGE_BYTES &&
         ((features & FEATURE_PACK) || m->rows[0] == b->row_index) && m->tos == b->row[ROW_TOS] &&
         memcmp(m->far_end, b->row + ROW_PORT, sizeof m->far_end) == 0;
}

static void set_destination(struct message *m, int family, const int32_t *row) {
  uint16_t port = htons((uint16_t)row[ROW_PORT]);
  if (family == AF_INET) {
    m->to.v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = port};
    m->to.v4.sin_addr.s_addr = htonl((uint32_t)row[ROW_ADDRESS + 3]);
    m->to_bytes = sizeof m->to.v4;
    return;
  }
  m->to.v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = port};
  uint32_t words[4];
  for (int i = 0; i < 4; i++) words[i] = htonl((uint32_t)row[ROW_ADDRESS + i]);
  memcpy(&m->to.v6.sin6_addr, words, sizeof words);
  m->to_bytes = sizeof m->to.v6;
}

static struct message *open_message(struct batch *b, int bytes) {
  struct segmenter *s = b->s;
  if (s->message_count == MESSAGES_MAX) flush_all(b);
  if (s->open_count == OPEN_MAX) close_open(s, 0);
  struct message *m = &s->messages[s->message_count];
  s->open[s->open_count++] = s->message_count++;
  m->part_count = m->datagram_count = m->bytes = 0;
  m->datagram_bytes = bytes;
  m->peer = b->row[ROW_PEER];
  m->socket = b->row[ROW_SOCKET];
  m->tos = b->row[ROW_TOS];
  memcpy(m->far_end, b->row + ROW_PORT, sizeof m->far_end);
  set_destination(m, b->link->family, b->row);
  return m;
}

/* The message that takes the row's next datagram. May flush, so header blocks are written after it. */
static struct message *message_for(struct batch *b, int bytes) {
  int at = find_open(b->s, b->row);
  if (at >= 0) {
    struct message *m = &b->s->messages[b->s->open[at]];
    if (fits(b, m, bytes)) return m;
    close_open(b->s, at);
  }
  return open_message(b, bytes);
}

static void begin_datagram(struct batch *b, struct message *m) { m->rows[m->datagram_count++] = (uint8_t)b->row_index; }

static void add_part(struct message *m, uint8_t *bytes, int length) {
  m->parts[m->part_count++] = (struct iovec){bytes, (size_t)length};
  m->bytes += length;
}

/* ---- sealed datagrams ---- */

/*
 * The parts become one, closed into the arena: slices of a slot abut and have no room for a tail. Flushes before it closes, never
 * between that and the message: a flush empties the arena. 0 or -errno.
 */
static int send_sealed(struct batch *b, const struct iovec *parts, int part_count, int bytes) {
  struct segmenter *s = b->s;
  struct seal *seal = b->link->seal;
  size_t room = SEAL_LEAD_BYTES + (size_t)bytes + (size_t)seal->tail_bytes;
  if (s->sealed_used + room > SEALED_BYTES || s->message_count == MESSAGES_MAX) flush_all(b);
  uint8_t *out = s->sealed + s->sealed_used + SEAL_LEAD_BYTES;
  int sealed_bytes = seal->close(seal, b->row[ROW_PEER], parts, part_count, out);
  if (sealed_bytes < 0) return sealed_bytes;
  s->sealed_used += SEAL_LEAD_BYTES + (((size_t)sealed_bytes + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1));
  struct message *m = message_for(b, sealed_bytes);
  begin_datagram(b, m);
  add_part(m, out, sealed_bytes);
  return 0;
}

/* ---- plain rows ---- */

/* The field holds the pseudo header's sum (GSO_FLAG_NEEDS_CSUM), so the sum from the transport header on is the whole sum. */
static bool complete_checksum(int32_t *row, uint8_t *inner, int inner_bytes) {
  int64_t start = row[ROW_CSUM_START], field = start + row[ROW_CSUM_OFFSET];
  if (start < IP4_HEADER || row[ROW_CSUM_OFFSET] < 0 || field + 2 > inner_bytes) return false;
  uint16_t sum = checksum_fold(inner + start, (size_t)(inner_bytes - start), 0);
  store_be16(inner + field, checksum_finish(sum));
  row[ROW_GSO] &= ~GSO_FLAG_NEEDS_CSUM;
  return true;
}

NOT_INLINE static int seal_plain(struct batch *b, uint8_t *bytes, int length) {
  struct iovec part = {bytes, (size_t)length};
  return send_sealed(b, &part, 1, length);
}

static int send_plain(struct batch *b, uint8_t *bytes, int length) {
  if (b->link->seal) return seal_plain(b, bytes, length);
  struct message *m = message_for(b, length);
  begin_datagram(b, m);
  add_part(m, bytes, length);
  return 0;
}

/* ---- super-packets ---- */

NOT_INLINE static int seal_segment(struct batch *b, uint8_t *block, int header_bytes, uint8_t *payload, int slice) {
  struct iovec parts[2] = {{block, (size_t)header_bytes}, {payload, (size_t)slice}};
  return send_sealed(b, parts, 2, header_bytes + slice);
}

/* A sealed segment's block is gone when the next comes: the arena is scratch then. */
static int send_segment(struct batch *b, const struct super *p, int index, int at, int slice) {
  const bool sealed = b->link->seal != NULL;
  if (b->s->arena_used + SUPER_HEADER_MAX > ARENA_BYTES) flush_all(b);
  struct message *m = sealed ? NULL : message_for(b, p->header_bytes + slice);
  uint8_t *block = b->s->arena + b->s->arena_used;
  super_write_block(p, block, index, at, slice);
  if (sealed) return seal_segment(b, block, p->header_bytes, p->payload + at, slice);
  b->s->arena_used += ((size_t)p->header_bytes + 15) & ~(size_t)15;
  begin_datagram(b, m);
  add_part(m, block, p->header_bytes);
  if (slice > 0) add_part(m, p->payload + at, slice);
  return 0;
}

/* Unsegmented through the TAP: 0 or -errno. What waits for the same peer and socket leaves first: order within a flow is kept. */
static int send_tunnelled(struct batch *b, const struct super *p, uint8_t *packet) {
  if (find_open(b->s, b->row) >= 0) flush_all(b);
  struct tunnel_packet out = {.bytes = packet,
                              .length = b->row[ROW_LENGTH],
                              .gso_type = b->row[ROW_GSO] & 0xff,
                              .gso_size = p->segment_bytes,
                              .inner_ip = p->ip,
                              .inner_transport = p->transport,
                              .header_bytes = p->header_bytes,
                              .checksum_offset = b->row[ROW_CSUM_OFFSET]};
  int error = tunnel_write(b->link, &out);
  if (error) {
    b->engine->stats[STAT_TUNNEL_FALLBACKS]++;
    /* The control thread sees the count, and may turn it on again by a restart. */
    b->link->features &= ~(uint32_t)FEATURE_TUNNEL_GSO;
    return error;
  }
  b->engine->stats[STAT_TUNNEL_WRITES]++;
  return 0;
}

/* The row without its outer headers, as the sockets send it. */
static void strip_outer(int32_t *row, int outer_bytes) {
  row[ROW_GSO] &= ~ROW_GSO_TUNNEL;
  row[ROW_OFFSET] += outer_bytes;
  row[ROW_LENGTH] -= outer_bytes;
  row[ROW_HEADER_BYTES] -= outer_bytes;
}

/* A payload that fits one segment (also an empty one) takes the same way: one segment with finished checksums. */
NOT_INLINE static int send_super(struct batch *b, uint8_t *packet, int type) {
  struct super p;
  if (!super_parse(&p, b->row, packet, type)) return -ROW_BAD;
  super_prepare(&p, packet);
  int index = 0, at = 0, error;
  do {
    int left = p.payload_bytes - at;
    int slice = left < p.segment_bytes ? left : p.segment_bytes;
    error = send_segment(b, &p, index++, at, slice);
    at += slice;
  } while (at < p.payload_bytes && !error);
  return error;
}

/* ---- rows ---- */

static bool destination_valid(const struct link *link, const int32_t *row) {
  const int32_t *words = row + ROW_ADDRESS;
  bool mapped = words[0] == 0 && words[1] == 0 && words[2] == 0xffff;
  return row[ROW_SOCKET] >= 0 && row[ROW_SOCKET] < link->send_fd_count && row[ROW_PORT] > 0 &&
         row[ROW_PORT] <= UINT16_MAX && row[ROW_TOS] >= 0 && row[ROW_TOS] <= UINT8_MAX &&
         (link->family == AF_INET6 || mapped);
}

static int gso_type(const int32_t *row) { return row[ROW_GSO] & 0xff & ~GSO_ECN; }

/* An encapsulated packet without outer headers. */
static int send_inner(struct batch *b) {
  int32_t *row = b->row;
  uint8_t *packet = b->engine->pool + row[ROW_OFFSET];
  int header_bytes = row[ROW_HEADER_BYTES], type = gso_type(row);
  if (type == GSO_TCP4 || type == GSO_TCP6 || type == GSO_UDP_L4) return send_super(b, packet, type);
  if (type != GSO_NONE) return -ROW_BAD;
  if ((row[ROW_GSO] & GSO_FLAG_NEEDS_CSUM) &&
      !complete_checksum(row, packet + header_bytes, row[ROW_LENGTH] - header_bytes)) {
    return -ROW_BAD;
  }
  return send_plain(b, packet, row[ROW_LENGTH]);
}

/* A row with outer headers. 1 it left whole through the TAP, 0 it goes on without them through the sockets, or -ROW_BAD. */
NOT_INLINE static int send_outer(struct batch *b) {
  int outer_bytes = tunnel_outer_bytes(b->link->family);
  if (b->row[ROW_HEADER_BYTES] < outer_bytes) return -ROW_BAD;
  if (b->link->features & FEATURE_TUNNEL_GSO) {
    struct super p;
    uint8_t *packet = b->engine->pool + b->row[ROW_OFFSET];
    if (!super_parse(&p, b->row, packet, gso_type(b->row))) return -ROW_BAD;
    if (send_tunnelled(b, &p, packet) == 0) return 1;
  }
  strip_outer(b->row, outer_bytes);
  return 0;
}

/* 0, -errno, or -ROW_BAD when its bounds or headers are refused. */
static int send_row(struct batch *b) {
  const int32_t *row = b->row;
  int header_bytes = row[ROW_HEADER_BYTES];
  if (!row_in_pool(b->engine, row) || header_bytes < 0 || header_bytes > SLOT_HEADROOM ||
      header_bytes >= row[ROW_LENGTH] || !destination_valid(b->link, row)) {
    return -ROW_BAD;
  }
  if (row[ROW_GSO] & ROW_GSO_TUNNEL) {
    int done = send_outer(b);
    if (done != 0) return done < 0 ? done : 0;
  }
  return send_inner(b);
}

/* ---- the batch ---- */

int udp_send(struct engine *e, int link, int count) {
  struct batch b = {.engine = e, .link = &e->links[link], .s = e->segmenter};
  for (b.row_index = 0; b.row_index < count; b.row_index++) {
    b.row = row_at(e->tun_in, b.row_index);
    if (b.row[ROW_LENGTH] == 0) continue;
    b.row[ROW_RESULT] = 0;
    int error = send_row(&b);
    if (error) b.row[ROW_RESULT] = -error;
  }
  flush_all(&b);

  int failed = 0;
  for (int i = 0; i < count; i++) {
    const int32_t *row = row_at(e->tun_in, i);
    failed += row[ROW_LENGTH] != 0 && row[ROW_RESULT] != 0;
  }
  return failed;
}
