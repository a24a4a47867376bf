/*
 * The fast path's maps, programs and links (bpf.c), by bpf(2) alone: no library, no file system, no BTF. What the programs do is in
 * fast-path/programs.bpf.c, what the maps hold in fast-path/maps.h. Every descriptor is the caller's to close; a link ends with its last
 * one. Functions return a descriptor, a count or 0, and -errno when they failed.
 */
#ifndef WEFT_BPF_H
#define WEFT_BPF_H

#include <stdbool.h>
#include <stdint.h>

#include "fast-path/maps.h"

#define FAST_PEER_KEY_BYTES 8

struct fast_path {
  int config, peers, counts; /* maps */
  int out, in, merged;       /* programs */
};
/* All or nothing. */
int bpf_open(struct fast_path *path, uint32_t peers_max, uint32_t counts_max);
void bpf_close(const struct fast_path *path);
/* Attaches a program to a device, in front of nobody: those that are there run first (TCX, Linux 6.6). The link's descriptor. */
int bpf_attach(int program, int device, bool egress);

int bpf_set_config(int map, const void *value);
int bpf_set_peer(int map, const void *key, const void *value);
int bpf_remove_peer(int map, const void *key);
/* Counts begin at 0 and go with their slot. */
int bpf_add_counts(int map, uint32_t slot);
int bpf_remove_counts(int map, uint32_t slot);
/* Sums over all CPUs; of FAST_COUNT_HEARD_NS the newest. */
int bpf_read_counts(int map, uint32_t slot, double totals[FAST_COUNTS]);

#endif
