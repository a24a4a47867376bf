#include "cidr.h"

#include <stdio.h>
#include <string.h>

/* One to three digits; -1 for anything else. */
static int parse_prefix(const char *text) {
  int number = 0, digits = 0;
  for (; *text >= '0' && *text <= '9' && digits < 3; text++, digits++) number = number * 10 + (*text - '0');
  return digits > 0 && *text == 0 ? number : -1;
}

static void clear_host_bits(struct cidr *cidr) {
  int bytes = cidr->family == AF_INET ? 4 : 16;
  for (int i = 0; i < bytes; i++) {
    int bits = cidr->prefix - 8 * i; /* of this byte that belong to the network */
    if (bits < 8) cidr->address[i] &= bits > 0 ? (uint8_t)(0xff << (8 - bits)) : 0;
  }
}

bool cidr_parse(struct slice text, int family, struct cidr *to) {
  char copy[sizeof(struct cidr_text)];
  if (text.length >= sizeof copy || memchr(text.at, 0, text.length)) return false;
  memcpy(copy, text.at, text.length);
  copy[text.length] = 0;
  char *slash = strchr(copy, '/');
  if (!slash) return false;
  *slash = 0;
  *to = (struct cidr){.family = family, .prefix = parse_prefix(slash + 1)};
  if (to->prefix < 0 || to->prefix > (family == AF_INET ? 32 : 128)) return false;
  if (inet_pton(family, copy, to->address) != 1) return false;
  clear_host_bits(to);
  return true;
}

struct cidr_text cidr_text(const struct cidr *cidr) {
  struct cidr_text result;
  char address[INET6_ADDRSTRLEN];
  inet_ntop(cidr->family, cidr->address, address, sizeof address);
  snprintf(result.text, sizeof result.text, "%s/%d", address, cidr->prefix);
  return result;
}
