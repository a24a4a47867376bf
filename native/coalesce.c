/*
 * Rows -> super-packets -> TUN. Stages, in packet order:
 *   1. a row that can't be merged goes out alone, after the open group of its flow (order within a flow is kept);
 *   2. a candidate looks for the open group of its flow;
 *   3. it is appended when the group's header, with another length and sequence, would be its own header;
 *      else the group goes out and the candidate opens the next one;
 *   4. a group goes out as one writev: rebuilt headers, then the payloads where they lie in the pool;
 *   5. a group the kernel refuses goes out packet by packet.
 */
#include "coalesce.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "checksum.h"
#include "gso.h"
#include "packet.h"

#define GROUPS 16
#define TCP_SEGMENTS_MAX 128
/* With the (tagged) Ethernet header of the device it is forwarded to, or that device segments it in software. */
#define MERGED_BYTES_MAX (65535 - 18)
#define CHECKSUM_GOOD 0xffff

/* Packets of one flow that leave in one write. */
struct group {
  struct packet first; /* its header is the pattern for all */
  uint32_t merged_bytes;
  uint32_t next_sequence;
  uint32_t segment_bytes; /* payload of every packet but the last */
  int count;
  bool verified; /* the first packet's checksums */
  bool pushed;   /* the last packet has PSH */
  bool closed;   /* nothing may follow the last packet */
  struct {
    struct virtio_net_hdr vnet;
    uint8_t bytes[HEADERS_MAX];
  } head;
  uint16_t rows[TCP_SEGMENTS_MAX];
  struct iovec parts[1 + TCP_SEGMENTS_MAX]; /* head, then payloads */
};

_Static_assert(UDP_SEGMENTS_MAX <= TCP_SEGMENTS_MAX, "a group's arrays hold either protocol");
_Static_assert(TUN_OUT_ROWS <= UINT16_MAX + 1, "the index of a tun_out row fits group.rows");
_Static_assert(GROUPS <= UINT8_MAX + 1, "the index of a group fits coalescer.order");
_Static_assert(offsetof(struct group, head.bytes) == offsetof(struct group, head.vnet) + sizeof(struct virtio_net_hdr),
               "vnet header and packet header leave as one part");

struct coalescer {
  struct engine *engine;
  struct link *link;
  int failed;
  int open;
  uint8_t order[GROUPS]; /* indices into groups: the first `open` oldest first, then the free ones */
  uint32_t hashes[GROUPS];
  struct group groups[GROUPS];
};

int coalescer_create(struct engine *e) {
  struct coalescer *c = calloc(1, sizeof *c);
  if (!c) return -ENOMEM;
  c->engine = e;
  for (int i = 0; i < GROUPS; i++) c->order[i] = (uint8_t)i;
  e->coalescer = c;
  return 0;
}

void coalescer_destroy(struct engine *e) {
  free(e->coalescer);
  e->coalescer = NULL;
}

/* ---- writing ---- */

static int32_t *out_row(const struct coalescer *c, int index) { return row_at(c->engine->tun_out, index); }

static bool row_is_partial(const int32_t *row) { return row[ROW_GSO] & GSO_FLAG_NEEDS_CSUM; }

/* `result` is an errno or ROW_BAD. */
static void fail_row(struct coalescer *c, int index, int result) {
  out_row(c, index)[ROW_RESULT] = result;
  c->failed++;
}

/* 0 or -errno. */
static int write_parts(struct coalescer *c, const struct iovec *parts, int count) {
  while (writev(c->link->tun_fd, parts, count) < 0) {
    if (errno != EINTR) return -errno;
  }
  c->engine->stats[STAT_TUN_WRITES]++;
  return 0;
}

/* The vnet header a row asks for; false when it points outside the packet. */
static bool row_vnet(const int32_t *row, const uint8_t *bytes, struct virtio_net_hdr *vnet) {
  uint32_t length = (uint32_t)row[ROW_LENGTH], start = (uint32_t)row[ROW_CSUM_START];
  uint32_t offset = (uint32_t)row[ROW_CSUM_OFFSET], gso_size = (uint32_t)row[ROW_GSO_SIZE];
  uint8_t type = row[ROW_GSO] & 0xff;
  *vnet = (struct virtio_net_hdr){.gso_type = type};
  if (row_is_partial(row)) {
    if (start > UINT16_MAX || offset > UINT16_MAX || start + offset + 2 > length) return false;
    vnet->flags = VNET_NEEDS_CSUM;
    vnet->csum_start = (uint16_t)start;
    vnet->csum_offset = (uint16_t)offset;
  }
  if (type == GSO_NONE) return true;
  bool udp = type == GSO_UDP_L4;
  if (start > length || gso_size == 0 || gso_size >= UINT16_MAX) return false;
  uint32_t header = transport_header_bytes(bytes + start, length - start, udp ? PROTOCOL_UDP : PROTOCOL_TCP);
  if (header == 0 || start + header > UINT16_MAX) return false;
  vnet->hdr_len = (uint16_t)(start + header);
  vnet->gso_size = (uint16_t)gso_size;
  return true;
}

static void write_row(struct coalescer *c, int index) {
  const int32_t *row = out_row(c, index);
  uint8_t *bytes = c->engine->pool + row[ROW_OFFSET];
  struct virtio_net_hdr vnet;
  if (!row_vnet(row, bytes, &vnet)) {
    fail_row(c, index, ROW_BAD);
    return;
  }
  struct iovec parts[2] = {{&vnet, sizeof vnet}, {bytes, (size_t)row[ROW_LENGTH]}};
  int error = write_parts(c, parts, 2);
  if (error) fail_row(c, index, -error);
}

static void build_ip_header(uint8_t *ip, const struct group *g) {
  if (g->first.version == 6) {
    store_be16(ip + IP6_LENGTH_AT, g->merged_bytes - IP6_HEADER);
    return;
  }
  store_be16(ip + IP4_LENGTH_AT, g->merged_bytes);
  store_be16(ip + IP4_CHECKSUM_AT, 0);
  store_be16(ip + IP4_CHECKSUM_AT, (uint16_t)~checksum_fold(ip, IP4_HEADER, 0));
}

/* The first packet's headers with the lengths of all; the kernel finishes the checksum of each segment. */
static void build_head(struct group *g) {
  const struct packet *first = &g->first;
  uint8_t *ip = g->head.bytes, *transport = ip + first->ip_bytes;
  bool tcp = first->protocol == PROTOCOL_TCP;
  uint32_t transport_bytes = g->merged_bytes - first->ip_bytes;
  int checksum_at = tcp ? TCP_CHECKSUM_AT : UDP_CHECKSUM_AT;
  uint8_t tcp_type = first->version == 4 ? GSO_TCP4 : GSO_TCP6;

  memcpy(ip, first->bytes, first->header_bytes);
  build_ip_header(ip, g);
  if (tcp && g->pushed) transport[TCP_FLAGS_AT] |= TCP_FLAG_PSH;
  if (!tcp) store_be16(transport + UDP_LENGTH_AT, transport_bytes);
  uint32_t pseudo = checksum_pseudo(ip, first->version, first->protocol, transport_bytes);
  store_be16(transport + checksum_at, checksum_fold(ip, 0, pseudo));

  g->head.vnet = (struct virtio_net_hdr){
      .flags = VNET_NEEDS_CSUM,
      .gso_type = tcp ? tcp_type : GSO_UDP_L4,
      .hdr_len = first->header_bytes,
      .gso_size = (uint16_t)g->segment_bytes,
      .csum_start = first->ip_bytes,
      .csum_offset = (uint16_t)checksum_at,
  };
  g->parts[0] = (struct iovec){&g->head, sizeof g->head.vnet + first->header_bytes};
}

static uint32_t merge_feature(uint8_t protocol) {
  return protocol == PROTOCOL_TCP ? FEATURE_COALESCE_TCP : FEATURE_COALESCE_UDP;
}

static void write_group(struct coalescer *c, struct group *g) {
  if (g->count == 1) { /* with its own checksum, as it came */
    write_row(c, g->rows[0]);
    return;
  }
  build_head(g);
  int error = write_parts(c, g->parts, 1 + g->count);
  if (error == 0) {
    c->engine->stats[STAT_COALESCED] += g->count - 1;
  } else if (error == -EINVAL) { /* a kernel without USO, or with a bug about short last segments: don't try again */
    c->engine->stats[STAT_GSO_FALLBACKS]++;
    c->link->features &= ~merge_feature(g->first.protocol);
    for (int i = 0; i < g->count; i++) write_row(c, g->rows[i]);
  } else {
    for (int i = 0; i < g->count; i++) fail_row(c, g->rows[i], -error);
  }
}

/* Writes the group at this place in the order of age and frees it. */
static void flush_group(struct coalescer *c, int place) {
  uint8_t index = c->order[place];
  c->open--;
  memmove(c->order + place, c->order + place + 1, (size_t)(c->open - place));
  c->order[c->open] = index;
  write_group(c, &c->groups[index]);
}

/* ---- flows ---- */

static const uint8_t *addresses_of(const struct packet *p, size_t *bytes) {
  *bytes = p->version == 4 ? 8 : 32;
  return p->bytes + (p->version == 4 ? IP4_ADDRESSES_AT : IP6_ADDRESSES_AT);
}

static bool same_addresses(const struct packet *a, const struct packet *b) {
  size_t bytes = 0;
  const uint8_t *first = addresses_of(a, &bytes);
  return a->version == b->version && memcmp(first, addresses_of(b, &bytes), bytes) == 0;
}

static bool same_flow(const struct packet *a, const struct packet *b) {
  return a->protocol == b->protocol && memcmp(packet_transport(a), packet_transport(b), 4) == 0 && same_addresses(a, b);
}

/* Of addresses and ports, which follow each other in a candidate; the protocol is left to same_flow. */
static uint32_t flow_hash(const struct packet *p) {
  size_t bytes = 0;
  const uint8_t *key = addresses_of(p, &bytes);
  uint32_t hash = 0;
  for (size_t at = 0; at < bytes + 4; at += 4) {
    uint32_t word;
    memcpy(&word, key + at, 4);
    hash = (hash ^ word) * 0x9e3779b1u;
    hash ^= hash >> 15;
  }
  return hash;
}

/* Place of the flow's open group in the order of age, or -1. */
static int find_group(const struct coalescer *c, const struct packet *p, uint32_t hash) {
  for (int place = c->open - 1; place >= 0; place--) {
    uint8_t index = c->order[place];
    if (c->hashes[index] == hash && same_flow(&c->groups[index].first, p)) return place;
  }
  return -1;
}

/* Writes what must leave before this packet: its flow's group; for a packet without ports, all of its hosts' groups. */
static void flush_before(struct coalescer *c, const struct packet *p) {
  for (int place = 0; place < c->open;) {
    const struct packet *first = &c->groups[c->order[place]].first;
    if (p->protocol ? same_flow(first, p) : same_addresses(first, p)) {
      flush_group(c, place);
    } else {
      place++;
    }
  }
}

/* ---- merging ---- */

/* May this packet be merged with others at all? */
static bool is_candidate(const struct coalescer *c, const struct packet *p, const int32_t *row) {
  if (p->protocol == 0 || (row[ROW_GSO] & 0xff) != GSO_NONE) return false;
  uint32_t needed = FEATURE_BATCH | merge_feature(p->protocol);
  if ((c->link->features & needed) != needed) return false;
  if (p->version == 4 && (p->ip_bytes != IP4_HEADER || load_be16(p->bytes + IP4_FRAGMENT_AT) & ~IP4_DF)) return false;
  if (packet_ip_length(p) != p->length || p->length <= p->header_bytes || p->length > MERGED_BYTES_MAX) return false;

  const uint8_t *transport = packet_transport(p);
  bool tcp = p->protocol == PROTOCOL_TCP, partial = row_is_partial(row);
  int checksum_at = tcp ? TCP_CHECKSUM_AT : UDP_CHECKSUM_AT;
  if (partial && (row[ROW_CSUM_START] != p->ip_bytes || row[ROW_CSUM_OFFSET] != checksum_at)) return false;
  if (tcp) { /* the low half of the offset byte holds reserved bits and ECN's ninth flag */
    return (transport[TCP_OFFSET_AT] & 15) == 0 && (transport[TCP_FLAGS_AT] & ~TCP_FLAG_PSH) == TCP_FLAG_ACK;
  }
  return load_be16(transport + UDP_LENGTH_AT) == p->length - p->ip_bytes &&
         (partial || load_be16(transport + UDP_CHECKSUM_AT) != 0); /* 0 = no checksum: merging would add one */
}

/* Would segmentation give this packet's IP header from the group's? */
static bool ip_header_fits(const struct group *g, const struct packet *p) {
  const uint8_t *a = g->first.bytes, *b = p->bytes;
  if (p->version == 6) return memcmp(a, b, 4) == 0 && a[IP6_NEXT_AT + 1] == b[IP6_NEXT_AT + 1]; /* last: hop limit */
  if (a[1] != b[1] || a[IP4_TTL_AT] != b[IP4_TTL_AT]) return false;
  uint16_t flags = load_be16(b + IP4_FRAGMENT_AT);
  if (load_be16(a + IP4_FRAGMENT_AT) != flags) return false;
  return flags & IP4_DF || load_be16(b + IP4_ID_AT) == (uint16_t)(load_be16(a + IP4_ID_AT) + g->count);
}

static bool tcp_header_fits(const struct group *g, const struct packet *p) {
  const uint8_t *a = packet_transport(&g->first), *b = packet_transport(p);
  size_t options = (size_t)(p->header_bytes - p->ip_bytes - TCP_HEADER);
  return load_be32(b + TCP_SEQUENCE_AT) == g->next_sequence && memcmp(a + TCP_ACK_AT, b + TCP_ACK_AT, 4) == 0 &&
         memcmp(a + TCP_FLAGS_AT + 1, b + TCP_FLAGS_AT + 1, 2) == 0 && /* window */
         memcmp(a + TCP_URGENT_AT, b + TCP_URGENT_AT, 2 + options) == 0;
}

static bool fits_group(const struct group *g, const struct packet *p) {
  bool tcp = p->protocol == PROTOCOL_TCP;
  uint32_t payload = p->length - p->header_bytes;
  return !g->closed && g->count < (tcp ? TCP_SEGMENTS_MAX : UDP_SEGMENTS_MAX) && payload <= g->segment_bytes &&
         g->merged_bytes + payload <= MERGED_BYTES_MAX && p->header_bytes == g->first.header_bytes &&
         ip_header_fits(g, p) && (!tcp || tcp_header_fits(g, p));
}

/* A merged packet gets new checksums, which would hide an error that is already there. */
static bool checksums_good(const struct packet *p, bool partial) {
  if (p->version == 4 && checksum_fold(p->bytes, IP4_HEADER, 0) != CHECKSUM_GOOD) return false;
  if (partial) return true;
  uint32_t transport_bytes = p->length - p->ip_bytes;
  uint32_t pseudo = checksum_pseudo(p->bytes, p->version, p->protocol, transport_bytes);
  return checksum_fold(packet_transport(p), transport_bytes, pseudo) == CHECKSUM_GOOD;
}

static void append(struct group *g, const struct packet *p, int index) {
  uint32_t payload = p->length - p->header_bytes;
  g->rows[g->count] = (uint16_t)index;
  g->parts[++g->count] = (struct iovec){(uint8_t *)p->bytes + p->header_bytes, payload};
  g->merged_bytes += payload;
  g->next_sequence += payload;
  g->pushed = p->protocol == PROTOCOL_TCP && packet_transport(p)[TCP_FLAGS_AT] & TCP_FLAG_PSH;
  g->closed = g->pushed || payload < g->segment_bytes;
}

static void open_group(struct coalescer *c, const struct packet *p, int index, uint32_t hash) {
  if (c->open == GROUPS) flush_group(c, 0);
  uint8_t slot = c->order[c->open++];
  struct group *g = &c->groups[slot];
  c->hashes[slot] = hash;
  g->first = *p;
  g->merged_bytes = p->header_bytes;
  g->segment_bytes = p->length - p->header_bytes;
  if (p->protocol == PROTOCOL_TCP) g->next_sequence = load_be32(packet_transport(p) + TCP_SEQUENCE_AT);
  g->count = 0;
  g->verified = false;
  append(g, p, index);
}

/* Puts a candidate into its flow's group, or the group out and the candidate into the next. */
static void place_candidate(struct coalescer *c, const struct packet *p, int index) {
  uint32_t hash = flow_hash(p);
  int place = find_group(c, p, hash);
  if (place >= 0) {
    struct group *g = &c->groups[c->order[place]];
    bool fits = fits_group(g, p);
    if (fits && !g->verified) {
      g->verified = fits = checksums_good(&g->first, row_is_partial(out_row(c, g->rows[0])));
      if (!fits) c->engine->stats[STAT_BAD_CHECKSUM]++;
    }
    bool good = !fits || checksums_good(p, row_is_partial(out_row(c, index)));
    if (fits && good) {
      append(g, p, index);
      return;
    }
    flush_group(c, place);
    if (!good) {
      c->engine->stats[STAT_BAD_CHECKSUM]++;
      write_row(c, index);
      return;
    }
  }
  open_group(c, p, index, hash);
}

static void place_row(struct coalescer *c, int index) {
  int32_t *row = out_row(c, index);
  row[ROW_RESULT] = 0;
  if (!row_in_pool(c->engine, row)) {
    fail_row(c, index, ROW_BAD);
    return;
  }
  struct packet packet = packet_parse(c->engine->pool + row[ROW_OFFSET], (uint32_t)row[ROW_LENGTH]);
  if (is_candidate(c, &packet, row)) {
    place_candidate(c, &packet, index);
  } else {
    flush_before(c, &packet);
    write_row(c, index);
  }
}

int tun_send(struct engine *e, int link, int count) {
  struct coalescer *c = e->coalescer;
  c->link = &e->links[link];
  c->failed = 0;
  for (int i = 0; i < count; i++) {
    if (out_row(c, i)[ROW_LENGTH] != 0) place_row(c, i);
  }
  while (c->open > 0) flush_group(c, 0);
  return c->failed;
}
