/*
 * Asks the kernel for the number of its IPsec policies (linux/xfrm.h XFRM_MSG_GETSPDINFO): two system calls, where `ip xfrm policy`
 * is a program to start, and lists them all.
 */
#include "ipsec.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/xfrm.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct spd_question {
  struct nlmsghdr header;
  uint32_t flags;
};

/* Policies in the attributes of an answer, or -errno. */
static int count_in(const struct nlmsghdr *answer, size_t bytes) {
  if (!NLMSG_OK(answer, (unsigned int)bytes)) return -EPROTO;
  if (answer->nlmsg_type == NLMSG_ERROR) return ((const struct nlmsgerr *)NLMSG_DATA(answer))->error;
  int left = (int)answer->nlmsg_len - (int)NLMSG_SPACE(sizeof(uint32_t));
  const struct rtattr *each = (const void *)((const char *)NLMSG_DATA(answer) + NLMSG_ALIGN(sizeof(uint32_t)));
  for (; RTA_OK(each, left); each = RTA_NEXT(each, left)) {
    struct xfrmu_spdinfo info;
    if (each->rta_type != XFRMA_SPD_INFO || RTA_PAYLOAD(each) < sizeof info) continue;
    memcpy(&info, RTA_DATA(each), sizeof info);
    return (int)(info.incnt + info.outcnt + info.fwdcnt);
  }
  return -EPROTO;
}

/* The kernel has answered when the call that sends returns. */
static int ask(int fd) {
  const struct spd_question question = {
      .header = {.nlmsg_len = sizeof question, .nlmsg_type = XFRM_MSG_GETSPDINFO, .nlmsg_flags = NLM_F_REQUEST},
      .flags = UINT32_MAX,
  };
  union {
    struct nlmsghdr header;
    char bytes[1024];
  } answer;
  if (send(fd, &question, sizeof question, 0) < 0) return -errno;
  ssize_t bytes = recv(fd, &answer, sizeof answer, MSG_DONTWAIT);
  return bytes < 0 ? -errno : count_in(&answer.header, (size_t)bytes);
}

int ipsec_policy_count(void) {
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_XFRM);
  if (fd < 0) return -errno;
  int count = ask(fd);
  close(fd);
  return count;
}
