/*
 * Holds one thread of a process where it stands, as a driver that never returns does: hold-thread TID. Says "held" and ends when the
 * thread has ended.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

int main(int count, char **words) {
  const pid_t tid = count == 2 ? (pid_t)strtol(words[1], NULL, 10) : 0;
  int status = 0;
  if (tid <= 0 || ptrace(PTRACE_SEIZE, tid, NULL, NULL) < 0 || ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) < 0 ||
      waitpid(tid, &status, __WALL) < 0) {
    perror("hold-thread");
    return 1;
  }
  puts("held");
  fflush(stdout);
  while (waitpid(tid, &status, __WALL) == tid || errno == EINTR) {
    if (WIFEXITED(status) || WIFSIGNALED(status)) break;
  }
  return 0;
}
