/*
 * A seal encrypts the datagrams of a link: it closes them between segmentation (segment.c) and the sockets, and opens them behind
 * recvmmsg (udp.c). vxlan and udp have none: their links hold NULL and pay one branch for each row and each message.
 *
 * The encapsulation header belongs to TypeScript both ways. push writes it, segmentation repeats it in front of every segment,
 * close may complete it (a counter), and pull reads it behind open. So the sender of a datagram is found by what its header says.
 */
#ifndef WEFT_SEAL_H
#define WEFT_SEAL_H

#include <stdint.h>
#include <sys/uio.h>

#define SEAL_TAIL_MAX 64
/* Room in front of a datagram: a cipher that makes the authenticator's key in the same pass writes its first block there. */
#define SEAL_LEAD_BYTES 64

/*
 * The first member of what a kind of seal keeps for one link of one engine, and so of one thread. What several workers share
 * (sessions: keys, counters, windows) lies in memory that TypeScript owns and that outlives the engine.
 */
struct seal {
  int tail_bytes; /* the most that close adds to a datagram: padding and tag; at most SEAL_TAIL_MAX */

  /*
   * Writes one closed datagram to `out`: its parts (encapsulation header first, the payload may lie in the pool) one behind the
   * other, encrypted, and the tail. `peer` is the row's ROW_PEER. Parts are only read. `out` begins a cache line of an arena of the
   * engine that keeps the datagram until it is sent, with room for all parts and tail_bytes; SEAL_LEAD_BYTES in front are scratch.
   * Bytes written, or -errno: the row fails with it (no session for this peer), the datagrams before it leave.
   */
  int (*close)(struct seal *seal, int peer, const struct iovec *parts, int part_count, uint8_t *out);

  /*
   * Opens one received datagram where it lies: header and packet keep their places, what the tail held is left as it is. Bytes in
   * front belong to the datagram before; SEAL_LEAD_BYTES of them may be used and must be put back.
   * What is no sealed datagram but has a header that pull knows (a handshake) is left alone. 0 or -errno: it did not open, its bytes
   * are worthless and SEAL_UNOPENED takes the place of the first.
   */
  int (*open)(struct seal *seal, uint8_t *datagram, int length);

  void (*destroy)(struct seal *seal);
};

/* Opens the datagrams of one received message, each `stride` bytes but the last, which may be shorter; 0 = one datagram. */
void seal_open_message(struct seal *seal, uint8_t *message, int length, int stride);

#endif
