/* Descriptors by name, in the order in which they came. A name may stand for several, as in systemd's store. */
#ifndef WEFT_KEEPER_STORE_H
#define WEFT_KEEPER_STORE_H

#include <stdbool.h>

#include "notification.h"

/* What weftd takes over at most (FDS_MAX). */
#define STORE_MAX 512

struct kept {
  int fd;
  char name[NAME_BYTES];
};

struct store {
  struct kept items[STORE_MAX];
  int count;
  int max; /* at most STORE_MAX */
};

/* The descriptor belongs to the store now; false when it is full: then it is still the caller's. */
bool store_add(struct store *store, const char *name, int fd);

/* Closes those of this name; returns how many there were. */
int store_remove(struct store *store, const char *name);

/*
 * Closes all; returns how many there were. `forgets_devices`: a TUN device ends with its last queue, also one that was made to outlive
 * its process; for when that process is gone.
 */
int store_empty(struct store *store, bool forgets_devices);

#endif
