/* The functions of ports.c that addon.c registers; src/memory/addon.ts says what each does. */
#ifndef WEFT_PORTS_H
#define WEFT_PORTS_H

#include <node_api.h>

napi_value addon_open_tun(napi_env env, napi_callback_info info);
napi_value addon_adopt_tun(napi_env env, napi_callback_info info);
napi_value addon_tun_device(napi_env env, napi_callback_info info);
napi_value addon_persist_tun(napi_env env, napi_callback_info info);
napi_value addon_open_tap(napi_env env, napi_callback_info info);
napi_value addon_open_probe(napi_env env, napi_callback_info info);
napi_value addon_probe_seen(napi_env env, napi_callback_info info);
napi_value addon_open_udp(napi_env env, napi_callback_info info);
napi_value addon_adopt_udp(napi_env env, napi_callback_info info);
napi_value addon_set_inet(napi_env env, napi_callback_info info);
napi_value addon_has_feature(napi_env env, napi_callback_info info);
napi_value addon_set_offload(napi_env env, napi_callback_info info);
napi_value addon_ipsec_policies(napi_env env, napi_callback_info info);
napi_value addon_open_icmp(napi_env env, napi_callback_info info);
napi_value addon_spread_by_port(napi_env env, napi_callback_info info);
napi_value addon_spread_by_hash(napi_env env, napi_callback_info info);
napi_value addon_receive_buffer(napi_env env, napi_callback_info info);
napi_value addon_close(napi_env env, napi_callback_info info);
napi_value addon_open_pair(napi_env env, napi_callback_info info);

#endif
