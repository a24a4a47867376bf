/*
 * Floods a data plane with random and mutated packets, for soak tests.
 *   inject tun DEVICE COUNT SEED TEMPLATE        into a network device, as the host would send them (AF_PACKET)
 *   inject udp SOURCE TARGET PORT COUNT SEED TEMPLATE   datagrams from SOURCE to TARGET:PORT (IPv4)
 * TEMPLATE is a good packet in hex: a part of the packets are this one unchanged, the others have bytes changed, are cut, or random.
 * Prints the number of packets that the kernel took.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH 64
#define PACKET_MAX 1500

static uint64_t state;

static uint32_t rnd(uint32_t below) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (uint32_t)(state >> 11) % below;
}

static size_t parse_hex(const char *text, uint8_t *bytes) {
  size_t length = strlen(text) / 2;
  if (length == 0 || length > PACKET_MAX) return 0;
  for (size_t i = 0; i < length; i++) {
    unsigned value;
    if (sscanf(text + 2 * i, "%2x", &value) != 1) return 0;
    bytes[i] = (uint8_t)value;
  }
  return length;
}

static size_t make_packet(uint8_t *packet, const uint8_t *good, size_t good_length) {
  uint32_t kind = rnd(4);
  if (kind == 0) {
    size_t length = 1 + rnd(200);
    for (size_t i = 0; i < length; i++) packet[i] = (uint8_t)rnd(256);
    return length;
  }
  memcpy(packet, good, good_length);
  for (uint32_t flips = kind == 1 ? 0 : 1 + rnd(3); flips > 0; flips--)
    packet[rnd((uint32_t)good_length)] = (uint8_t)rnd(256);
  return rnd(8) == 0 ? 1 + rnd((uint32_t)good_length) : good_length;
}

static int open_device(const char *device) {
  int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  struct sockaddr_ll to = {
      .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_ifindex = (int)if_nametoindex(device)};
  if (fd < 0 || bind(fd, (struct sockaddr *)&to, sizeof to) != 0) return -1;
  return fd;
}

static int open_udp(const char *source, const char *target, int port) {
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  inet_pton(AF_INET, source, &from.sin_addr);
  inet_pton(AF_INET, target, &to.sin_addr);
  if (fd < 0 || bind(fd, (struct sockaddr *)&from, sizeof from) != 0) return -1;
  return connect(fd, (struct sockaddr *)&to, sizeof to) == 0 ? fd : -1;
}

/* A packet that the kernel refuses (too short for its taste, queue full) is not counted: it never reached the data plane. */
static long flood(int fd, long count, const uint8_t *good, size_t good_length) {
  static uint8_t packets[BATCH][PACKET_MAX];
  struct iovec iov[BATCH];
  struct mmsghdr messages[BATCH];
  long taken = 0;
  while (taken < count) {
    int batch = count - taken < BATCH ? (int)(count - taken) : BATCH;
    memset(messages, 0, sizeof messages);
    for (int i = 0; i < batch; i++) {
      iov[i] = (struct iovec){packets[i], make_packet(packets[i], good, good_length)};
      messages[i].msg_hdr.msg_iov = &iov[i];
      messages[i].msg_hdr.msg_iovlen = 1;
    }
    int sent = sendmmsg(fd, messages, (unsigned)batch, 0);
    if (sent > 0) taken += sent;
    else if (errno == ENOBUFS || errno == EAGAIN) poll(NULL, 0, 1);
    else if (errno != EINVAL && errno != ECONNREFUSED) return -1;
  }
  return taken;
}

int main(int argc, char **argv) {
  uint8_t good[PACKET_MAX];
  int is_tun = argc == 6 && strcmp(argv[1], "tun") == 0, is_udp = argc == 8 && strcmp(argv[1], "udp") == 0;
  if (!is_tun && !is_udp) {
    fprintf(stderr,
            "usage: inject tun DEVICE COUNT SEED TEMPLATE | inject udp SOURCE TARGET PORT COUNT SEED TEMPLATE\n");
    return 2;
  }
  int at = is_tun ? 3 : 5;
  state = strtoull(argv[at + 1], NULL, 10) * 2654435761u + 1;
  size_t length = parse_hex(argv[at + 2], good);
  int fd = is_tun ? open_device(argv[2]) : open_udp(argv[2], argv[3], atoi(argv[4]));
  if (length == 0 || fd < 0) {
    fprintf(stderr, "inject: %s\n", length == 0 ? "bad template" : strerror(errno));
    return 1;
  }
  long taken = flood(fd, strtol(argv[at], NULL, 10), good, length);
  if (taken < 0) perror("inject");
  printf("%ld\n", taken);
  close(fd);
  return taken < 0;
}
