/*
 * The memory that TypeScript and C read together. Its twin is src/memory/layout.ts: layout.c exports every number below and the
 * GSO numbers of gso.h by their names, and the loader compares them all (a mismatch refuses to start).
 */
#ifndef WEFT_LAYOUT_H
#define WEFT_LAYOUT_H

#include <stdint.h>

/* Raised when a number keeps its value and changes its meaning. */
#define LAYOUT_VERSION 3

/* Pool: one slot per packet in flight. The stride is no multiple of a page: slot heads spread over all L1 sets. */
#define SLOT_HEADROOM 128
#define SLOT_PAYLOAD 65536
#define SLOT_STRIDE (SLOT_HEADROOM + SLOT_PAYLOAD + 64)

/* Rows: slot i of the pool belongs to row i of tunIn, slot TUN_IN_ROWS + i to row i of udpIn, the rest is scratch. */
#define TUN_IN_ROWS 64
#define UDP_IN_ROWS 128
#define SCRATCH_SLOTS 16
#define POOL_SLOTS (TUN_IN_ROWS + UDP_IN_ROWS + SCRATCH_SLOTS)
#define TUN_OUT_ROWS 1024

/* A receive ends behind so many bytes: small enough to be sent on while they are in the cache, large enough for full messages. */
#define BATCH_BYTES (256 * 1024)

/* One row: 16 int32, one cache line. */
enum weft_row {
  ROW_OFFSET = 0,     /* first byte of the packet, from the start of the pool */
  ROW_LENGTH = 1,     /* bytes; 0 = nothing to move */
  ROW_GSO = 2,        /* virtio_net_hdr gso_type | flags << 8, and ROW_GSO_TUNNEL */
  ROW_GSO_SIZE = 3,   /* payload bytes per segment; on receive from UDP: stride of merged datagrams, 0 = one datagram */
  ROW_CSUM_START = 4, /* transport header, from the inner IP header's first byte */
  ROW_CSUM_OFFSET = 5,  /* checksum field, from ROW_CSUM_START */
  ROW_HEADER_BYTES = 6, /* encapsulation header in front of the inner packet (part of length) */
  ROW_PEER = 7,         /* peer index: rows with equal peer, socket and TOS may share a message */
  ROW_SOCKET = 8,       /* which sending socket, index below the link's socket count */
  ROW_TOS = 9,          /* outer TOS / traffic class byte, both ways */
  ROW_RESULT = 10,      /* 0, or errno of the move that failed; ROW_BAD for a row C refused */
  ROW_PORT = 11,        /* UDP port of the far end, host order */
  ROW_ADDRESS = 12,     /* 4 words, each the big-endian 32-bit value; IPv4 is ::ffff:a.b.c.d */
  ROW_INTS = 16
};

/* In ROW_GSO of a row to send: the packet has outer headers too (Ethernet, IP, UDP) and may leave unsegmented through the TAP. */
#define ROW_GSO_TUNNEL 0x10000

/* ROW_RESULT of a row whose bounds or headers C refused (never an errno). */
#define ROW_BAD 4095

/* Feature bits of a link; every fast path has one. */
enum weft_feature {
  FEATURE_BATCH = 1,         /* several packets per call (recvmmsg, sendmmsg, drain the TUN) */
  FEATURE_UDP_GSO = 2,       /* UDP_SEGMENT on send */
  FEATURE_UDP_GRO = 4,       /* UDP_GRO on receive (set on the socket when it is opened) */
  FEATURE_PACK = 8,          /* equal-size packets to one peer share a message, across reads */
  FEATURE_COALESCE_TCP = 16, /* merge TCP segments before the TUN write */
  FEATURE_COALESCE_UDP = 32, /* merge UDP datagrams (USO) before the TUN write */
  FEATURE_TUN_TSO = 64,      /* TUN_F_CSUM | TSO4 | TSO6: super-packets from the kernel */
  FEATURE_TUN_USO = 128,     /* TUN_F_USO4 | USO6 */
  FEATURE_TUNNEL_GSO = 256,  /* encapsulated super-packets leave through the TAP */
  FEATURE_SPIN = 512,        /* look for more for some microseconds before sleeping */
  FEATURE_AQM = 1024,        /* bulk TCP does not keep queues full (TypeScript's) */
  FEATURE_BULK_QUEUE = 2048  /* bulk TCP has queues of its own (TypeScript's) */
};

/* Statistics that C adds to, doubles in the worker's counter block (exact to 2^53). */
enum weft_stat {
  STAT_TUN_READS = 0,  /* read calls that brought a packet */
  STAT_TUN_WRITES = 1, /* writev calls that took one */
  STAT_UDP_RECEIVE_CALLS = 2,
  STAT_UDP_MESSAGES_IN = 3, /* kernel messages; one may hold many datagrams */
  STAT_UDP_SEND_CALLS = 4,
  STAT_UDP_MESSAGES_OUT = 5,
  STAT_UDP_DATAGRAMS_OUT = 6, /* datagrams on the wire */
  STAT_COALESCED = 7,         /* packets merged into another's super-packet */
  STAT_GSO_FALLBACKS = 8,     /* messages sent again datagram by datagram */
  STAT_UDP_SOCKET_DROPS = 9,  /* dropped by the kernel before we read (gauge, a quarter of a second old at most) */
  STAT_BAD_CHECKSUM = 10,     /* packets passed on unmerged because their checksum is wrong */
  STAT_TUNNEL_WRITES = 11,    /* encapsulated super-packets written to the TAP */
  STAT_TUNNEL_FALLBACKS = 12, /* those that the TAP refused and that were segmented here */
  STAT_WAIT_NS = 13,          /* time in wait(): asleep, spinning and looking */
  STAT_COUNT = 16
};

/* First byte of a received datagram that the link's seal did not open. No encapsulation header begins with it: pull drops it. */
#define SEAL_UNOPENED 0

#define LINKS_MAX 4 /* one per address family, and one of each for bulk flows */
#define SEND_SOCKETS_MAX 16
#define ENGINES_MAX 16 /* per thread: one in a worker, several in tests */

/* wait() returns these bits: of each link WAIT_TUN and WAIT_UDP, readable, shifted by WAIT_LINK_SHIFT * link; of the eventfd WAIT_WAKE. */
#define WAIT_TUN 1
#define WAIT_UDP 2
#define WAIT_LINK_SHIFT 2
#define WAIT_WAKE 256

/* One row of echoReceive: doubles. */
enum weft_echo {
  ECHO_SEQUENCE = 0,
  ECHO_ERRNO = 1,         /* 0 an answer, else what a node on the way said about our request */
  ECHO_MTU = 2,           /* with EMSGSIZE: the largest packet that it lets pass */
  ECHO_TTL = 3,           /* -1 = unknown */
  ECHO_PAYLOAD_BYTES = 4, /* behind the echo header */
  ECHO_AT_NS = 5,         /* CLOCK_MONOTONIC */
  ECHO_ADDRESS = 6,       /* 4 words as ROW_ADDRESS: who answered, or, of an error, whom we asked */
  ECHO_ROW_DOUBLES = 10
};
#define ECHO_TOKEN_BYTES 8
#define ECHO_PAYLOAD_MAX 65507 /* 65535 less IPv4 and echo headers */

/* One row of netlinkReceive: ints. */
enum weft_news {
  NEWS_ABOUT = 0,    /* enum weft_about */
  NEWS_GONE = 1,     /* 1: it is gone, 0: it is new or has changed */
  NEWS_DEVICE = 2,   /* its number, 0 where there is none */
  NEWS_TABLE = 3,    /* of a route */
  NEWS_PROTOCOL = 4, /* of a route: who made it */
  NEWS_ROW_INTS = 5
};
enum weft_about {
  ABOUT_LOST = 0, /* more happened than could be told: look at everything */
  ABOUT_LINK = 1,
  ABOUT_ADDRESS = 2,
  ABOUT_ROUTE = 3,
  ABOUT_RULE = 4,
  ABOUT_FIREWALL = 5
};

/* For the loader (layout.c). */
struct layout_number {
  const char *name;
  int32_t value;
};
extern const struct layout_number layout_numbers[];
extern const int layout_number_count;

#endif
