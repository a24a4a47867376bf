/* The functions of fast.c that addon.c registers; src/memory/addon.ts says what each does. */
#ifndef WEFT_FAST_H
#define WEFT_FAST_H

#include <node_api.h>

napi_value addon_open_fast_path(napi_env env, napi_callback_info info);
napi_value addon_attach_fast_path(napi_env env, napi_callback_info info);
napi_value addon_open_fast_probe(napi_env env, napi_callback_info info);
napi_value addon_set_fast_config(napi_env env, napi_callback_info info);
napi_value addon_set_fast_peer(napi_env env, napi_callback_info info);
napi_value addon_remove_fast_peer(napi_env env, napi_callback_info info);
napi_value addon_add_fast_counts(napi_env env, napi_callback_info info);
napi_value addon_remove_fast_counts(napi_env env, napi_callback_info info);
napi_value addon_read_fast_counts(napi_env env, napi_callback_info info);

#endif
