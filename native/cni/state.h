/*
 * What a delegate was given at ADD, so that DEL gives it the same: files of the data folder, mode 0600, each replaced as a whole.
 *
 * The file of a container's first interface is named after the container alone, as flannel's plugin names it, so that either plugin
 * deletes what the other added; those of further interfaces are CONTAINER:INTERFACE (CNI has no colon in a container's id). Ours hold
 * the key "weft/interface" besides, which says whose they are; flannel's plugin and the delegates do not look at it.
 */
#ifndef WEFT_CNI_STATE_H
#define WEFT_CNI_STATE_H

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>

#include "failure.h"

/* Of a container's id: leaves room for an interface in a file's name. */
#define CONTAINER_MAX 200
#define INTERFACE_MAX 15

/* Interface "" : not known, the file is of flannel's plugin. */
struct attachment {
  char container[CONTAINER_MAX + 1];
  char interface[INTERFACE_MAX + 1];
};

enum state_kind {
  STATE_NONE,
  STATE_GOOD,
  STATE_BROKEN,     /* there is a file, and no config in it */
  STATE_UNREADABLE, /* there may be one, and it can't be read now: nothing may be concluded */
};

struct state {
  enum state_kind kind;
  int error; /* of STATE_UNREADABLE, an errno */
  char file[NAME_MAX + 1];
  struct attachment of;
  json_t *config; /* of STATE_GOOD: without our key, to be released */
};

/* Opens the data folder; -1 with errno set. */
int state_open(const char *folder);

/* Makes it and those above it where they are missing (0700), and opens it; -1 with errno set. */
int state_make(const char *folder);

/* The state of an attachment. */
struct state state_find(int folder, const struct attachment *of);

/* Reads one file by its name; STATE_NONE where the name is none of a state. */
struct state state_read(int folder, const char *file);

/* Writes the config over `old`, or as a new file where that is STATE_NONE. 0 or -1 with errno set. `old->file` is then its name. */
int state_save(int folder, struct state *old, const struct attachment *of, json_t *config);

/* Removes it, and what a crash left of it. 0 or -1 with errno set; one that is gone already is no failure. */
int state_drop(int folder, const struct state *state, const struct attachment *of);

void state_release(struct state *state);

#endif
