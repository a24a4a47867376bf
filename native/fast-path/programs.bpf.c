/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fast path: programs that carry inner TCP over IPv4 past the workers, in the kernel. They never judge: what is odd in any way,
 * what is not TCP and whoever is no known peer goes on as if they were not there, to the workers, which drop and count.
 *   fast_out  egress of flannel.<VNI>     IP packet → VXLAN datagram → the device towards the peer
 *   fast_in   ingress of that device      VXLAN datagram → IP packet → flannel.<VNI>, or the merger's near end
 *   fast_merged  ingress of its far end   IP packet → flannel.<VNI>
 * All read what TypeScript wrote (maps.h). Helpers are those that the kernel lends to every licence, so that this file may have the
 * project's own. Compiled by scripts/fast-path.mjs into program.h, which is checked in: nothing of clang is needed where weft runs.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include "maps.h"

#define SECTION(name) __attribute__((section(name), used))
#define INLINE static inline __attribute__((always_inline))
#define SWAP16(x) __builtin_bswap16(x)
#define SWAP32(x) __builtin_bswap32(x)
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define WIRE16(x) ((__u16)SWAP16(x))
#define WIRE32(x) ((__u32)SWAP32(x))
#else
#error "program.h is made for little-endian hosts"
#endif

/* ---- what the kernel offers (linux/bpf.h numbers them) ---- */

static void *(*const map_lookup)(void *map, const void *key) = (void *)BPF_FUNC_map_lookup_elem;
static __u64 (*const clock_ns)(void) = (void *)BPF_FUNC_ktime_get_coarse_ns;
static __u32 (*const random32)(void) = (void *)BPF_FUNC_get_prandom_u32;
static __u32 (*const flow_hash)(struct __sk_buff *skb) = (void *)BPF_FUNC_get_hash_recalc;
static long (*const pull_data)(struct __sk_buff *skb, __u32 bytes) = (void *)BPF_FUNC_skb_pull_data;
static long (*const adjust_room)(struct __sk_buff *skb, __s32 bytes, __u32 mode,
                                 __u64 flags) = (void *)BPF_FUNC_skb_adjust_room;
static long (*const change_head)(struct __sk_buff *skb, __u32 bytes, __u64 flags) = (void *)BPF_FUNC_skb_change_head;
static long (*const csum_level)(struct __sk_buff *skb, __u64 level) = (void *)BPF_FUNC_csum_level;
static long (*const redirect)(__u32 device, __u64 flags) = (void *)BPF_FUNC_redirect;
static long (*const redirect_neighbour)(__u32 device, struct bpf_redir_neigh *next_hop, int bytes,
                                        __u64 flags) = (void *)BPF_FUNC_redirect_neigh;

/* ---- maps and packets ---- */

/* Placeholders: the addon puts the descriptor of each map in the place of its address. */
struct map {
  int unused;
};
struct map config SECTION("maps");
struct map peers SECTION("maps");
struct map counts SECTION("maps");

struct config {
  __u32 flags;
  __be32 local, subnet, mask, vni;
  __u32 mtu, device, probe;
  __be16 port;
  __u16 port_first, port_count;
  __u8 mac[ETH_ALEN];
  __u32 merger;
};
struct key {
  __u32 bits;
  __be32 address;
};
struct peer {
  __be32 address;
  __u32 egress, flags, slot;
  __u8 mac[ETH_ALEN], unused[2];
  __u64 large_ns, merged_ns;
};
struct count {
  __u64 sent_packets, sent_bytes, received_packets, received_bytes, heard_ns, lost;
};

#define AT(structure, field, offset) \
  _Static_assert(__builtin_offsetof(struct structure, field) == (offset), #structure "." #field)
AT(config, flags, FAST_CONFIG_FLAGS);
AT(config, local, FAST_CONFIG_LOCAL);
AT(config, subnet, FAST_CONFIG_SUBNET);
AT(config, mask, FAST_CONFIG_MASK);
AT(config, vni, FAST_CONFIG_VNI);
AT(config, mtu, FAST_CONFIG_MTU);
AT(config, device, FAST_CONFIG_DEVICE);
AT(config, probe, FAST_CONFIG_PROBE);
AT(config, port, FAST_CONFIG_PORT);
AT(config, port_first, FAST_CONFIG_PORT_FIRST);
AT(config, port_count, FAST_CONFIG_PORT_COUNT);
AT(config, mac, FAST_CONFIG_MAC);
AT(config, merger, FAST_CONFIG_MERGER);
_Static_assert(sizeof(struct config) == FAST_CONFIG_BYTES, "config");
AT(peer, address, FAST_PEER_ADDRESS);
AT(peer, egress, FAST_PEER_EGRESS);
AT(peer, flags, FAST_PEER_FLAGS);
AT(peer, slot, FAST_PEER_SLOT);
AT(peer, mac, FAST_PEER_MAC);
AT(peer, large_ns, FAST_PEER_LARGE);
AT(peer, merged_ns, FAST_PEER_MERGED);
_Static_assert(sizeof(struct peer) == FAST_PEER_BYTES, "peer");
AT(count, sent_packets, 8 * FAST_COUNT_SENT_PACKETS);
AT(count, sent_bytes, 8 * FAST_COUNT_SENT_BYTES);
AT(count, received_packets, 8 * FAST_COUNT_RECEIVED_PACKETS);
AT(count, received_bytes, 8 * FAST_COUNT_RECEIVED_BYTES);
AT(count, heard_ns, 8 * FAST_COUNT_HEARD_NS);
AT(count, lost, 8 * FAST_COUNT_LOST);
_Static_assert(sizeof(struct count) == 8 * FAST_COUNTS, "count");

struct vxlan {
  __be32 flags, vni;
  struct ethhdr inner;
} __attribute__((packed));
/* What stands in front of an inner packet, between the outer Ethernet header and it. */
struct outer {
  struct iphdr ip;
  struct udphdr udp;
  struct vxlan vxlan;
} __attribute__((packed));
struct frame {
  struct ethhdr eth;
  struct outer outer;
} __attribute__((packed));
_Static_assert(sizeof(struct outer) == 50, "what VXLAN over IPv4 costs");

#define VXLAN_FLAGS WIRE32(0x08000000)
#define TTL 64
#define LENGTH_MAX 65535
#define ODD_LASTS_NS 1000000000ull
#define MORE_OR_LATER_FRAGMENT WIRE16(0x3fff)
#define ECN_MASK 3
#define ECN_CE 3
#define ECN_ECT0 2
#define FAMILY_IPV4 2
#define BARE_IP_HEADER 5
/* enum tcx_action_base of linux/bpf.h, which headers older than Linux 6.6 lack */
#define ON_TO_NEXT (-1)
#define LOST 2

/* ---- both ways ---- */

INLINE struct config *config_if(__u32 flag) {
  __u32 key = 0;
  struct config *c = map_lookup(&config, &key);
  return c && (c->flags & flag) ? c : 0;
}

INLINE struct count *counts_of(__u32 slot) { return map_lookup(&counts, &slot); }

INLINE struct peer *peer_with(__be32 address) {
  struct key key = {32, address};
  return map_lookup(&peers, &key);
}

/* RFC 1071 over ten words, folded. */
INLINE __u16 sum_of(const void *ip) {
  const __u16 *word = ip;
  __u32 sum = 0;
#pragma unroll
  for (int i = 0; i < (int)sizeof(struct iphdr) / 2; i++) sum += word[i];
  sum = (sum & 0xffff) + (sum >> 16);
  return (__u16)(sum + (sum >> 16));
}

/* A TCP packet without IP options that is no fragment and as long as it says. */
INLINE int is_plain_tcp(const struct iphdr *ip, __u32 length) {
  return ip->version == 4 && ip->ihl == BARE_IP_HEADER && ip->protocol == IPPROTO_TCP &&
         !(ip->frag_off & MORE_OR_LATER_FRAGMENT) && WIRE16(ip->tot_len) == length;
}

/* One packet, or one that the kernel knows to be cut: larger ones are for others to judge. */
INLINE int fits(const struct __sk_buff *skb, const struct config *c, __u32 length) {
  __u32 largest = skb->gso_size ? skb->gso_size + sizeof(struct iphdr) + sizeof(struct tcphdr) : length;
  return largest <= c->mtu;
}

/* What is plain goes along for a while: it would overtake what is not, and TCP take that for lost. */
INLINE int goes_along(__u64 *odd_ns, int is_odd) {
  if (is_odd) return *odd_ns = clock_ns(), 1;
  return *odd_ns && clock_ns() - *odd_ns < ODD_LASTS_NS;
}

/* ---- out ---- */

/* BIG TCP: more than a datagram holds, so that its IP header can't say how long it is. */
INLINE int is_large_tcp(const struct iphdr *ip, __u32 length) {
  return ip->version == 4 && ip->protocol == IPPROTO_TCP && length + sizeof(struct outer) > LENGTH_MAX;
}

INLINE int is_probe(const struct __sk_buff *skb, const struct config *c) {
  const struct iphdr *ip = (void *)(long)skb->data;
  const struct tcphdr *tcp = (void *)(ip + 1);
  return c->probe && (void *)(tcp + 1) <= (void *)(long)skb->data_end && WIRE16(tcp->source) == c->probe;
}

/* The probe is known by its TCP source port. */
INLINE int may_leave(const struct __sk_buff *skb, const struct config *c, struct peer *p, int is_large) {
  if (is_probe(skb, c)) return p->flags & (FAST_PEER_FLAG_OUT | FAST_PEER_FLAG_PROBE);
  return (p->flags & FAST_PEER_FLAG_OUT) && !goes_along(&p->large_ns, is_large);
}

/* As the kernel's own VXLAN chooses it. */
INLINE __be16 source_port(struct __sk_buff *skb, const struct config *c) {
  __u32 hash = flow_hash(skb);
  hash ^= hash << 16;
  return WIRE16((__u16)((((__u64)hash * c->port_count) >> 32) + c->port_first));
}

INLINE void write_ip(struct outer *o, __be32 from, __be32 to, __u8 inner_tos, __u32 length) {
  __u8 ecn = inner_tos & ECN_MASK;
  o->ip = (struct iphdr){
      .version = 4,
      .ihl = BARE_IP_HEADER,
      .tos = ecn == ECN_CE ? ECN_ECT0 : ecn, /* RFC 6040, as kernel VXLAN */
      .tot_len = WIRE16((__u16)length),
      .id = (__u16)random32(),
      .ttl = TTL,
      .protocol = IPPROTO_UDP,
      .saddr = from,
      .daddr = to,
  };
  o->ip.check = ~sum_of(&o->ip);
}

#define ENCAPSULATES                                                                       \
  (BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_ENCAP_L4_UDP | \
   BPF_F_ADJ_ROOM_ENCAP_L2(ETH_HLEN) | BPF_F_ADJ_ROOM_ENCAP_L2_ETH | BPF_F_ADJ_ROOM_NO_CSUM_RESET)

SECTION("tc/out") int fast_out(struct __sk_buff *skb) {
  const struct config *c = config_if(FAST_FLAG_OUT);
  const struct iphdr *inner = (void *)(long)skb->data;
  if (!c || skb->protocol != WIRE16(ETH_P_IP) || (void *)(inner + 1) > (void *)(long)skb->data_end) return ON_TO_NEXT;
  const __u32 length = skb->len;
  const int is_large = is_large_tcp(inner, length);
  if (!is_large && (!is_plain_tcp(inner, length) || !fits(skb, c, length))) return ON_TO_NEXT;
  struct peer *p = peer_with(inner->daddr);
  if (!p || !may_leave(skb, c, p, is_large)) return ON_TO_NEXT;
  const __u8 tos = inner->tos;
  const __be16 port = source_port(skb, c);

  /* Refused for what is encapsulated already; the packet is then as it was. */
  if (adjust_room(skb, sizeof(struct outer), BPF_ADJ_ROOM_MAC, ENCAPSULATES)) return ON_TO_NEXT;
  struct count *sum = counts_of(FAST_COUNT_ALL), *own = counts_of(p->slot);
  if (!sum || !own) return LOST;
  if (change_head(skb, ETH_HLEN, 0)) return sum->lost++, LOST;
  struct frame *f = (void *)(long)skb->data;
  if ((void *)(f + 1) > (void *)(long)skb->data_end) return sum->lost++, LOST;
  f->eth.h_proto = WIRE16(ETH_P_IP);
  write_ip(&f->outer, c->local, p->address, tos, length + sizeof(struct outer));
  f->outer.udp.source = port;
  f->outer.udp.dest = c->port;
  f->outer.udp.len = WIRE16((__u16)(length + sizeof(struct outer) - sizeof(struct iphdr)));
  f->outer.udp.check = 0; /* no program can ask the device for one */
  f->outer.vxlan.flags = VXLAN_FLAGS;
  f->outer.vxlan.vni = c->vni;
  __builtin_memcpy(f->outer.vxlan.inner.h_dest, p->mac, ETH_ALEN);
  __builtin_memcpy(f->outer.vxlan.inner.h_source, c->mac, ETH_ALEN);
  f->outer.vxlan.inner.h_proto = WIRE16(ETH_P_IP);
  sum->sent_packets++;
  sum->sent_bytes += length;
  own->sent_packets++;
  own->sent_bytes += length;
  skb->mark = 0;                                 /* of the pod's packet; the workers' datagrams have none */
  return redirect_neighbour(p->egress, 0, 0, 0); /* the kernel looks up the next hop, as for any packet of this host */
}

/* ---- in ---- */

INLINE int is_same_mac(const __u8 *a, const __u8 *b) {
  __u8 difference = 0;
#pragma unroll
  for (int i = 0; i < ETH_ALEN; i++) difference |= a[i] ^ b[i];
  return difference == 0;
}

/* To this node's port, whole, unmarked, and no byte of its headers odd. `bytes`: from the outer IP header on. */
INLINE int is_plain_outer(const struct config *c, const struct outer *o, __u32 bytes) {
  return o->ip.version == 4 && o->ip.ihl == BARE_IP_HEADER && o->ip.protocol == IPPROTO_UDP &&
         o->ip.daddr == c->local && !(o->ip.frag_off & MORE_OR_LATER_FRAGMENT) && (o->ip.tos & ECN_MASK) != ECN_CE &&
         WIRE16(o->ip.tot_len) == bytes && sum_of(&o->ip) == 0xffff && o->udp.dest == c->port &&
         WIRE16(o->udp.len) == bytes - sizeof(struct iphdr);
}

INLINE int is_own_vxlan(const struct config *c, const struct vxlan *v) {
  return v->flags == VXLAN_FLAGS && v->vni == c->vni && v->inner.h_proto == WIRE16(ETH_P_IP) &&
         is_same_mac(v->inner.h_dest, c->mac) && !is_same_mac(v->inner.h_source, c->mac);
}

/* TCP in datagrams that the kernel or the sender merged: the first inner packet is shorter than all of it. */
INLINE int is_merged_tcp(const struct __sk_buff *skb, const struct iphdr *ip, __u32 length) {
  return skb->gso_size && ip->version == 4 && ip->protocol == IPPROTO_TCP && WIRE16(ip->tot_len) < length;
}

INLINE void count_received(struct count *sum, struct count *own, __u32 length) {
  sum->received_packets++;
  sum->received_bytes += length;
  own->received_packets++;
  own->received_bytes += length;
  own->heard_ns = clock_ns();
}

#define EALREADY 114
#define ASKS (BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_ENCAP_L2(ETH_HLEN))
/*
 * Whether a super-packet is TCP in a tunnel, and not datagrams that UDP_GRO merged. No field says so, but the kernel refuses to
 * encapsulate the former a second time; a header of one byte would be refused in any case, so that nothing changes.
 */
INLINE int is_tunnelled_tcp(struct __sk_buff *skb) { return adjust_room(skb, 1, BPF_ADJ_ROOM_MAC, ASKS) == -EALREADY; }

#define DECAPSULATES (BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_NO_CSUM_RESET)
/* Or leaves it as it was. */
INLINE int decapsulate(struct __sk_buff *skb) {
  if (adjust_room(skb, -(__s32)sizeof(struct outer), BPF_ADJ_ROOM_MAC, DECAPSULATES)) return 0;
  csum_level(skb, BPF_CSUM_LEVEL_DEC); /* what was found about the outer checksum says nothing of the inner one */
  return 1;
}

#define HEADERS (sizeof(struct frame) + sizeof(struct iphdr))

SECTION("tc/in") int fast_in(struct __sk_buff *skb) {
  const struct config *c = config_if(FAST_FLAG_IN);
  if (!c || skb->protocol != WIRE16(ETH_P_IP) || skb->vlan_present || skb->pkt_type != 0 /* PACKET_HOST */)
    return ON_TO_NEXT;
  if (skb->len < HEADERS) return ON_TO_NEXT;
  /* Headers may lie in a fragment. */
  if ((void *)(long)skb->data + HEADERS > (void *)(long)skb->data_end && pull_data(skb, HEADERS)) return ON_TO_NEXT;
  const struct frame *f = (void *)(long)skb->data;
  const struct iphdr *inner = (void *)(f + 1);
  if ((void *)(inner + 1) > (void *)(long)skb->data_end) return ON_TO_NEXT;
  const __u32 length = skb->len - sizeof(struct frame);
  if (!is_plain_outer(c, &f->outer, length + sizeof(struct outer)) || !is_own_vxlan(c, &f->outer.vxlan))
    return ON_TO_NEXT;
  const int is_merged = is_merged_tcp(skb, inner, length);
  /* Padding fails here: the inner packet ends where the outer one does. */
  if (!is_merged && (!is_plain_tcp(inner, length) || !fits(skb, c, length))) return ON_TO_NEXT;
  if ((inner->daddr & c->mask) != c->subnet) return ON_TO_NEXT;
  struct peer *p = peer_with(inner->saddr);
  /* By the device that leads to the peer and no other: reverse path filters would see to that, which come later. */
  if (!p || p->address != f->outer.ip.saddr || p->egress != skb->ifindex || goes_along(&p->merged_ns, is_merged))
    return ON_TO_NEXT;
  if (skb->gso_size && !is_tunnelled_tcp(skb)) return ON_TO_NEXT;

  if ((p->flags & FAST_PEER_FLAG_MERGE) && c->merger) return decapsulate(skb) ? redirect(c->merger, 0) : ON_TO_NEXT;
  struct count *sum = counts_of(FAST_COUNT_ALL), *own = counts_of(p->slot);
  if (!sum || !own || !decapsulate(skb)) return ON_TO_NEXT;
  count_received(sum, own, length);
  return redirect(c->device, BPF_F_INGRESS);
}

/* ---- in, after the kernel merged packets of a flow ---- */

/* Takes whatever `in` sent there, though it be off by now. */
SECTION("tc/merged") int fast_merged(struct __sk_buff *skb) {
  __u32 key = 0;
  const struct config *c = map_lookup(&config, &key);
  const struct iphdr *ip = (void *)(long)skb->data + ETH_HLEN;
  if (!c || !c->device || skb->protocol != WIRE16(ETH_P_IP) || (void *)(ip + 1) > (void *)(long)skb->data_end)
    return ON_TO_NEXT;
  struct peer *p = peer_with(ip->saddr);
  /* Else nobody of ours sent it; not being for this end, it is dropped. */
  if (!p || !p->address || ip->protocol != IPPROTO_TCP) return ON_TO_NEXT;
  struct count *sum = counts_of(FAST_COUNT_ALL), *own = counts_of(p->slot);
  if (!sum || !own) return ON_TO_NEXT;
  count_received(sum, own, skb->len - ETH_HLEN);
  return redirect(c->device, BPF_F_INGRESS);
}

/* No helper above needs the GPL; the kernel reads this text when it loads the programs (program.h has it from here). */
char license[] SECTION("licence") = "Apache-2.0";
