/* What every seal has in common on the way in: one message may hold many datagrams, each of which opens or does not. */
#include "seal.h"

#include "layout.h"

_Static_assert(SEAL_LEAD_BYTES <= SLOT_HEADROOM, "the first datagram of a slot has its lead");

void seal_open_message(struct seal *seal, uint8_t *message, int length, int stride) {
  if (stride <= 0 || stride > length) stride = length;
  for (int at = 0; at < length; at += stride) {
    int bytes = length - at < stride ? length - at : stride;
    if (seal->open(seal, message + at, bytes) < 0) message[at] = SEAL_UNOPENED;
  }
}
