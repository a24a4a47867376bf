/*
 * Node-API face of the engine. Stages: engines (create, attach, destroy), moving packets, the rest, registration.
 * Devices and sockets: ports.c. Argument checks and errors: values.c.
 *
 * State is per environment (thread): the struct addon below, given to every function as its data pointer.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "checksum.h"
#include "coalesce.h"
#include "echo.h"
#include "engine.h"
#include "fast.h"
#include "files.h"
#include "harden.h"
#include "heap.h"
#include "icmp.h"
#include "netlink.h"
#include "ports.h"
#include "segment.h"
#include "spawn.h"
#include "sys.h"
#include "tun.h"
#include "udp.h"
#include "values.h"
#include "wait.h"
#include "watch.h"
#ifdef WEFT_TEST_SEAL
#include "test/test-seal.h"
#endif

#define WATCHES_MAX 4

enum { VIEW_POOL, VIEW_TUN_IN, VIEW_UDP_IN, VIEW_TUN_OUT, VIEW_STATS, VIEW_CLOCK, VIEW_COUNT };

struct addon {
  struct engine *engines[ENGINES_MAX];
  napi_ref views[ENGINES_MAX][VIEW_COUNT];
  struct watch *watches[WATCHES_MAX];
};

/* ---- engines ---- */

static const struct {
  const char *name;
  napi_typedarray_type type;
  size_t count;
} view_rules[VIEW_COUNT] = {
    [VIEW_POOL] = {"pool", napi_uint8_array, (POOL_SLOTS * SLOT_STRIDE)},
    [VIEW_TUN_IN] = {"tunIn", napi_int32_array, (TUN_IN_ROWS * ROW_INTS)},
    [VIEW_UDP_IN] = {"udpIn", napi_int32_array, (UDP_IN_ROWS * ROW_INTS)},
    [VIEW_TUN_OUT] = {"tunOut", napi_int32_array, (TUN_OUT_ROWS * ROW_INTS)},
    [VIEW_STATS] = {"stats", napi_float64_array, STAT_COUNT},
    [VIEW_CLOCK] = {"clock", napi_int32_array, 2},
};

static bool read_views(napi_env env, napi_value object, struct engine *memory, napi_value values[VIEW_COUNT]) {
  void *data[VIEW_COUNT];
  for (int i = 0; i < VIEW_COUNT; i++) {
    size_t count;
    if (!read_property(env, object, view_rules[i].name, &values[i])) return false;
    if (!read_view(env, values[i], view_rules[i].name, view_rules[i].type, &data[i], &count)) return false;
    if (count != view_rules[i].count) {
      char name[32];
      snprintf(name, sizeof name, "%s.length", view_rules[i].name);
      return fail_range(env, name, (double)view_rules[i].count, (double)view_rules[i].count);
    }
  }
  *memory = (struct engine){
      .pool = data[VIEW_POOL],
      .pool_bytes = view_rules[VIEW_POOL].count,
      .tun_in = data[VIEW_TUN_IN],
      .udp_in = data[VIEW_UDP_IN],
      .tun_out = data[VIEW_TUN_OUT],
      .stats = data[VIEW_STATS],
      .clock = data[VIEW_CLOCK],
  };
  return int_property(env, object, "wakeFd", -1, INT32_MAX, &memory->wake_fd);
}

static napi_value addon_create_engine(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX], views[VIEW_COUNT];
  struct addon *addon = arguments(env, info, values);
  struct engine memory;
  if (!read_views(env, values[0], &memory, views)) return NULL;
  int handle = 0;
  while (handle < ENGINES_MAX && addon->engines[handle]) handle++;
  if (handle == ENGINES_MAX) return throw_system(env, "createEngine", -EMFILE);
  int error = engine_create(&memory, &addon->engines[handle]);
  if (error < 0) return throw_system(env, "createEngine", error);
  for (int i = 0; i < VIEW_COUNT; i++) {
    napi_create_reference(env, views[i], 1, &addon->views[handle][i]);
  }
  return make_int(env, handle);
}

/* Hot: one napi call. NULL after throwing. */
static struct engine *read_engine(napi_env env, struct addon *addon, napi_value value) {
  int32_t handle;
  if (napi_get_value_int32(env, value, &handle) != napi_ok) {
    fail_type(env, "engine", "a number");
    return NULL;
  }
  if (handle >= 0 && handle < ENGINES_MAX && addon->engines[handle]) return addon->engines[handle];
  napi_throw_range_error(env, "ERR_OUT_OF_RANGE", "no such engine in this thread");
  return NULL;
}

static bool read_send_fds(napi_env env, napi_value object, struct link *link) {
  napi_value value;
  void *fds;
  size_t count;
  if (!read_property(env, object, "sendFds", &value)) return false;
  if (!read_view(env, value, "sendFds", napi_int32_array, &fds, &count)) return false;
  if (count < 1 || count > SEND_SOCKETS_MAX) return fail_range(env, "sendFds.length", 1, SEND_SOCKETS_MAX);
  memcpy(link->send_fds, fds, count * sizeof link->send_fds[0]);
  link->send_fd_count = (int)count;
  return true;
}

static napi_value addon_attach_link(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  struct addon *addon = arguments(env, info, values);
  struct engine *e = read_engine(env, addon, values[0]);
  struct link link = {0};
  int features;
  if (!e || !family_property(env, values[1], &link.family) ||
      !int_property(env, values[1], "tunFd", 0, INT32_MAX, &link.tun_fd) ||
      !int_property(env, values[1], "udpFd", 0, INT32_MAX, &link.udp_fd) ||
      !int_property(env, values[1], "tapFd", -1, INT32_MAX, &link.tap_fd) || !read_send_fds(env, values[1], &link) ||
      !int_property(env, values[1], "features", 0, INT32_MAX, &features)) {
    return NULL;
  }
  link.features = (uint32_t)features;
  link.batch_bytes = BATCH_BYTES;
  if (link.tap_fd < 0) link.features &= ~(uint32_t)FEATURE_TUNNEL_GSO;
  int index = engine_attach_link(e, &link);
  return index < 0 ? throw_system(env, "attachLink", index) : make_int(env, index);
}

static napi_value addon_destroy_engine(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  struct addon *addon = arguments(env, info, values);
  struct engine *e = read_engine(env, addon, values[0]);
  if (!e) return NULL;
  int handle = 0;
  while (addon->engines[handle] != e) handle++;
  addon->engines[handle] = NULL;
  engine_destroy(e);
  for (int i = 0; i < VIEW_COUNT; i++) napi_delete_reference(env, addon->views[handle][i]);
  return NULL;
}

/* ---- moving packets: few napi calls, integers only ---- */

static struct engine *read_engine_link(napi_env env, napi_callback_info info, napi_value *values, int32_t *link) {
  struct addon *addon = arguments(env, info, values);
  struct engine *e = read_engine(env, addon, values[0]);
  if (!e) return NULL;
  if (napi_get_value_int32(env, values[1], link) != napi_ok || *link < 0 || *link >= e->link_count) {
    napi_throw_range_error(env, "ERR_OUT_OF_RANGE", "no such link in this engine");
    return NULL;
  }
  return e;
}

#ifdef WEFT_TEST_SEAL
static napi_value addon_seal_link(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  int32_t link;
  int key;
  struct engine *e = read_engine_link(env, info, values, &link);
  if (!e || !read_int(env, values[2], "key", 0, INT32_MAX, &key)) return NULL;
  struct seal *seal = test_seal_create((uint32_t)key);
  int error = seal ? engine_seal_link(e, link, seal) : -ENOMEM;
  if (error && seal) seal->destroy(seal);
  return error ? throw_system(env, "sealLink", error) : NULL;
}
#endif

static bool read_count(napi_env env, napi_value value, int max, int32_t *count) {
  if (napi_get_value_int32(env, value, count) != napi_ok) return fail_type(env, "count", "a number");
  return (*count >= 0 && *count <= max) || fail_range(env, "count", 0, max);
}

static napi_value addon_limit_batch(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  int32_t link;
  int bytes;
  struct engine *e = read_engine_link(env, info, values, &link);
  if (!e || !read_int(env, values[2], "bytes", 1, BATCH_BYTES, &bytes)) return NULL;
  e->links[link].batch_bytes = bytes;
  return NULL;
}

static napi_value addon_tun_receive(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  int32_t link;
  struct engine *e = read_engine_link(env, info, values, &link);
  return e ? make_int(env, tun_receive(e, link)) : NULL;
}

static napi_value addon_tun_send(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  int32_t link, count;
  struct engine *e = read_engine_link(env, info, values, &link);
  if (!e || !read_count(env, values[2], TUN_OUT_ROWS, &count)) return NULL;
  return make_int(env, tun_send(e, link, count));
}

static napi_value addon_udp_receive(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  int32_t link;
  struct engine *e = read_engine_link(env, info, values, &link);
  return e ? make_int(env, udp_receive(e, link)) : NULL;
}

static napi_value addon_udp_send(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  int32_t link, count;
  struct engine *e = read_engine_link(env, info, values, &link);
  if (!e || !read_count(env, values[2], TUN_IN_ROWS, &count)) return NULL;
  return make_int(env, udp_send(e, link, count));
}

static napi_value addon_icmp_send(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  struct addon *addon = arguments(env, info, values);
  struct engine *e = read_engine(env, addon, values[0]);
  int fd, offset, length;
  if (!e || !read_int(env, values[1], "fd", 0, INT32_MAX, &fd) ||
      !read_int(env, values[2], "offset", 0, INT32_MAX, &offset) ||
      !read_int(env, values[3], "length", 1, SLOT_PAYLOAD, &length)) {
    return NULL;
  }
  return make_int(env, icmp_send(e, fd, offset, length));
}

static napi_value addon_wait(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  struct addon *addon = arguments(env, info, values);
  struct engine *e = read_engine(env, addon, values[0]);
  int32_t timeout_ms;
  if (!e) return NULL;
  if (napi_get_value_int32(env, values[1], &timeout_ms) != napi_ok) {
    fail_type(env, "timeoutMs", "a number");
    return NULL;
  }
  return make_int(env, engine_wait(e, timeout_ms));
}

/* ---- echoes ---- */

static napi_value make_double(napi_env env, double number) {
  napi_value value = NULL;
  napi_create_double(env, number, &value);
  return value;
}

static napi_value addon_open_echo(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX], result;
  arguments(env, info, values);
  int version;
  void *address;
  size_t count;
  if (!read_int(env, values[0], "family", 4, 6, &version) ||
      !read_view(env, values[1], "address", napi_uint8_array, &address, &count)) {
    return NULL;
  }
  const size_t expected = version == 4 ? 4 : 16;
  if (count != expected) {
    fail_range(env, "address.length", (double)expected, (double)expected);
    return NULL;
  }
  bool raw = false;
  int fd = echo_open(version == 4 ? AF_INET : AF_INET6, address, &raw);
  if (fd < 0) return throw_system(env, "openEcho", fd);
  napi_create_object(env, &result);
  set_property(env, result, "fd", make_int(env, fd));
  set_property(env, result, "raw", make_bool(env, raw));
  return result;
}

static bool read_token(napi_env env, napi_value value, const uint8_t **token) {
  void *bytes;
  size_t count;
  if (!read_view(env, value, "token", napi_uint8_array, &bytes, &count)) return false;
  *token = bytes;
  return count == ECHO_TOKEN_BYTES || fail_range(env, "token.length", ECHO_TOKEN_BYTES, ECHO_TOKEN_BYTES);
}

static napi_value addon_echo_send(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX], address_value;
  arguments(env, info, values);
  int fd, identifier, sequence, payload_bytes;
  void *address;
  size_t count;
  struct echo_request request;
  if (!read_int(env, values[0], "fd", 0, INT32_MAX, &fd) || !read_token(env, values[1], &request.token) ||
      !read_property(env, values[2], "address", &address_value) ||
      !read_view(env, address_value, "address", napi_uint8_array, &address, &count) ||
      !int_property(env, values[2], "identifier", 0, UINT16_MAX, &identifier) ||
      !int_property(env, values[2], "sequence", 0, UINT16_MAX, &sequence) ||
      !int_property(env, values[2], "payloadBytes", ECHO_TOKEN_BYTES, ECHO_PAYLOAD_MAX, &payload_bytes)) {
    return NULL;
  }
  int family = AF_UNSPEC;
  getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &(socklen_t){sizeof family});
  const size_t expected = family == AF_INET6 ? 16 : 4;
  if (count != expected) {
    fail_range(env, "address.length", (double)expected, (double)expected);
    return NULL;
  }
  request.address = address;
  request.identifier = (uint16_t)identifier;
  request.sequence = (uint16_t)sequence;
  request.payload_bytes = (size_t)payload_bytes;
  double sent_at_ns;
  int error = echo_send(fd, &request, &sent_at_ns);
  return make_double(env, error < 0 ? error : sent_at_ns);
}

static napi_value addon_echo_receive(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  arguments(env, info, values);
  int fd;
  const uint8_t *token;
  void *rows;
  size_t count;
  if (!read_int(env, values[0], "fd", 0, INT32_MAX, &fd) || !read_token(env, values[1], &token) ||
      !read_view(env, values[2], "rows", napi_float64_array, &rows, &count)) {
    return NULL;
  }
  return make_int(env, echo_receive(fd, token, rows, (int)(count / ECHO_ROW_DOUBLES)));
}

/* ---- news from the kernel ---- */

static napi_value addon_open_netlink(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  arguments(env, info, values);
  bool firewall;
  if (!read_bool(env, values[0], "firewall", &firewall)) return NULL;
  int fd = firewall ? netlink_open_firewall() : netlink_open_routing();
  return fd < 0 ? throw_system(env, "openNetlink", fd) : make_int(env, fd);
}

static napi_value addon_netlink_receive(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  arguments(env, info, values);
  int fd;
  void *rows;
  size_t count;
  if (!read_int(env, values[0], "fd", 0, INT32_MAX, &fd) ||
      !read_view(env, values[1], "rows", napi_int32_array, &rows, &count)) {
    return NULL;
  }
  return make_int(env, netlink_receive(fd, rows, (int)(count / NEWS_ROW_INTS)));
}

/* The watch's place in the addon, or -1 with an exception. */
static int read_watch(napi_env env, napi_value value, const struct addon *addon) {
  int handle;
  if (!read_int(env, value, "watch", 0, WATCHES_MAX - 1, &handle)) return -1;
  if (addon->watches[handle]) return handle;
  fail_type(env, "watch", "a watch that has not ended");
  return -1;
}

static napi_value addon_watch(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  struct addon *addon = arguments(env, info, values);
  void *fds;
  size_t count;
  if (!read_view(env, values[0], "fds", napi_int32_array, &fds, &count)) return NULL;
  if (count > WATCH_FDS_MAX) return fail_range(env, "fds.length", 0, WATCH_FDS_MAX), NULL;
  int handle = 0;
  while (handle < WATCHES_MAX && addon->watches[handle]) handle++;
  if (handle == WATCHES_MAX) return throw_system(env, "watch", -EMFILE);
  addon->watches[handle] = watch_start(env, fds, (int)count, values[1]);
  return addon->watches[handle] ? make_int(env, handle) : NULL;
}

static napi_value addon_watch_again(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  struct addon *addon = arguments(env, info, values);
  int handle = read_watch(env, values[0], addon);
  if (handle >= 0) watch_again(addon->watches[handle]);
  return NULL;
}

static napi_value addon_unwatch(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  struct addon *addon = arguments(env, info, values);
  int handle = read_watch(env, values[0], addon);
  if (handle < 0) return NULL;
  watch_end(addon->watches[handle]);
  addon->watches[handle] = NULL;
  return NULL;
}

/* ---- commands ---- */

static napi_value make_spawned(napi_env env, const struct spawned *spawned) {
  napi_value result;
  napi_create_object(env, &result);
  set_property(env, result, "pid", make_int(env, spawned->pid));
  set_property(env, result, "stdin", make_int(env, spawned->in));
  set_property(env, result, "stdout", make_int(env, spawned->out));
  set_property(env, result, "stderr", make_int(env, spawned->err));
  return result;
}

static napi_value addon_spawn(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  arguments(env, info, values);
  char file[PATH_MAX];
  if (!read_text(env, values[0], "file", file, sizeof file)) return NULL;
  char **words = read_texts(env, values[1], "words");
  char **environment = words ? read_texts(env, values[2], "environment") : NULL;
  napi_value result = NULL;
  if (environment) {
    struct spawned spawned;
    int error = spawn_start(file, words, environment, &spawned);
    result = error ? throw_system(env, "spawn", error) : make_spawned(env, &spawned);
  }
  free(environment);
  free(words);
  return result;
}

static napi_value addon_reap(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX], result = NULL;
  arguments(env, info, values);
  int pid, status;
  if (!read_int(env, values[0], "pid", 1, INT32_MAX, &pid)) return NULL;
  int ended = spawn_reap(pid, &status);
  if (ended < 0) return throw_system(env, "waitpid", ended);
  if (!ended) return NULL;
  napi_create_object(env, &result);
  set_property(env, result, "code", make_int(env, WIFEXITED(status) ? WEXITSTATUS(status) : 0));
  set_property(env, result, "signal", make_int(env, WIFSIGNALED(status) ? WTERMSIG(status) : 0));
  return result;
}

/* ---- files ---- */

static napi_value addon_look_at_files(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  arguments(env, info, values);
  int text_max;
  if (!read_int(env, values[1], "textBytesMax", 0, 1 << 24, &text_max)) return NULL;
  char **paths = read_texts(env, values[0], "paths");
  return paths ? files_look(env, paths, text_max) : NULL;
}

/* ---- the rest ---- */

static napi_value addon_open_wake(napi_env env, napi_callback_info info) {
  (void)info;
  int fd = sys_wake_open();
  return fd < 0 ? throw_system(env, "eventfd", fd) : make_int(env, fd);
}

static napi_value addon_wake(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  arguments(env, info, values);
  int fd;
  if (!read_int(env, values[0], "fd", 0, INT32_MAX, &fd)) return NULL;
  int error = sys_wake(fd);
  return error < 0 ? throw_system(env, "write", error) : NULL;
}

static napi_value addon_notify(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  arguments(env, info, values);
  char state[4096];
  if (!read_text(env, values[0], "state", state, sizeof state)) return NULL;
  int fd = -1;
  napi_valuetype type = napi_undefined;
  napi_typeof(env, values[1], &type);
  if (type != napi_undefined && !read_int(env, values[1], "fd", 0, INT32_MAX, &fd)) return NULL;
  int sent = sys_notify(state, fd);
  return sent < 0 ? throw_system(env, "sendmsg", sent) : make_bool(env, sent == 1);
}

static napi_value addon_pin(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  arguments(env, info, values);
  int cpu;
  if (!read_int(env, values[0], "cpu", 0, INT32_MAX, &cpu)) return NULL;
  int error = sys_pin(cpu);
  return error < 0 ? throw_system(env, "sched_setaffinity", error) : NULL;
}

static napi_value addon_checksum(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  arguments(env, info, values);
  void *bytes;
  size_t count;
  double offset, length, seed;
  if (!read_view(env, values[0], "bytes", napi_uint8_array, &bytes, &count) ||
      !read_number(env, values[1], "offset", 0, (double)count, &offset) ||
      !read_number(env, values[2], "length", 0, (double)count - offset, &length) ||
      !read_number(env, values[3], "seed", 0, UINT32_MAX, &seed)) {
    return NULL;
  }
  if (length == 0) bytes = "", offset = 0; /* an empty view has no address */
  return make_int(env, checksum_fold((uint8_t *)bytes + (size_t)offset, (size_t)length, (uint32_t)seed));
}

static napi_value addon_checksum_name(napi_env env, napi_callback_info info) {
  (void)info;
  return make_string(env, checksum_name());
}

static napi_value addon_checksum_select(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  arguments(env, info, values);
  char name[32];
  if (!read_text(env, values[0], "name", name, sizeof name)) return NULL;
  return make_bool(env, checksum_select(name));
}

/* ---- what is given up for good ---- */

static napi_value addon_harden_dump(napi_env env, napi_callback_info info) {
  (void)info;
  return make_int(env, harden_dump());
}

static napi_value addon_harden_rings(napi_env env, napi_callback_info info) {
  (void)info;
  return make_int(env, harden_rings());
}

static napi_value addon_harden_files_abi(napi_env env, napi_callback_info info) {
  (void)info;
  return make_int(env, harden_files_abi());
}

static napi_value addon_harden_files_create(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  arguments(env, info, values);
  int access;
  if (!read_int(env, values[0], "access", 1, INT32_MAX, &access)) return NULL;
  return make_int(env, harden_files_create((uint64_t)access));
}

static napi_value addon_harden_files_allow(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  arguments(env, info, values);
  int fd, access;
  char path[PATH_MAX];
  if (!read_int(env, values[0], "fd", 0, INT32_MAX, &fd) || !read_text(env, values[1], "path", path, sizeof path) ||
      !read_int(env, values[2], "access", 1, INT32_MAX, &access)) {
    return NULL;
  }
  return make_int(env, harden_files_allow(fd, path, (uint64_t)access));
}

static napi_value addon_harden_files_enforce(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  arguments(env, info, values);
  int fd;
  return read_int(env, values[0], "fd", 0, INT32_MAX, &fd) ? make_int(env, harden_files_enforce(fd)) : NULL;
}

static napi_value addon_harden_capabilities(napi_env env, napi_callback_info info) {
  (void)info;
  return make_int(env, harden_capabilities());
}

static napi_value addon_harden_calls(napi_env env, napi_callback_info info) {
  (void)info;
  return make_int(env, harden_calls());
}

static napi_value addon_exit_now(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  arguments(env, info, values);
  int code;
  if (read_int(env, values[0], "code", 0, UINT8_MAX, &code)) _exit(code);
  return NULL;
}

/* ---- registration ---- */

static const struct {
  const char *name;
  napi_callback function;
} functions[] = {
    {"openTun", addon_open_tun},
    {"openUdp", addon_open_udp},
    {"openIcmp", addon_open_icmp},
    {"setInet", addon_set_inet},
    {"hasFeature", addon_has_feature},
    {"setOffload", addon_set_offload},
    {"ipsecPolicies", addon_ipsec_policies},
    {"openWake", addon_open_wake},
    {"wake", addon_wake},
    {"close", addon_close},
    {"createEngine", addon_create_engine},
    {"attachLink", addon_attach_link},
    {"destroyEngine", addon_destroy_engine},
    {"limitBatch", addon_limit_batch},
    {"tunReceive", addon_tun_receive},
    {"tunSend", addon_tun_send},
    {"udpReceive", addon_udp_receive},
    {"udpSend", addon_udp_send},
    {"icmpSend", addon_icmp_send},
    {"wait", addon_wait},
    {"notify", addon_notify},
    {"pin", addon_pin},
    {"checksum", addon_checksum},
    {"checksumName", addon_checksum_name},
    {"checksumSelect", addon_checksum_select},
    {"openPair", addon_open_pair},
    {"openTap", addon_open_tap},
    {"openProbe", addon_open_probe},
    {"probeSeen", addon_probe_seen},
    {"adoptTun", addon_adopt_tun},
    {"adoptUdp", addon_adopt_udp},
    {"tunDevice", addon_tun_device},
    {"persistTun", addon_persist_tun},
    {"receiveBuffer", addon_receive_buffer},
    {"spreadByPort", addon_spread_by_port},
    {"spreadByHash", addon_spread_by_hash},
    {"openEcho", addon_open_echo},
    {"echoSend", addon_echo_send},
    {"echoReceive", addon_echo_receive},
    {"openNetlink", addon_open_netlink},
    {"netlinkReceive", addon_netlink_receive},
    {"watch", addon_watch},
    {"watchAgain", addon_watch_again},
    {"unwatch", addon_unwatch},
    {"spawn", addon_spawn},
    {"reap", addon_reap},
    {"lookAtFiles", addon_look_at_files},
    {"openFastPath", addon_open_fast_path},
    {"attachFastPath", addon_attach_fast_path},
    {"openFastProbe", addon_open_fast_probe},
    {"setFastConfig", addon_set_fast_config},
    {"setFastPeer", addon_set_fast_peer},
    {"removeFastPeer", addon_remove_fast_peer},
    {"addFastCounts", addon_add_fast_counts},
    {"removeFastCounts", addon_remove_fast_counts},
    {"readFastCounts", addon_read_fast_counts},
    {"hardenDump", addon_harden_dump},
    {"hardenRings", addon_harden_rings},
    {"hardenFilesAbi", addon_harden_files_abi},
    {"hardenFilesCreate", addon_harden_files_create},
    {"hardenFilesAllow", addon_harden_files_allow},
    {"hardenFilesEnforce", addon_harden_files_enforce},
    {"hardenCapabilities", addon_harden_capabilities},
    {"hardenCalls", addon_harden_calls},
    {"exitNow", addon_exit_now},
#ifdef WEFT_TEST_SEAL
    {"sealLink", addon_seal_link},
#endif
};

/* Runs when the environment ends, also for a terminated worker; Node drops the view references itself. */
static void free_addon(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  struct addon *addon = data;
  for (int i = 0; i < ENGINES_MAX; i++) {
    if (addon->engines[i]) engine_destroy(addon->engines[i]);
  }
  for (int i = 0; i < WATCHES_MAX; i++) {
    if (addon->watches[i]) watch_end(addon->watches[i]);
  }
  free(addon);
}

NAPI_MODULE_INIT() {
  heap_map_large();
  struct addon *addon = calloc(1, sizeof *addon);
  if (!addon || napi_set_instance_data(env, addon, free_addon, NULL) != napi_ok) {
    free(addon);
    return throw_system(env, "init", -ENOMEM);
  }
  napi_value layout;
  napi_create_object(env, &layout);
  for (int i = 0; i < layout_number_count; i++) {
    set_property(env, layout, layout_numbers[i].name, make_int(env, layout_numbers[i].value));
  }
  set_property(env, exports, "layout", layout);
  for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
    napi_value function;
    napi_create_function(env, functions[i].name, NAPI_AUTO_LENGTH, functions[i].function, addon, &function);
    set_property(env, exports, functions[i].name, function);
  }
  return exports;
}
