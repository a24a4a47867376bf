/*
 * The maps of the fast path, which the programs (programs.bpf.c) and TypeScript (src/control/fast-path/maps.ts) share. Offsets in
 * bytes; layout.c exports them to the loader, which compares them with src/memory/layout.ts.
 */
#ifndef WEFT_FAST_PATH_MAPS_H
#define WEFT_FAST_PATH_MAPS_H

/* The one entry of `config`, key 0. "wire": as in packets; else the host's byte order. */
enum weft_fast_config {
  FAST_CONFIG_FLAGS = 0,       /* u32 FAST_FLAG */
  FAST_CONFIG_LOCAL = 4,       /* wire: own address in the underlay */
  FAST_CONFIG_SUBNET = 8,      /* wire: own pod subnet and its mask */
  FAST_CONFIG_MASK = 12,       /* wire */
  FAST_CONFIG_VNI = 16,        /* wire: the second word of the VXLAN header */
  FAST_CONFIG_MTU = 20,        /* u32 of the overlay's device */
  FAST_CONFIG_DEVICE = 24,     /* u32 its number */
  FAST_CONFIG_PROBE = 28,      /* u32 TCP source port of the probe that is under way, 0 = none */
  FAST_CONFIG_PORT = 32,       /* wire u16: where nodes listen */
  FAST_CONFIG_PORT_FIRST = 34, /* u16: source ports, the first and how many */
  FAST_CONFIG_PORT_COUNT = 36, /* u16 */
  FAST_CONFIG_MAC = 38,        /* 6 bytes: own VTEP */
  FAST_CONFIG_MERGER = 44,     /* u32 number of the device that packets to be merged are sent into */
  FAST_CONFIG_BYTES = 48
};
enum weft_fast_flag {
  FAST_FLAG_OUT = 1, /* pods' packets go past the workers */
  FAST_FLAG_IN = 2   /* peers' packets do */
};

/* An entry of `peers`: longest prefix of an inner address, key {u32 bits, wire address}. */
enum weft_fast_peer {
  FAST_PEER_ADDRESS = 0, /* wire: in the underlay; 0 = no peer: addresses of this host */
  FAST_PEER_EGRESS = 4,  /* u32 number of the device towards it */
  FAST_PEER_FLAGS = 8,   /* u32 FAST_PEER_FLAG */
  FAST_PEER_SLOT = 12,   /* u32 key in `counts` */
  FAST_PEER_MAC = 16,    /* 6 bytes: its VTEP */
  /* u64 each, CLOCK_MONOTONIC, the programs' own and written as 0: when TCP that they can't carry was seen */
  FAST_PEER_LARGE = 24,  /* to it: too large */
  FAST_PEER_MERGED = 32, /* from it: merged datagrams */
  FAST_PEER_BYTES = 40
};
enum weft_fast_peer_flag {
  FAST_PEER_FLAG_OUT = 1,   /* packets to it may take the fast path */
  FAST_PEER_FLAG_PROBE = 2, /* the probe that is under way may */
  FAST_PEER_FLAG_MERGE = 4  /* what comes from it comes singly, and is merged on its way */
};

/* An entry of `counts`, u64 each, one for each CPU: by slot, and the sum of all peers at FAST_COUNT_ALL. A super-packet counts once. */
enum weft_fast_count {
  FAST_COUNT_SENT_PACKETS = 0,
  FAST_COUNT_SENT_BYTES = 1, /* of inner packets */
  FAST_COUNT_RECEIVED_PACKETS = 2,
  FAST_COUNT_RECEIVED_BYTES = 3,
  FAST_COUNT_HEARD_NS = 4, /* CLOCK_MONOTONIC when the newest was received */
  FAST_COUNT_LOST = 5,     /* to be sent, and the kernel had no memory when the packet was half made */
  FAST_COUNTS = 6
};
#define FAST_COUNT_ALL 0x7fffffff

#endif
