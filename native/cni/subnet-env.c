#include "subnet-env.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"

/* What to do about a line that is wrong. */
#define ADVICE "weftd writes this file when it starts: restart weftd on this node"

/* Where a line comes from, for messages. */
struct place {
  const char *file;
  int line;
  struct failure *why;
};

static const int family_of[FAMILIES] = {AF_INET, AF_INET6};
static const char *const network_key[FAMILIES] = {"FLANNEL_NETWORK", "FLANNEL_IPV6_NETWORK"};
static const char *const subnet_key[FAMILIES] = {"FLANNEL_SUBNET", "FLANNEL_IPV6_SUBNET"};

static bool refuse(const struct place *at, const char *key, struct slice value, const char *what) {
  return fail(at->why, FAILED_OTHER, "%s line %d: %s=%s %s; " ADVICE, quote(at->file).text, at->line, key,
              quote_slice(value).text, what);
}

/* ---- values ---- */

static bool is_known(const struct cidr *networks, int count, const struct cidr *network) {
  for (int i = 0; i < count; i++)
    if (memcmp(&networks[i], network, sizeof *network) == 0) return true;
  return false;
}

static bool read_networks(struct slice value, int which, struct subnet_env *to, const struct place *at) {
  struct slice left = value;
  for (;;) {
    const char *comma = memchr(left.at, ',', left.length);
    struct slice item = {left.at, comma ? (size_t)(comma - left.at) : left.length};
    struct cidr network;
    if (!cidr_parse(item, family_of[which], &network))
      return refuse(
          at, network_key[which], value,
          which == 0 ? "has something that is not an IPv4 network" : "has something that is not an IPv6 network");
    int *count = &to->network_count[which];
    if (!is_known(to->networks[which], *count, &network)) {
      if (*count == NETWORKS_MAX) return refuse(at, network_key[which], value, "has more than 64 networks");
      to->networks[which][(*count)++] = network;
    }
    if (!comma) return true;
    left.length -= item.length + 1;
    left.at = comma + 1;
  }
}

static bool read_subnet(struct slice value, int which, struct subnet_env *to, const struct place *at) {
  if (cidr_parse(value, family_of[which], &to->subnets[which])) return true;
  return refuse(at, subnet_key[which], value, which == 0 ? "is not an IPv4 subnet" : "is not an IPv6 subnet");
}

static bool read_mtu(struct slice value, struct subnet_env *to, const struct place *at) {
  uint64_t mtu = 0;
  bool is_number = value.length > 0;
  for (size_t i = 0; i < value.length && is_number; i++) {
    char digit = value.at[i];
    mtu = mtu * 10 + (uint64_t)(digit - '0');
    is_number = digit >= '0' && digit <= '9' && mtu <= UINT32_MAX;
  }
  to->mtu = (uint32_t)mtu;
  to->has_mtu = true;
  return is_number || refuse(at, "FLANNEL_MTU", value, "is not a number from 0 to 4294967295");
}

/* As flannel's plugin: any other word than "true" is false. */
static bool read_ip_masq(struct slice value, struct subnet_env *to) {
  to->ip_masq = slice_is(value, "true");
  to->has_ip_masq = true;
  return true;
}

/* ---- lines ---- */

static struct slice without_blanks(struct slice text) {
  for (; text.length > 0 && strchr(" \t", text.at[0]) && text.at[0]; text.at++) text.length--;
  while (text.length > 0 && strchr(" \t", text.at[text.length - 1]) && text.at[text.length - 1]) text.length--;
  return text;
}

static const char *known_key(struct slice key) {
  for (int which = 0; which < FAMILIES; which++) {
    if (slice_is(key, network_key[which])) return network_key[which];
    if (slice_is(key, subnet_key[which])) return subnet_key[which];
  }
  if (slice_is(key, "FLANNEL_MTU")) return "FLANNEL_MTU";
  return slice_is(key, "FLANNEL_IPMASQ") ? "FLANNEL_IPMASQ" : NULL;
}

static bool read_value(const char *key, struct slice value, struct subnet_env *to, const struct place *at) {
  for (int which = 0; which < FAMILIES; which++) {
    if (key == network_key[which]) return read_networks(value, which, to, at);
    if (key == subnet_key[which]) return read_subnet(value, which, to, at);
  }
  return strcmp(key, "FLANNEL_MTU") == 0 ? read_mtu(value, to, at) : read_ip_masq(value, to);
}

static bool read_line(struct slice line, struct subnet_env *to, const struct place *at) {
  const char *equals = memchr(line.at, '=', line.length);
  struct slice written = {line.at, equals ? (size_t)(equals - line.at) : line.length};
  const char *key = known_key(without_blanks(written));
  if (!key) return true;
  struct slice value = {equals ? equals + 1 : line.at, equals ? line.length - written.length - 1 : 0};
  if (!equals) return refuse(at, key, value, "has no \"=\"");
  if (!slice_is(written, key)) return refuse(at, key, value, "has blanks around its name");
  if (without_blanks(value).length < value.length) return refuse(at, key, value, "has blanks around its value");
  if (value.length > 0 && strchr("\"'", value.at[0]) && value.at[0]) return refuse(at, key, value, "is in quotes");
  return read_value(key, value, to, at);
}

/* ---- the file ---- */

static bool check_complete(const struct subnet_env *env, const char *file, struct failure *why) {
  bool has_network = env->network_count[0] + env->network_count[1] > 0;
  bool has_subnet = env->subnets[0].family != 0 || env->subnets[1].family != 0;
  if (has_network && has_subnet && env->has_mtu && env->has_ip_masq) return true;
  return fail(why, FAILED_OTHER, "%s is missing%s%s%s%s; " ADVICE, quote(file).text,
              has_network ? "" : " FLANNEL_NETWORK (or FLANNEL_IPV6_NETWORK)",
              has_subnet ? "" : " FLANNEL_SUBNET (or FLANNEL_IPV6_SUBNET)", env->has_mtu ? "" : " FLANNEL_MTU",
              env->has_ip_masq ? "" : " FLANNEL_IPMASQ");
}

bool subnet_env_parse(struct slice text, const char *file, struct subnet_env *to, struct failure *why) {
  struct place at = {.file = file, .why = why};
  *to = (struct subnet_env){0};
  while (text.length > 0) {
    const char *end = memchr(text.at, '\n', text.length);
    size_t length = end ? (size_t)(end - text.at) : text.length;
    struct slice line = {text.at, length > 0 && text.at[length - 1] == '\r' ? length - 1 : length};
    at.line++;
    if (!read_line(line, to, &at)) return false;
    text.at += end ? length + 1 : length;
    text.length -= end ? length + 1 : length;
  }
  return check_complete(to, file, why);
}

bool subnet_env_read(const char *file, struct subnet_env *to, struct failure *why) {
  size_t bytes;
  char *text = read_file_at(AT_FDCWD, file, 0, &bytes);
  if (!text && errno == ENOENT)
    return fail(
        why, FAILED_OTHER,
        "weftd is not ready on this node: %s does not exist; weftd writes it when it has its subnet, its log and "
        "\"weft status\" tell what it waits for",
        quote(file).text);
  if (!text) return fail(why, FAILED_OTHER, "cannot read %s: %s", quote(file).text, strerror(errno));
  bool is_good = subnet_env_parse((struct slice){text, bytes}, file, to, why);
  free(text);
  return is_good;
}
