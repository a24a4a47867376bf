#include "say.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#define SELDOM_MS 1000

void say(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("weft-keeper: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
}

void say_seldom(const char *text) {
  static long long last_ms = -SELDOM_MS;
  static int left_out;
  long long now = now_ms();
  if (now - last_ms < SELDOM_MS) {
    left_out++;
    return;
  }
  if (left_out > 0) say("%s (%d lines like this were left out)", text, left_out);
  else say("%s", text);
  last_ms = now;
  left_out = 0;
}

long long now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}
