#include "delegate.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "file.h"
#include "text.h"

#define STDERR_MAX 4096
/* Five seconds in all. */
#define BUSY_TRIES 20
#define BUSY_WAIT_NS 250000000

/* What a plugin printed; beyond its room it is read and dropped. */
struct stream {
  int fd;
  char *text;
  size_t length, room;
  bool is_cut;
};

/* ---- finding ---- */

static bool is_regular(const char *path) {
  struct stat about;
  return stat(path, &about) == 0 && S_ISREG(about.st_mode);
}

bool delegate_find(json_t *config, struct delegate *to, struct failure *why) {
  const char *type = json_string_value(json_object_get(config, "type")), *folders = getenv("CNI_PATH");
  if (!type || !*type || strchr(type, '/') || type[0] == '.')
    return fail(why, FAILED_OTHER, "\"delegate.type\" %s is not a plugin name", quote(type ? type : "").text);
  for (const char *folder = folders; folder && *folder;) {
    size_t length = strcspn(folder, ":");
    int written = snprintf(to->path, sizeof to->path, "%.*s/%s", (int)length, folder, type);
    if (length > 0 && written < (int)sizeof to->path && is_regular(to->path)) return true;
    folder += length + (folder[length] == ':');
  }
  return fail(why, FAILED_OTHER, "the plugin %s is not in CNI_PATH %s; install it there", quote(type).text,
              quote(folders ? folders : "").text);
}

/* ---- running ---- */

/* A file with the config, to be read from its beginning; -1 with errno set. */
static int file_with(json_t *config) {
  char *text = json_dumps(config, JSON_COMPACT | JSON_SORT_KEYS);
  if (!text) {
    errno = ENOMEM;
    return -1;
  }
  int fd = memfd_create("cni-config", MFD_CLOEXEC);
  if (fd >= 0 && (write_all(fd, text, strlen(text)) < 0 || lseek(fd, 0, SEEK_SET) < 0)) {
    close(fd);
    fd = -1;
  }
  free(text);
  return fd;
}

/* 0 or an errno. */
static int spawn_with(const char *path, int in, int out, int err, pid_t *process) {
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  sigset_t piped;
  sigemptyset(&piped);
  sigaddset(&piped, SIGPIPE);
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setsigdefault(&attributes, &piped);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&files, err, STDERR_FILENO);
  char *words[] = {(char *)path, NULL};
  int error = posix_spawn(process, path, &files, &attributes, words, environ);
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  return error;
}

/* One read; false at the end. */
static bool read_some(struct stream *stream) {
  char beyond[4096];
  size_t free_bytes = stream->room - stream->length;
  bool fits = free_bytes > 0;
  ssize_t count = read(stream->fd, fits ? stream->text + stream->length : beyond, fits ? free_bytes : sizeof beyond);
  if (count < 0) return errno == EINTR;
  if (fits) stream->length += (size_t)count;
  else stream->is_cut = stream->is_cut || count > 0;
  return count > 0;
}

static void read_both(struct stream *out, struct stream *err) {
  struct pollfd waits[2] = {{.fd = out->fd, .events = POLLIN}, {.fd = err->fd, .events = POLLIN}};
  while (waits[0].fd >= 0 || waits[1].fd >= 0) {
    if (poll(waits, 2, -1) < 0) {
      if (errno == EINTR) continue;
      return;
    }
    if (waits[0].fd >= 0 && waits[0].revents && !read_some(out)) waits[0].fd = -1;
    if (waits[1].fd >= 0 && waits[1].revents && !read_some(err)) waits[1].fd = -1;
  }
}

/* 0 or an errno. */
static int wait_for(pid_t process, int *status) {
  while (waitpid(process, status, 0) < 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

/* The plugin may be replaced by a newer one at this moment: whoever writes it has it open for writing. */
static int spawn_when_free(const char *path, int in, int out, int err, pid_t *process) {
  int error = spawn_with(path, in, out, err, process);
  for (int tries = 0; error == ETXTBSY && tries < BUSY_TRIES; tries++) {
    nanosleep(&(struct timespec){.tv_nsec = BUSY_WAIT_NS}, NULL);
    error = spawn_with(path, in, out, err, process);
  }
  return error;
}

/* 0 or an errno; then `status` is that of waitpid. */
static int run_plugin(const char *path, json_t *config, struct stream *out, struct stream *err, int *status) {
  int in = file_with(config), outs[2] = {-1, -1}, errs[2] = {-1, -1}, error = 0;
  pid_t process = -1;
  if (in < 0 || pipe2(outs, O_CLOEXEC) < 0 || pipe2(errs, O_CLOEXEC) < 0) error = errno;
  if (error == 0) error = spawn_when_free(path, in, outs[1], errs[1], &process);
  int mine[] = {in, outs[1], errs[1]};
  for (int i = 0; i < 3; i++)
    if (mine[i] >= 0) close(mine[i]);
  if (error == 0) {
    out->fd = outs[0];
    err->fd = errs[0];
    read_both(out, err);
    error = wait_for(process, status);
  }
  if (outs[0] >= 0) close(outs[0]);
  if (errs[0] >= 0) close(errs[0]);
  return error;
}

/* ---- its answer ---- */

/* What it wrote for logs goes to ours, line by line. */
static void pass_on(const struct stream *err) {
  char line[512];
  for (struct slice left = {err->text, err->length}; left.length > 0;) {
    const char *end = memchr(left.at, '\n', left.length);
    size_t length = end ? (size_t)(end - left.at) : left.length;
    printable(line, sizeof line, (struct slice){left.at, length});
    fprintf(stderr, "%s\n", line);
    left.at += end ? length + 1 : length;
    left.length -= end ? length + 1 : length;
  }
}

static void copy_text(char *to, size_t size, json_t *text) {
  const char *from = json_is_string(text) ? json_string_value(text) : "";
  printable(to, size, (struct slice){from, strlen(from)});
}

/* The error that the plugin printed, as CNI has it, or what is known of one that printed none. */
static bool fail_as_it_did(const char *path, json_t *answer, int status, const struct stream *err,
                           struct failure *why) {
  json_t *code = json_object_get(answer, "code"), *message = json_object_get(answer, "msg");
  const char *how = WIFSIGNALED(status) ? "was ended by signal" : "ended with exit code";
  int number = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
  fail(why, FAILED_OTHER, "the plugin %s %s %d and printed no CNI error", quote(path).text, how, number);
  if (!json_is_integer(code) || !json_is_string(message)) {
    printable(why->details, sizeof why->details, (struct slice){err->text, err->length});
    return false;
  }
  why->code = (int)json_integer_value(code);
  copy_text(why->message, sizeof why->message, message);
  copy_text(why->details, sizeof why->details, json_object_get(answer, "details"));
  return false;
}

static bool judge(const char *path, const struct stream *out, const struct stream *err, int status, json_t **result,
                  struct failure *why) {
  json_t *answer = json_loadb(out->text, out->length, 0, NULL);
  bool is_good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  if (!is_good) fail_as_it_did(path, answer, status, err, why);
  if (is_good && result && (!json_is_object(answer) || out->is_cut))
    is_good = fail(why, FAILED_OTHER, "the plugin %s printed no CNI result: %s", quote(path).text,
                   quote_slice((struct slice){out->text, out->length}).text);
  if (is_good && result) *result = json_incref(answer);
  json_decref(answer);
  return is_good;
}

bool delegate_call(const struct delegate *delegate, const char *command, json_t *config, json_t **result,
                   struct failure *why) {
  char errors[STDERR_MAX];
  struct stream out = {.text = malloc(TEXT_MAX), .room = TEXT_MAX}, err = {.text = errors, .room = sizeof errors};
  int status = 0;
  setenv("CNI_COMMAND", command, 1);
  int error = out.text ? run_plugin(delegate->path, config, &out, &err, &status) : ENOMEM;
  bool is_good = false;
  if (error) {
    fail(why, FAILED_OTHER, "cannot run the plugin %s: %s", quote(delegate->path).text, strerror(error));
  } else {
    pass_on(&err);
    is_good = judge(delegate->path, &out, &err, status, result, why);
  }
  free(out.text);
  return is_good;
}
