#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "text.h"

#define INTERFACE_KEY "weft/interface"

int state_open(const char *folder) { return open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC); }

int state_make(const char *folder) {
  char path[PATH_MAX];
  size_t length = strlen(folder);
  if (length >= sizeof path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  memcpy(path, folder, length + 1);
  for (char *slash = path + 1; (slash = strchr(slash, '/')); slash++) {
    *slash = 0;
    if (mkdir(path, 0700) < 0 && errno != EEXIST) return -1;
    *slash = '/';
  }
  if (mkdir(path, 0700) < 0 && errno != EEXIST) return -1;
  return state_open(path);
}

/* ---- reading ---- */

/* Takes a file's name apart. */
static bool read_name(const char *file, struct attachment *of) {
  *of = (struct attachment){0};
  size_t length = strcspn(file, ":");
  if (length > CONTAINER_MAX) return false;
  memcpy(of->container, file, length);
  if (!is_cni_name(of->container)) return false;
  if (file[length] == 0) return true;
  const char *interface = file + length + 1;
  if (!*interface || strlen(interface) > INTERFACE_MAX) return false;
  memcpy(of->interface, interface, strlen(interface));
  return true;
}

/* Takes our key out of a config, whose word counts where the file's name has none. */
static void take_interface(json_t *config, struct attachment *of) {
  const char *interface = json_string_value(json_object_get(config, INTERFACE_KEY));
  if (interface && strlen(interface) <= INTERFACE_MAX && of->interface[0] == 0)
    memcpy(of->interface, interface, strlen(interface));
  json_object_del(config, INTERFACE_KEY);
}

/* A link, no file, or one that is too large: whoever put it there, it holds no state. */
static bool is_no_state(int error) { return error == ELOOP || error == EINVAL || error == EFBIG; }

static struct state unreadable(struct state state, int error) {
  state.kind = STATE_UNREADABLE;
  state.error = error;
  return state;
}

struct state state_read(int folder, const char *file) {
  struct state state = {.kind = STATE_NONE};
  size_t bytes;
  if (!read_name(file, &state.of) || strlen(file) > NAME_MAX) return state;
  memcpy(state.file, file, strlen(file));
  char *text = read_file_at(folder, file, O_NOFOLLOW, &bytes);
  if (!text && errno == ENOENT) return state;
  if (!text && !is_no_state(errno)) return unreadable(state, errno);
  json_error_t error;
  json_t *config = text ? json_loadb(text, bytes, 0, &error) : NULL;
  if (text && !config && json_error_code(&error) == json_error_out_of_memory) {
    free(text);
    return unreadable(state, ENOMEM);
  }
  free(text);
  state.kind = json_is_string(json_object_get(config, "type")) ? STATE_GOOD : STATE_BROKEN;
  if (state.kind == STATE_GOOD) {
    take_interface(config, &state.of);
    state.config = json_incref(config);
  }
  json_decref(config);
  return state;
}

static void own_name(const struct attachment *of, char *file) {
  snprintf(file, NAME_MAX + 1, "%s:%s", of->container, of->interface);
}

struct state state_find(int folder, const struct attachment *of) {
  char file[NAME_MAX + 1];
  own_name(of, file);
  struct state state = state_read(folder, file);
  if (state.kind != STATE_NONE) return state;
  state = state_read(folder, of->container);
  bool is_of_another = state.of.interface[0] != 0 && strcmp(state.of.interface, of->interface) != 0;
  if (state.kind == STATE_NONE || !is_of_another) return state;
  state_release(&state);
  return (struct state){.kind = STATE_NONE};
}

/* ---- writing ---- */

static bool exists(int folder, const char *file) {
  struct stat about;
  return fstatat(folder, file, &about, AT_SYMLINK_NOFOLLOW) == 0;
}

/* One for each attachment, so that what a crash leaves is written over. */
static void draft_name(const struct attachment *of, char *file) {
  snprintf(file, NAME_MAX + 1, ".%s:%s", of->container, of->interface);
}

static int write_draft(int folder, const char *draft, const char *text) {
  if (unlinkat(folder, draft, 0) < 0 && errno != ENOENT) return -1;
  int fd = openat(folder, draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return -1;
  int result = write_all(fd, text, strlen(text)) < 0 || fsync(fd) < 0 ? -1 : 0;
  int error = errno;
  close(fd);
  errno = error;
  return result;
}

static char *text_of(const struct attachment *of, json_t *config) {
  json_t *whole = json_copy(config);
  json_object_set_new(whole, INTERFACE_KEY, json_string(of->interface));
  char *text = json_dumps(whole, JSON_COMPACT | JSON_SORT_KEYS);
  json_decref(whole);
  if (!text) errno = ENOMEM;
  return text;
}

/* The container's own name, if no other interface has it: two may be added at once. */
static int give_name(int folder, const char *draft, const struct attachment *of, char *file) {
  memcpy(file, of->container, sizeof of->container);
  if (renameat2(folder, draft, folder, file, RENAME_NOREPLACE) == 0) return 0;
  bool is_unknown = errno == EINVAL || errno == ENOSYS; /* this file system has no such rename */
  if (errno != EEXIST && !is_unknown) return -1;
  if (!is_unknown || exists(folder, file)) own_name(of, file);
  return renameat(folder, draft, folder, file);
}

int state_save(int folder, struct state *old, const struct attachment *of, json_t *config) {
  char draft[NAME_MAX + 1], *text = text_of(of, config);
  if (!text) return -1;
  draft_name(of, draft);
  int result = write_draft(folder, draft, text);
  if (result == 0)
    result =
        old->kind == STATE_NONE ? give_name(folder, draft, of, old->file) : renameat(folder, draft, folder, old->file);
  int error = errno;
  if (result == 0) fsync(folder);
  else unlinkat(folder, draft, 0);
  free(text);
  errno = error;
  return result;
}

int state_drop(int folder, const struct state *state, const struct attachment *of) {
  char draft[NAME_MAX + 1];
  draft_name(of, draft);
  unlinkat(folder, draft, 0);
  return state->kind != STATE_NONE && unlinkat(folder, state->file, 0) < 0 && errno != ENOENT ? -1 : 0;
}

void state_release(struct state *state) {
  json_decref(state->config);
  state->config = NULL;
}
