/* The fast path's maps, programs and links, by bpf(2). Stages: create maps, load programs, attach; then entries. */
#include "bpf.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fast-path/program.h"

/* Of Linux 6.6, which older headers lack. */
#define ATTACH_INGRESS 46
#define ATTACH_EGRESS 47

#define LOAD_64 0x18
#define INSTRUCTIONS_MAX 1024

static int call(enum bpf_cmd command, union bpf_attr *attributes) {
  long result = syscall(SYS_bpf, command, attributes, sizeof *attributes);
  return result < 0 ? -errno : (int)result;
}

static uint64_t address_of(const void *memory) { return (uintptr_t)memory; }

/* ---- maps ---- */

static int create_map(enum bpf_map_type type, uint32_t key_bytes, uint32_t value_bytes, uint32_t entries_max,
                      uint32_t flags) {
  union bpf_attr attributes = {
      .map_type = type,
      .key_size = key_bytes,
      .value_size = value_bytes,
      .max_entries = entries_max,
      .map_flags = flags,
  };
  return call(BPF_MAP_CREATE, &attributes);
}

/* Memory for a peer is taken when it comes: a full table would have hundreds of megabytes on a large machine. */
static int create_maps(struct fast_path *path, uint32_t peers_max, uint32_t counts_max) {
  path->config = create_map(BPF_MAP_TYPE_ARRAY, sizeof(uint32_t), FAST_CONFIG_BYTES, 1, 0);
  if (path->config < 0) return path->config;
  path->peers = create_map(BPF_MAP_TYPE_LPM_TRIE, FAST_PEER_KEY_BYTES, FAST_PEER_BYTES, peers_max, BPF_F_NO_PREALLOC);
  if (path->peers < 0) return path->peers;
  path->counts = create_map(BPF_MAP_TYPE_PERCPU_HASH, sizeof(uint32_t), FAST_COUNTS * sizeof(uint64_t), counts_max,
                            BPF_F_NO_PREALLOC);
  return path->counts < 0 ? path->counts : bpf_add_counts(path->counts, FAST_COUNT_ALL);
}

/* ---- programs ---- */

/* With the maps' descriptors where the compiler left their numbers. */
static int load(const uint64_t *code, size_t count, const int maps[3]) {
  struct bpf_insn instructions[INSTRUCTIONS_MAX];
  if (count > INSTRUCTIONS_MAX) return -E2BIG;
  memcpy(instructions, code, count * sizeof *code);
  for (size_t i = 0; i < count; i++) {
    if (instructions[i].code != LOAD_64) continue;
    if (instructions[i].src_reg == BPF_PSEUDO_MAP_FD) instructions[i].imm = maps[instructions[i].imm];
    i++; /* it has two words */
  }
  union bpf_attr attributes = {
      .prog_type = BPF_PROG_TYPE_SCHED_CLS,
      .insn_cnt = (uint32_t)count,
      .insns = address_of(instructions),
      .license = address_of(FAST_LICENCE),
      .prog_name = "weft_fast_path",
  };
  return call(BPF_PROG_LOAD, &attributes);
}

static int load_programs(struct fast_path *path) {
  const int maps[] = {path->config, path->peers, path->counts};
  path->out = load(fast_out_code, sizeof fast_out_code / sizeof *fast_out_code, maps);
  if (path->out < 0) return path->out;
  path->in = load(fast_in_code, sizeof fast_in_code / sizeof *fast_in_code, maps);
  if (path->in < 0) return path->in;
  path->merged = load(fast_merged_code, sizeof fast_merged_code / sizeof *fast_merged_code, maps);
  return path->merged < 0 ? path->merged : 0;
}

int bpf_open(struct fast_path *path, uint32_t peers_max, uint32_t counts_max) {
  *path = (struct fast_path){-1, -1, -1, -1, -1, -1};
  int error = create_maps(path, peers_max, counts_max);
  if (error == 0) error = load_programs(path);
  if (error < 0) bpf_close(path);
  return error;
}

void bpf_close(const struct fast_path *path) {
  const int all[] = {path->config, path->peers, path->counts, path->out, path->in, path->merged};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    if (all[i] >= 0) close(all[i]);
  }
}

int bpf_attach(int program, int device, bool egress) {
  union bpf_attr attributes = {.link_create = {.prog_fd = (uint32_t)program,
                                               .target_fd = (uint32_t)device,
                                               .attach_type = egress ? ATTACH_EGRESS : ATTACH_INGRESS}};
  return call(BPF_LINK_CREATE, &attributes);
}

/* ---- entries ---- */

static int update(int map, const void *key, const void *value, uint64_t flags) {
  union bpf_attr attributes = {
      .map_fd = (uint32_t)map, .key = address_of(key), .value = address_of(value), .flags = flags};
  return call(BPF_MAP_UPDATE_ELEM, &attributes);
}

static int delete (int map, const void *key) {
  union bpf_attr attributes = {.map_fd = (uint32_t)map, .key = address_of(key)};
  return call(BPF_MAP_DELETE_ELEM, &attributes);
}

int bpf_set_config(int map, const void *value) { return update(map, &(uint32_t){0}, value, BPF_ANY); }

int bpf_set_peer(int map, const void *key, const void *value) { return update(map, key, value, BPF_ANY); }

int bpf_remove_peer(int map, const void *key) { return delete (map, key); }

/* ---- counts, one value for each CPU that the machine may ever have ---- */

/* Their number, of a list such as "0-63" or "0,2-5": the last one. -errno. */
static int possible_cpus(void) {
  static int known;
  if (known > 0) return known;
  FILE *file = fopen("/sys/devices/system/cpu/possible", "re");
  if (!file) return -errno;
  int last = -1;
  while (fscanf(file, "%*[,-]") >= 0 && fscanf(file, "%d", &last) == 1) continue;
  fclose(file);
  if (last < 0) return -EIO;
  return known = last + 1;
}

static uint64_t *values_for_all(int *cpus) {
  *cpus = possible_cpus();
  if (*cpus < 0) return NULL;
  uint64_t *values = calloc((size_t)*cpus * FAST_COUNTS, sizeof *values);
  if (!values) *cpus = -ENOMEM;
  return values;
}

int bpf_add_counts(int map, uint32_t slot) {
  int cpus;
  uint64_t *zeros = values_for_all(&cpus);
  if (!zeros) return cpus;
  int error = update(map, &slot, zeros, BPF_ANY);
  free(zeros);
  return error;
}

int bpf_remove_counts(int map, uint32_t slot) { return delete (map, &slot); }

int bpf_read_counts(int map, uint32_t slot, double totals[FAST_COUNTS]) {
  int cpus;
  uint64_t *values = values_for_all(&cpus);
  if (!values) return cpus;
  union bpf_attr attributes = {.map_fd = (uint32_t)map, .key = address_of(&slot), .value = address_of(values)};
  int error = call(BPF_MAP_LOOKUP_ELEM, &attributes);
  memset(totals, 0, FAST_COUNTS * sizeof *totals);
  for (int i = 0; error == 0 && i < cpus * FAST_COUNTS; i++) {
    double value = (double)values[i];
    double *total = &totals[i % FAST_COUNTS];
    if (i % FAST_COUNTS != FAST_COUNT_HEARD_NS) *total += value;
    else if (value > *total) *total = value;
  }
  free(values);
  return error;
}
