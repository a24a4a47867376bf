/* Why a command failed: what CNI prints as an error (code, msg, details). */
#ifndef WEFT_CNI_FAILURE_H
#define WEFT_CNI_FAILURE_H

#include <jansson.h>
#include <stdbool.h>

/* CNI's codes; from 100 on they are a plugin's own. 999 is what flannel's plugin answers for all that CNI has no code for. */
enum {
  FAILED_VERSION = 1,
  FAILED_UNKNOWN_CONTAINER = 3,
  FAILED_ENVIRONMENT = 4,
  FAILED_DECODING = 6,
  FAILED_CONFIG = 7,
  FAILED_NOT_READY = 50,
  FAILED_OTHER = 999,
};

struct failure {
  int code;
  char message[1024];
  char details[2048];
};

/* Always false, for "return fail(...)". Text of others in the arguments goes through quote(). */
bool fail(struct failure *why, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The error as CNI prints it; a new reference. */
json_t *failure_json(const struct failure *why, const char *cni_version);

#endif
