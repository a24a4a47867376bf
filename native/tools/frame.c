/*
 * Sends one Ethernet frame as it is, so many times, through a network device (AF_PACKET): frame DEVICE COUNT HEX
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

#define FRAME_MAX 1600
/* Then the receiver has a moment: queues between the two hold some hundreds. */
#define BURST 64

static size_t parse_hex(const char *text, uint8_t *bytes) {
  size_t length = strlen(text) / 2;
  if (length < ETH_HLEN || length > FRAME_MAX) return 0;
  for (size_t i = 0; i < length; i++) {
    unsigned value;
    if (sscanf(text + 2 * i, "%2x", &value) != 1) return 0;
    bytes[i] = (uint8_t)value;
  }
  return length;
}

static int open_device(const char *device) {
  int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(device)};
  if (fd < 0 || to.sll_ifindex == 0 || bind(fd, (struct sockaddr *)&to, sizeof to) != 0) return -1;
  return fd;
}

static int send_frames(int fd, const uint8_t *frame, size_t length, long count) {
  for (long sent = 0; sent < count;) {
    if (send(fd, frame, length, 0) >= 0) sent++;
    else if (errno != ENOBUFS && errno != EAGAIN) return -1;
    if (sent % BURST == 0) poll(NULL, 0, 1);
  }
  return 0;
}

int main(int argc, char **argv) {
  uint8_t frame[FRAME_MAX];
  if (argc != 4) {
    fprintf(stderr, "usage: frame DEVICE COUNT HEX\n");
    return 2;
  }
  size_t length = parse_hex(argv[3], frame);
  int fd = open_device(argv[1]);
  if (length == 0 || fd < 0 || send_frames(fd, frame, length, strtol(argv[2], NULL, 10)) != 0) {
    fprintf(stderr, "frame: %s\n", length == 0 ? "bad frame" : strerror(errno));
    return 1;
  }
  return close(fd);
}
