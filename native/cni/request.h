/* What a runtime asks: the environment and the config on stdin, checked as CNI has it. */
#ifndef WEFT_CNI_REQUEST_H
#define WEFT_CNI_REQUEST_H

#include <jansson.h>
#include <stdbool.h>

#include "config.h"
#include "failure.h"
#include "state.h"

#define NEWEST_VERSION "1.1.0"

enum command { COMMAND_ADD, COMMAND_DEL, COMMAND_CHECK, COMMAND_STATUS, COMMAND_GC, COMMAND_VERSION };

struct request {
  enum command command;
  struct attachment attachment; /* of ADD, DEL and CHECK */
  json_t *root;                 /* the config as it came; to be released; NULL for VERSION */
  struct config config;
  const char *version; /* of CNI: the config's, else the newest; for errors also where reading failed */
};

/* False: `why` tells; `to->root` is to be released all the same. */
bool request_read(const char *command, struct request *to, struct failure *why);

/* Whether a version of CNI that we support is at least `since`. A config without one has 0.1.0. */
bool is_version_since(const char *version, const char *since);

/* The answer to VERSION; a new reference. */
json_t *supported_versions(void);

#endif
