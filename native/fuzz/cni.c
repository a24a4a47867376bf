/*
 * The CNI plugin's input: a network config, a zero byte, a subnet.env. Whatever they are: what the delegate would get is JSON that reads
 * back the same, with the subnets and networks of the file; what is refused is refused with printable text.
 */
#include <stdlib.h>
#include <string.h>

#include "../cni/config.h"
#include "../cni/subnet-env.h"
#include "input.h"

static void check_failure(const struct failure *why) {
  REQUIRE(why->code > 0 && why->message[0] && strlen(why->message) < sizeof why->message);
  for (const char *c = why->message; *c; c++) REQUIRE(*c >= ' ' && *c <= '~');
}

/* What was read is a network: written, it reads back the same. */
static void check_cidr(const struct cidr *cidr) {
  struct cidr again;
  struct cidr_text text = cidr_text(cidr);
  REQUIRE(cidr_parse((struct slice){text.text, strlen(text.text)}, cidr->family, &again));
  REQUIRE(memcmp(cidr, &again, sizeof again) == 0);
}

static bool read_env(const uint8_t *bytes, size_t length, struct subnet_env *env) {
  struct failure why;
  if (!subnet_env_parse((struct slice){(const char *)bytes, length}, "subnet.env", env, &why))
    return check_failure(&why), false;
  for (int which = 0; which < FAMILIES; which++) {
    REQUIRE(env->network_count[which] <= NETWORKS_MAX);
    for (int i = 0; i < env->network_count[which]; i++) check_cidr(&env->networks[which][i]);
    if (env->subnets[which].family) check_cidr(&env->subnets[which]);
  }
  return true;
}

static void check_rendered(json_t *rendered, const struct subnet_env *env) {
  json_t *ipam = json_object_get(rendered, "ipam");
  size_t subnets = (env->subnets[0].family != 0) + (size_t)(env->subnets[1].family != 0);
  size_t networks = (size_t)env->network_count[0] + (size_t)env->network_count[1];
  REQUIRE(json_array_size(json_object_get(ipam, "ranges")) == subnets);
  REQUIRE(json_array_size(json_object_get(ipam, "routes")) >= networks);
  REQUIRE(json_is_string(json_object_get(rendered, "type")));
  char *text = json_dumps(rendered, JSON_COMPACT | JSON_SORT_KEYS);
  json_t *again = text ? json_loads(text, 0, NULL) : NULL;
  REQUIRE(json_equal(rendered, again));
  json_decref(again);
  free(text);
}

static void render(json_t *root, const struct subnet_env *env) {
  struct config config;
  struct failure why;
  if (!config_read(root, &config, &why)) {
    check_failure(&why);
    return;
  }
  if (!config.name) return; /* refused before anything is rendered */
  json_t *before = json_deep_copy(root), *rendered = config_render(&config, env, &why);
  if (rendered) check_rendered(rendered, env);
  else check_failure(&why);
  REQUIRE(json_equal(before, root)); /* the config is not changed */
  json_decref(rendered);
  json_decref(before);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
  json_object_seed(1); /* the same input takes the same way */
  const uint8_t *end = memchr(bytes, 0, length);
  size_t config_bytes = end ? (size_t)(end - bytes) : length;
  struct subnet_env env;
  bool has_env = end && read_env(end + 1, length - config_bytes - 1, &env);
  json_t *root = json_loadb((const char *)bytes, config_bytes, 0, NULL);
  if (has_env && json_is_object(root)) render(root, &env);
  json_decref(root);
  return 0;
}
