/* Commands of the host (spawn.c). Control thread only. */
#ifndef WEFT_SPAWN_H
#define WEFT_SPAWN_H

#include <sys/types.h>

/* A command that was started, and our ends of its pipes: what it reads, what it writes. The caller closes them, and reaps it. */
struct spawned {
  pid_t pid;
  int in;
  int out;
  int err;
};

/* Starts the program `file` (a path, nothing is searched) with these lists, each ended by NULL. It has our three pipes and no other
 * descriptor, every signal as by default, none blocked. 0, or -errno with nothing left open (ENOENT: no such file). */
int spawn_start(const char *file, char *const *words, char *const *environment, struct spawned *spawned);
/* 1 and waitpid's status once it has ended, and from then on its pid is not ours; 0 while it runs; or -errno. */
int spawn_reap(pid_t pid, int *status);

#endif
