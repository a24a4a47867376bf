/* RFC 1071 sums (checksum.c). */
#ifndef WEFT_CHECKSUM_H
#define WEFT_CHECKSUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One's complement sum of bytes, folded to 16 bits, not complemented, in network byte order as a host number
 * (that is: sum of big-endian 16-bit words); an odd last byte counts as the high half. `seed` is added. */
uint16_t checksum_fold(const void *bytes, size_t length, uint32_t seed);
/* Sum of the pseudo header, not folded: addresses (4 or 16 bytes each), protocol, transport length. */
uint32_t checksum_pseudo(const uint8_t *ip, int version, uint8_t protocol, uint32_t transport_bytes);
/* A sum of 16-bit words in 32 bits, folded to 16. */
static inline uint16_t checksum_narrow(uint32_t sum) {
  sum = (sum & 0xffff) + (sum >> 16);
  return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

/* The field of TCP or UDP for this sum. 0xffff stands for 0: UDP needs it, TCP does not mind (both are zero in one's complement). */
static inline uint16_t checksum_finish(uint32_t sum) {
  uint16_t checksum = (uint16_t)~checksum_narrow(sum);
  return checksum ? checksum : 0xffff;
}

/* Which implementation runs: "avx2", "sse2", "neon" or "portable". */
const char *checksum_name(void);
/* Forces one for all threads (tests); false where the CPU lacks it. */
bool checksum_select(const char *name);

#endif
