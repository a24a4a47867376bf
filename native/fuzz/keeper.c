/*
 * A message to weft-keeper, whatever it is: what is understood has a name that LISTEN_FDNAMES can hold, and is understood the same way when
 * it is written anew.
 */
#include <stdio.h>
#include <string.h>

#include "../keeper/notification.h"
#include "input.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
  struct notification wish, again;
  if (!notification_read((const char *)bytes, length, &wish)) return 0;
  REQUIRE(is_name(wish.name, strlen(wish.name)));
  char text[256];
  int written = snprintf(text, sizeof text, "%s%s%s%sFDNAME=%s", wish.stores ? "FDSTORE=1\n" : "",
                         wish.removes ? "FDSTOREREMOVE=1\n" : "", wish.fetches ? ASK_FETCH "\n" : "",
                         wish.drops ? ASK_DROP "\n" : "", wish.name);
  REQUIRE(notification_read(text, (size_t)written, &again));
  REQUIRE(wish.stores == again.stores && wish.removes == again.removes && wish.fetches == again.fetches);
  REQUIRE(wish.drops == again.drops && strcmp(wish.name, again.name) == 0);
  return 0;
}
