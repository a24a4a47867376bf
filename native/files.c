/*
 * Looks at many small files in one piece of work. Node's own calls are a piece of work for each step of each file, and each wakes two
 * threads: for a folder of 10,000 files that is most of what it costs to follow it.
 */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "values.h"

/* Of one file. `error` is 0, an errno, or ENOENT where there is none. */
struct look {
  int error;
  struct stat stat;
  char *text;
  size_t text_bytes;
};

struct looks {
  napi_async_work work;
  napi_deferred promised;
  char **paths;
  int count;
  int text_max;
  struct look each[];
};

/* The text of an open regular file, whatever its size was said to be. A file of more than text_max bytes has none. */
static int read_text_of(int fd, int text_max, struct look *look) {
  char *text = malloc((size_t)text_max + 1);
  if (!text) return ENOMEM;
  size_t bytes = 0;
  while (bytes <= (size_t)text_max) {
    ssize_t count = read(fd, text + bytes, (size_t)text_max + 1 - bytes);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return free(text), errno;
    if (count == 0) {
      /* Many wait together until all are read. */
      char *fitted = realloc(text, bytes + 1);
      look->text = fitted ? fitted : text;
      look->text_bytes = bytes;
      return 0;
    }
    bytes += (size_t)count;
  }
  free(text);
  return 0;
}

/* By its name: a link is not followed, and nothing is opened that might answer to it. */
static int look_only(const char *path, struct look *look) { return lstat(path, &look->stat) < 0 ? errno : 0; }

/* What it looks like is of before it was read: a change in between shows at the next look. */
static int look_and_read(const char *path, int text_max, struct look *look) {
  int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return errno == ELOOP || errno == ENXIO ? look_only(path, look) : errno;
  int error = fstat(fd, &look->stat) < 0 ? errno : 0;
  if (!error && S_ISREG(look->stat.st_mode)) error = read_text_of(fd, text_max, look);
  close(fd);
  return error;
}

static void look_at_all(napi_env env, void *data) {
  (void)env;
  struct looks *looks = data;
  for (int i = 0; i < looks->count; i++) {
    struct look *look = &looks->each[i];
    look->error =
        looks->text_max ? look_and_read(looks->paths[i], looks->text_max, look) : look_only(looks->paths[i], look);
  }
}

static napi_value make_look(napi_env env, const struct look *look) {
  napi_value result = NULL, text = NULL, modified = NULL;
  napi_create_object(env, &result);
  if (look->error) {
    set_property(env, result, "errno", make_int(env, -look->error));
    return result;
  }
  const struct stat *stat = &look->stat;
  char stamp[128];
  snprintf(stamp, sizeof stamp, "%ju %jd %jd.%09ld %jd.%09ld", (uintmax_t)stat->st_ino, (intmax_t)stat->st_size,
           (intmax_t)stat->st_mtim.tv_sec, stat->st_mtim.tv_nsec, (intmax_t)stat->st_ctim.tv_sec,
           stat->st_ctim.tv_nsec);
  set_property(env, result, "stamp", make_string(env, stamp));
  napi_create_double(env, (double)stat->st_mtim.tv_sec * 1e3 + (double)stat->st_mtim.tv_nsec / 1e6, &modified);
  set_property(env, result, "modifiedMs", modified);
  if (look->text && napi_create_string_utf8(env, look->text, look->text_bytes, &text) == napi_ok) {
    set_property(env, result, "text", text);
  }
  return result;
}

static void free_looks(struct looks *looks) {
  for (int i = 0; i < looks->count; i++) free(looks->each[i].text);
  free(looks->paths);
  free(looks);
}

static void keep_promise(napi_env env, napi_status status, void *data) {
  (void)status;
  struct looks *looks = data;
  napi_value result = NULL;
  napi_create_array_with_length(env, (size_t)looks->count, &result);
  for (int i = 0; i < looks->count; i++) {
    napi_set_element(env, result, (uint32_t)i, make_look(env, &looks->each[i]));
  }
  napi_resolve_deferred(env, looks->promised, result);
  napi_delete_async_work(env, looks->work);
  free_looks(looks);
}

napi_value files_look(napi_env env, char **paths, int text_max) {
  int count = 0;
  while (paths[count]) count++;
  struct looks *looks = calloc(1, sizeof *looks + (size_t)count * sizeof looks->each[0]);
  if (!looks) return free(paths), throw_system(env, "calloc", -ENOMEM);
  looks->paths = paths;
  looks->count = count;
  looks->text_max = text_max;
  napi_value promise;
  if (napi_create_async_work(env, NULL, make_string(env, "weft-files"), look_at_all, keep_promise, looks,
                             &looks->work) != napi_ok ||
      napi_create_promise(env, &looks->promised, &promise) != napi_ok ||
      napi_queue_async_work(env, looks->work) != napi_ok) {
    if (looks->work) napi_delete_async_work(env, looks->work);
    free_looks(looks);
    return throw_system(env, "looks", -ENOMEM);
  }
  return promise;
}
