/* One super-packet (super.c): what its headers say, and the headers of each segment cut from it. segment.c cuts. */
#ifndef WEFT_SUPER_H
#define WEFT_SUPER_H

#include <stdbool.h>
#include <stdint.h>

#define SUPER_HEADER_MAX 192 /* encapsulation, IP and transport header */
#define SUPER_SEGMENTS_MAX 512

struct super {
  bool v4, tcp;
  int ip; /* offsets in the header block: inner IP header, transport header */
  int transport;
  int header_bytes;
  uint8_t *payload;
  int payload_bytes;
  int segment_bytes; /* payload of every segment but the last */
  unsigned id;       /* fields that differ per segment are zero in the block and its sums */
  uint32_t sequence;
  unsigned flags;
  uint32_t ip_sum;
  uint32_t transport_sum; /* with the pseudo header, without its length */
  uint8_t block[SUPER_HEADER_MAX];
};

/* Reads the packet of a row with this gso type (without GSO_ECN); the row's bounds have been checked. False: its fields do not fit it. */
bool super_parse(struct super *p, const int32_t *row, uint8_t *packet, int type);
/* Fills the block: the headers common to all segments, with zeros where they differ, and the sums over them. */
void super_prepare(struct super *p, const uint8_t *packet);
/* Writes header_bytes to `block`: the headers of segment `index`, whose payload is `slice` bytes from `at` on. */
void super_write_block(const struct super *p, uint8_t *block, int index, int at, int slice);

#endif
