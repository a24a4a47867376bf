/*
 * Stands for systemd in tests: the notification socket, the descriptor store, the watchdog and the restart of one service.
 *   fd-keeper ARGUMENTS SOCKET [WATCHDOG_MS]
 * ARGUMENTS is a file with one argument of the service's command line per line, read at each start. SIGUSR1 restarts the service
 * (SIGTERM, wait, start); it is started again whenever it ends by itself. SIGTERM ends the service and the keeper.
 * Prints what happens, one line each: "start PID FDS", "message TEXT" (lines joined by blanks), "stored NAME", "removed NAME COUNT",
 * "end STATUS", "watchdog".
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FIRST_FD 3
#define STORE_MAX 64
#define NAME_MAX_BYTES 64
#define ARGUMENTS_MAX 64

static struct {
  int fd;
  char name[NAME_MAX_BYTES];
} store[STORE_MAX];
static int stored;

static const char *arguments_file, *socket_path;
static long watchdog_ms;
static long long fed_ms;
static pid_t service;

static long long now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

/* ---- the service ---- */

static void read_arguments(char *text, size_t bytes, char **arguments) {
  FILE *file = fopen(arguments_file, "r");
  if (!file) fail(arguments_file);
  text[fread(text, 1, bytes - 1, file)] = 0;
  fclose(file);
  int count = 0;
  for (char *line = strtok(text, "\n"); line && count < ARGUMENTS_MAX - 1; line = strtok(NULL, "\n"))
    arguments[count++] = line;
  arguments[count] = NULL;
}

static void set_number(const char *name, long long value) {
  char text[24];
  snprintf(text, sizeof text, "%lld", value);
  setenv(name, text, 1);
}

/* In the child: descriptors 3.. as systemd hands them over, blocking and inherited. */
static void run_service(void) {
  static char text[16384];
  char *arguments[ARGUMENTS_MAX], names[STORE_MAX * (NAME_MAX_BYTES + 1)] = "";
  read_arguments(text, sizeof text, arguments);
  for (int i = 0; i < stored; i++) {
    int high = fcntl(store[i].fd, F_DUPFD, FIRST_FD + STORE_MAX);
    if (high < 0) fail("F_DUPFD");
    store[i].fd = high;
  }
  for (int i = 0; i < stored; i++) {
    dup2(store[i].fd, FIRST_FD + i);
    close(store[i].fd);
    strcat(strcat(names, i > 0 ? ":" : ""), store[i].name);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  setenv("NOTIFY_SOCKET", socket_path, 1);
  if (stored > 0) {
    set_number("LISTEN_PID", getpid());
    set_number("LISTEN_FDS", stored);
    setenv("LISTEN_FDNAMES", names, 1);
  }
  if (watchdog_ms > 0) {
    set_number("WATCHDOG_PID", getpid());
    set_number("WATCHDOG_USEC", watchdog_ms * 1000);
  }
  execvp(arguments[0], arguments);
  fail(arguments[0]);
}

static void start_service(void) {
  service = fork();
  if (service < 0) fail("fork");
  if (service == 0) run_service();
  fed_ms = now_ms();
  printf("start %d %d\n", service, stored);
}

/* ---- its messages ---- */

static void store_fd(const char *name, int fd) {
  if (stored == STORE_MAX) {
    close(fd);
    return;
  }
  store[stored].fd = fd;
  snprintf(store[stored].name, NAME_MAX_BYTES, "%s", name);
  stored++;
  printf("stored %s\n", name);
}

static void remove_fds(const char *name) {
  int kept = 0;
  for (int i = 0; i < stored; i++) {
    if (strcmp(store[i].name, name) == 0) close(store[i].fd);
    else store[kept++] = store[i];
  }
  printf("removed %s %d\n", name, stored - kept);
  stored = kept;
}

static void obey(char *text, int fd) {
  bool wants_store = false, wants_removal = false;
  const char *name = "stored";
  for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
    if (strcmp(line, "FDSTORE=1") == 0) wants_store = true;
    if (strcmp(line, "FDSTOREREMOVE=1") == 0) wants_removal = true;
    if (strncmp(line, "FDNAME=", 7) == 0) name = line + 7;
    if (strcmp(line, "WATCHDOG=1") == 0) fed_ms = now_ms();
  }
  if (wants_store && fd >= 0) store_fd(name, fd);
  else if (fd >= 0) close(fd);
  if (wants_removal) remove_fds(name);
}

static void receive(int socket) {
  char text[4096];
  _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  struct iovec part = {text, sizeof text - 1};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  ssize_t bytes = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  if (bytes < 0) return;
  text[bytes] = 0;
  int fd = -1;
  struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
  if (rights && rights->cmsg_type == SCM_RIGHTS) memcpy(&fd, CMSG_DATA(rights), sizeof fd);
  fputs("message ", stdout);
  for (const char *c = text; *c; c++) putchar(*c == '\n' ? ' ' : *c);
  putchar('\n');
  obey(text, fd);
}

/* ---- the keeper ---- */

static int open_socket(void) {
  struct sockaddr_un at = {.sun_family = AF_UNIX};
  snprintf(at.sun_path, sizeof at.sun_path, "%s", socket_path);
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || chmod(socket_path, 0777) < 0) fail(socket_path);
  return fd;
}

static void reap(bool stopping) {
  int status;
  if (waitpid(service, &status, WNOHANG) != service) return;
  if (WIFSIGNALED(status)) printf("end signal %d\n", WTERMSIG(status));
  else printf("end code %d\n", WEXITSTATUS(status));
  if (stopping) exit(0);
  start_service();
}

static void bite(void) {
  if (watchdog_ms == 0 || now_ms() - fed_ms < watchdog_ms) return;
  puts("watchdog");
  kill(service, SIGABRT);
  fed_ms = now_ms();
}

int main(int count, char **words) {
  if (count < 3) return fputs("usage: fd-keeper ARGUMENTS SOCKET [WATCHDOG_MS]\n", stderr), 64;
  arguments_file = words[1];
  socket_path = words[2];
  if (count > 3) watchdog_ms = atol(words[3]);
  setvbuf(stdout, NULL, _IOLBF, 0);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGCHLD);
  sigaddset(&signals, SIGUSR1);
  sigaddset(&signals, SIGTERM);
  sigprocmask(SIG_BLOCK, &signals, NULL);
  int signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
  int socket = open_socket();
  start_service();
  bool stopping = false;
  for (;;) {
    struct pollfd waits[2] = {{.fd = socket, .events = POLLIN}, {.fd = signal_fd, .events = POLLIN}};
    if (poll(waits, 2, 50) < 0 && errno != EINTR) fail("poll");
    while (waits[0].revents & POLLIN) {
      receive(socket);
      if (poll(waits, 1, 0) <= 0) break;
    }
    struct signalfd_siginfo info;
    while (read(signal_fd, &info, sizeof info) == sizeof info) {
      if (info.ssi_signo == SIGTERM) stopping = true;
      if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGUSR1) kill(service, SIGTERM);
    }
    reap(stopping);
    bite();
  }
}
