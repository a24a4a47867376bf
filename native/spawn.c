/*
 * Starts commands without a copy of this process's page tables. Node's own way is fork(), which takes longer the more
 * memory is in use, and the event loop stands still meanwhile; posix_spawn's child borrows the memory until it is another program
 * (CLONE_VM | CLONE_VFORK, in glibc since 2.24).
 */
#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PIPES = 3 };

static void close_pipes(int pipes[][2], int count) {
  for (int i = 0; i < count; i++) {
    close(pipes[i][0]);
    close(pipes[i][1]);
  }
}

/* None of them is 0, 1 or 2: Node has opened those before any of our code runs. */
static int open_pipes(int pipes[PIPES][2]) {
  for (int i = 0; i < PIPES; i++) {
    if (pipe2(pipes[i], O_CLOEXEC) == 0) continue;
    int error = -errno;
    close_pipes(pipes, i);
    return error;
  }
  return 0;
}

/* Node ignores SIGPIPE and SIGXFSZ, which a program would inherit. */
static int set_attributes(posix_spawnattr_t *attributes) {
  sigset_t all, none;
  sigfillset(&all);
  sigemptyset(&none);
  int error = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  if (!error) error = posix_spawnattr_setsigdefault(attributes, &all);
  if (!error) error = posix_spawnattr_setsigmask(attributes, &none);
  return error;
}

/* The copies that the child gets lose O_CLOEXEC; everything else of ours has it. */
static int set_files(posix_spawn_file_actions_t *files, const int ends[PIPES]) {
  int error = 0;
  for (int i = 0; i < PIPES && !error; i++) error = posix_spawn_file_actions_adddup2(files, ends[i], i);
  return error;
}

/* As posix_spawn: 0 or an errno, positive. */
static int spawn_with(const char *file, char *const *words, char *const *environment, const int ends[PIPES],
                      pid_t *pid) {
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_t files;
  int error = posix_spawnattr_init(&attributes);
  if (error) return error;
  error = posix_spawn_file_actions_init(&files);
  if (!error) {
    error = set_attributes(&attributes);
    if (!error) error = set_files(&files, ends);
    if (!error) error = posix_spawn(pid, file, &files, &attributes, words, environment);
    posix_spawn_file_actions_destroy(&files);
  }
  posix_spawnattr_destroy(&attributes);
  return error;
}

int spawn_start(const char *file, char *const *words, char *const *environment, struct spawned *spawned) {
  int pipes[PIPES][2];
  int error = open_pipes(pipes);
  if (error) return error;
  const int its[PIPES] = {pipes[STDIN_FILENO][0], pipes[STDOUT_FILENO][1], pipes[STDERR_FILENO][1]};
  error = -spawn_with(file, words, environment, its, &spawned->pid);
  if (error) {
    close_pipes(pipes, PIPES);
    return error;
  }
  for (int i = 0; i < PIPES; i++) close(its[i]);
  spawned->in = pipes[STDIN_FILENO][1];
  spawned->out = pipes[STDOUT_FILENO][0];
  spawned->err = pipes[STDERR_FILENO][0];
  return 0;
}

int spawn_reap(pid_t pid, int *status) {
  pid_t ended = waitpid(pid, status, WNOHANG);
  if (ended < 0) return -errno;
  return ended == pid;
}
