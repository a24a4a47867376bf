/* Runs another plugin: found in CNI_PATH, its config on stdin, its answer read from stdout within bounds. No shell. */
#ifndef WEFT_CNI_DELEGATE_H
#define WEFT_CNI_DELEGATE_H

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>

#include "failure.h"

struct delegate {
  char path[PATH_MAX];
};

/* Looks for the plugin that a rendered config names in the folders of CNI_PATH. */
bool delegate_find(json_t *config, struct delegate *to, struct failure *why);

/*
 * Runs it with CNI_COMMAND set to `command` and the rest of the environment as it is. Its own error becomes `why`, code and text.
 * `result`, where it is not NULL, becomes a new reference to the object that it printed; one that printed none has failed.
 */
bool delegate_call(const struct delegate *delegate, const char *command, json_t *config, json_t **result,
                   struct failure *why);

#endif
