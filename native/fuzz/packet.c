/* packet_parse over any bytes: never past the end, and what it says of the headers holds. */
#include <stdlib.h>

#include "../packet.h"
#include "input.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
  uint8_t *copy = malloc(length ? length : 1); /* of its own: a byte too far is seen */
  memcpy(copy, bytes, length);
  struct packet p = packet_parse(copy, (uint32_t)length);
  if (p.version) {
    REQUIRE(p.ip_bytes >= IP4_HEADER && p.ip_bytes <= length);
    REQUIRE(packet_ip_length(&p) <= UINT16_MAX + IP6_HEADER);
  }
  if (p.protocol) {
    REQUIRE(p.protocol == PROTOCOL_TCP || p.protocol == PROTOCOL_UDP);
    REQUIRE(p.header_bytes > p.ip_bytes && p.header_bytes <= length && p.header_bytes <= HEADERS_MAX);
#ifdef PLANTED_BUG /* the payload's first byte, without asking whether there is one */
    volatile uint8_t first = p.bytes[p.header_bytes];
    (void)first;
#endif
  }
  free(copy);
  return 0;
}
