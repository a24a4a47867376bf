/* Reading a super-packet's headers. Stages: parse, prepare what all share. One segment's own: super.h. */
#include "super.h"

#include <netinet/in.h>
#include <string.h>

#include "checksum.h"
#include "gso.h"
#include "layout.h"
#include "packet.h"

_Static_assert(SUPER_HEADER_MAX >= SLOT_HEADROOM + IP4_HEADER + TCP_HEADER, "what the headroom holds fits a block");

static bool parse_ip(struct super *p, const uint8_t *inner, int inner_bytes, int start) {
  int version = inner[0] >> 4;
  p->v4 = version == 4;
  if (version == 4) {
    int ihl = (inner[0] & 15) * 4;
    return ihl >= IP4_HEADER && start == ihl && load_be16(inner + IP4_LENGTH_AT) == inner_bytes &&
           inner[IP4_PROTOCOL_AT] == (p->tcp ? IPPROTO_TCP : IPPROTO_UDP);
  }
  return version == 6 && start >= IP6_HEADER && inner_bytes >= IP6_HEADER &&
         load_be16(inner + IP6_LENGTH_AT) + IP6_HEADER == inner_bytes;
}

bool super_parse(struct super *p, const int32_t *row, uint8_t *packet, int type) {
  int encapsulation = row[ROW_HEADER_BYTES], start = row[ROW_CSUM_START];
  uint8_t *inner = packet + encapsulation;
  int inner_bytes = row[ROW_LENGTH] - encapsulation;
  p->tcp = type != GSO_UDP_L4;
  int least_bytes = p->tcp ? TCP_HEADER : UDP_HEADER;
  if (start < IP4_HEADER || start > SUPER_HEADER_MAX || start + least_bytes > inner_bytes) return false;
  if (!parse_ip(p, inner, inner_bytes, start)) return false;
  if (p->tcp && p->v4 != (type == GSO_TCP4)) return false;
  int transport_bytes = p->tcp ? (inner[start + TCP_OFFSET_AT] >> 4) * 4 : UDP_HEADER;
  p->ip = encapsulation;
  p->transport = encapsulation + start;
  p->header_bytes = p->transport + transport_bytes;
  p->payload = packet + p->header_bytes;
  p->payload_bytes = row[ROW_LENGTH] - p->header_bytes;
  p->segment_bytes = row[ROW_GSO_SIZE];
  return transport_bytes >= least_bytes && p->header_bytes <= SUPER_HEADER_MAX && p->payload_bytes >= 0 &&
         p->segment_bytes > 0 && p->payload_bytes <= (int64_t)p->segment_bytes * SUPER_SEGMENTS_MAX;
}

void super_prepare(struct super *p, const uint8_t *packet) {
  memcpy(p->block, packet, (size_t)p->header_bytes);
  uint8_t *ip = p->block + p->ip, *transport = p->block + p->transport;
  if (p->v4) {
    p->id = load_be16(ip + IP4_ID_AT);
    store_be16(ip + IP4_LENGTH_AT, 0);
    store_be16(ip + IP4_ID_AT, 0);
    store_be16(ip + IP4_CHECKSUM_AT, 0);
    p->ip_sum = checksum_fold(ip, (size_t)(p->transport - p->ip), 0);
  }
  if (p->tcp) {
    p->sequence = load_be32(transport + TCP_SEQUENCE_AT);
    p->flags = transport[TCP_FLAGS_AT];
    store_be32(transport + TCP_SEQUENCE_AT, 0);
    transport[TCP_FLAGS_AT] = 0;
    store_be16(transport + TCP_CHECKSUM_AT, 0);
  } else {
    store_be16(transport + UDP_LENGTH_AT, 0);
    store_be16(transport + UDP_CHECKSUM_AT, 0);
  }
  uint32_t pseudo = checksum_pseudo(ip, p->v4 ? 4 : 6, p->tcp ? IPPROTO_TCP : IPPROTO_UDP, 0);
  p->transport_sum = checksum_fold(transport, (size_t)(p->header_bytes - p->transport), pseudo);
}
