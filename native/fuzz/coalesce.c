/*
 * Packets over any bytes, and flows of them that may be merged, written to a TUN that refuses some: every row is written, merged
 * into another's write or failed, once; no write points outside its packets.
 */
#include "../coalesce.h"

#include <errno.h>
#include <sanitizer/asan_interface.h>
#include <sys/uio.h>

#include "../checksum.h"
#include "../gso.h"
#include "../packet.h"
#include "rows.h"

#define ROWS 24

static struct input refusals;
static int writes;

/* In the place of writev. */
ssize_t __wrap_writev(int fd, const struct iovec *parts, int count);

ssize_t __wrap_writev(int fd, const struct iovec *parts, int count) {
  (void)fd;
  static const int errors[] = {EINVAL, EAGAIN, EIO, EINTR};
  uint8_t verdict = take_byte(&refusals);
  if (verdict >= 0xfc) {
    errno = errors[verdict & 3];
    return -1;
  }
  struct virtio_net_hdr vnet;
  static uint8_t packet[2 * SLOT_STRIDE];
  size_t total = 0;
  REQUIRE(count >= 1 && parts[0].iov_len >= sizeof vnet);
  for (int i = 0; i < count; i++) {
    REQUIRE(total + parts[i].iov_len <= sizeof packet);
    memcpy(packet + total, parts[i].iov_base, parts[i].iov_len);
    total += parts[i].iov_len;
  }
  memcpy(&vnet, packet, sizeof vnet);
  size_t length = total - sizeof vnet;
  if (vnet.flags & VNET_NEEDS_CSUM) REQUIRE((size_t)vnet.csum_start + vnet.csum_offset + 2 <= length);
  if (vnet.gso_type != GSO_NONE) REQUIRE(vnet.gso_size > 0 && vnet.hdr_len <= length);
  writes++;
  return (ssize_t)total;
}

/* ---- filling ---- */

static void fix_checksums(uint8_t *bytes, uint32_t length) {
  struct packet p = packet_parse(bytes, length);
  if (!p.protocol) return;
  uint8_t *transport = bytes + p.ip_bytes;
  if (p.version == 4) {
    store_be16(bytes + IP4_LENGTH_AT, length);
    store_be16(bytes + IP4_CHECKSUM_AT, 0);
    store_be16(bytes + IP4_CHECKSUM_AT, (uint16_t)~checksum_fold(bytes, p.ip_bytes, 0));
  } else {
    store_be16(bytes + IP6_LENGTH_AT, length - IP6_HEADER);
  }
  uint32_t transport_bytes = length - p.ip_bytes;
  int field = p.protocol == PROTOCOL_TCP ? TCP_CHECKSUM_AT : UDP_CHECKSUM_AT;
  if (p.protocol == PROTOCOL_UDP) store_be16(transport + UDP_LENGTH_AT, transport_bytes);
  store_be16(transport + field, 0);
  uint32_t pseudo = checksum_pseudo(bytes, p.version, p.protocol, transport_bytes);
  store_be16(transport + field, checksum_finish(checksum_fold(transport, transport_bytes, pseudo)));
}

/* What follows the packet in its flow: next sequence and identification. The payload may be cut by `shorter` bytes. */
static int follow(const uint8_t *before, int length, uint8_t *bytes, int shorter) {
  memcpy(bytes, before, (size_t)length);
  struct packet p = packet_parse(bytes, (uint32_t)length);
  if (!p.protocol) return length;
  int payload = length - p.header_bytes;
  uint8_t *transport = bytes + p.ip_bytes;
  if (p.version == 4) store_be16(bytes + IP4_ID_AT, load_be16(bytes + IP4_ID_AT) + 1u);
  if (p.protocol == PROTOCOL_TCP)
    store_be32(transport + TCP_SEQUENCE_AT, load_be32(transport + TCP_SEQUENCE_AT) + (uint32_t)payload);
  return length - (shorter < payload ? shorter : 0);
}

static int fill_slot(struct engine *e, int index, struct input *in, int32_t *row) {
  uint8_t kind = take_byte(in), *slot = e->pool + slot_offset(index);
  ASAN_UNPOISON_MEMORY_REGION(slot - SLOT_HEADROOM, SLOT_STRIDE);
  int length;
  if ((kind & 3) && index > 0) {
    const int32_t *before = row_at(e->tun_out, index - 1);
    length = follow(e->pool + before[ROW_OFFSET], before[ROW_LENGTH], slot, kind & 4 ? take_byte(in) : 0);
  } else {
    length = take_bytes(in, slot, take_word(in) & 0x0fff);
  }
  if (!(kind & 8)) fix_checksums(slot, (uint32_t)length);
  if (kind & 16) row[ROW_GSO] = take_word(in);
  if (kind & 32) row[ROW_GSO_SIZE] = take_word(in);
  if (kind & 64) row[ROW_CSUM_START] = take_byte(in);
  if (kind & 128) row[ROW_CSUM_OFFSET] = take_byte(in);
  ASAN_POISON_MEMORY_REGION(slot + length, (size_t)(SLOT_PAYLOAD - length));
  return length;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
  struct engine *e = fuzz_engine();
  struct input in = {bytes, length};
  refusals = in;
  uint8_t features = take_byte(&in);
  e->links[0].features =
      FEATURE_BATCH | (features & 1 ? 0 : FEATURE_COALESCE_TCP) | (features & 2 ? 0 : FEATURE_COALESCE_UDP);
  int count = 0, rows = 0;
  for (; count < ROWS && in.left > 0; count++) {
    int32_t *row = row_at(e->tun_out, count);
    memset(row, 0, ROW_INTS * sizeof *row);
    row[ROW_OFFSET] = slot_offset(count);
    row[ROW_LENGTH] = fill_slot(e, count, &in, row);
    rows += row[ROW_LENGTH] != 0;
  }
  writes = 0;
  double merged = e->stats[STAT_COALESCED];
  int failed = tun_send(e, 0, count);
  REQUIRE(writes + (int)(e->stats[STAT_COALESCED] - merged) + failed == rows);
  return 0;
}
