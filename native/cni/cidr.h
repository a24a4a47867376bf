/* Addresses with a prefix length, as "10.244.5.0/24". */
#ifndef WEFT_CNI_CIDR_H
#define WEFT_CNI_CIDR_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>

#include "text.h"

struct cidr {
  int family; /* AF_INET, AF_INET6; 0: none */
  int prefix;
  uint8_t address[16];
};

struct cidr_text {
  char text[INET6_ADDRSTRLEN + sizeof "/128"];
};

/* Reads an address of the family and reduces it to its network. False: it is none. */
bool cidr_parse(struct slice text, int family, struct cidr *to);

struct cidr_text cidr_text(const struct cidr *cidr);

#endif
