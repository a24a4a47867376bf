/*
 * Makes and counts traffic for bench:net. Servers print "ready" when they listen and end at SIGTERM; clients print one line of JSON.
 * Addresses are IPv4 or IPv6.
 *   traffic flood ADDRESS PORT BYTES SECONDS    datagrams as fast as sendmmsg takes them
 *   traffic paced ADDRESS PORT BYTES SECONDS RATE  as many datagrams a second; what it could not send in time it leaves out
 *   traffic sink PORT                           counts datagrams; prints the count at SIGTERM
 *   traffic echo PORT                           sends every datagram back
 *   traffic pingpong ADDRESS PORT BYTES SECONDS one datagram outstanding; round trips in ns, as a histogram
 *   traffic crowd ADDRESS PORT BYTES SECONDS CLIENTS  as pingpong, so many sockets at the same time, each with one outstanding
 *   traffic accept PORT                         accepts TCP connections and closes them when the far end does
 *   traffic connect ADDRESS PORT SECONDS        opens and closes TCP connections one after the other
 *   traffic in FOLDER COMMAND [ARGUMENT...]     runs the command in the control group of that folder
 * Histogram classes are 1/32 of a power of two wide (3 %); each is printed as [upper bound in ns, count].
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64
#define DATAGRAM_MAX 65507
#define BUFFER_BYTES (8 << 20)
#define ANSWER_WAIT_MS 200
#define CLASSES (64 * 32)

static volatile sig_atomic_t stopped;

static void stop(int signal_number) {
  (void)signal_number;
  stopped = 1;
}

static _Noreturn void fail(const char *what) {
  fprintf(stderr, "traffic: %s: %s\n", what, strerror(errno));
  exit(1);
}

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- sockets ---- */

static void set_buffer(int fd, int force, int plain) {
  int bytes = BUFFER_BYTES;
  if (setsockopt(fd, SOL_SOCKET, force, &bytes, sizeof bytes) != 0)
    setsockopt(fd, SOL_SOCKET, plain, &bytes, sizeof bytes);
}

/* One socket for both families: IPv4 peers have mapped addresses. */
static int open_server(int type, const char *port) {
  int fd = socket(AF_INET6, type | SOCK_CLOEXEC, 0), on = 1, off = 0;
  struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)atoi(port))};
  if (fd < 0) fail("socket");
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF);
  if (bind(fd, (struct sockaddr *)&any, sizeof any) != 0) fail("bind");
  if (type == SOCK_STREAM && listen(fd, 1024) != 0) fail("listen");
  struct sigaction action = {.sa_handler = stop}; /* without SA_RESTART: a blocked call ends */
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
  /* A signal between the look and the call is seen a tenth of a second later. */
  struct timeval turn = {.tv_usec = 100000};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &turn, sizeof turn);
  printf("ready\n");
  fflush(stdout);
  return fd;
}

/* Fills in the address; returns its length. */
static socklen_t target(const char *address, const char *port, struct sockaddr_storage *to) {
  struct sockaddr_in *v4 = (struct sockaddr_in *)to;
  struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)to;
  memset(to, 0, sizeof *to);
  if (inet_pton(AF_INET, address, &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons((uint16_t)atoi(port));
    return sizeof *v4;
  }
  if (inet_pton(AF_INET6, address, &v6->sin6_addr) != 1) fail(address);
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons((uint16_t)atoi(port));
  return sizeof *v6;
}

static int open_client(const char *address, const char *port) {
  struct sockaddr_storage to;
  socklen_t bytes = target(address, port, &to);
  int fd = socket(to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, (struct sockaddr *)&to, bytes) != 0) fail(address);
  return fd;
}

/* ---- histogram ---- */

static uint64_t classes[CLASSES], total_ns, largest_ns, samples;

static unsigned class_of(uint64_t ns) {
  if (ns < 32) return (unsigned)ns;
  unsigned shift = 63u - (unsigned)__builtin_clzll(ns) - 5u; /* keeps the five bits below the leading one */
  unsigned bucket = (shift + 1) * 32 + (unsigned)((ns >> shift) & 31);
  return bucket < CLASSES ? bucket : CLASSES - 1;
}

static uint64_t upper_bound_ns(unsigned bucket) {
  if (bucket < 32) return bucket;
  unsigned shift = bucket / 32 - 1;
  return ((uint64_t)(32 + bucket % 32 + 1) << shift) - 1;
}

static void record(uint64_t ns) {
  classes[class_of(ns)]++;
  total_ns += ns;
  samples++;
  if (ns > largest_ns) largest_ns = ns;
}

static void print_histogram(uint64_t lost, uint64_t elapsed_ns) {
  printf("{\"samples\":%llu,\"lost\":%llu,\"elapsedNs\":%llu,\"totalNs\":%llu,\"maxNs\":%llu,\"histogram\":[",
         (unsigned long long)samples, (unsigned long long)lost, (unsigned long long)elapsed_ns,
         (unsigned long long)total_ns, (unsigned long long)largest_ns);
  const char *comma = "";
  for (unsigned bucket = 0; bucket < CLASSES; bucket++) {
    if (classes[bucket] == 0) continue;
    printf("%s[%llu,%llu]", comma, (unsigned long long)upper_bound_ns(bucket), (unsigned long long)classes[bucket]);
    comma = ",";
  }
  printf("]}\n");
}

/* ---- datagrams ---- */

#define PACE_NS 50000  /* how long a paced sender sleeps when nothing is due */
#define DEBT_MAX BATCH /* datagrams that may be late before they are left out: to catch up would be a flood */

/* How many datagrams are due now, at most a batch. `*begin` moves on by what is left out. */
static unsigned due(double rate, uint64_t sent, uint64_t *begin) {
  double wanted = (double)(now_ns() - *begin) * rate / 1e9 - (double)sent;
  if (wanted > 2 * DEBT_MAX) {
    *begin += (uint64_t)((wanted - DEBT_MAX) * 1e9 / rate);
    return DEBT_MAX;
  }
  if (wanted >= 1) return wanted > BATCH ? BATCH : (unsigned)wanted;
  struct timespec pause = {.tv_nsec = PACE_NS};
  nanosleep(&pause, NULL);
  return 0;
}

/* `rate` in datagrams a second; 0: no limit. */
static void flood(const char *address, const char *port, size_t bytes, double seconds, double rate) {
  static uint8_t payload[DATAGRAM_MAX];
  struct iovec part = {payload, bytes};
  struct mmsghdr messages[BATCH];
  memset(messages, 0, sizeof messages);
  for (int i = 0; i < BATCH; i++) messages[i].msg_hdr = (struct msghdr){.msg_iov = &part, .msg_iovlen = 1};
  int fd = open_client(address, port);
  set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF);
  prctl(PR_SET_TIMERSLACK, 1);
  uint64_t begin = now_ns(), paced_from = begin, end = begin + (uint64_t)(seconds * 1e9), sent = 0, refused = 0;
  while (now_ns() < end) {
    unsigned count = rate > 0 ? due(rate, sent, &paced_from) : BATCH;
    if (count == 0) continue;
    int taken = sendmmsg(fd, messages, count, 0);
    if (taken > 0) sent += (uint64_t)taken;
    else if (errno == ENOBUFS || errno == EAGAIN || errno == ECONNREFUSED) refused++;
    else fail("sendmmsg");
  }
  printf("{\"sent\":%llu,\"refused\":%llu,\"elapsedNs\":%llu}\n", (unsigned long long)sent, (unsigned long long)refused,
         (unsigned long long)(now_ns() - begin));
}

static void sink(const char *port) {
  static uint8_t bytes[BATCH][2048];
  struct iovec parts[BATCH];
  struct mmsghdr messages[BATCH];
  memset(messages, 0, sizeof messages);
  for (int i = 0; i < BATCH; i++) {
    parts[i] = (struct iovec){bytes[i], sizeof bytes[i]};
    messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
  }
  int fd = open_server(SOCK_DGRAM, port);
  uint64_t received = 0;
  while (!stopped) {
    int got = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL);
    if (got > 0) received += (uint64_t)got;
  }
  printf("{\"received\":%llu}\n", (unsigned long long)received);
}

static void echo(const char *port) {
  static uint8_t bytes[DATAGRAM_MAX];
  int fd = open_server(SOCK_DGRAM, port);
  while (!stopped) {
    struct sockaddr_storage from;
    socklen_t from_bytes = sizeof from;
    ssize_t got = recvfrom(fd, bytes, sizeof bytes, 0, (struct sockaddr *)&from, &from_bytes);
    if (got >= 0) sendto(fd, bytes, (size_t)got, 0, (struct sockaddr *)&from, from_bytes);
  }
}

static void pingpong(const char *address, const char *port, size_t bytes, double seconds) {
  static uint8_t payload[DATAGRAM_MAX], answer[DATAGRAM_MAX];
  int fd = open_client(address, port);
  struct timeval wait = {.tv_usec = ANSWER_WAIT_MS * 1000};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
  uint64_t begin = now_ns(), end = begin + (uint64_t)(seconds * 1e9), number = 0, lost = 0;
  for (uint64_t sent_at = begin; sent_at < end; sent_at = now_ns()) {
    number++;
    memcpy(payload, &number, sizeof number);
    if (send(fd, payload, bytes, 0) < 0 && errno != ECONNREFUSED) fail("send");
    uint64_t got = 0;
    ssize_t answer_bytes;
    do { /* an answer that came too late is of an earlier number */
      answer_bytes = recv(fd, answer, sizeof answer, 0);
      memcpy(&got, answer, sizeof got);
    } while (answer_bytes >= 0 && got != number);
    if (answer_bytes < 0) lost++;
    else record(now_ns() - sent_at);
  }
  print_histogram(lost, now_ns() - begin);
}

/* ---- many clients at once ---- */

#define CLIENTS_MAX 256

struct client {
  int fd;
  uint64_t number, sent_at;
};

static void ask(struct client *client, size_t bytes) {
  static uint8_t payload[DATAGRAM_MAX];
  client->number++;
  client->sent_at = now_ns();
  memcpy(payload, &client->number, sizeof client->number);
  if (send(client->fd, payload, bytes, 0) < 0 && errno != ECONNREFUSED) fail("send");
}

/* Takes the answer and asks again; an answer that came too late is of an earlier number. */
static void take_answer(struct client *client, size_t bytes) {
  static uint8_t answer[DATAGRAM_MAX];
  uint64_t got = 0;
  if (recv(client->fd, answer, sizeof answer, MSG_DONTWAIT) < 0) return;
  memcpy(&got, answer, sizeof got);
  if (got != client->number) return;
  record(now_ns() - client->sent_at);
  ask(client, bytes);
}

static uint64_t ask_late_ones_again(struct client *clients, unsigned count, size_t bytes) {
  uint64_t late = 0, limit = now_ns() - ANSWER_WAIT_MS * 1000000ull;
  for (unsigned i = 0; i < count; i++) {
    if (clients[i].sent_at > limit) continue;
    late++;
    ask(&clients[i], bytes);
  }
  return late;
}

static void crowd(const char *address, const char *port, size_t bytes, double seconds, unsigned count) {
  static struct client clients[CLIENTS_MAX];
  struct epoll_event ready[CLIENTS_MAX];
  int poller = epoll_create1(EPOLL_CLOEXEC);
  uint64_t lost = 0, begin = now_ns(), end = begin + (uint64_t)(seconds * 1e9), looked = begin;
  if (poller < 0) fail("epoll_create1");
  for (unsigned i = 0; i < count; i++) {
    clients[i].fd = open_client(address, port);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &clients[i]};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, clients[i].fd, &event) != 0) fail("epoll_ctl");
    ask(&clients[i], bytes);
  }
  for (uint64_t now = begin; now < end; now = now_ns()) {
    int got = epoll_wait(poller, ready, CLIENTS_MAX, ANSWER_WAIT_MS / 4);
    for (int i = 0; i < got; i++) take_answer(ready[i].data.ptr, bytes);
    if (now - looked < ANSWER_WAIT_MS * 1000000ull / 4) continue;
    looked = now;
    lost += ask_late_ones_again(clients, count, bytes);
  }
  print_histogram(lost, now_ns() - begin);
}

/* ---- connections ---- */

static void accept_all(const char *port) {
  int fd = open_server(SOCK_STREAM, port);
  while (!stopped) {
    int connection = accept(fd, NULL, NULL);
    if (connection < 0) continue;
    char byte;
    while (recv(connection, &byte, 1, 0) > 0) continue;
    close(connection);
  }
}

/* The client closes with a reset: no port stays in TIME_WAIT, however long it runs. */
static void connect_all(const char *address, const char *port, double seconds) {
  struct sockaddr_storage to;
  socklen_t to_bytes = target(address, port, &to);
  struct linger reset = {.l_onoff = 1};
  uint64_t begin = now_ns(), end = begin + (uint64_t)(seconds * 1e9), failed = 0;
  for (uint64_t from = begin; from < end; from = now_ns()) {
    int fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) fail("socket");
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    if (connect(fd, (struct sockaddr *)&to, to_bytes) == 0) record(now_ns() - from);
    else failed++;
    close(fd);
  }
  print_histogram(failed, now_ns() - begin);
}

/* ---- control groups ---- */

/* What the command and its children use is then counted by that group. */
static void run_in(const char *folder, char **command) {
  char file[4096], pid[32];
  snprintf(file, sizeof file, "%s/cgroup.procs", folder);
  int fd = open(file, O_WRONLY | O_CLOEXEC);
  if (fd < 0) fail(file);
  int digits = snprintf(pid, sizeof pid, "%d", (int)getpid());
  if (write(fd, pid, (size_t)digits) != digits) fail(file);
  execvp(command[0], command);
  fail(command[0]);
}

int main(int argc, char **argv) {
  const char *kind = argc > 1 ? argv[1] : "";
  size_t bytes = argc == 6 || argc == 7 ? strtoul(argv[4], NULL, 10) : 0;
  bool sized = bytes >= sizeof(uint64_t) && bytes <= DATAGRAM_MAX;
  double last = argc == 7 ? atof(argv[6]) : 0;
  if (argc >= 4 && strcmp(kind, "in") == 0) run_in(argv[2], argv + 3);
  else if (argc == 6 && sized && strcmp(kind, "flood") == 0) flood(argv[2], argv[3], bytes, atof(argv[5]), 0);
  else if (last > 0 && sized && strcmp(kind, "paced") == 0) flood(argv[2], argv[3], bytes, atof(argv[5]), last);
  else if (argc == 6 && sized && strcmp(kind, "pingpong") == 0) pingpong(argv[2], argv[3], bytes, atof(argv[5]));
  else if (last >= 1 && last <= CLIENTS_MAX && sized && strcmp(kind, "crowd") == 0)
    crowd(argv[2], argv[3], bytes, atof(argv[5]), (unsigned)last);
  else if (argc == 5 && strcmp(kind, "connect") == 0) connect_all(argv[2], argv[3], atof(argv[4]));
  else if (argc == 3 && strcmp(kind, "sink") == 0) sink(argv[2]);
  else if (argc == 3 && strcmp(kind, "echo") == 0) echo(argv[2]);
  else if (argc == 3 && strcmp(kind, "accept") == 0) accept_all(argv[2]);
  else {
    fprintf(stderr,
            "usage: traffic flood|pingpong ADDRESS PORT BYTES SECONDS | paced ADDRESS PORT BYTES SECONDS RATE | "
            "crowd ADDRESS PORT BYTES SECONDS CLIENTS | connect ADDRESS PORT SECONDS | sink|echo|accept PORT | "
            "in FOLDER COMMAND [ARGUMENT...]\n");
    return 2;
  }
  return 0;
}
