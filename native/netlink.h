/* What the kernel announces of links, addresses, routes, rules and nftables (netlink.c). Control thread only. */
#ifndef WEFT_NETLINK_H
#define WEFT_NETLINK_H

#include <stdint.h>

#include "layout.h"

/* Non-blocking sockets that hear of every change in this network namespace from now on: of links, addresses, routes and
 * rules (rtnetlink), or of nftables. fd or -errno (EPROTONOSUPPORT: a kernel without nftables). */
int netlink_open_routing(void);
int netlink_open_firewall(void);
/* Rows (enum weft_news) of what was announced, without waiting; an ABOUT_LOST row stands for news that did not fit, here or
 * in the socket's buffer. Count, 0 when there is nothing, or -errno. */
int netlink_receive(int fd, int32_t *rows, int row_count);

#endif
