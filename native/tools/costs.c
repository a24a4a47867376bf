/*
 * What a system call and a switch between two processes cost on this machine: on some virtual machines ten times what they cost on
 * others, and everything that moves packets in user space is made of them. Prints one line of JSON.
 */
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CALLS 200000
#define TURNS 20000

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static _Noreturn void fail(const char *what) {
  perror(what);
  exit(1);
}

static double system_call_ns(void) {
  uint64_t begin = now_ns();
  for (int i = 0; i < CALLS; i++) syscall(SYS_getppid);
  return (double)(now_ns() - begin) / CALLS;
}

static void pass_on(int from, int to) {
  char byte;
  if (read(from, &byte, 1) != 1 || write(to, &byte, 1) != 1) fail("pipe");
}

/* Two processes on one CPU hand a byte to and fro: a turn is two switches, two reads and two writes. */
static double turn_ns(void) {
  cpu_set_t first;
  CPU_ZERO(&first);
  CPU_SET(sched_getcpu(), &first);
  int there[2], back[2];
  if (sched_setaffinity(0, sizeof first, &first) != 0) fail("sched_setaffinity");
  if (pipe(there) != 0 || pipe(back) != 0) fail("pipe");
  pid_t other = fork();
  if (other < 0) fail("fork");
  if (other == 0) {
    for (int i = 0; i < TURNS; i++) pass_on(there[0], back[1]);
    _exit(0);
  }
  uint64_t begin = now_ns();
  if (write(there[1], "", 1) != 1) fail("write");
  for (int i = 1; i < TURNS; i++) pass_on(back[0], there[1]);
  char byte;
  if (read(back[0], &byte, 1) != 1) fail("read");
  uint64_t end = now_ns();
  waitpid(other, NULL, 0);
  return (double)(end - begin) / TURNS;
}

int main(void) {
  double call = system_call_ns();
  double switched = turn_ns() / 2 - 2 * call;
  printf("{\"systemCallNs\":%.0f,\"switchNs\":%.0f}\n", call, switched > 0 ? switched : 0);
  return 0;
}
