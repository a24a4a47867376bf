#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char *fail_with(int error, char *text) {
  free(text);
  errno = error;
  return NULL;
}

char *read_all(int fd, size_t *bytes) {
  char *text = malloc(TEXT_MAX + 1);
  if (!text) return NULL;
  *bytes = 0;
  while (*bytes <= TEXT_MAX) {
    ssize_t count = read(fd, text + *bytes, TEXT_MAX + 1 - *bytes);
    if (count == 0) return text;
    if (count < 0 && errno != EINTR) return fail_with(errno, text);
    if (count > 0) *bytes += (size_t)count;
  }
  return fail_with(EFBIG, text);
}

char *read_file_at(int folder, const char *name, int flags, size_t *bytes) {
  /* Not to wait for a writer where it turns out to be a FIFO. */
  int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | flags);
  if (fd < 0) return NULL;
  struct stat about;
  char *text = NULL;
  if (fstat(fd, &about) == 0) {
    if (S_ISREG(about.st_mode)) text = read_all(fd, bytes);
    else errno = EINVAL;
  }
  int error = errno;
  close(fd);
  errno = error;
  return text;
}

int write_all(int fd, const char *text, size_t bytes) {
  while (bytes > 0) {
    ssize_t count = write(fd, text, bytes);
    if (count < 0 && errno != EINTR) return -1;
    if (count > 0) {
      text += count;
      bytes -= (size_t)count;
    }
  }
  return 0;
}
