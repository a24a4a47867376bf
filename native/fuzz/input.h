/* Reads a fuzzer's bytes as numbers and runs of bytes; past the end come zeros. */
#ifndef WEFT_FUZZ_INPUT_H
#define WEFT_FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct input {
  const uint8_t *bytes;
  size_t left;
};

static inline uint8_t take_byte(struct input *in) {
  if (in->left == 0) return 0;
  in->left--;
  return *in->bytes++;
}

static inline int take_word(struct input *in) {
  int high = take_byte(in);
  return high << 8 | take_byte(in);
}

/* Copies at most `length` bytes; how many there were. */
static inline int take_bytes(struct input *in, uint8_t *to, int length) {
  size_t bytes = in->left < (size_t)length ? in->left : (size_t)length;
  memcpy(to, in->bytes, bytes);
  in->bytes += bytes;
  in->left -= bytes;
  return (int)bytes;
}

/* Fails the target: the input is kept and printed. */
#define REQUIRE(truth)              \
  do {                              \
    if (!(truth)) __builtin_trap(); \
  } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

#endif
