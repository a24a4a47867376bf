/*
 * What the loader compares, and what C relies on without asking again: the relations between the numbers of layout.h.
 */
#include "layout.h"

#include <errno.h>
#include <stdint.h>

#include "gso.h"

#define NUMBER(name) \
  { #name, name }

const struct layout_number layout_numbers[] = {
    NUMBER(LAYOUT_VERSION),
    NUMBER(SLOT_HEADROOM),
    NUMBER(SLOT_PAYLOAD),
    NUMBER(SLOT_STRIDE),
    NUMBER(TUN_IN_ROWS),
    NUMBER(UDP_IN_ROWS),
    NUMBER(SCRATCH_SLOTS),
    NUMBER(POOL_SLOTS),
    NUMBER(TUN_OUT_ROWS),
    NUMBER(ROW_OFFSET),
    NUMBER(ROW_LENGTH),
    NUMBER(ROW_GSO),
    NUMBER(ROW_GSO_SIZE),
    NUMBER(ROW_CSUM_START),
    NUMBER(ROW_CSUM_OFFSET),
    NUMBER(ROW_HEADER_BYTES),
    NUMBER(ROW_PEER),
    NUMBER(ROW_SOCKET),
    NUMBER(ROW_TOS),
    NUMBER(ROW_RESULT),
    NUMBER(ROW_PORT),
    NUMBER(ROW_ADDRESS),
    NUMBER(ROW_INTS),
    NUMBER(ROW_GSO_TUNNEL),
    NUMBER(ROW_BAD),
    NUMBER(GSO_NONE),
    NUMBER(GSO_TCP4),
    NUMBER(GSO_TCP6),
    NUMBER(GSO_UDP_L4),
    NUMBER(GSO_TUNNEL_IPV4),
    NUMBER(GSO_TUNNEL_IPV6),
    NUMBER(GSO_ECN),
    NUMBER(GSO_FLAG_NEEDS_CSUM),
    NUMBER(GSO_FLAG_DATA_VALID),
    NUMBER(GSO_FLAG_TUNNEL_CSUM),
    NUMBER(FEATURE_BATCH),
    NUMBER(FEATURE_UDP_GSO),
    NUMBER(FEATURE_UDP_GRO),
    NUMBER(FEATURE_PACK),
    NUMBER(FEATURE_COALESCE_TCP),
    NUMBER(FEATURE_COALESCE_UDP),
    NUMBER(FEATURE_TUN_TSO),
    NUMBER(FEATURE_TUN_USO),
    NUMBER(FEATURE_TUNNEL_GSO),
    NUMBER(FEATURE_SPIN),
    NUMBER(STAT_TUN_READS),
    NUMBER(STAT_TUN_WRITES),
    NUMBER(STAT_UDP_RECEIVE_CALLS),
    NUMBER(STAT_UDP_MESSAGES_IN),
    NUMBER(STAT_UDP_SEND_CALLS),
    NUMBER(STAT_UDP_MESSAGES_OUT),
    NUMBER(STAT_UDP_DATAGRAMS_OUT),
    NUMBER(STAT_COALESCED),
    NUMBER(STAT_GSO_FALLBACKS),
    NUMBER(STAT_UDP_SOCKET_DROPS),
    NUMBER(STAT_BAD_CHECKSUM),
    NUMBER(STAT_TUNNEL_WRITES),
    NUMBER(STAT_TUNNEL_FALLBACKS),
    NUMBER(STAT_WAIT_NS),
    NUMBER(STAT_COUNT),
    NUMBER(SEAL_UNOPENED),
    NUMBER(LINKS_MAX),
    NUMBER(SEND_SOCKETS_MAX),
    NUMBER(ENGINES_MAX),
    NUMBER(WAIT_TUN),
    NUMBER(WAIT_UDP),
    NUMBER(WAIT_LINK_SHIFT),
    NUMBER(WAIT_WAKE),
    NUMBER(ECHO_SEQUENCE),
    NUMBER(ECHO_ERRNO),
    NUMBER(ECHO_MTU),
    NUMBER(ECHO_TTL),
    NUMBER(ECHO_PAYLOAD_BYTES),
    NUMBER(ECHO_AT_NS),
    NUMBER(ECHO_ADDRESS),
    NUMBER(ECHO_ROW_DOUBLES),
    NUMBER(ECHO_TOKEN_BYTES),
    NUMBER(ECHO_PAYLOAD_MAX),
    NUMBER(NEWS_ABOUT),
    NUMBER(NEWS_GONE),
    NUMBER(NEWS_DEVICE),
    NUMBER(NEWS_TABLE),
    NUMBER(NEWS_PROTOCOL),
    NUMBER(NEWS_ROW_INTS),
    NUMBER(ABOUT_LOST),
    NUMBER(ABOUT_LINK),
    NUMBER(ABOUT_ADDRESS),
    NUMBER(ABOUT_ROUTE),
    NUMBER(ABOUT_RULE),
    NUMBER(ABOUT_FIREWALL),
};
const int layout_number_count = sizeof layout_numbers / sizeof layout_numbers[0];

/* ---- rows and slots ---- */

_Static_assert(ROW_INTS * sizeof(int32_t) == 64, "a row is one cache line");
_Static_assert(ROW_ADDRESS + 4 == ROW_INTS, "the address ends the row");
_Static_assert(ROW_ADDRESS == ROW_PORT + 1, "port and address are copied and compared as five words");
_Static_assert(INT32_MAX / SLOT_STRIDE >= POOL_SLOTS, "every offset into the pool fits a column");
_Static_assert(SLOT_STRIDE >= SLOT_HEADROOM + SLOT_PAYLOAD, "slots do not overlap");
_Static_assert(SLOT_STRIDE % 64 == 0 && SLOT_STRIDE % 4096 != 0, "slot heads: cache lines, in all sets of the cache");
_Static_assert(SLOT_PAYLOAD > UINT16_MAX, "a slot holds the largest packet");
_Static_assert(ROW_BAD > EHWPOISON, "no errno is ROW_BAD");

/* ---- bits ---- */

_Static_assert((FEATURE_BATCH | FEATURE_UDP_GSO | FEATURE_UDP_GRO | FEATURE_PACK | FEATURE_COALESCE_TCP |
                FEATURE_COALESCE_UDP | FEATURE_TUN_TSO | FEATURE_TUN_USO | FEATURE_TUNNEL_GSO | FEATURE_SPIN) ==
                   (1 << 10) - 1,
               "ten feature bits, none twice");
_Static_assert(GSO_ECN <= 0xff && (GSO_FLAG_NEEDS_CSUM & 0xff) == 0 && ROW_GSO_TUNNEL > 0xffff,
               "type, flags and tunnel mark share a column");
_Static_assert((WAIT_TUN | WAIT_UDP) < 1 << WAIT_LINK_SHIFT, "bits of one link");
_Static_assert(1 << (WAIT_LINK_SHIFT * LINKS_MAX) <= WAIT_WAKE, "bits of all links below the eventfd's");

/* ---- blocks ---- */

_Static_assert(STAT_WAIT_NS < STAT_COUNT, "statistics fit their block");
_Static_assert(ECHO_ADDRESS + 4 == ECHO_ROW_DOUBLES, "the address ends an echo's row");
_Static_assert(ECHO_TOKEN_BYTES <= ECHO_PAYLOAD_MAX && ECHO_PAYLOAD_MAX + 8 + 20 == UINT16_MAX,
               "the largest echo over IPv4");
