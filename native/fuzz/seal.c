/* The same rows over a sealed link, each datagram opened again; then any bytes as a received message, in which nothing opens. */
#include "../seal.h"

#include <stdlib.h>

#include "../segment.h"
#include "../test/test-seal.h"
#include "rows.h"

/* Whatever stride is claimed: every datagram is marked, and the bytes in front are as they were. */
static void open_strange(struct seal *seal, struct input *in) {
  int stride = take_word(in);
  int length = (int)in->left;
  uint8_t *slot = malloc(SEAL_LEAD_BYTES + in->left);
  memset(slot, 0x5a, SEAL_LEAD_BYTES);
  take_bytes(in, slot + SEAL_LEAD_BYTES, length);
  seal_open_message(seal, slot + SEAL_LEAD_BYTES, length, stride);
  if (length > 0) REQUIRE(slot[SEAL_LEAD_BYTES] == SEAL_UNOPENED);
  for (int i = 0; i < SEAL_LEAD_BYTES; i++) REQUIRE(slot[i] == 0x5a);
  free(slot);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
  struct engine *e = fuzz_engine();
  struct link *link = &e->links[0];
  if (!link->seal) {
    link->seal = test_seal_create(7);
    REQUIRE(link->seal && segmenter_make_sealed(e) == 0);
  }
  struct input rows = {bytes, length}, message = {bytes, length};
  send_rows(e, &rows);
  open_strange(link->seal, &message);
  return 0;
}
