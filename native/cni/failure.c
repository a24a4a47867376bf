#include "failure.h"

#include <stdarg.h>
#include <stdio.h>

bool fail(struct failure *why, int code, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  why->code = code;
  vsnprintf(why->message, sizeof why->message, format, arguments);
  va_end(arguments);
  why->details[0] = 0;
  return false;
}

json_t *failure_json(const struct failure *why, const char *cni_version) {
  json_t *error = json_pack("{s:s, s:i, s:s}", "cniVersion", cni_version, "code", why->code, "msg", why->message);
  if (why->details[0]) json_object_set_new(error, "details", json_string(why->details));
  return error;
}
