#include "store.h"

#include <linux/if_tun.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

bool store_add(struct store *store, const char *name, int fd) {
  if (store->count >= store->max) return false;
  struct kept *item = &store->items[store->count++];
  item->fd = fd;
  snprintf(item->name, sizeof item->name, "%s", name);
  return true;
}

int store_remove(struct store *store, const char *name) {
  int left = 0;
  for (int i = 0; i < store->count; i++) {
    if (strcmp(store->items[i].name, name) == 0) close(store->items[i].fd);
    else store->items[left++] = store->items[i];
  }
  int removed = store->count - left;
  store->count = left;
  return removed;
}

/* Nothing but a TUN queue knows the call, and of all that is kept only those are character devices. No capability is needed. */
static void forget_device(int fd) {
  struct stat about;
  if (fstat(fd, &about) == 0 && S_ISCHR(about.st_mode)) ioctl(fd, TUNSETPERSIST, 0UL);
}

int store_empty(struct store *store, bool forgets_devices) {
  int count = store->count;
  for (int i = 0; i < count; i++) {
    if (forgets_devices) forget_device(store->items[i].fd);
    close(store->items[i].fd);
  }
  store->count = 0;
  return count;
}
