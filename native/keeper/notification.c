#include "notification.h"

#include <string.h>

struct line {
  const char *at;
  size_t length;
};

static bool line_is(struct line line, const char *text) {
  return line.length == strlen(text) && memcmp(line.at, text, line.length) == 0;
}

bool is_name(const char *text, size_t length) {
  if (length == 0 || length >= NAME_BYTES) return false;
  for (size_t i = 0; i < length; i++)
    if (text[i] <= ' ' || text[i] > '~' || text[i] == ':') return false;
  return true;
}

/* Words that we don't know are no mistake: systemd has more of them than we need. */
static bool read_line(struct line line, struct notification *result) {
  static const char name[] = "FDNAME=";
  const size_t key = sizeof name - 1;
  if (line_is(line, "FDSTORE=1")) result->stores = true;
  else if (line_is(line, "FDSTOREREMOVE=1")) result->removes = true;
  else if (line_is(line, ASK_FETCH)) result->fetches = true;
  else if (line_is(line, ASK_DROP)) result->drops = true;
  else if (line.length >= key && memcmp(line.at, name, key) == 0) {
    if (!is_name(line.at + key, line.length - key)) return false;
    memcpy(result->name, line.at + key, line.length - key);
    result->name[line.length - key] = 0;
  }
  return true;
}

bool notification_read(const char *text, size_t length, struct notification *result) {
  *result = (struct notification){.name = "stored"};
  if (memchr(text, 0, length)) return false;
  const char *end = text + length;
  while (text < end) {
    const char *stop = memchr(text, '\n', (size_t)(end - text));
    if (!stop) stop = end;
    if (!read_line((struct line){text, (size_t)(stop - text)}, result)) return false;
    text = stop + 1;
  }
  return true;
}
