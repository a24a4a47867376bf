/*
 * Between JavaScript values and C (values.c). A function that returns false or NULL has thrown: the caller returns NULL.
 */
#ifndef WEFT_VALUES_H
#define WEFT_VALUES_H

#include <node_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARGUMENTS_MAX 4

/* ---- errors ---- */
/* An Error shaped like Node's own: code, negative errno, syscall. Always NULL. */
napi_value throw_system(napi_env env, const char *syscall, int negative_errno);
bool fail_type(napi_env env, const char *name, const char *expected);
bool fail_range(napi_env env, const char *name, double min, double max);

/* ---- results ---- */
napi_value make_string(napi_env env, const char *text);
napi_value make_int(napi_env env, int32_t number);
napi_value make_bool(napi_env env, bool truth);
void set_property(napi_env env, napi_value object, const char *name, napi_value value);

/* ---- arguments ---- */
/* Fills ARGUMENTS_MAX values (missing ones are undefined and fail their type check); returns the function's data. */
void *arguments(napi_env env, napi_callback_info info, napi_value *values);
/* Whole numbers in min..max. */
bool read_number(napi_env env, napi_value value, const char *name, double min, double max, double *out);
bool read_int(napi_env env, napi_value value, const char *name, int min, int max, int *out);
bool read_bool(napi_env env, napi_value value, const char *name, bool *out);
bool read_text(napi_env env, napi_value value, const char *name, char *out, size_t out_bytes);
/* An array of strings as a list that NULL ends, in one piece of memory: free() it. */
char **read_texts(napi_env env, napi_value value, const char *name);
/* Elements and their count; the memory may be shared (napi_get_typedarray_info sees through both kinds of buffer). */
bool read_view(napi_env env, napi_value value, const char *name, napi_typedarray_type type, void **data, size_t *count);
bool read_property(napi_env env, napi_value object, const char *name, napi_value *out);
bool int_property(napi_env env, napi_value object, const char *name, int min, int max, int *out);
bool bool_property(napi_env env, napi_value object, const char *name, bool *out);
/* The property `family`, 4 or 6, as AF_INET or AF_INET6. */
bool family_property(napi_env env, napi_value object, int *family);

#endif
