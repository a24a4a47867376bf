/*
 * News from the kernel (man 7 rtnetlink, linux/netfilter/nfnetlink.h): opens the sockets, turns messages into rows. Rows say
 * what kind of thing changed and whose it may be; what to do about it is decided elsewhere, after a look at the thing itself.
 */
#include "netlink.h"

#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Room for a burst: ten thousand routes that go at once are two MiB. */
#define BUFFER_BYTES (4 << 20)

#define NFT_MESSAGE(type) (NFNL_SUBSYS_NFTABLES << 8 | (type))

/* ---- opening ---- */

static int open_socket(int protocol, const int *groups, int group_count) {
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
  if (fd < 0) return -errno;
  /* Beyond net.core.rmem_max with CAP_NET_ADMIN; without it a small buffer only means more ABOUT_LOST rows. */
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &(int){BUFFER_BYTES}, sizeof(int));
  struct sockaddr_nl local = {.nl_family = AF_NETLINK};
  int error = bind(fd, (struct sockaddr *)&local, sizeof local) < 0 ? -errno : 0;
  for (int i = 0; i < group_count && error == 0; i++) {
    if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i], sizeof groups[i]) < 0) error = -errno;
  }
  if (error == 0) return fd;
  close(fd);
  return error;
}

int netlink_open_routing(void) {
  static const int groups[] = {RTNLGRP_LINK,       RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE,
                               RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE,   RTNLGRP_IPV6_RULE};
  return open_socket(NETLINK_ROUTE, groups, sizeof groups / sizeof groups[0]);
}

int netlink_open_firewall(void) { return open_socket(NETLINK_NETFILTER, &(int){NFNLGRP_NFTABLES}, 1); }

/* ---- receiving ---- */

/* The number in an attribute of a route, or 0. */
static int32_t route_attribute(const struct nlmsghdr *message, unsigned short type) {
  const struct rtmsg *route = NLMSG_DATA(message);
  int left = (int)RTM_PAYLOAD(message);
  for (const struct rtattr *each = RTM_RTA(route); RTA_OK(each, left); each = RTA_NEXT(each, left)) {
    int32_t number;
    if (each->rta_type != type || RTA_PAYLOAD(each) < sizeof number) continue;
    memcpy(&number, RTA_DATA(each), sizeof number);
    return number;
  }
  return 0;
}

static void write_row(int32_t *row, int32_t about, bool gone, int32_t device) {
  memset(row, 0, sizeof *row * NEWS_ROW_INTS);
  row[NEWS_ABOUT] = about;
  row[NEWS_GONE] = gone;
  row[NEWS_DEVICE] = device;
}

static void read_route(const struct nlmsghdr *message, int32_t *row) {
  const struct rtmsg *route = NLMSG_DATA(message);
  write_row(row, ABOUT_ROUTE, message->nlmsg_type == RTM_DELROUTE, route_attribute(message, RTA_OIF));
  row[NEWS_TABLE] = route->rtm_table == RT_TABLE_COMPAT ? route_attribute(message, RTA_TABLE) : route->rtm_table;
  row[NEWS_PROTOCOL] = route->rtm_protocol;
}

/* Neither the state of a bridge's port nor what a radio hears is news of the link itself; both come often. */
static bool is_link_news(const struct nlmsghdr *message) {
  const struct ifinfomsg *link = NLMSG_DATA(message);
  if (link->ifi_family != AF_UNSPEC) return false;
  int left = (int)IFLA_PAYLOAD(message);
  for (const struct rtattr *each = IFLA_RTA(link); RTA_OK(each, left); each = RTA_NEXT(each, left)) {
    if (each->rta_type == IFLA_WIRELESS) return false;
  }
  return true;
}

/* Whether the message is news for us; then it fills the row. */
static bool read_routing(const struct nlmsghdr *message, int32_t *row) {
  const size_t bytes = message->nlmsg_len - NLMSG_HDRLEN;
  const void *data = NLMSG_DATA(message);
  switch (message->nlmsg_type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
      if (bytes < sizeof(struct ifinfomsg) || !is_link_news(message)) return false;
      write_row(row, ABOUT_LINK, message->nlmsg_type == RTM_DELLINK, ((const struct ifinfomsg *)data)->ifi_index);
      return true;
    case RTM_NEWADDR:
    case RTM_DELADDR:
      if (bytes < sizeof(struct ifaddrmsg)) return false;
      write_row(row, ABOUT_ADDRESS, message->nlmsg_type == RTM_DELADDR,
                (int32_t)((const struct ifaddrmsg *)data)->ifa_index);
      return true;
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
      if (bytes < sizeof(struct rtmsg)) return false;
      read_route(message, row);
      return true;
    case RTM_NEWRULE:
    case RTM_DELRULE:
      write_row(row, ABOUT_RULE, message->nlmsg_type == RTM_DELRULE, 0);
      return true;
    default:
      return false;
  }
}

/* Each transaction on nftables, of iptables-nft too, ends with the message of its generation. */
static bool read_firewall(const struct nlmsghdr *message, int32_t *row) {
  if (message->nlmsg_type != NFT_MESSAGE(NFT_MSG_NEWGEN)) return false;
  write_row(row, ABOUT_FIREWALL, false, 0);
  return true;
}

/* All messages of one datagram. The number of rows filled; more than fit end in one ABOUT_LOST row. */
static int read_datagram(int protocol, const uint8_t *bytes, size_t length, int32_t *rows, int row_count) {
  int filled = 0;
  size_t left = length;
  const struct nlmsghdr *message = (const struct nlmsghdr *)bytes;
  for (; NLMSG_OK(message, left); message = NLMSG_NEXT(message, left)) {
    int32_t row[NEWS_ROW_INTS];
    const bool is_news = protocol == NETLINK_ROUTE ? read_routing(message, row) : read_firewall(message, row);
    if (!is_news) continue;
    if (filled == row_count) {
      write_row(rows + (size_t)(filled - 1) * NEWS_ROW_INTS, ABOUT_LOST, false, 0);
      break;
    }
    memcpy(rows + (size_t)filled++ * NEWS_ROW_INTS, row, sizeof row);
  }
  return filled;
}

int netlink_receive(int fd, int32_t *rows, int row_count) {
  static _Thread_local _Alignas(struct nlmsghdr) uint8_t bytes[65536];
  int protocol = 0;
  if (getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &(socklen_t){sizeof protocol}) < 0) return -errno;
  int filled = 0;
  while (filled < row_count) {
    struct sockaddr_nl from = {0};
    socklen_t from_bytes = sizeof from;
    ssize_t length = recvfrom(fd, bytes, sizeof bytes, 0, (struct sockaddr *)&from, &from_bytes);
    int32_t *next = rows + (size_t)filled * NEWS_ROW_INTS;
    if (length >= 0) {
      /* Other processes may write to a group, too: only the kernel has the number 0. */
      if (from.nl_pid == 0) filled += read_datagram(protocol, bytes, (size_t)length, next, row_count - filled);
    } else if (errno == ENOBUFS) {
      write_row(next, ABOUT_LOST, false, 0);
      filled++;
    } else if (errno != EINTR) {
      return errno == EAGAIN ? filled : -errno;
    }
  }
  return filled;
}
