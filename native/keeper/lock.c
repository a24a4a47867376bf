#include "lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>

static struct flock lock_of(enum lock_owner owner) {
  return (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)owner, .l_len = 1};
}

int lock_open(const char *socket_path) {
  char path[PATH_MAX];
  int length = snprintf(path, sizeof path, "%s.lock", socket_path);
  if (length >= (int)sizeof path) return errno = ENAMETOOLONG, -1;
  return open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

int lock_take(int fd, enum lock_owner owner) {
  struct flock lock = lock_of(owner);
  return fcntl(fd, F_OFD_SETLK, &lock) < 0 ? -1 : 0;
}

bool lock_is_taken(int fd, enum lock_owner owner) {
  struct flock lock = lock_of(owner);
  return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}
