#include "config.h"

#include <string.h>

#define SUBNET_FILE "/run/flannel/subnet.env"
#define DATA_DIR "/var/lib/cni/flannel"

/* ---- reading ---- */

static bool read_string(json_t *root, const char *key, const char **to, struct failure *why) {
  json_t *value = json_object_get(root, key);
  if (!value || json_is_null(value)) return true;
  if (!json_is_string(value)) return fail(why, FAILED_OTHER, "the network config's \"%s\" must be a string", key);
  if (*json_string_value(value)) *to = json_string_value(value);
  return true;
}

static bool read_object(json_t *root, const char *key, json_t **to, struct failure *why) {
  json_t *value = json_object_get(root, key);
  if (!value || json_is_null(value)) return true;
  if (!json_is_object(value)) return fail(why, FAILED_OTHER, "the network config's \"%s\" must be an object", key);
  *to = value;
  return true;
}

bool config_read(json_t *root, struct config *to, struct failure *why) {
  *to = (struct config){.subnet_file = SUBNET_FILE, .data_dir = DATA_DIR};
  to->valid_attachments = json_object_get(root, VALID_ATTACHMENTS);
  return read_string(root, "cniVersion", &to->cni_version, why) && read_string(root, "name", &to->name, why) &&
         read_string(root, "subnetFile", &to->subnet_file, why) && read_string(root, "dataDir", &to->data_dir, why) &&
         read_object(root, "delegate", &to->delegate, why) && read_object(root, "ipam", &to->ipam, why) &&
         read_object(root, "runtimeConfig", &to->runtime_config, why) &&
         read_object(root, "prevResult", &to->previous_result, why);
}

/* ---- rendering ---- */

/* Sets what is not there; `value` is a new reference that is taken. */
static void set_default(json_t *object, const char *key, json_t *value) {
  if (json_object_get(object, key)) json_decref(value);
  else json_object_set_new(object, key, value);
}

static json_t *ranges_of(const struct subnet_env *env) {
  json_t *ranges = json_array();
  for (int which = 0; which < FAMILIES; which++) {
    if (env->subnets[which].family == 0) continue;
    json_array_append_new(ranges, json_pack("[{s:s}]", "subnet", cidr_text(&env->subnets[which]).text));
  }
  return ranges;
}

/* The given routes, then one for each network. */
static json_t *routes_of(json_t *given, const struct subnet_env *env) {
  json_t *routes = json_is_array(given) ? json_copy(given) : json_array();
  for (int which = 0; which < FAMILIES; which++)
    for (int i = 0; i < env->network_count[which]; i++)
      json_array_append_new(routes, json_pack("{s:s}", "dst", cidr_text(&env->networks[which][i]).text));
  return routes;
}

static json_t *render_ipam(json_t *given, const struct subnet_env *env) {
  json_t *ipam = given ? json_copy(given) : json_object();
  json_t *routes = routes_of(json_object_get(ipam, "routes"), env);
  set_default(ipam, "type", json_string("host-local"));
  json_object_set_new(ipam, "ranges", ranges_of(env));
  json_object_set_new(ipam, "routes", routes);
  return ipam;
}

static bool check_delegate(const struct config *config, struct failure *why) {
  json_t *type = json_object_get(config->delegate, "type"), *routes = json_object_get(config->ipam, "routes");
  if (type && !json_is_string(type))
    return fail(why, FAILED_OTHER, "the network config's \"delegate.type\" must be a string: the name of a plugin");
  if (json_object_get(config->delegate, "name"))
    return fail(why, FAILED_OTHER, "the network config's \"delegate\" must have no \"name\": it gets the network's");
  if (json_object_get(config->delegate, "ipam"))
    return fail(why, FAILED_OTHER,
                "the network config's \"delegate\" must have no \"ipam\": it stands beside \"delegate\"");
  if (routes && !json_is_null(routes) && !json_is_array(routes))
    return fail(why, FAILED_OTHER, "the network config's \"ipam.routes\" must be a list");
  return true;
}

json_t *config_render(const struct config *config, const struct subnet_env *env, struct failure *why) {
  if (!check_delegate(config, why)) return NULL;
  json_t *delegate = config->delegate ? json_copy(config->delegate) : json_object();
  json_object_set_new(delegate, "name", json_string(config->name));
  set_default(delegate, "type", json_string("bridge"));
  set_default(delegate, "ipMasq", json_boolean(!env->ip_masq));
  set_default(delegate, "mtu", json_integer(env->mtu));
  if (strcmp(json_string_value(json_object_get(delegate, "type")), "bridge") == 0)
    set_default(delegate, "isGateway", json_true());
  if (config->cni_version) json_object_set_new(delegate, "cniVersion", json_string(config->cni_version));
  if (config->runtime_config) json_object_set(delegate, "runtimeConfig", config->runtime_config);
  json_object_set_new(delegate, "ipam", render_ipam(config->ipam, env));
  return delegate;
}
