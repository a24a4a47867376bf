/*
 * Node-API face of devices and sockets: open, take over from the process before, close. Stages: the TUN, the helper TAP and its
 * probe, sockets. Control thread only.
 */
#include "ports.h"

#include <errno.h>
#include <linux/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include "features.h"
#include "icmp.h"
#include "inet.h"
#include "ipsec.h"
#include "sys.h"
#include "tun.h"
#include "tunnel.h"
#include "udp.h"
#include "values.h"

#define DEVICE_NAME_BYTES 16

_Static_assert(DEVICE_NAME_BYTES == IFNAMSIZ, "the kernel's limit");

/* ---- the TUN ---- */

static napi_value tun_result(napi_env env, int fd, uint32_t granted) {
  napi_value result;
  napi_create_object(env, &result);
  set_property(env, result, "fd", make_int(env, fd));
  set_property(env, result, "features", make_int(env, (int32_t)granted));
  return result;
}

napi_value addon_open_tun(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  arguments(env, info, values);
  char name[DEVICE_NAME_BYTES];
  int wanted;
  if (!read_text(env, values[0], "name", name, sizeof name)) return NULL;
  if (!read_int(env, values[1], "wantedFeatures", 0, INT32_MAX, &wanted)) return NULL;
  uint32_t granted = 0;
  int fd = tun_open(name, (uint32_t)wanted, &granted);
  return fd < 0 ? throw_system(env, "openTun", fd) : tun_result(env, fd, granted);
}

napi_value addon_adopt_tun(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  arguments(env, info, values);
  char name[DEVICE_NAME_BYTES];
  int fd, wanted;
  if (!read_int(env, values[0], "fd", 0, INT32_MAX, &fd) || !read_text(env, values[1], "name", name, sizeof name) ||
      !read_int(env, values[2], "wantedFeatures", 0, INT32_MAX, &wanted)) {
    return NULL;
  }
  uint32_t granted = 0;
  int error = tun_adopt(fd, name, (uint32_t)wanted, &granted);
  return error < 0 ? throw_system(env, "adoptTun", error) : tun_result(env, fd, granted);
}

napi_value addon_tun_device(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  arguments(env, info, values);
  int fd;
  char name[DEVICE_NAME_BYTES];
  if (!read_int(env, values[0], "fd", 0, INT32_MAX, &fd)) return NULL;
  return make_string(env, tun_device(fd, name) < 0 ? "" : name);
}

napi_value addon_persist_tun(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  arguments(env, info, values);
  int fd;
  bool on;
  if (!read_int(env, values[0], "fd", 0, INT32_MAX, &fd) || !read_bool(env, values[1], "on", &on)) return NULL;
  int error = tun_persist(fd, on);
  return error < 0 ? throw_system(env, "persistTun", error) : NULL;
}

napi_value addon_set_inet(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  arguments(env, info, values);
  char name[DEVICE_NAME_BYTES];
  int setting, value;
  if (!read_text(env, values[0], "name", name, sizeof name) ||
      !read_int(env, values[1], "setting", 1, UINT16_MAX, &setting) ||
      !read_int(env, values[2], "value", 0, INT32_MAX, &value)) {
    return NULL;
  }
  return make_int(env, inet_set(name, setting, (uint32_t)value));
}

napi_value addon_has_feature(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  arguments(env, info, values);
  char device[DEVICE_NAME_BYTES], feature[FEATURE_NAME_BYTES];
  if (!read_text(env, values[0], "device", device, sizeof device) ||
      !read_text(env, values[1], "feature", feature, sizeof feature)) {
    return NULL;
  }
  return make_int(env, features_has(device, feature));
}

napi_value addon_set_offload(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  arguments(env, info, values);
  char device[DEVICE_NAME_BYTES];
  int command;
  bool on;
  if (!read_text(env, values[0], "device", device, sizeof device) ||
      !read_int(env, values[1], "command", 1, INT32_MAX, &command) || !read_bool(env, values[2], "on", &on)) {
    return NULL;
  }
  return make_int(env, features_set(device, (uint32_t)command, on));
}

napi_value addon_ipsec_policies(napi_env env, napi_callback_info info) {
  (void)info;
  return make_int(env, ipsec_policy_count());
}

/* ---- the helper TAP ---- */

napi_value addon_open_tap(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  arguments(env, info, values);
  char name[DEVICE_NAME_BYTES];
  if (!read_text(env, values[0], "name", name, sizeof name)) return NULL;
  int fd = tunnel_open(name);
  return fd < 0 ? throw_system(env, "openTap", fd) : make_int(env, fd);
}

napi_value addon_open_probe(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  int family, interface_index, mark;
  arguments(env, info, values);
  if (!family_property(env, values[0], &family) ||
      !int_property(env, values[0], "interfaceIndex", 1, INT32_MAX, &interface_index) ||
      !int_property(env, values[0], "mark", 0, UINT16_MAX, &mark)) {
    return NULL;
  }
  int fd = tunnel_probe_open(family, interface_index, (uint16_t)mark);
  return fd < 0 ? throw_system(env, "openProbe", fd) : make_int(env, fd);
}

napi_value addon_probe_seen(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  arguments(env, info, values);
  int fd;
  if (!read_int(env, values[0], "fd", 0, INT32_MAX, &fd)) return NULL;
  return make_bool(env, tunnel_probe_seen(fd));
}

/* ---- sockets ---- */

static bool read_udp_options(napi_env env, napi_value object, struct udp_options *options) {
  napi_value address;
  void *bytes;
  size_t count;
  int port;
  if (!family_property(env, object, &options->family)) return false;
  if (!read_property(env, object, "address", &address)) return false;
  if (!read_view(env, address, "address", napi_uint8_array, &bytes, &count)) return false;
  size_t expected = options->family == AF_INET ? 4 : 16;
  if (count != expected) return fail_range(env, "address.length", (double)expected, (double)expected);
  options->address = bytes;
  if (!int_property(env, object, "port", 0, UINT16_MAX, &port)) return false;
  options->port = (uint16_t)port;
  return bool_property(env, object, "reusePort", &options->reuse_port) &&
         bool_property(env, object, "gro", &options->gro) &&
         bool_property(env, object, "dontFragment", &options->dont_fragment) &&
         int_property(env, object, "bufferBytes", 0, INT32_MAX / 2, &options->buffer_bytes);
}

/* Closes the socket when its port can't be told. */
static napi_value udp_result(napi_env env, int fd, bool gro) {
  int port = udp_port(fd);
  if (port < 0) {
    close(fd);
    return throw_system(env, "getsockname", port);
  }
  napi_value result;
  napi_create_object(env, &result);
  set_property(env, result, "fd", make_int(env, fd));
  set_property(env, result, "port", make_int(env, port));
  set_property(env, result, "gro", make_bool(env, gro));
  return result;
}

napi_value addon_open_udp(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  arguments(env, info, values);
  struct udp_options options = {0};
  if (!read_udp_options(env, values[0], &options)) return NULL;
  bool gro = false;
  const char *failed_call;
  int fd = udp_open(&options, &gro, &failed_call);
  return fd < 0 ? throw_system(env, failed_call, fd) : udp_result(env, fd, gro);
}

napi_value addon_adopt_udp(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  arguments(env, info, values);
  int fd;
  struct udp_options options = {0};
  if (!read_int(env, values[0], "fd", 0, INT32_MAX, &fd) || !read_udp_options(env, values[1], &options)) return NULL;
  bool gro = false;
  int error = udp_adopt(fd, &options, &gro);
  return error < 0 ? throw_system(env, "adoptUdp", error) : udp_result(env, fd, gro);
}

napi_value addon_open_icmp(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  arguments(env, info, values);
  int version;
  if (!read_int(env, values[0], "family", 4, 6, &version)) return NULL;
  int fd = icmp_open(version == 4 ? AF_INET : AF_INET6);
  return fd < 0 ? throw_system(env, "openIcmp", fd) : make_int(env, fd);
}

napi_value addon_spread_by_port(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  arguments(env, info, values);
  int fd, family, workers;
  if (!read_int(env, values[0], "fd", 0, INT32_MAX, &fd) || !read_int(env, values[1], "family", 4, 6, &family))
    return NULL;
  if (!read_int(env, values[2], "workers", 1, INT16_MAX, &workers)) return NULL;
  int error = udp_spread_by_port(fd, family == 4 ? AF_INET : AF_INET6, workers);
  return error ? throw_system(env, "spreadByPort", error) : NULL;
}

napi_value addon_spread_by_hash(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  arguments(env, info, values);
  int fd;
  if (!read_int(env, values[0], "fd", 0, INT32_MAX, &fd)) return NULL;
  int error = udp_spread_by_hash(fd);
  return error ? throw_system(env, "spreadByHash", error) : NULL;
}

napi_value addon_receive_buffer(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  arguments(env, info, values);
  int fd, bytes;
  if (!read_int(env, values[0], "fd", 0, INT32_MAX, &fd)) return NULL;
  if (!read_int(env, values[1], "bytes", 0, INT32_MAX / 2, &bytes)) return NULL;
  udp_receive_buffer(fd, bytes);
  return NULL;
}

napi_value addon_close(napi_env env, napi_callback_info info) {
  napi_value values[ARGUMENTS_MAX];
  arguments(env, info, values);
  int fd;
  if (!read_int(env, values[0], "fd", 0, INT32_MAX, &fd)) return NULL;
  return close(fd) < 0 ? throw_system(env, "close", -errno) : NULL;
}

napi_value addon_open_pair(napi_env env, napi_callback_info info) {
  (void)info;
  int fds[2];
  int error = sys_pair_open(fds);
  if (error < 0) return throw_system(env, "socketpair", error);
  napi_value pair;
  napi_create_array_with_length(env, 2, &pair);
  for (uint32_t i = 0; i < 2; i++) napi_set_element(env, pair, i, make_int(env, fds[i]));
  return pair;
}
