/*
 * IPv4 settings of a device through rtnetlink (IFLA_INET_CONF, Linux 2.6.38), and not through /proc/sys: that is read-only in a container,
 * and this needs CAP_NET_ADMIN alone.
 */
#include "inet.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

/* Attributes in attributes, each with the length of all that is in it. */
struct inet_request {
  struct nlmsghdr header;
  struct ifinfomsg link;
  struct rtattr families;
  struct rtattr ipv4;
  struct rtattr settings;
  struct rtattr setting;
  uint32_t value;
};

static void fill(struct inet_request *request, int index, int setting, uint32_t value) {
  unsigned short bytes = sizeof(struct rtattr) + sizeof value;
  *request = (struct inet_request){
      .header = {.nlmsg_len = sizeof *request, .nlmsg_type = RTM_SETLINK, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
      .link = {.ifi_family = AF_UNSPEC, .ifi_index = index},
      .value = value,
  };
  request->setting = (struct rtattr){bytes, (unsigned short)setting};
  request->settings = (struct rtattr){bytes += sizeof(struct rtattr), IFLA_INET_CONF};
  request->ipv4 = (struct rtattr){bytes += sizeof(struct rtattr), AF_INET};
  request->families = (struct rtattr){bytes + sizeof(struct rtattr), IFLA_AF_SPEC};
}

/* The kernel has answered when the call that sends returns. */
static int ask(int fd, const struct inet_request *request) {
  struct {
    struct nlmsghdr header;
    struct nlmsgerr result;
  } answer;
  if (send(fd, request, sizeof *request, 0) < 0) return -errno;
  ssize_t bytes = recv(fd, &answer, sizeof answer, MSG_DONTWAIT);
  if (bytes < 0) return -errno;
  return bytes < (ssize_t)sizeof answer || answer.header.nlmsg_type != NLMSG_ERROR ? -EPROTO : answer.result.error;
}

int inet_set(const char *device, int setting, uint32_t value) {
  unsigned int index = if_nametoindex(device);
  if (index == 0) return -errno;
  struct inet_request request;
  fill(&request, (int)index, setting, value);
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0) return -errno;
  int result = ask(fd, &request);
  close(fd);
  return result;
}
