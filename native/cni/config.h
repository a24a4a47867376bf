/* The plugin's own network config, and the delegate's that is made of it. */
#ifndef WEFT_CNI_CONFIG_H
#define WEFT_CNI_CONFIG_H

#include <jansson.h>
#include <stdbool.h>

#include "failure.h"
#include "subnet-env.h"

#define VALID_ATTACHMENTS "cni.dev/valid-attachments"

/* All borrowed from the config's JSON. */
struct config {
  const char *cni_version; /* NULL: none given */
  const char *name;
  const char *subnet_file, *data_dir;
  json_t *delegate, *ipam, *runtime_config; /* objects; NULL: none given */
  json_t *previous_result;                  /* NULL: none given */
  json_t *valid_attachments;                /* GC's; NULL: none given */
};

/* `root` is an object. Fails where a key has another type than it should have. */
bool config_read(json_t *root, struct config *to, struct failure *why);

/* What the delegate gets; a new reference, NULL with `why` where the config does not allow it. */
json_t *config_render(const struct config *config, const struct subnet_env *env, struct failure *why);

#endif
