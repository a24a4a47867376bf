#include "command.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "delegate.h"
#include "subnet-env.h"

/* The interface of a file of flannel's plugin, which does not say; every runtime of Kubernetes calls it so. */
#define USUAL_INTERFACE "eth0"

/* What the delegate is to get now; a new reference, NULL with `why`. */
static json_t *render(const struct config *config, struct failure *why) {
  struct subnet_env env;
  return subnet_env_read(config->subnet_file, &env, why) ? config_render(config, &env, why) : NULL;
}

static bool find_and_call(const char *command, json_t *config, struct failure *why) {
  struct delegate delegate;
  return delegate_find(config, &delegate, why) && delegate_call(&delegate, command, config, NULL, why);
}

static bool fail_on_state(const struct config *config, struct failure *why) {
  return fail(why, FAILED_OTHER, "cannot keep state in %s: %s", quote(config->data_dir).text, strerror(errno));
}

/* ---- ADD ---- */

/* What newer versions of CNI have no place for, as flannel's plugin leaves it out; a result says its version. */
static void tidy_result(json_t *result, const char *version) {
  if (!json_object_get(result, "cniVersion"))
    json_object_set_new(result, "cniVersion", json_string(version ? version : "0.1.0"));
  const char *said = json_string_value(json_object_get(result, "cniVersion"));
  if (!said || !is_version_since(said, "1.0.0")) return;
  json_t *dns = json_object_get(result, "dns"), *ip;
  if (json_is_object(dns) && json_object_size(dns) == 0) json_object_del(result, "dns");
  size_t i;
  json_array_foreach(json_object_get(result, "ips"), i, ip) json_object_del(ip, "version");
}

/*
 * After an ADD that failed: what was there before stays; else the delegate takes back what it may have done, and only if that failed
 * too is the state left, for the DEL that the runtime will send.
 */
static void take_back(int folder, struct state *old, const struct attachment *of, const struct delegate *delegate,
                      json_t *rendered) {
  struct failure ignored;
  if (old->kind == STATE_GOOD) {
    state_save(folder, old, of, old->config);
  } else if (delegate_call(delegate, "DEL", rendered, NULL, &ignored)) {
    struct state written = *old;
    written.kind = STATE_GOOD;
    state_drop(folder, &written, of);
  }
}

/* A file of flannel's plugin does not say whose it is: of the interface that every pod has, and of no other that is added now. */
static void leave_to_its_pod(struct state *old, const struct attachment *of) {
  bool is_unknown = old->kind == STATE_GOOD && old->of.interface[0] == 0;
  if (!is_unknown || strcmp(of->interface, USUAL_INTERFACE) == 0) return;
  state_release(old);
  *old = (struct state){.kind = STATE_NONE};
}

static bool add_with(const struct request *request, const struct delegate *delegate, json_t *rendered, json_t **result,
                     struct failure *why) {
  const struct attachment *of = &request->attachment;
  int folder = state_make(request->config.data_dir);
  if (folder < 0) return fail_on_state(&request->config, why);
  struct state old = state_find(folder, of);
  leave_to_its_pod(&old, of);
  bool is_added = false;
  if (old.kind == STATE_UNREADABLE) {
    errno = old.error;
    fail_on_state(&request->config, why);
  } else if (state_save(folder, &old, of, rendered) < 0) {
    fail_on_state(&request->config, why);
  } else {
    is_added = delegate_call(delegate, "ADD", rendered, result, why);
    if (!is_added) take_back(folder, &old, of, delegate, rendered);
  }
  state_release(&old);
  close(folder);
  return is_added;
}

static void print_config(json_t *rendered) {
  char line[4096], *text = json_dumps(rendered, JSON_COMPACT | JSON_SORT_KEYS);
  if (!text) return;
  printable(line, sizeof line, (struct slice){text, strlen(text)});
  fprintf(stderr, "the delegate gets %s\n", line);
  free(text);
}

bool command_add(const struct request *request, json_t **result, struct failure *why) {
  struct delegate delegate;
  json_t *rendered = render(&request->config, why);
  bool is_added = rendered && delegate_find(rendered, &delegate, why);
  if (is_added) {
    print_config(rendered);
    is_added = add_with(request, &delegate, rendered, result, why);
  }
  if (is_added) tidy_result(*result, request->config.cni_version);
  json_decref(rendered);
  return is_added;
}

/* ---- DEL ---- */

/*
 * A broken file does not tell what the delegate was given: it is what it would be given now. Where even that can't be known, nothing is
 * left to do but to drop the file.
 */
static bool delete_with(const struct request *request, const struct state *state, struct failure *why) {
  struct failure ignored;
  errno = state->error;
  if (state->kind == STATE_UNREADABLE) return fail_on_state(&request->config, why);
  json_t *config = state->kind == STATE_GOOD ? json_incref(state->config) : render(&request->config, &ignored);
  bool is_deleted = !config || find_and_call("DEL", config, why);
  json_decref(config);
  return is_deleted;
}

bool command_del(const struct request *request, struct failure *why) {
  int folder = state_open(request->config.data_dir);
  if (folder < 0) return errno == ENOENT || fail_on_state(&request->config, why);
  struct state state = state_find(folder, &request->attachment);
  bool is_deleted = state.kind == STATE_NONE || delete_with(request, &state, why);
  if (is_deleted && state_drop(folder, &state, &request->attachment) < 0)
    is_deleted = fail_on_state(&request->config, why);
  state_release(&state);
  close(folder);
  return is_deleted;
}

/* ---- CHECK ---- */

static bool is_ipv6(json_t *object, const char *key) {
  const char *address = json_string_value(json_object_get(object, key));
  return address && strchr(address, ':');
}

/* The gateway of the family's first address; NULL: none. */
static json_t *gateway_for(json_t *ips, json_t *route) {
  size_t i;
  json_t *ip;
  json_array_foreach(ips, i, ip) {
    json_t *gateway = json_object_get(ip, "gateway");
    if (gateway && is_ipv6(ip, "address") == is_ipv6(route, "dst")) return gateway;
  }
  return NULL;
}

/*
 * The result of ADD for the delegate's CHECK; a new reference. A route without a gateway goes by the address's: CNI says so and bridge
 * sets it so, but bridge's CHECK then looks for a route without one, and finds none.
 */
static json_t *with_gateways(json_t *previous) {
  json_t *result = json_deep_copy(previous), *route;
  size_t i;
  json_array_foreach(json_object_get(result, "routes"), i, route) {
    json_t *gateway = gateway_for(json_object_get(result, "ips"), route);
    if (gateway && !json_object_get(route, "gw")) json_object_set(route, "gw", gateway);
  }
  return result;
}

bool command_check(const struct request *request, struct failure *why) {
  int folder = state_open(request->config.data_dir);
  struct state state = {.kind = STATE_NONE};
  if (folder >= 0) state = state_find(folder, &request->attachment);
  if (folder >= 0) close(folder);
  errno = state.error;
  if (state.kind == STATE_UNREADABLE) return fail_on_state(&request->config, why);
  if (state.kind != STATE_GOOD)
    return fail(why, FAILED_UNKNOWN_CONTAINER, "nothing was added for container %s, interface %s",
                quote(request->attachment.container).text, quote(request->attachment.interface).text);
  if (request->config.previous_result)
    json_object_set_new(state.config, "prevResult", with_gateways(request->config.previous_result));
  bool is_good = find_and_call("CHECK", state.config, why);
  state_release(&state);
  return is_good;
}

/* ---- STATUS ---- */

bool command_status(const struct request *request, struct failure *why) {
  struct delegate delegate;
  json_t *rendered = render(&request->config, why);
  bool is_ready = rendered && delegate_find(rendered, &delegate, why);
  if (!is_ready) why->code = FAILED_NOT_READY;
  else is_ready = delegate_call(&delegate, "STATUS", rendered, NULL, why);
  json_decref(rendered);
  return is_ready;
}

/* ---- GC ---- */

static bool is_string_of(json_t *object, const char *key, const char *value) {
  const char *given = json_string_value(json_object_get(object, key));
  return given && strcmp(given, value) == 0;
}

static bool is_valid(json_t *attachments, const struct attachment *of) {
  size_t i;
  json_t *attachment;
  json_array_foreach(attachments, i, attachment) {
    bool is_its = of->interface[0] == 0 || is_string_of(attachment, "ifname", of->interface);
    if (is_its && is_string_of(attachment, "containerID", of->container)) return true;
  }
  return false;
}

static bool collect(int folder, const struct state *state, struct failure *why) {
  setenv("CNI_CONTAINERID", state->of.container, 1);
  setenv("CNI_IFNAME", state->of.interface[0] ? state->of.interface : USUAL_INTERFACE, 1);
  setenv("CNI_NETNS", "", 1);
  return find_and_call("DEL", state->config, why) &&
         (state_drop(folder, state, &state->of) == 0 || fail(why, FAILED_OTHER, "cannot remove the state of %s: %s",
                                                             quote(state->of.container).text, strerror(errno)));
}

/* Goes on where one fails: `why` is the first one's. */
static bool collect_all(const struct config *config, DIR *files, struct failure *why) {
  bool is_good = true;
  for (struct dirent *entry = readdir(files); entry; entry = readdir(files)) {
    struct failure failure;
    struct state state = state_read(dirfd(files), entry->d_name);
    errno = state.error;
    if (state.kind == STATE_UNREADABLE && is_good) is_good = fail_on_state(config, why);
    bool is_stale = state.kind == STATE_GOOD && is_string_of(state.config, "name", config->name) &&
                    !is_valid(config->valid_attachments, &state.of);
    if (is_stale && !collect(dirfd(files), &state, &failure)) {
      if (is_good) *why = failure;
      is_good = false;
    }
    state_release(&state);
  }
  return is_good;
}

static bool pass_gc_on(const struct config *config, struct failure *why) {
  unsetenv("CNI_CONTAINERID");
  unsetenv("CNI_IFNAME");
  unsetenv("CNI_NETNS");
  json_t *rendered = render(config, why);
  if (!rendered) return false;
  bool is_list = json_is_array(config->valid_attachments);
  json_object_set_new(rendered, VALID_ATTACHMENTS, is_list ? json_incref(config->valid_attachments) : json_array());
  bool is_good = find_and_call("GC", rendered, why);
  json_decref(rendered);
  return is_good;
}

/* Null is what Go makes of a list without entries. Who is not named in it loses its network: an entry that can't be read names nobody. */
static bool are_attachments(json_t *list) {
  size_t i;
  json_t *entry;
  json_array_foreach(list, i, entry) {
    bool has_both =
        json_is_string(json_object_get(entry, "containerID")) && json_is_string(json_object_get(entry, "ifname"));
    if (!has_both) return false;
  }
  return json_is_array(list) || json_is_null(list);
}

bool command_gc(const struct request *request, struct failure *why) {
  const struct config *config = &request->config;
  if (!are_attachments(config->valid_attachments))
    return fail(why, FAILED_CONFIG,
                "GC needs \"" VALID_ATTACHMENTS "\" in the network config: a list of containerID and ifname");
  DIR *files = opendir(config->data_dir);
  if (!files && errno != ENOENT) return fail_on_state(config, why);
  bool is_good = !files || collect_all(config, files, why);
  if (files) closedir(files);
  struct failure failure;
  if (pass_gc_on(config, is_good ? why : &failure)) return is_good;
  return false;
}
