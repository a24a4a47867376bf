/*
 * Copies files over others, each as a whole, with its mode: readers see the old one or the new one.
 *   install-conf FROM TO [FROM TO ...]
 * In their order, and it ends at the first that fails. The init container of flannel's manifest runs it to put the CNI config where the
 * container runtime looks; the image need have no shell.
 * Makes the folder of TO where it is missing. Exit code 0, 64 for wrong arguments, 1 with a message for all else.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"

static int complain(const char *what, const char *file) {
  fprintf(stderr, "install-conf: cannot %s %s: %s\n", what, file, strerror(errno));
  return 1;
}

/* The draft lies beside its target: a rename does not leave its file system. A dot: no runtime takes it for a config. */
static int draft_name(const char *target, char *draft) {
  const char *slash = strrchr(target, '/');
  int folder_length = slash ? (int)(slash - target) + 1 : 0;
  int length = snprintf(draft, PATH_MAX, "%.*s.%s.new", folder_length, target, target + folder_length);
  if (length < PATH_MAX) return 0;
  errno = ENAMETOOLONG;
  return -1;
}

static int make_folders(const char *target) {
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s", target);
  for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
    *slash = 0;
    if (mkdir(path, 0755) < 0 && errno != EEXIST) return -1;
    *slash = '/';
  }
  return 0;
}

static int write_draft(const char *draft, mode_t mode, const char *text, size_t bytes) {
  if (unlink(draft) < 0 && errno != ENOENT) return -1;
  int fd = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return -1;
  int result = write_all(fd, text, bytes) < 0 || fchmod(fd, mode) < 0 || fsync(fd) < 0 ? -1 : 0;
  int error = errno;
  close(fd);
  errno = error;
  return result;
}

static int install(const char *target, mode_t mode, const char *text, size_t bytes) {
  char draft[PATH_MAX];
  if (draft_name(target, draft) < 0 || make_folders(target) < 0) return complain("write", target);
  if (write_draft(draft, mode, text, bytes) == 0 && rename(draft, target) == 0) return 0;
  complain("write", target);
  unlink(draft);
  return 1;
}

static int copy(const char *from, const char *to) {
  struct stat about;
  size_t bytes;
  char *text = stat(from, &about) == 0 ? read_file_at(AT_FDCWD, from, 0, &bytes) : NULL;
  if (!text) return complain("read", from);
  int result = install(to, about.st_mode & 0777, text, bytes);
  free(text);
  return result;
}

int main(int count, char **words) {
  if (count < 3 || count % 2 == 0) return fputs("usage: install-conf FROM TO [FROM TO ...]\n", stderr), 64;
  for (int i = 1; i < count; i += 2)
    if (copy(words[i], words[i + 1]) != 0) return 1;
  return 0;
}
