/*
 * Reading IPv4, IPv6, TCP and UDP headers out of bytes that nobody vouches for: every load is a byte load (any
 * alignment), and packet_parse never looks past `length`.
 */
#ifndef WEFT_PACKET_H
#define WEFT_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROTOCOL_TCP 6
#define PROTOCOL_UDP 17

#define IP4_HEADER 20 /* without options */
#define IP6_HEADER 40
#define TCP_HEADER 20 /* without options */
#define UDP_HEADER 8
#define HEADERS_MAX (60 + 60) /* IPv4 with options, TCP with options */

#define IP4_LENGTH_AT 2
#define IP4_ID_AT 4
#define IP4_FRAGMENT_AT 6
#define IP4_TTL_AT 8
#define IP4_PROTOCOL_AT 9
#define IP4_CHECKSUM_AT 10
#define IP4_ADDRESSES_AT 12
#define IP4_DF 0x4000
#define IP4_FRAGMENT_MASK 0x3fff /* more-fragments bit and offset */

#define IP6_LENGTH_AT 4
#define IP6_NEXT_AT 6
#define IP6_ADDRESSES_AT 8

#define TCP_SEQUENCE_AT 4
#define TCP_ACK_AT 8
#define TCP_OFFSET_AT 12
#define TCP_FLAGS_AT 13
#define TCP_CHECKSUM_AT 16
#define TCP_URGENT_AT 18 /* the options follow */
#define TCP_FLAG_FIN 0x01
#define TCP_FLAG_PSH 0x08
#define TCP_FLAG_ACK 0x10
#define TCP_FLAG_CWR 0x80

#define UDP_LENGTH_AT 4
#define UDP_CHECKSUM_AT 6

static inline uint16_t load_be16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }

static inline uint32_t load_be32(const uint8_t *p) {
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void store_be16(uint8_t *p, uint32_t value) {
  p[0] = (uint8_t)(value >> 8);
  p[1] = (uint8_t)value;
}

static inline void store_be32(uint8_t *p, uint32_t value) {
  store_be16(p, value >> 16);
  store_be16(p + 2, value);
}

/* What packet_parse found. */
struct packet {
  const uint8_t *bytes;
  uint32_t length;
  uint8_t version;       /* 4 or 6; 0 = no complete IP header */
  uint8_t protocol;      /* TCP or UDP when the whole transport header is there; 0 = anything else, fragments too */
  uint16_t ip_bytes;     /* IP header with options */
  uint16_t header_bytes; /* IP and transport header with options; only when protocol is not 0 */
};

/* Bytes of the transport header at p, of which `left` may be read; 0 = incomplete or nonsense. */
static inline uint32_t transport_header_bytes(const uint8_t *p, uint32_t left, uint8_t protocol) {
  if (protocol == PROTOCOL_UDP) return left >= UDP_HEADER ? UDP_HEADER : 0;
  if (protocol != PROTOCOL_TCP || left < TCP_HEADER) return 0;
  uint32_t bytes = (uint32_t)(p[TCP_OFFSET_AT] >> 4) * 4;
  return bytes >= TCP_HEADER && bytes <= left ? bytes : 0;
}

static inline struct packet packet_parse(const uint8_t *bytes, uint32_t length) {
  struct packet packet = {.bytes = bytes, .length = length};
  uint8_t protocol;
  if (length >= IP4_HEADER && bytes[0] >> 4 == 4) {
    uint32_t ip_bytes = (uint32_t)(bytes[0] & 15) * 4;
    if (ip_bytes < IP4_HEADER || ip_bytes > length) return packet;
    packet.version = 4;
    packet.ip_bytes = (uint16_t)ip_bytes;
    if (load_be16(bytes + IP4_FRAGMENT_AT) & IP4_FRAGMENT_MASK) return packet;
    protocol = bytes[IP4_PROTOCOL_AT];
  } else if (length >= IP6_HEADER && bytes[0] >> 4 == 6) {
    packet.version = 6;
    packet.ip_bytes = IP6_HEADER;
    protocol = bytes[IP6_NEXT_AT];
  } else {
    return packet;
  }
  uint32_t transport = transport_header_bytes(bytes + packet.ip_bytes, length - packet.ip_bytes, protocol);
  if (transport) {
    packet.protocol = protocol;
    packet.header_bytes = (uint16_t)(packet.ip_bytes + transport);
  }
  return packet;
}

static inline const uint8_t *packet_transport(const struct packet *packet) { return packet->bytes + packet->ip_bytes; }

/* Length the IP header claims, header included. */
static inline uint32_t packet_ip_length(const struct packet *packet) {
  if (packet->version == 4) return load_be16(packet->bytes + IP4_LENGTH_AT);
  return load_be16(packet->bytes + IP6_LENGTH_AT) + (uint32_t)IP6_HEADER;
}

#endif
