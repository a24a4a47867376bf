#include "rows.h"

#include <sanitizer/asan_interface.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "../checksum.h"
#include "../coalesce.h"
#include "../gso.h"
#include "../packet.h"
#include "../seal.h"
#include "../segment.h"
#include "../tunnel.h"
#include "../udp.h"

#define ROWS 8

/* What a row asked for, and what of it was seen. */
struct expectation {
  int segment_bytes; /* 0: one datagram as it is */
  int transport;     /* offsets in each datagram: transport header, payload */
  int header_bytes;
  int payload_bytes;
  int encapsulation_bytes;
  int seen_bytes;
};

static struct expectation expected[ROWS];
static int last_row[16]; /* by peer and socket: order */

/* ---- the engine ---- */

struct engine *fuzz_engine(void) {
  static struct engine e;
  if (e.pool) return &e;
  e.pool_bytes = (size_t)POOL_SLOTS * SLOT_STRIDE;
  e.pool = calloc(1, e.pool_bytes);
  e.tun_in = calloc(TUN_IN_ROWS * ROW_INTS, sizeof(int32_t));
  e.udp_in = calloc(UDP_IN_ROWS * ROW_INTS, sizeof(int32_t));
  e.tun_out = calloc(TUN_OUT_ROWS * ROW_INTS, sizeof(int32_t));
  e.stats = calloc(STAT_COUNT, sizeof(double));
  e.links[0] = (struct link){.family = AF_INET, .tap_fd = -1, .send_fd_count = 2};
  e.link_count = 1;
  REQUIRE(segmenter_create(&e) == 0 && coalescer_create(&e) == 0);
  return &e;
}

/* ---- filling ---- */

/* Lengths, type and checksum columns that fit the packet, so that more than the gate is reached; `start` may be the input's. */
static void make_consistent(int32_t *row, uint8_t *inner, int inner_bytes, bool fix_start) {
  struct packet p = packet_parse(inner, (uint32_t)inner_bytes);
  if (!p.protocol) return;
  if (p.version == 4) store_be16(inner + IP4_LENGTH_AT, (uint32_t)inner_bytes);
  else store_be16(inner + IP6_LENGTH_AT, (uint32_t)inner_bytes - IP6_HEADER);
  bool tcp = p.protocol == PROTOCOL_TCP;
  int type = row[ROW_GSO] & 0xff;
  if (type != GSO_NONE) type = tcp ? p.version == 4 ? GSO_TCP4 : GSO_TCP6 : GSO_UDP_L4;
  row[ROW_GSO] = type | GSO_FLAG_NEEDS_CSUM;
  if (fix_start) row[ROW_CSUM_START] = p.ip_bytes;
  row[ROW_CSUM_OFFSET] = tcp ? TCP_CHECKSUM_AT : UDP_CHECKSUM_AT;
}

static void fill_row(struct engine *e, int index, struct input *in) {
  static const uint8_t types[] = {GSO_NONE,           GSO_TCP4, GSO_TCP6, GSO_UDP_L4,
                                  GSO_TCP4 | GSO_ECN, 3,        GSO_NONE, GSO_UDP_L4};
  int32_t *row = row_at(e->tun_in, index);
  memset(row, 0, ROW_INTS * sizeof *row);
  uint8_t flags = take_byte(in), choice = take_byte(in);
  int header_bytes = take_byte(in) % (SLOT_HEADROOM + 1), repeat = flags & 0x80 ? 1 + take_byte(in) : 1;
  row[ROW_GSO] = types[choice & 7] | (choice & 8 ? GSO_FLAG_NEEDS_CSUM : 0) | (choice & 16 ? ROW_GSO_TUNNEL : 0);
  row[ROW_GSO_SIZE] = take_word(in) & 0x0fff;
  row[ROW_CSUM_START] = take_byte(in);
  row[ROW_CSUM_OFFSET] = take_byte(in);
  row[ROW_PEER] = flags & 3;
  row[ROW_SOCKET] = flags >> 2 & 1;
  row[ROW_TOS] = flags & 8 ? 2 : 0;
  row[ROW_PORT] = 8472;
  row[ROW_ADDRESS + 2] = 0xffff;
  uint8_t *slot = e->pool + slot_offset(index);
  ASAN_UNPOISON_MEMORY_REGION(slot - SLOT_HEADROOM, SLOT_STRIDE);
  int length = take_bytes(in, slot, take_word(in) & 0x3fff);
  int last = length; /* the payload may be far longer than the input */
  for (; repeat > 1 && last > 0 && length + last <= SLOT_PAYLOAD; repeat--, length += last)
    memcpy(slot + length, slot, (size_t)last);
  row[ROW_OFFSET] = slot_offset(index) - header_bytes;
  row[ROW_LENGTH] = length + header_bytes;
  row[ROW_HEADER_BYTES] = header_bytes;
  if (!(flags & 16)) make_consistent(row, slot, length, !(flags & 32));
  ASAN_POISON_MEMORY_REGION(slot + length, (size_t)(SLOT_PAYLOAD - length));
}

static void expect(struct engine *e, int index) {
  const int32_t *row = row_at(e->tun_in, index);
  const uint8_t *inner = e->pool + row[ROW_OFFSET] + row[ROW_HEADER_BYTES];
  int start = row[ROW_CSUM_START], inner_bytes = row[ROW_LENGTH] - row[ROW_HEADER_BYTES];
  /* There is no TAP: outer headers are left out. */
  int encapsulation = row[ROW_HEADER_BYTES] - (row[ROW_GSO] & ROW_GSO_TUNNEL ? tunnel_outer_bytes(AF_INET) : 0);
  expected[index] =
      (struct expectation){.payload_bytes = encapsulation + inner_bytes, .encapsulation_bytes = encapsulation};
  if ((row[ROW_GSO] & 0xff & ~GSO_ECN) == GSO_NONE) return;
  bool udp = (row[ROW_GSO] & 0xff) == GSO_UDP_L4;
  if (start + (udp ? UDP_HEADER : TCP_HEADER) > inner_bytes) return; /* will be refused */
  expected[index].segment_bytes = row[ROW_GSO_SIZE];
  expected[index].transport = encapsulation + start;
  expected[index].header_bytes = encapsulation + start + (udp ? UDP_HEADER : (inner[start + TCP_OFFSET_AT] >> 4) * 4);
  expected[index].payload_bytes = encapsulation + inner_bytes - expected[index].header_bytes;
}

/* ---- checking ---- */

static void check_segment(const struct expectation *x, const uint8_t *bytes, int length) {
  struct packet p = packet_parse(bytes + x->encapsulation_bytes, (uint32_t)(length - x->encapsulation_bytes));
  REQUIRE(p.version && packet_ip_length(&p) == p.length);
  if (!p.protocol || p.ip_bytes + x->encapsulation_bytes != x->transport) return; /* behind extension headers */
  if (p.version == 4) REQUIRE(checksum_fold(p.bytes, p.ip_bytes, 0) == UINT16_MAX);
  uint32_t transport_bytes = p.length - p.ip_bytes;
  uint32_t pseudo = checksum_pseudo(p.bytes, p.version, p.protocol, transport_bytes);
  REQUIRE(checksum_fold(packet_transport(&p), transport_bytes, pseudo) == UINT16_MAX);
}

static void check_datagram(const struct message *m, int index, const uint8_t *bytes, int length) {
  int row = m->rows[index], *last = &last_row[(m->peer & 3) * 2 + m->socket];
  REQUIRE(row < ROWS && row >= *last);
  *last = row;
  struct expectation *x = &expected[row];
  if (x->segment_bytes == 0) {
    x->seen_bytes += length;
    return;
  }
  check_segment(x, bytes, length);
  x->seen_bytes += length - x->header_bytes;
}

/* As the receiver would: opened where it lies, of a sealed one the padding is dropped. */
static void open_and_check(struct seal *seal, const struct message *m, int index, const uint8_t *bytes, int length) {
  const struct expectation *x = &expected[m->rows[index]];
  static uint8_t copy[SEAL_LEAD_BYTES + SLOT_STRIDE + SEAL_TAIL_MAX];
  memcpy(copy + SEAL_LEAD_BYTES, bytes, (size_t)length);
  REQUIRE(seal->open(seal, copy + SEAL_LEAD_BYTES, length) == 0);
  int left = x->payload_bytes - x->seen_bytes;
  int plain =
      x->segment_bytes == 0 ? x->payload_bytes : x->header_bytes + (left < x->segment_bytes ? left : x->segment_bytes);
  REQUIRE(plain <= length && length <= plain + seal->tail_bytes);
  check_datagram(m, index, copy + SEAL_LEAD_BYTES, plain);
}

static int gather(const struct message *m, int *part, uint8_t *to, int datagram_bytes) {
  int bytes = 0;
  while (*part < m->part_count && bytes < datagram_bytes) {
    const struct iovec *v = &m->parts[(*part)++];
    memcpy(to + bytes, v->iov_base, v->iov_len);
    bytes += (int)v->iov_len;
  }
  return bytes;
}

/* In the place of udp_flush. */
void __wrap_udp_flush(struct engine *e, struct link *link, struct outbox *out, struct message *messages, int count);

void __wrap_udp_flush(struct engine *e, struct link *link, struct outbox *out, struct message *messages, int count) {
  static uint8_t datagram[SLOT_STRIDE + SEAL_TAIL_MAX];
  (void)e, (void)out;
  REQUIRE(count <= MESSAGES_MAX);
  for (const struct message *m = messages; m < messages + count; m++) {
    int part = 0, total = 0;
    REQUIRE(m->datagram_count > 0 && m->datagram_count <= MESSAGE_DATAGRAMS);
    REQUIRE(m->datagram_count == 1 || m->bytes <= MESSAGE_BYTES);
    for (int i = 0; i < m->datagram_count; i++) {
      int length = gather(m, &part, datagram, m->datagram_bytes);
      REQUIRE(length == m->datagram_bytes || (i == m->datagram_count - 1 && length < m->datagram_bytes));
      if (link->seal) open_and_check(link->seal, m, i, datagram, length);
      else check_datagram(m, i, datagram, length);
      total += length;
    }
    REQUIRE(part == m->part_count && total == m->bytes);
  }
}

void send_rows(struct engine *e, struct input *in) {
  uint8_t features = take_byte(in);
  e->links[0].features = (features & 1 ? 0 : FEATURE_UDP_GSO) | (features & 2 ? 0 : FEATURE_PACK) | FEATURE_BATCH;
  int count = 0;
  for (; count < ROWS && in->left > 0; count++) {
    fill_row(e, count, in);
    expect(e, count);
  }
  memset(last_row, 0, sizeof last_row);
  int failed = udp_send(e, 0, count), refused = 0;
  for (int i = 0; i < count; i++) {
    const int32_t *row = row_at(e->tun_in, i);
    if (row[ROW_LENGTH] == 0) continue;
    refused += row[ROW_RESULT] != 0;
    if (row[ROW_RESULT] == 0) REQUIRE(expected[i].seen_bytes == expected[i].payload_bytes);
  }
  REQUIRE(failed == refused);
}
