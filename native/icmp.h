/* ICMP errors that a worker sends to those whose packets it can't forward (icmp.c). */
#ifndef WEFT_ICMP_H
#define WEFT_ICMP_H

#include "rows.h"

/* A non-blocking raw socket that sends whole IP packets of this family and receives none. fd or -errno (EPERM: no CAP_NET_RAW). */
int icmp_open(int family);
/* Sends one whole IPv4 or IPv6 packet of the pool to its own destination, as the host's own. 0 or -errno; never waits. */
int icmp_send(const struct engine *e, int fd, int32_t offset, int32_t length);

#endif
