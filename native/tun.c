/*
 * The TUN device. Stages: open a queue, or take one over from the process before, and settle the offloads; then read packets and
 * super-packets straight into the slots of the pool. Writing is coalesce.c.
 */
#include "tun.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "gso.h"

_Static_assert(sizeof(struct virtio_net_hdr) <= SLOT_HEADROOM, "the vnet header is read into the headroom");

/* Asks for the most that is wanted, then for less. The FEATURE_TUN_* bits granted, or -errno. */
static int set_offloads(int fd, uint32_t wanted) {
  const unsigned long tso = OFFLOAD_TSO;
  if (wanted & FEATURE_TUN_TSO) {
    if (wanted & FEATURE_TUN_USO && ioctl(fd, TUNSETOFFLOAD, tso | OFFLOAD_USO) == 0) {
      return FEATURE_TUN_TSO | FEATURE_TUN_USO;
    }
    if (ioctl(fd, TUNSETOFFLOAD, tso) == 0) return FEATURE_TUN_TSO;
  }
  return ioctl(fd, TUNSETOFFLOAD, 0UL) == 0 ? 0 : -errno;
}

#define QUEUE_FLAGS (IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE)

/* The FEATURE_TUN_* bits granted, or -errno. */
static int settle(int fd, uint32_t wanted) {
  int header_bytes = sizeof(struct virtio_net_hdr); /* a persistent device may remember another size */
  if (ioctl(fd, TUNSETVNETHDRSZ, &header_bytes) < 0) return -errno;
  return set_offloads(fd, wanted);
}

int tun_open(const char *name, uint32_t wanted, uint32_t *granted) {
  *granted = 0;
  if (strlen(name) >= IFNAMSIZ) return -ENAMETOOLONG;
  int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return -errno;
  struct ifreq request = {.ifr_flags = QUEUE_FLAGS};
  memcpy(request.ifr_name, name, strlen(name));
  int result = ioctl(fd, TUNSETIFF, &request) < 0 ? -errno : settle(fd, wanted);
  if (result < 0) {
    close(fd);
    return result;
  }
  *granted = (uint32_t)result;
  return fd;
}

/* ---- a queue of the process before ---- */

/* 0 or -errno: no TUN descriptor (ENOTTY), or its device is gone (EBADFD). */
static int look_at(int fd, struct ifreq *queue) {
  *queue = (struct ifreq){0};
  return ioctl(fd, TUNGETIFF, queue) < 0 ? -errno : 0;
}

int tun_device(int fd, char *name) {
  struct ifreq queue;
  int error = look_at(fd, &queue);
  memcpy(name, queue.ifr_name, IFNAMSIZ);
  return error;
}

int tun_adopt(int fd, const char *name, uint32_t wanted, uint32_t *granted) {
  struct ifreq queue;
  int error = look_at(fd, &queue);
  if (error < 0) return error;
  const int kind = QUEUE_FLAGS | IFF_TAP | IFF_DETACH_QUEUE;
  if (strncmp(queue.ifr_name, name, IFNAMSIZ) != 0 || (queue.ifr_flags & kind) != QUEUE_FLAGS) return -EINVAL;
  if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0) return -errno;
  int result = settle(fd, wanted);
  if (result < 0) return result;
  *granted = (uint32_t)result;
  return 0;
}

int tun_persist(int fd, bool on) { return ioctl(fd, TUNSETPERSIST, on ? 1UL : 0UL) < 0 ? -errno : 0; }

/*
 * Reads one packet into the slot, its vnet header into the headroom in front: one plain read is cheaper than one of two parts.
 * The system call itself, because the C library's read is a cancellation point and pays for it in a process with threads.
 * Bytes of header and packet, or -errno.
 */
static ssize_t read_packet(int fd, struct virtio_net_hdr *header, uint8_t *slot) {
  for (;;) {
    ssize_t bytes = syscall(SYS_read, fd, slot - sizeof *header, SLOT_PAYLOAD + sizeof *header);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) {
      *header = (struct virtio_net_hdr){0};
      return -errno;
    }
    memcpy(header, slot - sizeof *header, sizeof *header);
    return bytes;
  }
}

static void fill_row(int32_t *row, int32_t offset, int32_t length, const struct virtio_net_hdr *header) {
  row[ROW_OFFSET] = offset;
  row[ROW_LENGTH] = length;
  row[ROW_GSO] = header->gso_type | header->flags << 8;
  row[ROW_GSO_SIZE] = header->gso_size;
  row[ROW_CSUM_START] = header->csum_start;
  row[ROW_CSUM_OFFSET] = header->csum_offset;
  row[ROW_RESULT] = 0;
}

int tun_receive(struct engine *e, int link) {
  const struct link *l = &e->links[link];
  int limit = l->features & FEATURE_BATCH ? TUN_IN_ROWS : 1;
  int rows = 0;
  ssize_t total = 0;
  while (rows < limit && total < l->batch_bytes) {
    struct virtio_net_hdr header;
    int32_t offset = slot_offset(rows);
    ssize_t bytes = read_packet(l->tun_fd, &header, e->pool + offset);
    if (bytes < 0 && bytes != -EAGAIN && rows == 0) return (int)bytes;
    ssize_t length = bytes - (ssize_t)sizeof header;
    if (length <= 0) break; /* nothing left; an error after the first packet shows up again in the next call */
    fill_row(row_at(e->tun_in, rows), offset, (int32_t)length, &header);
    total += length;
    rows++;
  }
  e->stats[STAT_TUN_READS] += rows;
  return rows;
}
