/*
 * Between JavaScript values and C: errors shaped like Node's own, argument checks, small values. No engine in here.
 */
#include "values.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>

/* ---- errors ---- */

#define NAMED(error) \
  { error, #error }
static const struct {
  int number;
  const char *name;
} error_names[] = {
    NAMED(EPERM),           NAMED(ENOENT),     NAMED(EINTR),       NAMED(EIO),           NAMED(ENXIO),
    NAMED(EBADF),           NAMED(EAGAIN),     NAMED(ENOMEM),      NAMED(EACCES),        NAMED(EFAULT),
    NAMED(EBUSY),           NAMED(EEXIST),     NAMED(ENODEV),      NAMED(EINVAL),        NAMED(ENFILE),
    NAMED(EMFILE),          NAMED(ENOTTY),     NAMED(ENOSPC),      NAMED(EPIPE),         NAMED(ELOOP),
    NAMED(ENAMETOOLONG),    NAMED(ENOTUNIQ),   NAMED(EBADFD),      NAMED(ENOTSOCK),      NAMED(EMSGSIZE),
    NAMED(ENOPROTOOPT),     NAMED(EOPNOTSUPP), NAMED(EADDRINUSE),  NAMED(EADDRNOTAVAIL), NAMED(EAFNOSUPPORT),
    NAMED(EPROTONOSUPPORT), NAMED(ENETDOWN),   NAMED(ENETUNREACH), NAMED(ENOBUFS),       NAMED(ECONNREFUSED),
    NAMED(EHOSTUNREACH),    NAMED(ECONNRESET), NAMED(ESRCH),       NAMED(ENOSYS),        NAMED(ECHILD),
    NAMED(E2BIG),           NAMED(ENOEXEC),    NAMED(ETXTBSY),     NAMED(ENOTDIR),
};

static const char *error_name(int number, char unnamed[24]) {
  for (size_t i = 0; i < sizeof error_names / sizeof error_names[0]; i++) {
    if (error_names[i].number == number) return error_names[i].name;
  }
  snprintf(unnamed, 24, "ERRNO%d", number);
  return unnamed;
}

napi_value make_string(napi_env env, const char *text) {
  napi_value value = NULL;
  napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &value);
  return value;
}

napi_value make_int(napi_env env, int32_t number) {
  napi_value value = NULL;
  napi_create_int32(env, number, &value);
  return value;
}

napi_value make_bool(napi_env env, bool truth) {
  napi_value value = NULL;
  napi_get_boolean(env, truth, &value);
  return value;
}

void set_property(napi_env env, napi_value object, const char *name, napi_value value) {
  napi_set_named_property(env, object, name, value);
}

napi_value throw_system(napi_env env, const char *syscall, int negative_errno) {
  char unnamed[24], message[160];
  const char *code = error_name(-negative_errno, unnamed);
  snprintf(message, sizeof message, "%s %s: %s", syscall, code, strerror(-negative_errno));
  napi_value error;
  napi_create_error(env, make_string(env, code), make_string(env, message), &error);
  set_property(env, error, "errno", make_int(env, negative_errno));
  set_property(env, error, "syscall", make_string(env, syscall));
  napi_throw(env, error);
  return NULL;
}

bool fail_type(napi_env env, const char *name, const char *expected) {
  char message[120];
  snprintf(message, sizeof message, "%s must be %s", name, expected);
  napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", message);
  return false;
}

bool fail_range(napi_env env, const char *name, double min, double max) {
  char message[120];
  snprintf(message, sizeof message, "%s must be an integer in %.0f..%.0f", name, min, max);
  napi_throw_range_error(env, "ERR_OUT_OF_RANGE", message);
  return false;
}

/* ---- arguments ---- */

void *arguments(napi_env env, napi_callback_info info, napi_value *values) {
  size_t count = ARGUMENTS_MAX;
  void *data = NULL;
  napi_get_cb_info(env, info, &count, values, NULL, &data);
  return data;
}

bool read_number(napi_env env, napi_value value, const char *name, double min, double max, double *out) {
  if (napi_get_value_double(env, value, out) != napi_ok) return fail_type(env, name, "a number");
  if (!(*out >= min && *out <= max) || *out != floor(*out)) return fail_range(env, name, min, max);
  return true;
}

bool read_int(napi_env env, napi_value value, const char *name, int min, int max, int *out) {
  double number;
  if (!read_number(env, value, name, min, max, &number)) return false;
  *out = (int)number;
  return true;
}

bool read_bool(napi_env env, napi_value value, const char *name, bool *out) {
  return napi_get_value_bool(env, value, out) == napi_ok || fail_type(env, name, "a boolean");
}

bool read_text(napi_env env, napi_value value, const char *name, char *out, size_t out_bytes) {
  size_t length;
  if (napi_get_value_string_utf8(env, value, NULL, 0, &length) != napi_ok) {
    return fail_type(env, name, "a string");
  }
  if (length >= out_bytes) return fail_range(env, name, 0, (double)out_bytes - 1);
  napi_get_value_string_utf8(env, value, out, out_bytes, &length);
  return strlen(out) == length || fail_type(env, name, "a string without zero bytes");
}

/* Of each text in the list with its zero, in all; -1 after throwing. */
static ssize_t list_bytes(napi_env env, napi_value list, uint32_t count, const char *name) {
  size_t bytes = 0, length;
  for (uint32_t i = 0; i < count; i++) {
    napi_value text;
    napi_get_element(env, list, i, &text);
    if (napi_get_value_string_utf8(env, text, NULL, 0, &length) != napi_ok) {
      fail_type(env, name, "an array of strings");
      return -1;
    }
    bytes += length + 1;
  }
  return (ssize_t)bytes;
}

char **read_texts(napi_env env, napi_value value, const char *name) {
  uint32_t count;
  if (napi_get_array_length(env, value, &count) != napi_ok) return fail_type(env, name, "an array of strings"), NULL;
  ssize_t left = list_bytes(env, value, count, name);
  if (left < 0) return NULL;
  char **texts = calloc(1, (count + 1) * sizeof *texts + (size_t)left);
  if (!texts) return throw_system(env, "calloc", -ENOMEM), NULL;
  char *out = (char *)(texts + count + 1);
  for (uint32_t i = 0; i < count; i++) {
    napi_value text;
    size_t length;
    napi_get_element(env, value, i, &text);
    napi_get_value_string_utf8(env, text, out, (size_t)left, &length);
    if (strlen(out) != length) {
      free(texts);
      return fail_type(env, name, "an array of strings without zero bytes"), NULL;
    }
    texts[i] = out;
    out += length + 1;
    left -= (ssize_t)length + 1;
  }
  return texts;
}

static const char *type_name(napi_typedarray_type type) {
  if (type == napi_uint8_array) return "a Uint8Array";
  return type == napi_int32_array ? "an Int32Array" : "a Float64Array";
}

bool read_view(napi_env env, napi_value value, const char *name, napi_typedarray_type type, void **data,
               size_t *count) {
  bool typed = false;
  napi_typedarray_type found = type;
  if (napi_is_typedarray(env, value, &typed) != napi_ok || !typed ||
      napi_get_typedarray_info(env, value, &found, count, data, NULL, NULL) != napi_ok || found != type) {
    return fail_type(env, name, type_name(type));
  }
  return true;
}

bool read_property(napi_env env, napi_value object, const char *name, napi_value *out) {
  napi_valuetype type = napi_undefined;
  napi_typeof(env, object, &type);
  if (type != napi_object) return fail_type(env, "argument", "an object");
  return napi_get_named_property(env, object, name, out) == napi_ok;
}

bool int_property(napi_env env, napi_value object, const char *name, int min, int max, int *out) {
  napi_value value;
  return read_property(env, object, name, &value) && read_int(env, value, name, min, max, out);
}

bool bool_property(napi_env env, napi_value object, const char *name, bool *out) {
  napi_value value;
  return read_property(env, object, name, &value) && read_bool(env, value, name, out);
}

bool family_property(napi_env env, napi_value object, int *family) {
  int version;
  if (!int_property(env, object, "family", 4, 6, &version)) return false;
  if (version == 5) return fail_range(env, "family", 4, 6);
  *family = version == 4 ? AF_INET : AF_INET6;
  return true;
}
