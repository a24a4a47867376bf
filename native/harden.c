/*
 * What this process and its threads give up for good. Stages: the process (dumps, io_uring), its files (Landlock, for threads that
 * Node started before us, too), a worker (capabilities, system calls). Why so: docs/adr/0013-hardening.md.
 */
#include "harden.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Newer than the headers that some build with; the numbers are the same on every processor. */
#ifndef SYS_io_uring_setup
#define SYS_io_uring_setup 425
#endif
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, (action))
#define REFUSE(error) RETURN(SECCOMP_RET_ERRNO | (error))

/* ---- the process ---- */

int harden_dump(void) { return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? -errno : 0; }

static int no_new_privs(void) { return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0; }

/* Before Linux 5.16 a filter without SPEC_ALLOW slows the thread's own code by a mitigation meant for foreign code. */
static int set_filter(const struct sock_filter *code, size_t count, unsigned flags) {
  const struct sock_fprog program = {.len = (unsigned short)count, .filter = (struct sock_filter *)code};
  long result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags | SECCOMP_FILTER_FLAG_SPEC_ALLOW, &program);
  if (result > 0) return -EBUSY; /* a thread has a filter of its own */
  return result < 0 ? -errno : 0;
}

/* Shared by all threads: a worker's filter is worth something only without rings. */
static atomic_bool rings_refused;

int harden_rings(void) {
  static const struct sock_filter code[] = {
      LOAD(nr),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
      REFUSE(ENOSYS),
      RETURN(SECCOMP_RET_ALLOW),
  };
  int error = no_new_privs();
  if (!error) error = set_filter(code, sizeof code / sizeof code[0], SECCOMP_FILTER_FLAG_TSYNC);
  if (!error) atomic_store(&rings_refused, true);
  return error;
}

/* ---- its files ---- */

/* linux/landlock.h, of which Debian 11 has none. */
struct ruleset_attributes {
  uint64_t handled_access_fs;
};
struct path_beneath {
  uint64_t allowed_access;
  int32_t parent_fd;
} __attribute__((packed));
enum { CREATE_RULESET_VERSION = 1, RULE_PATH_BENEATH = 1 };

int harden_files_abi(void) {
  long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_RULESET_VERSION);
  return abi < 0 ? -errno : (int)abi;
}

int harden_files_create(uint64_t access) {
  const struct ruleset_attributes attributes = {.handled_access_fs = access};
  long fd = syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0);
  return fd < 0 ? -errno : (int)fd;
}

int harden_files_allow(int fd, const char *path, uint64_t access) {
  struct path_beneath rule = {.allowed_access = access, .parent_fd = open(path, O_PATH | O_CLOEXEC)};
  if (rule.parent_fd < 0) return -errno;
  int result = syscall(SYS_landlock_add_rule, fd, RULE_PATH_BENEATH, &rule, 0) < 0 ? -errno : 0;
  close(rule.parent_fd);
  return result;
}

/*
 * A thread can restrict only itself (before Landlock 8), and Node has threads before any of our code runs. So each is asked
 * by a signal, as glibc does it for setuid().
 */
#define ASK_WAIT_MS 1000
static struct {
  int fd;
  atomic_int answers;
  atomic_int refusals;
} ask;

static int restrict_self(int fd) { return syscall(SYS_landlock_restrict_self, fd, 0) < 0 ? -errno : 0; }

static void answer(int signal_number) {
  (void)signal_number;
  const int before = errno;
  if (restrict_self(ask.fd) < 0) atomic_fetch_add(&ask.refusals, 1);
  atomic_fetch_add(&ask.answers, 1);
  errno = before;
}

/* Whether a thread would never see the signal: Node's thread for SIGUSR1 blocks all of them, and waits for nothing else. */
static bool blocks(int tid, int signal_number) {
  char path[64], line[256];
  snprintf(path, sizeof path, "/proc/self/task/%d/status", tid);
  FILE *status = fopen(path, "re");
  if (!status) return true;
  unsigned long long blocked = 0;
  while (fgets(line, sizeof line, status)) {
    if (strncmp(line, "SigBlk:", 7) == 0) blocked = strtoull(line + 7, NULL, 16);
  }
  fclose(status);
  return (blocked >> (signal_number - 1)) & 1;
}

/* The number of threads that will answer; counts the others in `missed`. */
static int ask_others(DIR *tasks, int signal_number, int *missed) {
  int asked = 0;
  for (const struct dirent *task; (task = readdir(tasks));) {
    const int tid = (int)strtol(task->d_name, NULL, 10);
    if (tid <= 0 || tid == gettid()) continue;
    if (blocks(tid, signal_number)) {
      ++*missed;
    } else if (syscall(SYS_tgkill, getpid(), tid, signal_number) == 0) {
      asked++;
    }
  }
  return asked;
}

static int restrict_others(DIR *tasks, int fd) {
  const int signal_number = SIGRTMIN;
  ask.fd = fd;
  struct sigaction action = {.sa_handler = answer, .sa_flags = SA_RESTART};
  struct sigaction before;
  if (sigaction(signal_number, &action, &before) < 0) return -errno;
  int missed = 0;
  const int asked = ask_others(tasks, signal_number, &missed);
  const struct timespec pause = {.tv_nsec = 1000000};
  for (int ms = 0; atomic_load(&ask.answers) < asked && ms < ASK_WAIT_MS; ms++) nanosleep(&pause, NULL);
  const int silent = asked - atomic_load(&ask.answers);
  /* What is still on its way must not end the process. */
  action.sa_handler = SIG_IGN;
  sigaction(signal_number, silent > 0 ? &action : &before, NULL);
  return missed + silent + atomic_load(&ask.refusals);
}

int harden_files_enforce(int fd) {
  DIR *tasks = opendir("/proc/self/task");
  if (!tasks) return -errno;
  int result = no_new_privs();
  if (!result) result = restrict_self(fd);
  if (!result) result = restrict_others(tasks, fd);
  closedir(tasks);
  return result;
}

/* ---- a worker ---- */

/* Dropping from the bounding set needs a capability that an ordinary user's daemon has not; no_new_privs does as much. */
int harden_capabilities(void) {
  for (int number = 0; prctl(PR_CAPBSET_READ, number, 0, 0, 0) >= 0; number++) {
    prctl(PR_CAPBSET_DROP, number, 0, 0, 0);
  }
  struct __user_cap_header_struct self = {.version = _LINUX_CAPABILITY_VERSION_3};
  const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};
  if (syscall(SYS_capset, &self, none) < 0) return -errno; /* ambient ones go with the permitted */
  return no_new_privs();
}

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

#ifdef ARCHITECTURE
/* What the engine, V8, libuv and the C library ask of the kernel on a thread that has loaded its program; most frequent first. */
static const int allowed[] = {
    SYS_sendmmsg,
    SYS_recvmmsg,
    SYS_read,
    SYS_readv,
    SYS_writev,
    SYS_write,
    SYS_sendmsg,
    SYS_recvmsg,
    SYS_sendto,
    SYS_recvfrom,
    SYS_epoll_pwait,
#ifdef SYS_epoll_wait
    SYS_epoll_wait,
#endif
#ifdef SYS_epoll_pwait2
    SYS_epoll_pwait2,
#endif
    SYS_futex,
    SYS_clock_gettime,
    SYS_ppoll,
#ifdef SYS_poll
    SYS_poll,
#endif
    SYS_getsockopt,
    SYS_sched_yield,
    /* memory: V8 makes code writable and executable in turn */
    SYS_mmap,
    SYS_munmap,
    SYS_mprotect,
    SYS_madvise,
    SYS_mremap,
    SYS_brk,
    SYS_membarrier,
    SYS_pkey_mprotect,
    SYS_pkey_alloc,
    SYS_pkey_free,
    /* descriptors that are open; new ones lead nowhere */
    SYS_epoll_create1,
    SYS_epoll_ctl,
    SYS_eventfd2,
    SYS_close,
    SYS_fcntl,
    SYS_fstat,
    SYS_lseek,
    /* signals, time, what a thread asks of itself, its end */
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_sigaltstack,
    SYS_restart_syscall,
    SYS_clock_getres,
    SYS_clock_nanosleep,
    SYS_nanosleep,
    SYS_gettimeofday,
#ifdef SYS_time
    SYS_time,
#endif
    SYS_getrusage,
    SYS_getrandom,
    SYS_getcpu,
    SYS_getpid,
    SYS_gettid,
    SYS_getuid,
    SYS_geteuid,
    SYS_getgid,
    SYS_getegid,
    SYS_sysinfo,
    SYS_sched_getaffinity,
    SYS_sched_setaffinity,
    SYS_set_robust_list,
#ifdef SYS_rseq
    SYS_rseq,
#endif
    SYS_exit,
    SYS_exit_group,
};
enum { ALLOWED_COUNT = sizeof allowed / sizeof allowed[0], AROUND_MAX = 24 };

/* From this number on calls are refused as if the kernel did not have them: libraries then do without. */
#define CALL_NEW 424

/* Fills `code` with the filter; its length. Jumps are relative, and all short ones. */
static size_t write_filter(struct sock_filter *code) {
  size_t at = 0;
#define ADD(...) code[at++] = (struct sock_filter)__VA_ARGS__
#define SKIP_UNLESS_EQUAL(value, count) ADD(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 0, (count)))
  ADD(LOAD(arch));
  ADD(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0));
  ADD(REFUSE(EPERM));
  ADD(LOAD(nr));
  for (int i = 0; i < ALLOWED_COUNT; i++) {
    SKIP_UNLESS_EQUAL((unsigned)allowed[i], 1);
    ADD(RETURN(SECCOMP_RET_ALLOW));
  }
  /* Signals to this process only: abort(). */
  SKIP_UNLESS_EQUAL(SYS_tgkill, 4);
  ADD(LOAD(args[0]));
  SKIP_UNLESS_EQUAL((unsigned)getpid(), 1);
  ADD(RETURN(SECCOMP_RET_ALLOW));
  ADD(REFUSE(EPERM));
  /* Names of threads and of memory. */
  SKIP_UNLESS_EQUAL(SYS_prctl, 5);
  ADD(LOAD(args[0]));
  ADD(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PR_SET_NAME, 1, 0));
  SKIP_UNLESS_EQUAL(PR_SET_VMA, 1);
  ADD(RETURN(SECCOMP_RET_ALLOW));
  ADD(REFUSE(EPERM));
  ADD(BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, CALL_NEW, 0, 1));
  ADD(REFUSE(ENOSYS));
  ADD(REFUSE(EPERM));
#undef SKIP_UNLESS_EQUAL
#undef ADD
  return at;
}

int harden_calls(void) {
  if (!atomic_load(&rings_refused)) return -EOPNOTSUPP;
  struct sock_filter code[2 * ALLOWED_COUNT + AROUND_MAX];
  int error = no_new_privs();
  return error ? error : set_filter(code, write_filter(code), 0);
}
#else
int harden_calls(void) { return -EOPNOTSUPP; }
#endif
