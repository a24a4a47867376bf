/*
 * A seal with the shape of a real one and none of its strength: a counter, padding to 16 bytes, a key block made in the lead, a tag.
 * Closed: (header, packet, zeros up to a multiple of 16) XOR key block, counter (8 bytes), tag (8 bytes).
 */
#include "test-seal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAD 16
#define NUMBER_BYTES 8
#define TAIL_BYTES (PAD - 1 + 2 * NUMBER_BYTES)

_Static_assert(TAIL_BYTES <= SEAL_TAIL_MAX, "the tail of the contract");

struct test_seal {
  struct seal seal;
  uint64_t key;
  uint64_t counter;
};

static uint64_t mix(uint64_t state, uint64_t value) {
  state = (state ^ value) * 0x9e3779b97f4a7c15u;
  return state ^ state >> 29;
}

static uint64_t load(const uint8_t *bytes) {
  uint64_t number;
  memcpy(&number, bytes, sizeof number);
  return number;
}

static void store(uint8_t *bytes, uint64_t number) { memcpy(bytes, &number, sizeof number); }

static void apply_key_block(uint8_t *block, uint64_t key, uint64_t counter, uint8_t *bytes, int length) {
  for (int i = 0; i < SEAL_LEAD_BYTES; i += NUMBER_BYTES) store(block + i, key = mix(key, counter));
  for (int i = 0; i < length; i++) bytes[i] ^= block[i % SEAL_LEAD_BYTES];
}

static uint64_t tag_of(uint64_t key, uint64_t counter, const uint8_t *bytes, int length) {
  uint64_t tag = mix(key, counter);
  for (int i = 0; i < length; i += NUMBER_BYTES) tag = mix(tag, load(bytes + i));
  return mix(tag, (uint64_t)length);
}

static int close_datagram(struct seal *seal, int peer, const struct iovec *parts, int part_count, uint8_t *out) {
  struct test_seal *self = (struct test_seal *)seal;
  if (peer == TEST_SEAL_KEYLESS_PEER) return -ENOKEY;
  int length = 0;
  for (int i = 0; i < part_count; i++) {
    memcpy(out + length, parts[i].iov_base, parts[i].iov_len);
    length += (int)parts[i].iov_len;
  }
  while (length % PAD) out[length++] = 0;
  uint64_t counter = self->counter++;
  store(out + length, counter);
  store(out + length + NUMBER_BYTES, tag_of(self->key, counter, out, length));
  apply_key_block(out - SEAL_LEAD_BYTES, self->key, counter, out, length);
  return length + 2 * NUMBER_BYTES;
}

static int open_datagram(struct seal *seal, uint8_t *datagram, int length) {
  struct test_seal *self = (struct test_seal *)seal;
  length -= 2 * NUMBER_BYTES;
  if (length < PAD || length % PAD) return -EBADMSG;
  uint64_t counter = load(datagram + length);
  uint8_t kept[SEAL_LEAD_BYTES];
  memcpy(kept, datagram - SEAL_LEAD_BYTES, sizeof kept);
  apply_key_block(datagram - SEAL_LEAD_BYTES, self->key, counter, datagram, length);
  memcpy(datagram - SEAL_LEAD_BYTES, kept, sizeof kept);
  return tag_of(self->key, counter, datagram, length) == load(datagram + length + NUMBER_BYTES) ? 0 : -EBADMSG;
}

static void destroy_seal(struct seal *seal) { free(seal); }

struct seal *test_seal_create(uint32_t key) {
  struct test_seal *self = calloc(1, sizeof *self);
  if (!self) return NULL;
  self->seal = (struct seal){TAIL_BYTES, close_datagram, open_datagram, destroy_seal};
  self->key = mix(1, key);
  return &self->seal;
}
