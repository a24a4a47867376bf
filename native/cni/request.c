#include "request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"

#define OLDEST_VERSION "0.1.0"

static const char *const versions[] = {OLDEST_VERSION, "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", NEWEST_VERSION};
static const int version_count = sizeof versions / sizeof *versions;

/* What each command needs in its environment, besides CNI_PATH, and the first version of CNI that has it. */
static const struct {
  const char *name, *since;
  bool has_attachment, has_namespace;
} commands[] = {
    [COMMAND_ADD] = {"ADD", OLDEST_VERSION, true, true}, [COMMAND_DEL] = {"DEL", OLDEST_VERSION, true, false},
    [COMMAND_CHECK] = {"CHECK", "0.4.0", true, true},    [COMMAND_STATUS] = {"STATUS", "1.1.0", false, false},
    [COMMAND_GC] = {"GC", "1.1.0", false, false},        [COMMAND_VERSION] = {"VERSION", OLDEST_VERSION, false, false},
};
static const int command_count = sizeof commands / sizeof *commands;

/* ---- versions ---- */

/* -1: not supported. */
static int version_index(const char *version) {
  for (int i = 0; i < version_count; i++)
    if (strcmp(versions[i], version) == 0) return i;
  return -1;
}

bool is_version_since(const char *version, const char *since) {
  return version_index(version ? version : OLDEST_VERSION) >= version_index(since);
}

json_t *supported_versions(void) {
  json_t *supported = json_array();
  for (int i = 0; i < version_count; i++) json_array_append_new(supported, json_string(versions[i]));
  return json_pack("{s:s, s:o}", "cniVersion", NEWEST_VERSION, "supportedVersions", supported);
}

static bool check_version(struct request *to, struct failure *why) {
  const char *asked = to->config.cni_version, *name = commands[to->command].name, *since = commands[to->command].since;
  if (asked && version_index(asked) < 0)
    return fail(why, FAILED_VERSION, "the network config's cniVersion %s is not supported; supported are 0.1.0 to %s",
                quote(asked).text, NEWEST_VERSION);
  if (asked) to->version = asked;
  if (is_version_since(asked, since)) return true;
  return fail(why, FAILED_VERSION, "%s needs a network config with cniVersion %s or newer; this one has %s", name,
              since, asked ? asked : "none");
}

/* ---- the environment ---- */

static bool read_command(const char *word, enum command *to, struct failure *why) {
  for (int i = 0; i < command_count; i++) {
    *to = (enum command)i;
    if (strcmp(commands[i].name, word) == 0) return true;
  }
  return fail(why, FAILED_ENVIRONMENT, "unknown CNI_COMMAND %s", quote(word).text);
}

/* The variable, "" where it is not set. */
static const char *variable(const char *name) {
  const char *value = getenv(name);
  return value ? value : "";
}

static bool check_set(enum command command, struct failure *why) {
  struct {
    const char *name;
    bool is_needed;
  } variables[] = {{"CNI_CONTAINERID", commands[command].has_attachment},
                   {"CNI_IFNAME", commands[command].has_attachment},
                   {"CNI_NETNS", commands[command].has_namespace},
                   {"CNI_PATH", true}};
  for (int i = 0; i < 4; i++)
    if (variables[i].is_needed && !*variable(variables[i].name))
      return fail(why, FAILED_ENVIRONMENT, "the environment variable %s is missing; a container runtime sets it",
                  variables[i].name);
  return true;
}

/* As the kernel and CNI have it: no slash, no colon, no blank, no control character, not "." or "..". */
static bool is_interface(const char *text) {
  if (strcmp(text, ".") == 0 || strcmp(text, "..") == 0) return false;
  for (; *text; text++)
    if ((unsigned char)*text <= ' ' || *text == 0x7f || *text == '/' || *text == ':') return false;
  return true;
}

static bool read_attachment(struct attachment *to, struct failure *why) {
  const char *container = variable("CNI_CONTAINERID"), *interface = variable("CNI_IFNAME");
  if (strlen(container) > CONTAINER_MAX || !is_cni_name(container))
    return fail(why, FAILED_ENVIRONMENT,
                "CNI_CONTAINERID %s is not a container id: up to %d letters, digits, \"_\", \".\" and \"-\"",
                quote(container).text, CONTAINER_MAX);
  if (strlen(interface) > INTERFACE_MAX || !is_interface(interface))
    return fail(why, FAILED_ENVIRONMENT, "CNI_IFNAME %s is not an interface name", quote(interface).text);
  memcpy(to->container, container, strlen(container) + 1);
  memcpy(to->interface, interface, strlen(interface) + 1);
  return true;
}

/* ---- the config ---- */

static bool read_root(json_t **to, struct failure *why) {
  size_t bytes;
  json_error_t error;
  char *text = read_all(STDIN_FILENO, &bytes);
  if (!text) return fail(why, FAILED_DECODING, "cannot read the network config from stdin: %s", strerror(errno));
  *to = json_loadb(text, bytes, 0, &error);
  free(text);
  if (json_is_object(*to)) return true;
  if (*to) return fail(why, FAILED_DECODING, "the network config on stdin is not a JSON object");
  return fail(why, FAILED_DECODING, "the network config on stdin is not JSON: line %d, column %d: %s", error.line,
              error.column, quote(error.text).text);
}

static bool check_name(const char *name, struct failure *why) {
  if (!name) return fail(why, FAILED_CONFIG, "the network config has no \"name\"");
  if (is_cni_name(name)) return true;
  return fail(why, FAILED_CONFIG, "the network config's name %s is none: letters, digits, \"_\", \".\" and \"-\"",
              quote(name).text);
}

bool request_read(const char *command, struct request *to, struct failure *why) {
  *to = (struct request){.version = NEWEST_VERSION};
  if (!read_command(command, &to->command, why)) return false;
  if (to->command == COMMAND_VERSION) return true;
  if (!check_set(to->command, why) || !read_root(&to->root, why)) return false;
  if (commands[to->command].has_attachment && !read_attachment(&to->attachment, why)) return false;
  return config_read(to->root, &to->config, why) && check_version(to, why) && check_name(to->config.name, why);
}
