/* ICMP echo of the control thread (echo.c). */
#ifndef WEFT_ECHO_H
#define WEFT_ECHO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "layout.h"

struct echo_request {
  const uint8_t *address; /* 4 or 16 bytes, network order, of the socket's family */
  uint16_t identifier;
  uint16_t sequence;
  size_t payload_bytes; /* ECHO_TOKEN_BYTES..ECHO_PAYLOAD_MAX */
  const uint8_t *token; /* ECHO_TOKEN_BYTES */
};
/* A non-blocking ICMP or ICMPv6 socket bound to an address of this node. fd or -errno; *raw: false for a ping socket. */
int echo_open(int family, const uint8_t *address, bool *raw);
/* Sends one request that is never fragmented here; *sent_at_ns is CLOCK_MONOTONIC when it left.
 * 0 or -errno (EMSGSIZE: larger than the device's MTU). */
int echo_send(int fd, const struct echo_request *request, double *sent_at_ns);
/* Rows (enum weft_echo) of answers, and of ICMP errors about requests, that carry this token, without waiting. Count, or -errno. */
int echo_receive(int fd, const uint8_t *token, double *rows, int row_count);

#endif
