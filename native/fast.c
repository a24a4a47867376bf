/* Node-API face of the fast path (bpf.c). Control thread only. */
#include "fast.h"

#include <stdint.h>

#include "bpf.h"
#include "tunnel.h"
#include "values.h"

napi_value addon_open_fast_path(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX], result;
  arguments(env, info, values);
  int peers_max, counts_max;
  if (!read_int(env, values[0], "peersMax", 1, INT32_MAX, &peers_max) ||
      !read_int(env, values[1], "countsMax", 1, INT32_MAX, &counts_max)) {
    return NULL;
  }
  struct fast_path path;
  int error = bpf_open(&path, (uint32_t)peers_max, (uint32_t)counts_max);
  if (error < 0) return throw_system(env, "bpf", error);
  napi_create_object(env, &result);
  set_property(env, result, "config", make_int(env, path.config));
  set_property(env, result, "peers", make_int(env, path.peers));
  set_property(env, result, "counts", make_int(env, path.counts));
  set_property(env, result, "out", make_int(env, path.out));
  set_property(env, result, "in", make_int(env, path.in));
  set_property(env, result, "merged", make_int(env, path.merged));
  return result;
}

napi_value addon_attach_fast_path(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  arguments(env, info, values);
  int program, device;
  bool egress;
  if (!read_int(env, values[0], "program", 0, INT32_MAX, &program) ||
      !read_int(env, values[1], "device", 1, INT32_MAX, &device) || !read_bool(env, values[2], "egress", &egress)) {
    return NULL;
  }
  int fd = bpf_attach(program, device, egress);
  return fd < 0 ? throw_system(env, "bpf", fd) : make_int(env, fd);
}

napi_value addon_open_fast_probe(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  arguments(env, info, values);
  int device, source_port;
  if (!read_int(env, values[0], "device", 1, INT32_MAX, &device) ||
      !read_int(env, values[1], "sourcePort", 1, UINT16_MAX, &source_port)) {
    return NULL;
  }
  int fd = tunnel_probe_open_inner(device, (uint16_t)source_port);
  return fd < 0 ? throw_system(env, "openProbe", fd) : make_int(env, fd);
}

/* ---- entries: 0 or -errno ---- */

static bool read_map(napi_env env, const napi_value *values, int *map) {
  return read_int(env, values[0], "map", 0, INT32_MAX, map);
}

static bool read_bytes(napi_env env, napi_value value, const char *name, size_t expected, void **bytes) {
  size_t count;
  if (!read_view(env, value, name, napi_uint8_array, bytes, &count)) return false;
  return count == expected || fail_range(env, name, (double)expected, (double)expected);
}

static bool read_slot(napi_env env, napi_value value, uint32_t *slot) {
  double number;
  if (!read_number(env, value, "slot", 0, UINT32_MAX, &number)) return false;
  *slot = (uint32_t)number;
  return true;
}

napi_value addon_set_fast_config(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  arguments(env, info, values);
  int map;
  void *value;
  if (!read_map(env, values, &map) || !read_bytes(env, values[1], "value.length", FAST_CONFIG_BYTES, &value))
    return NULL;
  return make_int(env, bpf_set_config(map, value));
}

napi_value addon_set_fast_peer(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  arguments(env, info, values);
  int map;
  void *key, *value;
  if (!read_map(env, values, &map) || !read_bytes(env, values[1], "key.length", FAST_PEER_KEY_BYTES, &key) ||
      !read_bytes(env, values[2], "value.length", FAST_PEER_BYTES, &value)) {
    return NULL;
  }
  return make_int(env, bpf_set_peer(map, key, value));
}

napi_value addon_remove_fast_peer(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  arguments(env, info, values);
  int map;
  void *key;
  if (!read_map(env, values, &map) || !read_bytes(env, values[1], "key.length", FAST_PEER_KEY_BYTES, &key)) return NULL;
  return make_int(env, bpf_remove_peer(map, key));
}

static napi_value change_counts(napi_env env, napi_callback_info info, int (*change)(int map, uint32_t slot)) {
  napi_value values[ARGUMENTS_MAX];
  arguments(env, info, values);
  int map;
  uint32_t slot;
  if (!read_map(env, values, &map) || !read_slot(env, values[1], &slot)) return NULL;
  return make_int(env, change(map, slot));
}

napi_value addon_add_fast_counts(napi_env env, napi_callback_info info) {
  return change_counts(env, info, bpf_add_counts);
}

napi_value addon_remove_fast_counts(napi_env env, napi_callback_info info) {
  return change_counts(env, info, bpf_remove_counts);
}

napi_value addon_read_fast_counts(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  arguments(env, info, values);
  int map;
  uint32_t slot;
  void *totals;
  size_t count;
  if (!read_map(env, values, &map) || !read_slot(env, values[1], &slot) ||
      !read_view(env, values[2], "totals", napi_float64_array, &totals, &count)) {
    return NULL;
  }
  if (count != FAST_COUNTS) return fail_range(env, "totals.length", FAST_COUNTS, FAST_COUNTS), NULL;
  return make_int(env, bpf_read_counts(map, slot, totals));
}
