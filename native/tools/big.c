/*
 * Lets a device send and merge super-packets of IPv4 up to so many bytes (BIG TCP, Linux 6.3): big DEVICE BYTES
 * `ip link set gso_ipv4_max_size` does the same, but the iproute2 of Debian 12 does not know it.
 */
#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* linux/if_link.h, which headers older than Linux 6.3 lack */
#define GSO_IPV4_MAX_SIZE 63
#define GRO_IPV4_MAX_SIZE 64

struct request {
  struct nlmsghdr head;
  struct ifinfomsg link;
  char attributes[2 * RTA_SPACE(sizeof(uint32_t))];
};

static void add(struct request *request, unsigned short type, uint32_t value) {
  struct rtattr *attribute = (void *)((char *)request + request->head.nlmsg_len);
  attribute->rta_type = type;
  attribute->rta_len = RTA_LENGTH(sizeof value);
  memcpy(RTA_DATA(attribute), &value, sizeof value);
  request->head.nlmsg_len += RTA_SPACE(sizeof value);
}

/* 0 or -errno, as the kernel answers. */
static int ask(const struct request *request) {
  struct {
    struct nlmsghdr head;
    struct nlmsgerr error;
    char more[4096];
  } answer;
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0 || send(fd, request, request->head.nlmsg_len, 0) < 0) return -errno;
  ssize_t got = recv(fd, &answer, sizeof answer, 0);
  close(fd);
  return got < (ssize_t)NLMSG_LENGTH(sizeof answer.error) ? -EPROTO : answer.error.error;
}

int main(int argc, char **argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: big DEVICE BYTES\n");
    return 2;
  }
  struct request request = {
      .head = {.nlmsg_len = NLMSG_LENGTH(sizeof request.link),
               .nlmsg_type = RTM_NEWLINK,
               .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
      .link = {.ifi_index = (int)if_nametoindex(argv[1])},
  };
  uint32_t bytes = (uint32_t)strtoul(argv[2], NULL, 10);
  add(&request, GSO_IPV4_MAX_SIZE, bytes);
  add(&request, GRO_IPV4_MAX_SIZE, bytes);
  int error = request.link.ifi_index == 0 ? -ENODEV : ask(&request);
  if (error != 0) fprintf(stderr, "big: %s\n", strerror(-error));
  return error != 0;
}
