/*
 * A device's features through SIOCETHTOOL (linux/ethtool.h), as `ethtool -k` reads them: that program is not on every host. Names have
 * numbers that differ between kernels, so that all names are read first.
 */
#include "features.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Some 60 are known to Linux 6.18; more than this is no answer to believe. */
#define FEATURES_MAX 1024
#define BITS 32

_Static_assert(FEATURE_NAME_BYTES == ETH_GSTRING_LEN, "a name of a feature");

/* 0 or -errno */
static int ask(int fd, const char *device, void *question) {
  struct ifreq request = {.ifr_data = question};
  strncpy(request.ifr_name, device, sizeof request.ifr_name - 1);
  return ioctl(fd, SIOCETHTOOL, &request) < 0 ? -errno : 0;
}

/* Number of features, or -errno. */
static int count_of(int fd, const char *device) {
  struct ethtool_sset_info *info = calloc(1, sizeof *info + sizeof info->data[0]);
  if (!info) return -ENOMEM;
  info->cmd = ETHTOOL_GSSET_INFO;
  info->sset_mask = 1ULL << ETH_SS_FEATURES;
  int count = ask(fd, device, info);
  if (count == 0) count = info->data[0] > FEATURES_MAX ? -EPROTO : (int)info->data[0];
  free(info);
  return count;
}

/* The feature's number, or -errno (ENOENT: none has this name). */
static int number_of(int fd, const char *device, int count, const char *name) {
  struct ethtool_gstrings *names = calloc(1, sizeof *names + (size_t)count * ETH_GSTRING_LEN);
  if (!names) return -ENOMEM;
  names->cmd = ETHTOOL_GSTRINGS;
  names->string_set = ETH_SS_FEATURES;
  names->len = (uint32_t)count;
  int found = ask(fd, device, names);
  if (found == 0) {
    found = -ENOENT;
    for (int i = 0; i < count; i++) {
      if (strncmp((const char *)names->data + (size_t)i * ETH_GSTRING_LEN, name, ETH_GSTRING_LEN) == 0) found = i;
    }
  }
  free(names);
  return found;
}

/* 1, 0 or -errno */
static int is_active(int fd, const char *device, int number) {
  const uint32_t blocks = FEATURES_MAX / BITS;
  struct ethtool_gfeatures *features = calloc(1, sizeof *features + blocks * sizeof features->features[0]);
  if (!features) return -ENOMEM;
  features->cmd = ETHTOOL_GFEATURES;
  features->size = blocks;
  int error = ask(fd, device, features);
  int active = error ? error : (int)(features->features[number / BITS].active >> (number % BITS)) & 1;
  free(features);
  return active;
}

int features_has(const char *device, const char *name) {
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  int result = count_of(fd, device);
  if (result >= 0) result = number_of(fd, device, result, name);
  if (result >= 0) result = is_active(fd, device, result);
  close(fd);
  return result == -ENOENT ? 0 : result;
}

int features_set(const char *device, uint32_t command, bool on) {
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  struct ethtool_value value = {.cmd = command, .data = on};
  int result = ask(fd, device, &value);
  close(fd);
  return result;
}
