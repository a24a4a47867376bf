#include "text.h"

#include <stdio.h>
#include <string.h>

static char printable_byte(char byte) {
  if (byte == '\n' || byte == '\r' || byte == '\t') return ' ';
  if (byte < ' ' || byte > '~') return '?';
  return byte;
}

void printable(char *to, size_t size, struct slice from) {
  size_t length = from.length < size ? from.length : size - 1;
  for (size_t i = 0; i < length; i++) to[i] = printable_byte(from.at[i]);
  to[length] = 0;
}

struct quote quote_slice(struct slice foreign) {
  struct quote result;
  char text[sizeof result.text - sizeof "\"...\""];
  printable(text, sizeof text, foreign);
  snprintf(result.text, sizeof result.text, "\"%s%s\"", text, foreign.length >= sizeof text ? "..." : "");
  return result;
}

struct quote quote(const char *foreign) {
  return quote_slice((struct slice){foreign, strlen(foreign)});
}

bool slice_is(struct slice slice, const char *text) {
  return slice.length == strlen(text) && memcmp(slice.at, text, slice.length) == 0;
}

static bool is_alphanumeric(char byte) {
  return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9');
}

bool is_cni_name(const char *text) {
  if (!is_alphanumeric(*text)) return false;
  for (; *text; text++)
    if (!is_alphanumeric(*text) && !strchr("_.-", *text)) return false;
  return true;
}
