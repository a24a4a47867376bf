/* Rows over any bytes through segmentation (super_parse and all): what leaves is whole and right. */
#include "rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
  struct input in = {bytes, length};
  send_rows(fuzz_engine(), &in);
  return 0;
}
